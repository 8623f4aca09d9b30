"""The internal validation split: stratified, on real rows only."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from torch.utils.data import Subset

from ltresample._random import Seed
from ltresample.training._data import RowDataset

__all__ = ["split_rows", "stratified_holdout"]


def stratified_holdout(y: np.ndarray, share: float, seed: Seed) -> tuple[np.ndarray, np.ndarray]:
    """Hold out a share of every class, rounded, and leave each class at least one row.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Class index.
    share : float
        In (0, 1).
    seed : Seed
        Chooses the rows.

    Returns
    -------
    train, valid : ndarray
        Sorted positions. Classes with few rows may stand in `train` only.

    Examples
    --------
    >>> y = np.array([0] * 10 + [1] * 2 + [2])
    >>> train, valid = stratified_holdout(y, 0.2, Seed(0))
    >>> np.bincount(y[train]).tolist(), np.bincount(y[valid]).tolist()
    ([8, 2, 1], [2])
    """
    held = []
    for k in np.unique(y):
        members = np.flatnonzero(y == k)
        n = min(int(share * len(members) + 0.5), len(members) - 1)
        held.append(seed.child(int(k)).numpy().permutation(members)[:n])
    valid = np.sort(np.concatenate(held))
    return np.setdiff1d(np.arange(len(y)), valid), valid


def split_rows(
    dataset: RowDataset, train_split: float | Callable[..., Any] | None, seed: Seed, **params: Any
) -> tuple[RowDataset, Any]:
    """Split a data set by a share, or by a callable in skorch's manner.

    Returns
    -------
    train : RowDataset
        Rows to train on.
    valid : RowDataset, other data set or None
        Rows to validate on.

    Raises
    ------
    ValueError
        If nothing is left on one side.
    """
    if train_split is None or train_split is False:
        return dataset, None
    y = dataset.target.numpy()
    if not callable(train_split):
        train, valid = stratified_holdout(y, train_split, seed)
        parts = dataset.subset(train), dataset.subset(valid)
    else:
        parts = tuple(_ours(part, dataset) for part in train_split(dataset, y, **params))
    sizes = [0 if part is None else len(part) for part in parts]
    if not sizes[0] or (parts[1] is not None and not sizes[1]):
        raise ValueError(
            f"train_split={train_split!r} leaves {sizes[0]} rows to train on and {sizes[1]} to "
            f"validate on, of {len(dataset)}. Pass another share, or None."
        )
    return parts


def _ours(part: Any, whole: RowDataset) -> Any:
    """Return a Subset of `whole` as rows of it; other data sets as they are."""
    if isinstance(part, Subset) and part.dataset is whole:
        return whole.subset(np.asarray(part.indices))
    return part
