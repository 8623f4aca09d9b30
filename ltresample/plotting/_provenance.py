"""What a fitted sampler tells of the rows it returned."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import sparse
from sklearn.exceptions import NotFittedError


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


def rows_of(X: Any, index: np.ndarray) -> np.ndarray:
    """Return some rows of any container as a dense array (n, ...)."""
    if hasattr(X, "iloc"):
        return X.iloc[index].to_numpy()
    if sparse.issparse(X):
        return X.tocsr()[index].toarray()
    if isinstance(X, list | tuple):
        return np.asarray([X[i] for i in index])
    return np.asarray(X[index])
