"""Networks that train beside the one that is trained, with its optimizer's kind and rate."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import distributed, nn
from torch.optim import Optimizer

__all__ = ["CompanionOptimizer"]


class CompanionOptimizer:
    """An optimizer of the net's kind and settings that steps when the net's does, at its rate.

    The companion's parameters do not enter the net's optimizer, so that states which are saved and
    loaded stay those of the net. In a distributed run gradients are averaged over all processes.

    Parameters
    ----------
    net : skorch net
        With `optimizer_`.
    module : nn.Module
        The companion.
    max_grad_norm : float or None, default=None
        Gradients of the companion, all parameters taken together, are shortened to this norm.

    Raises
    ------
    ValueError
        If the optimizer needs to evaluate the loss several times, or gradients are scaled (half
        precision under Accelerate).
    """

    def __init__(self, net: Any, module: nn.Module, *, max_grad_norm: float | None = None):
        scaler = getattr(getattr(net, "accelerator", None), "scaler", None)
        own = getattr(net, "precision", None) == "float16"
        if scaler is not None or own:
            got = "precision='float16'" if own else "an accelerator with mixed_precision='fp16'"
            pass_ = "'bfloat16' or 'float32'" if own else "'bf16' or 'no'"
            raise ValueError(
                "Gradients in half precision are scaled, and those of networks beside the net would "
                f"stay so. Got {got}. Pass {pass_}."
            )
        self.parent: Optimizer = getattr(net.optimizer_, "optimizer", net.optimizer_)
        kind = type(self.parent)
        if kind is torch.optim.LBFGS:
            raise ValueError(
                "Networks beside the net take one step with each of the optimizer's. Got "
                "optimizer=LBFGS, which evaluates the loss several times. Pass SGD, Adam or AdamW."
            )
        known = inspect.signature(kind.__init__).parameters
        settings = {k: v for k, v in self.parent.defaults.items() if k in known}
        self.parameters = list(module.parameters())
        self.max_grad_norm = max_grad_norm
        self.own = kind(self.parameters, **settings)
        self._hook = self.parent.register_step_post_hook(self._step)

    def _step(self, *_: Any) -> None:
        _average(self.parameters)
        if self.max_grad_norm is not None:
            nn.utils.clip_grad_norm_(self.parameters, self.max_grad_norm)
        for group in self.own.param_groups:
            group["lr"] = self.parent.param_groups[0]["lr"]
        self.own.step()
        self.own.zero_grad(set_to_none=True)

    def leave(self) -> None:
        """Step no more."""
        self._hook.remove()

    def state_dict(self) -> dict[str, Any]:
        """Return the optimizer's state."""
        return self.own.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up an optimizer's state."""
        self.own.load_state_dict(state)


def _average(parameters: list[nn.Parameter]) -> None:
    """Average gradients over processes; where a process has none, it has zeros."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return
    for p in parameters:
        p.grad = torch.zeros_like(p) if p.grad is None else p.grad
        distributed.all_reduce(p.grad)
        p.grad /= distributed.get_world_size()
