"""What happens in an epoch, and that nothing of an earlier run outlives its setting."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from ltresample import LongTailWarning, M2mSampler
from ltresample.class_counts import class_weights
from ltresample.losses import ClassBalancedLoss, CrossEntropy, LDAMLoss
from ltresample.models import MLP
from ltresample.training import (
    ClassIndexSampler,
    DeferredRebalancingClassifier,
    DeferredResampling,
    DeferredReweighting,
    DeferredSynthesis,
)
from ltresample.training._epoch import EpochSettings, epoch_plan
from ltresample.training._schedules import epoch_of, learning_rate_factor

COUNTS = np.array([60, 20, 8])
rng = np.random.default_rng(0)
Y = np.repeat(np.arange(3), COUNTS)
X = (rng.normal(size=(len(Y), 4)) + 2 * np.eye(3, 4)[Y]).astype(np.float32)
STARTS = st.one_of(st.integers(0, 12), st.floats(0, 1))


def net_of(**params):
    settings = {"module": MLP, "max_epochs": 4, "batch_size": 16, "random_state": 0, **params}
    return DeferredRebalancingClassifier(**settings)


@given(
    epoch=st.integers(0, 12),
    start=STARTS,
    rebalance_start=STARTS,
    rebalance=st.sampled_from([None, "resample", "reweight"]),
    weighting=st.sampled_from(["balanced", "effective"]),
    beta=st.sampled_from([0.9, 0.9999]),
    balanced=st.booleans(),
    later=st.sampled_from([None, 8]),
)
def test_a_plan_by_hand(epoch, start, rebalance_start, rebalance, weighting, beta, balanced, later):
    settings = EpochSettings(
        max_epochs=10,
        start=start,
        balanced=balanced,
        rebalance=rebalance,
        rebalance_start=rebalance_start,
        weighting=weighting,
        beta=beta,
        warmup=3,
        lr_decay={0.5: 0.1},
        batch_size=32,
        batch_size_after_start=later,
    )
    plan = epoch_plan(settings, COUNTS, epoch)
    begun, rebalances = (epoch >= epoch_of(s, 10) for s in (start, rebalance_start))
    weight = class_weights(COUNTS, weighting, beta=beta)
    assert plan.synthesizes == begun
    assert plan.active == rebalances
    np.testing.assert_array_equal(
        plan.loss_weight, weight if rebalances and rebalance == "reweight" else None
    )
    stream = weight if rebalances and rebalance == "resample" else None
    np.testing.assert_array_equal(
        plan.stream_weight, class_weights(COUNTS) if begun and balanced else stream
    )
    assert plan.batch_size == (8 if later and begun else 32)
    assert plan.rate == learning_rate_factor(epoch, warmup=3, decay={0.5: 0.1}, max_epochs=10)


class Sees(Callback):
    """Notes what is set in each epoch."""

    def on_train_begin(self, net, **kwargs):
        self.epochs_ = []

    def on_batch_end(self, net, training, **kwargs):
        if training:
            return
        weight = getattr(net.criterion_, "weight", None)
        self.valid_ = None if weight is None else weight.clone()

    def on_epoch_end(self, net, **kwargs):
        weight = getattr(net.criterion_, "weight", None)
        self.epochs_.append(None if weight is None else weight.tolist())


def test_the_classifier_and_the_callbacks_follow_one_plan():
    sampler = M2mSampler(min_confidence=0.1, count_decay=0.5)
    ours = net_of(
        criterion=nn.CrossEntropyLoss,
        resampler=sampler,
        start=3,
        rebalance="reweight",
        rebalance_start=2,
        callbacks=[("sees", Sees())],
    ).fit(X, Y)
    theirs = NeuralNetClassifier(
        MLP(4, 3),
        criterion=nn.CrossEntropyLoss,
        max_epochs=4,
        batch_size=16,
        train_split=None,
        verbose=0,
        iterator_train__sampler=ClassIndexSampler(random_state=0),
        callbacks=[
            DeferredReweighting(start=2, weighting="balanced"),
            DeferredResampling(start=3),
            DeferredSynthesis(sampler, start=3, random_state=0),
            ("sees", Sees()),
        ],
    ).fit(X, Y)
    seen = [dict(net.callbacks_)["sees"].epochs_ for net in (ours, theirs)]
    assert seen[0][:2] == seen[1][:2] == [None, None]
    np.testing.assert_allclose(seen[0][2:], seen[1][2:])
    np.testing.assert_allclose(seen[0][2], class_weights(COUNTS), rtol=1e-6)
    for net in (ours, theirs):
        shares = net.history[:, "share_synthesized"]
        assert shares[:3] == [0, 0, 0]
        assert shares[3] > 0.1


OWN = torch.tensor([1.0, 2.0, 3.0])
CRITERIA = {
    "torch": {"criterion": nn.CrossEntropyLoss},
    "torch, weights": {"criterion": nn.CrossEntropyLoss, "criterion__weight": OWN},
    "ours": {"criterion": CrossEntropy},
    "ours, weights": {"criterion": CrossEntropy, "criterion__weight": OWN},
    "from counts": {"criterion": ClassBalancedLoss},
}


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize(
    "setting", [{"class_weight": "balanced"}, {"rebalance": "reweight", "weighting": "balanced"}]
)
def test_class_weights_do_not_outlive_their_setting(criterion, setting):
    callbacks = [("sees", Sees())]
    never = net_of(**CRITERIA[criterion], callbacks=callbacks, max_epochs=1).fit(X, Y)
    own = dict(never.callbacks_)["sees"].epochs_[0]
    net = net_of(**CRITERIA[criterion], **setting, warm_start=True, callbacks=callbacks).fit(X, Y)
    np.testing.assert_allclose(net.criterion_.weight, class_weights(COUNTS), rtol=1e-6)
    net.set_params(class_weight=None, rebalance=None).fit(X, Y)
    assert dict(net.callbacks_)["sees"].epochs_ == [own] * 4
    net.set_params(class_weight={0: 5.0}).fit(X, Y)
    assert net.criterion_.weight.tolist() == [5, 1, 1]
    net.set_params(class_weight=None).partial_fit(X, Y)
    assert dict(net.callbacks_)["sees"].epochs_ == [own] * 4


def test_the_callback_weighs_the_stream_as_it_is_told():
    sampler = ClassIndexSampler(random_state=0)
    NeuralNetClassifier(
        MLP(4, 3),
        criterion=nn.CrossEntropyLoss,
        max_epochs=1,
        train_split=None,
        verbose=0,
        iterator_train__sampler=sampler,
        callbacks=[DeferredResampling(start=0, weighting="effective", beta=0.9)],
    ).fit(X, Y)
    weight = class_weights(COUNTS, "effective", beta=0.9)
    np.testing.assert_allclose(sampler.class_weight, weight)


def test_weights_of_the_callback_do_not_outlive_it():
    net = NeuralNetClassifier(
        MLP(4, 3),
        criterion=nn.CrossEntropyLoss,
        max_epochs=2,
        train_split=None,
        verbose=0,
        warm_start=True,
        callbacks=[DeferredReweighting(start=0, beta=0.9), ("sees", Sees())],
    ).fit(X, Y)
    weight = class_weights(COUNTS, "effective", beta=0.9)
    np.testing.assert_allclose(dict(net.callbacks_)["sees"].epochs_[0], weight, rtol=1e-6)
    assert net.criterion_.weight is None
    net.set_params(callbacks__DeferredReweighting__start=len(net.history) + 1).fit(X, Y)
    assert dict(net.callbacks_)["sees"].epochs_[0] is None


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, CrossEntropy, LDAMLoss])
def test_validation_loss_means_one_thing(criterion):
    """It is the criterion's, without the weights that come later: it does not jump when they come."""
    head = {"module__head": "cosine"} if criterion is LDAMLoss else {}
    net = net_of(
        criterion=criterion,
        rebalance="reweight",
        rebalance_start=2,
        train_split=0.25,
        callbacks=[("sees", Sees())],
        **head,
    ).fit(X, Y)
    plain = net_of(criterion=criterion, train_split=0.25, max_epochs=2, **head).fit(X, Y)
    assert net.history[:2, "valid_loss"] == plain.history[:, "valid_loss"]
    seen = dict(net.callbacks_)["sees"]
    assert seen.valid_ is None or (seen.valid_ == 1).all()
    np.testing.assert_allclose(seen.epochs_[-1], class_weights(net.class_counts_), rtol=1e-6)
    _, valid = net.get_split_datasets(X, Y)
    net.criterion_.weight = None if criterion is nn.CrossEntropyLoss else torch.ones(3)
    logits = net.forward(X[valid.index])
    want = net.criterion_(logits, torch.from_numpy(Y[valid.index])).item()
    assert net.history[-1, "valid_loss"] == pytest.approx(want, rel=1e-5)


