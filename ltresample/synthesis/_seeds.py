"""Which real sample a synthetic one starts from."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from ltresample._random import Seed
from ltresample.rows import ArrayRows, ClassIndex, Pool, check_random_access

__all__ = ["DistributionSeeds", "NearSeeds", "OpenSetSeeds", "RandomSeeds", "SeedDraw", "Seeding"]


class SeedDraw(NamedTuple):
    """Seeds of m rows. A position of -1 says that there is none."""

    index: Tensor  # (m,) position in the pool, or in its auxiliary part
    y_source: Tensor  # (m,) class k_0 of the seed; -1 for open-set samples
    anchor: Tensor  # (m,) a real row of the target class near the seed; -1: none known
    reach: (
        Tensor  # (m,) distance from the seed to its nearest row of the target class; NaN: unknown
    )


class Seeding(Protocol):
    """A way to choose seeds; all that is drawn is on the CPU."""

    from_aux: bool

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None) -> Any:
        """Compute once a run what each draw needs; `wanted` as in `Method.begin`."""

    def draw(self, pool: Pool, state: Any, y_target: Tensor, seed: Seed) -> SeedDraw:
        """Choose a seed for each target, from a training split or from a mini-batch of it."""


def _unknown(index: Tensor, y_source: Tensor) -> SeedDraw:
    nowhere = torch.full_like(index, -1)
    reach = torch.full(index.shape, torch.nan, dtype=torch.float64)
    return SeedDraw(index, torch.where(index < 0, -1, y_source), nowhere, reach)


def acceptance_probability(
    class_counts: Tensor, y_source: Tensor, y_target: Tensor, count_decay: float
) -> Tensor:
    """Return 1 - count_decay^((N_source - N_target)+), broadcast (M2m, Eq. 3 and 5)."""
    gap = (class_counts[y_source] - class_counts[y_target]).clamp(min=0).double()
    return 1 - torch.as_tensor(count_decay, dtype=torch.float64) ** gap


def _multinomial(weights: Tensor, generator: torch.Generator) -> Tensor:
    """Draw one column per row in proportion to weights (m, n); -1 where a row has no weight."""
    total = weights.cumsum(1)
    u = torch.rand(len(weights), generator=generator, dtype=torch.float64)
    if not weights.shape[1]:
        return torch.full((len(weights),), -1)
    # u < 1, so the drawn mass lies strictly below the row's total: columns of weight 0 are never hit
    column = torch.searchsorted(total, (u * total[:, -1])[:, None], right=True)[:, 0]
    return torch.where(total[:, -1] > 0, column.clamp(max=weights.shape[1] - 1), -1)


@dataclass(frozen=True)
class DistributionSeeds:
    """The papers' seed distribution: source class k_0 in proportion to 1 - beta^((N_k0 - N_k)+).

    Offline the class is drawn first, then a sample uniformly in it (M2m, Section 2.3). In a
    mini-batch that is already balanced each *sample* carries the weight of its class.

    Parameters
    ----------
    count_decay : float
        beta, in [0, 1). At 0 all larger classes are equally likely.
    n_per_class : int or None, default=None
        Only this many samples of each class, drawn once a run, may be seeds (ablation "#seeds" of
        M2m).
    """

    count_decay: float
    n_per_class: int | None = None
    from_aux = False

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None) -> Tensor | None:
        """Choose the rows (n,) of each class that may be seeds; None: all."""
        if self.n_per_class is None:
            return None
        allowed = torch.zeros(len(pool.labels), dtype=torch.bool)
        for k, members in enumerate(pool.classes.split()):
            generator = seed.child("allowed", k).torch()
            allowed[
                members[torch.randperm(len(members), generator=generator)[: self.n_per_class]]
            ] = True
        return allowed

    def draw(self, pool: Pool, state: Tensor | None, y_target: Tensor, seed: Seed) -> SeedDraw:
        """Choose a seed for each target."""
        generator = seed.torch()
        classes = _allowed(pool, state)
        present = classes.counts.nonzero()[:, 0]
        target = y_target[:, None]
        # (m, present)
        weights = acceptance_probability(pool.counts, present, target, self.count_decay)
        # published code weighs samples of the mini-batch, Algorithm 1 classes
        weights = weights * (classes.counts[present] if pool.in_batch else 1.0)
        column = _multinomial(weights, generator)
        u = torch.rand(len(column), generator=generator, dtype=torch.float64)
        if not len(present):
            return _unknown(column, column)
        # no larger class is here: no seed, and the slot keeps its real sample
        source = present[column.clamp(min=0)]
        index = classes.draw(source, u)
        return _unknown(torch.where(column < 0, -1, index), source)


def _allowed(pool: Pool, allowed: Tensor | None) -> ClassIndex:
    """Return the rows of each class that may be seeds."""
    if allowed is None:
        return pool.classes
    if pool.in_batch and pool.index is None:
        raise ValueError(
            "n_seeds_per_class is about rows of the training data, and it is not known which of "
            "them a mini-batch holds. Got n_seeds_per_class with a net that passes rows alone. Use "
            "DeferredRebalancingClassifier, or pass n_seeds_per_class=None."
        )
    here = allowed[pool.index.cpu()] if pool.in_batch else allowed
    return pool.classes.among(here)


@dataclass(frozen=True)
class RandomSeeds:
    """Any sample of another class, uniformly (the "Random" row of the DM paper's Table 6)."""

    from_aux = False

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None) -> None:
        """Nothing is needed but the class index."""

    def draw(self, pool: Pool, state: None, y_target: Tensor, seed: Seed) -> SeedDraw:
        """Choose a seed for each target."""
        u = torch.rand(len(y_target), generator=seed.torch(), dtype=torch.float64)
        index = pool.classes.draw_other(y_target, u)
        return _unknown(index, pool.labels[index.clamp(min=0)])


