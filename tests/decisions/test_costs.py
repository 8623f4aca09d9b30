"""Costs: Elkan's threshold for two classes, argmax for equal costs, the best decision for many."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import make_classification
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import confusion_matrix, make_scorer
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC

from ltresample.decisions import (
    MinimumCostClassifier,
    PriorCorrectedClassifier,
    expected_costs,
    mean_cost,
)


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=400, n_informative=4, n_classes=3, weights=[0.7, 0.2], random_state=0
    )
    return X, np.array(["a", "b", "c"])[y]


costs = st.lists(st.floats(-5, 20), min_size=9, max_size=9).map(lambda v: np.reshape(v, (3, 3)))


@given(cost=costs, seed=st.integers(0, 100))
@settings(max_examples=30, deadline=None)
def test_no_other_decision_is_cheaper_in_expectation(cost, seed):
    proba = np.random.default_rng(seed).dirichlet(np.ones(3), size=20)
    found = expected_costs(proba, cost)
    for i, row in enumerate(proba):
        for j in range(3):
            assert found[i, j] == pytest.approx(sum(row[k] * cost[k, j] for k in range(3)))


@given(c01=st.floats(0.1, 10), c10=st.floats(0.1, 10))
@settings(max_examples=10, deadline=None)
def test_elkan_s_threshold(c01, c10):
    """Two classes without cost of right decisions: predict 1 where p >= c01 / (c01 + c10)."""
    X, y = make_classification(n_samples=200, random_state=0)
    model = MinimumCostClassifier(cost_matrix=[[0, c01], [c10, 0]]).fit(X, y)
    p = model.predict_proba(X)[:, 1]
    threshold = c01 / (c01 + c10)
    sure = np.abs(p - threshold) > 1e-9
    np.testing.assert_array_equal(model.predict(X)[sure], (p > threshold)[sure])


def test_equal_costs_and_costs_by_class(data):
    X, y = data
    plain = LogisticRegression().fit(X, y)
    for cost in (None, 1 - np.eye(3), 7 - 3 * np.eye(3)):
        model = MinimumCostClassifier(LogisticRegression(), cost_matrix=cost).fit(X, y)
        np.testing.assert_array_equal(model.predict(X), plain.predict(X))
        np.testing.assert_array_equal(model.predict_proba(X), plain.predict_proba(X))
    # an error costs one over the share of its class: the decision of the prior correction
    share = np.unique(y, return_counts=True)[1] / len(y)
    by_class = (1 - np.eye(3)) / share[:, None]
    model = MinimumCostClassifier(LogisticRegression(), cost_matrix=by_class).fit(X, y)
    corrected = PriorCorrectedClassifier(LogisticRegression()).fit(X, y)
    np.testing.assert_array_equal(model.predict(X), corrected.predict(X))


def test_mean_cost_is_that_of_the_confusion_matrix(data):
    X, y = data
    cost = np.array([[0, 1, 5], [2, 0, 3], [9, 4, -1]])
    model = MinimumCostClassifier(cost_matrix=cost).fit(X, y)
    weight = np.arange(len(y)) % 3
    matrix = confusion_matrix(y, model.predict(X), sample_weight=weight)
    found = mean_cost(y, model.predict(X), cost_matrix=cost, sample_weight=weight)
    assert found == pytest.approx((matrix * cost).sum() / weight.sum())
    plain = model.estimator_.predict(X)
    assert mean_cost(y, model.predict(X), cost_matrix=cost) < mean_cost(y, plain, cost_matrix=cost)
    other = mean_cost(y, plain, cost_matrix=cost[::-1, ::-1], labels=["c", "b", "a"])
    assert other == pytest.approx(mean_cost(y, plain, cost_matrix=cost))


def test_frames_of_costs_are_read_by_their_names(data):
    X, y = data
    cost = pd.DataFrame(
        [[0, 1, 5], [2, 0, 3], [9, 4, 0]], index=["a", "b", "c"], columns=["a", "b", "c"]
    )
    turned = cost.loc[["c", "a", "b"], ["b", "c", "a"]]
    first, second = (MinimumCostClassifier(cost_matrix=c).fit(X, y) for c in (cost, turned))
    np.testing.assert_array_equal(first.cost_matrix_, second.cost_matrix_)
    predicted = first.predict(X)
    told = mean_cost(y, predicted, cost_matrix=cost)
    for labels in (None, ["a", "b", "c"], ["b", "a", "c"]):
        assert mean_cost(y, predicted, cost_matrix=turned, labels=labels) == pytest.approx(told)
    assert mean_cost(["a"], ["b"], cost_matrix=turned) == 1, "classes that are not in the labels"
    with pytest.raises(ValueError, match="rows of cost_matrix must be named.*Got 'x', 'b', 'c'"):
        mean_cost(y, predicted, cost_matrix=cost.rename(index={"a": "x"}), labels=["a", "b", "c"])
    with pytest.raises(ValueError, match="rows of cost_matrix must be named.*Got 'x', 'b', 'c'"):
        MinimumCostClassifier(cost_matrix=cost.rename(index={"a": "x"})).fit(X, y)


def test_pipelines_searches_weights_and_fitted_classifiers(data):
    X, y = data
    cost = np.array([[0, 1, 5], [2, 0, 3], [9, 4, 0]])
    scorer = make_scorer(
        mean_cost, greater_is_better=False, cost_matrix=cost, labels=["a", "b", "c"]
    )
    model = MinimumCostClassifier(
        make_pipeline(StandardScaler(), LogisticRegression()), cost_matrix=cost
    )
    assert (cross_val_score(model, X, y, scoring=scorer, cv=3) < 0).all()
    grid = {"estimator__logisticregression__C": [0.1, 1.0]}
    assert GridSearchCV(model, grid, scoring=scorer, cv=2).fit(X, y).best_score_ < 0
    weight = np.arange(len(y)) % 2
    weighted = model.fit(X, y, sample_weight=weight).estimator_[-1]
    by_hand = LogisticRegression().fit(StandardScaler().fit_transform(X), y, sample_weight=weight)
    np.testing.assert_allclose(weighted.coef_, by_hand.coef_)
    fitted = LogisticRegression().fit(X, y)
    frozen = MinimumCostClassifier(FrozenEstimator(fitted), cost_matrix=cost).fit(X[:9], y[:9])
    assert frozen.estimator_.estimator is fitted
    direct = expected_costs(fitted.predict_proba(X), cost).argmin(axis=1)
    np.testing.assert_array_equal(frozen.predict(X), frozen.classes_[direct])
    np.testing.assert_array_equal(frozen.expected_costs(X).argmin(axis=1), direct)


class Unfittable(LogisticRegression):
    def fit(self, X, y, sample_weight=None):
        raise AssertionError("fitted too early")


@pytest.mark.parametrize(
    ("cost", "said"),
    [
        (np.zeros((2, 2)), r"must have shape \(3, 3\).*Got shape \(2, 2\)"),
        (np.zeros(3), r"Got shape \(3,\)"),
        (np.full((3, 3), np.nan), "must be finite. Got nan in row 0, column 0"),
        ([[0, 1, 1], [1, 0, np.inf], [1, 1, 0]], "Got inf in row 1, column 2"),
        ([["a", "b", "c"]] * 3, "must hold numbers"),
        ([[0, 1], [1]], "must hold numbers"),
    ],
)
def test_bad_costs_are_refused_before_any_fit(data, cost, said):
    with pytest.raises(ValueError, match=said):
        MinimumCostClassifier(Unfittable(), cost_matrix=cost).fit(*data)


def test_other_bad_input(data):
    X, y = data
    with pytest.raises(ValueError, match="must have predict_proba"):
        MinimumCostClassifier(LinearSVC()).fit(X, y)
    with pytest.raises(ValueError, match="'cost_matrix' parameter"):
        MinimumCostClassifier(Unfittable(), cost_matrix="high").fit(X, y)
    with pytest.raises(ValueError, match="among labels='a', 'b'. Got 'c'"):
        mean_cost(["a", "c"], ["a", "b"], cost_matrix=np.eye(2), labels=["a", "b"])
    with pytest.raises(ValueError, match="the same number of labels"):
        mean_cost(["a", "c"], ["a"], cost_matrix=np.eye(2))


@pytest.mark.parametrize("weight", [[np.nan, 1], [0, 0], [1, -1.5], [1, 1, 1], [np.inf, 1], 2.0])
def test_bad_weights_have_no_mean(weight):
    with pytest.raises(ValueError, match="sample_weight must hold 2 finite numbers.*Got shape"):
        mean_cost([0, 1], [1, 0], cost_matrix=[[0, 1], [20, 0]], sample_weight=weight)
