"""Ways to train a classifier on imbalanced data, tried on the same folds."""

from __future__ import annotations

import time
import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from joblib import Parallel, delayed
from scipy.stats import t as student
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.metrics import average_precision_score
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if

from ltresample._compat import check_method_params, safe_indexing
from ltresample._estimators import offers, requesting_weights, weight_keyword
from ltresample._progress import counted, quiet
from ltresample.decisions import PriorCorrectedClassifier
from ltresample.decisions._priors import count_prior
from ltresample.exceptions import LongTailWarning
from ltresample.over_sampling._binned import binned_for
from ltresample.over_sampling._guide_vote import GuideVote
from ltresample.over_sampling._resampled_classifier import ResampledClassifier, with_vote

__all__ = [
    "ANSWERS",
    "Answers",
    "Trial",
    "Trained",
    "at_prior",
    "guided_by",
    "macro_average_precision",
    "paired_interval",
    "run_trials",
    "train",
]


class Trial(NamedTuple):
    """One way to train, and one or two ways to answer: as trained, or corrected for the prior."""

    name: str
    sampler: Callable[[np.ndarray, Any], Any] | None = None
    """From labels of the training data and a guide (or None) to a sampler; None: no sampler."""
    weighted: bool = False
    """Class weights inverse to the counts, handed over as sample weights."""
    whole: Callable[[Any], Any] | None = None
    """From the classifier to an estimator that decides on everything itself."""
    binned: bool = False
    """Columns brought onto few values first where that saves time, as `ResampledClassifier` does."""
    voter: Callable[[], Any] | None = None
    """Makes a sampler whose guide votes, for a way to train that has no guide of its own."""


class Trained(NamedTuple):
    """A fitted classifier, and what else answers with it; None where there is no such answer."""

    plain: Any
    """At the prior of the data that it saw."""
    corrected: Any = None
    """Corrected for that prior."""
    voted: Any = None
    """The corrected one in a vote with a guide."""
    guided: Any = None
    """The fitted sampler, where it has a guide: for another way to train on the same rows."""

    def named(self, answer: str) -> Any:
        """Return the model that answers so: "plain", "corrected" or "voted"."""
        return self._asdict()[answer]


ANSWERS = ("plain", "corrected", "voted")


