"""Distribution Matching: M2m's objective and a distance between real and synthetic sets.

"Synthesizing Minority Samples for Long-tailed Classification via Distribution Matching".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ltresample._random import Seed
from ltresample._torch import evaluating
from ltresample.distances import RunAhead, SinkhornTransport
from ltresample.embeddings import RandomEmbedding
from ltresample.rows import Pool
from ltresample.synthesis._descent import descend
from ltresample.synthesis._m2m import M2m, M2mDraw, M2mState, starting_points
from ltresample.synthesis._method import Made, Method, Slots

__all__ = ["DistributionMatching", "DistributionMatchingDraw"]

_ROUNDING = 8  # units in the last place by which L(d) may be missed


class DistributionMatchingDraw(NamedTuple):
    """All random choices for m rows that form S sets, one set a class; on the CPU."""

    rows: M2mDraw
    set_of_row: Tensor  # (m,)
    real_index: Tensor  # (S, n_real) rows of the class in the reference pool, padded with -1
    calibration: Tensor  # (c,) class-balanced real rows
    embedding: Seed  # chooses the member of the family
    augment: Seed  # of the real rows, in training

    @property
    def seeds(self):
        """Seeds of the rows."""
        return self.rows.seeds

    @classmethod
    def joined(cls, draws: list[DistributionMatchingDraw]) -> DistributionMatchingDraw:
        """Put several draws that share an embedding after each other."""
        sizes = torch.tensor([0, *(len(d.real_index) for d in draws)]).cumsum(0).tolist()
        return draws[0]._replace(
            rows=M2mDraw.joined([d.rows for d in draws]),
            set_of_row=torch.cat([d.set_of_row + n for d, n in zip(draws, sizes, strict=False)]),
            real_index=torch.cat([d.real_index for d in draws]),
        )


class _Sets(NamedTuple):
    """Real sets in the embedding, and where each synthetic row stands."""

    real: Tensor  # (S, n, d)
    real_mask: Tensor  # (S, n)
    mean: Tensor  # (S, d) mean of the normalised real embeddings
    least: Tensor  # (S,) least cosine-type similarity to `mean` that passes
    at: tuple[Tensor, Tensor]  # (m,), (m,): set of a row, position in it
    mask: Tensor  # (S, M)


@dataclass(frozen=True)
class DistributionMatching(Method):
    """Make sets of samples that lie like the real samples of their class.

    Per target class k, with the synthetic set {x_m} and a real subset R_k,

    ``J = sum_m [CE(g(x_m), k) + lambda_1 f(x_m)_q] + lambda_2 M_k E_psi[Dist_psi(R_k, {x_m})]``

    (Eq. 7; the factor M_k gives each row its own share of the distance and is left out with
    `literal_scale`). A row is accepted if g is confident, L(p), and if in the embedding it is no
    farther from the real set than the real set from itself, L(d) (Eq. 9): ``u . vbar >= |vbar|^2``.
    In training the real rows are augmented as the mini-batch is.

    Parameters
    ----------
    translation : M2m
        The first two terms, the seeds and the descent; its Bernoulli test is to be left out.
    distance : callable or None
        ``distance(real, synthetic, real_mask=, synthetic_mask=) -> (S,)``. None leaves the term out.
    embedding : Embedding
        psi: a family of random encoders by default, a new member for every block number, shared by
        its classes, as the paper draws one for each mini-batch.
    matching_weight : float, default=0.5
        lambda_2.
    target_loss : bool, default=True
        Keep CE(g(x), k); False leaves it out of the objective (an ablation of the paper).
    class_test : bool, default=True
        Apply L(d). Sets with fewer than two real rows are never tested.
    unbiased : bool, default=False
        In L(d), leave self-pairs out of the real set's mean distance.
    literal_scale : bool, default=False
        Eq. 7 to the letter: no factor M_k.
    penalty : callable or None, default=None
        ``penalty(logits of f, y_source, y_target) -> (m,)``: f-term. None: logit of the seed class.
    n_real : int, default=64
        Size of R_k, at most N_k.
    n_calibration : int, default=128
        Real rows that set the batch statistics of a new encoder.
    block_size : int, default=128
        M_k, rows that are matched as one set.
    run_ahead : RunAhead
        Lets the steps of a descent on an accelerator wait once for all of their transport plans.
    """

    translation: M2m
    distance: Callable[..., Tensor] | None = field(default_factory=SinkhornTransport)
    embedding: Any = field(default_factory=RandomEmbedding)
    matching_weight: float = 0.5
    target_loss: bool = True
    class_test: bool = True
    unbiased: bool = False
    literal_scale: bool = False
    penalty: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    n_real: int = 64
    n_calibration: int = 128
    block_size: int = 128
    run_ahead: RunAhead = field(default_factory=RunAhead, repr=False, compare=False)

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None = None) -> M2mState:
        """Compute what the seeds need."""
        return self.translation.begin(pool, seed, wanted)

    def draw(
        self, state: M2mState, slots: Slots, seed: Seed, shared: Seed
    ) -> DistributionMatchingDraw:
        """Make all random choices for rows of these classes."""
        members = (state.pool.reference or state.pool).classes
        # P_k of Eq. 4 on a random subset R_k: all N_k rows would cost a plan of N_k x M_k
        classes, set_of_row = slots.y.unique(return_inverse=True)
        real = torch.full((len(classes), self.n_real), -1)
        for s, k in enumerate(classes.tolist()):
            rows, generator = members.rows(k), seed.child("real", k).torch()
            chosen = rows[torch.randperm(len(rows), generator=generator)[: self.n_real]]
            real[s, : len(chosen)] = chosen
        # classes alike, so that no head class sets the statistics of psi by its size
        present = members.counts.nonzero()[:, 0]
        generator = shared.child("calibration").torch()
        u = torch.rand(2, self.n_calibration, generator=generator, dtype=torch.float64)
        return DistributionMatchingDraw(
            rows=self.translation.draw(state, slots, seed, shared),
            set_of_row=set_of_row,
            real_index=real,
            calibration=members.draw(present[(u[0] * len(present)).long()], u[1]),
            embedding=shared.child("embedding"),
            augment=seed.child("augment"),
        )

    def make(self, state: M2mState, draws: list[DistributionMatchingDraw], f=None) -> Made:
        """Make the rows of some blocks, those that share an embedding together."""
        with evaluating(*self.translation.g.members, *(f.members if f is not None else ())):
            joined = [
                DistributionMatchingDraw.joined(list(group))
                for _, group in itertools.groupby(draws, key=lambda draw: draw.embedding)
            ]
            parts = [
                self.run_ahead(partial(self._make_sets, state.pool, draw, f)) for draw in joined
            ]
        return Made.joined(parts)

    def guides(self) -> tuple[Any, ...]:
        """Return g."""
        return self.translation.guides()

    def _make_sets(self, pool: Pool, draw: DistributionMatchingDraw, f) -> Made:
        translation = self.translation
        rows = translation.rows_to_make(pool, draw.rows)
        start = starting_points(pool, draw.rows, rows, from_aux=translation.seeding.from_aux)
        embed = self._embed(pool, draw)
        sets = self._sets(pool, draw, rows, embed)
        with torch.no_grad():
            embedded = embed(start.x)  # (m, d), kept up to date for rows that rest

        def objective(x: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            target = start.target[at]
            log_p, u = translation.log_p(x, target), embed(x)  # (rows,), (rows, d)
            cost = -log_p if self.target_loss else 0 * log_p
            if torch.is_grad_enabled():
                if f is not None and translation.source_penalty:
                    cost = cost + translation.penalize(f, x, start.source[at], target, self.penalty)
                # Eq. 7, last term: u carries the gradient, rows that rest count as they stand;
                # shared out evenly, as `descend` takes the gradient of the sum
                cost = cost + self._matching(sets, embedded.index_copy(0, at, u)) / len(x)
            embedded[at] = u.detach()
            # Algorithm 1, line 17: L(p) and L(d) in place of M2m's Bernoulli test
            passes = translation.is_confident(log_p) & self._in_class(sets, u.detach(), at)
            return cost, log_p.exp(), passes

        end = descend(
            start.x,
            objective,
            step_size=start.step_size,
            n_steps=translation.steps.n_steps,
            space=pool.space,
            movable=start.movable,
            rest=translation.steps.rest,
        )
        return translation.report(draw.rows, rows, end.x, end)

    def _embed(self, pool: Pool, draw: DistributionMatchingDraw) -> Callable[[Tensor], Tensor]:
        """Draw the member of the family; it sees rows in the units in which lengths are taken."""
        space, real = pool.space, pool.reference or pool
        enter = space.standardized if self.embedding.standardized else lambda x: x
        calibration = enter(real.take(draw.calibration, draw.embedding.child("augment")))
        member = self.embedding.member(draw.embedding.torch(), calibration=calibration)
        return lambda x: member(enter(x)).to(x.dtype)  # distances in the type of the rows

    def _sets(self, pool: Pool, draw: DistributionMatchingDraw, rows: Tensor, embed) -> _Sets:
        """Embed the real sets and compute the threshold of L(d)."""
        mask = draw.real_index >= 0  # (S, n)
        with torch.no_grad():
            real_rows = (pool.reference or pool).take(draw.real_index[mask], draw.augment)
            flat = embed(real_rows)  # (number of real rows of all sets, d)
        device = flat.device
        real = flat.new_zeros(mask.numel(), flat.shape[1])
        real.index_copy_(0, mask.flatten().nonzero()[:, 0].to(device), flat)
        real = real.view(*mask.shape, -1)  # (S, n, d)
        # rows of the set stand in a padded (S, M) block, each at its rank
        own = draw.set_of_row[rows]
        order = _ranks(own, len(mask))
        most = int(order.max()) + 1 if len(own) else 1
        synthetic = torch.zeros(len(mask), most, dtype=torch.bool)
        synthetic[own, order] = True
        mask, synthetic, own, order = (p.to(device) for p in (mask, synthetic, own, order))
        n = mask.sum(1)  # (S,)
        mean = (normalize(real, dim=2) * mask[..., None]).sum(1) / n.clamp(min=1)[:, None]
        least = mean.square().sum(1)  # |vbar|^2: 1 - mean distance within the real set
        if self.unbiased:  # pairs n != n' only
            least = (n * least - 1) / (n - 1).clamp(min=1)
        # rows that equal the set but for rounding belong to it
        least = least - _ROUNDING * torch.finfo(least.dtype).eps
        least = torch.where(n < 2, -torch.inf, least)
        return _Sets(real, mask, mean, least, (own, order), synthetic)

    def _matching(self, sets: _Sets, embedded: Tensor) -> Tensor:
        """Return lambda_2 times the sum of the sets' distances."""
        if self.distance is None or not self.matching_weight:
            return embedded.new_zeros(())
        synthetic = embedded.new_zeros(*sets.mask.shape, embedded.shape[1])
        synthetic = synthetic.index_put(sets.at, embedded)  # (S, M, d)
        value = self.distance(
            sets.real, synthetic, real_mask=sets.real_mask, synthetic_mask=sets.mask
        )
        # Q_k gives each row the mass 1 / M_k (Eq. 4): times M_k, a row's pull is its own distance
        share = 1.0 if self.literal_scale else sets.mask.sum(1)  # (S,)
        return self.matching_weight * (share * value).sum()

    def _in_class(self, sets: _Sets, u: Tensor, at: Tensor) -> Tensor:
        """L(d): no farther from the real set than the real set from itself."""
        if not self.class_test:
            return torch.ones(len(u), dtype=torch.bool, device=u.device)
        own = sets.at[0][at]
        # Eq. 9 with d = 1 - cos: reject where 1 - u . vbar > 1 - |vbar|^2
        return (normalize(u, dim=1) * sets.mean[own]).sum(1) >= sets.least[own]


def _ranks(own: Tensor, n_sets: int) -> Tensor:
    """Number the rows of each set from 0, in the order in which they stand."""
    order = own.argsort(stable=True)  # set after set
    counts = own.bincount(minlength=n_sets)
    starts = counts.cumsum(0) - counts
    ranks = torch.empty_like(own)
    ranks[order] = torch.arange(len(own)) - starts[own[order]]
    return ranks
