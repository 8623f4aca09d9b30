import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.calibration import calibration_curve

from ltresample.metrics import calibration_error, reliability


@given(seed=st.integers(0, 100), n_bins=st.integers(1, 12))
@settings(max_examples=30, deadline=None)
def test_bins_of_a_class_are_those_of_scikit_learn(seed, n_bins):
    rng = np.random.default_rng(seed)
    p = rng.random(200)
    y = (rng.random(200) < p).astype(int)
    bins = reliability(y, np.stack([1 - p, p], axis=1), labels=[0, 1], label=1, n_bins=n_bins)
    frequency, confidence = calibration_curve(y, p, n_bins=n_bins)
    filled = bins.count > 0
    np.testing.assert_allclose(bins.frequency[filled], frequency)
    np.testing.assert_allclose(bins.confidence[filled], confidence)


@given(seed=st.integers(0, 100), n_classes=st.integers(2, 5))
@settings(max_examples=30, deadline=None)
def test_error_is_the_literal_sum(seed, n_classes):
    rng = np.random.default_rng(seed)
    proba = rng.dirichlet(np.ones(n_classes), size=60)
    y = rng.integers(0, n_classes, size=60)
    total = 0.0
    for b in range(10):
        rows = [i for i in range(60) if b / 10 <= proba[i].max() < (b + 1) / 10]
        if rows:
            hit = np.mean([proba[i].argmax() == y[i] for i in rows])
            total += len(rows) / 60 * abs(hit - np.mean([proba[i].max() for i in rows]))
    assert calibration_error(y, proba, labels=range(n_classes)) == pytest.approx(total)


def test_probabilities_that_come_true_have_no_error():
    y = np.repeat(["a", "b"], [750, 250])
    assert calibration_error(y, np.tile([0.75, 0.25], (1000, 1))) == pytest.approx(0)
    assert calibration_error(y, np.tile([1.0, 0.0], (1000, 1))) == pytest.approx(0.25)


@pytest.mark.parametrize(
    ("y", "proba", "params", "text"),
    [
        ([0, 0], [[0.5, 0.5]] * 2, {}, r"shape \(2, 2\) for 2 labels and 1 classes. Pass labels="),
        ([], np.empty((0, 0)), {}, "for 0 labels"),
        ([0, 1], [[1.5, -0.5]] * 2, {}, "from -0.5 to 1.5"),
        ([0, 1], [[0.5, 0.5]] * 2, {"label": 2}, r"one of \[0, 1\]. Got 2"),
        ([0, 1], [[0.5, 0.5]] * 2, {"n_bins": 0}, "at least 1. Got 0"),
    ],
)
def test_bad_input(y, proba, params, text):
    with pytest.raises(ValueError, match=text):
        reliability(y, proba, **params)


@pytest.mark.parametrize("n_bins", [2, 5, 10, 20])
def test_a_probability_on_an_edge_is_in_the_bin_of_scikit_learn(n_bins):
    p = np.repeat(np.linspace(0, 1, 41), 3)  # as forests give them
    y = np.tile([0, 1, 1], 41)
    bins = reliability(y, np.stack([1 - p, p], axis=1), label=1, n_bins=n_bins)
    frequency, confidence = calibration_curve(y, p, n_bins=n_bins)
    np.testing.assert_allclose(bins.confidence[bins.count > 0], confidence)
    np.testing.assert_allclose(bins.frequency[bins.count > 0], frequency)


@pytest.mark.parametrize("y", [["a", "b"], [1, 2], ["0", "1"]])
def test_labels_that_no_column_is_for_are_refused(y):
    with pytest.raises(ValueError, match=r"among \[0, 1\]. Got .* Pass labels="):
        calibration_error(y, [[0.9, 0.1], [0.2, 0.8]], labels=[0, 1])


def test_a_column_of_labels_is_its_labels():
    proba = [[0.9, 0.1], [0.2, 0.8]]
    assert calibration_error([[0], [1]], proba) == calibration_error([0, 1], proba)
