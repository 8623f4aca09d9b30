"""SAFA before training: networks fitted on feature vectors, then rows for the classes that lack them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ltresample._progress import counted
from ltresample._random import Seed
from ltresample._torch import evaluating
from ltresample.models import LinearHead
from ltresample.rows import Pool
from ltresample.synthesis._method import Made, Method, RealBatch, Slots
from ltresample.synthesis._safa import (
    SafaSettings,
    augment_tail,
    draw_same_class_pairs,
    head_classes,
)
from ltresample.synthesis._safa_networks import SafaNetworks
from ltresample.synthesis._seeds import SeedDraw

__all__ = ["FittedSafa", "Safa", "SafaRecipe", "SafaRowsDraw", "fit_safa"]

N_LOOKED_AT = 1024  # rows that set the batch statistics


class SafaRecipe(NamedTuple):
    """How E, D, G and Q are trained offline."""

    head_ratio: float = 0.2  # gamma: share of the classes that are the head
    width: int | None = None  # hidden channels; None: C, of vectors in [64, 256], of maps >= 16
    residual: bool = False  # G adds to its input
    n_steps: int | None = None  # None: 6 passes over the data, within the bounds below
    min_steps: int = 30
    max_steps: int = 40
    n_pairs: int = 64  # of head samples in a batch, and as many of tail samples
    lr: float = 0.01
    weight_decay: float = 0.0002

    def steps_for(self, n_rows: int) -> int:
        """Return the number of gradient steps."""
        if self.n_steps is not None:
            return self.n_steps
        return min(max(6 * n_rows // (2 * self.n_pairs), self.min_steps), self.max_steps)


class SafaRowsDraw(NamedTuple):
    """All random choices for m rows."""

    y_target: Tensor  # (m,)
    seeds: SeedDraw  # the row that is moved; anchor: another row of its class
    head: Tensor  # (m, 2) a pair of rows of one head class

    @classmethod
    def joined(cls, draws: list[SafaRowsDraw]) -> SafaRowsDraw:
        """Put several draws after each other."""
        seeds = SeedDraw(*(torch.cat(part) for part in zip(*(d.seeds for d in draws), strict=True)))
        return cls(
            torch.cat([d.y_target for d in draws]), seeds, torch.cat([d.head for d in draws])
        )


class SafaState(NamedTuple):
    """What SAFA keeps."""

    pool: Pool
    head: list[Tensor]  # rows of each head class that has pairs


class FittedSafa(NamedTuple):
    """E, D, G and Q after training, in evaluation mode, and what they were trained with."""

    networks: SafaNetworks
    classifier: nn.Module  # linear, of the standardised rows
    is_head: Tensor  # (K,) bool


def fit_safa(
    pool: Pool,
    seed: Seed,
    settings: SafaSettings | None = None,
    recipe: SafaRecipe | None = None,
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
    settings : SafaSettings or None, default=None
        Weights and readings; None: the defaults.
    recipe : SafaRecipe or None, default=None
        How to train; None: the defaults.

    Returns
    -------
    FittedSafa
        On the pool's device.

    Raises
    ------
    ValueError
        If there is no tail class, or no head class with two samples.
    """
    settings, recipe = settings or SafaSettings(), recipe or SafaRecipe()
    is_head = head_classes(pool.class_counts, recipe.head_ratio)
    fitted = FittedSafa(*_build(pool, seed.child("init"), recipe), is_head)
    parameters = [*fitted.networks.parameters(), *fitted.classifier.parameters()]
    optimizer = torch.optim.AdamW(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
    n_steps = recipe.steps_for(len(pool.y))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, n_steps))
    sides = _sides(pool, is_head)
    for step in counted(range(n_steps), n_steps):
        # half of a batch head pairs, half tail pairs, as they meet in `draw_same_class_pairs`
        own = seed.child("step", step)
        rows = [random_pairs(rows, recipe.n_pairs, own.child(i)) for i, rows in enumerate(sides)]
        loss = _loss(fitted, pool, torch.cat(rows).flatten(), settings, own)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
    _set_statistics(fitted.networks, pool, sides, seed.child("statistics"))
    return fitted._replace(networks=fitted.networks.eval(), classifier=fitted.classifier.eval())


def _build(pool: Pool, seed: Seed, recipe: SafaRecipe) -> tuple[SafaNetworks, nn.Module]:
    shape, like, generator = pool.x.row_shape, pool.space.scale, seed.torch()
    maps, n_features = len(shape) == 3, math.prod(shape)
    n_channels = shape[0] if maps else n_features
    networks = SafaNetworks(
        n_channels,
        n_dims=2 if maps else 0,
        width=recipe.width or (max(n_channels, 16) if maps else min(max(n_channels, 64), 256)),
        residual=recipe.residual,
        generator=generator,
    )
    head = LinearHead(n_features, len(pool.class_counts), generator=generator)
    return networks.to(like), nn.Sequential(nn.Flatten(), head).to(like)


