"""The batched solver of entropic transport, held against POT and against known answers."""

import re
import warnings

import numpy as np
import ot
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ltresample.distances import cosine_cost, sinkhorn_plan
from ltresample.distances._scaling import _scale
from ltresample.exceptions import LongTailWarning


def cosines(n, m, *, seed=0, relu=True, dtype=torch.float64):
    """Cosine costs between features; rectified ones are close to each other, as in networks."""
    rng = np.random.default_rng(seed)
    real, synthetic = (torch.from_numpy(rng.normal(size=(k, 16))) for k in (n, m))
    if relu:
        real, synthetic = real.relu(), synthetic.relu()
    return cosine_cost(real, synthetic).to(dtype)


def uniform(n):
    return np.full(n, 1 / n)


sizes = st.tuples(st.integers(1, 20), st.integers(1, 20), st.integers(0, 2**32 - 1))


@given(sizes, st.sampled_from([1.0, 0.2]), st.booleans())
@settings(max_examples=30, deadline=None)
def test_plan_is_that_of_pot(problem, reg, relu):
    n, m, seed = problem
    cost = cosines(n, m, seed=seed, relu=relu)
    ours = sinkhorn_plan(cost, reg=reg, tol=1e-10).plan
    theirs = ot.bregman.sinkhorn_log(
        uniform(n), uniform(m), cost.numpy(), reg, numItermax=20_000, stopThr=1e-11
    )
    np.testing.assert_allclose(ours.numpy(), theirs, atol=1e-8)


@pytest.mark.parametrize("shape", [(40, 25), (25, 40)])
def test_plan_is_that_of_pot_where_scaling_needs_thousands_of_iterations(shape):
    cost = cosines(*shape, relu=False)
    n_scalings = ot.sinkhorn(
        uniform(shape[0]), uniform(shape[1]), cost.numpy(), 0.015, numItermax=50_000, stopThr=1e-10
    )
    ours = sinkhorn_plan(cost, reg=0.015, tol=1e-9)
    assert ours.n_iter < 60
    np.testing.assert_allclose(ours.plan.numpy(), n_scalings, atol=1e-8)


def test_given_weights_are_met_and_agree_with_pot():
    cost = cosines(5, 4)
    a = torch.tensor([0.1, 0.2, 0.0, 0.3, 0.4], dtype=cost.dtype)
    b = torch.tensor([0.4, 0.0, 0.5, 0.1], dtype=cost.dtype)
    plan = sinkhorn_plan(cost, reg=0.1, a=a, b=b, tol=1e-10).plan
    rows, columns = np.ix_(a > 0, b > 0)
    weights = [w[w > 0].numpy() for w in (a, b)]  # POT divides by the weights
    theirs = ot.sinkhorn(*weights, cost.numpy()[rows, columns], 0.1, stopThr=1e-12)
    np.testing.assert_allclose(plan.numpy()[rows, columns], theirs, atol=1e-8)
    assert float(plan.sum()) == pytest.approx(1)


@given(sizes, st.sampled_from([10.0, 0.1, 0.01, 1e-3, 1e-4]))
@settings(max_examples=40, deadline=None)
def test_marginals_are_met_in_single_precision_at_any_reg(problem, reg):
    n, m, seed = problem
    cost = cosines(n, m, seed=seed, relu=seed % 2 == 0, dtype=torch.float32)
    found = sinkhorn_plan(cost, reg=reg, max_iter=500)
    assert found.plan.dtype == torch.float32
    assert (found.plan >= 0).all()
    np.testing.assert_allclose(found.plan.sum(1).numpy(), uniform(n), atol=1e-5)
    np.testing.assert_allclose(found.plan.sum(0).numpy(), uniform(m), atol=1e-5)
    assert found.marginal_error <= 1e-6


