"""A sampler inside training: the engine at work on mini-batches."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltresample._random import Seed
from ltresample.guides import Classifier, is_fitted
from ltresample.models import fold_batch_norm
from ltresample.over_sampling._data import Data
from ltresample.over_sampling._open_set_rows import open_for_training
from ltresample.rows import ArrayRows, Pool
from ltresample.synthesis import (
    Batch,
    Candidates,
    DistributionSeeds,
    OnlineSynthesis,
    Synthesizer,
    rewrite_batch,
)

__all__ = ["OnlineSampler", "begin_online", "in_type", "ready"]


@dataclass
class OnlineSampler(OnlineSynthesis):
    """A sampler's method, bound to a training split and the network in training."""

    synthesizer: Synthesizer
    pool: Pool  # the whole training split
    f: Classifier
    share: float  # of the requested slots for which a synthetic row is tried
    allowed: Tensor | None  # (n,) bool: rows that may be seeds
    g_: Any
    settings_: dict[str, Any] = field(default_factory=dict)

    def rewrite(self, x: Tensor, y: Tensor, *, seed: Seed, index: Tensor | None = None) -> Batch:
        """Replace slots of a mini-batch by synthetic rows of the same class."""
        pool = self.pool._replace(
            x=ArrayRows(x, dtype=x.dtype, device=x.device),
            y=y,
            reference=self.pool,
            in_batch=True,
        )
        method = self.synthesizer
        if self.allowed is not None:
            method = replace(method, seeding=replace(method.seeding, allowed=self.allowed[index]))
        return rewrite_batch(_Thinned(method, self.share, self.divide), pool, seed, f=self.f)


class _Thinned:
    """A synthesizer that leaves some of the requested slots to their real rows."""

    def __init__(self, synthesizer: Synthesizer, share: float, divide: Any = None):
        self.synthesizer = synthesizer
        self.share = share
        self.divide = divide

    def __getattr__(self, name: str) -> Any:
        return getattr(self.synthesizer, name)

    def request(self, y: Tensor, class_counts: Tensor, seed: Seed) -> Tensor:
        """Choose the slots that are to be replaced."""
        slots = self.synthesizer.request(y, class_counts, seed)
        if self.share == 1:
            return slots
        u = torch.rand(len(slots), generator=seed.child("share").torch())
        return slots[(u < self.share).to(slots.device)]

    def synthesize(self, pool: Pool, state: Any, draws: list[Any], f: Any = None) -> Candidates:
        """Make the rows of a batch; in several processes a part each, where rows can be made apart."""
        method = self.synthesizer
        if self.divide is None or not getattr(method, "rows_apart", False):
            return method.synthesize(pool, state, draws, f)
        (draw,) = draws
        return self.divide(
            len(draw.y_target),
            lambda rows: method.synthesize(pool, state, [draw.part(rows)], f),
        )


@dataclass(frozen=True)
class _AllowedSeeds(DistributionSeeds):
    """Seeds from a mini-batch of which some rows are not allowed."""

    allowed: Tensor | None = None  # (B,) bool

    def prepare(self, pool: Pool, targets: list[int]) -> list[Tensor]:
        """List the rows of each class that may be seeds."""
        return [members[self.allowed[members]] for members in super().prepare(pool, targets)]


