"""What comes in comes out: arrays, tensors, sparse matrices, frames and lists.

A container gives the values that the engine reads, takes the rows that it makes, and hands back an
object of the kind that came in: real rows first and untouched, new rows behind them.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ltresample._torch import to_numpy

__all__ = ["container_of", "take_labels"]


def _is_frame(x: Any, library: str, kind: str) -> bool:
    module = sys.modules.get(library)
    return module is not None and isinstance(x, getattr(module, kind))


def container_of(x: Any) -> Container:
    """Return the container that fits `x`; what no other one takes is treated as an array."""
    for kind in (TensorContainer, SparseContainer, PandasContainer, PolarsContainer, ListContainer):
        if kind.holds(x):
            return kind(x)
    return ArrayContainer(x)


class Container:
    """Base: rows are kept in one preallocated array."""

    def __init__(self, x: Any):
        self.x = x

    def integer_columns(self, values: Any) -> np.ndarray | None:
        """Say which columns hold whole numbers: a mask that broadcasts to a row, or None."""
        return np.ones((), bool) if np.asarray(values[:0]).dtype.kind in "iub" else None

    def open(self, values: Any, n_new: int) -> None:
        """Make room for `n_new` rows behind the validated `values`."""
        self.n = values.shape[0]
        self.out = np.empty((self.n + n_new, *values.shape[1:]), dtype=values.dtype)
        self.out[: self.n] = values

    def write(self, positions: Tensor, rows: Tensor) -> None:
        """Take synthetic rows for these positions among the new rows."""
        self.out[self.n + positions.numpy()] = to_numpy(rows)

    def write_columns(
        self, positions: Tensor, rows: Tensor, columns: np.ndarray, width: int
    ) -> None:
        """Take synthetic rows of `width` columns that are zero but for these `columns`."""
        full = rows.new_zeros(len(rows), width)
        full[:, torch.from_numpy(columns)] = rows
        self.write(positions, full)

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> Any:
        """Copy row `index` to each new row that is not synthetic, and hand out the result."""
        duplicates = np.flatnonzero(~synthetic)
        for part in np.array_split(duplicates, len(duplicates) // 4096 + 1):
            self.out[self.n + part] = self.out[index[part]]
        return self.out


class ArrayContainer(Container):
    """NumPy arrays and what converts to them."""


class ListContainer(Container):
    """Lists of rows."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Tell whether this container is for `x`."""
        return isinstance(x, list | tuple)

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> list:
        """Hand out a list of rows."""
        return super().close(synthetic, index).tolist()


class TensorContainer(Container):
    """PyTorch tensors, given back on their device."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Tell whether this container is for `x`."""
        return isinstance(x, Tensor)

    def integer_columns(self, values: Any) -> np.ndarray | None:
        """Say which columns hold whole numbers."""
        real = self.x.is_floating_point() or self.x.is_complex()
        return None if real else np.ones((), bool)

    def open(self, values: Any, n_new: int) -> None:
        """Make room on the tensor's device."""
        self.n = len(self.x)
        self.out = self.x.new_empty(self.n + n_new, *self.x.shape[1:])
        self.out[: self.n] = self.x.detach()

    def write(self, positions: Tensor, rows: Tensor) -> None:
        """Take synthetic rows for these positions among the new rows."""
        self.out[self.n + positions.to(self.out.device)] = rows.to(self.out)

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> Tensor:
        """Copy duplicates and hand out the tensor."""
        duplicates = torch.from_numpy(np.flatnonzero(~synthetic)).to(self.out.device)
        source = torch.from_numpy(index).to(self.out.device)
        for part in duplicates.split(4096):
            self.out[self.n + part] = self.out[source[part]]
        return self.out


class SparseContainer(Container):
    """SciPy matrices and arrays; new rows are kept sparse."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Tell whether this container is for `x`."""
        return sparse.issparse(x)

    def integer_columns(self, values: Any) -> np.ndarray | None:
        """Say which columns hold whole numbers."""
        return np.ones((), bool) if self.x.dtype.kind in "iub" else None

    def open(self, values: Any, n_new: int) -> None:
        """Start to collect."""
        self.values, self.n, self.parts, self.at = values, values.shape[0], [], []

    def write(self, positions: Tensor, rows: Tensor) -> None:
        """Take synthetic rows for these positions among the new rows."""
        self.parts.append(sparse.csr_array(to_numpy(rows), dtype=self.values.dtype))
        self.at.append(positions.numpy())

    def write_columns(
        self, positions: Tensor, rows: Tensor, columns: np.ndarray, width: int
    ) -> None:
        """Take synthetic rows of `width` columns that are zero but for these `columns`."""
        part = sparse.csr_array(to_numpy(rows), dtype=self.values.dtype)
        part = (part.data, columns[part.indices], part.indptr)
        self.parts.append(sparse.csr_array(part, shape=(len(rows), width)))
        self.at.append(positions.numpy())

    def _order(self, synthetic: np.ndarray, index: np.ndarray) -> np.ndarray:
        """Return each output row's place in the real rows followed by the written ones."""
        order = index.copy()
        if self.at:
            order[np.concatenate(self.at)] = self.n + np.arange(synthetic.sum())
        return np.concatenate([np.arange(self.n), order])

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> Any:
        """Hand out a matrix of the class and format that came in."""
        order = self._order(synthetic, index)
        stacked = sparse.vstack([sparse.csr_array(self.values), *self.parts], format="csr")
        self.parts.clear()
        return type(self.x)(stacked[order].asformat(self.x.format))


