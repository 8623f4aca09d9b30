"""Batch normalisation folded into the layer before it, for gradients with respect to inputs."""

from __future__ import annotations

import copy
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx import Graph, Node, Tracer
from torch.fx.proxy import TraceError
from torch.nn.functional import linear

from ltresample._torch import unwrapped

__all__ = ["FoldedModule", "fold_batch_norm"]

_LAYERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)
_PLAIN = (bool, int, float, str)
_NORMS = (nn.BatchNorm1d, nn.BatchNorm2d, nn.BatchNorm3d, nn.SyncBatchNorm)


def fold_batch_norm(module: nn.Module) -> nn.Module:
    """Return a frozen copy of a network in evaluation mode, without its batch normalisations.

    Where a batch normalisation directly follows a convolution or a linear layer, in evaluation mode
    both are one affine map, with ``s = gamma / sqrt(var + eps)``:

    ``W' = s W``, ``b' = s (b - mean) + beta``.

    Which layers follow each other is found by symbolic tracing (`torch.fx`). A network that cannot
    be traced, for example one whose Python code branches on values or shapes, is copied as it is;
    layers that are used more than once, or carry hooks or parametrizations, stay as they are, too.

    Parameters
    ----------
    module : nn.Module
        Any network, in any mode; it is not changed.

    Returns
    -------
    nn.Module
        Of the same class, with outputs equal up to rounding; no parameter requires gradients.

    See Also
    --------
    FoldedModule : Follows a network in training.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
    >>> x = torch.ones(2, 3)
    >>> torch.allclose(fold_batch_norm(network)(x), network.eval()(x), atol=1e-5)
    True
    """
    return FoldedModule(module).network


class FoldedModule(nn.Module):
    """A folded copy of a network in training, brought up to date on demand.

    Parameters
    ----------
    module : nn.Module
        The live network; it is never changed, and its parameters are none of this module's.
        Wrappers for data-parallel training and compilation are taken off.
    logit_scale : float or None, default=None
        What the loss multiplies the logits by; None: not known.

    Attributes
    ----------
    network : nn.Module
        The folded copy; see `fold_batch_norm`.
    folded : list of (str, str)
        Names of each layer and of the batch normalisation that went into it.

    Examples
    --------
    >>> live = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.ReLU())
    >>> frozen = FoldedModule(live)
    >>> x = torch.ones(2, 3)
    >>> _ = nn.init.ones_(live[0].weight)
    >>> torch.allclose(frozen(x), live.eval()(x), atol=1e-5)
    False
    >>> torch.allclose(frozen.refresh()(x), live.eval()(x), atol=1e-5)
    True
    """

    def __init__(self, module: nn.Module, logit_scale: float | None = None):
        super().__init__()
        module = unwrapped(module)
        self.logit_scale = logit_scale
        self._live = (module,)  # in a tuple it is not a submodule
        self._copy()
        self.eval()
        self.refresh()

    def _copy(self) -> None:
        """Copy the network as it is built now."""
        self._parts = tuple(self.live.named_modules())  # what was copied
        self.network = copy.deepcopy(self.live).requires_grad_(False).eval()
        self.folded = _foldable(self.network)
        for layer, norm in self.folded:
            _join(self.network, layer, norm)

    @property
    def live(self) -> nn.Module:
        """The network in training."""
        return self._live[0]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Return what the network gave in evaluation mode at the last `refresh`."""
        return self.network(*args, **kwargs)

    def train(self, mode: bool = True) -> FoldedModule:
        """Stay in evaluation mode, whatever `mode` is."""
        return super().train(False)

    @torch.no_grad()
    def refresh(self) -> FoldedModule:
        """Take over the live network's numbers, plain attributes and new parts; give this module."""
        parts = tuple(self.live.named_modules())
        if parts != self._parts:
            self._copy()
        live = dict(parts)
        changed = {name for pair in self.folded for name in pair}
        for name, part in self.network.named_modules():
            if name in live and name not in changed:
                _follow(part, live[name])
        for layer, norm in self.folded:
            part = self.network.get_submodule(norm)
            if isinstance(part, _LinearBatchNorm):
                _follow(part.layer, live[layer])
                _follow(part.norm, live[norm])
            else:
                part = self.network.get_submodule(layer)
            _fold_into(part, live[layer], live[norm])
        return self


