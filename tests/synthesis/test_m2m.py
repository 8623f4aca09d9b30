"""M2m against a literal rendering of its algorithm, its invariants and its limits."""

import copy
import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

from ltresample._random import Seed
from ltresample.guides import Classifier
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import (
    DistributionSeeds,
    M2m,
    NearSeeds,
    RealBatch,
    Slots,
    Step,
    Steps,
    fill,
    gaussian_noise,
    reference_noise,
    uniform_noise,
)

SEED = Seed(7)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def m2m_literal(draw, pool, g, f, *, eta, n_steps, lam, gamma, beta):
    """Algorithm 1 of M2m, row by row, for linear networks whose gradients are written by hand."""
    W, b = (p.detach().numpy() for p in g.parameters())
    V, _ = (p.detach().numpy() for p in f.parameters())
    x, counts = pool.x.x, pool.class_counts.numpy()
    out = []
    for i in range(len(draw.y_target)):
        k, k0 = int(draw.y_target[i]), int(draw.seeds.y_source[i])
        z = np.clip(x[draw.seeds.index[i]] + draw.noise[i].numpy(), 0, 1)
        for _ in range(n_steps):
            p = softmax(W @ z + b)
            gradient = W.T @ (p - np.eye(len(p))[k]) + lam * V[k0]
            z = np.clip(z - eta * gradient / (np.linalg.norm(gradient) + 1e-10), 0, 1)
        sure = softmax(W @ z + b)[k]
        kept = sure >= gamma and float(draw.uniform[i]) < 1 - beta ** max(counts[k0] - counts[k], 0)
        out.append((kept, sure, z))
    return out


def drawn(method, pool, y_target, seed=SEED):
    """Draw rows of these classes, as `fill` does."""
    state = method.begin(pool, SEED, {int(k): 1 for k in y_target.unique()})
    return state, method.draw(state, Slots(torch.arange(len(y_target)), y_target), seed, SEED)


def rewritten(method, pool, seed, f=None):
    """Rewrite the mini-batch that the pool holds, as a step of training does."""
    return Step(method, pool.reference or pool, SEED, f=f)(
        pool.x.take(torch.arange(len(pool.y))), pool.y, seed=seed
    )


@pytest.mark.parametrize("n_steps", [0, 1, 10])
@pytest.mark.parametrize("lam", [0.0, 0.5])
def test_engine_equals_the_algorithm(problem, n_steps, lam):
    pool, g, f = problem
    beta, gamma, eta = 0.9, 0.4, 0.05
    method = M2m(
        g=g,
        seeding=DistributionSeeds(beta),
        steps=Steps(n_steps=n_steps, step_size=eta),
        min_confidence=gamma,
        source_penalty=lam,
        count_decay=beta,
    )
    y_target = torch.tensor([1, 2] * 16)
    state, draw = drawn(method, pool, y_target)
    made = method.make(state, [draw], f)
    expected = m2m_literal(
        draw, pool, g.members[0], f.members[0],
        eta=eta, n_steps=n_steps, lam=lam, gamma=gamma, beta=beta,
    )  # fmt: skip
    np.testing.assert_array_equal(made.accepted.numpy(), [kept for kept, _, _ in expected])
    assert 0 < made.accepted.sum() < len(y_target)
    rows = np.array([z for kept, _, z in expected if kept])
    np.testing.assert_allclose(made.x.numpy(), rows, atol=1e-12)
    sure = np.array([sure for _, sure, _ in expected])
    tried = ~made.confidence.isnan().numpy()
    np.testing.assert_allclose(made.confidence.numpy()[tried], sure[tried], atol=1e-12)


def test_without_steps_noise_and_tests_the_seed_comes_back(problem):
    pool, g, _ = problem
    method = M2m(
        g=g,
        seeding=DistributionSeeds(0.0),
        steps=Steps(n_steps=0, noise_radius=0.0),
        min_confidence=0.0,
        count_decay=0.0,
    )
    state, draw = drawn(method, pool, torch.full((20,), 2))
    made = method.make(state, [draw])
    assert made.accepted.all()
    torch.testing.assert_close(made.x, pool.x.take(draw.seeds.index), rtol=0, atol=0)


