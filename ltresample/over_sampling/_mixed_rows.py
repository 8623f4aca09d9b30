"""What mixing asks of the rows: their shape as images, columns of categories, exact values."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

import numpy as np

__all__ = ["categorical_mask", "flat_image_shape"]


def flat_image_shape(image_shape: Any, row_shape: tuple[int, ...]) -> tuple[int, ...] | None:
    """Check the shape that flat rows are to have."""
    if image_shape is None:
        return None
    shape = tuple(image_shape)
    whole = all(isinstance(n, Integral) and n > 0 for n in shape)
    if (
        len(row_shape) != 1
        or len(shape) not in (2, 3)
        or not whole
        or math.prod(shape) != row_shape[0]
    ):
        raise ValueError(
            "image_shape gives flat rows the shape (C, H, W) or (H, W), with as many pixels as "
            f"there are columns. Got image_shape={image_shape!r} and rows of shape "
            f"{tuple(row_shape)}. Leave it at None for rows that are images already."
        )
    return shape


def categorical_mask(features: Any, row_shape: tuple[int, ...], names: Any) -> np.ndarray | None:
    """Turn positions, a mask or names into a mask of columns."""
    if features is None:
        return None
    given = np.asarray(features)
    if len(row_shape) != 1:
        raise ValueError(
            f"categorical_features names columns of a table. Got rows of shape {tuple(row_shape)}. "
            "Leave it at None."
        )
    mask, n = np.zeros(row_shape[0], dtype=bool), row_shape[0]
    if given.dtype.kind == "b" and given.shape == mask.shape:
        return given.copy()
    if given.dtype.kind in "iu" and given.ndim == 1 and ((given >= -n) & (given < n)).all():
        mask[given] = True
        return mask
    known = [] if names is None else list(names)
    if given.dtype.kind in "OUT" and given.ndim == 1 and all(name in known for name in given):
        mask[[known.index(name) for name in given]] = True
        return mask
    columns = f"columns {known[:10]}" if known else f"{n} columns without names"
    raise ValueError(
        f"categorical_features must hold positions, names or a mask of columns. Got "
        f"{features!r} for X with {columns}."
    )
