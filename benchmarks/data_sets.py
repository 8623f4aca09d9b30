"""The data sets that suites may name."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Bunch

from benchmarks.components import find

__all__ = [
    "DATA_SETS",
    "TrainTest",
    "cifar100_images",
    "cifar10_images",
    "data_hash",
    "grey_photographs",
    "hash_of",
    "in_unit_range",
    "load",
    "split",
]


class TrainTest(NamedTuple):
    """A data set with its own test set; labels are in sorted order wherever they are counted."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray


def digits(
    folder: Path | None, *, imbalance_factor: float = 50, images: bool = False, n_classes: int = 10
) -> TrainTest:
    """Load 8 x 8 digits: half for training, with a long tail, half for the test."""
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    from ltresample.datasets import make_long_tailed

    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    X = X.reshape(-1, 1, 8, 8) if images else X
    X, y = X[y < n_classes], y[y < n_classes]
    halves = train_test_split(X, y, test_size=0.5, stratify=y, random_state=0)
    X_train, X_test, y_train, y_test = halves
    X_train, y_train = make_long_tailed(
        X_train, y_train, imbalance_factor=imbalance_factor, random_state=0
    )
    return TrainTest(X_train, y_train, X_test, y_test)


def reuters36(
    folder: Path | None, *, encoding: str = "binary", vocabulary_size: int = 1000
) -> TrainTest:
    """Load the 36 Reuters topics with five or more test documents, as dense rows of float32."""
    from ltresample.datasets import fetch_reuters36

    data = fetch_reuters36(path=folder, encoding=encoding, vocabulary_size=vocabulary_size)
    dense = (data.X_train.toarray(), data.y_train, data.X_test.toarray(), data.y_test)
    return TrainTest(*dense)


def cifar10_lt(folder: Path | None, **options: Any) -> TrainTest:
    """Load CIFAR-10-LT as bytes, channels first; `options` as in `_cifar_lt`."""
    from ltresample.datasets import fetch_cifar10_lt

    return _cifar_lt(fetch_cifar10_lt, folder, **options)


def cifar100_lt(folder: Path | None, **options: Any) -> TrainTest:
    """Load CIFAR-100-LT as bytes, channels first; `options` as in `_cifar_lt`."""
    from ltresample.datasets import fetch_cifar100_lt

    return _cifar_lt(fetch_cifar100_lt, folder, **options)


def _cifar_lt(
    fetch: Callable[..., Any],
    folder: Path | None,
    *,
    size: int = 32,
    test_size: int | None = None,
    **settings: Any,
) -> TrainTest:
    """Load, take the first `test_size` test images of each class, shrink to `size` pixels.

    `settings` go to the loader: imbalance_factor, n_max, kind, subset; 32 / `size` is an integer.
    """
    data = fetch(path=folder, **{"subset": "own", **settings})
    classes = [np.flatnonzero(data.y_test == k)[:test_size] for k in np.unique(data.y_test)]
    kept = np.sort(np.concatenate(classes))
    return TrainTest(
        _block_means(data.X_train, size),
        data.y_train,
        _block_means(data.X_test[kept], size),
        data.y_test[kept],
    )


def fashion_mnist_lt(
    folder: Path | None,
    *,
    size: int = 28,
    test_size: int | None = None,
    fold: int | None = None,
    reverse: bool = False,
    whole: bool = False,
    **settings: Any,
) -> TrainTest:
    """Load Fashion-MNIST-LT as bytes, shrunk to `size` pixels by means of blocks.

    Settings are chosen on held-out training images: with `fold`, 0 to 4, the test part is made of
    those training images that the tail left out, as many of each class as `test_size` says (default:
    400), and the published test images are not looked at. `reverse` gives the first label the fewest
    images and the last one the most. `whole` gives all training images but those of the test part, for
    a guide that knows what the tail leaves out. `settings` go to the loader.
    """
    from ltresample.datasets import fetch_fashion_mnist_lt

    load = _in_reverse if reverse else fetch_fashion_mnist_lt
    data = load(path=folder, **settings)
    if fold is not None:
        n = 400 if test_size is None else test_size
        held = _left_out(folder, data.indices, n, fold)
        data.X_test, data.y_test = held.X_train, held.y_train
        test_size = n
        if whole:
            data = _all_but(folder, held)
    elif whole:
        raise ValueError("whole=True needs a fold: it leaves the fold's test images out.")
    classes = [np.flatnonzero(data.y_test == k)[:test_size] for k in np.unique(data.y_test)]
    kept = np.sort(np.concatenate(classes))
    return TrainTest(
        _block_means(data.X_train, size),
        data.y_train,
        _block_means(data.X_test[kept], size),
        data.y_test[kept],
    )


