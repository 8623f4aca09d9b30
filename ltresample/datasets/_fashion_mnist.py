"""Fashion-MNIST-LT: small grey images of clothing with a long tail cut out."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from ltresample.class_counts import long_tailed_counts
from ltresample.datasets._fetch import RemoteFile, find_file
from ltresample.datasets._idx_files import read_idx
from ltresample.datasets._long_tail import make_long_tailed

__all__ = ["fetch_fashion_mnist_lt"]

_ADDRESSES = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat")
_NAMES += ("Sandal", "Shirt", "Sneaker", "Bag", "Ankle boot")
_SIDE = 28


class _File(NamedTuple):
    """A published file."""

    name: str
    packed: str  # SHA-256 of the file
    content: str  # SHA-256 of the array's bytes, however it is packed
    n: int


_FILES = {
    "x_train": _File(
        "train-images-idx3-ubyte.gz",
        "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
        "2e487a6c89124f78f2d7521542223cafe96f7123c3ca13d447772ac6ecbb3012",
        60_000,
    ),
    "y_train": _File(
        "train-labels-idx1-ubyte.gz",
        "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
        "657fbd221bfc9f4198cc14b5619cc33ec57c58dd0e47af4d99d6650759e869a7",
        60_000,
    ),
    "x_test": _File(
        "t10k-images-idx3-ubyte.gz",
        "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
        "c867c93ff95360594e8ec3287995350b824dd110b11595c0e13d5423f621867a",
        10_000,
    ),
    "y_test": _File(
        "t10k-labels-idx1-ubyte.gz",
        "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
        "3d0e6c6ea990b53b6f8f500a41cac93881d981b315f84578b7d915342ade01e9",
        10_000,
    ),
}

_DESCR = """Fashion-MNIST with a long tail: 28 x 28 grey images of clothing (H. Xiao, K. Rasul,
R. Vollgraf, Fashion-MNIST: a novel image dataset for benchmarking machine learning algorithms, 2017).

{n_train} training images, from {largest} of the largest to {smallest} of the smallest class;
{n_test} test images.

