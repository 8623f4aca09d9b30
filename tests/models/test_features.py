"""Features of any network."""

import copy

import pytest
import torch
from torch import nn

from ltresample.models import (
    MLP,
    CosineHead,
    FoldedModule,
    MLPEnsemble,
    SmallCNN,
    feature_extractor,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


class LikeTorchvision(nn.Module):
    """A network whose `features` is a module, as in VGG, and which has unused and odd layers."""

    def __init__(self):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2))
        self.pair = Pair()
        self.unused = nn.Conv2d(1, 1, 1)
        self.classifier = nn.Sequential(nn.Linear(16, 7), nn.ReLU(), nn.Dropout(), nn.Linear(7, 2))

    def forward(self, x):
        x, _ = self.pair(self.features(x))
        return self.classifier(x.flatten(1))


class Pair(nn.Module):
    def forward(self, x):
        return x, x


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm = nn.Identity()

    def forward(self, x):
        return self.norm(x[:, :, None].expand(-1, -1, 3))


@pytest.fixture
def network():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LikeTorchvision().eval()


X = torch.rand(5, 3, 6, 6, generator=torch.Generator().manual_seed(1))


def test_without_a_method_the_input_of_the_last_linear_layer(network):
    expected = network.classifier[:3](network.features(X).flatten(1))
    assert torch.equal(feature_extractor(network)(X), expected)
    assert feature_extractor(network)(X).shape == (5, 7)


def test_a_cosine_head_counts_as_the_last_layer():
    network = nn.Sequential(nn.Linear(4, 3), nn.Tanh(), CosineHead(3, 2))
    x = torch.rand(5, 4, generator=seeded())
    assert torch.equal(feature_extractor(network)(x), network[:2](x))


@pytest.mark.parametrize(
    ("layer", "d"), [("features", 4), ("features.0", 4), ("classifier.0", 7), ("", 2)]
)
def test_a_named_layer(network, layer, d):
    out = feature_extractor(network, layer)(X)
    assert out.shape == (5, d)
    if layer == "features.0":  # images are averaged over positions
        torch.testing.assert_close(out, network.features[0](X).mean((2, 3)))


def test_sequences_are_flattened():
    assert feature_extractor(Recurrent(), "norm")(torch.rand(5, 4)).shape == (5, 12)


def test_own_features_are_preferred_and_found_behind_other_layers():
    own = MLPEnsemble(3, 4, 2, hidden=5, generator=seeded())
    x = torch.rand(6, 4, generator=seeded(1))
    assert torch.equal(feature_extractor(own)(x), own.features(x))
    guide = nn.Sequential(nn.Softsign(), nn.Sequential(nn.Identity(), own))
    assert torch.equal(feature_extractor(guide)(x), own.features(guide[0](x)))


def test_wrappers_are_taken_off():
    own = MLP(4, 2, generator=seeded())
    x = torch.rand(6, 4, generator=seeded(1))
    assert torch.equal(feature_extractor(nn.DataParallel(own))(x), own.features(x))


def test_folded_networks_keep_their_features():
    own = SmallCNN(3, 2, width=4, generator=seeded()).eval()
    torch.testing.assert_close(feature_extractor(FoldedModule(own))(X), own.features(X))


@pytest.mark.parametrize("layer", [None, "features.1"])
def test_gradients_flow_and_nothing_is_left_behind(network, layer):
    before, hooks = copy.deepcopy(network.state_dict()), _hooks(network)
    x = X.clone().requires_grad_()
    (grad,) = torch.autograd.grad(feature_extractor(network, layer)(x).sum(), x)
    assert grad.abs().sum() > 0
    assert _hooks(network) == hooks == 0
    assert all(torch.equal(value, before[key]) for key, value in network.state_dict().items())
    assert all(p.requires_grad and p.grad is None for p in network.parameters())


def test_hooks_are_removed_after_an_error(network):
    with pytest.raises(RuntimeError):
        feature_extractor(network)(torch.rand(5, 2, 6, 6))
    assert _hooks(network) == 0


def _hooks(network):
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


def test_unknown_layer(network):
    with pytest.raises(ValueError, match=r"LikeTorchvision has no layer 'head'.*'classifier.3'"):
        feature_extractor(network, "head")


def test_layer_that_is_not_used(network):
    extract = feature_extractor(network, "unused")
    with pytest.raises(
        ValueError, match="'unused' of LikeTorchvision takes no part in its forward"
    ):
        extract(X)


def test_output_that_is_not_a_tensor(network):
    extract = feature_extractor(network, "pair")
    with pytest.raises(TypeError, match="Features must be a tensor. Got tuple from layer 'pair'."):
        extract(X)


def test_network_without_a_linear_layer():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Flatten())
    with pytest.raises(
        ValueError, match="it is not clear what the features of Sequential are. .*'0'"
    ):
        feature_extractor(network)
    assert feature_extractor(network, "0")(X).shape == (5, 4)
    with pytest.raises(ValueError, match="it has none"):
        feature_extractor(nn.ReLU())


@pytest.mark.parametrize(
    ("name", "d"), [("resnet18", 512), ("squeezenet1_1", None), ("vgg11", 4096)]
)
@pytest.mark.slow
def test_torchvision(name, d):
    models = pytest.importorskip("torchvision.models")
    with torch.random.fork_rng(devices=[]):
        network = getattr(models, name)(weights=None, num_classes=3).eval()
    x = torch.rand(2, 3, 64, 64, generator=seeded())
    if d is None:
        with pytest.raises(ValueError, match="it is not clear"):
            feature_extractor(network)
        return
    with torch.no_grad():
        assert feature_extractor(network)(x).shape == (2, d)
