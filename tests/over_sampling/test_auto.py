"""AutoResampledClassifier: plain unless a sampler is ahead by more than its standard error."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score
from sklearn.model_selection import (
    GridSearchCV,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    cross_val_score,
)
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder
from sklearn.svm import LinearSVC
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.estimator_checks import parametrize_with_checks

from ltresample.decisions import PriorCorrectedClassifier, correct_prior
from ltresample.exceptions import LongTailWarning
from ltresample.over_sampling import AutoResampledClassifier, M2mSampler, ResampledClassifier
from ltresample.over_sampling._binned import binned_for
from ltresample.over_sampling._choice import Option, Tally, choose, ways
from ltresample.over_sampling._guide_vote import vote
from ltresample.over_sampling._trials import (
    Result,
    Trial,
    at_prior,
    guided_by,
    paired_interval,
    train,
)


@pytest.mark.filterwarnings("ignore")  # the checks' data have classes of a few samples
@parametrize_with_checks([AutoResampledClassifier(GaussianNB(), cv=2, random_state=0)])
def test_scikit_learn(estimator, check):
    check(estimator)


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=200, n_informative=4, weights=[0.85], class_sep=0.7, random_state=0
    )
    return X, np.array(["usual", "rare"])[y]


@pytest.fixture(scope="module")
def model(data):
    return AutoResampledClassifier(GaussianNB(), cv=StratifiedKFold(4), random_state=0).fit(*data)


def results_of(plain, sampled):
    return [
        [
            Result({"plain": [p]}, 0.0, ""),
            Result({"plain": [s], "corrected": [s - 1]}, 0.0, ""),
        ]
        for p, s in zip(plain, sampled, strict=True)
    ]


def chosen_of(options, results, test_share):
    return choose(Tally(options, results, test_share))


OPTIONS = [
    Option("none", 0, "plain", False),
    Option("SMOTE", 1, "plain", True),
    Option("SMOTE, corrected", 1, "corrected", True),
]


@pytest.mark.parametrize("gain", [-0.02, 0.004, 0.05])
def test_a_sampler_is_taken_where_it_is_ahead_by_more_than_its_error(gain):
    noise = np.array([0.02, -0.02, 0.01, -0.01])
    plain = np.array([0.7, 0.6, 0.8, 0.7])
    report, chosen = chosen_of(OPTIONS, results_of(plain, plain + gain + noise), 0.25)
    _, error, _ = paired_interval(gain + noise, 0.25)
    assert (chosen.name == "SMOTE") == (gain > error)
    assert report.chosen == chosen.name
    assert report.reason.startswith(f"{chosen.name!r} is chosen")
    assert f"{error:.3f}" in report.reason
    place = report.names.index("SMOTE")
    assert report.gains[place] == pytest.approx(gain)
    assert report.errors[place] == pytest.approx(error)
    assert "<- chosen" in str(report)
    assert repr(report) == str(report), "a notebook shows the table"


def test_the_correction_stands_unless_something_is_ahead_by_more_than_its_error():
    options = [Option("none, corrected", 0, "corrected", False), Option("none", 0, "plain", False)]
    plain = np.array([0.7, 0.6, 0.8, 0.7])
    for gain, name in ((0.005, "none, corrected"), (0.05, "none")):
        moved = plain - gain + np.array([0.03, -0.03, 0.03, -0.03])
        results = [
            [Result({"plain": [p], "corrected": [c]}, 0.0, "")]
            for p, c in zip(plain, moved, strict=True)
        ]
        assert chosen_of(options, results, 0.25)[1].name == name


def test_a_sampler_that_fails_once_is_out_and_named():
    results = results_of([0.7, 0.6], [0.9, 0.9])
    results[1][1] = Result({"plain": [np.nan], "corrected": [np.nan]}, np.nan, "ValueError: text")
    report, chosen = chosen_of(OPTIONS, results, 1.0)
    assert chosen.name == "none"
    assert report.failures == {"SMOTE": "ValueError: text"}
    assert "no sampler could be tried" in report.reason
    assert "SMOTE: ValueError: text" in str(report)


@pytest.mark.parametrize(
    ("given", "rare", "expected"),
    [
        (None, 9, 5),
        (None, 3, 3),
        (2, 9, 2),
        (RepeatedStratifiedKFold(n_splits=3, n_repeats=2), 9, 6),
    ],
)
def test_each_way_is_fitted_once_a_split(data, given, rare, expected, monkeypatch):
    X, y = data
    keep = np.sort(np.r_[np.flatnonzero(y == "usual"), np.flatnonzero(y == "rare")[:rare]])
    fits, fit = [], GaussianNB.fit

    def counted(self, X, y, sample_weight=None):
        fits.append(1)
        return fit(self, X, y, sample_weight)

    monkeypatch.setattr(GaussianNB, "fit", counted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", LongTailWarning)
        model = AutoResampledClassifier(GaussianNB(), cv=given, random_state=0)
        report = model.fit(X[keep], y[keep]).choice_report_
    assert report.n_splits == expected
    assert len(fits) == 4 * expected + 1, "none, weights, two samplers, and what was chosen"


@pytest.fixture(scope="module")
def voting(data):
    return AutoResampledClassifier(GaussianNB(), guide_weight=0.4, cv=2, random_state=0).fit(*data)


def test_votes_stand_first_where_they_are_asked_for(data, voting):
    usual = AutoResampledClassifier(GaussianNB(), cv=2, random_state=0).fit(*data)
    plain = {"none", "none, corrected", "class weights"}
    sampled = {"M2m 5%", "SMOTE 30%"}
    votes = {f"{name}, with g" for name in ("none", *sampled)}
    assert set(usual.choice_report_.names) == {
        *plain,
        *sampled,
        *(f"{name}, corrected" for name in sampled),
    }
    assert set(voting.choice_report_.names) == plain | votes
    # what both try is the same, and gains are counted from the vote
    of = {
        model.guide_weight: dict(
            zip(model.choice_report_.names, model.choice_report_.means, strict=True)
        )
        for model in (usual, voting)
    }
    assert {name: of[0.4][name] for name in plain} == {name: of[0][name] for name in plain}
    first = [option.name for option in ways(GaussianNB(), 0, votes=True)[1]][0]
    assert first == "none, with g"


@pytest.mark.parametrize("name", ["none", "M2m 5%", "SMOTE 30%"])
def test_a_vote_answers_as_if_its_parts_were_fitted_by_hand(data, name):
    X, y = data
    trials, _ = ways(GaussianNB(), 0, votes=True)
    trial = next(trial for trial in trials if trial.name == name)
    guided = guided_by(trial, X, y) if trial.voter else None
    voted = train(trial, GaussianNB(), X, y, None, guided, 0.4).voted
    by_hand = ResampledClassifier(
        GaussianNB(),
        trial.sampler(y, None) if name == "M2m 5%" else M2mSampler(random_state=0),
        prior_correction=True,
        guide_weight=0.4,
    ).fit(X, y)
    own = by_hand.classifier_.classifier if name == "M2m 5%" else None
    if own is None:  # the same guide beside another classifier
        sampler = None if trial.sampler is None else trial.sampler(y, None)
        X_res, y_res = (X, y) if sampler is None else sampler.fit_resample(X, y)
        own = PriorCorrectedClassifier(GaussianNB()).fit(X_res, y_res)
    expected = vote(own.predict_proba(X), by_hand.classifier_.guide_proba(X), 0.4)
    np.testing.assert_allclose(voted.predict_proba(X), expected, rtol=1e-5)
    np.testing.assert_array_equal(voted.predict(X), voted.classes_[expected.argmax(axis=1)])
    assert np.abs(expected - own.predict_proba(X)).max() > 0.01
    assert voted.n_features_in_ == X.shape[1]


def test_a_sampler_with_its_own_guide_votes_as_when_fitted_alone(data):
    X, y = data
    trial = Trial("M2m", lambda y, g: M2mSampler(g=g, random_state=0))
    trained = train(trial, GaussianNB(), X, y, None, guide_weight=0.4)
    by_hand = ResampledClassifier(
        GaussianNB(), M2mSampler(random_state=0), prior_correction=True, guide_weight=0.4
    ).fit(X, y)
    np.testing.assert_array_equal(trained.voted.predict_proba(X), by_hand.predict_proba(X))
    assert trained.voted.get_params()["guide_weight"] == 0.4
    assert trained.corrected.get_params()["guide_weight"] == 0.0
    assert (trained.corrected.predict_proba(X) != by_hand.predict_proba(X)).any()


def test_class_weights_of_boosted_trees_are_tried_on_few_values(data):
    X, y = data
    trees = HistGradientBoostingClassifier(max_iter=10, max_bins=16, random_state=0)
    trial = next(t for t in ways(trees, 0, votes=False)[0] if t.name == "class weights")
    weight = compute_sample_weight("balanced", y)
    by_hand = clone(trees).fit(binned_for(trees, X), y, sample_weight=weight)
    expected = by_hand.predict_proba(X)
    trained = train(trial, trees, X, y, None)
    np.testing.assert_array_equal(trained.plain.predict_proba(X), expected)
    assert (clone(trees).fit(X, y, sample_weight=weight).predict_proba(X) != expected).any()


@pytest.mark.parametrize("name", ["none", "class weights", "M2m 5%", "SMOTE 30%"])
@pytest.mark.parametrize("answer", ["plain", "corrected", "voted"])
def test_every_way_can_answer_at_another_prior(data, name, answer):
    """Bayes' rule from what it says at equal shares."""
    X, y = data
    trials, _ = ways(GaussianNB(), 0, votes=True)
    trial = next(trial for trial in trials if trial.name == name)
    guided = guided_by(trials[0], X, y)

    def answering(prior):
        trained = train(trial, GaussianNB(), X, y, None, guided, 0.4)
        return at_prior(trained, answer, prior)

    equal, prior = np.array([0.5, 0.5]), np.array([0.1, 0.9])
    if answer != "plain":
        expected = answering(None).predict_proba(X)
        np.testing.assert_allclose(answering(equal).predict_proba(X), expected, rtol=1e-9)
    moved = answering(prior)
    expected = correct_prior(answering(equal).predict_proba(X), equal, prior)
    np.testing.assert_allclose(moved.predict_proba(X), expected, rtol=1e-6)
    np.testing.assert_array_equal(moved.predict(X), moved.classes_[expected.argmax(axis=1)])


