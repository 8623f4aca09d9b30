"""What the validation part says of the test, with synthetic rows inside and outside of the split."""

import numpy as np
import pytest
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import train_test_split

from ltresample import M2mSampler, make_long_tailed
from ltresample.models import MLP
from ltresample.training import DeferredRebalancingClassifier

SEEDS = range(4)


def long_tailed_split(seed):
    images, digits = load_digits(return_X_y=True)
    X, X_test, y, y_test = train_test_split(
        (images / 16).astype(np.float32), digits, test_size=0.3, stratify=digits, random_state=seed
    )
    X, y = make_long_tailed(X, y, imbalance_factor=15, n_max=120, random_state=seed)
    return X, y, X_test, y_test


def m2m(seed=None):
    g = LogisticRegression(max_iter=200)
    return M2mSampler(g=g, random_state=seed)


def scores(X, y, X_test, y_test, seed, **params):
    """Validation and test bACC after the last epoch."""
    net = DeferredRebalancingClassifier(
        MLP,
        module__hidden=[64],
        max_epochs=25,
        batch_size=32,
        lr=0.1,
        lr_decay={0.8: 0.1},
        train_split=0.3,
        random_state=seed,
        **params,
    ).fit(X, y)
    test = balanced_accuracy_score(y_test, net.predict(X_test))
    return net.history[-1]["valid_bacc"], test, net.history[-1].get("share_synthesized", 0)


@pytest.fixture(scope="module")
def inside():
    """Split, then synthesize: what the classifier does."""
    runs = [scores(*long_tailed_split(seed), seed, resampler=m2m()) for seed in SEEDS]
    return np.mean(runs, axis=0)


@pytest.fixture(scope="module")
def outside():
    """Synthesize, then split."""
    runs = []
    for seed in SEEDS:
        X, y, X_test, y_test = long_tailed_split(seed)
        runs.append(scores(*m2m(seed).fit_resample(X, y), X_test, y_test, seed))
    return np.mean(runs, axis=0)


def test_validation_of_m2m_agrees_with_the_test_to_five_points(inside):
    validation, test, share = inside
    assert share > 0.05, "there is something synthetic"
    assert abs(validation - test) < 0.05


def test_resampling_before_the_split_promises_too_much(inside, outside):
    validation, test, _ = outside
    assert validation > 0.98
    assert validation - test > 0.05
    assert abs(inside[0] - inside[1]) < (validation - test) / 2
