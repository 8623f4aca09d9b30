"""The stream of positions: its law, and what it depends on."""

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, TensorDataset

from ltresample.training import ClassIndexSampler
from ltresample.training._index_samplers import IndexBatches


def labels(counts):
    return np.repeat(np.arange(len(counts)), counts)


@given(n=st.integers(1, 60), epoch=st.integers(0, 5), seed=st.integers(0, 5))
def test_without_weights_an_epoch_is_a_permutation(n, epoch, seed):
    sampler = ClassIndexSampler(np.zeros(n), random_state=seed)
    sampler.set_epoch(epoch)
    assert sorted(sampler) == list(range(n))
    assert len(sampler) == n


def test_stream_depends_on_seed_and_epoch_only():
    y = labels([50, 5])

    def stream(seed, epoch, before=()):
        sampler = ClassIndexSampler(y, random_state=seed)
        for other in before:
            sampler.set_epoch(other)
            list(sampler)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert stream(0, 3) == stream(0, 3, before=[0, 1, 2, 2])
    assert len({tuple(stream(*path)) for path in [(0, 3), (0, 4), (1, 3)]}) == 3


def test_balanced_weights_draw_classes_alike():
    counts = np.array([900, 90, 10])
    sampler = ClassIndexSampler(labels(counts), random_state=0)
    sampler.set_class_weight(1 / counts)
    drawn = np.zeros(3)
    for epoch in range(30):
        sampler.set_epoch(epoch)
        drawn += np.bincount(sampler.y[sampler.positions()], minlength=3)
    n = drawn.sum()
    assert n == 30 * 1000
    assert np.abs(drawn / n - 1 / 3).max() < 5 * np.sqrt(2 / 9 / n)  # five standard errors


@given(
    counts=st.lists(st.integers(1, 8), min_size=2, max_size=4),
    weight=st.lists(st.floats(0, 3), min_size=4, max_size=4),
)
def test_classes_without_weight_are_never_drawn(counts, weight):
    weight = np.array(weight[: len(counts)])
    weight[0] = 1.0
    sampler = ClassIndexSampler(labels(counts), random_state=0)
    sampler.set_class_weight(weight)
    assert (weight[sampler.y[sampler.positions()].numpy()] > 0).all()


def test_weights_change_in_place_under_a_loader():
    y = torch.from_numpy(labels([95, 5]))
    sampler = ClassIndexSampler(y, random_state=0)
    loader = DataLoader(TensorDataset(torch.arange(100), y), batch_size=10, sampler=sampler)
    natural = torch.cat([batch for batch, _ in loader])
    assert natural.unique().numel() == 100
    sampler.set_class_weight([0, 1])
    assert torch.cat([target for _, target in loader]).unique().tolist() == [1]
    sampler.set_class_weight(None)
    assert torch.equal(torch.cat([batch for batch, _ in loader]), natural)


@given(n=st.integers(0, 40), size=st.integers(1, 12), drop_last=st.booleans())
def test_batches_cut_the_stream_in_order(n, size, drop_last):
    sampler = ClassIndexSampler(np.zeros(n), random_state=0)
    batches = IndexBatches(sampler, size, drop_last=drop_last)
    cut = list(batches)
    assert len(cut) == len(batches)
    joined = [i for batch in cut for i in batch]
    assert joined == list(sampler)[: len(joined)]
    assert len(joined) == (n // size * size if drop_last else n)
    assert all(len(batch) == size for batch in cut[:-1])


def test_batch_size_may_change_between_epochs():
    batches = IndexBatches(ClassIndexSampler(np.zeros(10), random_state=0), 4)
    assert [len(batch) for batch in batches] == [4, 4, 2]
    batches.batch_size = 5
    assert [len(batch) for batch in batches] == [5, 5]


def test_global_generators_are_left_alone():
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    sampler = ClassIndexSampler(labels([5, 5]), random_state=0)
    list(sampler)
    sampler.set_class_weight([1, 2])
    list(sampler)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@pytest.mark.parametrize("weight", [[1.0], [-1.0, 1.0], [np.nan, 1.0], [0.0, 0.0], [[1.0, 2.0]]])
def test_unusable_weights(weight):
    message = (
        "class_weight must hold a weight for each of 2 classes, finite, at least 0 and not all 0. "
        f"Got {weight!r}."
    )
    with pytest.raises(ValueError, match=re.escape(message)):
        ClassIndexSampler([0, 1]).set_class_weight(weight)


def test_unknown_labels():
    message = (
        "ClassIndexSampler does not know the labels yet. Got y=None. Pass y, call set_labels(y), or "
        "use it with the callback DeferredResampling."
    )
    with pytest.raises(RuntimeError, match=re.escape(message)):
        list(ClassIndexSampler())
