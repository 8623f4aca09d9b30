"""The files of CIFAR-10 and CIFAR-100: as published, or in one .npz file."""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from ltresample.datasets._fetch import data_folder, fetch_torchvision_archive

__all__ = ["CIFAR10", "CIFAR100", "Cifar", "CifarImages", "read_cifar"]

_UNREADABLE = (OSError, EOFError, KeyError, ValueError, TypeError, zipfile.BadZipFile, zlib.error)

_NAMES_10 = "airplane automobile bird cat deer dog frog horse ship truck"
_NAMES_100 = """
apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly
camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile
cup dinosaur dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp
lawn_mower leopard lion lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree
orange orchid otter palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum
rabbit raccoon ray road rocket rose sea seal shark shrew skunk skyscraper snail snake spider
squirrel streetcar sunflower sweet_pepper table tank telephone television tiger tractor train
trout tulip turtle wardrobe whale willow_tree wolf woman worm
"""


class Cifar(NamedTuple):
    """What distinguishes one of the two data sets."""

    name: str  # of the folder in the cache, and of the .npz file
    torchvision_name: str
    folder: str  # of the published files
    train_files: tuple[str, ...]
    test_file: str
    labels_key: bytes
    n_train: int  # images of a class
    n_test: int
    class_names: tuple[str, ...]


CIFAR10 = Cifar(
    "cifar10",
    "CIFAR10",
    "cifar-10-batches-py",
    tuple(f"data_batch_{i}" for i in range(1, 6)),
    "test_batch",
    b"labels",
    5000,
    1000,
    tuple(_NAMES_10.split()),
)
CIFAR100 = Cifar(
    "cifar100",
    "CIFAR100",
    "cifar-100-python",
    ("train",),
    "test",
    b"fine_labels",
    500,
    100,
    tuple(_NAMES_100.split()),
)


class CifarImages(NamedTuple):
    """The images of a source, channels last."""

    x_train: NDArray[np.uint8]  # (n, 32, 32, 3)
    y_train: NDArray[np.int64]  # (n,)
    x_test: NDArray[np.uint8]
    y_test: NDArray[np.int64]
    place: Path
    is_whole: bool  # whether every class has all its training images


def read_cifar(
    cifar: Cifar,
    *,
    path: str | os.PathLike | None,
    data_home: str | os.PathLike | None,
    download_if_missing: bool,
) -> CifarImages:
    """Find the files, download them if that is allowed, read and check them.

    Parameters
    ----------
    cifar : Cifar
        Which data set.
    path : path or None
        An .npz file, a folder with ``<name>.npz`` or with the published files, unpacked.
    data_home : path or None
        Cache folder, see `data_folder`.
    download_if_missing : bool
        Whether files that the cache lacks may be downloaded.

    Returns
    -------
    CifarImages
        The images in the order of the files.

    Raises
    ------
    FileNotFoundError, OSError, ValueError
        As `fetch_cifar10_lt`.
    """
    if path is None:
        home = data_folder(data_home) / cifar.name
        place = _source(cifar, home) or _downloaded(cifar, home, download_if_missing)
    else:
        given = Path(path).expanduser()
        place = given if given.suffix == ".npz" and given.is_file() else _source(cifar, given)
        if place is None:
            raise FileNotFoundError(_absent(cifar, given))
    parts = _read_npz(place) if place.is_file() else _read_published(cifar, place)
    return _checked(cifar, place, *parts)


def _source(cifar: Cifar, folder: Path) -> Path | None:
    """Return the .npz file or the folder of published files."""
    packed = folder / f"{cifar.name}.npz"
    if packed.is_file():
        return packed
    names = (*cifar.train_files, cifar.test_file)
    for place in (folder / cifar.folder, folder):
        missing = [name for name in names if not (place / name).is_file()]
        if not missing:
            return place
        if place.name == cifar.folder and place.is_dir():
            raise FileNotFoundError(
                f"{place} must hold the files {', '.join(names)}. Got no {', '.join(missing)}. "
                "Unpack the archive anew."
            )
    return None


def _absent(cifar: Cifar, place: Path) -> str:
    return (
        f"{cifar.torchvision_name} is missing. Got neither {cifar.name}.npz nor the folder "
        f"{cifar.folder} in {place}. Pass path= with an .npz file or with the folder that holds "
        "one of them, or leave path out and allow the download."
    )


def _downloaded(cifar: Cifar, home: Path, allowed: bool) -> Path:
    if not allowed:
        raise FileNotFoundError(_absent(cifar, home))
    fetch_torchvision_archive(cifar.torchvision_name, home)
    place = _source(cifar, home)
    if place is None:
        raise FileNotFoundError(_absent(cifar, home))
    return place


