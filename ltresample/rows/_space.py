"""Units and bounds of the rows: what a step is measured in."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from ltresample.rows._sources import Rows

__all__ = ["Space", "space_of"]

CHUNK = 32 << 20  # bytes of rows looked at together
N_IMAGES = 1024  # images that tell the range of pixels


class Space(NamedTuple):
    """The space in which steps are measured, and what a row may look like.

    Lengths are Euclidean in ``(x - center) / scale``; a column of scale 0 never moves. With center
    0, scale 1, lower 0 and upper 1 this is the papers' pixel space.
    """

    center: Tensor  # broadcasts to a row, as do the next three
    scale: Tensor  # >= 0
    lower: Tensor
    upper: Tensor
    integer: Tensor | None = None  # bool, broadcasts to a row: columns that hold whole numbers
    keep_zeros: bool = False  # move only where the seed or its anchor is not zero (sparse rows)
    categorical: Tensor | None = None  # bool, broadcasts to a row: columns that never move

    @classmethod
    def pixels(cls, *, dtype: torch.dtype = torch.float32, device=None) -> Space:
        """Return the papers' space: images in [0, 1], lengths as they are."""
        one = torch.ones((), dtype=dtype, device=device)
        return cls(center=0 * one, scale=one, lower=0 * one, upper=one)

    def project(self, x: Tensor) -> Tensor:
        """Clip to the allowed range."""
        return torch.clamp(x, self.lower, self.upper)

    def rounded(self, x: Tensor) -> Tensor:
        """Put whole-number columns on whole numbers."""
        return x if self.integer is None else torch.where(self.integer, x.round(), x)

    def standardized(self, x: Tensor) -> Tensor:
        """Return (x - center) / scale, 0 in columns that never move."""
        inverse = torch.where(self.scale > 0, 1 / self.scale, torch.zeros_like(self.scale))
        return torch.addcmul(-self.center * inverse, x, inverse)  # one pass over x


def space_of(rows: Rows, *, weight: Tensor | None = None) -> Space:
    """Return the units and bounds of training rows.

    Images: pixels in [0, 1] as they are, else the range that is there. Tables: mean, standard
    deviation and range of each column; where most entries are zero, zero and the root mean square
    of a column's other entries.

    Parameters
    ----------
    rows : Rows
        Rows as the network takes them.
    weight : Tensor of shape (n,) or None, default=None
        Sample weights of the rows.

    Returns
    -------
    Space
        In the type and place of the rows.
    """
    if len(rows.row_shape) > 1:
        return _image_space(rows)
    weight = torch.ones(len(rows), dtype=torch.float64) if weight is None else weight.double()
    return _table_space(rows, weight)


def _image_space(rows: Rows) -> Space:
    x = rows.take(torch.linspace(0, len(rows) - 1, min(N_IMAGES, len(rows))).long())
    low, high = float(x.min()), float(x.max())
    unit = Space.pixels(dtype=x.dtype, device=x.device)
    if low >= 0 and high <= 1:
        return unit
    spread = max(high - low, torch.finfo(torch.float32).tiny)
    low, high = x.new_tensor(low), x.new_tensor(high)
    return Space(center=low, scale=unit.scale * spread, lower=low, upper=high)


def _chunks(rows: Rows):
    n_bytes = 4 * max(1, torch.Size(rows.row_shape).numel())
    for part in torch.arange(len(rows)).split(max(1, CHUNK // n_bytes)):
        yield part, rows.take(part)


def _table_space(rows: Rows, weight: Tensor) -> Space:
    total = weight.sum()
    mean = filled = square = 0.0
    lower, upper = torch.inf, -torch.inf
    for part, x in _chunks(rows):
        w, wide = weight[part].to(x.device)[:, None], x.double()
        mean = mean + (w * wide).sum(0) / total
        filled = filled + (w * (x != 0)).sum(0)
        square = square + (w * wide.square()).sum(0)
        lower = torch.minimum(x.amin(0), torch.as_tensor(lower, dtype=x.dtype, device=x.device))
        upper = torch.maximum(x.amax(0), torch.as_tensor(upper, dtype=x.dtype, device=x.device))
    if float(filled.sum()) * 2 < float(total) * len(filled):
        center, scale = torch.zeros_like(mean), (square / filled.clamp(min=1e-12)).sqrt()
    else:
        variance = 0.0
        for part, x in _chunks(rows):
            w = weight[part].to(x.device)[:, None]
            variance = variance + (w * (x.double() - mean).square()).sum(0) / total
        center, scale = mean, variance.sqrt()
    scale = torch.where(lower == upper, 0.0, scale)  # rounding may leave a trace of spread
    return Space(center.to(lower.dtype), scale.to(lower.dtype), lower, upper)
