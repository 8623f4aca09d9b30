"""The suite on tables: samplers and their rivals with six classifiers.

    python -m benchmarks.tabular FOLDER [--rows 1000] [--repeats 3] [--jobs 2]
    python -m benchmarks.tabular FOLDER --group forests --only none SMOTE ROS
    python -m benchmarks.tabular FOLDER --classifiers HGB RF --only auto
    python -m benchmarks.tabular FOLDER --table-only

FOLDER holds .npz files with X and y. Each record is one row (a sampler or a rival) on one table in
one repeat of a stratified five-fold cross-validation. Samplers see training folds only, and one run
of a sampler serves all classifiers. What is recorded is not run again.
"""

from __future__ import annotations

import argparse
import hashlib
import time
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, balanced_accuracy_score, f1_score, log_loss
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import has_fit_parameter

from benchmarks.provenance import commit, machine, source_hash, versions
from benchmarks.records import RecordFile, run_key
from benchmarks.tabular_report import write_report
from benchmarks.tabular_rows import CLASSIFIERS, FORESTS, ROWS, Fold, Row
from ltresample.datasets import load_table
from ltresample.metrics import calibration_error, geometric_mean
from ltresample.over_sampling import ChoiceReport, to_weighted_pairs

__all__ = ["main"]

HERE = Path(__file__).parent
N_FOLDS = 5


class Table(NamedTuple):
    """A table, cut to a number of rows, of classes with a sample for each fold."""

    name: str
    X: np.ndarray
    y: np.ndarray  # 0 .. K-1
    hash: str


class Task(NamedTuple):
    """One record to make."""

    path: str
    row: str
    repeat: int
    max_rows: int
    key: str
    classifiers: tuple[str, ...]


def groups() -> dict[str, dict]:
    """Return the classifiers that are recorded together, by the name of the group."""
    return {"first": CLASSIFIERS, "forests": FORESTS}


def makers(names: Iterable[str]) -> dict[str, Any]:
    """Return what makes the named classifiers."""
    every = {name: make for group in groups().values() for name, make in group.items()}
    return {name: every[name] for name in names}


def read_table(path: str, max_rows: int) -> Table:
    """Load a table; of a larger one a random part is taken."""
    table = load_table(path)
    X, y = np.asarray(table.X, dtype=np.float64), np.asarray(table.y)
    if len(y) > max_rows:
        part = np.sort(np.random.default_rng(0).permutation(len(y))[:max_rows])
        X, y = X[part], y[part]
    labels, counts = np.unique(y, return_counts=True)
    keep = np.isin(y, labels[counts >= N_FOLDS])
    X, y = X[keep], np.unique(y[keep], return_inverse=True)[1]
    digest = hashlib.sha256(np.ascontiguousarray(X).tobytes() + y.tobytes()).hexdigest()[:16]
    return Table(table.name, X, y, digest)


def run_row(
    table: Table, row: Row, repeat: int, classifiers: dict[str, Any] | None = None
) -> dict[str, Any]:
    """Run a row through all folds, and score what the folds together say."""
    classifiers = CLASSIFIERS if classifiers is None else classifiers
    first = next(iter(classifiers))
    folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=repeat).split(table.X, table.y)
    n_classes = len(np.unique(table.y))
    proba: dict[tuple[str, str], list] = {}
    predicted: dict[tuple[str, str], list] = {}
    facts: list[dict] = []
    tests = []
    for number, (train, test) in enumerate(folds):
        prepare = make_pipeline(SimpleImputer(), StandardScaler()).fit(table.X[train])
        X_test = prepare.transform(table.X[test])
        fold = Fold(prepare.transform(table.X[train]), table.y[train], 100 * repeat + number)
        if fold.smallest < row.needs:
            facts.append({"left_out": 1})
            continue
        X, y, weight, fact = resampled(row, fold)
        facts.append(fact)
        if fact.get("left_out"):
            continue
        tests.append(table.y[test])
        for name, make in classifiers.items():
            if row.alone and name != first:  # the same for each classifier
                for part in (proba, predicted):
                    part.setdefault((name, "plain"), []).append(part[first, "plain"][-1])
                continue
            try:
                model = fitted(make(), row, X, y, weight, n_classes, fold.seed)
            except ValueError as err:  # a threshold cannot be tuned on constant answers
                if row.wrap is None:
                    raise
                fact["failed"] = f"{name}, {type(err).__name__}: {err}"[:120]
                model = None
            if model is None:
                continue
            if report := getattr(model, "choice_report_", None):
                fact["chosen"] = report.chosen
                fact["fits"] = fits_of(report)
            p = np.asarray(model.predict_proba(X_test), dtype=np.float64)
            outputs = {"plain": (p, model.predict(X_test))}
            if row.corrected:
                q = p / np.bincount(y, weights=weight, minlength=n_classes)
                q /= q.sum(axis=1, keepdims=True)
                outputs["corrected"] = (q, q.argmax(axis=1))
            for output, (own, label) in outputs.items():
                proba.setdefault((name, output), []).append(own)
                predicted.setdefault((name, output), []).append(label)
    scores: dict[str, dict] = {}
    if any(fact.get("left_out") for fact in facts):
        return {"scores": scores, **merged(facts)}
    for name, output in proba:
        ps, labels = proba[name, output], predicted[name, output]
        if len(ps) < len(tests):  # no answer in some fold
            continue
        scores.setdefault(name, {})[output] = scored(tests, ps, labels)
    return {"scores": scores, **merged(facts)}


