"""A vote of two models: the corrected classifier, and the guide that made its synthetic rows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import nn

from ltresample._torch import evaluating
from ltresample.decisions import PriorCorrectedClassifier, correct_prior
from ltresample.guides import Classifier, as_classifier
from ltresample.over_sampling._weighted_rows import take_columns_of
from ltresample.rows import ArrayRows, known_rows, open_values, take_rows

__all__ = ["GuideVote", "vote"]

_LEAST = 1e-12
_BLOCK = 4096


def vote(first: np.ndarray, second: np.ndarray, weight: float) -> np.ndarray:
    """Return the normalised geometric mean of probabilities (n, K).

    ``p_k`` is proportional to ``first_k ** (1 - weight) * second_k ** weight``.
    """
    log = (1 - weight) * np.log(np.maximum(first, _LEAST)) + weight * np.log(
        np.maximum(second, _LEAST)
    )
    proba = np.exp(log - log.max(axis=1, keepdims=True))
    return proba / proba.sum(axis=1, keepdims=True)


class GuideVote:
    """A corrected classifier and the guide of its sampler, which answer together.

    Both answer for classes of equal shares, where the default guide, which is trained on balanced
    data, is at home; what comes out is brought to the target prior of the classifier. The guide
    knows the categories of ``fit`` and no others: on rows with a new or a missing one the classifier
    answers alone.

    Parameters
    ----------
    classifier : PriorCorrectedClassifier
        Fitted.
    sampler : sampler
        After ``fit_resample``, with its guide `g_`.
    weight : float
        Weight of the guide, in [0, 1].
    """

    def __init__(self, classifier: PriorCorrectedClassifier, sampler: Any, weight: float):
        self.classifier = classifier
        self.sampler = sampler
        self.weight = weight
        self.classes_ = classifier.classes_
        take_columns_of(self, classifier)

    def predict_proba(self, X: Any, *, target_prior: np.ndarray | None = None) -> np.ndarray:
        """Return probabilities (n, K) of the vote, at the classifier's target prior or another."""
        own = self.classifier.predict_proba(X, target_prior="balanced")
        both = self._both(own, X)
        equal = np.full(len(self.classes_), 1 / len(self.classes_))
        target = self.classifier.target_prior_ if target_prior is None else target_prior
        return correct_prior(both, equal, target)

    def _both(self, own: np.ndarray, X: Any) -> np.ndarray:
        """Return the vote; where the guide cannot read a row's category, what the classifier says."""
        columns = self.sampler._columns
        known = known_rows(X, columns) if columns is not None and columns.levels else None
        if known is None or known.all():
            return vote(own, self.guide_proba(X), self.weight)
        both, rows = own.copy(), np.flatnonzero(known)
        if len(rows):
            both[rows] = vote(own[rows], self.guide_proba(take_rows(X, rows)), self.weight)
        return both

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Return log-probabilities (n, K) of the vote."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X: Any) -> np.ndarray:
        """Return the most probable labels (n,)."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def guide_proba(self, X: Any) -> np.ndarray:
        """Return the guide's own probabilities (n, K)."""
        values = open_values(self.sampler, X, reset=False, known=self.sampler._columns).values
        dtype, device = _type_of(self.sampler.g_)
        rows = ArrayRows(values, dtype=dtype, device=device)
        g = as_classifier(
            self.sampler.g_, rows.take(torch.arange(1)), self.classes_, "g", device=device
        )
        return _ask(g, rows)


def _ask(g: Classifier, rows: ArrayRows) -> np.ndarray:
    with torch.no_grad(), evaluating(*g.members):
        parts = [
            g.log_proba(rows.take(part)).exp().double().cpu()
            for part in torch.arange(len(rows)).split(_BLOCK)
        ]
    return torch.cat(parts).numpy()


def _type_of(g: Any) -> tuple[torch.dtype, torch.device]:
    """Return type and device of a guide's numbers; those of an estimator are double, on the CPU."""
    modules = [
        part for part in (g if isinstance(g, list | tuple) else [g]) if isinstance(part, nn.Module)
    ]
    held = [t for module in modules for t in module.state_dict().values() if t.is_floating_point()]
    return (held[0].dtype, held[0].device) if held else (torch.float32, torch.device("cpu"))
