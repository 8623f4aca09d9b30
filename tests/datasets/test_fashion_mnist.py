"""Fashion-MNIST-LT from idx files: made small ones, and the published ones where they are."""

import gzip
import hashlib
import pathlib
import struct

import numpy as np
import pytest

from ltresample.datasets import _fashion_mnist, fetch_fashion_mnist_lt
from ltresample.datasets._idx_files import read_idx

PUBLISHED = pathlib.Path("/usr/share/datasets/fashion-mnist")
NAMES = {
    "x_train": "train-images-idx3-ubyte",
    "y_train": "train-labels-idx1-ubyte",
    "x_test": "t10k-images-idx3-ubyte",
    "y_test": "t10k-labels-idx1-ubyte",
}


def idx(values):
    values = np.asarray(values, np.uint8)
    head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
    return head + values.tobytes()


@pytest.fixture
def arrays():
    rng = np.random.default_rng(0)
    y_train, y_test = rng.permutation(np.repeat(np.arange(10), 20)), np.repeat(np.arange(10), 3)
    shapes = {"x_train": (200, 28, 28), "x_test": (30, 28, 28)}
    images = {name: rng.integers(0, 256, shape) for name, shape in shapes.items()}
    return {**images, "y_train": y_train, "y_test": y_test}


@pytest.fixture
def folder(tmp_path, arrays):
    for key, values in arrays.items():
        (tmp_path / f"{NAMES[key]}.gz").write_bytes(gzip.compress(idx(values)))
    return tmp_path


def test_a_tail_is_cut_from_local_files(folder, arrays):
    data = fetch_fashion_mnist_lt(path=folder, imbalance_factor=10)
    assert data.class_counts.tolist() == np.bincount(data.y_train).tolist()
    assert data.class_counts[[0, -1]].tolist() == [20, 2]
    assert data.X_train.shape == (len(data.y_train), 1, 28, 28)
    assert data.X_train.dtype == data.X_test.dtype == np.uint8
    np.testing.assert_array_equal(data.X_train[:, 0], arrays["x_train"][data.indices])
    np.testing.assert_array_equal(data.y_train, arrays["y_train"][data.indices])
    np.testing.assert_array_equal(data.X_test[:, 0], arrays["x_test"])
    assert data.sha256 == hashlib.sha256(data.X_train.tobytes()).hexdigest()
    assert data.sha256 in data.DESCR
    assert len(data.target_names) == 10


def test_the_draw_is_nested_and_follows_random_state(folder):
    one, more, other = (
        fetch_fashion_mnist_lt(path=folder, imbalance_factor=factor, random_state=seed)
        for factor, seed in ((10, 0), (2, 0), (10, 1))
    )
    assert set(one.indices) <= set(more.indices)
    assert one.indices.tolist() != other.indices.tolist()
    small = fetch_fashion_mnist_lt(path=folder, imbalance_factor=5, n_max=10)
    assert small.class_counts[[0, -1]].tolist() == [10, 2]


def test_plain_files_are_the_same(folder, arrays):
    packed = fetch_fashion_mnist_lt(path=folder, imbalance_factor=10)
    for key, values in arrays.items():
        (folder / f"{NAMES[key]}.gz").unlink()
        (folder / NAMES[key]).write_bytes(idx(values))
    assert fetch_fashion_mnist_lt(path=folder, imbalance_factor=10).sha256 == packed.sha256


def half(content):
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("key", "change", "said"),
    [
        (
            "x_train",
            lambda b: half(gzip.compress(b)),
            r"train-images.* whole file packed by gzip.*cut",
        ),
        (
            "x_train",
            lambda b: gzip.compress(half(b)),
            r"must hold 156800 bytes for its shape.*cut off",
        ),
        ("y_test", lambda b: b"\x1f\x8b" + bytes(40), r"t10k-labels.* whole file packed by gzip"),
        ("x_test", lambda b: b"", r"t10k-images.*(whole file|begins with 00000803)"),
        ("x_train", lambda b: gzip.compress(b + b"\0"), r"must hold 156800 bytes.* Got 156801"),
        ("y_train", lambda b: gzip.compress(idx(np.zeros((4, 2)))), r"with 1 axes.* Got 00000802"),
        ("x_test", lambda b: gzip.compress(b"\0\0\x0d" + b[3:]), r"unsigned bytes.* Got 00000d03"),
        (
            "y_train",
            lambda b: gzip.compress(idx(np.arange(10))),
            r"Got 200 and 10: they do not belong",
        ),
        (
            "y_test",
            lambda b: gzip.compress(idx(np.full(30, 3))),
            r"must hold the labels 0 to 9.* \[3\]",
        ),
        ("y_test", lambda b: gzip.compress(idx(np.arange(30))), r"must hold the labels 0 to 9"),
        ("x_test", lambda b: gzip.compress(idx(np.zeros((30, 8, 8)))), r"28 x 28\. Got 8 x 8"),
    ],
)
def test_damaged_files_are_refused(folder, arrays, key, change, said):
    (folder / f"{NAMES[key]}.gz").write_bytes(change(idx(arrays[key])))
    with pytest.raises(ValueError, match=f"(?s){said}"):
        fetch_fashion_mnist_lt(path=folder)


def test_a_header_that_claims_too_much_is_refused(tmp_path):
    place = tmp_path / "x"
    place.write_bytes(bytes([0, 0, 8, 3]) + struct.pack(">3I", 2**32 - 1, 2**32 - 1, 2**32 - 1))
    with pytest.raises(ValueError, match=r"must hold \d{29} bytes"):
        read_idx(place, 3)


def test_files_of_full_length_must_have_the_published_content(folder, monkeypatch):
    file = _fashion_mnist._FILES["x_test"]._replace(n=30)
    monkeypatch.setitem(_fashion_mnist._FILES, "x_test", file)
    with pytest.raises(ValueError, match=r"does not hold the published content\. Got SHA-256"):
        fetch_fashion_mnist_lt(path=folder)


def test_missing_files_are_named(folder, tmp_path):
    (folder / f"{NAMES['y_test']}.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"neither t10k-labels-idx1-ubyte\.gz nor t10k-lab"):
        fetch_fashion_mnist_lt(path=folder)
    with pytest.raises(FileNotFoundError, match="allow the download"):
        fetch_fashion_mnist_lt(data_home=tmp_path / "cache", download_if_missing=False)


def test_a_part_of_the_images_is_not_enough_for_everything(folder):
    with pytest.raises(ValueError, match=r"\b21\b"):
        fetch_fashion_mnist_lt(path=folder, n_max=21, imbalance_factor=2)


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published files are not here")
def test_the_published_files():
    data = fetch_fashion_mnist_lt(path=PUBLISHED)
    assert data.class_counts[[0, -1]].tolist() == [6000, 60]
    assert len(data.y_train) == 14_886
    assert np.bincount(data.y_test).tolist() == [1000] * 10
    assert fetch_fashion_mnist_lt(
        path=PUBLISHED, imbalance_factor=50, n_max=1000
    ).X_train.shape == (
        2795,
        1,
        28,
        28,
    )
