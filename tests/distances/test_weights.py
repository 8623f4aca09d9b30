"""What is given as weight or mask is checked before anything is solved."""

import re

import pytest
import torch

from ltresample.distances import (
    EnergyDistance,
    ExactTransport,
    MaximumMeanDiscrepancy,
    SinkhornTransport,
    sinkhorn_plan,
)

COST = torch.rand(2, 3, 4, generator=torch.Generator().manual_seed(0))
DISTANCES = [SinkhornTransport(), ExactTransport(), MaximumMeanDiscrepancy(), EnergyDistance()]

every_side = pytest.mark.parametrize(("name", "n"), [("a", 3), ("b", 4)])
every_reg = pytest.mark.parametrize("reg", [0.5, 0.1, 1e-4])


@every_side
@every_reg
@pytest.mark.parametrize("value", [-0.2, -1e-30, torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_no_masses_are_refused(name, n, reg, value):
    weight = torch.full((2, n), 1 / n)
    weight[1, 2] = value
    weight[1, 0] += 1 / n - value if abs(value) < 1 else 0  # the sum stays 1
    message = f"{name} must hold finite weights of at least 0. Got {value:g} at position 2 of "
    with pytest.raises(ValueError, match=re.escape(message) + "problem 1. .*leave a row out"):
        sinkhorn_plan(COST, reg=reg, **{name: weight})
    with pytest.raises(ValueError, match=re.escape(message) + "problem 0"):
        sinkhorn_plan(COST[1], reg=reg, **{name: weight[1]})


@every_side
@every_reg
def test_weights_of_zero_only_are_refused(name, n, reg):
    weight = torch.full((2, n), 1 / n)
    weight[1] = 0
    mask = {"a": "row_mask", "b": "col_mask"}[name]
    message = (
        f"{name} must hold a weight above 0 in each problem. Got zeros only in problem 1. "
        f"A problem without rows is told by {mask}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        sinkhorn_plan(COST, reg=reg, **{name: weight})
    exists = torch.ones(2, n, dtype=torch.bool)
    with pytest.raises(ValueError, match=re.escape(message)):
        sinkhorn_plan(COST, reg=reg, **{name: weight, mask: exists})
    exists[1] = False
    plan = sinkhorn_plan(COST, reg=reg, **{name: weight, mask: exists}).plan
    assert plan[1].abs().sum() == 0
    assert float(plan[0].sum()) == pytest.approx(1)


@every_side
def test_weights_of_another_shape_are_refused(name, n):
    for shape in ((2, n + 1), (1, n), (n,), (2, n, 1)):
        with pytest.raises(ValueError, match=f"{name} must have shape.*Got shape"):
            sinkhorn_plan(COST, reg=0.1, **{name: torch.ones(shape) / n})


@every_side
def test_what_is_masked_may_be_anything(name, n):
    weight = torch.full((2, n), 1 / (n - 1))
    weight[:, 1] = torch.tensor([torch.nan, -3.0])
    mask = torch.ones(2, n, dtype=torch.bool)
    mask[:, 1] = False
    masks = {{"a": "row_mask", "b": "col_mask"}[name]: mask}
    got = sinkhorn_plan(COST, reg=0.1, **{name: weight}, **masks)
    torch.testing.assert_close(got.plan, sinkhorn_plan(COST, reg=0.1, **masks).plan)


def test_sums_that_overflow_are_refused():
    with pytest.raises(ValueError, match="a and b must have equal sums.*Got sums inf and inf"):
        sinkhorn_plan(COST, reg=0.1, a=torch.full((2, 3), 3e38), b=torch.full((2, 4), 3e38))


def test_weights_of_one_problem_do_not_need_to_be_shares():
    got = sinkhorn_plan(COST, reg=0.1, a=torch.full((2, 3), 4), b=torch.full((2, 4), 3), tol=1e-4)
    torch.testing.assert_close(got.plan / 12, sinkhorn_plan(COST, reg=0.1).plan, atol=1e-5, rtol=0)


@pytest.mark.parametrize("distance", DISTANCES, ids=repr)
@pytest.mark.parametrize("side", ["real", "synthetic"])
@pytest.mark.parametrize(
    "mask",
    [
        torch.ones(2, 3),
        torch.full((2, 3), torch.nan),
        -torch.ones(2, 3),
        torch.ones(2, 3, dtype=torch.int64),
        torch.ones(2, 4, dtype=torch.bool),
        torch.ones(3, dtype=torch.bool),
    ],
    ids=lambda mask: f"{mask.dtype} {tuple(mask.shape)}",
)
def test_masks_that_are_none_are_refused_by_every_distance(distance, side, mask):
    sets = torch.ones(2, 3, 5)
    message = f"{side}_mask must be a bool tensor of shape (2, 3)"
    with pytest.raises(ValueError, match=re.escape(message)):
        distance(sets, sets, **{f"{side}_mask": mask})
    if hasattr(distance, "plan"):
        with pytest.raises(ValueError, match=re.escape(message)):
            distance.plan(sets, sets, **{f"{side}_mask": mask})


@pytest.mark.parametrize("transport", DISTANCES[:2], ids=repr)
@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_rows_that_are_no_numbers_are_refused_by_every_transport(transport, value):
    sets = torch.rand(2, 3, 5)
    broken = sets.clone()
    broken[1, 2, 0] = value
    for pair in ((sets, broken), (broken, sets)):
        with pytest.raises(ValueError, match="cost must be finite"):
            transport(*pair)
