"""The door for input: every container and number type, checked and converted before any work."""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator, Mapping, Sized
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy import sparse
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from ltresample._compat import check_array, check_feature_names, check_n_features
from ltresample.exceptions import LongTailWarning
from ltresample.rows._foreign import has, is_frame, is_pandas, is_sparse_type
from ltresample.rows._numbers import is_missing, plain_array, plain_sparse, plain_tensor
from ltresample.rows._table import (
    Columns,
    array_columns,
    as_array,
    columns_of,
    encoded_table,
    plain_values,
)

__all__ = [
    "Opened",
    "check_finite",
    "check_fits",
    "check_image_layout",
    "known_container",
    "open_numbers",
    "open_values",
    "plain",
    "plain_labels",
    "warn_of_pixel_range",
]

CHANNELS = (1, 3, 4)  # of images: grey, colour, colour with opacity


class Opened(NamedTuple):
    """Rows as numbers that PyTorch has, checked."""

    source: Any  # what came in; frames of other libraries as those of pandas or polars
    values: Any  # ndarray or CSR matrix, or a Tensor on a device; never written
    columns: Columns | None  # of a table


def open_values(
    estimator: Any,
    X: Any,
    *,
    reset: bool,
    known: Columns | None = None,
    name: str = "X",
    on_device: bool = False,
) -> Opened:
    """Check rows and convert them to numbers that PyTorch has, before any work is done.

    Parameters
    ----------
    estimator : estimator
        Its `n_features_in_` and `feature_names_in_` are set, or compared with.
    X : array-like, tensor, sparse matrix or data frame of shape (n, ...)
        Never written.
    reset : bool
        Whether the attributes are set.
    known : Columns or None, default=None
        What the columns were in fit.
    name : str, default="X"
        For errors.
    on_device : bool, default=False
        Leave a tensor on the device that it is on. False: take it to the CPU.

    Returns
    -------
    Opened
        The rows.

    Raises
    ------
    TypeError, ValueError
        If X is empty, of fewer than two dimensions, not of numbers or categories, not finite, or of
        images with the channels last.

    Examples
    --------
    >>> from sklearn.dummy import DummyClassifier
    >>> big_endian = np.array([[1.5, 2.0]], dtype=">f4")
    >>> open_values(DummyClassifier(), big_endian, reset=True).values
    array([[1.5, 2. ]], dtype=float32)
    """
    X = known_container(X, name)
    _check_names_differ(X, name)
    check_feature_names(estimator, X, reset=reset)
    values, columns = _as_numbers(X, name, known, on_device=on_device)
    if columns is None and known is not None and known.levels:
        called = [known.label(i) for i in list(known.levels)[:5]]
        raise ValueError(
            f"{name} must hold categories in column(s) {called}, as in fit. Got numbers throughout, in "
            f"a {type(X).__name__}. Pass a frame, or an array of objects, with the columns of fit."
        )
    if isinstance(values, Tensor):
        _check_tensor(values, name)
    else:
        values = check_array(
            values,
            accept_sparse="csr",
            allow_nd=True,
            dtype=None,
            ensure_all_finite=False,
            estimator=estimator,
            input_name=name,
        )
    check_n_features(estimator, X if columns and columns.levels else values, reset=reset)
    columns = array_columns(values) if columns is None else columns
    check_finite(values, name, columns)
    check_image_layout(tuple(values.shape[1:]), name)
    return Opened(X, values, columns)


def _check_names_differ(X: Any, name: str) -> None:
    if not is_frame(X):
        return
    count = Counter(X.columns)
    twice = [column for column, n in count.items() if n > 1]
    if twice:
        raise ValueError(
            f"The columns of {name} must have different names. Got {twice[:5]} more than once. Rename "
            f"them, or drop what is there twice with X.loc[:, ~X.columns.duplicated()]."
        )


def open_numbers(X: Any, name: str) -> Any:
    """Return rows of any container as an array, CSR matrix or tensor of numbers, and no more.

    Raises
    ------
    TypeError, ValueError
        If they hold anything but numbers.
    """
    values, columns = _as_numbers(known_container(X, name), name, None, on_device=True)
    if columns is not None and columns.levels:
        called = [columns.label(i) for i in list(columns.levels)[:5]]
        raise ValueError(
            f"{name} must hold numbers. Got text or categories in column(s) {called}. Give it the "
            "columns of X, in a frame with the same names where X is one."
        )
    return values


def _as_numbers(
    X: Any, name: str, known: Columns | None, *, on_device: bool
) -> tuple[Any, Columns | None]:
    if isinstance(X, list | tuple) and X and all(isinstance(row, Tensor) for row in X):
        X = torch.stack([plain_tensor(row, name) for row in X])
    if isinstance(X, Tensor):
        X = plain_tensor(X, name)
        return (X if on_device and X.device.type != "cpu" else tensor_values(X)), None
    if sparse.issparse(X):
        return plain_sparse(X, name), None
    X = X if is_frame(X) else _array(X, name)
    if columns_of(X) is not None and len(X) and X.shape[1]:
        return encoded_table(X, name, known)
    if is_frame(X):
        return np.empty(X.shape), None
    return (plain_values(X, name) if X.size else X), None


