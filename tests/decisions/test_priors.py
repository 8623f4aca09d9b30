"""Priors: against the paper's formulas, against naive Bayes, and on problems with known shares."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from imblearn.over_sampling import RandomOverSampler
from scipy import sparse
from sklearn.datasets import make_classification
from sklearn.ensemble import RandomForestClassifier
from sklearn.exceptions import ConvergenceWarning
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV, cross_val_predict
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from ltresample.decisions import PriorCorrectedClassifier, correct_prior, estimate_prior

MEANS = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])


def normals(counts, seed):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(len(counts)), counts)
    return rng.normal(size=(len(y), 2)) + MEANS[y], y


def posterior(X, prior):
    """Exact probabilities of the classes of `normals`."""
    density = np.exp(-0.5 * np.square(X[:, None] - MEANS[: len(prior)]).sum(axis=2))
    joint = density * prior
    return joint / joint.sum(axis=1, keepdims=True)


shares = st.lists(st.floats(0.05, 1), min_size=3, max_size=3).map(lambda v: np.array(v) / sum(v))


@given(first=shares, second=shares)
@settings(max_examples=30, deadline=None)
def test_exact_posteriors_are_carried_to_any_prior_and_back(first, second):
    X, _ = normals([10, 10, 10], 0)
    there = correct_prior(posterior(X, first), first, second)
    np.testing.assert_allclose(there, posterior(X, second), rtol=1e-9)
    np.testing.assert_allclose(correct_prior(there, second, first), posterior(X, first), rtol=1e-9)


def em_of_the_paper(proba, training, n_rounds):
    """Saerens et al. 2002, Eq. 2.9, element by element."""
    prior = list(training)
    for _ in range(n_rounds):
        total = [0.0] * len(prior)
        for row in proba:
            parts = [prior[k] / training[k] * row[k] for k in range(len(prior))]
            for k, part in enumerate(parts):
                total[k] += part / sum(parts)
        prior = [value / len(proba) for value in total]
    return prior


def test_rounds_are_those_of_the_paper():
    X, _ = normals([30, 20, 10], 1)
    training = np.array([0.5, 0.3, 0.2])
    proba = posterior(X, training)
    for n_rounds in (1, 2, 7):
        with pytest.warns(ConvergenceWarning, match=f"max_iter={n_rounds} rounds"):
            found = estimate_prior(proba, training, smoothing=0, max_iter=n_rounds)
        np.testing.assert_allclose(found, em_of_the_paper(proba, training, n_rounds), rtol=1e-12)


@pytest.mark.parametrize("target", [[0.1, 0.3, 0.6], [0.34, 0.33, 0.33], [0.9, 0.05, 0.05]])
def test_the_shares_of_unlabelled_data_are_found(target):
    X, y = normals([int(4000 * share) for share in target], 2)
    training = np.array([0.7, 0.2, 0.1])
    found = estimate_prior(posterior(X, training), training, smoothing=0)
    np.testing.assert_allclose(found, np.bincount(y) / len(y), atol=0.03)
    # a maximum of the likelihood: no step towards another prior raises it
    ratio = posterior(X, training) / training

    def likelihood(prior):
        return np.log(ratio @ prior).mean()

    for other in np.eye(3):
        assert likelihood(0.99 * found + 0.01 * other) <= likelihood(found) + 1e-9


@pytest.mark.parametrize("smoothing", [0.5, 1.0, 30])
def test_smoothing_counts_more_rows_of_each_class(smoothing):
    X, _ = normals([30, 20, 10], 1)
    training = np.array([0.5, 0.3, 0.2])
    proba = posterior(X, training)
    plain = estimate_prior(proba, training, smoothing=0)
    found = estimate_prior(proba, training, smoothing=smoothing)
    np.testing.assert_allclose(found, (60 * plain + smoothing) / (60 + 3 * smoothing), rtol=1e-12)
    assert estimate_prior([[1.0, 0.0, 0.0]], training).tolist() == [0.5, 0.25, 0.25]


def test_weights_of_rows_are_repetitions():
    X, _ = normals([30, 20, 10], 3)
    training = np.array([0.5, 0.3, 0.2])
    proba, weight = posterior(X, training), np.arange(60) % 4
    np.testing.assert_allclose(
        estimate_prior(proba, training, sample_weight=weight),
        estimate_prior(proba.repeat(weight, axis=0), training),
        atol=1e-6,
    )


# ---- the classifier ------------------------------------------------------------------------------


@pytest.mark.parametrize("target", [{"a": 0.2, "b": 0.8}, [0.2, 0.8], np.array([0.2, 0.8])])
def test_ways_to_name_a_prior(target):
    X, y = normals([300, 40], 0)
    names = np.array(["a", "b"])[y]
    model = PriorCorrectedClassifier(GaussianNB(), target_prior=target).fit(X, names)
    direct = GaussianNB(priors=[0.2, 0.8]).fit(X, names)
    np.testing.assert_allclose(model.predict_proba(X), direct.predict_proba(X), atol=1e-9)
    np.testing.assert_allclose(model.target_prior_, [0.2, 0.8])


@pytest.mark.parametrize("pair", [("balanced", "uniform"), ("training", "train")])
def test_names_that_mean_the_same(pair):
    X, y = normals([300, 40, 20], 0)
    first, second = (PriorCorrectedClassifier(target_prior=name).fit(X, y) for name in pair)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))


def test_a_prior_at_predict_time():
    X, y = normals([300, 40], 0)
    model = PriorCorrectedClassifier().fit(X, y)
    for target in ([0.9, 0.1], {0: 0.9, 1: 0.1}, "training"):
        fixed = PriorCorrectedClassifier(target_prior=target).fit(X, y)
        np.testing.assert_array_equal(
            model.predict_proba(X, target_prior=target), fixed.predict_proba(X)
        )
        np.testing.assert_array_equal(model.predict(X, target_prior=target), fixed.predict(X))
    with pytest.raises(ValueError, match=r"one of \['balanced', 'estimated'"):
        model.predict(X, target_prior="unknown")


def test_an_estimated_prior():
    X, y = normals([600, 60], 0)
    X_new, y_new = normals([200, 400], 1)
    model = PriorCorrectedClassifier(target_prior="estimated").fit(X, y)
    assert model.target_prior_ is None
    found = model.estimate_prior(X_new)
    np.testing.assert_allclose(found, [1 / 3, 2 / 3], atol=0.08)
    for same in (model.predict_proba(X_new), model.predict_proba(X_new, target_prior=found)):
        np.testing.assert_allclose(
            same, correct_prior(model.estimator_.predict_proba(X_new), model.training_prior_, found)
        )
    plain = model.predict(X_new, target_prior="training")
    assert (model.predict(X_new) == y_new).mean() > (plain == y_new).mean() + 0.1


def test_a_share_that_is_estimated_as_zero_can_be_used():
    X, y = normals([100, 100], 0)
    model = PriorCorrectedClassifier(RandomForestClassifier(10, random_state=0)).fit(X, y)
    sure = X[:100][model.estimator_.predict_proba(X[:100])[:, 1] == 0]
    found = model.estimate_prior(sure, smoothing=0)
    assert found.tolist() == [1.0, 0.0]  # exactly: the class is ruled out
    assert (model.predict(X, target_prior=found) == 0).all()


@pytest.mark.parametrize("prefit", [False, True])
def test_a_fitted_classifier_is_left_as_it_is(prefit):
    X, y = normals([300, 40, 20], 0)
    fitted = LogisticRegression().fit(X, y)
    coef = fitted.coef_.copy()
    model = PriorCorrectedClassifier(FrozenEstimator(fitted)).fit(X, y, sample_weight=np.ones(360))
    other = PriorCorrectedClassifier(LogisticRegression()).fit(X, y)
    np.testing.assert_allclose(model.predict_proba(X), other.predict_proba(X), rtol=1e-9)
    np.testing.assert_array_equal(fitted.coef_, coef)
    assert model.estimator_.estimator is fitted
    # its probabilities hold at the prior that it was fitted at, whatever is in y here
    half = PriorCorrectedClassifier(
        FrozenEstimator(fitted), training_prior=[300, 40, 20] / np.sum(360)
    )
    np.testing.assert_allclose(half.fit(X[:310], y[:310]).predict_proba(X), other.predict_proba(X))


@pytest.mark.parametrize(
    "make",
    [
        lambda: LogisticRegression(class_weight="balanced"),
        lambda: make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced")),
        lambda: GridSearchCV(LogisticRegression(class_weight="balanced"), {"C": [1.0]}, cv=2),
    ],
    ids=["estimator", "pipeline", "search"],
)
@pytest.mark.parametrize("weighted", [False, True])
def test_class_weights_are_counted(make, weighted):
    """A classifier whose class weights balance the classes needs no correction."""
    X, y = normals([300, 40, 20], 0)
    weight = np.random.default_rng(0).uniform(1, 3, 360) if weighted else None
    model = PriorCorrectedClassifier(make()).fit(X, y, sample_weight=weight)
    np.testing.assert_allclose(model.training_prior_, np.full(3, 1 / 3))
    np.testing.assert_allclose(model.predict_proba(X), model.estimator_.predict_proba(X))
    forest = RandomForestClassifier(5, class_weight={0: 1, 1: 2, 2: 4}, random_state=0)
    model = PriorCorrectedClassifier(forest).fit(X, y)
    np.testing.assert_allclose(model.training_prior_, np.array([300, 80, 80]) / 460)


def test_probabilities_of_the_population_behind_a_balanced_sampler():
    """Resampled to balance, corrected to the population's prior: as without a sampler."""
    X, y = normals([2000, 200], 0)
    X_res, y_res = RandomOverSampler(random_state=0).fit_resample(X, y)
    model = PriorCorrectedClassifier(target_prior=[10 / 11, 1 / 11]).fit(X_res, y_res)
    proba = model.predict_proba(X)
    exact = posterior(X, np.array([10 / 11, 1 / 11]))
    assert abs(proba[:, 1].mean() - 1 / 11) < 0.02
    np.testing.assert_allclose(proba, exact, atol=0.12)


