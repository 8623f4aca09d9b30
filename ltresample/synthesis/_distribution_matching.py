"""Distribution Matching: M2m's objective and a distance between real and synthetic sets.

"Synthesizing Minority Samples for Long-tailed Classification via Distribution Matching".
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ltresample._random import Seed
from ltresample._torch import evaluating
from ltresample.distances import SinkhornTransport
from ltresample.embeddings import RandomEmbedding
from ltresample.rows import Pool
from ltresample.synthesis._base import Candidates
from ltresample.synthesis._descent import descend
from ltresample.synthesis._m2m import M2m, M2mDraw, gathered, starting_points

__all__ = ["DistributionMatching", "DistributionMatchingDraw"]


class DistributionMatchingDraw(NamedTuple):
    """All random choices for m rows that form S sets, one set a class."""

    rows: M2mDraw
    set_of_row: Tensor  # (m,)
    real_index: Tensor  # (S, n_real) rows of the class in the reference pool, padded with -1
    calibration: Tensor  # (c,) class-balanced real rows
    embedding: Seed  # chooses the member of the family

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
class DistributionMatching(M2m):
    """Make sets of samples that lie like the real samples of their class.

    Per target class k, with the synthetic set {x_m} and a real subset R_k,

    ``J = sum_m [CE(g(x_m), k) + lambda_1 f(x_m)_q] + lambda_2 M_k E_psi[Dist_psi(R_k, {x_m})]``

    (Eq. 7; the factor M_k gives each row its own share of the distance and is left out with
    `literal_scale`). A row is accepted if g is confident, L(p), and if in the embedding it is no
    farther from the real set than the real set from itself, L(d) (Eq. 9): ``u . vbar >= |vbar|^2``.

    Parameters
    ----------
    distance : callable or None
        ``distance(real, synthetic, real_mask=, synthetic_mask=) -> (S,)``. None leaves the term out.
    embedding : Embedding
        psi: a family of random encoders by default, a new member for every block number, shared by
        its classes, as the paper draws one for each mini-batch.
    matching_weight : float, default=0.5
        lambda_2.
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
    """

    count_decay: float | None = None
    block_size: int = 128
    distance: Callable[..., Tensor] | None = field(default_factory=SinkhornTransport)
    embedding: Any = field(default_factory=RandomEmbedding)
    matching_weight: float = 0.5
    class_test: bool = True
    unbiased: bool = False
    literal_scale: bool = False
    penalty: Callable[[Tensor, Tensor, Tensor], Tensor] | None = None
    n_real: int = 64
    n_calibration: int = 128
    rows_apart: ClassVar[bool] = False  # the distance joins them

    def prepare(self, pool: Pool, targets: list[int]) -> Any:
        """Compute what the seeds need, and list the real rows of each class."""
        reference = pool.reference or pool
        members = [(reference.y == k).nonzero()[:, 0] for k in range(len(pool.class_counts))]
        return self.seeding.prepare(pool, targets), members

    def draw(
        self, pool: Pool, state: Any, y_target: Tensor, seed: Seed, shared: Seed
    ) -> DistributionMatchingDraw:
        """Make all random choices for rows with these targets."""
        seeding, members = state
        classes, set_of_row = y_target.unique(return_inverse=True)
        real = torch.full((len(classes), self.n_real), -1, device=y_target.device)
        for s, k in enumerate(classes.tolist()):
            generator = seed.child("real", k).torch()
            chosen = torch.randperm(len(members[k]), generator=generator)[: self.n_real]
            real[s, : len(chosen)] = members[k][chosen.to(members[k].device)]
        return DistributionMatchingDraw(
            rows=super().draw(pool, seeding, y_target, seed, shared),
            set_of_row=set_of_row,
            real_index=real,
            calibration=self._balanced(members, shared.child("calibration")),
            embedding=shared.child("embedding"),
        )

    def _balanced(self, members: list[Tensor], seed: Seed) -> Tensor:
        """Draw real rows, each class alike."""
        sizes = torch.tensor([len(m) for m in members])
        present = (sizes > 0).nonzero()[:, 0]
        u = torch.rand(2, self.n_calibration, generator=seed.torch(), dtype=torch.float64)
        k = present[(u[0] * len(present)).long()]
        position = (sizes.cumsum(0) - sizes)[k] + (u[1] * sizes[k]).long()
        return torch.cat(members)[position.to(members[0].device)]

    def synthesize(
        self, pool: Pool, state: Any, draws: list[DistributionMatchingDraw], f=None
    ) -> Candidates:
        """Make the rows of some blocks, those that share an embedding together."""
        with evaluating(*self.g.members, *(f.members if f is not None else ())):
            parts = [
                self._synthesize(pool, DistributionMatchingDraw.joined(list(group)), f)
                for _, group in itertools.groupby(draws, key=lambda draw: draw.embedding)
            ]
        return Candidates(*(torch.cat(part) for part in zip(*parts, strict=True)))

    def _synthesize(self, pool: Pool, draw: DistributionMatchingDraw, f) -> Candidates:
        rows = self.hopeful(pool, draw.rows)
        _, start, movable = starting_points(pool, draw.rows, rows, from_aux=self.seeding.from_aux)
        embed = self._embed(pool, draw)
        sets = self._sets(pool, draw, rows, embed)
        target, source = draw.rows.y_target[rows], draw.rows.seeds.y_source[rows]
        with torch.no_grad():
            embedded = embed(start)  # (m, d), kept up to date for rows that rest

        def objective(x: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            log_p = self.g.log_proba(x).gather(1, target[at, None])[:, 0]
            u = embed(x)
            cost = -log_p
            if torch.is_grad_enabled():
                if f is not None and self.source_penalty:
                    logits = f.logits(x)
                    cost = cost + self.source_penalty * self._penalty(
                        logits, source[at], target[at]
                    )
                cost = cost + self._matching(sets, embedded.index_copy(0, at, u)) / len(x)
            embedded[at] = u.detach()
            return cost, log_p.exp(), self.confident(log_p) & self._in_class(sets, u.detach(), at)

        end = descend(
            start,
            objective,
            step_size=draw.rows.step_size[rows],
            n_steps=self.steps.n_steps,
            space=pool.space,
            movable=movable,
            rest=self.steps.rest,
        )
        return gathered(len(draw.rows.y_target), rows, end.x, end)

    def _embed(self, pool: Pool, draw: DistributionMatchingDraw) -> Callable[[Tensor], Tensor]:
        """Draw the member of the family; it sees rows in the units in which lengths are taken."""
        space = pool.space
        enter = space.standardized if getattr(self.embedding, "standardized", True) else lambda x: x
        calibration = enter((pool.reference or pool).x.take(draw.calibration))
        member = self.embedding.member(draw.embedding.torch(), calibration=calibration)
        return lambda x: member(enter(x)).to(x.dtype)  # distances in the type of the rows

    def _sets(self, pool: Pool, draw: DistributionMatchingDraw, rows: Tensor, embed) -> _Sets:
        """Embed the real sets and compute the threshold of L(d)."""
        mask = draw.real_index >= 0  # (S, n)
        n = mask.sum(1)
        with torch.no_grad():
            flat = embed((pool.reference or pool).x.take(draw.real_index[mask]))
        real = flat.new_zeros(*mask.shape, flat.shape[1])
        real[mask] = flat
        mean = (normalize(real, dim=2) * mask[..., None]).sum(1) / n.clamp(min=1)[:, None]
        least = mean.square().sum(1)  # |vbar|^2: 1 - mean distance within the real set
        if self.unbiased:  # pairs n != n' only
            least = (n * least - 1) / (n - 1).clamp(min=1)
        least = torch.where(n < 2, -torch.inf, least)
        own = draw.set_of_row[rows]
        order = _ranks(own)
        synthetic = torch.zeros(
            len(mask), int(order.max()) + 1 if len(own) else 1, device=own.device
        )
        synthetic[own, order] = 1
        return _Sets(real, mask, mean, least, (own, order), synthetic.bool())

    def _matching(self, sets: _Sets, embedded: Tensor) -> Tensor:
        """Return lambda_2 times the sum of the sets' distances."""
        if self.distance is None or not self.matching_weight:
            return embedded.new_zeros(())
        synthetic = embedded.new_zeros(*sets.mask.shape, embedded.shape[1])
        synthetic = synthetic.index_put(sets.at, embedded)  # (S, M, d)
        value = self.distance(
            sets.real, synthetic, real_mask=sets.real_mask, synthetic_mask=sets.mask
        )
        share = 1.0 if self.literal_scale else sets.mask.sum(1)
        return self.matching_weight * (share * value).sum()

    def _in_class(self, sets: _Sets, u: Tensor, at: Tensor) -> Tensor:
        """L(d): no farther from the real set than the real set from itself."""
        if not self.class_test:
            return torch.ones(len(u), dtype=torch.bool, device=u.device)
        own = sets.at[0][at]
        return (normalize(u, dim=1) * sets.mean[own]).sum(1) >= sets.least[own]

    def _penalty(self, logits: Tensor, source: Tensor, target: Tensor) -> Tensor:
        if self.penalty is not None:
            return self.penalty(logits, source, target)
        return logits.gather(1, source[:, None])[:, 0]


def _ranks(own: Tensor) -> Tensor:
    """Number the rows of each set from 0, in the order in which they stand."""
    order = own.argsort(stable=True)
    counts = own.bincount()
    starts = counts.cumsum(0) - counts
    ranks = torch.empty_like(own)
    ranks[order] = torch.arange(len(own), device=own.device) - starts[own[order]]
    return ranks
