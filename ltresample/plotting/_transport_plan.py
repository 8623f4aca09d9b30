"""A transport plan between foregrounds and backgrounds, and the pairs that follow from it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ltresample.plotting._canvas import PALETTE, pyplot, shortened

__all__ = ["TransportPlanDisplay"]

_LEAST_SHARE = 0.02  # of an axis: narrower classes get no name


class TransportPlanDisplay:
    """A transport plan, sorted by class, beside pairs of images that it makes.

    Rows of the plan are foregrounds, columns backgrounds; each row is shown as shares of its sum.
    Frames mark pairs of the same class, and a dot the background that a foreground is paired with.

    Parameters
    ----------
    plan : array-like of shape (n_foregrounds, n_backgrounds)
        The plan.
    y_foreground, y_background : array-like of shape (n_foregrounds,) and (n_backgrounds,)
        Labels.
    pairs : array-like of int, shape (n_foregrounds,)
        The background that each foreground is paired with.
    images : sequence of (foreground, background, mixed) or None, default=None
        Images (H, W) or (C, H, W) of pairs to show; see `examples`.
    examples : array-like of int or None, default=None
        The foregrounds that `images` belong to, in the same order.

    Attributes
    ----------
    plan, y_foreground, y_background, pairs, images, examples
        The parameters.
    axes_ : list of matplotlib.axes.Axes
        Axes of the parts, the plan first, after `plot`.
    ax_ : matplotlib.axes.Axes
        The axes of the plan, after `plot`.
    figure_ : matplotlib.figure.Figure
        Its figure, after `plot`.

    Raises
    ------
    ValueError
        If the shapes do not fit each other.

    See Also
    --------
    PairCountsDisplay : How often classes are mixed with each other.

    Examples
    --------
    >>> import torch
    >>> from ltresample.pairing import Side, TransportPairing
    >>> from ltresample.plotting import TransportPlanDisplay
    >>> side = Side(torch.tensor([0, 1]), torch.eye(2))
    >>> pairing = TransportPairing(feature_weight=1.0)
    >>> plan, pairs = pairing.plan(side, side).plan, pairing.pair(side, side, torch.rand(2))
    >>> TransportPlanDisplay(plan, side.y, side.y, pairs=pairs).pairs
    array([0, 1])
    """

    def __init__(
        self,
        plan: ArrayLike,
        y_foreground: ArrayLike,
        y_background: ArrayLike,
        *,
        pairs: ArrayLike,
        images: Sequence[tuple[ArrayLike, ArrayLike, ArrayLike]] | None = None,
        examples: ArrayLike | None = None,
    ) -> None:
        self.plan = np.asarray(plan)
        self.y_foreground = np.asarray(y_foreground)
        self.y_background = np.asarray(y_background)
        self.pairs = np.asarray(pairs)
        self.images = images
        self.examples = None if examples is None else np.asarray(examples)
        sizes = (len(self.y_foreground), len(self.y_background))
        if self.plan.shape != sizes or self.pairs.shape != sizes[:1]:
            raise ValueError(
                "plan must have one row per foreground and one column per background, and pairs "
                f"one entry per foreground. Got plan of shape {self.plan.shape} and pairs of shape "
                f"{self.pairs.shape} with {sizes[0]} foregrounds and {sizes[1]} backgrounds."
            )
        if images is not None and (examples is None or len(images) != len(self.examples)):
            n = None if examples is None else len(self.examples)
            raise ValueError(
                f"images and examples belong together. Got {len(images)} images and {n} examples."
            )

    def plot(self, ax: Any = None) -> TransportPlanDisplay:
        """Draw the plan, and the pairs if there are images.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw the plan alone; None makes a new figure for plan and images.

        Returns
        -------
        TransportPlanDisplay
            This display, with ``axes_``, ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        plt = pyplot(self)
        shown = [] if ax is not None or self.images is None else self.images
        if ax is None:
            width = 6.5 + (4.6 if len(shown) else 0)
            figure = plt.figure(figsize=(width, 5.4), layout="constrained")
            left, right = (
                figure.subfigures(1, 2, width_ratios=(6.5, 4.6)) if shown else (figure, None)
            )
            ax = left.subplots()
        self.ax_, self.figure_ = ax, ax.figure.figure if hasattr(ax.figure, "figure") else ax.figure
        self.axes_ = [ax]
        self._draw_plan(ax)
        if shown:
            self._draw_images(right)
        return self

    def _draw_plan(self, ax: Any) -> None:
        rows = np.argsort(self.y_foreground, kind="stable")
        columns = np.argsort(self.y_background, kind="stable")
        sums = self.plan.sum(axis=1, keepdims=True)
        shares = (self.plan / np.where(sums > 0, sums, 1))[rows][:, columns]
        picture = ax.imshow(shares**0.5, cmap="Greys", vmin=0, vmax=1, aspect="auto")
        place = np.empty(len(columns), dtype=int)
        place[columns] = np.arange(len(columns))
        ax.plot(place[self.pairs[rows]], np.arange(len(rows)), ".", color=PALETTE[5], ms=3)
        y_f, y_b = self.y_foreground[rows], self.y_background[columns]
        for label in np.unique(y_f):
            own_f, own_b = np.flatnonzero(y_f == label), np.flatnonzero(y_b == label)
            if len(own_b):
                ax.add_patch(_frame(own_b, own_f, PALETTE[0]))
        _name(ax.set_xticks, y_b)
        _name(ax.set_yticks, y_f)
        ax.set_xlabel("backgrounds, by class")
        ax.set_ylabel("foregrounds, by class")
        same = np.mean(self.y_foreground == self.y_background[self.pairs])
        ax.set_title(f"transport plan; {same:.0%} of the pairs within a class", fontsize=10)
        bar = ax.figure.colorbar(picture, ax=ax, fraction=0.04, pad=0.02)
        bar.set_ticks([0, 0.25**0.5, 0.5**0.5, 1], labels=["0", "0.25", "0.5", "1"])
        bar.set_label("share of the foreground's mass")

    def _draw_images(self, figure: Any) -> None:
        grid = figure.subplots(len(self.images), 3, squeeze=False)
        self.axes_ += list(grid.ravel())
        for j, name in enumerate(("foreground", "background", "mixed")):
            grid[0, j].set_title(name, fontsize=10)
        for parts, triple, i in zip(grid, self.images, self.examples, strict=True):
            pictures = [_picture(x) for x in triple]
            low, high = min(p.min() for p in pictures), max(p.max() for p in pictures)
            for part, picture in zip(parts, pictures, strict=True):
                part.imshow(picture, cmap="gray", vmin=low, vmax=high)
                part.set(xticks=[], yticks=[])
            labels = self.y_foreground[i], self.y_background[self.pairs[i]]
            for part, label in zip(parts, labels, strict=False):
                part.set_xlabel(shortened(str(label)), fontsize=8)


def _frame(columns: np.ndarray, rows: np.ndarray, color: str) -> Any:
    from matplotlib.patches import Rectangle

    corner = (columns[0] - 0.5, rows[0] - 0.5)
    return Rectangle(corner, len(columns), len(rows), fill=False, ec=color, lw=1.2)


def _name(set_ticks: Any, y: np.ndarray) -> None:
    """Name classes in the middle of their samples, where there is room."""
    labels, first, counts = np.unique(y, return_index=True, return_counts=True)
    wide = counts >= _LEAST_SHARE * len(y)
    names = [shortened(str(label)) for label in labels[wide]]
    set_ticks((first + (counts - 1) / 2)[wide], names, fontsize=8)


def _picture(x: ArrayLike) -> np.ndarray:
    """Return an image as matplotlib takes it."""
    x = np.asarray(x, dtype=float)
    if x.ndim == 3 and x.shape[0] in (1, 3):
        x = x[0] if x.shape[0] == 1 else x.transpose(1, 2, 0)
    return x
