"""One report on a classifier of long-tailed data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ltresample.metrics._scores import (
    aligned_counts,
    as_labels,
    geometric_mean_of,
    mean_recall_by_shots,
    recall_per_class,
)

__all__ = ["LongTailReport"]

_MAX_ROWS = 20  # classes that the printed table shows before it leaves out the middle


@dataclass(frozen=True, eq=False, repr=False)
class LongTailReport:
    """Recall per class and the summaries that papers print, of one set of predictions.

    Made by `from_predictions` or `from_estimator`. Classes stand in sorted order; those of the
    training data that the test data lack have recall NaN and enter no mean. All scores are in
    [0, 1].

    Attributes
    ----------
    labels : ndarray of shape (n_classes,)
        Class labels.
    class_counts : ndarray of shape (n_classes,)
        Number of training samples per class.
    n_test : ndarray of shape (n_classes,)
        Number of test samples per class.
    recall : ndarray of shape (n_classes,)
        Recall per class.
    accuracy : float
        Share of test samples that are recognised.
    balanced_accuracy : float
        bACC, the mean recall.
    geometric_mean : float
        GM, 0 as soon as one recall is 0.
    geometric_mean_corrected_001, geometric_mean_corrected_01 : float
        GM with zero recalls replaced by 0.001 or 0.01.
    geometric_mean_smoothed : float
        GM with zero recalls replaced by ``1 / (n_test + 1)`` of their class.
    geometric_mean_floored : float
        GM with every recall below 0.1 raised to 0.1.
    n_zero_recall : int
        Number of classes that are never recognised.
    many, medium, few : float
        Mean recall of the classes with more than `many`, in between, and less than `few` training
        samples; NaN for a group without classes.

    Notes
    -----
    A geometric mean above 0 in a table of many classes says little without the rule that replaced
    the zeros, so the report gives them all, and the number of zeros.

    Examples
    --------
    >>> y_train = [0] * 200 + [1] * 40 + [2] * 5
    >>> report = LongTailReport.from_predictions([0, 0, 1, 1, 2], [0, 0, 1, 0, 0], y_train=y_train)
    >>> report.recall
    array([1. , 0.5, 0. ])
    >>> print(report)
    accuracy             0.600
    balanced accuracy    0.500
    geometric mean       0.000  (1 class with recall 0)
      zeros as 0.001      0.079
      zeros as 0.01       0.171
      zeros as 1/(n+1)   0.630
      floored at 0.1      0.368
    many-shot            1.000
    medium-shot          0.500
    few-shot             0.000
    <BLANKLINE>
    class   train   test   recall
        0     200      2    1.000
        1      40      2    0.500
        2       5      1    0.000
    """

    labels: NDArray
    class_counts: NDArray
    n_test: NDArray[np.int64]
    recall: NDArray[np.float64]
    accuracy: float
    balanced_accuracy: float
    geometric_mean: float
    geometric_mean_corrected_001: float
    geometric_mean_corrected_01: float
    geometric_mean_smoothed: float
    geometric_mean_floored: float
    n_zero_recall: int
    many: float
    medium: float
    few: float

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        y_pred: ArrayLike,
        *,
        class_counts: ArrayLike | Mapping | None = None,
        y_train: ArrayLike | None = None,
        many: float = 100,
        few: float = 20,
    ) -> LongTailReport:
        """Report on predictions.

        Parameters
        ----------
        y_true, y_pred : array-like of shape (n_samples,)
            Labels and predicted labels of the test data.
        class_counts : array-like of shape (n_classes,), mapping of label to int, or None
            Number of training samples per class; an array in the sorted order of the classes in
            `y_true`. Pass either this or `y_train`.
        y_train : array-like of shape (n_train,) or None
            Labels of the training data, to be counted.
        many, few : float, default=100, 20
            More than `many` samples are many-shot, less than `few` few-shot.

        Returns
        -------
        LongTailReport
            The report.

        Raises
        ------
        ValueError
            If not exactly one of `class_counts` and `y_train` is given, a class of `y_true` is
            missing there, or `y_true` is empty.
        """
        y_true, y_pred = as_labels(y_true), as_labels(y_pred)
        if not len(y_true):
            raise ValueError("y_true must hold at least one label. Got an empty one.")
        labels, counts = aligned_counts(y_true, _given_counts(class_counts, y_train, y_true))
        recall = recall_per_class(y_true, y_pred, labels=labels)
        n_test = np.bincount(np.searchsorted(labels, y_true), minlength=len(labels))
        return cls(
            labels=labels,
            class_counts=counts,
            n_test=n_test,
            recall=recall,
            accuracy=float((y_true == y_pred).mean()),
            **_means(recall[n_test > 0], n_test[n_test > 0]),
            **mean_recall_by_shots(recall, counts, many=many, few=few),
        )

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        y: ArrayLike,
        *,
        class_counts: ArrayLike | Mapping | None = None,
        y_train: ArrayLike | None = None,
        many: float = 100,
        few: float = 20,
    ) -> LongTailReport:
        """Report on a fitted classifier's predictions for test data.

        Parameters
        ----------
        estimator : estimator
            Fitted classifier with ``predict``.
        X : array-like of shape (n_samples, ...)
            Test data.
        y : array-like of shape (n_samples,)
            Their labels.
        class_counts : array-like of shape (n_classes,), mapping of label to int, or None
            Number of training samples per class; pass either this or `y_train`.
        y_train : array-like of shape (n_train,) or None
            Labels of the training data, to be counted.
        many, few : float, default=100, 20
            More than `many` training samples are many-shot, less than `few` few-shot.

        Returns
        -------
        LongTailReport
            The report.

        Raises
        ------
        ValueError
            As `from_predictions`.
        """
        return cls.from_predictions(
            y, estimator.predict(X), class_counts=class_counts, y_train=y_train, many=many, few=few
        )

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as lists and plain numbers, ready for JSON.

        Returns
        -------
        dict
            One entry per attribute, in their order.
        """
        values = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: v.tolist() if isinstance(v, np.ndarray) else v for name, v in values}

    def __repr__(self) -> str:
        return (
            f"LongTailReport(balanced_accuracy={self.balanced_accuracy:.4f}, "
            f"many={self.many:.4f}, medium={self.medium:.4f}, few={self.few:.4f}, "
            f"n_classes={len(self.labels)})"
        )

    def __str__(self) -> str:
        zeros = f"{self.n_zero_recall} class{'' if self.n_zero_recall == 1 else 'es'}"
        rows = [
            ("accuracy", self.accuracy),
            ("balanced accuracy", self.balanced_accuracy),
            ("geometric mean", self.geometric_mean),
            ("  zeros as 0.001", self.geometric_mean_corrected_001),
            ("  zeros as 0.01", self.geometric_mean_corrected_01),
            ("  zeros as 1/(n+1)", self.geometric_mean_smoothed),
            ("  floored at 0.1", self.geometric_mean_floored),
            ("many-shot", self.many),
            ("medium-shot", self.medium),
            ("few-shot", self.few),
        ]
        lines = [f"{name:<20} {value:.3f}" for name, value in rows]
        lines[2] += f"  ({zeros} with recall 0)"
        return "\n".join([*lines, "", *_class_table(self)])


