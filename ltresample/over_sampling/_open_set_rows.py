"""Open-set rows behind real ones: made, or read from wherever they are, in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ltresample._random import Seed
from ltresample._torch import as_tensor
from ltresample.datasets import permute_features, shuffle_patches, shuffle_words
from ltresample.over_sampling._data import Data
from ltresample.rows import Rows, RowSource, RowStream, open_set_rows

__all__ = [
    "IteratedRows",
    "built_in_rows",
    "exact_rows",
    "used_columns",
    "whole_numbers",
]


def used_columns(data: Data) -> np.ndarray | None:
    """Return the columns of a sparse table that hold anything, where many do not; else None."""
    values = data.values
    if not sparse.issparse(values) or data.categories.groups:
        return None
    used = np.unique(values.indices)
    few = 0 < 4 * len(used) <= 3 * values.shape[1]
    return used if few and 2 * values.nnz < values.shape[0] * len(used) else None


def built_in_rows(
    data: Data, m: int, seed: Seed, columns: np.ndarray | None = None
) -> Iterator[Tensor]:
    """Take real rows apart and put them together at random, some at a time.

    Columns that are one category together come from one row. With `columns`, those of
    `used_columns`, the rows are the same without the others.
    """
    values, make = data.values, permute_features  # type: Any, Callable[..., Any]
    n_filled = values.nnz if sparse.issparse(values) else np.count_nonzero(values)
    if values.ndim in (3, 4):
        make = shuffle_patches
    elif 2 * n_filled < np.prod(values.shape):
        make = shuffle_words
    elif sparse.issparse(values):
        values = values.toarray()
    size = max(1024, (64 << 20) // (8 * max(1, int(np.prod(values.shape[1:])))))
    values = values if columns is None else values[:, columns]
    for start in range(0, m, size):
        own, n = seed.child("aux", start), min(size, m - start)
        rows = make(values, n, random_state=own.numpy())
        rows = rows.toarray() if sparse.issparse(rows) else rows
        yield as_tensor(_whole_groups(rows, data, own.child("groups")))


def _whole_groups(rows: np.ndarray, data: Data, seed: Seed) -> np.ndarray:
    """Copy each group of columns that are one category together from a random real row."""
    rng = seed.numpy()
    for group in data.categories.groups:
        part = data.values[rng.integers(0, data.values.shape[0], len(rows))][:, group]
        rows[:, group] = part.toarray() if sparse.issparse(part) else part
    return rows


class IteratedRows(RowSource):
    """Rows that come in blocks, once."""

    is_stream = True

    def __init__(self, blocks: Iterator[Tensor]):
        self._blocks = blocks
        self._rest = torch.empty(0)

    def read(self, m: int) -> Tensor:
        """Return the next m rows."""
        parts, n = [], 0
        while n < m:
            rows = self._rest if len(self._rest) else next(self._blocks)
            parts.append(rows[: m - n])
            self._rest = rows[m - n :]
            n += len(parts[-1])
        return torch.cat(parts)


def exact_rows(aux: Any, values: Any) -> Rows | RowStream:
    """Open open-set samples in a type that holds all values of the real rows as they are."""
    wide = values.dtype.itemsize > 4 or (values.dtype.kind in "iu" and values.dtype.itemsize > 2)
    return open_set_rows(aux, values, dtype=torch.float64 if wide else torch.float32)


def whole_numbers(data: Data, columns: np.ndarray | None = None) -> Callable[[Tensor], Tensor]:
    """Return what puts rows on whole numbers where real rows have them, within their range.

    With `columns`, it is for rows of these columns alone.
    """
    integer = data.container.integer_columns(data.values)
    if integer is None:
        return lambda rows: rows
    lower, upper = _bounds(data.values if columns is None else data.values[:, columns])
    integer = integer if columns is None or not integer.ndim else integer[columns]

    def rounded(rows: Tensor) -> Tensor:
        if not rows.is_floating_point():
            return rows  # they are whole
        whole = rows.round().clamp(min=lower.to(rows), max=upper.to(rows))
        return torch.where(torch.as_tensor(integer), whole, rows)

    return rounded


def _bounds(values: Any) -> tuple[Tensor, Tensor]:
    """Return the least and the largest value of each column; of images, those of their type."""
    if values.dtype == np.uint8 and values.ndim > 2:
        return torch.tensor(0), torch.tensor(255)
    sides = values.min(axis=0), values.max(axis=0)
    sides = [
        side.toarray().ravel() if sparse.issparse(side) else np.asarray(side) for side in sides
    ]
    lower, upper = (torch.from_numpy(side.astype(np.float64)) for side in sides)
    return lower, upper
