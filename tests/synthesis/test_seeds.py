import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ltresample._random import Seed
from ltresample.rows import ArrayRows, ClassIndex, Pool, Space
from ltresample.synthesis import DistributionSeeds, NearSeeds, OpenSetSeeds, RandomSeeds, _seeds


def pool_with(counts, *, aux=None, in_batch=False, seed=0):
    y = np.repeat(np.arange(len(counts)), counts)
    x = np.random.default_rng(seed).random((len(y), 2))
    return Pool(
        ArrayRows(x, dtype=torch.float64),
        torch.from_numpy(y),
        torch.tensor(counts),
        Space.pixels(dtype=torch.float64),
        aux_x=aux,
        in_batch=in_batch,
    )


@given(
    counts=st.lists(st.integers(1, 30), min_size=2, max_size=5),
    beta=st.floats(0, 0.999),
    seed=st.integers(0, 99),
)
@settings(max_examples=60, deadline=None)
def test_seeds_come_from_larger_classes_only(counts, beta, seed):
    pool = pool_with(counts)
    for seeding in (DistributionSeeds(beta), NearSeeds(n_neighbors=3)):
        targets = list(range(len(counts)))
        state = seeding.begin(pool, Seed(0), dict.fromkeys(targets, 1))
        y_target = torch.arange(len(counts)).repeat(4)
        drawn = seeding.draw(pool, state, y_target, Seed(seed))
        has_larger = pool.class_counts[y_target] < pool.class_counts.max()
        assert torch.equal(drawn.index >= 0, has_larger)
        index, target = drawn.index[has_larger], y_target[has_larger]
        assert torch.equal(pool.y[index], drawn.y_source[has_larger])
        assert (pool.class_counts[pool.y[index]] > pool.class_counts[target]).all()


@pytest.mark.parametrize("in_batch", [False, True])
def test_source_class_follows_the_distribution_of_the_paper(in_batch):
    pool = pool_with([60, 30, 20, 4])._replace(in_batch=in_batch)
    beta, n = 0.97, 40_000
    seeding = DistributionSeeds(beta)
    drawn = seeding.draw(pool, seeding.begin(pool, Seed(0), {3: 1}), torch.full((n,), 3), Seed(1))
    weight = 1 - beta ** np.array([56.0, 26.0, 16.0, 0.0])
    weight = weight * [60, 30, 20, 4] if in_batch else weight
    share = np.bincount(drawn.y_source, minlength=4) / n
    np.testing.assert_allclose(share, weight / weight.sum(), atol=4 * 0.5 / np.sqrt(n))
    within = np.bincount(drawn.index[drawn.y_source == 1] - 60, minlength=30)
    assert within.min() > 0.5 * within.mean()


def test_fixed_subset_of_seeds():
    """A random subset, drawn from the seed of the run: not the first rows of the file."""
    pool = pool_with([60, 5])
    seeding, found = DistributionSeeds(0.9, n_per_class=3), []
    for run in range(20):
        state = seeding.begin(pool, Seed(run), {1: 200})
        drawn = [seeding.draw(pool, state, torch.ones(200).long(), Seed(i)) for i in range(2)]
        used = [set(d.index.tolist()) for d in drawn]
        assert used[0] == used[1], "the same in all draws"
        assert len(used[0]) == 3
        found.append(frozenset(used[0]))
    assert len(set(found)) > 15
    assert len(frozenset.union(*found)) > 30
    again = seeding.begin(pool, Seed(0), {1: 200})
    assert torch.equal(again, seeding.begin(pool, Seed(0), None))


def test_rows_of_a_mini_batch_must_be_known_for_a_fixed_subset():
    pool = pool_with([60, 5])
    seeding = DistributionSeeds(0.9, n_per_class=3)
    state = seeding.begin(pool, Seed(0), None)
    batch = pool.of_batch(pool.x.x[:40], pool.y[:40])
    with pytest.raises(ValueError, match="not known which of them a mini-batch holds"):
        seeding.draw(batch, state, torch.ones(3).long(), Seed(0))


def test_near_seeds_are_the_nearest_and_know_their_distance():
    pool = pool_with([50, 20, 6])
    seeding = NearSeeds(n_neighbors=4)
    drawn = seeding.draw(pool, seeding.begin(pool, Seed(0), {2: 1}), torch.full((100,), 2), Seed(5))
    x = pool.x.x
    larger, own = x[:70], x[70:]
    ranks = set()
    for index, anchor, reach in zip(drawn.index, drawn.anchor, drawn.reach, strict=True):
        assert pool.y[anchor] == 2
        ranked = np.argsort(((larger - x[anchor]) ** 2).sum(1))
        assert int(index) in ranked[:4]
        ranks.add(ranked.tolist().index(int(index)))
        assert np.isclose(np.sqrt(((own - x[index]) ** 2).sum(1)).min(), reach)
    assert ranks == {0, 1, 2, 3}, "each of the neighbours is drawn"
    assert set(drawn.anchor.tolist()) == set(range(70, 76)), "and each row of the class"


