"""Open-sampling: open-set samples with labels that fill up the class prior.

Wei, Tao, Xie, Feng and An, "Open-Sampling: Exploring Out-of-Distribution Data for Re-balancing
Long-tailed Datasets", ICML 2022, arXiv 2206.08802.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ltresample._random import Seed
from ltresample.losses import CrossEntropy
from ltresample.rows import Pool, index_of
from ltresample.synthesis._method import LossTerm, Made, Method, RealBatch, Slots

__all__ = ["OpenDraw", "OpenSampling", "PlainCrossEntropy"]


class PlainCrossEntropy(CrossEntropy):
    """Mean over rows of the cross-entropy, whatever the criterion of the training is.

    Parameters
    ----------
    logit_scale : float, default=1.0
        Factor on the logits; the scale of a cosine head, whose logits lie in [-1, 1].

    Examples
    --------
    >>> PlainCrossEntropy()(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    tensor(0.6931)
    """

    def __init__(self, logit_scale: float = 1.0):
        super().__init__(reduction="mean")
        self.logit_scale = logit_scale

    def _rows(self, logits: Tensor, y: Tensor) -> Tensor:
        return super()._rows(self.logit_scale * logits, y)


class OpenState(NamedTuple):
    """What Open-sampling keeps."""

    pool: Pool
    index: Tensor | None  # offline, the open-set row in each place; None: the next rows of a stream
    largest: list[int]  # rows of the largest mini-batch so far


class OpenDraw(NamedTuple):
    """All random choices for m open-set samples, on the CPU."""

    index: Tensor | None  # (m,) rows of the auxiliary pool; None: the next rows of a stream
    y: Tensor  # (m,) labels
    at: Tensor  # (m,) places


@dataclass(frozen=True)
class OpenSampling(Method):
    """Add open-set samples with random labels to a mini-batch, as a loss term of their own.

    With n real and m open-set rows in one forward pass,

    ``L = 1/n sum l(f(x), y) + eta/m sum omega_y~ CE(f(x~), y~)``, y~ ~ Gamma, omega = K Gamma

    (Eq. 5). The labels are drawn anew in every step. Averaged over them, row by row, the second
    term is ``eta * K sum_j Gamma_j^2 * CE(f(x~), q)`` with ``q_j = Gamma_j^2 / sum Gamma^2``, which
    `soft` takes in its place. Offline all rows of `fill` are open-set samples, each as often as the
    others to within one, with the labels that are wanted, in random order.

    Parameters
    ----------
    distribution : ndarray of shape (n_classes,)
        Gamma.
    eta : float, default=1.0
        Strength of the term, at least 0.
    n_aux : int or None, default=None
        m, open-set rows for each mini-batch. None: as many as there are in the largest one so far;
        the last mini-batch of an epoch may be small, and few random labels would be mostly noise.
    soft : bool, default=False
        Expected labels instead of drawn ones.
    normalize : {"rows", "weights"}, default="rows"
        What the sum is divided by: the number of rows (Eq. 5), or the sum of their weights, as the
        published code has it, which is smaller by K sum Gamma^2 in expectation.
    fixed : Seed or None, default=None
        Root of labels that stay with their sample (an ablation of the paper). None: drawn anew.
    logit_scale : float, default=1.0
        Scale of the logits of a cosine head.
    root : Seed or None, default=None
        Of rows and labels in `fill`; None: that of `fill`.
    block_size : int, default=1024
        Rows read at once in `fill`.
    """

    distribution: NDArray[np.float64]
    eta: float = 1.0
    n_aux: int | None = None
    soft: bool = False
    normalize: str = "rows"
    fixed: Seed | None = None
    logit_scale: float = 1.0
    root: Seed | None = None
    block_size: int = 1024
    place: ClassVar[str] = "append"
    balanced: ClassVar[bool] = False  # batches are drawn from the data as they are
    joint: ClassVar[bool] = True

    @property
    def class_weight(self) -> NDArray[np.float64]:
        """Omega = K Gamma, (K,)."""
        return len(self.distribution) * self.distribution

    @property
    def soft_target(self) -> NDArray[np.float64]:
        """Expected label q, (K,), in proportion to Gamma^2."""
        square = self.distribution**2
        return square / square.sum()

    def coefficient(self, y: NDArray | Tensor) -> float:
        """Return what the mean over rows of the weighted losses of labels `y` is multiplied by."""
        mean_weight = float(self.class_weight @ self.distribution)  # E omega = K sum Gamma^2
        # soft labels average omega_y~ out, which leaves its expectation
        if self.soft:
            return self.eta * mean_weight if self.normalize == "rows" else self.eta
        if self.normalize == "rows" or not len(y):
            return self.eta
        return self.eta / float(self.class_weight[np.asarray(y)].mean())

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None = None) -> OpenState:
        """Offline, choose all rows."""
        index = None
        if wanted is not None and not pool.aux_x.is_stream:
            m, n = sum(wanted.values()), len(pool.aux_x)
            rng = (self.root or seed).child("rows").numpy()
            # whole passes over the open-set rows: none comes twice before all have come once
            parts = [rng.permutation(n) for _ in range(-(-m // n))]
            index = index_of(np.concatenate([*parts, np.zeros(0, dtype=np.int64)])[:m])
        return OpenState(pool, index, [0])

    def labels(self, wanted: dict[int, int], seed: Seed) -> Tensor:
        """Return the labels of all new rows, in random order."""
        y = super().labels(dict(sorted(wanted.items())), seed)
        return y[index_of((self.root or seed).child("labels").numpy().permutation(len(y)))]

    def order(self, at: Tensor, seed: Seed) -> Tensor:
        """Return the places one after the other, so that a stream is read as it comes."""
        return at.sort().values

    def request(self, state: OpenState, batch: RealBatch, seed: Seed) -> Slots:
        """Ask for places behind the mini-batch."""
        n = len(batch.y)
        state.largest[0] = max(state.largest[0], n)
        m = state.largest[0] if self.n_aux is None else self.n_aux
        return Slots(torch.arange(n, n + m))

    def draw(self, state: OpenState, slots: Slots, seed: Seed, shared: Seed) -> OpenDraw:
        """Choose rows of the auxiliary pool and, in training, their labels."""
        aux, m = state.pool.aux_x, len(slots.at)
        if slots.y is not None:
            index = None if state.index is None else state.index[slots.at]
            return OpenDraw(index, slots.y, slots.at)
        # Algorithm 1, lines 3 and 4
        index = None
        if not aux.is_stream:
            index = torch.randint(len(aux), (m,), generator=seed.child("rows").torch())
        return OpenDraw(index, index_of(self._labels(index, m, seed)), slots.at)

    def make(self, state: OpenState, draws: list[OpenDraw], f: Any = None) -> Made:
        """Read the rows."""
        aux = state.pool.aux_x
        x = [aux.read(len(d.y)) if d.index is None else aux.take(d.index) for d in draws]
        y = torch.cat([draw.y for draw in draws])
        index = torch.cat([draw.at if draw.index is None else draw.index for draw in draws])
        none = torch.full_like(y, -1)  # of no class; nothing is rejected
        return Made(torch.ones(len(y), dtype=torch.bool), torch.cat(x), index, none, y=y)

    def _labels(self, index: Tensor | None, m: int, seed: Seed) -> NDArray[np.int64]:
        if self.fixed is None:
            u = seed.child("labels").numpy().random(m)
        elif index is None:
            raise ValueError(
                "Labels that stay with their sample need samples that can be told apart. Got a "
                "loader, which may give them in any order. Pass an array or a map-style Dataset, "
                "or have labels drawn anew."
            )
        else:
            u = _uniform_of(index.numpy(), self.fixed.integer())
        # y~ ~ Gamma by inversion, whatever the sum of Gamma is rounded to
        cumulative = np.cumsum(self.distribution)
        return np.searchsorted(cumulative, u * cumulative[-1], side="right")

    def term(self, y: Tensor, *, start: int, device: Any = None) -> LossTerm:
        """Return the loss term of m rows with labels `y` that stand from `start` on in the batch."""
        rows, criterion = slice(start, start + len(y)), PlainCrossEntropy(self.logit_scale)
        coef, device = self.coefficient(y), device or y.device
        if self.soft:
            q = torch.as_tensor(self.soft_target, dtype=torch.float32, device=device)
            return LossTerm(rows, q.expand(len(y), -1), coef, criterion=criterion)
        omega = torch.as_tensor(self.class_weight, dtype=torch.float32, device=device)
        return LossTerm(rows, y.to(device), coef, class_weight=omega, criterion=criterion)

    def terms(self, state: OpenState, slots: Slots, made: Made, batch: RealBatch) -> list[LossTerm]:
        """Return the loss of the real rows, and that of the open-set rows behind them."""
        n = len(batch.y)
        # Eq. 5: the first term with the training criterion, the second always cross-entropy
        own = self.term(made.y, start=n, device=batch.y.device)
        return [LossTerm(slice(0, n), batch.y), own]


def _uniform_of(index: NDArray[np.int64], key: int) -> NDArray[np.float64]:
    """Return each position a number in [0, 1) that depends on it and the key (SplitMix64)."""
    with np.errstate(over="ignore"):
        z = np.uint64(key) + index.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(11)) / float(2**53)
