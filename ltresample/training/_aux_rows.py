"""Open-set samples beside the rows in training: same units, same augmentation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor

from ltresample._random import Seed
from ltresample.rows import Columns, Rows, RowSource, RowStream, TakenRows, open_beside

__all__ = ["AugmentedRows", "open_aux_rows"]


class AugmentedRows(RowSource):
    """Rows that are augmented when they are taken, from a stream that each step sets anew.

    Parameters
    ----------
    rows : Rows or RowStream
        As they are.
    augment : callable
        ``augment(x, generator) -> x``, that of the training rows.
    """

    def __init__(self, rows: Rows | RowStream, augment: Callable[[Tensor, Any], Tensor]):
        self.rows = rows
        self.augment = augment
        self.is_stream = rows.is_stream
        self.begin_step(Seed(0))

    def begin_step(self, seed: Seed) -> None:
        """Start the stream of a training step."""
        self._generator = seed.child("augment open-set").torch()

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return self.rows.row_shape

    def __len__(self) -> int:
        return len(self.rows)

    def take(self, index: Tensor) -> Tensor:
        """Return the rows at `index` (m,), augmented."""
        return self.augment(self.rows.take(index), self._generator)

    def read(self, m: int) -> Tensor:
        """Return the next m rows of a stream, augmented."""
        return self.augment(self.rows.read(m), self._generator)


def open_aux_rows(
    X_aux: Any,
    rows: TakenRows,
    augment: Callable[[Tensor, Any], Tensor] | None,
    columns: Columns | None = None,
) -> Rows | RowStream | AugmentedRows:
    """Open open-set samples and check them against training rows.

    Raises
    ------
    ValueError
        If they are empty, or of another shape, range or type.
    """
    opened = open_beside(X_aux, rows, columns=columns)
    return opened if augment is None else AugmentedRows(opened, augment)
