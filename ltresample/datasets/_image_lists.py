"""Large image data sets by their published lists: ImageNet-LT, Places-LT, iNaturalist 2018."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from sklearn.utils import Bunch
from torch import Tensor

from ltresample.datasets._image_files import Reading, image_bunch
from ltresample.datasets._list_files import read_image_list, read_inaturalist_json

__all__ = [
    "load_image_lists",
    "load_imagenet_lt",
    "load_inaturalist2018",
    "load_places_lt",
]


class _Published(NamedTuple):
    """A data set and its list files."""

    title: str
    n_classes: int
    files: dict[str, str]


_IMAGENET = _Published(
    "ImageNet-LT: ImageNet with a long tail (Liu et al., CVPR 2019)",
    1000,
    {part: f"ImageNet_LT_{part}.txt" for part in ("train", "val", "test")},
)
_PLACES = _Published(
    "Places-LT: scenes with a long tail (Liu et al., CVPR 2019)",
    365,
    {part: f"Places_LT_{part}.txt" for part in ("train", "val", "test")},
)
_INATURALIST = _Published(
    "iNaturalist 2018: species with a natural long tail (Van Horn et al., CVPR 2018)",
    8142,
    {"train": "iNaturalist18_train.txt", "test": "iNaturalist18_val.txt"},
)
_INATURALIST_JSON = {"train": "train2018.json", "test": "val2018.json"}


def load_image_lists(
    path: str | os.PathLike,
    train: str | os.PathLike,
    *,
    val: str | os.PathLike | None = None,
    test: str | os.PathLike | None = None,
    n_classes: int | None = None,
    resize: int | tuple[int, int] | None = None,
    crop: int | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    check_files: bool = True,
) -> Bunch:
    r"""Load images by lists of "path label" lines.

    Parameters
    ----------
    path : path
        Folder that the paths in the lists start from.
    train, val, test : path
        List files; `val` and `test` may be None.
    n_classes : int or None, default=None
        Number of classes K; labels are 0 .. K-1. None: one more than the largest label.
    resize : int, (int, int) or None, default=None
        Length of the shorter side in pixels, the ratio of the sides is kept; or (height, width).
        None: the size of the file.
    crop : int or None, default=None
        Side of a square cut from the centre, after `resize`; in pixels.
    transform : callable or None, default=None
        From an image, a uint8 tensor of shape (3, H, W), to another, uint8 or float in [0, 1].
    check_files : bool, default=True
        Whether to look, now, if all files are there.

    Returns
    -------
    sklearn.utils.Bunch
        ``train``, ``val``, ``test`` : `ImageFiles` with ``targets``, or None; ``target_names`` :
        (K,), here the folder of each class's first training image, None if they are not distinct;
        ``class_counts`` : (K,), of the training images; ``sha256`` : of each list, as lines
        ``path label``; ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If a list or images are missing.
    ValueError
        If a line is malformed or a label out of range; the message names file and line.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("a.png", "b.png", "c.png"):
    ...         Image.new("RGB", (8, 8)).save(f"{folder}/{name}")
    ...     _ = Path(folder, "train.txt").write_text("a.png 0\nb.png 0\nc.png 1\n")
    ...     data = load_image_lists(folder, Path(folder, "train.txt"))
    >>> len(data.train), data.train.targets, data.class_counts
    (3, array([0, 0, 1]), array([2, 1]))
    """
    places = {"train": train, "val": val, "test": test}
    lists = {
        name: read_image_list(place, n_classes=n_classes)
        for name, place in places.items()
        if place is not None
    }
    reading = Reading(resize, crop, transform, check_files)
    return image_bunch("Images by lists.", path, lists, reading, n_classes=n_classes)


def load_imagenet_lt(
    path: str | os.PathLike,
    *,
    lists: str | os.PathLike | None = None,
    resize: int | tuple[int, int] | None = None,
    crop: int | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    check_files: bool = True,
) -> Bunch:
    """Load ImageNet-LT [1]_: 115,846 training images of 1,000 classes, 1,280 to 5 of a class.

    20 images of each class for validation, 50 for the test, which are ImageNet's validation images.

    Parameters
    ----------
    path : path
        Folder of ImageNet that holds ``train`` and ``val``, as the paths in the lists begin.
    lists : path or None, default=None
        Folder with ``ImageNet_LT_train.txt``, ``ImageNet_LT_val.txt``, ``ImageNet_LT_test.txt``;
        None: `path`.
    resize : int, (int, int) or None, default=None
        Length of the shorter side in pixels, the ratio of the sides is kept; or (height, width).
        None: the size of the file.
    crop : int or None, default=None
        Side of a square cut from the centre, after `resize`; in pixels. Networks for
        ImageNet take ``resize=256, crop=224`` for the test.
    transform : callable or None, default=None
        From an image, a uint8 tensor of shape (3, H, W), to another, uint8 or float in [0, 1].
    check_files : bool, default=True
        Whether to look, now, if all files are there.

    Returns
    -------
    sklearn.utils.Bunch
        As from `load_image_lists`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_image_lists`.

    References
    ----------
    .. [1] Liu, Miao, Zhan, Wang, Gong, Yu. Large-Scale Long-Tailed Recognition in an Open World.
       CVPR 2019. arXiv:1904.05160. The lists come with its code.

    Examples
    --------
    >>> from ltresample.datasets import load_imagenet_lt
    >>> data = load_imagenet_lt("imagenet", resize=256, crop=224)  # doctest: +SKIP
    >>> len(data.train), data.train[0][0].shape  # doctest: +SKIP
    (115846, torch.Size([3, 224, 224]))
    """
    reading = Reading(resize, crop, transform, check_files)
    return _load_published(_IMAGENET, path, lists, reading)


def load_places_lt(
    path: str | os.PathLike,
    *,
    lists: str | os.PathLike | None = None,
    resize: int | tuple[int, int] | None = None,
    crop: int | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    check_files: bool = True,
) -> Bunch:
    """Load Places-LT: 62,500 training images of 365 scenes, 4,980 to 5 of a class.

    20 images of each class for validation, 100 for the test.

    Parameters
    ----------
    path : path
        Folder of the images, from which the paths in the lists start.
    lists : path or None, default=None
        Folder with ``Places_LT_train.txt``, ``Places_LT_val.txt``, ``Places_LT_test.txt``; None:
        `path`.
    resize : int, (int, int) or None, default=None
        Length of the shorter side in pixels, the ratio of the sides is kept; or (height, width).
        None: the size of the file.
    crop : int or None, default=None
        Side of a square cut from the centre, after `resize`; in pixels.
    transform : callable or None, default=None
        From an image, a uint8 tensor of shape (3, H, W), to another, uint8 or float in [0, 1].
    check_files : bool, default=True
        Whether to look, now, if all files are there.

    Returns
    -------
    sklearn.utils.Bunch
        As from `load_image_lists`.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_image_lists`.

    See Also
    --------
    load_imagenet_lt : From the same paper, with its reference.

    Examples
    --------
    >>> from ltresample.datasets import load_places_lt
    >>> len(load_places_lt("places365").train)  # doctest: +SKIP
    62500
    """
    reading = Reading(resize, crop, transform, check_files)
    return _load_published(_PLACES, path, lists, reading)


def load_inaturalist2018(
    path: str | os.PathLike,
    *,
    lists: str | os.PathLike | None = None,
    resize: int | tuple[int, int] | None = None,
    crop: int | None = None,
    transform: Callable[[Tensor], Tensor] | None = None,
    check_files: bool = True,
) -> Bunch:
    """Load iNaturalist 2018 [1]_: 437,513 training images of 8,142 species, 1,000 to 2 of one.

    The 24,426 validation images of the competition, 3 of each species, are ``test``, as usual in
    work on long tails; ``val`` is None.

    Parameters
    ----------
    path : path
        Folder that holds ``train_val2018``.
    lists : path or None, default=None
        Folder with ``iNaturalist18_train.txt`` and ``iNaturalist18_val.txt``, or else with the
        competition's ``train2018.json`` and ``val2018.json``; None: `path`.
    resize : int, (int, int) or None, default=None
        Length of the shorter side in pixels, the ratio of the sides is kept; or (height, width).
        None: the size of the file.
    crop : int or None, default=None
        Side of a square cut from the centre, after `resize`; in pixels.
    transform : callable or None, default=None
        From an image, a uint8 tensor of shape (3, H, W), to another, uint8 or float in [0, 1].
    check_files : bool, default=True
        Whether to look, now, if all files are there.

    Returns
    -------
    sklearn.utils.Bunch
        As from `load_image_lists`; from the JSON files, ``target_names`` are those of the species.

    Raises
    ------
    FileNotFoundError, ValueError
        As `load_image_lists`.

    References
    ----------
    .. [1] Van Horn, Mac Aodha, Song, Cui, Sun, Shepard, Adam, Perona, Belongie. The iNaturalist
       Species Classification and Detection Dataset. CVPR 2018. arXiv:1707.06642.

    Examples
    --------
    >>> from ltresample.datasets import load_inaturalist2018
    >>> len(load_inaturalist2018("inaturalist").test)  # doctest: +SKIP
    24426
    """
    reading = Reading(resize, crop, transform, check_files)
    folder = Path(path if lists is None else lists).expanduser()
    found = [all((folder / f).is_file() for f in _INATURALIST.files.values())]
    found.append(all((folder / f).is_file() for f in _INATURALIST_JSON.values()))
    if found == [False, True]:
        return _load_inaturalist_json(folder, path, reading)
    return _load_published(_INATURALIST, path, lists, reading)


def _load_published(
    published: _Published, path: str | os.PathLike, lists: Any, reading: Reading
) -> Bunch:
    folder = Path(path if lists is None else lists).expanduser()
    missing = [name for name in published.files.values() if not (folder / name).is_file()]
    if missing:
        raise FileNotFoundError(
            f"The lists of {published.title.partition(':')[0]} are missing. Got no "
            f"{', '.join(missing)} in {folder}. Pass lists= with the folder that holds them."
        )
    parts = {
        part: read_image_list(folder / name, n_classes=published.n_classes)
        for part, name in published.files.items()
    }
    return image_bunch(published.title, path, parts, reading, n_classes=published.n_classes)


def _load_inaturalist_json(folder: Path, path: str | os.PathLike, reading: Reading) -> Bunch:
    places = {part: folder / name for part, name in _INATURALIST_JSON.items()}
    lists, names = read_inaturalist_json(places)
    return image_bunch(
        _INATURALIST.title, path, lists, reading, target_names=names, n_classes=len(names)
    )
