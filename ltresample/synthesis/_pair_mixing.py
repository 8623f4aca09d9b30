"""Mixing pairs: backgrounds from the data as they are, class-balanced foregrounds (OTMix, CMO).

Gao, Zhao, Li and Guo, "Enhancing Minority Classes by Mixing: An Adaptive Optimal Transport Approach
for Long-tailed Classification", NeurIPS 2023; in the comments Eq. refers to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ltresample._random import Seed
from ltresample.guides import FeatureBank
from ltresample.mixing import LabelRule, Mix, Mixed
from ltresample.pairing import Pairing, RandomPairing, Side
from ltresample.rows import ArrayRows, Pool, Rows, Space
from ltresample.synthesis._method import LossTerm, Made, Method, Moment, RealBatch, Slots
from ltresample.synthesis._mix_network import ask_held_out, look_up_features
from ltresample.synthesis._mix_state import MixDraw, MixSchedule, MixState

__all__ = ["PairMixing"]


@dataclass(frozen=True)
class PairMixing(Method):
    """A pairing, a way to mix and a rule for labels.

    A transport plan between foregrounds of one class and any backgrounds does not depend on the cost
    between classes at all: it is a function of the column alone, which the dual variables absorb. So
    blocks hold foregrounds of all classes, as batches do in training: at least half of them wanted
    ones, the others of classes of which none is wanted, in such a number that classes come out
    alike, which only take part in the pairing.

    Parameters
    ----------
    mix : Mix
        How two samples are put together.
    pairing : Pairing, default=RandomPairing()
        Which background a foreground gets.
    label_rule : LabelRule or None, default=None
        How much of the label is the background's; None: its share of the sample.
    class_affinity : Tensor of shape (K, K), callable or None, default=None
        For the pairing; a callable computes it in training when it is first needed.
    features : Rows or None, default=None
        Features of each row of the pool, offline, where the pairing needs them.
    min_foreground : float, default=0.0
        Least share of the foreground in the sample, in [0, 1).
    image_shape : tuple of int or None, default=None
        (C, H, W) or (H, W) of rows that are flat images.
    block_size : int, default=128
        B, how many foregrounds and backgrounds are paired at once.
    schedule : MixSchedule, default=MixSchedule()
        In training.
    feature_bank : bool, default=False
        In training, reuse the features that samples had when they were last trained on.
    """

    mix: Mix
    pairing: Pairing = RandomPairing()
    label_rule: LabelRule | None = None
    class_affinity: Tensor | Callable[[], Tensor] | None = None
    features: Rows | None = None
    min_foreground: float = 0.0
    image_shape: tuple[int, ...] | None = None
    block_size: int = 128
    schedule: MixSchedule = MixSchedule()
    feature_bank: bool = False
    place: ClassVar[str] = "whole"
    balanced: ClassVar[bool] = False  # backgrounds are drawn from the data as they are (Eq. 2)
    joint: ClassVar[bool] = True

    # ------------------------------------------------------------------ when

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None = None) -> MixState:
        """List the classes that fill up blocks; in training, the weights of foregrounds."""
        given = self.class_affinity if isinstance(self.class_affinity, Tensor) else None
        if wanted is not None:
            exact = pool.x.exact() if isinstance(pool.x, ArrayRows) else pool.x
            present = (pool.counts > 0).nonzero()[:, 0]
            short = torch.tensor([bool(wanted.get(k, 0)) for k in present.tolist()])
            share = max(0.5, int(short.sum()) / len(present))
            return MixState(
                pool._replace(x=exact),
                self.pairing,
                affinity=given,
                others=present[~short] if not short.all() else present,
                n_wanted=max(1, int(self.block_size * share)),
            )
        # Eq. 3, read as published code does: N_y^-r is the weight of a sample, so that r = 1
        # draws classes alike; the paper's r is this one less 1
        weight = pool.counts.double()[pool.labels] ** -self.schedule.foreground_power
        banked = self.feature_bank and self.pairing.needs_features
        return MixState(
            pool,
            self.pairing,
            affinity=given,
            cumulative=weight.cumsum(0),
            bank=FeatureBank(len(pool.labels)) if banked else None,
            seed=seed.child("schedule"),
        )

    def rows_per_block(self, state: MixState) -> int:
        """Return how many of the foregrounds of a block are wanted."""
        return state.n_wanted

    def join(self, state: MixState, net: Any) -> None:
        """Watch what enters the network's last layer."""
        if state.bank is not None:
            state.bank.watch(net.module_)

    def works_in(self, epoch: int, max_epochs: int) -> bool:
        """Return whether an epoch is one of those that the schedule names."""
        stop = max_epochs if self.schedule.stop is None else self.schedule.stop
        return self.schedule.start <= epoch < (stop + max_epochs if stop < 0 else stop)

    def begin_epoch(self, state: MixState, moment: Moment) -> MixState:
        """Decide whether this epoch mixes, and along a plan or at random."""
        epoch, last, plan = moment.epoch, moment.max_epochs, self.schedule
        mixes = self.works_in(epoch, last)
        u = float(torch.rand((), generator=state.seed.child("schedule", epoch).torch()))
        # Algorithm 1, line 4: y_random ~ Bernoulli((t / T)^mu), drawn once an epoch as in the code
        follows = u < (epoch / max(1, last)) ** plan.schedule_power
        pairing = self.pairing if follows else RandomPairing()
        state = state._replace(mixes=mixes, pairing=pairing)
        return self._inform(state, moment) if mixes and pairing.needs_affinity else state

    def _inform(self, state: MixState, moment: Moment) -> MixState:
        """Return the state with a class affinity: of held-out rows, or computed once."""
        if not callable(self.class_affinity):
            return state
        # F^ of Eq. 6; of training rows it would be nearly diagonal, and the cost constant
        if self.schedule.refresh and moment.held_out is not None:
            affinity = ask_held_out(moment.f, *moment.held_out, state.pool, soft=self.schedule.soft)
            return state._replace(affinity=affinity)
        computed = self.class_affinity() if state.computed is None else state.computed
        return state._replace(computed=computed, affinity=computed.to(state.pool.y.device))

    def end(self, state: MixState) -> None:
        """Let go of the network."""
        if state.bank is not None:
            state.bank.unwatch()

    def state_dict(self, state: MixState) -> dict[str, Any]:
        """Return the bank's content."""
        return {} if state.bank is None else state.bank.state_dict()

    def load_state_dict(self, state: MixState, saved: dict[str, Any]) -> None:
        """Take it up."""
        if state.bank is not None:
            state.bank.load_state_dict(saved)

    # ------------------------------------------------------------------ what

    def request(self, state: MixState, batch: RealBatch, seed: Seed) -> Slots:
        """Ask for the whole mini-batch, or for nothing."""
        if state.mixes is None:
            raise ValueError(
                "OTMix mixes whole batches by a schedule of epochs, with two labels a row. Got a "
                "batch before any epoch was begun. Use DeferredRebalancingClassifier(resampler=...)."
            )
        n, coin = len(batch.y), torch.rand((), generator=seed.child("mix it").torch())
        if not state.mixes or float(coin) >= self.schedule.mix_prob:
            if state.bank is not None and batch.index is not None:
                state.bank.expect(batch.index)
            n = 0
        return Slots(torch.arange(round(self.schedule.share * n)))

    def draw(self, state: MixState, slots: Slots, seed: Seed, shared: Seed) -> MixDraw:
        """Make all random choices for one block, or for a mini-batch."""
        pool, m = state.pool, len(slots.at)
        augment = None
        if pool.in_batch:
            background = torch.arange(len(pool.labels))
            own = seed.child("foreground")
            foreground = self.foregrounds(state, len(background), own)
            if self.schedule.foreground == "data":
                augment = own.child("augment")
        else:
            foreground = self._block(state, slots.y, seed)
            u = torch.rand(
                len(foreground), generator=seed.child("background").torch(), dtype=torch.float64
            )
            background = (u * len(pool.labels)).long()  # from all rows alike (Eq. 2)
        uniform, coin = (
            torch.rand(n, generator=seed.child(name).torch(), dtype=torch.float64)
            for name, n in (("pair", len(foreground)), ("coin", m))
        )
        # lam, and the box of the foreground (where M of Eq. 9 is 0), of each pair
        generator, max_lam = seed.child("mix").torch(), 1 - self.min_foreground
        shape = self.image_shape or pool.x.row_shape
        params = self.mix.draw(m, shape, generator, max_lam=max_lam)
        return MixDraw(foreground, background, uniform, params, coin, augment)

    def _block(self, state: MixState, wanted: Tensor, seed: Seed) -> Tensor:
        """Draw a foreground of each wanted class (m,), then those that fill up the block."""
        n_more = max(0, self.block_size - len(wanted))
        more = torch.randint(len(state.others), (n_more,), generator=seed.child("classes").torch())
        classes = torch.cat([wanted, state.others[more]])
        u = torch.rand(
            len(classes), generator=seed.child("foreground").torch(), dtype=torch.float64
        )
        return state.pool.classes.draw(classes, u)

    def foregrounds(self, state: MixState, n: int, seed: Seed) -> Tensor:
        """Draw n foregrounds (Eq. 3): positions in the split, or in the mini-batch."""
        power = self.schedule.foreground_power
        if self.schedule.foreground == "data":
            u = torch.rand(n, generator=seed.torch(), dtype=torch.float64)
            total = state.cumulative
            return torch.searchsorted(total, u * total[-1], right=True).clamp(max=len(total) - 1)
        if power == 0:
            return torch.randperm(n, generator=seed.torch())
        weight = state.pool.counts[state.pool.labels].double() ** -power
        return torch.multinomial(weight, n, replacement=True, generator=seed.torch())

    def make(self, state: MixState, draws: list[MixDraw], f: Any = None) -> Made:
        """Pair and mix some blocks, each by itself."""
        return Made.joined([self._make_block(state, draw, f) for draw in draws])

    def _make_block(self, state: MixState, draw: MixDraw, f: Any) -> Made:
        pool, m = state.pool, len(draw.coin)
        split = pool if draw.augment is None else pool.reference
        x_f = None if draw.augment is None else split.take(draw.foreground, draw.augment)
        front, back = self._sides(state, draw, split, x_f, f)
        # Eq. 8: for each foreground the background of the largest entry of the plan (Eq. 4)
        pairs = state.pairing.pair(front, back, draw.uniform, class_affinity=state.affinity)
        foreground, background = draw.foreground[:m], draw.background[pairs[:m].cpu()]
        source = split.labels[foreground]
        # Eq. 9, M * background + (1 - M) * foreground: M is 0 inside the box
        x, lam = self.mix_pairs(
            split.x.take(foreground) if x_f is None else x_f[:m],
            pool.x.take(background),
            draw.params,
            draw.coin,
            n_foreground=pool.counts[source],
            n_background=pool.counts[pool.labels[background]],
            space=pool.space,
        )
        if state.bank is not None and pool.index is not None:
            state.bank.expect(_larger_parts(pool, draw, background, lam))
        if pool.in_batch and m < len(pool.labels):
            x = torch.cat([x, pool.x.take(torch.arange(m, len(pool.labels)))])
        accepted = torch.ones(m, dtype=torch.bool)
        return Made(accepted, x, foreground, source, partner=background, lam=lam)

    def _sides(self, state: MixState, draw: MixDraw, split: Pool, x_f, f) -> tuple[Side, Side]:
        """Return foregrounds and backgrounds as the pairing sees them."""
        pool = state.pool
        y_f, y_b = (
            split.y[draw.foreground.to(split.y.device)],
            pool.y[draw.background.to(pool.y.device)],
        )
        if not state.pairing.needs_features:
            return Side(y_f), Side(y_b)
        if not pool.in_batch:
            return Side(y_f, self.features.take(draw.foreground)), Side(
                y_b, self.features.take(draw.background)
            )
        x_f = split.x.take(draw.foreground) if x_f is None else x_f
        at_f = draw.foreground if draw.augment is not None else None
        if at_f is None and pool.index is not None:
            at_f = pool.index.cpu()[draw.foreground]
        z_b = look_up_features(state.bank, f, pool.x.x, pool.index)
        return Side(y_f, look_up_features(state.bank, f, x_f, at_f)), Side(y_b, z_b)

    def mix_pairs(
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
        """Mix m pairs of rows, and return the background's share of each label."""
        shape = foreground.shape if self.image_shape is None else (-1, *self.image_shape)
        counts = {"n_foreground": n_foreground, "n_background": n_background}
        x, lam = self.mix.mix(foreground.view(shape), background.view(shape), params, **counts)
        x = x.view_as(foreground)
        x = _valid(x, foreground, background, coin >= lam, space, blends=self.mix.blends)
        if self.label_rule is not None:
            lam = self.label_rule.share(lam, **counts)
        return Mixed(x, lam)

    def terms(self, state: MixState, slots: Slots, made: Made, batch: RealBatch) -> list[LossTerm]:
        """Return ``lam l(f(x), y_b) + (1 - lam) l(f(x), y_f)``; a row that is not mixed has lam 1."""
        pool, plain = state.pool, torch.arange(len(made.lam), len(batch.y))
        back, lam = torch.cat([made.partner, plain]), made.lam
        y_b, y_f = pool.labels[back], torch.cat([made.source, pool.labels[plain]])
        if len(plain):
            lam = torch.cat([lam, torch.ones(len(plain), dtype=lam.dtype)])
        # Eq. 10, linear in the mixed label: two terms, each with its own label and weights
        shares: list[Any] = [lam.float(), 1 - lam.float()]
        weight = pool.reference.weight
        if weight is not None:
            index = batch.index.cpu()
            front = made.index if self.schedule.foreground == "data" else index[made.index]
            at = index[back], torch.cat([front, index[plain]])
            shares = [share * weight.cpu().float()[i] for share, i in zip(shares, at, strict=True)]
        elif bool((lam == lam[0]).all()):
            shares = [float(lam[0]), 1 - float(lam[0])]
        device = batch.y.device
        shares = [s.to(device) if isinstance(s, Tensor) else s for s in shares]
        both = zip((y_b, y_f), shares, strict=True)
        return [LossTerm(slice(None), y.to(device), coef) for y, coef in both]


def _larger_parts(pool: Pool, draw: MixDraw, background: Tensor, lam: Tensor) -> Tensor:
    """Return the position in the split of the larger part of each row of a mixed mini-batch."""
    index, m = pool.index.cpu(), len(lam)
    front = draw.foreground[:m] if draw.augment is not None else index[draw.foreground[:m]]
    return torch.cat([torch.where(lam >= 0.5, index[background], front), index[m:]])


def _valid(
    x: Tensor, foreground: Tensor, background: Tensor, own: Tensor, space: Space, *, blends: bool
) -> Tensor:
    """Keep categories and whole numbers what they are, and all values between the two.

    Columns of categories are copied from one of the two, never averaged; all from the same one, the
    foreground with probability 1 - lam, so that groups of columns stay valid together.
    """
    if blends:
        low, high = torch.minimum(foreground, background), torch.maximum(foreground, background)
        x = space.rounded(torch.minimum(torch.maximum(x, low), high))
    if space.categorical is None:
        return x
    own = own.to(x.device).view(-1, *([1] * (x.dim() - 1)))
    return torch.where(space.categorical, torch.where(own, foreground, background), x)
