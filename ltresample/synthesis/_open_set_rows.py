"""Open-set samples as rows: arrays, memory maps, data sets, loaders; checked against real rows."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, IterableDataset, Subset, TensorDataset

from ltresample._torch import as_tensor, drop_mapped_pages
from ltresample._validation import LongTailWarning
from ltresample.synthesis._base import ArrayRows, Rows

__all__ = ["DatasetRows", "RowStream", "check_random_access", "open_set_rows"]

_PAGES_READ = 2 << 20  # most bytes that one row in a random place brings in: a huge page
_KEPT = 64 << 20  # bytes of a memory map that may stay there
_LOOK = 1024  # rows that are looked at where a look at all of them would read a whole file


class DatasetRows:
    """Rows of a map-style Dataset, fetched one by one.

    Parameters
    ----------
    dataset : Dataset
        ``dataset[i]`` is a row, or a tuple whose first entry is one; labels are passed over.
    dtype : torch.dtype, default=torch.float32
        Floating-point type of the rows that are given.
    device : torch.device or None, default=None
        Where they are given; None stands for the CPU.

    Examples
    --------
    >>> rows = DatasetRows(TensorDataset(torch.arange(6.0).view(3, 2), torch.zeros(3)))
    >>> rows.take(torch.tensor([2]))
    tensor([[4., 5.]])
    """

    def __init__(self, dataset: Dataset, *, dtype: torch.dtype = torch.float32, device: Any = None):
        self.dataset = dataset
        self.dtype = dtype
        self.device = device

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(_row(self.dataset[0]).shape)

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, index: Tensor) -> Tensor:
        """Give the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""
        rows = torch.stack([_row(self.dataset[i]) for i in index.tolist()])
        return checked_finite(rows.to(device=self.device, dtype=self.dtype))


class RowStream:
    """Rows of a loader, read on and on; at its end it is started again.

    Parameters
    ----------
    loader : iterable
        A DataLoader, or anything that gives a new iterator over batches each time it is asked. A
        batch is a tensor or array (b, ...), or a tuple whose first entry is one.
    dtype : torch.dtype, default=torch.float32
        Floating-point type of the rows that are given.
    device : torch.device or None, default=None
        Where they are given; None stands for the CPU.

    Raises
    ------
    ValueError
        If the loader cannot be started again, or has no rows.

    Examples
    --------
    >>> stream = RowStream(DataLoader(torch.arange(6.0).view(3, 2), batch_size=2))
    >>> stream.read(4)[:, 0]
    tensor([0., 2., 4., 0.])
    """

    is_stream = True  # read in order, not taken by position

    def __init__(self, loader: Iterable, *, dtype: torch.dtype = torch.float32, device: Any = None):
        if isinstance(loader, Iterator):
            raise ValueError(
                "Open-set samples must be readable more than once. Got X_aux="
                f"{type(loader).__name__}, an iterator that ends for good. Pass the loader itself."
            )
        self.loader = loader
        self.dtype = dtype
        self.device = device
        self._batches: Iterator | None = None
        self._rest: Tensor | None = None
        self.n_restarts = 0

    def __getstate__(self) -> dict[str, Any]:
        """Leave the running iterator out: a copy begins at the start."""
        return {**self.__dict__, "_batches": None, "_rest": None, "n_restarts": 0}

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self._ahead().shape[1:])

    def read(self, m: int) -> Tensor:
        """Give the next m rows as a floating-point tensor (m, *row_shape)."""
        parts = []
        while m:
            rows = self._ahead()
            parts.append(rows[:m])
            self._rest = rows[m:] if len(rows) > m else None
            m -= len(parts[-1])
        rows = torch.cat(parts) if parts else self._ahead()[:0]
        return checked_finite(rows.to(device=self.device, dtype=self.dtype))

    def _ahead(self) -> Tensor:
        """Give the rows that were fetched and not read yet; fetch a batch where there are none."""
        while self._rest is None or not len(self._rest):
            self._rest = _row(self._next())
        return self._rest

    def _next(self) -> Any:
        for _ in range(2):
            if self._batches is None:
                self._batches = iter(self.loader)
            batch = next(self._batches, None)
            if batch is not None:
                return batch
            self._batches = None
            self.n_restarts += 1
        raise ValueError(
            "Open-set samples must be at least one. Got a loader without batches "
            f"({type(self.loader).__name__}), or one that cannot be started again."
        )


