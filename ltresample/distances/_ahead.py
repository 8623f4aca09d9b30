"""Transport that goes ahead on an accelerator and is looked at once, when all of it is done."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["goes_ahead", "note", "run_ahead"]

R = TypeVar("R")

# Whether each plan since `run_ahead` began has converged; None: plans are looked at one by one.
_noted: ContextVar[list[Tensor] | None] = ContextVar("noted", default=None)


def run_ahead(make: Callable[[], R]) -> R:
    """Call a function, with one wait for all transport plans in it where they are on an accelerator.

    To see whether Sinkhorn's scaling has converged the processor waits for the device. Within
    `make` it does not: a number of iterations that nearly always is enough is run, the first iterate
    that has converged is taken, which is the one that waiting would have found, and all plans are
    looked at when `make` is done. If one of them has not converged, `make` is called once more, and
    waits. On a CPU nothing changes.

    Parameters
    ----------
    make : callable
        A function without arguments; calling it twice must be the same as calling it once.

    Returns
    -------
    object
        What `make` gives.

    Examples
    --------
    >>> from ltresample.distances import SinkhornTransport
    >>> real = torch.eye(2)
    >>> run_ahead(lambda: SinkhornTransport(reg=0.01).plan(real, real))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.5000]])
    """
    noted: list[Tensor] = []
    token = _noted.set(noted)
    try:
        made = make()
    finally:
        _noted.reset(token)
    if noted and not bool(torch.stack(noted).all()):
        return make()
    return made


def goes_ahead(cost: Tensor) -> bool:
    """Whether plans for these costs are to be found without a look at them."""
    return cost.device.type != "cpu" and _noted.get() is not None


def note(converged: Tensor) -> None:
    """Remember whether a plan has converged, a bool on the device."""
    noted = _noted.get()
    assert noted is not None
    noted.append(converged)
