"""CIFAR-LT: subsets and refusals on small files of the same layouts, figures on real ones."""

import hashlib
import os
import pickle
import re
import struct
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from ltresample.datasets import _cifar, _cifar_files, fetch_cifar10_lt, fetch_cifar100_lt

CIFAR = Path(os.environ.get("LTRESAMPLE_CIFAR", "LTRESAMPLE_CIFAR is not set"))
needs_cifar = pytest.mark.skipif(
    not (CIFAR / "cifar10.npz").is_file(),
    reason="LTRESAMPLE_CIFAR does not name a folder with cifar10.npz and cifar100.npz",
)
SMALL = _cifar_files.CIFAR10._replace(n_train=20, n_test=2)
COUNTS = [20, 15, 11, 9, 7, 5, 4, 3, 2, 2]  # int(20 * 10 ** (-c / 9))


@pytest.fixture(autouse=True)
def small(monkeypatch):
    monkeypatch.setattr(_cifar, "CIFAR10", SMALL)


def whole():
    """Return a small data set in an order without order; the first pixel numbers the images."""
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(10), 20))
    x = rng.integers(0, 256, (200, 32, 32, 3), dtype=np.uint8)
    x[:, 0, 0, 0] = np.arange(200)
    y_test = rng.permutation(np.repeat(np.arange(10), 2))
    x_test = rng.integers(0, 256, (20, 32, 32, 3), dtype=np.uint8)
    return {"x_train": x, "y_train": y, "x_test": x_test, "y_test": y_test}


def part():
    """Return the images of a long tail of factor 10, class by class."""
    data = whole()
    rows = np.concatenate([np.flatnonzero(data["y_train"] == c)[:n] for c, n in enumerate(COUNTS)])
    return {**data, "x_train": data["x_train"][rows], "y_train": data["y_train"][rows]}


def write(folder, arrays, name="cifar10.npz"):
    np.savez(folder / name, **arrays)
    return folder


def write_published(folder, data):
    """Write the version for Python: bytes as keys, pixels plane by plane, five batches."""
    folder.mkdir()
    batches = {f"data_batch_{i + 1}": slice(40 * i, 40 * i + 40) for i in range(5)}
    for name, rows in {**batches, "test_batch": slice(None)}.items():
        kind = "test" if name == "test_batch" else "train"
        x, y = data[f"x_{kind}"][rows], data[f"y_{kind}"][rows]
        planes = np.moveaxis(x, -1, 1).reshape(len(x), 3072)
        (folder / name).write_bytes(python2_pickle(planes, y))


def python2_pickle(rows, labels):
    """Return the bytes that Python 2 wrote for {"data": rows, "labels": labels}."""
    n, width = rows.shape
    shape = b"(K\x01K" + bytes([n]) + b"M" + struct.pack("<H", width) + b"\x86"
    dtype = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNN" + 2 * b"J\xff\xff\xff\xff"
    empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R"
    values = b"T" + struct.pack("<i", rows.size) + rows.tobytes()
    array = empty + shape + dtype + b"K\x00tb\x89" + values + b"tb"
    ints = b"](" + b"".join(b"K" + bytes([label]) for label in labels) + b"e"
    return b"\x80\x02}(U\x04data" + array + b"U\x06labels" + ints + b"u."


def numbers(data):
    return data.X_train[:, 0, 0, 0]


def test_counts_types_and_layout(tmp_path):
    given = whole()
    data = fetch_cifar10_lt(path=write(tmp_path, given), imbalance_factor=10)
    assert data.class_counts.tolist() == COUNTS
    assert np.bincount(data.y_train).tolist() == COUNTS
    assert data.X_train.shape == (sum(COUNTS), 3, 32, 32)
    assert data.X_train.dtype == data.X_test.dtype == np.uint8
    assert data.y_train.dtype == data.y_test.dtype == np.int64
    assert data.X_train.flags.c_contiguous
    np.testing.assert_array_equal(data.X_test[3, 1], given["x_test"][3, :, :, 1])
    np.testing.assert_array_equal(data.y_train, given["y_train"][data.indices])
    np.testing.assert_array_equal(numbers(data), data.indices)
    assert data.target_names[[0, 9]].tolist() == ["airplane", "truck"]
    assert data.sha256 == hashlib.sha256(data.X_train.tobytes()).hexdigest()
    assert data.sha256 in data.DESCR
    assert data.source == str(tmp_path / "cifar10.npz")


