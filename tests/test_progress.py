"""What is shown and told while something runs: from the first second, and nothing unasked."""

import logging

import numpy as np
import pytest
from sklearn.datasets import load_digits, make_classification
from sklearn.linear_model import LogisticRegression

from ltresample import _progress
from ltresample.over_sampling import (
    AutoResampledClassifier,
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
    ResampledClassifier,
    SAFASampler,
)
from ltresample.training import DeferredRebalancingClassifier

MADE, FITTED = "making rows", "fitting the guide"


@pytest.fixture(scope="module")
def data():
    return make_classification(120, 6, n_informative=4, weights=[0.8], random_state=0)


@pytest.fixture
def seen(monkeypatch):
    """Return (phase, steps done, steps in all) of each change of a bar."""
    changes = []

    class Spy(_progress.tqdm):
        def update(self, n=1):
            super().update(n)
            changes.append((self.desc.rstrip(": "), self.n, self.total))

        def set_description(self, desc=None, refresh=True):
            super().set_description(desc, refresh)
            changes.append((desc, self.n, self.total))

    monkeypatch.setattr(_progress, "tqdm", Spy)
    return changes


def of_phase(seen, end):
    return [(n, total) for name, n, total in seen if name.endswith(end)]


def samplers():
    aux = np.random.default_rng(0).normal(size=(200, 6))
    return {
        "m2m": (M2mSampler(random_state=0), FITTED),
        "m2m, trained guide": (M2mSampler(random_state=0, g_recipe="bagged"), FITTED),
        "m2m, own guide": (M2mSampler(random_state=0, g=LogisticRegression()), FITTED),
        "dm": (DistributionMatchingOversampler(random_state=0), FITTED),
        "otmix": (OTMixSampler(random_state=0), FITTED),
        "safa": (SAFASampler(random_state=0), "fitting the networks"),
        "open": (
            OpenSampler(X_aux=aux, weights_used=True, random_state=0),
            "reading open-set samples",
        ),
    }


@pytest.mark.parametrize("name", samplers())
def test_samplers_show_what_they_prepare_and_then_rows(name, data, seen, capsys):
    sampler, preparation = samplers()[name]
    sampler.set_params(verbose=1).fit_resample(*data)
    words = [text for text, _, _ in seen]
    assert words[0] == f"{type(sampler).__name__}: {preparation}"
    assert words[-1] == f"{type(sampler).__name__}: {MADE}"
    n_made = sum(sampler.provenance_["origin"] != "original")
    last, total = of_phase(seen, MADE)[-1]
    assert 0 < last == total <= n_made
    assert type(sampler).__name__ in capsys.readouterr().err


@pytest.mark.parametrize("name", ["m2m", "m2m, trained guide", "otmix", "safa"])
def test_the_bar_moves_while_a_guide_is_fitted(name, data, seen):
    sampler, preparation = samplers()[name]
    sampler.set_params(verbose=1).fit_resample(*data)
    steps = of_phase(seen, preparation)
    assert len({n for n, _ in steps}) > 10
    assert steps[-1][0] == steps[-1][1]


def test_the_first_bar_stands_before_a_guide_is_fitted(data, seen):
    known = []

    class Watched(LogisticRegression):
        def fit(self, X, y):
            known.append(list(seen))
            return super().fit(X, y)

    M2mSampler(g=Watched(), random_state=0, verbose=1).fit_resample(*data)
    assert known[0] == [(f"M2mSampler: {FITTED}", 0, 0)]
    folds = of_phase(seen, "judging the guide")
    assert folds[-1] == (4, 4)


def test_the_bar_moves_while_a_guide_of_images_is_fitted(seen):
    X, y = load_digits(return_X_y=True)
    keep = np.concatenate([np.flatnonzero(y == 0)[:60], np.flatnonzero(y == 1)[:20]])
    X = (X / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    M2mSampler(random_state=0, verbose=1).fit_resample(X[keep], y[keep])
    assert len(of_phase(seen, FITTED)) > 10


@pytest.mark.parametrize("name", samplers())
def test_nothing_is_printed_unasked(name, data, seen, capsys):
    samplers()[name][0].fit_resample(*data)
    assert capsys.readouterr() == ("", "")
    assert seen == []


@pytest.mark.parametrize("verbose", [0, 1])
def test_the_classifier_shows_its_sampler_and_itself(verbose, data, seen, capsys):
    model = ResampledClassifier(LogisticRegression(), random_state=0, verbose=verbose).fit(*data)
    words = list(dict.fromkeys(text for text, _, _ in seen))
    first = "ResampledClassifier: "
    inner = [f"M2mSampler: {text}" for text in (FITTED, "judging the guide", MADE)]
    shown = [first + text for text in ["resampling", *inner, "fitting LogisticRegression"]]
    assert words == (shown if verbose else [])
    assert bool(capsys.readouterr().err) == bool(verbose)
    assert model.sampler_.verbose == 0


@pytest.mark.parametrize("verbose", [0, 1])
def test_the_choice_shows_its_splits(verbose, data, seen, capsys):
    AutoResampledClassifier(cv=3, random_state=0, verbose=verbose).fit(*data)
    tried = [(n, total) for name, n, total in seen if ": trying " in name]
    assert tried[1:] == ([(1, 3), (2, 3), (3, 3)] if verbose else [])
    assert bool(capsys.readouterr().err) == bool(verbose)


@pytest.mark.parametrize("verbose", [0, 1])
@pytest.mark.parametrize("name", ["m2m", "otmix"])
def test_training_shows_the_guide_of_its_resampler(name, verbose, data, seen, capsys):
    (X, y), resampler = data, samplers()[name][0]
    if name == "otmix":  # whose guide is fitted when rows are first mixed
        resampler.set_params(start=0, stop=None, schedule_power=0)
    net = DeferredRebalancingClassifier(
        resampler=resampler, start=1, max_epochs=2, random_state=0, verbose=verbose
    )
    net.fit(X.astype(np.float32), y)
    assert (len(of_phase(seen, FITTED)) > 10) == bool(verbose)
    assert bool(capsys.readouterr().err) == bool(verbose)


def test_the_logger_is_told_what_was_fitted_and_how_long_it_took(data, caplog):
    X, y = data
    with caplog.at_level(logging.DEBUG, logger="ltresample"):
        sampler = M2mSampler(random_state=0)
        ResampledClassifier(LogisticRegression(), sampler).fit(X, y)
    told = {level: [] for level in (logging.INFO, logging.DEBUG)}
    for record in caplog.records:
        told[record.levelno].append(record.getMessage())
    fitted, made, model = told[logging.INFO]
    assert fitted.startswith("M2mSampler: fitting the guide on 120 rows took ")
    assert "guide_score_ 0." in fitted
    assert made.startswith("M2mSampler: making ")
    assert model.startswith("fitting LogisticRegression to ")
    settings, acceptance = told[logging.DEBUG]
    assert "'min_confidence': 0.6" in settings
    assert acceptance.startswith("M2mSampler: acceptance {1: ")


def test_the_logger_is_told_of_training(data, caplog):
    X, y = data
    with caplog.at_level(logging.DEBUG, logger="ltresample"):
        DeferredRebalancingClassifier(rebalance=None, max_epochs=2, random_state=0).fit(
            X.astype(np.float32), y
        )
    texts = [r.getMessage() for r in caplog.records if r.name.startswith("ltresample")]
    assert [text.split(": ")[1] for text in texts[:2]] == ["epoch 1", "epoch 2"]
    assert texts[2].startswith("DeferredRebalancingClassifier: 2 epochs took ")
