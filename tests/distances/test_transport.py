"""Entropic and exact transport between sets."""

import re

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltresample.distances import ExactTransport, SinkhornTransport, squared_euclidean_cost

TRANSPORTS = [SinkhornTransport(), ExactTransport()]


def rows(*shape, seed=0):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


@given(st.permutations(range(7)), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_points_moved_by_less_than_half_their_gaps_go_to_their_own_image(permutation, seed):
    """Points on a line at distance 1, moved by at most 0.4: the plan is the permutation."""
    moved = torch.from_numpy(np.random.default_rng(seed).uniform(-0.4, 0.4, (7, 1)))
    real = torch.arange(7.0, dtype=torch.float64)[:, None]
    synthetic = (real + moved)[list(permutation)]
    exact = ExactTransport(cost="squared_euclidean")
    torch.testing.assert_close(
        exact.plan(real, synthetic).mT, torch.eye(7, dtype=real.dtype)[list(permutation)] / 7
    )
    torch.testing.assert_close(exact(real, synthetic), moved.square().mean())


def test_entropic_value_is_that_of_the_definition():
    real, synthetic = rows(6, 4), rows(3, 4, seed=1)
    T = SinkhornTransport().plan(real, synthetic).numpy()
    r, x = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in (real.numpy(), synthetic.numpy()))
    expected = (T * (1 - r @ x.T)).sum() + 0.1 * (T * np.log(T)).sum()
    assert float(SinkhornTransport()(real, synthetic)) == pytest.approx(expected)


def test_entropic_value_is_the_least_of_all_plans():
    real, synthetic = rows(4, 3), rows(4, 3, seed=1)
    best = float(SinkhornTransport(reg=0.2, tol=1e-10)(real, synthetic))
    C = squared_euclidean_cost(*(z / z.norm(dim=1, keepdim=True) for z in (real, synthetic))) / 2
    for weight in np.linspace(0, 1, 11):  # plans between the product and the exact one
        exact = ExactTransport().plan(real, synthetic)
        T = (1 - weight) / 16 + weight * exact
        assert float((T * C).sum() + 0.2 * torch.xlogy(T, T).sum()) >= best - 1e-9


def test_small_reg_approaches_exact_transport():
    real, synthetic = rows(9, 4), rows(6, 4, seed=1)
    entropic = SinkhornTransport(reg=1e-4)(real, synthetic)
    assert float(entropic) == pytest.approx(float(ExactTransport()(real, synthetic)), abs=1e-3)


def test_a_set_is_at_distance_zero_from_itself_without_entropy():
    real = rows(9, 4)
    assert float(ExactTransport()(real, real.flip(0))) == pytest.approx(0, abs=1e-12)
    # -reg H of the matching, reg ln 9, is all that is left
    assert float(SinkhornTransport(reg=1e-5)(real, real.flip(0))) == pytest.approx(0, abs=3e-5)


@pytest.mark.parametrize("transport", TRANSPORTS, ids=repr)
def test_one_synthetic_row_receives_all_mass_evenly(transport):
    real, synthetic = rows(8, 3), rows(1, 3, seed=1)
    np.testing.assert_allclose(transport.plan(real, synthetic).numpy(), np.full((8, 1), 1 / 8))


@pytest.mark.parametrize("transport", TRANSPORTS, ids=repr)
def test_plans_have_uniform_marginals_over_the_rows_that_exist(transport):
    real, synthetic = rows(2, 5, 3), rows(2, 4, 3, seed=1)
    real_mask = torch.tensor([[True] * 5, [True, False, True, False, True]])
    synthetic_mask = torch.tensor([[False] * 4, [False, True, True, True]])
    plan = transport.plan(real, synthetic, real_mask=real_mask, synthetic_mask=synthetic_mask)
    assert not plan.requires_grad
    assert plan[0].abs().sum() == 0
    np.testing.assert_allclose(plan[1].sum(1), np.array([1, 0, 1, 0, 1]) / 3, atol=1e-5)
    np.testing.assert_allclose(plan[1].sum(0), np.array([0, 1, 1, 1]) / 3, atol=1e-5)


def test_a_function_may_be_the_cost():
    real, synthetic = rows(4, 3), rows(4, 3, seed=1)
    named = ExactTransport(cost="squared_euclidean")(real, synthetic)
    torch.testing.assert_close(ExactTransport(cost=squared_euclidean_cost)(real, synthetic), named)


def test_an_unknown_cost_is_told_the_names():
    message = (
        "Unknown cost. Got cost='cos'. Pass one of 'cosine', 'euclidean', 'squared_euclidean', or "
        "a function of two tensors (S, n, d) and (S, m, d) that gives costs (S, n, m)."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        SinkhornTransport(cost="cos")(torch.ones(2, 3), torch.ones(2, 3))


def test_nothing_rests_on_the_batch_solvers_of_pot(monkeypatch):
    """Without reg, `ot.solve_batch` of POT 0.9.7 gives plans that are far from the optimum."""
    called = []
    for name in ("solve_batch", "solve_sample_batch", "solve", "sinkhorn"):
        monkeypatch.setattr(ot, name, lambda *args, name=name, **options: called.append(name))
    real, synthetic = rows(3, 5, 3), rows(3, 4, 3, seed=1)
    exact = [
        (1 - torch.nn.functional.cosine_similarity(r[:, None], s[None], dim=2)).numpy()
        for r, s in zip(real, synthetic, strict=True)
    ]
    expected = [ot.emd2(np.full(5, 1 / 5), np.full(4, 1 / 4), C) for C in exact]
    np.testing.assert_allclose(ExactTransport()(real, synthetic).numpy(), expected)
    SinkhornTransport()(real, synthetic)
    assert called == []


@pytest.mark.parametrize("settings", [{"max_iter": 1}, {"tol": 1e-300}], ids=str)
@pytest.mark.parametrize("cost", ["euclidean", "cosine"])
def test_a_plan_that_is_not_within_its_bounds_warns(settings, cost):
    real, synthetic = rows(9, 3), rows(7, 3, seed=1)
    with pytest.warns(Warning, match="has a marginal error of"):
        SinkhornTransport(reg=0.01, cost=cost, **settings).plan(real, synthetic)
