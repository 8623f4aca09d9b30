"""From row losses to a number: class weights, coefficients, and what the sum is divided by."""

from __future__ import annotations

from collections.abc import Callable

import torch
from numpy.typing import ArrayLike
from torch import Tensor

from ltresample.losses._inputs import checked_inputs, per_class, per_sample

__all__ = ["REDUCTIONS", "check_reduction", "reduced_loss"]


def _mean_over_rows(rows: Tensor, row_weight: Tensor) -> Tensor:
    return rows.sum() / max(len(rows), 1)


def _mean_over_weights(rows: Tensor, row_weight: Tensor) -> Tensor:
    # The clamp only acts where all weights are 0, and then so is the sum of the losses.
    return rows.sum() / row_weight.sum().clamp_min(torch.finfo(rows.dtype).tiny)


REDUCTIONS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "weighted_mean": _mean_over_weights,
    "mean": _mean_over_rows,
    "sum": lambda rows, row_weight: rows.sum(),
    "none": lambda rows, row_weight: rows,
}


def check_reduction(reduction: str) -> None:
    """Refuse unknown words."""
    if reduction not in REDUCTIONS:
        allowed = ", ".join(repr(word) for word in REDUCTIONS)
        raise ValueError(f"reduction must be one of {allowed}. Got reduction={reduction!r}.")


def reduced_loss(
    name: str,
    rows_of: Callable[[Tensor, Tensor], Tensor],
    logits: Tensor,
    y: Tensor,
    *,
    soft_targets: bool = False,
    weight: ArrayLike | Tensor | None = None,
    sample_weight: ArrayLike | Tensor | None = None,
    reduction: str = "weighted_mean",
) -> Tensor:
    """Check the inputs, weight the row losses (m,) that `rows_of` gives, and reduce them."""
    check_reduction(reduction)
    logits, y = checked_inputs(name, logits, y, soft_targets=soft_targets)
    weight = None if weight is None else per_class("weight", weight, logits)
    weigh = _weighted_soft if y.is_floating_point() else _weighted_hard
    rows, row_weight = weigh(rows_of, logits, y, weight)
    if sample_weight is not None:
        rows = rows * per_sample(sample_weight, logits)
    return REDUCTIONS[reduction](rows, row_weight)


def _weighted_hard(rows_of, logits, y, weight) -> tuple[Tensor, Tensor]:
    rows = rows_of(logits, y)
    if weight is None:
        return rows, torch.ones_like(rows)
    return weight[y] * rows, weight[y]


def _weighted_soft(rows_of, logits, y, weight) -> tuple[Tensor, Tensor]:
    # A loss that is linear in the target: sum_k q_k w_k loss_k is the loss of the target q * w.
    y = y if weight is None else y * weight  # (m, K)
    return rows_of(logits, y), y.sum(1)