class Answers(ClassifierMixin, BaseEstimator):
    """Answers for some rows, computed once and handed to any scorer."""

    def __init__(self, classes_, labels, proba=None, values=None):
        self.classes_ = classes_
        self.labels = labels
        self.proba = proba
        self.values = values

    def predict(self, X: Any) -> np.ndarray:
        """Return the predicted labels (n,)."""
        return self.labels

    @available_if(lambda self: self.proba is not None)
    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probabilities (n, K), where the classifier has given any."""
        return self.proba

    @available_if(lambda self: self.values is not None)
    def decision_function(self, X: Any) -> np.ndarray:
        """Return the decision values, where the classifier has given any."""
        return self.values

    def __sklearn_is_fitted__(self) -> bool:
        return True


def train(
    trial: Trial,
    classifier: Any,
    X: Any,
    y: Any,
    weight: np.ndarray | None,
    guided: Any = None,
    guide_weight: float = 0.0,
) -> Trained:
    """Fit a clone of the classifier as the trial says; a guide votes where there is one.

    `guided` is a sampler that was fitted on the same rows; its guide is used again.
    """
    if trial.whole is not None:
        return Trained(trial.whole(classifier).fit(X, y, **_given(weight)))
    labels, proba = np.asarray(y), offers(classifier, "predict_proba")
    if trial.sampler is not None:
        sampler = trial.sampler(labels, None if guided is None else guided.g_)
        model = ResampledClassifier(classifier, sampler, prior_correction=proba)
        model.fit(X, y, **_given(weight))
        own = model.sampler_ if getattr(model.sampler_, "g_", None) is not None else None
        if not proba:
            return Trained(model.classifier_, guided=own)
        voter = guided if own is None else own
        voted = with_vote(model, guide_weight, voter) if guide_weight and voter else None
        return Trained(model.classifier_.estimator_, model, voted, own)
    if trial.weighted:
        own = compute_sample_weight("balanced", labels)
        weight = own if weight is None else own * weight
    if trial.binned:
        X = binned_for(classifier, X)
    if not proba:
        keyword = weight_keyword(classifier)
        given = {} if weight is None else {keyword or "sample_weight": weight}
        return Trained(clone(classifier).fit(X, y, **given))
    model = PriorCorrectedClassifier(requesting_weights(clone(classifier)))
    model.fit(X, y, **_given(weight))
    voted = GuideVote(model, guided, guide_weight) if guide_weight and guided else None
    return Trained(model.estimator_, model, voted)


def at_prior(trained: Trained, answer: str, prior: np.ndarray | None) -> Any:
    """Return the model that answers so, or with a prior the one whose probabilities hold there."""
    if prior is None:
        return trained.named(answer)
    model = trained.voted if answer == "voted" else trained.corrected
    inside = model.classifier_ if isinstance(model, ResampledClassifier) else model
    corrected = inside.classifier if isinstance(inside, GuideVote) else inside
    corrected.set_params(target_prior=prior).target_prior_ = prior
    return model


def guided_by(trial: Trial, X: Any, y: Any) -> Any:
    """Return the fitted sampler whose guide votes on what a trial without a guide has trained."""
    sampler = trial.voter()
    sampler.fit_resample(X, y)
    return sampler


def _given(weight: np.ndarray | None) -> dict[str, np.ndarray]:
    return {} if weight is None else {"sample_weight": weight}


def answers_of(model: Any, X: Any) -> Answers:
    """Ask a fitted classifier once for everything that scorers may want."""
    classes = np.asarray(model.classes_)
    if offers(model, "predict_proba"):
        proba = np.asarray(model.predict_proba(X), dtype=np.float64)
        return Answers(classes, np.asarray(model.predict(X)), proba=proba)
    values = model.decision_function(X) if offers(model, "decision_function") else None
    return Answers(classes, np.asarray(model.predict(X)), values=values)


class Result(NamedTuple):
    """What a trial gave on one fold: by answer, the value of each scorer."""

    scores: dict[str, list[float]]
    """NaN where the trial does not answer so, or failed."""
    seconds: float
    failed: str
    refused: str = ""
    """Why no guide votes on it."""


def run_trials(
    trials: Sequence[Trial],
    classifier: Any,
    X: Any,
    y: Any,
    *,
    splits: Sequence[tuple[np.ndarray, np.ndarray]],
    scorers: Sequence[Callable],
    weight: np.ndarray | None = None,
    n_jobs: int | None = None,
    guide_weight: float = 0.0,
) -> list[list[Result]]:
    """Return for each split the results of all trials, which share its guide.

    A scorer is called with the fitted model, the `Trained` that it is part of, the test rows, their
    labels, and the class shares of the training data.
    """
    done = Parallel(n_jobs=n_jobs, return_as="generator")(
        delayed(_run_split)(
            trials, classifier, X, y, train_rows, test_rows, scorers, weight, guide_weight
        )
        for train_rows, test_rows in splits
    )
    return list(counted(done, len(splits)))


@quiet()
def _run_split(
    trials, classifier, X, y, train_rows, test_rows, scorers, weight, guide_weight
) -> list[Result]:
    X_train, y_train = safe_indexing(X, train_rows), safe_indexing(y, train_rows)
    X_test, y_test = safe_indexing(X, test_rows), np.asarray(safe_indexing(y, test_rows))
    given = check_method_params(X, params=_given(weight), indices=train_rows).get("sample_weight")
    shares = count_prior(np.asarray(y_train), np.unique(np.asarray(y)), given)
    guided, refused, nothing = None, "", [np.nan] * len(scorers)
    results: dict[int, Result] = {}
    # those with a guide of their own first: it votes on the others, too
    for i in sorted(range(len(trials)), key=lambda i: trials[i].voter is not None):
        trial, began = trials[i], time.perf_counter()
        try:
            with warnings.catch_warnings():  # what it is worth here shows in its scores
                warnings.simplefilter("ignore", LongTailWarning)
                if guide_weight and trial.voter and not (guided or refused):
                    guided, refused = _voter(trial, X_train, y_train)
                trained = train(trial, classifier, X_train, y_train, given, guided, guide_weight)
        except (ValueError, TypeError, RuntimeError) as err:
            if trial.sampler is None and trial.whole is None:
                raise  # the classifier itself cannot be fitted
            results[i] = Result(dict.fromkeys(ANSWERS, nothing), np.nan, _said(err))
            continue
        seconds = time.perf_counter() - began
        guided = trained.guided if guided is None else guided
        scores = {
            answer: nothing
            if (model := trained.named(answer)) is None
            else [score(model, trained, X_test, y_test, shares) for score in scorers]
            for answer in ANSWERS
        }
        results[i] = Result(scores, seconds, "", refused if trial.voter else "")
    return [results[i] for i in range(len(trials))]


def _voter(trial: Trial, X: Any, y: Any) -> tuple[Any, str]:
    """Return a fitted sampler whose guide votes, or why there is none: data can be refused."""
    try:
        return guided_by(trial, X, y), ""
    except (ValueError, TypeError, RuntimeError) as err:
        return None, _said(err)


def _said(err: Exception) -> str:
    return f"{type(err).__name__}: {err}"


def macro_average_precision(y: np.ndarray, answers: Answers) -> float:
    """Return the average precision: of the rarer class of two, or the mean over all classes."""
    if answers.proba is None and answers.values is None:
        return np.nan
    scores = answers.values if answers.proba is None else answers.proba
    if scores.ndim == 1:
        scores = np.stack([-scores, scores], axis=1)
    counts = np.array([(y == k).sum() for k in answers.classes_])
    wanted = np.flatnonzero(counts)
    if len(counts) == 2:
        wanted = [counts.argmin()] if counts.all() else wanted
    return float(
        np.mean([average_precision_score(y == answers.classes_[k], scores[:, k]) for k in wanted])
    )


def paired_interval(
    differences: np.ndarray, test_share: float, level: float = 0.95
) -> tuple[float, float, float]:
    """Return mean, standard error and half the width of the interval of differences over splits.

    Training sets of splits overlap, so differences are not independent: the variance of the mean is
    ``(1 / J + n_test / n_train) * s^2`` (Nadeau and Bengio 2003).

    Parameters
    ----------
    differences : ndarray of shape (n_splits,)
        Differences of two methods on the same splits.
    test_share : float
        Test rows per training row.
    level : float, default=0.95
        Of the interval.
    """
    n = len(differences)
    if n < 2:
        return float(differences.mean()), np.nan, np.nan
    error = float(np.sqrt((1 / n + test_share) * differences.var(ddof=1)))
    return float(differences.mean()), error, float(student.ppf((1 + level) / 2, n - 1) * error)
