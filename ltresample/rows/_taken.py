"""Rows as a network takes them: a few at a time, from any container."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset
from torch.utils.data import Subset

from ltresample._torch import as_tensor, sent, to_numpy
from ltresample.rows._categories import categories_of
from ltresample.rows._pixels import PixelUnit, is_scaled, pixel_unit
from ltresample.rows._sources import RowSource, first_part, stacked
from ltresample.rows._space import Space, space_of
from ltresample.rows._table import Columns, array_columns

__all__ = ["TakenRows", "can_be_held", "row_shape_of", "table_space"]

IN_MEMORY = 256 << 20  # bytes up to which rows are converted once, not batch by batch
CHUNK = 64 << 20  # bytes that are copied to a device together


class TakenRows(RowSource):
    """Rows of one split as floating-point tensors; images of bytes are scaled to [0, 1].

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
    unit : PixelUnit or None
        What the pixels of images were measured in when a network was fitted. None: it is learnt
        from `x`.
    """

    def __init__(
        self,
        x: Any,
        index: np.ndarray | None = None,
        *,
        dtype: torch.dtype,
        device: torch.device | None = None,
        held: torch.device | None = None,
        unit: PixelUnit | None = None,
    ):
        self.x = x
        self.index = index
        self.dtype = dtype
        self.device = device
        self.shape = row_shape_of(x)
        self.unit = pixel_unit(x) if unit is None else unit
        self.pixels = is_scaled(x, self.unit)
        self._ready = self._in_memory() if held is None else self._held(held)
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
        return self._convert(x) if n_bytes <= IN_MEMORY else None

    def _held(self, device: torch.device) -> Tensor:
        """Copy all rows to a device; bytes stay bytes, and are scaled when they are taken."""
        rows = _copy(self.x, self.kept_dtype, device)
        return _scale(rows) if self.pixels and rows.dtype != torch.uint8 else rows

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.shape

    def __len__(self) -> int:
        return _length(self.x) if self.index is None else len(self.index)

    @property
    def kept_dtype(self) -> torch.dtype:
        """Type in which rows are held."""
        is_array = not isinstance(self.x, TorchDataset)
        is_byte = is_array and self.x.dtype in (np.uint8, torch.uint8)
        return torch.uint8 if self.pixels and is_byte else self.dtype

    def take(self, index: Tensor) -> Tensor:
        """Return the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""
        if self._ready is None or self._ready.device.type == "cpu":
            rows = self.gather(index.cpu().numpy())
        else:
            rows = self._take_there(index)
        return rows if self.device is None else sent(rows, self.device)

    def _take_there(self, index: Tensor) -> Tensor:
        """Take rows without waiting for the device."""
        place = self._ready.device
        index = index.to(place)
        if self.index is not None:
            if self._index_there is None:
                self._index_there = torch.from_numpy(self.index).to(place)
            index = self._index_there[index]
        return self._finish(self._ready.index_select(0, index))

    def gather(self, index: np.ndarray) -> Tensor:
        """Return the rows at these positions where they are: without going to the device."""
        at = index if self.index is None else self.index[index]
        if self._ready is not None:
            at = sent(torch.from_numpy(at), self._ready.device)
            return self._finish(self._ready.index_select(0, at))
        if isinstance(self.x, TorchDataset):
            rows = stacked([first_part(self.x[int(i)]).detach() for i in at]).to(self.dtype)
            return _scale(rows) if self.pixels else rows
        at = torch.from_numpy(at).to(self.x.device) if isinstance(self.x, Tensor) else at
        return self._convert(self.x[at])

    def _convert(self, part: Any) -> Tensor:
        if isinstance(part, Tensor) and part is self.x and part.dtype == self.dtype:
            return part.detach()
        part = part.toarray() if sparse.issparse(part) else part
        rows = as_tensor(part, dtype=self.dtype)
        if not self.pixels:
            return rows
        return _scale(rows if rows.dtype != _dtype_of(part) else rows.clone())

    def _finish(self, rows: Tensor) -> Tensor:
        """Scale what is held as bytes."""
        return _scale(rows.to(self.dtype)) if rows.dtype != self.dtype else rows

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
        return type(self)(x, dtype=self.dtype, device=self.device, unit=self.unit)

    def raw(self) -> Any:
        """Return these rows as they came in; of a Dataset a part of it."""
        if self.index is None:
            return self.x
        if isinstance(self.x, TorchDataset):
            return Subset(self.x, self.index.tolist())
        at = torch.from_numpy(self.index) if isinstance(self.x, Tensor) else self.index
        return self.x[at]

    def raw_array(self) -> Any:
        """Return these rows as they came in, those of a Dataset as an array: estimators take one."""
        if not isinstance(self.x, TorchDataset):
            return self.raw()
        at = range(_length(self.x)) if self.index is None else self.index.tolist()
        return to_numpy(stacked([first_part(self.x[i]).detach() for i in at]))


