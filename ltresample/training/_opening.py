"""Opening what the user passes: rows, labels and sample weights, checked before any work is done."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import column_or_1d
from torch import Tensor
from torch.utils.data import Dataset as TorchDataset

from ltresample._compat import check_sample_weight, validate_data

__all__ = ["Opened", "encoded", "labels_of", "open_rows", "open_training"]


class Opened(NamedTuple):
    """Validated training data; rows of sample weight 0 are left out."""

    x: Any  # ndarray, CSR matrix, Tensor or torch Dataset: all rows
    labels: np.ndarray  # (n,) of the rows that are kept
    weight: np.ndarray | None  # (n,) of the rows that are kept, of mean 1
    index: np.ndarray | None  # (n,) the rows that are kept; None: all


def open_training(net: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Opened:
    """Check rows, labels and weights.

    Raises
    ------
    ValueError
        If X is empty, not numeric or not finite, y is missing or not a single-label classification
        target, or all weights are zero.
    """
    if isinstance(X, TorchDataset):
        x, labels = X, _labels_of_dataset(X, y)
    elif isinstance(X, Tensor) and X.device.type != "cpu":
        x, labels = _open_device_tensor(net, X, reset=reset), np.asarray(y)
    else:
        X = X.detach().numpy() if isinstance(X, Tensor) else X
        y = y.detach().cpu().numpy() if isinstance(y, Tensor) else y
        x, labels = validate_data(
            net, X=X, y=y, reset=reset, accept_sparse="csr", allow_nd=True, dtype="numeric"
        )
    labels = labels_of(labels)
    if sample_weight is None:
        return Opened(x, labels, None, None)
    weight, kept = _weights(sample_weight, x, labels)
    return Opened(x, labels[kept], weight[kept], None if len(kept) == len(labels) else kept)


def open_rows(net: Any, X: Any) -> Any:
    """Check rows to predict."""
    if isinstance(X, TorchDataset):
        return X
    if isinstance(X, Tensor) and X.device.type != "cpu":
        return _open_device_tensor(net, X, reset=False)
    X = X.detach().numpy() if isinstance(X, Tensor) else X
    return validate_data(net, X=X, reset=False, accept_sparse="csr", allow_nd=True)


def labels_of(y: Any) -> np.ndarray:
    """Check that labels are those of a single-label classification, as an array (n,)."""
    labels = column_or_1d(y, warn=True)
    check_classification_targets(labels)
    return labels


def encoded(labels: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return the class index of each label.

    Raises
    ------
    ValueError
        If there are labels that are none of `classes`.
    """
    index = np.searchsorted(classes, labels).clip(max=len(classes) - 1)
    unknown = np.unique(labels[classes[index] != labels])
    if len(unknown):
        raise ValueError(
            f"y holds labels that were not there at first. Got {unknown.tolist()[:5]}; known are "
            f"{classes.tolist()[:20]}. Pass all classes to the first call of partial_fit."
        )
    return index


def _open_device_tensor(net: Any, X: Tensor, *, reset: bool) -> Tensor:
    if X.dim() < 2 or not len(X) or not torch.isfinite(X).all():
        raise ValueError(
            "X must have at least one row, two dimensions, and finite values. Got a tensor of "
            f"shape {tuple(X.shape)}."
        )
    if reset:
        net.n_features_in_ = X.shape[1]
    elif X.shape[1] != net.n_features_in_:
        raise ValueError(
            f"X has {X.shape[1]} features, but {type(net).__name__} is expecting "
            f"{net.n_features_in_} features as input."
        )
    return X.detach()


def _labels_of_dataset(X: TorchDataset, y: Any) -> np.ndarray:
    for name in ("targets", "labels", "y"):
        y = getattr(X, name, None) if y is None else y
    if y is None:
        raise ValueError(
            "Labels must be known before training: they decide which rows are drawn. Got a "
            f"{type(X).__name__} without `targets`, and y=None. Pass y, one label for each item."
        )
    y = y.detach().cpu().numpy() if isinstance(y, Tensor) else np.asarray(y)
    if len(y) != len(X):
        raise ValueError(f"y must hold one label for each item. Got {len(y)} for {len(X)} items.")
    return y


def _weights(sample_weight: Any, x: Any, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return weights whose mean over the rows that are kept is 1, and these rows."""
    rows = labels if isinstance(x, TorchDataset) else x
    weight = check_sample_weight(sample_weight, rows, dtype=np.float64, ensure_non_negative=True)
    kept = np.flatnonzero(weight)
    if not len(kept):
        raise ValueError(
            "Sample weights are all zero. Got sample_weight without a positive number. Leave it "
            "out, or give at least one row of each class a positive weight."
        )
    return weight / weight[kept].mean(), kept
