"""ResampledClassifier: shares become weighted rows, weights follow their rows, nothing leaks."""

import numpy as np
import pandas as pd
import polars as pl
import pytest
import sklearn
import torch
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.compose import make_column_transformer
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import log_loss
from sklearn.model_selection import GridSearchCV, cross_validate
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from ltresample import LongTailWarning
from ltresample.class_counts import PartialFill
from ltresample.decisions import correct_prior
from ltresample.guides import Classifier
from ltresample.over_sampling import (
    AutoResampledClassifier,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
    ResampledClassifier,
    to_weighted_pairs,
)
from ltresample.pairing import RandomPairing
from ltresample.prior_correction import PriorCorrectedClassifier

CMO = OTMixSampler(pairing=RandomPairing(), min_foreground=0, random_state=0)


class Note(ClassifierMixin, BaseEstimator):
    """A classifier that keeps what it was fitted on."""

    def fit(self, X, y, sample_weight=None, extra=None):
        self.X_, self.y_, self.weight_, self.extra_ = X, np.asarray(y), sample_weight, extra
        self.classes_ = np.unique(self.y_)
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])


class Unweighted(Note):
    def fit(self, X, y):
        return super().fit(X, y)


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=200, n_informative=4, n_classes=3, weights=[0.7, 0.2], random_state=0
    )
    return X, np.array(["a", "b", "c"])[y]


def seen(sampler, X, y, classifier=None, **params):
    return ResampledClassifier(classifier or Note(), sampler).fit(X, y, **params)


def test_shares_become_weighted_rows(data):
    X, y = data
    model = seen(CMO, X, y)
    sampler, note = model.sampler_, model.classifier_
    targets = sampler.soft_targets_
    np.testing.assert_allclose(
        [note.weight_[note.y_ == k].sum() for k in "abc"], targets.sum(0), rtol=1e-12
    )
    index, _ = np.nonzero(targets)
    X_res, _ = clone(CMO).fit_resample(X, y)
    np.testing.assert_array_equal(note.X_, X_res[index])
    assert (note.weight_[: len(X)] == 1).all()
    assert model.classes_.tolist() == ["a", "b", "c"]
    assert model.n_features_in_ == X.shape[1]


def test_pairs_of_the_sampler_are_the_same_problem(data):
    """mixed_labels="pair" and shares give the same rows, weights and labels in another order."""
    X, y = data
    by_share = seen(CMO, X, y).classifier_
    by_pair = seen(clone(CMO).set_params(mixed_labels="pair"), X, y).classifier_

    def table(note):
        used = note.weight_ > 0
        codes = np.searchsorted(["a", "b", "c"], note.y_)
        rows = np.c_[note.X_, codes, note.weight_][used]
        return rows[np.lexsort(rows.T)]

    merged = table(by_pair)
    same = [row[:-2].tobytes() + row[-2:-1].tobytes() for row in merged]
    keys, place = np.unique(same, return_inverse=True)
    totals = np.bincount(place, merged[:, -1])  # pairs within a class are one row with its sum
    other = table(by_share)
    keys_2, place_2 = np.unique(
        [row[:-2].tobytes() + row[-2:-1].tobytes() for row in other], return_inverse=True
    )
    assert keys.tolist() == keys_2.tolist()
    np.testing.assert_allclose(totals, np.bincount(place_2, other[:, -1]), atol=1e-12)


def test_expected_labels_of_open_set_rows_are_used_too(data):
    X, y = data
    aux = np.random.default_rng(0).normal(size=(60, X.shape[1]))
    note = seen(OpenSampler(X_aux=aux, expected_labels=True, random_state=0), X, y).classifier_
    assert len(note.y_) > len(X) + 60
    weighted = seen(OpenSampler(X_aux=aux, random_state=0), X, y)
    np.testing.assert_array_equal(weighted.classifier_.weight_, weighted.sampler_.sample_weight_)


