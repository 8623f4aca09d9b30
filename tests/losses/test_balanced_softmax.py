"""Balanced softmax: its formula, its limit, and what it estimates."""

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ltresample.losses import balanced_softmax_loss, cross_entropy

logits_st = arrays(np.float64, (5, 3), elements=st.floats(-8, 8))
y_st = arrays(np.int64, 5, elements=st.integers(0, 2))
counts_st = arrays(np.int64, 3, elements=st.integers(1, 5000))


@settings(deadline=None)
@given(logits=logits_st, y=y_st, counts=counts_st)
def test_formula(logits, y, counts):
    terms = counts * np.exp(logits)
    want = -np.log(terms[np.arange(5), y] / terms.sum(1))
    args = tuple(map(torch.from_numpy, (logits, y)))
    got = balanced_softmax_loss(*args, class_counts=counts, reduction="none")
    np.testing.assert_allclose(got.numpy(), want, rtol=1e-8, atol=1e-12)


@settings(deadline=None)
@given(logits=logits_st, y=y_st, count=st.integers(1, 5000))
def test_equal_counts_are_cross_entropy(logits, y, count):
    logits, y = torch.from_numpy(logits), torch.from_numpy(y)
    got = balanced_softmax_loss(logits, y, class_counts=[count] * 3)
    torch.testing.assert_close(got, cross_entropy(logits, y))


@settings(deadline=None)
@given(logits=logits_st, y=y_st, counts=counts_st, factor=st.integers(1, 100))
def test_only_ratios_of_counts_matter(logits, y, counts, factor):
    args = tuple(map(torch.from_numpy, (logits, y)))
    torch.testing.assert_close(
        balanced_softmax_loss(*args, class_counts=factor * counts),
        balanced_softmax_loss(*args, class_counts=counts),
    )


def test_logits_without_information_are_best_when_equal():
    # With labels in the proportions of the prior and no features, the optimum is the balanced one.
    counts = torch.tensor([60, 30, 10])
    y = torch.arange(3).repeat_interleave(counts)
    logits = torch.zeros(1, 3, dtype=torch.float64, requires_grad=True)
    balanced_softmax_loss(logits.expand(100, 3), y, class_counts=counts).backward()
    torch.testing.assert_close(logits.grad, torch.zeros_like(logits), atol=1e-12, rtol=0)
