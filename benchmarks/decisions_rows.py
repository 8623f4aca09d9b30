"""What can be decided from a classifier of many classes: the rows of the suite on decisions."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from joblib import Memory
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import (
    StratifiedKFold,
    TunedThresholdClassifierCV,
    cross_val_predict,
)
from sklearn.multiclass import OneVsRestClassifier
from sklearn.naive_bayes import MultinomialNB
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.validation import check_memory

from benchmarks.decisions_data import Split
from benchmarks.tabular_rows import CLASSIFIERS as OF_TABLES
from benchmarks.tabular_rows import FORESTS
from ltresample.decisions import (
    MinimumCostClassifier,
    PriorCorrectedClassifier,
    TunedOffsetsClassifierCV,
    correct_prior,
    expected_costs,
    tune_offsets,
)
from ltresample.over_sampling import ResampledClassifier

__all__ = [
    "CLASSIFIERS",
    "COST_ROWS",
    "PRIORS",
    "ROWS",
    "Answer",
    "Fitted",
    "Remembered",
    "draw_costs",
    "shift",
]

CLASSIFIERS: dict[str, dict[str, Callable[[], BaseEstimator]]] = {
    "table": {"LR": OF_TABLES["LR"], "HGB": OF_TABLES["HGB"], "RF": FORESTS["RF"]},
    "text": {
        "LR": lambda: LogisticRegression(C=10, max_iter=300),
        "NB": lambda: MultinomialNB(alpha=0.01),
    },
}
LEAST = 1e-6  # probabilities and thresholds below are taken for this


class Answer(NamedTuple):
    """Predicted labels of the test part, and probabilities at the prior of the training part."""

    labels: np.ndarray  # (n,)
    proba: np.ndarray  # (n, K)


class Remembered(ClassifierMixin, BaseEstimator):
    """A classifier that is fitted once for each data: rows share the fits on the same folds."""

    def __init__(self, classifier: Any, memory: Memory | None = None):
        self.classifier = classifier
        self.memory = memory

    def fit(self, X: Any, y: np.ndarray) -> Remembered:
        """Fit, or fetch the fit of the same classifier to the same data."""
        self.fitted_ = check_memory(self.memory).cache(_fit)(clone(self.classifier), X, y)
        self.classes_ = self.fitted_.classes_
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the classifier's probabilities, in double precision."""
        proba = np.asarray(self.fitted_.predict_proba(X), dtype=np.float64)
        return proba / proba.sum(axis=1, keepdims=True)

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable labels."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


def _fit(classifier: Any, X: Any, y: np.ndarray) -> Any:
    return classifier.fit(X, y)


