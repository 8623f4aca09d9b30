"""Types and containers of packages that are not always there, and of columns one by one."""

import warnings
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from sklearn.dummy import DummyClassifier

from ltresample.over_sampling import OpenSampler
from ltresample.rows import open_values

pytestmark = pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")

X = np.random.default_rng(0).normal(size=(30, 2)).round(2)
with warnings.catch_warnings():  # of NumPy, at this call
    warnings.simplefilter("ignore", PendingDeprecationWarning)
    MATRIX = np.matrix(X)
Y = np.repeat([0, 1], [20, 10])


def opened(x):
    return open_values(DummyClassifier(), x, reset=True).values


def given_back(x):
    return OpenSampler(X_aux=x, random_state=0).fit_resample(x, Y)[0]


@pytest.mark.parametrize("name", ["bfloat16", "float8_e5m2", "int4"])
def test_extensions_of_numpy(name):
    kind = getattr(pytest.importorskip("ml_dtypes"), name)
    x = X.astype(kind)
    np.testing.assert_array_equal(opened(x), x.astype(np.float32))
    assert given_back(x).dtype == x.dtype


def test_arrow():
    pa = pytest.importorskip("pyarrow")
    types = {"a": pa.float64(), "b": pa.float16(), "c": pa.decimal128(10, 2)}
    frame = pd.DataFrame(
        {
            "a": pd.array(X[:, 0], dtype=pd.ArrowDtype(types["a"])),
            "b": pd.array(X[:, 1].astype(np.float16), dtype=pd.ArrowDtype(types["b"])),
            "c": pd.array([Decimal(f"{v:.2f}") for v in X[:, 0]], dtype=pd.ArrowDtype(types["c"])),
        }
    )
    np.testing.assert_allclose(opened(frame), np.c_[X, X[:, 0]], atol=1e-3)
    assert list(given_back(frame).dtypes) == list(frame.dtypes)
    table = pa.table({"a": X[:, 0], "b": X[:, 1]})
    np.testing.assert_array_equal(opened(table), X)


def test_labelled_arrays():
    array = pytest.importorskip("xarray").DataArray(X)
    np.testing.assert_array_equal(opened(array), X)


def test_lazy_containers():
    np.testing.assert_array_equal(opened(pl.DataFrame(X).lazy()), X)
    dask = pytest.importorskip("dask.array")
    np.testing.assert_array_equal(opened(dask.from_array(X)), X)


def test_objects_are_given_back_as_objects_of_their_kind():
    x = np.empty((30, 3), dtype=object)
    x[:, 0] = [Decimal(str(v)) for v in X[:, 0]]
    x[:, 1] = [Fraction(int(100 * v), 100) for v in X[:, 1]]
    x[:, 2] = [int(v > 0) for v in X[:, 1]]
    out = given_back(x)
    assert [type(v) for v in out[-1]] == [Decimal, Fraction, int]
    assert (out[:30] == x).all()


def test_whole_numbers_at_the_ends_of_their_type():
    for dtype in (np.int64, np.uint64, np.int8):
        ends = np.iinfo(dtype)
        x = np.where(X > 0, ends.max, ends.min).astype(dtype)
        out = given_back(x)
        assert out.dtype == dtype
        assert np.isin(out, [ends.min, ends.max]).all()


@pytest.mark.parametrize(
    ("x", "text"),
    [
        (np.ma.masked_where(X > 1, X), r"masked values. Got them in \d column\(s\)"),
        (MATRIX, "np.matrix is not supported"),
        (np.rec.fromarrays(X.T), "records with the fields"),
        ({"a": X}, "Got an object of type dict"),
        ([[1.0, 2.0], [3.0]], "rows of one length"),
        (np.longdouble("1e4000") * X, "numbers beyond 1.8e"),
        (torch.from_numpy(X).to_sparse(), "to_dense"),
        (torch.zeros(3, 2, device="meta"), "without values"),
        (np.array([[10**400, 1]], dtype=object), "Column 0 of X.*beyond 1.8e"),
        (torch.full((3, 2), torch.nan), "contains NaN"),
    ],
)
def test_what_is_refused(x, text):
    with pytest.raises((TypeError, ValueError), match=f"(?s){text}"):
        opened(x)
