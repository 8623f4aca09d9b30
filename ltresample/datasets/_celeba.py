"""CelebA-5: faces by hair colour, five classes with a long tail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch
from torch import Tensor

from ltresample._random import Seed, root_seed
from ltresample.datasets._image_files import ImageList, Reading, hold_out, image_bunch
from ltresample.datasets._list_files import read_image_list

__all__ = ["load_celeba5"]

_COLOURS = ("Gray_Hair", "Black_Hair", "Blond_Hair", "Brown_Hair", "Bald")  # labels 0 .. 4
_TITLE = "CelebA-5: faces with exactly one of five hair colours (Liu et al., ICCV 2015)"
_LISTS = {part: f"celebA_{part}_orig.txt" for part in ("train", "val", "test")}


def load_celeba5(
    path: str | os.PathLike,
    *,
    lists: str | os.PathLike | None = None,
    share: int = 20,
    n_val: int = 50,
    n_test: int = 100,
    random_state: int | np.random.RandomState | np.random.Generator | None = 0,
    resize: int | tuple[int, int] | None = 32,
    crop: int | None = 32,
    transform: Callable[[Tensor], Tensor] | None = None,
    check_files: bool = True,
) -> Bunch:
    """Load CelebA-5: faces of CelebA [1]_ by hair colour, as M2m [2]_ uses them.

    Images that have exactly one of five attributes: grey, black, blond or brown hair, bald. A class
    has as many training images as all of CelebA has with its attribute, divided by 20; of CelebA's
    202,599 faces that leaves 6,651, from 2,423 with black hair to 227 bald ones.

    Parameters
    ----------
    path : path
        Folder of CelebA with ``list_attr_celeba.txt`` and the images in ``img_align_celeba``.
    lists : path or None, default=None
        Folder with the lists of M2m's code, ``celebA_train_orig.txt`` and so on with val and test.
        None: images are drawn from `random_state`, first those for validation and test.
    share : int, default=20
        Divisor of the attribute counts, at least 1; without `lists`.
    n_val, n_test : int, default=50, 100
        Images of each class for validation and for the test; without `lists`.
    random_state : int, RandomState, Generator or None, default=0
        Source of the draw.
    resize : int, (int, int) or None, default=32
        Length of the shorter side in pixels, the ratio of the sides is kept; or (height, width).
    crop : int or None, default=32
        Side of a square cut from the centre, after `resize`; in pixels.
    transform : callable or None, default=None
        From an image, a uint8 tensor of shape (3, H, W), to another, uint8 or float in [0, 1].
    check_files : bool, default=True
        Whether to look, now, if all files are there.

    Returns
    -------
    sklearn.utils.Bunch
        As from `load_image_lists`; ``target_names`` are the attributes.

    Raises
    ------
    FileNotFoundError
        If a list or images are missing.
    ValueError
        If the attribute file is malformed, which names the line, or a class has too few images.

    Notes
    -----
    *Fidelity.* Which images are drawn, and the crop, are ours unless `lists` is given.

    References
    ----------
    .. [1] Liu, Luo, Wang, Tang. Deep Learning Face Attributes in the Wild. ICCV 2015.
       arXiv:1411.7766.
    .. [2] Kim, Jeong, Shin. M2m: Imbalanced Classification via Major-to-minor Translation.
       CVPR 2020. arXiv:2004.00431.

    Examples
    --------
    >>> from ltresample.datasets import load_celeba5
    >>> data = load_celeba5("celeba")  # doctest: +SKIP
    >>> X, y = data.train.arrays()  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (6651, 3, 32, 32)
    """
    folder = Path(path).expanduser()
    if lists is None:
        if min(share, n_val + 1, n_test + 1) < 1:
            raise ValueError(
                "share must be at least 1, n_val and n_test at least 0. "
                f"Got share={share!r}, n_val={n_val!r}, n_test={n_test!r}."
            )
        parts = _drawn(folder / "list_attr_celeba.txt", share, n_val, n_test, random_state)
    else:
        places = {part: Path(lists).expanduser() / name for part, name in _LISTS.items()}
        parts = {k: read_image_list(place, n_classes=5) for k, place in places.items()}
    reading = Reading(resize, crop, transform, check_files)
    images = folder / "img_align_celeba"
    return image_bunch(_TITLE, images, parts, reading, target_names=_COLOURS, n_classes=5)


def _drawn(
    place: Path, share: int, n_val: int, n_test: int, random_state: object
) -> dict[str, ImageList]:
    names, has = _read_attributes(place)
    exclusive = has.sum(axis=1) == 1
    root = root_seed(random_state)
    chosen: list[list[NDArray]] = []
    for k, colour in enumerate(_COLOURS):
        members = np.flatnonzero(exclusive & has[:, k])
        n_train = int(has[:, k].sum()) // share
        if n_train < 1 or n_train + n_val + n_test > len(members):
            raise ValueError(
                f"Class {colour} must have {n_train} + {n_val} + {n_test} images that have this "
                f"hair colour only, and some for training. Got {len(members)} in {place}."
            )
        chosen.append(hold_out(members, (n_val, n_test, n_train), _class_seed(root, k)))
    return {
        part: ImageList(
            [names[i] for rows in chosen for i in rows[position]],
            np.repeat(np.arange(5), [len(rows[position]) for rows in chosen]),
        )
        for part, position in (("train", 2), ("val", 0), ("test", 1))
    }


def _class_seed(root: Seed, k: int) -> Seed:
    return root.child("celeba5", k)


def _read_attributes(place: Path) -> tuple[list[str], NDArray[np.bool_]]:
    """Return image names and which of the five attributes they have, (n, 5)."""
    if not place.is_file():
        raise FileNotFoundError(f"The attributes of CelebA are missing. Got no file {place}.")
    lines = place.read_text(encoding="ascii").splitlines()
    n_expected, columns = _header(lines, place)
    names, values = [], []
    for number, line in enumerate(lines[2:], start=3):
        name, *signs = line.split() or [""]
        if len(signs) != len(columns) or not set(signs) <= {"1", "-1"}:
            raise ValueError(
                f"Line {number} of {place} must be an image and 1 or -1 for {len(columns)} "
                f"attributes. Got {line[:60]!r}."
            )
        names.append(name)
        values.append([signs[columns.index(colour)] == "1" for colour in _COLOURS])
    if len(names) != n_expected:
        raise ValueError(
            f"{place} must hold {n_expected} images, as its first line says. Got {len(names)}. "
            "The file is not complete."
        )
    return names, np.array(values)


def _header(lines: list[str], place: Path) -> tuple[int, list[str]]:
    columns = lines[1].split() if len(lines) > 1 else []
    missing = [colour for colour in _COLOURS if colour not in columns]
    if missing or not lines[0].strip().isdigit():
        raise ValueError(
            f"{place} must begin with the number of images and a line of attributes, among them "
            f"{', '.join(_COLOURS)}. Got {lines[:1]} and no {', '.join(missing) or 'number'}."
        )
    return int(lines[0]), columns
