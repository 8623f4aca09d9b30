"""Epochs, shares of training, and learning rates."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn

from ltresample.training import (
    DeferredRebalancingClassifier,
    WarmupStepDecay,
    learning_rate_factor,
)
from ltresample.training._schedules import epoch_of


@given(epoch=st.integers(0, 300), max_epochs=st.integers(1, 300))
def test_integers_are_epochs_and_floats_are_shares(epoch, max_epochs):
    assert epoch_of(epoch, max_epochs) == epoch
    assert epoch_of(epoch / 300, max_epochs) == round(epoch / 300 * max_epochs)
    assert epoch_of(1.0, max_epochs) == max_epochs
    assert epoch_of(0.0, max_epochs) == epoch_of(0, max_epochs) == 0


@pytest.mark.parametrize("start", [-1, 1.5, -0.1])
def test_what_is_neither(start):
    message = (
        "An epoch is an integer from 0, or a float in [0, 1] as a share of max_epochs. "
        f"Got {start!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        epoch_of(start, 10)


@given(
    epoch=st.integers(0, 40),
    warmup=st.integers(0, 10),
    decay=st.dictionaries(st.integers(0, 40), st.floats(0.001, 1), max_size=3),
)
def test_factor_by_hand(epoch, warmup, decay):
    want = (epoch + 1) / warmup if epoch < warmup else 1.0
    for when in decay:
        want *= decay[when] if epoch >= when else 1.0
    assert learning_rate_factor(epoch, warmup=warmup, decay=decay) == pytest.approx(want)


def test_the_papers_rates():
    """LDAM, M2m: 0.1 from epoch 5, 0.001 from 160, 0.00001 from 180; warm-up in five equal steps."""
    steps = {160: 0.01, 180: 0.01}
    rates = [0.1 * learning_rate_factor(e, warmup=5, decay=steps) for e in range(200)]
    np.testing.assert_allclose(rates[:5], [0.02, 0.04, 0.06, 0.08, 0.1])
    assert set(np.round(rates[5:160], 12)) == {0.1}
    assert set(np.round(rates[160:180], 12)) == {0.001}
    assert set(np.round(rates[180:], 12)) == {0.00001}
    shares = {0.8: 0.01, 0.9: 0.01}
    again = [learning_rate_factor(e, warmup=5, decay=shares, max_epochs=200) for e in range(200)]
    np.testing.assert_allclose(0.1 * np.array(again), rates)


class Rates(Callback):
    """Notes the rates of the epochs."""

    def on_epoch_end(self, net, **kwargs):
        net.history.record("rates", [group["lr"] for group in net.optimizer_.param_groups])


@pytest.fixture
def data():
    rng = np.random.default_rng(0)
    return rng.normal(size=(20, 3)).astype(np.float32), np.arange(20) % 2


def test_callback_keeps_the_ratio_of_parameter_groups(data):
    net = NeuralNetClassifier(
        nn.Linear(3, 2),
        criterion=nn.CrossEntropyLoss,
        lr=0.4,
        optimizer__param_groups=[("bias", {"lr": 0.04})],
        max_epochs=4,
        train_split=None,
        verbose=0,
        callbacks=[WarmupStepDecay(warmup=2, decay={3: 0.5}), Rates()],
    )
    net.fit(*data)
    want = [[0.02, 0.2], [0.04, 0.4], [0.04, 0.4], [0.02, 0.2]]
    np.testing.assert_allclose(net.history[:, "rates"], want)


def test_classifier_has_it_built_in_and_goes_on_with_a_new_rate(data):
    net = DeferredRebalancingClassifier(
        lr=0.4, warmup=2, lr_decay={3: 0.5}, max_epochs=4, callbacks=[Rates()], random_state=0
    )
    net.fit(*data)

    def rates(history):
        return [row[0] for row in history[:, "rates"]]

    np.testing.assert_allclose(rates(net.history), [0.2, 0.4, 0.4, 0.2])
    net.set_params(lr=0.1)
    momentum = [s["momentum_buffer"].clone() for s in net.optimizer_.state.values()]
    net.set_params(max_epochs=1)
    assert all(
        torch.equal(a, s["momentum_buffer"])
        for a, s in zip(momentum, net.optimizer_.state.values(), strict=True)
    )
    net.partial_fit(*data)
    assert rates(net.history)[-1] == pytest.approx(0.05)  # epoch 4: past the step
