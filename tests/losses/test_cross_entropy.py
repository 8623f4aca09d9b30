"""Cross-entropy against PyTorch's."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ltresample.losses import CrossEntropy, FocalLoss, cross_entropy

logits_st = arrays(np.float64, (6, 3), elements=st.floats(-50, 50))
y_st = arrays(np.int64, 6, elements=st.integers(0, 2))
weight_st = arrays(np.float64, 3, elements=st.floats(0.1, 10))


@settings(deadline=None)
@given(logits=logits_st, y=y_st, weight=weight_st)
def test_weighted_mean_sum_and_none_are_those_of_torch(logits, y, weight):
    logits, y, weight = (torch.from_numpy(x) for x in (logits, y, weight))
    for ours, theirs in (("weighted_mean", "mean"), ("sum", "sum"), ("none", "none")):
        want = F.cross_entropy(logits, y, weight=weight, reduction=theirs)
        got = cross_entropy(logits, y, weight=weight, reduction=ours)
        torch.testing.assert_close(got, want)


@settings(deadline=None)
@given(logits=logits_st, y=y_st, weight=weight_st)
def test_mean_divides_by_the_number_of_rows(logits, y, weight):
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    want = np.mean([-weight[k] * np.log(p[i, k]) for i, k in enumerate(y)])
    got = cross_entropy(*map(torch.from_numpy, (logits, y)), weight=weight, reduction="mean")
    np.testing.assert_allclose(got.item(), want, rtol=1e-9, atol=1e-12)


@settings(deadline=None)
@given(logits=logits_st, weight=weight_st)
def test_soft_targets_are_those_of_torch_up_to_the_denominator(logits, weight):
    logits, weight = torch.from_numpy(logits), torch.from_numpy(weight)
    q = logits.flip(0, 1).softmax(1)
    want = F.cross_entropy(logits, q, weight=weight, reduction="none")
    got = cross_entropy(logits, q, weight=weight, reduction="none")
    torch.testing.assert_close(got, want)
    got = cross_entropy(logits, q, weight=weight, reduction="mean")
    torch.testing.assert_close(got, F.cross_entropy(logits, q, weight=weight))
    torch.testing.assert_close(cross_entropy(logits, q), F.cross_entropy(logits, q))


@pytest.mark.parametrize("dtype", [torch.int32, torch.uint8, torch.bool])
def test_any_integers_are_class_indices(dtype):
    logits = torch.tensor([[0.0, 1.0], [2.0, 0.5]])
    y = torch.tensor([1, 0])
    assert cross_entropy(logits, y.to(dtype)) == cross_entropy(logits, y)


def test_deferred_weights_keep_the_momentum_of_the_optimizer():
    model, loss = torch.nn.Linear(2, 3), CrossEntropy(class_counts=[5, 2, 1])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    x, y = torch.eye(2), torch.tensor([0, 2])
    loss(model(x), y).backward()
    optimizer.step()
    buffers = [state["momentum_buffer"] for state in optimizer.state.values()]
    loss.set_weight([0.5, 1.0, 1.5])
    optimizer.zero_grad()
    value = loss(model(x), y)
    value.backward()
    optimizer.step()
    assert [id(b) for b in buffers] == [
        id(state["momentum_buffer"]) for state in optimizer.state.values()
    ]
    want = F.cross_entropy(model(x), y, weight=torch.tensor([0.5, 1.0, 1.5]))
    torch.testing.assert_close(loss(model(x), y), want)


def test_a_weight_may_be_given_before_the_counts_and_is_kept():
    loss = CrossEntropy(weight=[1.0, 3.0])
    loss.set_class_counts([9, 1])
    assert loss.weight.tolist() == [1, 3]
    with pytest.raises(ValueError, match=r"class_counts must hold 2 classes.*Got 3"):
        loss.set_class_counts([9, 1, 1])


@pytest.mark.parametrize("weight", [None, [1 / 3, 2 / 3, 1.0]])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("moved", [False, True])
def test_one_call_of_pytorch_that_never_fails(weight, dtype, moved, monkeypatch):
    """In no type is PyTorch's loss tried in vain, and weights are not rounded on their way."""
    called = []
    torchs = torch.nn.functional.cross_entropy

    def counted(*args, **kwargs):
        called.append(torchs(*args, **kwargs))
        return called[-1]

    monkeypatch.setattr(torch.nn.functional, "cross_entropy", counted)
    loss = CrossEntropy(weight=weight)
    loss = loss.to(dtype) if moved else loss
    logits = torch.randn(5, 3, generator=torch.Generator().manual_seed(0), dtype=dtype)
    y = torch.tensor([0, 1, 2, 2, 1])
    value = loss(logits, y)
    assert len(called) == 1
    assert value is called[0]
    exact = None if weight is None else torch.tensor(weight, dtype=dtype)
    assert value == torchs(logits, y, weight=exact)


@pytest.mark.parametrize("name", ["focal", "ce"])
def test_weights_in_double_precision_are_those_that_were_given(name):
    weight = [1 / 3, 2 / 3, 1.0]
    loss = {"focal": FocalLoss, "ce": CrossEntropy}[name](weight=weight)
    assert loss.weight.dtype == torch.float32
    assert copy.deepcopy(loss).double().weight.tolist() == weight
    assert loss.float().double().weight.tolist() == weight
    logits, y = torch.randn(4, 3, dtype=torch.float64), torch.tensor([0, 1, 2, 0])
    rows = loss(logits, y, sample_weight=torch.ones(4))
    torch.testing.assert_close(rows, copy.deepcopy(loss).double()(logits, y), rtol=0, atol=1e-15)
    loss.weight[0] = 2.0  # written by a user: this is what counts
    assert loss.double().weight.tolist()[0] == 2
    loss.set_weight(None)
    assert loss.weight.tolist() == [1, 1, 1]
