"""Layers by their names, and whether the batch may grow behind them."""

from __future__ import annotations

import difflib
from typing import Any

import torch
from torch import Tensor, nn

from ltresample._torch import evaluating
from ltresample.models import MLP, ResNetCifar, SmallCNN

__all__ = ["find_layer", "try_longer_batch"]

N_NAMES = 40  # layers that an error message lists


def find_layer(f: nn.Module, name: str) -> tuple[str, nn.Module]:
    """Find a layer by its name.

    Parameters
    ----------
    f : nn.Module
        The network.
    name : str
        Its name in ``f.named_modules()``; "auto" for the usual layer of a network of
        `ltresample.models`.

    Returns
    -------
    name : str
        The name, "auto" resolved.
    layer : nn.Module
        The layer.

    Raises
    ------
    ValueError
        If there is none; the message lists those that there are.

    Examples
    --------
    >>> find_layer(MLP(4, 2), "auto")
    ('body.1', ReLU())
    """
    known = {path: part for path, part in f.named_modules() if path}
    if name == "auto":
        name = _usual_layer(f)
    if name in known:
        return name, known[name]
    close = difflib.get_close_matches(name, known, n=1)
    names = ", ".join(repr(path) for path in list(known)[:N_NAMES])
    raise ValueError(
        f"{type(f).__name__} has no layer of that name. Got layer={name!r}."
        f"{f' Did you mean {close[0]!r}?' if close else ''} Pass one of {names}"
        f"{', ...' if len(known) > N_NAMES else ''}."
    )


def _usual_layer(f: nn.Module) -> str:
    """Name the layer before the second-to-last down-sampling of a network of this package."""
    for path, part in f.named_modules():
        inner = {ResNetCifar: "stage2", SmallCNN: "body.5"}
        inner[MLP] = f"body.{len(part.body) - 1}" if isinstance(part, MLP) else ""
        for kind, name in inner.items():
            if isinstance(part, kind):
                return f"{path}.{name}" if path else name
    return "auto"


def try_longer_batch(f: nn.Module, name: str, layer: nn.Module, rows: Tensor) -> Tensor:
    """Pass rows, add one behind the layer, and see whether the rest of the network takes it.

    Parameters
    ----------
    f : nn.Module
        The network; its mode and buffers stay as they are.
    name : str
        Name of the layer, for messages.
    layer : nn.Module
        The layer.
    rows : Tensor of shape (2, ...)
        Two rows.

    Returns
    -------
    Tensor of shape (2, C) or (2, C, H, W)
        Output of the layer.

    Raises
    ------
    ValueError
        If the output is no tensor of these shapes, the layer is passed more than once, or rows that
        are added do not come out at the end.
    """
    seen: list[Any] = []

    def lengthen(_: nn.Module, args: Any, output: Any) -> Any:
        seen.append(output)
        fits = isinstance(output, Tensor) and output.dim() in (2, 4) and len(output) == 2
        return torch.cat([output, output[:1]]) if fits else None

    hook = layer.register_forward_hook(lengthen)
    try:
        with torch.no_grad(), evaluating(f):
            logits = f(rows)
        reason = (
            "" if len(_first(logits)) == 3 else f"the output still has {len(_first(logits))} rows"
        )
    except RuntimeError as err:
        reason = str(err).splitlines()[0]
    finally:
        hook.remove()
    _check_output(name, seen)
    if reason:
        raise ValueError(
            f"The layers behind layer={name!r} cannot take augmented rows behind the real ones. Got: "
            f"{reason}. Choose a layer through which everything passes, such as the end of a stage."
        )
    return seen[0]


def _first(output: Any) -> Tensor:
    return output[0] if isinstance(output, tuple) else output


def _check_output(name: str, seen: list[Any]) -> None:
    if len(seen) != 1:
        raise ValueError(
            f"layer={name!r} must be passed once in a forward pass. Got {len(seen)} times. Choose "
            "another layer."
        )
    output = seen[0]
    if not isinstance(output, Tensor):
        raise ValueError(
            f"layer={name!r} must give one tensor. Got {type(output).__name__}. Choose a layer inside "
            "or behind it."
        )
    if output.dim() not in (2, 4) or len(output) != 2:
        raise ValueError(
            f"layer={name!r} must give vectors (n, C) or maps (n, C, H, W), one for each row. Got "
            f"shape {tuple(output.shape)} for two rows. Choose another layer."
        )
