"""OTMix in training: whole batches with two terms, schedules, draws, features, affinities, the bank."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from skorch import NeuralNetClassifier
from skorch.callbacks import Callback
from torch import nn
from torch.nn.functional import cross_entropy

from ltresample import make_long_tailed
from ltresample._random import Seed
from ltresample.guides import classifier_of
from ltresample.losses import BalancedSoftmaxLoss, LDAMLoss
from ltresample.mixing import CutMix, Mixup
from ltresample.models import MLP, SmallCNN
from ltresample.over_sampling import OTMixSampler
from ltresample.pairing import RandomPairing, TransportPairing
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import Moment, Step
from ltresample.training import DeferredRebalancingClassifier, DeferredSynthesis

ALWAYS = {"mix_prob": 1.0, "start": 0, "stop": None, "schedule_power": 0.0}
AFFINITY = np.array([[0.8, 0.2, 0.0], [0.3, 0.6, 0.1], [0.1, 0.5, 0.4]])


@pytest.fixture
def pool():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(3), [120, 30, 6]))
    x = torch.from_numpy(rng.random((156, 1, 6, 6)).astype(np.float32))
    return Pool(ArrayRows(x), torch.from_numpy(y), torch.tensor([120, 30, 6]), Space.pixels())


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    return make_long_tailed(X, y, imbalance_factor=10, n_max=60, random_state=0)


def begun(pool, sampler, *, epoch=1, max_epochs=2, held_out=None, module=None, augment=None):
    f = SmallCNN(1, 3, width=4, generator=Seed(0).torch()) if module is None else module
    pool = pool._replace(augment=augment)
    bound = sampler.bind(pool, classes=np.arange(3), f=f, seed=Seed(1))
    online = Step(bound.method, bound.pool, Seed(1), f=classifier_of(f))
    online.join(SimpleNamespace(module_=f))
    online.begin_epoch(Moment(epoch, max_epochs, held_out))
    return online


def with_state(online, **changes):
    """Set parts of the state that a driver would set."""
    online.state = online.state._replace(**changes)


def batch_of(pool, m=32, seed=0):
    index = torch.randperm(len(pool.y), generator=Seed(seed).torch())[:m]
    return pool.x.take(index), pool.y[index], index


# ---- one batch -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pairing", [RandomPairing(), TransportPairing()], ids=repr)
@pytest.mark.parametrize("mix", [CutMix(4.0), CutMix(4.0, shared=False), Mixup(4.0)], ids=repr)
def test_a_batch_is_mixed_with_two_terms(pool, pairing, mix):
    sampler = OTMixSampler(pairing=pairing, mix=mix, class_affinity=AFFINITY, **ALWAYS)
    online = begun(pool, sampler)
    x, y, index = batch_of(pool)
    before = x.clone()
    made = online(x, y, seed=Seed(2), index=index)
    assert torch.equal(x, before)
    assert made.x.shape == x.shape
    assert made.n_requested == made.n_accepted == 32
    back, front = made.terms
    assert back.rows == front.rows == slice(None)
    lam = torch.as_tensor(back.coef, dtype=torch.float64).expand(32)
    torch.testing.assert_close(lam + torch.as_tensor(front.coef).double(), torch.ones(32).double())
    shared = getattr(mix, "shared", False)
    assert isinstance(back.coef, float) == shared
    if isinstance(mix, CutMix):
        kept = [(made.x[i] == x).flatten(1).double().mean(1).max() for i in range(32)]
        np.testing.assert_array_compare(np.greater_equal, torch.stack(kept) + 1e-6, lam)
    assert set(back.y.tolist()) <= set(y.tolist())
    again = online(x, y, seed=Seed(2), index=index)
    assert torch.equal(made.x, again.x), "a function of the seed"
    assert not torch.equal(made.x, online(x, y, seed=Seed(3), index=index).x)


def test_random_pairs_are_those_of_cmo(pool):
    """Along a plan only if the epoch says so: else background i meets foreground i."""
    sampler = OTMixSampler(mix=Mixup(1.0), class_affinity=AFFINITY, **ALWAYS)
    cmo = OTMixSampler(mix=Mixup(1.0), pairing=RandomPairing(), **ALWAYS)
    x, y, index = batch_of(pool)
    online = begun(pool, sampler.set_params(schedule_power=1.0), epoch=0)
    assert isinstance(online.state.pairing, RandomPairing), "(0 / T)^mu is 0"
    made, wanted = (o(x, y, seed=Seed(2), index=index) for o in (online, begun(pool, cmo, epoch=0)))
    assert torch.equal(made.x, wanted.x)
    assert torch.equal(made.terms[0].y, y)


def test_backgrounds_follow_the_plan(pool):
    sampler = OTMixSampler(mix=Mixup(1.0), class_affinity=AFFINITY, **ALWAYS)
    f = SmallCNN(1, 3, width=4, generator=Seed(0).torch())
    online = begun(pool, sampler, module=f)
    x, y, index = batch_of(pool)
    made = online(x, y, seed=Seed(2), index=index)
    at = online.method.foregrounds(online.state, 32, Seed(2).child("foreground"))
    x_f, y_f = pool.x.take(at), pool.y[at]
    with torch.no_grad():
        z, z_f = f.eval().features(x).double(), f.features(x_f).double()
    unit, unit_f = (a / a.norm(dim=1, keepdim=True) for a in (z, z_f))
    hat = torch.from_numpy(AFFINITY * (1 - np.eye(3)))
    cost = 0.05 * (1 - unit_f @ unit.T) + 0.95 * (1 - hat[y_f][:, y])
    kernel, v = torch.exp(-(cost - cost.min()) / 0.01), torch.ones(32, dtype=torch.float64)
    for _ in range(20_000):
        u = 1 / 32 / (kernel @ v)
        v = 1 / 32 / (kernel.T @ u)
    chosen = (u[:, None] * kernel * v).argmax(1)
    lam = made.terms[0].coef
    expected = lam * x[chosen] + (1 - lam) * x_f
    same = (made.x - expected).abs().flatten(1).max(1).values < 1e-5
    assert same.double().mean() > 0.9, "all but ties of rounding"


@pytest.mark.parametrize(
    ("power", "shares"), [(0.0, [0.77, 0.19, 0.04]), (1.0, [1 / 3] * 3), (2.0, [0.04, 0.16, 0.8])]
)
def test_foregrounds_are_drawn_by_a_power_of_the_counts(pool, power, shares):
    """Sample weight N_y^-r: natural at 0, classes alike at 1, the paper's reversed classes at 2."""
    for source in ("data", "batch"):
        sampler = OTMixSampler(
            foreground=source, foreground_power=power, pairing=RandomPairing(), **ALWAYS
        )
        online = begun(pool, sampler)
        everyone = torch.arange(156)
        rows, y = pool.x.take(everyone), pool.y
        state = online.state._replace(pool=pool.of_batch(rows, y, everyone))
        drawn = [online.method.foregrounds(state, 156, Seed(i)) for i in range(40)]
        found = torch.bincount(y[torch.cat(drawn)]) / (40 * 156)
        np.testing.assert_allclose(found, shares, atol=0.03)
        if source == "batch" and power == 0:
            assert sorted(drawn[0].tolist()) == list(range(156)), "a permutation"