class Fitted:
    """A classifier on a split, and what several rows need of it; nothing sees the test labels."""

    def __init__(self, classifier: Any, split: Split, memory: Memory | None = None):
        self.classifier = classifier
        self.split = split
        self.counts = np.bincount(split.y)
        self.remembered = Remembered(classifier, memory)

    @property
    def shares(self) -> np.ndarray:
        """Class shares of the training part (K,)."""
        return self.counts / self.counts.sum()

    @property
    def uniform(self) -> np.ndarray:
        """Equal shares (K,)."""
        return np.full(len(self.counts), 1 / len(self.counts))

    @property
    def folds(self) -> StratifiedKFold:
        """The folds of `TunedOffsetsClassifierCV`, for all that is cross-fitted."""
        return StratifiedKFold(min(5, int(self.counts.min())))

    @cached_property
    def plain(self) -> Remembered:
        """The classifier as it is."""
        return clone(self.remembered).fit(self.split.X, self.split.y)

    @cached_property
    def corrected(self) -> PriorCorrectedClassifier:
        """The same, corrected to the balanced prior."""
        frozen = FrozenEstimator(self.plain)
        return PriorCorrectedClassifier(frozen).fit(self.split.X, self.split.y)

    @cached_property
    def calibrated(self) -> CalibratedClassifierCV:
        """The same, with a sigmoid per class that was learnt on answers out of fold."""
        model = CalibratedClassifierCV(
            self.remembered, method="sigmoid", cv=self.folds, ensemble=False
        )
        return model.fit(self.split.X, self.split.y)

    @cached_property
    def out_of_fold(self) -> np.ndarray:
        """Probabilities of the training rows, by classifiers that were not fitted on them."""
        X, y = self.split.X, self.split.y
        return cross_val_predict(
            clone(self.remembered), X, y, cv=self.folds, method="predict_proba"
        )

    @cached_property
    def one_vs_rest(self) -> OneVsRestClassifier:
        """A threshold per class, each class against all others."""
        tuned = TunedThresholdClassifierCV(self.classifier, scoring="balanced_accuracy", cv=3)
        return OneVsRestClassifier(tuned).fit(self.split.X, self.split.y)

    @cached_property
    def recipe(self) -> Answer:
        """A few synthetic rows, then the balanced prior."""
        model = ResampledClassifier(self.classifier, random_state=self.split.seed)
        return self._balanced(model.fit(self.split.X, self.split.y))

    def weighted(self) -> Answer:
        """Return the answer of a classifier with class weights."""
        X, y = self.split.X, self.split.y
        weight = compute_sample_weight("balanced", y)
        return self._balanced(clone(self.classifier).fit(X, y, sample_weight=weight))

    def _balanced(self, model: Any) -> Answer:
        """Return the answer of a model whose probabilities hold at the balanced prior."""
        proba = np.asarray(model.predict_proba(self.split.X_test), dtype=np.float64)
        proba /= proba.sum(axis=1, keepdims=True)
        return Answer(proba.argmax(axis=1), correct_prior(proba, self.uniform, self.shares))

    def answer(self, model: Any) -> Answer:
        """Return the answer of a model whose probabilities hold at the training prior."""
        X = self.split.X_test
        return Answer(model.predict(X), np.asarray(model.predict_proba(X), dtype=np.float64))


def _corrected(own: Fitted) -> Answer:
    X = own.split.X_test
    return Answer(own.corrected.predict(X), own.corrected.predict_proba(X, "training"))


def _offsets(scoring: str) -> Callable[[Fitted], Answer]:
    def decide(own: Fitted) -> Answer:
        model = TunedOffsetsClassifierCV(own.remembered, scoring=scoring)
        return own.answer(model.fit(own.split.X, own.split.y))

    return decide


def ratios(own: Fitted) -> np.ndarray:
    """Return probabilities over thresholds (n, K): a class's threshold is passed from 1 on."""
    parts = own.one_vs_rest.estimators_
    return _probabilities(own) / np.maximum([part.best_threshold_ for part in parts], LEAST)


def _probabilities(own: Fitted) -> np.ndarray:
    """Return the probability of each class against all others (n, K)."""
    X = own.split.X_test
    parts = own.one_vs_rest.estimators_
    return np.stack([part.predict_proba(X)[:, 1] for part in parts], axis=1)


def _of_the_passed(own: Fitted) -> Answer:
    """Decide for the most probable of the classes whose threshold is passed, else of all."""
    proba, passed = _probabilities(own), ratios(own) >= 1
    passed[~passed.any(axis=1)] = True
    labels = np.where(passed, proba, -1).argmax(axis=1)
    return own.answer(own.one_vs_rest)._replace(labels=labels)


def _by_ratio(own: Fitted) -> Answer:
    """Decide for the class whose threshold is passed by the largest factor, or missed by the least."""
    return own.answer(own.one_vs_rest)._replace(labels=ratios(own).argmax(axis=1))


ROWS: dict[str, Callable[[Fitted], Answer]] = {
    "argmax": lambda own: own.answer(own.plain),
    "class weights": Fitted.weighted,
    "balanced prior": _corrected,
    "offsets for bACC": _offsets("balanced_accuracy"),
    "offsets for macro F1": _offsets("f1_macro"),
    # scikit-learn's `predict` takes the largest score, and no threshold has a say
    "one-vs-rest, as it comes": lambda own: own.answer(own.one_vs_rest),
    "one-vs-rest, thresholds": _of_the_passed,
    "one-vs-rest, ratio to threshold": _by_ratio,
    "sigmoid": lambda own: own.answer(own.calibrated),
    "recipe": lambda own: own.recipe,
}


