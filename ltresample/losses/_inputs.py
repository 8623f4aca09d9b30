"""Checks of what a loss is given. Values are looked at on the CPU only, where it costs no wait."""

from __future__ import annotations

import math

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ltresample._torch import as_tensor
from ltresample.class_counts import in_order_of_labels
from ltresample.exceptions import NotFiniteError

__all__ = [
    "check_at_least",
    "checked_counts",
    "checked_inputs",
    "checked_weight",
    "per_class",
]


def checked_inputs(
    name: str, logits: Tensor, y: Tensor, *, soft_targets: bool
) -> tuple[Tensor, Tensor]:
    """Return logits (m, K), at least float32, and y as (m,) int64 or (m, K) in the logits' type."""
    _check_logits(logits)
    logits = logits.float() if logits.dtype.itemsize < 4 else logits
    if not isinstance(y, Tensor):
        raise TypeError(f"y must be a tensor. Got {type(y).__name__}. Use torch.as_tensor(y).")
    if not y.is_floating_point():
        return logits, _checked_indices(logits, y)
    _check_soft(name, logits, y, soft_targets=soft_targets)
    return logits, y.to(logits.dtype)


def per_class(name: str, values: ArrayLike | Tensor, logits: Tensor) -> Tensor:
    """Return one value a class (K,) in the type and at the place of the logits (m, K)."""
    values = as_tensor(in_order_of_labels(values), dtype=logits.dtype, device=logits.device)
    if values.shape != logits.shape[1:]:
        raise ValueError(
            f"{name} must have one value for each column of the logits, {logits.shape[1]}. "
            f"Got shape {tuple(values.shape)}. Give the model as many outputs as there are classes."
        )
    return values


def per_sample(values: ArrayLike | Tensor, logits: Tensor) -> Tensor:
    """Return sample weights (m,) in the type and at the place of the logits (m, K)."""
    values = values if isinstance(values, Tensor) else as_tensor(values)
    if values.shape != logits.shape[:1]:
        raise ValueError(
            f"sample_weight must have one value for each row of the logits, {len(logits)}. "
            f"Got shape {tuple(values.shape)}."
        )
    return values.to(logits)


def checked_counts(counts: ArrayLike | Tensor) -> Tensor:
    """Return class counts (K,) as whole numbers, each at least 1."""
    counts = _vector("class_counts", counts)
    whole = counts.isfinite() & (counts >= 1) & (counts == counts.floor())
    if counts.device.type == "cpu" and not bool(whole.all()):
        raise ValueError(
            "class_counts must be whole numbers, each at least 1: the training samples per class. "
            f"Got {counts.tolist()}. Leave out classes that have no training samples."
        )
    return counts.to(torch.int64)


def checked_weight(weight: ArrayLike | Tensor) -> Tensor:
    """Return class weights (K,), finite and not negative."""
    weight = _vector("weight", weight)
    if weight.device.type == "cpu" and not bool((weight.isfinite() & (weight >= 0)).all()):
        raise ValueError(f"weight must be finite and at least 0. Got {weight.tolist()}.")
    return weight


def check_at_least(name: str, value: float, least: float) -> None:
    """Refuse a number below `least`, infinity and NaN."""
    if not (math.isfinite(value) and value >= least):
        raise ValueError(f"{name} must be finite and at least {least:g}. Got {name}={value!r}.")


def _vector(name: str, values: ArrayLike | Tensor) -> Tensor:
    values = as_tensor(in_order_of_labels(values))
    if values.ndim != 1 or len(values) < 2:
        raise ValueError(
            f"{name} must hold one number for each of at least 2 classes. "
            f"Got shape {tuple(values.shape)}."
        )
    return values


def _check_logits(logits: Tensor) -> None:
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        got = logits.dtype if isinstance(logits, Tensor) else type(logits).__name__
        raise TypeError(f"logits must be a floating-point tensor. Got {got}.")
    if logits.ndim != 2 or logits.shape[1] < 2:
        raise ValueError(
            "logits must have shape (m, K): a row for each sample and a column for each of at "
            f"least 2 classes. Got shape {tuple(logits.shape)}. "
            "Two classes are two columns, also where one would do."
        )
    if logits.device.type == "cpu" and bool(logits.isnan().any()):
        raise NotFiniteError(
            f"logits must be numbers. Got NaN in {int(logits.isnan().any(1).sum())} of "
            f"{len(logits)} rows. Look for NaN in the data, or lower the learning rate."
        )


def _checked_indices(logits: Tensor, y: Tensor) -> Tensor:
    m, n_classes = logits.shape
    if y.shape != (m,):
        raise ValueError(
            f"y must have shape ({m},), one class index for each row of the logits. "
            f"Got shape {tuple(y.shape)} of {y.dtype}. Soft targets are floats."
        )
    y = y.to(torch.int64)
    if m and y.device.type == "cpu" and not 0 <= int(y.min()) <= int(y.max()) < n_classes:
        raise ValueError(
            f"y must be class indices from 0 to {n_classes - 1}, one for each column of the "
            f"logits. Got {int(y.min())} to {int(y.max())}."
        )
    return y


def _check_soft(name: str, logits: Tensor, y: Tensor, *, soft_targets: bool) -> None:
    got = f"Got y of {y.dtype} and shape {tuple(y.shape)}."
    if y.ndim == 1:
        raise TypeError(f"Class indices must be integers. {got} Use y.long().")
    if not soft_targets:
        raise TypeError(
            f"{name} is not linear in the target and takes class indices only, integers of shape "
            f"({len(logits)},). {got} For a mixed label, add one loss for each of its classes, "
            "with the shares as sample_weight."
        )
    if y.shape != logits.shape:
        raise ValueError(f"Soft targets must have the logits' shape, {tuple(logits.shape)}. {got}")
