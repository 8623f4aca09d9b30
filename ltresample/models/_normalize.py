"""Normalisation of images as the first layer of a network."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, fx, nn

__all__ = ["Normalize"]


@fx.wrap  # tracing passes over it
def _check_floats(x: Tensor) -> None:
    """Refuse bytes, which the clip would make white but for those that are 0."""
    if not x.is_floating_point():
        raise TypeError(
            f"Images must be floats in [0, 1]. Got {x.dtype}. Divide bytes by 255: x.float() / 255."
        )


class Normalize(nn.Module):
    """Clip images to [0, 1] and standardise each channel: ``(clip(x, 0, 1) - mean) / std``.

    The clip passes gradients inside [0, 1] and on its border, and none outside.

    Parameters
    ----------
    mean, std : sequence of float, of length C
        Per channel, for pixels in [0, 1]; `std` is positive.

    Raises
    ------
    ValueError
        If the lengths differ or a `std` is not positive.
    TypeError
        At a call, if images are no floats.

    Examples
    --------
    >>> Normalize([0.5], [0.25])(torch.tensor([[[[0.0, 1.0, 2.0]]]]))
    tensor([[[[-2.,  2.,  2.]]]])
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]):
        super().__init__()
        if len(mean) != len(std) or not all(s > 0 for s in std):
            raise ValueError(
                "mean and std must have one entry per channel, and std must be positive. "
                f"Got mean={list(mean)} and std={list(std)}."
            )
        self.register_buffer("mean", torch.tensor([float(m) for m in mean])[:, None, None])
        self.register_buffer("std", torch.tensor([float(s) for s in std])[:, None, None])

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised images of the same shape (n, C, H, W)."""
        _check_floats(x)
        # clamp alone has gradient 0 at the border in some versions of PyTorch
        clipped = torch.where((x >= 0) & (x <= 1), x, x.detach().clamp(0, 1))
        return (clipped - self.mean) / self.std
