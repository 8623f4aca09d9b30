"""Contracts that every distance between two sets keeps."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltresample.distances import (
    EnergyDistance,
    ExactTransport,
    MaximumMeanDiscrepancy,
    SinkhornTransport,
    cosine_cost,
    euclidean_cost,
    squared_euclidean_cost,
    unit_rows,
)

MEMBERS = [
    SinkhornTransport(),
    SinkhornTransport(reg=0.02, cost="euclidean"),
    SinkhornTransport(reg=0.5, cost="squared_euclidean"),
    ExactTransport(),
    ExactTransport(cost="squared_euclidean"),
    MaximumMeanDiscrepancy(),
    MaximumMeanDiscrepancy(normalize=True),
    EnergyDistance(),
    EnergyDistance(normalize=True),
]
SCALE_FREE = [
    SinkhornTransport(),
    ExactTransport(),
    MaximumMeanDiscrepancy(normalize=True),
    EnergyDistance(normalize=True),
]

every_member = pytest.mark.parametrize("distance", MEMBERS, ids=repr)


def rows(*shape, seed=0, dtype=torch.float64):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape)).to(dtype)


def ragged(sizes, width, *, seed=0):
    """Padded sets (S, width, 3), with garbage in the padding, and their mask."""
    mask = torch.arange(width) < torch.tensor(sizes)[:, None]
    x = rows(len(sizes), width, 3, seed=seed)
    return torch.where(mask[..., None], x, torch.tensor(torch.nan)), mask


@every_member
def test_a_ragged_batch_is_the_loop_over_its_sets(distance):
    real, real_mask = ragged([5, 2, 1, 7], 7)
    synthetic, synthetic_mask = ragged([3, 4, 1, 2], 4, seed=1)
    batch = distance(real, synthetic, real_mask=real_mask, synthetic_mask=synthetic_mask)
    singles = [
        distance(r[i], s[j])
        for r, i, s, j in zip(real, real_mask, synthetic, synthetic_mask, strict=True)
    ]
    torch.testing.assert_close(batch, torch.stack(singles), atol=1e-6, rtol=1e-6)


@every_member
def test_order_of_the_rows_does_not_matter(distance):
    real, synthetic = rows(6, 3), rows(4, 3, seed=1)
    shuffled = distance(real[[3, 1, 5, 0, 2, 4]], synthetic[[2, 0, 3, 1]])
    torch.testing.assert_close(shuffled, distance(real, synthetic), atol=1e-6, rtol=1e-6)


@every_member
def test_distance_is_symmetric(distance):
    real, synthetic = rows(6, 3), rows(4, 3, seed=1)
    there, back = distance(real, synthetic), distance(synthetic, real)
    torch.testing.assert_close(there, back, atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("distance", SCALE_FREE, ids=repr)
def test_lengths_of_the_rows_do_not_matter_to_scale_free_members(distance):
    real, synthetic = rows(6, 3), rows(4, 3, seed=1)
    stretched = distance(real * torch.linspace(0.1, 50, 6)[:, None], 7 * synthetic)
    torch.testing.assert_close(stretched, distance(real, synthetic))


@every_member
def test_a_set_without_rows_is_at_distance_zero_with_zero_gradient(distance):
    real, synthetic = rows(3, 5, 3), rows(3, 4, 3, seed=1).requires_grad_()
    real_mask = torch.tensor([[True] * 5, [False] * 5, [True] * 5])
    synthetic_mask = torch.tensor([[True] * 4, [True] * 4, [False] * 4])
    value = distance(real, synthetic, real_mask=real_mask, synthetic_mask=synthetic_mask)
    assert value[0] != 0
    assert value[1:].tolist() == [0, 0]
    (gradient,) = torch.autograd.grad(value.sum(), synthetic)
    assert gradient[0].abs().sum() > 0
    assert gradient[1:].abs().sum() == 0


@every_member
@pytest.mark.parametrize(("n", "m"), [(0, 3), (3, 0)])
def test_sets_of_no_size_are_at_distance_zero(distance, n, m):
    assert distance(torch.ones(2, n, 3), torch.ones(2, m, 3)).tolist() == [0, 0]


@every_member
@pytest.mark.parametrize("side", [0, 1])
def test_gradient_agrees_with_finite_differences(distance, side):
    """For transports this is the envelope theorem: the plan is held fixed, yet nothing is lost."""
    sets = [rows(5, 3), rows(4, 3, seed=1)]
    x = sets[side].clone().requires_grad_()
    (gradient,) = torch.autograd.grad(distance(*sets[:side], x, *sets[side + 1 :]), x)
    numeric = torch.zeros_like(gradient)
    for i, j in np.ndindex(*gradient.shape):
        step = torch.zeros_like(gradient)
        step[i, j] = 1e-5
        up = distance(*sets[:side], sets[side] + step, *sets[side + 1 :])
        down = distance(*sets[:side], sets[side] - step, *sets[side + 1 :])
        numeric[i, j] = (up - down) / 2e-5
    torch.testing.assert_close(gradient, numeric, atol=2e-5, rtol=1e-4)


@every_member
def test_gradient_is_finite_at_equal_and_at_zero_rows(distance):
    synthetic = torch.zeros(3, 4)
    synthetic[0] = 1
    synthetic.requires_grad_()
    value = distance(torch.eye(4)[:1].repeat(2, 1), synthetic)
    (gradient,) = torch.autograd.grad(value + distance(synthetic.detach(), synthetic), synthetic)
    assert gradient.isfinite().all()


@every_member
def test_half_precision_and_autocast_lose_nothing_more_than_the_inputs(distance):
    real, synthetic = rows(6, 3).bfloat16(), rows(4, 3, seed=1).bfloat16()
    expected = distance(real.float(), synthetic.float())
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = distance(real, synthetic)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected)


def test_members_compare_by_their_hyper_parameters():
    assert SinkhornTransport(reg=0.1) == SinkhornTransport()
    assert SinkhornTransport(reg=0.2) != SinkhornTransport()
    assert repr(EnergyDistance()) == "EnergyDistance(normalize=False)"


@pytest.mark.parametrize(
    ("real", "synthetic", "masks", "message"),
    [
        (
            torch.ones(3),
            torch.ones(3),
            {},
            "A distance takes two sets, (n, d) and (m, d), or two batches of sets, (S, n, d) and "
            "(S, m, d). Got real of shape (3,) and synthetic of shape (3,).",
        ),
        (
            torch.ones(2, 3, 4),
            torch.ones(1, 3, 4),
            {},
            "Both batches of sets must have the same number of sets S and of features d. Got real "
            "of shape (2, 3, 4) and synthetic of shape (1, 3, 4).",
        ),
        (
            torch.ones(3, 4),
            torch.ones(2, 4),
            {"synthetic_mask": torch.ones(2)},
            "synthetic_mask must be a bool tensor of shape (2,), True where a row belongs to the "
            "set. Got torch.float32 of shape (2,).",
        ),
    ],
)
def test_errors_say_what_is_wrong(real, synthetic, masks, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        EnergyDistance()(real, synthetic, **masks)


# Known answers -----------------------------------------------------------------------------------


def numpy_energy(r, x):
    """2 E|r-x| - E|r-r'| - E|x-x'| over all pairs, as Szekely and Rizzo write it."""

    def mean(p, q):
        return np.mean([[np.sqrt(((i - j) ** 2).sum()) for j in q] for i in p])

    return 2 * mean(r, x) - mean(r, r) - mean(x, x)


def numpy_mmd(r, x):
    """k(r,r') - 2 k(r,x) + k(x,x') with k the scalar product: the definition by kernels."""
    return (r @ r.T).mean() - 2 * (r @ x.T).mean() + (x @ x.T).mean()


@pytest.mark.parametrize(
    ("distance", "oracle"),
    [(EnergyDistance(), numpy_energy), (MaximumMeanDiscrepancy(), numpy_mmd)],
    ids=["energy", "mmd"],
)
@pytest.mark.parametrize(("n", "m"), [(1, 1), (4, 7), (9, 2)])
def test_value_is_that_of_the_definition(distance, oracle, n, m):
    real, synthetic = rows(n, 3), rows(m, 3, seed=1)
    assert float(distance(real, synthetic)) == pytest.approx(
        oracle(real.numpy(), synthetic.numpy()), abs=1e-10
    )


def test_normalize_is_the_distance_of_unit_rows():
    real, synthetic = rows(4, 3), rows(5, 3, seed=1)
    for member in (EnergyDistance, MaximumMeanDiscrepancy):
        expected = member()(unit_rows(real), unit_rows(synthetic))
        torch.testing.assert_close(member(normalize=True)(real, synthetic), expected)


sets = st.tuples(st.integers(1, 8), st.integers(1, 8), st.integers(0, 2**32 - 1))


@given(sets)
@settings(max_examples=40, deadline=None)
def test_energy_distance_is_positive_unless_the_sets_are_equal(problem):
    n, m, seed = problem
    real, synthetic = rows(n, 3, seed=seed), rows(m, 3, seed=seed + 1)
    assert EnergyDistance()(real, synthetic) > 0
    assert float(EnergyDistance()(real, real.flip(0))) == pytest.approx(0, abs=1e-9)


@given(sets)
@settings(max_examples=40, deadline=None)
def test_energy_distance_with_squared_norms_would_be_twice_mmd(problem):
    n, m, seed = problem
    real, synthetic = rows(n, 3, seed=seed), rows(m, 3, seed=seed + 1)
    squared = (
        2 * squared_euclidean_cost(real, synthetic).mean()
        - squared_euclidean_cost(real, real).mean()
        - squared_euclidean_cost(synthetic, synthetic).mean()
    )
    torch.testing.assert_close(squared, 2 * MaximumMeanDiscrepancy()(real, synthetic))


@pytest.mark.parametrize(
    ("cost", "oracle"),
    [
        (cosine_cost, lambda r, x: 1 - r @ x / np.linalg.norm(r) / np.linalg.norm(x)),
        (euclidean_cost, lambda r, x: np.linalg.norm(r - x)),
        (squared_euclidean_cost, lambda r, x: ((r - x) ** 2).sum()),
    ],
)
def test_costs_are_those_of_their_formulas(cost, oracle):
    real, synthetic = rows(4, 3), rows(5, 3, seed=1)
    expected = [[oracle(r, x) for x in synthetic.numpy()] for r in real.numpy()]
    np.testing.assert_allclose(cost(real, synthetic).numpy(), expected, rtol=1e-10)


def test_small_distances_survive_far_from_the_origin():
    x = torch.full((1, 64), 100.0)
    near = x + 1e-3
    expected = float(((near.double() - x.double()) ** 2).sum().sqrt())
    assert float(euclidean_cost(x, near)) == pytest.approx(expected, rel=1e-4)