def test_travel_is_bounded_and_rows_stay_in_range(problem):
    pool, g, f = problem
    method = M2m(g=g, steps=Steps(n_steps=10, step_size=0.1), min_confidence=0.0, count_decay=None)
    state, draw = drawn(method, pool, torch.full((50,), 2))
    made = method.make(state, [draw], f)
    start = (pool.x.take(draw.seeds.index) + draw.noise).clamp(0, 1)
    assert ((made.x - start).norm(dim=1) <= 10 * 0.1 + 1e-6).all()
    assert ((made.x >= 0) & (made.x <= 1)).all()
    assert (draw.noise.norm(dim=1) <= 0.5 + 1e-9).all()
    counts = pool.class_counts
    assert (counts[draw.seeds.y_source] > counts[2]).all()


def test_resting_rows_stop_where_they_are_accepted(problem):
    pool, g, _ = problem
    steps = Steps(n_steps=30, step_size=0.02, rest=True)
    method = M2m(g=g, steps=steps, min_confidence=0.5, count_decay=None)
    state, draw = drawn(method, pool, torch.full((40,), 2))
    made = method.make(state, [draw])
    moving = dataclasses.replace(method, steps=steps._replace(rest=False))
    further = moving.make(state, [draw])
    assert made.accepted.sum() > 10
    confidence = g.log_proba(made.x).exp()[:, 2]
    torch.testing.assert_close(confidence, made.confidence[made.accepted])
    assert (confidence >= 0.5).all()
    assert confidence.mean() < further.confidence[made.accepted].mean()


def test_clean_variant_gives_unmoved_seeds_of_accepted_rows(problem):
    pool, g, f = problem
    method = M2m(g=g, steps=Steps(step_size=0.05), min_confidence=0.4, count_decay=0.9)
    state, draw = drawn(method, pool, torch.full((40,), 1))
    moved = method.make(state, [draw], f)
    clean = dataclasses.replace(method, insert_seed=True).make(state, [draw], f)
    assert torch.equal(moved.accepted, clean.accepted)
    torch.testing.assert_close(
        clean.x, pool.x.take(draw.seeds.index[clean.accepted]), rtol=0, atol=0
    )


def test_loss_reading_of_the_threshold(problem):
    pool, g, _ = problem
    method = M2m(g=g, min_confidence=0.9, loss_test=True, count_decay=None)
    state, draw = drawn(method, pool, torch.full((64,), 1))
    made = method.make(state, [draw])
    assert torch.equal(made.accepted, made.confidence >= np.exp(-0.9))


def test_a_bound_of_the_loss_is_met_from_below():
    log_p = torch.tensor([-0.4, -0.5, -0.6])
    by_loss = M2m(g=None, min_confidence=0.5, loss_test=True)
    assert by_loss.is_confident(log_p).tolist() == [True, True, False]
    by_share = M2m(g=None, min_confidence=0.6)
    assert by_share.is_confident(log_p).tolist() == [True, True, False]  # 0.67, 0.61, 0.55


def test_request_spares_the_head_and_has_the_rate_of_the_paper():
    counts = torch.tensor([50, 200, 10])
    y = torch.arange(3).repeat(20_000)
    pool = Pool(ArrayRows(torch.zeros(len(y), 1)), y, counts, Space.pixels())
    method = M2m(g=None)
    slots = method.request(method.begin(pool, SEED), RealBatch(pool.x.x, y), SEED)
    assert torch.equal(slots.y, y[slots.at])
    rate = torch.bincount(slots.y, minlength=3) / 20_000
    assert rate[1] == 0
    expected = 1 - counts / 200
    np.testing.assert_allclose(rate, expected, atol=4 * np.sqrt(0.25 / 20_000))


class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Linear(3, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3)
        )

    def forward(self, x):
        return self.body(x)


def snapshot(module):
    return (
        {k: v.clone() for k, v in module.state_dict().items()},
        [
            (p.requires_grad, None if p.grad is None else p.grad.clone())
            for p in module.parameters()
        ],
        [m.training for m in module.modules()],
    )


