"""The network in training, its passes recorded as CUDA graphs."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ltresample import _captured
from ltresample._torch import unwrapped
from ltresample.exceptions import LongTailWarning
from ltresample.training._device import place_of
from ltresample.training._step import HALF

__all__ = ["CapturedTraining", "check_graphs"]

N_SHAPES = 4  # of batches that are recorded; others pass as they are


def check_graphs(net: Any) -> None:
    """Refuse what CUDA graphs do not go with.

    Raises
    ------
    ValueError
        If the network is elsewhere, compiled or handed to Accelerate.
    """
    if not net.cuda_graphs:
        return
    if place_of(net).type != _captured.KIND:
        raise ValueError(
            f"cuda_graphs=True needs a network on a CUDA device. Got device={str(place_of(net))!r}. "
            "Pass device='cuda', or leave cuda_graphs out."
        )
    if net.compile or net.accelerator is not None:
        other = "compile=True" if net.compile else "an accelerator"
        raise ValueError(
            f"cuda_graphs=True records the plain network. Got {other} beside it. Leave one of them "
            "out; compile__mode='reduce-overhead' has CUDA graphs of its own."
        )


class CapturedTraining:
    """Forward and backward passes of the network in training mode, for batches of a few sizes.

    A size is recorded when it comes for the second time. Networks that draw random numbers in a pass,
    or whose layers have hooks, are passed as they are, with a warning.

    Parameters
    ----------
    module : nn.Module
        The network in training.
    precision : {"float32", "bfloat16", "float16"}
        Of its passes.
    """

    def __init__(self, module: nn.Module, precision: str):
        self.module = unwrapped(module)
        self.half = HALF.get(precision)
        self.seen: set[Any] = set()
        self.passes: dict[Any, Any] = {}
        self.given_up = False

    def __call__(self, x: Any) -> Any:
        """Return what the network gives for a batch, or None where that pass is not recorded."""
        if self.given_up or not isinstance(x, Tensor) or not self.module.training:
            return None
        if not torch.is_grad_enabled() or x.device.type != _captured.KIND or x.requires_grad:
            return None
        # parameters that were frozen or replaced make another graph
        own = tuple((p.data_ptr(), p.requires_grad) for p in self.module.parameters())
        key = (*x.shape, *x.stride(), x.dtype, own)
        if key not in self.passes:
            if key not in self.seen or len(self.passes) == N_SHAPES or not self._may_record(x):
                self.seen.add(key)
                return None
            self.passes[key] = self._recorded(x)
        return self.passes[key](x)

    def _may_record(self, x: Tensor) -> bool:
        why = None
        if any(_has_hooks(part) for part in self.module.modules()):
            why = "some of its layers have hooks"
        elif self._draws(x):
            why = "it draws random numbers in a pass"
        if why is None:
            return True
        self.given_up = True
        warnings.warn(
            f"cuda_graphs=True has no effect on the training of {type(self.module).__name__}: {why}.",
            LongTailWarning,
            stacklevel=2,
        )
        return False

    def _draws(self, x: Tensor) -> bool:
        """Return whether a pass changes the state of the device's generator."""
        module = torch.get_device_module(x.device)
        before = module.get_rng_state(x.device)
        with torch.no_grad(), _UnchangedBuffers(self.module):
            self.module(x)
        after = module.get_rng_state(x.device)
        module.set_rng_state(before, x.device)
        return not torch.equal(before, after)

    def _recorded(self, x: Tensor) -> Any:
        with _UnchangedBuffers(self.module):
            shell = _Shell(self.module, self.half).train()
            return _captured.record(shell, x.detach().clone())


class _Shell(nn.Module):
    """Takes the place of a network that is recorded, which stays as it is."""

    def __init__(self, module: nn.Module, half: torch.dtype | None):
        super().__init__()
        self.module, self.half = module, half

    def forward(self, x: Tensor) -> Any:
        if self.half is None:
            return self.module(x)
        with torch.autocast(_captured.KIND, dtype=self.half, cache_enabled=False):
            return self.module(x)


class _UnchangedBuffers:
    """Gives a network its buffers back: passes that warm up are none of its training."""

    def __init__(self, module: nn.Module):
        self.buffers = list(module.buffers())

    def __enter__(self) -> None:
        self.saved = [buffer.clone() for buffer in self.buffers]

    def __exit__(self, *error: Any) -> None:
        with torch.no_grad():
            for buffer, saved in zip(self.buffers, self.saved, strict=True):
                buffer.copy_(saved)


def _has_hooks(part: nn.Module) -> bool:
    kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(part, kind) for kind in kinds)
