"""Open-set data in training: the loss of a step, units and augmentation, any criterion."""

import numpy as np
import pytest
import torch
from sklearn.datasets import make_classification
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from ltresample import DistributionMatchingOversampler, OpenSampler
from ltresample._random import Seed
from ltresample.losses import (
    BalancedSoftmaxLoss,
    ClassBalancedLoss,
    CrossEntropy,
    FocalLoss,
    LDAMLoss,
)
from ltresample.models import MLP
from ltresample.rows import ArrayRows, pool_of
from ltresample.training import DeferredRebalancingClassifier
from ltresample.training._aux_rows import AugmentedRows
from ltresample.training._step import StepTarget, step_loss
from ltresample.training._synthesis import StepSynthesis

COUNTS = np.array([60, 24, 10])


@pytest.fixture(scope="module")
def data():
    X, y = make_classification(
        n_samples=300, n_features=5, n_informative=4, n_redundant=0, n_classes=3, random_state=0
    )
    rows = np.concatenate([np.flatnonzero(y == k)[:n] for k, n in enumerate(COUNTS)])
    return X[rows].astype(np.float32), y[rows]


@pytest.fixture(scope="module")
def aux():
    return np.random.default_rng(0).normal(size=(200, 5)).astype(np.float32)


def trained(data, resampler, **params):
    params = {"max_epochs": 3, "batch_size": 32, "start": 0, "random_state": 0, **params}
    return DeferredRebalancingClassifier(resampler=resampler, **params).fit(*data)