def tensor_values(x: Tensor) -> np.ndarray:
    """Return a tensor as an array; bfloat16, which NumPy lacks, in single precision."""
    x = x.float() if x.dtype == torch.bfloat16 else x
    return x.cpu().numpy()


def _array(X: Any, name: str) -> np.ndarray:
    if isinstance(X, np.ndarray):
        if isinstance(X, np.matrix):
            raise TypeError(
                f"np.matrix is not supported as {name}. Got shape {X.shape}. Pass np.asarray(X)."
            )
        return _with_rows(X, X, name)
    if isinstance(X, Mapping | set | frozenset | str | bytes) or callable(X):
        raise TypeError(
            f"{name} must hold rows in an array, a tensor, a sparse matrix or a data frame. Got an "
            f"object of type {type(X).__name__}. Pass, for example, pandas.DataFrame(X)."
        )
    try:
        array = as_array(X)
    except ValueError as err:
        raise ValueError(
            f"{name} must hold rows of one length. Got rows that differ: {err}. Give each row as many "
            "numbers as there are columns."
        ) from None
    return _with_rows(array, X, name)


def _with_rows(array: np.ndarray, X: Any, name: str) -> np.ndarray:
    if array.ndim == 0:
        raise TypeError(
            f"{name} must hold rows in an array, a tensor, a sparse matrix or a data frame. Got an "
            f"object of type {type(X).__name__}. Convert it, for example with its to_numpy or "
            "to_pandas."
        )
    return array


def known_container(X: Any, name: str = "X") -> Any:
    """Return X, or a frame of pandas or polars for a frame of another library.

    Raises
    ------
    TypeError
        If X is a torch Dataset or a loader, or a frame that cannot be converted here.
    """
    if isinstance(X, Dataset | DataLoader | Iterator):
        raise TypeError(
            f"{name} must hold rows in an array, a tensor, a sparse matrix or a data frame. Got a "
            f"{type(X).__name__}. Samplers take rows at once: pass an array of them; "
            "ltresample.training.DeferredRebalancingClassifier trains on a map-style Dataset."
        )
    library = type(X).__module__.partition(".")[0]
    if library in ("pandas", "polars"):
        return X.collect() if type(X).__name__ == "LazyFrame" else X
    if has(X, "compute", "npartitions"):  # dask's arrays and frames
        return X.compute()
    is_other = has(X, "__dataframe__") or has(X, "column_names")
    if is_other and has(X, "to_pandas"):
        return X.to_pandas()
    if is_other and not has(X, "__array__"):
        raise TypeError(
            f"{name} is a frame of type {type(X).__name__}, which has no to_pandas. Pass a frame of "
            "pandas or polars, or an array, for example X.to_polars() or X.to_numpy()."
        )
    return X


def _check_tensor(X: Tensor, name: str) -> None:
    if X.dim() < 2 or not len(X) or not X[0].numel():
        raise ValueError(
            f"{name} must have at least one row and two dimensions. Got a tensor of shape "
            f"{tuple(X.shape)}."
        )


def check_finite(values: Any, name: str, columns: Columns | None = None) -> None:
    """Refuse NaN and infinity, naming the columns.

    Raises
    ------
    ValueError
        If there are any.
    """
    if isinstance(values, Tensor):
        if bool(torch.isfinite(values).all()):
            return
        values = tensor_values(values)
    flat = values.data if sparse.issparse(values) else values
    if flat.dtype.kind != "f":
        return
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(flat.sum(dtype=np.float64)):
            return
    finite = np.isfinite(flat)
    if finite.all():  # only the sum was too large
        return
    if sparse.issparse(values):
        bad = np.unique(values.tocoo().coords[1][~finite])
    else:
        bad = np.flatnonzero(~finite.reshape(len(finite), finite.shape[1], -1).all(axis=(0, 2)))
    what = "NaN" if np.isnan(flat).any() else "infinity"
    names = bad.tolist() if columns is None else columns.origin(bad)
    raise ValueError(
        f"Input {name} contains {what}. Got it in {len(names)} column(s): "
        f"{', '.join(map(repr, names[:10]))}{', ...' if len(names) > 10 else ''}. All values must "
        "be finite: impute or drop them first, for example with SimpleImputer in front of the "
        "sampler."
    )


def check_fits(values: Any, dtype: torch.dtype, name: str = "X") -> None:
    """Refuse numbers that a network's type cannot hold.

    Raises
    ------
    ValueError
        If the largest is beyond the type.
    """
    if isinstance(values, Dataset) or dtype == torch.float64:
        return
    if isinstance(values, Tensor):
        largest = float(values.abs().max()) if values.dtype == torch.float64 else 0.0
    else:
        flat = values.data if sparse.issparse(values) else values
        wide = flat.dtype == np.float64 and flat.size
        largest = max(abs(float(flat.min())), abs(float(flat.max()))) if wide else 0.0
    if largest > torch.finfo(dtype).max:
        raise ValueError(
            f"{name} must hold numbers that the network can compute with, in {dtype} up to "
            f"{torch.finfo(dtype).max:.3g}. Got {largest:.3g}. Rescale the columns, for example "
            "with StandardScaler, or give the network double precision (dtype=torch.float64, "
            "module.double())."
        )


