"""Measure ways of doing a thing in turns, so that what else the machine does meets all of them."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["Case", "Way", "cpu_seconds", "ratios", "table", "take_turns"]

Way = Callable[[], float | NDArray]


def _nothing(parser: argparse.ArgumentParser) -> None:
    """Add no options."""


def _no_lines(options: argparse.Namespace) -> list[str]:
    return []


class Case(NamedTuple):
    """Ways of doing a thing, the first of which the others are compared with.

    Attributes
    ----------
    title : str
        What is measured, in a line.
    ways : callable
        Takes the options and returns {name: way}; a way returns the seconds that it took, a number
        or one for each of several problems.
    add_options : callable
        Adds the case's own options to a parser.
    more : callable
        Takes the options and returns further lines, such as memory or errors; in single runs only.
    rounds : int
        Rounds unless ``--rounds`` says otherwise.
    """

    title: str
    ways: Callable[[argparse.Namespace], dict[str, Way]]
    add_options: Callable[[argparse.ArgumentParser], None] = _nothing
    more: Callable[[argparse.Namespace], list[str]] = _no_lines
    rounds: int = 5


def cpu_seconds(work: Callable[[], Any]) -> float:
    """Return the processor seconds of a call, all threads together."""
    began = time.process_time()
    work()
    return time.process_time() - began


def take_turns(ways: dict[str, Way], rounds: int, *, seed: int = 0) -> dict[str, NDArray]:
    """Call all ways once a round, in an order that changes; a first round warms up.

    Parameters
    ----------
    ways : dict
        Name to way.
    rounds : int
        Rounds that count.
    seed : int, default=0
        Decides the orders.

    Returns
    -------
    dict
        Name to seconds, shape (rounds,) or (rounds, n_problems).
    """
    rng = np.random.default_rng(seed)
    seconds: dict[str, list[Any]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name in rng.permutation(list(ways)).tolist():
            took = ways[name]()
            if number:
                seconds[name].append(took)
    return {name: np.array(values) for name, values in seconds.items()}


def ratios(seconds: dict[str, NDArray]) -> dict[str, tuple[float, float, float]]:
    """Return quartiles (low, median, high) of each way's seconds over the first way's, in pairs."""
    base = next(iter(seconds.values()))
    return {
        name: tuple(map(float, np.quantile(values / base, (0.25, 0.5, 0.75))))
        for name, values in seconds.items()
    }


def table(seconds: dict[str, NDArray]) -> list[str]:
    """Return lines: median milliseconds, median ratio to the first way, and its quartiles."""
    first = next(iter(seconds))
    lines = [f"{'':34}{'ms':>10}{'ratio':>9}{'quartiles':>16}   (ratio: over {first})"]
    for name, (low, middle, high) in ratios(seconds).items():
        ms = 1e3 * np.median(seconds[name])
        lines.append(f"{name:34}{ms:10.2f}{middle:9.3f}{low:9.3f}-{high:.3f}")
    return lines
