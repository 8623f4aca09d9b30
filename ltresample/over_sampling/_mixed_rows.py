"""What mixing asks of the rows: their shape as images, columns of categories, exact values."""

from __future__ import annotations

import math
from numbers import Integral
from typing import Any

__all__ = ["flat_image_shape"]


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
