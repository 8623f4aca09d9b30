"""CIFAR-10-LT and CIFAR-100-LT: small images with a long tail cut out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch, check_random_state

from ltresample.class_counts import long_tailed_counts
from ltresample.datasets._cifar_files import CIFAR10, CIFAR100, Cifar, CifarImages, read_cifar
from ltresample.datasets._long_tail import make_long_tailed

__all__ = ["fetch_cifar10_lt", "fetch_cifar100_lt"]

_DESCR = """{name} with a long tail: 32 x 32 colour images (A. Krizhevsky, Learning multiple layers
of features from tiny images, 2009).

{n_train} training images, from {largest} of the largest to {smallest} of the smallest class; all
{n_test} test images.

Images: unsigned bytes, channels first, class by class. Subset {subset!r}: {recipe}.
Source: {source}
SHA-256 of the training images: {sha256}"""


def fetch_cifar10_lt(
    *,
    imbalance_factor: float = 100,
    kind: str = "exp",
    n_max: int | None = None,
    subset: str = "ldam",
    random_state: int | np.random.RandomState | np.random.Generator | None = 0,
    path: str | os.PathLike | None = None,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
) -> Bunch:
    """Load CIFAR-10-LT, downloading CIFAR-10 with torchvision if necessary.

    Class c of 10, in label order, keeps ``N_c = int(n_max * (1 / IF)^(c / 9))`` training images
    [1]_; all 10,000 test images stay. At ``imbalance_factor=100``: 12,406 images, 5,000 to 50 of
    a class.

    Parameters
    ----------
    imbalance_factor : float, default=100
        N_max / N_min, from 1 to `n_max`.
    kind : {"exp", "step"}, default="exp"
        Profile, see `long_tailed_counts`.
    n_max : int or None, default=None
        Images of class 0. None: all 5,000.
    subset : {"ldam", "m2m", "own"}, default="ldam"
        Which images of a class: the first N_c after NumPy's ``shuffle``, class after class from
        seed 0 ("ldam", as in the code of [1]_ and most later work); the first N_c in the order of
        the files ("m2m", as in the code of [2]_); a draw from `random_state` ("own").
    random_state : int, RandomState, Generator or None, default=0
        For ``subset="own"``. With an integer, images at a larger imbalance factor are among those
        at a smaller one.
    path : path or None, default=None
        An ``.npz`` file with ``x_train``, ``y_train``, ``x_test``, ``y_test`` (as Keras keeps
        CIFAR, channels last); or a folder with ``cifar10.npz``, or with the published files,
        unpacked (``cifar-10-batches-py``). Where it is given, neither cache nor network is used.
    data_home : path or None, default=None
        Cache folder. None stands for the environment variable LTRESAMPLE_DATA, or else
        ``~/ltresample_data``.
    download_if_missing : bool, default=True
        Whether the files may be downloaded where the cache lacks them; needs torchvision.

    Returns
    -------
    sklearn.utils.Bunch
        ``X_train`` : ndarray of shape (n, 3, 32, 32), uint8, class by class, in the order of the
        draw; ``y_train`` : labels 0 .. 9, int64; ``X_test``, ``y_test`` : as in the files;
        ``target_names``, ``class_counts`` : (10,); ``subset``; ``recipe`` : how the images were
        chosen, in words; ``indices`` : their places in the source; ``sha256`` : of the bytes of
        ``X_train``; ``source`` : the file or folder; ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If the files are missing and may not be downloaded.
    ImportError
        If a download needs torchvision and it is not installed.
    OSError
        If the download fails; the message says where to put the files.
    ValueError
        If a file is truncated or holds something else, an argument is out of its range, or the
        source lacks images that `subset` or `imbalance_factor` asks for.

    See Also
    --------
    fetch_cifar100_lt : The same with 100 classes.
    make_long_tailed : A long tail out of any labelled data.

    Notes
    -----
    *A part of the training set.* An ``.npz`` file may hold fewer training images than CIFAR has,
    the images of each class in a random order that was drawn before. Then "own" takes the first
    N_c of each class there and leaves `random_state` aside, and the two published subsets are
    refused, since they need all images in their order; ``recipe`` says so.

    *Fidelity.* Images are 8-bit: normalisation is the first layer of a network, see
    `ltresample.models.Normalize`. M2m's code takes powers of ``IF^(-1/9)`` in floating point and
    truncates, so that on some processors and for some IF the last class has one image fewer; here
    counts are exact, and those of [1]_ for all subsets and on every processor.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga, Ma. Learning Imbalanced Datasets with
       Label-Distribution-Aware Margin Loss. NeurIPS 2019. arXiv:1906.07413.
    .. [2] Kim, Jeong, Shin. M2m: Imbalanced Classification via Major-to-minor Translation.
       CVPR 2020. arXiv:2004.00431.

    Examples
    --------
    >>> from ltresample.datasets import fetch_cifar10_lt
    >>> data = fetch_cifar10_lt(imbalance_factor=100)  # doctest: +SKIP
    >>> data.X_train.shape, data.class_counts[-1]  # doctest: +SKIP
    ((12406, 3, 32, 32), 50)
    """
    images = read_cifar(
        CIFAR10, path=path, data_home=data_home, download_if_missing=download_if_missing
    )
    return _long_tailed(CIFAR10, images, imbalance_factor, kind, n_max, subset, random_state)


def fetch_cifar100_lt(
    *,
    imbalance_factor: float = 100,
    kind: str = "exp",
    n_max: int | None = None,
    subset: str = "ldam",
    random_state: int | np.random.RandomState | np.random.Generator | None = 0,
    path: str | os.PathLike | None = None,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
) -> Bunch:
    """Load CIFAR-100-LT, downloading CIFAR-100 with torchvision if necessary.

    Class c of 100, in label order, keeps ``N_c = int(n_max * (1 / IF)^(c / 99))`` training images.
    At ``imbalance_factor=100``: 10,847 images, 500 to 5 of a class.

    Parameters
    ----------
    imbalance_factor : float, default=100
        N_max / N_min, from 1 to `n_max`.
    kind : {"exp", "step"}, default="exp"
        Profile, see `long_tailed_counts`.
    n_max : int or None, default=None
        Images of class 0. None: all 500.
    subset : {"ldam", "m2m", "own"}, default="ldam"
        Which images of a class: those of LDAM's code, those of M2m's code, or a draw from
        `random_state`; see `fetch_cifar10_lt`.
    random_state : int, RandomState, Generator or None, default=0
        For ``subset="own"``. With an integer, images at a larger imbalance factor are among those
        at a smaller one.
    path : path or None, default=None
        An ``.npz`` file; or a folder with ``cifar100.npz``, or with the published files, unpacked
        (``cifar-100-python``). Where it is given, neither cache nor network is used.
    data_home : path or None, default=None
        Cache folder. None stands for the environment variable LTRESAMPLE_DATA, or else
        ``~/ltresample_data``.
    download_if_missing : bool, default=True
        Whether the files may be downloaded where the cache lacks them; needs torchvision.

    Returns
    -------
    sklearn.utils.Bunch
        As from `fetch_cifar10_lt`, with the 100 fine labels.

    Raises
    ------
    FileNotFoundError, ImportError, OSError, ValueError
        As `fetch_cifar10_lt`.

    Examples
    --------
    >>> from ltresample.datasets import fetch_cifar100_lt
    >>> fetch_cifar100_lt(subset="own").X_train.shape  # doctest: +SKIP
    (10847, 3, 32, 32)
    """
    images = read_cifar(
        CIFAR100, path=path, data_home=data_home, download_if_missing=download_if_missing
    )
    return _long_tailed(CIFAR100, images, imbalance_factor, kind, n_max, subset, random_state)


class _Recipe(NamedTuple):
    """A way to choose images of each class."""

    choose: Callable[[NDArray, NDArray, Any], NDArray]  # labels, counts, random_state -> places
    words: str


def _published_shuffle(y: NDArray, counts: NDArray, random_state: Any) -> NDArray:
    """Return the images of LDAM's loader: one stream, shuffled class after class."""
    stream = check_random_state(0)  # the same numbers as after np.random.seed(0)
    chosen = []
    for c, count in enumerate(counts):
        rows = np.flatnonzero(y == c)
        stream.shuffle(rows)
        chosen.append(rows[:count])
    return np.concatenate(chosen)


