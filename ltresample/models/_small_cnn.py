"""A small convolutional network."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltresample.models._heads import make_head
from ltresample.models._initialize import initialize, uninitialized

__all__ = ["SmallCNN"]


class SmallCNN(nn.Module):
    """Three convolution blocks and a global average pool, for small images of any size.

    3x3 convolution, batch normalisation, ReLU, with `width`, 2 `width`, 2 `width` channels and
    strides 1, 2, 2.

    Parameters
    ----------
    n_channels : int
        Channels of an image.
    n_classes : int
        Number of classes K.
    width : int, default=32
        Channels of the first block; half the number of features.
    head : {"linear", "cosine"}, default="linear"
        Last layer.
    generator : torch.Generator or None, default=None
        Where starting weights come from; None: PyTorch's global generator.

    Examples
    --------
    >>> network = SmallCNN(1, 10)
    >>> network(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 10])
    >>> network.features(torch.zeros(2, 1, 8, 8)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self,
        n_channels: int,
        n_classes: int,
        *,
        width: int = 32,
        head: str = "linear",
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        with uninitialized():
            self.body = nn.Sequential(
                *_block(n_channels, width, 1),
                *_block(width, 2 * width, 2),
                *_block(2 * width, 2 * width, 2),
            )
            self.head = make_head(head, 2 * width, n_classes)
        initialize(self, generator)

    def features(self, x: Tensor) -> Tensor:
        """Return pooled features (n, 2 * width) of images (n, C, H, W)."""
        return self.body(x).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, K) of images (n, C, H, W)."""
        return self.head(self.features(x))


def _block(n_in: int, n_out: int, stride: int) -> tuple[nn.Module, nn.Module, nn.Module]:
    conv = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
    return conv, nn.BatchNorm2d(n_out), nn.ReLU()
