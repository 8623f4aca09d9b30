"""Files of the idx format: a type, a number of axes and their lengths, then the values."""

from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

__all__ = ["read_idx"]

_BYTES = 0x08  # code of unsigned bytes


def read_idx(place: Path, n_axes: int) -> NDArray[np.uint8]:
    """Read an idx file of unsigned bytes, packed by gzip or plain.

    Parameters
    ----------
    place : Path
        The file; packed if its name ends in ``.gz``.
    n_axes : int
        Axes that the array must have: 3 for images, 1 for labels.

    Returns
    -------
    ndarray of uint8
        The array.

    Raises
    ------
    ValueError
        If the file is cut off, damaged, or another kind of file.
    """
    try:
        content = place.read_bytes()
        content = gzip.decompress(content) if place.suffix == ".gz" else content
    except (EOFError, gzip.BadGzipFile, zlib.error) as err:
        raise ValueError(
            f"{place} must be a whole file packed by gzip. Got {type(err).__name__}: {err}. It is cut "
            "off or damaged: fetch it anew."
        ) from None
    header = 4 + 4 * n_axes
    if len(content) < header or content[:4] != bytes([0, 0, _BYTES, n_axes]):
        raise ValueError(
            f"{place} must be an idx file of unsigned bytes with {n_axes} axes, which begins with "
            f"{bytes([0, 0, _BYTES, n_axes]).hex()}. Got {content[:4].hex() or 'nothing'}."
        )
    shape = struct.unpack(f">{n_axes}I", content[4:header])
    wanted, got = int(np.prod(shape, dtype=object)), len(content) - header
    if got != wanted:
        raise ValueError(
            f"{place} must hold {wanted} bytes for its shape {shape}. Got {got}. It is cut off or "
            "damaged: fetch it anew."
        )
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)
