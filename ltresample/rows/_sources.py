"""Where rows come from: arrays, sparse matrices, memory maps, data sets, loaders."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils.data import Dataset

from ltresample._torch import as_tensor, drop_mapped_pages, sent
from ltresample.rows._numbers import plain_array

__all__ = [
    "ArrayRows",
    "DatasetRows",
    "MappedRows",
    "RowSource",
    "RowStream",
    "Rows",
    "ScaledRows",
    "ScaledStream",
    "SubsetRows",
    "checked_finite",
    "first_part",
    "stacked",
]

_PAGES_READ = 2 << 20  # most bytes that one row in a random place brings in: a huge page
_KEPT = 64 << 20  # bytes of a memory map that may stay there


class Rows(Protocol):
    """A source of rows that are read a few at a time, so that it may be larger than memory."""

    is_stream: bool  # rows are read in order (`RowStream`), not taken by position
    gives_bytes: bool  # images of numbers from 0 to 255
    x: Any  # the array behind the rows; None: there is none
    unit: Any  # `PixelUnit`, what pixels were measured in before they were scaled

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Tensor:
        """Return the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""


class RowSource:
    """Base of the sources, with what most of them are not and have not."""

    is_stream = False  # rows are taken by position
    gives_bytes = False  # images of numbers from 0 to 255
    x: Any = None  # the array behind the rows
    unit: Any = None  # `PixelUnit`, what pixels were measured in before they were scaled


class ArrayRows(RowSource):
    """Rows of a NumPy array, memory map, SciPy CSR matrix or tensor, converted when they are taken.

    Parameters
    ----------
    x : ndarray, CSR matrix or Tensor of shape (n, ...)
        Never written.
    dtype : torch.dtype, default=torch.float32
        Floating-point type of the rows that are given.
    device : torch.device or None, default=None
        Where they are given; None stands for the place of a tensor, or the CPU.

    Examples
    --------
    >>> rows = ArrayRows(np.arange(6).reshape(3, 2))
    >>> rows.take(torch.tensor([2, 0]))
    tensor([[4., 5.],
            [0., 1.]])
    """

    def __init__(
        self, x, *, dtype: torch.dtype = torch.float32, device: torch.device | None = None
    ):
        self.x = x
        self.dtype = dtype
        self.device = x.device if device is None and isinstance(x, Tensor) else device

    @property
    def gives_bytes(self) -> bool:
        """Whether the rows are images of numbers from 0 to 255."""
        return len(self.x.shape) > 2 and self.x.dtype in (np.uint8, torch.uint8)

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.x.shape[1:])

    def __len__(self) -> int:
        return self.x.shape[0]

    def take(self, index: Tensor) -> Tensor:
        """Return the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""
        if isinstance(self.x, Tensor):
            return as_tensor(self.x[index.to(self.x.device)], dtype=self.dtype, device=self.device)
        rows = self.x[index.cpu().numpy()]
        rows = as_tensor(rows.toarray() if sparse.issparse(rows) else rows, dtype=self.dtype)
        return rows if self.device is None else sent(rows, self.device)

    def exact(self) -> ArrayRows:
        """Return the same rows in a floating-point type that holds all values as they are."""
        if isinstance(self.x, Tensor):
            wide = self.x.dtype in (torch.float64, torch.int32, torch.int64)
        else:
            kind = self.x.dtype
            wide = kind.itemsize > 4 or (kind.kind in "iu" and kind.itemsize > 2)
        dtype = torch.float64 if wide else torch.float32
        return ArrayRows(self.x, dtype=dtype, device=self.device)


class DatasetRows(RowSource):
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
    >>> from torch.utils.data import TensorDataset
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
        return tuple(first_part(self.dataset[0]).shape)

    def __len__(self) -> int:
        return len(self.dataset)

    def take(self, index: Tensor) -> Tensor:
        """Return the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""
        rows = torch.stack([first_part(self.dataset[i]) for i in index.tolist()])
        return checked_finite(rows.to(device=self.device, dtype=self.dtype))


class RowStream(RowSource):
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
    >>> from torch.utils.data import DataLoader
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
        """Return the next m rows as a floating-point tensor (m, *row_shape)."""
        parts = []
        while m:
            rows = self._ahead()
            parts.append(rows[:m])
            self._rest = rows[m:] if len(rows) > m else None
            m -= len(parts[-1])
        rows = torch.cat(parts) if parts else self._ahead()[:0]
        return checked_finite(rows.to(device=self.device, dtype=self.dtype))

    def _ahead(self) -> Tensor:
        """Return the rows that were fetched and not read yet; fetch a batch where there are none."""
        while self._rest is None or not len(self._rest):
            self._rest = first_part(self._next())
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


class MappedRows(ArrayRows):
    """Rows of a memory map, whose pages are given back after some reading."""

    _n_read = 0

    def take(self, index: Tensor) -> Tensor:
        """Return the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""
        bytes_each = _PAGES_READ + self.x[:1].nbytes
        parts = []
        for part in index.split(max(1, _KEPT // bytes_each)):
            parts.append(super().take(part))
            self._n_read += len(part) * bytes_each
            if self._n_read > _KEPT // 2:
                drop_mapped_pages(self.x)
                self._n_read = 0
        return parts[0] if len(parts) == 1 else torch.cat(parts)


class SubsetRows(RowSource):
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
        """Return the rows at `index` (m,)."""
        return self.rows.take(self.index[index.cpu()])


class ScaledRows(RowSource):
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
        """Return the rows at `index` (m,)."""
        return self.rows.take(index).mul_(self.factor)


class ScaledStream(ScaledRows):
    """A stream of rows times a number."""

    is_stream = True

    def read(self, m: int) -> Tensor:
        """Return the next m rows."""
        return self.rows.read(m).mul_(self.factor)


def stacked(items: list[Tensor]) -> Tensor:
    """Stack the rows of a Dataset.

    Raises
    ------
    ValueError
        If they differ in shape.
    """
    shapes = {tuple(item.shape) for item in items}
    if len(shapes) > 1:
        raise ValueError(
            f"The items of a Dataset must have rows of one shape. Got {sorted(shapes)[:4]}. Pad, crop "
            "or resize them in its transform."
        )
    return torch.stack(items)


def first_part(item: Any) -> Tensor:
    """Take the row or rows out of what a Dataset or a loader gives."""
    while isinstance(item, list | tuple) and not _is_row_of_numbers(item):
        item = item[0]
    return item if isinstance(item, Tensor) else as_tensor(plain_array(np.asarray(item), "A row"))


def _is_row_of_numbers(item: list | tuple) -> bool:
    return isinstance(item, list) and all(isinstance(v, int | float) for v in item)


def checked_finite(x: Tensor) -> Tensor:
    """Return rows back, or refuse NaN and infinity."""
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
