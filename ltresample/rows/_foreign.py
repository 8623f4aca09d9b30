"""What objects of other libraries are: the one place of this room that asks them."""

from __future__ import annotations

from typing import Any

__all__ = ["has", "is_categorical", "is_frame", "is_pandas", "is_sparse_type"]


def has(x: Any, *names: str) -> bool:
    """Return whether an object of another library, which need not be installed, has all attributes."""
    return all(hasattr(x, name) for name in names)


def is_frame(x: Any) -> bool:
    """Return whether `x` is a data frame of pandas or polars."""
    return has(x, "columns", "dtypes", "shape")


def is_pandas(x: Any) -> bool:
    """Return whether a frame or a column is one of pandas, not of polars."""
    return has(x, "iloc")


def is_categorical(dtype: Any) -> bool:
    """Return whether a column type of pandas is one of categories."""
    return has(dtype, "categories")


def is_sparse_type(dtype: Any) -> bool:
    """Return whether a column type of pandas keeps only what differs from a fill value."""
    return has(dtype, "subtype", "fill_value")
