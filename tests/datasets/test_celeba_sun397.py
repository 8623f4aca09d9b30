"""CelebA-5 and SUN397 on small folders of their layouts."""

import re

import numpy as np
import pytest

from ltresample.datasets import load_celeba5, load_sun397

Image = pytest.importorskip("PIL.Image")
COLOURS = ["Gray_Hair", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bald"]
COLUMNS = ["Bald", "Smiling", "Black_Hair", "Blond_Hair", "Brown_Hair", "Gray_Hair"]
EXCLUSIVE = dict(zip(COLOURS, [8, 24, 15, 20, 6], strict=True))


def attribute_lines():
    """Return each image its colours: the exclusive ones, three with two colours, three with none."""
    colours = [{name} for name, n in EXCLUSIVE.items() for _ in range(n)]
    colours += [{"Gray_Hair", "Bald"}, {"Black_Hair", "Bald"}, {"Black_Hair", "Brown_Hair"}]
    colours += [{"Smiling"}, set(), set()]
    order = np.random.default_rng(0).permutation(len(colours))
    return [
        f"{number:06d}.png  " + " ".join(" 1" if c in colours[i] else "-1" for c in COLUMNS)
        for number, i in enumerate(order, start=1)
    ]


def write_celeba(folder, lines=None, images=True):
    lines = attribute_lines() if lines is None else lines
    (folder / "list_attr_celeba.txt").write_text(
        "\n".join([str(len(attribute_lines())), " ".join(COLUMNS), *lines, ""])
    )
    (folder / "img_align_celeba").mkdir()
    for line in lines if images else ():
        Image.new("RGB", (178, 218)).save(folder / "img_align_celeba" / line.split()[0])
    return folder


SMALL = {"share": 4, "n_val": 1, "n_test": 2}


def test_counts_and_colours(tmp_path):
    data = load_celeba5(write_celeba(tmp_path), **SMALL)
    has = dict(EXCLUSIVE)
    has["Gray_Hair"] += 1
    has["Bald"] += 2
    has["Black_Hair"] += 2
    has["Brown_Hair"] += 1
    assert data.target_names.tolist() == COLOURS
    assert data.class_counts.tolist() == [has[c] // 4 for c in COLOURS]
    assert np.bincount(data.val.targets).tolist() == [1] * 5
    assert np.bincount(data.test.targets).tolist() == [2] * 5
    names = [*data.train.names, *data.val.names, *data.test.names]
    assert len(set(names)) == len(names)
    assert data.train[0][0].shape == (3, 32, 32)
    rows = {line.split()[0]: line.split()[1:] for line in attribute_lines()}
    for part in (data.train, data.val, data.test):
        for name, label in zip(part.names, part.targets, strict=True):
            found = [c for c, sign in zip(COLUMNS, rows[name], strict=True) if sign == "1"]
            assert [c for c in found if c in COLOURS] == [COLOURS[label]]


def test_the_draw_follows_the_seed(tmp_path):
    write_celeba(tmp_path, images=False)
    settings = {**SMALL, "check_files": False}
    first = load_celeba5(tmp_path, **settings)
    assert first.sha256 == load_celeba5(tmp_path, random_state=0, **settings).sha256
    assert first.sha256 != load_celeba5(tmp_path, random_state=1, **settings).sha256


def test_published_lists(tmp_path):
    write_celeba(tmp_path)
    for part, text in {"train": "000001.png 1\n", "val": "000002.png 0\n"}.items():
        (tmp_path / f"celebA_{part}_orig.txt").write_text(text)
    with pytest.raises(FileNotFoundError, match="celebA_test_orig.txt"):
        load_celeba5(tmp_path, lists=tmp_path)
    (tmp_path / "celebA_test_orig.txt").write_text("000003.png 4\n")
    data = load_celeba5(tmp_path, lists=tmp_path)
    assert data.class_counts.tolist() == [0, 1, 0, 0, 0]
    assert data.test.names == ["000003.png"]


def test_too_few_images(tmp_path):
    write_celeba(tmp_path, images=False)
    with pytest.raises(ValueError, match=r"Class Bald must have 2 \+ 1 \+ 4 images .* Got 6 in "):
        load_celeba5(tmp_path, share=4, n_val=1, n_test=4)
    with pytest.raises(ValueError, match=r"Class Gray_Hair must have 0 \+ 1 \+ 2 .* for training"):
        load_celeba5(tmp_path, share=20, n_val=1, n_test=2)
    with pytest.raises(ValueError, match="share must be at least 1.* Got share=0, n_val=50"):
        load_celeba5(tmp_path, share=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:-1], "must hold 79 images, as its first line says. Got 78."),
        (lambda lines: [lines[0][:-3], *lines[1:]], "Line 3 of .* 1 or -1 for 6 attributes"),
        (lambda lines: [*lines[:4], lines[4].replace("-1", "0"), *lines[5:]], "Line 7 of"),
        (lambda lines: [lines[0], "", *lines[1:]], "Line 4 of"),
    ],
)
def test_malformed_attributes(tmp_path, change, said):
    write_celeba(tmp_path, change(attribute_lines()), images=False)
    with pytest.raises(ValueError, match=said):
        load_celeba5(tmp_path, **SMALL)