def _read_npz(place: Path) -> tuple[Any, Any, Any, Any, list[str] | None]:
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as packed:
            x_train, y_train, x_test, y_test = (
                packed[name] for name in ("x_train", "y_train", "x_test", "y_test")
            )
            names = packed["class_names"].tolist() if "class_names" in packed.files else None
    except (*_UNREADABLE, AttributeError) as err:
        raise ValueError(
            f"{place} must be an .npz file with arrays x_train, y_train, x_test and y_test, whole "
            f"and without pickled objects. Got {type(err).__name__}: {err}. Fetch or write it anew."
        ) from None
    return x_train, y_train, x_test, y_test, names


def _read_published(cifar: Cifar, folder: Path) -> tuple[Any, Any, Any, Any, None]:
    train = [_read_batch(folder / name, cifar.labels_key) for name in cifar.train_files]
    x_test, y_test = _read_batch(folder / cifar.test_file, cifar.labels_key)
    x_train, y_train = (np.concatenate(parts) for parts in zip(*train, strict=True))
    return x_train, y_train, x_test, y_test, None


def _read_batch(place: Path, labels_key: bytes) -> tuple[NDArray, NDArray]:
    """Read one published file: rows of 1024 red, 1024 green and 1024 blue pixels."""
    try:
        with place.open("rb") as file:
            content = _ArrayUnpickler(file, encoding="bytes").load()
        rows, labels = np.asarray(content[b"data"]), np.asarray(content[labels_key])
        images = np.moveaxis(rows.reshape(-1, 3, 32, 32), 1, -1)
    except (*_UNREADABLE, pickle.UnpicklingError, AttributeError, IndexError) as err:
        raise ValueError(
            f"{place} must be a file of CIFAR's version for Python, with b'data' and {labels_key}. "
            f"Got {type(err).__name__}: {err}. Unpack the archive anew."
        ) from None
    return images, labels


_RECONSTRUCT = np.empty(0).__reduce__()[0]
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy._core.multiarray", "_reconstruct"): _RECONSTRUCT,
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    """Reads arrays, and runs nothing else that a pickle may name."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it names {module}.{name}")
        return _ALLOWED[module, name]


def _checked(
    cifar: Cifar, place: Path, x_train: Any, y_train: Any, x_test: Any, y_test: Any, names: Any
) -> CifarImages:
    if names is not None and list(names) != list(cifar.class_names):
        raise ValueError(
            f"class_names of {place} must be those of {cifar.torchvision_name}, in this order: "
            f"{', '.join(cifar.class_names[:3])}, ... Got {', '.join(map(str, names[:3]))}, ..."
        )
    n_train = _class_counts(cifar, place, "train", x_train, y_train, cifar.n_train)
    n_test = _class_counts(cifar, place, "test", x_test, y_test, cifar.n_test)
    if n_test.min() < cifar.n_test or n_train.min() < 1:
        raise ValueError(
            f"{place} must hold {cifar.n_test} test images of each class, and some for training. "
            f"Got at least {n_test.min()} and {n_train.min()}. The file is not complete."
        )
    return CifarImages(
        x_train,
        y_train.ravel().astype(np.int64),
        x_test,
        y_test.ravel().astype(np.int64),
        place,
        bool((n_train == cifar.n_train).all()),
    )


def _class_counts(
    cifar: Cifar, place: Path, part: str, x: Any, y: Any, most: int
) -> NDArray[np.int64]:
    """Check one part; labels may stand in a column, as Keras gives them."""
    n_classes = len(cifar.class_names)
    if x.dtype != np.uint8 or x.shape[1:] != (32, 32, 3):
        raise ValueError(
            f"x_{part} of {place} must hold unsigned bytes of shape (n, 32, 32, 3). Got {x.dtype} "
            f"of shape {x.shape}."
        )
    if y.dtype.kind not in "iu" or y.shape not in ((len(x),), (len(x), 1)):
        raise ValueError(
            f"y_{part} of {place} must hold an integer for each of {len(x)} images. Got {y.dtype} "
            f"of shape {y.shape}."
        )
    if not len(y) or y.min() < 0 or y.max() >= n_classes:
        got = f"{y.min()} to {y.max()}" if len(y) else "none"
        raise ValueError(f"y_{part} of {place} must be in 0 .. {n_classes - 1}. Got labels {got}.")
    counts = np.bincount(y.ravel(), minlength=n_classes)
    if counts.max() > most:
        raise ValueError(
            f"{place} must hold up to {most} {part} images of a class. Got {counts.max()} of "
            f"class {counts.argmax()}. Is it a file of {cifar.torchvision_name}?"
        )
    return counts
