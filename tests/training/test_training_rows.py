"""Rows from any container, batches of them, and the validation split."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from skorch.dataset import Dataset, ValidSplit
from torch.utils.data import DataLoader, TensorDataset

from ltresample._random import Seed
from ltresample.rows import TakenRows, _taken
from ltresample.training._data import FetchedBatches, RowDataset, as_it_is
from ltresample.training._holdout import split_rows, stratified_holdout

X = np.random.default_rng(0).random((12, 5)).round(3)
X[X < 0.4] = 0

CONTAINERS = {
    "float64": lambda x: x,
    "float32": lambda x: x.astype(np.float32),
    "fortran": np.asfortranarray,
    "csr": sparse.csr_matrix,
    "csr array": sparse.csr_array,
    "tensor": torch.from_numpy,
    "dataset": lambda x: TensorDataset(torch.from_numpy(x), torch.zeros(len(x))),
}


@pytest.mark.parametrize("in_memory", [True, False])
@pytest.mark.parametrize("kind", CONTAINERS)
def test_every_container_gives_the_same_rows(kind, in_memory, monkeypatch):
    monkeypatch.setattr(_taken, "IN_MEMORY", 1 << 20 if in_memory else 0)
    rows = TakenRows(CONTAINERS[kind](X), dtype=torch.float32)
    at = torch.tensor([3, 0, 3, 11])
    assert rows.row_shape == (5,)
    assert len(rows) == 12
    got = rows.take(at)
    assert got.dtype == torch.float32
    np.testing.assert_array_equal(got, X[at].astype(np.float32))
    some = rows.subset(np.array([7, 5, 1])).subset(np.array([2, 0]))
    np.testing.assert_array_equal(some.take(torch.tensor([1, 0])), X[[7, 1]].astype(np.float32))
    assert len(some) == 2


def test_read_only_maps_are_read_without_a_warning(tmp_path):
    np.save(tmp_path / "x.npy", X)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    rows = TakenRows(mapped, dtype=torch.float64)
    assert rows._ready is None
    taken = rows.take(torch.arange(12))
    np.testing.assert_array_equal(taken, X)
    taken.zero_()
    np.testing.assert_array_equal(mapped, X)


def test_float_arrays_are_not_copied_and_never_written():
    x = X.astype(np.float32)
    rows = TakenRows(x, dtype=torch.float32)
    assert rows._ready.data_ptr() == x.ctypes.data
    rows.take(torch.arange(12)).fill_(9)
    np.testing.assert_array_equal(x, X.astype(np.float32))


@pytest.mark.parametrize("of", [np.asarray, torch.from_numpy])
@pytest.mark.parametrize("in_memory", [True, False])
def test_8_bit_images_are_scaled_to_the_unit_interval(of, in_memory, monkeypatch):
    monkeypatch.setattr(_taken, "IN_MEMORY", 1 << 20 if in_memory else 0)
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 2, 2) * 11
    rows = TakenRows(of(images), dtype=torch.float32)
    np.testing.assert_allclose(rows.take(torch.tensor([1])), images[1:] / 255, rtol=1e-6)
    table = TakenRows(of(images.reshape(2, 12)), dtype=torch.float32)
    np.testing.assert_array_equal(table.take(torch.tensor([1])), images[1:].reshape(1, 12))


def test_data_set_gives_batches_and_single_rows():
    y = np.arange(12) % 3
    data = RowDataset(TakenRows(X, dtype=torch.float64), labels=y.astype(str), y=y)
    x, target = data[[4, 2]]
    np.testing.assert_array_equal(x, X[[4, 2]])
    assert target.tolist() == [1, 2]
    x, target = data[4]
    np.testing.assert_array_equal(x, X[4])
    assert target == 1
    part = data.subset(np.array([10, 4, 2]))
    assert part.y.tolist() == ["1", "1", "2"]
    assert part.index.tolist() == [10, 4, 2]
    np.testing.assert_array_equal(part.X, X[[10, 4, 2]])
    np.testing.assert_array_equal(part[[2]][0], X[[2]])


def test_annotated_batches_carry_positions_and_weights():
    data = RowDataset(TakenRows(X, dtype=torch.float64), y=np.zeros(12), weight=np.arange(12.0))
    data.annotated = True
    rows, _ = data[[4, 2]]
    assert rows.index.tolist() == rows.weight.tolist() == [4, 2]


@pytest.mark.parametrize("n_workers", [0, 2])
def test_loaders_of_torch_fetch_the_same_batches(n_workers):
    data = RowDataset(TakenRows(X, dtype=torch.float64), y=np.arange(12), weight=np.ones(12))
    data.annotated = True
    batches = [[3, 1], [5], [0, 7, 9]]
    loader = DataLoader(data, batch_sampler=batches, collate_fn=as_it_is, num_workers=n_workers)
    for (rows, y), (own, own_y) in zip(loader, FetchedBatches(data, batches), strict=True):
        assert torch.equal(rows.x, own.x)
        assert torch.equal(rows.index, own.index)
        assert torch.equal(y, own_y)


@settings(deadline=None)
@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=5),
    share=st.floats(0.02, 0.9),
    seed=st.integers(0, 3),
)
def test_holdout_is_stratified_and_leaves_a_row_of_each_class(counts, share, seed):
    y = np.random.default_rng(seed).permutation(np.repeat(np.arange(len(counts)), counts))
    train, valid = stratified_holdout(y, share, Seed(seed))
    np.testing.assert_array_equal(np.sort(np.concatenate([train, valid])), np.arange(len(y)))
    for k, n in enumerate(counts):
        held = (y[valid] == k).sum()
        assert held == min(int(share * n + 0.5), n - 1)
    again = stratified_holdout(y, share, Seed(seed))
    np.testing.assert_array_equal(valid, again[1])


def whole():
    y = np.repeat([0, 1], 6)
    return RowDataset(TakenRows(X, dtype=torch.float64), labels=y, y=y)


def test_no_split():
    data = whole()
    assert split_rows(data, None, Seed(0)) == (data, None)


def test_splits_of_skorch_give_our_rows():
    train, valid = split_rows(whole(), ValidSplit(3, stratified=True), Seed(0))
    assert isinstance(train, RowDataset)
    assert isinstance(valid, RowDataset)
    assert np.bincount(valid.target).tolist() == [2, 2]
    assert sorted([*train.index, *valid.index]) == list(range(12))


def test_other_validation_sets_stay_as_they_are():
    other = Dataset(X, np.zeros(12))
    train, valid = split_rows(whole(), lambda data, y: (data, other), Seed(0))
    assert len(train) == 12
    assert valid is other


def test_splits_that_leave_nothing():
    message = (
        "train_split=0.01 leaves 12 rows to train on and 0 to validate on, of 12. Pass another "
        "share, or None."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        split_rows(whole(), 0.01, Seed(0))
