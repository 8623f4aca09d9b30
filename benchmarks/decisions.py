"""The suite on decisions for many classes: priors, offsets, costs, and what to do on text.

    python -m benchmarks.decisions FOLDER [--reuters PATH] [--repeats 1]
    python -m benchmarks.decisions FOLDER --reuters PATH --only car Reuters-36 --classifiers LR
    python -m benchmarks.decisions FOLDER --table-only

FOLDER holds .npz files with X and y, of which those with more than two classes count; PATH holds
r52-train.txt and r52-test.txt. A record is a classifier on a data set in a repeat, with all
decisions or with all priors, or, for texts, a way of treating the training data. What is recorded
is not run again.
"""

from __future__ import annotations

import argparse
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import Memory
from sklearn.metrics import balanced_accuracy_score, f1_score, log_loss

from benchmarks.decisions_data import N_FOLDS, Data, load_data
from benchmarks.decisions_report import write_report
from benchmarks.decisions_rows import (
    CLASSIFIERS,
    COST_ROWS,
    PRIORS,
    ROWS,
    Answer,
    Fitted,
    draw_costs,
    ratios,
    shift,
)
from benchmarks.decisions_text import WAYS, run_way
from benchmarks.provenance import commit, machine, source_hash, versions
from benchmarks.records import RecordFile, run_key
from ltresample.decisions import mean_cost

__all__ = ["main"]

HERE = Path(__file__).parent
N_COSTS = 5
KINDS_OF_COSTS = ("even", "inverse")
REPEATS_OF_WAYS = 3


class Task(NamedTuple):
    """One record to make."""

    data: Data
    repeat: int
    key: str
    kind: str  # of `RUNS`
    name: str  # of the classifier, or of the way


def run_decisions(data: Data, name: str, repeat: int) -> dict[str, Any]:
    """Make all decisions on all splits of a repeat, and score what they say together."""
    classifier = CLASSIFIERS[data.kind][name]()
    costs = costs_of(data)
    answers: dict[str, list[Answer]] = {}
    decided: dict[str, dict[str, list[np.ndarray]]] = {name: {} for name in costs}
    passed, tests, seconds = [], [], {}
    for split in data.splits(repeat):
        with TemporaryDirectory() as folder:
            own = Fitted(classifier, split, Memory(folder, verbose=0))
            tests.append(split.y_test)
            for name, decide in ROWS.items():
                began = time.process_time()
                answers.setdefault(name, []).append(decide(own))
                seconds[name] = seconds.get(name, 0.0) + time.process_time() - began
            for which, matrix in costs.items():
                for name, choose in COST_ROWS.items():
                    decided[which].setdefault(name, []).append(choose(own, matrix))
            passed.append((ratios(own) >= 1).sum(axis=1))
    y = np.concatenate(tests)
    for which in costs:  # decisions that do not know the costs have some, too
        decided[which] |= {name: [part.labels for part in of] for name, of in answers.items()}
    n_passed = np.concatenate(passed)
    return {
        "scores": {name: scored(y, of) for name, of in answers.items()},
        "costs": {
            which: {
                name: mean_cost(
                    y,
                    np.concatenate(labels),
                    cost_matrix=matrix,
                    labels=np.arange(data.n_classes),
                )
                for name, labels in decided[which].items()
            }
            for which, matrix in costs.items()
        },
        "thresholds_passed": {
            "none": float((n_passed == 0).mean()),
            "one": float((n_passed == 1).mean()),
            "several": float((n_passed > 1).mean()),
        },
        "seconds": seconds,
    }


def costs_of(data: Data) -> dict[str, np.ndarray]:
    """Return the cost matrices of a data set by name, drawn from its hash."""
    counts = np.bincount(data.training_labels)
    seed = int(data.hash[:8], 16)
    return {
        f"{kind} {i}": draw_costs(counts / counts.sum(), [seed, i], inverse=kind == "inverse")
        for kind in KINDS_OF_COSTS
        for i in range(N_COSTS)
    }


def scored(y: np.ndarray, answers: list[Answer]) -> dict[str, float]:
    """Score decisions, and probabilities at the training prior."""
    labels = np.concatenate([part.labels for part in answers])
    proba = np.concatenate([part.proba for part in answers])
    return {
        "accuracy": float((labels == y).mean()),
        "bacc": float(balanced_accuracy_score(y, labels)),
        "f1": float(f1_score(y, labels, average="macro", zero_division=0)),
        "worst": float(min((labels[y == k] == k).mean() for k in np.unique(y))),
        "log_loss": surprise(y, proba),
    }


def surprise(y: np.ndarray, proba: np.ndarray) -> float:
    """Return the log loss; a probability below 1e-7 is taken for 1e-7, as a forest gives zeros."""
    proba = np.maximum(proba, 1e-7)
    proba /= proba.sum(axis=1, keepdims=True)
    return float(log_loss(y, proba, labels=np.arange(proba.shape[1])))


def run_priors(data: Data, name: str, repeat: int) -> dict[str, Any]:
    """Score probabilities on test rows that were drawn to another prior, and on those as they are.

    The error of the shares is the total variation between the mean probabilities, which are the
    estimated shares where shares are estimated, and the prior.
    """
    splits, parts = data.splits(repeat), []
    for split in splits:
        y, K = split.y_test, data.n_classes
        prior, rows = shift(y, K, np.random.default_rng(split.seed))
        with TemporaryDirectory() as folder:
            own = Fitted(CLASSIFIERS[data.kind][name](), split, Memory(folder, verbose=0))
            shares = np.bincount(y, minlength=K) / len(y)
            parts.append(
                {
                    "shifted": _priors_on(own, rows, prior),
                    "as they are": _priors_on(own, np.arange(len(y)), shares),
                }
            )
    return {"priors": merged(parts), "n_rows": int(np.median([len(s.y_test) for s in splits]))}


