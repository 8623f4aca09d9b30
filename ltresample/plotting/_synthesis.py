"""Synthetic rows beside the rows they were started from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike
from sklearn.preprocessing import StandardScaler

from ltresample.plotting._canvas import PALETTE, pyplot, shortened
from ltresample.plotting._provenance import provenance_of, rows_of, table_of

__all__ = ["SynthesisDisplay"]

_N_MOVED = 6  # features of a table that are shown for a sample
_COLUMNS = 4  # samples of a table beside each other


class _Tale(NamedTuple):
    """How one row came about."""

    origin: str
    source: str
    target: str
    confidence: float


class SynthesisDisplay:
    """Seeds, what was made from them, and what changed.

    Made by `from_sampler`. Images stand in three rows: the seed, the row that came out, and their
    difference, red where pixels rose and blue where they fell. Of tables the features that moved
    most are drawn from the seed's value to the new one, in standard deviations of the data; a column of
    categories is one of zeros and ones for each category.

    Parameters
    ----------
    seeds, rows : array-like of shape (n_samples, n_features) or (n_samples, C, H, W)
        Rows that were started from, and rows that came out.
    tales : sequence of (origin, source, target, confidence)
        For each of them "synthetic" or "duplicate", the names of its source and target class and
        g's confidence in the target.
    summary : str, default=""
        Line above the picture.
    image_shape : tuple of int or None, default=None
        (C, H, W) or (H, W) of flat images; None with two-dimensional `rows` is a table.
    center, scale : array-like of shape (n_features,) or None, default=None
        Mean and standard deviation of a table's columns; None stands for 0 and 1.
    feature_names : sequence of str or None, default=None
        Names of a table's columns; None stands for x0, x1, ...

    Attributes
    ----------
    seeds, rows, tales, summary, image_shape, center, scale, feature_names
        The parameters.
    axes_ : ndarray of matplotlib.axes.Axes
        Axes of the parts, after `plot`.
    ax_ : matplotlib.axes.Axes
        The axes in whose place they stand, after `plot`.
    figure_ : matplotlib.figure.Figure
        Its figure, after `plot`.

    Raises
    ------
    ValueError
        If `image_shape` does not fit the rows.

    Examples
    --------
    >>> from ltresample.plotting import SynthesisDisplay
    >>> tales = [("synthetic", "cat", "dog", 0.97)]
    >>> display = SynthesisDisplay([[0.0, 1.0]], [[0.5, 1.0]], tales=tales)
    >>> display.rows - display.seeds
    array([[0.5, 0. ]])
    """

    def __init__(
        self,
        seeds: ArrayLike,
        rows: ArrayLike,
        *,
        tales: Sequence[tuple[str, str, str, float]],
        summary: str = "",
        image_shape: tuple[int, ...] | None = None,
        center: ArrayLike | None = None,
        scale: ArrayLike | None = None,
        feature_names: Sequence[str] | None = None,
    ) -> None:
        self.seeds = np.asarray(seeds)
        self.rows = np.asarray(rows)
        self.tales = [_Tale(*tale) for tale in tales]
        self.summary = summary
        self.image_shape = _image_shape(image_shape, self.rows.shape[1:])
        self.center = center
        self.scale = scale
        self.feature_names = feature_names

    @classmethod
    def from_sampler(
        cls,
        sampler: Any,
        X: Any,
        X_res: Any,
        y_res: ArrayLike,
        *,
        n_samples: int = 8,
        target: Any = None,
        image_shape: tuple[int, ...] | None = None,
        X_aux: Any = None,
    ) -> SynthesisDisplay:
        """Choose some of the rows that a sampler added.

        Synthetic rows are taken first, from each class in turn, beginning with the class that got
        most new rows; duplicates of real rows fill up what is left of `n_samples`.

        Parameters
        ----------
        sampler : sampler
            After ``fit_resample``.
        X : array-like of length n_rows
            Data that went in.
        X_res, y_res : array-like of length n_resampled
            Data and labels that came out.
        n_samples : int, default=8
            Rows to show.
        target : label or None, default=None
            Show only rows of this class.
        image_shape : tuple of int or None, default=None
            (C, H, W) or (H, W) of flat images.
        X_aux : array-like or None, default=None
            The auxiliary data of the sampler, where rows were started from those.

        Returns
        -------
        SynthesisDisplay
            The display, not yet drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the sampler has not resampled yet.
        ValueError
            If the sampler added no such rows or returned others, `X_aux` is needed, or
            `image_shape` does not fit.
        """
        y_res = np.asarray(y_res)
        provenance = provenance_of(sampler, len(y_res))
        chosen = _choose(provenance["origin"], y_res, n_samples, target)
        labels = np.unique(y_res)
        tales = [
            (
                str(row["origin"]),
                "aux" if row["source"] < 0 else str(labels[row["source"]]),
                str(y_res[i]),
                float(row["confidence"]),
            )
            for i, row in zip(chosen, provenance[chosen], strict=True)
        ]
        (X, names), X_res = table_of(sampler, X), table_of(sampler, X_res)[0]
        rows = rows_of(X_res, chosen)
        is_table = rows.ndim == 2 and image_shape is None
        moments = StandardScaler(with_mean=False).fit(X) if is_table else None
        return cls(
            _seeds(provenance[chosen], X, table_of(sampler, X_aux)[0]),
            rows,
            tales=tales,
            summary=_summary(provenance["origin"], y_res, target),
            image_shape=image_shape,
            center=moments.mean_ if is_table else None,
            scale=moments.scale_ if is_table else None,
            feature_names=names,
        )

    def plot(self, ax: Any = None) -> SynthesisDisplay:
        """Draw the rows.

        Parameters
        ----------
        ax : matplotlib.axes.Axes or None, default=None
            Axes of a grid, as from ``plt.subplots``, in whose place the parts are drawn; None
            makes a new figure.

        Returns
        -------
        SynthesisDisplay
            This display, with ``axes_``, ``ax_`` and ``figure_``.

        Raises
        ------
        ImportError
            If matplotlib is missing.
        ValueError
            If `ax` is not part of a grid.
        """
        plt = pyplot(self)
        n = len(self.rows)
        n_rows, n_columns = (math.ceil(n / _COLUMNS), min(n, _COLUMNS))
        size = (max(5.5, 2.9 * n_columns), 0.5 + 2.2 * n_rows)
        if self.image_shape is not None:
            n_rows, n_columns, size = 3, n, (0.6 + 1.25 * n, 4.7)
        if ax is None:
            _, ax = plt.subplots(figsize=size, layout="constrained")
        if ax.get_subplotspec() is None:
            raise ValueError(
                "ax must be part of a grid, so that it can be divided. "
                "Got axes without a place in a grid. Pass one from plt.subplots()."
            )
        self.ax_, self.figure_ = ax, ax.figure
        head, body = ax.get_subplotspec().subgridspec(2, 1, height_ratios=(0.06, 1))
        self.axes_ = body.subgridspec(n_rows, n_columns).subplots(squeeze=False)
        ax.set_axis_off()
        title = self.figure_.add_subplot(head)
        title.set_axis_off()
        title.text(0, 0.5, self.summary, va="center", fontsize=10)
        if self.image_shape is not None:
            self._draw_images()
        else:
            handles = self._draw_tables()
            title.legend(
                handles=handles, loc="center right", ncols=2, frameon=False, borderaxespad=0
            )
        return self

    def _draw_images(self) -> None:
        seeds, rows = (_pictures(x, self.image_shape) for x in (self.seeds, self.rows))
        change = rows - seeds if rows.ndim == 3 else (rows - seeds).mean(axis=-1)
        low, high = min(seeds.min(), rows.min()), max(seeds.max(), rows.max())
        most = np.abs(change).max() or 1.0
        shades = {"cmap": "gray", "vmin": low, "vmax": high}
        moves = {"cmap": "RdBu_r", "vmin": -most, "vmax": most}
        for i, tale in enumerate(self.tales):
            column = self.axes_[:, i]
            for part, picture, colours in zip(
                column, (seeds[i], rows[i], change[i]), (shades, shades, moves), strict=True
            ):
                part.imshow(np.clip(picture, colours["vmin"], colours["vmax"]), **colours)
                part.set(xticks=[], yticks=[])
            column[0].set_title(_heading(tale), fontsize=8)
        gain = (high - low) / most
        difference = f"difference × {gain:.2g}" if change.any() else "no difference"
        for part, name in zip(self.axes_[:, 0], ("seed", "result", difference), strict=True):
            part.set_ylabel(name, fontsize=9)

    def _draw_tables(self) -> list:
        """Draw each row's largest moves and give the handles for a legend."""
        center = 0 if self.center is None else self.center
        scale = 1 if self.scale is None else self.scale
        seeds, rows = (self.seeds - center) / scale, (self.rows - center) / scale
        parts = self.axes_.ravel()
        for part in parts[len(rows) :]:
            part.set_axis_off()
        for part, seed, row, tale in zip(parts, seeds, rows, self.tales, strict=False):
            moved = np.argsort(-np.nan_to_num(np.abs(row - seed)), kind="stable")[:_N_MOVED]
            self._draw_moves(part, seed[moved], row[moved], moved)
            part.set_title(_heading(tale), fontsize=8)
        for part in parts[max(0, len(rows) - self.axes_.shape[1]) : len(rows)]:
            part.set_xlabel("standard deviations", fontsize=8)
        return parts[0].get_lines()

    def _draw_moves(self, part: Any, seed: np.ndarray, row: np.ndarray, moved: np.ndarray) -> None:
        places = np.arange(len(moved))[::-1]
        part.hlines(places, seed, row, color="0.6", lw=2, zorder=1)
        part.plot(seed, places, "o", color="white", mec=PALETTE[0], ms=6, label="seed")
        part.plot(row, places, "o", color=PALETTE[5], ms=6, label="result")
        names = self.feature_names or [f"x{i}" for i in range(self.rows.shape[1])]
        part.set_yticks(places, [shortened(str(names[i])) for i in moved], fontsize=7)
        part.tick_params(axis="x", labelsize=7)
        part.set_ylim(-0.6, len(moved) - 0.4)
        part.margins(x=0.15)


