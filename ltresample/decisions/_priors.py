"""Class priors: checked, counted, divided out of probabilities, and estimated without labels."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.exceptions import ConvergenceWarning

from ltresample.class_counts import by_label

__all__ = [
    "check_prior",
    "check_proba",
    "check_row_weights",
    "correct_prior",
    "count_prior",
    "estimate_prior",
]

_ROUNDED = 1e-3  # by how much a sum of shares that were rounded by hand may differ from 1


def correct_prior(
    proba: ArrayLike, training_prior: ArrayLike, target_prior: ArrayLike
) -> NDArray[np.float64]:
    """Return probabilities for data in which the classes have other shares.

    ``p'(k | x)`` is proportional to ``p(k | x) * target_prior_k / training_prior_k``: Bayes' rule
    for data in which the classes look the same and only their shares differ (Eq. 2.4 of [1]_).

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Probabilities of a classifier, each row with sum 1.
    training_prior : array-like of shape (n_classes,)
        Class shares of the data it was trained on, sum 1. A share of 0 marks a class that was not
        in the data: its probability becomes 0.
    target_prior : array-like of shape (n_classes,)
        Class shares for which probabilities are wanted, sum 1. The larger a class's share, the
        larger its probability.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Corrected probabilities, each row with sum 1.

    Raises
    ------
    ValueError
        If probabilities or shares are no probabilities, or their shapes do not fit.

    References
    ----------
    .. [1] M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the Outputs of a Classifier to New a
       Priori Probabilities", Neural Computation 14(1), 2002.

    Examples
    --------
    >>> from ltresample.decisions import correct_prior
    >>> correct_prior([[0.9, 0.1], [0.5, 0.5]], [0.9, 0.1], [0.5, 0.5])
    array([[0.5, 0.5],
           [0.1, 0.9]])
    """
    proba = check_proba(proba)
    factor = _ratio(
        _check_shares(target_prior, proba.shape[1], "target_prior"),
        _check_shares(training_prior, proba.shape[1], "training_prior"),
    )
    return _normalised(proba * factor)


def estimate_prior(
    proba: ArrayLike,
    training_prior: ArrayLike,
    *,
    smoothing: float = 1.0,
    sample_weight: ArrayLike | None = None,
    tol: float = 1e-8,
    max_iter: int = 10_000,
) -> NDArray[np.float64]:
    """Return the class shares of data without labels, estimated by expectation-maximisation.

    Starting from the training prior, two steps alternate (Eq. 2.9 of [1]_): the probabilities are
    corrected for the present estimate, and the estimate becomes their mean. The likelihood of the
    data grows in each round. The classifier's probabilities should be calibrated: those of a
    classifier that is too sure of itself pull the estimate towards the shares of its predictions.
    A few dozen rows say little about rare classes, and the most likely share of a rare class is often
    exactly 0, with which it could never be predicted: hence ``(n q_k + s) / (n + K s)`` is returned,
    with the estimate q, n rows, K classes and s = `smoothing`.

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Probabilities of a classifier on the data, as it gives them, each row with sum 1.
    training_prior : array-like of shape (n_classes,)
        Class shares of the data it was trained on, each above 0, sum 1.
    smoothing : float, default=1.0
        How many more rows of each class are counted, at least 0. The larger, the closer are the
        shares to each other; 0 gives the estimate of [1]_, in which a share can be 0.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of the rows, at least 0: a row of weight 2 counts as two rows. None: all count once.
    tol : float, default=1e-8
        The rounds end when no share changes by more. Smaller is more exact and takes longer.
    max_iter : int, default=10000
        Most rounds, at least 1. If they do not suffice there is a ``ConvergenceWarning``.

    Returns
    -------
    ndarray of shape (n_classes,)
        Estimated shares, sum 1; above 0 unless `smoothing` is 0.

    Raises
    ------
    ValueError
        If there are no rows, `smoothing` is below 0 or `max_iter` below 1, or probabilities, shares
        or weights are none.

    References
    ----------
    .. [1] M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the Outputs of a Classifier to New a
       Priori Probabilities", Neural Computation 14(1), 2002.

    Examples
    --------
    >>> import numpy as np
    >>> from ltresample.decisions import estimate_prior
    >>> proba = np.repeat([[0.98, 0.02], [0.6, 0.4]], [60, 40], axis=0)
    >>> estimate_prior(proba, [0.9, 0.1]).round(3)
    array([0.627, 0.373])
    """
    proba = check_proba(proba)
    if not len(proba):
        raise ValueError(
            "A class prior cannot be estimated from no rows. Got proba of shape "
            f"{proba.shape}. Pass the probabilities of at least one row, better of some hundred."
        )
    is_number = isinstance(smoothing, Real) and not isinstance(smoothing, bool)
    if not (is_number and 0 <= smoothing < np.inf):
        raise ValueError(
            f"smoothing must be a number of rows, at least 0. Got smoothing={smoothing!r}."
        )
    if max_iter < 1:
        raise ValueError(f"max_iter must be at least 1. Got max_iter={max_iter!r}.")
    start = _check_shares(training_prior, proba.shape[1], "training_prior")
    if not (start > 0).all():
        raise ValueError(
            "training_prior must be above 0 for each class: how a class that was not in the "
            f"training data looks is not known. Got {start.tolist()!r}. Leave out such classes."
        )
    weight = check_row_weights(sample_weight, len(proba))
    prior = start
    for _ in range(max_iter):
        before = prior
        prior = weight @ _normalised(proba * (prior / start))  # (K,): mean of p(k | x) at the prior
        if np.abs(prior - before).max() <= tol:
            break
    else:
        warnings.warn(
            f"The class prior was not found in max_iter={max_iter} rounds: the last one changed a "
            f"share by {np.abs(prior - before).max():.2g}. Raise max_iter or tol.",
            ConvergenceWarning,
        )
    n = len(proba) if sample_weight is None else np.sum(sample_weight)
    counted = n * prior / prior.sum() + smoothing
    return counted / counted.sum()


def check_prior(
    prior: Any, classes: np.ndarray, name: str, *, zero_allowed: bool = False
) -> NDArray[np.float64]:
    """Return class shares as an array in the order of the classes, or refuse them.

    Parameters
    ----------
    prior : mapping of label to share, or array-like of shape (n_classes,)
        What the user passed.
    classes : ndarray of shape (n_classes,)
        Sorted labels.
    name : str
        Of the parameter, for messages.
    zero_allowed : bool, default=False
        Whether a share may be 0, as an estimated one can be.

    Raises
    ------
    ValueError
        If a class is missing or unknown, a share is not a number above 0, or their sum is not 1.
    """
    prior = by_label(prior)
    if isinstance(prior, Mapping):
        shares = [prior[k] for k in _same_labels(prior, classes, name)]
    else:
        shares = prior
    try:
        values = np.asarray(shares, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise ValueError(f"{name} must hold numbers. Got {prior!r}.") from err
    enough = values >= 0 if zero_allowed else values > 0
    if values.shape != classes.shape or not (np.isfinite(values) & enough).all():
        raise ValueError(
            f"{name} must hold one positive number per class. Got {prior!r} for the "
            f"{len(classes)} classes {shown(classes)}. Pass shares in the order of the sorted labels, "
            "or a dict of label to share."
        )
    _check_sum(values, name)
    return values / values.sum()


def _same_labels(prior: Mapping, classes: np.ndarray, name: str) -> list:
    """Return the labels in their order, after a check that the mapping has these and no others."""
    labels = classes.tolist()
    missing = [k for k in labels if k not in prior]
    unknown = [k for k in prior if k not in labels]
    if missing or unknown:
        what = f"lacks {shown(missing)}" if missing else f"has {shown(unknown)}, which is in no row"
        raise ValueError(
            f"{name} must hold one share for each class of y. Got a dict that {what}. "
            f"The classes are {shown(labels)}."
        )
    return labels


def _check_sum(values: np.ndarray, name: str) -> None:
    if abs(values.sum() - 1) > _ROUNDED:
        raise ValueError(
            f"{name} must hold shares with sum 1. Got {values.tolist()!r} with sum "
            f"{values.sum():g}. Divide by the sum."
        )


def _check_shares(prior: ArrayLike, n_classes: int, name: str) -> NDArray[np.float64]:
    values = np.asarray(prior, dtype=np.float64)
    if values.shape != (n_classes,) or not (np.isfinite(values) & (values >= 0)).all():
        raise ValueError(
            f"{name} must hold one share, at least 0, for each of the {n_classes} columns of "
            f"proba. Got {values.tolist()!r}."
        )
    _check_sum(values, name)
    return values / values.sum()


def check_row_weights(sample_weight: ArrayLike | None, n: int) -> NDArray[np.float64]:
    """Return weights of rows with sum 1, or refuse them.

    Parameters
    ----------
    sample_weight : array-like of shape (n_samples,) or None
        What the user passed. None: all count the same.
    n : int
        Number of rows.

    Raises
    ------
    ValueError
        If there are not `n` of them, one is below 0 or not finite, or all are 0.
    """
    if sample_weight is None:
        return np.full(n, 1 / n)
    weight = np.asarray(sample_weight, dtype=np.float64)
    if weight.shape != (n,) or not (np.isfinite(weight) & (weight >= 0)).all() or not weight.any():
        values = f", values from {weight.min():g} to {weight.max():g}" if weight.size else ""
        raise ValueError(
            f"sample_weight must hold {n} finite numbers, at least 0 and not all 0. Got shape "
            f"{weight.shape}{values}."
        )
    return weight / weight.sum()


def check_proba(proba: ArrayLike) -> NDArray[np.float64]:
    """Return probabilities (n, K) in double precision.

    Raises
    ------
    ValueError
        If the shape is another, a number is not in [0, 1], or a row's sum is not 1.
    """
    values = np.asarray(proba, dtype=np.float64)
    if values.ndim != 2 or not values.shape[1]:
        raise ValueError(
            "proba must have one row per sample and one column per class. Got shape "
            f"{values.shape}. Pass what predict_proba gives."
        )
    inside = (values >= 0) & (values <= 1 + _ROUNDED)  # False for NaN
    if not inside.all() or (np.abs(values.sum(axis=1) - 1) > _ROUNDED).any():
        raise ValueError(
            "proba must hold probabilities in [0, 1], each row with sum 1. Got values from "
            f"{values.min():g} to {values.max():g} and sums from {values.sum(axis=1).min():g} to "
            f"{values.sum(axis=1).max():g}. Pass what predict_proba gives."
        )
    return values


def count_prior(
    labels: np.ndarray, classes: np.ndarray, weight: np.ndarray | None
) -> NDArray[np.float64]:
    """Return the weighted shares of the classes in the labels; 0 for a class that is not there."""
    index = np.searchsorted(classes, labels)
    counts = np.bincount(index, weights=weight, minlength=len(classes)).astype(np.float64)
    return counts / counts.sum()


def _ratio(target: np.ndarray, training: np.ndarray) -> np.ndarray:
    return np.divide(target, training, out=np.zeros_like(target), where=training > 0)


def _normalised(proba: np.ndarray) -> np.ndarray:
    """Divide rows by their sums; a row of zeros becomes uniform."""
    total = proba.sum(axis=1, keepdims=True)
    return np.divide(proba, total, out=np.full_like(proba, 1 / proba.shape[1]), where=total > 0)


def shown(labels: Any, most: int = 10) -> str:
    """Return labels as text, cut to the first few."""
    labels = list(labels.tolist() if isinstance(labels, np.ndarray) else labels)
    text = ", ".join(map(repr, labels[:most]))
    return f"{text} and {len(labels) - most} more" if len(labels) > most else text
