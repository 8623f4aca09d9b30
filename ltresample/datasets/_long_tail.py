"""A long tail out of any labelled data."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ltresample._random import Seed, root_seed
from ltresample.class_counts import by_label, long_tailed_counts

__all__ = ["make_long_tailed"]


def make_long_tailed(
    X: Any,
    y: Any,
    *,
    imbalance_factor: float | None = None,
    counts: ArrayLike | Mapping | None = None,
    kind: str = "exp",
    n_max: int | None = None,
    order: str | Sequence = "label",
    shuffle: bool = True,
    random_state: int | np.random.RandomState | np.random.Generator | None = None,
    return_indices: bool = False,
) -> tuple:
    """Keep some samples of each class so that the class counts form a long tail.

    Pass either `imbalance_factor`, for one of the usual profiles, or `counts`. The samples that
    stay keep their order, and `X` and `y` their containers.

    With an integer `random_state` the subsets are nested: a class's samples at a larger imbalance
    factor are among those at a smaller one, and do not depend on what other classes keep.

    Parameters
    ----------
    X : array, data frame, sparse matrix, tensor or list of length n_samples
        The data; rows are samples.
    y : array-like of shape (n_samples,)
        Class labels.
    imbalance_factor : float or None, default=None
        N_max / N_min, at least 1; see `long_tailed_counts`.
    counts : array-like of shape (n_classes,), mapping or Series of label to int, or None
        Samples to keep of each class, 0 to leave it out; an array in the order of `order`.
    kind : {"exp", "step"}, default="exp"
        Profile for `imbalance_factor`.
    n_max : int or None, default=None
        Samples of the first class for `imbalance_factor`. None stands for the most with which
        every class has enough.
    order : {"label", "frequency"} or sequence of labels, default="label"
        Which class comes first, that is to say keeps most: labels in sorted order, the most
        frequent first (ties in label order), or all labels as listed.
    shuffle : bool, default=True
        True keeps a random subset of each class, False its first samples, as some published long
        tails do.
    random_state : int, RandomState, Generator or None, default=None
        Source of the random subsets.
    return_indices : bool, default=False
        Whether to give the indices of the kept samples too.

    Returns
    -------
    X_long_tailed, y_long_tailed : same types as `X` and `y`
        The kept samples.
    indices : ndarray of shape (n_kept,)
        Where they stood, increasing; only with ``return_indices=True``.

    Raises
    ------
    ValueError
        If a class has fewer samples than are asked for, `order` or `counts` does not fit the
        classes, not exactly one of `imbalance_factor` and `counts` is given, or `X` and `y`
        differ in length.

    Examples
    --------
    >>> import numpy as np
    >>> X, y = np.arange(40).reshape(20, 2), np.repeat(["a", "b"], 10)
    >>> X_lt, y_lt = make_long_tailed(X, y, imbalance_factor=5, random_state=0)
    >>> np.unique(y_lt, return_counts=True)[1]
    array([10,  2])
    """
    y_array = np.asarray(y)
    if y_array.ndim != 1 or len(y_array) != _length(X):
        raise ValueError(
            "X and y must hold one entry per sample. "
            f"Got {_length(X)} samples and y of shape {y_array.shape}."
        )
    if (imbalance_factor is None) == (counts is None):
        got = "neither" if counts is None else "both"
        raise ValueError(
            "The class counts must come from either imbalance_factor or counts. "
            f"Got {got}. Pass exactly one of them."
        )
    labels = _ordered_labels(y_array, order)
    available = np.array([(y_array == label).sum() for label in labels])
    if counts is not None:
        wanted = _explicit_counts(counts, labels)
    else:
        wanted = _profile_counts(available, imbalance_factor, kind, n_max)
    _check_enough(labels, available, wanted)
    indices = _pick(y_array, labels, wanted, root_seed(random_state) if shuffle else None)
    kept = _take(X, indices), _take(y, indices)
    return (*kept, indices) if return_indices else kept


def _ordered_labels(y: NDArray, order: str | Sequence) -> NDArray:
    labels, n = np.unique(y, return_counts=True)
    if isinstance(order, str):
        if order not in ("label", "frequency"):
            raise ValueError(
                "order must be 'label', 'frequency' or a sequence of all labels. "
                f"Got order={order!r}."
            )
        return labels if order == "label" else labels[np.argsort(-n, kind="stable")]
    listed = np.asarray(order)
    if sorted(listed.tolist(), key=str) != sorted(labels.tolist(), key=str):
        raise ValueError(
            "order must list each of the classes in y once. "
            f"Got {_some(listed)} for the classes {_some(labels)}."
        )
    return listed


def _explicit_counts(counts: ArrayLike | Mapping, labels: NDArray) -> NDArray[np.int64]:
    counts = by_label(counts)
    if isinstance(counts, Mapping):
        if set(counts) != set(labels.tolist()):
            raise ValueError(
                "counts must have one entry per class in y. "
                f"Got {_some(list(counts))} for the classes {_some(labels)}."
            )
        counts = [counts[label] for label in labels.tolist()]
    wanted = np.asarray(counts)
    if wanted.shape != labels.shape or wanted.dtype.kind not in "iu" or wanted.min() < 0:
        raise ValueError(
            "counts must be integers of at least 0, one per class in y. "
            f"Got {_some(wanted)} for {len(labels)} classes."
        )
    return wanted


def _profile_counts(
    available: NDArray[np.int64], factor: float, kind: str, n_max: int | None
) -> NDArray[np.int64]:
    def counts(n: int) -> NDArray[np.int64]:
        return long_tailed_counts(n, len(available), imbalance_factor=factor, kind=kind)

    if n_max is not None:
        return counts(n_max)
    # Counts grow with n: the first n that some class cannot serve, less one, serves all.
    candidates = range(max(1, math.ceil(factor)), int(available[0]) + 1)
    n_served = bisect_left(candidates, True, key=lambda n: bool((counts(n) > available).any()))
    if not n_served:
        raise ValueError(
            f"No class count n_max reaches imbalance_factor={factor!r} with these classes. "
            f"Got {available[0]} samples in the first class and {available.min()} in the smallest. "
            "Pass a smaller imbalance_factor or order='frequency'."
        )
    return counts(candidates[n_served - 1])


def _check_enough(labels: NDArray, available: NDArray, wanted: NDArray) -> None:
    short = np.flatnonzero(wanted > available)
    if len(short):
        k = short[0]
        raise ValueError(
            f"{len(short)} of {len(labels)} classes have fewer samples than asked for. "
            f"Got {available[k]} samples of class {labels.tolist()[k]!r}, {wanted[k]} are wanted. "
            "Lower n_max or counts, or give the larger classes the first places by "
            "order='frequency'."
        )


def _pick(y: NDArray, labels: NDArray, wanted: NDArray, seed: Seed | None) -> NDArray[np.int64]:
    """Return increasing indices; each class has its own stream and does not depend on the others."""
    chosen = []
    for place, label in enumerate(np.unique(y)):
        rows = np.flatnonzero(y == label)
        if seed is not None:
            rows = seed.child("long_tail", place).numpy().permutation(rows)
        chosen.append(rows[: int(wanted[labels == label][0])])
    return np.sort(np.concatenate(chosen))


def _take(container: Any, indices: NDArray[np.int64]) -> Any:
    if hasattr(container, "iloc"):
        return container.iloc[indices]
    if sparse.issparse(container):
        return container.tocsr()[indices].asformat(container.format)
    if isinstance(container, torch.Tensor):
        return container[torch.from_numpy(indices).to(container.device)]
    if isinstance(container, list | tuple):
        return type(container)(container[i] for i in indices)
    return container[indices]


def _length(X: Any) -> int:
    return X.shape[0] if hasattr(X, "shape") else len(X)


def _some(values: Any) -> str:
    values = np.asarray(values).ravel().tolist()
    return f"{values[:5]}{' and more' if len(values) > 5 else ''}"
