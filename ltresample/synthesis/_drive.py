"""The two drivers: fill classes once, or rewrite a mini-batch."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from joblib import Parallel, delayed
from torch import Tensor

from ltresample._random import Seed
from ltresample.rows import Pool
from ltresample.synthesis._base import Batch, Candidates, LossTerm, Synthesizer

__all__ = ["Filled", "fill", "rewrite_batch"]


class Filled(NamedTuple):
    """The new rows of all classes, in the order of `wanted`; position 0 is the first new row."""

    y: Tensor  # (n_new,) class index
    synthetic: Tensor  # (n_new,) bool; the others are duplicates of real rows
    index: Tensor  # (n_new,) the seed, or the row that is duplicated
    source: Tensor  # (n_new,) class of that row; -1 for an open-set sample
    round: Tensor  # (n_new,) round in which a synthetic row was made; -1 for duplicates
    confidence: Tensor  # (n_new,) g's probability of the class; NaN for duplicates
    n_made: dict[int, int]  # class -> candidates
    n_accepted: dict[int, int]  # class -> accepted candidates
    partner: Tensor | None = None  # (n_new,) the row that was mixed in, -1: none; None: none at all


class _Block(NamedTuple):
    k: int
    number: int  # of the block within its class and round
    positions: Tensor  # among all new rows


def fill(
    synthesizer: Synthesizer,
    pool: Pool,
    wanted: dict[int, int],
    seed: Seed,
    *,
    write: Callable[[Tensor, Tensor], None],
    batch_size: int = 1024,
    synthetic_share: float = 1.0,
    max_rounds: int = 1,
    n_jobs: int | None = None,
    f: Any = None,
    tick: Callable[[int], bool] | None = None,
) -> Filled:
    """Make `wanted[k]` new rows for each class k: synthetic where accepted, else duplicates.

    Parameters
    ----------
    synthesizer : Synthesizer
        The method.
    pool : Pool
        Real samples.
    wanted : dict of int to int
        Class index to number of new rows.
    seed : Seed
        Root of the random numbers. Rows depend on it, the class, the round and their position in
        the class; not on `batch_size`, `n_jobs` or the order of `wanted`.
    write : callable
        ``write(positions, rows)`` is called with accepted rows, in no particular order of calls.
    batch_size : int, default=1024
        Rows made in one pass, rounded to whole blocks.
    synthetic_share : float, default=1.0
        Share of the new rows of a class that is to be synthetic, in [0, 1].
    max_rounds : int, default=1
        How often a rejected row is drawn anew before a duplicate takes its place.
    n_jobs : int or None, default=None
        Passes made at once, in joblib's sense.
    f : Classifier or None, default=None
        The classifier in training.
    tick : callable or None, default=None
        Told the number of rows made after each pass; a true answer stops early.

    Returns
    -------
    Filled
        What each new row is made from.
    """
    filled = duplicates(pool, wanted, seed)
    classes = {k: (filled.y == k).nonzero()[:, 0] for k in sorted(wanted) if wanted[k]}
    open_rows = {k: rows[: round(synthetic_share * len(rows))] for k, rows in classes.items()}
    state = synthesizer.prepare(pool, list(open_rows))
    for number in range(max_rounds):
        blocks = _blocks(open_rows, synthesizer.block_size)
        jobs = _batches(blocks, max(1, batch_size // synthesizer.block_size))
        call = delayed(_make)
        run = Parallel(n_jobs=n_jobs, return_as="generator")
        made = run(call(synthesizer, pool, state, job, seed.child(number), f) for job in jobs)
        for job, (candidates, origin) in zip(jobs, made, strict=True):
            _record(filled, job, candidates, origin, number, write)
            if tick is not None and tick(sum(len(block.positions) for block in job)):
                return filled
        open_rows = {k: rows[~filled.synthetic[rows]] for k, rows in open_rows.items()}
        if not any(len(rows) for rows in open_rows.values()):
            break
    return filled


def duplicates(pool: Pool, wanted: dict[int, int], seed: Seed) -> Filled:
    """Plan every new row as a copy of a random real row of its class (M2m, Algorithm 1)."""
    y = torch.cat([torch.full((n,), k) for k, n in wanted.items()] or [torch.empty(0)]).long()
    index = torch.empty_like(y)
    for k, n in wanted.items():
        members = (pool.y == k).nonzero()[:, 0].cpu()
        u = torch.rand(n, generator=seed.child("duplicate", k).torch(), dtype=torch.float64)
        index[y == k] = members[(u * len(members)).long()]
    made = dict.fromkeys(wanted, 0)
    return Filled(
        y=y,
        synthetic=torch.zeros(len(y), dtype=torch.bool),
        index=index,
        source=y.clone(),
        round=torch.full_like(y, -1),
        confidence=torch.full((len(y),), torch.nan, dtype=torch.float64),
        n_made=made,
        n_accepted=dict(made),
    )


def _blocks(open_rows: dict[int, Tensor], block_size: int) -> list[_Block]:
    """Cut the open rows of each class into blocks; blocks of one number stand together."""
    blocks = [
        _Block(k, number, part)
        for k, rows in open_rows.items()
        for number, part in enumerate(rows.split(block_size))
        if len(part)
    ]
    return sorted(blocks, key=lambda block: block.number)


def _batches(blocks: list[_Block], size: int) -> list[list[_Block]]:
    rows: Iterator[_Block] = iter(blocks)
    return list(iter(lambda: list(itertools.islice(rows, size)), []))


def _make(synthesizer, pool: Pool, state, job: list[_Block], seed: Seed, f):
    draws = []
    for block in job:
        y_target = torch.full((len(block.positions),), block.k, device=pool.y.device)
        own = seed.child("block", block.k, block.number)
        shared = seed.child("shared", block.number)
        draws.append(synthesizer.draw(pool, state, y_target, own, shared))
    seeds = [(draw.seeds.index.cpu(), draw.seeds.y_source.cpu()) for draw in draws]
    return synthesizer.synthesize(pool, state, draws, f), seeds


def _record(filled: Filled, job, candidates: Candidates, seeds, number: int, write) -> None:
    positions = torch.cat([block.positions for block in job])
    accepted = candidates.accepted.cpu()
    index, source = (torch.cat(part) for part in zip(*seeds, strict=True))
    at = positions[accepted]
    filled.synthetic[at] = True
    filled.index[at], filled.source[at] = index[accepted], source[accepted]
    filled.round[at] = number
    filled.confidence[at] = candidates.confidence.cpu().double()[accepted]
    for k in filled.y[positions].unique().tolist():
        filled.n_made[k] += int((filled.y[positions] == k).sum())
        filled.n_accepted[k] += int((filled.y[at] == k).sum())
    if len(at):
        write(at, candidates.x)


def rewrite_batch(synthesizer: Synthesizer, pool: Pool, seed: Seed, *, f: Any = None) -> Batch:
    """Replace slots of a mini-batch by synthetic samples of the same class.

    Seeds are read from the batch as it came; a rejected slot keeps its real sample. A method that
    places its rows otherwise has a ``rewrite(pool, seed, f)`` of its own, which is called instead.

    Parameters
    ----------
    synthesizer : Synthesizer
        The method.
    pool : Pool
        The batch as rows, with the class counts of the whole training set.
    seed : Seed
        Belongs to this step.
    f : Classifier or None, default=None
        The classifier in training.

    Returns
    -------
    Batch
        A new batch; of the same size and labels, unless the method says otherwise.
    """
    if hasattr(synthesizer, "rewrite"):
        return synthesizer.rewrite(pool, seed, f)
    x = pool.x.take(torch.arange(len(pool.y), device=pool.y.device))
    slots = synthesizer.request(pool.y, pool.class_counts, seed.child("request"))
    accepted = slots[:0]
    if len(slots):
        state = synthesizer.prepare(pool, pool.y[slots].unique().tolist())
        own, shared = seed.child("own"), seed.child("shared")
        draw = synthesizer.draw(pool, state, pool.y[slots], own, shared)
        candidates = synthesizer.synthesize(pool, state, [draw], f)
        accepted = slots[candidates.accepted]
        x[accepted] = candidates.x.to(x.dtype)
    return Batch(x, [LossTerm(slice(None), pool.y)], len(slots), len(accepted))
