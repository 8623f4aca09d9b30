"""What every method shares: rows to start from, what a method asks for, what it gives back."""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from ltresample._random import Seed
from ltresample._torch import as_tensor

__all__ = ["ArrayRows", "Batch", "Candidates", "LossTerm", "Pool", "Rows", "Space", "Synthesizer"]


class Rows(Protocol):
    """A source of rows that are read a few at a time, so that it may be larger than memory."""

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""

    def __len__(self) -> int: ...

    def take(self, index: Tensor) -> Tensor:
        """Give the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""


class ArrayRows:
    """Rows of a NumPy array, memory map, SciPy CSR matrix or tensor, converted when they are taken.

    Parameters
    ----------
    x : ndarray, CSR matrix or Tensor of shape (n, ...)
        Never written.
    dtype : torch.dtype, default=torch.float32
        Floating-point type of the rows that are given.
    device : torch.device or None, default=None
        Where they are given; None stands for the place of a tensor, or the CPU.

    Examples
    --------
    >>> rows = ArrayRows(np.arange(6).reshape(3, 2))
    >>> rows.take(torch.tensor([2, 0]))
    tensor([[4., 5.],
            [0., 1.]])
    """

    def __init__(
        self, x, *, dtype: torch.dtype = torch.float32, device: torch.device | None = None
    ):
        self.x = x
        self.dtype = dtype
        self.device = x.device if device is None and isinstance(x, Tensor) else device

    @property
    def row_shape(self) -> tuple[int, ...]:
        """Shape of one row."""
        return tuple(self.x.shape[1:])

    def __len__(self) -> int:
        return self.x.shape[0]

    def take(self, index: Tensor) -> Tensor:
        """Give the rows at `index` (m,) as a new floating-point tensor (m, *row_shape)."""
        if isinstance(self.x, Tensor):
            return as_tensor(self.x[index.to(self.x.device)], dtype=self.dtype, device=self.device)
        rows = self.x[index.cpu().numpy()]
        rows = rows.toarray() if hasattr(rows, "toarray") else rows
        return as_tensor(rows, dtype=self.dtype, device=self.device)


class Space(NamedTuple):
    """The space in which steps are measured, and what a row may look like.

    Lengths are Euclidean in ``(x - center) / scale``; a column of scale 0 never moves. With center
    0, scale 1, lower 0 and upper 1 this is the papers' pixel space.
    """

    center: Tensor  # broadcasts to a row, as do the next three
    scale: Tensor  # >= 0
    lower: Tensor
    upper: Tensor
    integer: Tensor | None = None  # bool, broadcasts to a row: columns that hold whole numbers
    keep_zeros: bool = False  # move only where the seed or its anchor is not zero (sparse rows)
    categorical: Tensor | None = None  # bool, broadcasts to a row: columns that never move

    @classmethod
    def pixels(cls, *, dtype: torch.dtype = torch.float32, device=None) -> Space:
        """Give the papers' space: images in [0, 1], lengths as they are."""
        one = torch.ones((), dtype=dtype, device=device)
        return cls(center=0 * one, scale=one, lower=0 * one, upper=one)

    def project(self, x: Tensor) -> Tensor:
        """Clip to the allowed range."""
        return torch.clamp(x, self.lower, self.upper)

    def rounded(self, x: Tensor) -> Tensor:
        """Put whole-number columns on whole numbers."""
        return x if self.integer is None else torch.where(self.integer, x.round(), x)

    def standardized(self, x: Tensor) -> Tensor:
        """Give (x - center) / scale, 0 in columns that never move."""
        inverse = torch.where(self.scale > 0, 1 / self.scale, torch.zeros_like(self.scale))
        return torch.addcmul(-self.center * inverse, x, inverse)  # one pass over x


class Pool(NamedTuple):
    """The real samples that a method may use."""

    x: Rows
    y: Tensor  # (n,) class index, 0..K-1
    class_counts: Tensor  # (K,) training counts N_k; of the whole training set, also for a batch
    space: Space
    aux_x: Rows | None = None  # open-set samples: of none of the classes
    reference: Pool | None = None  # where real sets of a class come from, if not from here
    in_batch: bool = False  # x is a mini-batch that an index sampler has already balanced
    weight: Tensor | None = None  # (n,) sample weights; None: all alike


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


def index_of(array: np.ndarray | list[int], device=None) -> Tensor:
    """Give positions as a tensor of 64-bit integers."""
    return torch.as_tensor(np.asarray(array, dtype=np.int64), device=device)
