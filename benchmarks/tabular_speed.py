"""Seconds of ``fit_resample`` on a folder of tables, as ratios to SMOTE.

    python -m benchmarks.tabular_speed FOLDER [--rows 1000] [--every 1]

On each table the samplers of the suite on tables take turns, one thread; of three runs of each the
fastest counts. Printed are medians over tables.
"""

from __future__ import annotations

import argparse
import time
import warnings
from pathlib import Path

import numpy as np
import torch
from sklearn.base import clone
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.tabular import read_table
from benchmarks.tabular_rows import ROWS, Fold
from ltresample.over_sampling import ResampledClassifier

NAMES = ["SMOTE", "ROS", "M2m", "DM"]
N_RUNS = 3


def seconds_on(path: Path, max_rows: int) -> dict[str, float]:
    """Time all samplers on one table, imputed and standardised."""
    table = read_table(str(path), max_rows)
    X = make_pipeline(SimpleImputer(), StandardScaler()).fit_transform(table.X)
    fold = Fold(X, table.y, 0)
    model = ResampledClassifier(random_state=0)
    makers = {name: lambda name=name: ROWS[name].sampler(fold) for name in NAMES}
    recipe = model.fit(X, table.y).sampler_
    makers["recipe of ResampledClassifier"] = lambda: clone(recipe)
    best: dict[str, float] = {}
    for _ in range(N_RUNS):
        for name, make in makers.items():
            sampler = make()
            began = time.perf_counter()
            sampler.fit_resample(X, table.y)
            best[name] = min(best.get(name, np.inf), time.perf_counter() - began)
    return best


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where the .npz files are")
    parser.add_argument("--rows", type=int, default=1000, help="most rows of a table")
    parser.add_argument("--every", type=int, default=1, help="each n-th table only")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    paths = sorted(options.folder.glob("*.npz"))[:: options.every]
    of = [seconds_on(path, options.rows) for path in paths]
    print(f"{len(paths)} tables of at most {options.rows} rows, one thread, medians")
    print(f"{'':32}{'milliseconds':>14}{'times SMOTE':>14}")
    for name in of[0]:
        own = 1000 * np.median([told[name] for told in of])
        ratio = np.median([told[name] / told["SMOTE"] for told in of])
        print(f"{name:32}{own:14.1f}{ratio:14.1f}")


if __name__ == "__main__":
    main()
