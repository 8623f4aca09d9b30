"""The network: built from the shape of the data where none is given, and what its outputs are."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from ltresample.guides import Standardize
from ltresample.models import MLP, ResNet32, SmallCNN
from ltresample.rows import Space

__all__ = [
    "LOGITS",
    "LOG_PROBABILITIES",
    "PROBABILITIES",
    "default_module",
    "first_of",
    "kind_of",
    "set_units",
    "shape_arguments",
    "wants_units",
]

LARGE_IMAGE = 24  # pixels, from which on a residual network is built
LOGITS, PROBABILITIES, LOG_PROBABILITIES = "logits", "probabilities", "log-probabilities"


def first_of(output: Any) -> Any:
    """Return the outputs that count: of several in a tuple the first, as in skorch."""
    return output[0] if isinstance(output, tuple) else output


def kind_of(outputs: Tensor) -> str:
    """Tell logits, probabilities and log-probabilities apart by some rows (m, K) of them.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 1.0, 3.0]])
    >>> [kind_of(part) for part in (x, x.softmax(1), x.log_softmax(1))]
    ['logits', 'probabilities', 'log-probabilities']
    """
    outputs = outputs.double()
    if bool((outputs >= 0).all()) and _sums_to_one(outputs):
        return PROBABILITIES
    return LOG_PROBABILITIES if _sums_to_one(outputs.exp()) else LOGITS


def _sums_to_one(p: Tensor) -> bool:
    return bool(((p.sum(-1) - 1).abs() < 1e-2).all())  # of half precision, too


def default_module(row_shape: tuple[int, ...], n_classes: int, **settings: Any) -> nn.Module:
    """Build a network for rows of a shape.

    Tables: standardisation, whose numbers `set_units` fills in, and `MLP`. Images (C, H, W) and
    (H, W): `SmallCNN`, or `ResNet32` where both sides have at least 24 pixels. Rows of other shapes
    are flattened.

    Parameters
    ----------
    row_shape : tuple of int
        Shape of one row.
    n_classes : int
        Number of classes K.
    **settings : dict
        Passed to the network.

    Returns
    -------
    nn.Module
        With logits (n, K) for rows (n, *row_shape).
    """
    if len(row_shape) not in (2, 3):
        zeros = torch.zeros(row_shape)  # units are set when training begins
        space = Space(center=zeros, scale=zeros + 1, lower=zeros, upper=zeros)
        return nn.Sequential(_Units(space), MLP(space.scale.numel(), n_classes, **settings))
    n_channels = row_shape[0] if len(row_shape) == 3 else 1
    if min(row_shape[-2:]) < LARGE_IMAGE:
        network = SmallCNN(n_channels, n_classes, **settings)
    else:
        network = ResNet32(n_classes, n_channels=n_channels, **settings)
    return network if len(row_shape) == 3 else nn.Sequential(_OneChannel(), network)


class _OneChannel(nn.Module):
    """Return images (n, H, W) a channel."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x[:, None]


class _Units(Standardize):
    """Standardisation whose numbers come later; that they came is part of the network's state."""

    def __init__(self, space: Space):
        super().__init__(space)
        self.register_buffer("known", torch.zeros((), dtype=torch.bool))


def set_units(module: nn.Module, space: Space) -> None:
    """Tell the first layer of a `default_module` the units of the training rows."""
    layer = next(part for part in module.modules() if isinstance(part, _Units))
    inverse = torch.where(space.scale > 0, 1 / space.scale, 0.0)
    layer.center.copy_(space.center)
    layer.factor.copy_(inverse)
    layer.known.fill_(True)


def wants_units(module: nn.Module) -> bool:
    """Return whether a network has a first layer that `set_units` has yet to fill in.

    Not where it learnt them before: in an earlier training, or in the one that its weights were
    loaded from.
    """
    return any(isinstance(part, _Units) and not bool(part.known) for part in module.modules())


def shape_arguments(
    build: Any, row_shape: tuple[int, ...] | None, n_classes: int | None
) -> dict[str, int]:
    """Return those of n_classes, n_features and n_channels that a constructor asks for, as far as known.

    Examples
    --------
    >>> shape_arguments(MLP, (20,), 3)
    {'n_classes': 3, 'n_features': 20}
    >>> shape_arguments(MLP, None, 3)
    {'n_classes': 3}
    """
    known = {} if n_classes is None else {"n_classes": n_classes}
    if row_shape is not None:
        known["n_features"] = torch.Size(row_shape).numel()
        if len(row_shape) in (2, 3):
            known["n_channels"] = row_shape[0] if len(row_shape) == 3 else 1
    asked = _parameter_names(build)
    return {name: number for name, number in known.items() if name in asked}


def _parameter_names(build: Any) -> set[str]:
    """List parameters; a constructor that passes on keywords is asked together with its parent's."""
    names: set[str] = set()
    steps = (
        [c.__init__ for c in build.__mro__ if "__init__" in vars(c)]
        if inspect.isclass(build)
        else [build]
    )
    for step in steps:
        if step is nn.Module.__init__ or step is object.__init__:
            break
        parameters = inspect.signature(step).parameters.values()
        names.update(p.name for p in parameters)
        if not any(p.kind is p.VAR_KEYWORD for p in parameters):
            break
    return names
