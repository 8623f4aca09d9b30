"""Do predicted probabilities come true, before and after resampling."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ltresample.metrics import Reliability, reliability
from ltresample.plotting._canvas import PALETTE, canvas, legend_above

__all__ = ["ReliabilityDisplay"]

_MARKERS = "osD^vP*X"


class ReliabilityDisplay:
    """Frequency over predicted probability, of several classifiers in one picture.

    On the diagonal probabilities come true. Resampling takes them away from it, since the resampled
    data have another share of each class; below the axis stands how many predictions each bin holds.

    Parameters
    ----------
    curves : mapping of str to Reliability
        What `ltresample.metrics.reliability` gives, by name of the classifier.
    label : label or None, default=None
        The class that was looked at; None: of each sample the class of the largest probability.

    Attributes
    ----------
    curves, label
        The parameters.
    ax_ : matplotlib.axes.Axes
        Axes with the picture, after `plot`.
    figure_ : matplotlib.figure.Figure
        Its figure, after `plot`.

    Raises
    ------
    ValueError
        If `curves` is empty or holds more than eight classifiers, more than the palette can tell
        apart.

    See Also
    --------
    ltresample.metrics.calibration_error : The error as one number.

    Examples
    --------
    >>> from ltresample.plotting import ReliabilityDisplay
    >>> proba = {"sure": [[1.0, 0.0], [1.0, 0.0]], "calibrated": [[0.5, 0.5], [0.5, 0.5]]}
    >>> display = ReliabilityDisplay.from_predictions([0, 1], proba)
    >>> {name: curve.error for name, curve in display.curves.items()}
    {'sure': 0.5, 'calibrated': 0.0}
    """

    def __init__(self, curves: Mapping[str, Reliability], *, label: Any = None) -> None:
        if not 1 <= len(curves) <= len(PALETTE):
            raise ValueError(
                f"A picture holds the curves of 1 to {len(PALETTE)} classifiers. "
                f"Got {len(curves)}. Draw several pictures."
            )
        self.curves = dict(curves)
        self.label = label

    @classmethod
    def from_predictions(
        cls,
        y_true: ArrayLike,
        proba: Mapping[str, ArrayLike],
        *,
        labels: ArrayLike | None = None,
        label: Any = None,
        n_bins: int = 10,
    ) -> ReliabilityDisplay:
        """Sort predictions into bins.

        Parameters
        ----------
        y_true : array-like of shape (n_samples,)
            Labels of the test data.
        proba : mapping of str to array-like of shape (n_samples, n_classes)
            Predicted probabilities of each classifier.
        labels : array-like of shape (n_classes,) or None, default=None
            Classes in the order of the columns. None stands for those in `y_true`, sorted.
        label : label or None, default=None
            The class to look at; None: of each sample the class of the largest probability.
        n_bins : int, default=10
            Number of bins on [0, 1].

        Returns
        -------
        ReliabilityDisplay
            The display, not yet drawn.

        Raises
        ------
        ValueError
            As `ltresample.metrics.reliability`, or as the class.
        """
        curves = {
            name: reliability(y_true, p, labels=labels, label=label, n_bins=n_bins)
            for name, p in proba.items()
        }
        return cls(curves, label=label)

    @classmethod
    def from_estimators(
        cls,
        estimators: Mapping[str, Any],
        X: Any,
        y: ArrayLike,
        *,
        label: Any = None,
        n_bins: int = 10,
    ) -> ReliabilityDisplay:
        """Predict test data, and sort the predictions into bins.

        Parameters
        ----------
        estimators : mapping of str to fitted classifier
            With ``predict_proba``, all of the same classes.
        X : array-like of shape (n_samples, n_features)
            Test data.
        y : array-like of shape (n_samples,)
            Their labels.
        label : label or None, default=None
            The class whose probability is looked at. None: of each sample the class of the largest
            probability.
        n_bins : int, default=10
            Number of bins on [0, 1], at least 1.

        Returns
        -------
        ReliabilityDisplay
            The display, not yet drawn.

        Raises
        ------
        ValueError
            If the classifiers have other classes from each other, or as the class.
        """
        classes = [list(estimator.classes_) for estimator in estimators.values()]
        if any(own != classes[0] for own in classes):
            raise ValueError(
                f"All classifiers must have the same classes. Got {classes[:3]!r}. Fit them on "
                "labels of the same classes."
            )
        proba = {name: estimator.predict_proba(X) for name, estimator in estimators.items()}
        labels = classes[0] if classes else None
        return cls.from_predictions(y, proba, labels=labels, label=label, n_bins=n_bins)

    def plot(self, ax: Any = None) -> ReliabilityDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ReliabilityDisplay
            This display, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        size = (5.5, 5.2 + 0.2 * (len(self.curves) - 1))
        self.figure_, self.ax_ = canvas(self, ax, size)
        self.ax_.plot([0, 1], [0, 1], color="0.6", lw=1, ls="--", zorder=0)
        for i, (name, curve) in enumerate(self.curves.items()):
            self._draw(name, curve, place=i)
        what = "of the largest class" if self.label is None else f"of class {self.label!r}"
        lowest = 0.16
        self.ax_.set(xlim=(-0.02, 1.02), ylim=(-lowest, 1.03), yticks=np.linspace(0, 1, 6))
        self.ax_.axhline(0, color="0.85", lw=0.8, zorder=0)
        self.ax_.set_xlabel(f"predicted probability {what.replace('largest', 'predicted')}")
        self.ax_.set_ylabel("share that came true; below 0: share of the predictions")
        legend_above(self.ax_, self.ax_.get_legend_handles_labels()[0])
        return self

    def _draw(self, name: str, curve: Reliability, *, place: int) -> None:
        color, filled = PALETTE[place], curve.count > 0
        label = f"{name} (error {curve.error:.3f})"
        self.ax_.plot(
            curve.confidence[filled],
            curve.frequency[filled],
            color=color,
            marker=_MARKERS[place],
            ms=5,
            lw=1.5,
            label=label,
        )
        n_bins, n = len(curve.count), len(self.curves)
        width = 0.8 / n_bins / n
        left = (np.arange(n_bins) + 0.1) / n_bins + width * place
        height = -0.14 * curve.count / curve.count.sum()
        self.ax_.bar(left, height, width, align="edge", color=color, alpha=0.7, lw=0)