def test_balanced_data_are_drawn_uniformly():
    y = torch.arange(4).repeat(25)
    pool = Pool(ArrayRows(torch.rand(100, 1, 6, 6)), y, torch.full((4,), 25), Space.pixels())
    sampler = OTMixSampler(pairing=RandomPairing(), **ALWAYS)
    f = SmallCNN(1, 4, width=4)
    method = sampler.bind(pool, classes=np.arange(4), f=f, seed=Seed(0)).method
    assert not method.balanced, "backgrounds are the batches as they come"
    steps = method.begin(pool, Seed(0)).cumulative.diff()
    torch.testing.assert_close(steps, steps[:1].expand(99))


def test_pairing_leaves_the_network_alone(pool):
    """Evaluation mode, no gradient, batch statistics untouched, modes given back."""
    f = SmallCNN(1, 3, width=4).train()
    f.body[1].eval()
    state = {k: v.clone() for k, v in f.state_dict().items()}
    online = begun(pool, OTMixSampler(class_affinity=AFFINITY, **ALWAYS), module=f)
    x, y, index = batch_of(pool)
    made = online(x, y, seed=Seed(0), index=index)
    assert all(torch.equal(state[k], v) for k, v in f.state_dict().items())
    assert f.training
    assert not f.body[1].training
    assert all(p.grad is None and p.requires_grad for p in f.parameters())
    assert not made.x.requires_grad