def test_subset_of_ldam_is_its_loop(tmp_path):
    given = whole()
    stream = np.random.RandomState(0)
    expected = []
    for c, n in enumerate(COUNTS):
        rows = np.where(given["y_train"] == c)[0]
        stream.shuffle(rows)
        expected.extend(rows[:n])
    for random_state in (0, 7):
        data = fetch_cifar10_lt(
            path=write(tmp_path, given), imbalance_factor=10, random_state=random_state
        )
        assert data.indices.tolist() == expected


def test_subset_of_m2m_is_in_file_order(tmp_path):
    given = whole()
    data = fetch_cifar10_lt(path=write(tmp_path, given), imbalance_factor=10, subset="m2m")
    expected = [np.flatnonzero(given["y_train"] == c)[:n] for c, n in enumerate(COUNTS)]
    assert data.indices.tolist() == np.concatenate(expected).tolist()


def test_own_subsets_follow_the_seed_and_are_nested(tmp_path):
    def own(**settings):
        return fetch_cifar10_lt(path=tmp_path, subset="own", **settings)

    write(tmp_path, whole())
    first = own(imbalance_factor=10)
    assert first.sha256 == own(imbalance_factor=10, random_state=0).sha256
    assert first.sha256 != own(imbalance_factor=10, random_state=1).sha256
    assert set(own(imbalance_factor=20).indices) < set(first.indices)
    assert (np.diff(first.y_train) >= 0).all()


@pytest.mark.parametrize(
    ("settings", "counts"),
    [
        ({"imbalance_factor": 1}, [20] * 10),
        ({"imbalance_factor": 10, "kind": "step"}, [20] * 5 + [2] * 5),
        ({"imbalance_factor": 5, "n_max": 10}, [10, 8, 6, 5, 4, 4, 3, 2, 2, 2]),
    ],
)
def test_profiles(tmp_path, settings, counts):
    data = fetch_cifar10_lt(path=write(tmp_path, whole()), **settings)
    assert data.class_counts.tolist() == np.bincount(data.y_train).tolist() == counts


def test_a_part_gives_its_first_images(tmp_path):
    given = part()
    data = fetch_cifar10_lt(path=write(tmp_path, given), subset="own", imbalance_factor=20)
    again = fetch_cifar10_lt(path=tmp_path, subset="own", imbalance_factor=20, random_state=5)
    expected = [np.flatnonzero(given["y_train"] == c)[:n] for c, n in enumerate(data.class_counts)]
    assert data.indices.tolist() == np.concatenate(expected).tolist()
    assert data.sha256 == again.sha256
    assert data.recipe.endswith("in a file that holds a part of the training set")
    assert data.recipe in data.DESCR


@pytest.mark.parametrize("subset", ["ldam", "m2m"])
def test_a_part_is_not_enough_for_published_subsets(tmp_path, subset):
    said = (
        f"subset='{subset}' needs the whole training set of CIFAR10, 20 images of each class in "
        f"their order. Got 20 to 2 images of a class in {tmp_path / 'cifar10.npz'}. Pass "
        "subset='own'"
    )
    with pytest.raises(ValueError, match=re.escape(said)):
        fetch_cifar10_lt(path=write(tmp_path, part()), subset=subset, imbalance_factor=20)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        (
            {"imbalance_factor": 5},
            r"9 of 10 classes have fewer images in .*cifar10.npz than asked for. Got 15 of class 1 "
            r"\(automobile\), 16 are wanted. Raise imbalance_factor",
        ),
        ({"n_max": 21, "imbalance_factor": 20}, "Got 20 of class 0 .*, 21 are wanted"),
        ({"imbalance_factor": 20, "kind": "step"}, r"4 of 10 classes .*class 1 \(automobile\)"),
        ({"subset": "file"}, "subset must be one of 'ldam', 'm2m', 'own'. Got subset='file'."),
    ],
)
def test_wanted_images_that_are_not_there(tmp_path, settings, said):
    with pytest.raises(ValueError, match=said):
        fetch_cifar10_lt(path=write(tmp_path, part()), **{"subset": "own", **settings})


