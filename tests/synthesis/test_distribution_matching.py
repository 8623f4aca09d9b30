"""Distribution Matching against a literal rendering of its algorithm, its invariants and limits."""

import copy
import dataclasses

import numpy as np
import pytest
import torch

from ltresample._random import Seed
from ltresample.distances import EnergyDistance, MaximumMeanDiscrepancy, SinkhornTransport
from ltresample.embeddings import FixedRandomEmbedding, IdentityEmbedding, RandomEmbedding
from ltresample.guides import Classifier
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import (
    ConfusingClass,
    DistributionMatching,
    DistributionSeeds,
    M2m,
    OpenSetSeeds,
    Slots,
    SourceAndConfusingClass,
    Step,
    Steps,
    fill,
    most_confusing,
)

SEED = Seed(11)
STEPS = Steps(n_steps=5, step_size=0.05)


def softmax(z):
    e = np.exp(z - z.max())
    return e / e.sum()


def sinkhorn(C, reg):
    """argmin <T, C> - reg H(T) with uniform marginals, by 5,000 scalings."""
    n, m = C.shape
    K = np.exp(-C / reg)
    v = np.ones(m)
    for _ in range(5000):
        u = 1 / n / (K @ v)
        v = 1 / m / (K.T @ u)
    return u[:, None] * K * v


def matching_gradient(R, X, reg):
    """d/dX of M <T, C>, T fixed (envelope), C = 1 - cosine; (M, d)."""
    norm_r, norm_x = np.linalg.norm(R, axis=1), np.linalg.norm(X, axis=1)
    cosine = R @ X.T / np.outer(norm_r, norm_x)
    T = sinkhorn(1 - cosine, reg)
    gradient = np.zeros_like(X)
    for m in range(len(X)):
        for n in range(len(R)):
            d_cosine = R[n] / (norm_r[n] * norm_x[m]) - cosine[n, m] * X[m] / norm_x[m] ** 2
            gradient[m] -= len(X) * T[n, m] * d_cosine
    return gradient


def literal(draw, pool, g, f, *, eta, n_steps, lam1, lam2, reg, tau):
    """Algorithm 1 for one set, identity embedding, linear networks."""
    W, b = (p.detach().numpy() for p in g.parameters())
    V, _ = (p.detach().numpy() for p in f.parameters())
    rows = draw.rows
    k = int(rows.y_target[0])
    R = pool.x.x[draw.real_index[0][draw.real_index[0] >= 0]]
    X = np.clip(pool.x.x[rows.seeds.index] + rows.noise.numpy(), 0, 1)
    for _ in range(n_steps):
        gradient = lam2 * matching_gradient(R, X, reg)
        for m in range(len(X)):
            gradient[m] += W.T @ (softmax(W @ X[m] + b) - np.eye(3)[k])
            gradient[m] += lam1 * V[int(rows.seeds.y_source[m])]
            gradient[m] /= np.linalg.norm(gradient[m]) + 1e-10
        X = np.clip(X - eta * gradient, 0, 1)
    unit = R / np.linalg.norm(R, axis=1, keepdims=True)
    within = np.mean([1 - a @ c for a in unit for c in unit])
    kept = [
        softmax(W @ x + b)[k] >= tau
        and np.mean([1 - x @ r / np.linalg.norm(x) for r in unit]) <= within
        for x in X
    ]
    return X, np.array(kept)


def method(g, **options):
    translation = {
        "seeding": DistributionSeeds(0.9),
        "steps": STEPS,
        "min_confidence": 0.35,
        "source_penalty": 0.5,
        "count_decay": None,
    }
    defaults = {
        "embedding": IdentityEmbedding(),
        "distance": SinkhornTransport(reg=0.1, max_iter=5000, tol=1e-13),
        "n_real": 6,
        "matching_weight": 0.8,
    }
    own = {name: options.pop(name, value) for name, value in translation.items()}
    return DistributionMatching(M2m(g=g, **own), **{**defaults, **options})


def drawn(dm, pool, k, m=24, seed=SEED):
    state = dm.begin(pool, SEED, {k: m})
    return state, dm.draw(state, Slots(torch.arange(m), torch.full((m,), k)), seed, SEED)


