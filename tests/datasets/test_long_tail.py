"""make_long_tailed: counts, nesting, containers and messages."""

import re

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.datasets import load_digits

from ltresample.class_counts import long_tailed_counts
from ltresample.datasets import make_long_tailed


def counts_of(y):
    return np.unique(np.asarray(y), return_counts=True)[1].tolist()


@pytest.fixture
def balanced():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(5), 100))
    return np.column_stack([np.arange(500), y]), y


@pytest.mark.parametrize("kind", ["exp", "step"])
@pytest.mark.parametrize("factor", [1, 10, 33.3, 100])
def test_counts_are_the_profile(balanced, kind, factor):
    X, y = make_long_tailed(*balanced, imbalance_factor=factor, kind=kind, random_state=0)
    expected = long_tailed_counts(100, 5, imbalance_factor=factor, kind=kind)
    assert counts_of(y) == expected.tolist()
    np.testing.assert_array_equal(X[:, 1], y)
    assert (np.diff(X[:, 0]) > 0).all()  # original order, nothing twice


def test_n_max_is_the_most_that_every_class_can_serve():
    X, y = load_digits(return_X_y=True)
    available = np.bincount(y)
    counts = np.array(counts_of(make_long_tailed(X, y, imbalance_factor=1.05)[1]))
    assert (counts <= available).all()
    more = long_tailed_counts(counts[0] + 1, 10, imbalance_factor=1.05)
    assert counts[0] == available[0] or (more > available).any()
    assert counts_of(make_long_tailed(X, y, imbalance_factor=1)[1]) == [available.min()] * 10


@given(st.lists(st.integers(1, 60), min_size=2, max_size=6), st.floats(1, 60))
def test_served_or_refused(available, factor):
    y = np.repeat(np.arange(len(available)), available)
    largest_feasible = [
        n
        for n in range(int(np.ceil(factor)), available[0] + 1)
        if (long_tailed_counts(n, len(available), imbalance_factor=factor) <= available).all()
    ]
    if not largest_feasible:
        with pytest.raises(ValueError, match="No class count n_max reaches imbalance_factor="):
            make_long_tailed(y, y, imbalance_factor=factor)
    else:
        _, kept = make_long_tailed(y, y, imbalance_factor=factor)
        assert (kept == 0).sum() == max(largest_feasible)


def test_subsets_are_nested_and_classes_independent(balanced):
    X, y = balanced
    kept = {
        factor: set(
            make_long_tailed(X, y, imbalance_factor=factor, random_state=3, return_indices=True)[
                2
            ].tolist()
        )
        for factor in (10, 50)
    }
    assert kept[50] < kept[10]
    few = make_long_tailed(X, y, counts=[1, 1, 1, 1, 40], random_state=3)[0]
    many = make_long_tailed(X, y, counts=[99, 99, 99, 99, 40], random_state=3)[0]
    np.testing.assert_array_equal(few[few[:, 1] == 4], many[many[:, 1] == 4])


def test_classes_draw_different_rows(balanced):
    y = np.repeat(np.arange(2), 100)
    indices = make_long_tailed(y, y, counts=[30, 30], random_state=0, return_indices=True)[2]
    first, second = indices[indices < 100], indices[indices >= 100] - 100
    assert first.tolist() != second.tolist()


def test_random_state_decides(balanced):
    draws = [
        make_long_tailed(*balanced, imbalance_factor=10, random_state=s)[0][:, 0].tolist()
        for s in (0, 0, 1)
    ]
    assert draws[0] == draws[1] != draws[2]
    before = np.random.get_state()[1].copy()  # noqa: NPY002
    make_long_tailed(*balanced, imbalance_factor=10)
    np.testing.assert_array_equal(before, np.random.get_state()[1])  # noqa: NPY002


def test_without_shuffle_the_first_samples_stay():
    y = np.tile(["b", "a"], 10)
    indices = make_long_tailed(y, y, counts=[2, 3], shuffle=False, return_indices=True)[2]
    assert indices.tolist() == [0, 1, 2, 3, 4]


def test_order_of_the_classes():
    y = np.repeat(["a", "b", "c"], [20, 40, 30])
    for order, expected in {
        "frequency": {"b": 30, "c": 9, "a": 3},
        ("c", "a", "b"): {"c": 30, "a": 9, "b": 3},
    }.items():
        _, kept = make_long_tailed(y, y, imbalance_factor=10, n_max=30, order=order)
        assert {k: (kept == k).sum() for k in "abc"} == expected


