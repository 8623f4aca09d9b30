"""A quarter of an hour on a card: tests, the rows of CIFAR-10-LT that fit, then speeds.

    python -m benchmarks.card --data FOLDER --out FOLDER --seconds 540

Each part leaves what it printed in the folder as soon as it ends, so that a run that is cut off has lost
its last part at most. Passes are recorded as CUDA graphs if the tests of that have passed here. Move
the folder along, with the states in it, and the same command goes on with the rows on another day.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from benchmarks.provenance import machine

__all__ = ["Part", "main", "parts"]

ROOT = Path(__file__).parents[1]
GRAPHS = "test_cuda_graphs"  # the file whose tests tell whether passes can be recorded
ROWS = 0.85  # share of the time that is left after the tests; speeds have the rest
TABLES = 10.0  # seconds that the tables take at the end


class Part(NamedTuple):
    """A command, the name of what it leaves, and the most seconds that it may take."""

    name: str
    command: list[str]
    seconds: float


def parts(options: argparse.Namespace, left: Callable[[], float], tests: Callable[[], str]):
    """Yield what is to be run, one after the other; what comes later depends on the time that is left.

    Parameters
    ----------
    options : argparse.Namespace
        The command line.
    left : callable
        Gives the seconds that are left.
    tests : callable
        Gives what the tests printed.
    """
    python, on = [sys.executable, "-m"], ["--device", options.device]
    chosen = ["tests", *(["-n", str(options.jobs)] if options.jobs > 1 else [])]
    # a package that only other tests import may be missing
    flags = ["-q", "-m", "gpu", "-W", "default", "--continue-on-collection-errors"]
    yield Part("tests", [*python, "pytest", *flags, *chosen], 0.15 * left())
    graphs = ["--cuda-graphs"] if can_record(tests()) else []
    budget = max(1.0, ROWS * left() - TABLES)
    places = ["--records", str(options.out), "--tables", str(options.out)]
    command = [*python, "benchmarks.run", options.suite, "--data", str(options.data), *on, *graphs]
    command += ["--budget", f"{budget:.0f}", "--jobs", str(options.jobs), *places]
    only = ["--only", *options.only] if options.only else []
    yield Part("rows", [*command, *only], ROWS * left())
    for precision, share in (("float32", 0.5), ("bfloat16", 1.0)):
        small = ["--quick"] if options.quick else ["--steps", "8", "--epochs", "2"]
        record = ["--record", str(options.out / "speed.jsonl")]
        command = [*python, "benchmarks.speed", "methods", *on, "--precision", precision]
        yield Part(f"speed-{precision}", [*command, *small, *graphs, *record], share * left())


def can_record(printed: str) -> bool:
    """Return whether tests were run to the end, and none of recorded passes failed."""
    lines = printed.splitlines()
    failed = [line for line in lines if line.startswith(("FAILED", "ERROR")) and GRAPHS in line]
    return not failed and any(" passed" in line for line in lines)


def run(part: Part, path: Path) -> str:
    """Run a part, and end it when its time is up; return what became of it."""
    with path.open("w", encoding="utf-8") as file:
        try:
            done = subprocess.run(
                part.command,
                cwd=ROOT,
                stdout=file,
                stderr=subprocess.STDOUT,
                timeout=max(1.0, part.seconds),
            )
        except subprocess.TimeoutExpired:
            return f"ended after {part.seconds:.0f} s"
    return "" if done.returncode == 0 else f"exit status {done.returncode}"


def main(argv: list[str] | None = None) -> int:
    """Run all parts; give 1 if one of them failed or was ended."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.card", description=__doc__.splitlines()[0]
    )
    parser.add_argument("--data", type=Path, required=True, help="where the CIFAR files are")
    parser.add_argument("--out", type=Path, required=True, help="where all of it is left")
    parser.add_argument("--seconds", type=float, default=540.0, help="in all (default: 540)")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--suite", default="cifar10_lt_card")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these rows only")
    # two keep a card busy that replays its passes, and leave M2m half of it
    parser.add_argument("--jobs", type=int, default=2, help="rows at once (default: 2)")
    parser.add_argument("--quick", action="store_true", help="speeds of a small setting")
    options = parser.parse_args(argv)
    options.out = options.out.resolve()
    options.data = options.data.resolve()
    options.out.mkdir(parents=True, exist_ok=True)
    end, n_bad = time.monotonic() + options.seconds, 0
    print(machine(options.jobs, options.device), flush=True)

    def left() -> float:
        return end - time.monotonic()

    def tests() -> str:
        return (options.out / "tests.txt").read_text(encoding="utf-8")

    for part in parts(options, left, tests):
        print(f"== {part.name}, {left():.0f} s left", flush=True)
        path = options.out / f"{part.name}.txt"
        said = run(part, path)
        n_bad += bool(said)
        lines = path.read_text(encoding="utf-8").splitlines()
        print("\n".join([*(line[:200] for line in lines[-25:]), said]).rstrip(), flush=True)
    return min(n_bad, 1)


if __name__ == "__main__":
    sys.exit(main())
