"""UniMix: ratios that favour the smaller class of a pair."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from ltresample.mixing._base import Mixed, check_alpha, draw_ratio
from ltresample.mixing._mixup import mixup

__all__ = ["UniMix", "unimix_ratio"]


def unimix_ratio(beta: Tensor, n_foreground: Tensor, n_background: Tensor) -> Tensor:
    """Return UniMix's share of the background, ``(beta + n_f / (n_f + n_b)) mod 1``.

    Parameters
    ----------
    beta : Tensor of shape (m,)
        Draws from Beta(alpha, alpha).
    n_foreground, n_background : Tensor of shape (m,)
        Training samples of the two classes.

    Returns
    -------
    Tensor of shape (m,)
        Shares in [0, 1).

    Examples
    --------
    >>> unimix_ratio(torch.tensor([0.1, 0.9]), torch.tensor([10, 10]), torch.tensor([30, 30]))
    tensor([0.3500, 0.1500])
    """
    return (beta + n_foreground / (n_foreground + n_background)) % 1


@dataclass(frozen=True)
class UniMix:
    """Average two samples with a ratio that follows the counts of their classes [1]_.

    ``x = lam * background + (1 - lam) * foreground`` with ``lam = (Beta(alpha, alpha) +
    n_f / (n_f + n_b)) mod 1``, drawn for each pair. UniMix also draws its partners in its own way:
    inside the batch, with sample weights ``N_y^tau``, which is a foreground power of ``-tau``.

    Parameters
    ----------
    alpha : float, default=0.8
        Above 0; below 1, so that most of a pair is its smaller class.

    References
    ----------
    .. [1] Xu, Chai, Yuan, "Towards Calibrated Model for Long-Tailed Visual Recognition from Prior
       Perspective", NeurIPS 2021, arXiv:2111.03874.

    Examples
    --------
    >>> mix = UniMix()
    >>> beta = mix.draw(1, (2,), torch.Generator().manual_seed(0))
    >>> counts = {"n_foreground": torch.tensor([5]), "n_background": torch.tensor([95])}
    >>> mixed = mix.mix(torch.zeros(1, 2), torch.ones(1, 2), beta, **counts)
    >>> bool((mixed.lam - (beta + 0.05) % 1).abs() < 1e-6)
    True
    """

    alpha: float = 0.8
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
        """Draw m numbers from Beta(alpha, alpha).

        Raises
        ------
        ValueError
            If `max_lam` is below 1.
        """
        if max_lam < 1:
            raise ValueError(
                "UniMix's ratio follows from the counts of the classes, so that no share of the "
                f"foreground can be guaranteed. Got max_lam={max_lam!r}. Pass min_foreground=0, or "
                "another way to mix."
            )
        return draw_ratio(m, self.alpha, generator)

    def mix(
        self,
        foreground: Tensor,
        background: Tensor,
        params: Tensor,
        *,
        n_foreground: Tensor,
        n_background: Tensor,
    ) -> Mixed:
        """Average m pairs."""
        lam = unimix_ratio(params, n_foreground.cpu(), n_background.cpu())
        return Mixed(mixup(foreground, background, lam), lam)
