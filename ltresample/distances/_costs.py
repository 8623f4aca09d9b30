"""Pairwise costs between the rows of two batches of sets, (S, n, d) x (S, m, d) -> (S, n, m)."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ltresample._torch import exact_product, in_full_precision

__all__ = ["cosine_cost", "euclidean_cost", "squared_euclidean_cost", "unit_rows"]

Cost = Callable[[Tensor, Tensor], Tensor]


@in_full_precision
def unit_rows(x: Tensor) -> Tensor:
    """Divide each row by its Euclidean norm; a row of zeros stays as it is.

    Parameters
    ----------
    x : Tensor of shape (..., d)
        Rows, of any size that their type can hold: squares neither overflow nor vanish.

    Returns
    -------
    Tensor of shape (..., d)
        Rows of norm 1 or 0. The gradient is finite, except where the row itself is below the
        smallest normal number.

    Examples
    --------
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0], [3e-30, 4e-30]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000],
            [0.6000, 0.8000]])
    """
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    if not _is_moderate(norm):
        x = x * _rescaling(norm)
        norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        norm = norm + (norm == 0)
    return x / norm


def _bits(like: Tensor) -> float:
    """Return the largest exponent of a type: 128 in single precision."""
    return math.log2(torch.finfo(like.dtype).max)


def _is_moderate(norm: Tensor) -> bool:
    """Whether all squares that went into the norms are normal; not known without a wait elsewhere."""
    if norm.device.type != "cpu" or not norm.numel():
        return False
    least, largest = torch.aminmax(norm.detach())
    bits = _bits(norm)
    return float(least) > 2 ** (-0.4 * bits) and float(largest) < 2 ** (0.45 * bits)


def _rescaling(norm: Tensor) -> Tensor:
    """Return powers of two that bring very long and very short rows to a moderate size, exactly."""
    bits = _bits(norm)
    one, power = torch.ones_like(norm), 2.0 ** int(0.55 * bits)
    up = torch.where(norm < 2 ** (-0.4 * bits), power, one)
    return torch.where(norm > 2 ** (0.45 * bits), 1 / power, up)


@in_full_precision
def cosine_cost(real: Tensor, synthetic: Tensor) -> Tensor:
    """Return 1 - cos between rows, in [0, 2]; against a row of zeros it is 1.

    Parameters
    ----------
    real : Tensor of shape (..., n, d)
        First rows.
    synthetic : Tensor of shape (..., m, d)
        Second rows.

    Returns
    -------
    Tensor of shape (..., n, m)
        Costs; scaling a row by a positive number changes nothing.

    Examples
    --------
    >>> cosine_cost(torch.eye(2), torch.tensor([[0.0, 5.0]]))
    tensor([[1.],
            [0.]])
    """
    return 1 - exact_product(unit_rows(real), unit_rows(synthetic).mT)


@in_full_precision
def euclidean_cost(real: Tensor, synthetic: Tensor) -> Tensor:
    """Return ||r - s|| between rows; where two rows meet, the gradient is zero.

    Parameters
    ----------
    real : Tensor of shape (..., n, d)
        First rows.
    synthetic : Tensor of shape (..., m, d)
        Second rows.

    Returns
    -------
    Tensor of shape (..., n, m)
        Costs in the unit of the rows, from their differences, hence exactly 0 between equal rows.

    Examples
    --------
    >>> euclidean_cost(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    # ||r||^2 + ||s||^2 - 2 r.s would lose the small distances to cancellation.
    return torch.cdist(real, synthetic, compute_mode="donot_use_mm_for_euclid_dist")


@in_full_precision
def squared_euclidean_cost(real: Tensor, synthetic: Tensor) -> Tensor:
    """Return ||r - s||^2 between rows, from the differences, hence exactly 0 between equal rows.

    Parameters
    ----------
    real : Tensor of shape (..., n, d)
        First rows.
    synthetic : Tensor of shape (..., m, d)
        Second rows.

    Returns
    -------
    Tensor of shape (..., n, m)
        Costs in the squared unit of the rows.

    Examples
    --------
    >>> squared_euclidean_cost(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([[25.]])
    """
    return euclidean_cost(real, synthetic).square()


_COSTS: dict[str, Cost] = {
    "cosine": cosine_cost,
    "euclidean": euclidean_cost,
    "squared_euclidean": squared_euclidean_cost,
}


def find_cost(cost: str | Cost) -> Cost:
    """Return the cost function of a name; a function is given back."""
    if callable(cost):
        return cost
    if cost not in _COSTS:
        names = ", ".join(repr(name) for name in _COSTS)
        raise ValueError(
            f"Unknown cost. Got cost={cost!r}. Pass one of {names}, or a function of two tensors "
            "(S, n, d) and (S, m, d) that gives costs (S, n, m)."
        )
    return _COSTS[cost]
