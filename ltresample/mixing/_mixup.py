"""Mixup: weighted means of samples."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltresample.mixing._base import Mixed, as_column, check_alpha, check_pairs, draw_ratio

__all__ = ["Mixup", "mixup"]


def mixup(foreground: Tensor, background: Tensor, lam: Tensor) -> Tensor:
    """Return ``lam * background + (1 - lam) * foreground``.

    Parameters
    ----------
    foreground, background : Tensor of shape (m, ...)
        Rows of any kind.
    lam : Tensor of shape (m,)
        Share of the background, in [0, 1].

    Returns
    -------
    Tensor of shape (m, ...)
        Mixed rows, in the type of the foregrounds.

    Raises
    ------
    ValueError
        If the two batches differ in shape.

    Examples
    --------
    >>> mixup(torch.tensor([[1.0, 0.0]]), torch.tensor([[0.0, 1.0]]), torch.tensor([0.25]))
    tensor([[0.7500, 0.2500]])
    """
    check_pairs(foreground, background)
    lam = as_column(lam, foreground)
    return lam * background + (1 - lam) * foreground


@dataclass(frozen=True)
class Mixup:
    """Average two samples, with a ratio from Beta(alpha, alpha) [1]_.

    ``x = lam * background + (1 - lam) * foreground``. For tables and images.

    Parameters
    ----------
    alpha : float, default=1.0
        Above 0; the larger, the nearer are ratios to 1/2.
    shared : bool, default=True
        One ratio for a whole batch, as in published code; False: one for each pair.

    References
    ----------
    .. [1] Zhang, Cisse, Dauphin, Lopez-Paz, "mixup: Beyond Empirical Risk Minimization", ICLR 2018,
       arXiv:1710.09412.

    Examples
    --------
    >>> mix = Mixup(shared=False)
    >>> params = mix.draw(2, (3,), torch.Generator().manual_seed(0))
    >>> mixed = mix.mix(torch.zeros(2, 3), torch.ones(2, 3), params)
    >>> torch.equal(mixed.x[:, 0].double(), mixed.lam.float().double())
    True
    """

    alpha: float = 1.0
    shared: bool = True
    needs_images: ClassVar[bool] = False
    blends: ClassVar[bool] = True

    def __post_init__(self):
        check_alpha(self.alpha)

    def draw(
        self,
        m: int,
        row_shape: tuple[int, ...],
        generator: torch.Generator,
        *,
        max_lam: float = 1.0,
    ) -> Tensor:
        """Draw ratios (m,) of at most `max_lam`."""
        return draw_ratio(m, self.alpha, generator, max_lam=max_lam, shared=self.shared)

    def mix(
        self,
        foreground: Tensor,
        background: Tensor,
        params: Tensor,
        *,
        n_foreground: Tensor | None = None,
        n_background: Tensor | None = None,
    ) -> Mixed:
        """Average m pairs; class counts are of no meaning."""
        return Mixed(mixup(foreground, background, params), params)
