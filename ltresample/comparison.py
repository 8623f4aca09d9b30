"""Compare ways to handle imbalance on one's own data, in a table and a picture."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from imblearn.over_sampling import RandomOverSampler
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, log_loss
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.utils import indexable

from ltresample._compat import check_sample_weight
from ltresample._estimators import check_classifier, offers, weight_keyword
from ltresample._random import root_seed
from ltresample.class_counts import PartialFill
from ltresample.over_sampling import M2mSampler, ResampledClassifier
from ltresample.over_sampling._data import labels_of
from ltresample.over_sampling._guide_vote import GuideVote
from ltresample.over_sampling._trial_samplers import guide_alone, smote_for
from ltresample.over_sampling._trials import (
    Trained,
    Trial,
    answers_of,
    macro_average_precision,
    paired_interval,
    run_trials,
)
from ltresample.plotting import ComparisonDisplay

__all__ = ["Comparison", "compare"]

_GUIDE_WEIGHT = 0.5
_METRICS = ("balanced accuracy", "average precision", "log loss")


class Comparison(NamedTuple):
    """What `compare` found: print it for a table, `plot` it for a picture."""

    names: list[str]
    """Methods."""
    metrics: list[str]
    """Metrics; of all but the log loss larger is better.

    Balanced accuracy; average precision of the rarer class of two, or the mean over classes; and the
    log loss of the probabilities, whichever way they were trained, brought to the class shares of
    the training data.
    """
    scores: np.ndarray
    """Scores, shape (n_methods, n_splits, n_metrics); NaN where a method gave nothing."""
    seconds: np.ndarray
    """Median seconds of a fit, shape (n_methods,)."""
    failures: dict[str, str]
    """What went wrong, by method."""
    reference: str
    """The method that the others are compared with."""
    test_share: float
    """Test rows per training row of a split."""
    about: str
    """The data and the splits in a sentence."""

    @property
    def means(self) -> np.ndarray:
        """Mean scores, shape (n_methods, n_metrics)."""
        return self.scores.mean(axis=1)

    def differences(self) -> tuple[np.ndarray, np.ndarray]:
        """Return mean paired differences to the reference and half the width of their intervals.

        Returns
        -------
        mean, half_width : ndarray of shape (n_methods, n_metrics)
            95 % intervals for differences over splits whose training data overlap (Nadeau and
            Bengio, "Inference for the Generalization Error", Machine Learning 52, 2003).
        """
        gaps = self.scores - self.scores[self.names.index(self.reference)]
        found = np.array(
            [[paired_interval(g, self.test_share) for g in method.T] for method in gaps]
        )
        return found[..., 0], found[..., 2]

    def plot(self, axes: Any = None) -> ComparisonDisplay:
        """Draw the differences to the reference with their intervals.

        Parameters
        ----------
        axes : sequence of matplotlib.axes.Axes or None, default=None
            One for each metric; None makes a new figure.

        Returns
        -------
        ComparisonDisplay
            The picture.
        """
        mean, half = self.differences()
        display = ComparisonDisplay(self.names, self.metrics, mean, half, reference=self.reference)
        return display.plot(axes)

    def __str__(self) -> str:
        mean, half = self.differences()
        width = max(len(name) for name in self.names)
        head = "".join(f"{metric:>34}" for metric in self.metrics)
        lines = [f"{'':{width}}{head}{'s per fit':>11}"]
        for i, name in enumerate(self.names):
            cells = [
                _cell(self.means[i, j], mean[i, j], half[i, j], name == self.reference)
                for j in range(len(self.metrics))
            ]
            lines.append(f"{name:{width}}{''.join(cells)}{self.seconds[i]:11.2f}")
        lines += [f"{name}: {said}" for name, said in self.failures.items()]
        lines.append(
            f"Means, differences to {self.reference!r} and their 95 % intervals; * marks an interval "
            f"without 0. {self.about}"
        )
        return "\n".join(lines)

    __repr__ = __str__


def _cell(mean: float, gap: float, half: float, is_reference: bool) -> str:
    if not np.isfinite(mean):
        return f"{'-':>34}"
    if is_reference:
        return f"{mean:34.3f}"
    mark = "*" if abs(gap) > half else " "
    return f"{f'{mean:.3f}  {gap:+.3f} [{gap - half:+.3f}, {gap + half:+.3f}]{mark}':>34}"


def compare(
    X: Any,
    y: Any,
    classifier: Any = None,
    *,
    sample_weight: Any = None,
    others: dict[str, Any] | None = None,
    n_splits: int = 5,
    n_repeats: int = 2,
    random_state: Any = 0,
    n_jobs: int | None = None,
) -> Comparison:
    """Compare ways to handle imbalance with one's own classifier on one's own data.

    Repeated stratified cross-validation; samplers see the training folds only, all methods the same
    splits. Without a sampler: the classifier as it is ("plain"), with its probabilities divided by
    the class shares ("corrected", `PriorCorrectedClassifier`), and with class weights. With one:
    duplicates, SMOTE, and 5 % of what the classes lack made by `M2mSampler`, corrected (the recipe
    of `ResampledClassifier`). "with g": the corrected classifier in a vote with the guide of
    `M2mSampler`, each with weight 0.5 (``guide_weight=0.5``), without and with these rows; such a
    vote is an ensemble of two models, and what it gains is not synthesis'. Differences to
    "corrected", which costs nothing, decide whether something is worth its while: look for an
    interval without 0.

    Of a small table this takes seconds to a minute: `n_splits` times `n_repeats` times five fits.

    Parameters
    ----------
    X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
        Rows.
    y : array-like of shape (n_samples,)
        Labels, of each class at least `n_splits`.
    classifier : classifier or None, default=None
        Cloned. A ``Pipeline`` may scale in front; what samplers cannot take, such as text columns,
        has to be encoded before. None stands for ``LogisticRegression(max_iter=1000)``.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights, for training only.
    others : dict of str to estimator or None, default=None
        More methods by name: estimators of the whole way, such as a pipeline with another sampler.
    n_splits : int, default=5
        Folds, at least 2. More give the classifiers more data and take longer.
    n_repeats : int, default=2
        Repeats with other folds, at least 1. More make intervals narrower, up to a point: the data
        remain the same.
    random_state : int, RandomState or None, default=0
        Of the folds and of the samplers.
    n_jobs : int or None, default=None
        Splits at once.

    Returns
    -------
    Comparison
        Print it for a table; ``plot()`` draws it; `scores` holds all numbers.

    Raises
    ------
    ValueError
        Before anything is fitted: if a class has fewer samples than there are folds, weights are
        given to a classifier that takes none, or one of `others` has the name of another method.
    TypeError
        If `classifier` is none.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ltresample import compare
    >>> X, y = make_classification(n_samples=300, weights=[0.9], random_state=0)
    >>> result = compare(X, y, LogisticRegression(), n_splits=2, n_repeats=1)
    >>> result.names  # doctest: +NORMALIZE_WHITESPACE
    ['plain', 'corrected', 'corrected, with g', 'class weights', 'duplicates', 'SMOTE',
     'M2m 5 %, corrected', 'M2m 5 %, with g']
    >>> bool(result.means[1, 0] > result.means[0, 0])
    True
    """
    classifier = LogisticRegression(max_iter=1000) if classifier is None else classifier
    check_classifier(classifier, "classifier")
    labels = labels_of(y)
    X, _ = indexable(X, labels)
    weight = _weights(sample_weight, labels, classifier)
    counts = _checked_counts(labels, n_splits, n_repeats)
    seed = root_seed(random_state)
    folds = RepeatedStratifiedKFold(
        n_splits=n_splits, n_repeats=n_repeats, random_state=seed.child("folds").integer() % 2**31
    )
    splits = list(folds.split(np.zeros(len(labels)), labels))
    proba = offers(classifier, "predict_proba")
    trials = _trials(classifier, seed.child("samplers").integer() % 2**31, others or {})
    _check_names(trials)
    scorers = [_balanced_accuracy, _average_precision, _log_loss][: 3 if proba else 2]
    results = run_trials(
        [trial for trial, _ in trials],
        classifier,
        X,
        labels,
        splits=splits,
        scorers=scorers,
        weight=weight,
        n_jobs=n_jobs,
        guide_weight=_GUIDE_WEIGHT if proba else 0.0,
    )
    return _collected(
        trials,
        results,
        proba,
        len(splits[0][1]) / len(splits[0][0]),
        (
            f"{n_repeats} x {n_splits}-fold cross-validation of {len(labels)} samples in {len(counts)} "
            f"classes of {counts.max()} to {counts.min()}."
            + (
                " Log loss: of probabilities brought to the class shares of the data."
                if proba
                else ""
            )
        ),
    )


def _trials(
    classifier: Any, seed: int, others: dict[str, Any]
) -> list[tuple[Trial, dict[str, str]]]:
    """List trials, and under which names their answers are shown."""
    proba = offers(classifier, "predict_proba")
    share = PartialFill(0.05) if proba else "auto"
    recipe = Trial(
        "M2m",
        lambda y, g: M2mSampler(
            g=g,
            sampling_strategy=share,
            synthetic_share=1.0 if proba else 0.5,
            soft_labels=proba and weight_keyword(classifier) is not None,
            random_state=seed,
        ),
    )
    none = Trial("none", voter=lambda: guide_alone(seed))
    answers = {"plain": "plain"}
    synthetic = {"plain": "M2m"}
    if proba:
        answers |= {"corrected": "corrected", "voted": "corrected, with g"}
        synthetic = {"corrected": "M2m 5 %, corrected", "voted": "M2m 5 %, with g"}
    listed = [
        (none, answers),
        (Trial("weights", weighted=True), {"plain": "class weights"}),
        (
            Trial("duplicates", lambda y, g: RandomOverSampler(random_state=seed)),
            {"plain": "duplicates"},
        ),
        (Trial("SMOTE", lambda y, g: smote_for(y, seed)), {"plain": "SMOTE"}),
        (recipe, synthetic),
    ]
    if weight_keyword(classifier) is None:
        listed = [entry for entry in listed if not entry[0].weighted]
    own = others.items()
    return listed + [(Trial(name, whole=_Always(model)), {"plain": name}) for name, model in own]


def _check_names(trials: list[tuple[Trial, dict[str, str]]]) -> None:
    names = [name for _, answers in trials for name in answers.values()]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"others must have names of their own. Got {twice!r}, of which there is one already. "
            "Choose other names."
        )


class _Always(NamedTuple):
    """Gives a clone of one estimator, whatever the classifier is."""

    model: Any

    def __call__(self, classifier: Any) -> Any:
        return clone(self.model)


def _weights(sample_weight: Any, labels: np.ndarray, classifier: Any) -> np.ndarray | None:
    if sample_weight is None:
        return None
    if weight_keyword(classifier) is None:
        raise ValueError(
            f"{classifier!r} takes no sample_weight in fit. Got sample_weight. Leave it out, or "
            "choose a classifier that takes weights."
        )
    return check_sample_weight(sample_weight, labels, ensure_non_negative=True)


def _checked_counts(labels: np.ndarray, n_splits: int, n_repeats: int) -> np.ndarray:
    classes, counts = np.unique(labels, return_counts=True)
    if n_splits < 2 or n_repeats < 1:
        raise ValueError(
            "n_splits must be at least 2 and n_repeats at least 1. Got "
            f"n_splits={n_splits}, n_repeats={n_repeats}."
        )
    if len(classes) < 2:
        raise ValueError(f"y must hold at least two classes. Got {classes.tolist()!r}.")
    if counts.min() < n_splits:
        few = classes[counts < n_splits].tolist()
        raise ValueError(
            f"Each class must have a sample for each of the n_splits={n_splits} folds. Got fewer of "
            f"{len(few)} class(es): {few[:10]!r}. Choose fewer folds, or leave these classes out."
        )
    return counts


def _balanced_accuracy(
    model: Any, trained: Trained, X: Any, y: np.ndarray, shares: np.ndarray
) -> float:
    return float(balanced_accuracy_score(y, model.predict(X)))


def _average_precision(
    model: Any, trained: Trained, X: Any, y: np.ndarray, shares: np.ndarray
) -> float:
    return macro_average_precision(y, answers_of(model, X))


def _log_loss(model: Any, trained: Trained, X: Any, y: np.ndarray, shares: np.ndarray) -> float:
    """Return the log loss of the probabilities at the class shares of the training data."""
    inside = model.classifier_ if isinstance(model, ResampledClassifier) else model
    known = trained.corrected
    known = known.classifier_ if isinstance(known, ResampledClassifier) else known
    known = inside if isinstance(inside, GuideVote) else known
    if known is None:  # an estimator of the whole way: as it answers
        proba = model.predict_proba(X)
    else:
        proba = known.predict_proba(X, target_prior=shares)
    proba = np.maximum(np.asarray(proba, dtype=np.float64), 1e-7)
    proba /= proba.sum(axis=1, keepdims=True)
    return float(log_loss(y, proba, labels=model.classes_))


def _collected(trials, results, proba: bool, test_share: float, about: str) -> Comparison:
    names, scores, seconds, failures = [], [], [], {}
    for i, (_, answers) in enumerate(trials):
        column = [split[i] for split in results]
        failed = next((result.failed for result in column if result.failed), "")
        refused = next((result.refused for result in column if result.refused), "")
        for answer, name in answers.items():
            names.append(name)
            scores.append([result.scores[answer] for result in column])
            seconds.append(np.median([result.seconds for result in column]))
            if said := failed or (refused if answer == "voted" else ""):
                failures[name] = said
    reference = "corrected" if proba else "plain"
    metrics = list(_METRICS[: 3 if proba else 2])
    return Comparison(
        names, metrics, np.array(scores), np.array(seconds), failures, reference, test_share, about
    )
