"""Real and synthetic rows in two dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

from ltresample._random import Seed, root_seed
from ltresample.plotting._canvas import PALETTE, canvas, shortened
from ltresample.plotting._provenance import provenance_of, rows_of, table_of

__all__ = ["EmbeddingDisplay"]

_TSNE_DIMENSIONS = 50  # principal components that t-SNE works on


class EmbeddingDisplay:
    """A two-dimensional view of real and synthetic rows, coloured by class.

    Made by `from_sampler`. Dots are real rows, crosses synthetic ones; duplicates of real rows are
    left out.

    Parameters
    ----------
    points : array-like of shape (n_points, 2)
        Places of the rows.
    labels : array-like of shape (n_points,)
        Classes of the rows, up to eight different ones.
    is_synthetic : array-like of shape (n_points,), bool
        Which rows are synthetic.
    axis_names : (str, str), default=("", "")
        Names of the two directions.

    Attributes
    ----------
    points, labels, is_synthetic, axis_names
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
    >>> from ltresample.plotting import EmbeddingDisplay
    >>> display = EmbeddingDisplay([[0, 0], [1, 1]], ["a", "b"], is_synthetic=[False, True])
    >>> display.points.shape
    (2, 2)
    """

    def __init__(
        self,
        points: ArrayLike,
        labels: ArrayLike,
        *,
        is_synthetic: ArrayLike,
        axis_names: tuple[str, str] = ("", ""),
    ) -> None:
        self.points = np.asarray(points)
        self.labels = np.asarray(labels)
        self.is_synthetic = np.asarray(is_synthetic, dtype=bool)
        self.axis_names = axis_names
        n_classes = len(np.unique(self.labels))
        if n_classes > len(PALETTE):
            raise ValueError(
                f"A picture tells up to {len(PALETTE)} classes apart. Got {n_classes}. "
                "Pass the classes to show."
            )

    @classmethod
    def from_sampler(
        cls,
        sampler: Any,
        X_res: Any,
        y_res: ArrayLike,
        *,
        method: str = "pca",
        classes: Sequence | None = None,
        max_points: int = 2000,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
    ) -> EmbeddingDisplay:
        """Embed the rows that a sampler returned.

        Parameters
        ----------
        sampler : sampler
            After ``fit_resample``.
        X_res, y_res : array-like of length n_resampled
            Data and labels that came out; images are flattened, a column of categories is one of
            zeros and ones for each category.
        method : {"pca", "tsne"}, default="pca"
            ``"pca"``: two principal components of the real rows. ``"tsne"``: t-SNE of real and
            synthetic rows together, on up to 50 principal components.
        classes : sequence of labels or None, default=None
            Classes to show, up to eight. None stands for all, or with more than eight classes for
            the eight with most synthetic rows.
        max_points : int, default=2000
            Of more rows a random subset is shown.
        random_state : int, RandomState, Generator or None, default=None
            Source of the subset and of t-SNE's optimisation.

        Returns
        -------
        EmbeddingDisplay
            The display, not yet drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the sampler has not resampled yet.
        ValueError
            If `method` or `classes` is unknown, too many classes are asked for, or the data are
            not what the sampler returned.
        """
        if method not in _METHODS:
            raise ValueError(f"method must be 'pca' or 'tsne'. Got method={method!r}.")
        y_res = np.asarray(y_res)
        origin = provenance_of(sampler, len(y_res))["origin"]
        is_synthetic = origin == "synthetic"
        shown = _classes(y_res, is_synthetic, classes)
        seed = root_seed(random_state)
        index = np.flatnonzero(np.isin(y_res, shown) & (origin != "duplicate"))
        if len(index) > max_points:
            index = np.sort(seed.child("subset").numpy().choice(index, max_points, replace=False))
        rows = rows_of(table_of(sampler, X_res)[0], index).reshape(len(index), -1).astype(float)
        points, names = _METHODS[method](rows, ~is_synthetic[index], seed)
        return cls(points, y_res[index], is_synthetic=is_synthetic[index], axis_names=names)

    def plot(self, ax: Any = None) -> EmbeddingDisplay:
        """Draw the points.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Where to draw; None makes a new figure.

        Returns
        -------
        EmbeddingDisplay
            This display, with ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        self.figure_, self.ax_ = canvas(self, ax, (7, 5))
        for label, color in zip(np.unique(self.labels), PALETTE, strict=False):
            own = self.labels == label
            real, made = self.points[own & ~self.is_synthetic], self.points[own & self.is_synthetic]
            self.ax_.scatter(*real.T, s=16, color=color, alpha=0.55, lw=0, zorder=1)
            self.ax_.scatter(*made.T, s=22, color=color, marker="x", lw=1.1, zorder=2)
            self.ax_.scatter([], [], s=30, color=color, marker="s", label=shortened(str(label)))
        for marker, name in (("o", "real"), ("x", "synthetic")):
            self.ax_.scatter([], [], s=26, color="0.4", marker=marker, label=name)
        self.ax_.set(xlabel=self.axis_names[0], ylabel=self.axis_names[1])
        self.ax_.legend(loc="upper left", bbox_to_anchor=(1, 1), frameon=False, title="class")
        return self


def _classes(y_res: np.ndarray, is_synthetic: np.ndarray, classes: Sequence | None) -> np.ndarray:
    labels, place = np.unique(y_res, return_inverse=True)
    if classes is None:
        made = np.bincount(place[is_synthetic], minlength=len(labels))
        return labels[np.argsort(-made, kind="stable")[: len(PALETTE)]]
    unknown = [label for label in classes if label not in labels.tolist()]
    if unknown or len(classes) > len(PALETTE):
        raise ValueError(
            f"classes must be up to {len(PALETTE)} of the labels in y_res. Got {list(classes)}, "
            f"of which {unknown} are not in y_res."
        )
    return np.asarray(classes)


def _pca(rows: np.ndarray, real: np.ndarray, seed: Seed) -> tuple[np.ndarray, tuple[str, str]]:
    fitted = PCA(n_components=2, svd_solver="full").fit(rows[real] if real.sum() > 1 else rows)
    shares = fitted.explained_variance_ratio_
    names = [f"component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares)]
    return fitted.transform(rows), (names[0], names[1])


def _tsne(rows: np.ndarray, real: np.ndarray, seed: Seed) -> tuple[np.ndarray, tuple[str, str]]:
    if min(rows.shape) > _TSNE_DIMENSIONS:
        number = seed.child("pca").integer() % 2**32
        rows = PCA(n_components=_TSNE_DIMENSIONS, random_state=number).fit_transform(rows)
    number = seed.child("tsne").integer() % 2**32
    perplexity = min(30, (len(rows) - 1) / 3)
    tsne = TSNE(perplexity=perplexity, init="pca", random_state=number)
    return tsne.fit_transform(rows), ("t-SNE 1", "t-SNE 2")


_METHODS = {"pca": _pca, "tsne": _tsne}
