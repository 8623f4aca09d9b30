"""Several methods on many data sets: mean ranks, and which differences mean something.

J. Demsar, "Statistical Comparisons of Classifiers over Multiple Data Sets", JMLR 7, 2006.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy.stats import friedmanchisquare, rankdata, studentized_range, wilcoxon

__all__ = [
    "Pair",
    "Ranking",
    "compare",
    "critical_difference",
    "draw_ranking",
    "means_of_shared",
    "rank",
]


class Ranking(NamedTuple):
    """Mean ranks of methods; 1 is best."""

    names: list[str]
    mean_ranks: np.ndarray  # (k,)
    friedman_p: float  # of "all methods are alike"
    critical_difference: float  # of two mean ranks, by Nemenyi's test
    n_tables: int

    def ahead(self, name: str, other: str) -> bool:
        """Return whether `name` is significantly ahead of `other`."""
        rank_of = dict(zip(self.names, self.mean_ranks, strict=True))
        return bool(rank_of[other] - rank_of[name] > self.critical_difference)


class Pair(NamedTuple):
    """One method against another over tables."""

    wins: int
    ties: int
    losses: int
    difference: float  # mean
    p: float  # Wilcoxon's signed-rank test, two-sided


def critical_difference(n_methods: int, n_tables: int, alpha: float = 0.05) -> float:
    """Return Nemenyi's least significant difference of two mean ranks.

    ``CD = q_alpha / sqrt(2) * sqrt(k (k + 1) / (6 N))``, q of the studentised range.

    Parameters
    ----------
    n_methods, n_tables : int
        k and N.
    alpha : float, default=0.05
        Level.

    Returns
    -------
    float
        The difference.

    Examples
    --------
    >>> round(critical_difference(4, 14), 2)  # the example of the paper
    1.25
    """
    q = studentized_range.ppf(1 - alpha, n_methods, np.inf) / np.sqrt(2)
    return float(q * np.sqrt(n_methods * (n_methods + 1) / (6 * n_tables)))


def rank(scores: np.ndarray, names: Sequence[str], *, smaller_is_better: bool = False) -> Ranking:
    """Rank methods within each table.

    Parameters
    ----------
    scores : ndarray of shape (n_tables, n_methods)
        A score each; ties within 1e-9 share their ranks.
    names : sequence of str
        Of the methods.
    smaller_is_better : bool, default=False
        For losses.

    Returns
    -------
    Ranking
        Mean ranks and tests.

    Examples
    --------
    >>> rank(np.array([[0.9, 0.8, 0.7], [0.8, 0.8, 0.6]]), ["a", "b", "c"]).mean_ranks
    array([1.25, 1.75, 3.  ])
    """
    values = np.round(scores if smaller_is_better else -scores, 9)
    ranks = rankdata(values, axis=1).mean(axis=0)
    p = float(friedmanchisquare(*values.T).pvalue) if scores.shape[1] > 2 else np.nan
    cd = critical_difference(scores.shape[1], len(scores))
    return Ranking(list(names), ranks, p, cd, len(scores))


def means_of_shared(
    columns: Sequence[dict[str, dict[Any, float]]],
) -> tuple[list[str], list[np.ndarray]]:
    """Average each column over the repeats that all columns have of a table.

    Parameters
    ----------
    columns : list of dict
        Of each method, table to repeat to value.

    Returns
    -------
    tables : list of str
        Tables of which all have a repeat, sorted.
    means : list of ndarray of shape (n_tables,)
        Of each column.

    Examples
    --------
    >>> means_of_shared([{"a": {0: 1.0, 1: 2.0}, "b": {0: 5.0}}, {"a": {1: 4.0}, "b": {}}])
    (['a'], [array([2.]), array([4.])])
    """
    shared = {
        table: set.intersection(*(set(column.get(table, ())) for column in columns))
        for table in (columns[0] if columns else ())
    }
    tables = sorted(table for table, repeats in shared.items() if repeats)
    return tables, [
        np.array([np.mean([column[t][r] for r in shared[t]]) for t in tables]) for column in columns
    ]


def compare(own: np.ndarray, other: np.ndarray, *, tie: float = 0.0005) -> Pair:
    """Count wins, ties and losses of `own` over tables.

    Examples
    --------
    >>> compare(np.array([0.9, 0.8, 0.7]), np.array([0.8, 0.8, 0.6]))[:3]
    (2, 1, 0)
    """
    gap = np.asarray(own) - np.asarray(other)
    p = float(wilcoxon(gap).pvalue) if np.any(gap) else 1.0
    wins, losses = int((gap > tie).sum()), int((gap < -tie).sum())
    return Pair(wins, len(gap) - wins - losses, losses, float(gap.mean()), p)


def draw_ranking(ranking: Ranking, ax: Any, *, title: str = "") -> None:
    """Draw a critical-difference diagram: bars join methods that do not differ significantly.

    Parameters
    ----------
    ranking : Ranking
        What to draw.
    ax : matplotlib.axes.Axes
        Where.
    title : str, default=""
        Over the picture.
    """
    order = np.argsort(ranking.mean_ranks)
    ranks, n = ranking.mean_ranks[order], len(order)
    left = (n + 1) // 2
    low, high = np.floor(ranks[0]), np.ceil(ranks[-1])
    bars = _groups(ranks, ranking.critical_difference)
    top = 0.75 + 0.28 * len(bars)  # names start below the bars
    for place, (i, value) in enumerate(zip(order, ranks, strict=True)):
        on_left = place < left
        line = top + 0.55 * (place if on_left else n - 1 - place)
        edge = low - 0.15 * (high - low) if on_left else high + 0.15 * (high - low)
        ax.plot([value, value, edge], [0, line, line], color="0.3", lw=0.9, clip_on=False)
        text = f"{ranking.names[i]}  {value:.2f}"
        ax.text(edge, line, f" {text} ", ha="right" if on_left else "left", va="center", fontsize=8)
    for number, (start, stop) in enumerate(bars):
        y = 0.35 + 0.28 * number
        ends = [ranks[start] - 0.03, ranks[stop] + 0.03]
        ax.plot(ends, [y, y], color="#0072B2", lw=3, solid_capstyle="round")
    ax.plot([low, low + ranking.critical_difference], [-1.1, -1.1], color="#D55E00", lw=2)
    ax.text(low, -1.25, f"critical difference {ranking.critical_difference:.2f}", fontsize=8)
    ax.set_xlim(low, high)
    ax.set_ylim(top + 0.55 * left, -2.0)
    ax.xaxis.set_ticks_position("top")
    ax.spines[["left", "right", "bottom"]].set_visible(False)
    ax.spines["top"].set_position(("data", 0))
    ax.set_yticks([])
    ax.tick_params(labelsize=8)
    ax.set_title(f"{title}, {ranking.n_tables} tables", fontsize=10)


def _groups(ranks: np.ndarray, width: float) -> list[tuple[int, int]]:
    """Return the longest runs of sorted ranks that span at most `width`."""
    runs = [
        (i, int(np.searchsorted(ranks, r + width, side="right")) - 1) for i, r in enumerate(ranks)
    ]
    return [
        (i, j)
        for number, (i, j) in enumerate(runs)
        if j > i and all(j > other for _, other in runs[:number])
    ]