# ---------------------------------------------------------------- acceptance


def test_low_acceptance_is_said_once_a_run_and_is_a_column():
    sampler = M2mSampler(min_confidence=0.9999)
    net = net_of(resampler=sampler, start=1, max_epochs=5)
    message = (
        r"^Few synthetic rows were accepted: (\d+) of (\d+) requested \(.*%\) up to epoch \d\. "
        "Real rows stay in the other slots.*Lower min_confidence and count_decay"
    )
    for _ in range(2):
        with pytest.warns(LongTailWarning, match=message) as caught:
            net.fit(X, Y)
        assert len(caught) == 1
    assert max(net.history[1:, "acceptance_rate"]) < 0.1
    theirs = NeuralNetClassifier(
        MLP(4, 3),
        criterion=nn.CrossEntropyLoss,
        max_epochs=4,
        train_split=None,
        verbose=0,
        callbacks=[DeferredSynthesis(sampler, start=0, random_state=0)],
    )
    with pytest.warns(LongTailWarning, match=message) as caught:
        theirs.fit(X, Y)
    assert len(caught) == 1


def test_high_acceptance_is_not_said():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        net = net_of(resampler=M2mSampler(min_confidence=0.1, count_decay=0.5), start=0).fit(X, Y)
    assert min(net.history[:, "acceptance_rate"]) > 0.1


