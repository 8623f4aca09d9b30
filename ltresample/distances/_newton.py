"""Newton's method on the semi-dual of entropic optimal transport, for plans that scaling misses."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ltresample.distances._scaling import ScaledPlan

__all__ = ["newton_plan"]

_LOG_OF_ZERO = -1e30  # stands for log 0; finite, so that differences and products stay numbers
_RIDGE = 1e-2  # Levenberg term over the marginal error: damps far away, fades near the solution
_SUFFICIENT = 1e-4  # Armijo's constant
_STEP_CUTS = 8  # the step is quartered at most so often, then a Sinkhorn step is taken
_FIRST_LOOK = 8  # steps on an accelerator before it is waited for
_LARGE = 2**22  # costs; above, an accelerator is busy for so long that waits are nothing


class _Weights(NamedTuple):
    a: Tensor  # (S, n)
    b: Tensor  # (S, m)
    log_a: Tensor
    log_b: Tensor


class _Point(NamedTuple):
    """Where the ascent stands; psi is the best for its phi, so the column sums are exact."""

    phi: Tensor  # (S, n), f / reg
    psi: Tensor  # (S, m), g / reg
    value: Tensor  # (S,), semi-dual objective / reg


def newton_plan(
    cost: Tensor, a: Tensor, b: Tensor, *, start: Tensor, max_iter: int, tol: float
) -> ScaledPlan:
    r"""Maximise the semi-dual by damped Newton steps, all in the log domain.

    .. math:: D(\phi) = \langle a, \phi \rangle + \langle b, \psi(\phi) \rangle, \quad
       \psi_j(\phi) = \ln b_j - \ln \sum_i e^{\phi_i - C_{ij}}

    Its gradient is :math:`a - T 1` and minus its Hessian is
    :math:`\mathrm{diag}(T 1) - T \mathrm{diag}(1/b) T^\top`, of size n x n: pass the shorter side
    first. Where scaling needs thousands of iterations, some ten steps do.

    Parameters
    ----------
    cost : Tensor of shape (S, n, m)
        Costs in units of reg, in double precision.
    a, b : Tensor of shape (S, n) and (S, m)
        Weights of equal sum; zero where a row or column does not exist.
    start : Tensor of shape (S, n)
        First phi.
    max_iter : int
        Largest number of steps.
    tol : float
        L1 error of the row marginal at which to stop.

    Returns
    -------
    ScaledPlan
        The plans and their potentials; the error is that of the row sums.

    References
    ----------
    .. [1] Brauer, Clason, Lorenz and Wirth, "A Sinkhorn-Newton method for entropic optimal
       transport", 2017, arXiv 1710.06635.
    .. [2] Cuturi and Peyre, "Semidual Regularized Optimal Transport", SIAM Review 60, 2018.
    """
    weights = _Weights(a, b, a.log().clamp_min(_LOG_OF_ZERO), b.log().clamp_min(_LOG_OF_ZERO))
    here = _point(start.clamp_min(_LOG_OF_ZERO), cost, weights)
    waits = cost.device.type == "cpu" or cost.numel() > _LARGE
    search = _line_search if waits else _line_search_ahead
    since: list[tuple[_Point, Tensor]] = []  # the last look
    for n_iter in range(max_iter + 1):
        plan = (here.phi[:, :, None] + here.psi[:, None] - cost).exp()  # (S, n, m)
        gradient = a - plan.sum(2)  # (S, n)
        error = gradient.abs().sum(1)  # (S,)
        since.append((here, error))
        if waits or n_iter == max_iter or _is_look(n_iter):
            worsts = torch.stack([error.max() for _, error in since]).tolist()
            ends = [i for i, worst in enumerate(worsts) if worst <= tol]
            if ends or n_iter == max_iter:
                break
            since.clear()
        direction, solved = _newton_direction(plan, gradient, error, weights)
        here = search(here, direction, gradient, solved, cost, weights)
    last = ends[0] if ends else len(since) - 1
    (here, error), worst = since[last], worsts[last]
    if last < len(since) - 1:
        plan = (here.phi[:, :, None] + here.psi[:, None] - cost).exp()
    n_iter -= len(since) - 1 - last
    return ScaledPlan(plan, here.phi, here.psi, error, n_iter, worst)


def _is_look(n_iter: int) -> bool:
    """Whether to wait for an accelerator: after 8, 16, 32, ... steps, for all steps till then."""
    return n_iter >= _FIRST_LOOK and n_iter & (n_iter - 1) == 0


def _point(phi: Tensor, cost: Tensor, weights: _Weights) -> _Point:
    """Return the points at phi (..., S, n)."""
    psi = weights.log_b - torch.logsumexp(phi[..., None] - cost, -2)
    return _Point(phi, psi, (weights.a * phi).sum(-1) + (weights.b * psi).sum(-1))


def _newton_direction(
    plan: Tensor, gradient: Tensor, error: Tensor, weights: _Weights
) -> tuple[Tensor, Tensor]:
    """Solve (-Hessian + ridge) d = gradient; give d (S, n) and where the factorization held."""
    a, b = weights.a, weights.b
    hessian = (plan / torch.where(b > 0, b, 1)[:, None]) @ plan.mT  # (S, n, n)
    # Rows of weight zero have no curvature; a one on their diagonal keeps them at rest.
    diagonal = plan.sum(2) + a * (_RIDGE * error[:, None]) + (a == 0)
    factor, info = torch.linalg.cholesky_ex(torch.diag_embed(diagonal) - hessian)
    solved = info == 0
    one = torch.eye(a.shape[1], dtype=factor.dtype, device=factor.device)
    factor = torch.where(solved[:, None, None], factor, one)
    return torch.cholesky_solve(gradient[..., None], factor)[..., 0], solved


def _line_search(
    here: _Point,
    direction: Tensor,
    gradient: Tensor,
    solved: Tensor,
    cost: Tensor,
    weights: _Weights,
) -> _Point:
    """Shorten each problem's step until its objective rises enough; else take a Sinkhorn step."""
    slope, noise = _slope(here, direction, gradient)
    size = torch.ones_like(slope)
    for _ in range(_STEP_CUTS):
        there = _point(here.phi + size[:, None] * direction, cost, weights)
        risen = there.value >= here.value + _SUFFICIENT * size * slope - noise
        if bool(risen.all()):
            break
        size = torch.where(risen, size, size / 4)
    good = solved & risen
    if bool(good.all()):
        return there
    stay = _sinkhorn_step(here, cost, weights)
    return _point(torch.where(good[:, None], there.phi, stay), cost, weights)