@pytest.mark.parametrize("named", ["balanced", "training", "named"])
@pytest.mark.parametrize("weight", [0.0, 0.4])
def test_the_prior_that_is_named_is_answered_at(data, named, weight):
    X, y = data
    counts = np.unique(y, return_counts=True)[1]
    prior = {
        "balanced": np.array([0.5, 0.5]),
        "training": counts / len(y),
        "named": np.array([0.3, 0.7]),
    }[named]
    given = {"usual": 0.7, "rare": 0.3} if named == "named" else named
    settings = {"cv": 2, "guide_weight": weight, "random_state": 0}
    equal = AutoResampledClassifier(GaussianNB(), target_prior="balanced", **settings).fit(X, y)
    model = AutoResampledClassifier(GaussianNB(), target_prior=given, **settings).fit(X, y)
    assert model.choice_report_.chosen == equal.choice_report_.chosen
    expected = correct_prior(equal.predict_proba(X), [0.5, 0.5], prior)
    np.testing.assert_allclose(model.predict_proba(X), expected, rtol=1e-6)
    whole = ResampledClassifier(
        GaussianNB(), "auto", target_prior=given, guide_weight=weight, random_state=0
    ).fit(X, y)
    by_hand = AutoResampledClassifier(
        GaussianNB(),
        target_prior=None if named == "balanced" else given,
        guide_weight=weight,
        random_state=0,
    ).fit(X, y)
    np.testing.assert_array_equal(whole.predict_proba(X), by_hand.predict_proba(X))