def table_space(
    rows: TakenRows,
    *,
    weight: Tensor | None = None,
    columns: Columns | None = None,
    features: Any = None,
) -> Space:
    """Return the space of training rows, with the columns that hold whole numbers and categories.

    Parameters
    ----------
    rows : TakenRows
        Training rows.
    weight : Tensor of shape (n,) or None, default=None
        Sample weights.
    columns : Columns or None, default=None
        What the columns of a table are; None: numbers of one type.
    features : array-like or None, default=None
        A sampler's `categorical_features`.

    Returns
    -------
    Space
        In the type and place of the rows. The items of a Dataset are not looked at for whole numbers
        and one-hot columns.
    """
    source, is_table = rows.x, len(rows.row_shape) == 1
    if isinstance(source, TorchDataset):
        width = rows.row_shape[0] if is_table else 0
        known = Columns(width) if is_table else None
        values = np.empty((1, *rows.row_shape), dtype=np.float32)
        kinds = categories_of(values, known, () if features is None and is_table else features)
        return space_of(rows, weight=weight, categorical=kinds.mask)
    values = source.detach().cpu().numpy() if isinstance(source, Tensor) else source
    columns = array_columns(values) if columns is None else columns
    kinds = categories_of(values, columns, features)
    whole = None if columns is None else columns.whole_values()
    return space_of(rows, weight=weight, integer=whole, categorical=kinds.mask)


def row_shape_of(x: Any) -> tuple[int, ...]:
    """Return the shape of one row of a container."""
    return tuple(first_part(x[0]).shape) if isinstance(x, TorchDataset) else tuple(x.shape[1:])


def _dtype_of(x: Any) -> torch.dtype:
    """Return the type of an array's numbers as PyTorch's."""
    return x.dtype if isinstance(x, Tensor) else torch.from_numpy(np.empty(0, x.dtype)).dtype


def can_be_held(x: Any) -> bool:
    """Return whether all rows of a container can be copied to a device: dense ones can."""
    return isinstance(x, np.ndarray | Tensor)


def _copy(x: np.ndarray | Tensor, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Copy dense rows to a device, a part at a time: a memory map stays on the disk."""
    held = torch.empty((len(x), *x.shape[1:]), dtype=dtype, device=device)
    n_rows = max(1, CHUNK // max(1, int(np.prod(x.shape[1:])) * x.dtype.itemsize))
    for start in range(0, len(x), n_rows):
        held[start : start + n_rows] = as_tensor(x[start : start + n_rows], dtype=dtype)
    return held


def _scale(rows: Tensor) -> Tensor:
    """Divide new rows by 255; by a tensor, since devices would multiply by a number's inverse."""
    return rows.div_(torch.full((), 255.0, dtype=rows.dtype, device=rows.device))


def _length(x: Any) -> int:
    return len(x) if isinstance(x, TorchDataset) else x.shape[0]
