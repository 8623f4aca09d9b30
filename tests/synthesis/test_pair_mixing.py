"""Mixing pairs: the engine against a literal rendering, blocks across classes, validity of rows."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from joblib import parallel_config

from ltresample._random import Seed
from ltresample.guides import Classifier, FeatureRows, feature_rows
from ltresample.mixing import ColumnSwap, CutMix, MAMix, Mixup, Remix, UniMix
from ltresample.pairing import RandomPairing, Side, TransportPairing
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import MixDraw, PairMixing, Slots, fill
from ltresample.synthesis._pair_mixing import _larger_parts

SEED = Seed(5)
AFFINITY = torch.tensor([[0.8, 0.2, 0.0], [0.3, 0.6, 0.1], [0.1, 0.5, 0.4]], dtype=torch.float64)
WANTED = {1: 130, 2: 170}


def as_pool(x, y, **space):
    return Pool(
        x=ArrayRows(x, dtype=torch.float64),
        y=torch.from_numpy(y),
        class_counts=torch.from_numpy(np.bincount(y)),
        space=Space.pixels(dtype=torch.float64)._replace(**space),
    )


@pytest.fixture
def pool():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(3), [60, 25, 5]))
    return as_pool(rng.random((90, 6)), y)


@pytest.fixture
def features(pool):
    return ArrayRows(torch.randn(90, 4, generator=SEED.child("features").torch()))


def filled(mixing, pool, features=None, wanted=WANTED, **options):
    n = sum(wanted.values())
    out = torch.full((n, *pool.x.row_shape), torch.nan, dtype=torch.float64)
    mixing = dataclasses.replace(mixing, features=features)
    made = fill(mixing, pool, wanted, SEED, write=out.__setitem__, **options)
    return out, (made, made.lam)


def block(mixing, pool, foreground, n_wanted, seed=SEED):
    """Draw a block with these foregrounds."""
    state = mixing.begin(pool, SEED, WANTED)
    mixing = dataclasses.replace(mixing, block_size=len(foreground))
    slots = Slots(torch.arange(n_wanted), pool.y[foreground[:n_wanted]])
    return mixing.draw(state, slots, seed, SEED)._replace(foreground=foreground)


METHODS = [
    PairMixing(Mixup(4.0, shared=False)),
    PairMixing(Mixup(4.0), pairing=TransportPairing(), class_affinity=AFFINITY),
    PairMixing(ColumnSwap(), pairing=TransportPairing(feature_weight=1.0)),
    PairMixing(CutMix(4.0), image_shape=(2, 3), block_size=32),
    PairMixing(UniMix()),
    PairMixing(Mixup(), label_rule=Remix()),
    PairMixing(Mixup(), label_rule=MAMix()),
]


@pytest.mark.parametrize("mixing", METHODS, ids=repr)
def test_rows_are_what_their_parents_say(mixing, pool, features):
    x, (made, lam) = filled(mixing, pool, features)
    assert made.synthetic.all()
    assert torch.equal(made.y, torch.tensor([1] * 130 + [2] * 170))
    assert torch.equal(pool.y[made.index], made.y), "foregrounds are of the class"
    assert torch.equal(made.source, made.y)
    assert made.n_made == made.n_accepted == WANTED
    assert ((lam >= 0) & (lam <= 1)).all()
    fg, bg = pool.x.take(made.index), pool.x.take(made.partner)
    if mixing.mix.blends:
        if mixing.label_rule is None:
            torch.testing.assert_close(x, lam[:, None] * bg + (1 - lam[:, None]) * fg)
        ratio = ((x - fg) / (bg - fg))[made.index != made.partner].nan_to_num(0.5)
        torch.testing.assert_close(ratio, ratio[:, :1].expand_as(ratio), rtol=1e-6, atol=1e-6)
    else:
        assert ((x == fg) | (x == bg)).all()
        apart = (fg != bg).all(1)
        share = (x == bg).double().mean(1)
        torch.testing.assert_close(share[apart], lam[apart])


@pytest.mark.parametrize("mixing", METHODS, ids=repr)
def test_rows_do_not_depend_on_passes_jobs_or_the_order_of_classes(mixing, pool, features):
    x, (made, lam) = filled(mixing, pool, features)
    for options in ({"batch_size": 1}, {"batch_size": 10_000}, {"n_jobs": 2, "batch_size": 32}):
        with parallel_config(backend="threading"):
            x_2, (made_2, lam_2) = filled(mixing, pool, features, **options)
        assert torch.equal(x, x_2)
        assert torch.equal(lam, lam_2)
        assert torch.equal(made.partner, made_2.partner)
    x_3, (made_3, _) = filled(mixing, pool, features, wanted={2: 170, 1: 130})
    assert torch.equal(x_3[:170], x[130:])
    assert torch.equal(x_3[170:], x[:130])
    assert torch.equal(made_3.y[:170], made.y[130:])


def test_a_block_is_paired_as_the_paper_says(pool, features):
    """Draw, features, cost, plan, argmax, mix: one block, by hand."""
    mixing = PairMixing(Mixup(4.0), pairing=TransportPairing(), class_affinity=AFFINITY)
    foreground = torch.arange(20)
    draw = block(mixing, pool, foreground, 12)
    mixing = dataclasses.replace(mixing, features=features)
    made = mixing.make(mixing.begin(pool, SEED, WANTED), [draw])
    z_f, z_b = features.take(foreground).double(), features.take(draw.background).double()
    unit_f, unit_b = (z / z.norm(dim=1, keepdim=True) for z in (z_f, z_b))
    hat = AFFINITY - torch.diag(AFFINITY.diagonal())
    classes = hat[pool.y[foreground]][:, pool.y[draw.background]]
    cost = 0.05 * (1 - unit_f @ unit_b.T) + 0.95 * (1 - classes)
    kernel, v = torch.exp(-(cost - cost.min()) / 0.01), torch.ones(20, dtype=torch.float64)
    for _ in range(20_000):
        u = 1 / 20 / (kernel @ v)
        v = 1 / 20 / (kernel.T @ u)
    plan = u[:, None] * kernel * v
    chosen = draw.background[plan.argmax(1)[:12]]
    assert torch.equal(made.partner, chosen)
    lam = draw.params[0]
    expected = lam * pool.x.take(chosen) + (1 - lam) * pool.x.take(foreground[:12])
    torch.testing.assert_close(made.x, expected)


def test_random_pairs_along_a_plan_reduce_to_cmo(pool):
    """With a pairing at random, pair i is foreground i and background i."""
    mixing = PairMixing(ColumnSwap())
    draw = block(mixing, pool, torch.arange(20), 20)
    made = mixing.make(mixing.begin(pool, SEED, WANTED), [draw])
    assert torch.equal(made.partner, draw.background)


def test_blocks_hold_foregrounds_of_all_classes(pool, monkeypatch):
    """At least half of a block is wanted; the others are of classes that are not."""
    seen = []

    def note(self, state, slots, seed, shared):
        draw = original(self, state, slots, seed, shared)
        seen.append((pool.y[draw.foreground], len(slots.at)))
        return draw

    original = PairMixing.draw
    monkeypatch.setattr(PairMixing, "draw", note)
    filled(PairMixing(Mixup(), block_size=30), pool)
    assert all(len(y) == 30 for y, _ in seen)
    full = [(y, n) for y, n in seen if n == 20]  # two of three classes are wanted
    assert len(full) == 15
    for y, n in full:
        assert (y[n:] == 0).all()
        assert set(y[:n].tolist()) == {1, 2}, "classes are shuffled together"
    seen.clear()
    filled(PairMixing(Mixup(), block_size=30), pool, wanted={2: 60})
    assert [n for _, n in seen] == [15] * 4
    assert all(set(y[n:].tolist()) == {0, 1} for y, n in seen)
    seen.clear()
    filled(PairMixing(Mixup(), block_size=30), pool, wanted={0: 10, 1: 10, 2: 10})
    assert [n for _, n in seen] == [30]


def test_with_one_class_the_plan_ignores_the_class_affinity(pool, features):
    """Why blocks hold several classes: the dual variables absorb what depends on columns only."""
    pairing = TransportPairing(feature_weight=0.5)
    rows = (pool.y == 2).nonzero()[:, 0].repeat(4)
    other = torch.arange(20)
    sides = [Side(pool.y[i], features.take(i)) for i in (rows, other)]
    plans = [pairing.plan(*sides, class_affinity=f).plan for f in (AFFINITY, torch.zeros(3, 3))]
    torch.testing.assert_close(*plans, atol=2e-6, rtol=0)
    mixed = torch.cat([rows[:10], (pool.y == 1).nonzero()[:10, 0]])
    sides[0] = Side(pool.y[mixed], features.take(mixed))
    plans = [pairing.plan(*sides, class_affinity=f).plan for f in (AFFINITY, torch.zeros(3, 3))]
    assert (plans[0] - plans[1]).abs().max() > 0.01


def test_categories_and_whole_numbers_stay_valid():
    rng = np.random.default_rng(1)
    y = np.repeat([0, 1], [60, 20])
    x = rng.random((80, 5))
    x[:, 1] = rng.choice([1, 4, 9], 80)  # codes of categories
    x[:, 2:4] = np.eye(2)[rng.integers(2, size=80)]  # a group of indicator columns
    x[:, 4] = rng.integers(100, size=80)
    x *= [1, 1, 1, 1, 1]
    whole = torch.tensor([False, True, True, True, True])
    kept = torch.tensor([False, True, True, True, False])
    pool = as_pool(x, y, integer=whole, upper=torch.tensor(100.0), categorical=kept)
    mixing = PairMixing(Mixup(4.0, shared=False))
    rows, (made, lam) = filled(mixing, pool, wanted={1: 400})
    assert set(rows[:, 1].tolist()) <= {1, 4, 9}
    assert (rows[:, 2:4].sum(1) == 1).all(), "groups come from one row"
    assert (rows[:, 4] == rows[:, 4].round()).all()
    assert ((rows[:, 0] > 0) & (rows[:, 0] < 1)).all()
    fg = pool.x.take(made.index)
    own = (rows[:, 1:4] == fg[:, 1:4]).all(1)
    apart = (fg[:, 1:4] != pool.x.take(made.partner)[:, 1:4]).any(1)
    share = own[apart].double().mean()
    assert float(share) == pytest.approx(float(1 - lam[apart].mean()), abs=0.08)


def test_a_tick_that_stops_leaves_duplicates(pool):
    calls = []
    mixing = PairMixing(Mixup(), block_size=32)
    x, (made, lam) = filled(mixing, pool, batch_size=32, tick=lambda n: calls.append(n) or True)
    assert len(calls) == 1
    assert made.synthetic.sum() == calls[0] < 300
    rest = ~made.synthetic
    assert x[rest].isnan().all()
    assert (lam[rest] == 0).all()
    assert (made.partner[rest] == -1).all()
    assert torch.equal(pool.y[made.index], made.y)


def test_share_and_nothing_wanted(pool):
    _, (made, _) = filled(PairMixing(Mixup()), pool, synthetic_share=0.4)
    assert [int(made.synthetic[made.y == k].sum()) for k in (1, 2)] == [52, 68]
    _, (made, lam) = filled(PairMixing(Mixup()), pool, wanted={})
    assert len(made.y) == len(lam) == 0


def test_features_are_pooled_and_leave_networks_as_they_are(pool):
    network = torch.nn.Sequential(
        torch.nn.Linear(6, 8), torch.nn.BatchNorm1d(8), torch.nn.ReLU(), torch.nn.Linear(8, 3)
    ).double()
    before = {k: v.clone() for k, v in network.state_dict().items()}
    g = Classifier([network, network])
    late, early = FeatureRows(g, pool.x), feature_rows(g, pool)
    index = torch.tensor([3, 1, 3])
    torch.testing.assert_close(late.take(index), early.take(index))
    assert late.row_shape == early.row_shape == (16,)
    assert len(late) == len(early) == 90
    assert network.training
    assert all(torch.equal(before[k], v) for k, v in network.state_dict().items())
    with torch.no_grad():
        expected = network.eval()[:3](pool.x.take(index)).float()
    torch.testing.assert_close(late.take(index)[:, :8], expected)


def test_every_choice_is_drawn_from_its_own_stream(pool):
    """No two blocks, and no two choices in a block, repeat each other's numbers."""
    mixing = PairMixing(Mixup(shared=False))
    draws = [block(mixing, pool, torch.arange(40), 40, SEED.child(i)) for i in range(3)]
    streams = [s for d in draws for s in (d.uniform, d.coin, d.params, d.background.double() / 90)]
    for a, b in itertools.combinations(streams, 2):
        assert abs(float(torch.corrcoef(torch.stack([a, b]))[0, 1])) < 0.6


