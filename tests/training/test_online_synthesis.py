"""A sampler inside training steps: what it may touch, what it must keep, how often it acts."""

import copy

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch import nn

from ltresample import DistributionMatchingOversampler, M2mSampler
from ltresample._random import Seed
from ltresample.guides import differentiable
from ltresample.models import MLP, SmallCNN
from ltresample.rows import ArrayRows, pool_of
from ltresample.training._synthesis import StepSynthesis

COUNTS = np.array([400, 100, 20])
PLAIN = {  # every requested slot gets the noisy seed
    "preset": "paper",
    "n_steps": 0,
    "noise_radius": 0.0,
    "min_confidence": 0.0,
    "count_test": False,
    "count_decay": 0.0,
}


# a guide that knows nothing is good enough where only the machinery is looked at
untrained = pytest.mark.filterwarnings("ignore:g gives the true class:ltresample.LongTailWarning")


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(3), COUNTS)
    X = (rng.normal(size=(len(y), 4)) + 2 * np.eye(3, 4)[y]).astype(np.float32)
    return X, y


@pytest.fixture(scope="module")
def pool(table):
    X, y = table
    return pool_of(ArrayRows(X), torch.from_numpy(y), COUNTS)


@pytest.fixture(scope="module")
def guide(table):
    return LogisticRegression().fit(*table)


def batch_of(table, n_per_class, seed=0):
    X, y = table
    rng = np.random.default_rng(seed)
    at = np.concatenate([rng.choice(np.flatnonzero(y == k), n_per_class) for k in range(3)])
    at = torch.from_numpy(rng.permutation(at))
    return torch.from_numpy(X)[at], torch.from_numpy(y)[at], at


def bound(sampler, pool, module=None, **options):
    torch.manual_seed(0)
    module = MLP(4, 3, hidden=(6,)) if module is None else module
    options = {"classes": np.arange(3), "seed": Seed(0), **options}
    return StepSynthesis(sampler, pool, module=module, **options)


def replaced(x, made):
    return (made.x != x).flatten(1).any(1)


@pytest.mark.parametrize("kind", [M2mSampler, DistributionMatchingOversampler])
def test_accepted_slots_are_replaced_and_all_else_stays(kind, table, pool, guide):
    x, y, index = batch_of(table, 30)
    before = x.clone()
    step = bound(kind(preset="paper", g=guide, step_size=0.4, count_decay=0.9), pool)
    made = step(x, y, seed=Seed(1), index=index)
    changed = replaced(x, made)
    assert torch.equal(x, before)
    assert made.n_accepted == changed.sum() > 10
    assert made.n_requested >= made.n_accepted
    assert not changed[y == 0].any(), "the largest class is never synthesized"
    (term,) = made.terms
    assert torch.equal(term.y, y)
    sure = guide.predict_proba(made.x.double().numpy())[np.arange(len(y)), y]
    assert (sure[changed.numpy()] >= 0.9 - 1e-5).all()
    assert (made.x >= pool.space.lower).all()
    assert (made.x <= pool.space.upper).all()
    again = step(x, y, seed=Seed(1), index=index)
    assert torch.equal(again.x, made.x)
    assert not torch.equal(step(x, y, seed=Seed(2), index=index).x, made.x)


@untrained
def test_networks_are_given_back_as_they_came(pool, table):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.BatchNorm1d(4)
            self.drop = nn.Dropout(0.5)
            self.head = nn.Linear(4, 3)

        def forward(self, x):
            return self.head(self.drop(self.norm(x)))

    g, f = Net(), Net()
    f.train()
    f.norm.eval()
    f.head.bias.requires_grad_(False)
    states = copy.deepcopy((g.state_dict(), f.state_dict()))
    sampler = M2mSampler(preset="paper", g=g, min_confidence=0.0)
    step = bound(sampler, pool, f)
    made = step(*batch_of(table, 10)[:2], seed=Seed(0))
    assert made.n_accepted > 0
    for net, state in zip((g, f), states, strict=True):
        assert all(
            torch.equal(a, b)
            for a, b in zip(net.state_dict().values(), state.values(), strict=True)
        )
        assert all(p.grad is None for p in net.parameters())
    assert [part.training for part in f.modules()] == [True, False, True, True]
    assert [p.requires_grad for p in f.parameters()] == [True, True, True, False]
    assert not made.x.requires_grad


def test_without_steps_the_slots_hold_rows_of_larger_classes(table, pool, guide):
    """T = 0, no noise, no tests: x* = x_0, a row of the batch with N_k0 > N_k."""
    x, y, _ = batch_of(table, 40)
    made = bound(M2mSampler(g=guide, **PLAIN), pool)(x, y, seed=Seed(0))
    assert made.n_accepted == made.n_requested > 0
    for i in replaced(x, made).nonzero()[:, 0].tolist():
        (sources,) = np.nonzero((x == made.x[i]).all(1).numpy())
        assert len(sources)
        assert (COUNTS[y[sources]] > COUNTS[y[i]]).all()


