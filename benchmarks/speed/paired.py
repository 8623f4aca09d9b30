"""Compare this checkout with another commit: the same cases, in two processes that take turns.

    python -m benchmarks.speed paired --against main~5
    python -m benchmarks.speed paired --against COMMIT --cases import overhead m2m --rounds 9
    python -m benchmarks.speed paired --against COMMIT --cases m2m --ways M2m DM --rounds 20
    python -m benchmarks.speed paired --against COMMIT --cases reuters --path FOLDER --limit 1.03

The other commit is checked out into a temporary worktree. A process has the package of the one,
another that of the other, and the benchmarks of this checkout; after a turn that warms up, they take
turns way by way, in an order that alternates, so that what else the machine does meets both within
seconds. For each way stand the median over rounds of the ratio (here over there) and a 95 % interval
of that median from the order statistics, which assumes nothing about noise and needs six rounds.
"slower" means that the whole interval is above the limit, "holds" that it is below; in between the
rounds do not decide. The exit status is 1 if anything is slower.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binom

from benchmarks.provenance import ROOT
from benchmarks.speed.cases import CASES

__all__ = ["interval_of_median", "judged", "main", "measured"]

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
    parser.add_argument("--ways", nargs="+", metavar="WAY", help="of the cases (default: all)")
    parser.add_argument("--rounds", type=int, default=7, help="turns of each way (default: 7)")
    parser.add_argument("--limit", type=float, default=1.03, help="ratio that may be reached")
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
        told = measured({"here": ROOT, "there": other}, options)
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


def measured(trees: dict[str, Path], options: argparse.Namespace) -> dict[str, dict[str, list]]:
    """Return {way: {side: seconds of each turn}}, each side a process with the package of a tree."""
    with ExitStack() as stack:
        sides = {name: stack.enter_context(side(tree, options)) for name, tree in trees.items()}
        ways = [way for way in next(iter(sides.values())).ways if _wanted(way, options.ways)]
        if not ways:
            raise ValueError(f"--ways must name ways of the cases. Got {options.ways}.")
        told: dict[str, dict[str, list]] = {way: {name: [] for name in sides} for way in ways}
        for number in range(options.rounds + 1):
            for way in ways:
                for name in list(sides)[:: 1 if number % 2 else -1]:
                    seconds = sides[name].turn(way)
                    if number:  # the first turn warms up
                        told[way][name].append(seconds)
            print(f"round {number} of {options.rounds}", file=sys.stderr, flush=True)
    return told


def _wanted(way: str, names: list[str] | None) -> bool:
    return names is None or way.partition(": ")[2] in names


class Side:
    """A process with the package of a tree that measures a way whenever it is asked to."""

    def __init__(self, tree: Path, process: subprocess.Popen, errors: Any):
        self.tree, self.process, self.errors = tree, process, errors
        self.ways: list[str] = self._answer()

    def turn(self, way: str) -> float:
        """Measure a way once, in seconds."""
        print(way, file=self.process.stdin, flush=True)
        return self._answer()

    def _answer(self) -> Any:
        line = self.process.stdout.readline()
        if not line:
            self.process.wait()
            self.errors.seek(0)
            raise ValueError(f"Measuring {self.tree} failed:\n{self.errors.read()[-2000:]}")
        return json.loads(line)


@contextmanager
def side(tree: Path, options: argparse.Namespace) -> Iterator[Side]:
    """Start a process with the package of a tree, and end it."""
    given = ("threads", "path", "folder", "batch")
    settings = {name: getattr(options, name) for name in given}
    code = START.format(
        tree=str(tree), root=str(ROOT), cases=tuple(options.cases), settings=settings
    )
    names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")
    environment = {**os.environ, **dict.fromkeys(names, str(options.threads))}
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [sys.executable, "-P", "-c", code],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=environment,
        ) as process,
    ):
        try:
            yield Side(tree, process, errors)
        finally:
            process.kill()


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
