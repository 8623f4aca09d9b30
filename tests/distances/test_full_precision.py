"""Autocast, rounded products and the scale of the data change nothing that they should not."""

import re

import pytest
import torch

from ltresample._torch import in_full_precision
from ltresample.distances import (
    EnergyDistance,
    ExactTransport,
    MaximumMeanDiscrepancy,
    SinkhornTransport,
    cosine_cost,
    euclidean_cost,
    sinkhorn_plan,
    squared_euclidean_cost,
    unit_rows,
)

COSTS = [cosine_cost, euclidean_cost, squared_euclidean_cost]
TRANSPORTS = [
    *(SinkhornTransport(reg=0.05, cost=cost) for cost in ("cosine", "euclidean", cosine_cost)),
    SinkhornTransport(reg=1.0, cost="squared_euclidean"),
    *(ExactTransport(cost=cost) for cost in ("cosine", "euclidean", "squared_euclidean")),
]
DISTANCES = [
    *TRANSPORTS,
    *(MaximumMeanDiscrepancy(normalize=normalize) for normalize in (False, True)),
    *(EnergyDistance(normalize=normalize) for normalize in (False, True)),
]
SCALES = [1e-8, 1e-4, 1.0, 1e4, 1e8]


def rows(n, *, seed=0, dtype=torch.float32, d=24):
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=dtype)


def name_of(transport):
    """Name a member without the address of its cost function, which each process has of its own."""
    return re.sub(" at 0x[0-9a-f]+", "", repr(transport))


def under_autocast(function, *args, **kwargs):
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (torch.eye(2) @ torch.eye(2)).dtype == torch.bfloat16, "autocast is on"
        return function(*args, **kwargs)


# autocast


@pytest.mark.parametrize("cost", [*COSTS, lambda real, synthetic: unit_rows(real)])
def test_costs_under_autocast_are_those_without(cost):
    x, y = rows(8), rows(6, seed=1)
    got = under_autocast(cost, x, y)
    assert got.dtype == torch.float32
    assert torch.equal(got, cost(x, y))


@pytest.mark.parametrize("distance", DISTANCES, ids=name_of)
def test_distances_and_gradients_under_autocast_are_those_without(distance):
    x, y = rows(8), rows(6, seed=1)

    def value_and_gradient():
        z = y.clone().requires_grad_()
        value = distance(x, z)
        return value.detach(), *torch.autograd.grad(value, z)

    for got, expected in zip(under_autocast(value_and_gradient), value_and_gradient(), strict=True):
        assert torch.equal(got, expected)


@pytest.mark.parametrize("transport", TRANSPORTS, ids=name_of)
def test_plans_under_autocast_are_those_without(transport):
    x, y = rows(8), rows(6, seed=1)
    assert torch.equal(under_autocast(transport.plan, x, y), transport.plan(x, y))


@pytest.mark.parametrize("reg", [0.1, 0.01, 1e-3])
def test_the_solver_under_autocast_is_that_without(reg):
    cost = cosine_cost(rows(30), rows(20, seed=1))
    got, expected = under_autocast(sinkhorn_plan, cost, reg=reg), sinkhorn_plan(cost, reg=reg)
    assert torch.equal(got.plan, expected.plan)


# products that round their factors


@pytest.mark.parametrize("precision", ["highest", "high", "medium"])
def test_products_are_exact_inside_and_the_setting_comes_back(precision):
    def state():
        return [torch.get_float32_matmul_precision(), torch.backends.cuda.matmul.allow_tf32]

    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision(precision)
        outside = state()
        assert in_full_precision(state)() == ["highest", False]
        with pytest.raises(ZeroDivisionError):
            in_full_precision(lambda: 1 / 0)()
        assert state() == outside
    finally:
        torch.set_float32_matmul_precision(before)


@pytest.mark.skipif(
    not hasattr(torch.backends.cuda.matmul, "fp32_precision"), reason="PyTorch before 2.9"
)
def test_a_setting_of_one_backend_comes_back():
    matmul = torch.backends.cuda.matmul
    before = matmul.fp32_precision
    try:
        matmul.fp32_precision = "tf32"
        assert in_full_precision(lambda: matmul.fp32_precision)() == "ieee"
        assert matmul.fp32_precision == "tf32"
    finally:
        matmul.fp32_precision = before


# scale


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [1e-30, 1e-23, 1e-20, 1e-15, 1.0, 1e15, 1e19, 1e20, 1e30])
def test_unit_rows_of_any_length_are_those_of_moderate_ones(scale, dtype):
    x, weight = rows(5, dtype=dtype), rows(5, seed=1, dtype=dtype)
    x[2] = 0
    mixed = x * torch.tensor([[scale], [1.0], [1.0], [scale], [1.0]], dtype=dtype)
    x.requires_grad_(), mixed.requires_grad_()
    torch.testing.assert_close(unit_rows(mixed), unit_rows(x), rtol=1e-6, atol=0)
    expected, got = (
        torch.autograd.grad((unit_rows(z) * weight).sum(), z)[0][[0, 1, 3, 4]] for z in (x, mixed)
    )
    got = got * torch.tensor([[scale], [1.0], [scale], [1.0]], dtype=dtype)
    torch.testing.assert_close(got, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", [1e-30, 1.0, 1e30])
def test_gradient_of_unit_rows_agrees_with_finite_differences(scale):
    x = scale * rows(3, d=4, dtype=torch.float64)
    # with respect to the row in units of the scale
    assert torch.autograd.gradcheck(lambda z: unit_rows(scale * z), (x / scale).requires_grad_())


def test_moderate_rows_are_divided_by_their_norm_and_nothing_else():
    """Bit for bit, also where another row of the batch is extreme."""
    x = rows(20)
    plain = x / torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    assert torch.equal(unit_rows(x), plain)
    assert torch.equal(unit_rows(torch.cat([x, 1e30 * x, 0 * x]))[:20], plain)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(
    ("distance", "power"),
    [
        (EnergyDistance(), 1),
        (ExactTransport(cost="euclidean"), 1),
        (ExactTransport(cost="squared_euclidean"), 2),
        (MaximumMeanDiscrepancy(), 2),
        (EnergyDistance(normalize=True), 0),
        (MaximumMeanDiscrepancy(normalize=True), 0),
        (SinkhornTransport(), 0),
        (ExactTransport(), 0),
    ],
    ids=str,
)
def test_a_distance_follows_the_scale_of_the_data(distance, power, scale):
    """D(c x, c y) = c^p D(x, y), and the gradient c^(p - 1) times the one at scale 1."""
    x, y = rows(9), rows(7, seed=1)
    y[3] = x[2]  # two rows meet
    value, gradient = [], []
    for c in (1.0, scale):
        z = (c * y).requires_grad_()
        value.append(distance(c * x, z))
        gradient.append(torch.autograd.grad(value[-1], z)[0] * c)
    for at_one, at_scale in ((value[0], value[1]), (gradient[0], gradient[1])):
        torch.testing.assert_close(at_scale / scale**power, at_one, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize(("cost", "power"), [("euclidean", 1), ("squared_euclidean", 2)])
def test_entropic_transport_follows_the_scale_with_its_reg(cost, power, scale):
    x, y = rows(9), rows(7, seed=1)
    at_one = SinkhornTransport(reg=1.0, cost=cost)(x, y)
    at_scale = SinkhornTransport(reg=scale**power, cost=cost)(scale * x, scale * y)
    torch.testing.assert_close(at_scale / scale**power, at_one, rtol=1e-4, atol=1e-4)