def _in_reverse(*, path: Path | None, n_max: int, imbalance_factor: float) -> Bunch:
    from ltresample.class_counts import long_tailed_counts
    from ltresample.datasets import fetch_fashion_mnist_lt

    data = fetch_fashion_mnist_lt(path=path, imbalance_factor=1, n_max=n_max)
    counts = long_tailed_counts(n_max, 10, imbalance_factor=imbalance_factor)[::-1]
    part = np.concatenate(
        [np.flatnonzero(data.y_train == k)[:n] for k, n in enumerate(counts.tolist())]
    )
    return _taken(data, part)


def _all_but(folder: Path | None, held: Bunch) -> Bunch:
    """Return all training images but the held ones, which are the test part."""
    from ltresample.datasets import fetch_fashion_mnist_lt

    data = fetch_fashion_mnist_lt(path=folder, imbalance_factor=1)
    data.X_test, data.y_test = held.X_train, held.y_train
    return _taken(data, np.flatnonzero(~np.isin(data.indices, held.indices)))


def _taken(data: Bunch, rows: np.ndarray) -> Bunch:
    """Keep some training images."""
    kept = {name: data[name][rows] for name in ("X_train", "y_train", "indices")}
    return Bunch(**{**data, **kept})


def _left_out(folder: Path | None, taken: np.ndarray, n: int, fold: int) -> Bunch:
    """Return `n` training images of each class that the tail left out, others for each fold."""
    from ltresample.datasets import fetch_fashion_mnist_lt

    whole = fetch_fashion_mnist_lt(path=folder, imbalance_factor=1)
    free = np.flatnonzero(~np.isin(whole.indices, taken))
    y = whole.y_train[free]
    rows = [free[y == k][fold * n : (fold + 1) * n] for k in np.unique(y)]
    if min(map(len, rows)) < n:
        raise ValueError(
            f"fold={fold} needs {n} training images of each class that the tail left out. Got "
            f"{min(map(len, rows))}. Lower n_max or test_size."
        )
    return _taken(whole, np.concatenate(rows))


def cifar10_images(folder: Path | None, *, size: int = 32) -> np.ndarray:
    """Return the training images of CIFAR-10-LT, imbalance factor 10: open-set data for CIFAR-100."""
    return cifar10_lt(folder, imbalance_factor=10, size=size).X_train


def cifar100_images(folder: Path | None, *, size: int = 32) -> np.ndarray:
    """Return the training images of CIFAR-100-LT, imbalance factor 10: open-set data for CIFAR-10."""
    return cifar100_lt(folder, imbalance_factor=10, size=size).X_train


def grey_photographs(folder: Path | None, *, size: int = 28) -> np.ndarray:
    """Return the images of `cifar100_images` in grey, the middle 28 x 28: open-set data for Fashion."""
    images = cifar100_images(folder)[:, :, 2:30, 2:30]
    luma = np.tensordot(images, np.float32([0.299, 0.587, 0.114]), axes=(1, 0))  # ITU-R BT.601
    return _block_means(np.rint(luma[:, None]).astype(np.uint8), size)