def _line_search_ahead(
    here: _Point,
    direction: Tensor,
    gradient: Tensor,
    solved: Tensor,
    cost: Tensor,
    weights: _Weights,
) -> _Point:
    """Do the same without a wait: all lengths at once, of which each problem takes its first."""
    slope, noise = _slope(here, direction, gradient)
    size = 0.25 ** torch.arange(_STEP_CUTS, device=cost.device, dtype=cost.dtype)[:, None]  # (c, 1)
    phi = here.phi + size[..., None] * direction  # (c, S, n)
    risen = _point(phi, cost, weights).value >= here.value + _SUFFICIENT * size * slope - noise
    first = risen.int().argmax(0)[None, :, None].expand(1, *here.phi.shape)
    good = solved & risen.any(0)
    stay = _sinkhorn_step(here, cost, weights)
    return _point(torch.where(good[:, None], phi.gather(0, first)[0], stay), cost, weights)


def _slope(here: _Point, direction: Tensor, gradient: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rise per length at the start, and what rounding hides of it, each (S,)."""
    noise = 4 * torch.finfo(here.value.dtype).eps * (1 + here.value.abs())
    return (gradient * direction).sum(1), noise


def _sinkhorn_step(here: _Point, cost: Tensor, weights: _Weights) -> Tensor:
    """Return the phi that makes the row sums exact; this never lowers the objective."""
    return weights.log_a - torch.logsumexp(here.psi[:, None] - cost, 2)
