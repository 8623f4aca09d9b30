"""Open-set samples as rows: arrays, memory maps, data sets, loaders; checked against real rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from ltresample._torch import as_tensor, drop_mapped_pages
from ltresample.exceptions import LongTailWarning
from ltresample.rows._door import check_finite, known_container, open_numbers
from ltresample.rows._foreign import is_frame
from ltresample.rows._pixels import PixelUnit
from ltresample.rows._sources import (
    ArrayRows,
    DatasetRows,
    MappedRows,
    Rows,
    RowSource,
    RowStream,
    ScaledRows,
    ScaledStream,
    SubsetRows,
    checked_finite,
    first_part,
)
from ltresample.rows._table import Columns, encoded_table

__all__ = ["aligned_with", "check_random_access", "open_beside", "open_set_rows"]

_LOOK = 1024  # rows that are looked at where a look at all of them would read a whole file


class _Range(NamedTuple):
    """What the values of real rows look like."""

    name: str
    low: float
    high: float


def open_set_rows(
    X_aux: Any,
    example: Any,
    *,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
    unit: PixelUnit | None = None,
) -> Rows | RowStream:
    """Open open-set samples and check them against real rows.

    Parameters
    ----------
    X_aux : ndarray, memory map, CSR matrix, Tensor, Dataset or DataLoader
        Open-set samples. Nothing is read into memory as a whole. For images, unsigned bytes are
        divided by 255 where the real rows lie in [0, 1].
    example : ndarray, CSR matrix or Tensor of shape (n, ...)
        Real rows: all of them, or enough to see their range.
    dtype, device
        Of the rows that are given.
    unit : PixelUnit or None, default=None
        What the pixels of the real rows were measured in before they were scaled. None: they are
        as they came.

    Returns
    -------
    Rows or RowStream
        A stream for loaders and iterable data sets, else rows that can be taken by position.

    Raises
    ------
    ValueError
        If they are missing, empty, of another shape, range or type than the real rows, or not
        finite.

    Examples
    --------
    >>> images = np.zeros((4, 1, 2, 2), dtype=np.float32)
    >>> rows = open_set_rows(np.full((9, 1, 2, 2), 51, dtype=np.uint8), images)
    >>> rows.take(torch.tensor([0])).flatten()
    tensor([0.2000, 0.2000, 0.2000, 0.2000])
    """
    if X_aux is None:
        raise ValueError(
            "Open-set samples are needed. Got X_aux=None. Pass an array, a memory map, a Dataset "
            "or a DataLoader of samples that belong to none of the classes, or make some with the "
            "generators of ltresample.datasets."
        )
    rows = _open(X_aux, dtype, device)
    _check_shape(rows, tuple(example.shape[1:]))
    look, is_byte = _look_at_some(rows)
    _check_finite(rows, look)
    if len(rows.row_shape) < 2:
        _warn_of_far_columns(look, example)
        return rows
    whole = is_byte or bool((look == look.round()).all() and look.min() >= 0 and look.max() > 1)
    is_byte = is_byte or (unit is PixelUnit.BYTES and whole and float(look.max()) <= 255)
    factor = _factor(look, is_byte, example)
    if factor == 1:
        return rows
    return ScaledStream(rows, factor) if isinstance(rows, RowStream) else ScaledRows(rows, factor)


def open_beside(X_aux: Any, rows: Rows, *, columns: Columns | None = None) -> Rows | RowStream:
    """Open open-set samples beside rows in training: in their type, place and units.

    Parameters
    ----------
    X_aux : array-like, Dataset, loader, Rows or RowStream
        Open-set samples; opened ones stay as they are.
    rows : Rows
        Training rows.
    columns : Columns or None, default=None
        What the columns of a table are.

    Returns
    -------
    Rows or RowStream
        As `open_set_rows` gives them.

    Raises
    ------
    ValueError
        If they are empty, or of another shape, range or type.
    """
    if isinstance(X_aux, RowSource):
        return X_aux
    index = torch.linspace(0, len(rows) - 1, min(_LOOK, len(rows)), dtype=torch.float64)
    example = rows.take(index.long())
    return open_set_rows(
        aligned_with(X_aux, columns),
        example,
        dtype=example.dtype,
        device=example.device,
        unit=rows.unit,
    )


def aligned_with(X_aux: Any, columns: Columns | None) -> Any:
    """Return open-set samples with their columns in the order of X's, where both have names.

    Frames and tables of objects become numbers, with X's categories.

    Parameters
    ----------
    X_aux : array-like, frame, Dataset, loader or None
        Open-set samples.
    columns : Columns or None
        Those of X. None: X is no table.

    Returns
    -------
    array-like, Dataset, loader or None
        What `open_set_rows` takes.

    Raises
    ------
    ValueError
        If a column of X is missing, or a category is not one of X's.
    """
    if columns is None or X_aux is None or isinstance(X_aux, Dataset | DataLoader | Tensor):
        return X_aux
    X_aux = known_container(X_aux, "X_aux")
    if is_frame(X_aux) and columns.names is not None:
        own = list(X_aux.columns)
        missing = [repr(name) for name in columns.names if name not in own]
        if missing:
            raise ValueError(
                f"X_aux must have the columns of X. Got a frame without {', '.join(missing[:5])}"
                f"{' and others' if len(missing) > 5 else ''}. Pass a frame with all of them, or an "
                "array with the columns in the order of X."
            )
        X_aux = X_aux if own == list(columns.names) else X_aux[list(columns.names)]
    is_table = is_frame(X_aux) or (isinstance(X_aux, np.ndarray) and X_aux.dtype.kind == "O")
    if is_table and len(X_aux) and len(X_aux.shape) == 2 and X_aux.shape[1] == columns.n:
        values = encoded_table(X_aux, "X_aux", columns)[0]
        check_finite(values, "X_aux", columns)
        return values
    return X_aux


def check_random_access(rows: Any) -> None:
    """Refuse a stream where rows are taken by position."""
    if rows.is_stream:
        raise ValueError(
            "Open-set samples that synthesis starts from are read in random order. Got a loader or "
            "an iterable Dataset, which has one order. Pass an array, a memory map or a map-style "
            "Dataset."
        )


def _open(X_aux: Any, dtype: torch.dtype, device: Any) -> Rows | RowStream:
    """Find the kind of rows for what the user passed."""
    for kind, opening in _OPENINGS.items():
        if isinstance(X_aux, kind):
            return opening(X_aux, dtype, device)
    if isinstance(X_aux, Iterator):
        return RowStream(X_aux, dtype=dtype, device=device)
    values = open_numbers(X_aux, "X_aux")
    kind = MappedRows if isinstance(values, np.memmap) else ArrayRows
    return kind(values, dtype=dtype, device=device)


def _open_subset(subset: Subset, dtype: torch.dtype, device: Any) -> Rows:
    rows = _open(subset.dataset, dtype, device)
    return SubsetRows(rows, torch.as_tensor(np.asarray(subset.indices, dtype=np.int64)))


_OPENINGS: dict[type, Callable[[Any, torch.dtype, Any], Any]] = {
    TensorDataset: lambda d, dtype, device: ArrayRows(d.tensors[0], dtype=dtype, device=device),
    Subset: _open_subset,
    IterableDataset: lambda d, dtype, device: RowStream(
        DataLoader(d, batch_size=256), dtype=dtype, device=device
    ),
    Dataset: lambda d, dtype, device: DatasetRows(d, dtype=dtype, device=device),
    DataLoader: lambda d, dtype, device: RowStream(d, dtype=dtype, device=device),
}


def _check_shape(rows: Any, shape: tuple[int, ...]) -> None:
    n = None if isinstance(rows, RowStream) else len(rows)
    own = () if n == 0 and isinstance(rows, DatasetRows) else rows.row_shape
    if n != 0 and own == shape:
        return
    hint = "Pass open-set samples that went through the same preprocessing as X."
    if len(shape) == 3 and own == (*shape[1:], shape[0]):
        hint = "Put the channels first; np.moveaxis(X_aux, -1, 1) does so and copies nothing."
    got = f"X_aux of shape {(n, *own)}" if n is not None else f"a loader of rows of shape {own}"
    raise ValueError(
        f"X_aux must hold at least one sample with rows like those of X, of shape {shape}. "
        f"Got {got}. {hint}"
    )


def _look_at_some(rows: Any) -> tuple[Tensor, bool]:
    """Return some rows, evenly spaced, and whether they are unsigned bytes."""
    if isinstance(rows, RowStream):
        look = rows._ahead()
        return look, look.dtype == torch.uint8
    index = torch.linspace(0, len(rows) - 1, min(_LOOK, len(rows)), dtype=torch.float64)
    if isinstance(rows, DatasetRows):  # may read a file for each row
        index = index[:: max(1, len(index) // 16)]
        return rows.take(index.long()), first_part(rows.dataset[0]).dtype == torch.uint8
    inner = rows.rows if isinstance(rows, SubsetRows) else rows
    is_byte = inner.x is not None and inner.x.dtype in (np.dtype(np.uint8), torch.uint8)
    return rows.take(index.long()), is_byte


def _check_finite(rows: Any, look: Tensor) -> None:
    """Refuse NaN and infinity: in an array everywhere, block by block, else in a part of it."""
    checked_finite(look)
    x = rows.x
    if x is None:
        return
    # whole numbers are finite
    if not (x.is_floating_point() if isinstance(x, Tensor) else x.dtype.kind == "f"):
        return
    if sparse.issparse(x):
        checked_finite(torch.from_numpy(x.data))
        return
    width = max(1, int(np.prod(x.shape[1:])))
    for start in range(0, x.shape[0], max(1, (1 << 24) // width)):
        checked_finite(as_tensor(x[start : start + max(1, (1 << 24) // width)]))
        drop_mapped_pages(x)


def _warn_of_far_columns(look: Tensor, example: Any) -> None:
    """Warn where most open-set rows of a table lie ten spans of X away from X."""
    sides = example.min(axis=0), example.max(axis=0)
    sides = (part.toarray() if sparse.issparse(part) else part for part in sides)
    sides = (part.values if isinstance(part, tuple) else part for part in sides)
    low, high = (as_tensor(part, dtype=look.dtype, device=look.device).view(-1) for part in sides)
    slack = 10 * (high - low)
    far = ((look < low - slack) | (look > high + slack)).double().mean(0) > 0.5
    far &= high > low
    if far.any():
        columns = far.nonzero()[:, 0].tolist()
        warnings.warn(
            f"Most rows of X_aux lie far outside the range of X in {len(columns)} of {len(far)} "
            f"column(s): {', '.join(map(str, columns[:10]))}. Such rows are told apart at a glance "
            "and teach nothing. Give X_aux the preprocessing of X.",
            LongTailWarning,
            stacklevel=4,
        )


def _range_of(example: Any) -> _Range:
    """Say whether images are unsigned bytes, lie in [0, 1], or in some other range."""
    low, high = float(example.min()), float(example.max())
    if example.dtype in (np.dtype(np.uint8), torch.uint8):
        return _Range("bytes", 0, 255)
    return _Range("unit" if low >= 0 and high <= 1 else "free", low, high)


def _factor(look: Tensor, is_byte: bool, example: Any) -> float:
    """Return what brings images to the range of the real ones, or say why that cannot be done."""
    own = _range_of(example)
    low, high = float(look.min()), float(look.max())
    if own.name == "unit" and is_byte:
        return 1 / 255
    if own.name == "unit" and (low < 0 or high > 1):
        raise ValueError(
            f"X_aux must lie in the range of X, [0, 1]. Got values from {low:g} to {high:g}. Pass "
            "images in [0, 1], or unsigned bytes, which are divided by 255."
        )
    if own.name == "bytes" and not is_byte:
        raise ValueError(
            f"X holds unsigned bytes, and X_aux must do so too. Got X_aux with values from {low:g} "
            f"to {high:g} in another type. Pass X_aux as uint8 in [0, 255], or both in [0, 1]."
        )
    span = max(own.high - own.low, 1e-12)
    if own.name == "free" and (low < own.low - 10 * span or high > own.high + 10 * span):
        raise ValueError(
            f"X_aux must lie in the range of X, {own.low:g} to {own.high:g} or thereabouts. Got "
            f"values from {low:g} to {high:g}. Normalise X_aux as X was normalised."
        )
    return 1.0
