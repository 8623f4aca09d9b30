"""Features of any network."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ltresample._torch import unwrapped
from ltresample.models._folding import FoldedModule
from ltresample.models._heads import CosineHead

__all__ = ["feature_extractor", "has_features", "head_of"]

_HEADS = nn.Linear | CosineHead


def feature_extractor(module: nn.Module, layer: str | None = None) -> Callable[[Tensor], Tensor]:
    """Return the function from rows to features (n, d) of a network.

    Gradients flow to the rows. Modes and ``requires_grad`` are taken as they are at each call, and
    nothing is left behind on the network. Wrappers for data-parallel training and compilation are
    taken off.

    Parameters
    ----------
    module : nn.Module
        Any network.
    layer : str or None, default=None
        Name of a layer, as in ``dict(module.named_modules())``, whose output gives the features.
        None stands for the method `features`, if the network (or the last part of a
        `torch.nn.Sequential`) has one that is not itself a module, else for what enters the linear
        layer or `CosineHead` that gives the outputs, or is the last one that runs.

    Returns
    -------
    callable
        From rows (n, ...) to features (n, d). Images (n, d, H, W) and volumes are averaged over all
        positions, other shapes are flattened.

    Raises
    ------
    ValueError
        If there is no such layer; at a call, if the layer does not take part in the forward pass.
    TypeError
        At a call, if the layer's output is not a tensor.

    Examples
    --------
    >>> import torch
    >>> network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(32, 2))
    >>> x = torch.zeros(5, 3, 4, 4)
    >>> feature_extractor(network)(x).shape
    torch.Size([5, 32])
    >>> feature_extractor(network, "1")(x).shape
    torch.Size([5, 8])
    """
    module = unwrapped(module)
    if isinstance(module, FoldedModule):
        module = module.network
    own = _own_features(module) if layer is None else None
    if own is not None:
        return lambda x: _as_rows(own(x), "features")
    if layer is None:
        _check_linear(module)
        return lambda x: _as_rows(_into_head(module, x), "the last linear one")
    part = _part(module, layer)
    return lambda x: _as_rows(_out_of(module, part, layer, x), layer)


def has_features(module: nn.Module) -> bool:
    """Return whether the features of a network can be found without the name of a layer.

    Examples
    --------
    >>> has_features(nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten()))
    False
    """
    module = unwrapped(module)
    linear = any(isinstance(part, _HEADS) for part in module.modules())
    return linear or _own_features(module) is not None


def _own_features(module: nn.Module) -> Callable[[Tensor], Tensor] | None:
    """Find a method `features`, also at the end of a chain of modules."""
    method = getattr(module, "features", None)
    if inspect.ismethod(method):
        return method
    if not isinstance(module, nn.Sequential) or not len(module):
        return None
    *first, last = module
    inner = _own_features(last)
    if inner is None:
        return None

    def features(x: Tensor) -> Tensor:
        for part in first:
            x = part(x)
        return inner(x)

    return features


def head_of(module: nn.Module, ask: Callable[[], Any], kinds: Any = _HEADS) -> nn.Module | None:
    """Return the last layer of a network: the one that gives its outputs, else the last that runs.

    Parameters
    ----------
    module : nn.Module
        Any network.
    ask : callable
        Passes a few rows through it and returns the outputs; of a tuple the first counts.
    kinds : type or union of types, default=nn.Linear | CosineHead
        What the layer may be.

    Returns
    -------
    nn.Module or None
        None where no layer of these kinds runs. The order in which layers were assigned says nothing.

    Examples
    --------
    >>> import torch
    >>> class Network(nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.head = nn.Linear(4, 2)
    ...         self.body = nn.Linear(3, 4)
    ...
    ...     def forward(self, x):
    ...         return self.head(self.body(x))
    >>> network = Network()
    >>> head_of(network, lambda: network(torch.zeros(1, 3))) is network.head
    True
    """
    ran: list[tuple[nn.Module, Any]] = []
    handles = [
        part.register_forward_hook(lambda part, _, output: ran.append((part, output)))
        for part in module.modules()
        if isinstance(part, kinds)
    ]
    try:
        output = ask()
    finally:
        for handle in handles:
            handle.remove()
    output = output[0] if isinstance(output, tuple) else output
    heads = [part for part, given in ran if given is output]
    return (heads or [part for part, _ in ran] or [None])[-1]


def _check_linear(module: nn.Module) -> None:
    if not any(isinstance(part, _HEADS) for part in module.modules()):
        raise ValueError(
            "Without a method `features` and without a linear layer it is not clear what the "
            f"features of {type(module).__name__} are. Pass layer, one of: {_names(module)}."
        )


def _part(module: nn.Module, name: str) -> nn.Module:
    parts = dict(module.named_modules())
    if name not in parts:
        raise ValueError(
            f"{type(module).__name__} has no layer {name!r}. Pass layer, one of: {_names(module)}."
        )
    return parts[name]


def _names(module: nn.Module) -> str:
    return ", ".join(repr(name) for name, _ in module.named_modules() if name) or "(it has none)"


def _into_head(module: nn.Module, x: Tensor) -> Tensor:
    """Run the network and give what entered its last layer."""
    inputs: dict[nn.Module, Any] = {}
    handles = [
        part.register_forward_pre_hook(lambda part, args: inputs.update({part: args[0]}))
        for part in module.modules()
        if isinstance(part, _HEADS)
    ]
    try:
        head = head_of(module, lambda: module(x))
    finally:
        for handle in handles:
            handle.remove()
    if head is None:
        raise ValueError(
            f"No linear layer of {type(module).__name__} takes part in its forward pass, so that it is "
            f"not clear what its features are. Pass layer, one of: {_names(module)}."
        )
    return inputs[head]


def _out_of(module: nn.Module, part: nn.Module, name: str, x: Tensor) -> Any:
    """Run the network and give what left one of its parts last."""
    seen: list[Any] = []

    def note(_: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        seen[:] = [output]

    handle = part.register_forward_hook(note)
    try:
        module(x)
    finally:
        handle.remove()
    if not seen:
        raise ValueError(
            f"Layer {name!r} of {type(module).__name__} takes no part in its forward pass. "
            f"Pass layer, another one of: {_names(module)}."
        )
    return seen[0]


def _as_rows(features: Any, name: str) -> Tensor:
    """Return features as rows: mean over positions of images, other shapes flattened."""
    if not isinstance(features, Tensor):
        raise TypeError(
            f"Features must be a tensor. Got {type(features).__name__} from layer {name!r}. "
            "Pass layer, the name of one whose output is a tensor."
        )
    return features.flatten(2).mean(2) if features.dim() > 3 else features.flatten(1)
