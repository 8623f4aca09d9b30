"""Sinkhorn's scaling of a batch of kernels, for costs of moderate range.

The same lines run in NumPy on the CPU, whose small products and exponentials are faster there, and
in torch elsewhere.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["CHECK_EVERY", "ScaledPlan", "scaled_ahead", "scaled_plan"]

# Iterations between two checks of the marginals.
CHECK_EVERY = 4
# After the first number of iterations it is given up if, at the present rate, the second number of
# further ones would not do: some Newton steps then cost less.
_GIVE_UP_AFTER, _PATIENCE = 32, 64


class ScaledPlan(NamedTuple):
    """Plans with potentials in units of reg: plan = exp(phi_i + psi_j - cost_ij / reg)."""

    plan: Tensor  # (S, n, m)
    phi: Tensor  # (S, n)
    psi: Tensor  # (S, m)
    error: Tensor  # (S,), L1 error of the marginals
    n_iter: int
    worst: float  # the largest error


class _Check(NamedTuple):
    """An iterate, and how good it is."""

    n_iter: int
    u: Any  # (S, 1, n)
    v: Any  # (S, 1, m)
    error: Any  # (S,)


def scaled_plan(cost: Tensor, a: Tensor, b: Tensor, *, max_iter: int, tol: float) -> ScaledPlan:
    """Iterate u = a / K v, v = b / K^T u with K = exp(-cost), all problems at once.

    Stops at `tol`, at `max_iter`, or where the error falls so slowly that it is not worth going on.

    Parameters
    ----------
    cost : Tensor of shape (S, n, m)
        Costs in units of reg, from 0 up, so small that K and the scalings neither overflow nor
        become denormal.
    a, b : Tensor of shape (S, n) and (S, m)
        Weights of equal, positive sum; zero where a row or column does not exist.
    max_iter : int
        Largest number of iterations.
    tol : float
        L1 error of the row marginal at which to stop; the column marginal is exact.

    Returns
    -------
    ScaledPlan
        The plans, their potentials and errors.

    References
    ----------
    .. [1] Cuturi, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport", NeurIPS 2013,
       algorithm 1.
    """
    on_cpu = cost.device.type == "cpu"
    xp: Any = np if on_cpu else torch
    arrays = [t.numpy() if on_cpu else t for t in (cost, a, b)]
    with np.errstate(divide="ignore", invalid="ignore"):
        *found, n_iter, worst = _scale(xp, *arrays, max_iter=max_iter, tol=tol)
    return ScaledPlan(*(torch.as_tensor(array) for array in found), n_iter, worst)


def _scale(xp: Any, cost: Any, a: Any, b: Any, *, max_iter: int, tol: float) -> tuple:
    """Return plan, log u, log v, row error, iterations, worst error; `xp` is NumPy or torch."""
    K = -cost  # (S, n, m)
    K, checks, before = xp.exp(K, out=K), [], math.inf
    for check in _iterate(xp, K, a, b, max_iter=max_iter):
        checks.append(check)
        if not (xp is np or check.n_iter == max_iter or _is_look(check.n_iter)):
            continue
        end, before = _first_end(checks, _worsts(xp, checks), before, max_iter=max_iter, tol=tol)
        if end is not None:
            break
        checks.clear()
    last, worst = end
    K *= last.u.swapaxes(1, 2)
    K *= last.v
    return K, xp.log(last.u[:, 0]), xp.log(last.v[:, 0]), last.error, last.n_iter, worst


def _iterate(xp: Any, K: Any, a: Any, b: Any, *, max_iter: int) -> Iterator[_Check]:
    """Run the iterations, and give those that are checked."""
    Kt = K.swapaxes(1, 2)
    a, b = a[:, None], b[:, None]  # (S, 1, n), (S, 1, m)
    u, Kv, Ktu = xp.empty_like(a), xp.empty_like(a), xp.empty_like(b)
    v = xp.sign(b)  # one, zero where nothing exists
    for n_iter in range(max_iter + 1):
        xp.matmul(v, Kt, out=Kv)
        if n_iter == max_iter or (n_iter > 0 and n_iter % CHECK_EVERY == 0):
            error = abs(u * Kv - a).sum((1, 2))  # (S,)
            kept = (u, v) if xp is np else (u.clone(), v.clone())
            yield _Check(n_iter, *kept, error)
        xp.divide(a, Kv, out=u)
        xp.matmul(u, K, out=Ktu)
        xp.divide(b, Ktu, out=v)


def _is_look(n_iter: int) -> bool:
    """Whether to wait for an accelerator: at 32, 64, 128, ... iterations, for all checks till then."""
    return n_iter >= _GIVE_UP_AFTER and n_iter & (n_iter - 1) == 0


def _worsts(xp: Any, checks: list[_Check]) -> list[float]:
    if xp is np:
        return [float(check.error.max()) for check in checks]
    return torch.stack([check.error.max() for check in checks]).tolist()


def _first_end(
    checks: list[_Check], worsts: list[float], before: float, *, max_iter: int, tol: float
) -> tuple[tuple[_Check, float] | None, float]:
    """Return the first iterate at which there is nothing more to do, and the last error."""
    for check, worst in zip(checks, worsts, strict=True):
        expected = worst * (worst / before) ** (_PATIENCE / CHECK_EVERY)
        hopeless = check.n_iter >= _GIVE_UP_AFTER and expected > tol
        if check.n_iter == max_iter or worst <= tol or hopeless:
            return (check, worst), worst
        before = worst
    return None, before


def scaled_ahead(
    cost: Tensor, a: Tensor, b: Tensor, *, n_iter: int, tol: float
) -> tuple[Tensor, Tensor]:
    """Scale on an accelerator without waiting for it.

    Parameters
    ----------
    cost : Tensor of shape (S, n, m)
        Costs in units of reg.
    a, b : Tensor of shape (S, n) and (S, m)
        Weights of equal, positive sum; zero where a row or column does not exist.
    n_iter : int
        Iterations that are run.
    tol : float
        Largest deviation of the marginals that counts as converged.

    Returns
    -------
    plan : Tensor of shape (S, n, m)
        The one that `scaled_plan` gives, where so many iterations are enough.
    needed : Tensor of shape ()
        Iterations after which all problems have converged; infinity where they have not, or where
        they converge so slowly that `scaled_plan` would leave the rest to Newton's method.
    """
    K = (-cost).exp()
    checks = list(_iterate(torch, K, a, b, max_iter=n_iter))
    at = torch.tensor([check.n_iter for check in checks], dtype=cost.dtype, device=cost.device)
    worst = torch.stack([check.error.max() for check in checks])
    before = torch.nn.functional.pad(worst[:-1], (1, 0), value=torch.inf)
    expected = worst * (worst / before) ** (_PATIENCE / CHECK_EVERY)
    converged = worst <= tol
    ends = converged | ((at >= _GIVE_UP_AFTER) & (expected > tol))
    first = ends.int().argmax()[None]  # 0 where none does: then the plan is not used
    u, v = (
        torch.stack(part).index_select(0, first)[0]
        for part in ([check.u for check in checks], [check.v for check in checks])
    )
    needed = torch.where(converged, at, torch.inf).index_select(0, first)[0]
    return K * u.mT * v, needed