@pytest.mark.parametrize(
    "sampler",
    [
        CMO,
        clone(CMO).set_params(mixed_labels="pair"),
        M2mSampler(n_steps=2, random_state=0),
        RandomOverSampler(random_state=0),
        SMOTE(random_state=0),
        RandomUnderSampler(random_state=0),
    ],
    ids=lambda sampler: type(sampler).__name__,
)
@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
def test_weights_follow_their_rows(data, sampler):
    """A row that is, or is made from, a real row of its class has that row's weight."""
    X, y = data
    given = np.random.default_rng(0).uniform(1, 2, len(X))
    model = seen(sampler, X, y, sample_weight=given)
    note, plain = model.classifier_, seen(sampler, X, y).classifier_
    np.testing.assert_array_equal(note.X_, plain.X_)
    shares = np.ones(len(note.y_)) if plain.weight_ is None else plain.weight_
    known = {row.tobytes(): w for row, w in zip(X, given, strict=True)}
    mean = {k: given[y == k].mean() for k in "abc"}
    n_found = 0
    for row, label, weight, share in zip(note.X_, note.y_, note.weight_, shares, strict=True):
        if row.tobytes() in known:
            assert weight == known[row.tobytes()]
            n_found += 1
        elif not hasattr(model.sampler_, "provenance_"):
            assert weight == pytest.approx(mean[label] * share)
        assert given.min() * share <= weight * (1 + 1e-12)
        assert weight <= given.max() * share * (1 + 1e-12)
    assert n_found >= min(len(X), len(note.y_))
    if sampler is CMO:
        record = model.sampler_.provenance_
        last = record[-1]
        front, back = note.weight_[note.y_ == "c"][-1], given[last["seed_index"]]
        assert front == pytest.approx(back * model.sampler_.sample_weight_[-1])


def test_rows_of_weight_zero_are_left_out(data):
    X, y = data
    given = np.ones(len(X))
    given[::3] = 0
    part = seen(CMO, X[given > 0], y[given > 0]).classifier_
    whole = seen(CMO, X, y, sample_weight=given).classifier_
    np.testing.assert_array_equal(part.X_, whole.X_)
    np.testing.assert_allclose(part.weight_, whole.weight_)


@pytest.mark.parametrize("sampler", [CMO, clone(CMO).set_params(mixed_labels="pair")])
def test_a_classifier_without_weights_is_named(data, sampler):
    X, y = data
    with pytest.warns(LongTailWarning) as caught:
        model = seen(sampler, X, y, Unweighted())
    text = str(caught[0].message)
    assert "Unweighted takes neither soft targets nor sample_weight" in text
    assert "Choose a classifier that takes sample_weight" in text
    if sampler is CMO:
        labels = np.searchsorted(["a", "b", "c"], model.classifier_.y_)
        share = model.sampler_.soft_targets_[np.arange(len(labels)), labels]
        share = share[share < 1]
        assert f"{len(share)} rows are mixtures" in text
        assert f"hard labels are wrong by the other {1 - share.mean():.0%}" in text


def test_samplers_with_hard_labels_need_no_weights(data):
    X, y = data
    for sampler in (M2mSampler(n_steps=2, random_state=0), SMOTE(random_state=0)):
        note = seen(sampler, X, y, Unweighted()).classifier_
        assert note.weight_ is None
    assert seen(SMOTE(random_state=0), X, y).classifier_.weight_ is None


