"""The three callbacks with skorch's own classifier."""

import re

import numpy as np
import pytest
import torch
from sklearn.base import clone
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from skorch.dataset import ValidSplit
from torch import nn

from ltresample import M2mSampler
from ltresample.class_counts import class_weights
from ltresample.losses import CrossEntropy
from ltresample.models import MLP
from ltresample.synthesis import Bound, LossTerm, Made, Method
from ltresample.training import (
    ClassIndexSampler,
    DeferredResampling,
    DeferredReweighting,
    DeferredSynthesis,
)

COUNTS = np.array([60, 20, 8])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), COUNTS)
    X = rng.normal(size=(len(y), 4)) + 2 * np.eye(3, 4)[y]
    order = rng.permutation(len(y))
    return X[order].astype(np.float32), y[order]


class Watch(Callback):
    """Notes the labels of training batches, class weights, and momentum at the start of epochs."""

    def on_train_begin(self, net, **kwargs):
        self.labels_, self.weights_, self.momentum_ = [], [], []
        self.optimizer_ = net.optimizer_

    def on_epoch_begin(self, net, **kwargs):
        self.labels_.append([])
        weight = net.criterion_.weight
        self.weights_.append(None if weight is None else weight.clone())
        state = list(net.optimizer_.state.values())
        self.momentum_.append(state[0]["momentum_buffer"].clone() if state else None)

    def on_batch_end(self, net, batch, training, **kwargs):
        if training:
            self.labels_[-1] += batch[1].tolist()


def plain_net(*callbacks, **params):
    settings = {
        "criterion": nn.CrossEntropyLoss,
        "max_epochs": 4,
        "batch_size": 16,
        "lr": 0.05,
        "optimizer__momentum": 0.9,
        "train_split": ValidSplit(4, stratified=True),
        "verbose": 0,
        "callbacks": [*callbacks, ("watch", Watch())],
        **params,
    }
    torch.manual_seed(0)
    return NeuralNetClassifier(MLP(4, 3, hidden=(8,)), **settings)


def watch(net):
    return dict(net.callbacks_)["watch"]


def test_resampling_changes_the_loaders_stream_in_place(data):
    sampler = ClassIndexSampler(random_state=0)
    net = plain_net(DeferredResampling(start=0.5), iterator_train__sampler=sampler)
    net.fit(*data)
    counts = [np.bincount(labels, minlength=3) for labels in watch(net).labels_]
    for natural in counts[:2]:
        np.testing.assert_array_equal(natural, [45, 15, 6])  # three quarters of each class
    balanced = counts[2] + counts[3]
    assert balanced.sum() == 2 * 66
    assert np.abs(balanced - 44).max() < 22  # four standard deviations
    assert watch(clone(net).fit(*data)).labels_ != []


def test_resampling_says_what_it_needs(data):
    message = (
        "DeferredResampling changes the weights of the loader's index sampler. Got "
        "iterator_train__sampler=None. Pass iterator_train__sampler=ClassIndexSampler()."
    )
    with pytest.raises(TypeError, match=re.escape(message)):
        plain_net(DeferredResampling()).fit(*data)


@pytest.mark.parametrize("criterion", [nn.CrossEntropyLoss, CrossEntropy])
def test_reweighting_sets_weights_in_place_and_keeps_the_momentum(data, criterion):
    net = plain_net(DeferredReweighting(start=2, weighting="balanced"), criterion=criterion)
    net.fit(*data)
    seen = watch(net)
    assert seen.weights_[:2] == [None, None]
    want = class_weights([45, 15, 6]).astype(np.float32)
    np.testing.assert_allclose(seen.weights_[2], want, rtol=1e-6)
    assert net.optimizer_ is seen.optimizer_
    assert float(seen.momentum_[2].abs().sum()) > 0


def test_reweighting_by_set_params_would_lose_it(data):
    """The trap that the callback avoids: skorch builds a new optimizer."""
    net = plain_net().fit(*data)
    before = net.optimizer_
    net.set_params(criterion__weight=torch.ones(3))
    assert net.optimizer_ is not before
    assert not net.optimizer_.state


def test_synthesis_rewrites_batches_from_its_start_on(data):
    sampler = M2mSampler(
        preset="paper", step_size=0.5, min_confidence=0.5, count_test=False, count_decay=0.9
    )
    net = plain_net(
        DeferredResampling(start=2),
        DeferredSynthesis(sampler, start=2, random_state=0),
        iterator_train__sampler=ClassIndexSampler(random_state=0),
    )
    net.fit(*data)
    share, rate = np.array(net.history[:, ("share_synthesized", "acceptance_rate")]).T
    assert share[:2].tolist() == [0, 0]
    assert np.isnan(rate[:2]).all()
    assert (share[2:] > 0.2).all()
    assert (rate[2:] > 0.5).all()
    assert sampler.g is None
    assert not hasattr(sampler, "g_")


class TwoTerms(Method):
    place = "whole"
    inside_f = False
    X_aux = categorical_features = None

    def bind(self, pool, **kwargs):
        return Bound(self, pool)

    def draw(self, state, slots, seed, shared):
        return slots

    def make(self, state, draws, f=None):
        n = len(draws[0].at)
        return Made(torch.ones(n, dtype=torch.bool), state.pool.x.x, draws[0].at, draws[0].y)

    def terms(self, state, slots, made, batch):
        return [LossTerm(slice(None), batch.y, 0.5)] * 2


def test_synthesis_in_place_needs_one_label_a_row(data):
    resampler = TwoTerms()
    message = (
        "DeferredSynthesis rewrites batches in place and needs one label a row. Got 2 loss terms and "
        f"rows of shape (16, 4) from {resampler!r}. Use "
        "DeferredRebalancingClassifier(resampler=...)."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        plain_net(DeferredSynthesis(resampler, start=0)).fit(*data)
