"""Hundreds of classes of a few rows: a guide that knows them, rows that are made, short messages."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis

from ltresample import M2mSampler
from ltresample.guides._random_units import discriminant_output


def few_rows_of_many(n_classes, spread, seed=0):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(n_classes), rng.integers(1, 13, n_classes))
    X = spread * rng.normal(size=(n_classes, 20))[y] + rng.normal(size=(len(y), 20))
    return X, y


def resampled(X, y, **params):
    sampler = M2mSampler(random_state=0, **params)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sampler.fit_resample(X, y)
    return sampler, [str(w.message) for w in caught]


def test_classes_that_stand_apart_get_synthetic_rows():
    X, y = few_rows_of_many(150, 2.0)
    sampler, said = resampled(X, y)
    assert sampler.guide_score_ > 0.9
    tried = sum(sampler.shortfall_.values()) + sampler.is_synthetic_.sum()
    assert sampler.is_synthetic_.sum() > 0.8 * tried
    assert all(len(message) < 300 for message in said)


def test_classes_that_cannot_be_told_apart_are_said_in_short():
    X, y = few_rows_of_many(150, 0.0)
    sampler, said = resampled(X, y, min_confidence=0.99)
    assert any("no better than a guess" in message for message in said)
    assert any("Few synthetic rows were accepted" in message for message in said)
    assert any("others have a single sample" in message for message in said)
    assert all(len(message) < 300 for message in said)


@pytest.mark.parametrize("weighted", [False, True])
def test_discriminants_are_scikit_learns(weighted):
    """With classes alike and no ridge: linear discriminants with equal priors."""
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(60), 6)
    X = rng.normal(size=(60, 5))[y] + 0.5 * rng.normal(size=(360, 5))
    weight = np.ones(360)
    if weighted:  # rows of weight 2 are rows that stand twice
        weight[::6] = 2.0
    twice = np.repeat(np.arange(360), weight.astype(int))
    theirs = LinearDiscriminantAnalysis(solver="lsqr", priors=np.full(60, 1 / 60))
    theirs = theirs.fit(X[twice], y[twice]).predict_proba(X)
    phi = torch.from_numpy(X.T.copy())[None]
    output, bias = discriminant_output(
        phi, torch.from_numpy(y), torch.from_numpy(weight)[None], 60, ridge=0.0
    )
    ours = (torch.from_numpy(X) @ output + bias)[0].softmax(1)
    np.testing.assert_allclose(ours, theirs, atol=2e-3 if weighted else 1e-8)


def test_a_class_without_weight_is_never_given():
    phi, y = torch.randn(1, 4, 30, generator=torch.Generator().manual_seed(0)), torch.arange(30) % 3
    weight = (y != 1).float()[None]
    output, bias = discriminant_output(phi.clone(), y, weight, 3)
    proba = (phi.mT @ output + bias)[0].softmax(1)
    assert (proba[:, 1] == 0).all()