def test_pipelines_get_weights_in_their_last_step(data):
    X, y = data
    tree = make_pipeline(StandardScaler(), DecisionTreeClassifier(random_state=0))
    model = seen(CMO, X, y, tree)
    note = seen(CMO, X, y).classifier_
    by_hand = clone(tree).fit(note.X_, note.y_, decisiontreeclassifier__sample_weight=note.weight_)
    np.testing.assert_array_equal(model.predict_proba(X), by_hand.predict_proba(X))
    with pytest.warns(LongTailWarning, match="Pipeline takes neither"):
        seen(CMO, X, y, make_pipeline(StandardScaler(), KNeighborsClassifier()))


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: pd.DataFrame(X).add_prefix("c"),
        sparse.csr_matrix,
        sparse.coo_matrix,
        lambda X: X.tolist(),
        torch.from_numpy,
        lambda X: pl.DataFrame(X, schema=[f"c{i}" for i in range(X.shape[1])]),
    ],
    ids=["pandas", "csr", "coo", "list", "tensor", "polars"],
)
def test_containers(data, convert):
    X, y = data
    given = convert(X)
    weight = np.arange(len(X)) % 4.0
    reference = seen(CMO, X, y, sample_weight=weight).classifier_
    note = seen(CMO, given, y, sample_weight=weight).classifier_
    assert type(note.X_) is type(given)
    values = note.X_.toarray() if sparse.issparse(note.X_) else np.asarray(note.X_)
    np.testing.assert_allclose(values, reference.X_)


def test_in_searches_and_cross_validation(data):
    X, y = data
    fits = []

    class Watched(Note):
        def fit(self, X, y, sample_weight=None):
            fits.append(X)
            return super().fit(X, y, sample_weight)

    cross_validate(ResampledClassifier(Watched(), SMOTE(random_state=0)), X, y, cv=3)
    known = {row.tobytes() for row in X}
    for rows in fits:
        real = [row.tobytes() for row in rows if row.tobytes() in known]
        assert len(set(real)) <= 134, "the training folds only"
    model = ResampledClassifier(LogisticRegression(), CMO)
    grid = {"sampler__min_foreground": [0.0, 0.5], "classifier__C": [0.1, 1.0]}
    search = GridSearchCV(model, grid, cv=2, scoring="balanced_accuracy").fit(X, y)
    assert search.best_score_ > 0.4
    weight = np.ones(len(X))
    scores = cross_validate(model, X, y, cv=2, params={"sample_weight": weight})
    assert len(scores["test_score"]) == 2


def test_methods_are_those_of_the_classifier(data):
    X, y = data
    assert not hasattr(ResampledClassifier(Note(), CMO), "predict_proba")
    model = ResampledClassifier(LogisticRegression(), CMO)
    assert hasattr(model, "decision_function")
    model.fit(X, y)
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    assert model.decision_function(X).shape == (200, 3)
    assert model.score(X, y) > 0.5
    assert seen(CMO, X, y, extra="passed on").classifier_.extra_ == "passed on"


def test_parameters_are_not_fitted(data):
    X, y = data
    sampler, classifier = clone(CMO), LogisticRegression()
    model = ResampledClassifier(classifier, sampler).fit(X, y)
    assert not hasattr(sampler, "provenance_")
    assert not hasattr(classifier, "coef_")
    assert model.sampler_.provenance_["origin"][-1] == "synthetic"


# ---- messages ------------------------------------------------------------------------------------


def test_bad_input(data):
    X, y = data
    with pytest.raises(ValueError, match="takes no sample_weight in fit.*choose a classifier"):
        seen(CMO, X, y, Unweighted(), sample_weight=np.ones(len(X)))
    with pytest.raises(ValueError, match="at least one non-zero|at least two classes"):
        seen(CMO, X, y, sample_weight=np.zeros(len(X)))
    with pytest.raises(ValueError, match="at least two classes.*leaves only \\['a'\\]"):
        seen(CMO, X, y, sample_weight=(y == "a").astype(float))
    with pytest.raises(ValueError, match="Negative values"):
        seen(CMO, X, y, sample_weight=-np.ones(len(X)))
    with pytest.raises(ValueError, match="'sampler' parameter"):
        ResampledClassifier(Note(), "smote").fit(X, y)


