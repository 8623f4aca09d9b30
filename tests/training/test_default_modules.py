"""Networks from the shape of the data, and what a constructor is told."""

import numpy as np
import pytest
import torch
from torch import nn

from ltresample.models import MLP, CosineHead, ResNet32, ResNetCifar, SmallCNN
from ltresample.rows import ArrayRows, space_of
from ltresample.training._network import (
    default_module,
    set_units,
    shape_arguments,
    wants_units,
)


@pytest.mark.parametrize(
    ("shape", "kind"),
    [
        ((7,), MLP),
        ((3, 8, 8), SmallCNN),
        ((8, 8), SmallCNN),
        ((3, 24, 32), ResNetCifar),
        ((28, 28), ResNetCifar),
        ((2, 3, 4, 5), MLP),
    ],
)
@pytest.mark.parametrize("head", ["linear", "cosine"])
def test_a_network_for_every_shape(shape, kind, head):
    network = default_module(shape, 4, head=head)
    x = torch.rand(3, *shape)
    assert network(x).shape == (3, 4)
    assert any(isinstance(part, kind) for part in network.modules())
    assert any(isinstance(part, CosineHead) for part in network.modules()) == (head == "cosine")
    assert wants_units(network) == (kind is MLP)


def test_units_standardise_the_first_layer():
    x = np.random.default_rng(0).normal(5, [1, 30, 2], size=(40, 3))
    x[:, 2] = 1.5
    network = default_module((3,), 2).double()
    set_units(network, space_of(ArrayRows(x, dtype=torch.float64)))
    z = network[0](torch.from_numpy(x))
    np.testing.assert_allclose(z.mean(0), 0, atol=1e-12)
    np.testing.assert_allclose(z.std(0, correction=0), [1, 1, 0])


class Own(nn.Module):
    def __init__(self, n_classes, width=3):
        super().__init__()


class Passing(Own):
    def __init__(self, depth, **settings):
        super().__init__(**settings)


def make(n_features, n_channels=1):
    return nn.Linear(n_features, 2)


@pytest.mark.parametrize(
    ("build", "shape", "want"),
    [
        (MLP, (20,), {"n_classes": 3, "n_features": 20}),
        (SmallCNN, (2, 8, 8), {"n_classes": 3, "n_channels": 2}),
        (ResNet32, (1, 32, 32), {"n_classes": 3, "n_channels": 1}),
        (Own, (5,), {"n_classes": 3}),
        (Passing, (5,), {"n_classes": 3}),
        (nn.Linear, (5,), {}),
        (make, (4, 5), {"n_features": 20, "n_channels": 1}),
    ],
)
def test_constructors_are_told_what_they_ask_for(build, shape, want):
    assert shape_arguments(build, shape, 3) == want
