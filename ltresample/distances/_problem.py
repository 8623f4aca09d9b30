"""Problems of entropic transport: what is given is checked, and brought to one form."""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

__all__ = ["Problem", "check_numbers", "pose", "with_mass"]


class Problem(NamedTuple):
    """S problems; a row of weight zero does not exist, its cost is any allowed number."""

    cost: Tensor  # (S, n, m)
    a: Tensor  # (S, n)
    b: Tensor  # (S, m)
    occupied: Tensor  # (S,), whether both sets have rows


class _Side(NamedTuple):
    """Rows or columns of all problems, as they were given."""

    name: str
    weight: Tensor | None  # (S, n)
    mask: Tensor | None  # (S, n)


def pose(
    cost: Tensor,
    a: Tensor | None,
    b: Tensor | None,
    row_mask: Tensor | None,
    col_mask: Tensor | None,
) -> Problem:
    """Return the problems with a weight for each row and column, 0 at masked ones, and their costs."""
    sides = _Side("a", a, row_mask), _Side("b", b, col_mask)
    weights = [
        _weigh(side, cost.new_empty(shape), mask_name)
        for side, shape, mask_name in zip(
            sides, (cost.shape[:2], cost.shape[::2]), ("row_mask", "col_mask"), strict=True
        )
    ]
    occupied = weights[0].any(1) & weights[1].any(1)  # (S,)
    if a is not None or b is not None:
        _check_weights(sides, weights, occupied)
    if (row_mask is not None or col_mask is not None) and 0 not in cost.shape:
        sets = torch.arange(len(cost), device=cost.device)
        some = cost[sets, *((weight > 0).int().argmax(1) for weight in weights)]
        some = torch.where(occupied, some, 0)[:, None, None]
        cost = cost if row_mask is None else torch.where(row_mask[:, :, None], cost, some)
        cost = cost if col_mask is None else torch.where(col_mask[:, None], cost, some)
    return Problem(cost, *weights, occupied)


def _weigh(side: _Side, like: Tensor, mask_name: str) -> Tensor:
    """Return the weights of one side, by default uniform over what exists."""
    weight, mask = side.weight, side.mask
    if mask is not None and (mask.dtype != torch.bool or mask.shape != like.shape):
        raise ValueError(
            f"{mask_name} must be a bool tensor of shape {tuple(like.shape)}, True where the cost "
            f"counts. Got {mask.dtype} of shape {tuple(mask.shape)}."
        )
    if weight is None:
        exists = torch.ones_like(like) if mask is None else mask.to(like.dtype)
        return exists / exists.sum(1, keepdim=True).clamp_min(1)
    if weight.shape != like.shape:
        raise ValueError(
            f"{side.name} must have shape {tuple(like.shape)}, one weight for each row or column "
            f"of the cost. Got shape {tuple(weight.shape)}."
        )
    weight = weight.to(like)
    return weight if mask is None else weight.masked_fill(~mask, 0)


def _check_weights(sides: tuple[_Side, _Side], weights: list[Tensor], occupied: Tensor) -> None:
    """Refuse weights that are no masses, in one look where all is well."""
    a, b = weights
    allowed = [(weight >= 0) & (weight < torch.inf) for weight in weights]  # not so for NaN
    lacking = [_lacks_mass(*pair) for pair in zip(sides, weights, strict=True)]
    sums = a.sum(1), b.sum(1)
    unequal = ~((sums[0] - sums[1]).abs() <= 1e-4 * sums[0]) & occupied  # also of infinite sums
    wrong = [~mask.all() for mask in allowed] + [mask.any() for mask in (*lacking, unequal)]
    if not bool(torch.stack(wrong).any()):
        return
    for side, weight, fine in zip(sides, weights, allowed, strict=True):
        _refuse_values(side.name, weight, fine)
    for side, mask in zip(sides, lacking, strict=True):
        _refuse_zeros(side.name, mask)
    worst = int(unequal.int().argmax())
    raise ValueError(
        "a and b must have equal sums over what is not masked. Got sums "
        f"{float(sums[0][worst]):g} and {float(sums[1][worst]):g}. Divide each by its sum."
    )


def _lacks_mass(side: _Side, weight: Tensor) -> Tensor:
    """Mark the problems (S,) of which some rows exist and none has weight."""
    if side.mask is not None:
        return side.mask.any(1) & ~weight.any(1)
    return ~weight.any(1) if weight.shape[1] else weight.new_zeros(len(weight), dtype=torch.bool)


def _refuse_values(name: str, weight: Tensor, fine: Tensor) -> None:
    if bool(fine.all()):
        return
    s, i = (~fine).nonzero()[0].tolist()
    raise ValueError(
        f"{name} must hold finite weights of at least 0. Got {float(weight[s, i]):g} at position "
        f"{i} of problem {s}. Weights are shares of mass: leave a row out by weight 0 or by a mask."
    )


def _refuse_zeros(name: str, lacking: Tensor) -> None:
    if not bool(lacking.any()):
        return
    mask = {"a": "row_mask", "b": "col_mask"}[name]
    raise ValueError(
        f"{name} must hold a weight above 0 in each problem. Got zeros only in problem "
        f"{int(lacking.int().argmax())}. A problem without rows is told by {mask}."
    )


def with_mass(problem: Problem) -> tuple[Tensor, Tensor]:
    """Return weights that let an empty problem be solved as one with mass: nothing divides by 0."""
    return tuple(
        torch.where(problem.occupied[:, None], weight, 1 / weight.shape[1])
        for weight in (problem.a, problem.b)
    )


def check_numbers(cost: Tensor, *, reg: float, max_iter: int, tol: float) -> None:
    """Refuse costs of a wrong shape, and numbers out of their range."""
    if cost.ndim not in (2, 3):
        raise ValueError(
            "cost must have shape (n, m), one problem, or (S, n, m), a batch of problems. "
            f"Got shape {tuple(cost.shape)}."
        )
    if not reg > 0:
        raise ValueError(
            f"reg must be positive. Got reg={reg}. For transport without regularisation use "
            "ExactTransport."
        )
    if reg == math.inf:
        raise ValueError(
            "reg must be finite. Got reg=inf. For a large reg the plan is the product of the "
            "weights: pass reg=1e6 times the largest cost, or take a[:, None] * b."
        )
    if not tol >= 0:
        raise ValueError(f"tol must be at least 0. Got tol={tol}.")
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1. Got max_iter={max_iter}.")
