"""Units and bounds of the rows: what a step is measured in, by one rule before and in training."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ltresample.rows._sources import Rows

__all__ = ["Space", "Units", "space_of", "units_of"]

CHUNK = 4 << 20  # bytes of rows looked at together; sums over them need three copies in doubles
N_IMAGES = 1024  # images that tell the range of pixels, where they are not in memory
SMALLEST, LARGEST = 1e-140, 1e140  # numbers whose squares are doubles


class Space(NamedTuple):
    """The space in which steps are measured, and what a row may look like.

    Lengths are Euclidean in ``(x - center) / scale``; a column of scale 0 never moves. With center
    0, scale 1, lower 0 and upper 1 this is the papers' pixel space.
    """

    center: Tensor  # broadcasts to a row, as do the next three
    scale: Tensor  # >= 0
    lower: Tensor
    upper: Tensor
    integer: Tensor | None = None  # bool, broadcasts to a row: columns that hold whole numbers
    keep_zeros: bool = False  # move only where the seed or its anchor is not zero (sparse rows)
    categorical: Tensor | None = None  # bool, broadcasts to a row: columns that never move

    @classmethod
    def pixels(cls, *, dtype: torch.dtype = torch.float32, device=None) -> Space:
        """Return the papers' space: images in [0, 1], lengths as they are."""
        one = torch.ones((), dtype=dtype, device=device)
        return cls(center=0 * one, scale=one, lower=0 * one, upper=one)

    def project(self, x: Tensor) -> Tensor:
        """Clip to the allowed range."""
        return torch.clamp(x, self.lower, self.upper)

    def rounded(self, x: Tensor) -> Tensor:
        """Put whole-number columns on whole numbers."""
        return x if self.integer is None else torch.where(self.integer, x.round(), x)

    def standardized(self, x: Tensor) -> Tensor:
        """Return (x - center) / scale, 0 in columns that never move."""
        inverse = torch.where(self.scale > 0, 1 / self.scale, torch.zeros_like(self.scale))
        return torch.addcmul(-self.center * inverse, x, inverse)  # one pass over x


class Units(NamedTuple):
    """Center, scale and bounds of rows in double precision."""

    center: Tensor
    scale: Tensor
    lower: Tensor
    upper: Tensor
    keep_zeros: bool = False

    def type(self) -> torch.dtype:
        """Return single precision where it resolves a thousandth of each column's spread."""
        single = torch.finfo(torch.float32)
        largest = torch.maximum(self.lower.abs(), self.upper.abs())
        moving = self.scale > 0
        blurred = moving & (single.eps * largest > 1e-3 * self.scale)
        # squares of distances and their inverses have to be numbers, too
        beyond = moving & ((largest > 1e18) | (self.scale < 1e-18))
        return torch.float64 if bool((blurred | beyond).any()) else torch.float32

    def space(
        self,
        dtype: torch.dtype,
        device: Any = None,
        *,
        integer: Any = None,
        categorical: Any = None,
    ) -> Space:
        """Return the space in a type and place, with masks of columns."""
        return Space(
            *(part.to(dtype=dtype, device=device) for part in self[:4]),
            integer=None if integer is None else torch.as_tensor(integer, device=device),
            keep_zeros=self.keep_zeros,
            categorical=None
            if categorical is None
            else torch.as_tensor(categorical, device=device),
        )


def space_of(
    rows: Rows, *, weight: Tensor | None = None, integer: Any = None, categorical: Any = None
) -> Space:
    """Return the units and bounds of rows as a network takes them.

    Parameters
    ----------
    rows : Rows
        Rows.
    weight : Tensor of shape (n,) or None, default=None
        Sample weights of the rows.
    integer, categorical : ndarray of bool or None, default=None
        Columns of whole numbers, and of categories.

    Returns
    -------
    Space
        In the type and place of the rows.
    """
    one = rows.take(torch.zeros(1, dtype=torch.int64))
    units = units_of(rows, weight=weight)
    return units.space(one.dtype, one.device, integer=integer, categorical=categorical)


def units_of(rows: Rows, *, weight: Tensor | None = None) -> Units:
    """Return the units and bounds of rows.

    Images: bytes are measured in 255, pixels in [0, 1] as they are, others in the range that is
    there. Tables: mean, standard deviation and range of each column; where most entries are zero,
    zero and the root mean square of a column's other entries.

    Parameters
    ----------
    rows : Rows
        Rows.
    weight : Tensor of shape (n,) or None, default=None
        Sample weights of the rows.

    Returns
    -------
    Units
        In double precision.
    """
    source = rows.x
    if len(rows.row_shape) > 1:
        return _image_units(rows, source)
    if weight is None and sparse.issparse(source) and len(rows) == source.shape[0]:
        return _sparse_units(source)
    return _table_units(rows, None if weight is None else weight.double())


