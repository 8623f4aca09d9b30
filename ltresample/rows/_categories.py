"""Which columns hold categories: by type, by name, and groups of one-hot columns that are found."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse

from ltresample.rows._table import Columns

__all__ = ["Categories", "categories_of", "one_hot_groups"]

LOOK = 64  # rows that rule out most columns of numbers at a glance
FEW_COLUMNS = 64  # up to which one-hot groups are sought in any order of columns
BUDGET = 4000  # columns that are tried in that search
CHUNK = 32 << 20  # bytes of columns looked at together


class Categories(NamedTuple):
    """The columns of the values that hold categories."""

    mask: np.ndarray | None  # (width,) bool; None: there are none
    groups: list[np.ndarray]  # columns that are one category together
    report: dict[str, list[Any]]  # kind of column -> names or positions in X


def categories_of(values: Any, columns: Columns | None, features: Any) -> Categories:
    """Say which columns hold categories.

    Parameters
    ----------
    values : ndarray or CSR matrix of shape (n, ...)
        Rows of numbers.
    columns : Columns or None
        What the columns are. None: the rows are no rows of a table.
    features : array-like or None
        Positions, names or a mask of columns; groups of columns may stand in lists of their own.
        None: truth values beside numbers, and groups of two-valued columns of which exactly one
        has its larger value in every row. Columns of text and categories always belong to them.

    Returns
    -------
    Categories
        The columns.

    Raises
    ------
    ValueError
        If `features` names what is no column.
    """
    if columns is None:
        if features is not None:
            raise ValueError(
                "categorical_features names columns of a table. Got rows of shape "
                f"{tuple(values.shape[1:])}. Leave it at None."
            )
        return Categories(None, [], {})
    coded = np.isin(np.arange(columns.n), list(columns.levels))
    blocks = [np.arange(*columns.starts[i : i + 2]) for i in sorted(columns.levels)]
    if features is None:
        own = coded | _truth_beside_numbers(columns, coded)
        groups = [g for g in one_hot_groups(values) if not columns.spread(coded)[g].any()]
    else:
        own, groups = coded | named_columns(features, columns), []
        named = [g for g in _named_groups(features, columns, own & ~coded) if g.sum() > 1]
        blocks += [np.flatnonzero(columns.spread(group)) for group in named]
    mask = columns.spread(own)
    for group in groups:
        mask[group] = True
    report = _report(columns, own, groups)
    return Categories(mask if mask.any() else None, blocks + groups, report)


def _named_groups(features: Any, columns: Columns, own: np.ndarray) -> list[np.ndarray]:
    """Return the columns (n,) of each group that is named; those without a list are one group."""
    lists = [item for item in features if isinstance(item, list | tuple | np.ndarray)]
    groups = [named_columns(item, columns) & own for item in lists]
    rest = own & ~np.any(groups, axis=0) if groups else own
    return [*groups, rest]


def _truth_beside_numbers(columns: Columns, coded: np.ndarray) -> np.ndarray:
    """Return the truth values; none where nothing else could move."""
    rest = ~coded & ~columns.truth
    return columns.truth if rest.any() else np.zeros_like(coded)


def _report(columns: Columns, own: np.ndarray, groups: list[np.ndarray]) -> dict[str, list[Any]]:
    in_groups = np.zeros(columns.n, dtype=bool)
    lists = []
    for group in groups:
        at = np.searchsorted(columns.starts, group, side="right") - 1
        in_groups[at] = True
        lists.append([columns.label(int(i)) for i in at])
    free = ~own & ~in_groups
    whole = np.zeros_like(free) if columns.whole is None else columns.whole
    masks = {
        "numbers": free & ~whole,
        "whole_numbers": free & whole,
        "categories": own & ~in_groups,
    }
    named = {kind: np.flatnonzero(m).tolist() for kind, m in masks.items()}
    if columns.names is not None:
        named = {kind: [columns.names[i] for i in at] for kind, at in named.items()}
    return {**named, "one_hot": lists}


def named_columns(features: Any, columns: Columns) -> np.ndarray:
    """Turn positions, a mask or names, some of them in lists of their own, into a mask (n,).

    Raises
    ------
    ValueError
        If it is none of these.
    """
    mask, n = np.zeros(columns.n, dtype=bool), columns.n
    flat = list(_flat(features))
    if len(flat) == n and all(isinstance(item, bool | np.bool_) for item in flat):
        return np.array(flat, dtype=bool)
    whole = all(
        isinstance(item, int | np.integer) and not isinstance(item, bool | np.bool_)
        for item in flat
    )
    known = [] if columns.names is None else list(columns.names)
    if flat and all(item in known for item in flat):
        mask[[known.index(item) for item in flat]] = True
        return mask
    if whole and all(-n <= item < n for item in flat):
        mask[[int(item) for item in flat]] = True
        return mask
    those = f"columns {known[:10]}" if known else f"{n} columns without names"
    raise ValueError(
        f"categorical_features must hold positions, names or a mask of columns. Got {features!r} for "
        f"X with {those}."
    )


def _flat(features: Any) -> Iterator[Any]:
    if not isinstance(features, list | tuple | dict | set) and np.ndim(features) == 0:
        yield features
        return
    for item in features:
        if isinstance(item, list | tuple | np.ndarray):
            yield from _flat(item)
        else:
            yield item


def one_hot_groups(values: Any) -> list[np.ndarray]:
    """Find groups of two-valued columns of which exactly one has its larger value in every row.

    Columns that follow each other, but for others between them, are found always; in any order
    where at most 64 two-valued columns are left.

    Parameters
    ----------
    values : ndarray or CSR matrix of shape (n, p)
        Rows.

    Returns
    -------
    list of ndarray
        Columns of each group, sorted.

    Examples
    --------
    >>> x = np.eye(3)[[0, 1, 2, 2, 1, 0]]
    >>> one_hot_groups(np.column_stack([np.arange(6.0), x]))
    [array([1, 2, 3])]
    """
    at, ones = _two_valued(values)
    if len(at) < 2:
        return []
    n = ones.shape[0]
    groups = list(_neighbours(ones, n))
    left = np.setdiff1d(np.arange(len(at)), np.concatenate([[], *groups]).astype(int))
    if 2 <= len(left) <= FEW_COLUMNS:
        groups += [left[group] for group in _anywhere(ones[:, left].toarray(), n)]
    return sorted((at[np.sort(group)] for group in groups), key=lambda group: int(group[0]))


def _two_valued(values: Any) -> tuple[np.ndarray, Any]:
    """Return the columns with two values, and where each has the larger one, as a CSC array."""
    if sparse.issparse(values):
        return _two_valued_sparse(values)
    look = values[:LOOK]
    low, high = look.min(axis=0), look.max(axis=0)
    at = np.flatnonzero(((look == low) | (look == high)).all(axis=0))
    n_parts = (
        1 + len(at) * len(values) * values.itemsize // CHUNK
    )  # a copy of all would be as large
    found = [_with_two_values(values[:, some]) for some in np.array_split(at, n_parts)]
    kept = np.concatenate([mask for mask, _ in found])
    return at[kept], sparse.hstack([ones for _, ones in found], format="csc")


def _with_two_values(part: np.ndarray) -> tuple[np.ndarray, Any]:
    """Return which columns have two values, as a mask, and where those have the larger one."""
    low, high = part.min(axis=0), part.max(axis=0)
    kept = (low < high) & ((part == low) | (part == high)).all(axis=0)
    return kept, sparse.csc_array(part[:, kept] == high[kept])


def _two_valued_sparse(values: Any) -> tuple[np.ndarray, Any]:
    columns = sparse.csc_array(values)
    if (columns.data == 0).any():
        columns = columns.copy()
        columns.eliminate_zeros()
    counts = np.diff(columns.indptr)
    filled = np.flatnonzero((counts > 0) & (counts < columns.shape[0]))
    starts = columns.indptr[filled]
    if not len(filled):
        return filled, columns
    # entries of columns without any lie between none: reduceat takes each filled column alone
    ends = np.stack([starts, columns.indptr[filled + 1]], 1).ravel()
    padded = np.concatenate([columns.data, columns.data[-1:]])
    low, high = (f.reduceat(padded, ends)[::2] for f in (np.minimum, np.maximum))
    at = filled[(low == high) & (low > 0)]
    return at, columns[:, at]


def _neighbours(ones: Any, n: int) -> Iterator[np.ndarray]:
    """Yield runs of columns whose ones are n in number, and one in each row."""
    total = np.concatenate([[0], np.cumsum(np.diff(ones.indptr))])
    stops = np.searchsorted(total, total[:-1] + n)
    stops = np.minimum(stops, len(total) - 1)
    candidates = total[stops] == total[:-1] + n
    some = ones.tocsr()[np.unique(np.linspace(0, n - 1, 16).astype(int))]
    for row in range(some.shape[0]):  # a look at a few rows rules out nearly all runs of text
        here = np.zeros(len(total), dtype=np.int64)
        here[some.indices[some.indptr[row] : some.indptr[row + 1]] + 1] = 1
        here = np.cumsum(here)
        candidates &= here[stops] - here[:-1] == 1
    free = 0
    for start in np.flatnonzero(candidates):
        stop = stops[start]
        rows = ones.indices[ones.indptr[start] : ones.indptr[stop]]
        if start >= free and stop - start > 1 and len(np.unique(rows)) == n:
            yield np.arange(start, stop)
            free = stop


def _anywhere(ones: np.ndarray, n: int) -> list[np.ndarray]:
    """Find groups among few columns in any order, the nearest columns first."""
    # a set of rows as a number: row 0 is the highest of n bits
    sets = [int.from_bytes(np.packbits(column != 0).tobytes()) >> -n % 8 for column in ones.T]
    whole, tried, left, groups = (1 << n) - 1, [0], set(range(len(sets))), []

    def search(chosen: list[int], union: int) -> list[int] | None:
        if union == whole:
            return chosen
        if tried[0] > BUDGET or 3 * len(chosen) > n:
            return None
        missing = whole & ~union
        bit = missing & -missing
        for i in sorted(left, key=lambda i: abs(i - chosen[-1])):
            tried[0] += 1
            if sets[i] & bit and not sets[i] & union:
                found = search([*chosen, i], union | sets[i])
                if found is not None:
                    return found
        return None

    for first in range(len(sets)):
        if first in left:
            left.discard(first)
            found = search([first], sets[first])
            if found is not None and len(found) > 1 and 3 * len(found) <= n:
                groups.append(np.array(sorted(found)))
                left -= set(found)
    return groups
