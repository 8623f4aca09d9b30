"""Methods side by side: a mean and an interval of the paired difference for each."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ltresample.plotting._canvas import PALETTE, pyplot

__all__ = ["ComparisonDisplay"]


class ComparisonDisplay:
    """Paired differences of methods to a reference, with intervals, one panel for each metric.

    Parameters
    ----------
    names : list of str
        Methods, from top to bottom.
    metrics : list of str
        Metrics, from left to right.
    differences : array-like of shape (n_methods, n_metrics)
        Mean difference to the reference; NaN where a method gave nothing.
    half_widths : array-like of shape (n_methods, n_metrics)
        Half the width of each interval; NaN where there is none.
    reference : str
        Name of the method that stands at 0.

    Attributes
    ----------
    names, metrics, differences, half_widths, reference
        The parameters.
    axes_ : ndarray of matplotlib.axes.Axes of shape (n_metrics,)
        The panels, after `plot`.
    figure_ : matplotlib.figure.Figure
        Their figure, after `plot`.

    See Also
    --------
    ltresample.compare : Computes what is drawn.

    Examples
    --------
    >>> from ltresample.plotting import ComparisonDisplay
    >>> display = ComparisonDisplay(
    ...     ["plain", "corrected"], ["bACC"], [[-0.1], [0.0]], [[0.02], [0.0]], reference="corrected"
    ... )
    >>> display.differences.shape
    (2, 1)
    """

    def __init__(
        self,
        names: list[str],
        metrics: list[str],
        differences: ArrayLike,
        half_widths: ArrayLike,
        *,
        reference: str,
    ) -> None:
        self.names, self.metrics, self.reference = list(names), list(metrics), reference
        self.differences = np.asarray(differences, dtype=np.float64)
        self.half_widths = np.asarray(half_widths, dtype=np.float64)
        shape = (len(self.names), len(self.metrics))
        if self.differences.shape != shape or self.half_widths.shape != shape:
            raise ValueError(
                f"differences and half_widths must have shape {shape}, methods by metrics. Got "
                f"{self.differences.shape} and {self.half_widths.shape}."
            )

    def plot(self, axes: Any = None) -> ComparisonDisplay:
        """Draw the panels.

        Parameters
        ----------
        axes : sequence of matplotlib.axes.Axes or None, default=None
            One for each metric; None makes a new figure.

        Returns
        -------
        ComparisonDisplay
            This display, with ``axes_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        plt = pyplot(self)
        if axes is None:
            size = (1.6 + 2.8 * len(self.metrics), 1.2 + 0.35 * len(self.names))
            _, axes = plt.subplots(
                1, len(self.metrics), figsize=size, sharey=True, squeeze=False, layout="constrained"
            )
        self.axes_ = np.ravel(np.asarray(axes, dtype=object))
        self.figure_ = self.axes_[0].figure
        for column, (ax, metric) in enumerate(zip(self.axes_, self.metrics, strict=True)):
            self._draw(ax, column, metric)
        self.axes_[0].set_yticks(range(len(self.names)), self.names)
        self.axes_[0].set_ylim(len(self.names) - 0.5, -0.5)  # the first on top
        return self

    def _draw(self, ax: Any, column: int, metric: str) -> None:
        ax.spines[["top", "right", "left"]].set_visible(False)
        ax.tick_params(axis="y", length=0)
        ax.axvline(0, color="0.6", lw=1, zorder=0)
        middle, half = self.differences[:, column], self.half_widths[:, column]
        for row in np.flatnonzero(np.isfinite(middle)):
            known = half[row] if np.isfinite(half[row]) else 0.0
            apart = known > 0 and abs(middle[row]) > known
            ax.errorbar(
                middle[row],
                row,
                xerr=known,
                fmt="o" if apart else "s",
                mfc=PALETTE[0] if apart else "white",
                color=PALETTE[0],
                ms=5,
                capsize=2,
            )
        ax.set_xlabel(f"{metric}\nminus {self.reference}")
