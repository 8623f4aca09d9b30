"""Labelled tables in .npz files."""

from __future__ import annotations

import os
import zipfile
import zlib
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

__all__ = ["load_table", "load_tables"]

_UNREADABLE = (KeyError, ValueError, TypeError, AttributeError, EOFError, NotImplementedError)


def load_table(path: str | os.PathLike) -> Bunch:
    """Load one labelled table.

    Parameters
    ----------
    path : path
        An ``.npz`` file with arrays ``X`` of shape (n_samples, n_features) and ``y`` of shape
        (n_samples,).

    Returns
    -------
    sklearn.utils.Bunch
        ``X``, ``y``, ``name`` (the file's name without its suffix) and ``class_counts``, an array
        of shape (n_classes,) in the sorted order of the labels.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If it is not an ``.npz`` file with fitting arrays ``X`` and ``y``. Pickled objects are not
        loaded.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     np.savez(Path(folder) / "tiny.npz", X=np.eye(3), y=[0, 0, 1])
    ...     table = load_table(Path(folder) / "tiny.npz")
    >>> table.name, table.X.shape, table.class_counts
    ('tiny', (3, 3), array([2, 1]))
    """
    place = Path(path).expanduser()
    if not place.is_file():
        raise FileNotFoundError(f"A table is an .npz file with X and y. Got no file at {place}.")
    X, y = _arrays(place)
    if X.ndim != 2 or y.shape != X.shape[:1]:
        raise ValueError(
            f"{place} must hold X of shape (n_samples, n_features) and y of shape (n_samples,). "
            f"Got X of shape {X.shape} and y of shape {y.shape}."
        )
    return Bunch(X=X, y=y, name=place.stem, class_counts=np.unique(y, return_counts=True)[1])


def load_tables(folder: str | os.PathLike, *, pattern: str = "*.npz") -> dict[str, Bunch]:
    """Load all labelled tables of a folder.

    Parameters
    ----------
    folder : path
        Where the ``.npz`` files are.
    pattern : str, default all .npz files
        Which file names to load, such as ``"binary_*.npz"``.

    Returns
    -------
    dict of str to sklearn.utils.Bunch
        The tables of `load_table` by name, in the order of the names.

    Raises
    ------
    FileNotFoundError
        If no file in `folder` fits `pattern`.
    ValueError
        If one of the files is no such table.

    Examples
    --------
    >>> import numpy as np, tempfile
    >>> from pathlib import Path
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("b", "a"):
    ...         np.savez(Path(folder) / f"{name}.npz", X=np.eye(2), y=[0, 1])
    ...     tables = load_tables(folder)
    >>> list(tables)
    ['a', 'b']
    """
    places = sorted(Path(folder).expanduser().glob(pattern))
    if not places:
        raise FileNotFoundError(
            f"No file fits pattern={pattern!r} in {Path(folder).expanduser()}. "
            "Pass the folder that holds the .npz files."
        )
    return {place.stem: load_table(place) for place in places}


def _arrays(place: Path) -> tuple[np.ndarray, np.ndarray]:
    try:
        with place.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return arrays["X"], arrays["y"]
    except (*_UNREADABLE, zipfile.BadZipFile, zlib.error) as err:
        raise ValueError(
            f"{place} must be an .npz file with arrays X and y, without pickled objects. "
            f"Got {type(err).__name__}: {err}."
        ) from None
