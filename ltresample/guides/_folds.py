"""Which classes are confused with each other, by networks that have not seen the rows they judge."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ltresample._random import Seed
from ltresample._torch import evaluating
from ltresample.guides._fit import (
    GuideRecipe,
    Standardize,
    fit_closed_form,
    fit_guide,
    in_closed_form,
    train_guide,
)
from ltresample.models import MLPEnsemble, initialize, uninitialized
from ltresample.rows import ClassIndex, Pool, SubsetRows

__all__ = ["FoldGuides", "confusion_of", "deal_folds", "fit_fold_guides", "held_out_guide"]


class FoldGuides(NamedTuple):
    """Networks, each trained without one fold of the rows."""

    members: list[nn.Module]  # one that gives logits (F, n, K) for F folds, or F that give (n, K)
    fold: Tensor  # (n,) the fold of each row; (R, n) where they were dealt R times

    @torch.no_grad()
    def out_of_fold_proba(self, pool: Pool) -> Tensor:
        """Return probabilities (n, K) or (R, n, K), of each row by networks that have not seen it."""
        proba = []
        with evaluating(*self.members):
            for rows in torch.arange(len(pool.y), device=pool.y.device).split(1024):
                x = pool.x.take(rows)
                logits = [member(x) for member in self.members]
                logits = torch.cat([z if z.dim() == 3 else z[None] for z in logits])  # (F, b, K)
                own = self.fold[..., rows], torch.arange(len(rows), device=rows.device)
                proba.append(logits[own].double().softmax(-1))
        return torch.cat(proba, dim=-2)


def deal_folds(y: Tensor, n_classes: int, seed: Seed, *, n_folds: int) -> Tensor:
    """Deal the rows of each class out to folds, as evenly as can be.

    Parameters
    ----------
    y : Tensor of shape (n,)
        Class index.
    n_classes : int
        K.
    seed : Seed
        Root of the shuffling within classes, and of which folds get one more.
    n_folds : int
        F, number of folds.

    Returns
    -------
    Tensor of shape (n,)
        Fold of each row, from 0 to F - 1.

    Examples
    --------
    >>> y = torch.tensor([0, 0, 0, 0, 1, 1])
    >>> deal_folds(y, 2, Seed(0), n_folds=2).bincount()
    tensor([3, 3])
    """
    fold = torch.empty(len(y), dtype=torch.long)
    for k, members in enumerate(ClassIndex.of(y.cpu(), n_classes).split()):
        generator = seed.child(k).torch()
        order = torch.randperm(len(members), generator=generator)
        first = int(torch.randint(n_folds, (), generator=generator))
        fold[members[order]] = (torch.arange(len(members)) + first) % n_folds
    return fold.to(y.device)


def fit_fold_guides(
    pool: Pool, seed: Seed, recipe: GuideRecipe, *, n_folds: int = 4, n_repeats: int = 1
) -> FoldGuides:
    """Train one network for each fold, on all other folds.

    Rows of a table get small MLPs that are trained together, images one CNN for each fold.

    Parameters
    ----------
    pool : Pool
        Real samples.
    seed : Seed
        Root of folds, initialisation and index stream.
    recipe : GuideRecipe
        How to train; one member a fold, without bootstrap.
    n_folds : int, default=4
        F, at least 2.
    n_repeats : int, default=1
        R, how often the rows are dealt; with recipes that train nothing but output layers.

    Returns
    -------
    FoldGuides
        The networks, in evaluation mode, and the fold of each row.
    """
    n_classes, form = len(pool.class_counts), in_closed_form(pool, recipe)
    deals = [seed.child("folds"), *(seed.child("folds", r) for r in range(1, n_repeats))]
    fold = torch.stack([deal_folds(pool.y, n_classes, s, n_folds=n_folds) for s in deals])
    fold = fold + n_folds * torch.arange(n_repeats, device=fold.device)[:, None]  # (R, n)
    if form is not None:
        seen = _weights_without(fold, n_folds, pool)
        network = fit_closed_form(pool, seen, seed, recipe, form).eval()
        return FoldGuides([network], fold if n_repeats > 1 else fold[0])
    (fold,) = fold
    if len(pool.x.row_shape) == 1:
        return FoldGuides([_trained_together(pool, fold, seed, recipe, n_folds)], fold)
    recipe = recipe._replace(n_members=1, bagged=False, batch_size=min(recipe.batch_size, 128))
    members = [
        fit_guide(_without(pool, fold == number), seed.child(number), recipe)
        for number in range(n_folds)
    ]
    return FoldGuides(members, fold)


def held_out_guide(
    pool: Pool, seed: Seed, recipe: GuideRecipe, *, n_folds: int = 4
) -> tuple[FoldGuides, Pool]:
    """Train a guide on all folds but one, and return it with a pool of the rows of that one."""
    fold = deal_folds(pool.y, len(pool.class_counts), seed.child("folds"), n_folds=n_folds)
    left_out = fold == 0
    if bool(left_out.all()) or not bool(left_out.any()):
        left_out = torch.arange(len(fold), device=fold.device) % 2 == 0
    network = fit_guide(_without(pool, left_out), seed.child("held out"), recipe)
    rest = _without(pool, ~left_out)
    return FoldGuides([network], torch.zeros_like(rest.y)), rest


def _weights_without(fold: Tensor, n_folds: int, pool: Pool) -> Tensor:
    """Return weights (R F, n): 0 for the rows of a member's own fold, else 1."""
    number = torch.arange(n_folds * len(fold), device=fold.device)[:, None]
    return (fold.repeat_interleave(n_folds, 0) != number).to(pool.space.scale)


