"""Which classes are confused with each other: out of fold where that is possible."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from sklearn.base import clone
from torch import Tensor

from ltresample._estimators import offers
from ltresample._progress import counted
from ltresample._random import Seed
from ltresample.exceptions import LongTailWarning
from ltresample.guides._classifier import Classifier
from ltresample.guides._fit import balanced_rows, soft_confusion
from ltresample.guides._folds import confusion_of, deal_folds
from ltresample.rows import Pool

__all__ = ["confusion_of_estimator", "confusion_on_training_rows", "proba_of_estimator"]

_LEAST_CONFUSION = 0.01  # below it the cost between classes is the same for all pairs


def confusion_of_estimator(
    g: Any,
    X: Any,
    labels: np.ndarray,
    classes: np.ndarray,
    seed: Seed,
    *,
    soft: bool,
    n_folds: int = 4,
) -> Tensor:
    """Return the confusion matrix (K, K) of clones of an unfitted estimator, out of fold."""
    y = torch.from_numpy(np.searchsorted(classes, labels))
    proba = proba_of_estimator(g, X, labels, classes, seed, n_folds=n_folds)
    return confusion_of(torch.from_numpy(proba), y, soft=soft)


def proba_of_estimator(
    g: Any, X: Any, labels: np.ndarray, classes: np.ndarray, seed: Seed, *, n_folds: int = 4
) -> np.ndarray:
    """Return probabilities (n, K) of each row by a clone that was fitted without its fold.

    One without ``predict_proba`` gives 1 to the class that it predicts; a class that a clone has
    not seen has 0.
    """
    y = torch.from_numpy(np.searchsorted(classes, labels))
    fold = deal_folds(y, len(classes), seed, n_folds=n_folds).numpy()
    proba = np.zeros((len(labels), len(classes)))
    for number in counted(range(n_folds), n_folds):
        rest, own = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        if not len(own):
            continue
        member = clone(g).fit(X[rest], labels[rest])
        columns = np.searchsorted(classes, member.classes_)
        if offers(member, "predict_proba"):
            proba[np.ix_(own, columns)] = member.predict_proba(X[own])
        else:
            proba[own, np.searchsorted(classes, member.predict(X[own]))] = 1
    return proba


def confusion_on_training_rows(g: Classifier, pool: Pool, seed: Seed) -> Tensor:
    """Return the mean probabilities (K, K) of a guide that has seen the rows, with a warning."""
    confusion = soft_confusion(g, pool, balanced_rows(pool, seed))
    own = float(confusion.diagonal().mean())
    if own > 1 - _LEAST_CONFUSION:
        warnings.warn(
            "g is sure of the rows of X: it gives their true class a mean probability of "
            f"{own:.4f}, so that hardly any class is taken for another, and pairs follow from "
            "features alone. g has probably seen these rows in training. Pass class_affinity, a "
            "confusion matrix of held-out data, or an unfitted g, or g=None.",
            LongTailWarning,
            stacklevel=5,
        )
    return confusion
