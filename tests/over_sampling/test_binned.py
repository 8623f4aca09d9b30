"""Few values a column, and the same trees: binning before weighted boosting."""

import numpy as np
import pytest
import sklearn.ensemble._hist_gradient_boosting.binning as binning
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.datasets import make_classification
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import balanced_accuracy_score

from ltresample import ResampledClassifier
from ltresample.over_sampling._binned import binned

floats = st.floats(-1e6, 1e6, allow_nan=False, width=32)


@given(arrays(np.float64, st.integers(1, 80), elements=floats), st.integers(2, 20))
def test_thresholds_between_neighbours_divide_the_given_values_alike(values, max_bins):
    out = binned(values, max_bins)
    levels = np.unique(out)
    assert set(out) <= set(values)
    assert len(levels) <= max(max_bins, 2)
    for below, above in zip(levels[:-1], levels[1:], strict=True):
        threshold = below + (above - below) / 2
        np.testing.assert_array_equal(values <= threshold, out <= threshold)


def test_few_values_and_missing_ones_stay():
    values = np.array([1.0, np.nan, 2.0, 1.0])
    np.testing.assert_array_equal(binned(values, 255), values)
    many = np.append(np.arange(600.0), np.nan)
    out = binned(many, 255)
    assert np.isnan(out[-1])
    assert len(np.unique(out[:-1])) <= 255


@pytest.fixture(scope="module")
def table():
    return make_classification(1000, 20, n_informative=8, weights=[0.9], random_state=0)


def test_the_recipe_computes_no_weighted_percentile(table, monkeypatch):
    calls = []
    original = binning._weighted_percentile
    monkeypatch.setattr(
        binning,
        "_weighted_percentile",
        lambda *args, **kw: calls.append(1) or original(*args, **kw),
    )
    classifier = HistGradientBoostingClassifier(max_iter=5, random_state=0)
    model = ResampledClassifier(classifier, random_state=0).fit(*table)
    assert model.sampler_.soft_labels
    assert not calls


def test_answers_are_as_good_as_without(table, monkeypatch):
    X, y = table
    train, test = np.arange(1000) % 2 == 0, np.arange(1000) % 2 == 1

    def score():
        classifier = HistGradientBoostingClassifier(max_iter=30, random_state=0)
        model = ResampledClassifier(classifier, random_state=0).fit(X[train], y[train])
        return balanced_accuracy_score(y[test], model.predict(X[test]))

    ours = score()
    monkeypatch.setattr(
        "ltresample.over_sampling._resampled_classifier.binned_for", lambda classifier, X: X
    )
    assert abs(ours - score()) < 0.05
