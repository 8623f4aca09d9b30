"""Files that list images: lines of path and label, and the JSON files of iNaturalist."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ltresample.datasets._image_files import ImageList

__all__ = ["read_image_list", "read_inaturalist_json"]


def read_image_list(place: str | os.PathLike, *, n_classes: int | None = None) -> ImageList:
    """Read lines of "path label"; the label is what follows the last space.

    Parameters
    ----------
    place : path
        The list.
    n_classes : int or None
        Labels must be below it.

    Returns
    -------
    ImageList
        Names and labels in the order of the lines.

    Raises
    ------
    FileNotFoundError
        If there is no such file.
    ValueError
        If a line is malformed or there is none.
    """
    place = Path(place).expanduser()
    if not place.is_file():
        raise FileNotFoundError(f"A list of images is missing. Got no file {place}.")
    names, labels = [], []
    most = "" if n_classes is None else f" .. {n_classes - 1}"
    for number, line in enumerate(place.read_text(encoding="utf-8").splitlines(), start=1):
        name, _, label = line.strip().rpartition(" ")
        if not line.strip():
            continue
        fits = name and label.isascii() and label.isdigit()
        if not fits or (n_classes is not None and int(label) >= n_classes):
            raise ValueError(
                f"Line {number} of {place} must be a path, a space and a label from 0{most}. "
                f"Got {line[:80]!r}."
            )
        names.append(name.rstrip())
        labels.append(int(label))
    if not names:
        raise ValueError(f"{place} must hold lines of a path and a label. Got an empty file.")
    return ImageList(names, np.array(labels, dtype=np.int64))


def read_inaturalist_json(places: dict[str, Path]) -> tuple[dict[str, ImageList], list[str]]:
    """Read the competition's files.

    Parameters
    ----------
    places : dict of str to Path
        Part to file.

    Returns
    -------
    lists : dict of str to ImageList
        Names and labels; label k is the k-th of the category numbers in increasing order.
    names : list of str
        Class names.

    Raises
    ------
    ValueError
        If a file is no such file or contradicts itself.
    """
    contents = {part: _read_json(place) for part, place in places.items()}
    names = {c["id"]: c["name"] for content in contents.values() for c in content["categories"]}
    ids = np.array(sorted(names))
    lists = {part: _from_json(content, ids, places[part]) for part, content in contents.items()}
    return lists, [names[i] for i in ids.tolist()]


def _read_json(place: Path) -> dict[str, Any]:
    try:
        content = json.loads(place.read_text(encoding="utf-8"))
        for name in ("images", "annotations", "categories"):
            content[name][0]["id"]
    except (ValueError, KeyError, TypeError, IndexError) as err:
        raise ValueError(
            f"{place} must be a JSON file of iNaturalist 2018 with images, annotations and "
            f"categories. Got {type(err).__name__}: {err}."
        ) from None
    return content


def _from_json(content: dict[str, Any], ids: NDArray[np.int64], place: Path) -> ImageList:
    """Return names and labels, those of the category numbers in increasing order."""
    files = {image["id"]: image["file_name"] for image in content["images"]}
    try:
        names = [files[a["image_id"]] for a in content["annotations"]]
    except KeyError as err:
        raise ValueError(
            f"Annotations of {place} must belong to its images. Got image_id {err}."
        ) from None
    categories = np.array([a["category_id"] for a in content["annotations"]])
    if not np.isin(categories, ids).all():
        stray = categories[~np.isin(categories, ids)][0]
        raise ValueError(f"Annotations of {place} must have known categories. Got {stray}.")
    return ImageList(names, np.searchsorted(ids, categories))
