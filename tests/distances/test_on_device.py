"""Distances and pairings on an emulated accelerator."""

import numpy as np
import pytest
import torch
from emulated_device import emulated_device, on_cpu

from ltresample.distances import (
    EnergyDistance,
    ExactTransport,
    MaximumMeanDiscrepancy,
    RunAhead,
    SinkhornTransport,
    cosine_cost,
    sinkhorn_plan,
)
from ltresample.exceptions import LongTailWarning
from ltresample.pairing import ConfusionPairing, RandomPairing, Side, TransportPairing

DISTANCES = [
    SinkhornTransport(),
    SinkhornTransport(reg=0.02, cost="euclidean"),
    SinkhornTransport(reg=1e-3),
    ExactTransport(),
    MaximumMeanDiscrepancy(),
    EnergyDistance(normalize=True),
]
PAIRINGS = [
    RandomPairing(),
    ConfusionPairing(),
    TransportPairing(),
    TransportPairing(feature_weight=1.0, cost="euclidean"),
    TransportPairing(select="sample"),
    TransportPairing(select="softmax"),
]


def sets(S=4, n=12, m=5, seed=0):
    g = torch.Generator().manual_seed(seed)
    real, synthetic = torch.randn(S, n, 12, generator=g), torch.randn(S, m, 12, generator=g)
    masks = torch.rand(S, n, generator=g) < 0.8, torch.rand(S, m, generator=g) < 0.8
    return real, synthetic, *masks


def sides(n=48):
    g = torch.Generator().manual_seed(0)
    y = torch.randint(5, (2, n), generator=g)
    z = torch.randn(2, n, 16, generator=g)
    affinity = torch.rand(5, 5, generator=g, dtype=torch.float64) / 5
    return y, z, torch.rand(n, generator=g, dtype=torch.float64), affinity


def value_and_gradient(distance, put=lambda x: x, run=lambda make: make()):
    real, synthetic, *masks = map(put, sets())
    synthetic.requires_grad_()

    def make():
        return distance(real, synthetic, real_mask=masks[0], synthetic_mask=masks[1])

    value = run(make)
    return value.detach(), *torch.autograd.grad(value.sum(), synthetic)


@pytest.fixture
def deterministic():
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.fixture
def tf32():
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    yield
    torch.set_float32_matmul_precision(before)


@pytest.mark.usefixtures("deterministic", "tf32")
@pytest.mark.parametrize("distance", DISTANCES, ids=repr)
def test_distances_and_gradients_are_those_of_the_cpu(distance):
    """Also where kernels must be deterministic, and products outside are rounded."""
    with emulated_device() as log:
        got = [on_cpu(x) for x in value_and_gradient(distance, log.put)]
    for there, here in zip(got, value_and_gradient(distance), strict=True):
        torch.testing.assert_close(there, here, atol=1e-6, rtol=1e-5)


@pytest.mark.usefixtures("deterministic", "tf32")
@pytest.mark.parametrize("pairing", PAIRINGS, ids=repr)
def test_pairs_are_those_of_the_cpu(pairing):
    y, z, u, affinity = sides()
    expected = pairing.pair(*map(Side, y, z), u, class_affinity=affinity)
    with emulated_device() as log:
        two = [Side(log.put(a), log.put(b)) for a, b in zip(y, z, strict=True)]
        got = pairing.pair(*two, u, class_affinity=log.put(affinity))
        assert log.n_waits <= 6, log.report()
    assert torch.equal(on_cpu(got), expected)


@pytest.mark.usefixtures("tf32")
@pytest.mark.parametrize("reg", [0.5, 0.1, 0.02, 1e-3])
@pytest.mark.parametrize("shape", [(1, 30, 20), (4, 12, 25)])
def test_the_reported_error_is_the_true_one_though_products_outside_are_rounded(reg, shape):
    g = torch.Generator().manual_seed(0)
    S, n, m = shape
    cost = cosine_cost(torch.randn(S, n, 8, generator=g), torch.randn(S, m, 8, generator=g))
    with emulated_device() as log:
        found = sinkhorn_plan(log.put(cost), reg=reg, max_iter=500)
        assert log.n_waits <= 6, log.report()
    plan = on_cpu(found.plan).double()
    rows, columns = (plan.sum(2) - 1 / n).abs().sum(1), (plan.sum(1) - 1 / m).abs().sum(1)
    true = torch.maximum(rows, columns)
    assert found.converged
    assert float(true.max()) < 5e-6
    np.testing.assert_allclose(on_cpu(found.marginal_error), true, atol=2e-6)


@pytest.mark.usefixtures("tf32")
def test_costs_are_exact_though_products_outside_are_rounded():
    real, synthetic, *_ = sets()
    with emulated_device() as log:
        got = on_cpu(cosine_cost(log.put(real), log.put(synthetic)))
        rounded = on_cpu(log.put(real) @ log.put(synthetic).mT)
    assert torch.equal(got, cosine_cost(real, synthetic))
    assert not torch.equal(rounded, real @ synthetic.mT)


