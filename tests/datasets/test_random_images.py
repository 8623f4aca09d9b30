"""A local file of images, opened as a memory map."""

import hashlib

import numpy as np
import pytest

from ltresample.datasets import load_random_images


def saved(tmp_path, array):
    place = tmp_path / "images.npy"
    np.save(place, array)
    return place


def test_images_come_as_a_read_only_view_with_channels_first(tmp_path):
    stored = np.random.default_rng(0).integers(0, 256, (7, 5, 4, 3), dtype=np.uint8)
    place = saved(tmp_path, stored)
    images = load_random_images(place)
    assert isinstance(images, np.memmap)
    np.testing.assert_array_equal(images, stored.transpose(0, 3, 1, 2))
    with pytest.raises(ValueError, match="read-only"):
        images[0] = 0


def test_the_checksum_is_looked_at_where_it_is_given(tmp_path):
    place = saved(tmp_path, np.zeros((2, 4, 4, 3), dtype=np.uint8))
    right = hashlib.sha256(place.read_bytes()).hexdigest()
    assert load_random_images(place, sha256=right.upper()).shape == (2, 3, 4, 4)
    with pytest.raises(ValueError, match=f"(?s)Got SHA-256 {right}, expected 0000.*sha256=None"):
        load_random_images(place, sha256="0000")


def test_files_that_are_no_images(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Got no file at .*none.npy. Pass the path"):
        load_random_images(tmp_path / "none.npy")
    with pytest.raises(ValueError, match=r"must hold unsigned.*Got float64 of shape \(2, 3\)"):
        load_random_images(saved(tmp_path, np.zeros((2, 3))))
    with pytest.raises(ValueError, match=r"uint8 of shape \(2, 3, 4, 4\)"):
        load_random_images(saved(tmp_path, np.zeros((2, 3, 4, 4), dtype=np.uint8)))
    place = tmp_path / "text.npy"
    place.write_text("no array")
    with pytest.raises(ValueError, match="must be an .npy file of numbers"):
        load_random_images(place)