def _first(y: NDArray, counts: NDArray, random_state: Any) -> NDArray:
    return np.concatenate([np.flatnonzero(y == c)[:count] for c, count in enumerate(counts)])


def _drawn(y: NDArray, counts: NDArray, random_state: Any) -> NDArray:
    settings = {"counts": counts, "random_state": random_state, "return_indices": True}
    rows = make_long_tailed(y, y, **settings)[-1]
    return rows[np.argsort(y[rows], kind="stable")]


_SUBSETS = {
    "ldam": _Recipe(_published_shuffle, "shuffled class after class with NumPy's seed 0"),
    "m2m": _Recipe(_first, "the first images of each class in file order"),
    "own": _Recipe(_drawn, "drawn from random_state"),
}
_OF_A_PART = _Recipe(
    _first, "the first images of each class in a file that holds a part of the training set"
)


def _recipe(cifar: Cifar, images: CifarImages, subset: str) -> _Recipe:
    if subset not in _SUBSETS:
        allowed = ", ".join(repr(name) for name in _SUBSETS)
        raise ValueError(f"subset must be one of {allowed}. Got subset={subset!r}.")
    if images.is_whole:
        return _SUBSETS[subset]
    if subset != "own":
        present = np.bincount(images.y_train)
        raise ValueError(
            f"subset={subset!r} needs the whole training set of {cifar.torchvision_name}, "
            f"{cifar.n_train} images of each class in their order. Got {present.max()} to "
            f"{present.min()} images of a class in {images.place}. Pass subset='own', which takes "
            "the first images of each class there, or a path that holds all images."
        )
    return _OF_A_PART


