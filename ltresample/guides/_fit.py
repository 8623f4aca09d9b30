"""Fitting the guide g, and asking it what it knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from ltresample._progress import counted
from ltresample._random import Seed
from ltresample._torch import evaluating
from ltresample.guides._classifier import Classifier
from ltresample.guides._random_units import random_ensemble
from ltresample.guides._shared_features import convolution_guide, linear_guide
from ltresample.models import MLPEnsemble, SmallCNN, initialize, uninitialized
from ltresample.rows import Pool, Space

__all__ = [
    "GuideRecipe",
    "Standardize",
    "balanced_rows",
    "fit_closed_form",
    "fit_guide",
    "in_closed_form",
    "is_wide",
    "soft_confusion",
    "train_guide",
]


WIDE = 256  # columns from which on random hidden units see too little of a row
MOST_ROWS = 8192  # for random hidden units, whose values are all in memory
MOST_IMAGES = 2048  # for random convolutions
FEW_ROWS = 1024  # for a linear guide of wide rows, whose inner products are all in memory


class GuideRecipe(NamedTuple):
    """How g is trained when nobody brings one."""

    random_units: bool = False  # only output layers are fitted, and at once
    n_members: int = 8
    hidden: int = 64
    bagged: bool = True  # each member sees its own bootstrap of every class
    balanced_from: float = 0.0  # share of training after which classes are drawn alike; 1: never
    n_passes: int = 30  # over the data, within the bounds on the number of steps
    min_steps: int = 200
    max_steps: int = 400
    batch_size: int = 256
    lr: float = 0.01
    weight_decay: float = 0.01

    @classmethod
    def plain(cls) -> GuideRecipe:
        """Return M2m's recipe: one network, trained on the data as they are."""
        return cls(n_members=1, hidden=256, bagged=False, balanced_from=1.0)

    @classmethod
    def deferred(cls) -> GuideRecipe:
        """Return the DM paper's recipe: classes are drawn alike in the last fifth of training."""
        return cls.plain()._replace(balanced_from=0.8)


class ClosedForm(NamedTuple):
    """A guide of which only the output layers are fitted."""

    fit: Callable[..., nn.Module]  # (z, y, weight, n_classes, seed, recipe) -> network of z
    most_rows: int  # of more, some are drawn


class Standardize(nn.Module):
    """First layer of a network: rows in the units of a space."""

    def __init__(self, space: Space):
        super().__init__()
        self.register_buffer("center", space.center.clone())
        self.register_buffer("factor", torch.where(space.scale > 0, 1 / space.scale, 0.0))

    def forward(self, x: Tensor) -> Tensor:
        """Return (x - center) / scale."""
        return (x - self.center).mul_(self.factor)  # in place: wide rows are bound by memory


def fit_guide(pool: Pool, seed: Seed, recipe: GuideRecipe | None = None) -> nn.Module:
    """Train a small network on the pool: an ensemble of MLPs for rows, a CNN for images.

    With ``recipe.random_units`` only output layers are fitted, which takes a twentieth of the time
    and less: on random hidden units, on random convolutions of images, on the leading directions of
    wide rows. Only many rows that are wide and dense are trained on as ever.

    Parameters
    ----------
    pool : Pool
        Real samples.
    seed : Seed
        Root of initialisation, bootstrap and index stream; no global generator is touched.
    recipe : GuideRecipe or None, default=None
        How to train; None stands for ``GuideRecipe()``.

    Returns
    -------
    nn.Module
        In evaluation mode, with logits (n, K) or (M, n, K) for rows of the pool.
    """
    recipe = _sized(recipe or GuideRecipe(), pool)
    weights = _bootstrap(pool, seed.child("bootstrap"), recipe)  # (M, n)
    if form := in_closed_form(pool, recipe):
        return _without_scaling(fit_closed_form(pool, weights, seed, recipe, form)).eval()
    with uninitialized():
        network = nn.Sequential(Standardize(pool.space), _architecture(pool, recipe))
    initialize(network, seed.child("init").torch())
    network.to(device=pool.space.scale.device, dtype=pool.space.scale.dtype)
    train_guide(network, pool, weights, seed.child("order").torch(), recipe)
    return _without_scaling(network).eval()


