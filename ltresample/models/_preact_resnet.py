"""A residual network with activations before the convolutions."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltresample.models._heads import make_head
from ltresample.models._initialize import initialize, uninitialized

__all__ = ["PreActResNet18"]


class PreActResNet18(nn.Module):
    """Pre-activation residual network with 18 layers, for images of 32 x 32 pixels [1]_.

    3x3 convolution; four stages of two blocks with `width`, 2, 4 and 8 `width` channels and
    strides 1, 2, 2, 2; batch normalisation, ReLU, global average pool; head. A block is batch
    normalisation, ReLU, convolution, twice, plus its input; where it changes the shape, a 1x1
    convolution of the activated input stands for the input.

    Parameters
    ----------
    n_classes : int
        Number of classes K.
    n_channels : int, default=3
        Channels of an image.
    width : int, default=64
        Channels of the first stage; an eighth of the number of features.
    head : {"linear", "cosine"}, default="linear"
        Last layer.
    normalize : nn.Module or None, default=None
        First layer, without parameters: `Normalize` takes images in [0, 1].
    generator : torch.Generator or None, default=None
        Where starting weights come from; None: PyTorch's global generator.

    Raises
    ------
    ValueError
        If there is no such head.

    Notes
    -----
    *Fidelity.* The network of M2m [2]_ for CelebA-5. The last normalisation and ReLU are those of
    [1]_, some published code leaves them out.

    References
    ----------
    .. [1] He, Zhang, Ren, Sun, "Identity Mappings in Deep Residual Networks", ECCV 2016,
       arXiv 1603.05027.
    .. [2] Kim, Jeong, Shin, "M2m: Imbalanced Classification via Major-to-minor Translation",
       CVPR 2020, arXiv 2004.00431.

    Examples
    --------
    >>> network = PreActResNet18(5, width=8)
    >>> network(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 5])
    >>> network.features(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 64])
    """

    def __init__(
        self,
        n_classes: int,
        *,
        n_channels: int = 3,
        width: int = 64,
        head: str = "linear",
        normalize: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        with uninitialized():
            self.normalize = nn.Identity() if normalize is None else normalize
            self.conv = nn.Conv2d(n_channels, width, 3, padding=1, bias=False)
            self.stage1 = _stage(width, width, 1)
            self.stage2 = _stage(width, 2 * width, 2)
            self.stage3 = _stage(2 * width, 4 * width, 2)
            self.stage4 = _stage(4 * width, 8 * width, 2)
            self.bn = nn.BatchNorm2d(8 * width)
            self.head = make_head(head, 8 * width, n_classes)
        initialize(self, generator)

    def features(self, x: Tensor) -> Tensor:
        """Return pooled features (n, 8 * width) of images (n, C, H, W)."""
        x = self.stage2(self.stage1(self.conv(self.normalize(x))))
        return self.bn(self.stage4(self.stage3(x))).relu().mean((2, 3))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, K) of images (n, C, H, W)."""
        return self.head(self.features(x))


class _Block(nn.Module):
    """Two activated convolutions and a shortcut."""

    def __init__(self, n_in: int, n_out: int, stride: int):
        super().__init__()
        self.bn1 = nn.BatchNorm2d(n_in)
        self.conv1 = nn.Conv2d(n_in, n_out, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(n_out)
        self.conv2 = nn.Conv2d(n_out, n_out, 3, padding=1, bias=False)
        changes = stride > 1 or n_in != n_out
        self.shortcut = nn.Conv2d(n_in, n_out, 1, stride=stride, bias=False) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        activated = self.bn1(x).relu()
        kept = x if self.shortcut is None else self.shortcut(activated)
        return self.conv2(self.bn2(self.conv1(activated)).relu()) + kept


def _stage(n_in: int, n_out: int, stride: int) -> nn.Sequential:
    return nn.Sequential(_Block(n_in, n_out, stride), _Block(n_out, n_out, 1))