def _cheapest(inner: Callable[[Fitted], Any]) -> Callable[[Fitted, np.ndarray], np.ndarray]:
    def decide(own: Fitted, costs: np.ndarray) -> np.ndarray:
        model = MinimumCostClassifier(FrozenEstimator(inner(own)), cost_matrix=costs)
        return model.fit(own.split.X, own.split.y).predict(own.split.X_test)

    return decide


def _offsets_for_cost(own: Fitted, costs: np.ndarray) -> np.ndarray:
    logs = [
        np.log(np.maximum(proba, LEAST))
        for proba in (own.out_of_fold, own.plain.predict_proba(own.split.X_test))
    ]
    tuned = tune_offsets(logs[0], own.split.y, lambda y, labels: -costs[y, labels].mean())
    return (logs[1] + tuned.offsets).argmax(axis=1)


# decisions that know the costs; those above do not
COST_ROWS: dict[str, Callable[[Fitted, np.ndarray], np.ndarray]] = {
    "minimum cost": _cheapest(lambda own: own.plain),
    "minimum cost, sigmoid": _cheapest(lambda own: own.calibrated),
    "minimum cost, balanced prior": _cheapest(lambda own: own.corrected),
    "minimum cost, recipe": lambda own, costs: expected_costs(own.recipe.proba, costs).argmin(
        axis=1
    ),
    "offsets for the cost": _offsets_for_cost,
}


def draw_costs(shares: np.ndarray, seed: list[int], *, inverse: bool) -> np.ndarray:
    """Draw costs (K, K): log-uniform between 1 and 10 off the diagonal, which is 0.

    With `inverse` the costs of a true class are divided by K times its share, so that an error on a
    rare class costs more.
    """
    K = len(shares)
    costs = np.exp(np.random.default_rng(seed).uniform(0, np.log(10), (K, K)))
    costs[np.diag_indices(K)] = 0
    return costs / (K * shares[:, None]) if inverse else costs


def shift(y: np.ndarray, n_classes: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Draw a prior, uniform over all, and rows of `y` (with replacement) that have it.

    Classes without a row have no share.
    """
    there = np.bincount(y, minlength=n_classes) > 0
    prior = rng.dirichlet(np.ones(n_classes)) * there
    prior /= prior.sum()
    labels = rng.choice(n_classes, size=len(y), p=prior)
    rows = [rng.choice(np.flatnonzero(y == k), size=(labels == k).sum()) for k in np.unique(labels)]
    return prior, np.concatenate(rows)


def _named(target: str) -> Callable:
    return lambda own, rows, prior: own.corrected.predict_proba(
        own.split.X_test[rows], target_prior=target
    )


def _estimated(model: Callable[[Fitted], Any], *, smoothed: bool) -> Callable:
    """Estimate the shares; smoothed: as if one more row of each class had been counted."""

    def answer(own: Fitted, rows: np.ndarray, prior: np.ndarray) -> np.ndarray:
        X = own.split.X_test[rows]
        corrected = PriorCorrectedClassifier(FrozenEstimator(model(own)))
        corrected.fit(own.split.X, own.split.y)
        shares = corrected.estimate_prior(X, smoothing=float(smoothed))
        return corrected.predict_proba(X, target_prior=shares)

    return answer


# probabilities of rows of the test part whose shares are another prior
PRIORS: dict[str, Callable[[Fitted, np.ndarray, np.ndarray], np.ndarray]] = {
    "training": _named("training"),
    "balanced": _named("balanced"),
    "estimated": _estimated(lambda own: own.plain, smoothed=False),
    "estimated, smoothed": _estimated(lambda own: own.plain, smoothed=True),
    "estimated, sigmoid": _estimated(lambda own: own.calibrated, smoothed=False),
    "estimated, sigmoid, smoothed": _estimated(lambda own: own.calibrated, smoothed=True),
    "true": lambda own, rows, prior: own.corrected.predict_proba(
        own.split.X_test[rows], target_prior=prior
    ),
}
