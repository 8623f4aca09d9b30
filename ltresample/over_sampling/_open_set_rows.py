"""Open-set rows behind real ones: made, or read from wherever they are, in blocks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ltresample._random import Seed
from ltresample._torch import as_tensor, to_numpy
from ltresample.datasets import KnownRows, permute_features, shuffle_patches, shuffle_words
from ltresample.over_sampling._data import Data
from ltresample.rows import Pool, Rows, RowStream, open_set_rows

__all__ = ["append_rows", "built_in_rows", "open_for_training", "read_rows"]


def built_in_rows(values: Any, m: int, seed: Seed) -> Iterator[Tensor]:
    """Take real rows apart and put them together at random, some at a time."""
    make: Callable[..., Any] = permute_features
    n_filled = values.nnz if sparse.issparse(values) else np.count_nonzero(values)
    if values.ndim in (3, 4):
        make = shuffle_patches
    elif 2 * n_filled < np.prod(values.shape):
        make = shuffle_words
    elif sparse.issparse(values):
        values = values.toarray()
    size = max(1024, (64 << 20) // (8 * max(1, int(np.prod(values.shape[1:])))))
    for start in range(0, m, size):
        rows = make(values, min(size, m - start), random_state=seed.child("aux", start).numpy())
        yield as_tensor(rows.toarray() if sparse.issparse(rows) else rows)


def read_rows(
    aux: Any, values: Any, m: int, seed: Seed, size: int
) -> tuple[np.ndarray, Iterator[Tensor]]:
    """Choose m open-set samples, each as often as the others to within one, and read them."""
    wide = values.dtype.itemsize > 4 or (values.dtype.kind in "iu" and values.dtype.itemsize > 2)
    rows = open_set_rows(aux, values, dtype=torch.float64 if wide else torch.float32)
    if isinstance(rows, RowStream):
        sizes = [min(size, m - start) for start in range(0, m, size)]
        return np.arange(m), (rows.read(n) for n in sizes)
    rng = seed.child("rows").numpy()
    index = np.concatenate([rng.permutation(len(rows)) for _ in range(-(-m // len(rows)))] or [[]])
    index = index[:m].astype(np.int64)
    parts = torch.from_numpy(index).split(size) if m else []
    return index, (rows.take(part) for part in parts)


def open_for_training(aux: Any, pool: Pool) -> Rows | RowStream:
    """Open open-set samples in the units of the rows in training; opened ones stay as they are."""
    if hasattr(aux, "row_shape"):
        return aux
    n = len(pool.x)
    look = torch.linspace(0, n - 1, min(1024, n), dtype=torch.float64)
    example = pool.x.take(look.long().to(pool.y.device))
    return open_set_rows(aux, example, dtype=example.dtype, device=example.device)


def append_rows(data: Data, blocks: Iterator[Tensor], m: int) -> tuple[Any, int]:
    """Put the rows behind the real ones, and count those that are real ones."""
    out, known = data.container, KnownRows(data.values)
    integer = out.integer_columns(data.values)
    lower, upper = _bounds(data.values) if integer is not None else (None, None)
    out.open(data.values, m)
    start = n_known = 0
    for rows in blocks:
        if integer is not None:  # whole numbers stay such, within the range that was seen
            whole = rows.round().clamp(min=lower.to(rows), max=upper.to(rows))
            rows = torch.where(torch.as_tensor(integer), whole, rows)
        n_known += known.count(to_numpy(rows))
        out.write(torch.arange(start, start + len(rows)), rows)
        start += len(rows)
    return out.close(np.ones(m, dtype=bool), np.zeros(m, dtype=np.int64)), n_known


def _bounds(values: Any) -> tuple[Tensor, Tensor]:
    """Return the least and the largest value of each column; of images, those of their type."""
    if values.dtype == np.uint8 and values.ndim > 2:
        return torch.tensor(0), torch.tensor(255)
    sides = values.min(axis=0), values.max(axis=0)
    sides = [
        side.toarray().ravel() if sparse.issparse(side) else np.asarray(side) for side in sides
    ]
    return torch.from_numpy(sides[0]), torch.from_numpy(sides[1])
