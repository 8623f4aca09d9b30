"""The loss of a step's terms against sums by hand; class weights in place; heads."""

import re

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from ltresample.losses import (
    BalancedSoftmaxLoss,
    CrossEntropy,
    FocalLoss,
    InfluenceBalancedLoss,
    LDAMLoss,
)
from ltresample.models import MLP
from ltresample.synthesis import LossTerm
from ltresample.training._criterion import assign_class_weight, check_head, logit_scale
from ltresample.training._step import StepTarget, step_loss

generator = torch.Generator().manual_seed(0)
LOGITS = torch.randn(6, 3, generator=generator, dtype=torch.float64)
Y = torch.tensor([0, 2, 1, 1, 0, 2])
OTHER = torch.tensor([1, 1, 0, 2, 2, 0])
LAM = torch.tensor([0.3, 0.5, 1.0, 0.0, 0.9, 0.2], dtype=torch.float64)
ALL = slice(None)
LOSSES = [
    CrossEntropy(),
    nn.CrossEntropyLoss(),
    nn.CrossEntropyLoss(weight=torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)),
    FocalLoss(),
    BalancedSoftmaxLoss(class_counts=[5, 2, 1]),
]


def rows_of(logits, y):
    return -logits.log_softmax(1).gather(1, y[:, None])[:, 0]


@pytest.mark.parametrize("criterion", LOSSES, ids=repr)
def test_one_plain_term_is_the_criterion(criterion):
    got = step_loss(criterion, LOGITS, StepTarget([LossTerm(ALL, Y)]))
    torch.testing.assert_close(got, criterion(LOGITS, Y))


@pytest.mark.parametrize("criterion", [CrossEntropy(), nn.CrossEntropyLoss()], ids=repr)
def test_mixed_labels_are_two_terms_with_shares(criterion):
    """lam * loss(y_b) + (1 - lam) * loss(y_f), one lam a row, mean over rows."""
    target = StepTarget([LossTerm(ALL, Y, LAM), LossTerm(ALL, OTHER, 1 - LAM)])
    want = (LAM * rows_of(LOGITS, Y) + (1 - LAM) * rows_of(LOGITS, OTHER)).mean()
    torch.testing.assert_close(step_loss(criterion, LOGITS, target), want)


def test_a_number_as_share():
    target = StepTarget([LossTerm(ALL, Y, 0.3), LossTerm(ALL, OTHER, 0.7)])
    want = 0.3 * cross_entropy(LOGITS, Y) + 0.7 * cross_entropy(LOGITS, OTHER)
    torch.testing.assert_close(step_loss(CrossEntropy(), LOGITS, target), want)


def test_appended_rows_have_their_own_criterion_and_class_weights():
    weight = torch.tensor([0.1, 1.0, 3.0])
    own = CrossEntropy(reduction="mean")
    terms = [
        LossTerm(slice(0, 4), Y[:4]),
        LossTerm(slice(4, 6), Y[4:], 2.0, class_weight=weight, criterion=own),
    ]
    got = step_loss(FocalLoss(), LOGITS, StepTarget(terms))
    appended = (weight[Y[4:]] * rows_of(LOGITS[4:], Y[4:])).sum() / 2
    torch.testing.assert_close(got, FocalLoss()(LOGITS[:4], Y[:4]) + 2 * appended)


@pytest.mark.parametrize("criterion", [CrossEntropy(), nn.CrossEntropyLoss()], ids=repr)
def test_sample_weights_are_those_of_real_rows(criterion):
    weight = torch.tensor([2.0, 0.5, 1.0, 0.5])
    terms = [LossTerm(slice(0, 4), Y[:4]), LossTerm(slice(4, 6), Y[4:])]
    got = step_loss(criterion, LOGITS, StepTarget(terms, weight))
    want = (weight * rows_of(LOGITS, Y)[:4]).sum() / 4 + rows_of(LOGITS, Y)[4:].mean()
    torch.testing.assert_close(got, want)


