"""Influence-balanced loss: its formula, what the influence is, and what is held constant."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ltresample.losses import InfluenceBalancedLoss, cross_entropy, influence_balanced_loss

logits_st = arrays(np.float64, (5, 3), elements=st.floats(-8, 8))
features_st = arrays(np.float64, (5, 2), elements=st.floats(-3, 3))
y_st = arrays(np.int64, 5, elements=st.integers(0, 2))
WEIGHT = np.array([0.5, 1.0, 4.0])


def factors(logits, y, features, alpha, epsilon):
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    error = np.abs(p - np.eye(3)[y]).sum(1)
    return alpha / (error * np.abs(features).sum(1) + epsilon), p[np.arange(len(y)), y]


@settings(deadline=None)
@given(logits=logits_st, y=y_st, features=features_st, alpha=st.floats(0, 1000))
def test_formula(logits, y, features, alpha):
    factor, p_y = factors(logits, y, features, alpha, 1e-3)
    want = (WEIGHT[y] * factor * -np.log(p_y)).mean()
    args = tuple(map(torch.from_numpy, (logits, y, features)))
    got = influence_balanced_loss(*args, alpha=alpha, weight=WEIGHT)
    np.testing.assert_allclose(got.item(), want, rtol=1e-7, atol=1e-9)


@settings(deadline=None)
@given(logits=logits_st, y=y_st, features=features_st)
def test_a_constant_factor_is_weighted_cross_entropy(logits, y, features):
    args = tuple(map(torch.from_numpy, (logits, y, features)))
    for reduction in ("mean", "weighted_mean"):
        options = {"weight": WEIGHT, "reduction": reduction}
        got = influence_balanced_loss(*args, alpha=1e12, epsilon=1e12, **options)
        torch.testing.assert_close(got, cross_entropy(*args[:2], **options), rtol=1e-9, atol=0)


def test_the_influence_is_the_size_of_the_gradient_at_the_head():
    head = torch.nn.Linear(4, 3, bias=False).double()
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(6, 4, dtype=torch.float64, generator=generator)
    y = torch.tensor([0, 1, 2, 0, 1, 2])
    logits = head(features)
    rows = influence_balanced_loss(logits, y, features, alpha=1.0, epsilon=1e-12, reduction="none")
    for i, row in enumerate(F.cross_entropy(logits, y, reduction="none")):
        (gradient,) = torch.autograd.grad(row, head.weight, retain_graph=True)
        torch.testing.assert_close(rows[i], row / gradient.abs().sum())


def test_a_detached_factor_only_scales_the_gradient():
    rng = np.random.default_rng(0)
    logits, features = rng.normal(size=(5, 3)), rng.normal(size=(5, 2))
    y = np.array([0, 1, 2, 2, 1])
    factor, _ = factors(logits, y, features, 10.0, 1e-3)
    z, h = torch.from_numpy(logits).requires_grad_(), torch.from_numpy(features).requires_grad_()
    influence_balanced_loss(z, torch.from_numpy(y), h, alpha=10.0).backward()
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    np.testing.assert_allclose(z.grad, factor[:, None] * (p - np.eye(3)[y]) / 5, rtol=1e-10)
    assert h.grad is None
    z.grad = None
    influence_balanced_loss(z, torch.from_numpy(y), h, alpha=10.0, detach=False).backward()
    assert h.grad.abs().min() > 0


def test_counts_set_the_weights_and_later_weights_replace_them():
    loss = InfluenceBalancedLoss()
    loss.set_class_counts([30, 10])
    torch.testing.assert_close(loss.weight, torch.tensor([0.5, 1.5]))
    loss.set_weight([1.0, 2.0])
    assert loss.weight.tolist() == [1, 2]


def test_before_it_is_active_it_is_plain_cross_entropy():
    loss = InfluenceBalancedLoss(class_counts=[30, 10, 5])
    logits, y = torch.tensor([[1.0, 0.0, 2.0], [0.5, 0.1, 0.0]]), torch.tensor([0, 2])
    features = torch.ones(2, 2)
    active = loss(logits, y, features)
    loss.active = False
    assert loss(logits, y) == loss(logits, y, features) == cross_entropy(logits, y)
    torch.testing.assert_close(
        loss.per_row(logits, y), F.cross_entropy(logits, y, reduction="none")
    )
    loss.active = True
    assert loss(logits, y, features) == active


def test_feature_maps_are_flattened():
    loss = InfluenceBalancedLoss(class_counts=[3, 1])
    logits, y = torch.zeros(2, 2), torch.tensor([0, 1])
    maps = torch.arange(16.0).reshape(2, 2, 2, 2)
    assert loss(logits, y, maps) == loss(logits, y, maps.flatten(1))


@pytest.mark.parametrize(
    ("features", "error", "text"),
    [
        (None, TypeError, r"needs the input of the last layer. Got features=None. Pass a tensor"),
        (torch.ones(3, 2), ValueError, r"shape \(2, d\). Got shape \(3, 2\)"),
        (torch.ones(2), ValueError, r"shape \(2, d\). Got shape \(2,\)"),
    ],
)
def test_features_that_do_not_fit_are_refused(features, error, text):
    loss = InfluenceBalancedLoss(class_counts=[3, 1])
    logits, y = torch.zeros(2, 2), torch.tensor([0, 1])
    for call in (loss, loss.per_row):
        with pytest.raises(error, match=text):
            call(logits, y, features)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"alpha": -1}, r"alpha must be finite and at least 0. Got alpha=-1"),
        ({"epsilon": 0}, r"epsilon must be finite and above 0. Got epsilon=0"),
    ],
)
def test_settings_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        InfluenceBalancedLoss(**options)
    with pytest.raises(ValueError, match=text):
        influence_balanced_loss(torch.zeros(1, 2), torch.tensor([0]), torch.ones(1, 2), **options)
