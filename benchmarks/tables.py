"""A first look at tables: acceptance and balanced accuracy of the samplers' default settings.

    python -m benchmarks.tables FOLDER [--rows 3000] [--jobs 2] [--out tables.jsonl]

FOLDER holds .npz files with X and y. Five-fold cross-validation, samplers inside the folds,
classifiers logistic regression and histogram gradient boosting. Each line of the output file is one
table; tables that are in it are skipped.
"""

from __future__ import annotations

import argparse
import json
import pathlib
import time
import warnings

import numpy as np
import torch
from imblearn.over_sampling import SMOTE, RandomOverSampler
from joblib import Parallel, delayed
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ltresample import DistributionMatchingOversampler, M2mSampler
from ltresample.datasets import load_table
from ltresample.prior_correction import PriorCorrectedClassifier

CLASSIFIERS = {
    "LR": lambda: make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000)),
    "HGB": lambda: HistGradientBoostingClassifier(max_iter=50, random_state=0),
}


def samplers(seed: int, smallest: int) -> dict:
    """Return a sampler, or None, for each column."""
    return {
        "none": None,
        "ROS": RandomOverSampler(random_state=seed),
        "SMOTE": SMOTE(k_neighbors=max(1, min(5, smallest - 1)), random_state=seed),
        "M2m": M2mSampler(random_state=seed),
        "DM": DistributionMatchingOversampler(random_state=seed),
        "M2m paper": M2mSampler(preset="paper", random_state=seed),
        "DM paper": DistributionMatchingOversampler(preset="paper", random_state=seed),
    }


def one_fold(X, y, train, test, seed: int, rivals) -> dict:
    """Score all samplers on one fold."""
    X_test, y_test = X[test], y[test]
    smallest = int(np.unique(y[train], return_counts=True)[1].min())
    result = {}
    for name, sampler in rivals(seed, smallest).items():
        began = time.perf_counter()
        try:
            data = (
                (X[train], y[train])
                if sampler is None
                else sampler.fit_resample(X[train], y[train])
            )
        except ValueError as err:  # SMOTE refuses classes with one sample
            result[name] = {"error": str(err)[:80]}
            continue
        entry = {"seconds": time.perf_counter() - began}
        rates = getattr(sampler, "acceptance_rate_", None)
        if rates is not None:
            entry["accepted"] = float(np.median(list(rates.values())))
        for kind, make in CLASSIFIERS.items():
            model = PriorCorrectedClassifier(make()).fit(*data)
            entry[f"{kind} prior-corrected"] = balanced_accuracy_score(
                y_test, model.predict(X_test)
            )
            plain = model.estimator_.predict(X_test)
            entry[kind] = balanced_accuracy_score(y_test, plain)
        result[name] = entry
    return result


def one_table(path: str, max_rows: int, rivals=samplers) -> dict:
    """Score all folds of a table; a larger table is cut to a stratified part."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table = load_table(path)
    X = SimpleImputer().fit_transform(table.X)
    y = np.asarray(table.y)
    if len(y) > max_rows:
        rng = np.random.default_rng(0)
        part = np.sort(rng.permutation(len(y))[:max_rows])
        X, y = X[part], y[part]
    labels, counts = np.unique(y, return_counts=True)
    keep = np.isin(y, labels[counts >= 5])
    X, y = X[keep], y[keep]
    folds = StratifiedKFold(5, shuffle=True, random_state=0).split(X, y)
    results = [
        one_fold(X, y, train, test, seed, rivals) for seed, (train, test) in enumerate(folds)
    ]
    mean = {
        name: {
            key: float(np.mean([r[name][key] for r in results]))
            for key in results[0][name]
            if all(key in r[name] for r in results) and key != "error"
        }
        for name in results[0]
    }
    return {"table": pathlib.Path(path).stem, "n": len(y), "d": X.shape[1], "scores": mean}


def summary(lines: list[dict]) -> None:
    """Print means over tables."""
    names = list(lines[0]["scores"])
    keys = [
        "accepted",
        "seconds",
        *(f"{k}{p}" for k in CLASSIFIERS for p in ("", " prior-corrected")),
    ]
    print(f"{len(lines)} tables; acceptance and seconds: medians; bACC: means")
    print(f"{'':12}" + "".join(f"{key:>21}" for key in keys))
    for name in names:
        cells = []
        for key in keys:
            scores = [line["scores"].get(name, {}) for line in lines]
            values = [score[key] for score in scores if key in score]
            middle = np.nanmedian if key in ("accepted", "seconds") else np.mean
            scale = 1 if key in ("accepted", "seconds") else 100
            cells.append(f"{scale * middle(values):.2f}" if values else "-")
        print(f"{name:12}" + "".join(f"{cell:>21}" for cell in cells))


def main(description: str = __doc__, rivals=samplers, out: str = "tables.jsonl") -> None:
    """Run what is missing and print the summary."""
    parser = argparse.ArgumentParser(description=description.splitlines()[0])
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--rows", type=int, default=3000)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--every", type=int, default=1, help="each n-th table only")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path(out))
    arguments = parser.parse_args()
    done = {}
    if arguments.out.exists():
        lines = [json.loads(line) for line in arguments.out.read_text().splitlines()]
        done = {line["table"]: line for line in lines}
    chosen = sorted(arguments.folder.glob("*.npz"))[:: arguments.every]
    paths = [p for p in chosen if p.stem not in done]
    run = Parallel(arguments.jobs, return_as="generator_unordered")
    with arguments.out.open("a") as out:
        for line in run(delayed(one_table)(str(path), arguments.rows, rivals) for path in paths):
            out.write(json.dumps(line) + "\n")
            out.flush()
            done[line["table"]] = line
    summary(list(done.values()))


if __name__ == "__main__":
    main()