@pytest.mark.parametrize("below", [True, False])
def test_published_files_give_the_same_images(tmp_path, below):
    given = whole()
    write_published(tmp_path / "cifar-10-batches-py", given)
    place = tmp_path if below else tmp_path / "cifar-10-batches-py"
    data = fetch_cifar10_lt(path=place, imbalance_factor=10)
    packed = fetch_cifar10_lt(path=write(tmp_path, given), imbalance_factor=10)
    for name in ("X_train", "y_train", "X_test", "y_test", "sha256"):
        np.testing.assert_array_equal(data[name], packed[name])
    assert data.source == str(tmp_path / "cifar-10-batches-py")


def test_an_npz_file_of_any_name_and_labels_in_a_column(tmp_path):
    given = whole()
    column = {**given, "y_train": given["y_train"][:, None].astype(np.uint8)}
    write(tmp_path, {**column, "y_test": given["y_test"][:, None]}, "mine.npz")
    data = fetch_cifar10_lt(path=tmp_path / "mine.npz", imbalance_factor=10)
    plain = fetch_cifar10_lt(path=write(tmp_path, given), imbalance_factor=10)
    assert data.sha256 == plain.sha256
    assert data.y_train.shape == (sum(COUNTS),)


def test_the_cache_is_found_without_network(tmp_path, monkeypatch):
    (tmp_path / "cifar10").mkdir()
    write(tmp_path / "cifar10", whole())
    monkeypatch.setenv("LTRESAMPLE_DATA", str(tmp_path))
    by_variable = fetch_cifar10_lt(imbalance_factor=10, download_if_missing=False)
    by_argument = fetch_cifar10_lt(imbalance_factor=10, data_home=tmp_path)
    assert by_variable.sha256 == by_argument.sha256


def test_missing_files(tmp_path):
    said = "CIFAR10 is missing. Got neither cifar10.npz nor the folder cifar-10-batches-py in "
    for settings in ({"path": tmp_path}, {"data_home": tmp_path, "download_if_missing": False}):
        with pytest.raises(FileNotFoundError, match=said):
            fetch_cifar10_lt(**settings)
    write_published(tmp_path / "cifar-10-batches-py", whole())
    (tmp_path / "cifar-10-batches-py" / "data_batch_4").unlink()
    with pytest.raises(FileNotFoundError, match=r"Got no data_batch_4\. Unpack the archive anew\."):
        fetch_cifar10_lt(path=tmp_path)


def test_a_download_goes_through_torchvision(tmp_path, monkeypatch):
    utils = pytest.importorskip("torchvision.datasets.utils")
    asked = []

    def download(url, root, filename, md5):
        asked.append((url, filename, md5))
        write_published(Path(root) / "cifar-10-batches-py", whole())

    monkeypatch.setattr(utils, "download_and_extract_archive", download)
    data = fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=10)
    again = fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=10)
    assert data.sha256 == again.sha256
    assert len(asked) == 1
    assert asked[0][1] == "cifar-10-python.tar.gz"


@pytest.fixture
def archive(monkeypatch):
    """Return a stand-in for torchvision's functions that download, which need not be installed."""
    package, datasets, utils = (
        ModuleType(name)
        for name in ("torchvision", "torchvision.datasets", "torchvision.datasets.utils")
    )
    package.datasets, name = datasets, "cifar-10-python.tar.gz"
    datasets.CIFAR10 = SimpleNamespace(url=f"https://nowhere/{name}", filename=name, tgz_md5="0")
    for module in (package, datasets, utils):
        monkeypatch.setitem(sys.modules, module.__name__, module)
    return utils