@pytest.mark.parametrize("reg", [0.1, 1e-4])
def test_plan_follows_from_the_potentials(reg):
    cost = torch.stack([cosines(6, 9, seed=s) for s in (0, 1)]) + 3
    mask = torch.arange(9) < torch.tensor([[9], [4]])
    found = sinkhorn_plan(cost, reg=reg, col_mask=mask)
    f, g = found.potentials
    rebuilt = ((f[:, :, None] + g[:, None] - cost) / reg).exp()
    torch.testing.assert_close(rebuilt, found.plan, atol=1e-9, rtol=1e-9)
    assert (g[~mask] == -torch.inf).all()


@pytest.mark.parametrize("reg", [0.1, 0.01, 1e-4])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_ragged_batch_is_the_loop_over_its_problems(reg, dtype):
    sizes = [(5, 3), (1, 4), (8, 1), (8, 4), (2, 2)]
    cost = torch.full((len(sizes), 8, 4), torch.nan, dtype=dtype)
    row_mask = torch.arange(8) < torch.tensor([[n] for n, _ in sizes])
    col_mask = torch.arange(4) < torch.tensor([[m] for _, m in sizes])
    for s, (n, m) in enumerate(sizes):
        cost[s, :n, :m] = cosines(n, m, seed=s, dtype=dtype)
    batch = sinkhorn_plan(cost, reg=reg, row_mask=row_mask, col_mask=col_mask).plan
    for s, (n, m) in enumerate(sizes):
        single = sinkhorn_plan(cost[s, :n, :m], reg=reg).plan
        torch.testing.assert_close(batch[s, :n, :m], single, atol=2e-6, rtol=0)
        assert float(batch[s].sum()) == pytest.approx(float(batch[s, :n, :m].sum()))


def test_problems_of_very_different_scale_share_a_batch():
    """A common shift would underflow the second problem's kernel."""
    cost = cosines(6, 4, dtype=torch.float32)
    together = sinkhorn_plan(torch.stack([cost, cost + 1000]), reg=0.1).plan
    torch.testing.assert_close(together[1], together[0], atol=1e-4, rtol=0)


@pytest.mark.parametrize("reg", [0.1, 1e-4])
def test_one_column_gets_all_the_mass_evenly(reg):
    plan = sinkhorn_plan(cosines(7, 1), reg=reg).plan
    np.testing.assert_allclose(plan.numpy(), np.full((7, 1), 1 / 7), rtol=1e-6)


def test_large_reg_gives_the_product_of_the_marginals():
    plan = sinkhorn_plan(cosines(5, 8), reg=1e6).plan
    np.testing.assert_allclose(plan.numpy(), np.full((5, 8), 1 / 40), rtol=1e-5)


def test_small_reg_gives_the_cheapest_permutation():
    cost = torch.rand(6, 6, generator=torch.Generator().manual_seed(0)) + 1
    permutation = [3, 0, 4, 1, 5, 2]
    cost[range(6), permutation] = 0.5
    plan = sinkhorn_plan(cost, reg=1e-4).plan
    torch.testing.assert_close(plan, torch.eye(6)[permutation] / 6, atol=1e-6, rtol=0)


def test_a_shift_of_the_costs_leaves_the_plan():
    cost = cosines(5, 4)
    shifted = sinkhorn_plan(cost - 17, reg=0.05)
    torch.testing.assert_close(shifted.plan, sinkhorn_plan(cost, reg=0.05).plan)


def test_problems_without_rows_or_columns_have_an_empty_plan():
    masks = {"row_mask": torch.tensor([[False] * 3, [True] * 3])}
    found = sinkhorn_plan(torch.ones(2, 3, 2), reg=0.1, **masks)
    assert found.plan[0].abs().sum() == 0
    assert float(found.plan[1].sum()) == pytest.approx(1)
    assert found.marginal_error[0] == 0
    assert sinkhorn_plan(torch.ones(2, 0, 3), reg=0.1).plan.shape == (2, 0, 3)