def _image_shape(given: tuple[int, ...] | None, row: tuple[int, ...]) -> tuple[int, ...] | None:
    """Return (H, W) or (C, H, W), or None for a table."""
    shape = row if given is None and len(row) > 1 else given
    if shape is None:
        return None
    fits = len(shape) in (2, 3) and math.prod(shape) == math.prod(row)
    if not fits or (len(shape) == 3 and shape[0] not in (1, 3)):
        raise ValueError(
            "image_shape must be (H, W) or (C, H, W) with C of 1 or 3, for rows of shape "
            f"{tuple(row)}. Got {tuple(shape)}."
        )
    return tuple(shape[1:]) if len(shape) == 3 and shape[0] == 1 else tuple(shape)


def _pictures(x: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    x = x.reshape(-1, *shape).astype(float)
    return x if len(shape) == 2 else x.transpose(0, 2, 3, 1)


def _heading(tale: _Tale) -> str:
    if tale.origin != "synthetic":
        return f"{shortened(tale.target)}\nduplicate"
    sure = "" if math.isnan(tale.confidence) else f", g {tale.confidence:.2f}"
    return f"{shortened(tale.source)} → {shortened(tale.target)}\naccepted{sure}"


def _summary(origin: np.ndarray, y_res: np.ndarray, target: Any) -> str:
    added = origin != "original" if target is None else (origin != "original") & (y_res == target)
    n, n_synthetic = added.sum(), (origin[added] == "synthetic").sum()
    of_class = "" if target is None else f" of class {target}"
    return f"{n_synthetic:,} of {n:,} added rows{of_class} are synthetic ({n_synthetic / n:.0%})"


def _choose(origin: np.ndarray, y_res: np.ndarray, n_samples: int, target: Any) -> np.ndarray:
    """Return added rows: synthetic before duplicates, the classes in turn, spread in each class."""
    added = origin != "original"
    shown = added if target is None else added & (y_res == target)
    if not shown.any():
        raise ValueError(
            "The sampler must have added rows to show. Got none"
            f"{'' if target is None else f' for target={target!r}'}. "
            f"Classes with added rows: {np.unique(y_res[added]).tolist()}."
        )
    labels, n_added = np.unique(y_res[shown], return_counts=True)
    labels = labels[np.argsort(-n_added, kind="stable")]
    ranked = []
    for late, name in enumerate(("synthetic", "duplicate")):
        for place, label in enumerate(labels):
            rows = np.flatnonzero(shown & (origin == name) & (y_res == label))
            spread = np.unique(np.linspace(0, len(rows) - 1, n_samples).round().astype(int))
            turns = enumerate(rows[spread[spread >= 0]].tolist())
            ranked += [(late, turn, place, row) for turn, row in turns]
    best = sorted(ranked)[:n_samples]
    return np.array([row for *_, row in sorted(best, key=lambda entry: entry[2])])


def _seeds(provenance: np.ndarray, X: Any, X_aux: Any) -> np.ndarray:
    aux = provenance["from_aux"]
    if aux.any() and X_aux is None:
        raise ValueError(
            "Rows that were started from auxiliary data need X_aux=. Got X_aux=None and "
            f"{aux.sum()} such rows. Pass the X_aux that the sampler was given."
        )
    return np.stack(
        [
            rows_of(X_aux if from_aux else X, np.array([index]))[0]
            for from_aux, index in zip(aux, provenance["seed_index"], strict=True)
        ]
    )