@pytest.mark.parametrize(
    "convert",
    [pd.DataFrame, sparse.csr_matrix, sparse.coo_array, np.ndarray.tolist],
    ids=["frame", "csr", "coo", "list"],
)
def test_containers(convert):
    X, y = normals([100, 40, 20], 0)
    reference = PriorCorrectedClassifier().fit(X, y)
    given_X = convert(X)
    model = PriorCorrectedClassifier().fit(given_X, pd.Series(np.array(["a", "b", "c"])[y]))
    np.testing.assert_allclose(model.predict_proba(given_X), reference.predict_proba(X))
    assert set(model.predict(given_X)) <= {"a", "b", "c"}


def test_in_searches():
    X, y = normals([200, 40], 0)
    grid = {"target_prior": ["balanced", "training", [0.8, 0.2]], "estimator__C": [0.1, 1.0]}
    search = GridSearchCV(
        PriorCorrectedClassifier(LogisticRegression()), grid, scoring="balanced_accuracy", cv=3
    ).fit(X, y)
    assert search.best_params_["target_prior"] == "balanced"
    proba = cross_val_predict(search.best_estimator_, X, y, cv=3, method="predict_log_proba")
    assert proba.shape == (240, 2)


# ---- bad input -----------------------------------------------------------------------------------


