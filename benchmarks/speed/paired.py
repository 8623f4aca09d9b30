"""Compare this checkout with another commit: the same cases, in alternating processes.

    python -m benchmarks.speed paired --against main~5
    python -m benchmarks.speed paired --against COMMIT --cases import overhead m2m --rounds 9
    python -m benchmarks.speed paired --against COMMIT --cases reuters --path FOLDER --limit 1.03

The other commit is checked out into a temporary worktree. In each round a process measures the cases
with the package of the one, and another with that of the other, in an order that alternates; the
benchmarks are this checkout's on both sides. For each way stand the median over rounds of the ratio
(here over there) and a 95 % interval of that median from the order statistics, which assumes nothing
about noise and needs six rounds. "slower" means that the whole interval is above the limit, "holds"
that it is below; in between the rounds do not decide. The exit status is 1 if anything is slower.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.provenance import ROOT
from benchmarks.speed.cases import CASES

__all__ = ["interval_of_median", "judged", "main"]

DEFAULT = ("import", "overhead", "m2m", "otmix", "digits")
# the package is that of one tree, the benchmarks are that of another
START = """import sys
sys.path.insert(0, {tree!r})
import ltresample
sys.path.insert(0, {root!r})
from benchmarks.speed.worker import main
main({cases!r}, {settings!r}, {tree!r})"""


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.speed paired", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--against", required=True, metavar="COMMIT", help="what to compare with")
    parser.add_argument("--cases", nargs="+", default=list(DEFAULT), metavar="CASE")
    parser.add_argument("--rounds", type=int, default=7, help="pairs of processes (default: 7)")
    parser.add_argument("--limit", type=float, default=1.03, help="ratio that may be reached")
    parser.add_argument("--repeats", type=int, default=3, help="of a way in a process")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--path", help="folder of the Reuters files, for the case reuters")
    parser.add_argument("--folder", help="folder of tables, for the case tables")
    parser.add_argument("--batch", type=int, help="images of a step, for the cases of steps")
    parser.add_argument("--record", type=Path, metavar="FILE", help="append a line of JSON")
    options = parser.parse_args(argv)
    unknown = [name for name in options.cases if name not in CASES]
    if unknown:
        raise ValueError(f"There is no case {unknown[0]!r}. There are: {', '.join(CASES)}.")
    if options.rounds < 1:
        raise ValueError(f"--rounds must be at least 1. Got {options.rounds}.")
    return options


def main(argv: list[str]) -> int:
    """Compare; return 1 if something is slower than the limit."""
    options = arguments(argv)
    with worktree(options.against) as other:
        told: dict[str, dict[str, list[float]]] = {}
        for number in range(options.rounds):
            sides = {"here": ROOT, "there": other}
            for side in list(sides)[:: 1 if number % 2 else -1]:
                for way, seconds in measured(sides[side], options).items():
                    told.setdefault(way, {"here": [], "there": []})[side].append(seconds)
            print(f"round {number + 1} of {options.rounds}", file=sys.stderr, flush=True)
    lines = {way: np.array(own["here"]) / np.array(own["there"]) for way, own in told.items()}
    print(f"this checkout over {options.against}, {options.rounds} pairs, limit {options.limit}")
    print(f"{'':46}{'ms here':>9}{'ratio':>8}{'95 % interval':>17}")
    for way, ratio in lines.items():
        low, high = interval_of_median(ratio)
        verdict = judged(low, high, options.limit)
        ms = 1e3 * np.median(told[way]["here"])
        print(f"{way:46}{ms:9.2f}{np.median(ratio):8.3f}{low:9.3f}-{high:.3f}   {verdict}")
    if options.record:
        _append(options, told)
    slower = [judged(*interval_of_median(r), options.limit) == "slower" for r in lines.values()]
    return int(any(slower))


def interval_of_median(values: NDArray) -> tuple[float, float]:
    """Return order statistics that hold the median with at least 95 %; of under 6 values, everything.

    The k-th smallest and the k-th largest of n values miss the median of their distribution with
    probability ``2 P(Binomial(n, 1/2) < k)``, whatever the distribution.

    Examples
    --------
    >>> interval_of_median(np.arange(9.0))
    (1.0, 7.0)
    >>> interval_of_median(np.arange(5.0))
    (0.0, inf)
    """
    values = np.sort(values)
    n = len(values)
    enough = [k for k in range(1, n // 2 + 1) if 2 * binom.cdf(k - 1, n, 0.5) <= 0.05]
    if not enough:
        return 0.0, np.inf
    return float(values[enough[-1] - 1]), float(values[n - enough[-1]])


def judged(low: float, high: float, limit: float) -> str:
    """Say what an interval of a ratio tells about a limit."""
    if low > limit:
        return "slower"
    return "holds" if high <= limit else "not decided"


def measured(tree: Path, options: argparse.Namespace) -> dict[str, float]:
    """Measure all cases in a process of its own with the package of a tree."""
    given = ("repeats", "threads", "path", "folder", "batch")
    settings = {name: getattr(options, name) for name in given}
    code = START.format(
        tree=str(tree), root=str(ROOT), cases=tuple(options.cases), settings=settings
    )
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(options.threads))}
    ended = subprocess.run(
        [sys.executable, "-P", "-c", code], capture_output=True, text=True, env=environment
    )
    if ended.returncode:
        raise ValueError(f"Measuring {tree} failed:\n{ended.stderr[-2000:]}")
    return json.loads(ended.stdout.splitlines()[-1])


@contextmanager
def worktree(commit: str) -> Iterator[Path]:
    """Check a commit out into a temporary worktree, and remove it in the end."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "tree"
        _git("worktree", "add", "--detach", str(place), commit)
        try:
            yield place
        finally:
            _git("worktree", "remove", "--force", str(place))


def _git(*command: str) -> None:
    ended = subprocess.run(["git", "-C", str(ROOT), *command], capture_output=True, text=True)
    if ended.returncode:
        raise ValueError(f"git {' '.join(command)} failed: {ended.stderr.strip()}")


def _append(options: argparse.Namespace, told: dict[str, Any]) -> None:
    from benchmarks.provenance import commit, machine, versions

    record = {"benchmark": "paired", "against": options.against, "seconds": told, **commit()}
    record |= {"versions": versions(), "machine": machine(options.threads)}
    with options.record.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