def test_no_gradient_flows_through_the_plan():
    cost = cosines(4, 3).requires_grad_()
    assert not sinkhorn_plan(cost, reg=0.1).plan.requires_grad


def test_numpy_and_torch_run_the_same_lines():
    cost = torch.stack([cosines(6, 4, seed=s) / 0.1 for s in (0, 1)])
    a, b = torch.full((2, 6), 1 / 6, dtype=cost.dtype), torch.full((2, 4), 1 / 4, dtype=cost.dtype)
    b[1] = torch.tensor([0.5, 0.5, 0, 0])
    options = {"max_iter": 32, "tol": 1e-6}
    on_torch = _scale(torch, cost, a, b, **options)
    with np.errstate(divide="ignore"):
        on_numpy = _scale(np, cost.numpy(), a.numpy(), b.numpy(), **options)
    for left, right in zip(on_torch, on_numpy, strict=True):
        np.testing.assert_allclose(np.asarray(left), right, atol=1e-14)


def test_a_plan_that_has_not_converged_is_warned_of():
    cost = cosines(30, 30, relu=False)
    with pytest.warns(LongTailWarning, match="Entropic transport has a marginal error of") as got:
        found = sinkhorn_plan(cost, reg=0.01, max_iter=8)
    assert found.n_iter == 8
    assert str(got[0].message) == (
        f"Entropic transport has a marginal error of {float(found.marginal_error):.1e} after 8 "
        "iterations at reg=0.01, above tol=1e-06. Raise max_iter (now 8), reg or tol."
    )
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sinkhorn_plan(cost, reg=0.01, max_iter=8, warn=False)


def test_the_reported_error_is_that_of_the_plan():
    cost = cosines(30, 20, relu=False)
    for max_iter in (8, 40):
        found = sinkhorn_plan(cost, reg=0.005, max_iter=max_iter, warn=False)
        rows = np.abs(found.plan.numpy().sum(1) - 1 / 30).sum()
        columns = np.abs(found.plan.numpy().sum(0) - 1 / 20).sum()
        assert float(found.marginal_error) == pytest.approx(max(rows, columns), abs=1e-12)
        assert min(rows, columns) < 1e-12


def test_single_precision_below_its_reach_names_the_remedy():
    cost = cosines(30, 20, dtype=torch.float32)
    with pytest.warns(LongTailWarning, match="pass costs in double precision"):
        sinkhorn_plan(cost, reg=1.0, tol=1e-12, max_iter=8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"cost": torch.ones(3)},
            "cost must have shape (n, m), one problem, or (S, n, m), a batch of problems. "
            "Got shape (3,).",
        ),
        ({"reg": 0.0}, "reg must be positive. Got reg=0.0."),
        ({"reg": torch.nan}, "reg must be positive. Got reg=nan."),
        ({"reg": torch.inf}, "reg must be finite. Got reg=inf."),
        ({"tol": torch.nan}, "tol must be at least 0. Got tol=nan."),
        ({"tol": -1e-6}, "tol must be at least 0. Got tol=-1e-06."),
        ({"max_iter": 0}, "max_iter must be at least 1. Got max_iter=0."),
        (
            {"cost": torch.tensor([[1.0, torch.nan], [0.0, 1.0]])},
            "cost must be finite where it is not masked.",
        ),
        (
            {"a": torch.tensor([0.5, 0.6])},
            "a and b must have equal sums over what is not masked. Got sums 1.1 and 1. "
            "Divide each by its sum.",
        ),
        (
            {"b": torch.ones(3)},
            "b must have shape (1, 2), one weight for each row or column of the cost. "
            "Got shape (1, 3).",
        ),
        (
            {"col_mask": torch.ones(2)},
            "col_mask must be a bool tensor of shape (1, 2), True where the cost counts. "
            "Got torch.float32 of shape (1, 2).",
        ),
    ],
)
def test_errors_say_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        sinkhorn_plan(**({"cost": torch.eye(2), "reg": 0.1} | change))
