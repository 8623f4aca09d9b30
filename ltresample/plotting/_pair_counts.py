"""Who is mixed with whom: pairs of classes, counted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from scipy.stats import spearmanr

from ltresample.plotting._canvas import pyplot, shortened
from ltresample.plotting._provenance import provenance_of

__all__ = ["PairCountsDisplay"]

_MAX_NUMBERS = 12  # classes up to which the counts are written into the cells


class PairCountsDisplay:
    """How often a foreground of one class is mixed with a background of another.

    One panel for each way to pair, and one for the confusion matrix if it is given; the rank
    correlation between the counts of pairs of different classes and their confusions stands above
    each panel.

    Parameters
    ----------
    labels : array-like of shape (n_classes,)
        Names of the classes.
    counts : dict of str to array-like of shape (n_classes, n_classes)
        Name of a way to pair to the number of pairs; rows are the foregrounds' classes.
    class_affinity : array-like of shape (n_classes, n_classes) or None, default=None
        Confusion matrix whose rows are true classes.

    Attributes
    ----------
    labels, counts, class_affinity
        The parameters.
    rank_correlation : dict of str to float
        Spearman's correlation between counts and confusions of different classes, over the rows
        that have pairs; empty without `class_affinity`.
    axes_ : ndarray of matplotlib.axes.Axes
        Axes of the panels, after `plot`.
    ax_ : matplotlib.axes.Axes
        The axes that were passed to `plot`, or the first panel.
    figure_ : matplotlib.figure.Figure
        Its figure, after `plot`.

    Raises
    ------
    ValueError
        If the shapes do not fit each other.

    See Also
    --------
    TransportPlanDisplay : The plan that pairs follow from.

    Examples
    --------
    >>> from ltresample.plotting import PairCountsDisplay
    >>> display = PairCountsDisplay(["a", "b", "c"], {"mine": [[0, 3, 1], [1, 0, 2], [4, 1, 0]]})
    >>> int(display.counts["mine"].sum())
    12
    """

    def __init__(
        self,
        labels: ArrayLike,
        counts: Mapping[str, ArrayLike],
        *,
        class_affinity: ArrayLike | None = None,
    ) -> None:
        self.labels = np.asarray(labels)
        self.counts = {name: np.asarray(matrix) for name, matrix in counts.items()}
        self.class_affinity = None if class_affinity is None else np.asarray(class_affinity)
        shape = (len(self.labels), len(self.labels))
        given = {**self.counts}
        if self.class_affinity is not None:
            given["class_affinity"] = self.class_affinity
        for name, matrix in given.items():
            if matrix.shape != shape:
                raise ValueError(
                    f"Each matrix must have one row and one column per class, shape {shape}. Got "
                    f"{name!r} of shape {matrix.shape}."
                )
        self.rank_correlation = {}
        if self.class_affinity is not None:
            self.rank_correlation = {
                name: _agreement(matrix, self.class_affinity)
                for name, matrix in self.counts.items()
            }

    @classmethod
    def from_samplers(
        cls, samplers: Mapping[str, Any], y: ArrayLike, *, class_affinity: ArrayLike | None = None
    ) -> PairCountsDisplay:
        """Count the pairs that samplers made.

        Parameters
        ----------
        samplers : dict of str to sampler
            Name to an `OTMixSampler` after ``fit_resample`` on the same data.
        y : array-like of shape (n_samples,)
            Labels that went in.
        class_affinity : array-like of shape (n_classes, n_classes) or None, default=None
            Confusion matrix. None: the `class_affinity_` of the first sampler that has one.

        Returns
        -------
        PairCountsDisplay
            The display, not yet drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If a sampler has not resampled yet.
        """
        y = np.asarray(y)
        labels, index = np.unique(y, return_inverse=True)
        counts = {name: _pairs(sampler, index, len(labels)) for name, sampler in samplers.items()}
        known = [getattr(sampler, "class_affinity_", None) for sampler in samplers.values()]
        known = [matrix for matrix in known if matrix is not None]
        if class_affinity is None and known:
            class_affinity = known[0]
        return cls(labels, counts, class_affinity=class_affinity)

    def plot(self, ax: Any = None) -> PairCountsDisplay:
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes of a grid, as from ``plt.subplots``, in whose place the panels are drawn; None
            makes a new figure.

        Returns
        -------
        PairCountsDisplay
            This display, with ``axes_``, ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `ax` is not part of a grid.
        """
        plt = pyplot(self)
        n_panels = len(self.counts) + (self.class_affinity is not None)
        if ax is None:
            size = (0.6 + 3.9 * n_panels, 4.4)
            _, axes = plt.subplots(1, n_panels, figsize=size, layout="constrained", squeeze=False)
            self.axes_, ax = axes[0], axes[0, 0]
        elif ax.get_subplotspec() is None:
            raise ValueError(
                "ax must be part of a grid, so that it can be divided. "
                "Got axes without a place in a grid. Pass one from plt.subplots()."
            )
        else:
            ax.set_axis_off()
            self.axes_ = ax.get_subplotspec().subgridspec(1, n_panels).subplots(squeeze=False)[0]
        self.ax_, self.figure_ = ax, ax.figure
        for part, (name, matrix) in zip(self.axes_, self.counts.items(), strict=False):
            rho = self.rank_correlation.get(name)
            agreement = "" if rho is None else f"\nrank correlation with confusions {rho:.2f}"
            self._draw(part, matrix, f"{shortened(name)}: pairs{agreement}")
            part.set_xlabel("background's class")
            part.set_ylabel("foreground's class")
        if self.class_affinity is not None:
            part = self.axes_[-1]
            self._draw(part, 100 * self.class_affinity, "confusion matrix, %")
            part.set_xlabel("misclassified as")
            part.set_ylabel("class")
        return self

    def _draw(self, part: Any, matrix: np.ndarray, title: str) -> None:
        apart = matrix * (1.0 - np.eye(len(matrix)))
        top = apart.max() or 1.0
        part.imshow(apart, cmap="Blues", vmin=0, vmax=top)
        part.set_title(title, fontsize=9)
        names = [shortened(str(label)) for label in self.labels]
        if len(names) > _MAX_NUMBERS:
            part.set(xticks=[], yticks=[])
            return
        crowded = {"rotation": 90} if max(map(len, names)) > 3 else {}
        part.set_xticks(range(len(names)), names, fontsize=8, **crowded)
        part.set_yticks(range(len(names)), names, fontsize=8)
        for i, j in np.ndindex(matrix.shape):
            shade = "0.6" if i == j else ("white" if apart[i, j] > 0.6 * top else "black")
            part.text(
                j, i, f"{matrix[i, j]:.0f}", ha="center", va="center", fontsize=6, color=shade
            )


def _pairs(sampler: Any, y: np.ndarray, n_classes: int) -> np.ndarray:
    """Count pairs (foreground's class, background's class), each mixed sample once."""
    provenance = provenance_of(sampler, len(getattr(sampler, "provenance_", [])))
    mixed = provenance[provenance["partner_index"] >= 0]
    if getattr(sampler, "mixed_labels", None) == "pair":  # the second half are twins
        mixed = mixed[: len(mixed) // 2]
    counts = np.zeros((n_classes, n_classes), dtype=int)
    np.add.at(counts, (y[mixed["seed_index"]], y[mixed["partner_index"]]), 1)
    return counts


def _agreement(counts: np.ndarray, affinity: np.ndarray) -> float:
    """Return Spearman's rank correlation off the diagonal, in rows that have pairs."""
    rows = (counts.sum(axis=1) > 0)[:, None] & ~np.eye(len(counts), dtype=bool)
    a, b = counts[rows], affinity[rows]
    if len(a) < 2 or np.ptp(a) == 0 or np.ptp(b) == 0:
        return float("nan")
    return float(spearmanr(a, b).statistic)
