"""What every embedding promises, run over all members."""

import copy
import pickle

import pytest
import torch
from torch import nn

from ltresample.embeddings import (
    Embedding,
    FixedRandomEmbedding,
    IdentityEmbedding,
    NetworkEmbedding,
    PCAEmbedding,
    RandomEmbedding,
)
from ltresample.models import MLP, MLPEnsemble, ResNetCifar, SmallCNN


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def rows(shape, n=12, seed=1):
    return torch.rand(n, *shape, generator=seeded(seed))


def small_resnet():
    return ResNetCifar(8, 3, width=4)


IMAGE, GREY, ROW, CUBE = (3, 8, 8), (8, 8), (5,), (2, 3, 2, 2)
TEMPLATE = ResNetCifar(8, 3, width=4, generator=seeded())
# an embedding, the shape of a row, the number of features, whether generators matter
MEMBERS = {
    "random_rows": (RandomEmbedding(width=20), ROW, 20, True),
    "random_images": (RandomEmbedding(), IMAGE, 64, True),
    "random_grey": (RandomEmbedding(), GREY, 64, True),
    "random_cubes": (RandomEmbedding(width=20), CUBE, 20, True),
    "random_template": (RandomEmbedding(TEMPLATE), IMAGE, 16, True),
    "random_layer": (RandomEmbedding(TEMPLATE, layer="stage2"), IMAGE, 8, True),
    "random_builder": (RandomEmbedding(small_resnet, bn="init"), IMAGE, 16, True),
    "fixed_rows": (FixedRandomEmbedding(seed=3, width=20), ROW, 20, False),
    "fixed_images": (FixedRandomEmbedding(), IMAGE, 64, False),
    "fixed_template": (FixedRandomEmbedding(TEMPLATE, bn="init"), IMAGE, 16, False),
    "network": (NetworkEmbedding(MLP(5, 3, hidden=7, generator=seeded())), ROW, 7, False),
    "network_ensemble": (
        NetworkEmbedding(MLPEnsemble(2, 5, 3, hidden=7, generator=seeded())),
        ROW,
        14,
        False,
    ),
    "network_layer": (NetworkEmbedding(TEMPLATE, layer="stage1"), IMAGE, 4, False),
    "network_half": (
        NetworkEmbedding(MLP(5, 3, hidden=7, generator=seeded()).bfloat16()),
        ROW,
        7,
        False,
    ),
    "pca_rows": (PCAEmbedding(3).fit(rows(ROW, 40)), ROW, 3, False),
    "pca_images": (PCAEmbedding().fit(rows(IMAGE, 40)), IMAGE, 39, False),
    "identity": (IdentityEmbedding(), IMAGE, 192, False),
}
every_member = pytest.mark.parametrize("name", MEMBERS)


@every_member
def test_rows_become_vectors(name):
    embedding, shape, d, _ = MEMBERS[name]
    assert isinstance(embedding, Embedding)
    assert embedding.standardized is not isinstance(embedding, NetworkEmbedding)
    x = rows(shape)
    psi = embedding.member(seeded(), calibration=x)
    out = psi(x[:4])
    assert out.shape == (4, d)
    assert torch.isfinite(out).all()
    torch.testing.assert_close(psi(x[:1]), out[:1], rtol=1e-4, atol=1e-5)  # row by row
    assert psi(x[:0]).shape == (0, d)


@every_member
def test_gradients_flow_to_the_rows_only(name):
    embedding, shape, _, _ = MEMBERS[name]
    x = rows(shape).requires_grad_()
    out = embedding.member(seeded(), calibration=x.detach())(x)
    (grad,) = torch.autograd.grad(out.sum(), x)
    assert grad.flatten(1).abs().sum(1).gt(0).all()
    assert not embedding.member(seeded(), calibration=x.detach())(x.detach()).requires_grad


@every_member
def test_dtype_follows_the_rows(name):
    embedding, shape, _, _ = MEMBERS[name]
    x = rows(shape)
    single = embedding.member(seeded(), calibration=x)(x)
    double = embedding.member(seeded(), calibration=x.double())(x.double())
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    torch.testing.assert_close(single, double.float(), rtol=1e-3, atol=1e-3)


@every_member
def test_the_generator_is_the_only_source_of_randomness(name):
    embedding, shape, _, varies = MEMBERS[name]
    x, before = rows(shape), torch.get_rng_state()
    first, second, other = (embedding.member(seeded(s), calibration=x)(x) for s in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.equal(first, second)
    assert torch.equal(first, other) is not varies


@every_member
def test_pickled_embeddings_have_the_same_members(name):
    embedding, shape, _, _ = MEMBERS[name]
    x = rows(shape)
    again = pickle.loads(pickle.dumps(embedding))
    assert type(again) is type(embedding)
    one, other = (e.member(seeded(), calibration=x)(x) for e in (embedding, again))
    assert torch.equal(one, other)


@pytest.mark.parametrize(
    "build",
    [
        RandomEmbedding,
        FixedRandomEmbedding,
        lambda net: RandomEmbedding(net, bn="init"),
        NetworkEmbedding,
        lambda net: NetworkEmbedding(net, layer="head"),
    ],
)
def test_networks_of_users_are_given_back_as_they_came(build):
    network = nn.Sequential(nn.Dropout(0.5), SmallCNN(3, 2, width=4, generator=seeded()))
    network[1].body[0].weight.requires_grad_(False)
    modes = [part.train(i % 2 == 0).training for i, part in enumerate(network.modules())]
    grads = [p.requires_grad for p in network.parameters()]
    before, rng = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    embedding = build(network if isinstance(build, type) else network[1])
    x = rows(IMAGE).requires_grad_()
    embedding.member(seeded(), calibration=x.detach())(x).sum().backward()
    assert torch.equal(torch.get_rng_state(), rng)
    assert [part.training for part in network.modules()] == modes
    assert [p.requires_grad for p in network.parameters()] == grads
    assert all(p.grad is None for p in network.parameters())
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())


@every_member
def test_hyperparameters_are_frozen(name):
    with pytest.raises(AttributeError):
        MEMBERS[name][0].standardized = None
