"""Training rows in auxiliary data."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ltresample.datasets import _near_duplicates as module
from ltresample.datasets import count_shared_rows, find_near_duplicates


def brute_force(X_aux, X, radius):
    """Distances of all pairs, written out."""
    distance = np.sqrt(
        ((X_aux[:, None].astype(float) - X[None]) ** 2).reshape(len(X_aux), len(X), -1).sum(2)
    )
    return distance, np.flatnonzero(distance.min(1) <= radius)


@settings(max_examples=30, deadline=None)
@given(
    st.integers(1, 60),
    st.integers(1, 80),
    st.integers(1, 50),
    st.floats(0, 3),
    st.integers(0, 3),
)
def test_equal_to_all_distances(n_aux, n, d, radius, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 5
    X_aux = np.where(rng.random((n_aux, 1)) < 0.5, X[rng.integers(0, n, n_aux)], 0)
    X_aux = X_aux + rng.normal(size=(n_aux, d)) * rng.choice([0, 0.1, 1], (n_aux, 1))
    distance, removed = brute_force(X_aux, X, radius)
    found = find_near_duplicates(X_aux, X, radius=radius, random_state=0)
    np.testing.assert_array_equal(found.removed, removed)
    assert found.n_removed == len(removed)
    np.testing.assert_array_equal(found.kept, np.setdiff1d(np.arange(n_aux), removed))
    np.testing.assert_allclose(
        distance[found.removed, found.partner], distance[found.removed].min(1), atol=1e-9
    )


def test_small_blocks_change_nothing(monkeypatch):
    rng = np.random.default_rng(0)
    X = rng.random((90, 3, 4, 4), dtype=np.float32)
    X_aux = np.concatenate([rng.random((50, 3, 4, 4), dtype=np.float32), X[::9] + 1e-3])
    whole = find_near_duplicates(X_aux, X, random_state=0)
    assert whole.n_removed == 10
    np.testing.assert_array_equal(whole.partner, np.arange(0, 90, 9))
    monkeypatch.setattr(module, "_BLOCK", 48 * 8 * 7)
    small = find_near_duplicates(X_aux, X, random_state=0)
    assert small.radius == pytest.approx(whole.radius)
    for name in ("kept", "removed", "partner"):
        np.testing.assert_array_equal(getattr(small, name), getattr(whole, name))


def test_default_radius_is_a_fifth_of_the_usual_distance():
    X = np.arange(40.0)[:, None] * 5 @ np.ones((1, 2)) / np.sqrt(2)  # neighbours 5 apart
    found = find_near_duplicates(X[:3] + 0.5, X)
    assert found.radius == pytest.approx(1.0)
    assert found.n_removed == 3
    assert find_near_duplicates(X[:3] + 0.8, X).n_removed == 0


def test_sparse_and_memory_maps(tmp_path):
    rng = np.random.default_rng(0)
    X = rng.random((50, 30)) * (rng.random((50, 30)) < 0.2)
    X_aux = np.concatenate([X[5:8], rng.random((4, 30))])
    np.save(tmp_path / "aux.npy", X_aux)
    want = find_near_duplicates(X_aux, X, random_state=0)
    assert want.removed.tolist() == [0, 1, 2]
    for aux, own in (
        (sparse.csr_array(X_aux), sparse.csc_matrix(X)),
        (np.load(tmp_path / "aux.npy", mmap_mode="r"), X),
    ):
        got = find_near_duplicates(aux, own, random_state=0)
        np.testing.assert_array_equal(got.removed, want.removed)
        assert count_shared_rows(aux, own) == 3


def test_shared_rows_are_equal_rows():
    X = np.array([[0.0, 1.0], [2.0, -0.0]])
    X_aux = np.array([[-0.0, 1.0], [2.0, 0.0], [2.0, 1e-9]])
    assert count_shared_rows(X_aux, X) == 2
    assert count_shared_rows(X_aux, X.astype(np.float32)) == 2
    assert count_shared_rows(X_aux.astype(int), X.astype(np.uint8)) == 3
    assert count_shared_rows(np.ones((4, 2)), X) == 0


@pytest.mark.parametrize(
    ("X_aux", "params", "text"),
    [
        (np.zeros((3, 4)), {}, r"same shape.*Got X_aux of shape \(3, 4\) and X of shape \(5, 2\)"),
        (np.zeros((0, 2)), {}, "at least one each"),
        (np.zeros((3, 2)), {"radius": -1}, "radius must be at least 0. Got radius=-1"),
    ],
)
def test_bad_input(X_aux, params, text):
    with pytest.raises(ValueError, match=text):
        find_near_duplicates(X_aux, np.zeros((5, 2)), **params)
