"""Rows as a network takes them: a few at a time, from any container, in batches of positions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from skorch.dataset import Dataset
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from ltresample._torch import as_tensor

__all__ = [
    "BatchRows",
    "FetchedBatches",
    "RowDataset",
    "TakenRows",
    "as_it_is",
    "can_be_held",
    "has_pixels",
    "row_shape_of",
]

IN_MEMORY = 256 << 20  # bytes up to which rows are converted once, not batch by batch
CHUNK = 64 << 20  # bytes that are copied to a device together


class BatchRows(NamedTuple):
    """Rows of a training batch, where more than the rows is needed."""

    x: Tensor  # (B, ...)
    index: Tensor  # (B,) positions in the training split
    weight: Tensor  # (B,) sample weights


class TakenRows:
    """Rows of one split as floating-point tensors; images of 8-bit numbers are scaled to [0, 1].

    Implements the engine's `Rows`.

    Parameters
    ----------
    x : ndarray, CSR matrix, Tensor or map-style torch Dataset of (row, label) with n items
        Never written.
    index : ndarray of shape (m,) or None
        The rows of this split; None: all.
    dtype : torch.dtype
        Floating-point type of the rows that are given.
    device : torch.device or None
        Where they are given; None: where they are.
    held : torch.device or None
        Where all of them are kept, 8-bit images as bytes, and taken from. None: where they are.
    """

    def __init__(
        self,
        x: Any,
        index: np.ndarray | None = None,
        *,
        dtype: torch.dtype,
        device: torch.device | None = None,
        held: torch.device | None = None,
    ):
        self.x = x
        self.index = index
        self.dtype = dtype
        self.device = device
        self.shape = row_shape_of(x)
        self.pixels = has_pixels(x)
        self._ready = self._in_memory() if held is None else _copied(x, self.kept_dtype, held)
        self._index_there: Tensor | None = None  # `index` where `_ready` is

    def _in_memory(self) -> Tensor | None:
        """Convert once what is small enough; a float array in memory is only looked at."""
        x = self.x
        if isinstance(x, TorchDataset | np.memmap):
            return None
        if isinstance(x, np.ndarray) and x.flags.writeable and not self.pixels:
            view = as_tensor(x)
            if view.dtype == self.dtype:
                return view
        n_bytes = x.shape[0] * int(np.prod(self.shape)) * self.dtype.itemsize
        return self._converted(x) if n_bytes <= IN_MEMORY else None

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape

    def __len__(self) -> int:
        return _length(self.x) if self.index is None else len(self.index)

    @property
    def kept_dtype(self) -> torch.dtype:
        """Type in which rows are held."""
        return torch.uint8 if self.pixels else self.dtype

    def take(self, index: Tensor) -> Tensor:
        """Give the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""
        if self._ready is None or self._ready.device.type == "cpu":
            rows = self.gather(index.cpu().numpy())
        else:
            rows = self._taken_there(index)
        return rows if self.device is None else rows.to(self.device)

    def _taken_there(self, index: Tensor) -> Tensor:
        """Take rows without waiting for the device."""
        place = self._ready.device
        index = index.to(place)
        if self.index is not None:
            if self._index_there is None:
                self._index_there = torch.from_numpy(self.index).to(place)
            index = self._index_there[index]
        return self._finished(self._ready.index_select(0, index))

    def gather(self, index: np.ndarray) -> Tensor:
        """Give the rows at these positions where they are: without going to the device."""
        at = index if self.index is None else self.index[index]
        if self._ready is not None:
            at = torch.from_numpy(at).to(self._ready.device, non_blocking=True)
            return self._finished(self._ready.index_select(0, at))
        if isinstance(self.x, TorchDataset):
            rows = torch.stack([as_tensor(self.x[int(i)][0]) for i in at])
            return rows.to(self.dtype)
        at = torch.from_numpy(at).to(self.x.device) if isinstance(self.x, Tensor) else at
        return self._converted(self.x[at])

    def _converted(self, part: Any) -> Tensor:
        if isinstance(part, Tensor) and part is self.x and part.dtype == self.dtype:
            return part.detach()
        part = part.toarray() if sparse.issparse(part) else part
        rows = as_tensor(part, dtype=self.dtype)
        return _scaled(rows) if self.pixels else rows

    def _finished(self, rows: Tensor) -> Tensor:
        """Scale what is held as bytes."""
        return _scaled(rows.to(self.dtype)) if rows.dtype != self.dtype else rows

    def subset(self, index: np.ndarray) -> TakenRows:
        """Give some of these rows, without copying them."""
        part = object.__new__(type(self))
        vars(part).update(vars(self))
        part.index = index if self.index is None else self.index[index]
        part._index_there = None
        return part

    def on(self, device: torch.device) -> TakenRows:
        """Give the same rows elsewhere."""
        part = object.__new__(type(self))
        vars(part).update(vars(self), device=device)
        return part

    def like(self, x: Any) -> TakenRows:
        """Give rows of another container in the same units and type."""
        return type(self)(x, dtype=self.dtype, device=self.device)

    def raw(self) -> Any:
        """Give these rows as they came in."""
        if self.index is None or isinstance(self.x, TorchDataset):
            return self.x
        at = torch.from_numpy(self.index) if isinstance(self.x, Tensor) else self.index
        return self.x[at]


class RowDataset(Dataset):
    """A data set that is indexed by batches of positions; skorch takes it for one of its own.

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
        """Give some of the rows, without copying them."""
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


def row_shape_of(x: Any) -> tuple[int, ...]:
    """Give the shape of one row of a container."""
    return tuple(as_tensor(x[0][0]).shape) if isinstance(x, TorchDataset) else tuple(x.shape[1:])


def has_pixels(x: Any) -> bool:
    """Tell whether rows are images of 8-bit numbers."""
    return len(row_shape_of(x)) > 1 and getattr(x, "dtype", None) in (np.uint8, torch.uint8)


def can_be_held(x: Any) -> bool:
    """Tell whether all rows of a container can be copied to a device: dense ones can."""
    return isinstance(x, np.ndarray | Tensor)


def _copied(x: np.ndarray | Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copy dense rows to a device, a part at a time: a memory map stays on the disk."""
    held = torch.empty((len(x), *x.shape[1:]), dtype=dtype, device=device)
    n_rows = max(1, CHUNK // max(1, int(np.prod(x.shape[1:])) * x.dtype.itemsize))
    for start in range(0, len(x), n_rows):
        held[start : start + n_rows] = as_tensor(x[start : start + n_rows], dtype=dtype)
    return held


def _scaled(rows: Tensor) -> Tensor:
    """Divide new rows by 255; by a tensor, since devices would multiply by a number's inverse."""
    return rows.div_(torch.full((), 255.0, dtype=rows.dtype, device=rows.device))


def _length(x: Any) -> int:
    return len(x) if isinstance(x, TorchDataset) else x.shape[0]
