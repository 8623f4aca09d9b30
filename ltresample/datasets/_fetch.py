"""Files of data sets: in a folder of the user's, in the cache, or from the network.

The only file that touches the network.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Sequence
from http.client import HTTPException
from pathlib import Path
from typing import NamedTuple
from urllib.request import urlopen

__all__ = ["RemoteFile", "data_folder", "fetch_torchvision_archive", "find_file"]

_TIMEOUT = 30  # seconds without an answer


class RemoteFile(NamedTuple):
    """A file that a data set needs."""

    name: str
    sha256: str
    urls: Sequence[str]  # tried in this order


def data_folder(data_home: str | os.PathLike | None = None) -> Path:
    """Return the cache folder: `data_home`, $LTRESAMPLE_DATA or ~/ltresample_data, in this order."""
    home = data_home or os.environ.get("LTRESAMPLE_DATA") or Path("~") / "ltresample_data"
    return Path(home).expanduser()


def find_file(
    remote: RemoteFile,
    *,
    dataset: str,
    path: str | os.PathLike | None = None,
    data_home: str | os.PathLike | None = None,
    download_if_missing: bool = True,
) -> Path:
    """Return the place of a file whose content is the expected one.

    Parameters
    ----------
    remote : RemoteFile
        Name, SHA-256 and addresses.
    dataset : str
        Folder of the data set inside the cache.
    path : path or None
        Folder that holds the file. Where it is given, neither cache nor network is used.
    data_home : path or None
        Cache folder, see `data_folder`.
    download_if_missing : bool
        Whether a file that the cache lacks may be downloaded.

    Returns
    -------
    pathlib.Path
        Where the file is.

    Raises
    ------
    FileNotFoundError
        If the file is not there and may not be downloaded.
    OSError
        If no address answers.
    ValueError
        If the content is not the expected one.
    """
    folder = data_folder(data_home) / dataset if path is None else Path(path).expanduser()
    place = folder / remote.name
    if not place.is_file():
        if path is not None or not download_if_missing:
            raise FileNotFoundError(
                f"{remote.name} of {dataset} is missing. Got no file at {place}. {_remedy(remote)}"
            )
        _download(remote, place)
    _check_content(place, remote)
    return place


def _remedy(remote: RemoteFile) -> str:
    return (
        "Put the file there, pass path= with the folder that holds it, or allow the download from "
        f"{remote.urls[0]}."
    )


def _check_content(place: Path, remote: RemoteFile) -> None:
    got = _sha256(place)
    if got != remote.sha256:
        raise ValueError(
            f"{place} does not hold the expected content. Got SHA-256 {got}, expected "
            f"{remote.sha256}. Delete the file and fetch it anew, without any conversion of line "
            "ends."
        )


def _sha256(place: Path) -> str:
    with place.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _download(remote: RemoteFile, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    reasons = []
    for url in remote.urls:
        try:
            return _download_one(url, remote, place)
        except (OSError, HTTPException) as err:  # URLError and time-outs are OSErrors
            reasons.append(f"{url}: {err or type(err).__name__}")
    raise OSError(
        f"{remote.name} cannot be downloaded. Got {'; '.join(reasons)}. "
        f"Fetch it on a machine with a connection and put it at {place}, or pass path= with the "
        "folder that holds it."
    )


def _download_one(url: str, remote: RemoteFile, place: Path) -> None:
    """Write beside the final place, check and rename, so that only whole files are found there."""
    with tempfile.TemporaryDirectory(dir=place.parent) as folder:
        part = Path(folder) / remote.name
        with part.open("wb") as file, urlopen(url, timeout=_TIMEOUT) as answer:
            shutil.copyfileobj(answer, file)
        got = _sha256(part)
        if got != remote.sha256:
            raise OSError(f"SHA-256 is {got}, expected {remote.sha256}")
        part.replace(place)


def fetch_torchvision_archive(name: str, folder: Path) -> None:
    """Download and unpack the archive of a torchvision data set, checked by torchvision's MD5.

    Parameters
    ----------
    name : str
        Class in ``torchvision.datasets`` with ``url``, ``filename`` and ``tgz_md5``.
    folder : Path
        Where archive and content go, when they are whole. An archive that is there already, fetched
        on another machine, is taken.

    Raises
    ------
    ImportError
        If torchvision is not installed.
    OSError
        If the download fails or its content is not the expected one.
    """
    try:
        from torchvision import datasets
        from torchvision.datasets.utils import download_and_extract_archive
    except ImportError as err:
        raise ImportError(
            f"The download of {name} needs torchvision: install ltresample[image]. "
            "Or pass path= with a folder or an .npz file that holds the images."
        ) from err
    known = getattr(datasets, name)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # beside the final place: one who is killed, or a second process, leaves no half folder there
        with tempfile.TemporaryDirectory(dir=folder) as part:
            if (folder / known.filename).is_file():
                shutil.copy2(folder / known.filename, part)
            download_and_extract_archive(
                known.url, part, filename=known.filename, md5=known.tgz_md5
            )
            for whole in Path(part).iterdir():
                _put_in_place(whole, folder / whole.name)
    except (OSError, RuntimeError, HTTPException) as err:  # RuntimeError: another MD5
        raise OSError(
            f"{name} cannot be downloaded. Got {known.url}: {err or type(err).__name__}. Fetch it "
            f"on a machine with a connection and unpack it in {folder}, or pass path= with the "
            "folder that holds it."
        ) from err


def _put_in_place(whole: Path, place: Path) -> None:
    """Move a file or a folder; a folder that another process has moved there first is as good."""
    try:
        whole.replace(place)
    except OSError:
        if not place.is_dir():
            raise
