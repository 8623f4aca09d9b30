"""RIDE: experts that share their first layers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltresample.models._heads import make_head
from ltresample.models._initialize import initialize, uninitialized
from ltresample.models._resnet_cifar import residual_stage

__all__ = ["ExpertMean", "RIDEResNet"]


class ExpertMean(nn.Module):
    """The last layer of an ensemble: the mean of its experts' logits.

    What enters it is the third argument of `ltresample.losses.RIDELoss`.

    Examples
    --------
    >>> ExpertMean()(torch.tensor([[[1.0, 0.0], [0.0, 2.0]]]))
    tensor([[0.5000, 1.0000]])
    """

    def forward(self, experts: Tensor) -> Tensor:
        """Return the mean (n, K) of logits (n, n_experts, K)."""
        return experts.mean(1)


class RIDEResNet(nn.Module):
    """Residual network for CIFAR with several experts (RIDE) [1]_.

    First convolution and first stage of `ResNetCifar` are shared; each expert has second and third
    stages of its own, with fewer channels, and a head. The logits are the mean of the experts'.

    Parameters
    ----------
    depth : int
        Number of layers with weights on the way through an expert: 6 m + 2 with m >= 1.
    n_classes : int
        Number of classes K.
    n_experts : int, default=3
        Number of experts, at least 1.
    n_channels : int, default=3
        Channels of an image.
    width : int, default=16
        Channels of the first stage.
    expert_width : int or None, default=None
        Channels of the second stage; the third has twice as many. None: 1.5 `width`, in place of
        `ResNetCifar`'s 2 `width`.
    head : {"linear", "cosine"}, default="cosine"
        Last layer of each expert.
    normalize : nn.Module or None, default=None
        First layer, without parameters: `Normalize` takes images in [0, 1].
    generator : torch.Generator or None, default=None
        Where starting weights come from; None: PyTorch's global generator.

    Raises
    ------
    ValueError
        If there is no network of this depth, or no expert.

    Notes
    -----
    The router, which asks only as many experts as a row needs, and distillation are left out: this is
    the row "RIDE (3 experts)" of tables.

    References
    ----------
    .. [1] Wang, Lian, Miao, Liu, Yu. Long-tailed Recognition by Routing Diverse Distribution-Aware
       Experts. ICLR 2021. arXiv:2010.01809.

    Examples
    --------
    >>> network = RIDEResNet(8, 10)
    >>> x = torch.zeros(2, 3, 32, 32)
    >>> network(x).shape, network.experts(x).shape, network.features(x).shape
    (torch.Size([2, 10]), torch.Size([2, 3, 10]), torch.Size([2, 144]))
    """

    def __init__(
        self,
        depth: int,
        n_classes: int,
        *,
        n_experts: int = 3,
        n_channels: int = 3,
        width: int = 16,
        expert_width: int | None = None,
        head: str = "cosine",
        normalize: nn.Module | None = None,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        n_blocks, rest = divmod(depth - 2, 6)
        if rest or n_blocks < 1:
            raise ValueError(
                f"depth must be 6 m + 2 with m >= 1: 8, 14, 20, 26, 32, ... Got depth={depth!r}."
            )
        if n_experts < 1:
            raise ValueError(f"n_experts must be at least 1. Got n_experts={n_experts!r}.")
        own = 3 * width // 2 if expert_width is None else expert_width
        with uninitialized():
            self.normalize = nn.Identity() if normalize is None else normalize
            self.conv = nn.Conv2d(n_channels, width, 3, padding=1, bias=False)
            self.bn = nn.BatchNorm2d(width)
            self.stage1 = residual_stage(width, width, n_blocks, 1)
            self.stage2 = nn.ModuleList(
                residual_stage(width, own, n_blocks, 2) for _ in range(n_experts)
            )
            self.stage3 = nn.ModuleList(
                residual_stage(own, 2 * own, n_blocks, 2) for _ in range(n_experts)
            )
            self.heads = nn.ModuleList(
                make_head(head, 2 * own, n_classes) for _ in range(n_experts)
            )
            self.mean = ExpertMean()
        initialize(self, generator)

    def _features(self, x: Tensor) -> list[Tensor]:
        """Return pooled features (n, d) of each expert."""
        x = self.stage1(self.bn(self.conv(self.normalize(x))).relu())
        stages = zip(self.stage2, self.stage3, strict=True)
        return [last(first(x)).mean((2, 3)) for first, last in stages]

    def features(self, x: Tensor) -> Tensor:
        """Return all experts' features side by side, (n, n_experts * d), of images (n, C, H, W)."""
        return torch.cat(self._features(x), dim=1)

    def experts(self, x: Tensor) -> Tensor:
        """Return the logits of each expert (n, n_experts, K) of images (n, C, H, W)."""
        parts = zip(self.heads, self._features(x), strict=True)
        return torch.stack([head(h) for head, h in parts], dim=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the mean logits (n, K) of images (n, C, H, W)."""
        return self.mean(self.experts(x))
