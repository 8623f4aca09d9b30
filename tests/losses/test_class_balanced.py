"""Class-balanced loss: effective-number weights on three losses."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ltresample.losses import (
    ClassBalancedLoss,
    balanced_softmax_loss,
    class_balanced_loss,
    cross_entropy,
    focal_loss,
)

logits_st = arrays(np.float64, (5, 3), elements=st.floats(-8, 8))
y_st = arrays(np.int64, 5, elements=st.integers(0, 2))
counts_st = arrays(np.int64, 3, elements=st.integers(1, 5000))


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def row_loss(kind, z, k, gamma):
    """One row, one number after the other, as the formulas have it."""
    if kind == "softmax":
        return -np.log(np.exp(z[k]) / np.exp(z).sum())
    total = 0.0
    for j in range(len(z)):
        p = sigmoid(z[j]) if j == k else 1 - sigmoid(z[j])
        total -= (1 - p) ** (gamma if kind == "focal" else 0) * np.log(p)
    return total


@pytest.mark.parametrize("kind", ["softmax", "sigmoid", "focal"])
@settings(deadline=None)
@given(logits=logits_st, y=y_st, counts=counts_st, beta=st.sampled_from([0, 0.9, 0.9999, 1]))
def test_formula(kind, logits, y, counts, beta):
    effective = counts if beta == 1 else (1 - float(beta) ** counts) / (1 - beta)
    w = 1 / effective
    w *= len(w) / w.sum()
    want = np.array([w[k] * row_loss(kind, z, k, 2.0) for z, k in zip(logits, y, strict=True)])
    options = {"class_counts": counts, "beta": beta, "loss": kind, "gamma": 2.0}
    args = tuple(map(torch.from_numpy, (logits, y)))
    got = class_balanced_loss(*args, **options, reduction="none")
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-8)
    got = class_balanced_loss(*args, **options)
    np.testing.assert_allclose(got.item(), want.sum() / w[y].sum(), rtol=1e-8)


@settings(deadline=None)
@given(logits=logits_st, y=y_st, counts=counts_st)
def test_beta_0_has_no_weights(logits, y, counts):
    logits, y = torch.from_numpy(logits), torch.from_numpy(y)
    got = class_balanced_loss(logits, y, class_counts=counts, beta=0)
    torch.testing.assert_close(got, cross_entropy(logits, y))


@settings(deadline=None)
@given(logits=logits_st, y=y_st, counts=counts_st)
def test_focal_with_gamma_0_is_the_sum_of_binary_cross_entropies(logits, y, counts):
    logits, y = torch.from_numpy(logits), torch.from_numpy(y)
    options = {"class_counts": counts, "beta": 0, "reduction": "none"}
    want = F.binary_cross_entropy_with_logits(logits, F.one_hot(y, 3).double(), reduction="none")
    for kind in ("sigmoid", "focal"):
        got = class_balanced_loss(logits, y, loss=kind, gamma=0, **options)
        torch.testing.assert_close(got, want.sum(1))


@settings(deadline=None)
@given(z=arrays(np.float64, 5, elements=st.floats(-8, 8)), y=arrays(bool, 5))
def test_two_opposite_sigmoids_are_a_softmax_twice(z, y):
    # sigmoid(z) against sigmoid(-z): the softmax of (z, -z) at half the difference
    z, y = torch.from_numpy(z), torch.from_numpy(y).long()
    got = class_balanced_loss(
        torch.stack([z, -z], 1), y, class_counts=[1, 1], loss="focal", gamma=1.5
    )
    torch.testing.assert_close(got, 2 * focal_loss(torch.stack([z, 0 * z], 1), y, gamma=1.5))


def test_counts_set_the_weights_and_later_weights_replace_them():
    loss = ClassBalancedLoss(0.9, class_counts=[100, 1])
    w = np.array([0.1 / (1 - 0.9**100), 1])
    np.testing.assert_allclose(loss.weight, 2 * w / w.sum(), rtol=1e-6)
    loss.set_class_counts([1, 1])
    assert loss.weight.tolist() == [1, 1]
    loss.set_weight([3.0, 4.0])
    assert loss.weight.tolist() == [3, 4]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"loss": "hinge"}, r"loss must be one of 'softmax', 'sigmoid', 'focal'. Got loss='hinge'"),
        ({"beta": 1.5}, r"beta must be in \[0, 1\]. Got beta=1.5"),
        ({"gamma": -1}, r"gamma must be finite and at least 0. Got gamma=-1"),
    ],
)
def test_settings_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        ClassBalancedLoss(**options)
    with pytest.raises(ValueError, match=text):
        class_balanced_loss(torch.zeros(1, 2), torch.tensor([0]), class_counts=[1, 1], **options)


@pytest.mark.parametrize("kind", ["sigmoid", "focal"])
def test_sigmoid_losses_refuse_soft_targets(kind):
    options = {"class_counts": [1, 1], "loss": kind}
    with pytest.raises(TypeError, match=rf"class_balanced_loss\(loss='{kind}'\) is not linear"):
        class_balanced_loss(torch.zeros(1, 2), torch.full((1, 2), 0.5), **options)


def test_it_is_not_balanced_softmax():
    args = torch.tensor([[1.0, 0.0]]), torch.tensor([1])
    counts = {"class_counts": [10, 1]}
    assert class_balanced_loss(*args, **counts) < balanced_softmax_loss(*args, **counts)
