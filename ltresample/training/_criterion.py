"""The criterion: what it needs, its class weights in place, and how outputs become probabilities."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from ltresample._torch import as_tensor, unwrapped
from ltresample.losses import LongTailLoss
from ltresample.models import CosineHead
from ltresample.training._network import LOG_PROBABILITIES, PROBABILITIES, kind_of

__all__ = [
    "LossWeights",
    "Needs",
    "assign_class_weight",
    "check_head",
    "check_outputs_fit",
    "class_weight_of",
    "has_class_weight",
    "logit_scale",
    "needs_of",
    "probabilities_by",
]


WITH_LAST_LAYER = tuple(
    vars(nn)[name]
    for name in ("AdaptiveLogSoftmaxWithLoss", "LinearCrossEntropyLoss")
    if name in vars(nn)  # the second is new
)


class Needs(NamedTuple):
    """What a criterion asks for beside logits and class indices; PyTorch's ask for nothing."""

    class_counts: bool
    cosine_head: bool
    features: bool


_NOTHING = Needs(class_counts=False, cosine_head=False, features=False)


def needs_of(criterion: Any) -> Needs:
    """Return what a criterion, or its class, asks for."""
    loss = unwrapped(criterion)
    kind = loss if isinstance(loss, type) else type(loss)
    return (
        Needs(loss.needs_class_counts, loss.needs_cosine_head, loss.needs_features)
        if issubclass(kind, LongTailLoss)
        else _NOTHING
    )


# ---------------------------------------------------------------------- class weights


def class_weight_of(criterion: Any) -> Tensor | None:
    """Return a copy of a criterion's class weights; None where it has none or they are not set."""
    criterion = unwrapped(criterion)
    weight = criterion.weight if has_class_weight(criterion) else None
    return None if weight is None else weight.detach().clone()


def has_class_weight(criterion: Any) -> bool:
    """Return whether a criterion has a place for class weights, as PyTorch's and ours have."""
    return isinstance(criterion, nn.Module) and "weight" in criterion._buffers


def assign_class_weight(
    criterion: nn.Module,
    class_weight: np.ndarray | Tensor | None,
    like: Tensor | None = None,
) -> None:
    """Set the class weights of a criterion, in place: the optimizer is not touched.

    Parameters
    ----------
    criterion : nn.Module
        A loss of `ltresample.losses`, or one with a buffer `weight`, as PyTorch's have.
    class_weight : ndarray or Tensor of shape (K,) or None
        None stands for ones.
    like : Tensor or None, default=None
        Type and place of weights that PyTorch's losses do not have yet: those of the network.

    Raises
    ------
    TypeError
        If the criterion has no class weights.
    """
    if isinstance(criterion, LongTailLoss):
        criterion.set_weight(class_weight)
    elif not has_class_weight(criterion):
        raise TypeError(
            "Re-weighting sets the class weights of the criterion. Got "
            f"{type(criterion).__name__}, which has no buffer `weight` and no method `set_weight`. "
            "Use a loss of ltresample.losses or torch.nn.CrossEntropyLoss."
        )
    elif class_weight is None:
        criterion.weight = None
    else:
        like = torch.empty(0) if like is None else like
        like = like if criterion.weight is None else criterion.weight
        criterion.weight = as_tensor(class_weight, dtype=like.dtype, device=like.device)


class LossWeights:
    """Class weights of a criterion in a run: its own, and in some epochs those of `rebalance`.

    Parameters
    ----------
    criterion : nn.Module
        With its own class weights.
    like : Tensor
        Type and place of the network's parameters.
    """

    def __init__(self, criterion: nn.Module, like: Tensor):
        self.criterion = criterion
        self.like = like
        self.own = class_weight_of(criterion)
        self.now: np.ndarray | None = None  # those of `rebalance`

    def set(self, weight: np.ndarray | None) -> None:
        """Set the weights of an epoch; None: the criterion's own."""
        if weight is not None:
            assign_class_weight(self.criterion, weight, self.like)
        elif self.now is not None:
            assign_class_weight(self.criterion, self.own, self.like)
        self.now = weight

    @contextmanager
    def left_out(self) -> Iterator[None]:
        """Use the criterion's own weights for a while, so that a loss means one thing in all epochs."""
        now = self.now
        self.set(None)
        try:
            yield
        finally:
            self.set(now)


# ---------------------------------------------------------------------- outputs


def logit_scale(criterion: nn.Module) -> float:
    """Return the factor of the logits in the criterion: s of LDAM, 1 elsewhere."""
    return float(getattr(unwrapped(criterion), "logit_scale", 1.0))


