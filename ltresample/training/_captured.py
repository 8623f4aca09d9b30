"""The network in training, its passes recorded as CUDA graphs."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call

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
            f"Pass device={_captured.KIND!r}, or leave cuda_graphs out."
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
        self.places = _captured.Places(self.module)
        self.given_up = False

    def __call__(self, x: Any) -> Any:
        """Return what the network gives for a batch, or None where that pass is not recorded."""
        if self.given_up or not isinstance(x, Tensor) or not self.module.training:
            return None
        if not torch.is_grad_enabled() or x.device.type != _captured.KIND or x.requires_grad:
            return None
        if self.places.have_changed():
            self.seen.clear()
            self.passes.clear()
        # layers that were frozen, or put in another mode, make another graph
        frozen = tuple(p.requires_grad for p in self.module.parameters())
        modes = tuple(part.training for part in self.module.modules())
        key = (*x.shape, *x.stride(), x.dtype, frozen, modes)
        if self.places.have_hooks():
            return self._give_up("some of its layers have hooks")
        if key not in self.passes:
            if key not in self.seen or len(self.passes) == N_SHAPES:
                self.seen.add(key)
                return None
            if self._draws(x):
                return self._give_up("it draws random numbers in a pass")
            self.passes[key] = self._recorded(x)
        return self.passes[key](x)

    def _give_up(self, why: str) -> None:
        """Record nothing any more, and replay nothing."""
        self.given_up = True
        self.passes.clear()
        warnings.warn(
            "cuda_graphs=True has no effect on the training of "
            f"{type(self.module).__name__} from here on: {why}.",
            LongTailWarning,
            stacklevel=2,
        )

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
            return _Recorded(self.module, self.half, x)


class _Shell(nn.Module):
    """Takes the place of a network that is recorded, which stays as it is.

    Its parameters are others on the same memory: the nodes at which gradients of the network's own
    are added up may be alive from the last step, and belong to another stream than the recording.
    """

    def __init__(self, module: nn.Module, half: torch.dtype | None):
        super().__init__()
        trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.names, self.half = list(trained), half
        self.own = nn.ParameterList([nn.Parameter(p.detach()) for p in trained.values()])
        self._module = (module,)  # in a tuple it is not a submodule

    def forward(self, x: Tensor) -> Any:
        (module,), own = self._module, dict(zip(self.names, self.own, strict=True))
        if self.half is None:
            return functional_call(module, own, (x,))
        with torch.autocast(_captured.KIND, dtype=self.half, cache_enabled=False):
            return functional_call(module, own, (x,))


class _Recorded:
    """A recorded pass, with gradients for the network's parameters."""

    def __init__(self, module: nn.Module, half: torch.dtype | None, x: Tensor):
        self.trained = [p for p in module.parameters() if p.requires_grad]
        self.shell = _Shell(module, half).train()
        self.replay = _captured.record(self.shell, x.detach().clone())

    def __call__(self, x: Tensor) -> Any:
        return _Through.apply(self, x, *self.trained)


class _Through(torch.autograd.Function):
    """Hands gradients of the shell's parameters to those of the network."""

    @staticmethod
    def forward(ctx: Any, recorded: _Recorded, x: Tensor, *trained: Tensor) -> Any:
        with torch.enable_grad():
            outputs = recorded.replay(x)
        ctx.own = tuple(recorded.shell.own)
        ctx.outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        detached = tuple(part.detach() for part in ctx.outputs)
        return detached if isinstance(outputs, tuple) else detached[0]

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        pairs = [
            (part, gradient)
            for part, gradient in zip(ctx.outputs, gradients, strict=True)
            if part.requires_grad
        ]
        outputs, gradients = zip(*pairs, strict=True)
        found = torch.autograd.grad(outputs, ctx.own, gradients, allow_unused=True)
        return None, None, *found


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
