"""A method at work in a training run."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from ltresample._random import Seed
from ltresample.synthesis._base import Batch

__all__ = ["OnlineSynthesis"]


class OnlineSynthesis:
    """Base of what rewrites the mini-batches of a training run; all but `rewrite` may stay as it is."""

    balanced: bool = True  # whether batches are to be drawn with classes alike
    g_: Any = None  # the fitted guide
    divide: Any = None  # (m, make) -> Candidates, where several processes share the rows of a batch

    def join(self, net: Any) -> None:
        """Begin, with the net that trains the network."""

    def begin_epoch(
        self, epoch: int, *, max_epochs: int, held_out: tuple[Any, Tensor] | None = None
    ) -> None:
        """Begin an epoch in which batches are rewritten; `held_out`: rows and class index, or None."""

    def rewrite(self, x: Tensor, y: Tensor, *, seed: Seed, index: Tensor | None = None) -> Batch:
        """Return the batch to train on: rows, loss terms, and how many slots were synthesized.

        Parameters
        ----------
        x : Tensor of shape (B, ...)
            Real rows.
        y : Tensor of shape (B,)
            Class index.
        seed : Seed
            Of this step.
        index : Tensor of shape (B,) or None
            Positions of the rows in the training split.
        """
        raise NotImplementedError

    def leave(self) -> None:
        """End: leave nothing in the network."""

    def state_dict(self) -> dict[str, Any]:
        """Return what an interrupted run needs to go on."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up an interrupted run."""
