"""One look at the network before training: what it gives for a few rows, and who can use that."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltresample._random import global_streams
from ltresample._torch import evaluating, unwrapped
from ltresample.exceptions import LongTailWarning
from ltresample.models import CosineHead, ExpertMean, head_of
from ltresample.training._criterion import check_head, check_outputs_fit, needs_of
from ltresample.training._device import place_of
from ltresample.training._modes import train_except
from ltresample.training._network import PROBABILITIES, first_of, kind_of

__all__ = ["Look", "look_at", "takes_single_rows", "watch_head"]

N_ROWS = 16


class Look(NamedTuple):
    """What the look found.

    Attributes
    ----------
    kind : str
        What the outputs are: logits, probabilities or log-probabilities.
    head : nn.Module or None
        The layer that gives them, where the criterion takes what enters it.
    """

    kind: str
    head: nn.Module | None


def look_at(net: Any, rows: Any, fit_params: dict[str, Any]) -> Look:
    """Pass a few training rows and refuse what training could not use, or would use wrongly.

    Parameters
    ----------
    net : DeferredRebalancingClassifier
        With network and criterion, as they are about to be trained.
    rows : Rows
        Of the training split, where the network is.
    fit_params : dict
        Passed to the network.

    Returns
    -------
    Look
        Outputs and last layer.

    Raises
    ------
    ValueError
        If outputs are no finite floating-point tensor (m, K), or criterion or resampler cannot take
        them.
    """
    criterion, module = unwrapped(net.criterion_), unwrapped(net.module_)
    name, n_classes = type(module).__name__, len(net.classes_)
    m = N_ROWS + (n_classes == N_ROWS)  # losses that broadcast (m, K) against (m,) show it
    few = rows.take(torch.linspace(0, len(rows) - 1, m).long())

    def ask(x: Tensor) -> Any:
        return first_of(module(x, **fit_params))

    trained = [p for p in module.parameters() if p.requires_grad]
    with evaluating(module):
        with torch.enable_grad():
            for p in trained:
                p.requires_grad_()
            output = module(few, **fit_params)
        head = None
        if needs_of(criterion).features:
            with torch.no_grad():
                head = _head_of(module, lambda: module(few, **fit_params))
        _check_trainable(first_of(output), name, frozen=not trained)
    with torch.no_grad(), evaluating(module):
        logits = _checked(output, name, (m, n_classes))
        kind = kind_of(logits)
        if net.resampler is not None and not net._works_inside:
            _check_for_synthesis(output, kind, name)
            _check_type_for_synthesis(logits, name)
        check_outputs_fit(criterion, kind, logits, name)
        warning = check_head(criterion, module, few, ask)
    if warning is not None:
        warnings.warn(warning, LongTailWarning, stacklevel=6)
    return Look(kind, head)


def _checked(output: Any, name: str, shape: tuple[int, int]) -> Tensor:
    """Return the logits in a network's output.

    Raises
    ------
    ValueError
        If they are none.
    """
    logits, n_classes = first_of(output), shape[1]
    if not isinstance(logits, Tensor) or not logits.is_floating_point():
        got = logits.dtype if isinstance(logits, Tensor) else f"a {type(logits).__name__}"
        raise ValueError(
            "The network must give a floating-point tensor of logits, or a tuple that begins with one. "
            f"Got {got} from {name}. Wrap it in a module whose forward returns the logits."
        )
    if logits.dim() != 2 or len(logits) != shape[0]:
        raise ValueError(
            f"The network must give a row of {n_classes} logits for each row, one for each class. Got "
            f"shape {tuple(logits.shape)} for {shape[0]} rows from {name}. Two classes are two outputs."
        )
    if logits.shape[1] != n_classes:
        few = logits.shape[1] < n_classes
        raise ValueError(
            f"The network has too {'few' if few else 'many'} outputs. Got {logits.shape[1]} from {name} "
            f"for {n_classes} classes. Give its last layer {n_classes} outputs"
            f"{'' if few else ', or name all classes in classes='}."
        )
    finite = logits.isfinite().all(1)
    if not bool(finite.all()):
        raise ValueError(
            "The network's outputs must be finite. Got NaN or infinity in "
            f"{int((~finite).sum())} of {len(logits)} rows from {name}, before training. Look at its "
            "starting weights, and scale X: very large values overflow."
        )
    return logits


def _check_trainable(logits: Any, name: str, *, frozen: bool) -> None:
    if not isinstance(logits, Tensor) or logits.requires_grad or not logits.is_floating_point():
        return  # the next checks say what is wrong with the others
    raise ValueError(
        f"The network cannot be trained: its outputs have no gradient. Got {name}, "
        + (
            "all of whose parameters are frozen. Set requires_grad_(True) on some of them."
            if frozen
            else "whose forward cuts the graph. Leave out detach() and torch.no_grad()."
        )
    )


def _check_type_for_synthesis(logits: Tensor, name: str) -> None:
    if logits.element_size() < 4:
        raise ValueError(
            "A resampler works in single or double precision. Got "
            f"{logits.dtype} from {name}. Keep the network's weights in float32; "
            "precision='bfloat16' or 'float16' trains in half precision."
        )


def _check_for_synthesis(output: Any, kind: str, name: str) -> None:
    if isinstance(output, tuple):
        raise ValueError(
            "A resampler asks the network for logits and needs them alone. Got a tuple of "
            f"{len(output)} from {name}. Wrap it in a module whose forward returns the first."
        )
    if kind == PROBABILITIES:
        raise ValueError(
            f"A resampler asks the network for logits. Got a {name} whose outputs are probabilities. "
            "Leave out the softmax at the end, and pass criterion=ltresample.losses.CrossEntropy."
        )


@torch.no_grad()
def takes_single_rows(net: Any, rows: Any, fit_params: dict[str, Any]) -> bool:
    """Return whether the network can be trained on one row; batch normalisation may need two.

    It is tried on a copy, since a pass in training mode changes running statistics.
    """
    module = unwrapped(net.module_)
    if not any(isinstance(part, _BatchNorm) for part in module.modules()):
        return True
    tried = copy.deepcopy(module)
    train_except(tried, net._held.get("module", ()))
    try:
        with global_streams(net.seed_.child("one row"), place_of(net)):
            tried(rows.take(torch.zeros(1, dtype=torch.int64)), **fit_params)
    except ValueError as err:
        if "more than 1 value per channel" not in str(err):
            raise
        return False
    return True


def _head_of(module: nn.Module, ask: Callable[[], Any]) -> nn.Module:
    head = head_of(module, ask, nn.Linear | CosineHead | ExpertMean)
    if head is None:
        raise ValueError(
            "A criterion that needs features takes the input of the last nn.Linear or CosineHead. Got "
            f"a {type(module).__name__} without one. End the network in a linear layer."
        )
    return head


def watch_head(head: nn.Module, seen: list[Tensor]) -> Any:
    """Note what enters a layer at each forward pass; return the handle that ends it."""

    def note(_: nn.Module, args: tuple[Any, ...]) -> None:
        seen[:] = [args[0]]

    return head.register_forward_pre_hook(note)