@pytest.mark.parametrize("k", [1, 2])
@pytest.mark.parametrize("lam2", [0.0, 0.8])
def test_engine_equals_the_algorithm(problem, k, lam2):
    pool, g, f = problem
    dm = method(g, matching_weight=lam2)
    state, draw = drawn(dm, pool, k)
    made = dm.make(state, [draw], f)
    rows, kept = literal(
        draw, pool, g.members[0], f.members[0],
        eta=0.05, n_steps=5, lam1=0.5, lam2=lam2, reg=0.1, tau=0.35,
    )  # fmt: skip
    np.testing.assert_array_equal(made.accepted.numpy(), kept)
    assert 0 < kept.sum() < len(kept)
    np.testing.assert_allclose(made.x.numpy(), rows[kept], atol=1e-9)


def test_real_sets_are_drawn_for_each_class_from_the_whole_split(problem):
    _, g, _ = problem
    y = torch.arange(3).repeat_interleave(40)
    x = torch.rand(120, 4, generator=Seed(0).torch())
    whole = Pool(ArrayRows(x), y, y.bincount(), Space.pixels())
    dm, slots = method(g), Slots(torch.arange(2), torch.tensor([1, 2]))
    state = dm.begin(whole, SEED, {1: 1, 2: 1})
    batch = torch.arange(0, 120, 10)
    state = state._replace(pool=whole.of_batch(x[batch], y[batch], batch))
    real = dm.draw(state, slots, SEED, SEED).real_index
    assert (y[real] == torch.tensor([[1], [2]])).all()
    assert real.shape == (2, 6), "more than the four of a class that the batch has"
    assert not torch.equal(real[0] - 40, real[1] - 80), "each class has numbers of its own"


@pytest.mark.parametrize("without", [{"matching_weight": 0.0}, {"distance": None}], ids=str)
def test_without_distance_and_class_test_it_is_m2m(problem, without):
    pool, g, f = problem
    dm = method(g, class_test=False, **without)
    state, draw = drawn(dm, pool, 2)
    made = dm.make(state, [draw], f)
    other = dm.translation.make(state, [draw.rows], f)
    assert torch.equal(made.accepted, other.accepted)
    torch.testing.assert_close(made.x, other.x, rtol=0, atol=1e-12)


@pytest.mark.parametrize(
    "distance", [SinkhornTransport(), MaximumMeanDiscrepancy(), EnergyDistance()]
)
def test_matching_brings_the_sets_together(problem, distance):
    pool, g, _ = problem
    options = {"class_test": False, "min_confidence": 0.0, "n_real": 15, "distance": distance}
    apart = method(g, matching_weight=0.0, **options)
    near = method(g, matching_weight=20.0, **options)
    state, draw = drawn(apart, pool, 1, m=40)
    real = pool.x.take(draw.real_index[0])
    far, close = (float(distance(real, dm.make(state, [draw]).x)) for dm in (apart, near))
    assert close < far


def test_accepted_rows_are_no_farther_than_the_real_set_from_itself(problem):
    pool, g, _ = problem
    for unbiased in (False, True):
        dm = method(g, unbiased=unbiased, n_real=4, min_confidence=0.0)
        state, draw = drawn(dm, pool, 2, m=60)
        made = dm.make(state, [draw])
        unit = torch.nn.functional.normalize(pool.x.take(draw.real_index[0]), dim=1)
        distance = 1 - unit @ unit.T
        limit = distance.mean() * (4 / 3 if unbiased else 1)
        own = (1 - torch.nn.functional.normalize(made.x, dim=1) @ unit.T).mean(1)
        assert (own <= limit + 1e-12).all()
        assert 0 < made.accepted.sum() < 60
        free = dataclasses.replace(dm, class_test=False).make(state, [draw]).x
        near = (1 - torch.nn.functional.normalize(free, dim=1) @ unit.T).mean(1) <= limit + 1e-12
        assert torch.equal(made.accepted, near), "and all that are no farther are accepted"


def test_a_class_of_one_is_not_tested_against_itself(problem):
    pool, g, _ = problem
    lone = pool._replace(
        x=ArrayRows(pool.x.x[:56], dtype=torch.float64),
        y=pool.y[:56],
        class_counts=torch.tensor([40, 15, 1]),
    )
    dm = method(g, min_confidence=0.0)
    state, draw = drawn(dm, lone, 2)
    assert dm.make(state, [draw]).accepted.all()


