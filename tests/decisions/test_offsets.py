"""Offsets: exhaustive search on small problems, scorers of scikit-learn, folds, and bad input."""

import itertools

import numpy as np
import pandas as pd
import pytest
import sklearn
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.metrics import geometric_mean_score
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score, get_scorer, make_scorer
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    RepeatedStratifiedKFold,
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.tree import DecisionTreeClassifier

from ltresample.decisions import MinimumCostClassifier, TunedOffsetsClassifierCV, tune_offsets
from ltresample.decisions._search import CONFUSION_METRICS, Confusion, Guard, _climb


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=300,
        n_informative=4,
        n_classes=3,
        weights=[0.8, 0.15],
        class_sep=0.7,
        random_state=0,
    )
    return X, np.array(["a", "b", "c"])[y]


def scores_of(seed, n=60, n_classes=3):
    rng = np.random.default_rng(seed)
    y = np.sort(rng.choice(n_classes, size=n, p=[0.8, 0.15, 0.05][:n_classes]))
    y[: 2 * n_classes] = np.repeat(np.arange(n_classes), 2)
    return rng.normal(size=(n, n_classes)) + 1.5 * np.eye(n_classes)[y], y


# ---- the search ----------------------------------------------------------------------------------


@given(seed=st.integers(0, 500))
@settings(max_examples=25, deadline=None)
def test_of_two_classes_no_threshold_is_better(seed):
    """One offset decides: what is found is the best of all, or not ahead by enough."""
    scores, y = binary(seed)
    tuned = tune_offsets(scores, y)
    gaps = np.sort(scores[:, 0] - scores[:, 1])
    places = np.concatenate([[gaps[0] - 1], (gaps[1:] + gaps[:-1]) / 2, [gaps[-1] + 1]])
    best = max(balanced_accuracy_score(y, (scores + [0, place]).argmax(axis=1)) for place in places)
    assert tuned.initial_score <= tuned.score <= best + 1e-12
    found = balanced_accuracy_score(y, (scores + tuned.offsets).argmax(axis=1))
    assert found == pytest.approx(tuned.score)


def binary(seed):
    rng = np.random.default_rng(seed)
    y = np.repeat([0, 1], [50, 10])
    return rng.normal(size=(60, 2)) + [1.5, 0] + np.eye(2)[y], y


def test_a_known_optimum_is_reached():
    """Scores of exact posteriors at another prior: the offsets are the logarithms of the ratio."""
    rng = np.random.default_rng(0)
    means = 2.5 * np.eye(3)
    y = rng.choice(3, size=20000, p=[0.9, 0.07, 0.03])
    X = rng.normal(size=(20000, 3)) + means[y]
    scores = X @ means.T + np.log([0.9, 0.07, 0.03])
    tuned = tune_offsets(scores, y)
    wanted = -np.log([0.9, 0.07, 0.03])
    np.testing.assert_allclose(tuned.offsets, wanted - wanted.mean(), atol=0.35)
    assert tuned.offsets.mean() == pytest.approx(0)


@pytest.mark.parametrize("name", sorted(CONFUSION_METRICS))
@given(seed=st.integers(0, 500), weighted=st.booleans())
@settings(max_examples=15, deadline=None)
def test_fast_metrics_are_scikit_learn_s(name, seed, weighted):
    rng = np.random.default_rng(seed)
    y, d = rng.integers(0, 4, 50), rng.integers(0, 4, 50)
    weight = rng.uniform(0, 2, 50) if weighted else np.ones(50)
    matrix = np.zeros((4, 4))
    np.add.at(matrix, (y, d), weight)
    function = get_scorer(name)
    expected = function._score_func(y, d, sample_weight=weight, **function._kwargs)
    assert CONFUSION_METRICS[name](matrix[None])[0] == pytest.approx(expected)


@given(seed=st.integers(0, 500))
@settings(max_examples=5, deadline=None)
def test_the_fast_way_and_the_slow_one_agree(seed):
    scores, y = scores_of(seed, n=40)
    fast = tune_offsets(scores, y, "f1_macro")
    slow = tune_offsets(scores, y, lambda y, d: f1_score(y, d, average="macro", zero_division=0))
    np.testing.assert_allclose(fast.offsets, slow.offsets, atol=1e-12)
    assert fast.score == pytest.approx(slow.score)
    assert fast.n_sweeps == slow.n_sweeps


def test_coordinate_ascent_is_near_the_best_of_a_grid():
    scores, y = scores_of(7, n=400)
    metric = CONFUSION_METRICS["f1_macro"]
    grid = itertools.product(np.linspace(-3, 3, 25), repeat=2)

    def score(offsets):
        matrix = np.zeros((3, 3))
        np.add.at(matrix, (y, (scores + offsets).argmax(axis=1)), 1)
        return metric(matrix[None])[0]

    best = max(score([0, b, c]) for b, c in grid)
    assert tune_offsets(scores, y, "f1_macro").score > best - 0.03