@pytest.mark.parametrize("reg", [0.3, 0.05, 1e-3])
@pytest.mark.parametrize("shape", [(1, 15, 10), (1, 10, 15), (5, 12, 9), (3, 9, 1)])
def test_looking_seldom_finds_what_looking_often_finds(reg, shape):
    """The same iterate is taken, after the same number of iterations."""
    g = torch.Generator().manual_seed(1)
    S, n, m = shape
    cost = cosine_cost(torch.randn(S, n, 8, generator=g), torch.randn(S, m, 8, generator=g))
    mask = torch.rand(S, n, generator=g) < 0.8
    mask[:, 0] = True
    expected = sinkhorn_plan(cost, reg=reg, row_mask=mask)
    with emulated_device() as log:
        found = sinkhorn_plan(log.put(cost), reg=reg, row_mask=log.put(mask))
        assert log.n_waits <= 8, log.report()
    assert found.n_iter == expected.n_iter
    assert found.converged == expected.converged
    torch.testing.assert_close(on_cpu(found.plan), expected.plan, atol=1e-6, rtol=0)
    torch.testing.assert_close(
        on_cpu(found.marginal_error), expected.marginal_error, atol=1e-6, rtol=0
    )


def test_weights_are_looked_at_once():
    cost = torch.rand(3, 4, 5)
    with emulated_device() as log:
        weights = {"a": log.put(torch.full((3, 4), 1 / 4)), "b": log.put(torch.full((3, 5), 1 / 5))}
        sinkhorn_plan(log.put(cost), reg=0.5)
        without = log.n_waits
        log.clear()
        sinkhorn_plan(log.put(cost), reg=0.5, **weights)
        assert log.n_waits == without + 1, log.report()
        weights["a"][1, 2] = torch.nan
        with pytest.raises(ValueError, match="Got nan at position 2 of problem 1"):
            sinkhorn_plan(log.put(cost), reg=0.5, **weights)


def test_running_ahead_waits_once_for_all_plans():
    distance = SinkhornTransport()
    expected = value_and_gradient(distance)

    def ten_times(make):
        return run_ahead(lambda: sum(make() for _ in range(10)) / 10)

    with emulated_device() as log:
        run_ahead = RunAhead(64)
        got = value_and_gradient(distance, log.put, ten_times)
        assert log.n_waits == 1, log.report()
    for there, here in zip(got, expected, strict=True):
        torch.testing.assert_close(on_cpu(there), here, atol=1e-6, rtol=1e-5)


@pytest.mark.parametrize(
    "distance",
    [
        SinkhornTransport(reg=0.02),  # scaling is not enough: known beforehand
        SinkhornTransport(cost="euclidean"),  # not known
        SinkhornTransport(tol=1e-7),  # missed, and seen afterwards
    ],
    ids=repr,
)
def test_running_ahead_gives_the_careful_plan_where_it_has_not_converged(distance):
    expected = value_and_gradient(distance)
    with emulated_device() as log:
        got = value_and_gradient(distance, log.put, RunAhead())
    for there, here in zip(got, expected, strict=True):
        torch.testing.assert_close(on_cpu(there), here, atol=1e-6, rtol=1e-5)


def test_running_ahead_learns_how_many_iterations_are_enough():
    distance, expected = SinkhornTransport(), value_and_gradient(SinkhornTransport())
    run_ahead = RunAhead(16)
    waits = []
    with emulated_device() as log:
        for _ in range(4):
            log.clear()
            got = value_and_gradient(distance, log.put, run_ahead)
            torch.testing.assert_close(on_cpu(got[0]), expected[0], atol=1e-6, rtol=1e-5)
            waits.append(log.n_waits)
        assert waits[0] > 1
        assert waits[-1] == 1
        assert 16 < run_ahead.n_iter < 128
        run_ahead.n_iter = 128
        with pytest.warns(LongTailWarning, match="marginal error"):
            value_and_gradient(SinkhornTransport(tol=0.0, max_iter=2), log.put, run_ahead)
    assert run_ahead.n_iter == 0, "given up"


def test_running_ahead_says_what_looking_says():
    real, synthetic, *_ = sets()
    with emulated_device() as log:
        there = log.put(real), log.put(synthetic)
        with pytest.warns(LongTailWarning, match="marginal error"):
            RunAhead()(lambda: SinkhornTransport(max_iter=4)(*there))
        there[1][0, 0] = torch.nan
        with pytest.raises(ValueError, match="cost must be finite"):
            RunAhead()(lambda: SinkhornTransport()(*there))


def test_running_ahead_needs_a_number_of_iterations():
    with pytest.raises(ValueError, match="n_iter must be at least 0. Got n_iter=-4"):
        RunAhead(-4)


def test_running_ahead_changes_nothing_on_a_cpu():
    calls = []

    def make():
        calls.append(1)
        return SinkhornTransport(reg=0.2)(*sets()[:2])

    assert torch.equal(RunAhead()(make), SinkhornTransport(reg=0.2)(*sets()[:2]))
    assert len(calls) == 1
