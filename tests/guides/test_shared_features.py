"""Guides with fixed features: what they find, that gradients flow, that nothing is trained."""

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from ltresample._random import Seed
from ltresample.guides import (
    Classifier,
    GuideRecipe,
    _fit,
    feature_rows,
    fit_fold_guides,
    fit_guide,
)
from ltresample.guides._shared_features import RandomConvolutions, linear_guide
from ltresample.rows import ArrayRows, Pool, Space

RANDOM = GuideRecipe(random_units=True)


def pool_of(x, y, **space):
    space = Space.pixels()._replace(**space)
    return Pool(ArrayRows(x), y, torch.bincount(y), space)


def bars(n, seed, size=8):
    """Images of horizontal (class 0) and vertical (1) bars at random places."""
    generator = Seed(seed).torch()
    x = 0.1 * torch.rand(n, 1, size, size, generator=generator)
    y = torch.arange(n) % 2
    for image, k, place in zip(x, y, torch.randint(size, (n,), generator=generator), strict=True):
        image[0, place if k == 0 else slice(None), slice(None) if k == 0 else place] = 1
    return x, y


def wide(n, d, seed):
    generator = Seed(seed).torch()
    y = (torch.arange(n) % 4 == 0).long()
    x = torch.randn(n, d, generator=generator)
    x[:, :20] += 1.5 * y[:, None]
    return x, y


@pytest.mark.parametrize("channels", [None, 1, 3])
def test_bars_are_told_apart_without_training(channels, monkeypatch):
    monkeypatch.setattr(_fit, "train_guide", None)
    (x, y), (test, truth) = bars(80, 0), bars(80, 1)
    if channels is None:
        x, test = x[:, 0], test[:, 0]
    else:
        x, test = x.expand(-1, channels, -1, -1), test.expand(-1, channels, -1, -1)
    g = fit_guide(pool_of(x.contiguous(), y), Seed(0), RANDOM)
    assert (g(test).argmax(1) == truth).float().mean() > 0.9
    rows = test[:2].clone().requires_grad_()
    g(rows)[:, 0].sum().backward()
    assert rows.grad.abs().sum() > 0


def test_convolutions_do_not_depend_on_the_unit_of_the_pixels():
    x = bars(40, 0)[0].double()
    body, dim = RandomConvolutions(x, Seed(0)), RandomConvolutions(0.01 * x + 0.5, Seed(0))
    inner = (slice(None), slice(None), slice(1, -1), slice(1, -1))  # padding is another grey
    scaled = 100 * dim._responses(0.01 * x + 0.5)[inner]
    torch.testing.assert_close(body._responses(x)[inner], scaled)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 2, 9), (3, 1, 5)])
def test_images_may_be_tiny(shape):
    x = torch.rand(12, *shape, generator=Seed(0).torch())
    g = fit_guide(pool_of(x, torch.arange(12) % 3), Seed(0), RANDOM)
    assert torch.isfinite(g(x)).all()


def test_images_without_contrast_are_a_guess():
    x, y = torch.full((12, 1, 4, 4), 0.5), torch.arange(12) % 3
    proba = fit_guide(pool_of(x, y), Seed(0), RANDOM)(x).softmax(1)
    torch.testing.assert_close(proba, torch.full((12, 3), 1 / 3))


def test_wide_rows_get_a_linear_classifier(monkeypatch):
    monkeypatch.setattr(_fit, "train_guide", None)
    (x, y), (test, truth) = wide(120, 900, 0), wide(400, 900, 1)
    g = fit_guide(pool_of(x, y), Seed(0), RANDOM)
    ours = [float((g(test).argmax(1)[truth == k] == k).float().mean()) for k in (0, 1)]
    theirs = LogisticRegression(class_weight="balanced").fit(x, y).predict(test.numpy())
    theirs = [(theirs[truth == k] == k).mean() for k in (0, 1)]
    assert np.mean(ours) > np.mean(theirs) - 0.03
    steps = (g(test + 1) - g(test)).std(0)
    torch.testing.assert_close(steps, torch.zeros(2), atol=1e-4, rtol=0)  # linear


def test_columns_that_never_vary_do_not_make_rows_wide():
    x, y = wide(60, 30, 0)
    padded = torch.cat([x, torch.ones(60, 400)], 1)
    scale = torch.cat([torch.ones(30), torch.zeros(400)])
    g = fit_guide(pool_of(padded, y, scale=scale, center=torch.zeros(430)), Seed(0), RANDOM)
    assert g(padded).shape == (RANDOM.n_members, 60, 2)


@pytest.mark.parametrize("make", [lambda: bars(60, 0), lambda: wide(60, 300, 0)])
def test_folds_and_features(make):
    """No row is judged by a member that has seen it; features are the shared ones."""
    x, y = make()
    pool = pool_of(x, y)
    guides = fit_fold_guides(pool, Seed(0), RANDOM, n_folds=3, n_repeats=2)
    assert guides.fold.shape == (2, 60)
    assert guides.fold[0].max() == 2
    assert guides.fold[1].min() == 3
    proba = guides.out_of_fold_proba(pool)
    assert proba.shape == (2, 60, 2)
    once = fit_fold_guides(pool, Seed(0), RANDOM, n_folds=3)
    assert torch.equal(once.fold, guides.fold[0])
    torch.testing.assert_close(once.out_of_fold_proba(pool), proba[0], atol=1e-4, rtol=1e-3)
    rows = feature_rows(Classifier(guides.members), pool)
    assert len(rows) == 60


def test_rows_that_are_all_alike_are_a_guess():
    g = linear_guide(torch.ones(10, 300), torch.arange(10) % 2, torch.ones(1, 10), 2)
    torch.testing.assert_close(g(torch.ones(3, 300)).softmax(1), torch.full((3, 2), 0.5))
