"""ColumnSwap: some columns of one row, the others of another."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, NamedTuple

import torch
from torch import Tensor

from ltresample.mixing._base import Mixed, check_alpha, check_pairs, draw_ratio

__all__ = ["ColumnDraw", "ColumnSwap", "swap_columns"]


class ColumnDraw(NamedTuple):
    """Which columns come from the foreground."""

    lam: Tensor  # (m,) share of columns that is to stay background
    order: Tensor  # (m, *row_shape) uniform numbers; the smallest ones are the foreground's


def swap_columns(foreground: Tensor, background: Tensor, mask: Tensor) -> Tensor:
    """Return the backgrounds with the foregrounds' values in the columns of `mask`.

    Parameters
    ----------
    foreground, background : Tensor of shape (m, ...)
        Rows of any kind.
    mask : bool Tensor of shape (m, ...)
        True where the value is the foreground's.

    Returns
    -------
    Tensor of shape (m, ...)
        A new batch.

    Raises
    ------
    ValueError
        If the two batches differ in shape.

    Examples
    --------
    >>> mask = torch.tensor([[True, False, False]])
    >>> swap_columns(torch.ones(1, 3), torch.zeros(1, 3), mask)
    tensor([[1., 0., 0.]])
    """
    check_pairs(foreground, background)
    return torch.where(mask.to(foreground.device), foreground, background)


@dataclass(frozen=True)
class ColumnSwap:
    """Copy each column from one of two rows: what CutMix is to images, for tables.

    ``lam ~ Beta(alpha, alpha)``; of d columns, ``round((1 - lam) d)`` drawn without replacement are
    the foreground's. Afterwards lam is the share of columns that are left of the background. Every
    value occurs in the data.

    Parameters
    ----------
    alpha : float, default=1.0
        Above 0; the larger, the nearer are ratios to 1/2.
    shared : bool, default=False
        The same columns for a whole batch; False: others for each pair.

    Examples
    --------
    >>> mix = ColumnSwap(alpha=4.0)
    >>> params = mix.draw(1, (6,), torch.Generator().manual_seed(0))
    >>> mixed = mix.mix(torch.zeros(1, 6), torch.ones(1, 6), params)
    >>> bool(mixed.x.mean() == mixed.lam.float())
    True
    """

    alpha: float = 1.0
    shared: bool = False
    needs_images: ClassVar[bool] = False
    blends: ClassVar[bool] = False

    def __post_init__(self):
        check_alpha(self.alpha)

    def draw(
        self,
        m: int,
        row_shape: tuple[int, ...],
        generator: torch.Generator,
        *,
        max_lam: float = 1.0,
    ) -> ColumnDraw:
        """Draw ratios of at most `max_lam` and an order of the columns."""
        lam = draw_ratio(m, self.alpha, generator, max_lam=max_lam, shared=self.shared)
        n = 1 if self.shared else m
        order = torch.rand(n, *row_shape, generator=generator)
        return ColumnDraw(lam, order.expand(m, *row_shape).clone())

    def mix(
        self,
        foreground: Tensor,
        background: Tensor,
        params: ColumnDraw,
        *,
        n_foreground: Tensor | None = None,
        n_background: Tensor | None = None,
    ) -> Mixed:
        """Swap columns of m pairs; class counts are of no meaning."""
        check_pairs(foreground, background)
        order = params.order.flatten(1)  # (m, d)
        d = order.shape[1]
        rank = order.argsort(dim=1).argsort(dim=1)
        # the tiny shift keeps a share that is a whole number of columns from being rounded past it
        n_own = ((1 - params.lam) * d - 1e-9).round().long()  # (m,)
        mask = (rank < n_own[:, None]).view_as(params.order)
        return Mixed(swap_columns(foreground, background, mask), 1 - n_own.double() / d)