@pytest.mark.parametrize(
    ("criterion", "head"),
    [
        (CrossEntropy(), "linear"),
        (nn.CrossEntropyLoss(), "linear"),
        (BalancedSoftmaxLoss(class_counts=COUNTS), "linear"),
        (ClassBalancedLoss(class_counts=COUNTS), "linear"),
        (FocalLoss(), "linear"),
        (LDAMLoss(class_counts=COUNTS), "cosine"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, nn.Module) else value,
)
def test_a_step_is_the_criterion_on_real_rows_plus_plain_cross_entropy(data, aux, criterion, head):
    """L = l(real) + eta * 1/m sum omega CE(open-set), by hand."""
    torch.manual_seed(0)
    f = MLP(5, 3, head=head)
    sampler = OpenSampler(X_aux=aux, eta=0.7, aux_batch_size=20)
    x, y = torch.from_numpy(data[0][::8]), torch.from_numpy(data[1][::8])
    pool = trained_pool(data)
    step = StepSynthesis(sampler, pool, classes=np.arange(3), module=f, seed=Seed(0))
    batch = step(x, y, seed=Seed(1))
    logits = f(batch.x).detach()
    got = step_loss(criterion, logits, StepTarget(batch.terms))
    n = len(x)
    scale = 30 if head == "cosine" else 1
    log_p = (scale * logits[n:]).log_softmax(1)
    labels = batch.terms[1].y
    prior = COUNTS / COUNTS.sum()
    alpha = prior.max() + prior.min()
    omega = torch.from_numpy(3 * (alpha - prior) / (3 * alpha - 1)).float()
    extra = -(omega[labels] * log_p[torch.arange(20), labels]).mean()
    torch.testing.assert_close(got, criterion(logits[:n], y) + 0.7 * extra)


def trained_pool(data):
    from ltresample.rows import Pool, Space

    X, y = data
    return Pool(ArrayRows(X), torch.from_numpy(y), torch.from_numpy(COUNTS), Space.pixels())


def test_strength_zero_is_training_without_open_set_samples(data, aux):
    plain = trained(data, None)
    zero = trained(data, OpenSampler(X_aux=aux, eta=0.0))
    np.testing.assert_allclose(zero.predict_proba(data[0]), plain.predict_proba(data[0]), atol=1e-6)
    some = trained(data, OpenSampler(X_aux=aux))
    assert np.abs(some.predict_proba(data[0]) - plain.predict_proba(data[0])).max() > 0.01


def test_open_set_labels_fill_up_the_prior(data, aux):
    """On open-set rows the network comes to predict q, in proportion to Gamma squared."""
    net = trained(data, OpenSampler(X_aux=aux + 50, eta=5.0), max_epochs=60, lr=0.02)
    mean = net.predict_proba(aux + 50).mean(0)
    gamma = np.array([10, 46, 60]) / 116
    np.testing.assert_allclose(mean, gamma**2 / (gamma**2).sum(), atol=0.08)


def test_same_seed_same_network(data, aux):
    first, second = (trained(data, OpenSampler(X_aux=aux)) for _ in range(2))
    np.testing.assert_array_equal(first.predict_proba(data[0]), second.predict_proba(data[0]))


def test_samples_may_be_passed_to_fit_and_come_from_a_loader(data, aux):
    net = DeferredRebalancingClassifier(
        resampler=OpenSampler(), start=0, max_epochs=2, batch_size=32, random_state=0
    )
    net.fit(*data, X_aux=aux)
    want = trained(data, OpenSampler(X_aux=aux), max_epochs=2).predict_proba(data[0])
    np.testing.assert_array_equal(net.predict_proba(data[0]), want)
    tensors = TensorDataset(torch.from_numpy(aux))
    got = trained(data, OpenSampler(X_aux=tensors), max_epochs=2).predict_proba(data[0])
    np.testing.assert_array_equal(got, want)
    loader = DataLoader(tensors, batch_size=50)
    streamed = trained(data, OpenSampler(X_aux=loader, aux_batch_size=40))
    assert streamed.history[-1]["share_synthesized"] > 1


def test_images_of_bytes_and_the_augmentation_of_the_training_rows():
    rng = np.random.default_rng(0)
    X, y = rng.random((40, 1, 8, 8), dtype=np.float32), np.arange(40) % 2
    aux = rng.integers(0, 256, (30, 1, 8, 8), dtype=np.uint8)
    seen = []

    def augment(x, generator):
        seen.append((len(x), float(x.max())))
        return x + torch.rand(1, generator=generator)

    sampler = OpenSampler(X_aux=aux, aux_batch_size=7)
    trained((X, y), sampler, augment=augment, max_epochs=1, batch_size=20)
    assert [n for n, _ in seen] == [20, 7, 20, 7]
    assert max(top for _, top in seen) <= 1


def test_augmentation_depends_on_the_step_only():
    rows = AugmentedRows(
        ArrayRows(np.zeros((5, 2))), lambda x, g: x + torch.rand(len(x), 1, generator=g)
    )
    index = torch.arange(5)
    drawn = []
    for seed in (Seed(1), Seed(2), Seed(1)):
        rows.begin_step(seed)
        drawn.append(rows.take(index))
    assert torch.equal(drawn[0], drawn[2])
    assert not torch.equal(drawn[0], drawn[1])
    assert rows.row_shape == (2,)
    assert len(rows) == 5


def test_open_set_then_real_seeds(data, aux):
    """The schedule OOD -> ID with the means of the classifier."""
    steps = {"step_size": 0.5, "n_steps": 5, "min_confidence": 0.4, "class_test": False}
    net = trained(
        data,
        DistributionMatchingOversampler(X_aux=aux, **steps),
        start=2,
        max_epochs=4,
        train_split=0.2,
    )
    assert net.history[-1]["share_synthesized"] > 0
    before = net.predict_proba(data[0])
    net.set_params(
        resampler=DistributionMatchingOversampler(**steps), max_epochs=2, lr=0.01, start=0
    )
    net.partial_fit(*data)
    assert len(net.history) == 6
    assert net.history[-1]["share_synthesized"] > 0
    assert not np.array_equal(before, net.predict_proba(data[0]))


@pytest.mark.parametrize(
    ("resampler", "text"),
    [
        (OpenSampler(), "needs open-set samples in training. Got X_aux=None"),
        (OpenSampler(X_aux=np.zeros((4, 3))), r"of shape \(5,\). Got X_aux of shape \(4, 3\)"),
        (OpenSampler(X_aux=np.zeros((0, 5))), "at least one sample"),
        (OpenSampler(X_aux=np.full((3, 5), np.nan)), "Input X_aux contains NaN"),
        (OpenSampler(X_aux=np.zeros((4, 5)), alpha=0.3), "largest class prior"),
        (
            DistributionMatchingOversampler(X_aux=DataLoader(torch.zeros(9, 5))),
            "read in random order. Got a loader",
        ),
    ],
)
def test_what_is_refused(data, resampler, text):
    with pytest.raises(ValueError, match=f"(?s){text}"):
        trained(data, resampler)


def test_open_set_rows_are_augmented_by_the_seed_of_the_step(data, aux):
    X, y = map(torch.from_numpy, data)
    rows = AugmentedRows(ArrayRows(aux), lambda x, g: x + torch.rand(len(x), 1, generator=g))
    pool = pool_of(ArrayRows(data[0]), y, COUNTS, aux=rows)
    sampler = OpenSampler(aux_batch_size=5)
    step = StepSynthesis(sampler, pool, classes=np.arange(3), module=MLP(5, 3), seed=Seed(0))
    first, again, other = (step(X[:8], y[:8], seed=Seed(i)).x[8:] for i in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
