"""The real samples that a method may use."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltresample._random import Seed
from ltresample.rows._sources import ArrayRows, Rows
from ltresample.rows._space import Space, space_of

__all__ = ["ClassIndex", "Pool", "index_of", "pool_of"]


class ClassIndex(NamedTuple):
    """The rows of each class, one class after the other; a pool's is built once, on the CPU.

    Examples
    --------
    >>> index = ClassIndex.of(torch.tensor([1, 0, 1, 0]), 3)
    >>> index.draw(torch.tensor([1, 1, 0]), torch.tensor([0.0, 0.9, 0.5]))
    tensor([0, 2, 3])
    >>> [rows.tolist() for rows in index.split()]
    [[1, 3], [0, 2], []]
    """

    order: Tensor  # (n,) rows, sorted by class, in a class as they stand
    start: Tensor  # (K,) where each class begins in `order`
    counts: Tensor  # (K,) rows of each class

    @classmethod
    def of(cls, y: Tensor, n_classes: int) -> ClassIndex:
        """Sort the rows with class index `y` (n,) by class."""
        order = y.argsort(stable=True)
        classes = torch.arange(n_classes, device=y.device)
        start = torch.searchsorted(y[order], classes)
        return cls(order, start, torch.searchsorted(y[order], classes, right=True) - start)

    def draw(self, k: Tensor, u: Tensor) -> Tensor:
        """Return a row of each of the classes `k` (m,), all rows of a class alike, by `u` in [0, 1).

        A class without rows gives some row.
        """
        place = self.start[k] + (u.to(k.device) * self.counts[k]).long()
        return self.order[place.clamp(max=len(self.order) - 1)]

    def draw_other(self, k: Tensor, u: Tensor) -> Tensor:
        """Return a row of another class than `k` (m,), all rows alike, by `u`; -1: there is none."""
        n = len(self.order)
        rank = (u * (n - self.counts[k])).long()  # among the rows of other classes, as they stand
        # the i-th row p_i of a class has p_i - i rows of other classes before it
        own = self.order - (torch.arange(n) - self.start[self._class_of_order()])
        key = self._class_of_order() * (n + 1) + own
        passed = torch.searchsorted(key, k * (n + 1) + rank, right=True) - self.start[k]
        return torch.where(self.counts[k] < n, rank + passed, -1)

    def _class_of_order(self) -> Tensor:
        return torch.repeat_interleave(torch.arange(len(self.counts)), self.counts)

    def among(self, allowed: Tensor) -> ClassIndex:
        """Return the index of the rows that are allowed (n,), by their positions here."""
        kept = allowed[self.order]
        counts = torch.bincount(self._class_of_order()[kept], minlength=len(self.counts))
        return ClassIndex(self.order[kept], counts.cumsum(0) - counts, counts)

    def rows(self, k: int) -> Tensor:
        """Return the rows of one class."""
        return self.order.narrow(0, int(self.start[k]), int(self.counts[k]))

    def split(self) -> tuple[Tensor, ...]:
        """Return the rows of each class as K tensors."""
        return self.order.split(self.counts.tolist())


@dataclass(frozen=True)
class Pool:
    """The real samples that a method may use."""

    x: Rows
    y: Tensor  # (n,) class index, 0..K-1
    class_counts: Tensor  # (K,) training counts N_k; of the whole training set, also for a batch
    space: Space
    aux_x: Rows | None = None  # open-set samples: of none of the classes
    reference: Pool | None = None  # where real sets of a class come from, if not from here
    in_batch: bool = False  # x is a mini-batch that an index sampler has already balanced
    weight: Tensor | None = None  # (n,) sample weights; None: all alike
    augment: Callable[[Tensor, Any], Tensor] | None = None  # of rows in training, (x, generator)

    index: Tensor | None = None  # (n,) of a mini-batch: positions in `reference`
    y_here: Tensor | None = None  # (n,) `y` on the CPU, where it is known there

    @cached_property
    def labels(self) -> Tensor:
        """`y` on the CPU, where rows are chosen: if it has to come from a device, choosing waits."""
        return self.y.cpu() if self.y_here is None else self.y_here

    @cached_property
    def counts(self) -> Tensor:
        """`class_counts` on the CPU."""
        return self.class_counts.cpu() if self.reference is None else self.reference.counts

    @cached_property
    def classes(self) -> ClassIndex:
        """The rows of each class, on the CPU."""
        return ClassIndex.of(self.labels, len(self.class_counts))

    def of_batch(
        self, x: Tensor, y: Tensor, index: Tensor | None = None, y_here: Tensor | None = None
    ) -> Pool:
        """Return a mini-batch (B, ...) as a pool, in the units of this one."""
        rows = ArrayRows(x, dtype=x.dtype, device=x.device)
        own = {"x": rows, "y": y, "index": index, "y_here": y_here}
        return self._replace(reference=self, in_batch=True, **own)

    def take(self, index: Tensor, seed: Seed) -> Tensor:
        """Return the rows at `index` (m,), augmented as the batches of a training run are."""
        x = self.x.take(index)
        return x if self.augment is None else self.augment(x, seed.torch())

    def _replace(self, **changes: Any) -> Pool:
        """Return a pool with other parts."""
        return replace(self, **changes)


def index_of(array: np.ndarray | list[int], device=None) -> Tensor:
    """Return positions as a tensor of 64-bit integers."""
    return torch.as_tensor(np.asarray(array, dtype=np.int64), device=device)


def pool_of(
    rows: Rows,
    y: Tensor,
    counts: np.ndarray,
    *,
    aux: Rows | None = None,
    weight: Tensor | None = None,
    space: Space | None = None,
) -> Pool:
    """Return the engine its view of real samples.

    Parameters
    ----------
    rows : Rows
        The samples.
    y : Tensor of shape (n,)
        Class index.
    counts : ndarray of shape (K,)
        Training counts.
    aux : Rows or None, default=None
        Open-set samples.
    weight : Tensor of shape (n,) or None, default=None
        Sample weights.
    space : Space or None, default=None
        Units and bounds; None: those of the rows.

    Returns
    -------
    Pool
        On the device of the rows.
    """
    space = space_of(rows, weight=weight) if space is None else space
    device = space.scale.device
    return Pool(
        x=rows,
        y=y.to(device),
        class_counts=torch.as_tensor(counts, device=device),
        space=space,
        aux_x=aux,
        weight=None if weight is None else weight.to(device),
    )
