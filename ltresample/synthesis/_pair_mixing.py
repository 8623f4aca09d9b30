"""Mixing pairs: backgrounds from the data as they are, foregrounds from classes alike (OTMix, CMO).

Gao, Zhao, Li and Guo, "Enhancing Minority Classes by Mixing: An Adaptive Optimal Transport Approach
for Long-tailed Classification", NeurIPS 2023; in the comments Eq. refers to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ltresample._random import Seed
from ltresample.mixing import LabelRule, Mix, Mixed
from ltresample.pairing import Pairing, RandomPairing, Side
from ltresample.rows import Pool, Rows, Space

__all__ = ["MixDraw", "MixedRows", "PairMixing"]


class MixDraw(NamedTuple):
    """What is random about a block of B foregrounds and B backgrounds, of which m pairs are mixed.

    The first m foregrounds are those that are wanted.
    """

    foreground: Tensor  # (B,) rows of the pool
    background: Tensor  # (B,) rows of the pool
    uniform: Tensor  # (B,) for the pairing
    params: Any  # for the mix, of m pairs
    coin: Tensor  # (m,) which of the two gives its categories


class MixedRows(NamedTuple):
    """Mixed rows, in the order of the foregrounds that were wanted."""

    x: Tensor  # (m, *row_shape)
    lam: Tensor  # (m,) share of the background in the label, double precision
    background: Tensor  # (m,) row of the pool


@dataclass(frozen=True)
class PairMixing:
    """A pairing, a way to mix and a rule for labels.

    Parameters
    ----------
    mix : Mix
        How two samples are put together.
    pairing : Pairing, default=RandomPairing()
        Which background a foreground gets.
    label_rule : LabelRule or None, default=None
        How much of the label is the background's; None: its share of the sample.
    class_affinity : Tensor of shape (K, K) or None, default=None
        For the pairing.
    min_foreground : float, default=0.0
        Least share of the foreground in the sample, in [0, 1).
    image_shape : tuple of int or None, default=None
        (C, H, W) or (H, W) of rows that are flat images.
    categorical : bool Tensor of shape row_shape or None, default=None
        Columns whose values are copied from one of the two, never averaged; all from the same one,
        the foreground with probability 1 - lam, so that groups of columns stay valid together.
    block_size : int, default=128
        B, how many foregrounds and backgrounds are paired at once.
    """

    mix: Mix
    pairing: Pairing = RandomPairing()
    label_rule: LabelRule | None = None
    class_affinity: Tensor | None = None
    min_foreground: float = 0.0
    image_shape: tuple[int, ...] | None = None
    categorical: Tensor | None = None
    block_size: int = 128

    def draw(
        self, pool: Pool, foreground: Tensor, seed: Seed, *, n_wanted: int | None = None
    ) -> MixDraw:
        """Make all random choices for one block.

        Parameters
        ----------
        pool : Pool
            Real samples; backgrounds are drawn from all of them alike (Eq. 2).
        foreground : Tensor of shape (B,)
            Rows of the pool, those that are wanted first.
        seed : Seed
            Of the block.
        n_wanted : int or None, default=None
            m, how many foregrounds are to be mixed; None: all.

        Returns
        -------
        MixDraw
            The draw.
        """
        n = len(foreground)
        m = n if n_wanted is None else n_wanted
        u = torch.rand(n, generator=seed.child("background").torch(), dtype=torch.float64)
        uniform = torch.rand(n, generator=seed.child("pair").torch(), dtype=torch.float64)
        coin = torch.rand(m, generator=seed.child("coin").torch(), dtype=torch.float64)
        return MixDraw(
            foreground=foreground,
            background=(u * len(pool.y)).long().to(foreground.device),
            uniform=uniform,
            params=self.draw_mix(m, pool.x.row_shape, seed),
            coin=coin,
        )

    def draw_mix(self, m: int, row_shape: tuple[int, ...], seed: Seed) -> Any:
        """Draw the mix's parameters for m pairs."""
        generator, max_lam = seed.child("mix").torch(), 1 - self.min_foreground
        return self.mix.draw(m, self.image_shape or row_shape, generator, max_lam=max_lam)

    def synthesize(self, pool: Pool, features: Rows | None, draw: MixDraw) -> MixedRows:
        """Pair and mix one block. Deterministic.

        Parameters
        ----------
        pool : Pool
            Real samples.
        features : Rows or None
            Features of each row of the pool, where the pairing needs them.
        draw : MixDraw
            The draw.

        Returns
        -------
        MixedRows
            The mixed rows.
        """
        sides = [
            Side(pool.y[rows], features.take(rows) if self.pairing.needs_features else None)
            for rows in (draw.foreground, draw.background)
        ]
        pairs = self.pairing.pair(*sides, draw.uniform, class_affinity=self.class_affinity)
        m = len(draw.coin)
        foreground, background = draw.foreground[:m], draw.background[pairs[:m]]
        x, lam = self.mixed(
            pool.x.take(foreground),
            pool.x.take(background),
            draw.params,
            draw.coin,
            n_foreground=pool.class_counts[pool.y[foreground]],
            n_background=pool.class_counts[pool.y[background]],
            space=pool.space,
        )
        return MixedRows(x, lam, background)

    def mixed(
        self,
        foreground: Tensor,
        background: Tensor,
        params: Any,
        coin: Tensor,
        *,
        n_foreground: Tensor,
        n_background: Tensor,
        space: Space,
    ) -> Mixed:
        """Mix m pairs of rows, and give the background's share of each label."""
        shape = foreground.shape if self.image_shape is None else (-1, *self.image_shape)
        counts = {"n_foreground": n_foreground.cpu(), "n_background": n_background.cpu()}
        x, lam = self.mix.mix(foreground.view(shape), background.view(shape), params, **counts)
        x = x.view_as(foreground)
        if self.mix.blends:
            x = self._valid(x, foreground, background, coin >= lam, space)
        if self.label_rule is not None:
            lam = self.label_rule.share(lam, **counts)
        return Mixed(x, lam)

    def _valid(
        self, x: Tensor, foreground: Tensor, background: Tensor, own: Tensor, space: Space
    ) -> Tensor:
        """Keep categories and whole numbers what they are, and all values between the two."""
        low, high = torch.minimum(foreground, background), torch.maximum(foreground, background)
        x = space.rounded(torch.minimum(torch.maximum(x, low), high))
        if self.categorical is None:
            return x
        own = own.to(x.device).view(-1, *([1] * (x.dim() - 1)))
        return torch.where(self.categorical, torch.where(own, foreground, background), x)
