"""Rows as a network takes them: a few at a time, from any container."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from ltresample._torch import as_tensor

__all__ = ["TakenRows", "can_be_held", "has_pixels", "row_shape_of"]

IN_MEMORY = 256 << 20  # bytes up to which rows are converted once, not batch by batch
CHUNK = 64 << 20  # bytes that are copied to a device together


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

    is_stream = False

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
        """Return the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""
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
        """Return the rows at these positions where they are: without going to the device."""
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
        """Return some of these rows, without copying them."""
        part = object.__new__(type(self))
        vars(part).update(vars(self))
        part.index = index if self.index is None else self.index[index]
        part._index_there = None
        return part

    def on(self, device: torch.device) -> TakenRows:
        """Return the same rows elsewhere."""
        part = object.__new__(type(self))
        vars(part).update(vars(self), device=device)
        return part

    def like(self, x: Any) -> TakenRows:
        """Return rows of another container in the same units and type."""
        return type(self)(x, dtype=self.dtype, device=self.device)

    def raw(self) -> Any:
        """Return these rows as they came in."""
        if self.index is None or isinstance(self.x, TorchDataset):
            return self.x
        at = torch.from_numpy(self.index) if isinstance(self.x, Tensor) else self.index
        return self.x[at]


def row_shape_of(x: Any) -> tuple[int, ...]:
    """Return the shape of one row of a container."""
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