@pytest.mark.parametrize("reduction", ["mean", "sum"])
def test_weights_of_torch_losses_are_normalised_as_torch_does(reduction):
    class_weight = torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)
    criterion = nn.CrossEntropyLoss(weight=class_weight, reduction=reduction)
    weight = torch.ones(6)
    got = step_loss(criterion, LOGITS, StepTarget([LossTerm(ALL, Y)], weight))
    torch.testing.assert_close(got, criterion(LOGITS, Y))
    assert criterion.reduction == reduction


def test_features_go_to_the_criterion_that_needs_them():
    criterion, h = InfluenceBalancedLoss(class_counts=[5, 2, 1]), torch.rand(6, 4)
    terms = [LossTerm(slice(0, 4), Y[:4]), LossTerm(slice(4, 6), Y[4:], criterion=CrossEntropy())]
    got = step_loss(criterion, LOGITS, StepTarget(terms), h)
    want = criterion(LOGITS[:4], Y[:4], h[:4]) + cross_entropy(LOGITS[4:], Y[4:])
    torch.testing.assert_close(got, want)


def test_rows_with_weights_need_a_reduction_that_can_be_undone():
    class Odd(nn.Module):
        def forward(self, logits, y):
            return cross_entropy(logits, y)

    message = (
        "Rows with weights need a criterion whose `reduction` is 'mean' or 'sum', or one of "
        "ltresample.losses. Got Odd()."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        step_loss(Odd(), LOGITS, StepTarget([LossTerm(ALL, Y)], torch.ones(6)))


@pytest.mark.parametrize(
    "criterion", [nn.CrossEntropyLoss(), nn.CrossEntropyLoss(weight=torch.ones(3)), CrossEntropy()]
)
def test_class_weights_are_assigned(criterion):
    assign_class_weight(criterion, np.array([1.0, 2.0, 3.0]))
    got = criterion(LOGITS.float(), Y)
    want = cross_entropy(LOGITS.float(), Y, weight=torch.tensor([1.0, 2.0, 3.0]))
    torch.testing.assert_close(got, want)
    assign_class_weight(criterion, None)
    torch.testing.assert_close(criterion(LOGITS, Y), cross_entropy(LOGITS, Y))


def test_class_weights_need_a_place():
    message = (
        "Re-weighting sets the class weights of the criterion. Got MSELoss, which has no buffer "
        "`weight` and no method `set_weight`. Use a loss of ltresample.losses or "
        "torch.nn.CrossEntropyLoss."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        assign_class_weight(nn.MSELoss(), np.ones(3))


def test_scale_of_the_logits_is_that_of_ldam():
    assert logit_scale(LDAMLoss(scale=20)) == 20
    assert logit_scale(CrossEntropy()) == 1


ROWS = torch.randn(8, 5, generator=generator)


class ForeignCosine(nn.Linear):
    """A cosine head that is not ours."""

    def forward(self, x):
        unit = nn.functional.normalize
        return nn.functional.linear(unit(x, dim=1), unit(self.weight, dim=1))


@pytest.mark.parametrize(
    "module", [MLP(5, 3, head="cosine"), nn.Sequential(nn.Linear(5, 4), ForeignCosine(4, 3))]
)
def test_cosines_fit_ldam(module):
    assert check_head(LDAMLoss(), module, ROWS) is None


@pytest.mark.parametrize("module", [MLP(5, 3), nn.Linear(5, 3)])
def test_linear_heads_do_not_fit_ldam(module):
    message = (
        f"LDAMLoss takes cosines in [-1, 1] and scales them itself. Got a {type(module).__name__} "
        "whose logits are no cosines. Build the module with module__head='cosine' or end it in "
        "ltresample.models.CosineHead."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        check_head(LDAMLoss(), module, ROWS)


def test_cosines_of_scale_one_are_flat_elsewhere():
    warning = check_head(CrossEntropy(), MLP(5, 3, head="cosine"), ROWS)
    assert warning == (
        "CrossEntropy on a CosineHead of scale 1: its probabilities are nearly flat and train "
        "slowly. Give the head a scale (30 is usual), take head='linear', or use LDAMLoss."
    )
    assert check_head(CrossEntropy(), MLP(5, 3), ROWS) is None
