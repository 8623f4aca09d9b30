import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse

from ltresample.rows import container_of, extended_index, take_labels

X = np.array([[1.0, 0.0], [0.0, 2.0], [3.0, 0.0]])
# three new rows: a copy of row 2, a synthetic one, a copy of row 0
SYNTHETIC, INDEX = np.array([False, True, False]), np.array([2, 1, 0])
MADE = torch.tensor([[0.5, 7.0]])
EXPECTED = np.array([[1, 0], [0, 2], [3, 0], [3, 0], [0.5, 7], [1, 0]])

KINDS = {
    "array": (X, np.asarray),
    "float32": (X.astype(np.float32), np.asarray),
    "list": (X.tolist(), np.asarray),
    "tensor": (torch.from_numpy(X), lambda out: out.numpy()),
    "csr": (sparse.csr_array(X), lambda out: out.toarray()),
    "csc": (sparse.csc_matrix(X), lambda out: out.toarray()),
    "pandas": (pd.DataFrame(X, columns=["a", "b"], index=[10, 20, 30]), lambda out: out.to_numpy()),
    "polars": (pl.DataFrame(X, schema=["a", "b"]), lambda out: out.to_numpy()),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("n_made", [0, 1])
def test_rows_are_put_in_place(kind, n_made):
    x, read = KINDS[kind]
    container = container_of(x)
    values = sparse.csr_array(x) if sparse.issparse(x) else np.asarray(x)
    container.open(values, 3)
    synthetic = SYNTHETIC if n_made else np.zeros(3, bool)
    if n_made:
        container.write(torch.tensor([1]), MADE)
    out = container.close(synthetic, INDEX)
    assert type(out) is type(x)
    expected = EXPECTED.copy()
    if not n_made:
        expected[4] = X[1]
    np.testing.assert_allclose(read(out), expected)
    if kind in ("array", "float32", "tensor", "csr", "csc"):
        assert out.dtype == x.dtype


@pytest.mark.parametrize(
    ("index", "expected"),
    [
        (pd.RangeIndex(3), [0, 1, 2, 3, 4]),
        (pd.Index([5, 9, 7], name="id"), [5, 9, 7, 10, 11]),
        (pd.Index(["x", "y", "z"]), ["x", "y", "z", "new_0", "new_1"]),
    ],
)
def test_index_of_real_rows_is_kept(index, expected):
    longer = extended_index(index, 2)
    assert longer.tolist() == expected
    assert longer.name == index.name


def test_labels_of_every_kind():
    at = np.array([0, 1, 1])
    assert take_labels(["a", "b"], at, 1) == ["a", "b", "b"]
    assert take_labels(np.array([3, 4]), at, 1).tolist() == [3, 4, 4]
    assert take_labels(torch.tensor([3, 4]), at, 1).tolist() == [3, 4, 4]
    assert take_labels(pl.Series([3, 4]), at, 1).to_list() == [3, 4, 4]
    series = take_labels(pd.Series(["u", "v"], index=[7, 8], name="k", dtype="category"), at, 1)
    assert series.index.tolist() == [7, 8, 9]
    assert series.dtype == "category"