def _given_counts(
    class_counts: ArrayLike | Mapping | None, y_train: ArrayLike | None, y_true: NDArray
) -> ArrayLike | Mapping:
    if (class_counts is None) == (y_train is None):
        got = "neither" if y_train is None else "both"
        raise ValueError(
            "The number of training samples per class must come from either class_counts or "
            f"y_train. Got {got}. Pass exactly one of them."
        )
    if y_train is None:
        return class_counts
    labels, counts = np.unique(np.asarray(y_train), return_counts=True)
    missing = np.setdiff1d(y_true, labels)
    if len(missing):
        raise ValueError(
            f"y_train lacks {len(missing)} classes of y_true: {missing[:5].tolist()}. "
            f"Got {len(labels)} classes in y_train. "
            "Pass the labels that the classifier was trained on."
        )
    return dict(zip(labels.tolist(), counts.tolist(), strict=True))


def _means(recall: NDArray[np.float64], n_test: NDArray[np.int64]) -> dict[str, Any]:
    return {
        "balanced_accuracy": float(recall.mean()),
        "geometric_mean": geometric_mean_of(recall),
        "geometric_mean_corrected_001": geometric_mean_of(recall, correction=0.001),
        "geometric_mean_corrected_01": geometric_mean_of(recall, correction=0.01),
        "geometric_mean_smoothed": geometric_mean_of(recall, correction=1 / (n_test + 1)),
        "geometric_mean_floored": geometric_mean_of(recall, floor=0.1),
        "n_zero_recall": int((recall == 0).sum()),
    }


def _class_table(report: LongTailReport) -> list[str]:
    """Return lines by decreasing training count; of many classes only both ends."""
    order = np.argsort(-report.class_counts, kind="stable")
    columns = [
        ["class", *(str(label) for label in report.labels[order].tolist())],
        ["train", *(f"{n:.0f}" for n in report.class_counts[order])],
        ["test", *(str(n) for n in report.n_test[order])],
        ["recall", *(f"{recall:.3f}" for recall in report.recall[order])],
    ]
    widths = [max(map(len, column)) for column in columns]
    line = "   ".join(f"{{:>{width}}}" for width in widths)
    header, *rows = [line.format(*cells) for cells in zip(*columns, strict=True)]
    if len(rows) > _MAX_ROWS:
        half = _MAX_ROWS // 2
        left_out = f"{'...':>{widths[0]}}   ({len(rows) - 2 * half} classes left out)"
        rows = [*rows[:half], left_out, *rows[-half:]]
    return [header, *rows]