def test_the_guide_is_fitted_once_a_split_for_all_votes(data, monkeypatch):
    import ltresample.over_sampling._guiding as base

    fits, fit_guide = [], base.fit_guide
    monkeypatch.setattr(base, "fit_guide", lambda *a, **k: fits.append(1) or fit_guide(*a, **k))
    model = AutoResampledClassifier(GaussianNB(), guide_weight=0.4, cv=3, random_state=0).fit(*data)
    last = model.choice_report_.chosen
    assert len(fits) == 3 + (last.startswith("M2m") or last.endswith("with g"))


def test_no_vote_where_the_guide_refuses_the_rows(data):
    X, y = data
    words = pd.DataFrame({"word": np.where(X[:, 0] > 0, "up", "down"), "more": X[:, 1].round(1)})
    words["word"] = words["word"].mask(words.index % 7 == 0)
    inner = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    settings = {"cv": 3, "random_state": 0}
    model = AutoResampledClassifier(inner, guide_weight=0.4, **settings).fit(words, y)
    usual = AutoResampledClassifier(inner, **settings).fit(words, y)
    assert "with g" in model.choice_report_.failures
    assert not any(name.endswith("with g") for name in model.choice_report_.names)
    assert model.choice_report_.chosen == usual.choice_report_.chosen
    np.testing.assert_array_equal(model.predict_proba(words), usual.predict_proba(words))