class Unfittable(LogisticRegression):
    """Bad input must be refused before this is fitted."""

    def fit(self, X, y, sample_weight=None):
        raise AssertionError("fitted too early")


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ([0.5, 0.6], r"shares with sum 1. Got \[0.5, 0.6\] with sum 1.1"),
        ([1.0, 0.0], "one positive number per class"),
        ([0.5, np.nan], "one positive number per class"),
        ([1.5, -0.5], "one positive number per class"),
        ([0.2, 0.3, 0.5], "for the 2 classes 0, 1"),
        ([[0.5, 0.5]], "one positive number per class"),
        (["a", "b"], "must hold numbers"),
        ({0: 1.0}, "Got a dict that lacks 1"),
        ({0: 0.5, 1: 0.3, 2: 0.2}, "Got a dict that has 2, which is in no row"),
        ({"0": 0.5, "1": 0.5}, "lacks 0, 1"),
    ],
)
@pytest.mark.parametrize("name", ["target_prior", "training_prior"])
def test_bad_priors_are_refused_before_any_fit(target, said, name):
    X, y = make_classification(random_state=0)
    with pytest.raises(ValueError, match=f"{name} must hold.*{said}|{said}"):
        PriorCorrectedClassifier(Unfittable(), **{name: target}).fit(X, y)


