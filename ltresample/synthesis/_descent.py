"""Noise, and the normalised descent that M2m and Distribution Matching share."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from ltresample.rows import Space

__all__ = ["Descent", "descend", "gaussian_noise", "reference_noise", "uniform_noise"]


def _per_row(values: Tensor, like: Tensor) -> Tensor:
    """Shape (m,) so that it broadcasts over rows (m, ...)."""
    return values.view(-1, *([1] * (like.dim() - 1)))


def row_norms(x: Tensor) -> Tensor:
    """Euclidean norm of each row, (m,)."""
    return x.flatten(1).norm(dim=1)


def uniform_noise(
    shape: tuple[int, ...], radius: Tensor | float, generator, dtype, used: Tensor | None = None
) -> Tensor:
    """Draw U(-1/2, 1/2) in each coordinate, scaled down to a norm of at most `radius` per row."""
    raw = torch.rand(shape, generator=generator, dtype=dtype) - 0.5
    # never scaled up: few columns, or a large radius, keep the noise as it was drawn
    shrink = (torch.as_tensor(radius, dtype=dtype) / row_norms(raw)).nan_to_num(1.0).clamp(max=1.0)
    return raw * _per_row(shrink.expand(len(raw)), raw)


def gaussian_noise(
    shape: tuple[int, ...], radius: Tensor | float, generator, dtype, used: Tensor | None = None
) -> Tensor:
    """Draw N(0, sigma^2) in each coordinate with sigma = radius / sqrt(d), d coordinates a row.

    The DM paper says "standard Gaussian"; in pixel units that has norm 55 on 32 x 32 colour images,
    where the whole descent moves 0.5, so sigma follows from the radius.
    """
    raw = torch.randn(shape, generator=generator, dtype=dtype)
    sigma = (
        torch.as_tensor(radius, dtype=dtype) / max(1, raw[0].numel()) ** 0.5 if len(raw) else 0.0
    )
    return raw * (_per_row(torch.as_tensor(sigma).expand(len(raw)), raw) if len(raw) else 1.0)


def reference_noise(
    shape: tuple[int, ...], radius: Tensor | float, generator, dtype, used: Tensor | None = None
) -> Tensor:
    """Draw M2m's published noise: the norm is bounded per channel over all rows drawn together.

    Published code leaves rows without a seed out first: `used` (m,) marks those that have one.
    """
    raw = torch.rand(shape, generator=generator, dtype=dtype) - 0.5
    bounded = raw if used is None else raw[used]
    norms = bounded.transpose(0, 1).flatten(1).norm(dim=1)  # (C,)
    shrink = (float(torch.as_tensor(radius).max()) / norms).nan_to_num(1.0).clamp(max=1.0)
    return raw * shrink.view(1, -1, *([1] * (raw.dim() - 2)))


class Descent(NamedTuple):
    """What the descent came to."""

    x: Tensor  # (m, ...)
    confidence: Tensor  # (m,) as the objective reported it at x
    done: Tensor  # (m,) bool: x passes the objective's tests


# objective(x of some rows, their positions) -> cost of each row, its confidence, whether it passes
Objective = Callable[[Tensor, Tensor], tuple[Tensor, Tensor, Tensor]]


def descend(
    x: Tensor,
    objective: Objective,
    *,
    step_size: Tensor,
    n_steps: int,
    space: Space,
    movable: Tensor | None = None,
    rest: bool = False,
) -> Descent:
    """Take `n_steps` steps of fixed length against each row's gradient.

    ``x_i <- project(x_i - eta_i * G_i / ||G_i||)``, G_i the gradient in the standardised space
    (M2m, Algorithm 1 and published code). The total travel of a row is at most n_steps * eta_i.

    Parameters
    ----------
    x : Tensor of shape (m, ...)
        Starting points; not modified.
    objective : callable
        ``(x of rows, positions of rows) -> (cost, confidence, passes)``, each (rows,).
    step_size : Tensor of shape (m,)
        eta, a length in the standardised space.
    n_steps : int
        T.
    space : Space
        Units and bounds.
    movable : Tensor of shape (m, ...) or None
        1 where a coordinate may move, 0 elsewhere.
    rest : bool, default=False
        A row stays where it is as soon as it passes.

    Returns
    -------
    Descent
        The end points, each with its confidence there and whether it passes there.
    """
    x = x.clone()
    confidence = torch.full((len(x),), torch.nan, dtype=x.dtype, device=x.device)
    done = torch.zeros(len(x), dtype=torch.bool, device=x.device)
    moving = torch.arange(len(x), device=x.device)
    metric = space.scale if movable is None else space.scale * movable
    for _ in range(n_steps):
        if not len(moving):
            break
        here = x[moving] if len(moving) < len(x) else x
        # whole-number columns are judged, and their gradients taken, at the nearest whole number
        judged = space.rounded(here).detach().requires_grad_()
        cost, sure, passes = objective(judged, moving)
        # M2m, Algorithm 1, line 9; of the sum, so that no row's gradient depends on their number
        (direction,) = torch.autograd.grad(cost.sum(), judged)
        with torch.no_grad():
            if rest and passes.any():
                confidence[moving], done[moving] = sure, passes
                here, direction, moving = here[~passes], direction[~passes], moving[~passes]
            own = metric if movable is None or len(moving) == len(x) else metric[moving]
            direction.mul_(own)  # dJ/dz, z = (x - center) / scale
            # line 10: eta * delta / |delta|, the norm over all coordinates of a row
            length = step_size[moving] / (row_norms(direction) + 1e-10)
            # back from z to x, and to the valid range
            direction.mul_(space.scale).mul_(_per_row(length, direction))
            moved = space.project(here - direction)
            if len(moving) == len(x):
                x = moved
            else:
                x[moving] = moved
    x = space.rounded(x)
    if len(moving):  # those that never rested
        with torch.no_grad():
            _, confidence[moving], done[moving] = objective(x[moving], moving)
    return Descent(x, confidence, done)