def check_image_layout(row_shape: tuple[int, ...], name: str) -> None:
    """Refuse images whose channels come last.

    Raises
    ------
    ValueError
        If rows are (H, W, C) with 1, 3 or 4 channels and larger sides, the first of which is no
        such number.
    """
    if len(row_shape) != 3:
        return
    height, width, last = row_shape
    seems_last = last in CHANNELS and height not in CHANNELS and min(height, width) > last
    if not seems_last or (last == 4 and height != width):
        return
    raise ValueError(
        f"{name} must hold images with the channels first, (n, channels, height, width). Got rows of "
        f"shape {row_shape}, which look like (height, width, channels). Convert an array with "
        "np.moveaxis(X, -1, 1), a tensor with X.permute(0, 3, 1, 2), and the images of a Dataset "
        "with torchvision.transforms.v2.PILToTensor or ToImage."
    )


def warn_of_pixel_range(values: Any, name: str) -> None:
    """Warn of images in [0, 255] that are not bytes."""
    if values.ndim < 3 or values.dtype in (np.dtype(np.uint8), torch.uint8) or not len(values):
        return
    low, high = float(values.min()), float(values.max())
    if low >= 0 and 128 <= high <= 255:
        warnings.warn(
            f"{name} holds images with values from {low:g} to {high:g} in the type {values.dtype}. "
            "Networks and settings are made for [0, 1]. Pass bytes (X.astype(np.uint8)), which are "
            "scaled, or divide by 255.",
            LongTailWarning,
            stacklevel=5,
        )


def plain(X: Any) -> Any:
    """Return rows as scikit-learn takes them: tensors without a graph, frames as pandas' or polars'."""
    if isinstance(X, list | tuple) and X and all(isinstance(row, Tensor) for row in X):
        X = torch.stack(list(X))
    if isinstance(X, Tensor):
        X = plain_tensor(X, "X")
        return X.float() if X.dtype == torch.bfloat16 else X
    if isinstance(X, Dataset | DataLoader):
        return X
    X = known_container(X)
    if is_frame(X):
        return _plain_frame(X)
    if not isinstance(X, np.ndarray) and not sparse.issparse(X):
        array = np.asarray(X)
        return array if array.dtype.kind == "O" else X
    return X


def _plain_frame(X: Any) -> Any:
    """Return a frame without sparse columns of another fill value than 0, and without decimals."""
    dtypes = X.dtypes
    if not is_pandas(X):
        decimals = [n for n, dtype in X.schema.items() if dtype.is_decimal()]
        return X.cast(dict.fromkeys(decimals, float)) if decimals else X
    filled = [dtype for dtype in set(dtypes) if is_sparse_type(dtype)]
    if all(dtype.fill_value == 0 for dtype in filled):
        return X
    return X.astype({n: d.subtype for n, d in dtypes.items() if is_sparse_type(d)})


def plain_labels(y: Any) -> Any:
    """Return labels of any container as an array; objects that are all whole numbers as such.

    Raises
    ------
    ValueError
        If some are missing, or there is text beside numbers.
    """
    if isinstance(y, Tensor):
        y = tensor_values(plain_tensor(y, "y"))
    y = y.to_numpy() if has(y, "to_numpy") else y
    if isinstance(y, np.ma.MaskedArray):
        if np.ma.is_masked(y):
            raise ValueError(
                "Input y contains masked labels. Got them in "
                f"{int(np.ma.getmaskarray(y).sum())} rows. Leave these rows out, or give them a label."
            )
        y = y.data
    if not isinstance(y, np.ndarray):
        if not isinstance(y, Sized) or isinstance(y, str | bytes | Mapping):
            return y
        y = np.asarray(y)
    if y.dtype.kind == "T":  # text of variable width, which scikit-learn cannot take
        y = y.astype(object)
    if y.dtype.kind != "O" or y.ndim > 2:
        return y if y.dtype.kind not in "biufc" or y.dtype.isnative else plain_array(y, "y")
    items = y.ravel().tolist()
    if any(is_missing(item) for item in items):
        raise ValueError(
            "Input y contains NaN or None. Got labels that are missing. Leave these rows out, or give "
            "them a label."
        )
    texts = sum(isinstance(item, str) for item in items)
    if not texts:
        plain = np.array(items)
        return plain.reshape(y.shape) if plain.dtype.kind in "biu" and plain.size == y.size else y
    if texts < len(items):
        other = next(item for item in items if not isinstance(item, str))
        raise ValueError(
            f"y must hold labels of one kind. Got text beside {other!r} of type "
            f"{type(other).__name__}. Make all of them text, for example with y.astype(str)."
        )
    return y
