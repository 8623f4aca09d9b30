"""Starting weights from a given generator, and building networks without drawing any."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd
from torch.nn.modules.instancenorm import _InstanceNorm
from torch.overrides import TorchFunctionMode

__all__ = ["initialize", "normal_values", "uninitialized"]

_START_ALIKE = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm, nn.RMSNorm, nn.PReLU)
_RANDOM_FILLS = {
    *("uniform_", "normal_", "trunc_normal_", "bernoulli_", "orthogonal_"),
    *("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_"),
}


class _WithoutGlobalDraws(TorchFunctionMode):
    """Leave tensors as they are where the global generator would fill them."""

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") in _RANDOM_FILLS and kwargs.get("generator") is None:
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def uninitialized() -> Iterator[None]:
    """Build modules without drawing numbers; call `initialize` on them afterwards.

    Inside, fillings of tensors with random numbers (``normal_``, `torch.nn.init` and so on) are
    passed over unless they are given a generator, in this thread only: weights hold whatever the
    memory holds, and the global generator stays where it is. Meant for layers of `torch.nn` and the
    networks of this package.

    Examples
    --------
    >>> before = torch.get_rng_state()
    >>> with uninitialized():
    ...     network = nn.Linear(3, 2)
    >>> bool((torch.get_rng_state() == before).all())
    True
    >>> initialize(network, torch.Generator().manual_seed(0))
    Linear(in_features=3, out_features=2, bias=True)
    """
    with _WithoutGlobalDraws():
        yield


@torch.no_grad()
def initialize(module: nn.Module, generator: torch.Generator | None) -> nn.Module:
    """Return all parameters of a network new starting values, in place.

    Weights of convolutions are normal with variance ``2 / fan_out`` and those of linear layers with
    ``2 / fan_in`` [1]_, biases 0. Normalisation layers and `torch.nn.PReLU` start as PyTorch starts
    them, running statistics included. Other kinds of modules start their own parameters in a method
    ``initialize_parameters(generator)`` if they have it; else parameters with two or more
    dimensions are normal with standard deviation ``1 / sqrt(fan_in)``, where ``fan_in`` is the
    number of elements in a slice of the first dimension, and the others 0.

    Parameters
    ----------
    module : nn.Module
        Any network; its modes, other buffers and ``requires_grad`` stay as they are.
    generator : torch.Generator or None
        A generator on the CPU; values are drawn there in single precision and moved, so that device
        and dtype change nothing about the draw. None stands for PyTorch's global generator.

    Returns
    -------
    nn.Module
        The same object.

    Raises
    ------
    ValueError
        If a lazy module has not seen data yet, so that its shapes are not known.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Delving Deep into Rectifiers", ICCV 2015, arXiv 1502.01852.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 2))
    >>> _ = initialize(network, torch.Generator().manual_seed(0))
    >>> network[2].bias
    Parameter containing:
    tensor([0., 0.], requires_grad=True)
    """
    if any(nn.parameter.is_lazy(p) for p in module.parameters()):
        raise ValueError(
            f"A network with lazy modules has no weights to initialise yet. Got {module!r}. "
            "Apply it to one batch first."
        )
    for part in module.modules():
        if isinstance(part, _START_ALIKE):
            part.reset_parameters()
        elif hasattr(part, "initialize_parameters"):
            part.initialize_parameters(generator)
        else:
            for p in part.parameters(recurse=False):
                p.copy_(_start(part, p, generator))
    return module


def normal_values(like: Tensor, std: float, generator: torch.Generator | None) -> Tensor:
    """Draw normal numbers for a tensor's shape, on the CPU in single precision."""
    values = torch.empty(like.shape, dtype=torch.float32, device="cpu")
    return values.normal_(0.0, std, generator=generator)


def _start(part: nn.Module, p: Tensor, generator: torch.Generator | None) -> Tensor:
    if p.dim() < 2:
        return torch.zeros_like(p)
    if isinstance(part, _ConvNd):
        variance = 2 / (p.numel() / p.shape[1])  # fan_out: number of outputs times kernel size
    else:
        variance = (2 if isinstance(part, nn.Linear) else 1) / p[0].numel()
    return normal_values(p, math.sqrt(variance), generator)
