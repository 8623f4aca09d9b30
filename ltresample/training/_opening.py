"""Opening what the user passes: rows, labels and sample weights, checked before any work is done."""

from __future__ import annotations

from collections.abc import Iterator, Sized
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_consistent_length, column_or_1d
from skorch.helper import SliceDataset
from torch.utils.data import DataLoader, IterableDataset, Subset, TensorDataset
from torch.utils.data import Dataset as TorchDataset

from ltresample._compat import check_sample_weight
from ltresample.rows import (
    Columns,
    check_image_layout,
    first_part,
    looked_at,
    open_values,
    plain_labels,
    warn_of_pixel_range,
)

__all__ = [
    "Opened",
    "encoded",
    "labels_of",
    "labels_of_dataset",
    "open_rows",
    "open_training",
]


class Opened(NamedTuple):
    """Validated training data; rows of sample weight 0 are left out."""

    x: Any  # ndarray, CSR matrix, Tensor or torch Dataset: all rows
    labels: np.ndarray  # (n,) of the rows that are kept
    weight: np.ndarray | None  # (n,) of the rows that are kept, of mean 1
    index: np.ndarray | None  # (n,) the rows that are kept; None: all
    columns: Columns | None = None  # of a table


class _Items(TorchDataset):
    """The items of skorch's `SliceDataset`, which stands for rows alone, as rows without labels."""

    def __init__(self, items: SliceDataset):
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def __getitem__(self, i: int) -> tuple[Any]:
        return (self.items[int(i)],)


def open_training(net: Any, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> Opened:
    """Check rows, labels and weights.

    Raises
    ------
    TypeError, ValueError
        If X is empty, holds what is neither a number nor a category, or is not finite, y is missing
        or not a single-label classification target, or all weights are zero.
    """
    known = None if reset else net._columns
    x, columns = _open(net, X, reset=reset, known=known)
    if isinstance(x, TorchDataset):
        labels = _labels_of_dataset(X, y)
    else:
        if y is None:
            raise ValueError(
                f"{type(net).__name__} requires y to be passed, but the target y is None. Pass one "
                "label for each row."
            )
        labels = plain_labels(y)
        check_consistent_length(x, labels)
    if reset:  # later on the unit is known
        look = looked_at(x) if isinstance(x, TorchDataset) else x
        warn_of_pixel_range(look, "X")
    labels = labels_of(labels)
    if sample_weight is None:
        return Opened(x, labels, None, None, columns)
    weight, kept = _weights(sample_weight, x, labels)
    kept_all = len(kept) == len(labels)
    return Opened(x, labels[kept], weight[kept], None if kept_all else kept, columns)


def open_rows(net: Any, X: Any) -> Any:
    """Check rows to predict."""
    return _open(net, X, reset=False, known=net._columns)[0]


def _open(net: Any, X: Any, *, reset: bool, known: Columns | None) -> tuple[Any, Columns | None]:
    if isinstance(X, IterableDataset | DataLoader | Iterator):
        raise TypeError(
            "X must be rows that can be taken by position. Got X of type "
            f"{type(X).__name__}, which has one order of its own. Pass a map-style Dataset with "
            "__getitem__ and __len__ (of a DataLoader its .dataset), an array or a tensor; "
            "batch_size and iterator_train__num_workers say how batches are loaded."
        )
    if isinstance(X, SliceDataset):
        X = _Items(X)
    if isinstance(X, TorchDataset):
        _check_items(X)
        return X, None
    opened = open_values(net, X, reset=reset, known=known, on_device=True)
    return opened.values, opened.columns


def _check_items(X: TorchDataset) -> None:
    """Look at the first item of a map-style Dataset."""
    if not isinstance(X, Sized):
        raise TypeError(
            "A Dataset must say how many items it has. Got a "
            f"{type(X).__name__} without __len__. Give it a method __len__ that returns the number."
        )
    if not len(X):
        raise ValueError(
            f"X must hold at least one row. Got an empty {type(X).__name__}. Pass a Dataset of "
            "(row, label) pairs."
        )
    try:
        row = first_part(X[0])
    except (TypeError, ValueError, RuntimeError) as err:
        raise TypeError(
            "The items of a Dataset must be rows of numbers, or (row, label) pairs. Got an item of "
            f"type {type(X[0]).__name__} that is no such thing: {err}. Give it a transform that "
            "makes a tensor or an array of each row."
        ) from None
    check_image_layout(tuple(row.shape), "The items of X")


def labels_of(y: Any) -> np.ndarray:
    """Check that labels are those of a single-label classification, as an array (n,)."""
    labels = column_or_1d(plain_labels(y), warn=True)
    if labels.dtype.kind == "f":
        assert_all_finite(labels, input_name="y")
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
            f"{classes.tolist()[:20]}. Name all labels, in the type in which y has them, in classes=."
        )
    return index


def labels_of_dataset(X: TorchDataset) -> np.ndarray:
    """Return the labels of a map-style Dataset of (row, label), reading its items if nothing names them.

    Raises
    ------
    ValueError
        If its items hold no label.
    """
    named = _named_labels(X)
    if named is not None:
        return _labels_of_dataset(X, named)
    items = [X[i] for i in range(len(X))]
    if not all(isinstance(item, list | tuple) and len(item) > 1 for item in items):
        raise ValueError(
            "A validation set must hold labels. Got a "
            f"{type(X).__name__} without `targets`, whose items are no (row, label) pairs. Pass "
            "predefined_split a Dataset of pairs, or skorch.dataset.Dataset(X, y)."
        )
    return np.asarray(plain_labels([_plain_label(item[1]) for item in items]))


def _plain_label(label: Any) -> Any:
    return label.item() if hasattr(label, "item") else label


def _named_labels(X: Any) -> Any:
    """Return the labels that a Dataset holds in a place that is known; None: in none."""
    if isinstance(X, Subset):
        whole = _named_labels(X.dataset)
        return None if whole is None else np.asarray(plain_labels(whole))[np.asarray(X.indices)]
    if isinstance(X, TensorDataset):
        return X.tensors[1] if len(X.tensors) > 1 else None
    found = (getattr(X, name, None) for name in ("targets", "labels", "y"))
    return next((labels for labels in found if labels is not None), None)


def _labels_of_dataset(X: Any, y: Any) -> np.ndarray:
    y = _named_labels(X) if y is None else y
    if y is None:
        raise ValueError(
            "Labels must be known before training: they decide which rows are drawn. Got a "
            f"{type(X).__name__} without `targets`, and y=None. Pass y, one label for each item."
        )
    y = np.asarray(plain_labels(y))
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
