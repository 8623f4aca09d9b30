"""Where training happens, and rows that are kept there."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltresample._torch import free_bytes
from ltresample.rows import can_be_held

__all__ = ["place_of", "place_of_rows"]

SHARE = 4  # rows are kept on a device where they take less than 1 / SHARE of its free memory


def place_of(net: Any) -> torch.device:
    """Return the device of a net's batches: its own, or where the network was put."""
    if net.device is not None:
        return torch.device(net.device)
    return next((p.device for p in net.module_.parameters()), torch.device("cpu"))


def place_of_rows(net: Any, x: Any, dtype: torch.dtype) -> torch.device | None:
    """Return the device on which all training rows are to be kept; None: they stay where they are.

    Raises
    ------
    ValueError
        If they must be kept there and cannot.
    """
    wanted, place = net.rows_on_device, place_of(net)
    if not wanted or (wanted == "auto" and place.type == "cpu"):
        return None
    workers = any(net.get_params_for(f"iterator_{part}") for part in ("train", "valid"))
    if wanted == "auto":
        fits = can_be_held(x) and SHARE * _n_bytes(x, dtype) <= free_bytes(place)
        return place if fits and not workers else None
    if workers or not can_be_held(x):
        raise ValueError(
            "rows_on_device=True keeps dense rows on the device and takes batches there, without a "
            f"loader. Got X of type {type(x).__name__} and "
            f"{'settings' if workers else 'no settings'} of a loader (iterator_train__x). Pass "
            "'auto' or False, or a dense array and no such settings."
        )
    return place


def _n_bytes(x: np.ndarray | Tensor, dtype: torch.dtype) -> int:
    is_byte = len(x.shape) > 2 and x.dtype in (np.uint8, torch.uint8)
    item = 1 if is_byte else dtype.itemsize
    return len(x) * int(np.prod(x.shape[1:])) * item