def _check_present(cifar: Cifar, images: CifarImages, counts: NDArray) -> None:
    present = np.bincount(images.y_train)
    short = np.flatnonzero(counts > present)
    if len(short):
        c = short[0]
        raise ValueError(
            f"{len(short)} of {len(counts)} classes have fewer images in {images.place} than asked "
            f"for. Got {present[c]} of class {c} ({cifar.class_names[c]}), {counts[c]} are wanted. "
            "Raise imbalance_factor, lower n_max, or pass a path that holds all images."
        )


def _long_tailed(
    cifar: Cifar,
    images: CifarImages,
    imbalance_factor: float,
    kind: str,
    n_max: int | None,
    subset: str,
    random_state: Any,
) -> Bunch:
    """Cut the tail."""
    n_classes = len(cifar.class_names)
    recipe = _recipe(cifar, images, subset)
    counts = long_tailed_counts(
        cifar.n_train if n_max is None else n_max,
        n_classes,
        imbalance_factor=imbalance_factor,
        kind=kind,
    )
    _check_present(cifar, images, counts)
    rows = recipe.choose(images.y_train, counts, random_state)
    X_train = _channels_first(images.x_train[rows])
    told = {
        "subset": subset,
        "recipe": recipe.words,
        "sha256": hashlib.sha256(X_train).hexdigest(),
        "source": str(images.place),
    }
    return Bunch(
        X_train=X_train,
        y_train=images.y_train[rows],
        X_test=_channels_first(images.x_test),
        y_test=images.y_test,
        target_names=np.array(cifar.class_names),
        class_counts=counts,
        indices=rows,
        **told,
        DESCR=_DESCR.format(
            name=cifar.torchvision_name,
            n_train=len(rows),
            n_test=len(images.y_test),
            largest=counts.max(),
            smallest=counts.min(),
            **told,
        ),
    )


def _channels_first(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.moveaxis(images, -1, 1))
