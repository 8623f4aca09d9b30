"""Features that samples had when they were last passed through the network in training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from ltresample._torch import unwrapped
from ltresample.models import CosineHead

__all__ = ["FeatureBank"]


class FeatureBank:
    """One row of features for each training sample.

    Parameters
    ----------
    n : int
        Number of training samples.
    """

    def __init__(self, n: int):
        self.known = torch.zeros(n, dtype=torch.bool)
        self.z: Tensor | None = None  # (n, d)
        self._expected: Tensor | None = None
        self._handle: Any = None

    def watch(self, module: nn.Module) -> None:
        """Note what enters the last linear layer whenever an expected batch is trained on."""
        self.unwatch()
        module = unwrapped(module)
        layers = [m for m in module.modules() if isinstance(m, nn.Linear | CosineHead)]
        if not layers:
            raise ValueError(
                f"feature_bank=True notes what enters the last linear layer. Got a "
                f"{type(module).__name__} without one. Pass feature_bank=False."
            )

        def note(layer: nn.Module, args: tuple[Any, ...]) -> None:
            if layer.training and self._expected is not None:
                self._note(args[0].detach().flatten(1))

        self._handle = layers[-1].register_forward_pre_hook(note)

    def unwatch(self) -> None:
        """Let go of the network."""
        if self._handle is not None:
            self._handle.remove()
        self._handle = self._expected = None

    def expect(self, index: Tensor) -> None:
        """Say which samples (B,) the next training batch is of."""
        self._expected = index

    def _note(self, z: Tensor) -> None:
        index, self._expected = self._expected, None
        if len(index) == len(z):
            self.put(index, z)

    def put(self, index: Tensor, z: Tensor) -> None:
        """Take features (m, d) of the samples `index` (m,)."""
        if self.z is None:
            self.z = torch.zeros(len(self.known), z.shape[1], device=z.device)
            self.known = self.known.to(z.device)
        if z.shape[1] != self.z.shape[1]:
            raise ValueError(
                "feature_bank=True needs a network whose features are what enters its last linear "
                f"layer. Got features with {self.z.shape[1]} and {z.shape[1]} columns. Pass "
                "feature_bank=False."
            )
        index = index.to(self.z.device)
        self.z[index] = z.to(self.z.dtype)
        self.known[index] = True

    def take(self, index: Tensor, compute: Callable[[Tensor], Tensor]) -> Tensor:
        """Return features (m, d) of samples; what is missing is computed now.

        `compute` gives the features of the rows at some positions in `index`.
        """
        known = self.known[index.to(self.known.device)]
        if not bool(known.all()):
            missing = (~known).nonzero()[:, 0]
            self.put(index.to(known.device)[missing], compute(missing))
        return self.z[index.to(self.z.device)]

    def state_dict(self) -> dict[str, Tensor]:
        """Return the bank's content."""
        return {} if self.z is None else {"known": self.known, "z": self.z}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Take up the content of another bank."""
        if state:
            self.known, self.z = state["known"], state["z"]