def resampled(row: Row, fold: Fold) -> tuple[np.ndarray, np.ndarray, np.ndarray | None, dict]:
    """Run the sampler; one that refuses the data leaves them as they are, which is noted."""
    X, y, weight, fact = fold.X, fold.y, None, {}
    if row.weighted:
        weight = compute_sample_weight("balanced", y)
    sampler = None if row.sampler is None else row.sampler(fold)
    if row.sampler is not None and sampler is None:
        return X, y, None, {"left_out": 1}
    if sampler is not None:
        began = time.perf_counter()
        try:
            X, y = sampler.fit_resample(X, y)
        except (ValueError, RuntimeError) as err:
            fact["failed"] = f"{type(err).__name__}: {err}"[:120]
        fact["seconds"] = time.perf_counter() - began
        weight = getattr(sampler, "sample_weight_", None)
        weight = None if weight is None or (weight == 1).all() else weight
        if getattr(sampler, "soft_labels", False) and hasattr(sampler, "soft_targets_"):
            X, y, weight = to_weighted_pairs(X, sampler.soft_targets_, np.unique(y))
        rates = getattr(sampler, "acceptance_rate_", {})
        if rates:
            fact["accepted"] = float(np.mean(list(rates.values())))
        if hasattr(sampler, "is_synthetic_"):
            fact["synthetic"] = float(sampler.is_synthetic_.mean())
    fact["n_train"] = len(y)
    return X, y, weight, fact


def fitted(
    model: BaseEstimator,
    row: Row,
    X: np.ndarray,
    y: np.ndarray,
    weight: Any,
    n_classes: int,
    seed: int,
) -> BaseEstimator | None:
    """Fit a classifier; None where the row has no meaning for it."""
    if row.wrap is not None:
        model = row.wrap(model, n_classes, seed)
    takes = model is not None and has_fit_parameter(model, "sample_weight")
    if model is None or (row.weighted and not takes):
        return None
    return (
        model.fit(X, y, sample_weight=weight) if weight is not None and takes else model.fit(X, y)
    )


def scored(tests: list, proba: list, predicted: list) -> dict[str, float]:
    """Score out-of-fold answers; average precision is a mean over folds, the rest is pooled."""
    y, p, label = np.concatenate(tests), np.concatenate(proba), np.concatenate(predicted)
    classes = np.arange(p.shape[1])
    p = np.clip(np.nan_to_num(p, nan=1 / p.shape[1]), 1e-7, 1)
    p /= p.sum(axis=1, keepdims=True)
    return {
        "bacc": float(balanced_accuracy_score(y, label)),
        "gm": float(geometric_mean(y, label)),
        "f1": float(f1_score(y, label, average="macro", zero_division=0)),
        "ap": float(np.mean([precision(t, q) for t, q in zip(tests, proba, strict=True)])),
        "log_loss": float(log_loss(y, p, labels=classes)),
        "calibration": calibration_error(y, p, labels=classes),
        "brier": float(np.square(p - np.eye(len(classes))[y]).sum(axis=1).mean()),
        "slope": (slope := calibration_slope(y, p)),
        "slope_error": abs(slope - 1),
        "worst": float(min((label[y == k] == k).mean() for k in np.unique(y))),
    }


def calibration_slope(y: np.ndarray, proba: np.ndarray) -> float:
    """Return the slope of log-odds, 1 for calibrated probabilities, below 1 for those too sure.

    Logistic regression, without penalty, of "is of class k" on the log-odds of class k: of the
    second class of two, or of all classes together.
    """
    classes = [1] if proba.shape[1] == 2 else range(proba.shape[1])
    odds = np.concatenate([np.log(proba[:, k]) - np.log1p(-proba[:, k]) for k in classes])
    hit = np.concatenate([y == k for k in classes])
    odds = np.clip(np.nan_to_num(odds, posinf=16, neginf=-16), -16, 16)
    model = LogisticRegression(C=1e8, max_iter=1000).fit(odds[:, None], hit)
    return float(model.coef_[0, 0])


