import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks import data_sets
from benchmarks.data_sets import data_hash, load, split
from ltresample.datasets import _cifar


@settings(deadline=None)
@given(
    st.lists(st.integers(1, 40), min_size=1, max_size=8),
    st.sampled_from([0.0, 0.1, 0.25, 0.5]),
    st.integers(0, 3),
)
def test_split_is_stratified_and_leaves_every_class_something(counts, share, seed):
    y = np.random.default_rng(0).permutation(np.repeat(np.arange(len(counts)), counts))
    train, held = split(y, share, seed)
    assert np.array_equal(np.sort(np.concatenate([train, held])), np.arange(len(y)))
    n_held = np.bincount(y[held], minlength=len(counts))
    assert (np.bincount(y[train], minlength=len(counts)) >= 1).all()
    exact = share * np.array(counts)
    assert (n_held >= np.minimum(np.floor(exact), np.array(counts) - 1)).all()
    assert (n_held <= np.ceil(exact)).all()
    # what one class cannot give is given by no other
    assert len(held) <= share * len(y) + 1e-9


def test_split_follows_the_seed():
    y = np.repeat([0, 1], [60, 20])
    assert np.array_equal(split(y, 0.1, 0)[1], split(y, 0.1, 0)[1])
    assert not np.array_equal(split(y, 0.1, 0)[1], split(y, 0.1, 1)[1])


def test_digits_have_a_long_tail():
    data = load({"name": "digits", "imbalance_factor": 20}, None)
    counts = np.bincount(data.y_train)
    assert counts.max() / counts.min() == pytest.approx(20, rel=0.15)
    assert data.X_train.dtype == np.float32
    assert data.X_train.max() == 1
    assert len(np.unique(data.y_test)) == 10


def test_the_hash_sees_every_value_and_type():
    data = load({"name": "digits", "imbalance_factor": 20}, None)
    changed = data.X_test.copy()
    changed[-1, -1] += 1
    others = [
        data._replace(X_test=changed),
        data._replace(X_train=data.X_train.astype(np.float64)),
        data._replace(y_train=data.y_train[::-1]),
    ]
    assert len({data_hash(d) for d in (data, *others)}) == 4
    assert data_hash(data) == data_hash(data._replace(X_test=data.X_test.copy()))


def test_data_sets_from_files_need_a_folder():
    said = r"^Data set 'sun397' is read from files .* Got no folder\. Pass --data FOLDER\.$"
    with pytest.raises(ValueError, match=said):
        load({"name": "sun397"}, None)


def test_images_are_read_from_lists(tmp_path):
    image = pytest.importorskip("PIL.Image")
    for kind, names in {"train": "abc", "val": "a", "test": "ab"}.items():
        lines = []
        for label, name in enumerate(names):
            path = tmp_path / kind / f"{name}.png"
            path.parent.mkdir(exist_ok=True)
            image.new("RGB", (12, 16), (label, 0, 9)).save(path)
            lines.append(f"{kind}/{name}.png {label % 2}\n")
        (tmp_path / f"Places_LT_{kind}.txt").write_text("".join(lines))
    data = load({"name": "places_lt", "size": 8}, tmp_path)
    assert data.X_train.shape == (3, 3, 8, 8)
    assert data.X_train.dtype == np.uint8
    assert data.X_train[:, 0, 0, 0].tolist() == [0, 1, 2]
    assert data.y_train.tolist() == [0, 1, 0]
    assert data.X_test.shape == (2, 3, 8, 8)


def test_unknown_data_sets_are_named_with_those_that_exist():
    said = r"^There is no data set 'digit'\. Did you mean 'digits'\? There are: .*, package"
    with pytest.raises(ValueError, match=said):
        load({"name": "digit"}, None)


