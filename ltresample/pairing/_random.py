"""Pairing at random, as CMO does."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ltresample.pairing._base import Side

__all__ = ["RandomPairing"]


@dataclass(frozen=True)
class RandomPairing:
    """Pair the i-th foreground with the i-th background, as CMO does [1]_.

    Both batches are drawn at random, so that this is a random pairing.

    References
    ----------
    .. [1] Park, Hong, Heo, Yun, Choi, "The Majority Can Help The Minority: Context-rich Minority
       Oversampling for Long-tailed Classification", CVPR 2022, arXiv:2112.00412.

    Examples
    --------
    >>> side = Side(torch.tensor([0, 1, 1]))
    >>> RandomPairing().pair(side, side, torch.rand(3))
    tensor([0, 1, 2])
    """

    needs_features = False
    needs_affinity = False

    def pair(
        self, foreground: Side, background: Side, u: Tensor, *, class_affinity: Tensor | None = None
    ) -> Tensor:
        """Return 0, 1, 2, ... on the CPU, beginning anew if there are fewer backgrounds."""
        return torch.arange(len(foreground.y)) % len(background.y)
