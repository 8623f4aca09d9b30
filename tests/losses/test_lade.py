"""LADE: its formula in both readings, its limits, and what the regulariser is at its best."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ltresample.losses import LADELoss, balanced_softmax_loss, lade_loss

logits_st = arrays(np.float64, (6, 4), elements=st.floats(-8, 8))
y_st = arrays(np.int64, 6, elements=st.integers(0, 3))
counts_st = arrays(np.int64, 4, elements=st.integers(1, 5000))


def lader(z, y, prior, lam, importance):
    """One number after the other, as the formula has it."""
    m, n_classes = z.shape
    total = 0.0
    for c in range(n_classes):
        own = [z[i, c] for i in range(m) if y[i] == c]
        mean = sum(own) / len(own) if own else 0.0
        ratios = [n_classes * prior[c if importance == "column" else y[i]] for i in range(m)]
        s = np.log(sum(np.exp(z[i, c]) / ratios[i] for i in range(m)) / m)
        total += prior[c] * (-mean + s + lam * s**2)
    return total


@pytest.mark.parametrize("importance", ["column", "label"])
@settings(deadline=None)
@given(
    logits=logits_st,
    y=y_st,
    counts=counts_st,
    alpha=st.floats(0, 2),
    square_penalty=st.floats(0, 2),
)
def test_formula(importance, logits, y, counts, alpha, square_penalty):
    prior = counts / counts.sum()
    terms = prior * np.exp(logits)
    want = -np.log(terms[np.arange(6), y] / terms.sum(1)).mean()
    want += alpha * lader(logits, y, prior, square_penalty, importance)
    args = tuple(map(torch.from_numpy, (logits, y)))
    options = {"alpha": alpha, "square_penalty": square_penalty, "importance": importance}
    got = lade_loss(*args, class_counts=counts, **options)
    np.testing.assert_allclose(got.item(), want, rtol=1e-8, atol=1e-10)


@settings(deadline=None)
@given(logits=logits_st, y=y_st, counts=counts_st)
def test_alpha_0_is_balanced_softmax(logits, y, counts):
    args = tuple(map(torch.from_numpy, (logits, y)))
    for reduction in ("weighted_mean", "none"):
        options = {"class_counts": counts, "reduction": reduction}
        got = lade_loss(*args, alpha=0, **options)
        torch.testing.assert_close(got, balanced_softmax_loss(*args, **options))


@settings(deadline=None)
@given(logits=logits_st, y=y_st, count=st.integers(1, 5000))
def test_both_readings_agree_on_equal_counts(logits, y, count):
    args = tuple(map(torch.from_numpy, (logits, y)))
    options = {"class_counts": [count] * 4}
    torch.testing.assert_close(
        lade_loss(*args, importance="column", **options),
        lade_loss(*args, importance="label", **options),
    )


@settings(deadline=None)
@given(logits=logits_st, y=y_st, counts=counts_st)
def test_class_weights_leave_the_regulariser_as_it_is(logits, y, counts):
    args = tuple(map(torch.from_numpy, (logits, y)))
    options = {"class_counts": counts, "weight": [3.0, 0.5, 1.0, 2.0]}
    got = lade_loss(*args, **options) - balanced_softmax_loss(*args, **options)
    prior = counts / counts.sum()
    want = 0.1 * lader(logits, y, prior, 0.1, "column")
    np.testing.assert_allclose(got.item(), want, rtol=1e-7, atol=1e-9)


def test_a_class_that_is_absent_from_the_batch_still_has_its_mean_exponent():
    logits = torch.zeros(2, 3, dtype=torch.float64, requires_grad=True)
    y = torch.tensor([0, 0])
    lade_loss(logits, y, class_counts=[1, 1, 2], alpha=1.0, square_penalty=0.0).backward()
    # cross-entropy: p - e_y over m; regulariser: pi_c / m, and -pi_0 / m at the present class
    want = [(0.25 - 1) / 2 + 0.25 / 2 - 0.25 / 2, 0.25 / 2 + 0.25 / 2, 0.5 / 2 + 0.5 / 2]
    np.testing.assert_allclose(logits.grad, [want, want], rtol=1e-12)


def test_log_density_ratios_are_where_the_regulariser_is_least():
    # Two classes on two points: p(x=0 | y) = 0.8, 0.3, in exact proportions, balanced classes. The
    # bound is least at z_c(x) = log p(x | c) / p(x), where every mean exponent is 0.
    x = np.repeat([0, 1, 0, 1], [8, 2, 3, 7])
    y = torch.from_numpy(np.repeat([0, 0, 1, 1], [8, 2, 3, 7]))
    likelihood = np.array([[0.8, 0.3], [0.2, 0.7]])  # (point, class)
    table = torch.from_numpy(np.log(likelihood / likelihood.mean(1, keepdims=True)))
    table.requires_grad_()
    rows = table[torch.from_numpy(x)]
    options = {"class_counts": [10, 10]}
    value = lade_loss(rows, y, alpha=1.0, **options) - balanced_softmax_loss(rows, y, **options)
    information = 0.5 * (likelihood * table.detach().numpy()).sum()
    np.testing.assert_allclose(value.item(), -information, rtol=1e-10)
    (grad,) = torch.autograd.grad(value, table)
    torch.testing.assert_close(grad, torch.zeros_like(grad), atol=1e-12, rtol=0)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"alpha": -1}, r"alpha must be finite and at least 0. Got alpha=-1"),
        ({"square_penalty": float("nan")}, r"square_penalty must be finite.*=nan"),
        ({"importance": "row"}, r"importance must be one of 'column', 'label'. Got importance='r"),
    ],
)
def test_settings_out_of_range_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        LADELoss(**options)
    with pytest.raises(ValueError, match=text):
        lade_loss(torch.zeros(1, 2), torch.tensor([0]), class_counts=[1, 1], **options)