def in_closed_form(pool: Pool, recipe: GuideRecipe) -> ClosedForm | None:
    """Return what is fitted without gradient descent to such rows, None: all is trained.

    Rows of few columns get random hidden units, images random convolutions, rows of many columns of
    which there are few, or that are mostly zeros, linear classifiers.
    """
    dimension = len(pool.x.row_shape)
    if not recipe.random_units or dimension > 3:
        return None
    if dimension > 1:
        return ClosedForm(_on_images, MOST_IMAGES)
    if not is_wide(pool):
        return ClosedForm(_on_narrow_rows, MOST_ROWS)
    if len(pool.y) <= FEW_ROWS or pool.space.keep_zeros:
        return ClosedForm(_on_wide_rows, FEW_ROWS)
    return None


def is_wide(pool: Pool) -> bool:
    """Return whether random hidden units see too little of a row."""
    d = pool.x.row_shape[0]
    return d > WIDE and int(pool.space.scale.expand(d).count_nonzero()) > WIDE


def fit_closed_form(
    pool: Pool, weights: Tensor, seed: Seed, recipe: GuideRecipe, form: ClosedForm
) -> nn.Sequential:
    """Fit output layers to rows that have weights (M, n) beside their class's.

    All classes have the same weight. Of more rows than the form takes, a class-balanced draw is used.
    """
    n_classes = len(pool.class_counts)
    rows = torch.arange(len(pool.y), device=pool.y.device)
    if len(rows) > form.most_rows:
        most = max(64 if form.most_rows == MOST_ROWS else 8, form.most_rows // n_classes)
        rows = balanced_rows(pool, seed.child("rows"), n_per_class=most)
    y, own = pool.y[rows], weights[:, rows].to(pool.space.scale)
    own = own / torch.bincount(y, minlength=n_classes).clamp(min=1)[y]
    units = Standardize(pool.space)
    z = units(pool.x.take(rows))
    return nn.Sequential(units, form.fit(z, y, own, n_classes, seed.child("init"), recipe))


def _on_narrow_rows(z, y, weight, n_classes: int, seed: Seed, recipe: GuideRecipe) -> nn.Module:
    return random_ensemble(z, y, weight, n_classes, seed, hidden=recipe.hidden)


def _on_wide_rows(z, y, weight, n_classes: int, seed: Seed, recipe: GuideRecipe) -> nn.Module:
    return linear_guide(z, y, weight, n_classes)


def _on_images(x, y, weight, n_classes: int, seed: Seed, recipe: GuideRecipe) -> nn.Module:
    if x.dim() == 3:
        channel = nn.Unflatten(1, (1, x.shape[1]))
        return nn.Sequential(channel, convolution_guide(channel(x), y, weight, n_classes, seed))
    return convolution_guide(x, y, weight, n_classes, seed)


@torch.no_grad()
def _without_scaling(network: nn.Sequential) -> nn.Module:
    """Put the units of rows that are not centred into the first weights: W (s x) = (W s) x."""
    units, ensemble = network
    if not isinstance(ensemble, MLPEnsemble) or units.center.count_nonzero():
        return network
    ensemble.first.weight.mul_(units.factor)
    return ensemble


def _sized(recipe: GuideRecipe, pool: Pool) -> GuideRecipe:
    """Halve members and units of an ensemble on wide rows: the first layer is all of the cost."""
    if not recipe.bagged or len(pool.x.row_shape) > 1 or not is_wide(pool):
        return recipe
    return recipe._replace(
        n_members=max(1, recipe.n_members // 2), hidden=max(1, recipe.hidden // 2)
    )


def _architecture(pool: Pool, recipe: GuideRecipe) -> nn.Module:
    shape, n_classes = pool.x.row_shape, len(pool.class_counts)
    if len(shape) == 1:
        return MLPEnsemble(recipe.n_members, shape[0], n_classes, hidden=recipe.hidden)
    if len(shape) == 2:
        return nn.Sequential(nn.Unflatten(1, (1, shape[0])), SmallCNN(1, n_classes))
    if len(shape) == 3:
        return SmallCNN(shape[0], n_classes)
    n_columns = int(torch.tensor(shape).prod())
    ensemble = MLPEnsemble(recipe.n_members, n_columns, n_classes, hidden=recipe.hidden)
    return nn.Sequential(nn.Flatten(), ensemble)


def _bootstrap(pool: Pool, seed: Seed, recipe: GuideRecipe) -> Tensor:
    """Count how often each row stands in each member's bootstrap, drawn within classes."""
    n = len(pool.y)
    few_wide = len(pool.x.row_shape) == 1 and is_wide(pool) and in_closed_form(pool, recipe)
    if not recipe.bagged or len(pool.x.row_shape) in (2, 3) or few_wide:  # one network
        return torch.ones(1, n, device=pool.y.device)
    weights = torch.zeros(recipe.n_members, n)
    for k, members in enumerate(pool.classes.split()):
        members = members.cpu()
        shape = (recipe.n_members, len(members))
        drawn = torch.randint(max(1, len(members)), shape, generator=seed.child(k).torch())
        weights.scatter_add_(1, members[drawn] if len(members) else drawn, torch.ones(shape))
    return weights.to(pool.y.device)


def train_guide(
    network: nn.Module,
    pool: Pool,
    weights: Tensor,
    generator: torch.Generator,
    recipe: GuideRecipe,
) -> None:
    """Train members whose row losses have weights (M, n), each as if it were alone."""
    n, batch = len(pool.y), min(recipe.batch_size, len(pool.y))
    n_steps = min(max(recipe.n_passes * n // batch, recipe.min_steps), recipe.max_steps)
    drawn = _row_numbers(pool, generator, recipe, (n_steps, batch)).to(pool.y.device)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay
    )
    (group,) = optimizer.param_groups
    network.train()
    for step, rows in enumerate(counted(drawn, n_steps)):
        group["lr"] = recipe.lr * (1 + math.cos(math.pi * step / n_steps)) / 2
        logits = network(pool.x.take(rows))
        logits = logits if logits.dim() == 3 else logits[None]  # (M, b, K)
        y = pool.y[rows].expand(len(logits), -1)
        loss = nn.functional.cross_entropy(logits.flatten(0, 1), y.flatten(), reduction="none")
        weight = weights[:, rows].expand(len(logits), -1)
        loss = (loss.view_as(weight) * weight).sum() / batch
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()


def _row_numbers(
    pool: Pool, generator: torch.Generator, recipe: GuideRecipe, shape: tuple[int, int]
) -> Tensor:
    """Draw the rows of all steps: as they are at first, then class-balanced."""
    n = len(pool.y)
    u = torch.rand(shape, generator=generator, dtype=torch.float64)
    cumulative = (1.0 / pool.class_counts.clamp(min=1).double()[pool.y].cpu()).cumsum(0)
    alike = torch.searchsorted(cumulative, u * cumulative[-1], right=True).clamp(max=n - 1)
    early = torch.arange(shape[0]) < recipe.balanced_from * shape[0]
    return torch.where(early[:, None], (u * n).long(), alike)


def balanced_rows(pool: Pool, seed: Seed, *, n_per_class: int = 50) -> Tensor:
    """Draw up to `n_per_class` rows of each class without replacement, class by class."""
    chosen = []
    for k, members in enumerate(pool.classes.split()):
        order = torch.randperm(len(members), generator=seed.child(k).torch())[:n_per_class]
        chosen.append(members[order.to(members.device)])
    return torch.cat(chosen)


@torch.no_grad()
def soft_confusion(g: Classifier, pool: Pool, rows: Tensor) -> Tensor:
    """Return A (K, K): mean probability that g gives class i over the samples of class k in `rows`.

    A class without samples gives a row of zeros.
    """
    n_classes = len(pool.class_counts)
    total = torch.zeros(n_classes, n_classes, dtype=torch.float64, device=pool.y.device)
    with evaluating(*g.members):
        for part in rows.split(1024):
            proba = g.log_proba(pool.x.take(part)).exp().double()
            total.index_add_(0, pool.y[part], proba)
    count = torch.bincount(pool.y[rows], minlength=n_classes).clamp(min=1)
    return total / count[:, None]
