"""Folded networks give what the network gives in evaluation mode."""

import copy
import pickle

import pytest
import torch
from torch import nn

from ltresample.models import MLP, FoldedModule, ResNetCifar, SmallCNN, fold_batch_norm, initialize


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def lived(network, x):
    """Return a network affine parameters and running statistics unlike those of a new one."""
    generator = seeded(2)
    initialize(network, generator)
    with torch.no_grad():
        for p in network.parameters():
            if p.dim() == 1:
                p.add_(torch.rand(p.shape, generator=generator, dtype=p.dtype))
        for _ in range(3):
            network.train()(x)
    return network


class Branching(nn.Module):
    """Python code that looks at values: cannot be traced."""

    def __init__(self):
        super().__init__()
        self.conv, self.bn = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4)

    def forward(self, x):
        x = self.bn(self.conv(x))
        return x if x.sum() > 0 else -x


class LoopsOverRows(Branching):
    def forward(self, x):
        return torch.cat([self.bn(self.conv(x[i : i + 1])) for i in range(len(x))])


class Skips(Branching):
    """The convolution's output is needed in itself."""

    def forward(self, x):
        x = self.conv(x)
        return x + self.bn(x)


class TwoNorms(Branching):
    """One convolution runs twice, each time before another normalisation."""

    def __init__(self):
        super().__init__()
        self.other = nn.BatchNorm2d(4)

    def forward(self, x):
        return self.bn(self.conv(x)) + self.other(self.conv(-x))


class Twice(Branching):
    """Two names for one normalisation, which follows a convolution once and itself once."""

    def __init__(self):
        super().__init__()
        self.again = self.bn

    def forward(self, x):
        return self.again(self.bn(self.conv(x)).relu())


class OtherName(Branching):
    """The normalisation is called by its second name."""

    def __init__(self):
        super().__init__()
        self.again = self.bn

    def forward(self, x):
        return self.again(self.conv(x))


class ReadsWeights(Branching):
    def forward(self, x):
        return self.bn(self.conv(x)) + self.conv.weight.mean() + self.bn.running_mean.mean()


class NamedLikeAMethod(nn.Module):
    """A layer with the name of the tensor method that is called on the convolution."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm = nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)

    def forward(self, x):
        return self.norm(x) / self.conv(x).norm()


class Tied(nn.Module):
    """Two convolutions with one weight, of which one is normalised."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Conv2d(3, 3, 1), nn.Conv2d(3, 3, 1)
        self.b.weight = self.a.weight
        self.bn = nn.BatchNorm2d(3)

    def forward(self, x):
        return self.bn(self.a(x)) + self.b(x)


class SquareSequence(nn.Module):
    """Here the normalised dimension of a sequence is as long as its vectors."""

    def __init__(self):
        super().__init__()
        self.layer, self.bn = nn.Linear(4, 4), nn.BatchNorm1d(4)

    def forward(self, x):
        return self.bn(self.layer(x))


def hooked():
    layer = nn.Conv2d(3, 4, 3)
    layer.register_forward_hook(_double)
    return nn.Sequential(layer, nn.BatchNorm2d(4))


def _double(module, args, output):
    return 2 * output


IMAGES = (3, 8, 8)
# a builder, the shape of a row, the number of normalisations that are folded
NETWORKS = {
    "small_cnn": (lambda: SmallCNN(3, 5, width=4), IMAGES, 3),
    "resnet": (lambda: ResNetCifar(14, 5, width=4), IMAGES, 13),
    "mlp": (lambda: MLP(6, 5, dropout=0.5), (6,), 0),
    "linear": (lambda: nn.Sequential(nn.Linear(6, 5), nn.BatchNorm1d(5)), (6,), 1),
    "linear_no_bias": (lambda: nn.Sequential(nn.Linear(6, 5, False), nn.BatchNorm1d(5)), (6,), 1),
    "sequence": (SquareSequence, (4, 4), 1),
    "conv1d": (lambda: nn.Sequential(nn.Conv1d(2, 5, 3), nn.BatchNorm1d(5)), (2, 6), 1),
    "conv3d": (lambda: nn.Sequential(nn.Conv3d(1, 4, 2), nn.BatchNorm3d(4)), (1, 3, 3, 3), 1),
    "grouped": (lambda: nn.Sequential(nn.Conv2d(3, 6, 3, groups=3), nn.BatchNorm2d(6)), IMAGES, 1),
    "not_affine": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, affine=False)),
        IMAGES,
        1,
    ),
    "no_statistics": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4, track_running_stats=False)),
        IMAGES,
        0,
    ),
    "transposed": (
        lambda: nn.Sequential(nn.ConvTranspose2d(3, 4, 3), nn.BatchNorm2d(4)),
        IMAGES,
        0,
    ),
    "parametrized": (
        lambda: nn.Sequential(
            nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 4, 3)), nn.BatchNorm2d(4)
        ),
        IMAGES,
        0,
    ),
    "hooked": (hooked, IMAGES, 0),
    "activation_between": (
        lambda: nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.BatchNorm2d(4)),
        IMAGES,
        0,
    ),
    "branching": (Branching, IMAGES, 0),
    "loops": (LoopsOverRows, IMAGES, 0),
    "skips": (Skips, IMAGES, 0),
    "two_norms": (TwoNorms, IMAGES, 0),
    "twice": (Twice, IMAGES, 0),
    "other_name": (OtherName, IMAGES, 0),
    "reads_weights": (ReadsWeights, IMAGES, 0),
    "named_like_a_method": (NamedLikeAMethod, IMAGES, 0),
    "tied": (Tied, IMAGES, 1),
    "wrapped": (lambda: nn.DataParallel(SmallCNN(3, 5, width=4)), IMAGES, 3),
}
every_network = pytest.mark.parametrize("name", NETWORKS)


