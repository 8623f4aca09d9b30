"""Augmentation of image batches where they lie: on the processor or on the device."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Generator, Tensor
from torch.nn.functional import pad

__all__ = ["RandomCropFlip"]


@dataclass(frozen=True)
class RandomCropFlip:
    """Pad images, crop them at random to their size, and flip some of them left to right.

    The augmentation of the long-tailed CIFAR experiments [1]_, for ``augment=`` of
    `DeferredRebalancingClassifier`: pad by 4, crop, flip every other image. A whole batch is done at
    once, on the device on which it lies.

    Parameters
    ----------
    padding : int, default=4
        Pixels added on each side, at least 0.
    flip : float, default=0.5
        Probability of a flip, in [0, 1].
    fill : float, default=0.0
        Value of the added pixels, in the units of the images that are passed; 8-bit images reach
        ``augment=`` in [0, 1], where 0 is black.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Notes
    -----
    Three numbers are drawn for each image, one image after the other, from a generator of the CPU:
    what happens to an image depends on its place in the batch, and neither on the other images nor
    on the device.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
       arXiv:1512.03385, section 4.2; Cao, Wei, Gaidon, Arechiga, Ma, "Learning Imbalanced Datasets
       with Label-Distribution-Aware Margin Loss", NeurIPS 2019, arXiv:1906.07413.

    Examples
    --------
    >>> import torch
    >>> x = torch.arange(9.0).reshape(1, 1, 3, 3)
    >>> RandomCropFlip(padding=1)(x, torch.Generator().manual_seed(0))[0, 0]
    tensor([[0., 5., 4.],
            [0., 8., 7.],
            [0., 0., 0.]])
    """

    padding: int = 4
    flip: float = 0.5
    fill: float = 0.0

    def __post_init__(self):
        if not (isinstance(self.padding, int) and self.padding >= 0 and 0 <= self.flip <= 1):
            raise ValueError(
                "padding must be an integer of at least 0, and flip a probability in [0, 1]. Got "
                f"padding={self.padding!r}, flip={self.flip!r}."
            )

    def __call__(self, x: Tensor, generator: Generator) -> Tensor:
        """Augment a batch.

        Parameters
        ----------
        x : Tensor of shape (B, C, H, W) or (B, H, W)
            Images of any type, on any device. Not written.
        generator : torch.Generator
            Of the CPU.

        Returns
        -------
        Tensor of the shape of `x`
            Of its type, device and memory format.

        Raises
        ------
        ValueError
            If `x` is no batch of images.
        """
        if x.dim() not in (3, 4):
            raise ValueError(
                "RandomCropFlip moves pixels of images (B, C, H, W) or (B, H, W). Got rows of shape "
                f"{tuple(x.shape[1:])}. Leave augment out for tables."
            )
        u = torch.rand(len(x), 3, generator=generator, dtype=torch.float64)
        shift = (u[:, :2] * (2 * self.padding + 1)).long()
        # three numbers an image go to the device, and not a position for each of its pixels
        drawn = torch.cat([shift, (u[:, 2:] < self.flip).long()], dim=1).to(x.device)
        place = _places(x.shape[-2:], self.padding, *drawn.unbind(1))
        layout = _memory_format(x)
        rows = x if x.dim() == 4 else x[:, None]
        padded = pad(rows, [self.padding] * 4, value=self.fill).flatten(2)
        out = padded.gather(2, place[:, None].expand(-1, rows.shape[1], -1))
        return out.view(x.shape).contiguous(memory_format=layout)


def _places(size: torch.Size, padding: int, top: Tensor, left: Tensor, flipped: Tensor) -> Tensor:
    """Return the position in its padded image of each pixel that is kept, (B, H * W)."""
    height, width = size
    columns = torch.arange(width, device=left.device)
    columns = torch.where(flipped[:, None] > 0, columns.flip(0), columns) + left[:, None]
    rows = torch.arange(height, device=top.device) + top[:, None]
    return (rows[:, :, None] * (width + 2 * padding) + columns[:, None]).flatten(1)


def _memory_format(x: Tensor) -> torch.memory_format:
    is_last = x.dim() == 4 and not x.is_contiguous()
    is_last = is_last and x.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if is_last else torch.contiguous_format
