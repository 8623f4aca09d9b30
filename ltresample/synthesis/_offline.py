"""The offline driver: fill classes once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from joblib import Parallel, delayed
from torch import Tensor

from ltresample._random import Seed
from ltresample.rows import ClassIndex, Pool
from ltresample.synthesis._method import Made, Method, Slots

__all__ = ["Filled", "fill"]


class Filled(NamedTuple):
    """What all new rows are made from; position 0 is the first new row."""

    y: Tensor  # (n_new,) class index
    synthetic: Tensor  # (n_new,) bool; the others are duplicates of real rows
    index: Tensor  # (n_new,) the row that it is made from, or a duplicate of
    source: Tensor  # (n_new,) class of that row; -1 for an open-set sample
    round: Tensor  # (n_new,) round in which a synthetic row was made; -1 for duplicates
    confidence: Tensor  # (n_new,) g's probability of the class; NaN: none, as for duplicates
    partner: Tensor  # (n_new,) a second row that it is made from, -1: none
    lam: Tensor  # (n_new,) the partner's share of the label
    n_made: dict[int, int]  # class -> candidates
    n_accepted: dict[int, int]  # class -> accepted candidates


class _Block(NamedTuple):
    slots: Slots
    seed: Seed
    shared: Seed


def fill(
    method: Method,
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

    Blocks hold rows of one class, or, where the method is `joint`, rows of all classes, shuffled.

    Parameters
    ----------
    method : Method
        The method.
    pool : Pool
        Real samples.
    wanted : dict of int to int
        Class index to number of new rows.
    seed : Seed
        Root of the random numbers. Rows depend on it, the class, the round and their position in
        the class; not on `batch_size`, `n_jobs` or the order of `wanted`. Those of a joint method
        depend on `wanted` too.
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
        Told the number of rows made after each pass; a true answer stops early, with duplicates in
        all rows that are left.

    Returns
    -------
    Filled
        What each new row is made from.
    """
    y = method.labels(wanted, seed)
    places = ClassIndex.of(y, len(pool.class_counts))
    filled = _duplicates(y, places, pool, wanted, seed)
    rows = {k: places.rows(k) for k in sorted(wanted) if wanted[k]}
    # the others stay duplicates from the start
    rows = {k: at[: round(synthetic_share * len(at))] for k, at in rows.items()}
    state = method.begin(pool, seed, wanted)
    for number in range(max_rounds):
        blocks = _blocks(method, state, rows, filled.y, seed, number)
        size = max(1, batch_size // method.block_size)  # blocks of a pass
        jobs = [blocks[start : start + size] for start in range(0, len(blocks), size)]
        call, run = delayed(_make), Parallel(n_jobs=n_jobs, return_as="generator")
        for job, made in zip(jobs, run(call(method, state, job, f) for job in jobs), strict=True):
            n = _record(filled, job, made, number, write)
            if tick is not None and tick(n):
                return filled
        # what was rejected is drawn anew; the papers have a single round
        rows = {k: at[~filled.synthetic[at]] for k, at in rows.items()}
        if not any(len(at) for at in rows.values()):
            break
    return filled


def _duplicates(
    y: Tensor, places: ClassIndex, pool: Pool, wanted: dict[int, int], seed: Seed
) -> Filled:
    """Plan every new row as a copy of a random real row of its class (M2m, Algorithm 1)."""
    index = torch.empty_like(y)
    for k, n in wanted.items():
        u = torch.rand(n, generator=seed.child("duplicate", k).torch(), dtype=torch.float64)
        index[places.rows(k)] = pool.classes.draw(torch.full((n,), k), u)
    none = torch.full_like(y, -1)  # (n_new,)
    return Filled(
        y=y,
        synthetic=torch.zeros(len(y), dtype=torch.bool),
        index=index,
        source=y.clone(),
        round=none,
        confidence=torch.full((len(y),), torch.nan, dtype=torch.float64),
        partner=none.clone(),
        lam=torch.zeros(len(y), dtype=torch.float64),
        n_made=dict.fromkeys(wanted, 0),
        n_accepted=dict.fromkeys(wanted, 0),
    )


def _blocks(
    method: Method, state: Any, rows: dict[int, Tensor], y: Tensor, seed: Seed, number: int
) -> list[_Block]:
    """Cut the open rows of a round into blocks; blocks of one number stand together."""
    size = method.rows_per_block(state)
    if method.joint:
        seed = seed.child(number) if number else seed
        at = torch.cat([*rows.values(), y[:0]])
        at = method.order(at, seed.child("order"))
        return [
            _Block(Slots(part, y[part]), seed.child("block", i), seed.child("shared", i))
            for i, part in enumerate(at.split(size))
            if len(part)
        ]
    # numbered within the class, so that a class's rows do not depend on the other classes
    seed = seed.child(number)
    numbered = [(i, k, p) for k, at in rows.items() for i, p in enumerate(at.split(size)) if len(p)]
    return [
        _Block(Slots(part, y[part]), seed.child("block", k, i), seed.child("shared", i))
        for i, k, part in sorted(numbered, key=lambda entry: entry[0])
    ]


def _make(method: Method, state: Any, job: list[_Block], f: Any) -> Made:
    draws = [method.draw(state, *block) for block in job]
    return method.make(state, draws, f)


def _record(filled: Filled, job: list[_Block], made: Made, number: int, write: Any) -> int:
    """Note what became of the rows of a pass, hand the accepted ones on, and count all."""
    positions = torch.cat([block.slots.at for block in job])  # (m,)
    at = positions[made.accepted]
    filled.synthetic[at] = True
    filled.round[at] = number
    columns = (
        (filled.index, made.index),
        (filled.source, made.source),
        (filled.confidence, made.confidence),
        (filled.partner, made.partner),
        (filled.lam, made.lam),
    )
    for column, values in columns:
        if values is not None:
            column[at] = values[made.accepted].to(column.dtype)
    for counts, rows in ((filled.n_made, positions), (filled.n_accepted, at)):
        for k, n in zip(*filled.y[rows].unique(return_counts=True), strict=True):
            counts[int(k)] += int(n)
    if len(at):
        write(at, made.x)
    return len(positions)
