"""Passes that are recorded: the same training, and nothing of the recording left behind.

On the CPU, with a stand-in for CUDA graphs that has their traps: fixed places for inputs and outputs,
passes that warm up, gradients of the last call only. With a card, with CUDA graphs themselves.
"""

import copy
import re
import types
import warnings

import numpy as np
import pytest
import torch
from device_steps import METHODS, network
from hypothesis import given
from hypothesis import strategies as st
from skorch.callbacks import Callback
from torch import nn
from torch.autograd.graph import get_gradient_edge

from ltresample import LongTailWarning, _captured
from ltresample._captured import CapturedPasses, size_of_pass
from ltresample.losses import InfluenceBalancedLoss
from ltresample.models import MLP, SmallCNN
from ltresample.training import DeferredRebalancingClassifier, RandomCropFlip
from ltresample.training._captured import _Shell

DEVICES = ["cpu", pytest.param("cuda", marks=pytest.mark.gpu)]
COUNTS = (40, 20, 10, 6)
IMAGES = np.random.default_rng(0).integers(0, 256, (sum(COUNTS), 3, 8, 8), dtype=np.uint8)
LABELS = np.repeat(np.arange(len(COUNTS)), COUNTS)
NOT_CAPTURED = {"SAFA", "OTMix, feature bank"}  # hooks


def replayed(what, sample, allow_unused_input=False):
    """Stand in for `torch.cuda.make_graphed_callables`."""
    params = (
        [p for p in what.parameters() if p.requires_grad] if hasattr(what, "parameters") else []
    )
    # a card refuses to record where a node at which gradients are added up belongs to another stream
    assert not any(_has_a_node(p) for p in params)
    static = sample[0].detach().clone().requires_grad_(sample[0].requires_grad)
    last = {}
    with torch.enable_grad():
        for _ in range(3):
            last["out"] = what(static)
    several = isinstance(last["out"], tuple)
    places = [part.detach().clone() for part in (last["out"] if several else (last["out"],))]

    class Replay(torch.autograd.Function):
        @staticmethod
        def forward(ctx, x, *params):
            assert x.shape == static.shape
            with torch.no_grad():
                static.copy_(x)
            with torch.enable_grad():
                out = what(static)
            last["out"] = out = out if several else (out,)
            given = tuple(p.copy_(o.detach()).detach() for p, o in zip(places, out, strict=True))
            return given if several else given[0]

        @staticmethod
        def backward(ctx, *gradients):
            inputs = [part for part in (static, *params) if part.requires_grad]
            pairs = zip(last["out"], gradients, strict=True)
            out, gradients = zip(*((o, g) for o, g in pairs if o.requires_grad), strict=True)
            found = iter(torch.autograd.grad(out, inputs, gradients))
            return tuple(next(found) if part.requires_grad else None for part in (static, *params))

    return lambda x: Replay.apply(x, *params)


def _has_a_node(p):
    """Whether something that is still alive keeps the node of a parameter, which is else made anew."""
    get_gradient_edge(p).node.metadata["seen"] = True
    return "seen" in get_gradient_edge(p).node.metadata


@pytest.fixture
def recorded(monkeypatch):
    """Types of what was recorded."""
    kinds, record = [], _captured.record
    monkeypatch.setattr(
        _captured, "record", lambda what, x: kinds.append(type(what)) or record(what, x)
    )
    return kinds


@pytest.fixture(params=DEVICES)
def device(request, monkeypatch):
    if request.param == "cpu":
        monkeypatch.setattr(_captured, "KIND", "cpu")
        monkeypatch.setattr(torch.cuda, "make_graphed_callables", replayed)
        get, put = lambda device: torch.get_rng_state(), lambda s, device: torch.set_rng_state(s)
        monkeypatch.setattr(torch.cpu, "get_rng_state", get, raising=False)
        monkeypatch.setattr(torch.cpu, "set_rng_state", put, raising=False)
    else:
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", False)
    return request.param


