import copy
import pickle
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.base import clone
from sklearn.datasets import load_digits
from torch import nn
from torch.nn.functional import cross_entropy

from ltresample import LongTailWarning, M2mSampler, make_long_tailed
from ltresample._random import Seed
from ltresample.guides import classifier_of
from ltresample.losses import LDAMLoss
from ltresample.models import MLP, ResNet20, SmallCNN
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import (
    SafaNetworks,
    SafaSettings,
    Step,
    augment_tail,
    draw_same_class_pairs,
)
from ltresample.training import SAFA, DeferredRebalancingClassifier
from ltresample.training._companion import CompanionOptimizer
from ltresample.training._step import StepTarget, step_loss


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    images = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return make_long_tailed(images, y, imbalance_factor=10, n_max=40, random_state=0)


def net_with(resampler, **params):
    settings = {"start": 1, "max_epochs": 2, "lr": 0.01, "batch_size": 32, "random_state": 0}
    return DeferredRebalancingClassifier(
        SmallCNN, resampler=resampler, module__width=4, **{**settings, **params}
    )


def pool_of(shape, counts=(6, 3)):
    y = torch.repeat_interleave(torch.arange(len(counts)), torch.tensor(counts))
    x = torch.rand(len(y), *shape, generator=Seed(0).torch())
    return Pool(ArrayRows(x), y, torch.tensor(counts), Space.pixels())


def begun(f, shape, safa=None, counts=(6, 3)):
    pool = pool_of(shape, counts)
    safa = SAFA("0") if safa is None else safa
    bound = safa.bind(pool, classes=np.arange(len(counts)), f=f, seed=Seed(0))
    return pool, Step(bound.method, bound.pool, Seed(0), f=classifier_of(f))


# ---- in the classifier ---------------------------------------------------------------------------


def test_nothing_is_left_in_the_network(digits):
    X, y = digits
    plain, safa = net_with(None).fit(X, y), net_with(SAFA()).fit(X, y)
    assert list(plain.module_.state_dict()) == list(safa.module_.state_dict())
    for (name, a), (_, b) in zip(
        plain.module_.named_modules(), safa.module_.named_modules(), strict=True
    ):
        assert type(a) is type(b)
        assert not b._forward_hooks, name
        assert not b._forward_pre_hooks, name
    assert not safa.optimizer_._optimizer_step_post_hooks
    n_parameters = [sum(len(g["params"]) for g in n.optimizer_.param_groups) for n in (plain, safa)]
    assert n_parameters[0] == n_parameters[1]
    other = SmallCNN(1, 10, width=4)
    other.load_state_dict(safa.module_.state_dict())
    with torch.no_grad():
        logits = other.eval()(torch.from_numpy(X))
    np.testing.assert_allclose(safa.predict_proba(X), logits.softmax(1), atol=1e-5)
    again = pickle.loads(pickle.dumps(safa))
    np.testing.assert_array_equal(again.predict(X), safa.predict(X))


def test_it_starts_when_it_is_told(digits):
    X, y = digits
    none, safa = (net_with(r, start=2, max_epochs=3, train_split=0.2) for r in (None, SAFA()))
    none.fit(X, y)
    safa.fit(X, y)
    losses = [net.history[:2, "train_loss"] for net in (safa, none)]
    np.testing.assert_allclose(*losses, rtol=1e-6)
    assert safa.history[:, "share_synthesized"][:2] == [0, 0]
    assert 0.1 < safa.history[-1, "share_synthesized"] < 0.6
    assert safa.history[-1, "train_loss"] != none.history[-1, "train_loss"]


def test_runs_are_reproducible_and_leave_the_resampler_alone(digits):
    X, y = digits
    safa = SAFA(augmented_per_pair=0.5)
    before = torch.get_rng_state()
    first = net_with(safa).fit(X, y)
    assert torch.equal(before, torch.get_rng_state())
    assert set(vars(safa)) == set(vars(SAFA()))
    second = net_with(clone(safa)).fit(X, y)
    np.testing.assert_array_equal(first.predict_proba(X), second.predict_proba(X))
    assert first.set_params(resampler__layer="body.2").resampler.layer == "body.2"