def test_slots_are_requested_with_the_papers_probability(table, pool, guide):
    """P(generate) = 1 - N_y / N_max."""
    x, y, _ = batch_of(table, 60)
    step = bound(M2mSampler(g=guide, **PLAIN), pool)
    hits, n = np.zeros(3), 40
    for i in range(n):
        made = step(x, y, seed=Seed(i))
        hits += np.bincount(y[replaced(x, made)], minlength=3)
    rate = hits / (60 * n)
    want = 1 - COUNTS / COUNTS.max()
    assert rate[0] == 0
    assert np.abs(rate - want).max() < 5 * np.sqrt(0.25 / (60 * n))


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_share_of_the_slots(share, table, pool, guide):
    x, y, _ = batch_of(table, 60)
    step = bound(M2mSampler(g=guide, **{**PLAIN, "synthetic_share": share}), pool)
    full = bound(M2mSampler(g=guide, **PLAIN), pool)
    n_some = sum(step(x, y, seed=Seed(i)).n_requested for i in range(20))
    n_all = sum(full(x, y, seed=Seed(i)).n_requested for i in range(20))
    assert abs(n_some - share * n_all) < 5 * np.sqrt(n_all * share * (1 - share)) + 1e-9


def test_only_some_rows_of_each_class_may_be_seeds(table, pool, guide):
    """A fixed random subset of n rows a class, the same in all steps (M2m, ablation "#seeds")."""
    sampler = M2mSampler(g=guide, n_seeds_per_class=25, **PLAIN)
    step = bound(sampler, pool)
    allowed = step.state.seeding.numpy()
    X, labels = table
    assert [allowed[labels == k].sum() for k in range(3)] == [25, 25, 20]
    for i in range(10):
        x, y, index = batch_of(table, 40, seed=i)
        made = step(x, y, seed=Seed(i), index=index)
        for row in made.x[replaced(x, made)].numpy():
            (source,) = np.flatnonzero((row == X).all(1))
            assert allowed[source]


def test_a_batch_of_one_class_is_left_alone(table, pool, guide):
    x, y, _ = batch_of(table, 20)
    tail = y == 2
    made = bound(M2mSampler(preset="paper", g=guide), pool)(x[tail], y[tail], seed=Seed(0))
    assert torch.equal(made.x, x[tail])
    assert made.n_accepted == 0


def test_source_term_pushes_down_the_logit_of_the_live_network(table, pool, guide):
    """With lambda the moved rows have a lower f(x)_k0 than without, for the f of this moment."""
    x, y, _ = batch_of(table, 60)
    torch.manual_seed(0)
    f = MLP(4, 3, hidden=(16,))

    def mean_logit(weight):
        settings = {**PLAIN, "n_steps": 10, "step_size": 0.1, "source_penalty": weight}
        made = bound(M2mSampler(g=guide, **settings), pool, f)(x, y, seed=Seed(0))
        with torch.no_grad():
            return float(f(made.x)[replaced(x, made)][:, 0].mean())  # most seeds are of class 0

    assert mean_logit(5.0) < mean_logit(0.0) - 0.1
    with torch.no_grad():
        f.head.weight[0] *= -1
    assert mean_logit(5.0) < mean_logit(0.0) - 0.1


def test_real_sets_come_from_the_whole_training_split(table, pool, guide):
    seen = []

    def distance(real, synthetic, *, real_mask, synthetic_mask):
        seen.append((real_mask.sum(1), synthetic_mask.sum(1)))
        return synthetic.square().sum((1, 2))

    sampler = DistributionMatchingOversampler(
        preset="paper", g=guide, distance=distance, embedding="identity", n_steps=1
    )
    x, y, _ = batch_of(table, 5)
    bound(sampler, pool)(x, y, seed=Seed(0))
    real, synthetic = seen[0]
    assert real.tolist() == [64, 20]  # min(N_k, 64) of classes 1 and 2; the batch holds 5 of each
    assert synthetic.max() <= 5


def test_confusing_class_and_open_set_seeds_use_the_live_network(table, pool, guide):
    x, y, _ = batch_of(table, 30)
    for params in ({"confusing": "only"}, {"confusing": "add"}, {"embedding": "f"}):
        sampler = DistributionMatchingOversampler(preset="paper", g=guide, step_size=0.4, **params)
        assert bound(sampler, pool)(x, y, seed=Seed(0)).n_requested > 0
    aux = ArrayRows(np.random.default_rng(0).normal(size=(50, 4)).astype(np.float32))
    sampler = DistributionMatchingOversampler(
        preset="paper", g=guide, step_size=1.0, n_steps=20, class_test=False
    )
    made = bound(sampler, pool._replace(aux_x=aux))(x, y, seed=Seed(0))
    assert made.n_accepted > 0