def test_batch_is_rewritten_in_place_and_networks_come_back_as_they_came():
    rng = np.random.default_rng(0)
    y = torch.arange(3).repeat(20)
    x = torch.from_numpy(rng.random((60, 3))).float()
    g, f = Network().eval(), Network().train()
    f(x).sum().backward()
    next(iter(g.parameters())).requires_grad_(False)
    before = snapshot(g), snapshot(f)
    global_state = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    pool = Pool(ArrayRows(x), y, torch.tensor([500, 80, 10]), Space.pixels(), in_batch=True)
    method = M2m(g=Classifier([g]), min_confidence=0.3, count_decay=0.9)
    batch = rewritten(method, pool, SEED, f=Classifier([f]))
    for module, (state, params, modes) in zip((g, f), before, strict=True):
        now = snapshot(module)
        assert all(torch.equal(state[k], now[0][k]) for k in state)
        assert [p[0] for p in params] == [p[0] for p in now[1]]
        for (_, a), (_, b) in zip(params, now[1], strict=True):
            assert (a is None and b is None) or torch.equal(a, b)
        assert modes == now[2]
    assert torch.equal(global_state[0], torch.get_rng_state())
    assert (global_state[1] == np.random.get_state()[1]).all()  # noqa: NPY002
    changed = (batch.x != x).any(1)
    assert not changed[y == 0].any()
    assert int(changed.sum()) == batch.n_accepted > 0
    assert batch.n_requested >= batch.n_accepted
    assert torch.equal(batch.terms[0].y, y)
    again = rewritten(method, pool, SEED, f=Classifier([f]))
    torch.testing.assert_close(batch.x, again.x, rtol=0, atol=0)


def test_batch_without_larger_classes_or_slots_is_left_alone():
    x = torch.rand(6, 3, generator=torch.Generator().manual_seed(0))
    method = M2m(g=Classifier([nn.Linear(3, 2)]), min_confidence=0.0, count_decay=None)
    for counts, y in [([10, 10], [0, 1] * 3), ([100, 1], [1] * 6)]:
        pool = Pool(
            ArrayRows(x), torch.tensor(y), torch.tensor(counts), Space.pixels(), in_batch=True
        )
        batch = rewritten(method, pool, SEED)
        assert batch.n_accepted == 0
        assert torch.equal(batch.x, x)


def filled(pool, g, wanted, **options):
    out = np.full((sum(wanted.values()), 3), np.nan)
    method = M2m(
        g=g, min_confidence=0.4, steps=Steps(step_size=0.05), count_decay=0.9, block_size=8
    )

    def write(at, x):
        out[at.numpy()] = x.numpy()

    record = fill(method, pool, wanted, SEED, write=write, **options)
    return out, record


def test_rows_do_not_depend_on_batch_size_jobs_or_order_of_classes(problem):
    pool, g, _ = problem
    reference, record = filled(pool, g, {1: 25, 2: 36}, batch_size=1024)
    assert 0.2 < record.synthetic.float().mean() < 1
    for options in [{"batch_size": 1}, {"batch_size": 16}, {"n_jobs": 2, "batch_size": 8}]:
        rows, other = filled(pool, g, {1: 25, 2: 36}, **options)
        np.testing.assert_allclose(rows, reference, atol=1e-12)
        assert torch.equal(other.index, record.index)
        assert torch.equal(other.synthetic, record.synthetic)
    turned, other = filled(pool, g, {2: 36, 1: 25})
    np.testing.assert_allclose(turned[:36], reference[25:], atol=1e-12)
    np.testing.assert_allclose(turned[36:], reference[:25], atol=1e-12)


def test_rounds_only_fill_what_is_missing(problem):
    pool, g, _ = problem
    one, first = filled(pool, g, {1: 25, 2: 36})
    more, record = filled(pool, g, {1: 25, 2: 36}, max_rounds=4)
    assert record.synthetic.sum() > first.synthetic.sum()
    kept = first.synthetic.numpy()
    np.testing.assert_allclose(more[kept], one[kept], atol=1e-12)
    assert set(record.round[record.synthetic].tolist()) >= {0, 1}
    assert record.n_made[1] > 25
    assert record.n_accepted[1] == int(record.synthetic[record.y == 1].sum())


def test_share_of_zero_is_plain_duplication(problem):
    pool, g, _ = problem
    rows, record = filled(pool, g, {2: 50}, synthetic_share=0.0)
    assert np.isnan(rows).all()
    assert not record.synthetic.any()
    assert set(record.index.tolist()) == set((pool.y == 2).nonzero()[:, 0].tolist())


def test_different_classes_and_blocks_draw_different_numbers(problem):
    pool, g, _ = problem
    method = M2m(g=g)
    draws = [
        drawn(method, pool, torch.full((8,), k), SEED.child("block", k, n))[1]
        for k in (1, 2)
        for n in (0, 1)
    ]
    noise = torch.stack([draw.noise for draw in draws]).flatten(1)
    assert len(torch.unique(noise, dim=0)) == 4


