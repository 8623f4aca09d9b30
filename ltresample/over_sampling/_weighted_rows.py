"""What a sampler says beside hard labels, as weighted rows that any classifier can take."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from imblearn.over_sampling.base import BaseOverSampler

from ltresample._compat import check_sample_weight, num_samples
from ltresample.exceptions import LongTailWarning
from ltresample.over_sampling._base import BaseSynthesisSampler
from ltresample.over_sampling._data import labels_of
from ltresample.over_sampling._shares import Shares
from ltresample.rows import take_rows

__all__ = [
    "mixed",
    "positive",
    "take_columns_of",
    "to_weighted_pairs",
    "warn_of_lost_weights",
    "weights_of_parents",
]


def to_weighted_pairs(
    X: Any, soft_targets: Any, classes: Any
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Turn rows whose labels are shares of classes into rows with one label and a weight.

    A row with shares q_k becomes one row for each k with q_k > 0, of label k and weight q_k. For a
    loss that is linear in the target the weighted sum is the same:
    ``sum_k q_k l(f(x), k) = l(f(x), q)``.

    Parameters
    ----------
    X : array-like, data frame, sparse matrix or tensor of shape (n_samples, ...)
        Rows.
    soft_targets : array-like of shape (n_samples, n_classes)
        Shares, at least 0.
    classes : array-like of shape (n_classes,)
        Labels.

    Returns
    -------
    X : as X, n_pairs rows
        The rows, in their order, some of them more than once.
    y : ndarray of shape (n_pairs,)
        Labels.
    sample_weight : ndarray of shape (n_pairs,)
        Weights.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a share is negative or not finite.

    Examples
    --------
    >>> X, y, weight = to_weighted_pairs([[1.0], [2.0]], [[1.0, 0.0], [0.25, 0.75]], ["a", "b"])
    >>> X, y, weight
    ([[1.0], [2.0], [2.0]], array(['a', 'a', 'b'], dtype='<U1'), array([1.  , 0.25, 0.75]))
    """
    targets, classes = np.asarray(soft_targets, dtype=np.float64), np.asarray(classes)
    n = num_samples(X)
    if targets.shape != (n, len(classes)):
        raise ValueError(
            f"soft_targets must have one row per row of X and one column per class, shape "
            f"({n}, {len(classes)}). Got shape {targets.shape}."
        )
    if not np.isfinite(targets).all() or (targets < 0).any():
        raise ValueError(
            "soft_targets must be finite and at least 0. Got entries from "
            f"{targets.min():g} to {targets.max():g}."
        )
    index, k = np.nonzero(targets)
    return take_rows(X, index), classes[k], targets[index, k]


def positive(classifier: Any, keyword: str | None, X: Any, y: Any, sample_weight: Any):
    """Check weights, and leave out rows of weight 0."""
    if keyword is None:
        raise ValueError(
            f"{classifier!r} takes no sample_weight in fit. Got sample_weight. Leave it out, or "
            "choose a classifier that takes weights."
        )
    labels = labels_of(y)
    weight = check_sample_weight(sample_weight, labels, ensure_non_negative=True)
    kept = np.flatnonzero(weight)
    if len(kept) == len(weight):
        return X, y, weight
    left = np.unique(labels[kept]).tolist()
    if len(left) < 2:
        raise ValueError(
            "Samples of positive weight must belong to at least two classes. Got sample_weight that "
            f"leaves only {left!r}. Give samples of other classes a positive weight."
        )
    return take_rows(X, kept), take_rows(y, kept), weight[kept]


def take_columns_of(estimator: Any, fitted: Any) -> None:
    """Write number and names of the features as a fitted estimator has them, and no others."""
    for name in ("n_features_in_", "feature_names_in_"):
        vars(estimator).pop(name, None)
        if hasattr(fitted, name):
            setattr(estimator, name, getattr(fitted, name))


def mixed(targets: Shares | None) -> bool:
    """Return whether a label is not of one class only."""
    return targets is not None and targets.are_mixed


def warn_of_lost_weights(
    classifier: Any,
    sampler: Any,
    targets: Shares | None,
    weight: np.ndarray | None,
) -> None:
    """Say what a classifier without weights makes of mixed labels and weighted rows."""
    if mixed(targets):
        share = targets.of_own_class
        mean = share[share < 1].mean()
        lost = (
            f"it is fitted on hard labels. {(share < 1).sum()} rows are mixtures that belong to "
            f"the class of their label with a share of {mean:.0%} on average: hard labels are "
            f"wrong by the other {1 - mean:.0%}. Choose a classifier that takes sample_weight, or, "
            "with OTMixSampler, a larger min_foreground."
        )
    elif weight is not None and (weight != 1).any():
        light = weight[weight != 1]
        lost = (
            f"the weights that {type(sampler).__name__} gives its rows are lost. {len(light)} rows "
            f"with a mean weight of {light.mean():.2g} count in full. Choose a classifier that "
            "takes sample_weight."
        )
    else:
        return
    message = f"{type(classifier).__name__} takes neither soft targets nor sample_weight, so "
    warnings.warn(message + lost, LongTailWarning, stacklevel=4)


def weights_of_parents(
    sampler: Any, y: np.ndarray, weight: np.ndarray, rows: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Return each training row the weight of the real row of its class that it is made from.

    `rows` are positions in the resampled data, `labels` what they are trained as.
    """
    open_rows = np.ones(len(rows), dtype=bool)
    classes, index = np.unique(labels, return_inverse=True)
    order = np.argsort(y, kind="stable")
    stops = [np.searchsorted(y, classes, side, sorter=order) for side in ("left", "right")]
    of_class = [weight[order[i:j]] for i, j in zip(*stops, strict=True)]
    own = np.array([part.mean() if len(part) else weight.mean() for part in of_class])[index]
    for parent in _parents(sampler, y, int(rows.max()) + 1 if len(rows) else 0):
        index = parent[rows]
        fits = open_rows & (index >= 0) & (y[index] == labels)
        own[fits] = weight[index[fits]]
        open_rows &= ~fits
    return own


def _parents(sampler: Any, y: np.ndarray, n_rows: int) -> list[np.ndarray]:
    """Return for each row the rows of X that it is made from, -1 where nothing is known."""
    if isinstance(sampler, BaseSynthesisSampler):
        record = sampler.provenance_
        return [np.where(record["from_aux"], -1, record["seed_index"]), record["partner_index"]]
    if hasattr(sampler, "sample_indices_"):
        return [np.asarray(sampler.sample_indices_)]
    known = np.full(n_rows, -1)
    if isinstance(sampler, BaseOverSampler):  # real rows come first
        known[: len(y)] = np.arange(len(y))
    return [known]
