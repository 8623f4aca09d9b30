"""Texts: what a sampler is worth in front of a linear model, and what is chosen automatically."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, f1_score

from benchmarks.decisions_data import Data
from benchmarks.tabular import precision
from ltresample.decisions import PriorCorrectedClassifier
from ltresample.over_sampling import AutoResampledClassifier, ResampledClassifier

__all__ = ["WAYS", "Way", "run_way"]


class Way(NamedTuple):
    """A way to treat the training data: from a seed to an estimator."""

    make: Callable[[int], Any]
    random: bool = False


def _linear(**parameters: Any) -> LogisticRegression:
    return LogisticRegression(C=10, max_iter=300, **parameters)


WAYS: dict[str, Way] = {
    "none": Way(lambda seed: _linear()),
    "none, corrected": Way(lambda seed: PriorCorrectedClassifier(_linear())),
    "class weights": Way(lambda seed: _linear(class_weight="balanced")),
    "ROS": Way(
        lambda seed: ResampledClassifier(
            _linear(), RandomOverSampler(random_state=seed), prior_correction=False
        ),
        random=True,
    ),
    "SMOTE": Way(
        lambda seed: ResampledClassifier(
            _linear(), SMOTE(k_neighbors=3, random_state=seed), prior_correction=False
        ),
        random=True,
    ),
    "recipe": Way(lambda seed: ResampledClassifier(_linear(), random_state=seed), random=True),
    "auto": Way(lambda seed: AutoResampledClassifier(_linear(), random_state=seed), random=True),
}


def run_way(data: Data, name: str, repeat: int) -> dict[str, Any]:
    """Run a way on all splits of a repeat, and score what they say together.

    A given training part is not split anew: there a repeat is another seed.
    """
    labels, ranking, tests, choices = [], [], [], []
    for split in data.splits(0 if data.train is not None else repeat):
        model = WAYS[name].make(split.seed + 100 * repeat).fit(split.X, split.y)
        labels.append(model.predict(split.X_test))
        ranking.append(precision(split.y_test, model.predict_proba(split.X_test)))
        tests.append(split.y_test)
        if isinstance(model, AutoResampledClassifier):
            report = model.choice_report_
            choices.append({"chosen": report.chosen, "reason": report.reason})
    y, decided = np.concatenate(tests), np.concatenate(labels)
    scores = {
        "bacc": float(balanced_accuracy_score(y, decided)),
        "f1": float(f1_score(y, decided, average="macro", zero_division=0)),
        "ap": float(np.mean(ranking)),
        "worst": float(min((decided[y == k] == k).mean() for k in np.unique(y))),
    }
    return {"scores": {name: scores}, "choices": choices}
