"""The class index of a pool."""

import pickle

import torch
from hypothesis import given
from hypothesis import strategies as st

from ltresample._random import Seed
from ltresample.rows import ArrayRows, ClassIndex, Pool, Space


@given(y=st.lists(st.integers(0, 4), min_size=1, max_size=40), n_more=st.integers(0, 2))
def test_the_rows_of_each_class_stand_together_in_their_order(y, n_more):
    y, n_classes = torch.tensor(y), 5 + n_more
    index = ClassIndex.of(y, n_classes)
    for k, rows in enumerate(index.split()):
        assert torch.equal(rows, (y == k).nonzero()[:, 0])
    assert torch.equal(index.counts, torch.bincount(y, minlength=n_classes))


def test_rows_of_a_class_are_drawn_alike():
    y = torch.tensor([2, 0, 2, 1, 2, 0])
    u = torch.rand(3000, generator=Seed(0).torch(), dtype=torch.float64)
    drawn = ClassIndex.of(y, 3).draw(torch.full((3000,), 2), u)
    assert torch.equal(drawn.unique(), torch.tensor([0, 2, 4]))
    assert (drawn.bincount()[[0, 2, 4]] - 1000).abs().max() < 120


def test_an_index_is_made_once_and_belongs_to_its_labels():
    y = torch.tensor([0, 1, 0])
    pool = Pool(ArrayRows(torch.zeros(3, 2)), y, torch.tensor([2, 1]), Space.pixels())
    assert pool.classes is pool.classes
    other = pool._replace(y=1 - y)
    assert torch.equal(other.classes.counts, torch.tensor([1, 2]))
    assert torch.equal(pickle.loads(pickle.dumps(pool)).classes.order, pool.classes.order)


def test_rows_are_taken_as_batches_are():
    pool = Pool(ArrayRows(torch.ones(3, 2)), torch.zeros(3), torch.tensor([3]), Space.pixels())
    index = torch.tensor([2, 0])
    assert torch.equal(pool.take(index, Seed(0)), torch.ones(2, 2))

    def noisy(x, generator):
        return x + torch.rand(x.shape, generator=generator)

    augmented = pool._replace(augment=noisy)
    first, same, other = (augmented.take(index, Seed(i)) for i in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)
