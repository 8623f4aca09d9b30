"""The offline driver of methods that mix pairs: classes are filled together, not one by one.

A transport plan between foregrounds of one class and any backgrounds does not depend on the cost
between classes at all: it is a function of the column alone, which the dual variables absorb. So
blocks hold foregrounds of all classes, as batches do in training.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from joblib import Parallel, delayed
from torch import Tensor

from ltresample._random import Seed
from ltresample.rows import Pool, Rows
from ltresample.synthesis._drive import Filled, duplicates
from ltresample.synthesis._pair_mixing import MixedRows, PairMixing

__all__ = ["FilledPairs", "fill_pairs"]


class FilledPairs(NamedTuple):
    """New rows and how they are labelled."""

    filled: Filled  # index: the foreground, source: its class, partner: the background
    lam: Tensor  # (n_new,) share of the background in the label; 0 for duplicates


class _Block(NamedTuple):
    number: int
    positions: Tensor  # (m,) among all new rows


class _Members(NamedTuple):
    """The rows of each class, one class after the other."""

    order: Tensor  # (n,)
    start: Tensor  # (K,)
    counts: Tensor  # (K,)

    @classmethod
    def of(cls, pool: Pool) -> _Members:
        """Sort the rows of a pool by class."""
        counts = torch.bincount(pool.y, minlength=len(pool.class_counts))
        return cls(pool.y.argsort(stable=True), counts.cumsum(0) - counts, counts)

    def draw(self, classes: Tensor, seed: Seed) -> Tensor:
        """Draw a row of each of these classes (m,), all rows of a class alike."""
        classes = classes.to(self.order.device)
        u = torch.rand(len(classes), generator=seed.torch(), dtype=torch.float64)
        place = (u.to(classes.device) * self.counts[classes]).long()
        return self.order[self.start[classes] + place]


def fill_pairs(
    mixing: PairMixing,
    pool: Pool,
    wanted: dict[int, int],
    seed: Seed,
    *,
    write: Callable[[Tensor, Tensor], None],
    features: Rows | None = None,
    batch_size: int = 1024,
    synthetic_share: float = 1.0,
    n_jobs: int | None = None,
    tick: Callable[[int], bool] | None = None,
) -> FilledPairs:
    """Make `wanted[k]` new rows with a foreground of class k, for each k.

    The wanted rows of all classes are shuffled and cut into blocks. At least half of a block's
    foregrounds are wanted ones; the others belong to classes of which none is wanted, in such a
    number that classes come out alike, and only take part in the pairing.

    Parameters
    ----------
    mixing : PairMixing
        The method.
    pool : Pool
        Real samples.
    wanted : dict of int to int
        Class index to number of new rows.
    seed : Seed
        Root of the random numbers. Rows depend on it and on `wanted`, not on `batch_size`, `n_jobs`
        or the order of `wanted`.
    write : callable
        ``write(positions, rows)`` is called with mixed rows, in no particular order of calls.
    features : Rows or None, default=None
        Features of each row of the pool, where the pairing needs them.
    batch_size : int, default=1024
        Rows made in one pass, rounded to whole blocks.
    synthetic_share : float, default=1.0
        Share of the new rows of a class that is mixed, in [0, 1]; the others are duplicates.
    n_jobs : int or None, default=None
        Passes made at once, in joblib's sense.
    tick : callable or None, default=None
        Told the number of rows made after each pass; a true answer stops early, with duplicates in
        all rows that are left.

    Returns
    -------
    FilledPairs
        What each new row is made from.
    """
    filled = duplicates(pool, wanted, seed)
    filled = filled._replace(partner=torch.full_like(filled.y, -1))
    lam = torch.zeros(len(filled.y), dtype=torch.float64)
    blocks, others = _blocks(filled, wanted, pool, seed, mixing.block_size, synthetic_share)
    per_pass = max(1, batch_size // mixing.block_size)
    jobs = [blocks[i : i + per_pass] for i in range(0, len(blocks), per_pass)]
    call, run = delayed(_make), Parallel(n_jobs=n_jobs, return_as="generator")
    members = _Members.of(pool)
    made = run(call(mixing, pool, features, job, filled.y, others, members, seed) for job in jobs)
    for job, parts in zip(jobs, made, strict=True):
        positions = torch.cat([block.positions for block in job])
        for block, (foreground, rows) in zip(job, parts, strict=True):
            filled.index[block.positions] = foreground
            filled.partner[block.positions] = rows.background.cpu()
            lam[block.positions] = rows.lam.cpu()
        filled.synthetic[positions] = True
        filled.round[positions] = 0
        for k, n in zip(*filled.y[positions].unique(return_counts=True), strict=True):
            filled.n_made[int(k)] += int(n)
            filled.n_accepted[int(k)] += int(n)
        write(positions, torch.cat([rows.x for _, rows in parts]))
        if tick is not None and tick(len(positions)):
            break
    return FilledPairs(filled, lam)


def _blocks(
    filled: Filled, wanted: dict[int, int], pool: Pool, seed: Seed, block_size: int, share: float
) -> tuple[list[_Block], list[int]]:
    """Shuffle and cut the wanted rows, and name the classes that fill up the blocks."""
    rows = []
    for k in sorted(wanted):
        own = (filled.y == k).nonzero()[:, 0]
        rows.append(own[: round(share * len(own))])
    rows = torch.cat(rows) if rows else filled.y[:0]
    rows = rows[torch.randperm(len(rows), generator=seed.child("order").torch())]
    present = (pool.class_counts > 0).nonzero()[:, 0].tolist()
    short = [k for k in present if wanted.get(k, 0)]
    n_wanted = max(1, int(block_size * max(0.5, len(short) / len(present))))
    others = [k for k in present if not wanted.get(k, 0)] or present
    blocks = [_Block(i, part) for i, part in enumerate(rows.split(n_wanted)) if len(part)]
    return blocks, others


def _make(
    mixing: PairMixing,
    pool: Pool,
    features: Rows | None,
    job: list[_Block],
    y: Tensor,
    others: list[int],
    members: _Members,
    seed: Seed,
) -> list[tuple[Tensor, MixedRows]]:
    made = []
    for block in job:
        own = seed.child("block", block.number)
        n_more = max(0, mixing.block_size - len(block.positions))
        more = torch.randint(len(others), (n_more,), generator=own.child("classes").torch())
        classes = torch.cat([y[block.positions], torch.tensor(others)[more]])
        foreground = members.draw(classes, own.child("foreground"))
        draw = mixing.draw(pool, foreground, own, n_wanted=len(block.positions))
        rows = mixing.synthesize(pool, features, draw)
        made.append((foreground[: len(block.positions)].cpu(), rows))
    return made
