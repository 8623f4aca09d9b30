"""The protocol of a method: written once, driven offline (`fill`) and in training (`Step`)."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ltresample._random import Seed
from ltresample.rows import Pool, Rows

__all__ = ["Batch", "LossTerm", "Made", "Method", "Moment", "RealBatch", "Slots", "State"]


class RealBatch(NamedTuple):
    """A mini-batch as it came."""

    x: Tensor  # (B, *row_shape)
    y: Tensor  # (B,) class index
    index: Tensor | None = None  # (B,) positions in the training split


class LossTerm(NamedTuple):
    """A share of the batch loss: mean over `rows` of coef * criterion(logits, y)."""

    rows: Tensor | slice
    y: Tensor
    coef: float | Tensor = 1.0  # a number, or one per row
    class_weight: Tensor | None = None
    criterion: Any = None  # None: the training criterion


class Batch(NamedTuple):
    """A mini-batch after synthesis."""

    x: Tensor
    terms: list[LossTerm]
    n_requested: int  # slots for which a synthetic sample was wanted
    n_accepted: int
    weighted: bool = False  # sample weights are in the coefficients of the terms already


class Slots(NamedTuple):
    """Places for new rows, on the CPU."""

    at: Tensor  # (m,) positions in the mini-batch, or among the new rows of `fill`
    y: Tensor | None = None  # (m,) class index that each row is to have; None: the draw decides

    def take(self, chosen: Tensor) -> Slots:
        """Return some of them."""
        return Slots(self.at[chosen], None if self.y is None else self.y[chosen])


class Made(NamedTuple):
    """What a method made of a draw of m rows; all but `x` on the CPU."""

    accepted: Tensor  # (m,) bool
    x: Tensor  # (accepted.sum(), *row_shape): the accepted rows only
    index: Tensor  # (m,) the row that each is made from, in the pool or its open-set samples
    source: Tensor  # (m,) class of that row; -1: none, an open-set sample
    confidence: Tensor | None = None  # (m,) g's probability of the class; NaN: nothing was made
    partner: Tensor | None = None  # (m,) a second row that each is made from
    lam: Tensor | None = None  # (m,) the partner's share of the label
    y: Tensor | None = None  # (m,) labels that the draw decided on

    @classmethod
    def joined(cls, parts: list[Made]) -> Made:
        """Put what was made of several draws after each other; all have the same columns."""
        if len(parts) == 1:
            return parts[0]
        columns = zip(*parts, strict=True)
        return cls(*(None if column[0] is None else torch.cat(column) for column in columns))


class Moment(NamedTuple):
    """Where training is when an epoch begins."""

    epoch: int  # from 0
    max_epochs: int
    held_out: tuple[Rows, Tensor] | None = None  # rows and class index of the validation split
    f: Any = None  # the classifier in training


class State(NamedTuple):
    """What a method keeps; a method with more to keep has a NamedTuple of its own, `pool` first.

    In a training step `pool` is the mini-batch, and ``pool.reference`` the training split.
    """

    pool: Pool


class Method:
    """Base of the methods: a method says what it needs, draws, and makes; drivers say when.

    ``draw`` makes all random choices, as plain data on the CPU; ``make`` is a function of the draws.
    Rows that share a block are drawn together; a driver never splits one. Everything but ``draw``
    and ``make`` has a body here that suits methods that replace rows one by one.

    Attributes
    ----------
    place : {"replace", "whole", "append", "inside"}
        Where rows go in training: into slots of the mini-batch, in the place of all of it, behind it,
        or behind the features of a layer, inside the network.
    balanced : bool
        Whether mini-batches are to be class-balanced.
    joint : bool
        Whether blocks hold rows of several classes in `fill`; else of one.
    rows_apart : bool
        Whether rows that are drawn together can be made apart, by several processes.
    block_size : int
        Rows drawn together.
    """

    place: ClassVar[str] = "replace"
    balanced: ClassVar[bool] = True
    joint: ClassVar[bool] = False
    rows_apart: ClassVar[bool] = False
    block_size: int = 64

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None = None) -> Any:
        """Compute once a run what the draws need.

        Parameters
        ----------
        pool : Pool
            Real samples.
        seed : Seed
            Root of what is random in it.
        wanted : dict of int to int, or None
            Class index to number of new rows; None: in training.

        Returns
        -------
        NamedTuple
            The state, whose first field is `pool`.
        """
        return State(pool)

    def join(self, state: Any, net: Any) -> None:
        """Meet the net that trains the network; called once, before the first epoch."""

    def works_in(self, epoch: int, max_epochs: int) -> bool:
        """Return whether mini-batches of an epoch are rewritten, where the training asks for it."""
        return True

    def begin_epoch(self, state: Any, moment: Moment) -> Any:
        """Return the state for an epoch in which mini-batches are rewritten."""
        return state

    def request(self, state: Any, batch: RealBatch, seed: Seed) -> Slots:
        """Choose the slots of a mini-batch: slot i with probability 1 - N_{y_i} / N_max.

        (M2m, Section 2.3.)
        """
        labels, counts = state.pool.labels, state.pool.counts
        u = torch.rand(len(labels), generator=seed.torch(), dtype=torch.float64)
        at = (u >= counts[labels].double() / counts.max()).nonzero()[:, 0]
        return Slots(at, labels[at])

    def labels(self, wanted: dict[int, int], seed: Seed) -> Tensor:
        """Return the labels of all new rows of `fill`, in their order: class by class."""
        parts = [torch.full((n,), k) for k, n in wanted.items()]
        return torch.cat(parts) if parts else torch.empty(0, dtype=torch.int64)

    def order(self, at: Tensor, seed: Seed) -> Tensor:
        """Return the positions of the rows of all classes in the order in which they are cut."""
        return at[torch.randperm(len(at), generator=seed.torch())]

    def rows_per_block(self, state: Any) -> int:
        """Return how many of the rows of a block are wanted ones."""
        return self.block_size

    def draw(self, state: Any, slots: Slots, seed: Seed, shared: Seed) -> Any:
        """Make all random choices for one block of rows.

        Parameters
        ----------
        state : NamedTuple
            Of this method.
        slots : Slots
            Where the rows go, and their classes.
        seed : Seed
            Of the block.
        shared : Seed
            Of all blocks with the same number, one of each class.
        """
        raise NotImplementedError

    def part(self, draw: Any, rows: Tensor) -> Any:
        """Return the draw of some of its rows; for methods whose rows can be made apart."""
        raise NotImplementedError

    def make(self, state: Any, draws: list[Any], f: Any = None) -> Made:
        """Make the rows of some blocks. Deterministic.

        Parameters
        ----------
        state : NamedTuple
            Of this method.
        draws : list
            What `draw` gave.
        f : Classifier or None
            The classifier in training.
        """
        raise NotImplementedError

    def terms(self, state: Any, slots: Slots, made: Made, batch: RealBatch) -> list[LossTerm]:
        """Return how the mini-batch enters the loss, with what was made in its place."""
        return [LossTerm(slice(None), batch.y)]

    def end(self, state: Any) -> None:
        """Let go of the network; called once, after the last epoch."""

    def guides(self) -> tuple[Any, ...]:
        """Return the classifiers that a step passes again and again, f left out."""
        return ()

    def state_dict(self, state: Any) -> dict[str, Any]:
        """Return what an interrupted run needs to go on."""
        return {}

    def load_state_dict(self, state: Any, saved: dict[str, Any]) -> None:
        """Take up an interrupted run."""
