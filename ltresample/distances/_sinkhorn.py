"""Entropic optimal transport of many small problems at once."""

from __future__ import annotations

import math
import warnings
from typing import NamedTuple

import torch
from torch import Tensor

from ltresample._torch import in_full_precision
from ltresample.distances._newton import newton_plan
from ltresample.distances._problem import Problem, check_numbers, pose, with_mass
from ltresample.distances._scaling import ScaledPlan, scaled_plan
from ltresample.exceptions import LongTailWarning

__all__ = ["TransportPlan", "sinkhorn_plan", "solve", "warn_not_converged"]

# Largest (max C - min C) / reg at which exp(-C / reg), the scalings and their products stay clear
# of overflow and of denormal numbers, which are several times slower.
_SAFE_RANGE = {torch.float32: 50.0, torch.float64: 500.0}


class TransportPlan(NamedTuple):
    """Transport plans and how good they are.

    Attributes
    ----------
    plan : Tensor of shape (S, n, m) or (n, m)
        Mass moved from row i of the first to row j of the second set; 0 at masked rows.
    potentials : tuple of Tensor, shapes (S, n) and (S, m) or (n,) and (m,)
        Dual potentials f and g, with plan = exp((f_i + g_j - C_ij) / reg); -inf at masked rows.
    marginal_error : Tensor of shape (S,) or ()
        L1 distance between the plan's marginals and the weights, on the side where they differ
        (the other side is exact).
    n_iter : int
        Iterations run, the largest of all problems.
    converged : bool
        Whether the error of every problem is at most `tol`.
    """

    plan: Tensor
    potentials: tuple[Tensor, Tensor]
    marginal_error: Tensor
    n_iter: int
    converged: bool


@torch.no_grad()
@in_full_precision
def sinkhorn_plan(
    cost: Tensor,
    *,
    reg: float,
    a: Tensor | None = None,
    b: Tensor | None = None,
    row_mask: Tensor | None = None,
    col_mask: Tensor | None = None,
    max_iter: int = 200,
    tol: float = 1e-6,
    warn: bool = True,
) -> TransportPlan:
    r"""Solve entropic optimal transport for S problems of ragged size at once.

    .. math:: \min_{T \ge 0} \sum_{ij} T_{ij} C_{ij} + \epsilon \sum_{ij} T_{ij} \ln T_{ij}
       \quad\text{s.t.}\quad T 1 = a,\; T^\top 1 = b

    First by Sinkhorn's scaling [1]_ of exp(-C / reg), all problems in one matrix-vector product,
    with costs shifted by their minimum, which leaves the plan as it is. Problems on which it is
    slow, or whose range of costs over `reg` is too large for it, are finished by damped Newton
    steps on the potentials [2]_ in the log domain, which never overflow and reach in some ten steps
    what scaling may need thousands of iterations for. The plan is the same.

    Single precision is kept where it is safe, else double precision is used inside. No gradient
    flows through the plan.

    Parameters
    ----------
    cost : Tensor of shape (S, n, m) or (n, m)
        Costs, finite where not masked.
    reg : float
        Entropic strength (epsilon), > 0, in the unit of the cost. Towards 0 the plan becomes the
        one of exact transport, towards infinity the product of the marginals.
    a, b : Tensor of shape (S, n) and (S, m) or (n,) and (m,), optional
        Non-negative, finite weights of equal, positive sum. A row of weight zero takes no part, but
        its costs must be finite. By default uniform with sum 1.
    row_mask, col_mask : bool Tensor of the shape of `a` and `b`, optional
        True where a row or column exists; costs elsewhere may be anything. A problem without rows
        or columns has a plan of zeros.
    max_iter : int, default=200
        Largest number of iterations, scaling and Newton steps together.
    tol : float, default=1e-6
        L1 error of the marginals at which to stop. Below 1e-6 pass costs in double precision.
    warn : bool, default=True
        Whether to warn if `tol` was not reached.

    Returns
    -------
    TransportPlan
        Plan, potentials, error of the marginals and number of iterations, in the cost's precision
        (at least single) and on its device.

    Raises
    ------
    ValueError
        If shapes do not fit, `reg`, `max_iter` or `tol` is out of its range, costs are not finite, a
        weight is negative or not finite, all weights of a problem are zero, or the sums of `a` and
        `b` differ.

    Warns
    -----
    LongTailWarning
        If a problem has not reached `tol` after `max_iter` iterations.

    References
    ----------
    .. [1] Cuturi, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport", NeurIPS 2013.
    .. [2] Brauer, Clason, Lorenz and Wirth, "A Sinkhorn-Newton method for entropic optimal
       transport", 2017, arXiv 1710.06635.

    Examples
    --------
    >>> cost = torch.tensor([[0.0, 1.0], [1.0, 0.0]])
    >>> sinkhorn_plan(cost, reg=0.5).plan
    tensor([[0.4404, 0.0596],
            [0.0596, 0.4404]])
    """
    check_numbers(cost, reg=reg, max_iter=max_iter, tol=tol)
    single = cost.ndim == 2
    if single:
        cost = cost[None]
        a, b, row_mask, col_mask = (t if t is None else t[None] for t in (a, b, row_mask, col_mask))
    cost = cost.to(torch.promote_types(cost.dtype, torch.float32))
    problem = pose(cost, a, b, row_mask, col_mask)
    found = solve(problem, reg=reg, max_iter=max_iter, tol=tol)
    if warn and not found.converged:
        warn_not_converged(found, reg=reg, max_iter=max_iter, tol=tol)
    if single:
        f, g = found.potentials
        return found._replace(
            plan=found.plan[0], potentials=(f[0], g[0]), marginal_error=found.marginal_error[0]
        )
    return found


