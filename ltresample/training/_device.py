"""Where training happens and in which precision: rows kept on the device, autocast, scaled losses."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ltresample._torch import free_bytes
from ltresample.rows import can_be_held, has_pixels

__all__ = ["autocast_of", "check_precision", "in_single", "place_of", "place_of_rows", "scaler_of"]

SHARE = 4  # rows are kept on a device where they take less than 1 / SHARE of its free memory
HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


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
    item = 1 if has_pixels(x) else dtype.itemsize
    return len(x) * int(np.prod(x.shape[1:])) * item


def check_precision(net: Any) -> None:
    """Refuse what half precision does not go with.

    Raises
    ------
    ValueError
        If Accelerate or the optimizer is in the way.
    """
    if net.precision == "float32":
        return
    if hasattr(net, "accelerator"):
        raise ValueError(
            "Accelerate sets the precision of a run itself. Got precision="
            f"{net.precision!r} beside an accelerator. Leave precision out and pass "
            "Accelerator(mixed_precision='bf16') or 'fp16'."
        )
    if net.precision == "float16" and net.optimizer is torch.optim.LBFGS:
        raise ValueError(
            "precision='float16' scales gradients before a step, and LBFGS computes them within. "
            "Got optimizer=LBFGS. Pass precision='bfloat16', or SGD, Adam or AdamW."
        )


def autocast_of(net: Any) -> Any:
    """Return the context in which a training step passes the network."""
    if net.precision == "float32":
        return nullcontext()
    return torch.autocast(place_of(net).type, dtype=HALF[net.precision])


def scaler_of(net: Any) -> torch.amp.GradScaler | None:
    """Return what keeps small gradients of 16-bit floats from becoming 0; None: nothing has to."""
    return torch.amp.GradScaler(place_of(net).type) if net.precision == "float16" else None


def in_single(output: Any) -> Any:
    """Return the network's output in single precision, in which losses are computed."""
    if isinstance(output, tuple):
        return tuple(in_single(part) for part in output)
    half = isinstance(output, Tensor) and output.dtype in HALF.values()
    return output.float() if half else output
