"""The columns of a table: their names, their categories as one-hot blocks, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from ltresample.rows._foreign import is_frame, is_pandas
from ltresample.rows._numbers import Levels, frame_column, plain_array, plain_objects

__all__ = [
    "Columns",
    "array_columns",
    "as_array",
    "columns_of",
    "encoded_table",
    "known_rows",
    "plain_values",
]

MOST_LEVELS = 1000  # of a column of text; more are names, not categories


@dataclass(frozen=True)
class Columns:
    """What the columns of a table are, and where they stand in its values.

    A column of categories is a block of as many columns in the values, one for each category, with 1
    at the category of the row and 0 elsewhere; every other column is one column.
    """

    n: int
    names: tuple[Any, ...] | None = None
    levels: dict[int, Any] = field(default_factory=dict)  # column -> its categories
    whole: np.ndarray | None = None  # (n,) bool: whole numbers and truth values; None: none
    truth: np.ndarray | None = None  # (n,) bool: truth values

    @cached_property
    def starts(self) -> np.ndarray:
        """Where each column begins in the values, and the width of the values, (n + 1,)."""
        sizes = np.ones(self.n, dtype=np.int64)
        for i, levels in self.levels.items():
            sizes[i] = len(levels)
        return np.concatenate([[0], np.cumsum(sizes)])

    def label(self, i: int) -> Any:
        """Return the name of column i, or its position."""
        return i if self.names is None else self.names[i]

    def spread(self, mask: np.ndarray) -> np.ndarray:
        """Return a mask of the columns of the values from one of the columns of X."""
        return np.repeat(mask, np.diff(self.starts))

    def whole_values(self) -> np.ndarray | None:
        """Return a mask of the values that are whole numbers, which broadcasts; None: none are."""
        if self.whole is None or not self.whole.any():
            return None
        if self.whole.all():
            return np.ones((), dtype=bool)
        coded = np.isin(np.arange(self.n), list(self.levels))
        return self.spread(self.whole & ~coded)

    def origin(self, columns: np.ndarray) -> list[Any]:
        """Name the columns of X that columns of the values belong to, each once."""
        at = np.unique(np.searchsorted(self.starts, columns, side="right") - 1)
        return [self.label(int(i)) for i in at]

    def part(self, rows: np.ndarray, i: int) -> np.ndarray:
        """Return column i of X, as numbers or categories, from values (m, width)."""
        return self.decoded(self._coded(rows, i), i)

    def compact(self, rows: np.ndarray) -> list[np.ndarray]:
        """Return the columns of X as numbers or codes, without a hold on the values (m, width)."""
        return [self._coded(rows, i).copy() for i in range(self.n)]

    def _coded(self, rows: np.ndarray, i: int) -> np.ndarray:
        start, stop = self.starts[i : i + 2]
        return rows[:, start:stop].argmax(axis=1) if i in self.levels else rows[:, start]

    def decoded(self, part: np.ndarray, i: int) -> np.ndarray:
        """Return column i of X, as numbers or categories, from numbers or codes (m,)."""
        if i not in self.levels:
            return part
        levels = self.levels[i]
        return _taken(levels, part) if isinstance(levels, list) else levels.take(part)


def _taken(levels: list[Any], codes: np.ndarray) -> np.ndarray:
    items = np.empty(len(codes), dtype=object)
    items[:] = [levels[code] for code in codes]
    return items


def as_array(x: Any) -> np.ndarray:
    """Return `x` as an array; lists of rows that hold text keep the numbers beside it as they are.

    Raises
    ------
    ValueError
        If rows differ in length.

    Examples
    --------
    >>> as_array([["red", 1.5], ["blue", 2.0]]).tolist()
    [['red', 1.5], ['blue', 2.0]]
    """
    array = np.asarray(x)
    is_text = array.dtype.kind in "SU" and isinstance(x, list | tuple)
    return np.asarray(x, dtype=object) if is_text else array


def columns_of(x: Any) -> list[tuple[Any, Any]] | None:
    """List name and values of the columns of a frame or of a table of objects; None: neither."""
    if is_frame(x):
        names = list(x.columns)
        pick = x.iloc.__getitem__ if is_pandas(x) else None
        return [(n, pick((slice(None), i)) if pick else x[n]) for i, n in enumerate(names)]
    if isinstance(x, np.ndarray) and x.dtype == object and x.ndim == 2:
        return [(None, x[:, i]) for i in range(x.shape[1])]
    return None


def encoded_table(x: Any, name: str, known: Columns | None) -> tuple[np.ndarray, Columns]:
    """Return a frame, or an array of objects (n, p), as numbers, with what its columns are.

    Parameters
    ----------
    x : data frame or ndarray
        The table.
    name : str
        "X" or "X_aux", for errors.
    known : Columns or None
        What the columns were where the categories were learnt. None: they are learnt here.

    Returns
    -------
    values : ndarray of shape (n, width)
        Missing values are NaN.
    columns : Columns
        `known`, or what was learnt.

    Raises
    ------
    ValueError
        If a column is not of numbers or categories, has more than 1,000 of these, or some that were
        not known.
    """
    found = columns_of(x)
    names = None if found is None or not is_frame(x) else tuple(key for key, _ in found)
    parts = [_read(column, i, key, name) for i, (key, column) in enumerate(found)]
    if known is None:
        known = _learnt(parts, names, name)
    kinds = {
        np.dtype(np.float32) if isinstance(part, Levels) or i in known.levels else part.dtype
        for i, part in enumerate(parts)
    }
    values = np.empty((len(x), int(known.starts[-1])), dtype=np.result_type(*kinds))
    for i, part in enumerate(parts):
        start, stop = known.starts[i : i + 2]
        _write_block(values[:, start:stop], part, i, known, name)
    return values, known


def _read(column: Any, i: int, key: Any, name: str) -> np.ndarray | Levels:
    called = f"Column {i if key is None else repr(key)} of {name}"
    if isinstance(column, np.ndarray):
        return plain_objects(column, called)
    return frame_column(column, called)


def _learnt(parts: list[Any], names: tuple[Any, ...] | None, name: str) -> Columns:
    coded = {i: part.levels for i, part in enumerate(parts) if isinstance(part, Levels)}
    for i, levels in coded.items():
        if len(levels) > MOST_LEVELS:
            raise ValueError(
                f"Column {repr(names[i]) if names else i} of {name} has {len(levels)} different "
                f"categories, and at most {MOST_LEVELS} can be used. It looks like a name or a text. "
                "Leave it out, or encode it, for example with TargetEncoder or TfidfVectorizer."
            )
    kinds = ["O" if isinstance(part, Levels) else part.dtype.kind for part in parts]
    return Columns(
        n=len(parts),
        names=names,
        levels=coded,
        whole=np.array([kind in "iub" for kind in kinds], dtype=bool),
        truth=np.array([kind == "b" for kind in kinds], dtype=bool),
    )


def _write_block(
    block: np.ndarray, part: np.ndarray | Levels, i: int, known: Columns, name: str
) -> None:
    """Write the values of a column: numbers (n, 1), or a block (n, levels) of zeros and ones."""
    title = f"Column {known.label(i)!r} of {name}"
    if i not in known.levels:
        if isinstance(part, Levels):
            raise ValueError(
                f"{title} must hold numbers, as it did in fit. Got categories such as "
                f"{list(part.levels)[:3]}. Pass the columns that fit was given."
            )
        block[:, 0] = part
        return
    part = _as_levels(part)
    codes = _known_codes(part, known.levels[i])
    if (codes == -2).any():
        unknown = [part.levels[c] for c in np.unique(part.codes[codes == -2])[:5]]
        raise ValueError(
            f"{title} holds categories that are not known: {unknown}. Known are "
            f"{list(known.levels[i])[:10]}. Fit on data with all categories, for example with a "
            "pandas 'category' or polars Enum column that names them."
        )
    block[:] = 0
    block[np.arange(len(codes)), codes.clip(min=0)] = 1
    block[codes < 0] = np.nan


def _as_levels(part: np.ndarray | Levels) -> Levels:
    if isinstance(part, Levels):
        return part
    levels, codes = np.unique(part, return_inverse=True)
    return Levels(codes, levels.tolist())


def _known_codes(part: Levels, levels: Any) -> np.ndarray:
    """Return positions in the known categories (n,); -1: missing, -2: not known."""
    place = {level: code for code, level in enumerate(levels)}
    new = np.array([place.get(level, -2) for level in part.levels] + [-1])
    return new[part.codes]  # -1, missing, stays the last


def known_rows(x: Any, known: Columns) -> np.ndarray:
    """Return which rows of a table have a known category in each column of categories.

    Parameters
    ----------
    x : data frame, ndarray or list of rows of length n
        The table.
    known : Columns
        What the columns were where the categories were learnt.

    Returns
    -------
    ndarray of shape (n,), bool
        False where a category is missing or was not there.
    """
    found = columns_of(as_array(x) if isinstance(x, list | tuple) else x) or []
    is_known = np.ones(len(x), dtype=bool)
    for i, (key, column) in enumerate(found):
        if i in known.levels:
            part = _as_levels(_read(column, i, key, "X"))
            is_known &= _known_codes(part, known.levels[i]) >= 0
    return is_known


def array_columns(values: Any) -> Columns | None:
    """Return the columns of numbers in one type (n, p), without names; None: these are no rows."""
    if values.ndim != 2:
        return None
    n, kind = values.shape[1], values.dtype.kind
    return Columns(n, whole=np.full(n, kind in "iub"), truth=np.full(n, kind == "b"))


def plain_values(x: np.ndarray, name: str) -> np.ndarray:
    """Return an array of numbers or of objects (n, ...) as numbers."""
    if x.dtype != object:
        return plain_array(x, name)
    flat = plain_objects(x.ravel(), name)
    if isinstance(flat, Levels):
        raise ValueError(f"{name} must hold numbers. Got text such as {flat.levels[0]!r}.")
    return flat.reshape(x.shape)
