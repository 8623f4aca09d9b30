"""A network that augments its images itself, behind synthesis."""

from __future__ import annotations

from typing import Any

from torch import Tensor, default_generator, nn

from ltresample.models import ResNetCifar
from ltresample.training import RandomCropFlip

__all__ = ["AugmentedResNet"]


class AugmentedResNet(nn.Module):
    """Return a `ResNetCifar` that crops its images in training mode, and in no other.

    Synthesis asks networks in evaluation mode and so starts from images as they are; what it makes is
    cropped with the rest of the batch. With ``augment=`` of the classifier it is the other way round:
    synthesis starts from cropped images.

    Parameters
    ----------
    depth, n_classes : int
        Of `ResNetCifar`.
    padding : int, default=2
        Pixels on each side from which crops are taken.
    **settings
        Of `ResNetCifar`.

    Notes
    -----
    Crops come from PyTorch's own generator, as dropout does: in training that is the classifier's.
    """

    def __init__(self, depth: int, n_classes: int, *, padding: int = 2, **settings: Any):
        super().__init__()
        self.network = ResNetCifar(depth, n_classes, **settings)
        self.crop = RandomCropFlip(padding=padding, flip=0.0)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (B, K) of images (B, C, H, W)."""
        return self.network(self.crop(x, default_generator) if self.training else x)