def test_cifar_may_be_cut_and_shrunk(tmp_path, monkeypatch):
    small = _cifar.CIFAR10._replace(n_train=20, n_test=3)
    monkeypatch.setattr(_cifar, "CIFAR10", small)
    rng = np.random.default_rng(0)
    y, y_test = rng.permutation(np.repeat(np.arange(10), 20)), np.tile(np.arange(10), 3)
    x = rng.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    np.savez(tmp_path / "cifar10.npz", x_train=x, y_train=y, x_test=x[:30], y_test=y_test)
    spec = {"name": "cifar10_lt", "imbalance_factor": 5, "n_max": 10}
    data = load({**spec, "test_size": 2, "size": 16}, tmp_path)
    assert np.bincount(data.y_train).tolist() == [10, 8, 6, 5, 4, 4, 3, 2, 2, 2]
    assert np.bincount(data.y_test).tolist() == [2] * 10
    assert data.X_train.dtype == data.X_test.dtype == np.uint8
    assert data.X_test.shape == (20, 3, 16, 16)
    block = x[1, 4:6, 2:4, 2].astype(float)
    assert abs(data.X_test[1, 2, 2, 1] - block.mean()) <= 0.5
    assert load(spec, tmp_path).X_test.shape == (30, 3, 32, 32)
    with pytest.raises(ValueError, match="size must divide 32. Got size=12."):
        load({**spec, "size": 12}, tmp_path)


@pytest.fixture
def fashion_folder(tmp_path):
    """A small Fashion-MNIST of 30 training and 2 test images a class."""

    def write(name, values):
        head = bytes([0, 0, 8, values.ndim]) + struct.pack(f">{values.ndim}I", *values.shape)
        (tmp_path / name).write_bytes(head + values.tobytes())

    rng = np.random.default_rng(0)
    for part, n in (("train", 30), ("t10k", 2)):
        y = rng.permutation(np.repeat(np.arange(10, dtype=np.uint8), n))
        write(f"{part}-labels-idx1-ubyte", y)
        write(f"{part}-images-idx3-ubyte", rng.integers(0, 256, (len(y), 28, 28), dtype=np.uint8))
    return tmp_path


@pytest.mark.parametrize("reverse", [False, True])
def test_either_end_of_the_labels_can_be_rare(fashion_folder, reverse):
    own = {"name": "fashion_mnist_lt", "n_max": 20, "imbalance_factor": 10, "size": 14}
    own["reverse"] = reverse
    data = load(own, fashion_folder)
    counts = np.bincount(data.y_train)
    assert counts[:: -1 if reverse else 1][[0, -1]].tolist() == [20, 2]
    held_out = load({**own, "fold": 0, "test_size": 5}, fashion_folder)
    assert np.bincount(held_out.y_test).tolist() == [5] * 10
    np.testing.assert_array_equal(held_out.X_train, data.X_train)
    seen = {image.tobytes() for image in data.X_train}
    assert not any(image.tobytes() in seen for image in held_out.X_test)
    whole = load({**own, "fold": 0, "test_size": 5, "whole": True}, fashion_folder)
    np.testing.assert_array_equal(whole.X_test, held_out.X_test)
    assert np.bincount(whole.y_train).tolist() == [25] * 10  # all but the test part
    seen = {image.tobytes() for image in whole.X_train}
    assert not any(image.tobytes() in seen for image in held_out.X_test)
    assert all(image.tobytes() in seen for image in data.X_train)


def test_all_other_images_need_a_test_part_to_leave_out(fashion_folder):
    with pytest.raises(ValueError, match=r"^whole=True needs a fold"):
        own = {"name": "fashion_mnist_lt", "n_max": 20, "imbalance_factor": 10}
        load({**own, "whole": True}, fashion_folder)


def test_photographs_turn_grey_in_the_middle(monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (3, 3, 32, 32), dtype=np.uint8)
    monkeypatch.setattr(data_sets, "cifar100_images", lambda folder: images)
    whole = data_sets.grey_photographs(None)
    assert (whole.shape, whole.dtype) == ((3, 1, 28, 28), np.uint8)
    red, green, blue = (int(value) for value in images[1, :, 2, 5])
    assert whole[1, 0, 0, 3] == round(0.299 * red + 0.587 * green + 0.114 * blue)
    small = data_sets.grey_photographs(None, size=14)
    assert small[2, 0, 4, 6] == np.rint(whole[2, 0, 8:10, 12:14].mean())