def test_a_gain_that_may_be_chance_is_not_taken():
    """Exact posteriors of alike classes: offsets of 0 are best, and are kept nearly always."""
    kept = 0
    for seed in range(10):
        rng = np.random.default_rng(seed)
        scores = 3.0 * np.eye(3)[np.tile([0, 1, 2], 40)] + rng.normal(size=(120, 3))
        kept += (tune_offsets(scores, np.tile([0, 1, 2], 40)).offsets == 0).all()
    assert kept >= 7


def test_the_standard_error_of_a_gain_is_that_of_the_jackknife():
    """Leaving out one row after the other: of a mean, the standard deviation over sqrt(n)."""
    y, first, second = np.random.default_rng(0).integers(0, 3, (3, 40))
    parts = [np.array([i]) for i in range(40)]
    guard = Guard(parts, lambda decisions, rows: float((decisions == y)[rows].mean()))
    gain = (first == y).astype(float) - (second == y)
    assert guard.standard_error(first, second) == pytest.approx(gain.std(ddof=1) / np.sqrt(40))


def test_the_order_of_rows_and_equal_scores_change_nothing():
    scores, y = scores_of(3)
    scores = scores.round(1)  # many ties
    turned, metric = np.random.default_rng(0).permutation(len(y)), CONFUSION_METRICS["f1_macro"]
    first, second = (
        _climb(scores[rows], y[rows], Confusion(metric, y[rows], 3), np.zeros(3))
        for rows in (np.arange(len(y)), turned)
    )
    np.testing.assert_allclose(first.offsets, second.offsets)
    assert first.score == pytest.approx(second.score)
    decided = (scores + first.offsets).argmax(axis=1)
    assert f1_score(y, decided, average="macro") == pytest.approx(first.score)


def test_the_search_checks_its_input():
    scores, y = scores_of(0)
    with pytest.raises(ValueError, match="must be finite"):
        tune_offsets(np.full((3, 2), -np.inf), [0, 1, 1])
    with pytest.raises(ValueError, match="class indices from 0 to 2"):
        tune_offsets(scores, y + 1)
    for value in (np.nan, np.inf, "good", [0.5, 0.5], None):
        with pytest.raises(ValueError, match="metric must give one finite number.*Got "):
            tune_offsets(scores, y, lambda y, decisions, value=value: value)
    with pytest.raises(ValueError, match="one row per label"):
        tune_offsets(scores, y[1:])
    with pytest.raises(ValueError, match="metric must be one of .*'f1_macro'"):
        tune_offsets(scores, y, "roc_auc")


# ---- the estimator -------------------------------------------------------------------------------


def out_of_fold(X, y, cv):
    proba = cross_val_predict(LogisticRegression(), X, y, cv=cv, method="predict_proba")
    return np.log(np.maximum(proba, 1e-6))


@pytest.mark.parametrize("scoring", ["balanced_accuracy", "f1_macro", "precision_macro"])
def test_what_is_tuned_is_the_score_out_of_fold(data, scoring):
    X, y = data
    cv = StratifiedKFold(5)
    model = TunedOffsetsClassifierCV(LogisticRegression(), scoring=scoring, cv=cv).fit(X, y)
    scores = out_of_fold(X, y, cv)
    score = get_scorer(scoring)
    labels = model.classes_[(scores + model.offsets_).argmax(axis=1)]
    plain = model.classes_[scores.argmax(axis=1)]
    kwargs = score._kwargs
    assert model.best_score_ == pytest.approx(score._score_func(y, labels, **kwargs))
    assert model.initial_score_ == pytest.approx(score._score_func(y, plain, **kwargs))
    assert model.best_score_ > model.initial_score_
    direct = LogisticRegression().fit(X, y)
    np.testing.assert_array_equal(model.predict_proba(X), direct.predict_proba(X))
    moved = np.log(direct.predict_proba(X)) + model.offsets_
    np.testing.assert_allclose(model.decision_function(X), moved)
    np.testing.assert_array_equal(model.predict(X), model.classes_[moved.argmax(axis=1)])
    assert model.n_features_in_ == X.shape[1]


def test_default_folds_jobs_and_repeats(data):
    X, y = data
    first = TunedOffsetsClassifierCV(scoring="f1_macro").fit(X, y)
    second = TunedOffsetsClassifierCV(scoring="f1_macro", cv=5, n_jobs=1).fit(X, y)
    np.testing.assert_array_equal(first.offsets_, second.offsets_)
    few = np.r_[np.flatnonzero(y != "c"), np.flatnonzero(y == "c")[:3]]
    third = TunedOffsetsClassifierCV().fit(X[few], y[few])  # three folds
    by_hand = TunedOffsetsClassifierCV(cv=3).fit(X[few], y[few])
    np.testing.assert_array_equal(third.offsets_, by_hand.offsets_)
    repeated = RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=0)
    assert TunedOffsetsClassifierCV(cv=repeated).fit(X, y).offsets_.shape == (3,)