def test_sample_weights_go_with_both_parents(pool):
    weight = torch.rand(156, generator=Seed(4).torch(), dtype=torch.float64) + 0.5
    plain, weighted = (
        begun(p, OTMixSampler(class_affinity=AFFINITY, mix=Mixup(), **ALWAYS))
        for p in (pool, pool._replace(weight=weight))
    )
    x, y, index = batch_of(pool)
    a, b = (o(x, y, seed=Seed(2), index=index) for o in (plain, weighted))
    assert torch.equal(a.x, b.x)
    assert b.weighted
    assert not a.weighted
    lam = a.terms[0].coef
    back, front = b.terms[0].coef / lam, b.terms[1].coef / (1 - lam)
    known = dict(zip(weight.float().tolist(), pool.y.tolist(), strict=True))
    for ratios, term in ((back, b.terms[0]), (front, b.terms[1])):
        for ratio, label in zip(ratios.tolist(), term.y.tolist(), strict=True):
            near = min(known, key=lambda w, r=ratio: abs(w - r))
            assert near == pytest.approx(ratio, rel=1e-5)
            assert known[near] == label


# ---- when ----------------------------------------------------------------------------------------


def test_epochs_with_mixing_and_with_a_plan(pool):
    sampler = OTMixSampler(class_affinity=AFFINITY)
    online = begun(pool, sampler)
    mixes, along = [], []
    for seed in range(40):
        with_state(online, seed=Seed(seed))
        for epoch in range(20):
            online.begin_epoch(Moment(epoch, 20))
            mixes.append(online.state.mixes)
            along.append(not isinstance(online.state.pairing, RandomPairing))
    mixes = np.reshape(mixes, (40, 20))
    assert (mixes == [4 <= t < 17 for t in range(20)]).all(), (
        "epochs 0-3 and the last three are plain"
    )
    share = np.reshape(along, (40, 20)).mean(0)
    assert share[0] == 0
    np.testing.assert_allclose(share, np.arange(20) / 20, atol=0.25)
    assert abs(np.mean(share) - 0.475) < 0.05
    x, y, index = batch_of(pool)
    online.begin_epoch(Moment(10, 20))
    made = [online(x, y, seed=Seed(i), index=index) for i in range(100)]
    assert 35 < sum(len(b.terms) == 2 for b in made) < 65, "every second batch"
    for b in made:
        if len(b.terms) == 1:
            assert b.x is x
            assert torch.equal(b.terms[0].y, y)
            assert b.n_requested == 0
    online.begin_epoch(Moment(18, 20))
    assert len(online(x, y, seed=Seed(0), index=index).terms) == 1


@pytest.mark.parametrize(("mu", "expected"), [(0.0, 1.0), (1.0, 0.5), (3.0, 0.125)])
def test_schedule_power(pool, mu, expected):
    online = begun(pool, OTMixSampler(class_affinity=AFFINITY, schedule_power=mu))
    along = 0
    for seed in range(200):
        with_state(online, seed=Seed(seed))
        online.begin_epoch(Moment(10, 20))
        along += not isinstance(online.state.pairing, RandomPairing)
    assert along / 200 == pytest.approx(expected, abs=0.1)


# ---- the class affinity --------------------------------------------------------------------------


def test_affinity_is_refreshed_from_held_out_rows(pool):
    f = SmallCNN(1, 3, width=4, generator=Seed(0).torch())
    held = pool.x, pool.y
    online = begun(pool, OTMixSampler(**ALWAYS), module=f, held_out=held)
    with torch.no_grad():
        taken = f.eval()(pool.x.take(torch.arange(156))).argmax(1)
    expected = np.zeros((3, 3))
    np.add.at(expected, (pool.y.numpy(), taken.numpy()), 1)
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(online.state.affinity, expected)
    with torch.no_grad():
        f.head.bias.copy_(torch.tensor([0.0, 100.0, 0.0]))
    online.begin_epoch(Moment(1, 2, held))
    np.testing.assert_allclose(online.state.affinity[:, 1], 1)