def test_a_download_that_is_killed_leaves_no_half_folder(tmp_path, archive):

    def killed(url, root, filename, md5):
        write_published(Path(root) / "cifar-10-batches-py", whole())
        (Path(root) / "cifar-10-batches-py" / "data_batch_4").unlink()
        raise KeyboardInterrupt

    def download(url, root, filename, md5):
        write_published(Path(root) / "cifar-10-batches-py", whole())

    archive.download_and_extract_archive = killed
    with pytest.raises(KeyboardInterrupt):
        fetch_cifar10_lt(data_home=tmp_path)
    assert list((tmp_path / "cifar10").iterdir()) == []
    archive.download_and_extract_archive = download
    assert len(fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=10).class_counts) == 10


def test_a_download_that_another_process_finished_first_is_taken(tmp_path, archive):

    def download(url, root, filename, md5):
        for folder in (Path(root), tmp_path / "cifar10"):
            write_published(folder / "cifar-10-batches-py", whole())

    archive.download_and_extract_archive = download
    data = fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=10)
    assert data.source == str(tmp_path / "cifar10" / "cifar-10-batches-py")


def test_an_archive_that_was_put_there_is_taken(tmp_path, archive):
    (tmp_path / "cifar10").mkdir()
    (tmp_path / "cifar10" / "cifar-10-python.tar.gz").write_bytes(b"the archive")

    def download(url, root, filename, md5):
        assert (Path(root) / filename).read_bytes() == b"the archive"
        write_published(Path(root) / "cifar-10-batches-py", whole())

    archive.download_and_extract_archive = download
    assert len(fetch_cifar10_lt(data_home=tmp_path, imbalance_factor=10).y_test) > 0


@pytest.mark.parametrize("reason", [RuntimeError("File not found or corrupted."), OSError("no")])
def test_a_failed_download_says_what_to_do(tmp_path, monkeypatch, reason):
    utils = pytest.importorskip("torchvision.datasets.utils")

    def fail(*args, **settings):
        raise reason

    monkeypatch.setattr(utils, "download_and_extract_archive", fail)
    said = rf"CIFAR10 cannot be downloaded\. Got http.*{reason}\. .* or pass path="
    with pytest.raises(OSError, match=said):
        fetch_cifar10_lt(data_home=tmp_path)


def test_without_torchvision_a_download_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision", None)
    with pytest.raises(ImportError, match=r"needs torchvision: install ltresample\[image\]"):
        fetch_cifar10_lt(data_home=tmp_path)


@pytest.mark.parametrize("share", [0, 0.3, 0.999])
def test_truncated_files_are_named(tmp_path, share):
    place = write(tmp_path, whole()) / "cifar10.npz"
    place.write_bytes(place.read_bytes()[: int(share * place.stat().st_size)])
    with pytest.raises(ValueError, match=re.escape(f"{place} must be an .npz file with arrays")):
        fetch_cifar10_lt(path=tmp_path)


def test_a_changed_byte_is_seen(tmp_path):
    place = write(tmp_path, whole()) / "cifar10.npz"
    content = bytearray(place.read_bytes())
    content[1000] ^= 1
    place.write_bytes(content)
    with pytest.raises(ValueError, match="Got BadZipFile: Bad CRC-32 for file 'x_train.npy'"):
        fetch_cifar10_lt(path=tmp_path)


@pytest.mark.parametrize("share", [0, 0.5, 0.99])
def test_truncated_published_files_are_named(tmp_path, share):
    write_published(tmp_path / "cifar-10-batches-py", whole())
    place = tmp_path / "cifar-10-batches-py" / "data_batch_2"
    place.write_bytes(place.read_bytes()[: int(share * place.stat().st_size)])
    with pytest.raises(ValueError, match=re.escape(f"{place} must be a file of CIFAR's version")):
        fetch_cifar10_lt(path=tmp_path)