def begin_online(
    sampler: Any,
    pool: Pool,
    *,
    classes: np.ndarray,
    f: nn.Module,
    seed: Seed,
    raw: Callable[[], Any] | None = None,
) -> OnlineSampler:
    """Resolve a sampler's settings for a training run, and fit or convert its guide.

    The sampler is not changed. On images ``"auto"`` stands for the papers' settings, which are made
    for them; on tables for what `preset` says. ``g="f"`` lets the network in training guide itself
    ("M2m-Self").

    Parameters
    ----------
    sampler : BaseSynthesisSampler
        As the user made it.
    pool : Pool
        The whole training split, as the network in training takes it.
    classes : ndarray of shape (K,)
        Labels, sorted.
    f : nn.Module
        The network in training.
    seed : Seed
        Root of what is random in the preparation.
    raw : callable or None
        Gives the training rows as they came in, for guides that are to be fitted.

    Returns
    -------
    OnlineSampler
        Rewrites mini-batches.

    Raises
    ------
    ValueError
        If g or open-set samples cannot be used.
    """
    own = copy.copy(sampler)
    own.preset = "paper" if len(pool.x.row_shape) > 1 else sampler.preset
    own.f = None
    settings = own._settings(pool.class_counts.cpu().numpy())
    aux = own._aux(pool.aux_x, settings)
    pool = pool._replace(aux_x=None if aux is None else open_for_training(aux, pool))
    columns = own._categorical(pool.x.row_shape)
    if columns is not None:
        columns = torch.from_numpy(columns).to(pool.y.device)
        pool = pool._replace(space=pool.space._replace(categorical=columns))
    g = _guide(own, pool, classes, settings, f=f, seed=seed, raw=raw)
    own.f = f
    method = own._synthesizer(settings, pool, g)
    allowed = None
    if own.n_seeds_per_class is not None:
        allowed = _chosen(pool.y, own.n_seeds_per_class, seed.child("allowed"))
        method = replace(method, seeding=_AllowedSeeds(settings["count_decay"]))
    return OnlineSampler(
        synthesizer=method,
        pool=pool,
        f=Classifier([f]),
        share=settings["synthetic_share"],
        allowed=allowed,
        g_=getattr(own, "g_", None),
        settings_=settings,
    )


def _guide(own: Any, pool: Pool, classes: np.ndarray, settings, *, f, seed, raw) -> Classifier:
    if isinstance(own.g, str) and own.g == "f":
        return Classifier([f])
    dtype = pool.space.scale.dtype
    given = own.g
    own.g = in_type(given, dtype)
    to_fit = raw is not None and given is not None and not ready(given)
    labels = classes[pool.y.cpu().numpy()]
    data = Data(None, raw() if to_fit else None, labels, classes, None, None)
    g, _ = own._guides(data, pool, settings, seed)
    if given is not None or len(pool.x.row_shape) == 1:  # networks on images cost too much
        own._judge(g, data, pool, settings, seed)
    return Classifier([_fast(member, pool) for member in g.members], logit_scale=g.logit_scale)


def ready(g: Any) -> bool:
    if isinstance(g, list | tuple):
        return all(ready(part) for part in g)
    return isinstance(g, nn.Module) or hasattr(g, "module_") or is_fitted(g)


def in_type(g: Any, dtype: torch.dtype) -> Any:
    """Return networks in the type of the rows; those that have it, and all else, as they are."""
    if isinstance(g, list | tuple):
        return [in_type(part, dtype) for part in g]
    module = getattr(g, "module_", g)
    if not isinstance(module, nn.Module) or all(p.dtype == dtype for p in module.parameters()):
        return g
    module = copy.deepcopy(module).to(dtype)
    if module is g or isinstance(g, nn.Module):
        return module
    net = copy.copy(g)
    vars(net)["module_"] = module
    return net


def _fast(member: nn.Module, pool: Pool) -> nn.Module:
    """Fold what can be folded; g never changes."""
    folded = fold_batch_norm(member)
    images = len(pool.x.row_shape) == 3
    return folded.to(memory_format=torch.channels_last) if images else folded


def _chosen(y: Tensor, n_per_class: int, seed: Seed) -> Tensor:
    """Choose `n_per_class` random rows of each class, (n,) bool."""
    allowed = torch.zeros(len(y), dtype=torch.bool, device=y.device)
    for k in y.unique().tolist():
        members = (y == k).nonzero()[:, 0]
        order = torch.randperm(len(members), generator=seed.child(k).torch())[:n_per_class]
        allowed[members[order.to(members.device)]] = True
    return allowed