def _priors_on(own: Fitted, rows: np.ndarray, prior: np.ndarray) -> dict[str, dict[str, float]]:
    y, out = own.split.y_test[rows], {}
    for name, answer in PRIORS.items():
        proba = answer(own, rows, prior)
        out[name] = {
            "accuracy": float((proba.argmax(axis=1) == y).mean()),
            "log_loss": surprise(y, proba),
            "share_error": float(np.abs(proba.mean(axis=0) - prior).sum() / 2),
        }
    return out


def merged(parts: list[dict]) -> dict[str, Any]:
    """Return means over splits of nested dictionaries of numbers."""
    first = parts[0]
    if not isinstance(first, dict):
        return float(np.mean(parts))
    return {name: merged([part[name] for part in parts]) for name in first}


RUNS: dict[str, Callable[[Data, str, int], dict[str, Any]]] = {
    "decisions": run_decisions,
    "priors": run_priors,
    "text": run_way,
}


def record(task: Task) -> dict[str, Any]:
    """Make one record."""
    torch.set_num_threads(1)
    began = time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # classes with few rows, linear models that end early
        result = RUNS[task.kind](task.data, task.name, task.repeat)
    return {
        "key": task.key,
        "kind": task.kind,
        "data": task.data.name,
        "of": task.data.kind,
        "name": task.name,
        "repeat": task.repeat,
        "n": len(task.data.y),
        "class_counts": np.bincount(task.data.training_labels).tolist(),
        "n_test": None if task.data.train is None else len(task.data.y) - len(task.data.train),
        "same_prior": task.data.same_prior,
        "data_sha256": task.data.hash,
        **result,
        "cpu_seconds": time.process_time() - began,
        "versions": versions(),
        **commit(),
        "source_sha256": source_hash(),
        "machine": machine(1),
    }


def missing_tasks(options: argparse.Namespace, found: list[Data], done: set[str]) -> list[Task]:
    """List what is to do, repeat by repeat: decisions, then priors, then ways to treat texts."""
    tasks = []
    for kind, rows in {"decisions": [*ROWS, *COST_ROWS], "priors": [*PRIORS]}.items():
        for repeat in range(options.repeats):
            for data in (data for data in found if repeat < data.n_repeats(options.repeats)):
                for name, make in CLASSIFIERS[data.kind].items():
                    spec = {
                        "kind": kind,
                        "classifier": repr(make()),
                        "rows": rows,
                        "folds": N_FOLDS,
                    }
                    if kind == "decisions":
                        spec["n_costs"] = N_COSTS
                    tasks.append(Task(data, repeat, run_key(spec, repeat, data.hash), kind, name))
    for repeat in range(REPEATS_OF_WAYS):
        for data in (data for data in found if data.kind == "text"):
            for name, way in WAYS.items():
                if repeat >= data.n_repeats(REPEATS_OF_WAYS) and not way.random:
                    continue
                spec = {"kind": "text", "way": repr(way.make(0)), "folds": N_FOLDS}
                tasks.append(Task(data, repeat, run_key(spec, repeat, data.hash), "text", name))
    wanted = options.classifiers or {task.name for task in tasks}
    kinds = options.kinds or list(RUNS)
    return [
        task
        for task in tasks
        if task.key not in done
        and task.kind in kinds
        and (task.kind == "text" or task.name in wanted)
    ]


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.decisions", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="where the .npz files are")
    parser.add_argument("--reuters", type=Path, help="where the two files of Reuters-52 are")
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a table")
    parser.add_argument("--repeats", type=int, default=1, help="of the cross-validation")
    parser.add_argument("--only", nargs="+", default=[], metavar="DATA", help="these sets only")
    parser.add_argument("--classifiers", nargs="+", default=[], metavar="NAME")
    parser.add_argument("--kinds", nargs="+", default=[], choices=list(RUNS), help="of records")
    parser.add_argument("--records", type=Path, default=HERE / "records", metavar="DIR")
    parser.add_argument("--tables", type=Path, default=HERE / "tables", metavar="DIR")
    parser.add_argument("--table-only", action="store_true", help="run nothing, write the tables")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run what is missing and write the tables."""
    options = arguments(argv)
    with RecordFile(options.records / "decisions.jsonl").opened() as file:
        tasks = [] if options.table_only else missing_tasks(options, chosen(options), file.keys)
        print(f"decisions: {len(file.records)} recorded, {len(tasks)} to do", flush=True)
        for task in tasks:
            file.append(done := record(task))
            print(
                f"{done['kind']}: {done['data']}, {done['name']}, repeat {done['repeat']}: "
                f"{done['cpu_seconds']:.0f} s",
                flush=True,
            )
        records = file.records
    if records:
        write_report(records, options.tables)
    return 0


def chosen(options: argparse.Namespace) -> list[Data]:
    """Load the data sets that were asked for."""
    found = load_data(options.folder, options.reuters, options.rows)
    unknown = set(options.only) - {data.name for data in found}
    if unknown:
        raise SystemExit(
            f"--only must name data sets: {', '.join(data.name for data in found)}. "
            f"Got {', '.join(sorted(unknown))}."
        )
    return [data for data in found if not options.only or data.name in options.only]


if __name__ == "__main__":
    raise SystemExit(main())