def _block_means(images: np.ndarray, size: int) -> np.ndarray:
    """Average square blocks of bytes (n, C, H, H) to (n, C, size, size), rounded."""
    n, channels, height, _ = images.shape
    if size == height:
        return images
    if size < 1 or height % size:
        raise ValueError(f"size must divide {height}. Got size={size!r}.")
    blocks = images.reshape(n, channels, size, height // size, size, height // size)
    return np.rint(blocks.mean(axis=(3, 5), dtype=np.float32)).astype(np.uint8)


def in_unit_range(rows: np.ndarray) -> np.ndarray:
    """Return rows as float32; bytes are scaled to [0, 1].

    Examples
    --------
    >>> in_unit_range(np.array([0, 255], np.uint8))
    array([0., 1.], dtype=float32)
    """
    rows_are_bytes = rows.dtype == np.uint8
    return rows.astype(np.float32) / 255 if rows_are_bytes else rows.astype(np.float32)


def celeba5(folder: Path | None) -> TrainTest:
    """Load CelebA-5 as 32 x 32 bytes; its validation images are not used."""
    from ltresample.datasets import load_celeba5

    return _read(load_celeba5(_given(folder, "celeba5")))


def sun397(folder: Path | None) -> TrainTest:
    """Load SUN397 as 32 x 32 bytes; its validation images are not used."""
    from ltresample.datasets import load_sun397

    return _read(load_sun397(_given(folder, "sun397")))


def imagenet_lt(folder: Path | None, *, size: int = 128) -> TrainTest:
    """Load ImageNet-LT as bytes of `size` x `size`, all in memory: 5.7 GB for 128 pixels."""
    from ltresample.datasets import load_imagenet_lt

    return _read(load_imagenet_lt(_given(folder, "imagenet_lt"), resize=size, crop=size))


def places_lt(folder: Path | None, *, size: int = 128) -> TrainTest:
    """Load Places-LT as bytes of `size` x `size`, all in memory."""
    from ltresample.datasets import load_places_lt

    return _read(load_places_lt(_given(folder, "places_lt"), resize=size, crop=size))


def inaturalist2018(folder: Path | None, *, size: int = 128) -> TrainTest:
    """Load iNaturalist 2018 as bytes of `size` x `size`, all in memory: 21 GB for 128 pixels."""
    from ltresample.datasets import load_inaturalist2018

    return _read(load_inaturalist2018(_given(folder, "inaturalist2018"), resize=size, crop=size))


def twitter_pos(folder: Path | None, *, embeddings: str, window: int = 1) -> TrainTest:
    """Load the words of tweets as vectors; `embeddings` is a file in the folder."""
    from ltresample.datasets import load_twitter_pos

    folder = _given(folder, "twitter_pos")
    data = load_twitter_pos(folder, folder / embeddings, window=window)
    return TrainTest(data.X_train, data.y_train, data.X_test, data.y_test)


def _given(folder: Path | None, name: str) -> Path:
    if folder is None:
        raise ValueError(
            f"Data set {name!r} is read from files that cannot be downloaded. Got no folder. Pass "
            "--data FOLDER."
        )
    return folder


def _read(data: Any) -> TrainTest:
    """Read all images of the training and test lists."""
    return TrainTest(*data.train.arrays(), *data.test.arrays())


_MAKERS = (
    digits,
    reuters36,
    cifar10_lt,
    cifar100_lt,
    fashion_mnist_lt,
    celeba5,
    sun397,
    imagenet_lt,
    places_lt,
    inaturalist2018,
    twitter_pos,
)
DATA_SETS = {maker.__name__: f"{__name__}:{maker.__name__}" for maker in _MAKERS}


def load(spec: dict[str, Any], folder: Path | None) -> TrainTest:
    """Load what a suite's table ``data`` names.

    Parameters
    ----------
    spec : dict
        ``name`` and the options of that data set.
    folder : Path or None
        Where its files are; None leaves that to the loader.

    Raises
    ------
    ValueError
        If there is no such data set.
    """
    return _load(tuple(sorted(spec.items())), folder)


@lru_cache(maxsize=4)
def _load(spec: tuple[tuple[str, Any], ...], folder: Path | None) -> TrainTest:
    options = dict(spec)
    return find(options.pop("name"), kind="data set", known=DATA_SETS)(folder, **options)


def hash_of(spec: dict[str, Any], folder: Path | None) -> str:
    """Return the hash of the data that `load` gives for the same arguments."""
    return _hash_of(tuple(sorted(spec.items())), folder)


@lru_cache(maxsize=64)
def _hash_of(spec: tuple[tuple[str, Any], ...], folder: Path | None) -> str:
    return data_hash(_load(spec, folder))


def data_hash(data: TrainTest) -> str:
    """Return a hash of shapes, types and values."""
    digest = hashlib.sha256()
    for part in data:
        part = np.ascontiguousarray(part)
        digest.update(f"{part.shape}{part.dtype.str}".encode())
        digest.update(part.tobytes())
    return digest.hexdigest()[:20]


def split(y: np.ndarray, share: float, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Hold out a stratified share; every class keeps at least one sample for training.

    Classes give ``share * N_k`` samples, rounded so that they sum to ``floor(share * N)``: down,
    then one more where the remainder is largest.

    Parameters
    ----------
    y : ndarray of shape (n,)
        Labels.
    share : float
        In [0, 1).
    seed : int
        Decides which samples of a class, and among equal remainders.

    Returns
    -------
    train, validation : ndarray
        Positions, increasing.

    Examples
    --------
    >>> train, validation = split(np.repeat(["a", "b"], [18, 2]), 0.1, seed=0)
    >>> len(train), len(validation)
    (18, 2)
    """
    rng = np.random.default_rng(seed)
    _, codes, counts = np.unique(y, return_inverse=True, return_counts=True)
    exact = share * counts
    n_held = np.floor(exact + 1e-9).astype(int)
    n_missing = int(share * len(y) + 1e-9) - n_held.sum()
    order = np.lexsort((rng.random(len(counts)), -(exact - n_held)))
    n_held[order[:n_missing]] += 1
    n_held = np.minimum(n_held, counts - 1)
    members = [rng.permutation(np.flatnonzero(codes == k)) for k in range(len(counts))]
    held = np.concatenate([m[:n] for m, n in zip(members, n_held, strict=True)])
    is_held = np.isin(np.arange(len(y)), held)
    return np.flatnonzero(~is_held), np.flatnonzero(is_held)