def test_of_two_classes_it_is_as_good_as_scikit_learn_s():
    X, y = make_classification(n_samples=2000, weights=[0.9], flip_y=0.1, random_state=0)
    half = slice(None, None, 2), slice(1, None, 2)
    scores = []
    for cls in (TunedOffsetsClassifierCV, TunedThresholdClassifierCV):
        model = cls(LogisticRegression(), scoring="f1", cv=5).fit(X[half[0]], y[half[0]])
        scores.append(f1_score(y[half[1]], model.predict(X[half[1]])))
    assert scores[0] > scores[1] - 0.02


def test_prefit(data):
    X, y = data
    fitted = LogisticRegression().fit(X[::2], y[::2])
    first = TunedOffsetsClassifierCV(fitted, cv="prefit").fit(X[1::2], y[1::2])
    second = TunedOffsetsClassifierCV(FrozenEstimator(fitted)).fit(X[1::2], y[1::2])
    scores = np.log(fitted.predict_proba(X[1::2]))
    by_hand = tune_offsets(scores, np.searchsorted(first.classes_, y[1::2]))
    np.testing.assert_allclose(first.offsets_, by_hand.offsets)
    assert first.estimator_ is fitted
    assert second.estimator_.estimator is fitted
    assert second.initial_score_ == pytest.approx(first.initial_score_)  # all rows, once each
    with pytest.raises(NotFittedError, match="cv='prefit' the classifier must be fitted"):
        TunedOffsetsClassifierCV(LogisticRegression(), cv="prefit").fit(X, y)


def test_decision_values_in_place_of_probabilities(data):
    X, y = data
    for labels in (y, np.where(y == "c", "b", y)):
        model = TunedOffsetsClassifierCV(LinearSVC()).fit(X, labels)
        plain = LinearSVC().fit(X, labels)
        assert not hasattr(model, "predict_proba")
        assert balanced_accuracy_score(labels, model.predict(X)) > balanced_accuracy_score(
            labels, plain.predict(X)
        )


def test_forests_give_zeros(data):
    X, y = data
    model = TunedOffsetsClassifierCV(DecisionTreeClassifier(random_state=0), scoring="f1_macro")
    assert np.isfinite(model.fit(X, y).offsets_).all()


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: pd.DataFrame(X).add_prefix("c"),
        sparse.csr_matrix,
        sparse.coo_array,
        np.ndarray.tolist,
    ],
    ids=["frame", "csr", "coo", "list"],
)
def test_containers(data, convert):
    X, y = data
    reference = TunedOffsetsClassifierCV(scoring="recall_macro").fit(X, y)
    given_X = convert(X)
    model = TunedOffsetsClassifierCV(scoring="recall_macro").fit(given_X, pd.Series(y))
    np.testing.assert_allclose(model.offsets_, reference.offsets_, atol=1e-5)
    assert (model.predict(given_X) == reference.predict(X)).mean() > 0.99
    assert hasattr(model, "feature_names_in_") == isinstance(given_X, pd.DataFrame)


def test_other_scorers_pipelines_and_searches(data):
    X, y = data
    gm = make_scorer(geometric_mean_score, average="multiclass")
    model = TunedOffsetsClassifierCV(
        make_pipeline(StandardScaler(), LogisticRegression()), scoring=gm, cv=3
    )
    assert model.fit(X, y).best_score_ > model.initial_score_
    own = TunedOffsetsClassifierCV(scoring=lambda m, X, y: 1 + np.mean(m.predict(X) == "c"))
    assert (own.fit(X, y).predict(X) == "c").mean() > 0.9
    grid = {"estimator__C": [0.1, 1.0], "scoring": ["f1_macro", "balanced_accuracy"]}
    tuned = TunedOffsetsClassifierCV(LogisticRegression(), cv=2)
    search = GridSearchCV(tuned, grid, cv=2, scoring="balanced_accuracy")
    assert search.fit(X, y).best_score_ > 0.5
    costly = TunedOffsetsClassifierCV(MinimumCostClassifier(cost_matrix=1 - np.eye(3))).fit(X, y)
    assert costly.offsets_.shape == (3,)


