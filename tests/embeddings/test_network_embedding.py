"""Features of given networks, and the rows themselves."""

import pytest
import torch
from torch import nn

from ltresample.embeddings import IdentityEmbedding, NetworkEmbedding
from ltresample.models import MLP, Normalize, SmallCNN


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


X = torch.rand(6, 3, 8, 8, generator=seeded(1))


def test_features_are_those_of_the_network_in_evaluation_mode():
    network = SmallCNN(3, 2, width=4, generator=seeded()).train()
    psi = NetworkEmbedding(network).member(seeded(), calibration=X)
    out = psi(X)
    assert network.training
    assert torch.equal(out, network.eval().features(X))


def test_a_member_follows_its_network():
    network = MLP(4, 2, hidden=3, generator=seeded())
    x = X[:, 0, 0, :4]
    psi = NetworkEmbedding(network).member(seeded(), calibration=x)
    before = psi(x)
    with torch.no_grad():
        network.body[0].weight.mul_(2)
    torch.testing.assert_close(psi(x), 2 * before)


def test_a_transform_is_part_of_the_graph():
    network = SmallCNN(3, 2, width=4, generator=seeded()).eval()
    normalize = Normalize([0.5] * 3, [0.25] * 3)

    def transform(x):
        return normalize(nn.functional.interpolate(x, size=12, mode="bicubic"))

    x = X.clone().requires_grad_()
    out = NetworkEmbedding(network, transform=transform).member(seeded(), calibration=X)(x)
    assert torch.equal(out, network.features(transform(X)))
    (grad,) = torch.autograd.grad(out.sum(), x)
    assert grad.flatten(1).abs().sum(1).gt(0).all()


def test_rows_are_given_in_the_type_of_the_network():
    network = MLP(4, 2, hidden=3, generator=seeded()).double()
    x = X[:, 0, 0, :4]
    out = NetworkEmbedding(network).member(seeded(), calibration=x)(x)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out, network.features(x.double()).float())


def test_networks_without_tensors_take_rows_as_they_are():
    network = nn.Sequential(nn.Flatten(), nn.ReLU())
    out = NetworkEmbedding(network, layer="0").member(seeded(), calibration=X)(X)
    assert torch.equal(out, X.flatten(1))


def test_unknown_layer():
    with pytest.raises(ValueError, match="MLP has no layer 'tail'. Pass layer, one of: 'body', "):
        NetworkEmbedding(MLP(4, 2), layer="tail").member(seeded(), calibration=X)


def test_identity_is_the_rows():
    psi = IdentityEmbedding().member(seeded(), calibration=X)
    assert torch.equal(psi(X), X.flatten(1))
    assert IdentityEmbedding() == IdentityEmbedding()
