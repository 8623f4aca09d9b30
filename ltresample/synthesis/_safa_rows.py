"""SAFA before training: networks fitted on feature vectors, then rows for the classes that lack them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ltresample._random import Seed
from ltresample._torch import evaluating
from ltresample.models import LinearHead
from ltresample.synthesis._base import Candidates, Pool
from ltresample.synthesis._safa import (
    SafaDraw,
    SafaNetworks,
    SafaSettings,
    augment_tail,
    draw_same_class_pairs,
    head_classes,
)
from ltresample.synthesis._seeds import SeedDraw

__all__ = ["FittedSafa", "Safa", "SafaRecipe", "SafaRowsDraw", "fit_safa"]


class SafaRecipe(NamedTuple):
    """How E, D, G and Q are trained offline."""

    n_steps: int | None = None  # None: 30 passes over the data, within the bounds below
    min_steps: int = 100
    max_steps: int = 200
    n_pairs: int = 64  # of head samples in a batch, and as many of tail samples
    lr: float = 0.003
    weight_decay: float = 0.0002


class SafaRowsDraw(NamedTuple):
    """All random choices for m rows."""

    y_target: Tensor  # (m,)
    seeds: SeedDraw  # the row that is moved; anchor: another row of its class
    head: Tensor  # (m, 2) a pair of rows of one head class

    @classmethod
    def joined(cls, draws: list[SafaRowsDraw]) -> SafaRowsDraw:
        """Put several draws after each other."""
        seeds = SeedDraw(*(torch.cat(part) for part in zip(*(d.seeds for d in draws), strict=True)))
        return cls(torch.cat([d.y_target for d in draws]), seeds, torch.cat([d.head for d in draws]))


class FittedSafa(NamedTuple):
    """E, D, G and Q after training, in evaluation mode, and what they were trained with."""

    networks: SafaNetworks
    classifier: nn.Module  # linear, of the standardised rows
    is_head: Tensor  # (K,) bool


def fit_safa(
    pool: Pool,
    seed: Seed,
    settings: SafaSettings = SafaSettings(),
    recipe: SafaRecipe = SafaRecipe(),
    *,
    head_ratio: float = 0.2,
    width: int | None = None,
    residual: bool = False,
) -> FittedSafa:
    """Train E, D, G and Q on standardised rows of a pool: vectors (n, C) or maps (n, C, H, W).

    The losses are those of `augment_tail`, and the cross-entropy of a throw-away linear classifier on
    real and augmented rows. Rows of other shapes are flattened.

    Parameters
    ----------
    pool : Pool
        Real samples.
    seed : Seed
        Of starting weights and batches; no global generator is touched.
    settings : SafaSettings
        Weights and readings.
    recipe : SafaRecipe
        How to train.
    head_ratio : float, default=0.2
        gamma: share of the classes that are the head.
    width : int or None, default=None
        Hidden channels of the networks. None: C within [64, 256] for vectors, C but at least 16 for
        maps.

    Returns
    -------
    FittedSafa
        On the pool's device.

    Raises
    ------
    ValueError
        If there is no tail class, or no head class with two samples.
    """
    is_head = head_classes(pool.class_counts, head_ratio)
    networks, classifier = _untrained(pool, seed.child("init"), width, residual)
    parameters = [*networks.parameters(), *classifier.parameters()]
    n_steps = recipe.n_steps
    if n_steps is None:
        passes = 30 * len(pool.y) // (2 * recipe.n_pairs)
        n_steps = min(max(passes, recipe.min_steps), recipe.max_steps)
    optimizer = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, n_steps))
    members = class_members(pool)
    sides = [[members[k] for k in (is_head == side).nonzero()[:, 0]] for side in (True, False)]
    sides[0] = [rows for rows in sides[0] if len(rows) > 1]
    for step in range(n_steps):
        own = seed.child("step", step)
        rows = [random_pairs(rows, recipe.n_pairs, own.child(i)) for i, rows in enumerate(sides)]
        rows = torch.cat(rows).flatten()
        x, y = standard_rows(pool, rows), pool.y[rows]
        draw = draw_same_class_pairs(y, is_head, own, augmented_per_pair=settings.augmented_per_pair)
        made = augment_tail(networks, x, y, draw.to(y.device), settings)
        logits = classifier(torch.cat([x, made.x]))
        loss = cross_entropy(logits, torch.cat([y, made.y])) + made.loss  # Eq. 1
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    _set_statistics(networks, pool, sides, seed.child("statistics"))
    return FittedSafa(networks.eval(), classifier.eval(), is_head)


@torch.no_grad()
def _set_statistics(networks: SafaNetworks, pool: Pool, sides: list, seed: Seed, n: int = 1024) -> None:
    """Give batch normalisation the statistics of what will be made.

    In training D and G see tail and head features in turn, so that running means fit neither.
    """
    for part in networks.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = 1.0
    head_i, head_j = (
        standard_rows(pool, index) for index in random_pairs(sides[0], n, seed.child(0)).T
    )
    tail = standard_rows(pool, random_pairs(sides[1], n, seed.child(1))[:, 0])
    networks.moved(networks.delta(head_i - head_j), tail)


def _untrained(pool: Pool, seed: Seed, width: int | None, residual: bool) -> tuple[SafaNetworks, nn.Module]:
    shape, like, generator = pool.x.row_shape, pool.space.scale, seed.torch()
    maps, n_features = len(shape) == 3, math.prod(shape)
    n_channels = shape[0] if maps else n_features
    width = width or (max(n_channels, 16) if maps else min(max(n_channels, 64), 256))
    networks = SafaNetworks(
        n_channels, n_dims=2 if maps else 0, width=width, residual=residual, generator=generator
    )
    head = LinearHead(n_features, len(pool.class_counts), generator=generator)
    return networks.to(like), nn.Sequential(nn.Flatten(), head).to(like)


def standard_rows(pool: Pool, index: Tensor) -> Tensor:
    """Take rows in the units of the pool's space, as the networks see them."""
    x = pool.space.standardized(pool.x.take(index))
    return x if x.dim() == 4 else x.flatten(1)


