"""Audit synthetic rows with another package: are they valid, and do they tell anything new.

    python -m benchmarks.audit FOLDER            # needs: pip install resample-audit
    python -m benchmarks.audit FOLDER --table-only

`resample-audit` (arXiv 2607.20787) generates from one half of the data and asks for the nearest
neighbour of each new row in the other half: ER_split is the share of majority neighbours. On
overlapping data real rows have such neighbours, too, so that what duplicates get is the floor, and what
is told here is the excess over RandomOverSampler. Its second question is whether logistic regression on
the resampled rows is ahead of the best trivial remedy (none, class weights, a moved threshold) in F1,
and of no sampler in the area under the precision-recall curve. Binary tables with at least 12 rows in
the smaller class.
"""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.provenance import commit, machine, source_hash, versions
from benchmarks.ranks import compare
from benchmarks.records import RecordFile, run_key
from benchmarks.tabular import HERE, Table, read_table
from benchmarks.tabular_rows import ROWS, Fold

__all__ = ["main", "report"]

SAMPLERS = ("ROS", "SMOTE", "G-SMOTE", "M2m", "DM")
SMALLEST = 12  # what the audit asks for
SCORES = {"er_split": "ER_split", "info_gain": "F1", "delta_pr_auc": "PR-AUC"}


class Sampling:
    """A row's sampler with the audit's interface, made anew for the data that it is given."""

    def __init__(self, make: Callable[[Fold], Any]):
        self.make = make

    def fit_resample(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Resample with a fixed seed."""
        return self.make(Fold(X, y.astype(int), 0)).fit_resample(X, y.astype(int))


def audited(table: Table, name: str) -> dict[str, float]:
    """Return what the audit says about a sampler on a table."""
    from resample_audit import audit

    X = make_pipeline(SimpleImputer(), StandardScaler()).fit_transform(table.X)
    told = audit(X, table.y, lambda: Sampling(ROWS[name].sampler), n_query=500)
    return {score: float(getattr(told, score)) for score in SCORES}


def record(path: str, name: str, key: str, max_rows: int) -> dict[str, Any]:
    """Make one record."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table = read_table(path, max_rows)
    about = {"table": table.name, "row": name, "data_sha256": table.hash, "max_rows": max_rows}
    about |= {"versions": versions(), **commit(), "source_sha256": source_hash()}
    return {"key": key, **about, "scores": audited(table, name), "machine": machine(1)}


def report(records: list[dict]) -> list[str]:
    """Return a table in Markdown: means, and excess over RandomOverSampler."""
    of: dict[str, dict[str, dict]] = {}
    for own in records:
        of.setdefault(own["row"], {})[own["table"]] = own["scores"]
    tables = sorted(set.intersection(*(set(own) for own in of.values())))
    head = [f"{name} | over ROS | p" for name in SCORES.values()]
    lines = [f"| sampler | {' | '.join(head)} |", "|" + "---|" * (1 + 3 * len(SCORES))]
    for name, own in of.items():
        cells = [name]
        for score in SCORES:
            mine, floor = (np.array([x[t][score] for t in tables]) for x in (own, of["ROS"]))
            pair = compare(mine, floor)
            gap = ["", ""] if name == "ROS" else [f"{pair.difference:+.3f}", f"{pair.p:.3f}"]
            cells += [f"{mine.mean():.3f}", *gap]
        lines.append(f"| {' | '.join(cells)} |")
    about = (
        f"{len(tables)} binary tables. ER_split: share of new rows whose nearest row in data that the "
        "sampler has not seen is of the majority; smaller is better, and what duplicates (ROS) get is "
        "the floor. F1 over the best of no sampler, class weights and a moved threshold, and PR-AUC "
        "over no sampler, both of logistic regression; larger is better."
    )
    return ["# Audit of synthetic rows", "", about, "", *lines, ""]


def main(argv: list[str] | None = None) -> int:
    """Audit what is missing and write the table."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.audit", description=__doc__.splitlines()[0]
    )
    parser.add_argument("folder", type=Path, help="where the .npz files are")
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a table")
    parser.add_argument("--jobs", type=int, default=2, help="records made at once")
    parser.add_argument(
        "--only", nargs="+", default=list(SAMPLERS), choices=SAMPLERS, metavar="ROW"
    )
    parser.add_argument("--records", type=Path, default=HERE / "records", metavar="DIR")
    parser.add_argument("--tables", type=Path, default=HERE / "tables", metavar="DIR")
    parser.add_argument("--table-only", action="store_true", help="run nothing, write the table")
    options = parser.parse_args(argv)
    with RecordFile(options.records / "audit.jsonl").opened() as file:
        tasks = []
        for path in () if options.table_only else sorted(options.folder.glob("*.npz")):
            table = read_table(str(path), options.rows)
            counts = np.bincount(table.y)
            if len(counts) != 2 or counts.min() < SMALLEST:
                continue
            for name in options.only:
                key = run_key({"audit": name, "rows": options.rows}, 0, table.hash)
                if key not in file.keys:
                    tasks.append((str(path), name, key, options.rows))
        print(f"audit: {len(file.records)} recorded, {len(tasks)} to do", flush=True)
        run = Parallel(options.jobs, return_as="generator_unordered")
        for done in run(delayed(record)(*task) for task in tasks):
            file.append(done)
        records = file.records
    if records:
        options.tables.mkdir(parents=True, exist_ok=True)
        (options.tables / "audit.md").write_text("\n".join(report(records)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
