"""Augmented tail features beside what a plain shift by class means would give."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike
from sklearn.decomposition import PCA
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

from ltresample._random import Seed, root_seed
from ltresample.plotting._canvas import PALETTE, pyplot, shortened
from ltresample.plotting._provenance import provenance_of, rows_of, table_of
from ltresample.synthesis import augment_tail, draw_same_class_pairs, head_classes

__all__ = ["FeatureAugmentationDisplay"]

_COLORS = PALETTE[1:5]  # of tail classes; real features of all other classes are grey


class _Made(NamedTuple):
    """Features that were made, and what they were made from."""

    rows: np.ndarray  # (m, d)
    labels: np.ndarray  # (m,)


class FeatureAugmentationDisplay:
    """Tail features in two dimensions, real and augmented, twice: by SAFA and by a plain shift.

    Left the features that SAFA's networks made, right ``t + (h - mean of h's class)`` for the same
    number of random tail features t and head features h: what the head's spread gives if it is
    neither learnt nor fitted to the sample. Dots are real features, crosses made ones; other classes
    than those shown are grey. Above each part stands the share of made features whose nearest real
    feature, in all dimensions, is of their class.

    Parameters
    ----------
    real, augmented, shifted : array-like of shape (n, 2)
        Places of real and made features.
    labels, augmented_labels, shifted_labels : array-like of shape (n,)
        Their classes.
    at_home : (float, float)
        Shares of augmented and of shifted features next to a real one of their class, in [0, 1].
    classes : sequence of labels
        Tail classes to colour, up to four.
    axis_names : (str, str), default=("", "")
        Names of the two directions.

    Attributes
    ----------
    real, labels, augmented, augmented_labels, shifted, shifted_labels, at_home, classes, axis_names
        The parameters as arrays.
    axes_ : ndarray of matplotlib.axes.Axes, shape (2,)
        Axes of the parts, after `plot`.
    figure_ : matplotlib.figure.Figure
        Their figure, after `plot`.

    Raises
    ------
    ValueError
        If there are more than four classes to colour.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from ltresample import SAFASampler, make_long_tailed
    >>> from ltresample.plotting import FeatureAugmentationDisplay
    >>> X, y = make_long_tailed(*load_iris(return_X_y=True), imbalance_factor=5, random_state=0)
    >>> sampler = SAFASampler(random_state=0)
    >>> X_res, y_res = sampler.fit_resample(X, y)
    >>> display = FeatureAugmentationDisplay.from_sampler(sampler, X_res, y_res)
    >>> display.classes
    [1, 2]
    """

    def __init__(
        self,
        real: ArrayLike,
        labels: ArrayLike,
        *,
        augmented: ArrayLike,
        augmented_labels: ArrayLike,
        shifted: ArrayLike,
        shifted_labels: ArrayLike,
        at_home: tuple[float, float],
        classes: Sequence,
        axis_names: tuple[str, str] = ("", ""),
    ) -> None:
        self.real, self.labels = np.asarray(real), np.asarray(labels)
        self.augmented, self.augmented_labels = np.asarray(augmented), np.asarray(augmented_labels)
        self.shifted, self.shifted_labels = np.asarray(shifted), np.asarray(shifted_labels)
        self.at_home = at_home
        self.classes = list(classes)
        self.axis_names = axis_names
        if len(self.classes) > len(_COLORS):
            raise ValueError(
                f"The picture colours up to {len(_COLORS)} tail classes. Got {self.classes}. Pass "
                "those to show as `classes`."
            )

    @classmethod
    def from_sampler(
        cls,
        sampler: Any,
        X_res: Any,
        y_res: ArrayLike,
        *,
        classes: Sequence | None = None,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
    ) -> FeatureAugmentationDisplay:
        """Show what a `SAFASampler` added.

        Parameters
        ----------
        sampler : SAFASampler
            After ``fit_resample``.
        X_res, y_res : array-like of length n_resampled
            Data and labels that came out.
        classes : sequence of labels or None, default=None
            Tail classes to colour. None: the four with fewest real rows.
        random_state : int, RandomState, Generator or None, default=None
            Source of the shifts.

        Returns
        -------
        FeatureAugmentationDisplay
            The display, not yet drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the sampler has not resampled yet.
        ValueError
            If the data are not what the sampler returned, or `classes` are not in its tail.
        """
        y_res = np.asarray(y_res)
        origin = provenance_of(sampler, len(y_res))["origin"]
        table = table_of(sampler, X_res)[0]
        rows = rows_of(table, np.arange(len(y_res))).reshape(len(y_res), -1).astype(float)
        rows = StandardScaler().fit(rows[origin == "original"]).transform(rows)
        real, made = origin == "original", origin == "synthetic"
        made &= ~np.isin(y_res, sampler.head_classes_)
        parts = _Made(rows[real], y_res[real]), _Made(rows[made], y_res[made])
        return cls._of(*parts, sampler.head_classes_, classes, root_seed(random_state))

    @classmethod
    def from_networks(
        cls,
        networks: Any,
        features: ArrayLike,
        y: ArrayLike,
        *,
        head_ratio: float = 0.2,
        classes: Sequence | None = None,
        random_state: int | np.random.RandomState | np.random.Generator | None = None,
    ) -> FeatureAugmentationDisplay:
        """Show what the networks of a training run make of features.

        Parameters
        ----------
        networks : nn.Module
            E, D, G and Q: ``g_`` of a `DeferredRebalancingClassifier` that was trained with `SAFA`.
            Not changed.
        features : array-like or Tensor of shape (n, C) or (n, C, H, W)
            Output of the layer for real rows. Maps are averaged over places for the picture.
        y : array-like of shape (n,)
            Labels.
        head_ratio : float, default=0.2
            Share of the classes, the largest ones, that were the head in training.
        classes : sequence of labels or None, default=None
            Tail classes to colour. None: the four with fewest rows.
        random_state : int, RandomState, Generator or None, default=None
            Source of pairs and shifts.

        Returns
        -------
        FeatureAugmentationDisplay
            The display, not yet drawn.

        Raises
        ------
        ValueError
            If there is no tail class or no pair in a head class, or `classes` are not in the tail.
        """
        seed = root_seed(random_state)
        labels, index, counts = np.unique(y, return_inverse=True, return_counts=True)
        networks = copy.deepcopy(networks).train()
        like = next(networks.parameters())
        x = torch.as_tensor(np.asarray(features), dtype=like.dtype, device=like.device)
        index = torch.as_tensor(index, device=like.device)
        is_head = head_classes(torch.as_tensor(counts), head_ratio)
        draw = draw_same_class_pairs(index, is_head, seed.child("pairs"))
        with torch.no_grad():
            made = augment_tail(networks, x, index, draw.to(like.device))
        parts = _Made(_pooled(x), np.asarray(y)), _Made(_pooled(made.x), labels[made.y.cpu()])
        return cls._of(*parts, labels[is_head.numpy()], classes, seed)

    @classmethod
    def _of(cls, real: _Made, made: _Made, head: np.ndarray, classes: Any, seed: Seed) -> Any:
        shown = _tail_classes(real.labels, head, classes)
        shifted = _shifted(real, head, made.labels, seed.child("shift").numpy())
        fitted = PCA(n_components=2, svd_solver="full").fit(real.rows)
        shares = fitted.explained_variance_ratio_
        names = [
            f"component {i + 1} ({share:.0%} of the variance)" for i, share in enumerate(shares)
        ]
        return cls(
            fitted.transform(real.rows),
            real.labels,
            augmented=fitted.transform(made.rows),
            augmented_labels=made.labels,
            shifted=fitted.transform(shifted),
            shifted_labels=made.labels,
            at_home=(_at_home(real, made), _at_home(real, _Made(shifted, made.labels))),
            classes=shown,
            axis_names=(names[0], names[1]),
        )

    def plot(self, ax: Any = None) -> FeatureAugmentationDisplay:
        """Draw both parts.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            In whose place to draw; None makes a new figure.

        Returns
        -------
        FeatureAugmentationDisplay
            This display, with ``axes_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        """
        self.figure_, self.axes_ = self._axes(ax)
        parts = (
            ("SAFA", self.augmented, self.augmented_labels),
            ("shift by class means", self.shifted, self.shifted_labels),
        )
        for axes, share, (name, points, labels) in zip(
            self.axes_, self.at_home, parts, strict=True
        ):
            self._draw(axes, points, labels)
            axes.set_title(f"{name}\n{share:.0%} next to their own class", fontsize=10)
            axes.set_xlabel(self.axis_names[0])
        self.axes_[0].set_ylabel(self.axis_names[1])
        handles, names = self.axes_[0].get_legend_handles_labels()
        place = {"loc": "upper left", "bbox_to_anchor": (1, 1), "frameon": False}
        self.axes_[1].legend(handles, names, title="tail class", **place)
        return self

    def _axes(self, ax: Any) -> tuple[Any, np.ndarray]:
        if ax is None:
            plt = pyplot(self)
            figure, axes = plt.subplots(
                1, 2, figsize=(9.5, 4.4), sharex=True, sharey=True, layout="constrained"
            )
        else:
            figure, place = ax.figure, ax.get_subplotspec()
            ax.remove()
            axes = place.subgridspec(1, 2).subplots(sharex=True, sharey=True)
        for one in axes:
            one.spines[["top", "right"]].set_visible(False)
        return figure, axes

    def _draw(self, axes: Any, points: np.ndarray, labels: np.ndarray) -> None:
        others = self.real[~np.isin(self.labels, self.classes)]
        axes.scatter(*others.T, s=8, color="0.82", lw=0, zorder=0, label="other, real")
        for label, color in zip(self.classes, _COLORS, strict=False):
            real, made = self.real[self.labels == label], points[labels == label]
            axes.scatter(*made.T, s=16, color=color, marker="x", lw=0.8, alpha=0.7, zorder=1)
            name = shortened(str(label))
            axes.scatter(*real.T, s=30, color=color, ec="white", lw=0.6, zorder=2, label=name)
        axes.scatter([], [], s=26, color="0.3", marker="x", lw=0.9, label="made")


def _pooled(x: torch.Tensor) -> np.ndarray:
    x = x if x.dim() == 2 else x.mean((2, 3))
    return x.detach().cpu().double().numpy()


def _tail_classes(labels: np.ndarray, head: np.ndarray, classes: Sequence | None) -> list:
    names, counts = np.unique(labels, return_counts=True)
    sizes = dict(zip(names.tolist(), counts.tolist(), strict=True))
    tail = [(n, name) for name, n in sizes.items() if name not in head]
    if classes is None:
        fewest = sorted(tail, key=lambda pair: pair[0])[: len(_COLORS)]
        return sorted(name for _, name in fewest)
    unknown = [name for name in classes if name not in [known for _, known in tail]]
    if unknown:
        raise ValueError(
            f"classes must be tail classes of the data. Got {list(classes)}, of which {unknown} are "
            f"not; the tail is {[name for _, name in tail]}."
        )
    return list(classes)


def _shifted(
    real: _Made, head: np.ndarray, labels: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return t + (h - mean of h's class) for a random t of each label and a random head feature h."""
    of_head = real.rows[np.isin(real.labels, head)]
    of = real.labels[np.isin(real.labels, head)]
    deviation = of_head - np.stack([of_head[of == k].mean(0) for k in of])
    rows = np.empty((len(labels), real.rows.shape[1]))
    for k in np.unique(labels):
        own = np.flatnonzero(real.labels == k)
        rows[labels == k] = real.rows[rng.choice(own, (labels == k).sum())]
    return rows + deviation[rng.integers(len(deviation), size=len(rows))]


def _at_home(real: _Made, made: _Made) -> float:
    """Return the share of made features whose nearest real feature is of their class."""
    if not len(made.rows):
        return float("nan")
    nearest = NearestNeighbors(n_neighbors=1).fit(real.rows).kneighbors(made.rows)[1][:, 0]
    return float((real.labels[nearest] == made.labels).mean())