def test_pairs_check_their_input():
    with pytest.raises(ValueError, match=r"shape \(2, 3\). Got shape \(2, 2\)"):
        to_weighted_pairs(np.zeros((2, 4)), np.eye(2), ["a", "b", "c"])
    with pytest.raises(ValueError, match="finite and at least 0. Got entries from -1"):
        to_weighted_pairs(np.zeros((2, 4)), -np.eye(2), ["a", "b"])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_prior_correction_divides_by_the_shares_of_the_resampled_data(data, share):
    X, y = data
    sampler = M2mSampler(sampling_strategy=PartialFill(share), n_steps=2, random_state=0)
    plain = ResampledClassifier(LogisticRegression(), sampler).fit(X, y)
    model = ResampledClassifier(LogisticRegression(), sampler, prior_correction=True).fit(X, y)
    _, y_res = clone(sampler).fit_resample(X, y)
    expected = plain.predict_proba(X) / np.unique(y_res, return_counts=True)[1]
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-12)
    np.testing.assert_allclose(model.predict_log_proba(X), np.log(expected), rtol=1e-12)
    assert (model.predict(X) == model.classes_[expected.argmax(axis=1)]).all()
    if share == 1.0:
        np.testing.assert_allclose(model.predict_proba(X), plain.predict_proba(X))


@pytest.mark.parametrize("make", [LogisticRegression, lambda: make_pipeline(LogisticRegression())])
def test_prior_correction_counts_weights(data, make):
    X, y = data
    weight = np.where(y == "a", 2.0, 0.5)
    sampler = RandomOverSampler(sampling_strategy={"c": 60}, random_state=0)
    model = ResampledClassifier(make(), sampler, prior_correction=True)
    model.fit(X, y, sample_weight=weight)
    total = [2 * (y == "a").sum(), 0.5 * (y == "b").sum(), 0.5 * 60]
    np.testing.assert_allclose(model.classifier_.train_prior_, np.array(total) / sum(total))


def test_prior_correction_needs_probabilities(data):
    model = ResampledClassifier(Note(), CMO, prior_correction=True)
    with pytest.raises(ValueError, match=r"must have predict_proba. Got classifier=Note\(\)"):
        model.fit(*data)
    tree = ResampledClassifier(LogisticRegression(), CMO, prior_correction=True)
    assert not hasattr(tree, "decision_function")
    assert hasattr(tree, "predict_proba")


@pytest.mark.parametrize("sampler", [None, RandomOverSampler(random_state=0)])
def test_probabilities_at_the_prior_that_is_named(sampler):
    """Whatever the sampler did to the shares: "training" is calibrated for the population."""
    X, y = make_classification(
        n_samples=4000, n_informative=5, weights=[0.9], flip_y=0.05, random_state=0
    )
    half = slice(None, 2000), slice(2000, None)
    model = ResampledClassifier(
        LogisticRegression(), sampler, target_prior="training", random_state=0
    )
    proba = model.fit(X[half[0]], y[half[0]]).predict_proba(X[half[1]])
    plain = LogisticRegression().fit(X[half[0]], y[half[0]]).predict_proba(X[half[1]])
    assert log_loss(y[half[1]], proba) < log_loss(y[half[1]], plain) + 0.01
    assert abs(proba[:, 1].mean() - y[half[1]].mean()) < 0.02
    share = y[half[0]].mean()
    same = clone(model).set_params(target_prior={0: 1 - share, 1: share})
    np.testing.assert_allclose(same.fit(X[half[0]], y[half[0]]).predict_proba(X[half[1]]), proba)
    balanced = clone(model).set_params(target_prior="balanced", prior_correction=True)
    moved = balanced.fit(X[half[0]], y[half[0]]).predict_proba(X[half[1]]) * [1 - share, share]
    np.testing.assert_allclose(moved / moved.sum(axis=1, keepdims=True), proba, rtol=1e-9)


def test_the_prior_of_the_training_data_counts_weights(data):
    X, y = data
    weight = np.where(y == "a", 2.0, 0.5) * (np.arange(len(y)) % 5 > 0)
    model = ResampledClassifier(target_prior="training", random_state=0)
    model.fit(X, y, sample_weight=weight)
    counted = [weight[y == k].sum() / weight.sum() for k in "abc"]
    np.testing.assert_allclose(model.classifier_.target_prior_, counted)


