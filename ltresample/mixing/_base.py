"""What a way to mix two samples is, and the draw of the mixing ratio that all of them share."""

from __future__ import annotations

from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from scipy.special import betainc, betaincinv
from torch import Tensor

__all__ = ["LabelRule", "Mix", "Mixed", "draw_ratio"]


class Mixed(NamedTuple):
    """Mixed samples and what they are made of."""

    x: Tensor  # (m, *row_shape)
    lam: Tensor  # (m,) share of the background, in [0, 1], double precision


class Mix(Protocol):
    """A way to put a foreground and a background together.

    ``draw`` makes all random choices and gives them as plain data; ``mix`` is a function of two
    batches of equal shape and of that draw.
    """

    needs_images: ClassVar[bool]  # rows must be images (..., H, W)
    blends: ClassVar[bool]  # values are averaged; else each is copied from one of the two

    def draw(
        self,
        m: int,
        row_shape: tuple[int, ...],
        generator: torch.Generator,
        *,
        max_lam: float = 1.0,
    ) -> Any:
        """Draw the parameters for m pairs whose share of background is at most `max_lam`."""

    def mix(
        self,
        foreground: Tensor,
        background: Tensor,
        params: Any,
        *,
        n_foreground: Tensor,
        n_background: Tensor,
    ) -> Mixed:
        """Mix m pairs; `n_foreground` and `n_background` (m,) are the counts of their classes."""


class LabelRule(Protocol):
    """How much of the label is the background's, where that is not its share of the sample."""

    def share(self, lam: Tensor, n_foreground: Tensor, n_background: Tensor) -> Tensor:
        """Return the background's share of the label (m,), from its share `lam` of the sample."""


def draw_ratio(
    m: int,
    alpha: float,
    generator: torch.Generator,
    *,
    max_lam: float = 1.0,
    shared: bool = False,
) -> Tensor:
    r"""Draw mixing ratios from Beta(alpha, alpha), cut off at `max_lam`.

    By inversion, ``lam = F^{-1}(u F(max_lam))`` with u uniform and F the distribution function.

    Parameters
    ----------
    m : int
        Number of ratios.
    alpha : float
        Above 0. Towards 0 the ratios are 0 or 1, at 1 they are uniform, towards infinity 1/2.
    generator : torch.Generator
        On the CPU; the only source of randomness.
    max_lam : float, default=1.0
        Largest ratio, in (0, 1].
    shared : bool, default=False
        One ratio for all m.

    Returns
    -------
    Tensor of shape (m,)
        Ratios in [0, max_lam], double precision, on the CPU.

    Examples
    --------
    >>> lam = draw_ratio(1000, 4.0, torch.Generator().manual_seed(0), max_lam=0.5)
    >>> bool(lam.max() <= 0.5)
    True
    """
    u = torch.rand(1 if shared else m, generator=generator, dtype=torch.float64)
    lam = betaincinv(alpha, alpha, u.numpy() * betainc(alpha, alpha, max_lam))
    return torch.as_tensor(lam, dtype=torch.float64).clamp(0, max_lam).expand(m).clone()


def check_alpha(alpha: float) -> None:
    """Refuse a parameter that no Beta distribution has."""
    if not 0 < alpha < float("inf"):
        raise ValueError(
            f"alpha of the Beta distribution must be positive and finite. Got alpha={alpha!r}. "
            "Pass 1.0 for uniform ratios, more for ratios near a half."
        )


def check_pairs(foreground: Tensor, background: Tensor) -> None:
    """Refuse batches that do not fit each other."""
    if foreground.shape != background.shape or not foreground.dim():
        raise ValueError(
            "Foregrounds and backgrounds must have the same shape (m, ...). Got foregrounds of "
            f"shape {tuple(foreground.shape)} and backgrounds of shape {tuple(background.shape)}. "
            "Bring images to one size first."
        )


def as_column(lam: Tensor, like: Tensor) -> Tensor:
    """Return values (m,) in the type of `like`, so that they broadcast over its rows."""
    return lam.to(like).view(-1, *([1] * (like.dim() - 1)))
