"""SUN397: scenes with a natural long tail."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch
from torch import Tensor

from ltresample._random import root_seed
from ltresample.datasets._image_files import ImageList, Reading, hold_out, image_bunch

__all__ = ["load_sun397"]

_TITLE = "SUN397: scenes with a natural long tail (Xiao et al., CVPR 2010)"


def load_sun397(
    path: str | os.PathLike,
    *,
    n_val: int = 10,
    n_test: int = 40,
    random_state: int | np.random.RandomState | np.random.Generator | None = 0,
    resize: int | tuple[int, int] | None = 32,
    crop: int | None = 32,
    transform: Callable[[Tensor], Tensor] | None = None,
    check_files: bool = True,
) -> Bunch:
    """Load SUN397 [1]_: 108,754 images of 397 scenes, as small images as in M2m [2]_.

    10 images of each class are held out for validation and 40 for the test; the others are for
    training, their imbalance factor is about 46.

    Parameters
    ----------
    path : path
        Folder of SUN397 with ``ClassName.txt``, a class a line such as ``/a/abbey``, and the images
        as ``a/abbey/*.jpg``.
    n_val, n_test : int, default=10, 40
        Images of each class for validation and for the test.
    random_state : int, RandomState, Generator or None, default=0
        Source of the draw; all classes keep their images when others change.
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
        As from `load_image_lists`; ``target_names`` such as "abbey" or
        "apartment_building/outdoor".

    Raises
    ------
    FileNotFoundError
        If ``ClassName.txt`` or the folder of a class is missing.
    ValueError
        If a line of it is malformed or a class has too few images.

    Notes
    -----
    *Fidelity.* Which images are held out is ours; [2]_ names the numbers only.

    References
    ----------
    .. [1] Xiao, Hays, Ehinger, Oliva, Torralba. SUN Database: Large-scale Scene Recognition from
       Abbey to Zoo. CVPR 2010.
    .. [2] Kim, Jeong, Shin. M2m: Imbalanced Classification via Major-to-minor Translation.
       CVPR 2020. arXiv:2004.00431.

    Examples
    --------
    >>> from ltresample.datasets import load_sun397
    >>> len(load_sun397("SUN397").test)  # doctest: +SKIP
    15880
    """
    if min(n_val, n_test) < 0:
        raise ValueError(
            f"n_val and n_test must be at least 0. Got n_val={n_val!r}, n_test={n_test!r}."
        )
    folder = Path(path).expanduser()
    classes = _read_classes(folder / "ClassName.txt")
    root = root_seed(random_state)
    chosen: list[list[list[str]]] = []
    for name in classes:
        files = _files(folder, name)
        if len(files) <= n_val + n_test:
            raise ValueError(
                f"Class {name} must have more than {n_val} + {n_test} images. Got {len(files)} in "
                f"{folder / name}. Pass smaller n_val and n_test."
            )
        rows = hold_out(np.arange(len(files)), (n_val, n_test, None), root.child("sun397", name))
        chosen.append([[files[i] for i in part] for part in rows])
    lists = {part: _joined(chosen, i) for i, part in enumerate(("val", "test", "train"))}
    names = [name.partition("/")[2] for name in classes]
    reading = Reading(resize, crop, transform, check_files)
    return image_bunch(_TITLE, folder, lists, reading, target_names=names, n_classes=len(classes))


def _joined(chosen: list[list[list[str]]], position: int) -> ImageList:
    parts = [files[position] for files in chosen]
    labels = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    return ImageList([name for part in parts for name in part], labels)


def _read_classes(place: Path) -> list[str]:
    if not place.is_file():
        raise FileNotFoundError(f"The class names of SUN397 are missing. Got no file {place}.")
    lines = [line.strip() for line in place.read_text(encoding="utf-8").strip().splitlines()]
    for number, line in enumerate(lines, start=1):
        if not line.startswith("/") or line.count("/") < 2 or ".." in line:
            raise ValueError(
                f"Line {number} of {place} must be a class such as /a/abbey. Got {line[:80]!r}."
            )
    if not lines:
        raise ValueError(f"{place} must hold a class a line. Got an empty file.")
    return [line.strip("/") for line in lines]


def _files(folder: Path, name: str) -> list[str]:
    """Return the images of a class, sorted."""
    if not (folder / name).is_dir():
        raise FileNotFoundError(f"The images of class {name} are missing in {folder}.")
    return sorted(f"{name}/{place.name}" for place in (folder / name).glob("*.jpg"))