def test_the_network_may_guide_itself(table, pool):
    torch.manual_seed(0)
    f = MLP(4, 3, hidden=(16,))
    step = bound(M2mSampler(preset="paper", g="f", min_confidence=0.5, step_size=0.4), pool, f)
    x, y, _ = batch_of(table, 60)
    made = step(x, y, seed=Seed(0))
    changed = replaced(x, made)
    assert changed.any()
    with torch.no_grad():
        sure = f(made.x).softmax(1).gather(1, y[:, None])[:, 0]
    assert (sure[changed] >= 0.5 - 1e-6).all()


@pytest.mark.parametrize("g", ["module", "double module", "list", "unfitted", "none"])
def test_guides_of_all_kinds(g, table, pool, guide):
    X, y = table
    module = differentiable(guide).float()
    given = {
        "module": module,
        "double module": copy.deepcopy(module).double(),
        "list": [module, guide],
        "unfitted": LogisticRegression(),
        "none": None,
    }[g]
    sampler = M2mSampler(preset="paper", g=given, min_confidence=0.0)
    step = bound(sampler, pool, raw=lambda: X)
    made = step(*batch_of(table, 20)[:2], seed=Seed(0))
    assert made.n_accepted > 0
    assert sampler.g is given
    assert not hasattr(sampler, "g_")
    if g == "unfitted":
        np.testing.assert_array_equal(step.g_.coef_, guide.coef_)
        assert not hasattr(given, "coef_")


@untrained
def test_images_get_the_papers_settings_and_tables_those_of_the_preset(table, pool, guide):
    rng = np.random.default_rng(0)
    images = ArrayRows(rng.random((520, 1, 8, 8), dtype=np.float32))
    image_pool = pool_of(images, pool.y, COUNTS)
    torch.manual_seed(0)
    for kind, n_steps in ((M2mSampler, 10), (DistributionMatchingOversampler, 5)):
        online = bound(kind(g=SmallCNN(1, 3)), image_pool, SmallCNN(1, 3))
        want = {
            "step_size": 0.1,
            "n_steps": n_steps,
            "min_confidence": 0.9,
            "seeds": "distribution",
        }
        assert {name: online.settings_[name] for name in want} == want
        online = bound(kind(g=guide), pool)
        assert online.settings_["seeds"] == "near"
        assert bound(kind(g=guide, preset="paper"), pool).settings_["n_steps"] == n_steps


@pytest.fixture(scope="module")
def conv():
    rng = np.random.default_rng(0)
    torch.manual_seed(0)
    x = torch.from_numpy(rng.random((24, 3, 8, 8), dtype=np.float32))
    y = torch.arange(24) % 3
    g, f = SmallCNN(3, 3), SmallCNN(3, 3)
    for network in (g, f):
        network(x)  # batch statistics
    return pool_of(ArrayRows(x), y, COUNTS), g, f, x, y


@untrained
def test_folded_copy_follows_the_network(conv):
    pool, g, f, x, y = conv
    f = copy.deepcopy(f)
    step = bound(M2mSampler(g=g, min_confidence=0.0, source_penalty=3.0), pool, f)
    assert step.folded is not None
    first = step(x, y, seed=Seed(0))
    with torch.no_grad():
        for p in f.parameters():
            p.mul_(-1)
    f.train()(x)
    second = step(x, y, seed=Seed(0))
    assert not torch.allclose(first.x, second.x)
    fresh = bound(M2mSampler(g=g, min_confidence=0.0, source_penalty=3.0), pool, f)
    assert torch.equal(fresh(x, y, seed=Seed(0)).x, second.x)
    torch.testing.assert_close(step.folded(x), f.eval()(x), rtol=1e-4, atol=1e-5)


@untrained
def test_half_precision_is_near_and_comes_back_single(conv):
    pool, g, f, x, y = conv
    single = bound(M2mSampler(g=g, min_confidence=0.0), pool, f)(x, y, seed=Seed(0))
    half = bound(M2mSampler(g=g, min_confidence=0.0), pool, f, precision="bfloat16")
    made = half(x, y, seed=Seed(0))
    assert made.x.dtype == torch.float32
    assert torch.equal(replaced(x, made), replaced(x, single))
    moved = (single.x - made.x).flatten(1).norm(dim=1)
    assert 0 < float(moved.max()) < 0.5  # of a travel of 1
