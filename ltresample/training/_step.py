"""What happens in a step: augmentation, synthesis, the loss of all terms, and its precision."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ltresample._random import Seed
from ltresample._torch import sent, unwrapped
from ltresample.losses import LongTailLoss
from ltresample.synthesis import Batch, LossTerm
from ltresample.training._criterion import has_class_weight, needs_of
from ltresample.training._data import BatchRows
from ltresample.training._device import place_of

__all__ = [
    "Entered",
    "StepTarget",
    "as_trained",
    "autocast_of",
    "check_precision",
    "enter",
    "in_single",
    "not_finite",
    "scaler_of",
    "step_loss",
]

HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}


class StepTarget(NamedTuple):
    """Labels of a step: what `y` is where the batch is no longer one row, one label."""

    terms: list[LossTerm]
    weight: Tensor | None = None  # (B,) of the real rows; rows appended behind them weigh 1


# ---------------------------------------------------------------------- synthesis


class Entered(NamedTuple):
    """A batch as synthesis gets it."""

    x: Tensor  # (B, ...) augmented, on the network's device
    y: Tensor  # (B,)
    seed: Seed  # of the step
    index: Tensor | None = None  # (B,) positions in the training split
    weight: Tensor | None = None  # (B,) sample weights
    y_here: Tensor | None = None  # (B,) y on the CPU, where the loader gave it there


def enter(net: Any, rows: Tensor | BatchRows, y: Tensor) -> Entered:
    """Return a batch from the loader, augmented, on the network's device.

    Parameters
    ----------
    net : DeferredRebalancingClassifier
        In a run.
    rows : Tensor of shape (B, ...) or BatchRows
        As they come from the loader.
    y : Tensor of shape (B,)
        Class index.
    """
    x, index, weight = rows if isinstance(rows, BatchRows) else (rows, None, None)
    place, seed = place_of(net), net._run.step_seed()
    y_here = y if y.device.type == "cpu" else None
    x, y = sent(x, place), sent(y, place)
    if net.augment is not None:
        x = net.augment(x, seed.child("augment").torch())
    return Entered(x, y, seed, index, weight, y_here)


def as_trained(net: Any, own: Entered, made: Batch | None) -> tuple[Tensor, StepTarget]:
    """Return the batch that the network is trained on: as it entered, or what synthesis made of it."""
    if made is None:
        return own.x, StepTarget([LossTerm(slice(None), own.y)], own.weight)
    net.history.record_batch("n_requested", made.n_requested)
    net.history.record_batch("n_accepted", made.n_accepted)
    return made.x, StepTarget(made.terms, None if made.weighted else own.weight)


# ---------------------------------------------------------------------- loss terms


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
        chosen = criterion if term.criterion is None else term.criterion
        factor, per_row = _coefficients(term, target.weight, logits)
        inputs = [logits[term.rows]]
        if needs_of(chosen).features:
            inputs.append(features[term.rows])
        total = total + factor * _weigh(chosen, inputs, term.y, per_row)
    return total


def _coefficients(term: LossTerm, weight: Tensor | None, logits: Tensor) -> tuple[Any, Any]:
    """Return the number that multiplies a term, and what multiplies its rows (None: nothing)."""
    per_row = None
    if weight is not None:
        per_row = logits.new_ones(len(logits))
        per_row[: len(weight)] = weight.to(logits)
        per_row = per_row[term.rows]
    if term.class_weight is not None:
        of_class = term.class_weight.to(logits)[term.y]
        per_row = of_class if per_row is None else per_row * of_class
    if not isinstance(term.coef, Tensor) or term.coef.dim() == 0:
        return term.coef, per_row
    return 1.0, term.coef.to(logits) if per_row is None else per_row * term.coef.to(logits)


def _weigh(criterion: nn.Module, inputs: list[Tensor], y: Tensor, per_row: Tensor | None):
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
    weight = criterion.weight if has_class_weight(criterion) else None
    return rows.sum() / (len(rows) if weight is None else weight[y].sum())


def not_finite(net: Any, loss: float, step: int) -> ValueError:
    """Return the error that ends a run whose loss is no number."""
    epoch = max(len(net.history) - 1, 0)
    rate = net.optimizer_.param_groups[0]["lr"]
    return ValueError(
        f"The loss is not finite. Got {loss} in epoch {epoch}, step {step} (both from 0), at a "
        f"learning rate of {rate:.3g}. Lower lr or pass warmup=5, shorten gradients with "
        "callbacks=[skorch.callbacks.GradientNormClipping(1.0)], and look for extreme values in X."
    )


# ---------------------------------------------------------------------- precision


def check_precision(net: Any) -> None:
    """Refuse what half precision does not go with.

    Raises
    ------
    ValueError
        If Accelerate or the optimizer is in the way.
    """
    if net.precision == "float32":
        return
    if net.accelerator is not None:
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
