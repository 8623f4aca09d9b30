"""The online driver: a method at work on the mini-batches of a training run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltresample._random import Seed
from ltresample.rows import Pool
from ltresample.synthesis._method import Batch, LossTerm, Made, Method, Moment, RealBatch, Slots

__all__ = ["Bound", "Divide", "Step"]

# (m, make the rows at some of m positions) -> all m of them, made by several processes
Divide = Callable[[int, Callable[[Tensor], Made]], Made]


class Bound(NamedTuple):
    """A resampler, bound to a training run."""

    method: Method
    pool: Pool  # the training split, as the method takes it
    synthetic_share: float = 1.0  # of the requested slots for which a synthetic row is tried
    settings: Any = None  # what each "auto" stood for
    g_: Any = None  # the fitted guide


class Step:
    """Rewrites the mini-batches of a training run.

    Seeds are read from the batch as it came; a rejected slot keeps its real sample.

    Parameters
    ----------
    method : Method
        The method.
    pool : Pool
        The training split.
    seed : Seed
        Root of what is random in the preparation.
    f : Classifier or None, default=None
        The classifier in training.
    synthetic_share : float, default=1.0
        Share of the requested slots for which a synthetic row is tried, in [0, 1].
    """

    def __init__(
        self,
        method: Method,
        pool: Pool,
        seed: Seed,
        *,
        f: Any = None,
        synthetic_share: float = 1.0,
    ):
        self.method = method
        self.pool = pool
        self.f = f
        self.synthetic_share = synthetic_share
        self.state = method.begin(pool, seed)
        self._divide: Divide | None = None

    @property
    def balanced(self) -> bool:
        """Whether batches are to be class-balanced."""
        return self.method.balanced

    def divide(self, make: Divide) -> None:
        """Let several processes share the rows of a step."""
        self._divide = make

    def join(self, net: Any) -> None:
        """Begin, with the net that trains the network."""
        self.method.join(self.state, net)

    def begin_epoch(self, moment: Moment) -> None:
        """Begin an epoch in which batches are rewritten."""
        self.state = self.method.begin_epoch(self.state, moment._replace(f=self.f))

    def leave(self) -> None:
        """End: leave nothing in the network."""
        self.method.end(self.state)

    def state_dict(self) -> dict[str, Any]:
        """Return what an interrupted run needs to go on."""
        return self.method.state_dict(self.state)

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up an interrupted run."""
        self.method.load_state_dict(self.state, state)

    def enter(self, x: Tensor, seed: Seed) -> Tensor:
        """Return the rows of a step, everything else brought up to date."""
        return x

    def context(self) -> AbstractContextManager:
        """Return what a step runs in."""
        return nullcontext()

    def __call__(
        self,
        x: Tensor,
        y: Tensor,
        *,
        seed: Seed,
        index: Tensor | None = None,
        y_here: Tensor | None = None,
    ) -> Batch:
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
        y_here : Tensor of shape (B,) or None
            `y` on the CPU, as a loader gives it; without it a step waits for it to come back.
        """
        method, batch = self.method, RealBatch(self.enter(x, seed), y, index)
        state = self.state._replace(pool=self.pool.of_batch(batch.x, y, index, y_here))
        # of slots, which and how they are filled are drawn from two streams
        slotted = method.place == "replace"
        slots = method.request(state, batch, seed.child("request") if slotted else seed)
        if slotted:
            slots = self._thin(slots, seed.child("request", "share"))
        if not len(slots.at):
            return Batch(batch.x, [LossTerm(slice(None), y)], 0, 0)
        own, shared = seed.child("own") if slotted else seed, seed.child("shared")
        draw = method.draw(state, slots, own, shared)
        with self.context():
            if self._divide is None or not method.rows_apart:
                made = method.make(state, [draw], self.f)
            else:
                # all processes have drawn the same, and each makes its part
                made = self._divide(
                    len(slots.at),
                    lambda rows: method.make(state, [method.part(draw, rows)], self.f),
                )
        return _place(method, state, batch, slots, made)

    def _thin(self, slots: Slots, seed: Seed) -> Slots:
        """Leave some of the slots to their real rows."""
        if self.synthetic_share == 1:
            return slots
        # each slot by itself: a batch has that share on average, whatever its size
        u = torch.rand(len(slots.at), generator=seed.torch())
        return slots.take(u < self.synthetic_share)


def _place(method: Method, state: Any, batch: RealBatch, slots: Slots, made: Made) -> Batch:
    """Put what was made into the batch."""
    x = _PLACES[method.place](batch.x, slots, made)
    terms = method.terms(state, slots, made, batch)
    weighted = method.place == "whole" and state.pool.reference.weight is not None
    return Batch(x, terms, len(slots.at), int(made.accepted.sum()), weighted)


def _in_slots(x: Tensor, slots: Slots, made: Made) -> Tensor:
    # seeds are read from the batch as it came, so it is not written
    x = x.clone(memory_format=torch.preserve_format)
    x[slots.at[made.accepted].to(x.device)] = made.x.to(x.dtype)
    return x


_PLACES: dict[str, Callable[[Tensor, Slots, Made], Tensor]] = {
    "replace": _in_slots,
    "whole": lambda x, slots, made: made.x,
    "append": lambda x, slots, made: torch.cat([x, made.x.to(x)]),
    "inside": lambda x, slots, made: x,
}
