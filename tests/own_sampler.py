"""A sampler of one's own: copies of rows of the class with a little noise (smoothed bootstrap)."""

from dataclasses import dataclass
from numbers import Real
from typing import NamedTuple

import torch
from sklearn.utils._param_validation import Interval

from ltresample.over_sampling import BaseSynthesisSampler
from ltresample.synthesis import Made, Method


class Draw(NamedTuple):  # all that is random about m rows, as plain data
    y: torch.Tensor  # (m,) class index
    index: torch.Tensor  # (m,) the row of the class that is copied
    noise: torch.Tensor  # (m, *row_shape)


@dataclass(frozen=True)
class Jitter(Method):  # the engine
    radius: float
    rows_apart = True  # several processes may make a part each

    def draw(self, state, slots, seed, shared):
        u = torch.rand(len(slots.y), generator=seed.child("row").torch(), dtype=torch.float64)
        shape = (len(slots.y), *state.pool.x.row_shape)
        noise = torch.randn(shape, generator=seed.child("noise").torch())
        return Draw(slots.y, state.pool.classes.draw(slots.y, u), noise)

    def part(self, draw, rows):
        return Draw(*(column[rows] for column in draw))

    def make(self, state, draws, f=None):
        draw = Draw(*(torch.cat(columns) for columns in zip(*draws, strict=True)))
        x, space = state.pool.x.take(draw.index), state.pool.space
        x = x + self.radius * space.scale * draw.noise.to(x) * (x != 0)
        accepted = torch.ones(len(draw.y), dtype=torch.bool)
        return Made(accepted, space.rounded(space.project(x)), draw.index, source=draw.y)


class JitterSampler(BaseSynthesisSampler):  # the face
    """Over-sample with noisy copies; `radius` is in units of the columns' standard deviation."""

    _parameter_constraints = BaseSynthesisSampler.constraints(
        "sampling_strategy", "random_state", radius=[Interval(Real, 0, None, closed="left")]
    )

    def __init__(self, *, sampling_strategy="auto", radius=0.1, random_state=None):
        super().__init__(sampling_strategy=sampling_strategy)
        self.radius = radius
        self.random_state = random_state

    def method(self, settings, pool, guides):
        return Jitter(self.radius)
