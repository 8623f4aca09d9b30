"""Measure a case, or compare two commits on several.

    python -m benchmarks.speed                           # names the cases
    python -m benchmarks.speed m2m --rounds 5 --threads 1
    python -m benchmarks.speed reuters --path FOLDER --record speed.jsonl
    python -m benchmarks.speed methods --device cuda     # all methods on a device, and its limits
    python -m benchmarks.speed paired --against COMMIT   # this checkout beside another commit

Ways of doing a thing take turns within one run, in processor seconds; what is printed are medians,
and medians of the ratios to the first way, taken in pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from threadpoolctl import threadpool_limits

from benchmarks.provenance import commit, machine, source_hash, versions
from benchmarks.speed import methods, paired
from benchmarks.speed.cases import CASES
from benchmarks.speed.turns import Case, table, take_turns


def parser_of(name: str, case: Case) -> argparse.ArgumentParser:
    """Return the command line of a case: its own options and those of all cases."""
    parser = argparse.ArgumentParser(
        prog=f"python -m benchmarks.speed {name}", description=case.title
    )
    parser.add_argument("--rounds", type=int, default=case.rounds, help="%(default)s by default")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--record", type=Path, metavar="FILE", help="append a line of JSON")
    case.add_options(parser)
    return parser


def run_case(name: str, case: Case, argv: list[str]) -> int:
    """Measure a case, print its table, and append its record."""
    options = parser_of(name, case).parse_args(argv)
    torch.set_num_threads(options.threads)
    warnings.simplefilter("ignore")  # guides have learned nothing, solvers do not converge
    with threadpool_limits(options.threads):
        seconds = take_turns(case.ways(options), options.rounds)
        print(
            f"{case.title}: {options.rounds} rounds, {options.threads} thread(s), "
            f"torch {torch.__version__}"
        )
        print("\n".join([*table(seconds), *case.more(options)]))
    if options.record:
        append(options, name, {way: values.tolist() for way, values in seconds.items()})
    return 0


def append(options: argparse.Namespace, name: str, seconds: dict[str, Any]) -> None:
    """Append a line of JSON: the case, its options, seconds, and where they come from."""
    settings = {key: str(value) for key, value in vars(options).items() if key != "record"}
    record = {"benchmark": name, "settings": settings, "seconds": seconds, "versions": versions()}
    record |= {**commit(), "source_sha256": source_hash(), "machine": machine(options.threads)}
    record["finished"] = datetime.now(UTC).isoformat(timespec="seconds")
    with options.record.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def main(argv: list[str] | None = None) -> int:
    """Run a case; return 0, 1 if a comparison failed, 2 for a wrong argument."""
    name, *rest = sys.argv[1:] if argv is None else argv or ["--help"]
    others = {"methods": methods.main, "paired": paired.main}
    try:
        if name in others:
            return others[name](rest)
        if name in CASES:
            return run_case(name, CASES[name], rest)
    except (ValueError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    titles = {key: case.title for key, case in CASES.items()}
    titles |= {"methods": "all methods on a device", "paired": "two commits, in turns"}
    print(f"usage: python -m benchmarks.speed CASE [--help] ...\n\n{'CASE':18}measures")
    print("\n".join(f"{key:18}{title}" for key, title in titles.items()))
    return 0 if name in ("-h", "--help") else 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