class _LinearBatchNorm(nn.Module):
    """Both as one map of rows, but not of sequences (n, L, d), whose dimension L is normalised."""

    def __init__(self, layer: nn.Linear, norm: nn.Module):
        super().__init__()
        self.layer, self.norm = layer, norm
        self.weight = nn.Parameter(torch.empty_like(layer.weight), requires_grad=False)
        self.bias = _zero_bias(layer)

    def forward(self, x: Tensor) -> Tensor:
        return linear(x, self.weight, self.bias) if x.dim() == 2 else self.norm(self.layer(x))


def _zero_bias(layer: nn.Module) -> nn.Parameter:
    return nn.Parameter(layer.weight.new_zeros(len(layer.weight)), requires_grad=False)


def _join(network: nn.Module, layer: str, norm: str) -> None:
    """Make one module of two in the copy; the other passes its input on."""
    first, second = network.get_submodule(layer), network.get_submodule(norm)
    if isinstance(first, nn.Linear):
        _put(network, norm, _LinearBatchNorm(first, second))
        _put(network, layer, nn.Identity())
    else:
        first.weight = nn.Parameter(first.weight.clone(), requires_grad=False)  # it may be shared
        first.bias = _zero_bias(first)
        _put(network, norm, nn.Identity())


def _put(network: nn.Module, name: str, part: nn.Module) -> None:
    parent, _, own = name.rpartition(".")
    setattr(network.get_submodule(parent), own, part)


def _fold_into(part: nn.Module, layer: nn.Module, norm: nn.Module) -> None:
    """Compute W' = s W and b' = s (b - mean) + beta."""
    s = torch.rsqrt(norm.running_var + norm.eps)
    s = s if norm.weight is None else s * norm.weight
    b = -norm.running_mean if layer.bias is None else layer.bias - norm.running_mean
    rows = s.to(layer.weight.dtype).view(-1, *[1] * (layer.weight.dim() - 1))
    _take_over(part.weight, rows * layer.weight)
    _take_over(
        part.bias, (s * b if norm.bias is None else s * b + norm.bias).to(layer.weight.dtype)
    )


def _follow(part: nn.Module, live: nn.Module) -> None:
    """Take over the parameters, buffers and plain attributes that a module itself holds."""
    for name, value in vars(live).items():
        if isinstance(value, _PLAIN) and name[0] != "_" and name != "training":
            vars(part)[name] = value
    source = {**live._parameters, **live._buffers}
    for name, own in {**part._parameters, **part._buffers}.items():
        if own is not None:
            _take_over(own, source[name].detach())


def _take_over(own: Tensor, values: Tensor) -> None:
    """Write numbers where they are to stand: passes that were recorded read them there."""
    if own.shape == values.shape and own.dtype == values.dtype and own.device == values.device:
        own.data.copy_(values)
    else:
        own.data = values.clone()


def _foldable(network: nn.Module) -> list[tuple[str, str]]:
    """Find each batch normalisation whose only input is a layer that goes nowhere else."""
    try:
        graph = Tracer().trace(copy.deepcopy(network))
    except (TraceError, TypeError, RuntimeError, NameError, AttributeError):
        return []  # what tracing raises where Python code needs values or shapes
    once = _used_once(network, graph)
    inputs = ((node.args[0] if node.args else None, node) for node in once)
    pairs = [(a, b) for a, b in inputs if isinstance(a, Node) and a in once]
    return [
        (str(first.target), str(second.target))
        for first, second in pairs
        if len(first.users) == 1 and _fit(once[first], once[second])
    ]


def _used_once(network: nn.Module, graph: Graph) -> dict[Node, nn.Module]:
    """Return the modules that have one name, run once and whose parameters nobody else reads."""
    names = Counter(id(part) for _, part in network.named_modules(remove_duplicate=False))
    calls = [node for node in graph.nodes if node.op == "call_module"]
    times = Counter(node.target for node in calls)
    read = {node.target.rpartition(".")[0] for node in graph.nodes if node.op == "get_attr"}
    parts = {node: network.get_submodule(node.target) for node in calls}
    return {
        node: part
        for node, part in parts.items()
        if times[node.target] == 1 and names[id(part)] == 1 and node.target not in read
    }


def _fit(layer: nn.Module, norm: nn.Module) -> bool:
    """Return whether both are of plain kinds and one affine map in evaluation mode."""
    return (
        type(layer) in _LAYERS  # and no subclass: a parametrized layer is one
        and type(norm) in _NORMS
        and norm.running_mean is not None
        and norm.num_features == len(layer.weight)
        and not any(p._forward_hooks or p._forward_pre_hooks for p in (layer, norm))
    )
