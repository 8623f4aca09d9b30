"""Bars of what takes time: a run opens one, and loops that are deep inside move it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple, TypeVar

from tqdm.auto import tqdm

__all__ = ["advance", "counted", "phase", "progress", "quiet"]

T = TypeVar("T")


class _Bar:
    """A bar that is there from the first phase on; a run without one shows nothing."""

    def __init__(self, name: str):
        self.name = name
        self.shown: tqdm | None = None

    def opened(self) -> tqdm:
        if self.shown is None:  # a bar below another one goes when it is done
            self.shown = tqdm(total=0, desc=self.name, leave=None)
        return self.shown

    def close(self) -> None:
        if self.shown is not None:
            self.shown.close()


class _Run(NamedTuple):
    name: str
    bar: _Bar


_running: ContextVar[_Run | None] = ContextVar("running", default=None)


@contextmanager
def progress(name: str, *, shown: bool) -> Iterator[None]:
    """Open a bar for all that happens inside.

    Parameters
    ----------
    name : str
        What runs; it stands in front of each phase.
    shown : bool
        False: what happens inside is shown on the bar of a run around it, if there is one.
    """
    outer = _running.get()
    own = _Bar(name)
    inner = _Run(name, own) if shown else outer and _Run(f"{outer.name}: {name}", outer.bar)
    token = _running.set(inner)
    try:
        yield
    finally:
        _running.reset(token)
        own.close()


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what happens inside off the bar of the run around it."""
    token = _running.set(None)
    try:
        yield
    finally:
        _running.reset(token)


def phase(name: str, total: int = 0) -> None:
    """Begin a phase of so many steps; those of `counted` loops are added."""
    run = _running.get()
    if run is not None:
        bar = run.bar.opened()
        bar.reset(total)
        bar.set_description(f"{run.name}: {name}")


def advance(n: int = 1) -> None:
    """Say that n steps of the phase are done."""
    run = _running.get()
    if run is not None:
        run.bar.opened().update(n)


def counted(steps: Iterable[T], n: int) -> Iterator[T]:
    """Yield the n steps of a loop, and move the bar of the run after each.

    Examples
    --------
    >>> list(counted("ab", 2))
    ['a', 'b']
    """
    run = _running.get()
    if run is not None:
        bar = run.bar.opened()
        bar.total += n
        bar.refresh()
    for step in steps:
        yield step
        advance()