def test_bad_target_priors_are_refused_before_resampling(data):
    X, y = data
    for target in ([0.5, 0.5], [0.5, 0.4, 0.3], {"a": 1.0}, "equal"):
        with pytest.raises(ValueError, match="target_prior"):
            ResampledClassifier(sampler=Untouchable(), target_prior=target).fit(X, y)
    with pytest.raises(ValueError, match="target_prior needs a correction of probabilities"):
        ResampledClassifier(LinearSVC(), Untouchable(), target_prior="training").fit(X, y)


class Untouchable(BaseEstimator):
    def fit_resample(self, X, y):
        raise AssertionError("resampled too early")


@pytest.mark.parametrize("make", [LogisticRegression, lambda: make_pipeline(LogisticRegression())])
def test_own_weights_arrive_with_metadata_routing_switched_on(data, make):
    X, y = data
    model = ResampledClassifier(make(), random_state=0).fit(X, y)
    with sklearn.config_context(enable_metadata_routing=True):
        routed = ResampledClassifier(make(), random_state=0).fit(X, y)
    np.testing.assert_array_equal(routed.predict_proba(X), model.predict_proba(X))


def test_the_recipe_is_what_it_says(data):
    X, y = data
    model = ResampledClassifier(LogisticRegression(), random_state=3).fit(X, y)
    sampler = M2mSampler(
        sampling_strategy=PartialFill(0.05), synthetic_share=1.0, soft_labels=True, random_state=3
    )
    by_hand = ResampledClassifier(LogisticRegression(), sampler, prior_correction=True).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), by_hand.predict_proba(X))
    assert not hasattr(model, "decision_function")
    assert ResampledClassifier().fit(X, y).classifier_.estimator_.__class__ is LogisticRegression


def test_the_recipe_suits_the_classifier(data):
    X, y = data
    neighbors = ResampledClassifier(KNeighborsClassifier(), random_state=0).fit(X, y)
    assert neighbors.sampler_.soft_labels is False  # it takes no weights
    assert isinstance(neighbors.classifier_, PriorCorrectedClassifier)
    machine = ResampledClassifier(LinearSVC(), random_state=0).fit(X, y)
    assert machine.sampler_.sampling_strategy == "auto"  # it has no probabilities
    assert hasattr(machine, "decision_function")
    plain = ResampledClassifier(LogisticRegression(), RandomOverSampler(random_state=0)).fit(X, y)
    assert isinstance(plain.classifier_, LogisticRegression)


# ---- a choice, and a vote ------------------------------------------------------------------------


def test_auto_is_the_class_behind_it(data):
    X, y = data
    model = ResampledClassifier(LogisticRegression(), "auto", random_state=0).fit(X, y)
    by_hand = AutoResampledClassifier(LogisticRegression(), random_state=0).fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), by_hand.predict_proba(X))
    assert model.choice_report_.chosen == by_hand.choice_report_.chosen
    assert model.n_features_in_ == X.shape[1]
    with pytest.raises(ValueError, match="sampler='auto' chooses the correction itself"):
        ResampledClassifier(sampler="auto", prior_correction=True).fit(X, y)


