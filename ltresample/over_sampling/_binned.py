"""Values of columns brought onto few, so that boosted trees need no weighted percentiles for bins."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.ensemble import HistGradientBoostingClassifier

__all__ = ["binned", "binned_for"]


def binned_for(classifier: Any, X: Any) -> Any:
    """Return X as a ``HistGradientBoostingClassifier`` may take it with weights, else X as it is.

    With `sample_weight` its binning computes a weighted percentile for each of up to 255 thresholds
    of each column, which takes several times as long as the trees. Columns of at most `max_bins`
    values need none.
    """
    if not isinstance(classifier, HistGradientBoostingClassifier):
        return X
    if isinstance(X, np.ndarray) and X.ndim == 2 and X.dtype.kind == "f":
        named = classifier.categorical_features
        if named is None or isinstance(named, str):
            columns = [binned(column, classifier.max_bins) for column in X.T]
            return np.stack(columns, axis=1)
    return X


def binned(values: np.ndarray, max_bins: int) -> np.ndarray:
    """Replace each value by the least or the largest of its bin, whichever side it is on.

    Bins hold equally many values; there are half as many as `max_bins`. Thresholds in the middle
    between neighbours of what is returned divide the given values in the same way, so that a tree
    that is fitted on the one sorts the other as it was trained.

    Parameters
    ----------
    values : ndarray of shape (n,)
        NaN stays.
    max_bins : int
        At least 2: most different values that are returned.

    Returns
    -------
    ndarray of shape (n,)
        Values of the data.

    Examples
    --------
    >>> binned(np.array([1.0, 2.0, 3.5, 4.0, 10.0, 20.0]), 4)
    array([ 1. ,  1. ,  3.5,  4. ,  4. , 20. ])
    """
    known = ~np.isnan(values)
    levels = np.unique(values[known])
    if len(levels) <= max_bins:
        return values
    n_bins = max(1, max_bins // 2)
    shares = np.linspace(0, 1, n_bins + 1)[1:-1]
    edges = np.unique(np.quantile(values[known], shares, method="inverted_cdf"))
    number = np.searchsorted(edges, levels)  # a level that is an edge belongs to the bin below
    first = np.flatnonzero(np.diff(number, prepend=-1))
    last = np.append(first[1:], len(levels)) - 1
    place = np.repeat(np.arange(len(first)), last - first + 1)
    low, high = levels[first][place], levels[last][place]
    levels_out = np.where(levels <= low + (high - low) / 2, low, high)
    out = values.copy()
    out[known] = levels_out[np.searchsorted(levels, values[known])]
    return out
