"""Recall per class, from the largest to the smallest."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ltresample.class_counts import shot_groups
from ltresample.metrics import LongTailReport
from ltresample.plotting._canvas import PALETTE, canvas, class_width, legend_above, name_classes

__all__ = ["RecallDisplay"]

_MARKERS = "osD^vP*X"
_MAX_LINES = 30  # classes up to which recalls are joined by lines


class RecallDisplay:
    """Recall per class by decreasing number of training samples, with the shot groups shaded.

    Made by `from_predictions` or `from_reports`. Up to 30 classes each classifier is a line; with
    more its recalls are dots and thick bars show the mean of each shot group.

    Parameters
    ----------
    labels : array-like of shape (n_classes,)
        Class labels.
    class_counts : array-like of shape (n_classes,)
        Number of training samples per class.
    recalls : mapping of str to array-like of shape (n_classes,)
        Recall per class, NaN for a class without test samples, of each classifier.
    many, few : float, default=100, 20
        More than `many` samples are many-shot, less than `few` few-shot.

    Attributes
    ----------
    labels, class_counts, recalls
        The parameters as arrays, in the order of `labels`.
    ax_ : matplotlib.axes.Axes
        Axes with the picture, after `plot`.
    figure_ : matplotlib.figure.Figure
        Its figure, after `plot`.

    Raises
    ------
    ValueError
        If `recalls` is empty or holds more than eight classifiers, more than the palette can tell
        apart.

    Examples
    --------
    >>> from ltresample.plotting import RecallDisplay
    >>> predictions = {"constant": ([0, 0, 1], [0, 0, 0]), "exact": ([0, 0, 1], [0, 0, 1])}
    >>> display = RecallDisplay.from_predictions(predictions, class_counts=[200, 10])
    >>> display.recalls["constant"]
    array([1., 0.])
    """

    def __init__(
        self,
        labels: ArrayLike,
        class_counts: ArrayLike,
        *,
        recalls: Mapping[str, ArrayLike],
        many: float = 100,
        few: float = 20,
    ) -> None:
        if not 1 <= len(recalls) <= len(PALETTE):
            raise ValueError(
                f"A picture holds the recalls of 1 to {len(PALETTE)} classifiers. "
                f"Got {len(recalls)}. Draw several pictures."
            )
        self.labels = np.asarray(labels)
        self.class_counts = np.asarray(class_counts)
        self.recalls = {name: np.asarray(recall) for name, recall in recalls.items()}
        self.many = many
        self.few = few

    @classmethod
    def from_predictions(
        cls,
        predictions: Mapping[str, tuple[ArrayLike, ArrayLike]],
        class_counts: ArrayLike | Mapping,
        *,
        many: float = 100,
        few: float = 20,
    ) -> RecallDisplay:
        """Compute recalls.

        Parameters
        ----------
        predictions : mapping of str to (y_true, y_pred)
            Labels and predicted labels of the test data, for each classifier.
        class_counts : array-like of shape (n_classes,) or mapping of label to int
            Number of training samples per class; an array in the sorted order of the labels.
        many, few : float, default=100, 20
            More than `many` samples are many-shot, less than `few` few-shot.

        Returns
        -------
        RecallDisplay
            The display, not yet drawn.

        Raises
        ------
        ValueError
            As `LongTailReport.from_predictions`, or as the class.
        """
        reports = {
            name: LongTailReport.from_predictions(y_true, y_pred, class_counts=class_counts)
            for name, (y_true, y_pred) in predictions.items()
        }
        return cls.from_reports(reports, many=many, few=few)

    @classmethod
    def from_reports(
        cls, reports: Mapping[str, LongTailReport], *, many: float = 100, few: float = 20
    ) -> RecallDisplay:
        """Take recalls from reports.

        Parameters
        ----------
        reports : mapping of str to LongTailReport
            One report for each classifier, all on the same classes and training data.
        many, few : float, default=100, 20
            More than `many` samples are many-shot, less than `few` few-shot.

        Returns
        -------
        RecallDisplay
            The display, not yet drawn.

        Raises
        ------
        ValueError
            If the reports differ in classes or class counts, or as the class.
        """
        recalls = {name: report.recall for name, report in reports.items()}
        first = next(iter(reports.values()), None)
        if first is None:
            return cls([], [], recalls=recalls)
        for name, report in reports.items():
            same = np.array_equal(report.labels, first.labels)
            if not same or not np.array_equal(report.class_counts, first.class_counts):
                raise ValueError(
                    "All reports must have the same classes and class counts. "
                    f"Got other ones in {name!r} than in {next(iter(reports))!r}. "
                    "Draw one picture for each training set."
                )
        return cls(first.labels, first.class_counts, recalls=recalls, many=many, few=few)

    def plot(self, ax: Any = None) -> RecallDisplay:
        """Draw the recalls.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        RecallDisplay
            This display, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        self.figure_, self.ax_ = canvas(self, ax, self._size())
        order = np.argsort(-self.class_counts, kind="stable")
        groups = shot_groups(self.class_counts[order], many=self.many, few=self.few)
        self._shade(groups)
        for i, (name, recall) in enumerate(self.recalls.items()):
            label = f"{name} (mean {np.nanmean(recall):.3f})"
            self._draw(recall[order], groups, label, color=PALETTE[i], marker=_MARKERS[i])
        self.ax_.set_ylim(-0.03, 1.03)
        lines = len(self.labels) <= _MAX_LINES
        self.ax_.set_ylabel("recall" if lines else "recall (bar: mean of the group)")
        name_classes(self.ax_, self.labels[order].tolist())
        legend_above(self.ax_, self.ax_.get_legend_handles_labels()[0], height=1.06)
        return self

    def _size(self) -> tuple[float, float]:
        return max(6.0, class_width(len(self.labels))), 4 + 0.2 * (len(self.recalls) - 1)

    def _shade(self, groups: dict[str, np.ndarray]) -> None:
        """Grey bands behind the groups, which are runs of the sorted classes; names above."""
        for shade, (name, mask) in zip((0.9, 0.95, 1.0), groups.items(), strict=True):
            if mask.any():
                start, stop = np.flatnonzero(mask)[[0, -1]] + [-0.5, 0.5]
                self.ax_.axvspan(start, stop, color=str(shade), lw=0, zorder=0)
                self.ax_.text(
                    (start + stop) / 2, 1.045, f"{name}", ha="center", va="bottom", color="0.35"
                )

    def _draw(
        self,
        recall: np.ndarray,
        groups: dict[str, np.ndarray],
        label: str,
        *,
        color: str,
        marker: str,
    ) -> None:
        places = np.arange(len(recall))
        if len(recall) <= _MAX_LINES:
            self.ax_.plot(places, recall, color=color, marker=marker, ms=5, lw=1.5, label=label)
            return
        size = 5 if len(recall) <= 60 else 3.5
        self.ax_.plot(places, recall, marker, color=color, ms=size, alpha=0.65, mew=0)
        for mask in groups.values():
            if (mask & ~np.isnan(recall)).any():
                span = np.flatnonzero(mask)[[0, -1]] + [-0.3, 0.3]
                mean = np.nanmean(recall[mask])
                self.ax_.plot(span, [mean, mean], color=color, lw=3, label=label)
                label = None
