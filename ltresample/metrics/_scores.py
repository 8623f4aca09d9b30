"""Recall per class, its geometric mean and its mean by number of training samples."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.stats import gmean
from sklearn.metrics import recall_score
from sklearn.utils.validation import column_or_1d

from ltresample.class_counts import by_label, shot_groups

__all__ = ["geometric_mean", "recall_per_class", "shot_accuracy"]


def recall_per_class(
    y_true: ArrayLike, y_pred: ArrayLike, *, labels: ArrayLike | None = None
) -> NDArray[np.float64]:
    """Return the share of each class's samples that are recognised.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predicted labels.
    labels : array-like of shape (n_classes,) or None, default=None
        Classes in the order of the answer. None stands for those in `y_true`, sorted.

    Returns
    -------
    ndarray of shape (n_classes,)
        Recalls in [0, 1]; NaN for a class without samples in `y_true`.

    Raises
    ------
    ValueError
        If the two lengths differ.

    See Also
    --------
    sklearn.metrics.recall_score : Computes it.

    Examples
    --------
    >>> recall_per_class(["a", "a", "b"], ["a", "b", "b"])
    array([0.5, 1. ])
    """
    y_true, y_pred = as_labels(y_true), as_labels(y_pred)
    labels = np.unique(y_true) if labels is None else labels
    return recall_score(y_true, y_pred, labels=labels, average=None, zero_division=np.nan)


def as_labels(y: Any) -> NDArray:
    """Return labels as an array (n,); a column (n, 1), as some classifiers give it, is flattened."""
    return column_or_1d(np.asarray(y))


def geometric_mean(
    y_true: ArrayLike, y_pred: ArrayLike, *, correction: float = 0.0, floor: float = 0.0
) -> float:
    """Return the geometric mean of the recalls of the classes in `y_true`.

    A single class that is never recognised makes it 0. Published values for many classes are often
    above 0 although such classes are likely there, so the zeros were replaced somehow:
    `correction` and `floor` are two ways.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predicted labels.
    correction : float, default=0.0
        In [0, 1]. Takes the place of recalls that are exactly 0, as in imbalanced-learn.
    floor : float, default=0.0
        In [0, 1]. Every recall below it is raised to it.

    Returns
    -------
    float
        In [0, 1].

    Raises
    ------
    ValueError
        If `correction` or `floor` is out of its range, or the two lengths differ.

    See Also
    --------
    imblearn.metrics.geometric_mean_score : The same for ``floor=0``, except that it also counts
        classes that are only in `y_pred`, with recall 0.

    Examples
    --------
    >>> geometric_mean([0, 0, 1, 2], [0, 0, 1, 1])
    0.0
    >>> round(geometric_mean([0, 0, 1, 2], [0, 0, 1, 1], correction=0.001), 3)
    0.1
    >>> round(geometric_mean([0, 0, 1, 2], [0, 0, 1, 1], floor=0.125), 3)
    0.5
    """
    return geometric_mean_of(recall_per_class(y_true, y_pred), correction=correction, floor=floor)


def geometric_mean_of(
    recall: NDArray[np.float64], *, correction: ArrayLike = 0.0, floor: float = 0.0
) -> float:
    """Return the geometric mean of recalls (n_classes,), zeros replaced, all raised to a floor."""
    for name, value in (("correction", correction), ("floor", floor)):
        if not (np.less_equal(0, value) & np.less_equal(value, 1)).all():
            raise ValueError(f"{name} must be in [0, 1]. Got {name}={value!r}.")
    return float(gmean(np.maximum(np.where(recall == 0, correction, recall), floor)))


def shot_accuracy(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    class_counts: ArrayLike | Mapping,
    many: float = 100,
    few: float = 20,
) -> dict[str, float]:
    """Return the mean recall of many-, medium- and few-shot classes.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predicted labels.
    class_counts : array-like of shape (n_classes,) or mapping of label to int
        Number of training samples per class; an array in the sorted order of the classes in
        `y_true`.
    many, few : float, default=100, 20
        More than `many` samples are many-shot, less than `few` few-shot, see `shot_groups`.

    Returns
    -------
    dict of str to float
        Mean recalls of "many", "medium" and "few"; NaN for a group without classes.

    Raises
    ------
    ValueError
        If `class_counts` lacks a class of `y_true` or, as an array, has another number of classes.

    Examples
    --------
    >>> shot_accuracy([0, 0, 1, 2], [0, 1, 1, 1], class_counts=[500, 50, 5])
    {'many': 0.5, 'medium': 1.0, 'few': 0.0}
    """
    labels, counts = aligned_counts(y_true, class_counts)
    recall = recall_per_class(y_true, y_pred, labels=labels)
    return mean_recall_by_shots(recall, counts, many=many, few=few)


def mean_recall_by_shots(
    recall: NDArray[np.float64], counts: NDArray, *, many: float, few: float
) -> dict[str, float]:
    """Return mean recalls by group from recalls and counts (n_classes,), passing over NaN."""
    tested = ~np.isnan(recall)
    groups = shot_groups(counts, many=many, few=few)
    return {
        name: float(recall[mask & tested].mean()) if (mask & tested).any() else float("nan")
        for name, mask in groups.items()
    }


def aligned_counts(y_true: ArrayLike, class_counts: ArrayLike | Mapping) -> tuple[NDArray, NDArray]:
    """Return sorted labels and their training counts, both (n_classes,)."""
    present = np.unique(as_labels(y_true))
    class_counts = by_label(class_counts)
    if not isinstance(class_counts, Mapping):
        counts = np.asarray(class_counts)
        if counts.shape != present.shape:
            raise ValueError(
                "class_counts must hold one number per class of y_true, in sorted order. "
                f"Got shape {counts.shape} for {len(present)} classes. "
                "Pass a mapping {label: count} where y_true lacks some of the classes."
            )
        return present, counts
    unknown = sorted(set(present.tolist()) - set(class_counts), key=str)
    if unknown:
        raise ValueError(
            f"class_counts lacks {len(unknown)} classes of y_true: {unknown[:5]}. "
            f"Got counts of {len(class_counts)} classes. Pass the counts of all classes in y_true."
        )
    labels = np.array(sorted(class_counts))
    return labels, np.array([class_counts[label] for label in labels.tolist()])