def precision(y: np.ndarray, proba: np.ndarray) -> float:
    """Return average precision: of the smaller class of two, or the mean over all classes."""
    n_classes = proba.shape[1]
    counts = np.bincount(y, minlength=n_classes)
    classes = [int(counts.argmin())] if n_classes == 2 else np.flatnonzero(counts)
    proba = np.nan_to_num(proba)
    return float(np.mean([average_precision_score(y == k, proba[:, k]) for k in classes]))


def merged(facts: list[dict]) -> dict[str, Any]:
    """Return medians over folds of what was noted."""
    out: dict[str, Any] = {"n_failed": sum("failed" in fact for fact in facts)}
    out["left_out"] = any("left_out" in fact for fact in facts)
    for name in ("seconds", "accepted", "synthetic", "n_train", "fits"):
        values = [fact[name] for fact in facts if name in fact]
        out[name] = float(np.median(values)) if values else None
    out["chosen"] = [fact["chosen"] for fact in facts if "chosen" in fact]
    return out


def fits_of(report: ChoiceReport) -> int:
    """Count how often the classifier was fitted for a choice, and with it at the end."""
    return 1 + report.n_splits * len({name.split(", ")[0] for name in report.names})


def record(task: Task) -> dict[str, Any]:
    """Make one record."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table = read_table(task.path, task.max_rows)
    began, processor = time.perf_counter(), time.process_time()
    result = run_row(table, ROWS[task.row], task.repeat, makers(task.classifiers))
    return {
        "key": task.key,
        "table": table.name,
        "row": task.row,
        "repeat": task.repeat,
        "classifiers": task.classifiers,
        "max_rows": task.max_rows,
        "n": len(table.y),
        "n_columns": table.X.shape[1],
        "class_counts": np.bincount(table.y).tolist(),
        "data_sha256": table.hash,
        **result,
        "total_seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - processor,
        "versions": versions(),
        **commit(),
        "source_sha256": source_hash(),
        "machine": machine(1),
    }


def missing_tasks(options: argparse.Namespace, done: set[str]) -> list[Task]:
    """List what is to do, repeat by repeat and table by table."""
    names = options.only or list(ROWS)
    paths = sorted(options.folder.glob("*.npz"))[options.first :: options.every]
    chosen = tuple(options.classifiers or groups()[options.group])
    models = {name: repr(make()) for name, make in makers(chosen).items()}
    hashes = {path: read_table(str(path), options.rows).hash for path in paths}
    tasks = []
    for repeat in range(options.first_repeat, options.repeats):
        for path in paths:
            for name in names:
                spec = {"row": name, "rows": options.rows, "folds": N_FOLDS, "models": models}
                key = run_key(spec, repeat, hashes[path])
                if key not in done:
                    tasks.append(Task(str(path), name, repeat, options.rows, key, chosen))
    return tasks


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.tabular", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="where the .npz files are")
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a table")
    parser.add_argument("--repeats", type=int, default=3, help="of the cross-validation")
    parser.add_argument("--first-repeat", type=int, default=0, help="leave out those before it")
    parser.add_argument("--jobs", type=int, default=2, help="records made at once")
    parser.add_argument("--every", type=int, default=1, help="each n-th table only")
    parser.add_argument("--first", type=int, default=0, help="first table, with --every")
    parser.add_argument("--group", default="first", choices=list(groups()), help="classifiers")
    parser.add_argument(
        "--classifiers",
        nargs="+",
        choices=[name for group in groups().values() for name in group],
        metavar="NAME",
        help="these alone, of any group, with records of their own",
    )
    parser.add_argument("--only", nargs="+", default=[], choices=list(ROWS), metavar="ROW")
    parser.add_argument("--records", type=Path, default=HERE / "records", metavar="DIR")
    parser.add_argument("--tables", type=Path, default=HERE / "tables", metavar="DIR")
    parser.add_argument("--table-only", action="store_true", help="run nothing, write the tables")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run what is missing and write the tables."""
    options = arguments(argv)
    with RecordFile(options.records / "tabular.jsonl").opened() as file:
        tasks = [] if options.table_only else missing_tasks(options, file.keys)
        print(f"tabular: {len(file.records)} recorded, {len(tasks)} to do", flush=True)
        run = Parallel(options.jobs, return_as="generator_unordered")
        for done in run(delayed(record)(task) for task in tasks):
            file.append(done)
        records = file.records
    if records:
        write_report(records, options.tables)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