class PandasContainer(SparseContainer):
    """Data frames: names, column types and the index of the real rows are kept."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Tell whether this container is for `x`."""
        return _is_frame(x, "pandas", "DataFrame")

    def integer_columns(self, values: Any) -> np.ndarray | None:
        """Say which columns hold whole numbers or truth values."""
        kinds = [getattr(dtype, "subtype", dtype) for dtype in self.x.dtypes]
        mask = np.array([getattr(kind, "kind", "O") in "iub" for kind in kinds])
        return mask if mask.any() else None

    def write(self, positions: Tensor, rows: Tensor) -> None:
        """Take synthetic rows for these positions among the new rows."""
        self.parts.append(to_numpy(rows))
        self.at.append(positions.numpy())

    write_columns = Container.write_columns

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> Any:
        """Hand out a frame with the columns and column types that came in."""
        import pandas as pd

        rows = np.concatenate(self.parts) if self.parts else np.empty((0, self.x.shape[1]))
        new = {
            i: pd.Series(rows[:, i]).astype(getattr(dtype, "subtype", dtype)).astype(dtype)
            for i, dtype in enumerate(self.x.dtypes)
        }
        made = pd.DataFrame(new)
        made.columns = self.x.columns
        stacked = pd.concat([self.x, made], ignore_index=True) if len(made) else self.x
        frame = stacked.iloc[self._order(synthetic, index)].astype(self.x.dtypes)
        return frame.set_axis(extended_index(self.x.index, len(index)), axis=0)


class PolarsContainer(SparseContainer):
    """Polars frames: names and column types are kept."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Tell whether this container is for `x`."""
        return _is_frame(x, "polars", "DataFrame")

    def integer_columns(self, values: Any) -> np.ndarray | None:
        """Say which columns hold whole numbers or truth values."""
        types = self.x.schema.dtypes()
        mask = np.array([dtype.is_integer() or str(dtype) == "Boolean" for dtype in types])
        return mask if mask.any() else None

    write, write_columns = PandasContainer.write, Container.write_columns

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> Any:
        """Hand out a frame with the columns and column types that came in."""
        import polars as pl

        rows = np.concatenate(self.parts) if self.parts else np.empty((0, self.x.shape[1]))
        made = pl.DataFrame(
            [
                pl.Series(name, rows[:, i]).cast(dtype)
                for i, (name, dtype) in enumerate(self.x.schema.items())
            ]
        )
        return pl.concat([self.x, made])[self._order(synthetic, index)]


def extended_index(index: Any, n_new: int) -> Any:
    """Return the index of a frame with `n_new` labels more, distinct from those that are there."""
    import pandas as pd

    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1:
        return pd.RangeIndex(len(index) + n_new, name=index.name)
    if pd.api.types.is_integer_dtype(index.dtype) and len(index):
        start = int(index.max()) + 1
        more = pd.Index(np.arange(start, start + n_new), dtype=index.dtype)
        return index.append(more).rename(index.name)
    labels = [f"new_{i}" for i in range(n_new)]
    kind = index.dtype if pd.api.types.is_string_dtype(index.dtype) else object
    return index.append(pd.Index(labels, dtype=kind, tupleize_cols=False)).rename(index.name)


def take_labels(y: Any, index: np.ndarray, n_new: int) -> Any:
    """Return ``y`` at `index`, in the container that came in; the last `n_new` labels are new."""
    if isinstance(y, list | tuple):
        return [y[i] for i in index]
    if isinstance(y, Tensor):
        return y[torch.from_numpy(index).to(y.device)]
    if _is_frame(y, "pandas", "Series") or _is_frame(y, "pandas", "DataFrame"):
        return y.iloc[index].set_axis(extended_index(y.index, n_new), axis=0)
    if _is_frame(y, "polars", "Series") or _is_frame(y, "polars", "DataFrame"):
        return y[index]
    return np.asarray(y)[index]