def test_settings_are_plain_data():
    mixing = PairMixing(CutMix(), pairing=RandomPairing())
    assert dataclasses.replace(mixing, block_size=8).block_size == 8


@pytest.mark.parametrize("rule", [Remix(), MAMix()], ids=repr)
def test_label_rules_get_the_counts_of_the_classes_of_both_parents(rule, pool):
    plain = PairMixing(Mixup(4.0, shared=False))
    _, (made, lam) = filled(plain, pool)
    _, (ruled, share) = filled(dataclasses.replace(plain, label_rule=rule), pool)
    assert torch.equal(made.partner, ruled.partner)
    n_foreground, n_background = (pool.class_counts[y] for y in (made.y, pool.y[made.partner]))
    torch.testing.assert_close(share, rule.share(lam, n_foreground, n_background))
    assert (share != lam).any()


def test_unimix_ratios_follow_from_the_counts_of_both_parents(pool):
    mixing = PairMixing(UniMix())
    draw = block(mixing, pool, torch.arange(20), 20)
    made = mixing.make(mixing.begin(pool, SEED, WANTED), [draw])
    n_foreground, n_background = (pool.counts[pool.y[i]] for i in (torch.arange(20), made.partner))
    expected = (draw.params + n_foreground / (n_foreground + n_background)) % 1
    torch.testing.assert_close(made.lam, expected)


@pytest.mark.parametrize("from_batch", [True, False])
def test_the_bank_knows_a_mixed_row_by_its_larger_part(pool, from_batch):
    index = torch.tensor([10, 11, 12, 13])
    batch = pool.of_batch(pool.x.take(index), pool.y[index], index)
    foreground = torch.tensor([2, 1, 0] if from_batch else [50, 51, 52])
    draw = MixDraw(foreground, torch.arange(4), None, None, None, None if from_batch else SEED)
    lam = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    found = _larger_parts(batch, draw, torch.tensor([3, 0, 1]), lam)
    assert found.tolist() == [12 if from_batch else 50, 10, 11, 13]