@pytest.mark.parametrize("refresh", [True, False])
def test_without_held_out_rows_it_is_computed_once_out_of_fold(pool, refresh, monkeypatch):
    from ltresample.over_sampling import _guiding

    calls = []

    def noted(*args, **kwargs):
        calls.append(1)
        return original(*args, **kwargs)

    original = _guiding.fit_fold_guides
    monkeypatch.setattr(_guiding, "fit_fold_guides", noted)
    flat = pool._replace(x=ArrayRows(pool.x.x.flatten(1)))
    held = None if refresh else (flat.x, flat.y)
    f = MLP(36, 3, hidden=(8,))
    sampler = OTMixSampler(refresh_affinity=refresh, **ALWAYS)
    online = begun(flat, sampler, module=f, held_out=held)
    for epoch in range(3):
        online.begin_epoch(Moment(epoch, 3, held))
    assert len(calls) == 1
    np.testing.assert_allclose(online.state.affinity.sum(1), 1)
    assert begun(flat, OTMixSampler(pairing=RandomPairing(), **ALWAYS), module=f)
    assert len(calls) == 1, "random pairs need none"


# ---- the bank ------------------------------------------------------------------------------------


def test_bank_keeps_what_entered_the_last_layer(pool):
    f = SmallCNN(1, 3, width=4, generator=Seed(0).torch()).train()
    sampler = OTMixSampler(feature_bank=True, class_affinity=AFFINITY, **ALWAYS)
    online = begun(pool, sampler, module=f)
    x, y, index = batch_of(pool)
    with_state(online, mixes=False)
    plain = online(x, y, seed=Seed(0), index=index)
    seen = []
    handle = f.head.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    f(plain.x)
    torch.testing.assert_close(online.state.bank.z[index], seen[0].detach())
    assert online.state.bank.known.sum() == 32
    f.eval()(x[:3])
    f.train()(x[:5])
    torch.testing.assert_close(online.state.bank.z[index], seen[0].detach())
    with_state(online, mixes=True)
    made = online(x, y, seed=Seed(0), index=index)
    assert online.state.bank.known.sum() > 32, "missing rows are computed"
    f(made.x)
    lam = made.terms[0].coef
    assert lam > 0.5, "the larger part is the background"
    rows = [
        int(((x - made.x[i]).abs() < 1e-6).flatten(1).double().mean(1).argmax()) for i in range(32)
    ]
    torch.testing.assert_close(online.state.bank.z[index[rows[-1]]], seen[-1].detach()[-1])
    handle.remove()
    online.leave()
    assert not f.head._forward_pre_hooks
    state = online.state_dict()
    other = begun(pool, sampler, module=f)
    other.load_state_dict(state)
    assert torch.equal(other.state.bank.z, online.state.bank.z)


def test_bank_needs_a_last_layer_and_its_features(pool):
    sampler = OTMixSampler(feature_bank=True, class_affinity=AFFINITY, **ALWAYS)

    class Odd(SmallCNN):
        def features(self, x):
            return super().features(x)[:, :3]

        def forward(self, x):
            return self.head(super().features(x))

    online = begun(pool, sampler, module=Odd(1, 3, width=4))
    x, y, index = batch_of(pool)
    online(x, y, seed=Seed(0), index=index)
    with pytest.raises(ValueError, match="Got features with 3 and 8 columns. Pass feature_bank=F"):
        online.f.logits(x)
    with pytest.raises(
        ValueError, match="notes what enters the last linear layer. Got a Sequential"
    ):
        begun(pool, sampler, module=nn.Sequential(nn.Flatten()))


# ---- whole runs ----------------------------------------------------------------------------------


def trained(X, y, sampler, **params):
    settings = {"max_epochs": 6, "lr": 0.1, "start": 0, "random_state": 0, "batch_size": 32}
    module = {"module": SmallCNN, "module__width": 4}
    return DeferredRebalancingClassifier(resampler=sampler, **{**settings, **module, **params}).fit(
        X, y
    )


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"criterion": nn.CrossEntropyLoss},
        {"criterion": BalancedSoftmaxLoss},
        {"criterion": LDAMLoss, "module__head": "cosine"},
        {"rebalance": "reweight", "rebalance_start": 3, "weighting": "effective"},
        {"rebalance": "resample", "rebalance_start": 3},
        {"train_split": 0.2},
    ],
    ids=str,
)
def test_with_any_criterion_and_rebalancing(digits, params):
    X, y = digits
    sampler = OTMixSampler(class_affinity=np.eye(10), mix_prob=1.0, start=1, stop=-1)
    net = trained(X, y, sampler, **params)
    share = net.history[:, "share_synthesized"]
    assert share == [0, 1, 1, 1, 1, 0]
    assert np.isfinite(net.history[:, "train_loss"]).all()
    again = trained(X, y, sampler, **params)
    np.testing.assert_array_equal(net.predict_proba(X), again.predict_proba(X))