def _trained_together(pool: Pool, fold: Tensor, seed: Seed, recipe, n_folds: int) -> nn.Module:
    """Train an ensemble whose members have weight 0 on the rows of their own fold."""
    seen = _weights_without(fold[None], n_folds, pool)
    with uninitialized():
        body = MLPEnsemble(n_folds, pool.x.row_shape[0], len(pool.class_counts), hidden=64)
        network = nn.Sequential(Standardize(pool.space), body)
    initialize(network, seed.child("init").torch())
    network.to(device=pool.space.scale.device, dtype=pool.space.scale.dtype)
    train_guide(network, pool, seen, seed.child("order").torch(), recipe)
    return network.eval()


def _without(pool: Pool, left_out: Tensor) -> Pool:
    index = (~left_out).nonzero()[:, 0]
    counts = torch.bincount(pool.y[index], minlength=len(pool.class_counts))
    return pool._replace(x=SubsetRows(pool.x, index), y=pool.y[index], class_counts=counts)


def confusion_of(proba: Tensor, y: Tensor, *, soft: bool = True) -> Tensor:
    """Return the row-normalised confusion matrix of predictions.

    Parameters
    ----------
    proba : Tensor of shape (n, K)
        Probabilities.
    y : Tensor of shape (n,)
        True class index.
    soft : bool, default=True
        Mean probabilities; False: shares of most probable classes.

    Returns
    -------
    Tensor of shape (K, K)
        Entry (i, j): how much of class i is classified as j. Double precision. A class without rows
        has a row of zeros.

    Examples
    --------
    >>> confusion_of(torch.tensor([[0.9, 0.1], [0.6, 0.4]]), torch.tensor([0, 1]), soft=False)
    tensor([[1., 0.],
            [1., 0.]], dtype=torch.float64)
    """
    n_classes = proba.shape[1]
    if not soft:
        proba = nn.functional.one_hot(proba.argmax(1), n_classes)
    total = torch.zeros(n_classes, n_classes, dtype=torch.float64, device=proba.device)
    total.index_add_(0, y, proba.double())
    return total / torch.bincount(y, minlength=n_classes).clamp(min=1)[:, None]