def test_networks_are_trained_at_the_rate_of_the_schedule(digits):
    X, y = digits
    frozen = net_with(SAFA(), lr_decay={1: 0.0}, optimizer__weight_decay=0.0).fit(X, y)
    moving = net_with(SAFA()).fit(X, y)
    start = net_with(SAFA(), max_epochs=1)
    with pytest.warns(LongTailWarning, match="not before the end of training"):
        start.fit(X, y)
    for (name, p), q, r in zip(
        start.g_.named_parameters(), frozen.g_.parameters(), moving.g_.parameters(), strict=True
    ):
        assert torch.equal(p, q), name
        assert not torch.equal(p, r) or "bias" in name, name


def test_a_step_is_what_it_would_be_without_hooks():
    f = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3)
    )
    pool, online = begun(f, (1, 8, 8), SAFA("2", tail_spread_weight=0.5), counts=(8, 5, 3))
    x = pool.x.take(torch.arange(16))
    networks = copy.deepcopy(online.method.networks)
    made = online(x, pool.y, seed=Seed(1))
    criterion = LDAMLoss(class_counts=[8, 5, 3])
    loss = step_loss(criterion, f.train()(x), StepTarget(made.terms))
    online.leave()
    draw = draw_same_class_pairs(pool.y, online.method.is_head, Seed(1))
    features = f[:3](x)
    own = augment_tail(networks, features, pool.y, draw, SafaSettings(tail_spread_weight=0.5))
    logits = f[3:](torch.cat([features, own.x]))
    by_hand = criterion(logits, torch.cat([pool.y, own.y])) + own.loss  # Eq. 1
    torch.testing.assert_close(loss, by_hand)


@pytest.mark.parametrize(
    "params",
    [
        {"criterion": LDAMLoss, "module__head": "cosine"},
        {"rebalance": "reweight", "rebalance_start": 1},
        {"rebalance": "resample"},
        {"optimizer": torch.optim.Adam, "optimizer__lr": 1e-3},
        {"optimizer": torch.optim.AdamW, "optimizer__lr": 1e-3},
        {"train_split": 0.3, "warmup": 1},
    ],
    ids=str,
)
def test_it_goes_with_losses_schedules_and_optimizers(digits, params):
    X, y = digits
    net = net_with(SAFA(), **params).fit(X, y)
    assert np.isfinite(net.history[-1, "train_loss"])
    assert net.history[-1, "share_synthesized"] > 0


def test_sample_weights_leave_the_losses_of_the_networks_alone(digits):
    X, y = digits
    weight = np.random.default_rng(0).uniform(0.5, 2, len(y))
    settings = {"start": 0, "max_epochs": 1}
    nets = [net_with(SAFA(), **settings).fit(X, y, sample_weight=w) for w in (None, weight)]
    assert not np.allclose(nets[0].predict_proba(X), nets[1].predict_proba(X))
    assert all(np.isfinite(net.history[-1, "train_loss"]) for net in nets)


def test_interrupted_runs_go_on(digits, tmp_path):
    X, y = digits
    whole = net_with(SAFA(), max_epochs=4).fit(X, y)
    net_with(SAFA(), max_epochs=3, checkpoint_dir=tmp_path).fit(X, y)
    resumed = net_with(SAFA(), max_epochs=4, checkpoint_dir=tmp_path).fit(X, y)
    assert resumed.history[:, "train_loss"] == whole.history[:, "train_loss"]
    np.testing.assert_array_equal(resumed.predict_proba(X), whole.predict_proba(X))


def test_partial_fit_twice(digits):
    X, y = digits
    net = net_with(SAFA(), start=0, max_epochs=1)
    net.partial_fit(X, y).partial_fit(X, y)
    assert len(net.history) == 2
    assert len(net.optimizer_.param_groups) == 1


