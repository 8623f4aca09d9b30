"""One safe choice: no sampler unless a sampler is ahead by more than chance, on the data at hand."""

from __future__ import annotations

import logging
from typing import Any, ClassVar, NamedTuple

import numpy as np
from imblearn.over_sampling import SMOTE
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, check_scoring
from sklearn.model_selection import RepeatedStratifiedKFold
from sklearn.utils import get_tags, indexable
from sklearn.utils._param_validation import HasMethods, Integral
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ltresample._compat import fit_context
from ltresample._estimators import check_classifier, offers, weight_keyword
from ltresample._progress import advance, phase, progress
from ltresample._random import root_seed
from ltresample.class_counts import PartialFill
from ltresample.decisions._base import read_labels
from ltresample.decisions._offsets import checked_splits
from ltresample.exceptions import refuse_class
from ltresample.over_sampling._m2m import M2mSampler
from ltresample.over_sampling._trials import (
    Trained,
    Trial,
    answers_of,
    macro_average_precision,
    paired_interval,
    run_trials,
    train,
)
from ltresample.over_sampling._weighted_rows import positive, take_columns_of

__all__ = ["AutoResampledClassifier", "ChoiceReport"]

logger = logging.getLogger(__name__)
_DEFAULT = LogisticRegression()
_SHARES = (0.05, 0.15)  # of what the classes lack
_SMOTE_SHARE = 0.3


class Option(NamedTuple):
    """A trial, answered as trained or corrected for the prior."""

    name: str
    trial: int
    corrected: bool
    sampled: bool


class ChoiceReport(NamedTuple):
    """What was tried, what was chosen, and why; print it."""

    names: list[str]
    """Ways that were tried, best first."""
    means: list[float]
    """Mean scores over the splits."""
    gains: list[float]
    """Mean paired differences to the best way without a sampler."""
    errors: list[float]
    """Standard errors of these differences."""
    chosen: str
    """Name of the way that was taken."""
    reason: str
    """Why, in a sentence."""
    failures: dict[str, str]
    """What refused the data, and with which words."""

    def __str__(self) -> str:
        width = max(len(name) for name in self.names)
        lines = [f"{'':{width}}   score    gain   standard error"]
        for name, mean, gain, error in zip(
            self.names, self.means, self.gains, self.errors, strict=True
        ):
            mark = "  <- chosen" if name == self.chosen else ""
            lines.append(f"{name:{width}}  {mean:6.3f}  {gain:+6.3f}  {error:15.3f}{mark}")
        lines += [f"{name}: {said}" for name, said in self.failures.items()]
        return "\n".join([*lines, self.reason])


class AutoResampledClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Choose by cross-validation whether and how to resample, and do nothing unless it pays.

    Inside `fit` a few ways to train the classifier are tried on the same splits: as it is, with its
    probabilities divided by the class shares, with class weights, and behind `M2mSampler` (5 and
    15 % of what the classes lack) and SMOTE (30 %), these as trained and corrected. The
    corrected classifier (the plain one, if there are no probabilities) stands unless another way
    without a sampler is ahead of it by more than the standard error of the paired difference over
    the splits, and what then stands does so unless a sampler is ahead of it by more than that. The
    classifier is fitted on all data in that way.
    `choice_report_` says what was chosen and why.

    A sampler that refuses the data, for example SMOTE columns of text, is left out and named in the
    report. Each sampler's guide is fitted once for each split and shared. Trying takes about six
    fits of the classifier for each split.

    Parameters
    ----------
    classifier : classifier or None, default=None
        Cloned. None stands for ``LogisticRegression()``.
    scoring : str, callable or None, default=None
        A scorer of scikit-learn; larger is better. None: the mean of balanced accuracy and average
        precision (of the rarer class of two, or the mean over classes), so that both decisions and
        ranking count. One that needs probabilities sees those of each way as they come.
    cv : int, splitter, iterable of splits or None, default=None
        None: five stratified folds, twice, with fewer folds if a class has fewer samples. More
        splits make the choice steadier and take longer.
    random_state : int, RandomState or None, default=None
        Of the splits and the samplers.
    n_jobs : int or None, default=None
        Splits at once. Changes nothing about the choice.
    verbose : int or bool, default=0
        1: show a progress bar, of the splits and then of the last fit. 0: nothing. At any value the
        logger "ltresample" is told what was chosen and why (INFO), and the table (DEBUG).

    Attributes
    ----------
    choice_report_ : ChoiceReport
        What was tried and chosen: names, scores, gains, standard errors, and the reason in words.
    classifier_ : classifier
        The fitted classifier of the chosen way.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of the columns, where X is a frame.

    See Also
    --------
    ResampledClassifier : One sampler, without a choice.
    ltresample.compare : The same comparison as a table for people.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ltresample.over_sampling import AutoResampledClassifier
    >>> X, y = make_classification(n_samples=200, weights=[0.9], random_state=0)
    >>> model = AutoResampledClassifier(LogisticRegression(), cv=2, random_state=0).fit(X, y)
    >>> model.choice_report_.chosen in model.choice_report_.names
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "classifier": [HasMethods("fit"), None],
        "scoring": [str, callable, None],
        "cv": ["cv_object"],
        "random_state": ["random_state"],
        "n_jobs": [Integral, None],
        "verbose": ["verbose"],
    }

    # as ResampledClassifier: a weight is not as many samples where samples are counted and split
    __metadata_request__fit: ClassVar[dict] = {"sample_weight": None}

    def __init__(
        self,
        classifier=None,
        *,
        scoring=None,
        cv=None,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.classifier = classifier
        self.scoring = scoring
        self.cv = cv
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, **fit_params):
        """Choose, and fit on all data.

        Parameters
        ----------
        X : array-like, data frame or sparse matrix of shape (n_samples, n_features)
            Training samples.
        y : array-like of shape (n_samples,)
            Labels, at least two of each class.
        **fit_params : dict
            ``sample_weight`` only: weights of the samples, at least 0, for training. Samples of
            weight 0 are left out.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            Before anything is fitted: if a class has a single sample or is missing from the
            training part of a split, the metric needs what the classifier does not give, or weights
            are given to a classifier that takes none.
        TypeError
            If `classifier` is no classifier, or `fit` gets other parameters.
        """
        given = fit_params.pop("sample_weight", None)
        if fit_params:
            raise TypeError(
                f"AutoResampledClassifier.fit takes sample_weight only. Got {sorted(fit_params)}. "
                "Set them on the classifier."
            )
        inner, labels = self._inner(), read_labels(column_or_1d(y, warn=True))
        X, y = indexable(X, labels)
        if given is not None:
            X, y, given = positive(inner, weight_keyword(inner), X, y, given)
            labels = read_labels(y)
        _check_two_classes(labels)
        score = self._score()
        seed = root_seed(self.random_state)
        splits = self._splits(X, labels, seed)
        trials, options = _ways(inner, seed.child("samplers").integer() % 2**31)
        with progress(type(self).__name__, shown=bool(self.verbose)):
            phase(f"trying {len(options)} ways")
            results = run_trials(
                trials,
                inner,
                X,
                labels,
                splits=splits,
                scorers=[score],
                weight=given,
                n_jobs=self.n_jobs,
            )
            test_share = float(np.mean([len(test) / len(train) for train, test in splits]))
            self.choice_report_, option = _choose(options, results, test_share)
            logger.info("%s", self.choice_report_.reason)
            logger.debug("%s", self.choice_report_)
            phase(f"fitting {option.name}", 1)
            trained = train(trials[option.trial], inner, X, labels, given)
            advance()
        self._keep(trained.corrected if option.corrected else trained.plain)
        return self

    def _validate_params(self) -> None:
        refuse_class(self.classifier, "classifier")
        check_classifier(self._inner(), "classifier")
        super()._validate_params()

    def _inner(self) -> Any:
        return _DEFAULT if self.classifier is None else self.classifier

    def _keep(self, model: Any) -> None:
        self.classifier_ = model
        self.classes_ = np.asarray(model.classes_)
        take_columns_of(self, model)

    def _score(self) -> Any:
        """Return a function of a fitted model and test rows."""
        if self.scoring is None:
            return _decisions_and_ranking
        scorer = check_scoring(self._inner(), scoring=self.scoring)
        _check_offered(scorer, self.scoring, self._inner())

        def score(model: Any, trained: Trained, X: Any, y: np.ndarray, shares: np.ndarray) -> float:
            return float(scorer(answers_of(model, X), X, y))

        return score

    def _splits(self, X: Any, labels: np.ndarray, seed: Any) -> list:
        cv = self.cv
        smallest = int(np.unique(labels, return_counts=True)[1].min())
        if cv is None and smallest > 1:
            cv = RepeatedStratifiedKFold(
                n_splits=min(5, smallest),
                n_repeats=2,
                random_state=seed.child("folds").integer() % 2**31,
            )
        return checked_splits(cv, X, labels, {})

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        check_is_fitted(self)
        return self.classifier_.predict(X)

    @available_if(
        lambda self: offers(vars(self).get("classifier_", self._inner()), "predict_proba")
    )
    def predict_proba(self, X):
        """Predict probabilities, as the chosen way gives them.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(X)

    @available_if(
        lambda self: (
            not offers(self._inner(), "predict_proba")
            and offers(self._inner(), "decision_function")
        )
    )
    def decision_function(self, X):
        """Return the classifier's scores, where it has no probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Scores.
        """
        check_is_fitted(self)
        return self.classifier_.decision_function(X)

    def __sklearn_tags__(self):
        tags, inner = super().__sklearn_tags__(), get_tags(self._inner())
        tags.classifier_tags = inner.classifier_tags
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        return tags


def _decisions_and_ranking(
    model: Any, trained: Trained, X: Any, y: np.ndarray, shares: np.ndarray
) -> float:
    """Return the mean of balanced accuracy and average precision, where there is a ranking."""
    answers = answers_of(model, X)
    decisions = balanced_accuracy_score(y, answers.labels)
    ranking = macro_average_precision(y, answers)
    return float(decisions if np.isnan(ranking) else (decisions + ranking) / 2)


def _ways(classifier: Any, seed: int) -> tuple[list[Trial], list[Option]]:
    """List what is trained, and how each answers."""
    proba, weights = offers(classifier, "predict_proba"), weight_keyword(classifier) is not None
    trials, options = [Trial("none")], [Option("none", 0, False, False)]
    if proba:
        options.insert(0, Option("none, corrected", 0, True, False))
    if weights:
        trials.append(Trial("class weights", weighted=True))
        options.append(Option("class weights", 1, False, False))
    for trial in _sampled(seed, soft=proba and weights, filled=not proba):
        options.append(Option(trial.name, len(trials), False, True))
        if proba:
            options.append(Option(f"{trial.name}, corrected", len(trials), True, True))
        trials.append(trial)
    return trials, options


def _sampled(seed: int, *, soft: bool, filled: bool) -> list[Trial]:
    """Return trials with a sampler; `filled` adds one that fills the classes up."""
    trials = [
        Trial(
            f"M2m {share:.0%}",
            lambda y, g, share=share: M2mSampler(
                g=g,
                sampling_strategy=PartialFill(share),
                synthetic_share=1.0,
                soft_labels=soft,
                random_state=seed,
            ),
        )
        for share in _SHARES
    ]
    if filled:  # what is left of the imbalance cannot be divided out
        trials.append(Trial("M2m", lambda y, g: M2mSampler(g=g, random_state=seed)))
    share = "auto" if filled else PartialFill(_SMOTE_SHARE)
    name = "SMOTE" if filled else f"SMOTE {_SMOTE_SHARE:.0%}"
    return [*trials, Trial(name, lambda y, g: _smote(y, share, seed))]


def _smote(y: np.ndarray, share: Any, seed: int) -> SMOTE:
    smallest = int(np.unique(y, return_counts=True)[1].min())
    return SMOTE(
        sampling_strategy=share, k_neighbors=max(1, min(5, smallest - 1)), random_state=seed
    )


def _choose(
    options: list[Option], results: list[list], test_share: float
) -> tuple[ChoiceReport, Option]:
    """Take the best way without a sampler, or the best sampler if it is ahead by more than chance."""
    failures = {}
    scores: dict[Option, np.ndarray] = {}
    for option in options:
        column = [split[option.trial] for split in results]
        said = next((result.failed for result in column if result.failed), None)
        if said:
            failures[option.name.removesuffix(", corrected")] = said
            continue
        scores[option] = np.array([r.corrected if option.corrected else r.plain for r in column])[
            :, 0
        ]
    ranked = sorted(scores, key=lambda option: -scores[option].mean())
    first = options[0]  # what costs nothing and is best in theory
    plain, _ = _ahead(first, [o for o in ranked if not o.sampled], scores, test_share)
    best, reason = _ahead(plain, [o for o in ranked if o.sampled], scores, test_share)
    against = {o: paired_interval(scores[o] - scores[plain], test_share)[:2] for o in ranked}
    report = ChoiceReport(
        [option.name for option in ranked],
        [float(scores[option].mean()) for option in ranked],
        [float(against[option][0]) for option in ranked],
        [float(against[option][1]) for option in ranked],
        best.name,
        reason,
        failures,
    )
    return report, best


def _ahead(
    start: Option, others: list[Option], scores: dict[Option, np.ndarray], test_share: float
) -> tuple[Option, str]:
    """Return the best of the others if it is ahead by more than its error, and why."""
    others = [option for option in others if option != start]
    if not others:
        return start, f"{start.name!r} is chosen: no sampler could be tried."
    gain, error, _ = paired_interval(scores[others[0]] - scores[start], test_share)
    if gain > error:
        return others[0], (
            f"{others[0].name!r} is chosen: it is ahead of {start.name!r}, the best way without a "
            f"sampler, by {gain:.3f}, more than the standard error of {error:.3f}."
        )
    return start, (
        f"{start.name!r} is chosen, without a sampler: the best sampler, {others[0].name!r}, differs "
        f"from it by {gain:+.3f}, which is not more than the standard error of {error:.3f}."
    )


def _check_two_classes(labels: np.ndarray) -> None:
    classes = np.unique(labels)
    if len(classes) < 2:
        raise ValueError(
            "AutoResampledClassifier needs samples of at least two classes. Got 1 class: "
            f"{classes.tolist()!r}."
        )


def _check_offered(scorer: Any, scoring: Any, classifier: Any) -> None:
    """Refuse a metric of probabilities for a classifier without them, before anything is fitted."""
    wanted = getattr(scorer, "_response_method", "predict")
    wanted = {wanted} if isinstance(wanted, str) else set(wanted)
    if not any(offers(classifier, name) for name in wanted):
        raise ValueError(
            f"scoring={scoring!r} needs {' or '.join(sorted(wanted))}, and the classifier must have "
            f"it. Got classifier={classifier!r}. Choose a metric of labels, or another classifier."
        )
