"""Images read from files: pixels, sizes, transforms and refusals."""

import pickle
import re

import numpy as np
import pytest
import torch

from ltresample._random import root_seed
from ltresample.datasets import ImageFiles
from ltresample.datasets._image_files import hold_out

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)


def write(folder, name, pixels):
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(folder / name)
    return folder


def noise(height, width):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_pixels_are_those_of_the_file(tmp_path):
    pixels = noise(5, 7)
    files = ImageFiles(write(tmp_path, "deep/down/a.png", pixels), ["deep/down/a.png"], [4])
    image, label = files[0]
    assert image.dtype == torch.uint8
    assert image.is_contiguous()
    np.testing.assert_array_equal(image.numpy(), pixels.transpose(2, 0, 1))
    assert (label, len(files)) == (4, 1)
    assert type(label) is int


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "1", "CMYK"])
def test_other_kinds_of_images_become_colour(tmp_path, mode):
    name = "a.tif" if mode == "CMYK" else "a.png"
    Image.new(mode, (6, 4)).save(tmp_path / name)
    assert ImageFiles(tmp_path, [name], [0])[0][0].shape == (3, 4, 6)


@pytest.mark.parametrize(
    ("settings", "shape"),
    [
        ({"resize": 8}, (3, 8, 16)),
        ({"resize": (5, 6)}, (3, 5, 6)),
        ({"crop": 9}, (3, 9, 9)),
        ({"resize": 8, "crop": 6}, (3, 6, 6)),
        ({"resize": 40, "crop": 40}, (3, 40, 40)),
    ],
)
def test_sizes(tmp_path, settings, shape):
    files = ImageFiles(write(tmp_path, "a.png", noise(10, 20)), ["a.png"], [0], **settings)
    assert files[0][0].shape == shape


def test_the_crop_is_the_centre(tmp_path):
    pixels = noise(10, 20)
    files = ImageFiles(write(tmp_path, "a.png", pixels), ["a.png"], [0], crop=4)
    np.testing.assert_array_equal(files[0][0].permute(1, 2, 0).numpy(), pixels[3:7, 8:12])


@pytest.mark.parametrize(("height", "width"), [(33, 100), (100, 33), (7, 1000), (31, 31)])
def test_a_resized_image_is_long_enough_for_the_crop(tmp_path, height, width):
    files = ImageFiles(
        write(tmp_path, "a.png", noise(height, width)), ["a.png"], [0], resize=32, crop=32
    )
    assert files[0][0].shape == (3, 32, 32)


def test_a_transform_has_the_last_word(tmp_path):
    write(tmp_path, "a.png", noise(6, 6))
    flipped = ImageFiles(
        tmp_path, ["a.png"], [1], transform=lambda image: image.flip(2).float() / 255
    )
    plain = ImageFiles(tmp_path, ["a.png"], [1])
    assert torch.equal(flipped[0][0], plain[0][0].flip(2) / 255)


@pytest.mark.parametrize("wrong", [lambda x: x.numpy(), lambda x: x[0], lambda x: x.long()])
def test_a_transform_that_gives_something_else(tmp_path, wrong):
    files = ImageFiles(write(tmp_path, "a.png", noise(3, 3)), ["a.png"], [1], transform=wrong)
    with pytest.raises(ValueError, match="transform must give a tensor of shape"):
        files[0]


def test_arrays_and_loaders_give_the_same(tmp_path):
    for i in range(4):
        write(tmp_path, f"{i}.png", noise(6, 6))
    files = ImageFiles(tmp_path, [f"{i}.png" for i in range(4)], [0, 1, 0, 2])
    X, y = files.arrays()
    (batch,) = torch.utils.data.DataLoader(pickle.loads(pickle.dumps(files)), batch_size=4)
    np.testing.assert_array_equal(batch[0].numpy(), X)
    np.testing.assert_array_equal(batch[1].numpy(), y)
    assert X.dtype == np.uint8
    assert X.shape == (4, 3, 6, 6)


