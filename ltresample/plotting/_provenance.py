"""What a fitted sampler tells of the rows it returned."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import NotFittedError

from ltresample.rows import columns_of, encoded_table


def provenance_of(sampler: Any, n_rows: int) -> np.ndarray:
    """Return the sampler's `provenance_` (n_rows,) after a check that it is of these rows."""
    if not hasattr(sampler, "provenance_"):
        raise NotFittedError(
            f"This {type(sampler).__name__} has no provenance_ to draw. "
            "Call fit_resample first, and pass a sampler of ltresample."
        )
    provenance = sampler.provenance_
    if len(provenance) != n_rows:
        raise ValueError(
            "The resampled data must be those of the sampler's last fit_resample. "
            f"Got {n_rows} rows, the sampler returned {len(provenance)}."
        )
    return provenance


def table_of(sampler: Any, X: Any) -> tuple[Any, list[str] | None]:
    """Return a frame, or an array of objects, as numbers (n, width), and what its columns are called.

    A column of categories is one of zeros and ones for each category. All else is given back as it is,
    without names.
    """
    if columns_of(X) is None:
        return X, None
    values, columns = encoded_table(X, "X", getattr(sampler, "_columns", None))
    names = [
        f"{columns.label(i)} = {level}" if i in columns.levels else str(columns.label(i))
        for i in range(columns.n)
        for level in columns.levels.get(i, [None])
    ]
    return values.astype(np.result_type(values.dtype, np.float32), copy=False), names


def rows_of(X: Any, index: np.ndarray) -> np.ndarray:
    """Return some rows of any container as a dense array (n, ...)."""
    if hasattr(X, "iloc"):
        return X.iloc[index].to_numpy()
    if sparse.issparse(X):
        return X.tocsr()[index].toarray()
    if isinstance(X, list | tuple):
        return np.asarray([X[i] for i in index])
    return np.asarray(X[index])
