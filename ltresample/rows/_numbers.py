"""Numbers of any type as numbers that PyTorch has, and the text and categories of a column."""

from __future__ import annotations

import math
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltresample.rows._foreign import is_categorical, is_pandas, is_sparse_type

__all__ = [
    "Levels",
    "frame_column",
    "is_missing",
    "plain_array",
    "plain_objects",
    "plain_sparse",
    "plain_tensor",
]


class Levels(NamedTuple):
    """A column of categories as codes."""

    codes: np.ndarray  # (n,) positions in `levels`; -1: missing
    levels: Any  # list or pandas Index of the categories


_DATES = (
    "Give what a distance can be measured in: days since a date, or year, month and hour as columns "
    "of numbers."
)


def _refuse(name: str, what: str, advice: str) -> None:
    raise ValueError(f"{name} must hold numbers. Got {what}. {advice}")


def plain_array(x: np.ndarray, name: str) -> np.ndarray:
    """Return an array of numbers in a type of this machine that PyTorch has.

    Parameters
    ----------
    x : ndarray
        Of any type but objects.
    name : str
        What to call it in an error, for example "X" or "Column 'a' of X".

    Returns
    -------
    ndarray
        The same array where its type will do.

    Raises
    ------
    ValueError
        If it holds complex numbers, text, dates or records, is masked somewhere, or holds numbers
        beyond double precision.
    """
    if isinstance(x, np.ma.MaskedArray):
        if np.ma.is_masked(x):
            bad = np.flatnonzero(np.ma.getmaskarray(x).reshape(len(x), -1).any(axis=0))
            shown = ", ".join(map(str, bad[:10]))
            raise ValueError(
                f"{name} contains masked values. Got them in {len(bad)} column(s): {shown}. Impute "
                "or drop them first, for example with x.filled(np.nan) and SimpleImputer."
            )
        x = x.data
    kind = x.dtype.kind
    if kind in "biu" or x.dtype.type in (np.float16, np.float32, np.float64):
        return x if x.dtype.isnative else x.astype(x.dtype.newbyteorder("="))
    if x.dtype.type is np.longdouble:
        return _in_double(x, name)
    if kind == "c":
        raise ValueError(
            f"Complex data not supported: {name} must hold real numbers. Got numbers of type "
            f"{x.dtype}. Pass real and imaginary parts as columns of their own."
        )
    if kind in "mM":
        _refuse(name, f"dates or times of type {x.dtype}", _DATES)
    if kind in "SUT":
        _refuse(
            name,
            f"text of type {x.dtype}",
            "Convert numbers with x.astype(float); pass categories in a data frame or an array of "
            "objects, or encode them, for example with OneHotEncoder in front of the sampler.",
        )
    if x.dtype.names is not None:
        _refuse(name, f"records with the fields {x.dtype.names}", "Pass pandas.DataFrame(X).")
    if x.dtype.type is np.void:
        _refuse(name, f"raw bytes of type {x.dtype}", "Convert them with x.view(dtype).")
    return x.astype(np.float32)  # extensions of NumPy such as bfloat16 and 8-bit floats


def _in_double(x: np.ndarray, name: str) -> np.ndarray:
    with np.errstate(over="ignore"):
        double = x.astype(np.float64)
    if (np.isinf(double) & np.isfinite(x)).any():
        _refuse(
            name, f"{x.dtype} numbers beyond {np.finfo(float).max:.3g}", "Divide by a power of ten."
        )
    return double


def plain_tensor(x: Tensor, name: str) -> Tensor:
    """Return a tensor of real numbers outside of any graph.

    Raises
    ------
    ValueError
        If it is complex, quantized, sparse or nested, or of an 8-bit floating-point type.
    """
    if x.is_complex():
        raise ValueError(
            f"Complex data not supported: {name} must hold real numbers. Got numbers of type "
            f"{x.dtype}. Pass real and imaginary parts as columns of their own."
        )
    if x.is_quantized:
        _refuse(name, f"a quantized tensor of type {x.dtype}", "Pass X.dequantize().")
    if x.layout is not torch.strided or x.is_nested:
        _refuse(
            name,
            f"a {'nested' if x.is_nested else x.layout} tensor",
            "Pass X.to_dense(), or a SciPy matrix.",
        )
    if x.is_meta:
        _refuse(name, "a tensor without values, on the device 'meta'", "Pass X with its values.")
    if x.is_floating_point() and x.element_size() == 1:
        _refuse(name, f"8-bit numbers of type {x.dtype}", "Pass X.float().")
    return x.detach().resolve_neg()


def plain_sparse(x: Any, name: str) -> Any:
    """Return a SciPy matrix or array of any format as CSR with numbers that PyTorch has."""
    if len(x.shape) != 2:
        raise ValueError(
            f"{name} must have two dimensions where it is sparse. Got a sparse array of shape "
            f"{x.shape}. Pass X.reshape(n, -1), or a dense array."
        )
    if x.dtype.kind == "O":
        x = x.astype(np.float64)
    plain = x.tocsr()
    if not plain.has_canonical_format:  # comparisons would put it in order in place
        plain = plain.copy()
        plain.sum_duplicates()
    data = plain_array(plain.data, name)
    if data is plain.data and data.dtype != np.float16:
        return plain
    data = data.astype(np.float32) if data.dtype == np.float16 else data
    return type(plain)((data, plain.indices, plain.indptr), shape=plain.shape)