@pytest.fixture
def deterministic():
    """Sums in one order: two trainings round alike."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


def net_of(device, name=None, module=None, **settings):
    resampler = None
    if name is not None:
        aux = np.random.default_rng(1).random((50, 3, 8, 8), dtype=np.float32)
        resampler = METHODS[name](network(True, len(COUNTS)).to(device), aux)
    if module is None:
        module = SmallCNN(3, len(COUNTS), generator=torch.Generator().manual_seed(0))
    params = {"lr": 0.01, "max_epochs": 3, "start": 1, "batch_size": 16, "random_state": 0}
    params["augment"] = RandomCropFlip(padding=1)
    return DeferredRebalancingClassifier(
        module, resampler=resampler, device=device, **{**params, **settings}
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", [None, *sorted(set(METHODS) - NOT_CAPTURED)])
@pytest.mark.filterwarnings("ignore::ltresample.exceptions.LongTailWarning")
@pytest.mark.filterwarnings("error:cuda_graphs=True has no effect")
def test_training_is_that_without_graphs(device, recorded, name, precision):
    both = {"precision": precision, "synthesis_precision": precision}
    nets = [net_of(device, name, cuda_graphs=on, **both) for on in (False, True)]
    nets[0].fit(IMAGES, LABELS)
    assert not recorded
    nets[1].fit(IMAGES, LABELS)
    # the network in training, and f and g where steps are taken against them
    assert _Shell in recorded
    guided = name is not None and name.startswith(("M2m", "DM"))
    assert recorded.count(types.FunctionType) >= 2 if guided else set(recorded) == {_Shell}
    plain, captured = nets
    # another algorithm of a convolution rounds otherwise, and training goes on from there
    atol = {"float32": 1e-3, "bfloat16": 2e-2 if device == "cpu" else 8e-2}[precision]
    losses = [net.history[:, "train_loss"] for net in nets]
    np.testing.assert_allclose(*losses, rtol=atol)
    for one, other in zip(
        plain.module_.state_dict().values(), captured.module_.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(one, other, atol=10 * atol, rtol=10 * atol)
    np.testing.assert_allclose(
        captured.predict_proba(IMAGES), plain.predict_proba(IMAGES), atol=10 * atol
    )


def test_each_size_of_batch_is_recorded_once(device, recorded):
    net_of(device, cuda_graphs=True).fit(IMAGES, LABELS)
    assert len(recorded) == 2  # 16 rows, and the 12 at the end of each epoch


class _Changes(Callback):
    """Does something to the network before an epoch."""

    def __init__(self, epoch, what):
        self.epoch, self.what = epoch, what

    def on_epoch_begin(self, net, **kwargs):
        if len(net.history) - 1 == self.epoch:
            self.what(net.module_)


def _move(module):
    for p in module.parameters():
        p.data = p.data.clone()


def _freeze(module):
    next(module.parameters()).requires_grad_(False)


def _hold_statistics(module):
    next(m for m in module.modules() if isinstance(m, nn.BatchNorm2d)).eval()


def _hook(module):
    next(module.children()).register_forward_hook(lambda layer, args, output: 0.5 * output)


@pytest.mark.parametrize("name", [None, "M2m, guided by f"])
@pytest.mark.parametrize("what", [_move, _freeze, _hold_statistics, _hook])
@pytest.mark.filterwarnings("ignore::ltresample.exceptions.LongTailWarning")
def test_what_changes_after_the_recording_is_noticed(device, recorded, name, what):
    # a network without batch normalisation is passed in synthesis itself, not as a folded copy
    plain = name is not None and what is not _hold_statistics
    layers = [nn.Flatten(), nn.Linear(192, 8), nn.ReLU(), nn.Linear(8, len(COUNTS))]
    losses = []
    for on in (False, True):
        torch.manual_seed(0)
        module = nn.Sequential(*copy.deepcopy(layers)) if plain else None
        net = net_of(device, name, module=module, cuda_graphs=on, max_epochs=5)
        change = [_Changes(3, lambda module: (recorded.append("changed"), what(module)))]
        net.set_params(callbacks=change, lr=0.1)
        with warnings.catch_warnings(record=True) as told:
            warnings.simplefilter("always")
            losses.append(net.fit(IMAGES, LABELS).history[:, "train_loss"])
    np.testing.assert_allclose(*losses, rtol=1e-3)
    # nothing in the run without graphs; again after the change, but with hooks
    first, second = (i for i, kind in enumerate(recorded) if kind == "changed")
    assert first == 0
    assert _Shell in recorded[:second]
    assert (_Shell in recorded[second:]) == (what is not _hook)
    assert any("have hooks" in str(w.message) for w in told) == (what is _hook)


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        (
            {"module": nn.Sequential(nn.Flatten(), MLP(192, 4, dropout=0.5))},
            "it draws random numbers",
        ),
        ({"name": "SAFA"}, "some of its layers have hooks"),
        ({"name": "OTMix, feature bank"}, "some of its layers have hooks"),
    ],
    ids=["dropout", "SAFA", "feature bank"],
)
def test_what_cannot_be_replayed_is_said_and_trained_as_without(
    device, settings, why, deterministic
):
    with pytest.warns(LongTailWarning, match=f"no effect on .* from here on: {why}"):
        captured = net_of(device, cuda_graphs=True, **settings).fit(IMAGES, LABELS)
    plain = net_of(device, **settings).fit(IMAGES, LABELS)
    np.testing.assert_allclose(
        captured.history[:, "train_loss"], plain.history[:, "train_loss"], rtol=1e-5
    )


class Two(nn.Module):
    """Gives logits and something beside them."""

    def __init__(self):
        super().__init__()
        self.network = SmallCNN(3, len(COUNTS), generator=torch.Generator().manual_seed(0))
        self.frozen = nn.Linear(2, 2).requires_grad_(False)

    def forward(self, x):
        logits = self.network(x)
        return logits, logits.detach()[:, :2] @ self.frozen.weight


def test_networks_with_several_outputs_and_frozen_layers(device):
    nets = [net_of(device, module=Two(), cuda_graphs=on) for on in (False, True)]
    losses = [net.fit(IMAGES, LABELS).history[:, "train_loss"] for net in nets]
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_losses_that_look_at_features_are_trained_as_without(device):
    nets = [net_of(device, criterion=InfluenceBalancedLoss, cuda_graphs=on) for on in (False, True)]
    nets[0].fit(IMAGES, LABELS)
    with pytest.warns(LongTailWarning, match="some of its layers have hooks"):
        nets[1].fit(IMAGES, LABELS)
    losses = [net.history[:, "train_loss"] for net in nets]
    np.testing.assert_allclose(*losses, rtol=1e-4)


def test_an_older_call_has_no_gradient_any_more(device):
    passed = CapturedPasses(nn.Linear(3, 2).to(device))
    x = torch.rand(5, 3, device=device, requires_grad=True)
    first = passed(x).sum()
    other = torch.rand(20, 3, device=device, requires_grad=True)
    passed(other).sum().backward()  # of another size
    first.backward()
    first = passed(x).sum()
    passed(x.detach())
    with pytest.raises(RuntimeError, match="Take the gradients of a call before the next one"):
        first.backward()


@pytest.mark.parametrize("half", [False, True])
def test_passes_give_outputs_and_gradients_of_the_network(device, half):
    net = SmallCNN(3, 4).to(device).eval().requires_grad_(False)
    passed = CapturedPasses(net)
    for n in (3, 8, 9, 16, 1, 16):
        x = torch.rand(n, 3, 8, 8, device=device).to(memory_format=torch.channels_last)
        x.requires_grad_()
        with torch.autocast(device, torch.bfloat16, enabled=half):
            one, other = passed(x), net(x)
            gradients = [torch.autograd.grad(y.float().square().sum(), x)[0] for y in (one, other)]
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        tolerance = {"atol": 3e-2, "rtol": 3e-2} if half else {"atol": 1e-4, "rtol": 1e-4}
        torch.testing.assert_close(one, other, **tolerance)
        torch.testing.assert_close(*gradients, **tolerance)
        with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=half):
            torch.testing.assert_close(passed(x.detach()), net(x), **tolerance)
    assert passed(x[:0]).shape == (0, 4)
    net.register_forward_hook(lambda layer, args, output: 2 * output)
    torch.testing.assert_close(passed(x), net(x), atol=1e-4, rtol=1e-4)


def test_a_run_is_the_same_run_with_graphs(device, tmp_path):
    for on in (False, True):
        net_of(device, cuda_graphs=on, checkpoint_dir=tmp_path).fit(IMAGES, LABELS)
    assert len(list(tmp_path.iterdir())) == 1


@given(st.integers(1, 5000))
def test_few_rows_are_added(n):
    size = size_of_pass(n)
    assert 0 <= size - n < max(8, 1 + n / 4)
    assert size_of_pass(size) == size


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "cuda_graphs=True needs a network on a CUDA device. Got device='cpu'."),
        ({"compile": True}, "Got compile=True beside it."),
    ],
)
def test_what_graphs_do_not_go_with_is_refused(settings, message, monkeypatch):
    if settings:
        monkeypatch.setattr(_captured, "KIND", "cpu")
    with pytest.raises(ValueError, match=re.escape(message)):
        net_of("cpu", cuda_graphs=True, **settings).fit(IMAGES, LABELS)


@pytest.mark.gpu
def test_a_network_that_looks_at_values_is_an_error():
    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.own = nn.Linear(192, 4)

        def forward(self, x):
            x = self.own(x.flatten(1))
            return x * float(x.mean().abs() < 1e9)

    with pytest.raises(ValueError, match="which must not wait for the device"):
        net_of("cuda", module=Looks(), cuda_graphs=True).fit(IMAGES, LABELS)