@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
@pytest.mark.parametrize("weight", [0.0, 1.0])
def test_a_chosen_vote_is_what_answers(weight):
    """The sign of a product: naive Bayes sees nothing, the guide does."""
    X = np.random.default_rng(0).normal(size=(400, 2))
    y = np.where((X.prod(axis=1) > 0.4), "rare", "usual")
    settings = {"guide_weight": weight, "random_state": 0}
    model = AutoResampledClassifier(GaussianNB(var_smoothing=10.0), **settings).fit(X, y)
    same = ResampledClassifier(GaussianNB(var_smoothing=10.0), "auto", **settings).fit(X, y)
    assert model.choice_report_.chosen.endswith("with g") == bool(weight)
    assert (balanced_accuracy_score(y, model.predict(X)) > 0.9) == bool(weight)
    np.testing.assert_array_equal(same.predict_proba(X), model.predict_proba(X))


def test_scores_are_those_of_models_fitted_by_hand(data, model):
    X, y = data
    report = model.choice_report_
    assert set(report.names) >= {"none", "none, corrected", "class weights", "M2m 5%, corrected"}
    scores = []
    for rows, test in StratifiedKFold(4).split(X, y):
        own = PriorCorrectedClassifier(GaussianNB()).fit(X[rows], y[rows])
        ranking = average_precision_score(y[test] == "rare", own.predict_proba(X[test])[:, 0])
        scores.append((balanced_accuracy_score(y[test], own.predict(X[test])) + ranking) / 2)
    place = report.names.index("none, corrected")
    assert report.means[place] == pytest.approx(np.mean(scores))
    assert report.means == sorted(report.means, reverse=True)
    assert (np.array(report.gains)[np.array(report.names) == report.chosen] >= 0).all()


def test_it_answers_as_the_chosen_way_fitted_on_all_data(data):
    X, y = data
    # a metric that only plain answers win, and one that only corrected ones do
    usual = AutoResampledClassifier(GaussianNB(), scoring="accuracy", cv=3, random_state=0)
    usual.fit(X, y)
    assert "weights" not in usual.choice_report_.chosen
    rare = AutoResampledClassifier(
        LogisticRegression(),
        scoring=lambda m, X, y: np.mean(m.predict(X) == "rare"),
        cv=3,
        random_state=0,
    ).fit(X, y)
    assert rare.choice_report_.chosen != "none"
    np.testing.assert_array_equal(rare.predict(X), rare.classifier_.predict(X))
    proba = usual.predict_proba(X)
    np.testing.assert_array_equal(usual.classes_[proba.argmax(axis=1)], usual.predict(X))


def test_it_is_repeatable(data, model):
    other = AutoResampledClassifier(GaussianNB(), cv=StratifiedKFold(4), random_state=0)
    other.fit(pd.DataFrame(data[0]).add_prefix("c"), pd.Series(data[1]))
    assert other.choice_report_.names == model.choice_report_.names
    np.testing.assert_allclose(other.choice_report_.means, model.choice_report_.means, rtol=1e-5)
    assert other.feature_names_in_[0] == "c0"


def test_the_guide_is_fitted_once_a_split(data, monkeypatch):
    import ltresample.over_sampling._guiding as base

    fits, fit_guide = [], base.fit_guide
    monkeypatch.setattr(base, "fit_guide", lambda *a, **k: fits.append(1) or fit_guide(*a, **k))
    model = AutoResampledClassifier(GaussianNB(), cv=3, random_state=0).fit(*data)
    assert len(fits) == 3 + model.choice_report_.chosen.startswith("M2m")


def test_rows_that_samplers_refuse_are_served_without_one(data):
    X, y = data
    words = pd.DataFrame({"word": np.where(X[:, 0] > 0, "up", "down"), "more": X[:, 1].round(1)})
    words["word"] = words["word"].mask(words.index % 7 == 0)
    inner = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    model = AutoResampledClassifier(inner, cv=3, random_state=0).fit(words, y)
    assert model.choice_report_.chosen in ("none", "none, corrected", "class weights")
    assert {"M2m 5%", "SMOTE 30%"} <= set(model.choice_report_.failures)
    assert set(model.predict(words)) <= {"usual", "rare"}