def test_weights_count_in_the_fit_and_in_the_metric(data):
    """A weight is as many samples, given splits in which the copies stay together."""
    X, y = data
    weight = np.random.default_rng(0).integers(1, 4, len(y))
    fold = np.arange(len(y)) % 3
    for scoring in ("balanced_accuracy", "jaccard_macro"):
        offsets = []
        for times in (np.ones_like(weight), weight):
            folds = fold.repeat(times)
            splits = [(np.flatnonzero(folds != i), np.flatnonzero(folds == i)) for i in range(3)]
            model = TunedOffsetsClassifierCV(
                LogisticRegression(tol=1e-10), scoring=scoring, cv=splits
            )
            rows, own = (np.repeat(part, times, axis=0) for part in (X, y))
            copies = times is weight
            model.fit(rows, own, sample_weight=None if copies else weight)
            offsets.append(model.offsets_)
        np.testing.assert_allclose(*offsets, atol=1e-4)


def test_metadata_routing(data):
    X, y = data
    groups = np.arange(len(y)) % 7
    seen = []

    class Note(LogisticRegression):
        def fit(self, X, y, sample_weight=None, extra=None):
            seen.append((len(X), sample_weight is not None, extra is not None))
            return super().fit(X, y, sample_weight)

    weight = np.ones(len(y))
    with sklearn.config_context(enable_metadata_routing=True):
        inner = Note().set_fit_request(sample_weight=True, extra=True)
        scorer = make_scorer(balanced_accuracy_score).set_score_request(sample_weight=True)
        model = TunedOffsetsClassifierCV(inner, cv=GroupKFold(3), scoring=scorer)
        model.fit(X, y, sample_weight=weight, extra=weight, groups=groups)
        assert len(seen) == 4
        assert all(weighted and extra for _, weighted, extra in seen)
        with pytest.raises(ValueError, match="not explicitly set as requested|sample_weight"):
            TunedOffsetsClassifierCV(Note()).fit(X, y, sample_weight=weight)
        with pytest.raises(TypeError, match="unexpected argument"):
            TunedOffsetsClassifierCV(Note()).fit(X, y, other=weight)


# ---- bad input -----------------------------------------------------------------------------------


class Unfittable(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        raise AssertionError("fitted too early")


def needs_weights(estimator, X, y):
    return float(np.mean(estimator.predict(X) == y))


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"scoring": "roc_auc_ovr"}, "must look at predicted labels.*Got 'roc_auc_ovr'"),
        ({"scoring": "neg_log_loss"}, "must look at predicted labels.*Got 'neg_log_loss'"),
        ({"scoring": "f1"}, "scoring='f1' cannot be used.*with an average"),
        ({"scoring": lambda m, X, y: np.nan}, "must give one finite number. Got nan"),
        ({"scoring": lambda m, X, y: {"a": 1}}, "must give one finite number"),
        ({"scoring": "no_such"}, "no_such"),
        ({"cv": 1000}, "cv=1000"),
        ({"cv": KFold(2)}, "training part of each split. Got '.'.* missing from split . of 2"),
        ({"cv": 1}, "at least 2|cv"),
        ({"cv": "none"}, "'cv' parameter"),
        ({"n_jobs": "all"}, "'n_jobs' parameter"),
    ],
)
def test_bad_parameters_are_refused_before_any_fit(data, params, said):
    X, y = data
    order = np.argsort(y, kind="stable")
    order = np.r_[order[y[order] == "a"][:100], order[y[order] != "a"]]
    with pytest.raises(ValueError, match=said):
        TunedOffsetsClassifierCV(Unfittable(), **params).fit(X[order], y[order])


def test_bad_data_are_refused_before_any_fit(data):
    X, y = data
    one = np.r_[np.flatnonzero(y != "c"), np.flatnonzero(y == "c")[:1]]
    with pytest.raises(ValueError, match="two samples at least.*Got one of 'c'"):
        TunedOffsetsClassifierCV(Unfittable()).fit(X[one], y[one])
    with pytest.raises(ValueError, match="at least two classes.*Got 1 class"):
        TunedOffsetsClassifierCV(Unfittable()).fit(X[y == "a"], y[y == "a"])
    with pytest.raises(ValueError, match="weight above 0. Got 2 class"):
        TunedOffsetsClassifierCV(Unfittable()).fit(X, y, sample_weight=(y != "c").astype(float))
    with pytest.raises(ValueError, match="cannot be used with these labels.*sample_weight"):
        TunedOffsetsClassifierCV(Unfittable(), scoring=needs_weights).fit(
            X, y, sample_weight=np.ones(len(y))
        )
    regressor = make_pipeline(StandardScaler())
    with pytest.raises((TypeError, ValueError), match="classifier"):
        TunedOffsetsClassifierCV(regressor).fit(X, y)
    with pytest.raises(ValueError, match="inconsistent"):
        TunedOffsetsClassifierCV(Unfittable()).fit(X, y[1:])
