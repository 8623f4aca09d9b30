"""M2m: major-to-minor translation (Kim, Jeong and Shin, CVPR 2020, arXiv 2004.00431)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from ltresample._random import Seed
from ltresample._torch import evaluating
from ltresample.guides import Classifier
from ltresample.rows import Pool
from ltresample.synthesis._base import Candidates
from ltresample.synthesis._descent import descend, uniform_noise
from ltresample.synthesis._seeds import DistributionSeeds, SeedDraw, Seeding, decayed

__all__ = ["M2m", "M2mDraw", "Steps"]


class Steps(NamedTuple):
    """How far, and how, a row may travel."""

    n_steps: int = 10  # T
    step_size: float | None = 0.1  # eta; None: the seed's reach * travel / n_steps
    travel: float = 1.0  # of the reach, where step_size is None
    noise_radius: float | None = 0.5  # bound on the norm of the start noise; None: noise * reach
    noise: float = 0.1  # of the reach, where noise_radius is None
    draw_noise: Callable[..., Tensor] = uniform_noise
    rest: bool = False  # a row rests as soon as it would be accepted


class M2mDraw(NamedTuple):
    """All random choices for m rows."""

    y_target: Tensor  # (m,)
    seeds: SeedDraw
    noise: Tensor  # (m, *row_shape) in units of the space
    step_size: Tensor  # (m,)
    uniform: Tensor  # (m,) of the Bernoulli test

    def part(self, rows: Tensor) -> M2mDraw:
        """Return the draw of some rows."""
        seeds = SeedDraw(*(column[rows] for column in self.seeds))
        own = {name: getattr(self, name)[rows] for name in self._fields[2:]}
        return M2mDraw(self.y_target[rows], seeds, **own)

    @classmethod
    def joined(cls, draws: list[M2mDraw]) -> M2mDraw:
        """Put several draws after each other."""
        if len(draws) == 1:
            return draws[0]
        seeds = SeedDraw(*(torch.cat(part) for part in zip(*(d.seeds for d in draws), strict=True)))
        cat = {name: torch.cat([getattr(d, name) for d in draws]) for name in cls._fields[2:]}
        return cls(torch.cat([d.y_target for d in draws]), seeds, **cat)


@dataclass(frozen=True)
class M2m:
    """Move samples of larger classes until g takes them for the target class.

    ``x* = argmin_x CE(g(x), k) + lambda * f(x)_{k_0}`` (Eq. 3), by normalised gradient steps from a
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
    block_size: int = 64
    rows_apart: ClassVar[bool] = True  # rows that are drawn together can be made apart

    def prepare(self, pool: Pool, targets: list[int]) -> Any:
        """Compute what the seeds need."""
        return self.seeding.prepare(pool, targets)

    def request(self, y: Tensor, class_counts: Tensor, seed: Seed) -> Tensor:
        """Choose slot i with probability 1 - N_{y_i} / N_max (Section 3.2)."""
        keep = class_counts[y].double() / class_counts.max()
        u = torch.rand(len(y), generator=seed.torch(), dtype=torch.float64).to(y.device)
        return (u >= keep).nonzero()[:, 0]

    def draw(self, pool: Pool, state: Any, y_target: Tensor, seed: Seed, shared: Seed) -> M2mDraw:
        """Make all random choices for rows with these targets."""
        seeds = self.seeding.draw(pool, state, y_target, seed.child("seeds"))
        rows = pool.aux_x if self.seeding.from_aux else pool.x
        radius = self._radius(seeds.reach)
        generator = seed.child("noise").torch()
        shape = (len(y_target), *rows.row_shape)
        dtype = pool.space.scale.dtype
        noise = self.steps.draw_noise(shape, radius, generator, dtype).to(y_target.device)
        uniform = torch.rand(len(y_target), generator=seed.child("accept").torch()).to(
            y_target.device
        )
        return M2mDraw(y_target, seeds, noise, self._step_size(seeds.reach).to(dtype), uniform)

    def _radius(self, reach: Tensor) -> Tensor | float:
        fixed = self.steps.noise_radius
        return (self.steps.noise * reach).nan_to_num(0.0).cpu() if fixed is None else fixed

    def _step_size(self, reach: Tensor) -> Tensor:
        if self.steps.step_size is not None:
            return torch.full_like(reach, self.steps.step_size)
        return (self.steps.travel * reach / max(1, self.steps.n_steps)).nan_to_num(0.0)

    def hopeful(self, pool: Pool, draw: M2mDraw) -> Tensor:
        """Find the rows that have a seed and that the Bernoulli test will let pass (Eq. 5)."""
        has_seed = draw.seeds.index >= 0
        if self.count_decay is None or self.seeding.from_aux:
            return has_seed.nonzero()[:, 0]
        source = draw.seeds.y_source.clamp(min=0)
        chance = decayed(pool.class_counts, source, draw.y_target, self.count_decay)
        return (has_seed & (draw.uniform < chance)).nonzero()[:, 0]

    def synthesize(self, pool: Pool, state: Any, draws: list[M2mDraw], f=None) -> Candidates:
        """Make the rows of some blocks."""
        draw = M2mDraw.joined(draws)
        rows = self.hopeful(pool, draw)
        seed_x, start, movable = starting_points(pool, draw, rows, from_aux=self.seeding.from_aux)
        target, source = draw.y_target[rows], draw.seeds.y_source[rows]

        def objective(x: Tensor, at: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            log_p = self.g.log_proba(x).gather(1, target[at, None])[:, 0]
            cost = -log_p  # CE(g(x), k)
            if f is not None and self.source_penalty:
                cost = cost + self.source_penalty * f.logits(x).gather(1, source[at, None])[:, 0]
            return cost, log_p.exp(), self.confident(log_p)

        with evaluating(*self.g.members, *(f.members if f is not None else ())):
            end = descend(
                start,
                objective,
                step_size=draw.step_size[rows],
                n_steps=self.steps.n_steps,
                space=pool.space,
                movable=movable,
                rest=self.steps.rest,
            )
        return gathered(len(draw.y_target), rows, seed_x if self.insert_seed else end.x, end)

    def confident(self, log_p: Tensor) -> Tensor:
        """Test g's probability of the target class (or the loss, as the paper's text has it)."""
        log_p = log_p.detach()
        return (
            -log_p <= self.min_confidence if self.loss_test else log_p.exp() >= self.min_confidence
        )


def starting_points(
    pool: Pool, draw: M2mDraw, rows: Tensor, *, from_aux: bool
) -> tuple[Tensor, Tensor, Tensor | None]:
    """Take the seeds of `rows`, add the noise, and say which coordinates may move.

    Categories are those of the near row of the target class, where there is one, so that they are
    categories of that class; else those of the seed.
    """
    space = pool.space
    source = pool.aux_x if from_aux else pool.x
    x = source.take(draw.seeds.index[rows])
    noise = draw.noise[rows] * space.scale
    if not space.keep_zeros and space.categorical is None:
        return x, space.project(x + noise), None
    anchor = draw.seeds.anchor[rows]
    near = pool.x.take(anchor.clamp(min=0))
    known = (anchor >= 0).view(-1, *([1] * (x.dim() - 1)))
    movable = (x != 0) | ((near != 0) & known) if space.keep_zeros else torch.ones_like(x).bool()
    start = x
    if space.categorical is not None:
        movable = movable & ~space.categorical
        start = torch.where(space.categorical & known, near, x)
    movable = movable.to(x.dtype)
    return x, space.project(start + noise * movable), movable


def gathered(m: int, rows: Tensor, x: Tensor, end) -> Candidates:
    """Report the end points of `rows` among m requested ones."""
    confidence = torch.full((m,), torch.nan, dtype=x.dtype, device=x.device)
    accepted = torch.zeros(m, dtype=torch.bool, device=x.device)
    confidence[rows] = end.confidence
    accepted[rows] = end.done
    return Candidates(accepted, x[end.done], confidence)
