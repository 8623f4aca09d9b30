"""M2m: major-to-minor translation (Kim, Jeong and Shin, CVPR 2020, arXiv 2004.00431)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ltresample._random import Seed
from ltresample._torch import evaluating, sent
from ltresample.guides import Classifier
from ltresample.rows import Pool
from ltresample.synthesis._descent import Descent, descend, uniform_noise
from ltresample.synthesis._method import LossTerm, Made, Method, RealBatch, Slots
from ltresample.synthesis._seeds import DistributionSeeds, SeedDraw, Seeding, acceptance_probability

__all__ = ["M2m", "M2mDraw", "M2mState", "Start", "Steps", "starting_points"]


class Steps(NamedTuple):
    """How far, and how, a row may travel."""

    n_steps: int = 10  # T
    step_size: float | None = 0.1  # eta; None: the seed's reach * travel / n_steps
    travel: float = 1.0  # of the reach, where step_size is None
    noise_radius: float | None = 0.5  # bound on the norm of the start noise; None: noise * reach
    noise: float = 0.1  # of the reach, where noise_radius is None
    draw_noise: Callable[..., Tensor] = uniform_noise
    rest: bool = False  # a row rests as soon as it would be accepted


class M2mState(NamedTuple):
    """What M2m keeps of a run."""

    pool: Pool
    seeding: Any


class M2mDraw(NamedTuple):
    """All random choices for m rows, on the CPU."""

    y_target: Tensor  # (m,)
    seeds: SeedDraw
    noise: Tensor  # (m, *row_shape) in units of the space
    step_size: Tensor  # (m,)
    uniform: Tensor  # (m,) of the Bernoulli test
    label: Tensor  # (m,) class index that an accepted row gets in training

    def part(self, rows: Tensor) -> M2mDraw:
        """Return the draw of some rows."""
        seeds = SeedDraw(*(column[rows] for column in self.seeds))
        return M2mDraw(self.y_target[rows], seeds, *(column[rows] for column in self[2:]))

    @classmethod
    def joined(cls, draws: list[M2mDraw]) -> M2mDraw:
        """Put several draws after each other."""
        if len(draws) == 1:
            return draws[0]
        seeds = SeedDraw(*(torch.cat(part) for part in zip(*(d.seeds for d in draws), strict=True)))
        columns = (torch.cat(column) for column in zip(*(d[2:] for d in draws), strict=True))
        return cls(torch.cat([d.y_target for d in draws]), seeds, *columns)


@dataclass(frozen=True)
class M2m(Method):
    """Move samples of larger classes until g assigns them to the target class.

    ``x* = argmin_x CE(g(x), k) + lambda * f(x)_{k_0}`` (Eq. 2), by normalised gradient steps from a
    noisy seed; accepted with probability 1 - beta^((N_k0 - N_k)+) if g's probability of k is at
    least gamma. The threshold is on the probability, as in the published code; the paper's text
    puts it on the loss (`confidence_test="loss"`).

    Parameters
    ----------
    g : Classifier
        The fixed guide.
    seeding : Seeding
        Where to start.
    steps : Steps
        Step length, number of steps, noise.
    min_confidence : float, default=0.9
        gamma, in [0, 1]; with `loss_test` an upper bound of the cross-entropy. 0 (or infinity)
        accepts all.
    source_penalty : float, default=0.5
        lambda, weight of f's logit of the source class. Without f there is no such term.
    count_decay : float or None, default=0.999
        beta of the Bernoulli test; None leaves the test out ("No-Reject").
    loss_test : bool, default=False
        Accept where CE(g(x), k) <= min_confidence.
    insert_seed : bool, default=False
        Accept as usual but give the unmoved seed ("M2m-Clean").
    random_labels : bool, default=False
        In training, label accepted rows with any class but the target's and the seed's
        ("M2m-RS-Rand").
    scaled_penalty : bool, default=False
        Take f's logit of the source class times the scale of a cosine head.
    block_size : int, default=64
        Rows per block of random numbers.
    """

    g: Classifier
    seeding: Seeding = field(default_factory=lambda: DistributionSeeds(0.999))
    steps: Steps = Steps()
    min_confidence: float = 0.9
    source_penalty: float = 0.5
    count_decay: float | None = 0.999
    loss_test: bool = False
    insert_seed: bool = False
    random_labels: bool = False
    scaled_penalty: bool = False
    block_size: int = 64
    rows_apart: ClassVar[bool] = True

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None = None) -> M2mState:
        """Compute what the seeds need."""
        if self.random_labels and (wanted is not None or len(pool.counts) < 3):
            raise ValueError(
                "Random labels are an ablation for training with three classes or more (M2m-RS-Rand). "
                f"Got them {'in fit_resample' if wanted is not None else 'with two classes'}. Leave "
                "insert at 'synthetic'."
            )
        return M2mState(pool, self.seeding.begin(pool, seed, wanted))

    def draw(self, state: M2mState, slots: Slots, seed: Seed, shared: Seed) -> M2mDraw:
        """Make all random choices for rows of these classes."""
        pool, m = state.pool, len(slots.y)
        # Algorithm 1, lines 5 and 6: k_0 ~ Q(k_0 | k) (Eq. 5), x_0 a random sample of k_0
        seeds = self.seeding.draw(pool, state.seeding, slots.y, seed.child("seeds"))
        rows = pool.aux_x if self.seeding.from_aux else pool.x
        radius, dtype = self.steps.noise_radius, pool.space.scale.dtype
        if radius is None:  # unknown reach: no noise
            radius = (self.steps.noise * seeds.reach).nan_to_num(0.0)
        # line 7: delta, in units of the space, so that one radius suits all columns
        generator, shape = seed.child("noise").torch(), (m, *rows.row_shape)
        noise = self.steps.draw_noise(shape, radius, generator, dtype, seeds.index >= 0)
        # line 12: R, drawn before the descent, so that rows that R rejects are never made
        uniform = torch.rand(m, generator=seed.child("accept").torch())
        step_size, label = (
            self._step_size(seeds.reach).to(dtype),
            self._label(state, slots, seeds, seed),
        )
        return M2mDraw(slots.y, seeds, noise, step_size, uniform, label)

    def _label(self, state: M2mState, slots: Slots, seeds: SeedDraw, seed: Seed) -> Tensor:
        """Draw other classes than those of target and seed, where labels are to be random."""
        if not self.random_labels:
            return slots.y
        weight = torch.ones(len(slots.y), len(state.pool.counts))  # (m, K)
        rows = torch.arange(len(slots.y))
        weight[rows, slots.y] = weight[rows, seeds.y_source.clamp(min=0)] = 0
        return torch.multinomial(weight, 1, generator=seed.child("label").torch())[:, 0]

    def with_random_labels(self) -> M2m:
        """Return the same with `random_labels`."""
        return replace(self, random_labels=True)

    def part(self, draw: M2mDraw, rows: Tensor) -> M2mDraw:
        """Return the draw of some rows."""
        return draw.part(rows)

    def _step_size(self, reach: Tensor) -> Tensor:
        if self.steps.step_size is not None:
            return torch.full_like(reach, self.steps.step_size)
        return (self.steps.travel * reach / max(1, self.steps.n_steps)).nan_to_num(0.0)

    def rows_to_make(self, pool: Pool, draw: M2mDraw) -> Tensor:
        """Return the rows that have a seed and that the Bernoulli test will let pass (Eq. 3)."""
        has_seed = draw.seeds.index >= 0
        if self.count_decay is None or self.seeding.from_aux:
            return has_seed.nonzero()[:, 0]
        source = draw.seeds.y_source.clamp(min=0)
        # Eq. 3 rejects with beta^((N_k0 - N_k)+); beta acts here and in the choice of seeds (Eq. 5)
        chance = acceptance_probability(pool.counts, source, draw.y_target, self.count_decay)
        return (has_seed & (draw.uniform < chance)).nonzero()[:, 0]

    def make(self, state: M2mState, draws: list[M2mDraw], f=None) -> Made:
        """Make the rows of some blocks."""
        pool, draw = state.pool, M2mDraw.joined(draws)
        rows = self.rows_to_make(pool, draw)
        start = starting_points(pool, draw, rows, from_aux=self.seeding.from_aux)

        def objective(x: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            log_p = self.log_p(x, start.target[at])
            cost = -log_p  # CE(g(x), k)
            # Eq. 2, second term; without f it is left out, never put g in its place
            if f is not None and self.source_penalty:
                cost = cost + self.penalize(f, x, start.source[at], start.target[at])
            return cost, log_p.exp(), self.is_confident(log_p)

        # batch statistics stay as they are, and no gradient reaches a parameter of f or g
        with evaluating(*self.g.members, *(f.members if f is not None else ())):
            end = descend(
                start.x,
                objective,
                step_size=start.step_size,
                n_steps=self.steps.n_steps,
                space=pool.space,
                movable=start.movable,
                rest=self.steps.rest,
            )
        return self.report(draw, rows, start.seed if self.insert_seed else end.x, end)

    def guides(self) -> tuple[Classifier, ...]:
        """Return g."""
        return (self.g,)

    def log_p(self, x: Tensor, target: Tensor) -> Tensor:
        """Return log p_g(k | x), (m,)."""
        return self.g.log_proba(x).gather(1, target[:, None])[:, 0]

    def penalize(
        self, f: Any, x: Tensor, source: Tensor, target: Tensor, pushed: Any = None
    ) -> Tensor:
        """Return lambda f(x)_q, (m,): q is the source class k_0, or what `pushed` says."""
        # raw logits, as in the published code; those of a cosine head lie in [-1, 1]
        logits = f.logits(x, scaled=self.scaled_penalty)
        if pushed is not None:
            return self.source_penalty * pushed(logits, source, target)
        return self.source_penalty * logits.gather(1, source[:, None])[:, 0]

    def is_confident(self, log_p: Tensor) -> Tensor:
        """Test g's probability of the target class (or the loss, as the paper's text has it)."""
        log_p = log_p.detach()
        # line 13 has the loss at most gamma, published code the probability at least gamma
        return (
            -log_p <= self.min_confidence if self.loss_test else log_p.exp() >= self.min_confidence
        )

    def report(self, draw: M2mDraw, rows: Tensor, x: Tensor, end: Descent) -> Made:
        """Report the end points of `rows` among all that were drawn."""
        accepted = torch.zeros(len(draw.y_target), dtype=torch.bool)
        confidence = torch.full((len(draw.y_target),), torch.nan, dtype=x.dtype)
        # rows that were not tried stay rejected: their slots keep real samples (line 14)
        told = torch.stack([end.done.to(end.confidence), end.confidence]).cpu()  # one wait
        done = told[0].bool()
        accepted[rows], confidence[rows] = done, told[1].to(confidence)
        kept = done.nonzero()[:, 0].to(x.device)
        return Made(
            accepted, x[kept], draw.seeds.index, draw.seeds.y_source, confidence, y=draw.label
        )

    def terms(self, state: M2mState, slots: Slots, made: Made, batch: RealBatch) -> list[LossTerm]:
        """Return the one term of the batch; accepted rows have the label of their draw."""
        if not self.random_labels:
            return [LossTerm(slice(None), batch.y)]
        at, labels = slots.at[made.accepted], made.y[made.accepted]
        y = batch.y.index_copy(0, at.to(batch.y.device), labels.to(batch.y.device))
        return [LossTerm(slice(None), y)]


class Start(NamedTuple):
    """Where the rows of a descent begin, all on the device."""

    seed: Tensor  # (m, ...) the seeds
    x: Tensor  # (m, ...) the seeds with noise
    step_size: Tensor  # (m,)
    target: Tensor  # (m,) class index
    source: Tensor  # (m,) class of the seed
    movable: Tensor | None = None  # (m, ...) 1 where a coordinate may move, 0 elsewhere


def starting_points(pool: Pool, draw: M2mDraw, rows: Tensor, *, from_aux: bool) -> Start:
    """Take the seeds of `rows`, add the noise, and say which coordinates may move.

    Categories are those of the near row of the target class, where there is one, so that they are
    categories of that class; else those of the seed.
    """
    space, draw = pool.space, draw.part(rows)
    device = space.scale.device
    x = (pool.aux_x if from_aux else pool.x).take(draw.seeds.index)
    noise = sent(draw.noise, device) * space.scale
    target, source, step_size = (
        part.to(device) for part in (draw.y_target, draw.seeds.y_source, draw.step_size)
    )
    if not space.keep_zeros and space.categorical is None:
        return Start(x, space.project(x + noise), step_size, target, source)
    # a zero of sparse rows moves only where the near row of the class is not zero either
    anchor = draw.seeds.anchor
    near = pool.x.take(anchor.clamp(min=0))
    known = (anchor >= 0).to(device).view(-1, *([1] * (x.dim() - 1)))  # (m, 1, ...)
    movable = (x != 0) | ((near != 0) & known) if space.keep_zeros else torch.ones_like(x).bool()
    start = x
    if space.categorical is not None:
        movable = movable & ~space.categorical
        start = torch.where(space.categorical & known, near, x)
    movable = movable.to(x.dtype)
    return Start(x, space.project(start + noise * movable), step_size, target, source, movable)