# ---------------------------------------------------------------- going on with other data


def test_going_on_with_other_classes_or_another_width():
    net = net_of(warm_start=True).fit(X, Y)
    cases = [
        (
            X,
            Y + 1,
            "warm_start goes on with a network for the classes [0, 1, 2]. Got [3] in y as well.",
        ),
        (
            X[:, :3],
            Y,
            "X has 3 features, but DeferredRebalancingClassifier is expecting 4 features",
        ),
        (
            X[:, :, None],
            Y,
            "Rows must have the shape that the network was built for, (4,). Got rows of shape (4, 1).",
        ),
    ]
    before = [p.clone() for p in net.module_.parameters()]
    for rows, labels, message in cases:
        with pytest.raises(ValueError) as caught:
            net.fit(rows, labels)
        assert str(caught.value).startswith(message)
    net.set_params(warm_start=False)
    for rows, labels, message in cases[1:]:
        with pytest.raises(ValueError) as caught:
            net.partial_fit(rows, labels)
        assert str(caught.value).startswith(message)
    with pytest.raises(ValueError, match="classes must be those of the first call. Got"):
        net.partial_fit(X, Y, classes=[0, 1, 2, 3])
    assert all(torch.equal(a, b) for a, b in zip(before, net.module_.parameters(), strict=True))
    assert net.classes_.tolist() == [0, 1, 2]
    assert net.partial_fit(X, Y, classes=[2, 1, 0]).predict(X).shape == (88,)


def test_fewer_classes_later_stay_where_they_are():
    net = net_of(warm_start=True).fit(X, Y)
    with pytest.warns(LongTailWarning, match="Class 0 has no row"):
        net.fit(X[Y > 0], Y[Y > 0])
    assert net.classes_.tolist() == [0, 1, 2]
    assert net.predict_proba(X).shape == (88, 3)
    assert (net.predict(X[Y > 0]) == Y[Y > 0]).mean() > 0.8


def test_counts_of_chunks_add_up_and_the_same_rows_do_not():
    order = np.random.default_rng(1).permutation(len(Y))
    chunks = np.array_split(order, 3)
    net = net_of(criterion=LDAMLoss, module__head="cosine", max_epochs=1)
    for chunk in chunks:
        net.partial_fit(X[chunk], Y[chunk], classes=[0, 1, 2])
    assert net.class_counts_.tolist() == COUNTS.tolist() == net.criterion_.class_counts.tolist()
    for chunk in chunks:
        net.partial_fit(X[chunk], Y[chunk])
    assert net.class_counts_.tolist() == COUNTS.tolist()
    net.fit(X, Y)
    net.partial_fit(X, Y)
    assert net.class_counts_.tolist() == COUNTS.tolist()


def test_units_are_those_of_the_first_chunk():
    net = net_of(module=None, max_epochs=1)
    net.partial_fit(X, Y)
    units = net.module_[0].center.clone()
    net.partial_fit(X + 100, Y)
    assert torch.equal(net.module_[0].center, units)


# ---------------------------------------------------------------- random numbers


def test_no_step_of_an_epoch_repeats_the_numbers_of_another():
    """Neither of the augmentation nor of layers that are random."""
    augmented, dropped = [], []

    class Noisy(nn.Linear):
        def forward(self, x):
            if self.training:
                dropped.append(float(torch.rand(())))
            return super().forward(x)

    def augment(x, generator):
        augmented.append(float(torch.rand((), generator=generator)))
        return x

    for _ in range(2):
        net_of(module=Noisy(4, 3), augment=augment, max_epochs=3).fit(X, Y)
    for numbers in (augmented, dropped):
        first, again = numbers[:18], numbers[18:]  # 3 epochs of 6 batches
        assert first == again
        assert len(set(first)) == 18
