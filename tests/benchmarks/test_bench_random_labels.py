import pytest
import torch

from benchmarks.random_labels import RandomLabelM2mSampler
from ltresample._random import Seed
from ltresample.over_sampling import M2mSampler
from ltresample.synthesis import Batch, LossTerm

N_CLASSES = 5


class EverySecond:
    """A method that changes every second row."""

    balanced = True

    def rewrite(self, x, y, *, seed, index=None):
        x = x.clone()
        x[::2] += 1
        return Batch(x, [LossTerm(slice(None), y)], len(y), len(y) // 2)


@pytest.fixture
def online(monkeypatch):
    monkeypatch.setattr(M2mSampler, "online", lambda self, pool, **context: EverySecond())
    pool = type("Pool", (), {"class_counts": torch.ones(N_CLASSES)})
    return RandomLabelM2mSampler(preset="paper").online(pool)


def test_synthetic_rows_and_only_they_get_another_class(online):
    x, y = torch.zeros(20_000, 3), torch.arange(20_000) % N_CLASSES
    batch = online.rewrite(x, y, seed=Seed(0))
    labels = batch.terms[0].y
    assert torch.equal(labels[1::2], y[1::2])
    assert (labels[::2] != y[::2]).all()
    shift = (labels[::2] - y[::2]) % N_CLASSES
    share = torch.bincount(shift, minlength=N_CLASSES)[1:] / len(shift)
    torch.testing.assert_close(share, torch.full((4,), 0.25), atol=0.02, rtol=0)
    assert torch.equal(online.rewrite(x, y, seed=Seed(0)).terms[0].y, labels)
    assert not torch.equal(online.rewrite(x, y, seed=Seed(1)).terms[0].y, labels)


def test_the_rest_is_the_methods_own(online):
    assert online.balanced
    x = torch.zeros(4, 3)
    batch = online.rewrite(x, torch.arange(4), seed=Seed(0))
    assert torch.equal(batch.x[::2], x[::2] + 1)
    assert (batch.n_requested, batch.n_accepted) == (4, 2)
