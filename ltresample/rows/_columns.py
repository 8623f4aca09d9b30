"""Columns that never vary: taken out before work starts, and written back into what is made."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from ltresample._torch import to_numpy
from ltresample.rows._containers import Container
from ltresample.rows._pool import Pool
from ltresample.rows._sources import ArrayRows, Rows, RowSource

__all__ = ["ColumnRows", "TakeColumns", "VaryingColumns"]

LEAST_SHARE = 0.25  # share of constant columns from which on it pays to leave them out


class ColumnRows(RowSource):
    """Some columns of other rows."""

    def __init__(self, rows: Rows, columns: Tensor):
        self.rows = rows
        self.columns = columns

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return (len(self.columns),)

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Tensor:
        """Return the rows at `index` (m,) as a new tensor (m, n_columns)."""
        rows = self.rows.take(index)
        return rows[:, self.columns.to(rows.device)]


class TakeColumns(nn.Module):
    """First layer of a network that looks at some columns only."""

    def __init__(self, columns: Tensor):
        super().__init__()
        self.register_buffer("columns", columns)

    def forward(self, x: Tensor) -> Tensor:
        """Return these columns of rows (n, d)."""
        return x[:, self.columns]


class VaryingColumns(NamedTuple):
    """The columns of a table that vary, where many do not."""

    varying: np.ndarray  # positions of the columns that vary
    filled: np.ndarray  # positions of those and of the constant ones that are not zero
    constant: np.ndarray  # (n_filled,) what stands there, of columns that do not vary
    width: int  # of a whole row

    @classmethod
    def of(cls, values: Any, pool: Pool) -> VaryingColumns | None:
        """Find the columns that vary; None if nearly all do, or all rows are alike.

        Parameters
        ----------
        values : ndarray or CSR matrix of shape (n, ...)
            Real samples.
        pool : Pool
            Of these rows, all of their columns.
        """
        if len(pool.x.row_shape) != 1 or not values.shape[0]:
            return None
        d = values.shape[1]
        vary = (pool.space.scale.expand(d) > 0).cpu().numpy()
        if not vary.any() or vary.sum() > (1 - LEAST_SHARE) * d:
            return None
        first = values[:1]
        first = first.toarray()[0] if sparse.issparse(first) else np.asarray(first)[0]
        filled = np.flatnonzero(vary | (first != 0))
        return cls(np.flatnonzero(vary), filled, first[filled], d)

    def narrow(self, pool: Pool) -> Pool:
        """Return a pool without the other columns."""
        columns = torch.from_numpy(self.varying)

        def part(whole: Tensor | None) -> Tensor | None:
            return whole[columns.to(whole.device)] if whole is not None and whole.dim() else whole

        space, x = pool.space, pool.x.x
        kept = x[:, columns.to(x.device)] if isinstance(x, Tensor) else x[:, self.varying]
        return replace(
            pool,
            x=ArrayRows(kept, dtype=pool.x.dtype, device=pool.x.device),
            space=space._replace(
                **{
                    name: part(whole)
                    for name, whole in space._asdict().items()
                    if name != "keep_zeros"
                }
            ),
            aux_x=None if pool.aux_x is None else ColumnRows(pool.aux_x, columns),
        )

    def write(self, container: Container, positions: Tensor, rows: Tensor) -> None:
        """Give new rows (m, n_varying) to a container, with the constant columns in their places."""
        # in a type that holds large whole numbers as they are
        dtype = np.result_type(self.constant.dtype, to_numpy(rows).dtype)
        full = np.tile(self.constant, (len(rows), 1)).astype(dtype, copy=False)
        full[:, np.searchsorted(self.filled, self.varying)] = to_numpy(rows)
        container.write_columns(positions, torch.from_numpy(full), self.filled, self.width)