def test_real_sets_are_drawn_without_replacement_from_the_class(problem):
    pool, g, _ = problem
    dm = method(g, n_real=64)
    _, draw = drawn(dm, pool, 1)
    index = draw.real_index[0]
    assert sorted(index[index >= 0].tolist()) == (pool.y == 1).nonzero()[:, 0].tolist()
    _, other = drawn(method(g, n_real=5), pool, 1, seed=Seed(12))
    assert len(set(other.real_index[0].tolist())) == 5


def test_batch_statistics_are_set_by_all_classes_alike(problem):
    """Not by the largest one, which a class-balanced mini-batch does not favour either."""
    pool, g, _ = problem
    _, draw = drawn(method(g, n_calibration=20_000), pool, 1)
    share = torch.bincount(pool.y[draw.calibration]) / 20_000
    torch.testing.assert_close(share, torch.full((3,), 1 / 3), rtol=0, atol=0.015)


def test_blocks_share_an_embedding_by_number_and_families_change_with_it(problem):
    pool, g, _ = problem
    dm = method(g, embedding=RandomEmbedding(width=16))
    state = dm.begin(pool, SEED, {1: 4, 2: 4})
    draws = [
        dm.draw(
            state,
            Slots(torch.arange(4), torch.full((4,), k)),
            SEED.child("block", k, n),
            SEED.child("shared", n),
        )
        for n in (0, 1)
        for k in (1, 2)
    ]
    assert draws[0].embedding == draws[1].embedding != draws[2].embedding
    together = dm.make(state, draws)
    alone = [dm.make(state, [draw]) for draw in draws]
    torch.testing.assert_close(together.x, torch.cat([part.x for part in alone]), rtol=0, atol=1e-9)
    assert torch.equal(together.accepted, torch.cat([part.accepted for part in alone]))
    fixed = dataclasses.replace(dm, embedding=FixedRandomEmbedding(width=16, seed=3))
    rows = pool.x.take(torch.arange(5))
    members = [fixed._embed(pool, draw)(rows) for draw in (draws[0], draws[2])]
    assert torch.equal(*members)
    members = [dm._embed(pool, draw)(rows) for draw in (draws[0], draws[2])]
    assert not torch.allclose(*members)


def test_resting_rows_stay_and_count_in_the_set(problem):
    pool, g, _ = problem
    dm = method(g, steps=STEPS._replace(n_steps=40, rest=True, step_size=0.02))
    state, draw = drawn(dm, pool, 1, m=40)
    made = dm.make(state, [draw])
    assert made.accepted.sum() > 10
    sure = g.log_proba(made.x).exp()[:, 1]
    assert (sure >= 0.35).all()
    unit = torch.nn.functional.normalize(pool.x.take(draw.real_index[0]), dim=1)
    mean = unit.mean(0)
    similarity = torch.nn.functional.normalize(made.x, dim=1) @ mean
    assert (similarity >= mean.square().sum() - 1e-12).all()


def test_literal_scale_weakens_the_distance_by_the_size_of_the_set(problem):
    pool, g, _ = problem
    options = {"class_test": False, "min_confidence": 0.0}
    literal_scale = method(g, literal_scale=True, matching_weight=0.8 * 24, **options)
    per_row = method(g, matching_weight=0.8, **options)
    state, draw = drawn(per_row, pool, 1, m=24)
    a, b = (dm.make(state, [draw]).x for dm in (literal_scale, per_row))
    torch.testing.assert_close(a, b, rtol=0, atol=1e-9)


def test_open_set_seeds_and_the_confusing_class(problem):
    pool, g, f = problem
    rng = np.random.default_rng(0)
    pool = pool._replace(aux_x=ArrayRows(rng.random((30, 3)), dtype=torch.float64))
    confusing = torch.tensor([1, 0, 0])
    options = {"seeding": OpenSetSeeds(), "class_test": False, "min_confidence": 0.0}
    dm = method(g, penalty=ConfusingClass(confusing), steps=STEPS._replace(n_steps=20), **options)
    state, draw = drawn(dm, pool, 2)
    made = dm.make(state, [draw], f)
    free = dataclasses.replace(dm.translation, source_penalty=0.0)
    plain = dataclasses.replace(dm, translation=free).make(state, [draw], f)
    assert made.accepted.all()
    assert f.logits(made.x)[:, 0].mean() < f.logits(plain.x)[:, 0].mean()