def test_the_loss_is_two_weighted_terms(pool):
    """lam l(f(x), y_b) + (1 - lam) l(f(x), y_f), each over its own sum of class weights."""
    from ltresample.training._step import StepTarget, step_loss

    online = begun(pool, OTMixSampler(class_affinity=AFFINITY, mix=CutMix(4.0), **ALWAYS))
    x, y, index = batch_of(pool)
    made = online(x, y, seed=Seed(2), index=index)
    logits = torch.randn(32, 3, generator=Seed(3).torch())
    weight = torch.tensor([0.2, 0.8, 2.0])
    criterion = nn.CrossEntropyLoss(weight=weight)
    back, front = made.terms
    expected = 0.0
    for term in (back, front):
        rows = cross_entropy(logits, term.y, reduction="none") * weight[term.y]
        expected = expected + term.coef * rows.sum() / weight[term.y].sum()
    loss = step_loss(criterion, logits, StepTarget(made.terms))
    torch.testing.assert_close(loss, expected)


def test_augmentation_covers_foregrounds(digits):
    """Backgrounds are zeros and foregrounds ones after augmentation: the mixture tells."""
    X, y = digits
    calls = []

    def augment(x, generator):
        calls.append(len(x))
        return x

    sampler = OTMixSampler(pairing=RandomPairing(), **ALWAYS)
    trained(X, y, sampler, max_epochs=1, augment=augment)
    n_batches = -(-len(X) // 32)
    assert len(calls) == 2 * n_batches


@pytest.mark.parametrize("bank", [False, True])
def test_an_interrupted_run_goes_on_as_if_nothing_had_happened(digits, bank, tmp_path):
    X, y = digits
    sampler = OTMixSampler(feature_bank=bank, start=0, stop=None, schedule_power=0.0)
    settings = {"train_split": 0.2, "max_epochs": 4}
    whole = trained(X, y, sampler, **settings)

    class Stop(Exception):
        pass

    class Interrupt(Callback):
        def on_epoch_begin(self, net, **kwargs):
            if len(net.history) == 3:
                raise Stop

    with pytest.raises(Stop):
        trained(X, y, sampler, checkpoint_dir=tmp_path, callbacks=[Interrupt()], **settings)
    rest = trained(X, y, sampler, checkpoint_dir=tmp_path, **settings)
    assert len(rest.history) == 4
    np.testing.assert_array_equal(rest.predict_proba(X), whole.predict_proba(X))


def test_callbacks_for_other_nets_refuse_mixed_batches(digits):
    X, y = digits
    net = NeuralNetClassifier(
        SmallCNN(1, 10, width=4),
        criterion=nn.CrossEntropyLoss,
        callbacks=[DeferredSynthesis(OTMixSampler(pairing=RandomPairing()), start=0)],
        train_split=None,
        max_epochs=1,
        verbose=0,
    )
    with pytest.raises(ValueError, match="two labels a row.*DeferredRebalancingClassifier"):
        net.fit(X, y)


def test_presets_do_what_their_papers_do(digits):
    X, y = digits
    for preset in ("cutmix", "saliency_mix", "mixup", "remix", "mamix", "unimix", "cmo"):
        net = trained(X, y, OTMixSampler(preset=preset), max_epochs=8)
        share = np.array(net.history[:, "share_synthesized"])
        if preset in ("mixup", "remix", "mamix", "unimix"):
            assert (share == 1).all()
        else:
            assert 0 < share.mean() < 0.9
        assert (share[:4] == 0).all() == (preset == "cmo")


def test_bad_input_in_training(digits):
    X, y = digits
    with pytest.raises(
        ValueError, match=r"must have shape \(10, 10\). Got|must have shape \(10, 10"
    ):
        trained(X, y, OTMixSampler(class_affinity=np.eye(3)))
    with pytest.raises(ValueError, match="CutMix cuts boxes out of images"):
        DeferredRebalancingClassifier(
            resampler=OTMixSampler(mix=CutMix()), start=0, max_epochs=1
        ).fit(X.reshape(len(X), -1), y)
