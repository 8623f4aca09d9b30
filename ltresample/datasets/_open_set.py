"""Open-set samples that need no download: noise, and real rows whose parts were taken apart."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage, sparse

from ltresample._random import root_seed

__all__ = [
    "make_blob_noise",
    "make_gaussian_noise",
    "make_rademacher_noise",
    "permute_features",
    "shuffle_patches",
    "shuffle_words",
]


def make_gaussian_noise(
    X: Any, n_samples: int | None = None, *, center=None, scale=None, random_state=None
) -> NDArray:
    """Return Gaussian noise with the mean and spread of real rows.

    ``center + scale * z`` with z from N(0, 0.5^2), clipped to [-1, 1], as the published code of
    Open-sampling [1]_ makes it.

    Parameters
    ----------
    X : array-like of shape (n, n_features) or (n, n_channels, ...)
        Real rows; give shape, type and, where these are not passed, center and scale.
    n_samples : int or None, default=None
        Rows to make. None: as many as X has.
    center, scale : array-like or None, default=None
        Mean and standard deviation, one per channel (images) or per column. None: those of X.
    random_state : int, RandomState, Generator or None, default=None
        Source of the noise.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        In the type of X (whole numbers are rounded), and for images within the range of X.

    Raises
    ------
    ValueError
        If X is empty, sparse or has fewer than two dimensions, or `n_samples` is below 1.

    References
    ----------
    .. [1] Wei et al., Open-Sampling, ICML 2022, arXiv:2206.08802.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((50, 3, 8, 8))
    >>> noise = make_gaussian_noise(X, 4, random_state=0)
    >>> noise.shape, bool(0 <= noise.min() <= noise.max() <= 1)
    ((4, 3, 8, 8), True)
    """

    def draw(rng, shape):
        return np.clip(rng.normal(0, 0.5, shape), -1, 1)

    return _noise(draw, X, n_samples, center, scale, random_state)


def make_rademacher_noise(
    X: Any, n_samples: int | None = None, *, center=None, scale=None, random_state=None
) -> NDArray:
    """Return noise with two values a channel or column: center - scale and center + scale.

    Parameters
    ----------
    X : array-like of shape (n, n_features) or (n, n_channels, ...)
        Real rows; give shape, type and, where these are not passed, center and scale.
    n_samples : int or None, default=None
        Rows to make. None: as many as X has.
    center, scale : array-like or None, default=None
        Mean and standard deviation, one per channel (images) or per column. None: those of X.
    random_state : int, RandomState, Generator or None, default=None
        Source of the noise.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        In the type of X (whole numbers are rounded), and for images within the range of X.

    Raises
    ------
    ValueError
        If X is empty, sparse or has fewer than two dimensions, or `n_samples` is below 1.

    References
    ----------
    .. [1] Wei et al., Open-Sampling, ICML 2022, arXiv:2206.08802.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).normal(size=(500, 2))
    >>> len(np.unique(make_rademacher_noise(X, random_state=0)[:, 0]))
    2
    """

    def draw(rng, shape):
        return 2.0 * rng.integers(0, 2, shape) - 1

    return _noise(draw, X, n_samples, center, scale, random_state)


def make_blob_noise(
    X: Any,
    n_samples: int | None = None,
    *,
    center=None,
    scale=None,
    image_shape: tuple[int, ...] | None = None,
    random_state=None,
) -> NDArray:
    """Return images of blobs with sharp edges: thresholded, blurred coin flips.

    A coin with chance 0.7 for each pixel and channel, blurred with a Gaussian of 1.5 pixels over
    height, width and channels, what is below 0.75 set to 0, then ``2 z - 1`` [1]_.

    Parameters
    ----------
    X : array-like of shape (n, n_channels, height, width) or (n, height, width)
        Real images.
    n_samples : int or None, default=None
        Images to make. None: as many as X has.
    center, scale : array-like or None, default=None
        Mean and standard deviation, one per channel. None: those of X.
    random_state : int, RandomState, Generator or None, default=None
        Source of the noise.
    image_shape : tuple of int or None, default=None
        (height, width) or (n_channels, height, width) of images that come as flat rows.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        In the type of X (whole numbers are rounded), within the range of X.

    Raises
    ------
    ValueError
        If X does not hold images, or as in `make_gaussian_noise`.

    References
    ----------
    .. [1] Wei et al., Open-Sampling, ICML 2022, arXiv:2206.08802.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.random.default_rng(0).random((50, 3, 32, 32), dtype=np.float32)
    >>> make_blob_noise(X, 4, random_state=0).dtype
    dtype('float32')
    """

    def draw(rng, shape):
        coins = (rng.random(shape) < 0.7).astype(np.float64)
        sigma = (0.0, *([1.5] * (len(shape) - 1)))
        blobs = ndimage.gaussian_filter(coins, sigma, mode="nearest")
        return 2 * np.where(blobs < 0.75, 0, blobs) - 1

    X = _checked(X)
    images = _as_images(X, image_shape, "make_blob_noise")
    made = _noise(draw, images, n_samples, center, scale, random_state)
    return made.reshape(-1, *X.shape[1:])


def permute_features(X: Any, n_samples: int | None = None, *, random_state=None) -> NDArray:
    """Return rows whose columns come from different real rows: true marginals, no dependence.

    Each column is a permutation of that column of X, drawn apart from the others, and again for
    every further len(X) rows.

    Parameters
    ----------
    X : array-like of shape (n, ...)
        Real rows. For sparse ones use `shuffle_words`.
    n_samples : int or None, default=None
        Rows to make. None: as many as X has.
    random_state : int, RandomState, Generator or None, default=None
        Source of the permutations.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        In the type of X.

    Raises
    ------
    ValueError
        If X is empty, sparse or has fewer than two dimensions, or `n_samples` is below 1.

    Examples
    --------
    >>> permute_features([[1, 10], [2, 20], [3, 30]], random_state=0).sum(axis=0)
    array([ 6, 60])
    """
    X = _checked(X)
    n = _wanted(X, n_samples)
    rng = root_seed(random_state).child("permute").numpy()
    flat = X.reshape(len(X), -1)
    out = np.empty((n, flat.shape[1]), dtype=X.dtype)
    for start in range(0, n, len(X)):
        part = out[start : start + len(X)]
        for j in range(flat.shape[1]):
            part[:, j] = flat[rng.permutation(len(X))[: len(part)], j]
    return out.reshape(n, *X.shape[1:])


def shuffle_patches(
    X: Any,
    n_samples: int | None = None,
    *,
    patch: int | None = None,
    within: bool = False,
    image_shape: tuple[int, ...] | None = None,
    random_state=None,
) -> NDArray:
    """Return images put together from square patches of real images in random places.

    Parameters
    ----------
    X : array-like of shape (n, n_channels, height, width) or (n, height, width)
        Real images.
    n_samples : int or None, default=None
        Images to make. None: as many as X has.
    patch : int or None, default=None
        Side of a patch in pixels; height and width must be multiples of it. None: the largest that
        is at most a quarter of the shorter side.
    within : bool, default=False
        Take all patches of an image from one real image, shuffled; otherwise each from another one.
    image_shape : tuple of int or None, default=None
        (height, width) or (n_channels, height, width) of images that come as flat rows.
    random_state : int, RandomState, Generator or None, default=None
        Source of images and places.

    Returns
    -------
    ndarray of shape (n_samples, ...)
        In the type of X.

    Raises
    ------
    ValueError
        If X does not hold images, `patch` does not divide them, or as in `make_gaussian_noise`.

    Examples
    --------
    >>> import numpy as np
    >>> X = np.arange(2 * 16).reshape(2, 1, 4, 4)
    >>> mixed = shuffle_patches(X, 1, patch=2, within=True, random_state=0)
    >>> sorted(mixed.ravel().tolist()) in [list(range(16)), list(range(16, 32))]
    True
    """
    X = _checked(X)
    n, row_shape = _wanted(X, n_samples), X.shape[1:]
    X = _as_images(X, image_shape, "shuffle_patches")
    height, width = X.shape[-2:]
    size = _patch_size(height, width, patch)
    rng = root_seed(random_state).child("patches").numpy()
    rows, columns = height // size, width // size
    lead = X.shape[1:-2]
    # view each image as a list of patches: (n, places, *lead, size, size)
    cut = X.reshape(len(X), *lead, rows, size, columns, size)
    cut = np.moveaxis(cut, (len(lead) + 1, len(lead) + 3), (1, 2))
    u = rng.random((n, rows * columns))
    place = u.argsort(1) if within else (u * rows * columns).astype(np.int64)
    source = rng.integers(0, len(X), (n, 1 if within else rows * columns))
    made = cut[source, place // columns, place % columns]  # (n, places, *lead, size, size)
    made = made.reshape(n, rows, columns, *lead, size, size)
    made = np.moveaxis(made, (1, 2), (len(lead) + 1, len(lead) + 3))
    return made.reshape(n, *row_shape)


def shuffle_words(X: Any, n_samples: int | None = None, *, random_state=None) -> Any:
    """Return documents with the lengths and the words of real ones, shuffled among them.

    All (document, word) pairs of real documents are taken apart and the words dealt out anew: each
    made document has the number of entries and the values of a real one, and each word is as
    frequent as before, but words no longer go together. Where a document is dealt a word twice the
    larger value stays.

    Parameters
    ----------
    X : sparse matrix or array of shape (n, n_words)
        Bags of words: counts, logarithms of counts, TF-IDF.
    n_samples : int or None, default=None
        Documents to make. None: as many as X has.
    random_state : int, RandomState, Generator or None, default=None
        Source of the shuffling.

    Returns
    -------
    CSR matrix or array, or ndarray where X is dense, of shape (n_samples, n_words)
        In the type of X.

    Raises
    ------
    ValueError
        If X is empty or not two-dimensional, or `n_samples` is below 1.

    Examples
    --------
    >>> from scipy import sparse
    >>> X = sparse.csr_array([[1, 2, 0, 0], [0, 0, 3, 0]])
    >>> made = shuffle_words(X, 4, random_state=0)
    >>> made.shape, made.nnz <= 6
    ((4, 4), True)
    """
    if not sparse.issparse(X):
        dense = _checked(X)
        X = sparse.csr_array(dense.reshape(len(dense), -1))
        made = shuffle_words(X, n_samples, random_state=random_state).toarray()
        return made.reshape(-1, *dense.shape[1:])
    n = _wanted(X, n_samples)
    rng = root_seed(random_state).child("words").numpy()
    csr = X.tocsr(copy=True)
    csr.sum_duplicates()
    csr.eliminate_zeros()
    source = np.concatenate([rng.permutation(csr.shape[0]) for _ in range(-(-n // csr.shape[0]))])
    taken = csr[source[:n]].tocoo()
    row, column = taken.coords[0], rng.permutation(taken.coords[1])
    order = np.lexsort((-taken.data.astype(np.float64), column, row))
    row, column, data = row[order], column[order], taken.data[order]
    first = np.ones(len(row), dtype=bool)  # of the same document and word
    first[1:] = (row[1:] != row[:-1]) | (column[1:] != column[:-1])
    made = sparse.csr_array((data[first], (row[first], column[first])), shape=(n, csr.shape[1]))
    return type(csr)(made)


def _noise(draw: Callable, X: Any, n_samples: int | None, center, scale, random_state) -> NDArray:
    """Return center + scale * draw in the type of X, block by block."""
    X = _checked(X)
    n = _wanted(X, n_samples)
    center, scale = _per_channel(X, center, np.mean), _per_channel(X, scale, np.std)
    low, high = (X.min(), X.max()) if X.ndim > 2 else (-np.inf, np.inf)
    if X.ndim > 2:
        low, high = _full_range(X, low, high)
    seed = root_seed(random_state).child("noise")
    out = np.empty((n, *X.shape[1:]), dtype=X.dtype)
    for start in range(0, n, 1024):
        part = out[start : start + 1024]
        z = draw(seed.child(start).numpy(), part.shape)
        values = np.clip(center + scale * z, low, high)
        part[...] = np.rint(values) if X.dtype.kind in "iub" else values
    return out


def _per_channel(X: NDArray, given: ArrayLike | None, statistic: Callable) -> NDArray:
    """Return one number a channel or column, in a shape that broadcasts to a row."""
    channels = X.ndim in (2, 4)  # images without channels have one number
    if given is None:
        axes = tuple(a for a in range(X.ndim) if not (channels and a == 1))
        given = statistic(X[:: -(-len(X) // 10_000)], axis=axes, dtype=np.float64)
    given = np.asarray(given, dtype=np.float64)
    return given.reshape(-1, *([1] * (X.ndim - 2))) if channels and given.ndim else given


def _full_range(X: NDArray, low: Any, high: Any) -> tuple[Any, Any]:
    """Return the range of images: [0, 255] for bytes, [0, 1] where all lie in it, else their own."""
    if X.dtype == np.uint8:
        return 0, 255
    return (0, 1) if low >= 0 and high <= 1 else (low, high)


def _patch_size(height: int, width: int, patch: int | None) -> int:
    if patch is None:
        limit = max(1, min(height, width) // 4)
        return max(s for s in range(1, limit + 1) if height % s == width % s == 0)
    if patch < 1 or height % patch or width % patch:
        raise ValueError(
            f"patch must divide the height {height} and the width {width} of the images. "
            f"Got patch={patch!r}. Pass a common divisor, or None."
        )
    return patch


def _checked(X: Any) -> NDArray:
    """Return real rows as an array (n, ...)."""
    if sparse.issparse(X):
        raise ValueError(
            f"X must be dense here. Got a sparse {type(X).__name__}. Use shuffle_words."
        )
    X = np.asarray(X)
    if X.ndim < 2 or not X.size or X.dtype.kind not in "iufb":
        raise ValueError(
            "X must hold at least one row of numbers, with two dimensions or more. "
            f"Got shape {X.shape} and type {X.dtype}."
        )
    return X


def _as_images(X: NDArray, image_shape: tuple[int, ...] | None, name: str) -> NDArray:
    """Return images (n, H, W) or (n, C, H, W), of flat rows by their shape."""
    if image_shape is not None:
        if len(image_shape) not in (2, 3) or np.prod(image_shape) != np.prod(X.shape[1:]):
            raise ValueError(
                "image_shape must be (height, width) or (channels, height, width) of one row. Got "
                f"image_shape={tuple(image_shape)} for rows of shape {X.shape[1:]}."
            )
        X = X.reshape(len(X), *image_shape)
    if X.ndim not in (3, 4):
        raise ValueError(
            f"{name} needs images, of shape (n, height, width) or (n, channels, height, width). "
            f"Got shape {X.shape}. Pass image_shape for flat rows, or use permute_features for "
            "tables."
        )
    return X


def _wanted(X: Any, n_samples: int | None) -> int:
    n = X.shape[0] if n_samples is None else n_samples
    if n < 1:
        raise ValueError(f"n_samples must be at least 1. Got n_samples={n_samples!r}.")
    return n
