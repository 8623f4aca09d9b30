"""Sinkhorn's scaling of a batch of kernels, for costs of moderate range.

The same lines run in NumPy on the CPU, whose small products and exponentials are faster there, and
in torch elsewhere.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

__all__ = ["ScaledPlan", "scaled_plan"]

# Iterations between two looks at the marginals; on an accelerator each look waits for the device.
_CHECK_EVERY = 4
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
        *found, n_iter = _scale(xp, *arrays, max_iter=max_iter, tol=tol)
    return ScaledPlan(*(torch.as_tensor(array) for array in found), n_iter)


def _scale(xp: Any, cost: Any, a: Any, b: Any, *, max_iter: int, tol: float) -> tuple:
    """Return plan, log u, log v, row error and iterations; `xp` is NumPy or torch."""
    K = -cost  # (S, n, m)
    K, Kt = xp.exp(K, out=K), K.swapaxes(1, 2)
    a, b = a[:, None], b[:, None]  # (S, 1, n), (S, 1, m)
    u, Kv, Ktu = xp.empty_like(a), xp.empty_like(a), xp.empty_like(b)
    v = xp.sign(b)  # one, zero where nothing exists
    before = math.inf
    for n_iter in range(max_iter + 1):
        xp.matmul(v, Kt, out=Kv)
        if n_iter == max_iter or (n_iter > 0 and n_iter % _CHECK_EVERY == 0):
            error = abs(u * Kv - a).sum((1, 2))  # (S,)
            worst = float(error.max())
            expected = worst * (worst / before) ** (_PATIENCE / _CHECK_EVERY)
            hopeless = n_iter >= _GIVE_UP_AFTER and expected > tol
            if n_iter == max_iter or worst <= tol or hopeless:
                break
            before = worst
        xp.divide(a, Kv, out=u)
        xp.matmul(u, K, out=Ktu)
        xp.divide(b, Ktu, out=v)
    K *= u.swapaxes(1, 2)
    K *= v
    return K, xp.log(u[:, 0]), xp.log(v[:, 0]), error, n_iter