def test_counts_as_a_mapping():
    y = np.repeat([3, 7], 20)
    _, kept = make_long_tailed(y, y, counts={7: 5, 3: 0})
    assert counts_of(kept) == [5]


CONTAINERS = {
    "array": np.asarray,
    "images": lambda X: np.asarray(X).reshape(-1, 1, 1, 2),
    "list": lambda X: np.asarray(X).tolist(),
    "tuple": lambda X: tuple(np.asarray(X).tolist()),
    "frame": lambda X: pd.DataFrame(X, columns=["n", "k"], index=[f"r{i}" for i in range(len(X))]),
    "polars": lambda X: pl.DataFrame(X, schema=["n", "k"]),
    "csr": sparse.csr_matrix,
    "csc": sparse.csc_array,
    "coo": sparse.coo_matrix,
    "tensor": torch.as_tensor,
}


@pytest.mark.parametrize("name", CONTAINERS)
def test_containers_are_kept(balanced, name):
    X = CONTAINERS[name](balanced[0])
    out, y, indices = make_long_tailed(
        X, balanced[1], imbalance_factor=10, random_state=0, return_indices=True
    )
    assert type(out) is type(X)
    if sparse.issparse(X):
        assert out.format == X.format
        out = out.toarray()
    np.testing.assert_array_equal(
        np.asarray(out).reshape(-1, 2), balanced[0][indices].reshape(-1, 2)
    )
    if name == "frame":
        assert out.index[0] == f"r{indices[0]}"


@pytest.mark.parametrize(
    "label", [list, pd.Series, pl.Series, torch.as_tensor, lambda y: pd.Series(y.astype(str))]
)
def test_label_containers_are_kept(balanced, label):
    y = label(balanced[1])
    _, kept, indices = make_long_tailed(
        balanced[0], y, imbalance_factor=10, random_state=0, return_indices=True
    )
    assert type(kept) is type(y)
    np.testing.assert_array_equal(np.asarray(kept), np.asarray(y)[indices])


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({}, "from either imbalance_factor or counts. Got neither. Pass exactly one of them."),
        ({"imbalance_factor": 2, "counts": [1, 1, 1]}, "Got both. Pass exactly one of them."),
        (
            {"counts": [1, 5, 9]},
            "1 of 3 classes have fewer samples than asked for. Got 8 samples of class 'c', 9 are "
            "wanted. Lower n_max or counts, or give the larger classes the first places by "
            "order='frequency'.",
        ),
        ({"imbalance_factor": 1, "n_max": 9}, "Got 8 samples of class 'a', 9 are wanted."),
        (
            {"counts": [1, 2]},
            "counts must be integers of at least 0, one per class in y. Got [1, 2] for 3 classes.",
        ),
        ({"counts": [1.5, 2, 3]}, "Got [1.5, 2.0, 3.0] for 3 classes."),
        ({"counts": [-1, 2, 3]}, "Got [-1, 2, 3] for 3 classes."),
        (
            {"counts": {"a": 1}},
            "counts must have one entry per class in y. Got ['a'] for the classes ['a', 'b', 'c'].",
        ),
        (
            {"imbalance_factor": 2, "order": "random"},
            "order must be 'label', 'frequency' or a sequence of all labels. Got order='random'.",
        ),
        (
            {"imbalance_factor": 2, "order": ["a", "b"]},
            "order must list each of the classes in y once. Got ['a', 'b'] for the classes",
        ),
        (
            {"imbalance_factor": 9},
            "No class count n_max reaches imbalance_factor=9 with these classes. Got 8 samples in "
            "the first class and 8 in the smallest. Pass a smaller imbalance_factor or "
            "order='frequency'.",
        ),
        ({"imbalance_factor": 0.1}, "For a factor given as N_min / N_max, pass its inverse."),
    ],
)
def test_messages(kwargs, message):
    y = np.repeat(["a", "b", "c"], 8)
    with pytest.raises(ValueError, match=re.escape(message)):
        make_long_tailed(y, y, **kwargs)


def test_lengths_must_agree():
    message = "X and y must hold one entry per sample. Got 4 samples and y of shape (3,)."
    with pytest.raises(ValueError, match=re.escape(message)):
        make_long_tailed(np.zeros((4, 2)), [0, 1, 1], imbalance_factor=1)


def test_counts_of_a_series_go_by_their_labels(balanced):
    wanted = {3: 7, 0: 9, 4: 1, 1: 5, 2: 0}
    y = make_long_tailed(*balanced, counts=pd.Series(wanted), random_state=0)[1]
    assert dict(zip(*np.unique(y, return_counts=True), strict=True)) == {0: 9, 1: 5, 3: 7, 4: 1}
