"""What every loss promises, run over all members."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from ltresample import losses
from ltresample.losses import (
    BalancedSoftmaxLoss,
    ClassBalancedLoss,
    CrossEntropy,
    FocalLoss,
    InfluenceBalancedLoss,
    LADELoss,
    LDAMLoss,
    LongTailLoss,
    RIDELoss,
    balanced_softmax_loss,
    class_balanced_loss,
    cross_entropy,
    focal_loss,
    influence_balanced_loss,
    lade_loss,
    ldam_loss,
)

K = 4
COUNTS = torch.tensor([500, 20, 100, 7])
WEIGHT = torch.tensor([0.25, 1.5, 0.0, 2.0], dtype=torch.float64)

MEMBERS = {
    "cross_entropy": (CrossEntropy, cross_entropy, {}),
    "focal": (FocalLoss, focal_loss, {"gamma": 1.5}),
    "cb_softmax": (ClassBalancedLoss, class_balanced_loss, {"beta": 0.99}),
    "cb_sigmoid": (ClassBalancedLoss, class_balanced_loss, {"beta": 0.99, "loss": "sigmoid"}),
    "cb_focal": (ClassBalancedLoss, class_balanced_loss, {"loss": "focal", "gamma": 0.5}),
    "ldam": (LDAMLoss, ldam_loss, {"max_margin": 0.4, "scale": 5.0}),
    "balanced_softmax": (BalancedSoftmaxLoss, balanced_softmax_loss, {}),
    "lade_column": (LADELoss, lade_loss, {"alpha": 0.3}),
    "lade_label": (LADELoss, lade_loss, {"alpha": 0.3, "importance": "label"}),
    "influence": (InfluenceBalancedLoss, influence_balanced_loss, {"alpha": 7.0}),
    "influence_through": (InfluenceBalancedLoss, influence_balanced_loss, {"detach": False}),
}
SOFT = ["cross_entropy", "cb_softmax", "ldam", "balanced_softmax"]
HARD = [name for name in MEMBERS if name not in SOFT]
COUNTED = [name for name in MEMBERS if name not in ("cross_entropy", "focal")]

every_member = pytest.mark.parametrize("name", MEMBERS)
soft_member = pytest.mark.parametrize("name", SOFT)
counted_member = pytest.mark.parametrize("name", COUNTED)


def make(name, **kwargs):
    cls, _, options = MEMBERS[name]
    return cls(**options, **{"class_counts": COUNTS, **kwargs}).double()


def batch(m=9, *, dtype=torch.float64, seed=0):
    rng = np.random.default_rng(seed)
    logits = torch.from_numpy(rng.normal(size=(m, K))).to(dtype)
    y = torch.from_numpy(rng.integers(K, size=m))
    features = torch.from_numpy(rng.normal(size=(m, 3))).to(dtype)
    return logits, y, features


def inputs(loss, logits, y, features):
    return (logits, y, features) if loss.needs_features else (logits, y)


def soft_targets(m=9, seed=1):
    return torch.from_numpy(np.random.default_rng(seed).dirichlet(np.ones(K), size=m))


def test_every_public_loss_is_a_member():
    classes = {
        cls
        for cls in vars(losses).values()
        if isinstance(cls, type) and issubclass(cls, LongTailLoss) and cls is not LongTailLoss
    }
    # RIDE is a loss of experts, not of logits: tests/losses/test_ride.py
    assert classes == {cls for cls, _, _ in MEMBERS.values()} | {RIDELoss}
    functions = {f.__name__ for _, f, _ in MEMBERS.values()} | {"ride_loss"}
    assert set(losses.__all__) == functions | {c.__name__ for c in classes} | {"LongTailLoss"}


@every_member
def test_attributes_say_what_a_member_needs(name):
    loss = make(name)
    assert loss.accepts_soft_targets == (name in SOFT)
    assert loss.needs_class_counts == (name in COUNTED)
    assert loss.needs_cosine_head == (name == "ldam")
    assert loss.needs_features == name.startswith("influence")


@every_member
@pytest.mark.parametrize("reduction", ["weighted_mean", "mean", "sum", "none"])
def test_function_and_module_agree(name, reduction):
    _, function, options = MEMBERS[name]
    loss = make(name, reduction=reduction)
    logits, y, features = batch()
    args = inputs(loss, logits.requires_grad_(), y, features)
    sample_weight = np.linspace(0, 2, 9)
    kwargs = {"class_counts": COUNTS.tolist()} if name in COUNTED else {}
    if loss.needs_features:  # its function takes class weights, its module derives them
        kwargs = {"weight": loss.weight}
    got = function(*args, **options, **kwargs, sample_weight=sample_weight, reduction=reduction)
    want = loss(*args, sample_weight=sample_weight)
    rtol = 1e-6 if name.startswith("cb") else 1e-12  # the buffer began in single precision
    torch.testing.assert_close(got, want, rtol=rtol, atol=0)
    gradients = (torch.autograd.grad(value.sum(), logits)[0] for value in (got, want))
    torch.testing.assert_close(*gradients, rtol=1e-6, atol=1e-9)


@every_member
@pytest.mark.parametrize("with_coefficients", [False, True])
def test_reductions_are_made_of_row_losses(name, with_coefficients):
    loss = make(name)
    loss.set_weight(WEIGHT)
    args = inputs(loss, *batch())
    rows, w = loss.per_row(*args).numpy(), WEIGHT.numpy()[args[1]]
    coef = np.linspace(-1, 3, len(rows)) if with_coefficients else np.ones(len(rows))
    total = (coef * w * rows).sum()
    want = {
        "weighted_mean": total / w.sum(),
        "mean": total / len(rows),
        "sum": total,
        "none": coef * w * rows,
    }
    for loss.reduction in want:
        got = loss(*args, sample_weight=coef if with_coefficients else None)
        np.testing.assert_allclose(got.numpy(), want[loss.reduction], rtol=1e-12, atol=1e-15)


@soft_member
def test_one_hot_targets_are_class_indices(name):
    loss = make(name)
    loss.set_weight(WEIGHT)
    logits, y, _ = batch()
    one_hot = torch.nn.functional.one_hot(y, K).double()
    for loss.reduction in ("weighted_mean", "mean", "none"):
        torch.testing.assert_close(loss(logits, one_hot), loss(logits, y))
    torch.testing.assert_close(loss.per_row(logits, one_hot), loss.per_row(logits, y))
    assert loss(logits, one_hot.float()).dtype == torch.float64


@soft_member
def test_soft_targets_are_expectations_over_classes(name):
    loss = make(name, reduction="none")
    loss.set_weight(WEIGHT)
    logits, _, _ = batch()
    q = soft_targets()
    each = [loss(logits, torch.full((9,), k)) for k in range(K)]  # w_k loss_k
    torch.testing.assert_close(loss(logits, q), (q * torch.stack(each, 1)).sum(1))
    loss.reduction = "weighted_mean"
    want = (q * torch.stack(each, 1)).sum() / (q @ WEIGHT).sum()
    torch.testing.assert_close(loss(logits, q), want)


@soft_member
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_a_mixed_label_is_two_terms_with_coefficients(name, reduction):
    loss = make(name, reduction=reduction)
    logits, y, _ = batch()
    lam = torch.linspace(0, 1, len(y), dtype=torch.float64)
    one_hot = torch.nn.functional.one_hot(torch.stack([y, y.flip(0)]), K)
    mixed = lam[:, None] * one_hot[0] + (1 - lam[:, None]) * one_hot[1]
    terms = loss(logits, y, sample_weight=lam) + loss(logits, y.flip(0), sample_weight=1 - lam)
    torch.testing.assert_close(loss(logits, mixed), terms)


@every_member
@settings(deadline=None)
@given(data=st.data())
def test_the_order_of_classes_does_not_matter(name, data):
    order = torch.tensor(data.draw(st.permutations(range(K))))
    logits, y, features = batch(seed=data.draw(st.integers(0, 10**6)))
    loss, permuted = make(name), make(name, class_counts=COUNTS[order])
    got = permuted(*inputs(loss, logits[:, order], order.argsort()[y], features))
    torch.testing.assert_close(got, loss(*inputs(loss, logits, y, features)))


@every_member
@settings(deadline=None)
@given(data=st.data())
def test_the_order_of_rows_does_not_matter(name, data):
    order = torch.tensor(data.draw(st.permutations(range(9))))
    loss = make(name, reduction="none")
    args = inputs(loss, *batch())
    torch.testing.assert_close(loss(*[x[order] for x in args]), loss(*args)[order])


@pytest.mark.parametrize("name", [n for n in MEMBERS if n != "influence"])
def test_gradients_are_those_of_finite_differences(name):
    loss = make(name)
    logits, y, features = batch()
    logits.requires_grad_()
    features.requires_grad_(loss.needs_features)
    sample_weight = torch.linspace(0.5, 2, 9, dtype=torch.float64, requires_grad=True)

    def value(logits, features, sample_weight):
        return loss(*inputs(loss, logits, y, features), sample_weight=sample_weight)

    assert gradcheck(value, (logits, features, sample_weight))


@soft_member
def test_gradients_of_soft_targets(name):
    loss = make(name)
    logits, _, _ = batch()
    q = soft_targets().requires_grad_()
    assert gradcheck(loss, (logits.requires_grad_(), q))


EXTREME = torch.tensor([[1e4, -1e4, 0, 1], [-1e4, 1e4, 1e4, 1e4], [1e4, 1e4, 1e4, 1e4]])


@every_member
@pytest.mark.parametrize("y", [[0, 0, 0], [1, 1, 3]])
def test_extreme_logits_have_finite_losses_and_gradients(name, y):
    loss = make(name).float()
    logits = EXTREME.clone().requires_grad_()
    value = loss(*inputs(loss, logits, torch.tensor(y), torch.ones(3, 2)))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@soft_member
def test_extreme_logits_with_soft_targets(name):
    loss = make(name).float()
    logits = EXTREME.clone().requires_grad_()
    value = loss(logits, torch.full((3, K), 1 / K))
    value.backward()
    assert value.isfinite()
    assert logits.grad.isfinite().all()


@every_member
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_single(name, dtype):
    loss = make(name).float()
    logits, y, features = batch(dtype=dtype)
    logits.requires_grad_()
    value = loss(*inputs(loss, logits, y, features))
    assert value.dtype == torch.float32
    want = loss(*inputs(loss, logits.detach().float(), y, features.float()))
    torch.testing.assert_close(value.detach(), want)
    value.backward()
    assert logits.grad.dtype == dtype


@every_member
def test_counts_stay_exact_in_a_half_precision_module(name):
    loss = make(name, class_counts=[4999, 4998, 3, 1]).to(torch.bfloat16)
    assert loss.class_counts.tolist() == [4999, 4998, 3, 1]
    args = inputs(loss, *batch(dtype=torch.float32))
    rows = make(name, class_counts=[4999, 4998, 3, 1]).per_row(*args)
    torch.testing.assert_close(loss.per_row(*args), rows)


@every_member
def test_nothing_is_read_back_from_a_device(name):
    # A meta tensor has no values: a loss that looked at one would fail here, and would wait for an
    # accelerator on every step. The counts come after the move.
    loss = make(name, class_counts=None).to("meta")
    loss.set_class_counts(COUNTS)
    loss.set_weight(WEIGHT)
    assert {buffer.device.type for buffer in loss.buffers()} == {"meta"}
    args = [x.to("meta") for x in inputs(loss, *batch())]
    sample_weight = torch.ones(9, device="meta")
    assert loss(*args, sample_weight=sample_weight).shape == ()
    if loss.accepts_soft_targets:
        assert loss(args[0], soft_targets().to("meta")).shape == ()


@every_member
def test_set_weight_and_counts_fill_buffers_in_place(name):
    loss = make(name)
    weight, counts = loss.weight, loss.class_counts
    places = weight.data_ptr(), counts.data_ptr()
    loss.set_weight(WEIGHT.tolist())
    assert weight.tolist() == WEIGHT.tolist()
    loss.set_class_counts([1, 2, 3, 4])
    assert counts.tolist() == [1, 2, 3, 4]
    loss.set_weight(None)
    assert weight.tolist() == [1.0] * K
    assert loss.weight is weight
    assert loss.class_counts is counts
    assert places == (weight.data_ptr(), counts.data_ptr())
    assert not list(loss.parameters())


@every_member
def test_buffers_do_not_share_memory_with_what_was_passed(name):
    weight, counts = WEIGHT.clone(), COUNTS.clone()
    loss = make(name, class_counts=counts)
    loss.set_weight(weight)
    weight[0], counts[0] = 9, 9
    assert loss.weight[0] == WEIGHT[0]
    assert loss.class_counts[0] == COUNTS[0]


@every_member
def test_setting_the_weight_changes_the_next_loss(name):
    loss = make(name)
    args = inputs(loss, *batch())
    loss.set_weight(None)
    before = loss(*args)
    loss.set_weight([5.0, 1.0, 1.0, 0.1])
    assert not torch.isclose(loss(*args), before)
    loss.set_weight(None)
    assert loss(*args) == before


@counted_member
def test_a_loss_without_counts_says_so(name):
    loss = make(name, class_counts=None)
    args = inputs(loss, *batch())
    for call in (loss, loss.per_row):
        with pytest.raises(
            RuntimeError, match=r"needs the training samples per class.*set_class_c"
        ):
            call(*args)
    loss.set_class_counts(COUNTS)
    torch.testing.assert_close(loss(*args), make(name)(*args), rtol=1e-6, atol=0)


@pytest.mark.parametrize("name", ["cross_entropy", "focal"])
def test_a_loss_that_needs_no_counts_works_without(name):
    args = batch()[:2]
    torch.testing.assert_close(make(name, class_counts=None)(*args), make(name)(*args))


@every_member
def test_no_rows_and_no_weight_are_no_loss(name):
    loss = make(name)
    logits, y, features = batch(m=0)
    logits.requires_grad_()
    value = loss(*inputs(loss, logits, y, features))
    value.backward()
    assert value == 0
    assert logits.grad.shape == (0, K)
    loss.set_weight(torch.zeros(K))
    loss.reduction = "weighted_mean"
    assert loss(*inputs(loss, *batch())) == 0


@every_member
def test_copies_and_checkpoints_carry_counts_and_weights(name):
    loss = make(name)
    loss.set_weight(WEIGHT)
    args = inputs(loss, *batch())
    fresh = make(name, class_counts=None)
    fresh.load_state_dict(loss.state_dict())
    for other in (copy.deepcopy(loss), pickle.loads(pickle.dumps(loss)), fresh):
        assert other.weight.tolist() == WEIGHT.tolist()
        assert other(*args) == loss(*args)
        assert other.weight is not loss.weight


@every_member
def test_repr_shows_the_settings(name):
    text = repr(make(name))
    assert "reduction=" in text
    for key, value in MEMBERS[name][2].items():
        assert f"{key}={value!r}" in text


@pytest.mark.parametrize("name", HARD)
def test_a_loss_that_is_not_linear_refuses_soft_targets(name):
    loss = make(name)
    logits, _, features = batch()
    text = rf"^{type(loss).__name__} is not linear in the target.*float64 and shape \(9, 4\)"
    with pytest.raises(TypeError, match=text):
        loss(*inputs(loss, logits, soft_targets(), features))


LOGITS = torch.zeros(3, K)
BAD_INPUTS = {
    "numpy": (np.zeros((3, K)), [0, 1, 2], TypeError, r"logits must be a floating.*Got ndarray"),
    "integers": (LOGITS.long(), [0, 1, 2], TypeError, r"floating-point tensor. Got torch.int64"),
    "one_column": (LOGITS[:, :1], [0, 0, 0], ValueError, r"at least 2 classes. Got shape \(3, 1\)"),
    "vector": (LOGITS[0], [0], ValueError, r"shape \(m, K\).*Got shape \(4,\)"),
    "nan": (LOGITS * torch.nan, [0, 1, 2], ValueError, r"Got NaN in 3 of 3 rows. Look for NaN in"),
    "short": (
        LOGITS,
        [0, 1],
        ValueError,
        r"y must have shape \(3,\).*Got shape \(2,\) of torch.in",
    ),
    "too_large": (LOGITS, [0, 1, 4], ValueError, r"indices from 0 to 3.*Got 0 to 4"),
    "negative": (LOGITS, [0, 1, -1], ValueError, r"indices from 0 to 3.*Got -1 to 1"),
    "floats": (LOGITS, [0.0, 1.0, 2.0], TypeError, r"must be integers.*float32.*Use y.long\(\)"),
    "columns": (
        LOGITS[:, 1:],
        [0, 1, 2],
        ValueError,
        r"each column of the logits, 3. Got shape \(4",
    ),
}


@every_member
@pytest.mark.parametrize("case", BAD_INPUTS)
def test_what_does_not_fit_is_refused(name, case):
    logits, y, error, text = BAD_INPUTS[case]
    loss = make(name)
    with pytest.raises(error, match=text):
        loss(*inputs(loss, logits, torch.tensor(y), torch.ones(3, 2)))


@every_member
def test_targets_that_are_no_tensor_are_refused(name):
    loss = make(name)
    with pytest.raises(TypeError, match=r"y must be a tensor. Got list. Use torch.as_tensor\(y\)"):
        loss(*inputs(loss, LOGITS, [0, 1, 2], torch.ones(3, 2)))


@soft_member
def test_soft_targets_of_another_shape_are_refused(name):
    with pytest.raises(ValueError, match=r"logits' shape, \(3, 4\).*shape \(3, 3\)"):
        make(name)(LOGITS, torch.ones(3, 3))


@every_member
def test_sample_weight_of_another_shape_is_refused(name):
    loss = make(name)
    args = inputs(loss, LOGITS, torch.tensor([0, 1, 2]), torch.ones(3, 2))
    with pytest.raises(ValueError, match=r"each row of the logits, 3. Got shape \(2,\)"):
        loss(*args, sample_weight=[1.0, 2.0])


@every_member
@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ([5, 0, 1, 1], r"whole numbers, each at least 1.*Got \[5, 0, 1, 1\]. Leave out classes"),
        ([5, 1.5, 1, 1], r"Got \[5.0, 1.5, 1.0, 1.0\]"),
        ([5, np.nan, 1, 1], r"whole numbers.*nan"),
        ([5, np.inf, 1, 1], r"whole numbers.*inf"),
        (
            [5],
            r"class_counts must hold one number for each of at least 2 classes. Got shape \(1,\)",
        ),
        ([[5, 1]], r"Got shape \(1, 2\)"),
        ([5, 1, 1], r"class_counts must hold 4 classes.*Got 3. Build a new loss"),
    ],
)
def test_bad_counts_are_refused(name, counts, text):
    with pytest.raises(ValueError, match=text):
        make(name).set_class_counts(counts)


@every_member
@pytest.mark.parametrize(
    ("weight", "text"),
    [
        ([1, -1, 1, 1], r"weight must be finite and at least 0. Got \[1, -1, 1, 1\]"),
        ([1, np.nan, 1, 1], r"weight must be finite.*nan"),
        ([1.0, 1.0], r"weight must hold 4 classes, as many as this loss was made for. Got 2"),
    ],
)
def test_bad_weights_are_refused(name, weight, text):
    loss = make(name)
    with pytest.raises(ValueError, match=text):
        loss.set_weight(weight)


@every_member
def test_an_unknown_reduction_is_refused(name):
    with pytest.raises(ValueError, match=r"one of 'weighted_mean', .*Got reduction='average'"):
        make(name, reduction="average")
    loss, (_, function, _) = make(name), MEMBERS[name]
    kwargs = {"class_counts": COUNTS} if name in COUNTED and not loss.needs_features else {}
    with pytest.raises(ValueError, match=r"Got reduction='average'"):
        function(*inputs(loss, *batch()), **kwargs, reduction="average")


def test_a_subclass_has_to_state_its_row_losses():
    class Empty(LongTailLoss):
        pass

    with pytest.raises(NotImplementedError, match=r"Empty must define _rows\(logits, y\)"):
        Empty()(*batch()[:2])


@pytest.mark.parametrize("make", [lambda counts: pd.Series(counts), dict], ids=["Series", "dict"])
def test_counts_and_weights_by_label_are_in_the_order_of_the_labels(make):
    counts = make({"b": 90, "a": 9, "c": 30})  # as value_counts gives them
    loss = LDAMLoss(class_counts=counts, weight=make({"c": 3.0, "b": 2.0, "a": 1.0}))
    assert loss.class_counts.tolist() == [9, 90, 30]
    assert loss.weight.tolist() == [1, 2, 3]
    logits, y = torch.eye(3), torch.tensor([0, 1, 2])
    found = ldam_loss(logits, y, class_counts=counts, weight=make({"c": 3.0, "b": 2.0, "a": 1.0}))
    torch.testing.assert_close(found, loss(logits, y))