def solve(problem: Problem, *, reg: float, max_iter: int, tol: float) -> TransportPlan:
    """Scale where the range of the costs allows it, then finish what is left by Newton steps."""
    cost = problem.cost
    if 0 in cost.shape:
        potentials = problem.a.log(), problem.b.log()
        return TransportPlan(cost.clone(), potentials, cost.new_zeros(len(cost)), 0, converged=True)
    a, b = with_mass(problem)
    least = cost.flatten(1).amin(1)  # (S,)
    shifted = cost - least[:, None, None]
    spread = float(shifted.max()) / reg
    if not math.isfinite(spread):
        raise ValueError("cost must be finite where it is not masked. Got NaN or infinite costs.")
    precise = cost.dtype if spread <= _SAFE_RANGE[cost.dtype] else _precise_type(cost)
    scaled = (shifted.to(precise).mul_(1 / reg), a.to(precise), b.to(precise))
    if spread <= _SAFE_RANGE[precise]:
        found = scaled_plan(*scaled, max_iter=max_iter, tol=tol)
    else:
        found = _unsolved(*scaled)
    found = _finish(found, *scaled, max_iter=max_iter, tol=tol)
    return _unscale(found, problem, least=least, reg=reg, tol=tol)


def _unscale(
    found: ScaledPlan, problem: Problem, *, least: Tensor, reg: float, tol: float
) -> TransportPlan:
    """Return plans and potentials in the units and the precision of the cost."""
    dtype, occupied = problem.cost.dtype, problem.occupied
    f = (found.phi * reg).to(dtype) + least[:, None]
    g = (found.psi * reg).to(dtype)
    f, g = f.masked_fill(problem.a == 0, -torch.inf), g.masked_fill(problem.b == 0, -torch.inf)
    plan = found.plan.to(dtype).mul_(occupied[:, None, None])
    if dtype != found.plan.dtype:  # what was normal before may be denormal now, and slow to use
        plan = torch.nn.functional.threshold_(plan, torch.finfo(dtype).tiny, 0.0)
    error = (found.error * occupied).to(dtype)
    return TransportPlan(plan, (f, g), error, found.n_iter, converged=found.worst <= tol)


def _unsolved(cost: Tensor, a: Tensor, b: Tensor) -> ScaledPlan:
    """Return a plan that nothing is known of."""
    unknown = torch.full_like(a[:, 0], torch.inf)
    return ScaledPlan(cost, torch.zeros_like(a), torch.zeros_like(b), unknown, 0, math.inf)


def _finish(
    found: ScaledPlan, cost: Tensor, a: Tensor, b: Tensor, *, max_iter: int, tol: float
) -> ScaledPlan:
    """Take Newton steps where `tol` was not reached, on the shorter side of the problems."""
    if found.n_iter >= max_iter or found.worst <= tol:
        return found
    precise = _precise_type(cost)
    found = ScaledPlan(*(t.to(precise) for t in found[:4]), *found[4:])
    cost, a, b = (t.to(precise) for t in (cost, a, b))
    start = (found.phi, found.psi)
    left = None
    if len(cost) > 1:
        left = (~(found.error <= tol)).nonzero()[:, 0]  # also where the error is not a number
        cost, a, b, *start = (t[left] for t in (cost, a, b, *start))
    flip = cost.shape[1] > cost.shape[2]
    first = start[flip].nan_to_num(posinf=0)
    budget = max_iter - found.n_iter
    if flip:
        done = newton_plan(cost.mT.contiguous(), b, a, start=first, max_iter=budget, tol=tol)
        done = done._replace(plan=done.plan.mT, phi=done.psi, psi=done.phi)
    else:
        done = newton_plan(cost, a, b, start=first, max_iter=budget, tol=tol)
    done = done._replace(n_iter=found.n_iter + done.n_iter)
    if left is None:
        return done
    whole = [t.index_copy(0, left, part) for t, part in zip(found[:4], done[:4], strict=True)]
    return ScaledPlan(*whole, *done[4:])


def _precise_type(like: Tensor) -> torch.dtype:
    """Return double precision, single on the one kind of device that has no other."""
    return torch.float32 if like.device.type == "mps" else torch.float64


def warn_not_converged(found: TransportPlan, *, reg: float, max_iter: int, tol: float) -> None:
    """Say how far off the marginals are, and what helps."""
    worst = float(found.marginal_error.max())
    message = (
        f"Entropic transport has a marginal error of {worst:.1e} after {found.n_iter} iterations "
        f"at reg={reg}, above tol={tol}. Raise max_iter (now {max_iter}), reg or tol."
    )
    if found.plan.dtype == torch.float32 and tol < 1e-6:
        message += " Or pass costs in double precision: single reaches about 1e-6."
    warnings.warn(message, LongTailWarning, stacklevel=5)
