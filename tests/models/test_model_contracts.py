"""What every network promises, run over all members."""

import importlib.util
import pickle

import numpy as np
import pytest
import torch
from torch import nn

from ltresample.models import (
    MLP,
    CosineHead,
    LinearHead,
    MLPEnsemble,
    PreActResNet18,
    ResNet20,
    ResNetCifar,
    RIDEResNet,
    SmallCNN,
    TorchvisionClassifier,
    feature_extractor,
    initialize,
    uninitialized,
)

K = 4
# a builder, the shape of a row, the number of features
MEMBERS = {
    "mlp": (lambda **kw: MLP(5, K, hidden=(7, 6), **kw), (5,), 6),
    "mlp_plain": (lambda **kw: MLP(5, K, hidden=(), **kw), (5,), 5),
    "mlp_int": (lambda **kw: MLP(12, K, hidden=8, dropout=0.5, **kw), (3, 2, 2), 8),
    "mlp_number_of_numpy": (lambda **kw: MLP(5, K, hidden=np.int64(8), **kw), (5,), 8),
    "mlp_cosine": (lambda **kw: MLP(5, K, hidden=(7,), head="cosine", **kw), (5,), 7),
    "ensemble": (lambda **kw: MLPEnsemble(3, 5, K, hidden=4, **kw), (5,), 12),
    "ensemble_of_one": (lambda **kw: MLPEnsemble(1, 5, K, hidden=4, **kw), (5,), 4),
    "small_cnn": (lambda **kw: SmallCNN(1, K, width=8, **kw), (1, 8, 8), 16),
    "small_cnn_tiny_image": (lambda **kw: SmallCNN(2, K, width=8, **kw), (2, 4, 5), 16),
    "small_cnn_cosine": (lambda **kw: SmallCNN(1, K, width=8, head="cosine", **kw), (1, 8, 8), 16),
    "resnet": (lambda **kw: ResNetCifar(8, K, width=4, **kw), (3, 8, 8), 16),
    "resnet_odd_width": (lambda **kw: ResNetCifar(8, K, width=5, **kw), (3, 9, 9), 20),
    "resnet_cosine": (lambda **kw: ResNet20(K, n_channels=1, head="cosine", **kw), (1, 8, 8), 64),
    "ride": (lambda **kw: RIDEResNet(8, K, width=4, **kw), (3, 8, 8), 36),
    "ride_linear": (lambda **kw: RIDEResNet(8, K, width=4, head="linear", **kw), (3, 8, 8), 36),
    "preact": (lambda **kw: PreActResNet18(K, width=4, **kw), (3, 16, 16), 32),
    "preact_cosine": (lambda **kw: PreActResNet18(K, width=2, head="cosine", **kw), (3, 9, 8), 16),
    "linear_head": (lambda **kw: LinearHead(5, K, **kw), (5,), 5),
    "cosine_head": (lambda **kw: CosineHead(5, K, **kw), (5,), 5),
}
if importlib.util.find_spec("torchvision"):
    MEMBERS |= {
        "torchvision": (
            lambda **kw: TorchvisionClassifier("mobilenet_v3_small", K, dropout=0.0, **kw),
            (3, 32, 32),
            1024,
        ),
        "torchvision_cosine": (
            lambda **kw: TorchvisionClassifier("shufflenet_v2_x0_5", K, head="cosine", **kw),
            (3, 64, 64),
            1024,
        ),
    }
every_member = pytest.mark.parametrize("name", MEMBERS)
ours = pytest.mark.parametrize("name", [name for name in MEMBERS if "torchvision" not in name])
images = pytest.mark.parametrize("name", [name for name in MEMBERS if len(MEMBERS[name][1]) == 3])
# three experts have a head each
WITH_A_HEAD = [n for n in MEMBERS if len(MEMBERS[n][1]) == 3 and not n.startswith("ride")]


def make(name, **kwargs):
    return MEMBERS[name][0](**kwargs)


def rows(name, n=6):
    return torch.rand(n, *MEMBERS[name][1], generator=torch.Generator().manual_seed(1))


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def same(a, b):
    a, b = a.state_dict(), b.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[key], b[key]) for key in a)


@every_member
def test_shapes_of_features_and_logits(name):
    network, x = make(name, generator=seeded()), rows(name)
    logits = network(x)
    assert logits.shape[-2:] == (6, K)
    assert logits.dim() == (3 if isinstance(network, MLPEnsemble) else 2)
    assert torch.isfinite(logits).all()
    assert feature_extractor(network)(x).shape == (6, MEMBERS[name][2])


@every_member
def test_gradients_flow_to_the_rows(name):
    network, x = make(name, generator=seeded()).eval(), rows(name).requires_grad_()
    (grad,) = torch.autograd.grad(network(x)[..., 0].sum(), x)
    assert grad.flatten(1).abs().sum(1).gt(0).all()


@every_member
def test_a_given_generator_is_the_only_source_of_weights(name):
    before = torch.get_rng_state()
    first, second = make(name, generator=seeded(3)), make(name, generator=seeded(3))
    other = make(name, generator=seeded(4))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(first, second)
    assert not same(first, other)


@ours
def test_weights_may_be_drawn_later(name):
    before = torch.get_rng_state()
    with uninitialized():
        later = make(name)
    initialize(later, seeded(3))
    assert torch.equal(torch.get_rng_state(), before)
    assert same(later, make(name, generator=seeded(3)))


@every_member
def test_without_a_generator_the_global_one_is_used(name):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        first = make(name)
        second = make(name)
        torch.manual_seed(5)
        third = make(name)
    assert same(first, third)
    assert not same(first, second)
    assert same(first, make(name, generator=seeded(5)))


@ours
def test_dtype_changes_nothing_about_the_draw(name):
    single, double = make(name, generator=seeded()), make(name).double()
    initialize(double, seeded())
    assert all(p.dtype == torch.float64 for p in double.parameters())
    assert same(single, double.float())


@pytest.mark.parametrize("name", WITH_A_HEAD)
def test_the_head_of_the_features_gives_the_logits(name):
    network, x = make(name, generator=seeded()).eval(), rows(name)
    assert torch.equal(network.head(network.features(x)), network(x))


@images
@torch.no_grad()
def test_memory_format_and_dtype_do_not_change_logits(name):
    network, x = make(name, generator=seeded()).eval(), rows(name)
    logits = network(x)
    double = network.double()(x.double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(logits, double.float(), rtol=1e-3, atol=1e-4)
    last = network.to(memory_format=torch.channels_last)
    torch.testing.assert_close(last(x.double().to(memory_format=torch.channels_last)), double)


@every_member
def test_pickles(name):
    network, x = make(name, generator=seeded()).eval(), rows(name)
    assert torch.equal(pickle.loads(pickle.dumps(network))(x), network(x))


@pytest.mark.parametrize("build", [lambda h: MLP(5, K, head=h), lambda h: SmallCNN(1, K, head=h)])
def test_unknown_head(build):
    with pytest.raises(ValueError, match="head must be 'linear' or 'cosine'. Got head='round'."):
        build("round")


def test_dropout_acts_in_training_only():
    network, x = MLP(5, K, hidden=(50,), dropout=0.5, generator=seeded()), rows("mlp")
    assert sum(isinstance(part, nn.Dropout) for part in network.modules()) == 1
    with torch.random.fork_rng(devices=[]):
        assert network.features(x).eq(0).sum() > network.eval().features(x).eq(0).sum()
