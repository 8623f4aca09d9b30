"""One safe choice: no sampler unless a sampler is ahead by more than chance, on the data at hand."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from numbers import Real
from typing import Any, ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score, check_scoring
from sklearn.model_selection import StratifiedKFold
from sklearn.utils import get_tags, indexable
from sklearn.utils._param_validation import HasMethods, Integral, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ltresample._compat import fit_context
from ltresample._estimators import (
    check_classifier,
    offers,
    register_wrapper,
    weight_keyword,
)
from ltresample._progress import advance, phase, progress
from ltresample._random import root_seed
from ltresample.decisions._base import read_labels
from ltresample.decisions._offsets import checked_splits
from ltresample.decisions._priors import check_prior, count_prior
from ltresample.exceptions import refuse_class
from ltresample.over_sampling._choice import ChoiceReport, Option, Tally, choose, ways
from ltresample.over_sampling._trials import (
    Result,
    Trained,
    Trial,
    answers_of,
    at_prior,
    guided_by,
    macro_average_precision,
    run_trials,
    train,
)
from ltresample.over_sampling._weighted_rows import positive, take_columns_of
from ltresample.rows import plain_labels

__all__ = ["AutoResampledClassifier", "ChoiceReport"]

logger = logging.getLogger(__name__)
_DEFAULT = LogisticRegression()


class AutoResampledClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Choose by cross-validation whether and how to resample, and do nothing unless it pays.

    Inside `fit` a few ways to train the classifier are tried on the same splits: as it is, with its
    probabilities divided by the class shares, with class weights, and behind `M2mSampler` (5 % of
    what the classes lack) and SMOTE (30 %), these as trained and corrected. The corrected classifier
    (the plain one, if there are no probabilities) stands unless another way without a sampler is
    ahead of it by more than the standard error of the paired difference over the splits, and what
    then stands does so unless a sampler is ahead of it by more than that. The classifier is fitted
    on all data in that way. `choice_report_` says what was chosen and why.

    A sampler that refuses the data, for example SMOTE columns of text, is left out and named in the
    report. A guide is fitted once for each split and shared. Trying takes four fits of the
    classifier for each split. With class weights, columns for a ``HistGradientBoostingClassifier`` are
    brought onto few values first, as `ResampledClassifier` does.

    Parameters
    ----------
    classifier : classifier or None, default=None
        Cloned. None stands for ``LogisticRegression()``.
    scoring : str, callable or None, default=None
        A scorer of scikit-learn; larger is better. None: the mean of balanced accuracy and average
        precision (of the rarer class of two, or the mean over classes), so that both decisions and
        ranking count. One that needs probabilities sees those of each way as they come.
    cv : int, splitter, iterable of splits or None, default=None
        None: five stratified folds, fewer if a class has fewer samples. More splits make the choice
        steadier, and standard errors smaller, and take longer: ``RepeatedStratifiedKFold(n_repeats=4)``
        takes four times as long.
    guide_weight : float, default=0.0
        Weight of the vote of a guide of `M2mSampler` in [0, 1], see `ResampledClassifier`. Above 0,
        the corrected classifier in a vote with that guide ("none, with g") takes the place of the
        corrected classifier as what stands unless another way is ahead, the ways without a sampler
        are also tried without the vote, and those with a sampler with the vote only. What is chosen
        may then be a vote of two models. 0: no votes. Where the guide cannot be fitted to the data,
        nothing with a vote is tried, and the report says so.
    target_prior : {"balanced", "training"}, dict, array-like of shape (n_classes,) or None, \
default=None
        Class shares at which probabilities hold, and for which labels are predicted, once a way has
        been chosen: "training" gives the probabilities of the original population. As in
        `ResampledClassifier`; needs ``predict_proba``. The choice does not depend on it. None: labels
        and probabilities as the chosen way gives them, at equal shares where it is corrected.
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
        "guide_weight": [Interval(Real, 0, 1, closed="both")],
        "target_prior": [StrOptions({"balanced", "training"}), Mapping, "array-like", None],
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
        guide_weight=0.0,
        target_prior=None,
        random_state=None,
        n_jobs=None,
        verbose=0,
    ):
        self.classifier = classifier
        self.scoring = scoring
        self.cv = cv
        self.guide_weight = guide_weight
        self.target_prior = target_prior
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
            training part of a split, the metric needs what the classifier does not give, weights
            are given to a classifier that takes none, `guide_weight` or `target_prior` to one
            without ``predict_proba``, or a prior does not hold one share above 0 per class, with
            sum 1.
        TypeError
            If `classifier` is no classifier, or `fit` gets other parameters.
        """
        given = fit_params.pop("sample_weight", None)
        if fit_params:
            raise TypeError(
                f"AutoResampledClassifier.fit takes sample_weight only. Got {sorted(fit_params)}. "
                "Set them on the classifier."
            )
        self._check_proba()
        inner, labels = self._inner(), read_labels(column_or_1d(plain_labels(y), warn=True))
        X, y = indexable(X, labels)
        if given is not None:
            X, y, given = positive(inner, weight_keyword(inner), X, y, given)
            labels = read_labels(y)
        _check_two_classes(labels)
        prior = self._prior(labels, given)
        score = self._score()
        seed = root_seed(self.random_state)
        splits = self._splits(X, labels, seed)
        votes = bool(self.guide_weight)
        trials, options = ways(inner, seed.child("samplers").integer() % 2**31, votes=votes)
        with progress(type(self).__name__, shown=bool(self.verbose)):
            phase(f"trying {len(options)} ways")
            results = self._results(trials, splits, score, X, labels, given)
            share = float(np.mean([len(test) / len(train) for train, test in splits]))
            self.choice_report_, option = choose(Tally(options, results, share))
            logger.info("%s", self.choice_report_.reason)
            logger.debug("%s", self.choice_report_)
            phase(f"fitting {option.name}", 1)
            trained = self._trained(trials[option.trial], option, X, labels, given)
            advance()
        self._keep(at_prior(trained, option.answer, prior))
        return self

    def _trained(self, trial: Trial, option: Option, X, labels, weight) -> Trained:
        """Train in the chosen way, with a guide that votes where it is a vote."""
        asked = option.answer == "voted" and trial.voter is not None
        guided = guided_by(trial, X, labels) if asked else None
        return train(trial, self._inner(), X, labels, weight, guided, self.guide_weight)

    def _results(
        self,
        trials: list[Trial],
        splits: list,
        score: Any,
        X: Any,
        labels: np.ndarray,
        weight: np.ndarray | None,
    ) -> list[list[Result]]:
        return run_trials(
            trials,
            self._inner(),
            X,
            labels,
            splits=splits,
            scorers=[score],
            weight=weight,
            n_jobs=self.n_jobs,
            guide_weight=self.guide_weight,
        )

    def _validate_params(self) -> None:
        refuse_class(self.classifier, "classifier")
        check_classifier(self._inner(), "classifier")
        super()._validate_params()

    def _check_proba(self) -> None:
        if offers(self._inner(), "predict_proba"):
            return
        used = ["guide_weight"] * (self.guide_weight > 0)
        used += ["target_prior"] * (self.target_prior is not None)
        if used:
            raise ValueError(
                f"{used[0]} is about probabilities, and the classifier must have predict_proba. Got "
                f"{used[0]}={getattr(self, used[0])!r} with classifier={self.classifier!r}. Leave it at "
                "its default, or choose another classifier."
            )

    def _prior(self, labels: np.ndarray, weight: np.ndarray | None) -> np.ndarray | None:
        """Return the shares that the user named, in the order of the sorted labels."""
        target, classes = self.target_prior, np.unique(labels)
        if target is None:
            return None
        if not isinstance(target, str):
            return check_prior(target, classes, "target_prior")
        if target == "training":
            return count_prior(labels, classes, weight)
        return np.full(len(classes), 1 / len(classes))

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
            own = seed.child("folds").integer() % 2**31
            cv = StratifiedKFold(min(5, smallest), shuffle=True, random_state=own)
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
        """Predict probabilities, as the chosen way gives them or at the `target_prior`.

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


register_wrapper(AutoResampledClassifier, AutoResampledClassifier._inner)
