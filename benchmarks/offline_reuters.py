"""Reuters-36, offline: samplers in front of a linear model, beside the cheap rivals.

    python -m benchmarks.offline_reuters --path FOLDER [--encoding tfidf] [--vocabulary all]

FOLDER holds r52-train.txt and r52-test.txt. Prints bACC and GM on the test documents (mean and
standard deviation over seeds), the acceptance rate, and the seconds that the sampler took. With
``--folds 5`` the test documents are left alone: scores are those of a cross-validation within the
training documents, to choose settings by.
"""

from __future__ import annotations

import argparse
import json
import time
import warnings
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import LinearSVC
from sklearn.utils import Bunch

from ltresample import DistributionMatchingOversampler, LongTailReport, M2mSampler
from ltresample.class_counts import PartialFill
from ltresample.datasets import fetch_reuters36
from ltresample.over_sampling import ResampledClassifier
from ltresample.prior_correction import PriorCorrectedClassifier

SAMPLERS = {
    "RandomOverSampler": RandomOverSampler,
    "SMOTE": SMOTE,
    "M2m": M2mSampler,
    "DM": DistributionMatchingOversampler,
}


def linear(options: argparse.Namespace, weight: str | None) -> Any:
    """Return the linear model."""
    if options.model == "svc":
        return LinearSVC(C=options.C, class_weight=weight)
    return LogisticRegression(C=options.C, max_iter=300, class_weight=weight)


def linear_guide() -> LogisticRegression:
    """Return a guide that is fitted in a second on many thousands of words."""
    return LogisticRegression(C=10.0, max_iter=100, class_weight="balanced")


def rows(options: argparse.Namespace, seed: int) -> dict[str, Any]:
    """Return an estimator for each row of the table; `--fill` and its correction are in the name."""
    plain = linear(options, None)
    made = {"none": plain, "class_weight": linear(options, "balanced")}
    if options.model == "lr":
        made["none, corrected"] = PriorCorrectedClassifier(plain)
    neighbors = 1 if options.folds else 3  # the smallest class has four documents
    own = {"g": linear_guide()} if options.guide == "linear" else {}
    samplers = {
        **SAMPLERS,
        "SMOTE": partial(SMOTE, k_neighbors=neighbors),
        "M2m": partial(M2mSampler, **own),
        "DM": partial(DistributionMatchingOversampler, **own),
    }
    if options.model == "lr":
        recipe = M2mSampler(
            sampling_strategy=PartialFill(0.05),
            synthetic_share=1.0,
            soft_labels=True,
            random_state=seed,
            **own,
        )
        made["recipe"] = ResampledClassifier(plain, recipe, prior_correction=True)
    for name, make in samplers.items():
        if options.fill == 1:
            sampler = make(random_state=seed)
            made[name] = ResampledClassifier(plain, sampler)
            continue
        sampler = make(random_state=seed, sampling_strategy=PartialFill(options.fill))
        if options.model == "lr":
            corrected = ResampledClassifier(plain, sampler, prior_correction=True)
            made[f"{name} {options.fill:g}, corrected"] = corrected
        weighted = ResampledClassifier(linear(options, "balanced"), sampler)
        made[f"{name} {options.fill:g}, class_weight"] = weighted
    return made


def scored(model: Any, train: tuple, test: tuple) -> dict[str, Any]:
    """Fit and score once."""
    began = time.perf_counter()
    model = model.fit(*train)
    seconds = time.perf_counter() - began
    report = LongTailReport.from_estimator(model, *test, y_train=train[1]).to_dict()
    rates = list(getattr(getattr(model, "sampler_", None), "acceptance_rate_", {}).values())
    return {
        "bacc": 100 * report["balanced_accuracy"],
        "gm_floored": 100 * report["geometric_mean_floored"],
        "seconds": seconds,
        "accepted": float(np.median(rates)) if rates else np.nan,
    }


def crossed(model: Any, X: Any, y: np.ndarray, n_folds: int, seed: int) -> dict[str, Any]:
    """Score by cross-validation within the training documents, out-of-fold answers pooled."""
    answers = np.empty_like(y)
    began = time.perf_counter()
    for train, test in StratifiedKFold(n_folds, shuffle=True, random_state=seed).split(X, y):
        answers[test] = model.fit(X[train], y[train]).predict(X[test])
    report = LongTailReport.from_predictions(
        y, answers, class_counts=np.unique(y, return_counts=True)[1]
    ).to_dict()
    return {
        "bacc": 100 * report["balanced_accuracy"],
        "gm_floored": 100 * report["geometric_mean_floored"],
        "seconds": (time.perf_counter() - began) / n_folds,
        "accepted": np.nan,
    }


