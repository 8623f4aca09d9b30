"""Pairwise costs between the rows of two batches of sets, (S, n, d) x (S, m, d) -> (S, n, m)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

__all__ = ["cosine_cost", "euclidean_cost", "squared_euclidean_cost", "unit_rows"]

Cost = Callable[[Tensor, Tensor], Tensor]


def unit_rows(x: Tensor) -> Tensor:
    """Divide each row by its Euclidean norm; a row of zeros stays as it is.

    Parameters
    ----------
    x : Tensor of shape (..., d)
        Rows.

    Returns
    -------
    Tensor of shape (..., d)
        Rows of norm 1 or 0. The gradient is finite everywhere.

    Examples
    --------
    >>> unit_rows(torch.tensor([[3.0, 4.0], [0.0, 0.0]]))
    tensor([[0.6000, 0.8000],
            [0.0000, 0.0000]])
    """
    norm = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / torch.where(norm > 0, norm, torch.ones_like(norm))


def cosine_cost(real: Tensor, synthetic: Tensor) -> Tensor:
    """Give 1 - cos between rows, in [0, 2]; against a row of zeros it is 1.

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
    return 1 - unit_rows(real) @ unit_rows(synthetic).mT


def euclidean_cost(real: Tensor, synthetic: Tensor) -> Tensor:
    """Return sqrt(||r - s||^2 + 1e-12) between rows, smooth where two rows meet.

    Parameters
    ----------
    real : Tensor of shape (..., n, d)
        First rows.
    synthetic : Tensor of shape (..., m, d)
        Second rows.

    Returns
    -------
    Tensor of shape (..., n, m)
        Costs in the unit of the rows.

    Examples
    --------
    >>> euclidean_cost(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """
    return (squared_euclidean_cost(real, synthetic) + 1e-12).sqrt()


def squared_euclidean_cost(real: Tensor, synthetic: Tensor) -> Tensor:
    """Give ||r - s||^2 between rows, from the differences, hence exactly 0 between equal rows.

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
    # ||r||^2 + ||s||^2 - 2 r.s would lose the small distances to cancellation.
    mode = "donot_use_mm_for_euclid_dist"
    return torch.cdist(real, synthetic, compute_mode=mode).square()


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
