"""What training does with a criterion: class weights in place, and the loss of a step's terms."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ltresample._torch import unwrapped
from ltresample.losses import LongTailLoss
from ltresample.models import CosineHead
from ltresample.synthesis import LossTerm

__all__ = ["StepTarget", "assign_class_weight", "check_head", "logit_scale", "step_loss"]


class StepTarget(NamedTuple):
    """Labels of a step: what `y` is where the batch is no longer one row, one label."""

    terms: list[LossTerm]
    weight: Tensor | None = None  # (B,) of the real rows; rows appended behind them weigh 1


def assign_class_weight(criterion: nn.Module, class_weight: np.ndarray | None) -> None:
    """Set the class weights of a criterion, in place: the optimizer is not touched.

    Raises
    ------
    TypeError
        If the criterion has no class weights.
    """
    if hasattr(criterion, "set_weight"):
        criterion.set_weight(class_weight)
    elif "weight" not in getattr(criterion, "_buffers", {}):
        raise TypeError(
            "Re-weighting sets the class weights of the criterion. Got "
            f"{type(criterion).__name__}, which has no buffer `weight` and no method `set_weight`. "
            "Use a loss of ltresample.losses or torch.nn.CrossEntropyLoss."
        )
    elif class_weight is None:
        criterion.weight = None
    else:
        like = criterion.weight if criterion.weight is not None else torch.empty(0)
        criterion.weight = torch.as_tensor(class_weight, dtype=like.dtype, device=like.device)


def step_loss(
    criterion: nn.Module, logits: Tensor, target: StepTarget, features: Tensor | None = None
) -> Tensor:
    """Sum up ``coef * criterion(logits[rows], y)`` over the terms of a step.

    Parameters
    ----------
    criterion : nn.Module
        The training criterion; a term may bring its own.
    logits : Tensor of shape (B, K)
        Of all rows of the step.
    target : StepTarget
        The terms, and sample weights of mean 1.
    features : Tensor of shape (B, ...) or None
        What entered the last layer, for criteria that need it.
    """
    total = logits.new_zeros(())
    for term in target.terms:
        own = criterion if term.criterion is None else term.criterion
        factor, per_row = _coefficients(term, target.weight, logits)
        inputs = [logits[term.rows]]
        if getattr(own, "needs_features", False):
            inputs.append(features[term.rows])
        total = total + factor * _weighted(own, inputs, term.y, per_row)
    return total


def _coefficients(term: LossTerm, weight: Tensor | None, logits: Tensor) -> tuple[Any, Any]:
    """Return the number that multiplies a term, and what multiplies its rows (None: nothing)."""
    per_row = None
    if weight is not None:
        per_row = logits.new_ones(len(logits))
        per_row[: len(weight)] = weight.to(logits)
        per_row = per_row[term.rows]
    if term.class_weight is not None:
        own = term.class_weight.to(logits)[term.y]
        per_row = own if per_row is None else per_row * own
    if not isinstance(term.coef, Tensor) or term.coef.dim() == 0:
        return term.coef, per_row
    return 1.0, term.coef.to(logits) if per_row is None else per_row * term.coef.to(logits)


def _weighted(criterion: nn.Module, inputs: list[Tensor], y: Tensor, per_row: Tensor | None):
    """Apply a criterion to rows that carry coefficients."""
    logits, *features = inputs
    if per_row is None:
        return criterion(logits, y, *features)
    criterion = unwrapped(criterion)  # compiled
    if isinstance(criterion, LongTailLoss):
        return criterion(logits, y, *features, sample_weight=per_row)
    reduction = getattr(criterion, "reduction", None)
    if reduction not in ("mean", "sum"):
        raise TypeError(
            "Rows with weights need a criterion whose `reduction` is 'mean' or 'sum', or one of "
            f"ltresample.losses. Got {criterion!r}."
        )
    criterion.reduction = "none"
    try:
        rows = criterion(logits, y, *features) * per_row
    finally:
        criterion.reduction = reduction
    if reduction == "sum":
        return rows.sum()
    weight = getattr(criterion, "weight", None)
    return rows.sum() / (len(rows) if weight is None else weight[y].sum())


def logit_scale(criterion: nn.Module) -> float:
    """Return the factor of the logits in the criterion: s of LDAM, 1 elsewhere."""
    return float(criterion.scale) if getattr(criterion, "needs_cosine_head", False) else 1.0


def check_head(criterion: nn.Module, module: nn.Module, rows: Tensor) -> str | None:
    """Refuse a criterion that needs cosines on a network that does not give them.

    Parameters
    ----------
    criterion, module : nn.Module
        As they are trained; `module` in evaluation mode.
    rows : Tensor of shape (m, ...)
        A few rows to try.

    Returns
    -------
    str or None
        A warning, where cosines meet a criterion that does not scale them.

    Raises
    ------
    ValueError
        If the logits cannot be cosines.
    """
    heads = [part for part in module.modules() if isinstance(part, CosineHead) and part.scale == 1]
    name = type(criterion).__name__
    if getattr(criterion, "needs_cosine_head", False):
        if not heads and not _are_cosines(module, rows):
            raise ValueError(
                f"{name} takes cosines in [-1, 1] and scales them itself. Got a "
                f"{type(module).__name__} whose logits are no cosines. Build the module with "
                "module__head='cosine' or end it in ltresample.models.CosineHead."
            )
    elif heads and isinstance(criterion, LongTailLoss | nn.CrossEntropyLoss):
        return (
            f"{name} on a CosineHead of scale 1: its probabilities are nearly flat and train slowly. "
            "Give the head a scale (30 is usual), take head='linear', or use LDAMLoss."
        )
    return None


@torch.no_grad()
def _are_cosines(module: nn.Module, rows: Tensor) -> bool:
    """Try rows as they are and a thousand times as long: cosines stay in [-1, 1]."""
    return all(float(module(scale * rows).abs().max()) <= 1.001 for scale in (1, 1000))