def probabilities_by(criterion: Any, kind: str | None) -> Callable[[Tensor], Tensor]:
    """Return what turns a network's outputs into probabilities.

    Parameters
    ----------
    criterion : nn.Module or None
        What the network was trained with.
    kind : str or None
        What its outputs are, as `ltresample.training._network.kind_of` tells; None: look at them.
    """
    criterion = unwrapped(criterion)
    if isinstance(criterion, LongTailLoss | nn.CrossEntropyLoss):
        return partial(_softmax, scale=logit_scale(criterion))
    return partial(_by_kind, kind=kind)


def _softmax(logits: Tensor, scale: float) -> Tensor:
    return (scale * logits).softmax(-1)


def _by_kind(outputs: Tensor, kind: str | None) -> Tensor:
    kind = kind_of(outputs) if kind is None else kind
    return outputs if kind == PROBABILITIES else outputs.softmax(-1)  # of log-probabilities, too


def check_outputs_fit(criterion: Any, kind: str, logits: Tensor, name: str) -> None:
    """Refuse a criterion that takes something else than what the network gives.

    Parameters
    ----------
    criterion : nn.Module
        As it is trained, with its class weights.
    kind : str
        What the outputs are.
    logits : Tensor of shape (m, K)
        Outputs for a few rows, m other than K.
    name : str
        Of the network, for messages.

    Raises
    ------
    ValueError
        If the criterion wants logits and gets probabilities or the other way round, or cannot take
        outputs (m, K) with class indices (m,).
    """
    criterion = unwrapped(criterion)
    called = type(criterion).__name__
    if isinstance(criterion, WITH_LAST_LAYER):
        raise ValueError(
            f"{called} holds the last layer of the network itself, so that nothing gives probabilities. "
            "End the network in that layer, and pass criterion=ltresample.losses.CrossEntropy."
        )
    is_softmax_loss = isinstance(criterion, LongTailLoss | nn.CrossEntropyLoss)
    if is_softmax_loss and kind == PROBABILITIES:
        raise ValueError(
            f"{called} takes logits and applies softmax itself. Got a {name} whose outputs are "
            "probabilities: they lie in [0, 1] and each row sums to 1. Leave out the softmax at the "
            "end of the network, or pass criterion=torch.nn.NLLLoss."
        )
    if isinstance(criterion, nn.NLLLoss) and kind not in (PROBABILITIES, LOG_PROBABILITIES):
        raise ValueError(
            f"{called} takes probabilities or their logarithms. Got a {name} whose outputs are "
            f"neither: the first row is {_shown(logits[0])}. End the network in torch.nn.Softmax(-1) or "
            "torch.nn.LogSoftmax(-1), or pass criterion=ltresample.losses.CrossEntropy."
        )
    if not isinstance(criterion, LongTailLoss):
        _try_criterion(criterion, logits)
    elif criterion.reduction == "none":
        raise ValueError(
            f"The criterion must give one number. Got {called} with reduction='none', which gives one "
            "for each row. Leave criterion__reduction out."
        )


def _try_criterion(criterion: Any, logits: Tensor) -> None:
    """Call a criterion that is not ours once, on a copy: some keep a state."""
    y = torch.zeros(len(logits), dtype=torch.int64, device=logits.device)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what PyTorch warns of here raises, too
            loss = copy.deepcopy(criterion)(logits, y)
        reason = "" if loss.dim() == 0 else f"it gave a loss of shape {tuple(loss.shape)}"
    except (RuntimeError, ValueError, TypeError, IndexError, AttributeError) as err:
        reason = (str(err).splitlines() or [type(err).__name__])[0].rstrip(". ")
    if reason:
        raise ValueError(
            f"The criterion must give one number for logits {tuple(logits.shape)} and class indices "
            f"{tuple(y.shape)}, as torch.nn.CrossEntropyLoss does. Got {criterion!r}: {reason}. Pass a "
            "loss of ltresample.losses or torch.nn.CrossEntropyLoss; two classes are two outputs."
        )


def _shown(row: Tensor) -> str:
    shown = ", ".join(f"{value:.3g}" for value in row[:4].tolist())
    return f"[{shown}{', ...' if len(row) > 4 else ''}]"


def check_head(
    criterion: nn.Module,
    module: nn.Module,
    rows: Tensor,
    ask: Callable[[Tensor], Tensor] | None = None,
) -> str | None:
    """Refuse a criterion that needs cosines on a network that does not give them.

    Parameters
    ----------
    criterion, module : nn.Module
        As they are trained; `module` in evaluation mode.
    rows : Tensor of shape (m, ...)
        A few rows to try.
    ask : callable or None, default=None
        Gives the logits of rows; None: `module` does.

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
    if needs_of(criterion).cosine_head:
        if not heads and not _are_cosines(module if ask is None else ask, rows):
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
def _are_cosines(ask: Callable[[Tensor], Tensor], rows: Tensor) -> bool:
    """Try rows as they are and a thousand times as long: cosines stay in [-1, 1]."""
    return all(float(ask(scale * rows).abs().max()) <= 1.001 for scale in (1, 1000))