@dataclass(frozen=True)
class OpenSetSeeds:
    """A sample of the auxiliary pool, uniformly (the DM paper's out-of-distribution setting)."""

    from_aux = True

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None) -> None:
        """Check that samples can be taken by position."""
        check_random_access(pool.aux_x)

    def draw(self, pool: Pool, state: None, y_target: Tensor, seed: Seed) -> SeedDraw:
        """Choose a seed for each target."""
        # Algorithm 2 of the DM paper, line 6
        index = torch.randint(len(pool.aux_x), (len(y_target),), generator=seed.torch())
        return _unknown(index, torch.full_like(index, -1))


class _Near(NamedTuple):
    """Of one target class."""

    anchors: Tensor  # (a,) rows of the class
    sources: Tensor  # (s,) rows of larger classes
    nearest: Tensor  # (a, n_neighbors) positions in `sources`
    reach: Tensor  # (s,) distance to the nearest row of the class


class _DenseRows:
    """Rows of a pool in standard units, flattened; computed once where they take up to 32 MB."""

    def __init__(self, pool: Pool):
        self.pool, self.all = pool, None
        n_bytes = len(pool.x) * math.prod(pool.x.row_shape) * pool.space.scale.element_size()
        if n_bytes <= 32 << 20:
            self.all = self._whole(max(1, len(pool.x) * (2 << 20) // (n_bytes + 1)))

    def _whole(self, n_rows: int) -> Tensor:
        """Return all rows, `n_rows` at a time: doubles are copied twice on the way."""
        first, *others = torch.arange(len(self.pool.x)).split(n_rows)
        rows = self.take(first)
        if not others:
            return rows
        whole = rows.new_empty(len(self.pool.x), rows.shape[1])
        whole[: len(rows)] = rows
        for part in others:
            whole[part] = self.take(part)
        return whole

    def take(self, index: Tensor) -> Tensor:
        """Return the rows at `index` (m,) as (m, d)."""
        if self.all is not None:
            return self.all[index.to(self.all.device)]
        return self.pool.space.standardized(self.pool.x.take(index)).flatten(1)

    def distances_to(self, sources: Tensor) -> Callable[[Tensor], Tensor]:
        """Return a function from rows (a,) to their distances (a, s) to `sources` (s,)."""
        z = self.take(sources)
        return lambda rows: torch.cdist(self.take(rows), z)


class _SparseRows:
    """The same of a CSR matrix that is scaled but not centred, of which no row is made dense.

    ``|a - b|^2 = |a|^2 + |b|^2 - 2 a.b``, in double precision.
    """

    def __init__(self, pool: Pool):
        factor = torch.where(pool.space.scale > 0, 1 / pool.space.scale, 0.0).double().cpu().numpy()
        self.z = pool.x.x.astype(np.float64).multiply(factor[None]).tocsr()
        self.squared = np.asarray(self.z.multiply(self.z).sum(axis=1)).ravel()
        self.like = pool.space.scale

    def distances_to(self, sources: Tensor) -> Callable[[Tensor], Tensor]:
        """Return a function from rows (a,) to their distances (a, s) to `sources` (s,)."""
        index = sources.cpu().numpy()
        z, squared = self.z[index].T.tocsc(), self.squared[index]

        def distances(rows: Tensor) -> Tensor:
            own = rows.cpu().numpy()
            product = (self.z[own] @ z).toarray()
            both = self.squared[own][:, None] + squared - 2 * product
            return torch.from_numpy(np.sqrt(np.maximum(both, 0.0))).to(self.like)

        return distances


def _rows_in_standard_units(pool: Pool) -> _DenseRows | _SparseRows:
    is_sparse = isinstance(pool.x, ArrayRows) and sparse.issparse(pool.x.x)
    return _SparseRows(pool) if is_sparse and not pool.space.center.any() else _DenseRows(pool)


@dataclass(frozen=True)
class NearSeeds:
    """One of the nearest samples of larger classes to a random sample of the target class.

    The papers start anywhere in a larger class, which suits images and networks that can be led
    across the whole input space; on tables only seeds near the target class lead to rows that are
    worth having.

    Parameters
    ----------
    n_neighbors : int, default=10
        How many nearest samples are in the choice.
    max_sources : int, default=10000
        At most this many samples of larger classes are searched, evenly spaced over the pool.
    """

    n_neighbors: int = 10
    max_sources: int = 10_000
    from_aux = False

    def begin(
        self, pool: Pool, seed: Seed, wanted: dict[int, int] | None
    ) -> dict[int, _Near] | None:
        """Find neighbours in the pool's space; in training they are those of each mini-batch."""
        return None if wanted is None else self._find(pool, [k for k, n in wanted.items() if n])

    def _find(self, pool: Pool, targets: list[int]) -> dict[int, _Near]:
        rows = _rows_in_standard_units(pool)
        counts = pool.counts[pool.labels]  # (n,) of the class of each row
        near = {k: self._near(pool, k, rows, counts) for k in targets}
        if not near:
            return near
        # distances stay on their device until all are there: two waits, however many classes
        nearest = torch.cat([n.nearest.flatten() for n in near.values()]).cpu()
        reach = torch.cat([n.reach for n in near.values()]).cpu()
        nearest = nearest.split([n.nearest.numel() for n in near.values()])
        reach = reach.split([len(n.reach) for n in near.values()])
        return {
            k: n._replace(nearest=i.view(n.nearest.shape), reach=r)
            for (k, n), i, r in zip(near.items(), nearest, reach, strict=True)
        }

    def _near(self, pool: Pool, k: int, rows: _DenseRows | _SparseRows, counts: Tensor) -> _Near:
        anchors = pool.classes.rows(k)
        # N_k0 > N_k, as for the papers' seeds
        sources = (counts > pool.counts[k]).nonzero()[:, 0]
        if len(sources) > self.max_sources:
            spread = torch.linspace(0, len(sources) - 1, self.max_sources, dtype=torch.float64)
            sources = sources[spread.round().long()]
        if not len(sources) or not len(anchors):
            like = pool.space.scale
            nothing = torch.zeros(len(anchors), 0, dtype=torch.int64, device=like.device)
            return _Near(anchors, sources, nothing, like.new_full((len(sources),), torch.nan))
        distances, scale = rows.distances_to(sources), pool.space.scale
        nearest = []
        reach = torch.full((len(sources),), torch.inf, dtype=scale.dtype, device=scale.device)
        # as many rows at once as have 4 MB of distances
        n_rows = max(1, (4 << 20) // (len(sources) * scale.element_size()))
        for part in anchors.split(n_rows):
            distance = distances(part)  # (a, s)
            nearest.append(
                distance.topk(min(self.n_neighbors, len(sources)), largest=False).indices
            )
            reach = torch.minimum(reach, distance.min(0).values)
        return _Near(anchors, sources, torch.cat(nearest), reach)

    def draw(
        self, pool: Pool, state: dict[int, _Near] | None, y_target: Tensor, seed: Seed
    ) -> SeedDraw:
        """Choose a seed for each target."""
        u = torch.rand(2, len(y_target), generator=seed.torch(), dtype=torch.float64)
        drawn = _unknown(torch.full_like(y_target, -1), y_target)
        targets = y_target.unique().tolist()
        known = self._find(pool, targets) if state is None else state
        for k in targets:
            near, here = known[k], y_target == k
            if not near.nearest.numel():
                continue
            # a row of the class, then one of its neighbours among larger classes
            a = (u[0, here] * len(near.anchors)).long()
            s = near.nearest[a, (u[1, here] * near.nearest.shape[1]).long()]
            drawn.index[here] = near.sources[s]
            drawn.y_source[here] = pool.labels[near.sources[s]]
            drawn.anchor[here] = near.anchors[a]
            drawn.reach[here] = near.reach[s].to(drawn.reach)
        return drawn
