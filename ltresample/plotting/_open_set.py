"""Real and open-set rows in two dimensions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.neighbors import NearestNeighbors

from ltresample._random import root_seed
from ltresample.plotting._canvas import PALETTE, canvas, shortened
from ltresample.plotting._embedding import _METHODS
from ltresample.plotting._provenance import rows_of

__all__ = ["OpenSetDisplay"]


class OpenSetDisplay:
    """A two-dimensional view of real rows, coloured by class, and open-set rows, grey.

    Made by `from_rows`. In the features of a trained network it shows what the network makes of
    open-set samples: far from all classes they do little, inside a class they take its place.

    Parameters
    ----------
    points : array-like of shape (n_points, 2)
        Places of the rows.
    labels : array-like of shape (n_points,)
        Classes of the rows; of no meaning for open-set rows. Up to eight different ones.
    is_open_set : array-like of shape (n_points,), bool
        Which rows are open-set rows.
    distance_ratio : float, default=nan
        Median distance from an open-set row to its nearest real row, divided by the median distance
        from a real row to its nearest other one.
    axis_names : (str, str), default=("", "")
        Names of the two directions.

    Attributes
    ----------
    points, labels, is_open_set, distance_ratio, axis_names
        The parameters as arrays.
    ax_ : matplotlib.axes.Axes
        Axes with the picture, after `plot`.
    figure_ : matplotlib.figure.Figure
        Its figure, after `plot`.

    Raises
    ------
    ValueError
        If there are more than eight classes, more than the palette can tell apart.

    Examples
    --------
    >>> import numpy as np
    >>> from ltresample.plotting import OpenSetDisplay
    >>> X = np.random.default_rng(0).normal(size=(40, 3))
    >>> display = OpenSetDisplay.from_rows(X, np.arange(40) % 2, X[:10] + 5)
    >>> display.points.shape, int(display.is_open_set.sum())
    ((50, 2), 10)
    """

    def __init__(
        self,
        points: ArrayLike,
        labels: ArrayLike,
        *,
        is_open_set: ArrayLike,
        distance_ratio: float = float("nan"),
        axis_names: tuple[str, str] = ("", ""),
    ) -> None:
        self.points = np.asarray(points)
        self.labels = np.asarray(labels)
        self.is_open_set = np.asarray(is_open_set, dtype=bool)
        self.distance_ratio = distance_ratio
        self.axis_names = axis_names
        n_classes = len(np.unique(self.labels[~self.is_open_set]))
        if n_classes > len(PALETTE):
            raise ValueError(
                f"A picture tells up to {len(PALETTE)} classes apart. Got {n_classes}. "
                "Pass the classes to show."
            )

    @classmethod
    def from_rows(
        cls,
        X: Any,
        y: ArrayLike,
        X_aux: Any,
        *,
        features: Callable[[np.ndarray], ArrayLike] | None = None,
        method: str = "pca",
        classes: Sequence | None = None,
        max_points: int = 1000,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
    ) -> OpenSetDisplay:
        """Embed real and open-set rows.

        Parameters
        ----------
        X : array-like of shape (n, ...)
            Real rows.
        y : array-like of shape (n,)
            Their labels.
        X_aux : array-like of shape (n_aux, ...)
            Open-set rows, in the units of X; may be a memory map.
        features : callable or None, default=None
            ``features(rows) -> (m, d)`` for an array of rows, such as the penultimate layer of a
            network. None: the rows themselves, flattened.
        method : {"pca", "tsne"}, default="pca"
            ``"pca"``: two principal components of the real rows. ``"tsne"``: t-SNE of all rows.
        classes : sequence of labels or None, default=None
            Classes to show, up to eight. None: all, or of more than eight the four largest and the
            four smallest.
        max_points : int, default=1000
            Of more rows of a kind, real or open-set, a random subset is shown.
        random_state : int, RandomState, Generator or None, default=None
            Source of the subsets and of t-SNE's optimisation.

        Returns
        -------
        OpenSetDisplay
            The display, not yet drawn.

        Raises
        ------
        ValueError
            If `method` is unknown, or a class is not in `y`.
        """
        if method not in _METHODS:
            raise ValueError(f"method must be 'pca' or 'tsne'. Got method={method!r}.")
        y, seed = np.asarray(y), root_seed(random_state)
        real = np.flatnonzero(np.isin(y, _shown(y, classes)))
        real = _some(real, max_points, seed.child("real").numpy())
        extra = _some(np.arange(X_aux.shape[0]), max_points, seed.child("open-set").numpy())
        embed = features or (lambda rows: rows)
        parts = [np.asarray(embed(rows_of(*part)), float) for part in ((X, real), (X_aux, extra))]
        rows = np.concatenate([part.reshape(len(part), -1) for part in parts])
        is_real = np.arange(len(rows)) < len(real)
        points, names = _METHODS[method](rows, is_real, seed)
        return cls(
            points,
            np.concatenate([y[real], np.full(len(extra), y[real[0]])]),
            is_open_set=~is_real,
            distance_ratio=_distance_ratio(rows[is_real], rows[~is_real]),
            axis_names=names,
        )

    def plot(self, ax: Any = None) -> OpenSetDisplay:
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        OpenSetDisplay
            This display, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        self.figure_, self.ax_ = canvas(self, ax, (7, 5))
        extra = self.points[self.is_open_set]
        self.ax_.scatter(*extra.T, s=18, color="0.55", marker="x", lw=0.8, alpha=0.8, zorder=1)
        real = self.labels[~self.is_open_set]
        for label, color in zip(np.unique(real), PALETTE, strict=False):
            own = self.points[~self.is_open_set & (self.labels == label)]
            self.ax_.scatter(*own.T, s=16, color=color, alpha=0.7, lw=0, zorder=2)
            self.ax_.scatter([], [], s=30, color=color, marker="o", label=shortened(str(label)))
        self.ax_.scatter([], [], s=26, color="0.55", marker="x", label="open-set")
        if np.isfinite(self.distance_ratio):
            self.ax_.set_title(
                f"nearest real row: {self.distance_ratio:.1f} x as far as among real rows",
                fontsize=9,
            )
        self.ax_.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        self.ax_.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, title="class")
        return self


def _shown(y: np.ndarray, classes: Sequence | None) -> np.ndarray:
    labels, counts = np.unique(y, return_counts=True)
    if classes is not None:
        unknown = [label for label in classes if label not in labels.tolist()]
        if unknown or len(classes) > len(PALETTE):
            raise ValueError(
                f"classes must be up to {len(PALETTE)} of the labels in y. Got {list(classes)}, of "
                f"which {unknown} are not in y."
            )
        return np.asarray(classes)
    if len(labels) <= len(PALETTE):
        return labels
    order = labels[np.argsort(-counts, kind="stable")]
    half = len(PALETTE) // 2
    return np.concatenate([order[:half], order[-half:]])


def _some(index: np.ndarray, most: int, rng: np.random.Generator) -> np.ndarray:
    return index if len(index) <= most else np.sort(rng.choice(index, most, replace=False))


def _distance_ratio(real: np.ndarray, extra: np.ndarray) -> float:
    """Compare distances to the nearest real row: of open-set rows, and of real ones."""
    if len(real) < 2:
        return float("nan")
    near = NearestNeighbors(n_neighbors=2).fit(real)
    own = np.median(near.kneighbors(real)[0][:, 1])
    other = np.median(near.kneighbors(extra, n_neighbors=1)[0])
    return float(other / own) if own > 0 else float("nan")
