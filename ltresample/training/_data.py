"""Training data in batches of positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from skorch.dataset import Dataset
from torch import Tensor

from ltresample.rows import TakenRows

__all__ = ["BatchRows", "FetchedBatches", "RowDataset", "as_it_is"]


class BatchRows(NamedTuple):
    """Rows of a training batch, where more than the rows is needed."""

    x: Tensor  # (B, ...)
    index: Tensor  # (B,) positions in the training split
    weight: Tensor  # (B,) sample weights


class RowDataset(Dataset):
    """A data set that is indexed by batches of positions; skorch treats it as one of its own.

    Parameters
    ----------
    rows : TakenRows
        The rows.
    labels : ndarray of shape (n,) or None
        As the user names classes.
    y : ndarray of shape (n,) or None
        Class index.
    weight : ndarray of shape (n,) or None
        Sample weights, of mean 1.
    index : ndarray of shape (n,) or None
        Positions in the data that were passed to ``fit``; None: all of them.
    """

    annotated = False  # whether batches carry positions and sample weights

    def __init__(self, rows: TakenRows, labels=None, y=None, weight=None, index=None):
        self.rows = rows
        self.y = labels
        self.target = None if y is None else torch.from_numpy(np.asarray(y, dtype=np.int64))
        self.weight = None if weight is None else torch.from_numpy(np.asarray(weight))
        self.index = np.arange(len(rows)) if index is None else index

    @property
    def X(self) -> Any:
        """The rows as they came in; scoring callbacks read it."""
        return self.rows.raw()

    @property
    def shape(self) -> tuple[int, ...]:
        """Number of rows and shape of a row; skorch's `InputShapeSetter` reads it."""
        return (len(self), *self.rows.row_shape)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: Any) -> tuple[Any, Tensor]:
        at = np.asarray(index, dtype=np.int64)
        if at.ndim == 0:
            x, y = self[at[None]]
            return x[0], y[0]
        x, i = self.rows.gather(at), torch.from_numpy(at)
        y = x.new_zeros(len(x), dtype=torch.int64) if self.target is None else self.target[i]
        if not self.annotated:
            return x, y
        weight = torch.ones(len(i)) if self.weight is None else self.weight[i]
        return BatchRows(x, i, weight), y

    def __getitems__(self, index: list[int]) -> tuple[Any, Tensor]:
        """Fetch a batch at once; PyTorch's loaders ask for this method."""
        return self[index]

    def subset(self, index: np.ndarray) -> RowDataset:
        """Return some of the rows, without copying them."""
        return type(self)(
            self.rows.subset(index),
            None if self.y is None else self.y[index],
            None if self.target is None else self.target.numpy()[index],
            None if self.weight is None else self.weight.numpy()[index],
            self.index[index],
        )


class FetchedBatches:
    """A loader without workers: fetches each batch of positions at once."""

    generator = None  # of workers

    def __init__(self, dataset: RowDataset, batches: Iterable[list[int]]):
        self.dataset = dataset
        self.batches = batches

    def __iter__(self) -> Iterator[tuple[Any, Tensor]]:
        return map(self.dataset.__getitem__, self.batches)

    def __len__(self) -> int:
        return len(self.batches)


def as_it_is(batch: Any) -> Any:
    """Collate what is a batch already."""
    return batch
