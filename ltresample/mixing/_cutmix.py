"""CutMix: a rectangle of one image pasted onto another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ltresample.mixing._base import Mixed, check_alpha, check_pairs, draw_ratio

__all__ = ["BoxDraw", "CutMix", "paste_boxes"]


class BoxDraw(NamedTuple):
    """What is random about a box, whatever the size of the image."""

    lam: Tensor  # (m,) share of the image that is to stay background, before clipping
    center: Tensor  # (m, 2) place along height and width, in [0, 1)
    inside: bool  # the box lies wholly in the image; else its centre does, and it is clipped


def paste_boxes(foreground: Tensor, background: Tensor, edges: Tensor) -> Tensor:
    """Return the backgrounds with the foregrounds' pixels inside the boxes.

    Parameters
    ----------
    foreground, background : Tensor of shape (m, ..., H, W)
        Images.
    edges : integer Tensor of shape (m, 4)
        First row, row behind the last, first column, column behind the last.

    Returns
    -------
    Tensor of shape (m, ..., H, W)
        A new batch. An empty box gives the background, a full one the foreground.

    Raises
    ------
    ValueError
        If the two batches differ in shape or are not images.

    Examples
    --------
    >>> edges = torch.tensor([[0, 1, 1, 3]])
    >>> paste_boxes(torch.ones(1, 2, 3), torch.zeros(1, 2, 3), edges)
    tensor([[[0., 1., 1.],
             [0., 0., 0.]]])
    """
    check_images(foreground, background)
    height, width = foreground.shape[-2:]
    edges = edges.to(foreground.device)
    top, bottom, left, right = edges[:, :, None].unbind(1)  # (m, 1) each
    rows = torch.arange(height, device=edges.device)
    columns = torch.arange(width, device=edges.device)
    in_rows, in_columns = (rows >= top) & (rows < bottom), (columns >= left) & (columns < right)
    box = in_rows[:, :, None] & in_columns[:, None]  # (m, H, W)
    shape = (len(box), *([1] * (foreground.dim() - 3)), height, width)
    return torch.where(box.view(shape), foreground, background)


def check_images(foreground: Tensor, background: Tensor) -> None:
    """Refuse batches that differ in shape or have no height and width."""
    check_pairs(foreground, background)
    if foreground.dim() < 3:
        raise ValueError(
            "Boxes are cut out of images (m, ..., H, W). Got rows of shape "
            f"{tuple(foreground.shape[1:])}. Give flat images their shape first, or mix rows by "
            "Mixup or ColumnSwap."
        )


@dataclass(frozen=True)
class CutMix:
    """Paste a box of the foreground onto the background [1]_.

    ``lam ~ Beta(alpha, alpha)``; the box has the shape of the image, sides shrunk by
    ``sqrt(1 - lam)``, and a centre drawn uniformly in the image, at whose borders it is clipped.
    Afterwards lam is the share of pixels that are left of the background. Half a side is a whole
    number of pixels, as in published code, so that boxes are smaller than drawn: with alpha = 4
    they cover 0.31 of 32 x 32 and 0.25 of 8 x 8 images on average.

    Parameters
    ----------
    alpha : float, default=1.0
        Above 0; the larger, the nearer are ratios to 1/2. OTMix uses 4, CMO and CutMix 1.
    shared : bool, default=True
        One box for a whole batch, as in published code; False: one for each pair.

    References
    ----------
    .. [1] Yun, Han, Oh, Chun, Choe, Yoo, "CutMix: Regularization Strategy to Train Strong
       Classifiers with Localizable Features", ICCV 2019, arXiv:1905.04899.

    Examples
    --------
    >>> mix = CutMix(alpha=4.0)
    >>> params = mix.draw(2, (1, 8, 8), torch.Generator().manual_seed(0))
    >>> mixed = mix.mix(torch.zeros(2, 1, 8, 8), torch.ones(2, 1, 8, 8), params)
    >>> torch.equal(mixed.x.mean((1, 2, 3)).double(), mixed.lam)
    True
    """

    alpha: float = 1.0
    shared: bool = True
    needs_images: ClassVar[bool] = True
    blends: ClassVar[bool] = False

    def __post_init__(self):
        check_alpha(self.alpha)

    def draw(
        self,
        m: int,
        row_shape: tuple[int, ...],
        generator: torch.Generator,
        *,
        max_lam: float = 1.0,
    ) -> BoxDraw:
        """Draw boxes; with `max_lam` below 1 they lie wholly in the image and are large enough."""
        lam = draw_ratio(m, self.alpha, generator, max_lam=max_lam, shared=self.shared)
        n = 1 if self.shared else m
        center = torch.rand(n, 2, generator=generator, dtype=torch.float64)
        return BoxDraw(lam, center.expand(m, 2).clone(), inside=max_lam < 1)

    def mix(
        self,
        foreground: Tensor,
        background: Tensor,
        params: BoxDraw,
        *,
        n_foreground: Tensor | None = None,
        n_background: Tensor | None = None,
    ) -> Mixed:
        """Paste m boxes; class counts are of no meaning."""
        check_images(foreground, background)
        size = foreground.shape[-2:]
        return pasted(foreground, background, box_edges(params, size))


def pasted(foreground: Tensor, background: Tensor, edges: Tensor) -> Mixed:
    """Paste boxes and give the share of the background that is left."""
    height, width = foreground.shape[-2:]
    area = (edges[:, 1] - edges[:, 0]) * (edges[:, 3] - edges[:, 2])  # (m,)
    lam = 1 - area.double() / (height * width)
    return Mixed(paste_boxes(foreground, background, edges), lam)


def box_edges(draw: BoxDraw, size: tuple[int, int]) -> Tensor:
    """Return edges (m, 4) of boxes in images of this height and width."""
    size = torch.tensor(size)  # (2,)
    place = _inside if draw.inside else _clipped
    start, stop = place((1 - draw.lam).sqrt()[:, None], draw.center, size)
    return torch.stack([start[:, 0], stop[:, 0], start[:, 1], stop[:, 1]], dim=1)


def _clipped(ratio: Tensor, center: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Draw the centre in the image; sides are rounded down to twice a whole number."""
    return around((center * size).long(), ratio, size)


def around(center: Tensor, ratio: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Return the clipped ends (m, 2) of boxes around pixels `center` (m, 2)."""
    half = (size * ratio).long() // 2  # (m, 2)
    zero = torch.zeros_like(size)
    return (torch.clamp(center + sign * half, zero, size) for sign in (-1, 1))


def _inside(ratio: Tensor, center: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Draw among all places where the box fits; sides are rounded up."""
    side = torch.minimum((size * ratio).ceil().long(), size)
    start = (center * (size - side + 1)).long()
    return start, start + side
