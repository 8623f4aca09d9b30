"""Class counts before and after re-sampling."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ltresample.plotting._canvas import PALETTE, canvas, class_width, legend_above, name_classes
from ltresample.plotting._provenance import provenance_of

__all__ = ["ClassCountsDisplay"]


class ClassCountsDisplay:
    """Class counts on a logarithmic axis, largest class first.

    Made by `from_labels` or `from_sampler`.

    Parameters
    ----------
    labels : array-like of shape (n_classes,)
        Class labels.
    before : array-like of shape (n_classes,)
        Number of samples per class.
    after : array-like of shape (n_classes,) or None, default=None
        Number of samples per class after re-sampling.
    synthetic : array-like of shape (n_classes,) or None, default=None
        Number of synthetic samples among `after`.

    Attributes
    ----------
    labels, before, after, synthetic
        The parameters as arrays, in the order of `labels`.
    ax_ : matplotlib.axes.Axes
        Axes with the picture, after `plot`.
    figure_ : matplotlib.figure.Figure
        Its figure, after `plot`.

    Examples
    --------
    >>> from ltresample.plotting import ClassCountsDisplay
    >>> display = ClassCountsDisplay.from_labels(["a"] * 90 + ["b"] * 9, ["a"] * 90 + ["b"] * 90)
    >>> display.before, display.after
    (array([90,  9]), array([90, 90]))
    """

    def __init__(
        self,
        labels: ArrayLike,
        before: ArrayLike,
        *,
        after: ArrayLike | None = None,
        synthetic: ArrayLike | None = None,
    ) -> None:
        self.labels = np.asarray(labels)
        self.before = np.asarray(before)
        self.after = None if after is None else np.asarray(after)
        self.synthetic = None if synthetic is None else np.asarray(synthetic)

    @classmethod
    def from_labels(
        cls, y_before: ArrayLike, y_after: ArrayLike | None = None
    ) -> ClassCountsDisplay:
        """Count labels.

        Parameters
        ----------
        y_before : array-like of shape (n_samples,)
            Labels.
        y_after : array-like of shape (n_resampled,) or None, default=None
            Labels after re-sampling.

        Returns
        -------
        ClassCountsDisplay
            The display, not yet drawn.

        Raises
        ------
        ValueError
            If `y_before` is empty.
        """
        y_before = np.asarray(y_before)
        if not len(y_before):
            raise ValueError("y_before must hold at least one label. Got an empty one.")
        both = y_before if y_after is None else np.concatenate([y_before, np.asarray(y_after)])
        labels = np.unique(both)
        after = None if y_after is None else _count(np.asarray(y_after), labels)
        return cls(labels, _count(y_before, labels), after=after)

    @classmethod
    def from_sampler(cls, sampler: Any, y: ArrayLike, y_res: ArrayLike) -> ClassCountsDisplay:
        """Count labels, and synthetic rows apart.

        Parameters
        ----------
        sampler : sampler
            After ``fit_resample``.
        y : array-like of shape (n_samples,)
            Labels that went in.
        y_res : array-like of shape (n_resampled,)
            Labels that came out.

        Returns
        -------
        ClassCountsDisplay
            The display, not yet drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the sampler has not resampled yet.
        ValueError
            If `y_res` is not what the sampler returned, or `y` is empty.
        """
        y_res = np.asarray(y_res)
        origin = provenance_of(sampler, len(y_res))["origin"]
        display = cls.from_labels(y, y_res)
        display.synthetic = _count(y_res[origin == "synthetic"], display.labels)
        return display

    def plot(self, ax: Any = None) -> ClassCountsDisplay:
        """Draw the counts.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        ClassCountsDisplay
            This display, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        self.figure_, self.ax_ = canvas(self, ax, (class_width(len(self.labels)), 4))
        order = np.argsort(-self.before, kind="stable")
        places, edges = np.arange(len(order)), np.arange(len(order) + 1) - 0.5
        width = 0.8 if len(order) <= 40 else 1.0
        bars = self.ax_.bar(places, self.before[order], width, color=PALETTE[0], label="before")
        handles, top = [bars], self.before.max()
        if self.after is not None:
            line = {"color": PALETTE[5], "lw": 2, "baseline": None, "label": "after"}
            handles.append(self.ax_.stairs(self.after[order], edges, **line))
            top = max(top, self.after.max())
        if self.synthetic is not None:
            made = np.where(self.synthetic > 0, self.synthetic, np.nan)[order]
            size = 5 if len(order) <= 40 else 3
            dots = {"color": PALETTE[1], "mec": "black", "mew": size / 6, "ms": size}
            handles += self.ax_.plot(places, made, "D", label="synthetic rows", **dots)
        self.ax_.set_yscale("log")
        self.ax_.set_ylim(0.7, 1.5 * top)
        self.ax_.set_ylabel("number of samples")
        name_classes(self.ax_, self.labels[order].tolist())
        if len(handles) > 1:
            legend_above(self.ax_, handles)
        return self


def _count(y: np.ndarray, labels: np.ndarray) -> np.ndarray:
    return np.bincount(np.searchsorted(labels, y), minlength=len(labels))
