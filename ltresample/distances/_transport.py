"""Optimal transport distances between two sets, entropic and exact."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ltresample._torch import in_full_precision
from ltresample.distances._ahead import goes_ahead, plan_ahead
from ltresample.distances._base import Distance, SetPairs, set_pairs
from ltresample.distances._costs import Cost, find_cost
from ltresample.distances._problem import Problem, check_numbers
from ltresample.distances._sinkhorn import solve, warn_not_converged

__all__ = ["ExactTransport", "SinkhornTransport"]


_EASY_RANGE = 25.0  # of costs over reg, within which at most 32 scalings do nearly always


class _Transport(Distance):
    """What both transports share: a cost, a detached plan, and the value of that plan."""

    cost: str | Cost

    @in_full_precision
    def plan(
        self,
        real: Tensor,
        synthetic: Tensor,
        *,
        real_mask: Tensor | None = None,
        synthetic_mask: Tensor | None = None,
    ) -> Tensor:
        """Return the transport plan on which the distance rests.

        Parameters
        ----------
        real, synthetic : Tensor of shape (S, n, d) and (S, m, d), or (n, d) and (m, d)
            Rows of the two sets.
        real_mask, synthetic_mask : Tensor of bool or None
            Which rows are there; None: all.

        Returns
        -------
        Tensor of shape (S, n, m) or (n, m)
            Mass moved between the rows; sums to 1, or to 0 where a set is empty.
        """
        masks = {"real_mask": real_mask, "synthetic_mask": synthetic_mask}
        pairs = set_pairs(real, synthetic, **masks)
        plan = self._plan(self._costs(pairs).detach(), pairs)
        return plan if real.ndim == 3 else plan[0]

    def between(self, pairs: SetPairs) -> Tensor:
        """Return the transport costs, shape (S,)."""
        cost = self._costs(pairs)
        plan = self._plan(cost.detach(), pairs)
        return (plan * cost).sum((1, 2)) + self._constant(plan)

    def _costs(self, pairs: SetPairs) -> Tensor:
        return find_cost(self.cost)(pairs.real, pairs.synthetic)

    @abstractmethod
    def _plan(self, cost: Tensor, pairs: SetPairs) -> Tensor:
        """Return plans (S, n, m) without gradient."""

    @abstractmethod
    def _constant(self, plan: Tensor) -> Tensor | float:
        """Return what the plan itself adds to the value."""


@dataclass(frozen=True)
class SinkhornTransport(_Transport):
    r"""Entropic optimal transport between two sets with uniform weights.

    .. math:: D(R, X) = \min_{T \in \Pi(1/n, 1/m)} \langle T, C \rangle - \epsilon H(T), \quad
       H(T) = -\sum_{ij} T_{ij} \ln T_{ij}

    By the envelope theorem the gradient of this value is that of :math:`\sum_{ij} T_{ij} C_{ij}`
    with the best plan held fixed; that is what flows back, none through the iterations. The value
    may be negative, since the entropy of a plan between n and m rows is up to ln(nm).

    Parameters
    ----------
    reg : float, default=0.1
        Entropic strength (epsilon), > 0, in the unit of the cost; cosine costs lie in [0, 2]. With
        a single synthetic row, or with costs that differ by much less than `reg`, the plan is
        nearly the product of the weights and the distance a mean cost.
    cost : {"cosine", "euclidean", "squared_euclidean"} or callable, default="cosine"
        Cost between rows; a callable takes (S, n, d) and (S, m, d) and gives (S, n, m).
    max_iter : int, default=200
        Largest number of iterations.
    tol : float, default=1e-6
        L1 error of the marginals at which to stop; above it a warning is given.

    See Also
    --------
    sinkhorn_plan : The solver, on costs.

    References
    ----------
    .. [1] Cuturi, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport", NeurIPS 2013.
    .. [2] "Synthesizing Minority Samples for Long-tailed Classification via Distribution
       Matching", equations 4 to 6.

    Examples
    --------
    >>> distance = SinkhornTransport(reg=0.01)
    >>> real = torch.eye(2)
    >>> distance.plan(real, 3 * real)
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    >>> round(float(distance(real, 3 * real)), 4)  # 0 - 0.01 ln 2
    -0.0069
    """

    reg: float = 0.1
    cost: str | Cost = "cosine"
    max_iter: int = 200
    tol: float = 1e-6

    def _plan(self, cost: Tensor, pairs: SetPairs) -> Tensor:
        # Padding has weight zero and a finite cost, so no masks are needed.
        options = {"reg": self.reg, "max_iter": self.max_iter, "tol": self.tol}
        check_numbers(cost, **options)
        problem = Problem(cost, pairs.a, pairs.b, pairs.a.any(1) & pairs.b.any(1))
        # Cosine costs span at most 2: for a large reg scaling is known to be fast.
        easy = self.cost == "cosine" and self.reg >= 2 / _EASY_RANGE and 0 not in cost.shape
        if easy and goes_ahead(cost.device):
            return plan_ahead(problem, **options)
        found = solve(problem, **options)
        if not found.converged:
            warn_not_converged(found, **options)
        return found.plan

    def _constant(self, plan: Tensor) -> Tensor:
        return self.reg * torch.xlogy(plan, plan).sum((1, 2))  # -reg H(T)


@dataclass(frozen=True)
class ExactTransport(_Transport):
    r"""Optimal transport between two sets with uniform weights, without regularisation.

    .. math:: D(R, X) = \min_{T \in \Pi(1/n, 1/m)} \langle T, C \rangle

    The plan is that of POT's network simplex [1]_, one problem after the other, in double precision
    on the CPU: with data on an accelerator each call waits for it and copies costs and plans. The
    gradient is that of :math:`\sum_{ij} T_{ij} C_{ij}` with the plan held fixed.

    Parameters
    ----------
    cost : {"cosine", "euclidean", "squared_euclidean"} or callable, default="cosine"
        Cost between rows; a callable takes (S, n, d) and (S, m, d) and gives (S, n, m).

    References
    ----------
    .. [1] Bonneel, van de Panne, Paris and Heidrich, "Displacement interpolation using Lagrangian
       mass transport", SIGGRAPH Asia 2011.

    Examples
    --------
    >>> real = torch.tensor([[0.0], [1.0]])
    >>> ExactTransport(cost="squared_euclidean")(real, real.flip(0) + 2)
    tensor(4.)
    """

    cost: str | Cost = "cosine"

    def _plan(self, cost: Tensor, pairs: SetPairs) -> Tensor:
        n, m = cost.shape[1:]
        joined = torch.cat([cost.flatten(1), pairs.a, pairs.b], 1)  # one copy, one wait
        problems = np.split(joined.cpu().double().numpy(), [n * m, n * m + n], axis=1)
        plans = np.stack(
            [_network_simplex(C.reshape(n, m), a, b) for C, a, b in zip(*problems, strict=True)]
        )
        return torch.from_numpy(plans).to(cost)

    def _constant(self, plan: Tensor) -> float:
        return 0.0


def _network_simplex(C: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Solve one problem (n, m) on the rows and columns that have weight."""
    import ot  # slow to import, and needed for this one function only

    if not np.isfinite(C).all():
        raise ValueError("cost must be finite. Got NaN or infinite costs between two sets.")
    plan = np.zeros_like(C)
    rows, cols = np.flatnonzero(a), np.flatnonzero(b)
    if len(rows) and len(cols):
        a, b = np.full(len(rows), 1 / len(rows)), np.full(len(cols), 1 / len(cols))
        C = np.ascontiguousarray(C[np.ix_(rows, cols)])
        # The simplex calls costs equal that differ by less than an absolute number.
        plan[np.ix_(rows, cols)] = ot.emd(a, b, np.ldexp(C, -np.frexp(np.abs(C).max())[1]))
    return plan
