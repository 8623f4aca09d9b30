"""Distribution Matching from open-set seeds: before training and in it."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ltresample import DistributionMatchingOversampler
from ltresample._random import Seed
from ltresample.datasets import make_long_tailed, permute_features
from ltresample.guides import differentiable
from ltresample.models import MLP
from ltresample.rows import ArrayRows, Pool, Space
from ltresample.synthesis import ConfusingClass
from ltresample.training._synthesis import StepSynthesis

STEPS = {"step_size": 0.3, "n_steps": 20, "min_confidence": 0.5, "class_test": False}


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    keep = y < 4
    X, y = make_long_tailed(X[keep] / 16, y[keep], imbalance_factor=10, n_max=120, random_state=0)
    return X.astype(np.float32), y


@pytest.fixture(scope="module")
def aux(digits):
    return permute_features(digits[0], 200, random_state=0)


@pytest.fixture(scope="module")
def g(digits):
    return LogisticRegression(max_iter=500).fit(*digits)


def network(n_out=4):
    generator = Seed(0).torch()
    module = nn.Linear(64, n_out)
    with torch.no_grad():
        module.weight.copy_(0.05 * torch.randn(n_out, 64, generator=generator))
        module.bias.zero_()
    return module


def made_with(digits, aux, **params):
    return DistributionMatchingOversampler(X_aux=aux, random_state=0, **STEPS, **params)


def test_rows_start_from_open_set_samples_and_are_led_to_the_class(digits, aux, g):
    X, y = digits
    sampler = made_with(digits, aux, g=g)
    X_res, y_res = sampler.fit_resample(X, y)
    record = sampler.provenance_[sampler.is_synthetic_]
    assert record["from_aux"].all()
    assert (record["confidence"] >= sampler.settings_["min_confidence"]).all()
    moved = np.linalg.norm(X_res[sampler.is_synthetic_] - aux[record["seed_index"]], axis=1)
    assert (moved > 0).all()
    other = LogisticRegression(C=0.1, max_iter=500).fit(X, y)
    start = other.predict(aux[record["seed_index"]]) == y_res[sampler.is_synthetic_]
    end = other.predict(X_res[sampler.is_synthetic_]) == y_res[sampler.is_synthetic_]
    assert end.mean() > 3 * start.mean() + 0.1


def test_data_sets_and_bytes_serve_as_seeds(digits, aux, g):
    X, y = digits
    g = nn.Sequential(nn.Flatten(), differentiable(g).float())
    options = {"g": g}
    images = X.reshape(-1, 1, 8, 8)
    coded = (255 * aux).astype(np.uint8).reshape(-1, 1, 8, 8)
    want, _ = made_with(digits, coded.astype(np.float32) / 255, **options).fit_resample(images, y)
    got, _ = made_with(digits, coded, **options).fit_resample(images, y)
    np.testing.assert_allclose(got, want, atol=1e-4)
    tensors = TensorDataset(torch.from_numpy(coded.astype(np.float32) / 255))
    got, _ = made_with(digits, tensors, **options).fit_resample(images, y)
    np.testing.assert_allclose(got, want, atol=1e-4)


def pool_of(digits):
    X, y = digits
    return Pool(
        x=ArrayRows(X),
        y=torch.from_numpy(y),
        class_counts=torch.from_numpy(np.bincount(y)),
        space=Space.pixels(),
    )


def test_the_confusing_class_takes_the_place_of_the_seeds_class(digits, aux, g, monkeypatch):
    """With f and open-set seeds the penalty is f's logit of what g takes the class for."""
    seen = []
    original = ConfusingClass.__call__

    def noted(self, logits, source, target):
        seen.append((self.confusing, source))
        return original(self, logits, source, target)

    monkeypatch.setattr(ConfusingClass, "__call__", noted)
    made_with(digits, aux, f=network(), g=g).fit_resample(*digits)
    confusing, source = seen[0]
    assert (source == -1).all(), "open-set seeds have no class"
    assert (confusing != torch.arange(4)).all()


def test_out_of_fold_where_g_is_fitted_inside(digits, aux, g, monkeypatch):
    from ltresample.over_sampling import _guiding as module

    calls = []
    original = module.fit_fold_guides
    monkeypatch.setattr(
        module,
        "fit_fold_guides",
        lambda *args, **options: calls.append(args) or original(*args, **options),
    )
    made_with(digits, aux, f=network()).fit_resample(*digits)
    assert len(calls) == 1
    made_with(digits, aux, g=g).fit_resample(*digits)  # no f, no term
    made_with(digits, aux, f=network(), g=g).fit_resample(*digits)
    assert len(calls) == 1


def test_in_training_slots_are_filled_from_open_set_samples(digits, aux, g):
    X, y = digits
    sampler = DistributionMatchingOversampler(X_aux=aux, g=g, **STEPS)
    f = MLP(64, 4)
    online = StepSynthesis(sampler, pool_of(digits), classes=np.arange(4), module=f, seed=Seed(0))
    rows = np.concatenate([np.flatnonzero(y == k)[:12] for k in range(4)])
    x, labels = torch.from_numpy(X[rows]), torch.from_numpy(y[rows])
    batch = online(x, labels, seed=Seed(1))
    assert batch.n_accepted > 5
    changed = (batch.x != x).any(1)
    assert int(changed.sum()) == batch.n_accepted
    assert not changed[:12].any(), "the largest class keeps its rows"
    assert torch.equal(batch.terms[0].y, labels)
    # a made row is nearer to an open-set sample than any real row of the batch is
    near = torch.cdist(batch.x[changed], torch.from_numpy(aux)).min(1).values
    assert near.median() < torch.cdist(x, torch.from_numpy(aux)).min(1).values.median()


def test_what_is_refused(digits, aux, g):
    with pytest.raises(ValueError, match="read in random order. Got a loader"):
        made_with(digits, DataLoader(torch.from_numpy(aux)), g=g).fit_resample(*digits)
    sampler = DistributionMatchingOversampler(X_aux=DataLoader(torch.from_numpy(aux)), g=g)
    with pytest.raises(ValueError, match="read in random order"):
        StepSynthesis(
            sampler, pool_of(digits), classes=np.arange(4), module=network(), seed=Seed(0)
        )
    with pytest.raises(ValueError, match="with X_aux none is. Got n_seeds_per_class=3"):
        made_with(digits, aux, n_seeds_per_class=3, g=g).fit_resample(*digits)
    with pytest.raises(ValueError, match=r"in the range of X, \[0, 1\]"):
        made_with(digits, 255 * aux.reshape(-1, 1, 8, 8)).fit_resample(
            digits[0].reshape(-1, 1, 8, 8), digits[1]
        )
