"""Rows of an auxiliary set that are rows of the training set, or nearly so."""

from __future__ import annotations

import itertools
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ltresample._random import root_seed
from ltresample._torch import drop_mapped_pages

__all__ = ["KnownRows", "NearDuplicates", "count_shared_rows", "find_near_duplicates"]

_SAMPLE = 1000  # training rows that give the scale of distances and the directions of projection
_DIRECTIONS = 32
_BLOCK = 32 << 20  # bytes of one block of rows or distances


class NearDuplicates(NamedTuple):
    """What a comparison of auxiliary with training data found."""

    kept: NDArray[np.int64]  # rows of X_aux that are no near-duplicates, in order
    n_removed: int  # the others
    removed: NDArray[np.int64]  # their rows in X_aux
    partner: NDArray[np.int64]  # for each of these, a row of X within the radius
    radius: float  # largest distance that counts as a near-duplicate


def find_near_duplicates(
    X_aux: Any, X: Any, *, radius: float | None = None, random_state=None
) -> NearDuplicates:
    """Find rows of auxiliary data that nearly equal training rows.

    Open-set data belong to none of the classes. Images collected from the same source as the
    training data often hold copies of it; their random labels would contradict the true ones.

    Distances are Euclidean. Both sets are read in blocks: a block is projected on a few orthonormal
    directions, which never makes a distance longer, so that only pairs that are near there are
    compared in full.

    Parameters
    ----------
    X_aux : ndarray, memory map or sparse matrix of shape (n_aux, ...)
        Auxiliary rows, in the units of X. Read in blocks, so that it may be larger than memory.
    X : ndarray, memory map or sparse matrix of shape (n, ...)
        Training rows.
    radius : float or None, default=None
        Rows up to this distance from a training row are near-duplicates. None: a fifth of the
        median distance between a training row and its nearest other one, over a sample of 1000.
    random_state : int, RandomState, Generator or None, default=None
        Source of that sample.

    Returns
    -------
    NearDuplicates
        `kept` (positions in X_aux), `n_removed`, `removed`, `partner` and `radius`.

    Raises
    ------
    ValueError
        If rows have different shapes, a set is empty, or `radius` is negative.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(100, 5))
    >>> X_aux = np.concatenate([X[:3] + 1e-3, np.full((2, 5), 9.0)])
    >>> found = find_near_duplicates(X_aux, X, random_state=0)
    >>> found.n_removed, found.kept.tolist(), found.partner.tolist()
    (3, [3, 4], [0, 1, 2])
    """
    _check(X_aux, X, radius)
    n = X.shape[0]
    sample = np.sort(root_seed(random_state).child("sample").numpy().permutation(n)[:_SAMPLE])
    sampled = _rows(X, sample)
    center, directions = _projection(sampled)
    radius = _default_radius(X, sampled, sample) if radius is None else float(radius)
    projected = np.concatenate([_rows(X, part) @ directions for part in _blocks(X)])
    projected -= center @ directions
    removed, partner = [], []
    for part in _blocks(X_aux):
        rows = _rows(X_aux, part)
        for i, j in _within(rows, (rows - center) @ directions, X, projected, radius):
            removed.append(part[i])
            partner.append(j)
    removed = np.array(removed, dtype=np.int64)
    kept = np.setdiff1d(np.arange(X_aux.shape[0]), removed)
    return NearDuplicates(kept, len(removed), removed, np.array(partner, dtype=np.int64), radius)


def count_shared_rows(X_aux: Any, X: Any) -> int:
    """Count the rows of X_aux that equal a row of X exactly.

    Parameters
    ----------
    X_aux, X : ndarray, memory map or sparse matrix of shapes (n_aux, ...) and (n, ...)
        Read in blocks; X_aux is compared in the type of X.

    Returns
    -------
    int
        Number of rows of X_aux that stand in X.

    Examples
    --------
    >>> import numpy as np
    >>> count_shared_rows(np.eye(3), np.eye(3)[:2])
    2
    """
    known = KnownRows(X)
    return sum(known.count(_taken(X_aux, part)) for part in _blocks(X_aux))


class KnownRows:
    """The rows of a training set, to be recognised when they come again.

    Parameters
    ----------
    X : ndarray, memory map or sparse matrix of shape (n, ...)
        Read in blocks; kept is one number a row.
    """

    def __init__(self, X: Any):
        self.kind = X.dtype
        self._keys = {key for part in _blocks(X) for key in _keys(_taken(X, part), self.kind)}

    def count(self, rows: Any) -> int:
        """Count the rows that are among the known ones, in the type of X."""
        return sum(key in self._keys for key in _keys(rows, self.kind))


