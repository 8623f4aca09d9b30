"""The distributions from which open-set samples may get their labels."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ltresample.plotting._canvas import PALETTE, pyplot
from ltresample.synthesis import label_distribution

__all__ = ["LabelDistributionDisplay"]

_NAMES = {
    "complementary": "complementary (CD)",
    "minimum": "minimum complementary (MCD)",
    "uniform": "uniform",
    "original": "class prior",
    "class_balanced": "class-balanced (CB)",
}


class LabelDistributionDisplay:
    """Label distributions side by side, as in Figure 1 of Open-sampling [1]_.

    Made by `from_counts`. One panel for each distribution, classes by decreasing count, on one
    scale.

    Parameters
    ----------
    class_counts : array-like of shape (n_classes,)
        N_k, training samples per class.
    distributions : dict of str to array-like of shape (n_classes,)
        Title of a panel to the probabilities of the labels, in the order of `class_counts`.

    Attributes
    ----------
    class_counts, distributions
        The parameters as arrays.
    axes_ : ndarray of matplotlib.axes.Axes
        One for each panel, after `plot`.
    ax_ : matplotlib.axes.Axes
        The axes in whose place they stand, after `plot`.
    figure_ : matplotlib.figure.Figure
        Its figure, after `plot`.

    Raises
    ------
    ValueError
        If there is no distribution, or one has another number of classes.

    References
    ----------
    .. [1] Wei et al., Open-Sampling, ICML 2022, arXiv:2206.08802.

    Examples
    --------
    >>> from ltresample.plotting import LabelDistributionDisplay
    >>> display = LabelDistributionDisplay.from_counts([5000, 387, 50])
    >>> list(display.distributions)[:2]
    ['class prior', 'class-balanced (CB)']
    """

    def __init__(self, class_counts: ArrayLike, distributions: Mapping[str, ArrayLike]) -> None:
        self.class_counts = np.asarray(class_counts)
        self.distributions = {name: np.asarray(p) for name, p in distributions.items()}
        shapes = {p.shape for p in self.distributions.values()}
        if shapes != {self.class_counts.shape}:
            raise ValueError(
                "There must be at least one distribution, each with a probability for each of the "
                f"{len(self.class_counts)} classes. Got shapes {sorted(shapes)}."
            )

    @classmethod
    def from_counts(
        cls,
        class_counts: ArrayLike,
        *,
        kinds: Sequence[str] = ("original", "class_balanced", "minimum"),
        alphas: Sequence[float | None] = (0.5, 5.0),
        beta: float = 0.9999,
    ) -> LabelDistributionDisplay:
        """Compute the distributions for given class counts.

        Parameters
        ----------
        class_counts : array-like of shape (n_classes,)
            N_k, training samples per class, in any order.
        kinds : sequence of str, default=("original", "class_balanced", "minimum")
            Of "complementary", "minimum", "uniform", "original" and "class_balanced"; see
            `OpenSampler`.
        alphas : sequence of float or None, default=(0.5, 5.0)
            A complementary distribution for each; None: largest plus smallest prior. Those below
            the largest prior do not exist and are left out.
        beta : float, default=0.9999
            Of "class_balanced".

        Returns
        -------
        LabelDistributionDisplay
            The display, not yet drawn.

        Raises
        ------
        ValueError
            If a kind is unknown, or the counts are out of their range.
        """
        counts = np.asarray(class_counts)
        shown = {
            _NAMES.get(kind, kind): label_distribution(counts, kind, beta=beta) for kind in kinds
        }
        largest = counts.max() / counts.sum()
        for alpha in alphas:
            if alpha is None or alpha >= largest:
                number = "max + min" if alpha is None else f"{alpha:g}"
                shown[f"CD, α = {number}"] = label_distribution(counts, alpha=alpha)
        return cls(counts, shown)

    def plot(self, ax: Any = None) -> LabelDistributionDisplay:
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes of a grid, as from ``plt.subplots``, in whose place the panels are drawn; None
            makes a new figure.

        Returns
        -------
        LabelDistributionDisplay
            This display, with ``axes_``, ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `ax` is not part of a grid.
        """
        plt = pyplot(self)
        n_columns = min(3, len(self.distributions))
        n_rows = math.ceil(len(self.distributions) / n_columns)
        if ax is None:
            size = (0.8 + 2.7 * n_columns, 0.6 + 1.9 * n_rows)
            _, ax = plt.subplots(figsize=size, layout="constrained")
        if ax.get_subplotspec() is None:
            raise ValueError(
                "ax must be part of a grid, so that it can be divided. "
                "Got axes without a place in a grid. Pass one from plt.subplots()."
            )
        self.ax_, self.figure_ = ax, ax.figure
        ax.set_axis_off()
        grid = ax.get_subplotspec().subgridspec(n_rows, n_columns)
        self.axes_ = grid.subplots(squeeze=False, sharex=True, sharey=True).ravel()
        for part in self.axes_[len(self.distributions) :]:
            part.set_axis_off()
        order = np.argsort(-self.class_counts, kind="stable")
        for part, (name, p) in zip(self.axes_, self.distributions.items(), strict=False):
            part.bar(np.arange(len(p)), p[order], 0.85, color=PALETTE[0])
            part.axhline(1 / len(p), color="0.4", lw=0.8, ls=":")
            part.set_title(name, fontsize=9)
            part.set_xticks([])
            part.spines[["top", "right"]].set_visible(False)
        for part in self.axes_[::n_columns]:
            part.set_ylabel("probability", fontsize=9)
        for part in self.axes_[: len(self.distributions)][-n_columns:]:
            part.set_xlabel("class, by decreasing count", fontsize=9)
        return self
