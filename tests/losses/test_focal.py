"""Focal loss: its formula, its limit, and numbers where the formula is 0 * infinity."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ltresample.losses import FocalLoss, cross_entropy, focal_loss

logits_st = arrays(np.float64, (5, 3), elements=st.floats(-8, 8))
y_st = arrays(np.int64, 5, elements=st.integers(0, 2))
WEIGHT = [0.5, 1.0, 4.0]


def focal_rows(logits, y, gamma):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    p_y = p[np.arange(len(y)), y]
    return -((1 - p_y) ** gamma) * np.log(p_y)


@settings(deadline=None)
@given(logits=logits_st, y=y_st, gamma=st.floats(0, 5))
def test_formula(logits, y, gamma):
    got = focal_loss(*map(torch.from_numpy, (logits, y)), gamma=gamma, reduction="none")
    np.testing.assert_allclose(got.numpy(), focal_rows(logits, y, gamma), rtol=1e-7, atol=1e-12)


@settings(deadline=None)
@given(logits=logits_st, y=y_st, gamma=st.floats(0, 5))
def test_class_weights_do_not_change_the_probability(logits, y, gamma):
    got = focal_loss(*map(torch.from_numpy, (logits, y)), gamma=gamma, weight=WEIGHT)
    w = np.array(WEIGHT)[y]
    want = (w * focal_rows(logits, y, gamma)).sum() / w.sum()
    np.testing.assert_allclose(got.item(), want, rtol=1e-7, atol=1e-12)


@settings(deadline=None)
@given(logits=logits_st, y=y_st)
def test_gamma_0_is_cross_entropy(logits, y):
    logits, y = torch.from_numpy(logits).requires_grad_(), torch.from_numpy(y)
    got, want = (
        focal_loss(logits, y, gamma=0, weight=WEIGHT),
        cross_entropy(logits, y, weight=WEIGHT),
    )
    torch.testing.assert_close(got, want)
    (got_grad,), (want_grad,) = torch.autograd.grad(got, logits), torch.autograd.grad(want, logits)
    torch.testing.assert_close(got_grad, want_grad)


@settings(deadline=None)
@given(logits=logits_st, y=y_st)
def test_a_larger_gamma_is_a_smaller_loss(logits, y):
    args = tuple(map(torch.from_numpy, (logits, y)))
    rows = [focal_loss(*args, gamma=g, reduction="none") for g in (0, 0.5, 1, 2, 5)]
    assert all((a >= b).all() for a, b in zip(rows, rows[1:], strict=False))


@pytest.mark.parametrize("gamma", [0.5, 2.0])
def test_single_precision_is_exact_where_the_probability_rounds_to_1(gamma):
    logits, y = torch.tensor([[20.0, 0.0, 1.0]]), torch.tensor([0])
    assert logits.softmax(1)[0, 0] == 1
    miss = (1 + np.e) * np.exp(-20.0)  # 1 - p up to a factor 1 - 1e-8
    got = focal_loss(logits, y, gamma=gamma).item()
    np.testing.assert_allclose(got, miss ** (1 + gamma), rtol=1e-5)


@pytest.mark.parametrize("gamma", [-1, float("nan"), float("inf")])
def test_gamma_out_of_range_is_refused(gamma):
    text = rf"gamma must be finite and at least 0. Got gamma={gamma}"
    with pytest.raises(ValueError, match=text):
        FocalLoss(gamma)
    with pytest.raises(ValueError, match=text):
        focal_loss(torch.zeros(1, 2), torch.tensor([0]), gamma=gamma)
