"""Images in files, read when they are asked for."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch
from torch import Tensor
from torch.utils.data import Dataset

from ltresample._random import Seed

__all__ = ["ImageFiles", "ImageList", "Reading", "hold_out", "image_bunch"]

_DESCR = """{title}

{sizes}.
Class counts of the training images: {largest} to {smallest}.
Images: {root}
SHA-256 of the lists: {hashes}"""


class ImageFiles(Dataset):
    """Image files and their labels as a map-style data set of PyTorch.

    An item is ``(image, label)``: the image, colours in order red, green, blue, is an unsigned-byte
    tensor of shape (3, H, W), or what `transform` makes of it, and is read from its file each time.

    Parameters
    ----------
    root : path
        Folder that the names start from.
    names : sequence of str of length n
        Files below `root`, parts separated by ``/``.
    targets : array-like of shape (n,)
        Labels 0 .. K-1.
    resize : int, (int, int) or None, default=None
        Length of the shorter side in pixels, the ratio of the sides is kept; or (height, width).
        None: the size of the file.
    crop : int or None, default=None
        Side of a square cut from the centre, after `resize`; in pixels.
    transform : callable or None, default=None
        From the image, a tensor of shape (3, H, W), uint8, to another, uint8 or float in [0, 1];
        those of ``torchvision.transforms.v2`` fit. Random ones draw from PyTorch's global generator
        of the process that reads.
    check_files : bool, default=True
        Whether to look, now, if all files are there.

    Attributes
    ----------
    root : Path
        As given.
    names : list of str
        As given.
    targets : ndarray of shape (n,), int64
        As given.

    Raises
    ------
    FileNotFoundError
        If files are missing; the message names the first and counts them.
    ValueError
        If the lengths differ, targets are no whole numbers from 0, or a size is not positive. On
        access: if a file is no image, the crop is larger than it, or `transform` gives something else.
    ImportError
        On access: if Pillow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> from PIL import Image
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     Image.new("RGB", (40, 30)).save(f"{folder}/a.png")
    ...     image, label = ImageFiles(folder, ["a.png"], [3], resize=16, crop=16)[0]
    >>> image.shape, label
    (torch.Size([3, 16, 16]), 3)
    """

    def __init__(
        self,
        root: str | os.PathLike,
        names: Sequence[str],
        targets: ArrayLike,
        *,
        resize: int | tuple[int, int] | None = None,
        crop: int | None = None,
        transform: Callable[[Tensor], Tensor] | None = None,
        check_files: bool = True,
    ):
        self.root = Path(root).expanduser()
        self.names = list(names)
        self.targets = _checked_targets(targets)
        if self.targets.shape != (len(self.names),):
            raise ValueError(
                "names and targets must have one entry per image. "
                f"Got {len(self.names)} names and targets of shape {self.targets.shape}."
            )
        _check_sizes(resize, crop)
        self.resize, self.crop, self.transform = resize, crop, transform
        if check_files:
            self._check_files()

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        image = _decoded(self.root / self.names[i], self.resize, self.crop)
        if self.transform is not None:
            image = _checked(self.transform(image), self.names[i])
        return image, int(self.targets[i])

    def arrays(self) -> tuple[NDArray, NDArray[np.int64]]:
        """Read all images: an array (n, 3, H, W) and their labels (n,); sizes must be equal."""
        images = [self[i][0] for i in range(len(self))]
        shapes = sorted({tuple(image.shape) for image in images})
        if len(shapes) != 1:
            raise ValueError(
                f"The images must have one size. Got {len(shapes)} sizes, such as {shapes[:2]}. "
                "Pass resize and crop."
            )
        return torch.stack(images).numpy(), self.targets.copy()

    def _check_files(self) -> None:
        missing = [name for name in self.names if not (self.root / name).is_file()]
        if missing:
            more = f" and {len(missing) - 3} more" if len(missing) > 3 else ""
            raise FileNotFoundError(
                f"{len(missing)} of {len(self.names)} images are missing in {self.root}. "
                f"Got no {', '.join(missing[:3])}{more}. Pass the folder that the names start "
                "from, or check_files=False to read what is there."
            )


class ImageList(NamedTuple):
    """Names of image files and their labels."""

    names: list[str]
    targets: NDArray[np.int64]


class Reading(NamedTuple):
    """How files are read; parameters of `ImageFiles`."""

    resize: int | tuple[int, int] | None = None
    crop: int | None = None
    transform: Callable[[Tensor], Tensor] | None = None
    check_files: bool = True


def image_bunch(
    title: str,
    root: str | os.PathLike,
    lists: dict[str, ImageList],
    reading: Reading,
    *,
    target_names: Sequence[str] | None = None,
    n_classes: int | None = None,
) -> Bunch:
    """Return the parts of a data set, with class counts and the hashes of the lists.

    Parameters
    ----------
    title : str
        First line of the description.
    root : path
        Folder that names start from.
    lists : dict
        "train", and "val" and "test" where they exist.
    reading : Reading
        How files are read.
    target_names : sequence of str or None
        Class names; None: the folder of the first training image of each class, if they differ.
    n_classes : int or None
        None: one more than the largest label.

    Returns
    -------
    sklearn.utils.Bunch
        As from `load_image_lists`.
    """
    train = lists["train"]
    if n_classes is None:
        n_classes = 1 + max(int(part.targets.max()) for part in lists.values())
    counts = np.bincount(train.targets, minlength=n_classes)
    hashes = {name: _hash(part) for name, part in lists.items()}
    parts = {name: ImageFiles(root, *part, **reading._asdict()) for name, part in lists.items()}
    sizes = ", ".join(f"{len(part)} images for {name}" for name, part in parts.items())
    return Bunch(
        **{"val": None, "test": None, **parts},
        target_names=_folders(train) if target_names is None else np.array(target_names),
        class_counts=counts,
        sha256=hashes,
        DESCR=_DESCR.format(
            title=title,
            sizes=f"{sizes}; {n_classes} classes",
            largest=counts.max(),
            smallest=counts.min(),
            root=Path(root).expanduser(),
            hashes=hashes,
        ),
    )


def hold_out(
    members: NDArray[np.int64], sizes: Sequence[int | None], seed: Seed
) -> list[NDArray[np.int64]]:
    """Draw disjoint parts of a class; None stands for the rest. Indices of a part increase."""
    order = seed.numpy().permutation(members)
    ends = np.cumsum([len(order) if size is None else size for size in sizes])
    return [np.sort(part) for part in np.split(order, ends)[: len(sizes)]]


def _hash(part: ImageList) -> str:
    """Hash the lines "name label"."""
    lines = (f"{name} {k}\n" for name, k in zip(part.names, part.targets.tolist(), strict=True))
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _folders(train: ImageList) -> NDArray[np.str_] | None:
    classes, first = np.unique(train.targets, return_index=True)
    names = [str(PurePosixPath(train.names[i]).parent) for i in first]
    return np.array(names) if len(set(names)) == len(classes) else None


def _checked_targets(targets: ArrayLike) -> NDArray[np.int64]:
    given = np.asarray(targets)
    if given.dtype.kind not in "iub" and given.size:
        raise ValueError(
            f"targets must be whole numbers from 0, one per image. Got {given.dtype}, such as "
            f"{given.ravel().tolist()[0]!r}. np.unique(targets, return_inverse=True)[1] gives them."
        )
    if given.size and given.min() < 0:
        raise ValueError(f"targets must be whole numbers from 0. Got {given.min()}.")
    return given.astype(np.int64)


def _check_sizes(resize: Any, crop: Any) -> None:
    sides = resize if isinstance(resize, tuple) else (resize, resize)
    if len(sides) != 2 or not all(side is None or side >= 1 for side in (*sides, crop)):
        raise ValueError(
            "resize and crop are lengths in pixels of at least 1, resize may be (height, width). "
            f"Got resize={resize!r} and crop={crop!r}."
        )


def _decoded(place: Path, resize: Any, crop: int | None) -> Tensor:
    """Read a file as unsigned bytes (3, H, W)."""
    try:
        from PIL import Image
    except ImportError as err:
        raise ImportError("Image files need Pillow: install ltresample[image].") from err
    try:
        with Image.open(place) as opened:
            image = opened.convert("RGB")
    except FileNotFoundError:
        raise FileNotFoundError(f"An image of the list is missing. Got no file {place}.") from None
    except (OSError, SyntaxError, ValueError) as err:  # what Pillow raises for broken files
        raise ValueError(
            f"{place} cannot be read as an image. Got {type(err).__name__}: {err}. "
            "Fetch the file anew."
        ) from None
    if resize is not None:
        image = image.resize(_width_and_height(image.size, resize), Image.Resampling.BILINEAR)
    if crop is not None:
        image = image.crop(_centre(image.size, crop, place))
    return torch.from_numpy(np.array(image)).permute(2, 0, 1).contiguous()


def _width_and_height(size: tuple[int, int], resize: int | tuple[int, int]) -> tuple[int, int]:
    if isinstance(resize, tuple):
        return resize[1], resize[0]
    width, height = size
    shorter = min(size)
    return max(resize, round(width * resize / shorter)), max(
        resize, round(height * resize / shorter)
    )


def _centre(size: tuple[int, int], crop: int, place: Path) -> tuple[int, int, int, int]:
    width, height = size
    if crop > min(size):
        raise ValueError(
            f"crop must be no longer than the sides of the image. Got crop={crop} for {place} of "
            f"{width} x {height} pixels. Pass resize."
        )
    left, top = (width - crop) // 2, (height - crop) // 2
    return left, top, left + crop, top + crop


def _checked(image: Any, name: str) -> Tensor:
    fits = isinstance(image, Tensor) and image.dim() == 3
    if not fits or not (image.dtype == torch.uint8 or image.is_floating_point()):
        got = f"{image.dtype} of shape {tuple(image.shape)}" if isinstance(image, Tensor) else image
        raise ValueError(
            "transform must give a tensor of shape (channels, H, W), uint8 or float. "
            f"Got {got!r} for {name}."
        )
    return image
