"""Search for offsets per class: coordinate ascent on scores that are out of fold."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "CONFUSION_METRICS",
    "Confusion",
    "NEEDED",
    "Guard",
    "Offsets",
    "PerDecision",
    "ascend",
    "stratified_parts",
    "tune_offsets",
]

_MOST_SWEEPS = 20
_EQUAL = 1e-12  # a gain that is no more than rounding


class Offsets(NamedTuple):
    """What `tune_offsets` returns."""

    offsets: NDArray[np.float64]
    """Offsets (n_classes,), with mean 0."""
    score: float
    """Score with these offsets."""
    initial_score: float
    """Score without offsets."""
    n_sweeps: int
    """Rounds over all classes."""


class Objective(Protocol):
    """What is maximised: a score of decisions (n,), which are class indices."""

    most_cuts: int  # places of an offset that are tried, per class and round

    def of(self, decisions: np.ndarray) -> float:
        """Return the score of decisions (n,)."""

    def along(self, k: int, order: np.ndarray, rival: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        """Return scores (n_cuts,): the first `cut` rows of `order` are given to class k.

        The other rows keep their rival (n,).
        """


class Guard(NamedTuple):
    """Parts of the rows, each left out in turn to see how sure a difference of scores is."""

    parts: list[np.ndarray]
    """Positions of the rows of each part."""
    score: Callable[[np.ndarray, np.ndarray], float]
    """From decisions (n,) and positions of rows to the score of these rows."""
    needed: tuple[float, float] = (1.0, 1.0)
    """Standard errors by which the prior correction and tuned offsets must be ahead."""

    def standard_error(self, first: np.ndarray, second: np.ndarray) -> float:
        """Return the jackknife's standard error of the difference of two scores."""
        n, m = len(first), len(self.parts)
        left = [np.setdiff1d(np.arange(n), part, assume_unique=True) for part in self.parts]
        gains = np.array([self.score(first, rows) - self.score(second, rows) for rows in left])
        return float(np.sqrt((m - 1) / m * np.square(gains - gains.mean()).sum()))


class PerDecision:
    """An objective that calls a function for each set of decisions."""

    most_cuts = 40

    def __init__(self, score: Callable[[np.ndarray], float]):
        self.of = score

    def along(self, k: int, order: np.ndarray, rival: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        """Return scores (n_cuts,)."""
        decisions, scores, done = rival.copy(), np.empty(len(cuts)), 0
        for i, cut in enumerate(cuts):  # cuts grow
            decisions[order[done:cut]] = k
            scores[i], done = self.of(decisions), cut
        return scores


class Confusion:
    """An objective that follows from the confusion matrix: all cuts of a class at once.

    Parameters
    ----------
    metric : callable
        From confusion matrices (m, n_classes, n_classes) with true classes in rows to scores (m,).
    y : ndarray of shape (n,)
        Class indices.
    n_classes : int
        Number of classes K.
    weight : ndarray of shape (n,) or None
        Weights of the rows.
    """

    most_cuts = 200

    def __init__(self, metric: Callable, y: np.ndarray, n_classes: int, weight=None):
        self.metric, self.y, self.n_classes = metric, y, n_classes
        self.weight = np.ones(len(y)) if weight is None else weight

    def _count(self, y: np.ndarray, decisions: np.ndarray, weight: np.ndarray) -> np.ndarray:
        size = self.n_classes
        counted = np.bincount(y * size + decisions, weights=weight, minlength=size * size)
        return counted.reshape(size, size)

    def of(self, decisions: np.ndarray) -> float:
        """Return the score of decisions (n,)."""
        return self.of_rows(decisions, np.arange(len(self.y)))

    def of_rows(self, decisions: np.ndarray, rows: np.ndarray) -> float:
        """Return the score of some of the rows."""
        matrix = self._count(self.y[rows], decisions[rows], self.weight[rows])
        return float(self.metric(matrix[None])[0])

    def along(self, k: int, order: np.ndarray, rival: np.ndarray, cuts: np.ndarray) -> np.ndarray:
        """Return scores (n_cuts,)."""
        matrices = np.zeros((len(cuts), self.n_classes, self.n_classes))
        matrices[0] = self._count(self.y, rival, self.weight)
        part = np.searchsorted(cuts, np.arange(len(order)), side="right")  # row i moves at this cut
        moved = part < len(cuts)
        rows, at = order[moved], part[moved]
        y, weight = self.y[rows], self.weight[rows]
        np.add.at(matrices, (at, y, rival[rows]), -weight)
        np.add.at(matrices, (at, y, k), weight)
        return self.metric(np.cumsum(matrices, axis=0))


def _accuracy(matrices: np.ndarray) -> np.ndarray:
    return np.trace(matrices, axis1=1, axis2=2) / matrices.sum(axis=(1, 2))


def _balanced_accuracy(matrices: np.ndarray) -> np.ndarray:
    """Mean recall of the classes that have rows."""
    totals = matrices.sum(axis=2)
    right = np.diagonal(matrices, axis1=1, axis2=2)
    recall = np.divide(right, totals, out=np.full_like(totals, np.nan), where=totals > 0)
    return np.nanmean(recall, axis=1)


def _f1_macro(matrices: np.ndarray) -> np.ndarray:
    """``2 tp / (true + predicted)``, mean over the classes that are in either."""
    both = matrices.sum(axis=1) + matrices.sum(axis=2)
    twice = 2 * np.diagonal(matrices, axis1=1, axis2=2)
    f1 = np.divide(twice, both, out=np.full_like(both, np.nan), where=both > 0)
    return np.nanmean(f1, axis=1)


def _f1_weighted(matrices: np.ndarray) -> np.ndarray:
    """F1 of each class, weighted by its rows."""
    totals = matrices.sum(axis=2)
    both = matrices.sum(axis=1) + totals
    twice = 2 * np.diagonal(matrices, axis1=1, axis2=2)
    f1 = np.divide(twice, both, out=np.zeros_like(both), where=both > 0)
    return (f1 * totals).sum(axis=1) / totals.sum(axis=1)


# scikit-learn's names of scorers that follow from the confusion matrix
CONFUSION_METRICS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "f1_macro": _f1_macro,
    "f1_weighted": _f1_weighted,
    "recall_macro": _balanced_accuracy,
}