def class_members(pool: Pool) -> list[Tensor]:
    """List the rows of each class."""
    return [(pool.y == k).nonzero()[:, 0] for k in range(len(pool.class_counts))]


@dataclass(frozen=True)
class Safa:
    """Move rows of small classes along deltas of the head.

    A new row is ``G(D([E(h_i - h_j); t]) + t)`` for a random row t of the class and a random pair
    (h_i, h_j) of a head class, head classes in proportion to their samples. Every row is accepted
    but one that equals its seed, as it may where columns hold whole numbers.

    Parameters
    ----------
    fitted : FittedSafa
        The networks.
    block_size : int, default=64
        Rows per block of random numbers.
    """

    fitted: FittedSafa
    block_size: int = 64

    def prepare(self, pool: Pool, targets: list[int]) -> tuple[list[Tensor], list[Tensor]]:
        """List the rows of each class, and of the head classes that have pairs."""
        members = class_members(pool)
        head = [members[k] for k in self.fitted.is_head.nonzero()[:, 0]]
        return members, [rows for rows in head if len(rows) > 1]

    def request(self, y: Tensor, class_counts: Tensor, seed: Seed) -> Tensor:
        """Refuse: in training SAFA stands between two layers."""
        raise TypeError(
            "SAFA cannot replace samples of a mini-batch: in training it augments the output of a "
            "layer. Got a SAFASampler in training. Pass ltresample.training.SAFA(layer=...)."
        )

    def draw(
        self, pool: Pool, state: Any, y_target: Tensor, seed: Seed, shared: Seed
    ) -> SafaRowsDraw:
        """Choose a row of the class, another one, and a head pair for each target."""
        members, head = state
        own = torch.full((len(y_target), 2), -1, device=y_target.device)
        for k in y_target.unique().tolist():
            here = y_target == k
            own[here] = random_pairs([members[k]], int(here.sum()), seed.child("own", k))
        reach = torch.full((len(own),), torch.nan, dtype=torch.float64, device=own.device)
        seeds = SeedDraw(own[:, 0], y_target, own[:, 1], reach)
        return SafaRowsDraw(y_target, seeds, random_pairs(head, len(own), seed.child("head")))

    def synthesize(
        self, pool: Pool, state: Any, draws: list[SafaRowsDraw], f=None
    ) -> Candidates:
        """Make the rows of some blocks."""
        draw, space = SafaRowsDraw.joined(draws), pool.space
        networks, classifier, *_ = self.fitted
        seed_x = pool.x.take(draw.seeds.index)
        head_i, head_j, tail = (
            standard_rows(pool, index) for index in (*draw.head.T, draw.seeds.index)
        )
        with torch.no_grad(), evaluating(networks, classifier):
            made = networks.moved(networks.delta(head_i - head_j), tail)
            step = (made - tail).view_as(seed_x) * space.scale  # 0 in constant columns
            if space.keep_zeros:
                near = pool.x.take(draw.seeds.anchor)
                step = step * ((seed_x != 0) | (near != 0))
            x = space.rounded(space.project(seed_x + step))
            proba = classifier(space.standardized(x).flatten(1)).softmax(1)
        accepted = (x != seed_x).flatten(1).any(1)
        confidence = proba.gather(1, draw.y_target[:, None])[:, 0]
        return Candidates(accepted, x[accepted], confidence.where(accepted, torch.nan))


def random_pairs(classes: list[Tensor], n: int, seed: Seed) -> Tensor:
    """Draw n pairs (n, 2) of rows of one class: the first any row, the second another of its class.

    Classes come in proportion to their rows; a class with one row gives it twice.
    """
    sizes = torch.tensor([len(rows) for rows in classes], device=classes[0].device)
    u = torch.rand(2, n, generator=seed.torch(), dtype=torch.float64).to(sizes.device)
    first = (u[0] * sizes.sum()).long()
    of = torch.searchsorted(sizes.cumsum(0), first, right=True)
    start, size = (sizes.cumsum(0) - sizes)[of], sizes[of]
    gap = (u[1] * (size - 1).clamp(min=1)).long() + 1  # 1 .. size - 1
    second = start + (first - start + gap) % size
    rows = torch.cat(classes)
    return torch.stack([rows[first], rows[second]], 1)