Images: unsigned bytes, one channel, class by class, drawn from random_state.
Source: {source}
SHA-256 of the training images: {sha256}"""


def fetch_fashion_mnist_lt(
    *,
    imbalance_factor: float = 100,
    kind: str = "exp",
    n_max: int | None = None,
    random_state: int | np.random.RandomState | np.random.Generator | None = 0,
    path: str | os.PathLike | None = None,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
) -> Bunch:
    """Load Fashion-MNIST-LT, downloading Fashion-MNIST [1]_ if necessary.

    Class c of 10, in label order, keeps ``N_c = int(n_max * (1 / IF)^(c / 9))`` training images, as in
    CIFAR-10-LT; all test images stay. At ``imbalance_factor=100``: 14,886 images, 6,000 to 60 of a
    class.

    Parameters
    ----------
    imbalance_factor : float, default=100
        N_max / N_min, from 1 to `n_max`.
    kind : {"exp", "step"}, default="exp"
        Profile, see `long_tailed_counts`.
    n_max : int or None, default=None
        Images of class 0. None: all 6,000.
    random_state : int, RandomState, Generator or None, default=0
        Which images of a class. With an integer, images at a larger imbalance factor are among those
        at a smaller one.
    path : path or None, default=None
        Folder with the four published idx files, packed (``train-images-idx3-ubyte.gz``) or not
        (``train-images-idx3-ubyte``); Debian's package ``dataset-fashion-mnist`` has them in
        ``/usr/share/datasets/fashion-mnist``. Where it is given, neither cache nor network is used.
    data_home : path or None, default=None
        Cache folder. None stands for the environment variable LTRESAMPLE_DATA, or else
        ``~/ltresample_data``.
    download_if_missing : bool, default=True
        Whether the files may be downloaded where the cache lacks them, 30 MB.

    Returns
    -------
    sklearn.utils.Bunch
        ``X_train`` : ndarray of shape (n, 1, 28, 28), uint8, class by class; ``y_train`` : labels
        0 .. 9, int64; ``X_test``, ``y_test`` : as in the files; ``target_names``,
        ``class_counts`` : (10,); ``indices`` : places of the training images in the source; ``sha256`` :
        of the bytes of ``X_train``; ``source`` : the folder; ``DESCR``.

    Raises
    ------
    FileNotFoundError
        If files are missing and may not be downloaded.
    OSError
        If the download fails; the message says where to put the files.
    ValueError
        If a file is cut off, damaged or something else, files of a pair do not belong together, an
        argument is out of its range, or the source lacks images that are asked for.

    See Also
    --------
    fetch_cifar10_lt : Colour images with the same kind of tail.
    make_long_tailed : A long tail out of any labelled data.

    Notes
    -----
    Files with as many images as the published ones must have the published content, by SHA-256,
    however they are packed. Files with fewer images are taken as a part of the data set.

    References
    ----------
    .. [1] Xiao, Rasul, Vollgraf. Fashion-MNIST: a Novel Image Dataset for Benchmarking Machine
       Learning Algorithms. 2017. arXiv:1708.07747.

    Examples
    --------
    >>> from ltresample.datasets import fetch_fashion_mnist_lt
    >>> data = fetch_fashion_mnist_lt(imbalance_factor=50, n_max=1000)  # doctest: +SKIP
    >>> data.X_train.shape, data.class_counts[-1]  # doctest: +SKIP
    ((2795, 1, 28, 28), 20)
    """
    places = {
        key: _place_of(file, path, data_home, download_if_missing) for key, file in _FILES.items()
    }
    x_train, y_train = _pair(places, "train")
    x_test, y_test = _pair(places, "test")
    present = np.bincount(y_train, minlength=len(_NAMES))
    counts = long_tailed_counts(
        int(present.min()) if n_max is None else n_max,
        len(_NAMES),
        imbalance_factor=imbalance_factor,
        kind=kind,
    )
    settings = {"counts": counts, "random_state": random_state, "return_indices": True}
    rows = make_long_tailed(y_train, y_train, **settings)[-1]
    rows = rows[np.argsort(y_train[rows], kind="stable")]
    X_train = x_train[rows, None]
    told = {
        "sha256": hashlib.sha256(X_train).hexdigest(),
        "source": str(places["x_train"].parent),
    }
    return Bunch(
        X_train=X_train,
        y_train=y_train[rows],
        X_test=x_test[:, None],
        y_test=y_test,
        target_names=np.array(_NAMES),
        class_counts=counts,
        indices=rows,
        **told,
        DESCR=_DESCR.format(
            n_train=len(rows),
            n_test=len(y_test),
            largest=counts.max(),
            smallest=counts.min(),
            **told,
        ),
    )


def _place_of(
    file: _File,
    path: str | os.PathLike | None,
    data_home: str | os.PathLike | None,
    download_if_missing: bool,
) -> Path:
    """Return the place of a file: in the folder that was given, or in the cache."""
    if path is None:
        remote = RemoteFile(file.name, file.packed, [base + file.name for base in _ADDRESSES])
        settings = {"data_home": data_home, "download_if_missing": download_if_missing}
        return find_file(remote, dataset="fashion_mnist", **settings)
    folder = Path(path).expanduser()
    names = (file.name, file.name.removesuffix(".gz"))
    place = next((folder / name for name in names if (folder / name).is_file()), None)
    if place is None:
        raise FileNotFoundError(
            f"path must be a folder with the four idx files of Fashion-MNIST. Got neither {names[0]} "
            f"nor {names[1]} in {folder}. Put them there, or leave path out and allow the download."
        )
    return place


def _pair(places: dict[str, Path], part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Read images (n, 28, 28) and labels (n,), and check that they are what they should be."""
    at_x, at_y = places[f"x_{part}"], places[f"y_{part}"]
    x, y = read_idx(at_x, 3), read_idx(at_y, 1)
    if x.shape[1:] != (_SIDE, _SIDE):
        raise ValueError(f"{at_x} must hold images of 28 x 28. Got {x.shape[1]} x {x.shape[2]}.")
    if len(x) != len(y):
        raise ValueError(
            f"{at_x} and {at_y} must have as many images as labels. Got {len(x)} and {len(y)}: they "
            "do not belong together."
        )
    absent = sorted(set(range(len(_NAMES))) - set(y.tolist()))
    if absent or y.max() >= len(_NAMES):
        raise ValueError(
            f"{at_y} must hold the labels 0 to 9. Got {np.unique(y).tolist()[:12]}. It is another "
            "file, or only a part of one."
        )
    for key, values in ((f"x_{part}", x), (f"y_{part}", y)):
        _check_content(_FILES[key], places[key], values)
    return x, y.astype(np.int64)


def _check_content(file: _File, place: Path, values: NDArray[np.uint8]) -> None:
    got = hashlib.sha256(values).hexdigest()
    if len(values) == file.n and got != file.content:
        raise ValueError(
            f"{place} does not hold the published content. Got SHA-256 {got} of its values, expected "
            f"{file.content}. It is damaged: fetch it anew."
        )
