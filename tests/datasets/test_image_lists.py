"""Data sets by lists: what is read, and what is said of lists that are not right."""

import hashlib
import json
import re

import numpy as np
import pytest

from ltresample.datasets import (
    _image_lists,
    load_image_lists,
    load_imagenet_lt,
    load_inaturalist2018,
    load_places_lt,
)

Image = pytest.importorskip("PIL.Image")
LISTS = {
    "train": "train/n01/a.png 0\ntrain/n01/b.png 0\ntrain/n02/a b.png 1\n",
    "val": "train/n02/c.png 1\n",
    "test": "val/x.png 0\nval/y.png 1\n",
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for text in LISTS.values():
        for line in text.splitlines():
            place = tmp_path / line.rpartition(" ")[0]
            place.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (12, 10), (len(place.name), 0, 0)).save(place)
    for name in ("_IMAGENET", "_PLACES", "_INATURALIST"):
        small = getattr(_image_lists, name)._replace(n_classes=2)
        monkeypatch.setattr(_image_lists, name, small)
    return tmp_path


def write_lists(folder, pattern, parts=("train", "val", "test")):
    for part in parts:
        (folder / pattern.format(part)).write_text(LISTS[part])


@pytest.mark.parametrize(
    ("load", "pattern"),
    [(load_imagenet_lt, "ImageNet_LT_{}.txt"), (load_places_lt, "Places_LT_{}.txt")],
)
def test_lists_beside_or_away_from_the_images(folder, load, pattern, tmp_path_factory):
    away = tmp_path_factory.mktemp("lists")
    write_lists(folder, pattern)
    write_lists(away, pattern)
    for data in (load(folder, resize=8, crop=8), load(folder, lists=away, resize=8, crop=8)):
        assert [len(data[part]) for part in ("train", "val", "test")] == [3, 1, 2]
        assert data.train.targets.tolist() == [0, 0, 1]
        assert data.train.names[2] == "train/n02/a b.png"
        assert data.class_counts.tolist() == [2, 1]
        assert data.target_names.tolist() == ["train/n01", "train/n02"]
        assert data.test[1][0].shape == (3, 8, 8)
        for part, text in LISTS.items():
            assert data.sha256[part] == hashlib.sha256(text.encode()).hexdigest()
        assert data.sha256["test"] in data.DESCR


def test_the_settings_reach_the_files(folder):
    write_lists(folder, "ImageNet_LT_{}.txt")
    data = load_imagenet_lt(folder, resize=(4, 5), transform=lambda x: x / 255)
    assert data.val[0][0].shape == (3, 4, 5)
    assert data.val[0][0].max() <= 1


def test_inaturalist_by_lists(folder):
    (folder / "iNaturalist18_train.txt").write_text(LISTS["train"])
    (folder / "iNaturalist18_val.txt").write_text(LISTS["test"])
    data = load_inaturalist2018(folder)
    assert data.val is None
    assert data.test.names == ["val/x.png", "val/y.png"]


def write_json(folder, name, pairs, categories=((7, "fox"), (3, "owl"))):
    content = {
        "images": [{"id": 10 + i, "file_name": file} for i, (file, _) in enumerate(pairs)],
        "annotations": [
            {"id": i, "image_id": 10 + i, "category_id": c} for i, (_, c) in enumerate(pairs)
        ],
        "categories": [{"id": i, "name": name} for i, name in categories],
    }
    (folder / name).write_text(json.dumps(content))
    return content


def test_inaturalist_by_json(folder):
    write_json(folder, "train2018.json", [("train/n01/a.png", 7), ("train/n02/c.png", 3)])
    write_json(folder, "val2018.json", [("val/x.png", 7)])
    data = load_inaturalist2018(folder)
    assert data.target_names.tolist() == ["owl", "fox"]
    assert data.train.targets.tolist() == [1, 0]
    assert data.test.targets.tolist() == [1]
    (folder / "iNaturalist18_train.txt").write_text(LISTS["train"])
    (folder / "iNaturalist18_val.txt").write_text(LISTS["test"])
    assert len(load_inaturalist2018(folder).train) == 3  # lists come first


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda c: c.pop("images"), "with images, annotations and categories. Got KeyError"),
        (lambda c: c["annotations"].clear(), "Got IndexError"),
        (lambda c: c["annotations"][0].update(image_id=99), "must belong to its images.* 99"),
        (lambda c: c["annotations"][0].update(category_id=5), "must have known categories. Got 5"),
    ],
)
def test_json_that_is_not_right(folder, change, said):
    content = write_json(folder, "train2018.json", [("train/n01/a.png", 7)])
    write_json(folder, "val2018.json", [("val/x.png", 7)])
    change(content)
    (folder / "train2018.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=f"train2018.json .*{said}"):
        load_inaturalist2018(folder)


def test_cut_json_is_named(folder):
    write_json(folder, "val2018.json", [("val/x.png", 7)])
    (folder / "train2018.json").write_text('{"images": [')
    with pytest.raises(ValueError, match=r"train2018\.json must be a JSON file of iNaturalist"):
        load_inaturalist2018(folder)


def test_lists_of_ones_own(folder):
    (folder / "mine.txt").write_text("train/n01/a.png 2\n\n  train/n01/b.png 0  \n")
    data = load_image_lists(folder, folder / "mine.txt")
    assert data.class_counts.tolist() == [1, 0, 1]
    assert data.target_names is None
    assert data.val is data.test is None
    more = load_image_lists(folder, folder / "mine.txt", n_classes=5)
    assert len(more.class_counts) == 5


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a.png 0\nb.png\n", "Line 2 of FILE must be a path, a space and a label from 0"),
        ("a.png 0\nb.png one\n", r"Got 'b\.png one'\."),
        ("a.png 0\n\nb.png -1\n", "Line 3 of FILE"),
        ("a.png 0\nb.png 1.0\n", "Line 2 of FILE"),
        ("7\n", "Line 1 of FILE"),
        ("a.png 0\nb.png 3\n", r"Line 2 of FILE .* a label from 0 \.\. 2\. Got"),
        ("\n", "FILE must hold lines of a path and a label. Got an empty file."),
    ],
)
def test_malformed_lines_are_named(tmp_path, text, said):
    place = tmp_path / "list.txt"
    place.write_text(text)
    with pytest.raises(ValueError, match=said.replace("FILE", re.escape(str(place)))):
        load_image_lists(tmp_path, place, n_classes=3)


def test_missing_lists_and_images(folder):
    with pytest.raises(
        FileNotFoundError, match="A list of images is missing. Got no file .*no.txt"
    ):
        load_image_lists(folder, folder / "no.txt")
    write_lists(folder, "ImageNet_LT_{}.txt", ("train", "test"))
    said = "The lists of ImageNet-LT are missing. Got no ImageNet_LT_val.txt in .* Pass lists="
    with pytest.raises(FileNotFoundError, match=said):
        load_imagenet_lt(folder)
    write_lists(folder, "ImageNet_LT_{}.txt")
    (folder / "val" / "y.png").unlink()
    with pytest.raises(FileNotFoundError, match="1 of 2 images are missing in .* Got no val/y.png"):
        load_imagenet_lt(folder)
    assert np.array(load_imagenet_lt(folder, check_files=False).test.targets).tolist() == [0, 1]
