"""soft_labels=True: shares that g gives, used by ResampledClassifier."""

import re

import numpy as np
import pytest
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression

from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    ResampledClassifier,
    to_weighted_pairs,
)

SAMPLERS = [M2mSampler, DistributionMatchingOversampler]


@pytest.fixture(scope="module")
def data():
    return make_classification(
        n_samples=200, n_informative=4, n_classes=3, weights=[0.6, 0.3], random_state=0
    )


@pytest.mark.parametrize("Sampler", SAMPLERS)
def test_shares_are_the_confidence_and_the_rest(Sampler, data):
    X, y = data
    g = LogisticRegression().fit(X, y)
    hard = Sampler(random_state=0, g=g)
    soft = Sampler(random_state=0, g=g, soft_labels=True)
    X_res, y_res = soft.fit_resample(X, y)
    for ours, theirs in zip((X_res, y_res), hard.fit_resample(X, y), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert not hasattr(hard, "soft_targets_")
    made, record = soft.is_synthetic_, soft.provenance_
    assert made.sum() > 20
    targets = soft.soft_targets_
    np.testing.assert_allclose(targets.sum(axis=1), 1)
    np.testing.assert_array_equal(targets[~made], np.eye(3)[y_res[~made]])
    rows = np.flatnonzero(made)
    p = g.predict_proba(X_res[rows])[np.arange(len(rows)), y_res[rows]]
    np.testing.assert_allclose(targets[rows, y_res[rows]], p, atol=1e-5)
    np.testing.assert_allclose(targets[rows, record["source"][rows]], 1 - p, atol=1e-5)


def test_the_classifier_is_fitted_on_shares(data):
    X, y = data
    sampler = M2mSampler(random_state=0, soft_labels=True)
    model = ResampledClassifier(LogisticRegression(max_iter=500), sampler).fit(X, y)
    X_res, _ = sampler.fit_resample(X, y)
    X_pairs, y_pairs, weight = to_weighted_pairs(X_res, sampler.soft_targets_, [0, 1, 2])
    own = LogisticRegression(max_iter=500).fit(X_pairs, y_pairs, sample_weight=weight)
    np.testing.assert_allclose(model.predict_proba(X), own.predict_proba(X))


def test_open_set_rows_keep_their_label(data):
    X, y = data
    aux = np.random.default_rng(0).normal(size=(50, X.shape[1]))
    sampler = DistributionMatchingOversampler(
        random_state=0, soft_labels=True, min_confidence=0, class_test=False
    )
    _, y_res = sampler.fit_resample(X, y, X_aux=aux)
    assert sampler.provenance_["from_aux"].sum() > 20
    np.testing.assert_array_equal(sampler.soft_targets_, np.eye(3)[y_res])


def test_stale_shares_are_dropped(data):
    sampler = M2mSampler(random_state=0, soft_labels=True)
    sampler.fit_resample(*data)
    sampler.set_params(soft_labels=False).fit_resample(*data)
    assert not hasattr(sampler, "soft_targets_")


@pytest.mark.parametrize("Sampler", [M2mSampler, DistributionMatchingOversampler])
def test_confidence_above_one_is_no_probability(Sampler):
    X, y = np.arange(40.0).reshape(20, 2), np.arange(20) // 15
    for least, said in ((90, "Pass min_confidence=0.9 for 90 %"), (1.5, "min_confidence=1.5 with")):
        with pytest.raises(ValueError, match=re.escape(said)):
            Sampler(min_confidence=least).fit_resample(X, y)