def test_nothing_but_arrays_is_unpickled(tmp_path):
    write_published(tmp_path / "cifar-10-batches-py", whole())
    place = tmp_path / "cifar-10-batches-py" / "test_batch"
    place.write_bytes(pickle.dumps({b"data": os.getcwd, b"labels": []}, protocol=3))
    with pytest.raises(ValueError, match="Got UnpicklingError: it names posix.getcwd"):
        fetch_cifar10_lt(path=tmp_path)


def test_a_pickle_of_python_3_is_read_too(tmp_path):
    given = whole()
    write_published(tmp_path / "cifar-10-batches-py", given)
    content = {b"data": np.moveaxis(given["x_test"], -1, 1).reshape(20, -1)}
    content[b"labels"] = given["y_test"].tolist()
    place = tmp_path / "cifar-10-batches-py" / "test_batch"
    place.write_bytes(pickle.dumps(content, protocol=4))
    data = fetch_cifar10_lt(path=tmp_path, imbalance_factor=10)
    np.testing.assert_array_equal(data.X_test, np.moveaxis(given["x_test"], -1, 1))


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"x_train": None}, "Got KeyError: 'x_train is not a file in the archive'"),
        ({"y_train": np.array([{}] * 200)}, "Got ValueError: Object arrays cannot be loaded"),
        ({"x_train": np.zeros((200, 3, 32, 32), np.uint8)}, r"Got uint8 of shape \(200, 3, 32"),
        ({"x_test": np.zeros((20, 32, 32, 3))}, r"x_test of .* must hold unsigned bytes .*float64"),
        ({"y_train": np.zeros(199, int)}, r"y_train of .* for each of 200 images\. .* \(199,\)"),
        ({"y_test": np.zeros(20)}, "y_test of .* must hold an integer for each"),
        ({"y_test": np.full(20, 10)}, r"y_test of .* must be in 0 \.\. 9\. Got labels 10 to 10"),
        ({"y_train": np.zeros(200, int)}, "up to 20 train images of a class. Got 200 of class 0"),
        (
            {"x_test": np.zeros((10, 32, 32, 3), np.uint8), "y_test": np.arange(10)},
            "must hold 2 test images of each class, and some for training. Got at least 1 and 20",
        ),
        ({"class_names": np.array(list("abcdefghij"))}, "class_names of .* Got a, b, c, ..."),
    ],
)
def test_files_that_hold_something_else(tmp_path, changes, said):
    arrays = {name: x for name, x in {**whole(), **changes}.items() if x is not None}
    with pytest.raises(ValueError, match=said):
        fetch_cifar10_lt(path=write(tmp_path, arrays))


@pytest.mark.parametrize("factor", [10, 20, 50, 100, 200])
def test_counts_of_m2m_differ_from_ours_where_the_notes_say(factor):
    from ltresample.class_counts import long_tailed_counts

    mu = np.power(1 / factor, 1 / 9)  # its last bit is the processor's
    theirs = [int(5000 * np.power(mu, c)) for c in range(10)]
    ours = long_tailed_counts(5000, 10, imbalance_factor=factor)
    assert (ours - theirs).tolist() in ([0] * 10, [0] * 9 + [1])


@needs_cifar
@pytest.mark.parametrize(
    ("fetch", "total", "last"), [(fetch_cifar10_lt, 12406, 50), (fetch_cifar100_lt, 10847, 5)]
)
def test_real_files(monkeypatch, fetch, total, last):
    monkeypatch.setattr(_cifar, "CIFAR10", _cifar_files.CIFAR10)
    data = fetch(path=CIFAR, subset="own")
    assert data.X_train.shape == (total, 3, 32, 32)
    assert data.class_counts[-1] == last
    assert data.X_test.shape == (10000, 3, 32, 32)
    assert len({image.tobytes() for image in data.X_train}) > 0.99 * total
