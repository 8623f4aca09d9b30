"""What every method shares: what it asks for, and what it gives back."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from torch import Tensor

from ltresample._random import Seed
from ltresample.rows import Pool

__all__ = ["Batch", "Candidates", "LossTerm", "Synthesizer"]


class Candidates(NamedTuple):
    """What a method made of a draw of m rows."""

    accepted: Tensor  # (m,) bool
    x: Tensor  # (accepted.sum(), *row_shape): the accepted rows only
    confidence: Tensor  # (m,) g's probability of the target class, NaN where nothing was made


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


class Synthesizer(Protocol):
    """A method, written once and driven offline or in training.

    ``draw`` makes all random choices and gives them as plain data; ``synthesize`` is a function of
    the draw. Rows that share a block are made together; a driver never splits one.
    """

    block_size: int

    def prepare(self, pool: Pool, targets: list[int]) -> Any:
        """Compute what the draws for these target classes need from the pool."""

    def request(self, y: Tensor, class_counts: Tensor, seed: Seed) -> Tensor:
        """Choose the slots of a mini-batch that are to be replaced, as positions (m,)."""

    def draw(self, pool: Pool, state: Any, y_target: Tensor, seed: Seed, shared: Seed) -> Any:
        """Make all random choices for one block of rows with targets `y_target` (m,)."""

    def synthesize(self, pool: Pool, state: Any, draws: list[Any], f=None) -> Candidates:
        """Make the rows of some blocks. Deterministic."""
