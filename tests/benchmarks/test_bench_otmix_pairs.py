"""The counts of pairs are those of the batches that were trained on."""

import numpy as np
import pytest
import torch

from benchmarks.otmix_pairs import CountingSampler
from ltresample.over_sampling import OTMixSampler
from ltresample.synthesis import Batch, LossTerm


class AllMixed:
    """A method that mixes foregrounds of the next class into every row."""

    def begin_epoch(self, epoch, *, max_epochs):
        self.epoch = epoch

    def rewrite(self, x, y, *, seed=None, index=None):
        if self.epoch == 1:
            return Batch(x, [LossTerm(slice(None), y)], 0, 0)
        both = [LossTerm(slice(None), label, 0.5) for label in (y, (y + 1) % 3)]
        return Batch(x, both, len(y), len(y))


@pytest.fixture
def sampler(monkeypatch):
    monkeypatch.setattr(OTMixSampler, "online", lambda self, pool, **context: AllMixed())
    return CountingSampler(preset="cmo")


def test_pairs_are_counted_by_epoch_foreground_and_background(sampler):
    online = sampler.online(type("Pool", (), {"class_counts": torch.ones(3)}))
    y = torch.tensor([0, 0, 1, 2])
    for epoch in range(3):
        online.begin_epoch(epoch, max_epochs=3)
        online.rewrite(torch.zeros(4, 1), y)
    want = [[0, 0, 1], [2, 0, 0], [0, 1, 0]]  # rows: foregrounds
    np.testing.assert_array_equal(sampler.pairs_, [want, np.zeros((3, 3)), want])
