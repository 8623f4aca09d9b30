"""Who is mixed with whom in training: OTMix beside CMO, against the confusions of held-out rows.

    python -m benchmarks.otmix_pairs [--seeds 3] [--epochs 60] [--out FILE]

Long-tailed digits of 8 x 8 pixels with an imbalance factor of 20, a small convolutional network. Every
pair of a training run is counted by the classes of its foreground and its background. The confusion
matrix is that of networks of the same kind, trained alike, without mixing, by four-fold
cross-validation on the training data. Printed is Spearman's rank correlation between counts and
confusions over the 90 pairs of different classes: over the whole run, in which OTMix pairs at random
at first, by its schedule; over the last third of the epochs; and with a plan in every epoch. A line
of JSON for each seed goes to FILE.
"""

from __future__ import annotations

import argparse
import json
import warnings
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from sklearn.metrics import confusion_matrix
from sklearn.model_selection import StratifiedKFold, cross_val_predict

from benchmarks.data_sets import digits
from benchmarks.provenance import commit, machine, source_hash, versions
from ltresample import OTMixSampler
from ltresample.models import SmallCNN
from ltresample.plotting import PairCountsDisplay
from ltresample.synthesis import Method
from ltresample.training import DeferredRebalancingClassifier

WAYS = {
    "OTMix": OTMixSampler(),
    "OTMix, always a plan": OTMixSampler(schedule_power=0.0),
    "CMO": OTMixSampler(preset="cmo"),
}


class CountingSampler(OTMixSampler):
    """OTMix that notes the classes of all pairs in training, epoch by epoch, in `pairs_`."""

    def bind(self, pool: Any, **context: Any) -> Any:
        """Bind to a training run.

        Parameters
        ----------
        pool : Pool
            The training split.
        **context : dict
            As for `OTMixSampler`.
        """
        bound = super().bind(pool, **context)
        self.pairs_: list[np.ndarray] = []
        n_classes = len(pool.class_counts)
        return bound._replace(method=Counting(bound.method, self.pairs_, n_classes))


class Counting(Method):
    """A method that mixes, with its pairs counted."""

    def __init__(self, inner: Method, pairs: list[np.ndarray], n_classes: int):
        self.inner, self.pairs, self.n_classes = inner, pairs, n_classes
        for name in ("place", "balanced", "begin", "join", "request", "draw", "make", "end"):
            setattr(self, name, getattr(inner, name))

    def begin_epoch(self, state: Any, moment: Any) -> Any:
        """Begin an epoch, and a count."""
        self.pairs.append(np.zeros((self.n_classes, self.n_classes), dtype=int))
        return self.inner.begin_epoch(state, moment)

    def terms(self, state: Any, slots: Any, made: Any, batch: Any) -> list[Any]:
        """Return the terms, and count what they say."""
        terms = self.inner.terms(state, slots, made, batch)
        background, foreground = (term.y.numpy() for term in terms)
        np.add.at(self.pairs[-1], (foreground, background), 1)
        return terms


def network(epochs: int, seed: int) -> DeferredRebalancingClassifier:
    """Return the protocol of the suite `digits_mixing`, with fewer epochs."""
    return DeferredRebalancingClassifier(
        SmallCNN,
        start=0,
        max_epochs=epochs,
        batch_size=64,
        lr=0.1,
        lr_decay={0.417: 0.1, 0.667: 0.1, 0.833: 0.01},
        optimizer__weight_decay=2e-4,
        random_state=seed,
    )


def confusions(X: np.ndarray, y: np.ndarray, *, epochs: int, seed: int) -> np.ndarray:
    """Return the row-normalised confusion matrix of held-out training rows."""
    folds = StratifiedKFold(4, shuffle=True, random_state=seed)
    predicted = cross_val_predict(network(epochs, seed), X, y, cv=folds)
    return confusion_matrix(y, predicted, normalize="true")


def measured(seed: int, epochs: int) -> dict[str, Any]:
    """Train each way once; give counts and correlations."""
    data = digits(None, imbalance_factor=20, images=True)
    X, y = data.X_train, data.y_train
    affinity = confusions(X, y, epochs=epochs, seed=seed)
    counts, scores = {}, {}
    for name, sampler in WAYS.items():
        counting = CountingSampler(**clone(sampler).get_params(deep=False))
        net = network(epochs, seed).set_params(resampler=counting).fit(X, y)
        scores[name] = float(np.mean(net.predict(data.X_test) == data.y_test))
        pairs = np.array(net.resampler.pairs_)
        counts[name] = pairs.sum(axis=0)
        counts[f"{name}, last third"] = pairs[-(epochs // 3) :].sum(axis=0)
    display = PairCountsDisplay(np.unique(y), counts, class_affinity=affinity)
    return {
        "rank_correlation": {name: round(rho, 4) for name, rho in display.rank_correlation.items()},
        "test_accuracy": {name: round(score, 4) for name, score in scores.items()},
        "counts": {name: matrix.tolist() for name, matrix in counts.items()},
        "confusions": affinity.round(4).tolist(),
    }


def main() -> None:
    """Print the correlations."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=60)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", UserWarning)  # classes of four rows in four folds
    found: dict[str, list[float]] = {}
    for seed in range(arguments.seeds):
        record = {"benchmark": "otmix_pairs", "seed": seed, "epochs": arguments.epochs}
        record |= measured(seed, arguments.epochs)
        for name, rho in record["rank_correlation"].items():
            found.setdefault(name, []).append(rho)
        record |= {
            "versions": versions(),
            **commit(),
            "source_sha256": source_hash(),
            "machine": machine(1),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        if arguments.out is not None:
            with arguments.out.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
    print(f"rank correlation of pairs with confusions, {arguments.seeds} seed(s)")
    for name, values in found.items():
        each = ", ".join(f"{value:.2f}" for value in values)
        print(f"{name:34}{np.mean(values):6.2f}   ({each})")


if __name__ == "__main__":
    main()
