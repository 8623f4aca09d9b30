"""The counts of pairs are those of the batches that were trained on."""

import numpy as np
import torch

from benchmarks.otmix_pairs import CountingSampler
from ltresample._random import Seed
from ltresample.guides import classifier_of
from ltresample.models import MLP
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import Moment, Step


def test_pairs_are_counted_by_epoch_foreground_and_background():
    y = torch.tensor([0, 0, 1, 2] * 5)
    pool = Pool(ArrayRows(torch.rand(20, 3)), y, torch.tensor([10, 5, 5]), Space.pixels())
    sampler, f = CountingSampler(preset="cmo", mix_prob=1.0, start=0, stop=-1), MLP(3, 3)
    bound = sampler.bind(pool, classes=np.arange(3), f=f, seed=Seed(0))
    step, want = Step(bound.method, pool, Seed(0), f=classifier_of(f)), np.zeros((3, 3, 3), int)
    for epoch in range(3):
        step.begin_epoch(Moment(epoch, 3))
        for i in range(2):
            at = torch.arange(4) + 4 * i
            batch = step(pool.x.take(at), y[at], seed=Seed(i), index=at)
            if len(batch.terms) == 2:
                back, front = (term.y.numpy() for term in batch.terms)
                np.add.at(want[epoch], (front, back), 1)
    np.testing.assert_array_equal(sampler.pairs_, want)
    assert [counts.sum() for counts in want] == [8, 8, 0]
