"""Do predicted probabilities come true: reliability per bin, and its mean error."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ltresample.metrics._scores import as_labels

__all__ = ["Reliability", "calibration_error", "reliability"]


class Reliability(NamedTuple):
    """Predictions in bins of confidence; empty bins hold NaN."""

    count: NDArray[np.int64]
    """Predictions in each bin, shape (n_bins,)."""
    confidence: NDArray[np.float64]
    """Mean predicted probability, shape (n_bins,)."""
    frequency: NDArray[np.float64]
    """Share of the predictions that came true, shape (n_bins,)."""

    @property
    def error(self) -> float:
        """Mean distance of confidence and frequency, weighted by the counts."""
        filled = self.count > 0
        gap = np.abs(self.confidence - self.frequency)[filled]
        return float(np.average(gap, weights=self.count[filled]))


def reliability(
    y_true: ArrayLike,
    proba: ArrayLike,
    *,
    labels: ArrayLike | None = None,
    label: object = None,
    n_bins: int = 10,
) -> Reliability:
    """Sort predictions into bins of equal width by their probability.

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.
    proba : array-like of shape (n_samples, n_classes)
        Predicted probabilities.
    labels : array-like of shape (n_classes,) or None, default=None
        Classes in the order of the columns of `proba`. None stands for those in `y_true`, sorted.
    label : label or None, default=None
        The class whose probability is looked at. None: of each sample the class of the largest
        probability ("top label").
    n_bins : int, default=10
        Number of bins on [0, 1], at least 1. A probability on the edge of two is in the lower one.

    Returns
    -------
    Reliability
        ``count``, ``confidence`` and ``frequency``, each (n_bins,), and ``error``.

    Raises
    ------
    ValueError
        If there are no samples, a probability is not in [0, 1], the number of columns is not that
        of the classes, or `label` or one of `y_true` is none of them.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017, arXiv:1706.04599, Eq. 2 and 3.

    Examples
    --------
    >>> proba = [[0.9, 0.1], [0.9, 0.1], [0.2, 0.8], [0.3, 0.7]]
    >>> bins = reliability([0, 1, 1, 1], proba, n_bins=2)
    >>> bins.count, bins.confidence.round(3), bins.frequency
    (array([0, 4]), array([  nan, 0.825]), array([ nan, 0.75]))
    """
    y_true, proba = as_labels(y_true), np.asarray(proba, dtype=np.float64)
    labels = np.unique(y_true) if labels is None else np.asarray(labels)
    _check(y_true, proba, labels, label, n_bins)
    if label is None:
        confidence, true = proba.max(axis=1), labels[proba.argmax(axis=1)] == y_true
    else:
        confidence, true = proba[:, labels == label][:, 0], y_true == label
    # ((b - 1) / B, b / B], below Eq. 2 of [1]
    place = np.searchsorted(np.linspace(0, 1, n_bins + 1)[1:-1], confidence)
    count = np.bincount(place, minlength=n_bins)
    mean = np.full((2, n_bins), np.nan)
    for i, values in enumerate((confidence, true)):
        total = np.bincount(place, weights=values, minlength=n_bins)
        np.divide(total, count, out=mean[i], where=count > 0)
    return Reliability(count, *mean)


def calibration_error(
    y_true: ArrayLike, proba: ArrayLike, *, labels: ArrayLike | None = None, n_bins: int = 10
) -> float:
    """Return the expected calibration error of the top label.

    ``ECE = sum_b n_b / n * |frequency_b - confidence_b|`` over bins b of equal width
    (Eq. 3 of [1]_).

    Parameters
    ----------
    y_true : array-like of shape (n_samples,)
        Labels.
    proba : array-like of shape (n_samples, n_classes)
        Predicted probabilities.
    labels : array-like of shape (n_classes,) or None, default=None
        Classes in the order of the columns of `proba`. None stands for those in `y_true`, sorted.
    n_bins : int, default=10
        Number of bins on [0, 1], at least 1. More bins show finer deviations, and more noise.

    Returns
    -------
    float
        In [0, 1]; 0 if confidence and frequency agree in all bins.

    Raises
    ------
    ValueError
        As `reliability`.

    References
    ----------
    .. [1] C. Guo, G. Pleiss, Y. Sun, K. Q. Weinberger, "On Calibration of Modern Neural Networks",
       ICML 2017, arXiv:1706.04599.

    Examples
    --------
    >>> round(calibration_error([0, 1], [[0.75, 0.25], [0.75, 0.25]], labels=[0, 1]), 3)
    0.25
    """
    return reliability(y_true, proba, labels=labels, n_bins=n_bins).error


def _check(
    y_true: np.ndarray, proba: np.ndarray, labels: np.ndarray, label: object, n_bins: int
) -> None:
    if proba.shape != (len(y_true), len(labels)) or not len(y_true):
        raise ValueError(
            "proba must hold one row per label and one column per class. Got shape "
            f"{proba.shape} for {len(y_true)} labels and {len(labels)} classes. Pass labels= if "
            "some class has no sample here."
        )
    if not ((proba >= 0) & (proba <= 1 + 1e-9)).all():
        raise ValueError(
            f"Probabilities must be in [0, 1]. Got values from {proba.min()} to {proba.max()}. "
            "Pass what predict_proba gives."
        )
    if label is not None and not (labels == label).any():
        raise ValueError(f"label must be one of {labels.tolist()!r}. Got {label!r}.")
    unknown = [k for k in np.unique(y_true).tolist() if k not in labels.tolist()]
    if unknown:
        raise ValueError(
            f"y_true must hold labels among {labels.tolist()[:10]!r}. Got {unknown[:5]!r}, "
            "of which no prediction could come true. Pass labels= in the order of the columns, such as "
            "the classifier's classes_."
        )
    if n_bins < 1:
        raise ValueError(f"n_bins must be at least 1. Got {n_bins}.")