def make(name):
    build, shape, _ = NETWORKS[name]
    x = torch.rand(8, *shape, generator=seeded(1))
    with torch.random.fork_rng(devices=[]):
        return lived(build(), x), x


def assert_equal_in_evaluation(frozen, network, x):
    modes = [part.training for part in network.modules()]
    expected = network.eval()(x)
    torch.testing.assert_close(frozen(x), expected, rtol=1e-5, atol=1e-5)
    xs = [x.clone().requires_grad_() for _ in range(2)]
    outputs = frozen(xs[0]).square().mean(), network(xs[1]).square().mean()
    grads = [torch.autograd.grad(out, x)[0] for out, x in zip(outputs, xs, strict=True)]
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-4, atol=1e-4)
    for part, mode in zip(network.modules(), modes, strict=True):
        part.training = mode


@every_network
def test_folded_is_unfolded(name):
    network, x = make(name)
    frozen = FoldedModule(network)
    assert len(frozen.folded) == NETWORKS[name][2]
    assert_equal_in_evaluation(frozen, network, x)
    assert_equal_in_evaluation(fold_batch_norm(network), network, x)


@every_network
def test_refresh_follows_a_network_in_training(name):
    network, x = make(name)
    frozen = FoldedModule(network)
    old = frozen(x)
    optimizer = torch.optim.SGD(network.parameters(), lr=1e-3)
    with torch.random.fork_rng(devices=[]):
        for _ in range(2):
            optimizer.zero_grad()
            network.train()(x).square().mean().backward()
            optimizer.step()
    assert torch.equal(frozen(x), old)
    assert frozen.refresh() is frozen
    assert_equal_in_evaluation(frozen, network, x)
    assert not torch.allclose(frozen(x), old)


@every_network
def test_the_original_is_untouched(name):
    network, x = make(name)
    modes = [part.train(i % 2 == 0).training for i, part in enumerate(network.modules())]
    before, rng = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    frozen = FoldedModule(network)
    frozen(x.requires_grad_()).sum().backward()
    frozen.refresh().train()
    assert torch.equal(torch.get_rng_state(), rng)
    assert [part.training for part in network.modules()] == modes
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())
    assert not any(p.requires_grad for p in frozen.parameters())
    assert not any(part.training for part in frozen.modules())
    shared = {p.data_ptr() for p in network.parameters()} & {
        p.data_ptr() for p in frozen.parameters()
    }
    assert not shared


def test_the_copy_is_of_the_same_class_and_has_no_normalisation_left():
    network, x = make("small_cnn")
    folded = fold_batch_norm(network)
    assert type(folded) is SmallCNN
    assert not any(isinstance(part, nn.BatchNorm2d) for part in folded.modules())
    torch.testing.assert_close(folded.features(x), network.eval().features(x))


def test_rows_use_the_folded_weight_and_sequences_do_not():
    network, x = make("sequence")
    network.eval()
    frozen = FoldedModule(network)
    assert_equal_in_evaluation(frozen, network, x)
    rows = x[:, 0]
    assert_equal_in_evaluation(frozen, network, rows)
    with torch.no_grad():
        frozen.network.bn.weight.zero_()
    assert not torch.allclose(frozen(rows), network(rows))
    torch.testing.assert_close(frozen(x), network(x))


def test_refresh_follows_a_change_of_dtype_and_memory_format():
    network, x = make("small_cnn")
    frozen = FoldedModule(network)
    network.double().to(memory_format=torch.channels_last)
    frozen.refresh()
    torch.testing.assert_close(
        frozen(x.double()), network.eval()(x.double()), rtol=1e-10, atol=1e-10
    )
    assert frozen.network.body[3].weight.is_contiguous(memory_format=torch.channels_last)


def test_pickles():
    network, x = make("resnet")
    frozen = FoldedModule(network)
    again = pickle.loads(pickle.dumps(frozen))
    assert torch.equal(again(x), frozen(x))
    assert torch.equal(again.refresh()(x), frozen(x))


def test_the_live_network_is_no_part():
    network, _ = make("resnet")
    frozen = FoldedModule(network)
    assert all(name.startswith("network.") for name in frozen.state_dict())


@pytest.mark.slow
def test_torchvision():
    models = pytest.importorskip("torchvision.models")
    x = torch.rand(4, 3, 64, 64, generator=seeded())
    with torch.random.fork_rng(devices=[]):
        network = lived(models.resnet18(weights=None), x)
    frozen = FoldedModule(network)
    assert len(frozen.folded) == 20
    with torch.no_grad():
        torch.testing.assert_close(frozen(x), network.eval()(x), rtol=1e-4, atol=1e-4)
