"""Time and memory of ``fit_resample``, as ratios to SMOTE.

`digits` needs no files; `reuters` fills Reuters-36 to balance. `tables` takes a folder of tables,
imputed and standardised, with the samplers of `benchmarks.tabular` and the recipe of
`ResampledClassifier`; ratios are medians over tables and rounds. `recipe` fits boosted trees with
and without it. Memory is measured in processes of their own, on a dense table of 55,000 x 100
numbers with a tenth in the second class.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE
from sklearn.base import clone

from benchmarks.speed.turns import Case, Way, cpu_seconds
from ltresample.datasets import fetch_reuters36
from ltresample.over_sampling import DistributionMatchingOversampler, M2mSampler, OTMixSampler

# glibc keeps much of what is freed, more or less of it from run to run: with these it gives it back,
# so that what is measured is in use
GIVEN_BACK = {
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_MMAP_THRESHOLD_": "262144",
    "MALLOC_TRIM_THRESHOLD_": "262144",
}
SAMPLERS = {
    "SMOTE": lambda: SMOTE(k_neighbors=3, random_state=0),
    "M2m": lambda: M2mSampler(random_state=0),
    "DM": lambda: DistributionMatchingOversampler(random_state=0),
}
TABLES = ("SMOTE", "ROS", "M2m", "DM", "OTMix", "SAFA")


def reuters(options: argparse.Namespace) -> dict[str, Way]:
    """Return the samplers on Reuters-36."""
    data = fetch_reuters36(path=options.path, encoding="log1p")
    X, y = data.X_train.toarray(), data.y_train

    def way(name: str) -> Way:
        return lambda: cpu_seconds(lambda: SAMPLERS[name]().fit_resample(X, y))

    return {name: way(name) for name in SAMPLERS}


def digits(options: argparse.Namespace) -> dict[str, Way]:
    """Return all samplers on long-tailed digits, which need no files."""
    from sklearn.datasets import load_digits

    from ltresample.datasets import make_long_tailed

    X, y = load_digits(return_X_y=True)
    X, y = make_long_tailed(X / 16, y, imbalance_factor=20, random_state=0)
    made = {**SAMPLERS, "OTMix": lambda: OTMixSampler(random_state=0)}
    return {
        name: lambda make=make: cpu_seconds(lambda: make().fit_resample(X, y))
        for name, make in made.items()
    }


def memory(options: argparse.Namespace) -> list[str]:
    """Return the peak above the input over the size of the output, for each sampler."""
    lines = ["", "Memory in use: peak above the input / size of the output"]
    for name in SAMPLERS if options.memory else ():
        command = [sys.executable, "-m", "benchmarks.speed.sampling", name]
        own = {**os.environ, **GIVEN_BACK}
        out = subprocess.run(command, capture_output=True, text=True, check=True, env=own).stdout
        told = json.loads(out.splitlines()[-1])
        lines.append(f"{name:8}{told['above_input'] / told['output']:8.2f} x")
    return lines if options.memory else []


def peak_memory(name: str) -> dict[str, int]:
    """Measure the peak above the input in this process, in bytes."""
    import psutil

    rng = np.random.default_rng(0)
    X = rng.normal(size=(55_000, 100))
    y = (np.arange(len(X)) >= 50_000).astype(int)
    X[y == 1] += 0.5
    SAMPLERS[name]().fit_resample(X[::50], y[::50])  # libraries load and warm up
    process = psutil.Process()
    start, peak, done = process.memory_info().rss, [0], threading.Event()

    def watch() -> None:
        while not done.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    X_new, _ = SAMPLERS[name]().fit_resample(X, y)
    done.set()
    watcher.join()
    return {"above_input": peak[0] - start, "output": X_new.nbytes}


def tables(options: argparse.Namespace) -> dict[str, Way]:
    """Return the samplers on all tables of a folder; a way takes one number of seconds a table."""
    problems = [
        _samplers_of(path, options.rows)
        for path in sorted(options.folder.glob("*.npz"))[:: options.every]
    ]
    if not problems:
        raise ValueError(f"{options.folder} must hold .npz files with X and y. Got none.")

    def way(name: str) -> Way:
        return lambda: np.array([cpu_seconds(own[name]) for own in problems])

    return {name: way(name) for name in problems[0]}


def recipe(options: argparse.Namespace) -> dict[str, Way]:
    """Return boosted trees, and the recipe and the choice around them, at two sizes."""
    from sklearn.datasets import make_classification
    from sklearn.ensemble import HistGradientBoostingClassifier

    from ltresample.over_sampling import ResampledClassifier

    trees = HistGradientBoostingClassifier(random_state=0)
    models = {
        "HGB": trees,
        "recipe of ResampledClassifier": ResampledClassifier(trees, random_state=0),
        "sampler='auto'": ResampledClassifier(trees, "auto", random_state=0),
    }
    problems = [
        make_classification(n, d, n_informative=d // 2, weights=[0.9], random_state=0)
        for n, d in ((1000, 20), (10_000, 50))
    ]

    def way(name: str) -> Way:
        fits = [lambda X=X, y=y: clone(models[name]).fit(X, y) for X, y in problems]
        return lambda: np.array([cpu_seconds(fit) for fit in fits])

    return {name: way(name) for name in models}


def _samplers_of(path: Path, max_rows: int) -> dict[str, Any]:
    """Return what resamples one table, by the name of the sampler."""
    from sklearn.impute import SimpleImputer
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    from benchmarks.tabular import read_table
    from benchmarks.tabular_rows import ROWS, Fold
    from ltresample.over_sampling import ResampledClassifier

    table = read_table(str(path), max_rows)
    X = make_pipeline(SimpleImputer(), StandardScaler()).fit_transform(table.X)
    fold = Fold(X, table.y, 0)
    recipe = ResampledClassifier(random_state=0).fit(X, table.y).sampler_
    makers = {name: ROWS[name].sampler for name in TABLES}
    made = {name: lambda make=make: make(fold) for name, make in makers.items()}
    made["recipe of ResampledClassifier"] = lambda: clone(recipe)
    return {name: lambda make=make: make().fit_resample(X, table.y) for name, make in made.items()}


def _add_reuters(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--path", help="folder of the two Reuters files; default: download")
    parser.add_argument("--memory", action="store_true", help="measure memory, too")


def _add_tables(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("folder", type=Path, help="where the .npz files are")
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a table")
    parser.add_argument("--every", type=int, default=1, help="each n-th table only")


DIGITS = Case("fit_resample on long-tailed digits", digits)
CASES = {
    "reuters": Case("fit_resample on Reuters-36", reuters, _add_reuters, memory, rounds=3),
    "tables": Case("fit_resample on a folder of tables", tables, _add_tables, rounds=3),
    "recipe": Case(
        "boosted trees, the recipe and the choice, 1,000 x 20 and 10,000 x 50", recipe, rounds=3
    ),
}


if __name__ == "__main__":
    print(json.dumps(peak_memory(sys.argv[1])))