def _sides(pool: Pool, is_head: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """List the rows of each head class that has pairs, and those of each tail class."""
    members = pool.classes.split()
    head = [members[k] for k in is_head.nonzero()[:, 0]]
    return [rows for rows in head if len(rows) > 1], [
        members[k] for k in (~is_head).nonzero()[:, 0]
    ]


def _loss(
    fitted: FittedSafa, pool: Pool, rows: Tensor, settings: SafaSettings, seed: Seed
) -> Tensor:
    """Compute Eq. 1, L_cls being the cross-entropy of the linear classifier."""
    x, y = standard_rows(pool, rows), pool.y[rows]
    per_pair = settings.augmented_per_pair
    draw = draw_same_class_pairs(y, fitted.is_head, seed, augmented_per_pair=per_pair)
    made = augment_tail(fitted.networks, x, y, draw.to(y.device), settings)
    logits = fitted.classifier(torch.cat([x, made.x]))
    return cross_entropy(logits, torch.cat([y, made.y])) + made.loss


@torch.no_grad()
def _set_statistics(networks: SafaNetworks, pool: Pool, sides: Any, seed: Seed) -> None:
    """Return batch normalisation the statistics of what will be made.

    In training D and G see tail and head features in turn, so that running means fit neither.
    """
    for part in networks.modules():
        if isinstance(part, nn.BatchNorm1d | nn.BatchNorm2d):
            part.reset_running_stats()
            part.momentum = 1.0
    head, tail = (random_pairs(rows, N_LOOKED_AT, seed.child(i)) for i, rows in enumerate(sides))
    head_i, head_j, tail_i = (standard_rows(pool, index) for index in (*head.T, tail[:, 0]))
    networks.move(networks.delta(head_i - head_j), tail_i)


def standard_rows(pool: Pool, index: Tensor) -> Tensor:
    """Take rows in the units of the pool's space, as the networks see them."""
    x = pool.space.standardized(pool.x.take(index))
    return x if x.dim() == 4 else x.flatten(1)


@dataclass(frozen=True)
class Safa(Method):
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

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None = None) -> SafaState:
        """List the rows of the head classes that have pairs."""
        return SafaState(pool, _sides(pool, self.fitted.is_head)[0])

    def request(self, state: SafaState, batch: RealBatch, seed: Seed) -> Slots:
        """Refuse: in training SAFA stands between two layers."""
        raise TypeError(
            "SAFA cannot replace samples of a mini-batch: in training it augments the output of a "
            "layer. Got a SAFASampler in training. Pass ltresample.training.SAFA(layer=...)."
        )

    def draw(self, state: SafaState, slots: Slots, seed: Seed, shared: Seed) -> SafaRowsDraw:
        """Choose a row of the class, another one, and a head pair for each row."""
        y, members = slots.y, state.pool.classes
        own = torch.full((len(y), 2), -1)
        for k in y.unique().tolist():
            here = y == k
            own[here] = random_pairs([members.rows(k)], int(here.sum()), seed.child("own", k))
        reach = torch.full((len(own),), torch.nan, dtype=torch.float64)
        seeds = SeedDraw(own[:, 0], y, own[:, 1], reach)
        return SafaRowsDraw(y, seeds, random_pairs(state.head, len(own), seed.child("head")))

    def make(self, state: SafaState, draws: list[SafaRowsDraw], f=None) -> Made:
        """Make the rows of some blocks."""
        draw, pool, space = SafaRowsDraw.joined(draws), state.pool, state.pool.space
        networks, classifier, *_ = self.fitted
        seed_x = pool.x.take(draw.seeds.index)
        head_i, head_j, tail = (
            standard_rows(pool, index) for index in (*draw.head.T, draw.seeds.index)
        )
        with torch.no_grad(), evaluating(networks, classifier):
            made = networks.move(networks.delta(head_i - head_j), tail)  # Eq. 2 and 3
            step = (made - tail).view_as(seed_x) * space.scale  # 0 in constant columns
            if space.keep_zeros:
                near = pool.x.take(draw.seeds.anchor)
                step = step * ((seed_x != 0) | (near != 0))
            if space.categorical is not None:  # the categories of a row of the class stay together
                step = step.masked_fill(space.categorical, 0)
            x = space.rounded(space.project(seed_x + step))
            proba = classifier(space.standardized(x).flatten(1)).softmax(1).cpu()
        # a row that rounding has put back on its seed would be a duplicate called synthetic
        accepted = (x != seed_x).flatten(1).any(1).cpu()
        confidence = proba.gather(1, draw.y_target[:, None])[:, 0]
        return Made(
            accepted,
            x[accepted.nonzero()[:, 0].to(x.device)],
            draw.seeds.index,
            draw.seeds.y_source,
            confidence.where(accepted, torch.nan),
        )


def random_pairs(classes: list[Tensor], n: int, seed: Seed) -> Tensor:
    """Draw n pairs (n, 2) of rows of one class: the first any row, the second another of its class.

    Classes come in proportion to their rows; a class with one row gives it twice.
    """
    sizes = torch.tensor([len(rows) for rows in classes])
    u = torch.rand(2, n, generator=seed.torch(), dtype=torch.float64)
    first = (u[0] * sizes.sum()).long()
    of = torch.searchsorted(sizes.cumsum(0), first, right=True)
    start, size = (sizes.cumsum(0) - sizes)[of], sizes[of]
    # a step of less than a whole turn around the class never comes back to the first row
    gap = (u[1] * (size - 1).clamp(min=1)).long() + 1  # 1 .. size - 1
    second = start + (first - start + gap) % size
    rows = torch.cat(classes)
    return torch.stack([rows[first], rows[second]], 1)