class _MappedRows(ArrayRows):
    """Rows of a memory map, whose pages are given back after some reading."""

    _n_read = 0

    def take(self, index: Tensor) -> Tensor:
        """Give the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""
        bytes_each = _PAGES_READ + self.x[:1].nbytes
        parts = []
        for part in index.split(max(1, _KEPT // bytes_each)):
            parts.append(super().take(part))
            self._n_read += len(part) * bytes_each
            if self._n_read > _KEPT // 2:
                drop_mapped_pages(self.x)
                self._n_read = 0
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class _SubsetRows:
    """Some rows of others, in a given order."""

    def __init__(self, rows: Rows, index: Tensor):
        self.rows, self.index = rows, index

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.rows.row_shape

    def __len__(self) -> int:
        return len(self.index)

    def take(self, index: Tensor) -> Tensor:
        """Give the rows at `index` (m,)."""
        return self.rows.take(self.index[index.cpu()])


class _ScaledRows:
    """Rows times a number."""

    def __init__(self, rows: Any, factor: float):
        self.rows, self.factor = rows, factor

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.rows.row_shape

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Tensor:
        """Give the rows at `index` (m,)."""
        return self.rows.take(index).mul_(self.factor)


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
    rows = _opened(X_aux, dtype, device)
    _check_shape(rows, tuple(example.shape[1:]))
    look, is_byte = _looked_at(rows)
    _check_finite(rows, look)
    if len(rows.row_shape) < 2:
        _warn_of_far_columns(look, example)
        return rows
    factor = _factor(look, is_byte, example)
    if factor == 1:
        return rows
    if isinstance(rows, RowStream):
        raise ValueError(
            "A loader must give images in the range of X. Got unsigned bytes for X in [0, 1]. "
            "Divide by 255 in the loader's Dataset or collate_fn."
        )
    return _ScaledRows(rows, factor)


def check_random_access(rows: Any) -> None:
    """Refuse a stream where rows are taken by position."""
    if getattr(rows, "is_stream", False):
        raise ValueError(
            "Open-set samples that synthesis starts from are read in random order. Got a loader or "
            "an iterable Dataset, which has one order. Pass an array, a memory map or a map-style "
            "Dataset."
        )


def _opened(X_aux: Any, dtype: torch.dtype, device: Any) -> Rows | RowStream:
    """Find the kind of rows for what the user passed."""
    for kind, opening in _OPENINGS.items():
        if isinstance(X_aux, kind):
            return opening(X_aux, dtype, device)
    X_aux = X_aux.to_numpy() if hasattr(X_aux, "to_numpy") else X_aux
    if isinstance(X_aux, Iterator):
        return RowStream(X_aux, dtype=dtype, device=device)
    if not hasattr(X_aux, "shape"):
        X_aux = np.asarray(X_aux)
    if not isinstance(X_aux, Tensor) and X_aux.dtype.kind not in "buif":
        raise ValueError(
            f"X_aux must hold numbers. Got X_aux of type {X_aux.dtype}. Encode it as X was encoded."
        )
    if isinstance(X_aux, Tensor) and X_aux.is_complex():
        raise ValueError(f"X_aux must hold real numbers. Got X_aux of type {X_aux.dtype}.")
    kind = _MappedRows if isinstance(X_aux, np.memmap) else ArrayRows
    return kind(X_aux.tocsr() if hasattr(X_aux, "tocsr") else X_aux, dtype=dtype, device=device)


def _open_subset(subset: Subset, dtype: torch.dtype, device: Any) -> Rows:
    rows = _opened(subset.dataset, dtype, device)
    return _SubsetRows(rows, torch.as_tensor(np.asarray(subset.indices, dtype=np.int64)))


_OPENINGS: dict[type, Callable[[Any, torch.dtype, Any], Any]] = {
    TensorDataset: lambda d, dtype, device: ArrayRows(d.tensors[0], dtype=dtype, device=device),
    Subset: _open_subset,
    IterableDataset: lambda d, dtype, device: RowStream(
        DataLoader(d, batch_size=256), dtype=dtype, device=device
    ),
    Dataset: lambda d, dtype, device: DatasetRows(d, dtype=dtype, device=device),
    DataLoader: lambda d, dtype, device: RowStream(d, dtype=dtype, device=device),
}


def _row(item: Any) -> Tensor:
    """Take the row or rows out of what a Dataset or a loader gives."""
    while isinstance(item, list | tuple):
        item = item[0]
    return item if isinstance(item, Tensor) else torch.as_tensor(np.asarray(item))


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


def _looked_at(rows: Any) -> tuple[Tensor, bool]:
    """Give some rows, evenly spaced, and whether they are unsigned bytes."""
    if isinstance(rows, RowStream):
        look = rows._ahead()
        return look, look.dtype == torch.uint8
    index = torch.linspace(0, len(rows) - 1, min(_LOOK, len(rows)), dtype=torch.float64)
    if isinstance(rows, DatasetRows):  # may read a file for each row
        index = index[:: max(1, len(index) // 16)]
        return rows.take(index.long()), _row(rows.dataset[0]).dtype == torch.uint8
    inner = rows.rows if isinstance(rows, _SubsetRows) else rows
    kind = getattr(getattr(inner, "x", None), "dtype", None)
    return rows.take(index.long()), kind in (np.dtype(np.uint8), torch.uint8)


def _check_finite(rows: Any, look: Tensor) -> None:
    """Refuse NaN and infinity: in an array everywhere, block by block, else in a part of it."""
    checked_finite(look)
    x = getattr(rows, "x", None)
    if x is None or not _may_be_infinite(x):
        return
    if hasattr(x, "data") and hasattr(x, "indptr"):
        checked_finite(torch.from_numpy(x.data))
        return
    width = max(1, int(np.prod(x.shape[1:])))
    for start in range(0, x.shape[0], max(1, (1 << 24) // width)):
        checked_finite(as_tensor(x[start : start + max(1, (1 << 24) // width)]))
        drop_mapped_pages(x)


def _may_be_infinite(x: Any) -> bool:
    return x.is_floating_point() if isinstance(x, Tensor) else x.dtype.kind == "f"


def checked_finite(x: Tensor) -> Tensor:
    """Give rows back, or refuse NaN and infinity."""
    if x.is_floating_point() and not torch.isfinite(x.sum(dtype=torch.float64)):
        bad = ~torch.isfinite(x.reshape(len(x), -1))
        if bad.any():
            what = "NaN" if torch.isnan(x).any() else "infinity"
            columns = bad.any(0).nonzero()[:, 0].tolist() if bad.dim() > 1 else []
            raise ValueError(
                f"Input X_aux contains {what}. Got it in {len(columns)} column(s): "
                f"{', '.join(map(str, columns[:10]))}{', ...' if len(columns) > 10 else ''}. All "
                "values must be finite: leave such samples out, or impute them as in X."
            )
    return x


def _warn_of_far_columns(look: Tensor, example: Any) -> None:
    """Warn where most open-set rows of a table lie ten spans of X away from X."""
    sides = example.min(axis=0), example.max(axis=0)
    sides = (part.toarray() if hasattr(part, "toarray") else part for part in sides)
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
    """Give what brings images to the range of the real ones, or say why that cannot be done."""
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
