"""Columns that never vary cost nothing and change nothing: the rows are those without them."""

import warnings

import numpy as np
import pandas as pd
import polars as pl
import pytest
import torch
from scipy import sparse

from ltresample import (
    DistributionMatchingOversampler,
    M2mSampler,
    OTMixSampler,
    SAFASampler,
)
from ltresample.over_sampling import OpenSampler
from ltresample.over_sampling import _open_set_rows as open_set_rows
from ltresample.rows import VaryingColumns

SAMPLERS = [
    M2mSampler(random_state=0),
    DistributionMatchingOversampler(random_state=0),
    OTMixSampler(random_state=0),
    SAFASampler(n_steps=10, random_state=0),
]
VARYING = np.array([1, 4, 5, 8, 13])
CONTAINERS = {
    "array": np.asarray,
    "float32": lambda X: X.astype(np.float32),
    "list": lambda X: X.tolist(),
    "tensor": torch.from_numpy,
    "csr": sparse.csr_matrix,
    "csc_array": sparse.csc_array,
    "pandas": lambda X: pd.DataFrame(X).add_prefix("c"),
    "polars": lambda X: pl.DataFrame(X, schema=[f"c{i}" for i in range(X.shape[1])]),
}


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [60, 20])
    narrow = rng.normal(size=(80, 5)) + 2 * y[:, None]
    wide = np.tile(np.where(np.arange(15) % 3, 0.0, 7.25), (80, 1))
    wide[:, VARYING] = narrow
    return narrow, wide, y


def dense(X):
    return X.toarray() if sparse.issparse(X) else np.asarray(X)


@pytest.mark.parametrize("sampler", SAMPLERS, ids=lambda sampler: type(sampler).__name__)
@pytest.mark.parametrize("name", CONTAINERS)
def test_rows_are_those_of_the_columns_that_vary(sampler, name, data):
    narrow, wide, y = data
    X, _ = sampler.fit_resample(CONTAINERS[name](narrow), y)
    padded, _ = sampler.fit_resample(CONTAINERS[name](wide), y)
    assert type(padded) is type(X)
    np.testing.assert_allclose(dense(padded)[:, VARYING], dense(X), atol=1e-6)
    rest = np.setdiff1d(np.arange(15), VARYING)
    np.testing.assert_array_equal(dense(padded)[:, rest], np.tile(wide[0, rest], (len(y) + 40, 1)))


def test_types_of_columns_keep_their_places(data):
    narrow, _, y = data
    frame = pd.DataFrame({f"zero{i}": np.zeros(80, dtype=np.int64) for i in range(6)})
    frame.insert(2, "whole", np.round(10 * narrow[:, 0]).astype(np.int64))
    frame.insert(4, "code", (narrow[:, 1] > 0).astype(np.int64))
    frame["real"] = narrow[:, 2]
    sampler = M2mSampler(categorical_features=["code"], min_confidence=0.2, random_state=0)
    made, _ = sampler.fit_resample(frame, y)
    assert made.dtypes.equals(frame.dtypes)
    assert set(made["code"]) <= {0, 1}
    assert (made.filter(like="zero") == 0).all().all()


def test_the_guide_takes_whole_rows(data):
    _, wide, y = data
    sampler = M2mSampler(random_state=0)
    sampler.fit_resample(wide, y)
    logits = sampler.g_(torch.from_numpy(wide).float())
    guess = logits.softmax(-1).mean(0).argmax(1).numpy()
    assert (guess == y).mean() > 0.8


def test_what_the_user_brings_sees_all_columns(data):
    _, wide, y = data
    g = torch.nn.Linear(15, 2).double()
    sampler = M2mSampler(g=g, min_confidence=0, random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it is not trained
        X, _ = sampler.fit_resample(wide, y)
    assert X.shape == (120, 15)
    X, _ = OTMixSampler(image_shape=(3, 5), random_state=0).fit_resample(np.abs(wide), y)
    assert X.shape == (120, 15)


def test_open_set_rows_are_narrowed_too(data):
    _, wide, y = data
    sampler = DistributionMatchingOversampler(X_aux=wide[::-1][:30], random_state=0)
    X, _ = sampler.fit_resample(wide, y)
    assert X.shape[1] == 15


def test_wide_text_is_narrow_where_few_words_are_used():
    """The engine sees 40 of 65,536 columns."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [50, 20])
    used = np.sort(rng.choice(65_536, 40, replace=False))
    counts = rng.poisson(np.where(y[:, None] == (np.arange(40) % 2), 1.0, 0.1)).astype(float)
    wide = sparse.lil_array((70, 65_536))
    wide[:, used] = counts
    sampler = M2mSampler(random_state=0)
    X, _ = sampler.fit_resample(wide.tocsr(), y)
    alone, _ = M2mSampler(random_state=0).fit_resample(sparse.csr_array(counts), y)
    np.testing.assert_array_equal(X[:, used].toarray(), alone.toarray())
    assert X.nnz == alone.nnz
    assert sampler.g_[-1].first.in_features == 40


def test_tables_of_which_nearly_all_varies_are_left_alone(data, monkeypatch):
    narrow, _, y = data
    calls = []
    original = VaryingColumns.narrow
    monkeypatch.setattr(
        VaryingColumns, "narrow", lambda *args: calls.append(args) or original(*args)
    )
    M2mSampler(random_state=0).fit_resample(np.c_[narrow, np.ones(80)], y)
    assert not calls
    M2mSampler(random_state=0).fit_resample(np.c_[narrow, np.ones((80, 2))], y)
    assert calls


@pytest.mark.parametrize("dtype", [np.float64, np.float32, np.int64])
@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
def test_built_in_open_set_rows_without_the_empty_columns(dtype, monkeypatch):
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], [150, 30])
    dense = np.where(rng.random((180, 40)) < 0.1, rng.integers(1, 9, (180, 40)), 0).astype(dtype)
    wide = sparse.csr_array((180, 4000), dtype=dtype).tolil()
    wide[:, ::100] = dense
    wide = wide.tocsr()
    made, labels = OpenSampler(random_state=0).fit_resample(wide, y)
    narrow, _ = OpenSampler(random_state=0).fit_resample(sparse.csr_array(dense), y)
    np.testing.assert_array_equal(made[:, ::100].toarray(), narrow.toarray())
    assert made.nnz == narrow.nnz
    widths = []
    read = open_set_rows.IteratedRows.read
    monkeypatch.setattr(
        open_set_rows.IteratedRows,
        "read",
        lambda self, m: widths.append(read(self, m)) or widths[-1],
    )
    OpenSampler(random_state=0).fit_resample(wide, y)
    assert {rows.shape[1] for rows in widths} == {40}