def test_files_that_are_no_attributes(tmp_path):
    with pytest.raises(FileNotFoundError, match="attributes of CelebA are missing. Got no file"):
        load_celeba5(tmp_path)
    for text in ("", "3\nBald Smiling\n", "x\n" + " ".join(COLUMNS)):
        (tmp_path / "list_attr_celeba.txt").write_text(text)
        with pytest.raises(ValueError, match="must begin with the number of images and a line"):
            load_celeba5(tmp_path)


def test_missing_faces(tmp_path):
    write_celeba(tmp_path, images=False)
    with pytest.raises(
        FileNotFoundError, match=r"18 of 18 images are missing in .*celeba\. Got no"
    ):
        load_celeba5(tmp_path, **SMALL)


def write_sun(folder, classes=(("/a/abbey", 9), ("/a/attic/outdoor", 6), ("/z/zoo", 5))):
    (folder / "ClassName.txt").write_text("".join(f"{name}\n" for name, _ in classes))
    for name, n in classes:
        place = folder / name.strip("/")
        place.mkdir(parents=True)
        (place / "notes.txt").write_text("no image")
        for i in range(n):
            Image.new("RGB", (50, 40)).save(place / f"sun_{i}.jpg")
    return folder


@pytest.mark.parametrize("sizes", [{"n_val": -1}, {"n_test": -5}])
def test_negative_sizes_of_sun397_are_refused(tmp_path, sizes):
    with pytest.raises(ValueError, match=r"at least 0. Got n_val=.*-\d"):
        load_sun397(write_sun(tmp_path), **sizes)


def test_scenes(tmp_path):
    data = load_sun397(write_sun(tmp_path), n_val=1, n_test=3)
    assert data.target_names.tolist() == ["abbey", "attic/outdoor", "zoo"]
    assert data.class_counts.tolist() == [5, 2, 1]
    assert np.bincount(data.val.targets).tolist() == [1, 1, 1]
    assert np.bincount(data.test.targets).tolist() == [3, 3, 3]
    names = [*data.train.names, *data.val.names, *data.test.names]
    assert len(set(names)) == 20
    assert all(
        name.startswith(("a/abbey/", "a/attic/outdoor/", "z/zoo/")[label])
        for part in (data.train, data.val, data.test)
        for name, label in zip(part.names, part.targets, strict=True)
    )
    X, y = data.train.arrays()
    assert X.shape == (8, 3, 32, 32)
    assert y.tolist() == [0] * 5 + [1, 1] + [2]


def test_a_class_keeps_its_images_when_another_goes(tmp_path):
    write_sun(tmp_path)
    settings = {"n_val": 1, "n_test": 3, "check_files": False}
    before = load_sun397(tmp_path, **settings)
    (tmp_path / "ClassName.txt").write_text("/a/abbey\n/z/zoo\n")
    after = load_sun397(tmp_path, **settings)
    kept = [name for name in before.test.names if "attic" not in name]
    assert after.test.names == kept
    assert load_sun397(tmp_path, random_state=1, **settings).sha256 != after.sha256


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/a/abbey\nattic\n", r"Line 2 of .* must be a class such as /a/abbey\. Got 'attic'"),
        ("/a/../abbey\n", "Line 1 of"),
        ("\n", "must hold a class a line. Got an empty file"),
    ],
)
def test_malformed_class_names(tmp_path, text, said):
    (tmp_path / "ClassName.txt").write_text(text)
    with pytest.raises(ValueError, match=said):
        load_sun397(tmp_path)


def test_missing_scenes(tmp_path):
    with pytest.raises(FileNotFoundError, match="class names of SUN397 are missing"):
        load_sun397(tmp_path)
    write_sun(tmp_path)
    said = re.escape("Class a/abbey must have more than 10 + 40 images. Got 9 in")
    with pytest.raises(ValueError, match=said):
        load_sun397(tmp_path)
    (tmp_path / "ClassName.txt").write_text("/b/bar\n")
    with pytest.raises(FileNotFoundError, match="The images of class b/bar are missing in"):
        load_sun397(tmp_path)
