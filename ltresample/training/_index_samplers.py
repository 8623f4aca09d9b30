"""Which rows an epoch sees, in which order: a stream of positions that may change its law."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import Tensor
from torch.utils.data import BatchSampler, Sampler

from ltresample._random import root_seed

__all__ = ["ClassIndexSampler", "IndexBatches"]


class ClassIndexSampler(Sampler):
    """Positions of one epoch: each row once, or drawn with replacement by class weights.

    The stream of an epoch depends on `random_state`, the epoch and the class weights only, so that
    all processes of a distributed run see the same one and an interrupted run can go on. A data
    loader asks for it anew in every epoch; what is set in between takes effect there, which is how
    deferred re-sampling starts without a new loader.

    Parameters
    ----------
    y : array-like of shape (n,) or None, default=None
        Class index of each row, 0..K-1. None: to be told by `set_labels` before the first epoch.
    random_state : int, RandomState or None, default=None
        Root of all streams.

    Attributes
    ----------
    epoch : int
        The epoch whose positions come next, from 0; see `set_epoch`.
    class_weight : ndarray of shape (n_classes,) or None
        None: each row once, shuffled. Else rows are drawn with replacement, row i with probability
        proportional to ``class_weight[y_i]``; as many as there are rows.

    See Also
    --------
    DeferredResampling : Sets class weights at an epoch.

    Examples
    --------
    >>> sampler = ClassIndexSampler([0, 0, 0, 0, 0, 0, 1, 1], random_state=0)
    >>> sorted(sampler)
    [0, 1, 2, 3, 4, 5, 6, 7]
    >>> sampler.set_class_weight([1 / 6, 1 / 2])  # class-balanced
    >>> sampler.set_epoch(3)
    >>> torch.equal(sampler.positions(), sampler.positions())
    True
    """

    def __init__(self, y: ArrayLike | None = None, *, random_state=None):
        self.seed = root_seed(random_state)
        self.epoch = 0
        self.class_weight: NDArray[np.float64] | None = None
        self.y: Tensor | None = None
        if y is not None:
            self.set_labels(y)

    def set_labels(self, y: ArrayLike) -> None:
        """Set the class index of each row."""
        self.y = torch.as_tensor(np.asarray(y), dtype=torch.int64)

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, from 0, whose positions come next."""
        self.epoch = int(epoch)

    def set_class_weight(self, class_weight: ArrayLike | None) -> None:
        """Draw rows in proportion to the weight of their class from now on; None: each row once.

        Raises
        ------
        ValueError
            If a weight is negative or not finite, a class of `y` has none, or all are 0.
        """
        if class_weight is None:
            self.class_weight = None
            return
        weight = np.asarray(class_weight, dtype=np.float64)
        n_classes = int(self.y.max()) + 1 if self.y is not None and len(self.y) else 0
        usable = weight.ndim == 1 and np.isfinite(weight).all() and (weight >= 0).all()
        if not usable or not weight.any() or len(weight) < n_classes:
            raise ValueError(
                f"class_weight must hold a weight for each of {n_classes} classes, finite, at least "
                f"0 and not all 0. Got {class_weight!r}."
            )
        self.class_weight = weight

    def positions(self) -> Tensor:
        """Return all positions of the epoch, (n,)."""
        if self.y is None:
            raise RuntimeError(
                "ClassIndexSampler does not know the labels yet. Got y=None. Pass y, call "
                "set_labels(y), or use it with the callback DeferredResampling."
            )
        n, generator = len(self.y), self.seed.child("positions", self.epoch).torch()
        if self.class_weight is None:
            return torch.randperm(n, generator=generator)
        cumulative = torch.from_numpy(self.class_weight)[self.y].cumsum(0)
        u = torch.rand(n, generator=generator, dtype=torch.float64) * cumulative[-1]
        return torch.searchsorted(cumulative, u, right=True).clamp(max=n - 1)

    def __iter__(self) -> Iterator[int]:
        return iter(self.positions().tolist())

    def __len__(self) -> int:
        return 0 if self.y is None else len(self.y)


class IndexBatches(BatchSampler):
    """Lists of positions, cut from a `ClassIndexSampler` in order; the batch size may change.

    For ``batch_sampler=`` of a data loader. The positions do not depend on the batch size.

    Parameters
    ----------
    sampler : ClassIndexSampler or range
        Source of the positions.
    batch_size : int
        Rows in a batch; may be set between epochs.
    drop_last : bool, default=False
        Leave out a last batch that is not full.

    Examples
    --------
    >>> [len(batch) for batch in IndexBatches(range(10), 4)]
    [4, 4, 2]
    """

    def __init__(self, sampler, batch_size: int, *, drop_last: bool = False):
        super().__init__(sampler, batch_size, drop_last)

    def __iter__(self) -> Iterator[list[int]]:
        positions = self.sampler if isinstance(self.sampler, range) else list(self.sampler)
        for start in range(0, len(self) * self.batch_size, self.batch_size):
            yield positions[start : start + self.batch_size]
