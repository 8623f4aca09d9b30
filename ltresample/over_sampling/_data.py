"""Opening what the user passes: checks, labels as numbers, and the space of the rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length
from torch import Tensor

from ltresample._compat import check_target_type
from ltresample.rows import (
    ArrayRows,
    Categories,
    Columns,
    Container,
    Pool,
    Rows,
    categories_of,
    check_fits,
    check_random_access,
    container_of,
    open_set_rows,
    open_values,
    plain_labels,
    pool_of,
    units_of,
    warn_of_pixel_range,
)

__all__ = ["Data", "labels_of", "open_data", "real_pool", "within_range"]


class Data(NamedTuple):
    """Validated input."""

    container: Container | None
    values: Any  # ndarray or CSR matrix of numbers, never written
    labels: np.ndarray  # (n,) as the user names classes
    classes: np.ndarray  # (K,) sorted labels
    y: np.ndarray | None  # (n,) class index
    class_counts: np.ndarray | None  # (K,)
    columns: Columns | None = None  # of a table
    categories: Categories = Categories(None, [], {})


def labels_of(y: Any) -> np.ndarray:
    """Check the target, and give it as an array (n,); one-against-rest columns become labels."""
    y = plain_labels(y)
    check_classification_targets(y)
    labels, _ = check_target_type(y, indicate_one_vs_all=True)
    labels = np.asarray(labels)
    return labels.ravel() if labels.ndim == 2 and labels.shape[1] == 1 else labels


def open_data(sampler: Any, X: Any, y: Any) -> Data:
    """Check X and y before any work is done, and note what each column is taken for.

    Raises
    ------
    ValueError
        If X is empty, has fewer than two dimensions, holds NaN or infinity, or what is neither a
        number nor a category, or y is not a single-label classification target.
    """
    labels = labels_of(y)
    source, values, columns = open_values(sampler, X, reset=True)
    check_consistent_length(values, labels)
    warn_of_pixel_range(values, "X")
    categories = categories_of(values, columns, sampler.categorical_features)
    sampler.columns_, sampler._columns = categories.report, columns
    classes, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    container = container_of(source, columns)
    return Data(container, values, labels, classes, index, counts, columns, categories)


def aux_at_random(aux: Any, values: Any, *, dtype: Any, device: Any) -> Rows:
    """Open open-set samples that are to be read in any order."""
    rows = open_set_rows(aux, values, dtype=dtype, device=device)
    check_random_access(rows)
    return rows


def real_pool(
    data: Data, X: Any, *, aux: Any = None, device: torch.device, dtype: torch.dtype | None = None
) -> Pool:
    """Return the engine its view of the data; nothing is copied but the labels."""
    units = units_of(ArrayRows(data.values, dtype=torch.float64))
    dtype = dtype or units.type()
    check_fits(data.values, dtype)
    integer = data.container.integer_columns(data.values)
    on_device = isinstance(X, Tensor) and X.device.type != "cpu"
    return pool_of(
        ArrayRows(X.detach() if on_device else data.values, dtype=dtype, device=device),
        torch.as_tensor(data.y, device=device),
        data.class_counts,
        aux=None if aux is None else aux_at_random(aux, data.values, dtype=dtype, device=device),
        space=units.space(dtype, device, integer=integer, categorical=data.categories.mask),
    )


def within_range(write: Callable[..., None], values: Any, pool: Pool) -> Callable[..., None]:
    """Undo the rounding of single precision where it leaves the observed range of a column."""
    exact = values.dtype.itemsize <= (4 if values.dtype.kind == "f" else 2)
    if values.ndim > 2 or exact or pool.space.scale.dtype == torch.float64:
        return write
    bounds = [
        part.toarray().ravel() if sparse.issparse(part) else part
        for part in (values.min(axis=0), values.max(axis=0))
    ]
    lower, upper = (torch.from_numpy(part.astype(np.float64)) for part in bounds)
    return lambda at, rows: write(at, torch.clamp(rows.cpu().double(), lower, upper))
