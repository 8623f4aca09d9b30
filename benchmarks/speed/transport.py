"""Entropic transport: the batched solver against POT.

Problems: the 36 classes of one mini-batch, ragged, in two mixes of set sizes, at reg 0.1; and the
pairing of two batches of 128 rows at reg 0.01. Features are Gaussian, plain or rectified as behind a
ReLU, d = 64; costs are cosine. All get costs ready made, the batched ones padded, and the same
tolerance of 1e-6 on the marginals (ours measures it as an L1 norm, POT's `ot.sinkhorn` as an L2
norm, which is at most as large). The first way is a Python loop over `ot.sinkhorn` on NumPy arrays;
a way takes one number of seconds a problem. Below stand each problem's own milliseconds and errors:
"difference" is the largest one of any plan's entry to POT's plan in double precision at a tolerance of
1e-12.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import ot
import torch

from benchmarks.speed.turns import Case, Way, cpu_seconds
from ltresample.distances import sinkhorn_plan

N_FEATURES = 64
TOL = 1e-6
N_CALLS = 3


class Problem(NamedTuple):
    """One line-up: ragged costs in double precision, and the same padded."""

    name: str
    reg: float
    costs: list[np.ndarray]
    padded: np.ndarray  # (S, n, m), 1 where padded
    a: np.ndarray  # (S, n), 0 where padded
    b: np.ndarray  # (S, m)


def make_problem(
    name: str, reg: float, sizes: list[tuple[int, int]], *, rectified: bool
) -> Problem:
    """Draw sets of the sizes and give their costs."""
    rng = np.random.default_rng(0)
    costs = [_cosine_cost(rng, n, m, rectified) for n, m in sizes]
    rows, cols = (max(size) for size in zip(*sizes, strict=True))
    padded = np.ones((len(sizes), rows, cols))
    a, b = np.zeros((len(sizes), rows)), np.zeros((len(sizes), cols))
    for s, (n, m) in enumerate(sizes):
        padded[s, :n, :m], a[s, :n], b[s, :m] = costs[s], 1 / n, 1 / m
    return Problem(f"{name}, {'rectified' if rectified else 'plain'}", reg, costs, padded, a, b)


def _cosine_cost(rng: np.random.Generator, n: int, m: int, rectified: bool) -> np.ndarray:
    sets = [rng.standard_normal((k, N_FEATURES)) for k in (n, m)]
    sets = [np.maximum(x, 0) if rectified else x for x in sets]
    real, synthetic = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in sets)
    return 1 - real @ synthetic.T


def problems() -> list[Problem]:
    """Return all problems of the run."""
    rng = np.random.default_rng(0)

    def ragged(least: int, most: int) -> list[tuple[int, int]]:
        return [(int(rng.integers(4, 65)), int(rng.integers(least, most + 1))) for _ in range(36)]

    mixes = [
        ("36 x (4..64, 1..8)", 0.1, ragged(1, 8)),
        ("36 x (4..64, 4..64)", 0.1, ragged(4, 64)),
        ("1 x (128, 128)", 0.01, [(128, 128)]),
    ]
    return [make_problem(*mix, rectified=kind) for mix in mixes for kind in (False, True)]


def contestants(problem: Problem) -> dict[str, Callable[[], list]]:
    """Return the solvers by name; each gives a list of plans or one padded batch of them."""
    reg, costs = problem.reg, problem.costs
    uniform = [
        (np.full(C.shape[0], 1 / C.shape[0]), np.full(C.shape[1], 1 / C.shape[1])) for C in costs
    ]
    as_torch = [
        tuple(map(torch.from_numpy, (*ab, C))) for ab, C in zip(uniform, costs, strict=True)
    ]
    batch = {
        dtype: [torch.from_numpy(x).to(dtype) for x in (problem.padded, problem.a, problem.b)]
        for dtype in (torch.float64, torch.float32)
    }
    pot = {"numItermax": 1000, "stopThr": TOL}

    def solve_batch() -> torch.Tensor:
        M, a, b = batch[torch.float64]
        options = {"max_iter": 1000, "tol": TOL, "method": "log_sinkhorn", "grad": "detach"}
        return ot.solve_batch(M, reg, a, b, **options).plan

    def ours(dtype: torch.dtype) -> torch.Tensor:
        C, a, b = batch[dtype]
        return sinkhorn_plan(C, reg=reg, a=a, b=b, tol=TOL).plan

    return {
        "ot.sinkhorn, loop, NumPy": lambda: [
            ot.sinkhorn(*ab, C, reg, **pot) for ab, C in zip(uniform, costs, strict=True)
        ],
        "ot.sinkhorn, loop, torch": lambda: [ot.sinkhorn(*abC, reg, **pot) for abC in as_torch],
        "ot.sinkhorn_log, loop": lambda: [
            ot.bregman.sinkhorn_log(*ab, C, reg, **pot)
            for ab, C in zip(uniform, costs, strict=True)
        ],
        "ot.solve_batch, padded": solve_batch,
        "ours, float64": lambda: ours(torch.float64),
        "ours, float32": lambda: ours(torch.float32),
    }


def reference(problem: Problem) -> list[np.ndarray]:
    """Return POT's plans at a tight tolerance."""
    return [
        ot.sinkhorn(
            np.full(C.shape[0], 1 / C.shape[0]),
            np.full(C.shape[1], 1 / C.shape[1]),
            C,
            problem.reg,
            numItermax=200_000,
            stopThr=1e-12,
        )
        for C in problem.costs
    ]


def errors(plans: list, wanted: list[np.ndarray]) -> tuple[float, float]:
    """Return the largest L1 error of a marginal, and the largest difference of an entry."""
    cropped = [
        np.asarray(plan, dtype=np.float64)[: best.shape[0], : best.shape[1]]
        for plan, best in zip(plans, wanted, strict=True)
    ]
    marginal = max(
        np.abs(plan.sum(axis) - 1 / plan.shape[1 - axis]).sum()
        for plan in cropped
        for axis in (0, 1)
    )
    difference = max(np.abs(p - q).max() for p, q in zip(cropped, wanted, strict=True))
    return marginal, difference


def ways(options: argparse.Namespace) -> dict[str, Way]:
    """Return the solvers, each on all problems."""
    solvers = [contestants(problem) for problem in problems()]

    def way(name: str) -> Way:
        return lambda: np.array([seconds(own[name]) for own in solvers])

    return {name: way(name) for name in solvers[0]}


def seconds(solve: Callable[[], Any]) -> float:
    """Return the processor seconds of a call, a few calls being one measurement."""
    return cpu_seconds(lambda: [solve() for _ in range(N_CALLS)]) / N_CALLS


def accuracy(options: argparse.Namespace) -> list[str]:
    """Return a table for each problem: milliseconds, errors of marginals, and differences."""
    lines = []
    for problem in problems():
        lines += ["", f"{problem.name}, reg {problem.reg}"]
        lines.append(f"{'':26}{'ms':>9}{'marginals':>12}{'difference':>12}")
        wanted = reference(problem)
        for name, solve in contestants(problem).items():
            marginal, difference = errors(solve(), wanted)
            ms = 1e3 * seconds(solve)
            lines.append(f"{name:26}{ms:9.2f}{marginal:12.0e}{difference:12.0e}")
    return lines


CASE = Case("36 transport problems of one mini-batch", ways, more=accuracy, rounds=10)
