"""Reuters-36, offline: samplers in front of a linear model, beside the cheap rivals.

    python -m benchmarks.offline_reuters --path FOLDER [--encoding log1p] [--seeds 5]

FOLDER holds r52-train.txt and r52-test.txt. Prints bACC and GM on the test documents (mean and
standard deviation over seeds), the acceptance rate, and the seconds that the sampler took.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from sklearn.linear_model import LogisticRegression

from ltresample import DistributionMatchingOversampler, LongTailReport, M2mSampler
from ltresample.datasets import fetch_reuters36
from ltresample.prior_correction import PriorCorrectedClassifier


def samplers(seed: int) -> dict:
    """Give a sampler, or None, for each row of the table."""
    return {
        "none": None,
        "none, prior-corrected": None,
        "class_weight": None,
        "RandomOverSampler": RandomOverSampler(random_state=seed),
        "SMOTE": SMOTE(random_state=seed, k_neighbors=3),
        "M2m": M2mSampler(random_state=seed),
        "DM": DistributionMatchingOversampler(random_state=seed),
    }


def classifier(name: str):
    """Give the linear model of a row."""
    weight = "balanced" if name == "class_weight" else None
    model = LogisticRegression(max_iter=300, class_weight=weight)
    return PriorCorrectedClassifier(model) if "corrected" in name else model


def run(name: str, sampler, data) -> dict:
    """Sample, fit and score once."""
    began = time.perf_counter()
    X, y = data.X_train, data.y_train
    if sampler is not None:
        X, y = sampler.fit_resample(X, y)
    sampled = time.perf_counter() - began
    model = classifier(name).fit(X, y)
    report = LongTailReport.from_estimator(model, data.X_test, data.y_test, y_train=data.y_train)
    rates = list(getattr(sampler, "acceptance_rate_", {}).values())
    scores = report.to_dict()
    return {
        "bacc": 100 * scores["balanced_accuracy"],
        "gm_floored": 100 * scores["geometric_mean_floored"],
        "seconds": sampled,
        "accepted": float(np.median(rates)) if rates else np.nan,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", help="folder of the two files; default: download")
    parser.add_argument("--encoding", default="log1p")
    parser.add_argument("--seeds", type=int, default=5)
    arguments = parser.parse_args()
    data = fetch_reuters36(path=arguments.path, encoding=arguments.encoding)
    counts = np.unique(data.y_train, return_counts=True)[1]
    print(
        f"{arguments.encoding}: {len(counts)} classes, {len(data.y_train)} / {len(data.y_test)} "
        f"documents, largest {counts.max()}, smallest {counts.min()}"
    )
    print(f"{'':24}{'bACC':>14}{'GM (floor .1)':>16}{'accepted':>10}{'sampling s':>12}")
    for name in samplers(0):
        n_seeds = arguments.seeds if samplers(0)[name] is not None else 1
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # convergence of the linear model
            runs = [run(name, samplers(seed)[name], data) for seed in range(n_seeds)]
        mean = {key: np.mean([r[key] for r in runs]) for key in runs[0]}
        spread = {key: np.std([r[key] for r in runs], ddof=n_seeds > 1) for key in runs[0]}
        print(
            f"{name:24}{mean['bacc']:8.1f} ± {spread['bacc']:3.1f}{mean['gm_floored']:10.1f} ± "
            f"{spread['gm_floored']:3.1f}{mean['accepted']:10.2f}{mean['seconds']:12.1f}",
            flush=True,
        )


if __name__ == "__main__":
    main()
