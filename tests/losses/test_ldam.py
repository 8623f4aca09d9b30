"""LDAM: margins, formula, limits, and what the cosine head does to probabilities."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ltresample.losses import LDAMLoss, cross_entropy, ldam_loss

cosines_st = arrays(np.float64, (5, 3), elements=st.floats(-1, 1))
y_st = arrays(np.int64, 5, elements=st.integers(0, 2))
counts_st = arrays(np.int64, 3, elements=st.integers(1, 5000))


def ldam_row(z, k, counts, max_margin, scale):
    margins = counts ** (-1 / 4)
    margins *= max_margin / margins.max()
    own = np.exp(scale * (z[k] - margins[k]))
    others = sum(np.exp(scale * z[j]) for j in range(len(z)) if j != k)
    return -np.log(own / (own + others))


@settings(deadline=None)
@given(
    cosines=cosines_st,
    y=y_st,
    counts=counts_st,
    max_margin=st.floats(0, 1),
    scale=st.floats(0.1, 30),
)
def test_formula(cosines, y, counts, max_margin, scale):
    want = [ldam_row(z, k, counts, max_margin, scale) for z, k in zip(cosines, y, strict=True)]
    options = {"class_counts": counts, "max_margin": max_margin, "scale": scale}
    args = tuple(map(torch.from_numpy, (cosines, y)))
    got = ldam_loss(*args, **options, reduction="none")
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-8, atol=1e-12)
    weight = np.array([2.0, 0.5, 1.0])
    got = ldam_loss(*args, **options, weight=weight)
    want = (weight[y] * want).sum() / weight[y].sum()
    np.testing.assert_allclose(got.item(), want, rtol=1e-8, atol=1e-12)


@settings(deadline=None)
@given(logits=arrays(np.float64, (5, 3), elements=st.floats(-50, 50)), y=y_st, counts=counts_st)
def test_margin_0_and_scale_1_is_cross_entropy(logits, y, counts):
    logits, y = torch.from_numpy(logits), torch.from_numpy(y)
    options = {"class_counts": counts, "max_margin": 0, "scale": 1, "reduction": "none"}
    torch.testing.assert_close(
        ldam_loss(logits, y, **options), cross_entropy(logits, y, reduction="none")
    )


@settings(deadline=None)
@given(cosines=cosines_st, y=y_st)
def test_equal_counts_have_the_largest_margin_in_every_class(cosines, y):
    cosines, y = torch.from_numpy(cosines), torch.from_numpy(y)
    shifted = 30 * (cosines - 0.5 * torch.nn.functional.one_hot(y, 3))
    got = ldam_loss(cosines, y, class_counts=[7, 7, 7])
    torch.testing.assert_close(got, cross_entropy(shifted, y))


@settings(deadline=None)
@given(cosines=cosines_st, counts=counts_st)
def test_soft_targets_are_exact_in_single_precision(cosines, counts):
    # 1 - p of the largest class is lost in single precision; its loss must not be
    cosines = torch.from_numpy(cosines).float()
    soft, hard = torch.eye(3), torch.arange(3)
    for z in cosines:
        options = {"class_counts": counts, "reduction": "none"}
        got = ldam_loss(z.expand(3, 3), soft, **options)
        want = ldam_loss(z.double().expand(3, 3), hard, **options)
        torch.testing.assert_close(got.double(), want, rtol=1e-4, atol=1e-15)


def test_ties_and_soft_targets():
    z = torch.tensor([[0.3, 0.3, 0.3]], dtype=torch.float64, requires_grad=True)
    q = torch.full((1, 3), 1 / 3, dtype=torch.float64)
    options = {"class_counts": [4, 4, 4], "max_margin": 0, "scale": 1}
    value = ldam_loss(z, q, **options)
    torch.testing.assert_close(value.item(), math.log(3))
    (grad,) = torch.autograd.grad(value, z)
    torch.testing.assert_close(grad, torch.zeros(1, 3, dtype=torch.float64))


@pytest.mark.parametrize(("n_classes", "bound"), [(10, 0.451), (100, 0.069)])
def test_unscaled_cosines_have_no_confident_softmax(n_classes, bound):
    cosines = torch.full((1, n_classes), -1.0)
    cosines[0, 0] = 1
    largest = cosines.softmax(1)[0, 0].item()
    assert largest == pytest.approx(math.e / (math.e + (n_classes - 1) / math.e))
    assert largest == pytest.approx(bound, abs=5e-4)
    scale = LDAMLoss().scale
    assert (scale * cosines).softmax(1)[0, 0] > 0.999


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"max_margin": -0.1}, r"max_margin must be finite and at least 0. Got max_margin=-0.1"),
        ({"scale": 0}, r"scale must be finite and above 0. Got scale=0"),
        ({"scale": float("nan")}, r"Got scale=nan"),
    ],
)
def test_settings_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        LDAMLoss(**options)
    with pytest.raises(ValueError, match=text):
        ldam_loss(torch.zeros(1, 2), torch.tensor([0]), class_counts=[1, 1], **options)