def test_other_bad_input_is_refused_before_any_fit():
    X, y = make_classification(random_state=0)
    with pytest.raises(ValueError, match=r"must have predict_proba. Got .*LinearSVC\(\)"):
        PriorCorrectedClassifier(LinearSVC()).fit(X, y)
    with pytest.raises(ValueError, match="'target_prior' parameter"):
        PriorCorrectedClassifier(Unfittable(), target_prior="equal").fit(X, y)
    fitted = FrozenEstimator(LogisticRegression().fit(X, y))
    with pytest.raises(ValueError, match="labels 2; it knows 0, 1"):
        PriorCorrectedClassifier(fitted).fit(X, y + (y == 1))
    with pytest.raises(ValueError, match="must hold a row of each class that the classifier knows"):
        PriorCorrectedClassifier(fitted, target_prior="estimated").fit(
            X[y == 0], y[y == 0]
        ).predict(X)


def test_functions_check_their_input():
    with pytest.raises(ValueError, match="from no rows"):
        estimate_prior(np.empty((0, 2)), [0.5, 0.5])
    with pytest.raises(ValueError, match=r"each row with sum 1. Got .* sums from 1.2 to 1.2"):
        estimate_prior([[0.6, 0.6]], [0.5, 0.5])
    with pytest.raises(ValueError, match="one row per sample"):
        correct_prior([0.5, 0.5], [0.5, 0.5], [0.5, 0.5])
    with pytest.raises(ValueError, match="probabilities in"):
        correct_prior([[np.nan, 0.5]], [0.5, 0.5], [0.5, 0.5])
    with pytest.raises(ValueError, match="training_prior must hold one share"):
        correct_prior([[0.5, 0.5]], [0.5, 0.3, 0.2], [0.5, 0.5])
    with pytest.raises(ValueError, match="training_prior must be above 0"):
        estimate_prior([[0.5, 0.5]], [1.0, 0.0])
    with pytest.raises(ValueError, match="sample_weight must hold 1 finite"):
        estimate_prior([[0.5, 0.5]], [0.5, 0.5], sample_weight=[-1.0])
    with pytest.raises(ValueError, match=r"Got shape \(1,\), values from nan to nan"):
        estimate_prior([[0.5, 0.5]], [0.5, 0.5], sample_weight=[np.nan])
    with pytest.raises(ValueError, match="max_iter must be at least 1. Got max_iter=0"):
        estimate_prior([[0.5, 0.5]], [0.5, 0.5], max_iter=0)
    for wrong in (-1, np.nan, np.inf, [1.0, 1.0], None, True):
        with pytest.raises(ValueError, match="smoothing must be a number of rows, at least 0"):
            estimate_prior([[0.5, 0.5]], [0.5, 0.5], smoothing=wrong)
    model = PriorCorrectedClassifier().fit(*make_classification(random_state=0))
    with pytest.raises(ValueError):
        model.estimate_prior(np.empty((0, 20)))


def test_weights_count_as_rows_in_an_estimated_prior():
    X, y = normals([80, 40, 20], 0)
    model = PriorCorrectedClassifier(LogisticRegression()).fit(X, y)
    weight = np.arange(len(X)) % 3
    np.testing.assert_allclose(
        model.estimate_prior(X, sample_weight=weight),
        model.estimate_prior(np.repeat(X, weight, axis=0)),
        atol=1e-6,
    )


def test_a_row_of_which_nothing_is_left_is_uniform():
    proba = np.array([[1.0, 0.0, 0.0], [0.5, 0.5, 0.0]])
    there = correct_prior(proba, [0.5, 0.3, 0.2], [0.0, 0.5, 0.5])
    np.testing.assert_allclose(there, [[1 / 3] * 3, [0.0, 1.0, 0.0]])
