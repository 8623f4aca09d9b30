"""Residual networks for 32x32 images."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from ltresample.models._heads import make_head
from ltresample.models._initialize import initialize, uninitialized

__all__ = [
    "ResNet20",
    "ResNet32",
    "ResNet44",
    "ResNet56",
    "ResNet110",
    "ResNetCifar",
    "residual_stage",
]


class ResNetCifar(nn.Module):
    """Residual network for CIFAR [1]_.

    3x3 convolution, batch normalisation, ReLU; three stages of ``(depth - 2) / 6`` blocks with
    `width`, 2 `width`, 4 `width` channels and strides 1, 2, 2; global average pool; head. Where a
    block changes the shape, its shortcut has no parameters ("option A"): every second pixel, and
    channels of zeros, half of them before and half after.

    Parameters
    ----------
    depth : int
        Number of layers with weights: 6 m + 2 with m >= 1.
    n_classes : int
        Number of classes K.
    n_channels : int, default=3
        Channels of an image.
    width : int, default=16
        Channels of the first stage; a quarter of the number of features.
    head : {"linear", "cosine"}, default="linear"
        Last layer; LDAM uses "cosine".
    normalize : nn.Module or None, default=None
        First layer, without parameters: `Normalize` takes images in [0, 1].
    generator : torch.Generator or None, default=None
        Where starting weights come from; None: PyTorch's global generator.

    Raises
    ------
    ValueError
        If there is no network of this depth.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Deep Residual Learning for Image Recognition", CVPR 2016,
       arXiv 1512.03385, section 4.2.

    Examples
    --------
    >>> network = ResNetCifar(20, 10)
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    >>> network.features(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self,
        depth: int,
        n_classes: int,
        *,
        n_channels: int = 3,
        width: int = 16,
        head: str = "linear",
        normalize: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        n_blocks, rest = divmod(depth - 2, 6)
        if rest or n_blocks < 1:
            raise ValueError(
                f"depth must be 6 m + 2 with m >= 1: 8, 14, 20, 26, 32, ... Got depth={depth!r}."
            )
        with uninitialized():
            self.normalize = nn.Identity() if normalize is None else normalize
            self.conv = nn.Conv2d(n_channels, width, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(width)
            self.stage1 = residual_stage(width, width, n_blocks, 1)
            self.stage2 = residual_stage(width, 2 * width, n_blocks, 2)
            self.stage3 = residual_stage(2 * width, 4 * width, n_blocks, 2)
            self.head = make_head(head, 4 * width, n_classes)
        initialize(self, generator)

    def features(self, x: Tensor) -> Tensor:
        """Return pooled features (n, 4 * width) of images (n, C, H, W)."""
        x = self.bn(self.conv(self.normalize(x))).relu()
        return self.stage3(self.stage2(self.stage1(x))).mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, K) of images (n, C, H, W)."""
        return self.head(self.features(x))


class _Block(nn.Module):
    """Two convolutions and a shortcut without parameters."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.stride, self.n_new = stride, n_out - n_in

    def forward(self, x: Tensor) -> Tensor:
        y = self.bn1(self.conv1(x)).relu()
        return (self.bn2(self.conv2(y)) + self.shortcut(x)).relu()

    def shortcut(self, x: Tensor) -> Tensor:
        """Subsample, and add channels of zeros."""
        if self.stride > 1:
            x = x[:, :, :: self.stride, :: self.stride]
        before = self.n_new // 2
        return pad(x, (0, 0, 0, 0, before, self.n_new - before)) if self.n_new else x


def residual_stage(n_in: int, n_out: int, n_blocks: int, stride: int) -> nn.Sequential:
    """Return blocks of `n_out` channels, of which the first one takes `n_in` and has the stride."""
    rest = (_Block(n_out, n_out, 1) for _ in range(n_blocks - 1))
    return nn.Sequential(_Block(n_in, n_out, stride), *rest)


class ResNet20(ResNetCifar):
    """`ResNetCifar` of depth 20.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    **settings : dict
        Further parameters of `ResNetCifar`: `n_channels`, `width`, `head`, `normalize`, `generator`.

    Examples
    --------
    >>> network = ResNet20(10)
    >>> f"{sum(p.numel() for p in network.parameters()):,} parameters"
    '269,722 parameters'
    """

    def __init__(self, n_classes: int, **settings: Any):
        super().__init__(20, n_classes, **settings)


class ResNet32(ResNetCifar):
    """`ResNetCifar` of depth 32, the network of most long-tailed CIFAR experiments.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    **settings : dict
        Further parameters of `ResNetCifar`: `n_channels`, `width`, `head`, `normalize`, `generator`.

    Examples
    --------
    >>> network = ResNet32(10)
    >>> f"{sum(p.numel() for p in network.parameters()):,} parameters"
    '464,154 parameters'
    """

    def __init__(self, n_classes: int, **settings: Any):
        super().__init__(32, n_classes, **settings)


class ResNet44(ResNetCifar):
    """`ResNetCifar` of depth 44.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    **settings : dict
        Further parameters of `ResNetCifar`: `n_channels`, `width`, `head`, `normalize`, `generator`.

    Examples
    --------
    >>> network = ResNet44(10)
    >>> f"{sum(p.numel() for p in network.parameters()):,} parameters"
    '658,586 parameters'
    """

    def __init__(self, n_classes: int, **settings: Any):
        super().__init__(44, n_classes, **settings)


class ResNet56(ResNetCifar):
    """`ResNetCifar` of depth 56.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    **settings : dict
        Further parameters of `ResNetCifar`: `n_channels`, `width`, `head`, `normalize`, `generator`.

    Examples
    --------
    >>> network = ResNet56(10)
    >>> f"{sum(p.numel() for p in network.parameters()):,} parameters"
    '853,018 parameters'
    """

    def __init__(self, n_classes: int, **settings: Any):
        super().__init__(56, n_classes, **settings)


class ResNet110(ResNetCifar):
    """`ResNetCifar` of depth 110.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    **settings : dict
        Further parameters of `ResNetCifar`: `n_channels`, `width`, `head`, `normalize`, `generator`.

    Examples
    --------
    >>> network = ResNet110(10)
    >>> f"{sum(p.numel() for p in network.parameters()):,} parameters"
    '1,727,962 parameters'
    """

    def __init__(self, n_classes: int, **settings: Any):
        super().__init__(110, n_classes, **settings)
