"""The file of 300,000 random images that stands in for 80 Million Tiny Images."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["load_random_images"]


def load_random_images(path: str | os.PathLike, *, sha256: str | None = None) -> NDArray[np.uint8]:
    """Open a file of open-set images without reading it into memory.

    Made for ``300K_random_images.npy`` of Outlier Exposure [1]_: 32 x 32 colour images, those of
    CIFAR classes taken out; the usual substitute for 80 Million Tiny Images, which was withdrawn.
    Any ``.npy`` file of unsigned bytes of shape (n, height, width, channels) will do.

    Parameters
    ----------
    path : path
        The file, on this machine; nothing is downloaded.
    sha256 : str or None, default=None
        Expected checksum. None: it is not checked, which would read the whole file.

    Returns
    -------
    memory map of shape (n, channels, height, width), uint8
        A read-only view of the file with the channels first.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If its checksum is another one, or it does not hold such images.

    References
    ----------
    .. [1] Hendrycks, Mazeika, Dietterich, Deep Anomaly Detection with Outlier Exposure, ICLR 2019,
       arXiv:1812.04606.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.save(Path(folder) / "images.npy", np.zeros((5, 32, 32, 3), dtype=np.uint8))
    ...     load_random_images(Path(folder) / "images.npy").shape
    (5, 3, 32, 32)
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise FileNotFoundError(
            f"The images are a local .npy file. Got no file at {place}. Pass the path of "
            "300K_random_images.npy, or make open-set images with make_blob_noise or "
            "shuffle_patches."
        )
    if sha256 is not None:
        _check_content(place, sha256)
    try:
        images = np.load(place, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as err:
        raise ValueError(f"{place} must be an .npy file of numbers. Got: {err}.") from None
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.dtype != np.uint8:
        raise ValueError(
            f"{place} must hold unsigned bytes of shape (n, height, width, channels). Got "
            f"{images.dtype} of shape {images.shape}."
        )
    return np.moveaxis(images, -1, 1)


def _check_content(place: Path, sha256: str) -> None:
    with place.open("rb") as file:
        got = hashlib.file_digest(file, "sha256").hexdigest()
    if got != sha256.lower():
        raise ValueError(
            f"{place} does not hold the expected content. Got SHA-256 {got}, expected {sha256}. "
            "Fetch the file anew, or pass sha256=None to use it as it is."
        )