def plain_objects(values: Any, name: str) -> np.ndarray | Levels:
    """Return a column of objects as numbers, or as categories where it holds text.

    Parameters
    ----------
    values : ndarray of object, shape (n,)
        Numbers (bool, int, float, Decimal, Fraction, those of NumPy), text, and what stands for a
        missing value (None, NaN, pandas.NA).
    name : str
        What to call the column in an error.

    Returns
    -------
    ndarray or Levels
        Missing values are NaN, or have the code -1.

    Raises
    ------
    TypeError
        If there is anything else, such as lists or dicts.
    ValueError
        If there are numbers and text, dates, or numbers beyond double precision.
    """
    items = list(values)
    missing = np.array([is_missing(item) for item in items], dtype=bool)
    here = [item for item, gone in zip(items, missing, strict=True) if not gone]
    if here and all(isinstance(item, str) for item in here):
        levels = sorted(set(here))
        place = {level: code for code, level in enumerate(levels)}
        codes = [-1 if gone else place[v] for v, gone in zip(items, missing, strict=True)]
        return Levels(np.array(codes, dtype=np.int64), levels)
    wrong = next((item for item in here if not _is_number(item)), None)
    if wrong is not None:
        _refuse_object(wrong, here, name)
    if not missing.any() and here:
        if all(isinstance(item, bool | np.bool_) for item in here):
            return np.array(here, dtype=bool)
        if all(isinstance(item, Integral) for item in here):
            lo, hi = min(here), max(here)
            if lo >= -(2**63) and hi < 2**63:
                return np.array([int(item) for item in here], dtype=np.int64)
    return _floats(items, missing, name)


def _floats(items: list[Any], missing: np.ndarray, name: str) -> np.ndarray:
    try:
        numbers = [math.nan if gone else float(v) for v, gone in zip(items, missing, strict=True)]
    except OverflowError:
        _refuse(
            name, f"whole numbers beyond {np.finfo(float).max:.3g}", "Divide by a power of ten."
        )
    return np.array(numbers, dtype=np.float64)


def is_missing(item: Any) -> bool:
    """Return whether an object stands for a missing value."""
    if item is None or type(item).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(item, float | np.floating | Decimal) and item != item


def _is_number(item: Any) -> bool:
    return isinstance(item, Real | Decimal | np.bool_ | np.floating)


def _refuse_object(wrong: Any, items: list[Any], name: str) -> None:
    if isinstance(wrong, date | time | timedelta | np.datetime64 | np.timedelta64):
        _refuse(name, f"dates or times such as {wrong!r}", _DATES)
    if isinstance(wrong, str):
        number = next(item for item in items if not isinstance(item, str))
        _refuse(
            name,
            f"text such as {wrong!r} beside {number!r}",
            "Make a column text throughout, for categories, or numbers throughout.",
        )
    if isinstance(wrong, complex | np.complexfloating):
        raise ValueError(
            f"Complex data not supported: {name} must hold real numbers. Got {wrong!r}. Pass real "
            "and imaginary parts as columns of their own."
        )
    raise TypeError(
        f"{name} holds what is no number; an argument must be text, a string of a category, or a "
        f"real number. Got {str(wrong)[:60]} of type {type(wrong).__name__}. Take the column apart, "
        "or leave it out."
    )


def frame_column(column: Any, name: str) -> np.ndarray | Levels:
    """Return a column of a pandas or polars frame as numbers, or as categories.

    Parameters
    ----------
    column : pandas.Series or polars.Series
        Of any type.
    name : str
        What to call it in an error.

    Returns
    -------
    ndarray or Levels
        Missing numbers are NaN, missing categories have the code -1.

    Raises
    ------
    TypeError
        If there is anything else than numbers or text, such as lists.
    ValueError
        If there are numbers and text, dates, or numbers beyond double precision.
    """
    return (_pandas_column if is_pandas(column) else _polars_column)(column, name)


def _pandas_column(column: Any, name: str) -> np.ndarray | Levels:
    dtype = column.dtype
    if isinstance(dtype, np.dtype):
        values = column.to_numpy()
        return plain_objects(values, name) if dtype.kind == "O" else plain_array(values, name)
    if is_categorical(dtype):
        return Levels(np.asarray(column.cat.codes, dtype=np.int64), dtype.categories)
    if is_sparse_type(dtype):
        return _pandas_column(column.sparse.to_dense(), name)
    if dtype.kind in "biuf":  # nullable, or backed by Arrow
        if column.isna().any():
            return column.to_numpy(dtype=np.float64, na_value=np.nan)
        return plain_array(column.to_numpy(dtype=dtype.numpy_dtype), name)
    if dtype.kind in "mM" or "period" in str(dtype) or "interval" in str(dtype):
        _refuse(name, f"dates, times or intervals of type {dtype}", _DATES)
    return plain_objects(column.to_numpy(dtype=object, na_value=None), name)


def _polars_column(column: Any, name: str) -> np.ndarray | Levels:
    dtype = column.dtype
    text = str(dtype)
    if text.startswith("Enum"):
        levels = dtype.categories.to_list()
        place: dict[Any, int] = {level: code for code, level in enumerate(levels)}
        codes = [place.get(value, -1) for value in column.to_list()]
        return Levels(np.array(codes, dtype=np.int64), levels)
    if text == "Boolean" and not column.null_count():
        return column.to_numpy()
    if dtype.is_numeric() or text == "Boolean":
        odd = column.null_count() or dtype.is_decimal() or text.endswith("128")
        if odd:
            return np.array(
                [math.nan if v is None else float(v) for v in column.to_list()], dtype=np.float64
            )
        return plain_array(column.to_numpy(), name)
    if dtype.is_temporal():
        _refuse(name, f"dates or times of type {dtype}", _DATES)
    return plain_objects(_list_items(column), name)


def _list_items(column: Any) -> np.ndarray:
    """Return the items of a column in an array of objects (n,), also where they are lists."""
    items = np.empty(len(column), dtype=object)
    for i, value in enumerate(column.to_list()):
        items[i] = value
    return items
