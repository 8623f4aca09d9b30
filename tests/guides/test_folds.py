"""Confusions out of fold: no network judges rows that it was trained on."""

import numpy as np
import pytest
import torch

from ltresample._random import Seed
from ltresample.guides import GuideRecipe, confusion_of, deal_folds, fit_fold_guides
from ltresample.rows import ArrayRows, Pool, Space

QUICK = GuideRecipe(min_steps=60, max_steps=60, batch_size=64, hidden=16)


def as_pool(x, y):
    x = torch.from_numpy(x.astype(np.float32))
    space = Space.pixels()._replace(lower=torch.tensor(-9.0), upper=torch.tensor(9.0))
    return Pool(ArrayRows(x), torch.from_numpy(y), torch.from_numpy(np.bincount(y)), space)


@pytest.mark.parametrize("n_folds", [2, 5])
def test_folds_are_even_and_deterministic(n_folds):
    y = torch.tensor([0] * 53 + [1] * 7 + [2])
    fold = deal_folds(y, 3, Seed(0), n_folds=n_folds)
    for k in range(3):
        sizes = torch.bincount(fold[y == k], minlength=n_folds)
        assert sizes.max() - sizes.min() <= 1
    assert torch.equal(fold, deal_folds(y, 3, Seed(0), n_folds=n_folds))
    assert not torch.equal(fold, deal_folds(y, 3, Seed(1), n_folds=n_folds))


def test_single_rows_go_to_all_folds():
    y = torch.arange(200)
    assert (deal_folds(y, 200, Seed(0), n_folds=4).bincount(minlength=4) > 25).all()


def test_rows_are_dealt_anew_in_each_repeat():
    rng = np.random.default_rng(0)
    pool = as_pool(rng.normal(size=(60, 4)), np.repeat([0, 1], 30))
    recipe = GuideRecipe(random_units=True)
    guides = fit_fold_guides(pool, Seed(0), recipe, n_folds=3, n_repeats=3)
    fold = guides.fold % 3
    assert fold.shape == (3, 60)
    assert all(not torch.equal(fold[i], fold[j]) for i, j in ((0, 1), (1, 2), (0, 2)))


@pytest.mark.parametrize("images", [False, True])
def test_labels_without_meaning_are_not_known(images):
    """On random labels a network knows its training rows and nothing of the others."""
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(80, 16)), rng.integers(2, size=80)
    pool = as_pool(x.reshape(80, 1, 4, 4) if images else x, y)
    guides = fit_fold_guides(pool, Seed(0), QUICK._replace(lr=0.03), n_folds=2)
    assert len(guides.members) == (2 if images else 1)
    proba = guides.out_of_fold_proba(pool)
    torch.testing.assert_close(proba.sum(1), torch.ones(80, dtype=torch.float64))
    right = (proba.argmax(1) == pool.y).double().mean()
    assert 0.3 < float(right) < 0.7
    seen = guides._replace(fold=1 - guides.fold).out_of_fold_proba(pool)
    assert float((seen.argmax(1) == pool.y).double().mean()) > 0.85


def test_confusions_are_those_of_the_problem():
    """Classes 1 and 2 overlap, class 0 stands apart."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [80, 60, 30])
    x = rng.normal(size=(170, 4)) + np.array([[6, 0, 0, 0], [0, 0, 0, 0], [0, 1, 0, 0]])[y]
    pool = as_pool(x, y)
    proba = fit_fold_guides(pool, Seed(0), QUICK).out_of_fold_proba(pool)
    for soft in (True, False):
        confusion = confusion_of(proba, pool.y, soft=soft)
        torch.testing.assert_close(confusion.sum(1), torch.ones(3, dtype=torch.float64))
        assert confusion[0, 0] > 0.95
        assert confusion[2, 1] > 0.15 > confusion[2, 0]


def test_a_class_with_one_row_and_an_empty_class():
    rng = np.random.default_rng(0)
    y = np.array([0] * 30 + [1])
    pool = as_pool(rng.normal(size=(31, 3)), y)
    proba = fit_fold_guides(pool, Seed(0), QUICK).out_of_fold_proba(pool)
    assert torch.isfinite(proba).all()
    empty = confusion_of(torch.tensor([[0.2, 0.8]]), torch.tensor([1]))
    assert torch.equal(empty, torch.tensor([[0, 0], [0.2, 0.8]], dtype=torch.float32).double())
