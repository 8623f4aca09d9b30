"""What pair mixing is told, keeps and draws; Eq. in the comments is of the paper of OTMix."""

from __future__ import annotations

from typing import Any, NamedTuple

from torch import Tensor

from ltresample._random import Seed
from ltresample.guides import FeatureBank
from ltresample.pairing import Pairing
from ltresample.rows import Pool

__all__ = ["MixDraw", "MixSchedule", "MixState"]


class MixSchedule(NamedTuple):
    """When and of what mini-batches are mixed in training."""

    foreground: str = "data"  # from all training data, or from the mini-batch: "batch"
    foreground_power: float = 1.0  # r: sample weight N_y^-r (Eq. 3)
    mix_prob: float = 1.0  # of a mini-batch
    schedule_power: float = 1.0  # mu: pairs follow the plan with probability (t / T)^mu
    start: int = 0  # first epoch
    stop: int | None = None  # first epoch without, below 0 counted from the end
    refresh: bool = True  # class affinity from held-out rows, anew in each epoch
    soft: bool = False  # class affinity of mean probabilities
    share: float = 1.0  # of the rows of a mini-batch that is mixed


class MixState(NamedTuple):
    """What the method keeps."""

    pool: Pool
    pairing: Pairing  # of this epoch
    affinity: Tensor | None = None  # (K, K)
    computed: Tensor | None = None  # (K, K) what the callable gave
    mixes: bool | None = None  # in this epoch; None: none has begun
    others: Tensor | None = None  # classes that fill up blocks
    n_wanted: int = 0  # wanted rows of a block
    cumulative: Tensor | None = None  # (n,) of the weights of foregrounds, on the CPU
    bank: FeatureBank | None = None
    seed: Seed | None = None  # of the schedule


class MixDraw(NamedTuple):
    """What is random about a block of B foregrounds and B backgrounds, of which m pairs are mixed.

    The first m foregrounds are those that are wanted. In training the backgrounds are the mini-batch.
    """

    foreground: Tensor  # (B,) rows of the pool; in training of the split, or of the mini-batch
    background: Tensor  # (B,) rows of the pool
    uniform: Tensor  # (B,) for the pairing
    params: Any  # for the mix, of m pairs
    coin: Tensor  # (m,) which of the two gives its categories
    augment: Seed | None = None  # of foregrounds from the split
