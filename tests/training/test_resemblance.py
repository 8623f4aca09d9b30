"""A guide that is the network in training at another time is told of."""

import copy
import warnings

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from torch import nn

from ltresample import DistributionMatchingOversampler, LongTailWarning, M2mSampler, OTMixSampler
from ltresample.models import MLP, SmallCNN
from ltresample.training import DeferredRebalancingClassifier
from ltresample.training._resemblance import resemblance

Y = np.repeat(np.arange(3), [60, 25, 10])
X = np.random.default_rng(0).normal(2 * np.eye(3)[Y] @ np.eye(3, 5), 1).astype(np.float32)
TOLD = "nearly the same weights"


def net_of(seed, n_epochs=4, **kwargs):
    return DeferredRebalancingClassifier(
        MLP, module__hidden=[16], max_epochs=n_epochs, lr=0.1, random_state=seed, **kwargs
    )


def told(resampler, seed=0):
    """Return whether training with a resampler tells of g."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        net_of(seed, start=3, resampler=resampler).fit(X, Y)
    return any(issubclass(w.category, LongTailWarning) and TOLD in str(w.message) for w in caught)


@pytest.fixture(scope="module")
def plain():
    return net_of(0, 8).fit(X, Y)


@pytest.mark.parametrize("kind", [M2mSampler, DistributionMatchingOversampler])
def test_a_guide_of_the_same_beginning_is_told_of(kind, plain):
    for g in (plain, plain.module_, [net_of(1).fit(X, Y), plain]):
        assert told(kind(g=g))
        assert not told(kind(g=g), seed=7)


@pytest.mark.parametrize("g", [None, "f", LogisticRegression()])
def test_other_guides_are_not(g):
    assert not told(M2mSampler(g=g))


def test_methods_without_a_guide_are_not():
    assert not told(OTMixSampler())


@given(seed=st.integers(0, 1000), hidden=st.integers(4, 40))
@settings(max_examples=20, deadline=None)
def test_a_network_resembles_itself_and_no_other(seed, hidden):
    generator = torch.Generator().manual_seed(seed)
    net = MLP(30, 4, hidden=(hidden, hidden), generator=generator)
    assert resemblance(net, net) == 1
    assert resemblance(net, copy.deepcopy(net).double()) == 1
    other = MLP(30, 4, hidden=(hidden, hidden), generator=generator)
    assert abs(resemblance(net, other)) < 0.5


@pytest.mark.parametrize(
    "pair",
    [
        (nn.Linear(3, 2), nn.Linear(3, 2)),  # one layer: trainings end at the same weights
        (MLP(5, 2, hidden=(4,)), MLP(5, 2, hidden=(6,))),
        (MLP(5, 2, hidden=(4,)), SmallCNN(1, 2)),
        (MLP(5, 2, hidden=(4,)), MLP(5, 2, hidden=(4, 4))),
    ],
)
def test_networks_of_other_kinds_are_not_compared(pair):
    assert resemblance(*pair) is None