def test_the_distance_to_a_class_is_that_to_its_nearest_row_however_many_there_are():
    """9,000 sources and 300 rows of the class: more distances than are looked at together."""
    x = torch.rand(9_300, 1, generator=Seed(0).torch(), dtype=torch.float64)
    y = (torch.arange(9_300) >= 9_000).long()
    pool = Pool(ArrayRows(x), y, y.bincount(), Space.pixels())
    near = NearSeeds().begin(pool, Seed(0), {1: 1})[1]
    expected = np.abs(x[near.sources].numpy() - x[y == 1].numpy().T).min(1)
    np.testing.assert_allclose(near.reach, expected, atol=1e-3)  # single precision


def test_near_seeds_search_an_even_part_of_a_large_class():
    pool = pool_with([500, 5])
    near = NearSeeds(max_sources=50).begin(pool, Seed(0), {1: 1})[1]
    assert len(near.sources) == 50
    assert (near.sources.diff() - 10).abs().max() <= 1


def test_near_seeds_of_sparse_rows_are_those_of_dense_rows():
    rng = np.random.default_rng(0)
    x = rng.random((70, 30)) * (rng.random((70, 30)) < 0.2)
    scale = torch.tensor(rng.random(30) * (np.arange(30) > 0), dtype=torch.float64)
    space = Space(0 * scale, scale, 0 * scale, 0 * scale + 1, keep_zeros=True)
    y = torch.arange(3).repeat_interleave(torch.tensor([40, 20, 10]))
    rows_of = _seeds._rows_in_standard_units
    for rows, kind in ((x, _seeds._DenseRows), (sparse.csr_matrix(x), _seeds._SparseRows)):
        assert isinstance(rows_of(Pool(ArrayRows(rows), y, y.bincount(), space)), kind)
    found = [
        NearSeeds(n_neighbors=3).begin(
            Pool(ArrayRows(rows, dtype=torch.float64), y, y.bincount(), space),
            Seed(0),
            {1: 1, 2: 1},
        )
        for rows in (x, sparse.csr_matrix(x), sparse.csr_array(x))
    ]
    for k in (1, 2):
        dense, *others = (of[k] for of in found)
        for other in others:
            assert torch.equal(other.nearest, dense.nearest)
            torch.testing.assert_close(other.reach, dense.reach)


def test_random_and_open_set_seeds():
    aux = ArrayRows(np.zeros((7, 2)))
    pool = pool_with([10, 5, 3], aux=aux)
    y_target = torch.arange(3).repeat(50)
    random = RandomSeeds()
    drawn = random.draw(pool, None, y_target, Seed(0))
    assert (pool.y[drawn.index] != y_target).all()
    assert torch.equal(drawn.y_source, pool.y[drawn.index])
    open_set = OpenSetSeeds().draw(pool, None, y_target, Seed(0))
    assert set(open_set.index.tolist()) == set(range(7))
    assert (open_set.y_source == -1).all()


@given(counts=st.lists(st.integers(0, 6), min_size=2, max_size=5), seed=st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_rows_of_other_classes_are_counted_as_they_stand(counts, seed):
    """The j-th row that is not of class k, for every j, without a list of them."""
    y = torch.from_numpy(
        np.random.default_rng(seed).permutation(np.repeat(range(len(counts)), counts))
    )
    index = ClassIndex.of(y, len(counts))
    for k in range(len(counts)):
        others = (y != k).nonzero()[:, 0]
        u = (torch.arange(len(others), dtype=torch.float64) + 0.5) / max(1, len(others))
        drawn = index.draw_other(torch.full((len(others),), k), u)
        assert torch.equal(drawn, others)
    if y.unique().numel() == 1:
        assert index.draw_other(y[:1], torch.zeros(1).double()).tolist() == [-1]


@pytest.mark.parametrize("n_rows", [1, 7, 60])
@pytest.mark.parametrize("counts", [[40, 20], [150_000, 60_000]])
def test_rows_in_standard_units_do_not_depend_on_the_parts(counts, n_rows):
    pool = pool_with(counts)
    center = torch.tensor([0.5, 0.2], dtype=torch.float64)
    space = pool.space._replace(center=center, scale=3 * pool.space.scale)
    rows = _seeds._DenseRows(pool._replace(space=space))
    expected = (pool.x.x - center.numpy()) / 3
    np.testing.assert_allclose(rows.all, expected, rtol=1e-12, atol=1e-15)
    rows.all = None  # from the source again, in other parts
    np.testing.assert_allclose(
        rows._whole(n_rows * len(expected) // 60), rows._whole(10**6), rtol=0
    )