def test_published_noise_is_bounded_over_the_rows_that_have_a_seed():
    used = torch.zeros(50, dtype=torch.bool)
    used[:5] = True
    options = (0.5, Seed(0).torch(), torch.float64)
    noise = reference_noise((50, 3, 4, 4), *options, used)
    per_channel = noise[:5].transpose(0, 1).flatten(1).norm(dim=1)
    torch.testing.assert_close(per_channel, torch.full((3,), 0.5, dtype=torch.float64))
    everyone = reference_noise((50, 3, 4, 4), 0.5, Seed(0).torch(), torch.float64)
    bound = everyone.transpose(0, 1).flatten(1).norm(dim=1)
    torch.testing.assert_close(bound, torch.full((3,), 0.5, dtype=torch.float64))
    assert (noise[:5].flatten(1).norm(dim=1) > everyone[:5].flatten(1).norm(dim=1)).all()


def test_published_noise_in_a_step_leaves_rows_without_a_seed_out(problem):
    """Rows of the largest class in a batch have no seed."""
    pool, g, _ = problem
    method = M2m(g=g, steps=Steps(draw_noise=reference_noise, noise_radius=0.5))
    y = torch.tensor([0] * 30 + [2] * 4)
    _, draw = drawn(method, pool, y)
    assert (draw.seeds.index[:30] == -1).all()
    per_column = draw.noise[30:].norm(dim=0)
    torch.testing.assert_close(per_column, torch.full((3,), 0.5, dtype=torch.float64))


def test_uniform_noise_is_shortened_and_never_stretched():
    """U(-1/2, 1/2) in each coordinate; a row that is too long is brought back to the radius."""
    radius = torch.tensor([0.5, 0.2], dtype=torch.float64).repeat(250)
    raw = torch.rand(500, 3, generator=Seed(0).torch(), dtype=torch.float64) - 0.5
    noise, norm = uniform_noise((500, 3), radius, Seed(0).torch(), torch.float64), raw.norm(dim=1)
    short = norm <= radius
    assert 0 < short.sum() < 500
    torch.testing.assert_close(noise[short], raw[short])
    torch.testing.assert_close(noise[~short], raw[~short] * (radius / norm)[~short, None])


def test_gaussian_noise_has_the_length_of_the_radius():
    """N(0, radius^2 / d) in each of d coordinates: E |noise|^2 = radius^2."""
    radius = torch.tensor([0.5, 2.0], dtype=torch.float64).repeat(1000)
    noise = gaussian_noise((2000, 3, 4, 4), radius, Seed(0).torch(), torch.float64) / radius.view(
        -1, 1, 1, 1
    )
    for rows in (noise[::2], noise[1::2]):
        assert float(rows.square().sum((1, 2, 3)).mean()) == pytest.approx(1, abs=0.03)
        assert rows.mean().abs() < 4 / (1000 * 48 * 48) ** 0.5
    assert gaussian_noise((0, 3), 0.5, Seed(0).torch(), torch.float32).shape == (0, 3)


def test_the_unit_of_a_column_has_no_meaning(problem):
    """Columns in other units, and networks that take them so, give the same rows in these units."""
    pool, g, f = problem
    unit = torch.tensor([10.0, 0.1, 3.0], dtype=torch.float64)
    other = pool._replace(
        x=ArrayRows(pool.x.x * unit.numpy(), dtype=torch.float64),
        space=pool.space._replace(scale=unit, upper=unit),
    )
    in_units = copy.deepcopy((g, f))
    with torch.no_grad():
        for classifier in in_units:
            classifier.members[0].weight.div_(unit)
    settings = {"steps": Steps(n_steps=5, step_size=0.05), "min_confidence": 0.4}
    y_target = torch.full((20,), 1)
    made = []
    for rows, own_g, own_f in ((pool, g, f), (other, *in_units)):
        method = M2m(g=own_g, count_decay=None, **settings)
        state, draw = drawn(method, rows, y_target)
        made.append(method.make(state, [draw], own_f))
    assert 0 < made[0].accepted.sum() < 20
    assert torch.equal(made[0].accepted, made[1].accepted)
    torch.testing.assert_close(made[0].x, made[1].x / unit)


