"""Opening what the user passes: checks, labels as numbers, and the space of the rows."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from sklearn.utils.multiclass import check_classification_targets
from torch import Tensor

from ltresample._compat import check_target_type, validate_data
from ltresample.rows import (
    ArrayRows,
    Container,
    Pool,
    Rows,
    Space,
    check_random_access,
    container_of,
    open_set_rows,
)

__all__ = ["Data", "aligned_aux", "check_finite", "labels_of", "open_data", "pool_of"]


class Data(NamedTuple):
    """Validated input."""

    container: Container
    values: Any  # ndarray or CSR matrix of numbers, never written
    labels: np.ndarray  # (n,) as the user names classes
    classes: np.ndarray  # (K,) sorted labels
    y: np.ndarray  # (n,) class index
    class_counts: np.ndarray  # (K,)


def labels_of(y: Any) -> np.ndarray:
    """Check the target, and give it as an array (n,); one-against-rest columns become labels."""
    y = y.detach().cpu().numpy() if isinstance(y, Tensor) else y
    y = y.to_numpy() if hasattr(y, "to_numpy") else y
    check_classification_targets(y)
    labels, _ = check_target_type(y, indicate_one_vs_all=True)
    labels = np.asarray(labels)
    return labels.ravel() if labels.ndim == 2 and labels.shape[1] == 1 else labels


def open_data(sampler: Any, X: Any, y: Any) -> Data:
    """Check X and y before any work is done.

    Raises
    ------
    ValueError
        If X is empty, has fewer than two dimensions, holds NaN, infinity or text, or y is not a
        single-label classification target.
    """
    labels = labels_of(y)
    container = container_of(X)
    _check_numeric(X)
    plain = X.detach().cpu().numpy() if isinstance(X, Tensor) else X
    values, labels = validate_data(
        sampler,
        X=plain,
        y=labels,
        reset=True,
        accept_sparse=["csr", "csc"],
        allow_nd=True,
        ensure_all_finite=False,
    )
    values = values.tocsr() if sparse.issparse(values) else values
    names = getattr(sampler, "feature_names_in_", None)
    check_finite(values, "X", names)
    classes, index, counts = np.unique(labels, return_inverse=True, return_counts=True)
    return Data(container, values, labels, classes, index, counts)


def _check_numeric(X: Any) -> None:
    if not hasattr(X, "columns") or not hasattr(X, "dtypes"):
        return
    numeric = {"i", "u", "f", "b"}
    dtypes = dict(zip(X.columns, X.dtypes, strict=True))
    bad = []
    for name, dtype in dtypes.items():
        kind = getattr(getattr(dtype, "subtype", dtype), "kind", None)
        is_number = (
            kind in numeric if kind is not None else dtype.is_numeric() or str(dtype) == "Boolean"
        )
        if not is_number:
            bad.append(f"{name!r} ({dtype})")
    if bad:
        raise ValueError(
            f"X has columns that are not numbers. Got {', '.join(bad[:5])}"
            f"{' and others' if len(bad) > 5 else ''}. Encode them first, for example with "
            "OrdinalEncoder or OneHotEncoder in front of the sampler."
        )


def check_finite(values: Any, name: str, columns: Any = None) -> None:
    """Refuse NaN and infinity, naming the columns."""
    flat = values.data if sparse.issparse(values) else values
    if flat.dtype.kind not in "fc" or np.isfinite(flat.sum(dtype=np.float64)):
        return
    finite = np.isfinite(flat)
    if finite.all():  # only the sum was too large
        return
    if sparse.issparse(values):
        bad = np.unique(values.tocoo().coords[1][~finite])
    else:
        bad = np.flatnonzero(~finite.reshape(len(finite), finite.shape[1], -1).all(axis=(0, 2)))
    what = "NaN" if np.isnan(flat).any() else "infinity"
    shown = [repr(columns[i]) if columns is not None else str(i) for i in bad[:10]]
    raise ValueError(
        f"Input {name} contains {what}. Got it in {len(bad)} column(s): {', '.join(shown)}"
        f"{', ...' if len(bad) > 10 else ''}. All values must be finite: impute or drop them first, "
        "for example with SimpleImputer in front of the sampler."
    )


def aligned_aux(X_aux: Any, columns: np.ndarray | None) -> Any:
    """Return open-set samples with their columns in the order of X's, where both have names.

    Raises
    ------
    ValueError
        If a column of X is missing.
    """
    names = getattr(X_aux, "columns", None)
    if names is None or columns is None or list(names) == list(columns):
        return X_aux
    missing = [repr(name) for name in columns if name not in list(names)]
    if missing:
        raise ValueError(
            f"X_aux must have the columns of X. Got a frame without {', '.join(missing[:5])}"
            f"{' and others' if len(missing) > 5 else ''}. Pass a frame with all of them, or an "
            "array with the columns in the order of X."
        )
    return X_aux[list(columns)]


def aux_at_random(aux: Any, values: Any, *, dtype: Any, device: Any) -> Rows:
    """Open open-set samples that are to be read in any order."""
    rows = open_set_rows(aux, values, dtype=dtype, device=device)
    check_random_access(rows)
    return rows


def pool_of(
    data: Data,
    X: Any,
    *,
    aux: Any = None,
    device: torch.device,
    dtype=None,
    categorical: np.ndarray | None = None,
) -> Pool:
    """Return the engine its view of the data; nothing is copied but the labels."""
    space_numbers = _space_numbers(data)
    dtype = dtype or _dtype_for(*space_numbers[:4])
    center, scale, lower, upper = (
        torch.as_tensor(part, dtype=dtype, device=device) for part in space_numbers[:4]
    )
    integer = data.container.integer_columns(data.values)
    space = Space(
        center=center,
        scale=scale,
        lower=lower,
        upper=upper,
        integer=None if integer is None else torch.as_tensor(integer, device=device),
        keep_zeros=space_numbers[4],
        categorical=None if categorical is None else torch.as_tensor(categorical, device=device),
    )
    source = X.detach() if isinstance(X, Tensor) else data.values
    return Pool(
        x=ArrayRows(source, dtype=dtype, device=device),
        y=torch.as_tensor(data.y, device=device),
        class_counts=torch.as_tensor(data.class_counts, device=device),
        space=space,
        aux_x=None if aux is None else aux_at_random(aux, data.values, dtype=dtype, device=device),
    )


def _space_numbers(data: Data) -> tuple[Any, Any, Any, Any, bool]:
    """Compute center, scale, lower and upper bound, and whether rows are mostly zeros."""
    values = data.values
    if values.ndim > 2:
        return _image_numbers(values)
    dense = not sparse.issparse(values)
    n_filled = np.count_nonzero(values) if dense else values.count_nonzero()
    if n_filled * 2 < values.shape[0] * values.shape[1]:
        return _sparse_numbers(values)
    if not dense:
        values = values.toarray()
    mean = values.mean(axis=0, dtype=np.float64)
    blocks = np.array_split(values, len(values) // 4096 + 1)  # no copy of the whole table
    scale = np.sqrt(sum(np.square(block - mean).sum(axis=0) for block in blocks) / len(values))
    lower, upper = values.min(axis=0), values.max(axis=0)
    scale[lower == upper] = 0.0  # rounding may leave a trace of spread in a constant column
    return mean, scale, lower, upper, False


def _image_numbers(values: np.ndarray) -> tuple[Any, Any, Any, Any, bool]:
    """Pixels in [0, 1] or whole numbers in [0, 255]; else whatever range is there."""
    low, high = float(values.min()), float(values.max())
    if values.dtype == np.uint8:
        return 0.0, 255.0, 0.0, 255.0, False
    if low >= 0 and high <= 1:
        return 0.0, 1.0, 0.0, 1.0, False
    return low, max(high - low, np.finfo(np.float32).tiny), low, high, False


def _sparse_numbers(values: Any) -> tuple[Any, Any, Any, Any, bool]:
    """Unit: root mean square of a column's non-zero entries, so that zeros stay zeros."""
    if sparse.issparse(values):
        square = np.asarray(values.multiply(values).sum(axis=0), dtype=np.float64).ravel()
        lower = values.min(axis=0).toarray().ravel()
        upper = values.max(axis=0).toarray().ravel()
        filled = np.asarray((values != 0).sum(axis=0)).ravel()
    else:
        filled = np.count_nonzero(values, axis=0)
        square = np.square(values, dtype=np.float64).sum(axis=0)
        lower, upper = values.min(axis=0), values.max(axis=0)
    scale = np.sqrt(square / np.maximum(filled, 1))
    scale[lower == upper] = 0.0
    return np.zeros(values.shape[1]), scale, lower, upper, True


def _dtype_for(center: Any, scale: Any, lower: Any, upper: Any) -> torch.dtype:
    """Return single precision where it resolves a thousandth of each column's spread."""
    scale = np.asarray(scale, dtype=np.float64)
    largest = np.maximum(np.abs(lower), np.abs(upper)).astype(np.float64)
    blurred = (scale > 0) & (np.finfo(np.float32).eps * largest > 1e-3 * scale)
    return torch.float64 if np.any(blurred) else torch.float32
