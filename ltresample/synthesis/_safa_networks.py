"""The four networks of SAFA (Hong, Zhang, Sun and Yan, ECCV 2022)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltresample.models import initialize, uninitialized

__all__ = ["SafaNetworks"]


class SafaNetworks(nn.Module):
    """The four networks: E and G (C -> C), D (2 C -> C), Q (2 C -> one logit).

    Each is convolution, batch normalisation, ReLU, convolution; Q pools and ends in a linear layer.
    On vectors convolutions are linear layers. A delta has C channels, as it is added to a feature.

    Parameters
    ----------
    n_channels : int
        C.
    n_dims : {0, 2}, default=2
        0 for vectors (n, C), 2 for maps (n, C, H, W).
    width : int or None, default=None
        Hidden channels of E, D and G; None stands for C.
    contrast_width : int or None, default=None
        Hidden channels of Q; None stands for `width`.
    residual : bool, default=False
        Let G add to its input, ``G(x) = x + body(x)``. Ours: it starts near the feature, so that it
        need not learn to give it back.
    generator : torch.Generator or None, default=None
        Source of the starting weights; None: PyTorch's global generator.

    Examples
    --------
    >>> networks = SafaNetworks(8, generator=torch.Generator().manual_seed(0))
    >>> x = torch.zeros(3, 8, 4, 4)
    >>> networks.move(networks.delta(x - x), x).shape
    torch.Size([3, 8, 4, 4])
    """

    def __init__(
        self,
        n_channels: int,
        *,
        n_dims: int = 2,
        width: int | None = None,
        contrast_width: int | None = None,
        residual: bool = False,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.residual = residual
        width = width or n_channels
        q_width = contrast_width or width
        with uninitialized():
            # E: C -> C, D: 2 C -> C, G: C -> C; Q: 2 C -> C_Q, of which the head gives a logit
            self.encoder = _body(n_dims, n_channels, width, n_channels)
            self.adapter = _body(n_dims, 2 * n_channels, width, n_channels)
            self.generator = _body(n_dims, n_channels, width, n_channels)
            self.contrast = _body(n_dims, 2 * n_channels, q_width, q_width, first_kernel=1)
            self.contrast_head = nn.Linear(q_width, 1)
        initialize(self, generator)

    def delta(self, difference: Tensor) -> Tensor:
        """Return Delta = E(F^i - F^j) (Eq. 2)."""
        return self.encoder(difference)

    def move(self, delta: Tensor, x: Tensor) -> Tensor:
        """Return G(D([Delta; F]) + F) (Eq. 3)."""
        near = self.adapter(torch.cat([delta, x], 1)) + x  # Delta_t + F_t, (n, C, ...)
        return near + self.generator(near) if self.residual else self.generator(near)

    def same_class(self, pairs: Tensor) -> Tensor:
        """Return the logits (n,) of "of one class" for concatenated pairs (n, 2 C, ...)."""
        hidden = self.contrast(pairs)  # (n, C_Q, ...)
        pooled = hidden if hidden.dim() == 2 else hidden.mean(tuple(range(2, hidden.dim())))
        return self.contrast_head(pooled)[:, 0]


def _body(
    n_dims: int, n_in: int, width: int, n_out: int, *, first_kernel: int = 3
) -> nn.Sequential:
    if n_dims == 0:
        first, norm = nn.Linear(n_in, width), nn.BatchNorm1d(width)
        return nn.Sequential(first, norm, nn.ReLU(), nn.Linear(width, n_out))
    first = nn.Conv2d(n_in, width, first_kernel, padding=first_kernel // 2)
    last = nn.Conv2d(width, n_out, 3, padding=1)
    return nn.Sequential(first, nn.BatchNorm2d(width), nn.ReLU(), last)