@pytest.mark.parametrize(
    ("module", "shape", "layer"),
    [
        (SmallCNN(1, 3), (1, 8, 8), "body.5"),
        (ResNet20(3, width=4), (3, 16, 16), "stage2"),
        (MLP(5, 3, hidden=(8, 7)), (5,), "body.3"),
        (nn.Sequential(nn.Identity(), SmallCNN(1, 3)), (1, 8, 8), "1.body.5"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_usual_layer_is_known(module, shape, layer):
    state = {name: value.clone() for name, value in module.state_dict().items()}
    _, online = begun(module.train(), shape, SAFA(), counts=(6, 3, 2))
    hooked = [name for name, part in module.named_modules() if part._forward_hooks]
    assert hooked == [layer]
    assert module.training
    now = module.state_dict()
    assert all(torch.equal(state[name], now[name]) for name in state), "the trial left no trace"
    online.leave()
    assert not any(part._forward_hooks for part in module.modules())


def test_augmentation_happens_in_training_only():
    f = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    pool, online = begun(f, (4,), SAFA("1"))
    x = pool.x.take(torch.arange(9))
    made = online(x, pool.y, seed=Seed(1))
    assert made.x is x
    assert made.n_requested == made.n_accepted == 3
    real, own = made.terms
    assert real.y.tolist() == [*pool.y.tolist(), 1, 1, 1]
    assert len(f.eval()(x)) == 9
    logits = f.train()(x)
    assert len(logits) == 12
    torch.testing.assert_close(logits[:9], f.eval()(x))
    loss = own.criterion(logits[own.rows], own.y, sample_weight=torch.ones(0))
    assert loss > 0
    grads = torch.autograd.grad(loss, f.parameters(), allow_unused=True, retain_graph=True)
    assert all(g is None for g in grads), "their losses do not train the network"
    below, above = f[0].weight, f[2].weight
    augmented = cross_entropy(logits[9:], real.y[9:])
    assert (torch.autograd.grad(augmented, below, retain_graph=True)[0] == 0).all()
    assert torch.autograd.grad(augmented, above, retain_graph=True)[0].abs().sum() > 0
    generator = next(online.method.networks.generator.parameters())
    assert torch.autograd.grad(augmented, generator)[0].abs().sum() > 0


def test_end_to_end_reaches_the_layers_below():
    f = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    pool, online = begun(f, (4,), SAFA("1", gradient="end_to_end"))
    x = pool.x.take(torch.arange(9))
    own = online(x, pool.y, seed=Seed(1)).terms[1]
    logits = f.train()(x)
    loss = own.criterion(logits[own.rows], own.y)
    assert torch.autograd.grad(loss, f[0].weight)[0].abs().sum() > 0


def test_batches_without_a_pair_are_trained_on_as_they_are():
    f = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    pool, online = begun(f, (4,), SAFA("1"))
    x = pool.x.take(torch.tensor([0, 1, 2]))
    for y in ([0, 0, 0], [1, 1, 1], [0, 1, 1]):
        made = online(x, torch.tensor(y), seed=Seed(0))
        assert made.n_requested == 0
        assert len(made.terms) == 1
        assert made.terms[0].y.tolist() == y
        assert len(f.train()(x)) == 3
    message = "(?s)two samples of one head class.*Got 3 of 3 batches without.*larger batch_size"
    with pytest.warns(LongTailWarning, match=message):
        online.leave()


def test_many_batches_without_a_pair_are_told_of_once():
    f = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    pool, online = begun(f, (4,), SAFA("1"))
    x = pool.x.take(torch.arange(9))
    lonely = torch.tensor([0, 1] + 7 * [1])

    def forty_steps():
        for step in range(40):
            online(x, pool.y if step % 4 == 0 else lonely, seed=Seed(step))

    with pytest.warns(LongTailWarning, match="Got 15 of 20 batches") as caught:
        forty_steps()
    assert len(caught) == 1
    online.leave()


def test_a_small_batch_size_in_training(digits):
    X, y = digits
    with pytest.warns(LongTailWarning, match="batches without; nothing was augmented"):
        net_with(SAFA(), batch_size=2, start=0, max_epochs=1).fit(X, y)


# ---- the optimizer beside the net's --------------------------------------------------------------


class Net:
    def __init__(self, optimizer):
        self.optimizer_ = optimizer


def test_the_companion_steps_with_the_optimizer():
    main, beside = nn.Linear(2, 1), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(main.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
    companion = CompanionOptimizer(Net(optimizer), beside)
    reference = nn.Linear(2, 1)
    reference.load_state_dict(beside.state_dict())
    by_hand = torch.optim.SGD(reference.parameters(), lr=0.5, momentum=0.9, weight_decay=0.1)
    for lr in (0.5, 0.05):
        optimizer.param_groups[0]["lr"] = by_hand.param_groups[0]["lr"] = lr
        for module in (beside, reference):
            module(torch.ones(3, 2)).square().mean().backward()
        optimizer.step()
        by_hand.step()
        by_hand.zero_grad()
        assert torch.equal(beside.weight, reference.weight)
        assert beside.weight.grad is None
    companion.leave()
    beside(torch.ones(3, 2)).mean().backward()
    optimizer.step()
    assert torch.equal(beside.weight, reference.weight)


def test_gradients_of_the_companion_are_shortened():
    main, beside, bounded = nn.Linear(2, 1), nn.Linear(2, 1), nn.Linear(2, 1)
    bounded.load_state_dict(beside.state_dict())
    before = torch.cat([p.detach().clone().flatten() for p in beside.parameters()])
    optimizer = torch.optim.SGD(main.parameters(), lr=0.5)
    CompanionOptimizer(Net(optimizer), beside)
    CompanionOptimizer(Net(optimizer), bounded, max_grad_norm=0.1)
    for module in (beside, bounded):
        (100 * module(torch.ones(3, 2)).square().mean()).backward()
    optimizer.step()
    free, short = (
        torch.cat([p.detach().flatten() for p in module.parameters()]) - before
        for module in (beside, bounded)
    )
    assert free.norm() > 0.05
    assert short.norm() == pytest.approx(0.5 * 0.1, rel=1e-4)
    assert torch.cosine_similarity(free, short, dim=0) == pytest.approx(1, abs=1e-5)


def test_wrapped_optimizers_and_what_cannot_be_followed():
    module = nn.Linear(2, 1)
    inner = torch.optim.AdamW(module.parameters(), lr=0.1)
    wrapper = Net(Net(inner))
    wrapper.optimizer_.optimizer = inner
    assert CompanionOptimizer(wrapper, nn.Linear(2, 1)).parent is inner
    with pytest.raises(ValueError, match="LBFGS, which evaluates the loss several times"):
        CompanionOptimizer(Net(torch.optim.LBFGS(module.parameters())), nn.Linear(2, 1))
    scaled = Net(inner)
    scaled.accelerator = Net(None)
    scaled.accelerator.scaler = object()
    with pytest.raises(ValueError, match="mixed_precision='fp16'"):
        CompanionOptimizer(scaled, nn.Linear(2, 1))


# ---- bad input -----------------------------------------------------------------------------------


class Odd(nn.Module):
    """Layers that cannot be augmented."""

    def __init__(self):
        super().__init__()
        self.two = _Two()
        self.shared = nn.Identity()
        self.inside = nn.Linear(4, 4)
        self.tokens = nn.Unflatten(1, (2, 2))
        self.out = nn.Linear(4, 2)

    def forward(self, x):
        x = self.two(x)[0]
        x = self.shared(self.shared(x))
        x = x + self.inside(x)
        return self.out(self.tokens(x).flatten(1))


class _Two(nn.Module):
    def forward(self, x):
        return x, x


@pytest.mark.parametrize(
    ("layer", "text"),
    [
        (
            "stage2",
            "Odd has no layer of that name. Got layer='stage2'. Pass one of 'two', 'shared'",
        ),
        ("insid", "Did you mean 'inside'"),
        ("auto", "Odd has no layer of that name. Got layer='auto'"),
        ("two", "layer='two' must give one tensor. Got tuple"),
        ("shared", "must be passed once in a forward pass. Got 2 times"),
        ("inside", r"cannot take augmented rows.*Got: .*size of tensor.*everything passes"),
        ("tokens", r"must give vectors \(n, C\) or maps.*Got shape \(2, 2, 2\) for two rows"),
    ],
)
def test_layers_that_cannot_be_augmented(layer, text):
    f = Odd()
    with pytest.raises(ValueError, match=f"(?s){text}"):
        begun(f, (4,), SAFA(layer))
    assert not any(part._forward_hooks for part in f.modules())


def test_classes_that_do_not_suffice():
    f = nn.Sequential(nn.Linear(4, 2))
    with pytest.raises(ValueError, match="at least one head class and one tail class. Got 1 class"):
        begun(f, (4,), counts=(6, 0))
    with pytest.raises(ValueError, match="no class has two samples"):
        begun(f, (4,), counts=(1, 1))


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"head_ratio": 1.0}, "'head_ratio' parameter"),
        ({"contrast_weight": -0.1}, "'contrast_weight' parameter"),
        ({"gradient": "all"}, "'gradient' parameter"),
        ({"augmented_per_pair": 0}, "'augmented_per_pair' parameter"),
        ({"layer": 3}, "'layer' parameter"),
    ],
)
def test_bad_parameters(digits, params, text):
    with pytest.raises(ValueError, match=text):
        net_with(SAFA(**params)).fit(*digits)


