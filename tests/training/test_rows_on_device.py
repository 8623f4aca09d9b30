"""Rows that are kept on the device: the same rows, and the same result."""

import re

import numpy as np
import pytest
import torch
from scipy import sparse
from sklearn.base import clone

from ltresample._torch import free_bytes
from ltresample.over_sampling import M2mSampler
from ltresample.rows import TakenRows, _taken
from ltresample.training import DeferredRebalancingClassifier, RandomCropFlip, _device
from ltresample.training._data import RowDataset
from ltresample.training._device import place_of_rows

CPU = torch.device("cpu")
DEVICES = [CPU, pytest.param(torch.device("cuda"), marks=pytest.mark.gpu)]
IMAGES = np.random.default_rng(0).integers(0, 256, (50, 3, 8, 8)).astype(np.uint8)
LABELS = np.repeat([0, 1, 2], [30, 14, 6])


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("chunk", [1, 1 << 20])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_images_are_held_as_bytes_and_scaled_alike(device, chunk, dtype, monkeypatch):
    monkeypatch.setattr(_taken, "CHUNK", chunk)
    every = np.arange(256, dtype=np.uint8).reshape(4, 1, 8, 8)
    plain, held = TakenRows(every, dtype=dtype), TakenRows(every, dtype=dtype, held=device)
    assert held._ready.dtype == torch.uint8
    assert held._ready.device.type == device.type
    at = np.array([3, 0, 3])
    assert torch.equal(held.gather(at).cpu(), plain.gather(at))  # bit by bit
    assert torch.equal(held.take(torch.from_numpy(at)).cpu(), plain.take(torch.from_numpy(at)))
    part = held.subset(np.array([2, 1])).subset(np.array([1]))
    assert torch.equal(
        part.take(torch.tensor([0], device=device)).cpu(), plain.gather(np.array([1]))
    )
    held.take(torch.arange(4)).fill_(9)
    np.testing.assert_array_equal(every.ravel(), np.arange(256))


def test_rows_are_taken_there_through_the_subset(monkeypatch):
    held = TakenRows(IMAGES, dtype=torch.float32, held=CPU).subset(np.array([7, 5, 1]))
    index = torch.tensor([2, 0, 0])
    assert torch.equal(held._take_there(index), held.gather(index.numpy()))
    assert torch.equal(
        held.subset(np.array([1]))._take_there(index[1:2]), held.gather(np.array([1]))
    )


@pytest.mark.parametrize("kind", ["float32", "float64", "tensor", "mapped"])
def test_other_dense_rows_are_held_in_the_networks_type(kind, tmp_path):
    x = np.random.default_rng(0).random((6, 4)).astype("float64" if kind == "float64" else "f4")
    np.save(tmp_path / "x.npy", x)
    kinds = {"tensor": torch.from_numpy, "mapped": lambda _: np.load(tmp_path / "x.npy", "r")}
    rows = TakenRows(kinds.get(kind, np.asarray)(x), dtype=torch.float32, held=CPU)
    assert rows._ready.dtype == torch.float32
    rows.take(torch.arange(6)).fill_(9)
    np.testing.assert_array_equal(rows.take(torch.arange(6)), x.astype("f4"))


@pytest.mark.parametrize(
    "resampler", [None, M2mSampler(g="f", min_confidence=0.2, count_decay=0.9)]
)
def test_training_does_not_depend_on_where_rows_are_kept(resampler):
    net = DeferredRebalancingClassifier(
        resampler=resampler,
        start=1,
        rebalance="resample",
        augment=RandomCropFlip(1),
        max_epochs=2,
        train_split=0.2,
        batch_size=16,
        random_state=0,
    )
    plain = clone(net).set_params(rows_on_device=False).fit(IMAGES, LABELS)
    held = clone(net).set_params(rows_on_device=True).fit(IMAGES, LABELS)
    assert held.history[:, "train_loss"] == plain.history[:, "train_loss"]
    assert held.history[:, "valid_loss"] == plain.history[:, "valid_loss"]
    np.testing.assert_array_equal(held.predict_proba(IMAGES), plain.predict_proba(IMAGES))


def net_with(**settings):
    net = DeferredRebalancingClassifier(**settings)
    net._row_shape, net.classes_inferred_ = IMAGES.shape[1:], np.arange(3)
    net.seed_ = None
    return net


def test_what_is_kept_on_an_accelerator(monkeypatch):
    free = {"bytes": 4 * IMAGES.nbytes}
    monkeypatch.setattr(_device, "free_bytes", lambda place: free["bytes"])
    net = net_with(device="meta")
    kept = place_of_rows(net, IMAGES, torch.float32)
    assert kept == torch.device("meta")
    assert place_of_rows(net, IMAGES.astype("f4"), torch.float32) is None  # four times as large
    assert place_of_rows(net, sparse.csr_array(np.eye(3)), torch.float32) is None
    net.set_params(iterator_train__num_workers=1)
    assert place_of_rows(net, IMAGES, torch.float32) is None
    free["bytes"] -= 1
    assert place_of_rows(net_with(device="meta"), IMAGES, torch.float32) is None
    assert place_of_rows(net_with(device="meta", rows_on_device=False), IMAGES, None) is None


def test_rows_stay_where_they_are_on_the_cpu():
    assert place_of_rows(net_with(), IMAGES, torch.float32) is None
    assert free_bytes(CPU) == 0


@pytest.mark.parametrize(
    ("X", "settings", "got"),
    [
        (sparse.csr_array(np.eye(6)), {}, "csr_array and no settings"),
        (np.eye(6), {"iterator_train__num_workers": 1}, "ndarray and settings"),
    ],
)
def test_rows_that_cannot_be_kept(X, settings, got):
    net = DeferredRebalancingClassifier(rows_on_device=True, max_epochs=1, **settings)
    message = f"Got X of type {got} of a loader (iterator_train__x). Pass 'auto' or False, or"
    with pytest.raises(ValueError, match=re.escape(message)):
        net.fit(X, [0, 0, 0, 1, 1, 1])


@pytest.mark.gpu
def test_an_accelerator_keeps_images_by_itself(monkeypatch):
    seen = []
    take = RowDataset.__getitem__

    def noted(self, index):
        batch = take(self, index)
        seen.append(batch[0].device.type)
        return batch

    monkeypatch.setattr(RowDataset, "__getitem__", noted)
    DeferredRebalancingClassifier(device="cuda", max_epochs=1).fit(IMAGES, LABELS)
    assert set(seen) == {"cuda"}
