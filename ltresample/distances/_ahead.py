"""Transport that goes ahead on an accelerator and is looked at once, when all of it is done."""

from __future__ import annotations

import math
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import torch
from torch import Tensor

from ltresample.distances._problem import Problem, with_mass
from ltresample.distances._scaling import CHECK_EVERY, scaled_ahead

__all__ = ["RunAhead", "goes_ahead", "plan_ahead"]

R = TypeVar("R")

_FEWEST, _MOST = 8, 128  # iterations that are run without a look


class _Run(NamedTuple):
    n_iter: int  # for each plan
    needed: list[Tensor]  # iterations that each would have needed, infinity where more


# The run in whose midst we are; None: plans are looked at one by one.
_run: ContextVar[_Run | None] = ContextVar("run", default=None)


@dataclass
class RunAhead:
    """Call functions with one wait for all transport plans in each, where they are on an accelerator.

    To see whether Sinkhorn's scaling has converged the processor waits for the device. Within a
    call it does not: as many iterations are run as were enough before, and half as many again; of
    the iterates the first that has converged is taken, which is the one that waiting would have
    found, and all plans are looked at when the function is done. If one of them has not converged,
    the function is called once more, and waits. So the number of iterations that is kept here
    changes what a call costs, and nothing of what it gives. On a CPU nothing changes.

    Parameters
    ----------
    n_iter : int, default=32
        Iterations for each plan of the first call; more of them cost time, fewer may have to be run
        again. 0: plans are always looked at one by one.

    Raises
    ------
    ValueError
        If `n_iter` is negative.

    Examples
    --------
    >>> from ltresample.distances import SinkhornTransport
    >>> real = torch.eye(2)
    >>> run_ahead = RunAhead()
    >>> run_ahead(lambda: SinkhornTransport().plan(real, real)).sum(1)
    tensor([0.5000, 0.5000])
    """

    n_iter: int = 32

    def __post_init__(self) -> None:
        if not self.n_iter >= 0:
            raise ValueError(
                f"n_iter must be at least 0. Got n_iter={self.n_iter!r}. 0: look at every plan."
            )

    def __call__(self, make: Callable[[], R]) -> R:
        """Return what a function gives.

        Parameters
        ----------
        make : callable
            Without arguments; calling it twice must be the same as calling it once.

        Returns
        -------
        object
            What `make` gives.
        """
        if not self.n_iter:
            return make()
        run = _Run(self.n_iter, [])
        token = _run.set(run)
        try:
            made = make()
        finally:
            _run.reset(token)
        if not run.needed:
            return made
        needed = max(torch.stack(run.needed).tolist())
        self.n_iter = _next_number(run.n_iter, needed)
        return made if math.isfinite(needed) else make()


def _next_number(n_iter: int, needed: float) -> int:
    if not math.isfinite(needed):  # at last it is given up
        return 2 * n_iter if 2 * n_iter <= _MOST else 0
    enough = CHECK_EVERY * math.ceil(1.5 * needed / CHECK_EVERY)
    return min(max(enough, _FEWEST), _MOST)


def goes_ahead(device: torch.device) -> bool:
    """Whether plans on this device are to be found without a look at them."""
    return device.type != "cpu" and _run.get() is not None


def plan_ahead(problem: Problem, *, reg: float, max_iter: int, tol: float) -> Tensor:
    """Return plans (S, n, m) and take it that they have converged; `RunAhead` sees if they have.

    To be called while `goes_ahead`, on costs that span at most 25 times `reg`.
    """
    run, cost, occupied = _run.get(), problem.cost, problem.occupied
    shifted = cost - cost.flatten(1).amin(1)[:, None, None]
    n_iter = min(run.n_iter, max_iter)
    plan, needed = scaled_ahead(shifted * (1 / reg), *with_mass(problem), n_iter=n_iter, tol=tol)
    run.needed.append(needed)
    return plan * occupied[:, None, None]
