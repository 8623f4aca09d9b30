"""What a guide is worth out of fold: chance on noise, and a warning there and only there."""

import warnings

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn.datasets import load_breast_cancer, load_digits, load_wine
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.neural_network import MLPClassifier

from ltresample import (
    DistributionMatchingOversampler,
    LongTailWarning,
    M2mSampler,
    OTMixSampler,
    make_long_tailed,
)
from ltresample.guides import GuideScore
from ltresample.over_sampling._guiding import Guides

AT_CHANCE = "no better than a guess"


def noise(seed, counts, n_columns=12):
    y = np.repeat(np.arange(len(counts)), counts)
    return np.random.default_rng(seed).normal(size=(len(y), n_columns)), y


def error_of_a_guess(counts):
    """Standard error of a mean of binomial shares, with chance 1 / K."""
    k = len(counts)
    return np.sqrt(sum(1 / k * (1 - 1 / k) / n for n in counts)) / k


def warned_of(sampler, X, y):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sampler.fit_resample(X, y)
    return [str(w.message) for w in caught if issubclass(w.category, LongTailWarning)]


@pytest.mark.parametrize("counts", [(240, 60), (200, 80, 40), (60, 50, 40, 30, 20)])
@pytest.mark.parametrize("seed", range(20))
def test_labels_without_meaning_score_chance_and_are_told(counts, seed):
    X, y = noise(seed, counts)
    sampler = M2mSampler(random_state=seed)
    assert AT_CHANCE in " ".join(warned_of(sampler, X, y))
    assert abs(sampler.guide_score_ - 1 / len(counts)) < 2 * error_of_a_guess(counts)


@pytest.mark.parametrize("load", [load_breast_cancer, load_wine, load_digits])
@pytest.mark.parametrize(
    "sampler",
    [M2mSampler(), DistributionMatchingOversampler(), OTMixSampler()],
    ids=lambda sampler: type(sampler).__name__,
)
def test_labels_with_meaning_do_not_warn(load, sampler):
    X, y = make_long_tailed(*load(return_X_y=True), n_max=50, imbalance_factor=5, random_state=0)
    sampler.set_params(random_state=0)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        sampler.fit_resample(X, y)
    assert sampler.guide_score_ > 0.8


@pytest.mark.parametrize("kind", ["images", "text", "wide"])
def test_noise_of_other_shapes(kind):
    X, y = noise(0, (60, 30), 400)
    X = {"images": X[:, :64].reshape(-1, 1, 8, 8), "text": np.where(X > 1.5, X, 0), "wide": X}[kind]
    assert AT_CHANCE in " ".join(warned_of(M2mSampler(random_state=0), X, y))


@pytest.mark.parametrize("recipe", ["random_units", "bagged", "erm", "drs"])
def test_every_recipe_is_judged(recipe):
    X, y = noise(0, (80, 20), 5)
    X[:, 0] += 4 * y
    made = M2mSampler(g_recipe=recipe, random_state=0)
    made.fit_resample(X, y)
    assert made.guide_score_ > 0.8


def test_an_estimator_is_judged_out_of_fold():
    """A nearest neighbour of the training rows knows them all, and nothing of noise."""
    X, y = noise(0, (80, 40), 30)
    with pytest.warns(LongTailWarning, match=AT_CHANCE):
        M2mSampler(g=MLPClassifier(random_state=0, max_iter=1000), random_state=0).fit_resample(
            X, y
        )
    own = X + 3 * y[:, None]
    sampler = M2mSampler(g=LogisticRegression(), random_state=0)
    sampler.fit_resample(own, y)
    assert sampler.guide_score_ > 0.95


def test_what_came_fitted_is_judged_on_the_rows_of_x():
    X, y = noise(0, (80, 40), 60)
    g = LogisticRegression(C=1e3, max_iter=2000).fit(X, y)
    sampler = M2mSampler(g=g, random_state=0)
    sampler.fit_resample(X, y)
    assert sampler.guide_score_ > 0.9  # an upper bound: it has seen them


def test_judging_changes_no_row(monkeypatch):
    X, y = noise(0, (80, 20), 5)
    X[:, 0] += 4 * y
    judged, _ = M2mSampler(random_state=0).fit_resample(X, y)
    monkeypatch.setattr(Guides, "judge", lambda guides: None)
    plain, _ = M2mSampler(random_state=0).fit_resample(X, y)
    np.testing.assert_array_equal(judged, plain)


def test_of_many_rows_some_are_judged():
    X, y = noise(0, (3000, 200), 4)
    X[:, 0] += 4 * y
    sampler = M2mSampler(random_state=0)
    sampler.fit_resample(X, y)
    assert sampler.guide_score_ > 0.9


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=2, max_size=50))
def test_the_score_is_the_balanced_accuracy(pairs):
    y, guess = (torch.tensor(part) for part in zip(*pairs, strict=True))
    counts = torch.bincount(y, minlength=4)
    proba = torch.eye(4, dtype=torch.float64)[guess][None]
    score = GuideScore.of(proba, y)
    judged = (counts > 1).nonzero()[:, 0].tolist()
    if len(judged) < 2:
        assert np.isnan(score.value)
        return
    assert score.chance == pytest.approx(1 / len(judged))
    if set(guess.tolist()) <= set(judged):
        kept = np.isin(y, judged)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = balanced_accuracy_score(y[kept], guess[kept])
        assert score.value == pytest.approx(expected)


def test_the_error_is_that_of_a_guess():
    """Of 4,000 guesses the scores scatter as the formula says."""
    y = torch.tensor([0] * 60 + [1] * 20 + [2] * 10)
    generator = torch.Generator().manual_seed(0)
    scores = [
        GuideScore.of(torch.rand(1, 90, 3, generator=generator), y).value for _ in range(4000)
    ]
    score = GuideScore.of(torch.rand(1, 90, 3, generator=generator), y)
    assert score.error == pytest.approx(np.std(scores), rel=0.06)
    assert score.chance == pytest.approx(np.mean(scores), abs=0.01)


def test_single_rows_of_a_class_are_left_out():
    X, y = noise(0, (40, 20, 1), 4)
    X[:, 0] += 5 * y
    sampler = M2mSampler(random_state=0)
    assert AT_CHANCE not in " ".join(warned_of(sampler, X, y))
    assert sampler.guide_score_ > 0.9