def test_arrays_need_one_size(tmp_path):
    write(tmp_path, "a.png", noise(6, 6))
    write(tmp_path, "b.png", noise(6, 7))
    files = ImageFiles(tmp_path, ["a.png", "b.png"], [0, 1])
    with pytest.raises(ValueError, match=r"Got 2 sizes, such as .*3, 6, 6.* Pass resize and crop"):
        files.arrays()


def test_missing_files_are_counted_and_the_first_are_named(tmp_path):
    names = [f"{i}.png" for i in range(6)]
    write(tmp_path, "1.png", noise(3, 3))
    said = (
        f"5 of 6 images are missing in {tmp_path}. Got no 0.png, 2.png, 3.png and 2 more. Pass the"
    )
    with pytest.raises(FileNotFoundError, match=re.escape(said)):
        ImageFiles(tmp_path, names, [0] * 6)
    files = ImageFiles(tmp_path, names, [0] * 6, check_files=False)
    assert files[1][0].shape == (3, 3, 3)
    with pytest.raises(FileNotFoundError, match="An image of the list is missing.*2.png"):
        files[2]


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_broken_files_are_named(tmp_path, content):
    place = write(tmp_path, "a.jpg", noise(40, 40)) / "a.jpg"
    whole = place.read_bytes()
    place.write_bytes(whole[: len(whole) // 2] if content is None else content)
    with pytest.raises(ValueError, match=re.escape(f"{place} cannot be read as an image. Got ")):
        ImageFiles(tmp_path, ["a.jpg"], [0])[0]


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"resize": 0}, "Got resize=0 and crop=None"),
        ({"crop": -1}, "Got resize=None and crop=-1"),
        ({"resize": (3, 4, 5)}, r"resize may be \(height, width\)"),
        ({"targets": [1, 2]}, r"Got 1 names and targets of shape \(2,\)"),
    ],
)
def test_refused_arguments(tmp_path, settings, said):
    write(tmp_path, "a.png", noise(3, 3))
    with pytest.raises(ValueError, match=said):
        ImageFiles(tmp_path, ["a.png"], **{"targets": [0], **settings})


def test_a_crop_larger_than_the_image(tmp_path):
    files = ImageFiles(write(tmp_path, "a.png", noise(3, 5)), ["a.png"], [0], crop=4)
    with pytest.raises(ValueError, match=r"Got crop=4 for .*a\.png of 5 x 3 pixels\. Pass resize"):
        files[0]


def test_without_pillow(tmp_path, monkeypatch):
    files = ImageFiles(write(tmp_path, "a.png", noise(3, 3)), ["a.png"], [0])
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    with pytest.raises(ImportError, match=r"need Pillow: install ltresample\[image\]"):
        files[0]


def test_held_out_parts_are_disjoint_and_follow_the_seed():
    members = np.arange(10, 40)
    seed = root_seed(0).child("a")
    parts = hold_out(members, (5, 7, None), seed)
    assert [len(part) for part in parts] == [5, 7, 18]
    assert sorted(np.concatenate(parts)) == members.tolist()
    assert all((np.diff(part) > 0).all() for part in parts)
    again = hold_out(members, (5, 7, 3), seed)
    assert [len(part) for part in again] == [5, 7, 3]
    assert again[0].tolist() == parts[0].tolist()
    assert hold_out(members, (5,), root_seed(1).child("a"))[0].tolist() != parts[0].tolist()


@pytest.mark.parametrize(
    ("targets", "got"), [([0.5, 1.9], "float64"), ([-1, 1], "-1"), (["1", "x"], "'1'")]
)
def test_targets_that_are_no_class_numbers_are_refused(tmp_path, targets, got):
    with pytest.raises(ValueError, match=f"whole numbers from 0.*{got}"):
        ImageFiles(tmp_path, ["a.png", "b.png"], targets, check_files=False)