# With exact probabilities no offsets are best for accuracy, and the prior correction is for balanced
# accuracy: what was tuned must be ahead of these with more certainty.
NEEDED = {
    "accuracy": (1.0, 2.0),
    "balanced_accuracy": (0.0, 2.0),
    "recall_macro": (0.0, 2.0),
}


def tune_offsets(
    scores: ArrayLike,
    y: ArrayLike,
    metric: str | Callable[[np.ndarray, np.ndarray], float] = "balanced_accuracy",
) -> Offsets:
    """Find offsets per class so that ``argmax_k (scores_k + offset_k)`` is best for a metric.

    Coordinate ascent: class by class the offset is moved to where the metric is largest while the
    others stand still, until a whole round brings nothing. What decides are the places between two
    rows of the class in question; up to 200 of them are tried (40 for a function), evenly by rank.
    Of equally good places the one nearest to the present offset is taken. The ascent starts from
    offsets of 0 or from minus the logarithm of the class shares (the prior correction), whichever
    is better.

    What was tuned on some rows looks better there than it is. So offsets of 0 are kept unless the
    prior correction is ahead by more than the standard error of the difference, and what that
    gives is kept unless the tuned offsets are. (For "balanced_accuracy" the prior correction need
    only be ahead, and tuned offsets by two standard errors; for "accuracy" likewise those of 0.) The
    standard error is that of the jackknife over five parts of the rows. Nothing is random.

    Parameters
    ----------
    scores : array-like of shape (n_samples, n_classes)
        Log-probabilities or other finite scores, of data that the classifier was not trained on.
    y : array-like of shape (n_samples,)
        Class indices from 0 to n_classes - 1: the columns of `scores`.
    metric : str or callable, default="balanced_accuracy"
        "balanced_accuracy", "accuracy", "f1_macro", "f1_weighted", "recall_macro", or
        ``metric(y, decisions)`` on class indices, larger is better.

    Returns
    -------
    Offsets
        ``offsets`` (n_classes,), ``score``, ``initial_score`` and ``n_sweeps``.

    Raises
    ------
    ValueError
        If scores are not finite, shapes do not fit, the metric is not known, or a function gives no
        finite number for the decisions without offsets.

    See Also
    --------
    TunedOffsetsClassifierCV : The estimator.

    Examples
    --------
    >>> import numpy as np
    >>> from ltresample.decisions import tune_offsets
    >>> first = np.linspace(0.9, 0.6, 100)
    >>> proba, y = np.c_[first, 1 - first], np.repeat([0, 1], [80, 20])
    >>> tuned = tune_offsets(np.log(proba), y)
    >>> tuned.initial_score, tuned.score
    (0.5, 1.0)
    >>> np.bincount((np.log(proba) + tuned.offsets).argmax(axis=1))
    array([80, 20])
    """
    scores, y = np.asarray(scores, dtype=np.float64), np.asarray(y)
    if scores.ndim != 2 or y.shape != scores.shape[:1] or not len(y):
        raise ValueError(
            "scores must have one row per label and one column per class. Got shape "
            f"{scores.shape} for {y.shape} labels."
        )
    if not np.isfinite(scores).all():
        raise ValueError(
            "scores must be finite. Got NaN or infinity. Clip probabilities before the logarithm."
        )
    n_classes = scores.shape[1]
    if y.dtype.kind not in "iu" or y.min() < 0 or y.max() >= n_classes:
        raise ValueError(
            f"y must hold class indices from 0 to {n_classes - 1}. Got {np.unique(y)[:10]!r}. "
            "np.unique(y, return_inverse=True)[1] gives them."
        )
    parts = stratified_parts(y, 5)
    if isinstance(metric, str):
        if metric not in CONFUSION_METRICS:
            raise ValueError(
                f"metric must be one of {sorted(CONFUSION_METRICS)} or a function. Got {metric!r}."
            )
        confusion = Confusion(CONFUSION_METRICS[metric], y, n_classes)
        needed = NEEDED.get(metric, (1.0, 1.0))
        return ascend(scores, y, confusion, guard=Guard(parts, confusion.of_rows, needed))
    _check_finite(metric(y, scores.argmax(axis=1)))
    per_decision = PerDecision(lambda decisions: float(metric(y, decisions)))
    guard = Guard(parts, lambda decisions, rows: float(metric(y[rows], decisions[rows])))
    return ascend(scores, y, per_decision, guard=guard)


