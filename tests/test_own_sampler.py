"""A sixth method, in a file of its own: what the engine drives needs no other file to be touched."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from imblearn.pipeline import make_pipeline
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression

from ltresample._random import Seed
from ltresample.models import MLP
from ltresample.rows import ArrayRows, pool_of
from ltresample.training import DeferredRebalancingClassifier
from ltresample.training._synthesis import StepSynthesis
from tests.own_sampler import JitterSampler

COUNTS = np.array([80, 30, 8])


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    y = rng.permutation(np.repeat(np.arange(3), COUNTS))
    return (rng.normal(size=(len(y), 4)) + 2 * np.eye(3, 4)[y]).astype(np.float32), y


def test_engine_and_face_together_are_short():
    code = Path(__file__).with_name("own_sampler.py").read_text()
    assert len(code.splitlines()) < 60


def test_offline(data):
    X, y = data
    sampler = JitterSampler(radius=0.05, random_state=0)
    X_res, y_res = sampler.fit_resample(X, y)
    assert np.bincount(y_res).tolist() == [80, 80, 80]
    np.testing.assert_array_equal(X_res[: len(X)], X)
    record = sampler.provenance_[len(X) :]
    assert (record["origin"] == "synthetic").all()
    np.testing.assert_array_equal(y[record["seed_index"]], y_res[len(X) :])
    moved = (X_res[len(X) :] - X[record["seed_index"]]) / X.std(axis=0)
    assert 0.02 < moved.std() < 0.06
    again = clone(sampler).set_params(radius=0.05).fit_resample(X, y)[0]
    np.testing.assert_array_equal(X_res, again)
    assert pickle.loads(pickle.dumps(sampler)).radius == 0.05
    assert sparse.issparse(JitterSampler().fit_resample(sparse.csr_matrix(np.abs(X)), y)[0])
    scores = make_pipeline(sampler, LogisticRegression()).fit(X, y).predict_proba(X)
    assert scores.shape == (len(X), 3)
    with pytest.raises(ValueError, match="'radius' parameter of JitterSampler"):
        JitterSampler(radius=-1).fit_resample(X, y)


def test_in_training(data):
    X, y = data
    sampler = JitterSampler()
    before = copy.deepcopy(vars(sampler))
    settings = {"start": 1, "max_epochs": 3, "random_state": 0}
    net = DeferredRebalancingClassifier(resampler=sampler, **settings).fit(X, y)
    assert vars(sampler) == before
    assert net.history[:, "share_synthesized"][0] == 0
    assert net.history[-1, "share_synthesized"] > 0.3
    assert net.history[-1, "acceptance_rate"] == 1


def test_a_step_replaces_slots_by_noisy_copies_of_their_class(data):
    X, y = data
    pool = pool_of(ArrayRows(X), torch.from_numpy(y), COUNTS)
    step = StepSynthesis(
        JitterSampler(radius=0.0), pool, classes=np.arange(3), module=MLP(4, 3), seed=Seed(0)
    )
    x, labels = pool.x.take(torch.arange(100)), pool.y[:100]
    made = step(x, labels, seed=Seed(1), index=torch.arange(100))
    assert made.n_accepted == made.n_requested > 10
    changed = (made.x != x).any(1)
    assert not changed[labels == 0].any(), "the largest class keeps its rows"
    for row, label in zip(made.x[changed], labels[changed], strict=True):
        (source,) = (x == row).all(1).nonzero()[0]
        assert labels[source] == label


@pytest.mark.parametrize("n", [2, 3])
def test_processes_that_make_a_part_each_make_the_same(data, n):
    X, y = data
    pool = pool_of(ArrayRows(X), torch.from_numpy(y), COUNTS)
    options = {"classes": np.arange(3), "module": MLP(4, 3), "seed": Seed(0)}
    one, many = (StepSynthesis(JitterSampler(), pool, **options) for _ in range(2))

    def in_parts(m, make):
        parts = [make(torch.arange(m)[i::n]) for i in range(n)]
        order = torch.cat([torch.arange(m)[i::n] for i in range(n)]).argsort()
        return parts[0]._replace(
            **{
                name: torch.cat([getattr(part, name) for part in parts])[order]
                for name in ("accepted", "x", "index", "source")
            }
        )

    many.divide(in_parts)
    x, labels = pool.x.take(torch.arange(60)), pool.y[:60]
    alone, together = (step(x, labels, seed=Seed(2)) for step in (one, many))
    torch.testing.assert_close(alone.x, together.x, rtol=0, atol=0)
    assert alone.n_accepted == together.n_accepted > 5
