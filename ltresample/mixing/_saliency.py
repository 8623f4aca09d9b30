"""SaliencyMix: the box is where the foreground catches the eye."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from ltresample.mixing._base import Mixed, check_alpha, draw_ratio
from ltresample.mixing._cutmix import around, check_images, pasted

__all__ = ["SaliencyDraw", "SaliencyMix", "saliency"]

_SURROUNDS = (1, 2, 4, 8)  # reach of the surround in pixels


class SaliencyDraw(NamedTuple):
    """What is random about a box; where it is follows from the foreground."""

    lam: Tensor  # (m,) share of the image that is to stay background, before clipping
    inside: bool  # the box lies wholly in the image; else it is clipped


def saliency(x: Tensor) -> Tensor:
    """Say how much each pixel differs from what surrounds it.

    ``sum_s |v - mean of v over a square of side 2 s + 1|`` over s = 1, 2, 4, 8 pixels, with v the
    mean over channels: the on- and off-centre differences of [1]_ with the scales of small images.

    Parameters
    ----------
    x : Tensor of shape (m, ..., H, W)
        Images.

    Returns
    -------
    Tensor of shape (m, H, W)
        At least 0; 0 everywhere for an image of one colour.

    References
    ----------
    .. [1] Montabone, Soto, "Human detection using a mobile platform and novel features derived from
       a visual saliency mechanism", Image and Vision Computing 28(3), 2010.

    Examples
    --------
    >>> x = torch.zeros(1, 1, 5, 5)
    >>> x[0, 0, 3, 1] = 1
    >>> divmod(int(saliency(x).argmax()), 5)
    (3, 1)
    """
    value = x.flatten(1, -3).mean(1, keepdim=True) if x.dim() > 3 else x[:, None]
    total = torch.zeros_like(value)
    for reach in _SURROUNDS:
        if reach >= min(value.shape[-2:]):
            continue
        surround = F.avg_pool2d(value, 2 * reach + 1, 1, reach, count_include_pad=False)
        total += (value - surround).abs()
    return total[:, 0]


@dataclass(frozen=True)
class SaliencyMix:
    """Paste the most salient part of the foreground onto the background [1]_.

    As `CutMix`, with the box around the pixel where `saliency` of the foreground is largest.

    Parameters
    ----------
    alpha : float, default=1.0
        Above 0; the larger, the nearer are ratios to 1/2.
    shared : bool, default=False
        One box for a whole batch, around the peak of its first foreground, as in published code;
        False: one for each pair.

    Notes
    -----
    *Fidelity.* Published code takes OpenCV's fine-grained saliency; here it is the same idea at
    scales that fit small images, without OpenCV.

    References
    ----------
    .. [1] Uddin, Monira, Shin, Chung, Bae, "SaliencyMix: A Saliency Guided Data Augmentation
       Strategy for Better Regularization", ICLR 2021, arXiv:2006.01791.

    Examples
    --------
    >>> mix = SaliencyMix(alpha=4.0)
    >>> x = torch.zeros(1, 1, 8, 8)
    >>> x[0, 0, 5, 5] = 1
    >>> params = mix.draw(1, (1, 8, 8), torch.Generator().manual_seed(0))
    >>> mix.mix(x, torch.zeros(1, 1, 8, 8), params).x[0, 0, 5, 5]
    tensor(1.)
    """

    alpha: float = 1.0
    shared: bool = False
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
    ) -> SaliencyDraw:
        """Draw ratios; with `max_lam` below 1 boxes lie in the image and are large enough."""
        lam = draw_ratio(m, self.alpha, generator, max_lam=max_lam, shared=self.shared)
        return SaliencyDraw(lam, inside=max_lam < 1)

    def mix(
        self,
        foreground: Tensor,
        background: Tensor,
        params: SaliencyDraw,
        *,
        n_foreground: Tensor | None = None,
        n_background: Tensor | None = None,
    ) -> Mixed:
        """Paste m boxes; class counts are of no meaning."""
        check_images(foreground, background)
        size = torch.tensor(foreground.shape[-2:])
        seen = foreground[:1] if self.shared else foreground
        peak = saliency(seen).flatten(1).argmax(1).cpu()
        center = torch.stack([peak // size[1], peak % size[1]], dim=1)  # (m, 2) or (1, 2)
        ratio = (1 - params.lam).sqrt()[:, None]
        start, stop = (_moved_inside if params.inside else around)(center, ratio, size)
        edges = torch.stack([start[:, 0], stop[:, 0], start[:, 1], stop[:, 1]], dim=1)
        return pasted(foreground, background, edges)


def _moved_inside(center: Tensor, ratio: Tensor, size: Tensor) -> tuple[Tensor, Tensor]:
    """Return ends (m, 2) of boxes that hold `center`; sides are rounded up."""
    side = torch.minimum((size * ratio).ceil().long(), size)
    start = torch.minimum((center - side // 2).clamp(min=0), size - side)
    return start, start + side
