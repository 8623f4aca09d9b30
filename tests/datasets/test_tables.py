"""Tables in .npz files."""

import re
from pathlib import Path

import numpy as np
import pytest

from ltresample.datasets import load_table, load_tables

TABULAR = Path(__file__).parents[3] / "shared" / "data" / "tabular"


def test_table_has_its_arrays_name_and_counts(tmp_path):
    X, y = np.array([[1.0, np.nan], [0, 2], [3, 4]]), np.array(["b", "a", "b"])
    np.savez(tmp_path / "small_0.npz", X=X, y=y)
    table = load_table(tmp_path / "small_0.npz")
    np.testing.assert_array_equal(table.X, X)
    np.testing.assert_array_equal(table.y, y)
    assert (table.name, table.class_counts.tolist()) == ("small_0", [1, 2])


def test_tables_are_chosen_by_pattern_and_sorted(tmp_path):
    for name in ("multi_b", "binary_b", "binary_a"):
        np.savez(tmp_path / f"{name}.npz", X=np.eye(2), y=[0, 1])
    assert list(load_tables(tmp_path)) == ["binary_a", "binary_b", "multi_b"]
    assert list(load_tables(str(tmp_path), pattern="binary_*.npz")) == ["binary_a", "binary_b"]


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"X": np.eye(2)}, "must be an .npz file with arrays X and y, without pickled objects."),
        ({"X": np.eye(2), "y": np.array([{}, None])}, "Got ValueError: Object arrays cannot be"),
        ({"X": np.eye(3), "y": np.zeros(2)}, "Got X of shape (3, 3) and y of shape (2,)."),
        ({"X": np.zeros(3), "y": np.zeros(3)}, "Got X of shape (3,) and y of shape (3,)."),
    ],
)
def test_other_content_is_refused(tmp_path, arrays, message):
    place = tmp_path / "table.npz"
    np.savez(place, **arrays)
    with pytest.raises(ValueError, match=re.escape(message)) as err:
        load_table(place)
    assert str(place) in str(err.value)


@pytest.mark.parametrize("content", [b"", b"no archive", b"PK\x03\x04 broken"])
def test_other_files_are_refused(tmp_path, content):
    place = tmp_path / "table.npz"
    place.write_bytes(content)
    with pytest.raises(ValueError, match="must be an .npz file with arrays X and y"):
        load_table(place)


def test_single_array_is_refused(tmp_path):
    np.save(tmp_path / "array.npy", np.eye(2))
    with pytest.raises(ValueError, match="must be an .npz file"):
        load_table(tmp_path / "array.npy")


def test_missing_files_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="Got no file at .*nothing.npz"):
        load_table(tmp_path / "nothing.npz")
    message = f"No file fits pattern='*.npz' in {tmp_path}. Pass the folder that holds"
    with pytest.raises(FileNotFoundError, match=re.escape(message)):
        load_tables(tmp_path)


@pytest.mark.skipif(not TABULAR.is_dir(), reason="the tables are not in ../shared/data/tabular")
def test_real_tables_load():
    tables = load_tables(TABULAR)
    assert len(tables) == 56
    assert sum(len(table.class_counts) > 2 for table in tables.values()) == 13
    for table in tables.values():
        assert table.X.shape == (table.class_counts.sum(), table.X.shape[1])
        np.testing.assert_array_equal(np.unique(table.y), np.arange(len(table.class_counts)))


def test_a_compressed_table_that_is_damaged_is_refused(tmp_path):
    place = tmp_path / "table.npz"
    rng = np.random.default_rng(0)
    np.savez_compressed(place, X=rng.integers(0, 3, (50, 4)), y=np.arange(50))
    whole = place.read_bytes()
    for at in (70, 155, 495):  # in the packed numbers, their check sum, the way they are packed
        place.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1 :])
        with pytest.raises(ValueError, match="must be an .npz file with arrays X and y"):
            load_table(place)
