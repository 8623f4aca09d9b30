import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression

from benchmarks.random_labels import RandomLabelM2mSampler
from ltresample._random import Seed
from ltresample.models import MLP
from ltresample.rows import ArrayRows, pool_of
from ltresample.training._synthesis import StepSynthesis

COUNTS = np.array([400, 100, 60, 20, 10])
PLAIN = {  # every requested slot gets the noisy seed
    "preset": "paper",
    "n_steps": 0,
    "min_confidence": 0.0,
    "count_test": False,
    "count_decay": 0.0,
}


@pytest.fixture(scope="module")
def step():
    rng = np.random.default_rng(0)
    y = np.repeat(np.arange(5), COUNTS)
    X = (rng.normal(size=(len(y), 4)) + 2 * np.eye(5, 4)[y]).astype(np.float32)
    pool = pool_of(ArrayRows(X), torch.from_numpy(y), COUNTS)
    sampler = RandomLabelM2mSampler(g=LogisticRegression().fit(X, y), **PLAIN)
    f = MLP(4, 5, hidden=(6,), generator=Seed(0).torch())
    return StepSynthesis(sampler, pool, classes=np.arange(5), module=f, seed=Seed(0))


def test_synthetic_rows_and_only_they_get_another_class(step):
    at = torch.from_numpy(np.random.default_rng(1).permutation(COUNTS.sum())[:200])
    x, y = step.pool.x.take(at), step.pool.y[at]
    share = torch.zeros(5)
    for i in range(40):
        batch = step(x, y, seed=Seed(i))
        labels, changed = batch.terms[0].y, (batch.x != x).any(1)
        assert torch.equal(labels[~changed], y[~changed])
        assert (labels[changed] != y[changed]).all()
        tail = changed & (y == 4)
        share += torch.bincount(labels[tail], minlength=5)
    assert share[4] == 0
    # seeds of class 4 are mostly of the largest class, which is left out with them
    assert (share[1:4] > share[0]).all()
    first, same, other = (step(x, y, seed=Seed(i)).terms[0].y for i in (0, 0, 1))
    assert torch.equal(first, same)
    assert not torch.equal(first, other)


def test_the_rest_is_the_methods_own(step):
    assert step.balanced
    assert step.g_ is not None