@pytest.mark.parametrize("weight", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("target", ["balanced", "training"])
def test_a_vote_is_the_geometric_mean_of_two_models(data, weight, target):
    X, y = data
    options = {"target_prior": target, "random_state": 0}
    alone = ResampledClassifier(GaussianNB(), **options).fit(X, y)
    model = ResampledClassifier(GaussianNB(), guide_weight=weight, **options).fit(X, y)
    p = alone.classifier_.predict_proba(X, target_prior="balanced")
    g = alone.sampler_.g_
    with torch.no_grad():
        guide = Classifier([g.eval()]).log_proba(torch.from_numpy(X).float()).exp().double().numpy()
    expected = np.maximum(p, 1e-12) ** (1 - weight) * np.maximum(guide, 1e-12) ** weight
    expected /= expected.sum(axis=1, keepdims=True)
    expected = correct_prior(expected, np.full(3, 1 / 3), alone.classifier_.target_prior_)
    np.testing.assert_allclose(model.predict_proba(X), expected, atol=1e-5)
    np.testing.assert_array_equal(model.predict(X), model.classes_[expected.argmax(axis=1)])
    np.testing.assert_allclose(np.exp(model.predict_log_proba(X)), model.predict_proba(X))
    assert 0 < model.sampler_.guide_score_ <= 1  # judged out of fold


@pytest.mark.parametrize(
    "g", [LogisticRegression(), [LogisticRegression(), LogisticRegression(C=2)]]
)
def test_guides_of_the_user_vote_too(data, g):
    X, y = data
    sampler = M2mSampler(g=g, n_steps=2, random_state=0)
    model = ResampledClassifier(GaussianNB(), sampler, prior_correction=True, guide_weight=1.0).fit(
        X, y
    )
    members = g if isinstance(g, list) else [g]
    mean = np.mean([clone(member).fit(X, y).predict_proba(X) for member in members], axis=0)
    np.testing.assert_allclose(model.predict_proba(X), mean, atol=1e-4)


def test_votes_take_frames_and_sparse_rows(data):
    X, y = data
    thin = np.where(X > 1, X, 0)
    reference = ResampledClassifier(guide_weight=0.5, random_state=0).fit(thin, y)
    for convert in (sparse.csr_matrix, lambda X: pd.DataFrame(X).add_prefix("c")):
        model = ResampledClassifier(guide_weight=0.5, random_state=0).fit(convert(thin), y)
        found = model.predict_proba(convert(thin))
        np.testing.assert_allclose(found, reference.predict_proba(thin), atol=1e-3)


@pytest.mark.parametrize("kind", ["category", "str", "object array", "polars"])
def test_where_the_guide_does_not_know_a_category_the_classifier_answers_alone(data, kind):
    X, y = data
    letters = np.where(X[:, 2] > 0, "u", "v").astype(object)

    def frame(rows, letters):
        made = pd.DataFrame({"a": X[rows, 0], "b": X[rows, 1], "c": letters})
        if kind == "category":
            return made.astype({"c": "category"})
        if kind == "polars":
            return pl.DataFrame({name: made[name].tolist() for name in made})
        return made.to_numpy(dtype=object) if kind == "object array" else made

    at = [2] if kind == "object array" else ["c"]
    encode = OneHotEncoder(handle_unknown="ignore", sparse_output=False)
    inner = make_pipeline(
        make_column_transformer((encode, at), remainder="passthrough"), GaussianNB()
    )
    settings = {"prior_correction": True, "random_state": 0}
    train = frame(np.arange(len(X)), letters)
    model = ResampledClassifier(inner, guide_weight=0.5, **settings).fit(train, y)
    alone = ResampledClassifier(inner, **settings).fit(train, y)
    known, new = frame(np.arange(4), letters[:4]), frame(np.arange(4), ["w", *letters[1:4]])
    found = model.predict_proba(new)
    np.testing.assert_allclose(found[:1], alone.predict_proba(new)[:1])
    np.testing.assert_allclose(found[1:], model.predict_proba(known)[1:])
    assert not np.allclose(found[1:], alone.predict_proba(new)[1:])
    only = frame(np.arange(2), ["w", "w"])
    np.testing.assert_allclose(model.predict_proba(only), alone.predict_proba(only))


def test_a_vote_needs_a_guide_and_probabilities(data):
    X, y = data
    for inner, sampler in (
        (LogisticRegression(), RandomOverSampler()),
        (LinearSVC(), None),
        (LogisticRegression(), M2mSampler()),  # not corrected
    ):
        with pytest.raises(ValueError, match="guide_weight needs a sampler with a guide g"):
            ResampledClassifier(inner, sampler, guide_weight=0.5).fit(X, y)
    with pytest.raises(ValueError, match="'guide_weight' parameter"):
        ResampledClassifier(guide_weight=1.5).fit(X, y)
