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
from ltresample.rows._foreign import is_categorical, is_frame, is_pandas, is_sparse_type
from ltresample.rows._table import Columns, as_array

__all__ = ["container_of", "extended_index", "in_type", "take_labels", "take_rows"]


SAME_BITS = {torch.uint16: torch.int16, torch.uint32: torch.int32, torch.uint64: torch.int64}


def _is_frame(x: Any, library: str, kind: str) -> bool:
    module = sys.modules.get(library)
    return module is not None and isinstance(x, getattr(module, kind))


def container_of(x: Any, columns: Columns | None = None) -> Container:
    """Return the container that fits `x`; what no other one takes is treated as an array."""
    if columns is None and is_frame(x):
        columns = Columns(x.shape[1])
    for kind in (TensorContainer, SparseContainer, PandasContainer, PolarsContainer, ListContainer):
        if kind.holds(x):
            return kind(x, columns)
    return ArrayContainer(x, columns)


class Container:
    """Base: rows are kept in one preallocated array of the type that came in."""

    def __init__(self, x: Any, columns: Columns | None = None):
        self.x = x
        self.columns = columns

    def integer_columns(self, values: Any) -> np.ndarray | None:
        """Say which columns of the values hold whole numbers: a mask that broadcasts, or None."""
        if self.columns is None:
            return np.ones((), bool) if values.dtype.kind in "iub" else None
        return self.columns.whole_values()

    def open(self, values: Any, n_new: int) -> None:
        """Make room for `n_new` rows behind the validated `values`."""
        source = as_array(self.x)
        source = source if source.dtype.kind in "biufO" or source.dtype.kind == "V" else values
        self.n, self.dtype = values.shape[0], values.dtype
        self.out = np.empty((self.n + n_new, *source.shape[1:]), dtype=source.dtype)
        self.out[: self.n] = source
        is_mixed = self.columns is not None and self.out.dtype == object
        self.kinds = [object_kind(column) for column in self.out[: self.n].T] if is_mixed else []

    def write(self, positions: Tensor, rows: Tensor) -> None:
        """Take synthetic rows for these positions among the new rows."""
        at, rows = self.n + positions.numpy(), in_type(to_numpy(rows), self.dtype)
        if not self.kinds:
            self.out[at] = rows
        for i, kind in enumerate(self.kinds):
            self.out[at, i] = like_objects(self.columns.part(rows, i), kind)

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


def object_kind(real: np.ndarray) -> type:
    """Return the type of the real values of a column of objects; of several types, float."""
    kinds = {type(value) for value in real}
    return kinds.pop() if len(kinds) == 1 else float


def like_objects(part: np.ndarray, kind: Any) -> np.ndarray:
    """Return new values of a column of objects as objects of a type, text and categories as they are."""
    if part.dtype == object or kind is str:
        return part
    made = np.empty(len(part), dtype=object)
    made[:] = [kind(value) for value in part.tolist()]
    return made