def test_text_columns_are_served(data):
    X, y = data
    words = pd.DataFrame({"word": np.where(y == "rare", "up", "down"), "more": X[:, 1].round(1)})
    words.loc[::9, "word"] = "level"
    inner = make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression())
    model = AutoResampledClassifier(inner, cv=3, random_state=0).fit(words, y)
    assert set(model.choice_report_.failures) == {"SMOTE 30%"}  # ours take text as categories
    assert set(model.predict(words)) == {"usual", "rare"}


@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
def test_sparse_many_classes_weights_and_searches(data):
    X, y = make_classification(
        n_samples=200, n_informative=4, n_classes=3, weights=[0.6, 0.3], random_state=0
    )
    thin = sparse.csr_matrix(np.where(X > 0.5, X, 0))
    model = AutoResampledClassifier(LogisticRegression(), cv=2, random_state=0)
    weight = np.arange(len(y)) % 3
    assert model.fit(thin, y, sample_weight=weight).predict_proba(thin).shape == (200, 3)
    by_hand = AutoResampledClassifier(LogisticRegression(), cv=2, random_state=0)
    by_hand.fit(thin[weight > 0], y[weight > 0], sample_weight=weight[weight > 0])
    np.testing.assert_array_equal(by_hand.predict(thin), model.predict(thin))
    search = GridSearchCV(
        AutoResampledClassifier(GaussianNB(), cv=2), {"scoring": [None, "f1_macro"]}, cv=2
    )
    assert 0 < search.fit(X, y).best_score_ <= 1
    assert cross_val_score(AutoResampledClassifier(GaussianNB(), cv=2), X, y, cv=2).shape == (2,)


@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
@pytest.mark.parametrize("inner", [LinearSVC(), KNeighborsClassifier()])
def test_classifiers_without_probabilities_or_weights(data, inner):
    model = AutoResampledClassifier(inner, cv=2, random_state=0).fit(*data)
    names = model.choice_report_.names
    assert any(name.endswith("corrected") for name in names) == hasattr(inner, "predict_proba")
    assert ("class weights" in names) == isinstance(inner, LinearSVC)
    assert hasattr(model, "decision_function") == isinstance(inner, LinearSVC)


class Unfittable(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        raise AssertionError("fitted too early")


class NoProba(ClassifierMixin, BaseEstimator):
    def fit(self, X, y):
        raise AssertionError("fitted too early")

    def predict(self, X):
        return X


def test_bad_input_is_refused_before_any_fit(data):
    X, y = data
    one = np.r_[np.flatnonzero(y == "usual"), np.flatnonzero(y == "rare")[:1]]
    with pytest.raises(ValueError, match="two samples at least.*Got one of 'rare'"):
        AutoResampledClassifier(Unfittable()).fit(X[one], y[one])
    with pytest.raises(ValueError, match="at least two classes. Got 1 class"):
        AutoResampledClassifier(Unfittable()).fit(X, ["a"] * len(y))
    with pytest.raises(ValueError, match="cv=500"):
        AutoResampledClassifier(Unfittable(), cv=500).fit(X, y)
    with pytest.raises(ValueError, match="'roc_auc' needs .*Got classifier=NoProba"):
        AutoResampledClassifier(NoProba(), scoring="roc_auc").fit(X, y)
    with pytest.raises(TypeError, match="takes sample_weight only. Got .'other'"):
        AutoResampledClassifier(Unfittable()).fit(X, y, other=1)
    with pytest.raises(ValueError, match="takes no sample_weight"):
        AutoResampledClassifier(KNeighborsClassifier()).fit(X, y, sample_weight=np.ones(len(y)))
    with pytest.raises(ValueError, match="must have predict_proba. Got guide_weight=0.5"):
        AutoResampledClassifier(LinearSVC(), guide_weight=0.5).fit(X, y)
    with pytest.raises(ValueError, match="must have predict_proba. Got target_prior='training'"):
        AutoResampledClassifier(LinearSVC(), target_prior="training").fit(X, y)
    for prior in ([0.5, 0.6], {"usual": 1.0}, [0.2, 0.3, 0.5]):
        with pytest.raises(ValueError, match="target_prior"):
            AutoResampledClassifier(Unfittable(), target_prior=prior).fit(X, y)
    with pytest.raises(TypeError, match="not a class"):
        AutoResampledClassifier(LogisticRegression).fit(X, y)
    with pytest.raises(AssertionError, match="fitted too early"):  # the classifier's own errors
        AutoResampledClassifier(Unfittable(), cv=2).fit(X, y)