def test_steps_and_noise_in_shares_of_the_way_to_the_class(problem):
    pool, g, _ = problem
    steps = Steps(n_steps=4, step_size=None, travel=0.5, noise_radius=None, noise=0.1)
    method = M2m(g=g, seeding=NearSeeds(), steps=steps, min_confidence=0.0, count_decay=None)
    _, draw = drawn(method, pool, torch.full((30,), 2))
    torch.testing.assert_close(4 * draw.step_size, 0.5 * draw.seeds.reach)
    torch.testing.assert_close(draw.noise.norm(dim=1), 0.1 * draw.seeds.reach)


@pytest.mark.parametrize("near", [True, False])
def test_zeros_of_sparse_rows_move_only_where_a_near_row_has_a_number(problem, near):
    pool, g, _ = problem
    generator = Seed(2).torch()
    x = pool.x.x * (torch.rand(len(pool.y), 3, generator=generator) < 0.5).numpy()
    pool = pool._replace(
        x=ArrayRows(x, dtype=torch.float64), space=pool.space._replace(keep_zeros=True)
    )
    seeding = NearSeeds() if near else DistributionSeeds(0.0)
    steps = Steps(n_steps=3, step_size=0.05)
    method = M2m(g=g, seeding=seeding, steps=steps, min_confidence=0.0, count_decay=None)
    state, draw = drawn(method, pool, torch.full((30,), 1))
    made = method.make(state, [draw])
    zero = pool.x.take(draw.seeds.index) == 0
    still = zero & (pool.x.take(draw.seeds.anchor.clamp(min=0)) == 0) if near else zero
    assert (made.x[still] == 0).all()
    assert (made.x[zero] != 0).any() == near
    assert (made.x != pool.x.take(draw.seeds.index))[~zero].any()


def test_categories_are_those_of_the_near_row_and_never_move(problem):
    pool, g, _ = problem
    fixed = torch.tensor([False, True, False])
    pool = pool._replace(space=pool.space._replace(categorical=fixed))
    steps = Steps(n_steps=3, step_size=0.05)
    method = M2m(g=g, seeding=NearSeeds(), steps=steps, min_confidence=0.0, count_decay=None)
    state, draw = drawn(method, pool, torch.full((30,), 1))
    made = method.make(state, [draw])
    seed, near = (pool.x.take(at) for at in (draw.seeds.index, draw.seeds.anchor))
    assert torch.equal(made.x[:, 1], near[:, 1])
    assert (made.x != seed)[:, [0, 2]].any(1).all()


def test_no_two_blocks_or_rounds_share_their_numbers(problem, monkeypatch):
    pool, g, _ = problem
    seen, draw = [], M2m.draw
    monkeypatch.setattr(M2m, "draw", lambda *args: seen.append(draw(*args)) or seen[-1])
    _, record = filled(pool, g, {1: 25, 2: 36}, max_rounds=3)
    assert sum(record.n_made.values()) > 61, "some rows were drawn anew"
    noise = torch.cat([one.noise for one in seen])
    assert len(noise.unique(dim=0)) == len(noise)


def test_random_labels_are_of_a_third_class():
    """M2m-RS-Rand: uniform over all classes but those of the target and of the seed."""
    counts = torch.tensor([400, 100, 50, 20, 10])
    x, y = torch.rand(60, 3, generator=Seed(0).torch()), torch.arange(5).repeat(12)
    pool = Pool(ArrayRows(x), y, counts, Space.pixels(), in_batch=True)
    settings = {"steps": Steps(n_steps=0), "min_confidence": 0.0, "count_decay": None}
    g = Classifier([nn.Linear(3, 5)])
    method = M2m(g=g, seeding=DistributionSeeds(0.0), random_labels=True, **settings)
    slots = Slots(torch.arange(6000), torch.full((6000,), 3))
    draw = method.draw(method.begin(pool, SEED), slots, SEED, SEED)
    share = torch.stack(
        [torch.bincount(draw.label[draw.seeds.y_source == k], minlength=5) for k in range(3)]
    )
    allowed = (1 - torch.eye(5))[:3] * (torch.arange(5) != 3)
    torch.testing.assert_close(share / share.sum(1, keepdim=True), allowed / 3, rtol=0, atol=0.05)
    batch = rewritten(dataclasses.replace(method, min_confidence=0.2), pool, SEED)
    changed = (batch.x != x).any(1)
    assert 0 < batch.n_accepted == int(changed.sum()) < batch.n_requested
    assert torch.equal(batch.terms[0].y != y, changed)