def in_type(rows: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """Return new rows in the type of the real ones; what is too large for it is its largest."""
    if dtype.kind not in "iu":
        return rows.astype(dtype, copy=False)
    ends = np.iinfo(dtype)
    wide = rows.astype(np.float64)
    cut = np.where((wide >= ends.max) | (wide <= ends.min), 0, wide).astype(dtype)
    return np.where(wide >= ends.max, ends.max, np.where(wide <= ends.min, ends.min, cut)).astype(
        dtype
    )


class ArrayContainer(Container):
    """NumPy arrays and what converts to them."""


class ListContainer(Container):
    """Lists of rows."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Return whether this container is for `x`."""
        return isinstance(x, list | tuple)

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> list:
        """Hand out a list of rows."""
        return super().close(synthetic, index).tolist()


class TensorContainer(Container):
    """PyTorch tensors, given back on their device."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Return whether this container is for `x`."""
        return isinstance(x, Tensor)

    def open(self, values: Any, n_new: int) -> None:
        """Make room on the tensor's device."""
        self.n = len(self.x)
        self.out = self.x.new_empty(self.n + n_new, *self.x.shape[1:])
        # PyTorch cannot index unsigned numbers of more than 8 bits; their bits it can
        self.bits = self.out.view(SAME_BITS.get(self.out.dtype, self.out.dtype))
        self.out[: self.n] = self.x.detach()

    def write(self, positions: Tensor, rows: Tensor) -> None:
        """Take synthetic rows for these positions among the new rows."""
        rows = _within(rows, self.out.dtype)
        made = rows.to(self.out).view(self.bits.dtype)
        self.bits[self.n + positions.to(self.out.device)] = made

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> Tensor:
        """Copy duplicates and hand out the tensor."""
        duplicates = torch.from_numpy(np.flatnonzero(~synthetic)).to(self.out.device)
        source = torch.from_numpy(index).to(self.out.device)
        for part in duplicates.split(4096):
            self.bits[self.n + part] = self.bits[source[part]]
        return self.out


class SparseContainer(Container):
    """SciPy matrices and arrays; new rows are kept sparse."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Return whether this container is for `x`."""
        return sparse.issparse(x)

    def open(self, values: Any, n_new: int) -> None:
        """Start to collect."""
        self.values, self.n, self.parts, self.at = values, values.shape[0], [], []

    def write(self, positions: Tensor, rows: Tensor) -> None:
        """Take synthetic rows for these positions among the new rows."""
        self.parts.append(sparse.csr_array(in_type(to_numpy(rows), self.values.dtype)))
        self.at.append(positions.numpy())

    def write_columns(
        self, positions: Tensor, rows: Tensor, columns: np.ndarray, width: int
    ) -> None:
        """Take synthetic rows of `width` columns that are zero but for these `columns`."""
        part = sparse.csr_array(in_type(to_numpy(rows), self.values.dtype))
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


class FrameContainer(SparseContainer):
    """Frames: of new rows only the columns of X are kept, not the one-hot blocks that they stand for."""

    write_columns = Container.write_columns

    def write(self, positions: Tensor, rows: Tensor) -> None:
        """Take synthetic rows for these positions among the new rows."""
        self.parts.append(self.columns.compact(to_numpy(rows)))
        self.at.append(positions.numpy())

    def made(self) -> list[np.ndarray]:
        """Return the columns of the new rows, as numbers or categories."""
        nothing = self.columns.compact(np.empty((0, self.values.shape[1])))
        columns = zip(*(self.parts or [nothing]), strict=True)
        return [self.columns.decoded(np.concatenate(part), i) for i, part in enumerate(columns)]


class PandasContainer(FrameContainer):
    """Data frames: names, column types and the index of the real rows are kept."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Return whether this container is for `x`."""
        return _is_frame(x, "pandas", "DataFrame")

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> Any:
        """Hand out a frame with the columns and column types that came in."""
        import pandas as pd

        columns = zip(self.made(), self.x.dtypes, strict=True)
        new = {
            i: _pandas_part(part, dtype, self.x.iloc[:, i])
            for i, (part, dtype) in enumerate(columns)
        }
        made = pd.DataFrame(new)
        made.columns = self.x.columns
        stacked = pd.concat([self.x, made], ignore_index=True) if len(made) else self.x
        frame = stacked.iloc[self._order(synthetic, index)].astype(self.x.dtypes)
        return frame.set_axis(extended_index(self.x.index, len(index)), axis=0)


class PolarsContainer(FrameContainer):
    """Polars frames: names and column types are kept."""

    @staticmethod
    def holds(x: Any) -> bool:
        """Return whether this container is for `x`."""
        return _is_frame(x, "polars", "DataFrame")

    def close(self, synthetic: np.ndarray, index: np.ndarray) -> Any:
        """Hand out a frame with the columns and column types that came in."""
        import polars as pl

        made = pl.DataFrame(
            [
                _polars_part(part, name, dtype)
                for part, (name, dtype) in zip(self.made(), self.x.schema.items(), strict=True)
            ]
        )
        return pl.concat([self.x, made])[self._order(synthetic, index)]


def _pandas_part(part: Any, dtype: Any, real: Any) -> Any:
    """Return new values of a column in the type of the real ones."""
    import pandas as pd

    if is_categorical(dtype):
        return pd.Series(pd.Categorical(part, dtype=dtype))
    if isinstance(dtype, np.dtype) and dtype.kind == "O":
        return pd.Series(like_objects(part, object_kind(real.to_numpy())), dtype=object)
    kind = dtype.subtype if is_sparse_type(dtype) else dtype
    if kind.kind in "iu":
        part = in_type(part, kind if isinstance(kind, np.dtype) else kind.numpy_dtype)
    return pd.Series(part).astype(kind).astype(dtype)


def _polars_part(part: Any, name: str, dtype: Any) -> Any:
    """Return new values of a column in the type of the real ones."""
    import polars as pl

    if part.dtype == object:
        return pl.Series(name, part.tolist(), dtype=dtype)
    if dtype.is_integer():
        part = in_type(part, np.dtype(str(dtype).lower()))
    return pl.Series(name, part).cast(dtype)


def extended_index(index: Any, n_new: int) -> Any:
    """Return the index of a frame with `n_new` labels more, distinct from those that are there."""
    import pandas as pd

    if isinstance(index, pd.RangeIndex) and index.start == 0 and index.step == 1:
        return pd.RangeIndex(len(index) + n_new, name=index.name)
    if pd.api.types.is_integer_dtype(index.dtype) and len(index):
        start = int(index.max()) + 1
        more = pd.Index(np.arange(start, start + n_new))
        fits = isinstance(index.dtype, np.dtype) and start + n_new - 1 <= np.iinfo(index.dtype).max
        more = more.astype(index.dtype) if fits or not isinstance(index.dtype, np.dtype) else more
        return index.append(more).rename(index.name)
    start = 1 + max(map(_number_of_new, index), default=-1)
    labels = [f"new_{i}" for i in range(start, start + n_new)]
    kind = index.dtype if pd.api.types.is_string_dtype(index.dtype) else object
    return index.append(pd.Index(labels, dtype=kind, tupleize_cols=False)).rename(index.name)


def _number_of_new(label: Any) -> int:
    """Return i of a label "new_i", which an earlier resampling gave; of all others -1."""
    number = label[4:] if isinstance(label, str) and label.startswith("new_") else ""
    return int(number) if number.isdecimal() else -1


def _within(rows: Tensor, dtype: torch.dtype) -> Tensor:
    """Return rows within the range of a type of whole numbers, whose ends floats round beyond."""
    if dtype.is_floating_point or dtype == torch.bool or rows.dtype == dtype:
        return rows
    return torch.from_numpy(
        in_type(to_numpy(rows), to_numpy(rows.new_empty(0, dtype=dtype)).dtype)
    ).to(rows.device)


def take_rows(x: Any, index: np.ndarray) -> Any:
    """Return rows, or labels, of any container in the container that came in."""
    if isinstance(x, Tensor):
        return x[torch.from_numpy(index).to(x.device)]
    if isinstance(x, list | tuple):
        return [x[i] for i in index]
    if sparse.issparse(x):
        return x.tocsr()[index].asformat(x.format)
    if _is_frame(x, "pandas", "Series") or _is_frame(x, "pandas", "DataFrame"):
        return x.iloc[index]
    if _is_frame(x, "polars", "Series") or _is_frame(x, "polars", "DataFrame"):
        return x[index]
    return np.asarray(x)[index]


def take_labels(y: Any, index: np.ndarray, n_new: int) -> Any:
    """Return ``y`` at `index`, in the container that came in; the last `n_new` labels are new."""
    taken = take_rows(y, index)
    if is_pandas(taken):
        return taken.set_axis(extended_index(y.index, n_new), axis=0)
    return taken