def _keys(rows: Any, kind: np.dtype) -> list[int]:
    """Return a hash of each row; positive and negative zeros are alike."""
    if sparse.issparse(rows):
        rows = rows.astype(kind)
        rows.eliminate_zeros()
        rows.sort_indices()
        return [
            hash((rows.indices[a:b].astype(np.int64).tobytes(), rows.data[a:b].tobytes()))
            for a, b in itertools.pairwise(rows.indptr)
        ]
    rows = np.asarray(rows).reshape(len(rows), -1).astype(kind)
    rows = rows + kind.type(0) if kind.kind == "f" else np.ascontiguousarray(rows)
    return [hash(row.tobytes()) for row in rows]


def _taken(X: Any, index: NDArray) -> Any:
    if sparse.issparse(X):
        return X.tocsr()[index]
    rows = X[index]
    drop_mapped_pages(X)
    return rows


def _within(rows, projected_aux, X, projected, radius) -> list[tuple[int, int]]:
    """Return, for rows near a row of X, their position and that of the nearest candidate in X."""
    square = (projected**2).sum(1)
    found = []
    step = max(1, _BLOCK // (8 * len(projected)))
    for start in range(0, len(rows), step):
        part = projected_aux[start : start + step]
        own = (part**2).sum(1)
        # |a|^2 - 2 a.b + |b|^2, (block, n); its rounding error is far below 1e-12 (|a|^2 + |b|^2)
        distance = own[:, None] - 2 * part @ projected.T + square
        near = distance <= radius**2 * (1 + 1e-9) + 1e-12 * (own.max() + square.max())
        for i in np.flatnonzero(near.any(1)):
            candidates = np.flatnonzero(near[i])
            best, j = _nearest(rows[start + i], X, candidates)
            if best <= radius:
                found.append((start + i, j))
    return found


def _nearest(row: NDArray, X: Any, candidates: NDArray) -> tuple[float, int]:
    """Compare one row with some rows of X in full."""
    best, position = np.inf, -1
    step = max(1, _BLOCK // (8 * max(1, len(row))))
    for start in range(0, len(candidates), step):
        part = candidates[start : start + step]
        distance = np.sqrt(((_rows(X, part) - row) ** 2).sum(1))
        if distance.min() < best:
            best, position = float(distance.min()), int(part[distance.argmin()])
    return best, position


def _projection(sampled: NDArray) -> tuple[NDArray, NDArray]:
    """Return the mean of some rows and their first principal directions (d, r), orthonormal."""
    center = sampled.mean(0)
    _, _, directions = np.linalg.svd(sampled - center, full_matrices=False)
    return center, directions[:_DIRECTIONS].T


def _default_radius(X: Any, sampled: NDArray, sample: NDArray) -> float:
    """Return a fifth of the median distance from a sampled row to its nearest other row of X."""
    square = (sampled**2).sum(1)
    best = np.full(len(sampled), np.inf)
    for part in _blocks(X):
        rows = _rows(X, part)
        distance = square[:, None] - 2 * sampled @ rows.T + (rows**2).sum(1)
        distance[sample[:, None] == part] = np.inf  # itself
        best = np.minimum(best, distance.min(1))
    best = best[np.isfinite(best)]
    return float(0.2 * np.median(np.sqrt(np.maximum(best, 0)))) if len(best) else 0.0


def _blocks(X: Any) -> list[NDArray]:
    """Cut the positions of rows into blocks that fit into little memory as float64."""
    width = max(1, int(np.prod(X.shape[1:])))
    step = max(1, _BLOCK // (8 * width))
    return [np.arange(a, min(a + step, X.shape[0])) for a in range(0, X.shape[0], step)]


def _rows(X: Any, index: NDArray) -> NDArray[np.float64]:
    """Read some rows as dense vectors (m, d)."""
    rows = _taken(X, index)
    rows = rows.toarray() if sparse.issparse(rows) else np.asarray(rows)
    return rows.reshape(len(index), -1).astype(np.float64)


def _check(X_aux: Any, X: Any, radius: float | None) -> None:
    if tuple(X_aux.shape[1:]) != tuple(X.shape[1:]) or not X_aux.shape[0] or not X.shape[0]:
        raise ValueError(
            "X_aux and X must hold rows of the same shape, at least one each. "
            f"Got X_aux of shape {tuple(X_aux.shape)} and X of shape {tuple(X.shape)}."
        )
    if radius is not None and not radius >= 0:
        raise ValueError(f"radius must be at least 0. Got radius={radius!r}.")