def _image_units(rows: Rows, source: Any) -> Units:
    if rows_are_bytes(rows):
        return _of_numbers(0, 255, 0, 255)
    in_memory = isinstance(source, np.ndarray | Tensor) and not isinstance(source, np.memmap)
    n = len(rows) if in_memory else min(N_IMAGES, len(rows))
    index = torch.linspace(0, len(rows) - 1, n, dtype=torch.float64).long()
    low, high = torch.inf, -torch.inf
    for _, x in _chunks(rows, index):
        low, high = min(low, float(x.min())), max(high, float(x.max()))
    if low >= 0 and high <= 1:
        return _of_numbers(0, 1, 0, 1)
    return _of_numbers(low, max(high - low, torch.finfo(torch.float32).tiny), low, high)


def rows_are_bytes(rows: Rows) -> bool:
    """Return whether images are given as numbers from 0 to 255."""
    return rows.gives_bytes


def _of_numbers(*numbers: float) -> Units:
    return Units(*(torch.tensor(float(number), dtype=torch.float64) for number in numbers))


def _chunks(rows: Rows, index: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    n_bytes = 4 * max(1, torch.Size(rows.row_shape).numel())
    for part in index.split(max(1, CHUNK // n_bytes)):
        yield part, rows.take(part)


def _unit_power(largest: Tensor) -> Tensor:
    """Return 1, or for a column whose squares are no doubles a power of 2 of its size."""
    odd = (largest > LARGEST) | ((largest < SMALLEST) & (largest > 0))
    return torch.where(odd, torch.exp2(torch.log2(largest.where(odd, 1)).floor()), 1.0)


def _table_units(rows: Rows, weight: Tensor | None) -> Units:
    everything = torch.arange(len(rows))
    total = float(len(rows)) if weight is None else float(weight.sum())

    def parts(unit: Any = None) -> Iterator[tuple[Callable[[Tensor], Tensor], Tensor]]:
        for part, x in _chunks(rows, everything):
            wide = x.double() if unit is None else x.double() / unit
            w = None if weight is None else weight[part].to(x.device)[:, None]
            yield (lambda z, w=w: z.sum(0) if w is None else (w * z).sum(0)), wide

    lower, upper, filled, mean = torch.inf, -torch.inf, 0.0, 0.0
    for weighted, x in parts():
        lower = torch.minimum(x.amin(0), torch.as_tensor(lower, device=x.device))
        upper = torch.maximum(x.amax(0), torch.as_tensor(upper, device=x.device))
        filled, mean = filled + weighted(x != 0), mean + weighted(x) / total
    unit = _unit_power(torch.maximum(lower.abs(), upper.abs()))
    divisor = None if bool((unit == 1).all()) else unit
    if divisor is not None:
        mean = sum(weighted(x) / total for weighted, x in parts(divisor))
    keep_zeros = float(filled.sum()) * 2 < total * len(filled)
    if keep_zeros:
        square = sum(weighted(x.square()) for weighted, x in parts(divisor))
        center, scale = torch.zeros_like(mean), (square / filled.clamp(min=1e-12)).sqrt()
    else:
        variance = sum(weighted((x - mean).square()) / total for weighted, x in parts(divisor))
        center, scale = mean, variance.sqrt()
    scale = torch.where(lower == upper, 0.0, scale * unit)  # rounding may leave a trace of spread
    return Units(center * unit, scale, lower, upper, keep_zeros)


def _sparse_units(values: Any) -> Units:
    """Return the units of a CSR matrix without making it dense."""
    n, p = values.shape
    filled = np.asarray((values != 0).sum(axis=0)).ravel()
    lower, upper = (
        part.toarray().ravel().astype(np.float64)
        for part in (values.min(axis=0), values.max(axis=0))
    )
    unit = _unit_power(torch.from_numpy(np.maximum(np.abs(lower), np.abs(upper)))).numpy()
    keep_zeros = 2 * filled.sum() < n * p
    columns = sparse.csr_array(values).astype(np.float64)
    columns.sum_duplicates()
    columns.data /= unit[columns.indices]
    if keep_zeros:
        center = np.zeros(p)
        square = np.asarray(columns.multiply(columns).sum(axis=0)).ravel()
        scale = np.sqrt(square / np.maximum(filled, 1))
    else:
        center = np.asarray(columns.sum(axis=0)).ravel() / n
        columns.data = (columns.data - center[columns.indices]) ** 2
        stored = np.bincount(columns.indices, minlength=p)
        away = np.asarray(columns.sum(axis=0)).ravel() + (n - stored) * center**2
        scale = np.sqrt(away / n)
    scale = np.where(lower == upper, 0.0, scale * unit)
    parts = (center * unit, scale, lower, upper)
    return Units(*(torch.from_numpy(part) for part in parts), bool(keep_zeros))
