"""What the pixels of images are measured in: learnt in fit, and held for every container."""

from __future__ import annotations

from enum import Enum
from typing import Any

import torch
from scipy import sparse
from torch import Tensor
from torch.utils.data import Dataset

from ltresample._torch import as_tensor
from ltresample.rows._sources import first_part, stacked

__all__ = ["PixelUnit", "is_scaled", "looked_at", "pixel_unit"]

LOOK = 1024  # images of an array that are looked at
LOOK_ITEMS = 16  # images of a Dataset: each may be read from a file


class PixelUnit(Enum):
    """What pixels were measured in where a network was fitted."""

    BYTES = "bytes"  # numbers from 0 to 255, which were divided by 255
    UNIT = "unit"  # numbers in [0, 1], as they are
    OTHER = "other"  # anything else, and rows that are no images: as they are


def pixel_unit(x: Any) -> PixelUnit:
    """Return the unit of the images of a container; rows of a table have none.

    Parameters
    ----------
    x : ndarray, Tensor, CSR matrix or map-style Dataset
        Rows.

    Returns
    -------
    PixelUnit
        BYTES for images of unsigned bytes, UNIT where all lie in [0, 1].
    """
    if not _are_images(x):
        return PixelUnit.OTHER
    look = looked_at(x)
    if look.dtype == torch.uint8:
        return PixelUnit.BYTES
    in_unit = bool(len(look)) and float(look.min()) >= 0 and float(look.max()) <= 1
    return PixelUnit.UNIT if in_unit else PixelUnit.OTHER


def is_scaled(x: Any, unit: PixelUnit) -> bool:
    """Return whether rows are to be divided by 255 to have the unit that was learnt.

    Bytes and other whole numbers are, in whatever type they come. Images with fractions in [0, 1]
    were scaled before.

    Raises
    ------
    ValueError
        If bytes were learnt, and there are numbers outside of [0, 255].
    """
    if unit is PixelUnit.OTHER or not _are_images(x):
        return False
    look = looked_at(x)
    if look.dtype == torch.uint8:
        return True
    if not len(look):
        return False
    low, high = float(look.min()), float(look.max())
    real = look.is_floating_point()
    if unit is PixelUnit.UNIT:
        return not real and look.dtype != torch.bool and high > 1
    if low < 0 or high > 255:
        raise ValueError(
            "Images must have the range of those in fit, which were bytes from 0 to 255. Got values "
            f"from {low:g} to {high:g}. Pass them as bytes, or as floats in [0, 1]."
        )
    whole = not real or bool((look == look.round()).all())
    return look.dtype != torch.bool and (whole or high > 1)


def looked_at(x: Any) -> Tensor:
    """Return some images of a container as they are, evenly spaced."""
    n = len(x) if isinstance(x, Dataset) else x.shape[0]
    index = torch.linspace(0, n - 1, min(n, LOOK), dtype=torch.float64).long()
    if isinstance(x, Dataset):
        few = index[:: max(1, len(index) // LOOK_ITEMS)]  # an item may be read from a file
        return stacked([first_part(x[i]).detach() for i in few.tolist()])
    at = index.to(x.device) if isinstance(x, Tensor) else index.numpy()
    look = as_tensor(x[at])
    # PyTorch cannot order unsigned numbers of more than 8 bits
    return look.double() if look.dtype in (torch.uint16, torch.uint32, torch.uint64) else look


def _are_images(x: Any) -> bool:
    if sparse.issparse(x):
        return False
    if isinstance(x, Dataset):
        return len(x) > 0 and first_part(x[0]).dim() > 1
    return len(x.shape) > 2