def test_penalties_pick_the_logits_they_name():
    logits = torch.arange(12.0).view(4, 3)
    source, target = torch.tensor([0, 1, 0, 1]), torch.tensor([2, 2, 1, 0])
    confusing = torch.tensor([1, 2, 0])
    kc = [0, 3, 8, 10]
    assert ConfusingClass(confusing)(logits, source, target).tolist() == kc
    both = [a + b for a, b in zip(kc, [0, 4, 6, 10], strict=True)]
    assert SourceAndConfusingClass(confusing)(logits, source, target).tolist() == both


def test_most_confusing_breaks_ties_by_frequency():
    affinity = torch.tensor([[0.9, 0.05, 0.05], [0.3, 0.4, 0.3], [0.0, 0.2, 0.8]])
    assert most_confusing(affinity, torch.tensor([10, 50, 30])).tolist() == [1, 2, 1]


def test_batch_is_matched_to_real_sets_of_the_whole_training_set(problem):
    whole, g, f = problem
    at = torch.cat([torch.arange(0, 40, 4), torch.arange(40, 59)])
    x, y = whole.x.take(at), whole.y[at]
    dm = method(g, embedding=RandomEmbedding(width=8), min_confidence=0.2)
    step = Step(dm, whole, SEED, f=f)
    result = step(x, y, seed=SEED, index=at)
    changed = (result.x != x).any(1)
    assert int(changed.sum()) == result.n_accepted > 0
    assert not changed[y == 0].any()
    torch.testing.assert_close(step(x, y, seed=SEED).x, result.x, rtol=0, atol=0)


def test_rows_do_not_depend_on_batch_size_or_order_but_on_the_size_of_sets(problem):
    pool, g, _ = problem

    def rows(wanted, batch_size=1000, **options):
        dm = method(g, embedding=RandomEmbedding(width=8), **{"block_size": 8, **options})
        out = np.full((sum(wanted.values()), 3), np.nan)
        fill(
            dm, pool, wanted, SEED,
            write=lambda at, x: out.__setitem__(at.numpy(), x.numpy()), batch_size=batch_size,
        )  # fmt: skip
        return out

    reference = rows({1: 20, 2: 21})
    np.testing.assert_allclose(rows({1: 20, 2: 21}, batch_size=1), reference, atol=1e-9)
    np.testing.assert_allclose(rows({2: 21, 1: 20})[21:], reference[:20], atol=1e-9)
    assert not np.array_equal(rows({1: 20, 2: 21}, block_size=16), reference, equal_nan=True)


def test_rows_that_equal_the_real_set_but_for_rounding_belong_to_it(problem):
    """All real rows alike: their distance to the set is that of the set, 0, up to rounding."""
    pool, g, _ = problem
    rng, accepted = np.random.default_rng(0), 0
    for _ in range(30):
        x = pool.x.x.copy()
        x[pool.y == 2] = rng.random(3)  # the target class is one point
        for dtype in (torch.float32, torch.float64):
            same = pool._replace(x=ArrayRows(x, dtype=dtype), space=Space.pixels(dtype=dtype))
            dm = method(
                Classifier([m.to(dtype) for m in copy.deepcopy(g.members)]),
                min_confidence=0.0,
                n_real=4,
                seeding=OpenSetSeeds(),
                steps=Steps(n_steps=0, noise_radius=0.0),
            )
            same = same._replace(aux_x=ArrayRows(x[pool.y.numpy() == 2] * 3.7, dtype=dtype))
            same = same._replace(space=same.space._replace(upper=torch.full((), 9.0, dtype=dtype)))
            state, draw = drawn(dm, same, 2, m=5)
            accepted += int(dm.make(state, [draw]).accepted.sum())
    assert accepted == 30 * 2 * 5, "all point where the set points"
