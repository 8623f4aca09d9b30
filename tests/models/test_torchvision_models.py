"""Classifiers of torchvision in our form."""

import sys

import pytest
import torch
from torch import nn

from ltresample.models import (
    CosineHead,
    Normalize,
    ResNet50,
    ResNet152,
    ResNeXt50,
    TorchvisionClassifier,
    _torchvision,
)


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@pytest.fixture
def models():
    return pytest.importorskip("torchvision.models")


def test_logits_are_those_of_torchvision(models):
    network = TorchvisionClassifier("mobilenet_v3_small", 1000, generator=seeded()).eval()
    with torch.random.fork_rng(devices=[]):
        theirs = models.mobilenet_v3_small(weights=None).eval()
    rest = {name: p for name, p in network.body.state_dict().items() if "classifier.3" not in name}
    theirs.load_state_dict({**theirs.state_dict(), **rest})
    theirs.classifier[3].load_state_dict(network.head.state_dict())
    x = torch.rand(2, 3, 32, 32, generator=seeded(1))
    mean, std = torch.tensor([[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]])[..., None, None]
    torch.testing.assert_close(network(x), theirs((x - mean) / std))


def test_the_first_layer_may_be_left_out(models):
    usual = TorchvisionClassifier("mobilenet_v3_small", 3, generator=seeded()).eval()
    plain = TorchvisionClassifier(
        "mobilenet_v3_small", 3, normalize=nn.Identity(), generator=seeded()
    ).eval()
    assert isinstance(usual.normalize, Normalize)
    x = torch.rand(2, 3, 32, 32, generator=seeded(1))
    assert torch.equal(usual(x), plain(usual.normalize(x)))


def test_starting_weights_are_those_of_torchvision(models):
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(7)
        theirs = models.convnext_tiny(weights=None)
    generator = seeded(7)
    body = TorchvisionClassifier("convnext_tiny", 3, generator=generator).body
    for name, p in body.named_parameters():
        assert torch.equal(p, theirs.get_parameter(name)), name
    assert not torch.equal(generator.get_state(), seeded(7).get_state())  # moves on


def test_the_head_may_be_replaced(models):
    network = TorchvisionClassifier("shufflenet_v2_x0_5", 3, head="cosine", generator=seeded())
    assert isinstance(network.head, CosineHead)
    network.head = nn.Linear(1024, 7)
    assert network.eval()(torch.rand(2, 3, 32, 32)).shape == (2, 7)


@pytest.mark.parametrize(
    ("cls", "name", "millions"),
    [
        (ResNet50, "resnet50", 25.6),
        (ResNeXt50, "resnext50_32x4d", 25.0),
        (ResNet152, "resnet152", 60.2),
    ],
)
def test_networks_with_a_name_of_their_own(models, cls, name, millions):
    with torch.device("meta"):
        network = cls(1000, normalize=nn.Identity())
    assert network.name == name
    assert network.head.in_features == 2048
    assert sum(p.numel() for p in network.parameters()) / 1e6 == pytest.approx(millions, rel=0.003)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "size", "settings"),
    [
        ("alexnet", 64, {}),
        ("vgg11", 32, {}),
        ("densenet121", 32, {}),
        ("efficientnet_b0", 32, {}),
        ("regnet_x_400mf", 32, {}),
        ("convnext_tiny", 32, {}),
        ("swin_t", 32, {}),
        ("vit_b_32", 64, {"image_size": 64}),
        ("mnasnet0_5", 32, {}),
        ("googlenet", 64, {"aux_logits": False, "init_weights": False}),
    ],
)
@torch.no_grad()
def test_families(models, name, size, settings):
    network = TorchvisionClassifier(name, 3, generator=seeded(), **settings).eval()
    x = torch.rand(2, 3, size, size, generator=seeded(1))
    assert network(x).shape == (2, 3)
    assert network.features(x).shape == (2, network.head.in_features)
    assert torch.equal(network.head(network.features(x)), network(x))


def test_weights_are_asked_of_torchvision(models, monkeypatch):
    asked = {}

    def get_model(name, **settings):
        asked.update(settings, name=name)
        return nn.Sequential(nn.Flatten(), nn.Linear(12, 1000))

    monkeypatch.setattr(models, "get_model", get_model)
    network = TorchvisionClassifier("resnet18", 3, weights="DEFAULT", width_per_group=32)
    assert asked == {"name": "resnet18", "weights": "DEFAULT", "width_per_group": 32}
    assert network(torch.rand(5, 3, 2, 2)).shape == (5, 3)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("resnet5", r"Got name='resnet5'\. Similar: 'resnet\d+'"),
        ("?", r"Got name='\?'\. For example resnet50"),
        ("fcn_resnet50", "name must be a classifier in torchvision.models.list_models()"),
        ("squeezenet1_1", "must end in a linear layer. Got 'squeezenet1_1', which has none"),
    ],
)
def test_unfit_names(models, name, said):
    with pytest.raises(ValueError, match=said.replace("()", r"\(\)")):
        TorchvisionClassifier(name, 3)


def test_several_outputs(models, monkeypatch):
    body = nn.Sequential(nn.Linear(2, 1000))
    body.aux_logits = True
    monkeypatch.setattr(models, "get_model", lambda name, **settings: body)
    with pytest.raises(ValueError, match="several outputs in training. Pass aux_logits=False."):
        TorchvisionClassifier("googlenet", 3)


def test_a_failure_gives_the_global_stream_back(models):
    before = torch.get_rng_state()
    with pytest.raises(ValueError, match="linear layer"):
        TorchvisionClassifier("squeezenet1_1", 3, generator=seeded())
    assert torch.equal(torch.get_rng_state(), before)


def test_without_torchvision(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchvision", None)
    with pytest.raises(ImportError, match=r"need that package: install ltresample\[image\]"):
        ResNet50(3)
    assert _torchvision.__name__ in sys.modules