def _check_finite(value: Any) -> None:
    try:
        finite = bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        finite = False
    if not finite:
        raise ValueError(
            f"metric must give one finite number for class indices, larger is better. Got {value!r} "
            "for the decisions without offsets. Choose another metric."
        )


def ascend(
    scores: np.ndarray,
    y: np.ndarray,
    objective: Objective,
    *,
    guard: Guard,
    weight: np.ndarray | None = None,
) -> Offsets:
    """Return no offsets, the prior correction, or where the ascent from the better of them ends.

    What comes later in this list must be ahead by as many standard errors as the guard says.
    """
    shares = np.bincount(y, weights=weight, minlength=scores.shape[1])
    taken = initial = _at(scores, objective, np.zeros(scores.shape[1]))
    prior = _at(scores, objective, -np.log(np.where(shares > 0, shares, shares.max())))
    start = prior if prior.score > initial.score + _EQUAL else initial
    end = _climb(scores, y, objective, start.offsets)
    for other, needed in zip((prior, end), guard.needed, strict=True):
        gain = other.score - taken.score
        pair = [(scores + way.offsets).argmax(axis=1) for way in (other, taken)]
        if gain > _EQUAL and gain > needed * guard.standard_error(*pair):
            taken = other
    offsets = taken.offsets - taken.offsets.mean()
    return Offsets(offsets, taken.score, initial.score, end.n_sweeps)


def _at(scores: np.ndarray, objective: Objective, offsets: np.ndarray) -> Offsets:
    score = objective.of((scores + offsets).argmax(axis=1))
    return Offsets(offsets, score, score, 0)


def stratified_parts(y: np.ndarray, n_parts: int) -> list[np.ndarray]:
    """Deal the rows of each class out to parts in turn."""
    order = np.argsort(y, kind="stable")
    parts = [np.sort(order[i::n_parts]) for i in range(n_parts)]
    return [part for part in parts if len(part)]


def _climb(scores: np.ndarray, y: np.ndarray, objective: Objective, start: np.ndarray) -> Offsets:
    offsets, n_sweeps = start.copy(), 0
    score = best = objective.of((scores + offsets).argmax(axis=1))
    for _ in range(_MOST_SWEEPS):
        n_sweeps += 1
        for k in range(len(offsets)):
            offsets[k], score = _best_offset(scores, y, objective, offsets, k, score)
        if score <= best + _EQUAL:
            break
        best = score
    return Offsets(offsets, score, np.nan, n_sweeps)


def _best_offset(
    scores: np.ndarray,
    y: np.ndarray,
    objective: Objective,
    offsets: np.ndarray,
    k: int,
    score: float,
) -> tuple[float, float]:
    """Return the best offset of class k while the others stand still, and its score."""
    shifted = scores + offsets
    shifted[:, k] = -np.inf
    rival = shifted.argmax(axis=1)
    needed = shifted.max(axis=1) - scores[:, k]  # the offset from which on a row is given to k
    order = np.argsort(needed, kind="stable")
    places = needed[order]
    cuts = _cuts(places, y[order] == k, objective.most_cuts)
    if not len(cuts):
        return offsets[k], score
    found = objective.along(k, order, rival, cuts)
    top = found.max()
    if not top > score + _EQUAL:  # also where it is not a number
        return offsets[k], score
    values = np.array([_between(places, cut) for cut in cuts[found >= top - _EQUAL]])
    nearest = values[np.abs(values - offsets[k]).argmin()]
    return float(nearest), float(top)


def _cuts(places: np.ndarray, own: np.ndarray, most: int) -> np.ndarray:
    """Return how many of the sorted rows to give to the class: none, or up to one of its own."""
    ends = np.flatnonzero(own) + 1
    if len(ends) > most:
        ends = ends[np.linspace(0, len(ends) - 1, most).astype(int)]
    # equal rows go together: behind the last of them
    ends = np.searchsorted(places, places[ends - 1], side="right")
    return np.unique(np.concatenate([[0], ends]))


def _between(places: np.ndarray, cut: int) -> float:
    """Return the offset half way between the last row that is given to the class and the next."""
    if cut == 0:
        return float(places[0] - 1)
    if cut == len(places):
        return float(places[-1] + 1)
    return float((places[cut - 1] + places[cut]) / 2)