def arguments() -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", help="folder of the two files; default: download")
    parser.add_argument("--encoding", default="log1p", help="binary, count, log1p or tfidf")
    parser.add_argument(
        "--svd", type=int, default=0, help="dimensions of an SVD of the words; 0: the words"
    )
    parser.add_argument(
        "--guide",
        default="small",
        choices=["small", "linear"],
        help="of our samplers, fitted inside",
    )
    parser.add_argument("--vocabulary", default="1000", help="number of columns, or all")
    parser.add_argument("--model", default="lr", choices=["lr", "svc"])
    parser.add_argument("--C", type=float, default=1.0, help="of the linear model")
    parser.add_argument("--fill", type=float, default=1.0, help="share of what classes lack")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--folds", type=int, default=0, help="0: the test documents")
    parser.add_argument("--only", nargs="+", default=[], help="rows whose names begin so")
    parser.add_argument("--out", type=Path, help="append a JSON line per row and seed")
    return parser.parse_args()


def main() -> None:
    """Print the table."""
    options = arguments()
    words = None if options.vocabulary == "all" else int(options.vocabulary)
    data = fetch_reuters36(path=options.path, encoding=options.encoding, vocabulary_size=words)
    if options.svd:
        data = reduced(data, options.svd)
    counts = np.unique(data.y_train, return_counts=True)[1]
    print(
        f"{options.encoding}, {data.X_train.shape[1]} columns, {options.model} C={options.C:g}, "
        f"{'test documents' if not options.folds else f'{options.folds} folds of training'}: "
        f"{len(counts)} classes, {len(data.y_train)} / {len(data.y_test)} documents, largest "
        f"{counts.max()}, smallest {counts.min()}"
    )
    print(f"{'':32}{'bACC':>14}{'GM (floor .1)':>16}{'accepted':>10}{'seconds':>9}")
    for name in rows(options, 0):
        if options.only and not name.startswith(tuple(options.only)):
            continue
        drawn = name.split()[0] in SAMPLERS or name == "recipe" or options.folds
        results = [one(options, data, name, seed) for seed in range(options.seeds if drawn else 1)]
        show(name, results)


def reduced(data: Any, n_components: int) -> Any:
    """Replace words by their leading singular directions, learnt from the training documents."""
    svd = make_pipeline(TruncatedSVD(n_components, random_state=0), StandardScaler())
    X_train = svd.fit_transform(data.X_train)
    return Bunch(**{**data, "X_train": X_train, "X_test": svd.transform(data.X_test)})


def one(options: argparse.Namespace, data: Any, name: str, seed: int) -> dict[str, Any]:
    """Make one result, and append it to the file."""
    model = rows(options, seed)[name]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # convergence of the linear model
        if options.folds:
            result = crossed(model, data.X_train, data.y_train, options.folds, seed)
        else:
            train, test = (data.X_train, data.y_train), (data.X_test, data.y_test)
            result = scored(model, train, test)
    if options.out:
        spec = {k: v for k, v in vars(options).items() if k not in ("path", "out", "only", "seeds")}
        accepted = None if np.isnan(result["accepted"]) else result["accepted"]
        line = {**spec, "row": name, "seed": seed, **result, "accepted": accepted}
        with options.out.open("a") as file:
            file.write(json.dumps(line) + "\n")
    return result


def show(name: str, results: list[dict[str, Any]]) -> None:
    """Print a line."""
    mean = {key: np.mean([r[key] for r in results]) for key in results[0]}
    spread = {key: np.std([r[key] for r in results], ddof=len(results) > 1) for key in results[0]}
    print(
        f"{name:32}{mean['bacc']:8.1f} ± {spread['bacc']:3.1f}{mean['gm_floored']:10.1f} ± "
        f"{spread['gm_floored']:3.1f}{mean['accepted']:10.2f}{mean['seconds']:9.1f}",
        flush=True,
    )


if __name__ == "__main__":
    main()
