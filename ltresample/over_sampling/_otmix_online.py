"""OTMix inside training: whole batches are mixed, in epochs and with pairings by a schedule."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ltresample._random import Seed
from ltresample._torch import evaluating
from ltresample.guides import Classifier, FeatureBank, confusion_of
from ltresample.models import feature_extractor
from ltresample.pairing import Pairing, RandomPairing, Side
from ltresample.rows import Pool
from ltresample.synthesis import Batch, LossTerm, OnlineSynthesis, PairMixing

__all__ = ["OnlineMixing", "Plan"]


class Plan(NamedTuple):
    """When and of what mini-batches are mixed."""

    foreground: str  # "data" or "batch"
    foreground_power: float  # r: sample weight N_y^-r
    mix_prob: float
    schedule_power: float  # mu
    start: int
    stop: int | None
    refresh: bool  # class affinity from held-out rows, anew in each epoch
    soft: bool  # class affinity of mean probabilities


class OnlineMixing(OnlineSynthesis):
    """OTMix bound to a training split and the network in training.

    Parameters
    ----------
    mixing : PairMixing
        The method; its class affinity is computed here where it is None.
    pool : Pool
        The training split.
    f : nn.Module
        The network in training.
    plan : Plan
        When and what.
    seed : Seed
        Root of the schedule.
    affinity : callable or None
        Computes the class affinity (K, K) without held-out rows; None: it is given, or not needed.
    bank : bool
        Reuse features.
    settings : dict
        What each "auto" stood for.
    """

    balanced = False  # backgrounds are drawn from the data as they are (Eq. 2)

    def __init__(
        self,
        mixing: PairMixing,
        pool: Pool,
        f: nn.Module,
        *,
        plan: Plan,
        seed: Seed,
        affinity: Callable[[], Tensor] | None,
        bank: bool,
        settings: dict[str, Any],
    ):
        self.mixing, self.pool, self.f, self.plan, self.seed = mixing, pool, f, plan, seed
        self.settings_ = settings
        self.augment: Callable[[Tensor, Any], Tensor] | None = None
        self.bank = FeatureBank(len(pool.y)) if bank and mixing.pairing.needs_features else None
        self._compute_affinity, self._computed = affinity, None
        counts = pool.class_counts.double()
        self._cumulative = (counts[pool.y] ** -plan.foreground_power).cumsum(0)  # (n,)
        self.mixes: bool | None = None  # not known before the first epoch
        self.pairing: Pairing = RandomPairing()

    # ------------------------------------------------------------------ when

    def join(self, net: Any) -> None:
        """Begin: foregrounds are augmented as the net augments its batches."""
        self.augment = net.augment
        if self.bank is not None:
            self.bank.watch(net.module_)

    def begin_epoch(
        self, epoch: int, *, max_epochs: int, held_out: tuple[Any, Tensor] | None = None
    ) -> None:
        """Decide whether this epoch mixes, and along a plan or at random.

        Parameters
        ----------
        epoch : int
            t, from 0.
        max_epochs : int
            T.
        held_out : (Rows, Tensor) or None
            Rows and class index of a validation split.
        """
        stop = max_epochs if self.plan.stop is None else self.plan.stop
        stop = stop + max_epochs if stop < 0 else stop
        self.mixes = self.plan.start <= epoch < stop
        u = float(torch.rand((), generator=self.seed.child("schedule", epoch).torch()))
        follows = u < (epoch / max(1, max_epochs)) ** self.plan.schedule_power
        self.pairing = self.mixing.pairing if follows else RandomPairing()
        if self.mixes and self.pairing.needs_affinity:
            self._set_affinity(held_out)

    def _set_affinity(self, held_out: tuple[Any, Tensor] | None) -> None:
        if self._compute_affinity is None:
            return
        if self.plan.refresh and held_out is not None:
            affinity = self._confusion(*held_out)
        else:
            if self._computed is None:
                self._computed = self._compute_affinity()
            affinity = self._computed
        affinity = affinity.to(self.pool.y.device)
        self.mixing = dataclasses.replace(self.mixing, class_affinity=affinity)

    @torch.no_grad()
    def _confusion(self, rows: Any, y: Tensor) -> Tensor:
        """Ask the network in training about rows that it is not trained on."""
        device, f = self.pool.y.device, Classifier([self.f])
        proba = []
        with evaluating(self.f):
            for part in torch.arange(len(y)).split(1024):
                proba.append(f.log_proba(rows.take(part.to(device))).exp().double())
        n_classes = len(self.pool.class_counts)
        proba = torch.cat(proba) if proba else torch.zeros(0, n_classes, device=device)
        return confusion_of(proba, y.to(device), soft=self.plan.soft)

    def leave(self) -> None:
        """Let go of the network."""
        if self.bank is not None:
            self.bank.unwatch()

    def state_dict(self) -> dict[str, Any]:
        """Return what an interrupted run needs to go on."""
        return {} if self.bank is None else self.bank.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take it up."""
        if self.bank is not None:
            self.bank.load_state_dict(state)

    # ------------------------------------------------------------------ what

    def rewrite(self, x: Tensor, y: Tensor, *, seed: Seed, index: Tensor | None = None) -> Batch:
        """Return a mixed batch with two loss terms, or the batch as it is."""
        if self.mixes is None:
            raise ValueError(
                "OTMix mixes whole batches by a schedule of epochs, with two labels a row. Got a "
                "batch before any epoch was begun. Use DeferredRebalancingClassifier(resampler=...)."
            )
        coin = torch.rand((), generator=seed.child("mix it").torch())
        if not self.mixes or float(coin) >= self.plan.mix_prob:
            if self.bank is not None and index is not None:
                self.bank.expect(index)
            return Batch(x, [LossTerm(slice(None), y)], 0, 0)
        x_f, y_f, at_f = self._foregrounds(x, y, seed.child("foreground"), index)
        pairs = self._pairs(x, y, x_f, y_f, index, at_f, seed)
        params = self.mixing.draw_mix(len(y), tuple(x.shape[1:]), seed)
        uniform = torch.rand(len(y), generator=seed.child("coin").torch(), dtype=torch.float64)
        counts = self.pool.class_counts
        mixed = self.mixing.mixed(
            x_f,
            x[pairs],
            params,
            uniform,
            n_foreground=counts[y_f],
            n_background=counts[y[pairs]],
            space=self.pool.space,
        )
        if self.bank is not None and index is not None:
            self.bank.expect(torch.where((mixed.lam >= 0.5).to(at_f.device), index[pairs], at_f))
        return self._batch(mixed, y[pairs], y_f, None if index is None else index[pairs], at_f)

    def _foregrounds(
        self, x: Tensor, y: Tensor, seed: Seed, index: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Draw foregrounds: rows, classes, and positions in the training split (Eq. 3)."""
        m, power = len(y), self.plan.foreground_power
        if self.plan.foreground == "data":
            u = torch.rand(m, generator=seed.torch(), dtype=torch.float64).to(y.device)
            at = torch.searchsorted(self._cumulative, u * self._cumulative[-1], right=True)
            at = at.clamp(max=len(self.pool.y) - 1)
            rows = self.pool.x.take(at).to(x)
            rows = (
                rows if self.augment is None else self.augment(rows, seed.child("augment").torch())
            )
            return rows, self.pool.y[at], at
        if power == 0:
            own = torch.randperm(m, generator=seed.torch())
        else:
            weight = self.pool.class_counts[y].double().cpu() ** -power
            own = torch.multinomial(weight, m, replacement=True, generator=seed.torch())
        own = own.to(y.device)
        return x[own], y[own], None if index is None else index[own.to(index.device)]

    def _pairs(self, x, y, x_f, y_f, index, at_f, seed: Seed) -> Tensor:
        """Choose a background (B,) for each foreground."""
        background, foreground = Side(y), Side(y_f)
        if self.pairing.needs_features:
            z, z_f = self._features(x, index), self._features(x_f, at_f)
            background, foreground = Side(y, z), Side(y_f, z_f)
        u = torch.rand(len(y), generator=seed.child("pair").torch(), dtype=torch.float64)
        affinity = self.mixing.class_affinity
        return self.pairing.pair(foreground, background, u, class_affinity=affinity)

    def _features(self, x: Tensor, at: Tensor | None) -> Tensor:
        if self.bank is None or at is None:
            return self._fresh(x)
        return self.bank.take(at, lambda missing: self._fresh(x[missing]))

    @torch.no_grad()
    def _fresh(self, x: Tensor) -> Tensor:
        """Return pooled features (B, d): evaluation mode, no gradient, nothing changed."""
        with evaluating(self.f):
            return feature_extractor(self.f)(x)

    def _batch(self, mixed, y_b: Tensor, y_f: Tensor, at_b, at_f) -> Batch:
        lam = mixed.lam.to(device=mixed.x.device, dtype=torch.float32)
        shares = [lam, 1 - lam]
        if self.pool.weight is not None:
            weight = self.pool.weight.to(lam)
            shares = [share * weight[at] for share, at in zip(shares, (at_b, at_f), strict=True)]
        elif bool((mixed.lam == mixed.lam[0]).all()):
            shares = [float(mixed.lam[0]), 1 - float(mixed.lam[0])]
        terms = [LossTerm(slice(None), y, coef) for y, coef in zip((y_b, y_f), shares, strict=True)]
        n = len(y_f)
        return Batch(mixed.x, terms, n, n, weighted=self.pool.weight is not None)