def test_losses_that_grow_without_bound_are_named(digits):
    safa = SAFA(reconstruction_weight=1e30, max_grad_norm=None)
    with pytest.raises(ValueError, match="no longer finite.*reconstruction_weight"):
        net_with(safa, max_epochs=5, lr=10.0).fit(*digits)


def test_bounded_gradients_bear_a_weight_that_is_too_large(digits):
    net = net_with(SAFA(reconstruction_weight=1e6)).fit(*digits)
    assert all(torch.isfinite(p).all() for p in net.g_.parameters())
    loose = SAFA(reconstruction_weight=1e6, max_grad_norm=None)
    with pytest.raises(ValueError, match="no longer finite"):
        net_with(loose, max_epochs=5).fit(*digits)


def test_pickles_are_those_of_the_network_alone(digits):
    net, plain = net_with(SAFA()).fit(*digits), net_with(None).fit(*digits)
    sizes = [len(pickle.dumps(part)) for part in (net, plain)]
    assert sizes[0] < sizes[1] + 20_000  # the history has more columns
    assert isinstance(net.g_, SafaNetworks)
    again = pickle.loads(pickle.dumps(net))
    assert again.g_ is None
    np.testing.assert_array_equal(again.predict_proba(digits[0]), net.predict_proba(digits[0]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_compiled_networks_give_the_same(digits):
    X, y = digits
    nets = [net_with(SAFA(), compile=on).fit(X, y) for on in (False, True)]
    np.testing.assert_allclose(nets[0].predict_proba(X), nets[1].predict_proba(X), atol=1e-3)


@pytest.mark.filterwarnings("ignore")
def test_code_that_was_compiled_for_a_network_without_hooks_is_not_used(digits):
    compiled = {"compile": True, "compile__backend": "aot_eager"}
    net_with(M2mSampler(g="f"), **compiled).fit(*digits)
    losses = [
        net_with(SAFA(), **settings).fit(*digits).history[:, "train_loss"]
        for settings in ({}, compiled)
    ]
    np.testing.assert_allclose(*losses, rtol=1e-3)


@pytest.mark.distributed
def test_processes_train_the_same_networks():
    script = Path(__file__).with_name("safa_distributed.py")
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2", str(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("same networks") == 2


def test_one_pass_is_augmented_for_each_step():
    """A second pass in training mode, by a callback or to estimate statistics, is a plain one."""
    f = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    pool, online = begun(f, (4,), SAFA("1"))
    x = pool.x.take(torch.arange(9))
    online(x, pool.y, seed=Seed(1))
    assert [len(f.train()(x)) for _ in range(3)] == [12, 9, 9]
    assert len(f(x[:2])) == 2, "positions of the step are not looked up in another batch"
    online(x, pool.y, seed=Seed(2))
    assert [len(f.train()(x)) for _ in range(2)] == [12, 9]


def test_the_contrast_network_has_the_papers_width():
    f = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    for safa, width in ((SAFA("1"), 256), (SAFA("1", contrast_width=None), 6)):
        _, online = begun(f, (4,), safa)
        assert online.method.networks.contrast_head.in_features == width


def test_every_parameter_reaches_its_place():
    f = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 4))
    safa = SAFA(
        "1",
        head_ratio=0.5,
        reconstruction_weight=2.0,
        tail_spread_weight=3.0,
        head_spread_weight=4.0,
        contrast_weight=5.0,
        head_spread="printed",
        reconstruction="norm",
        delta_sign="consistent",
        generator="residual",
        gradient="end_to_end",
        augmented_per_pair=2.0,
        width=7,
        contrast_width=9,
        max_grad_norm=11.0,
    )
    method = begun(f, (4,), safa, counts=(6, 5, 3, 2))[1].method
    assert method.settings == SafaSettings(
        reconstruction_weight=2.0,
        tail_spread_weight=3.0,
        head_spread_weight=4.0,
        contrast_weight=5.0,
        mean_square=False,
        literal_spread=True,
        consistent_sign=True,
        end_to_end=True,
        augmented_per_pair=2.0,
    )
    assert method.is_head.tolist() == [True, True, False, False]
    assert method.networks.residual
    assert method.networks.encoder[0].out_features == 7
    assert method.networks.contrast_head.in_features == 9
    assert method.max_grad_norm == 11


def test_defaults_are_the_papers():
    """lambda_1 to lambda_4 of Section 4, the third as the second, and gamma = 0.2 of the classes."""
    safa = SAFA()
    assert (safa.reconstruction_weight, safa.contrast_weight, safa.head_ratio) == (100, 0.1, 0.2)
    assert safa.tail_spread_weight == safa.head_spread_weight == 0.01
    f = nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 2))
    assert begun(f, (4,))[1].method.settings == SafaSettings()
