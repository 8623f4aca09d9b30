"""Offsets per class, tuned for a metric of predicted labels by cross-validation."""

from __future__ import annotations

import warnings
from numbers import Integral
from typing import Any, ClassVar

import numpy as np
from joblib import Parallel, delayed
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.exceptions import NotFittedError, UndefinedMetricWarning
from sklearn.metrics import check_scoring
from sklearn.model_selection import StratifiedKFold, check_cv
from sklearn.utils import indexable
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metadata_routing import MethodMapping
from sklearn.utils.validation import check_is_fitted

from ltresample._compat import (
    check_method_params,
    check_sample_weight,
    fit_context,
    safe_indexing,
)
from ltresample._estimators import check_classifier, last_of, offers
from ltresample.decisions._base import ClassifierAround, check_known, read_labels, to_be_fitted
from ltresample.decisions._priors import shown
from ltresample.decisions._search import (
    CONFUSION_METRICS,
    NEEDED,
    Confusion,
    Guard,
    Objective,
    PerDecision,
    ascend,
    stratified_parts,
)

__all__ = ["TunedOffsetsClassifierCV", "checked_splits"]

_LEAST_PROBA = 1e-6  # forests give exact zeros, whose logarithm no offset could make up for


class TunedOffsetsClassifierCV(ClassifierAround):
    """Predict ``argmax_k (log p_k(x) + offset_k)`` with offsets that are best for a metric.

    What scikit-learn's ``TunedThresholdClassifierCV`` is for two classes, for any number of them.
    The classifier is fitted on the training part of each split and scores the other part; the
    offsets are tuned on all these scores together by coordinate ascent (`tune_offsets`), so a class
    with two samples in a fold does not make a score of its own. Then the classifier is fitted on
    all data. `predict_proba` remains what the classifier inside gives. Nothing is random, apart
    from the classifier.

    With probabilities that can be trusted the prior correction is the best offset for balanced
    accuracy already, and needs no tuning (`PriorCorrectedClassifier`). Tuning is for other metrics,
    such as F1, and for probabilities that cannot be trusted. Offsets of classes with a handful of
    samples are tuned on these few and vary as much.

    Parameters
    ----------
    estimator : classifier or None, default=None
        With ``predict_proba`` or ``decision_function``, whose values then stand for log p. Cloned
        and fitted. None stands for ``LogisticRegression()``.
    scoring : str or callable, default="balanced_accuracy"
        A scorer of scikit-learn that looks at predicted labels; larger is better. Wrap a metric as
        ``make_scorer(metric)``. "balanced_accuracy", "accuracy", "f1_macro", "f1_weighted" and
        "recall_macro" are fast; for others the metric is called 40 times per class and round.
    cv : int, splitter, iterable of splits, "prefit" or None, default=None
        None: five stratified folds, fewer if a class has fewer samples. More folds give the
        classifiers of the folds more data and take longer. Splits need not cover all samples.
        "prefit": `estimator` is fitted already, and `fit` gets data that it was not trained on; a
        ``FrozenEstimator`` inside is treated in the same way.
    n_jobs : int or None, default=None
        Splits at once. Changes nothing about the result.

    Attributes
    ----------
    estimator_ : classifier
        The classifier, fitted on all data.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    offsets_ : ndarray of shape (n_classes,)
        Offsets, with mean 0.
    best_score_ : float
        Score of the offsets on the scores they were tuned on, hence too good.
    initial_score_ : float
        Score without offsets there.

    See Also
    --------
    PriorCorrectedClassifier : Offsets that follow from class shares.
    MinimumCostClassifier : Decisions for known costs.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ltresample.decisions import TunedOffsetsClassifierCV
    >>> X, y = make_classification(
    ...     n_samples=600, n_informative=4, n_classes=3, weights=[0.8, 0.15], random_state=0
    ... )
    >>> model = TunedOffsetsClassifierCV(LogisticRegression(), scoring="f1_macro").fit(X, y)
    >>> bool(model.best_score_ > model.initial_score_)
    True
    >>> model.offsets_.shape
    (3,)
    """

    _parameter_constraints: ClassVar[dict] = {
        **ClassifierAround._parameter_constraints,
        "scoring": [str, callable],
        "cv": ["cv_object", StrOptions({"prefit"})],
        "n_jobs": [Integral, None],
    }

    def __init__(self, estimator=None, *, scoring="balanced_accuracy", cv=None, n_jobs=None):
        self.estimator = estimator
        self.scoring = scoring
        self.cv = cv
        self.n_jobs = n_jobs

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **fit_params):
        """Tune the offsets and fit the classifier on all data.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Passed to the classifier, and to the metric. With metadata routing: to whom asks for it.
        **fit_params : dict
            Passed to the classifier. With metadata routing: to the classifier, the splitter and the
            metric.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            Before anything is fitted: if the metric needs probabilities, or cannot be used with
            these classes, a fitted classifier does not know all labels, there are fewer samples than
            folds, or a class is missing from the training part of a split.
        NotFittedError
            If ``cv="prefit"`` and the classifier is not fitted.
        """
        inner = self._inner()
        check_classifier(inner, "estimator")
        if not offers(inner, "predict_proba") and not offers(inner, "decision_function"):
            raise ValueError(
                "TunedOffsetsClassifierCV moves scores of classes, and the classifier must have "
                f"predict_proba or decision_function. Got estimator={self.estimator!r}."
            )
        labels = read_labels(y)
        X, y = indexable(X, to_be_fitted(y, labels))
        weight = sample_weight
        if weight is not None:
            weight = check_sample_weight(weight, labels, ensure_non_negative=True)
        _check_classes(labels, weight)
        if self.cv == "prefit":
            _check_fitted(inner)
        check_known(labels, inner.classes_ if self.cv == "prefit" else self._known_classes(labels))
        to_fit, to_split, to_score = self._params(weight, fit_params)
        scorer = self._scorer()
        _probe(scorer, self.scoring, X, labels, to_score)
        if self.cv == "prefit":
            self._keep(inner)
            rows, scores = np.arange(len(labels)), _class_scores(inner, X)
            parts = stratified_parts(np.searchsorted(self.classes_, labels), 5)
        else:
            splits = checked_splits(self.cv, X, labels, to_split)
            rows = np.concatenate([test for _, test in splits])
            scores = self._out_of_fold(X, y, splits, to_fit)
            parts = np.split(np.arange(len(rows)), np.cumsum([len(b) for _, b in splits])[:-1])
            if len(parts) == 1:
                parts = stratified_parts(labels[rows], 5)
            self._fit_inner(X, y, to_fit)
        self._tune(X, labels, rows, scores, parts, scorer, to_score)
        return self

    def _params(self, weight: Any, fit_params: dict) -> tuple[dict, dict, dict]:
        """Return the keywords of the classifier, the splitter and the metric."""
        if get_config()["enable_metadata_routing"]:
            routed = self._routed(weight, fit_params)
            return (
                dict(routed.estimator.fit),
                dict(routed.splitter.split),
                dict(routed.scorer.score),
            )
        score = {} if weight is None else {"sample_weight": weight}
        return self._inner_params(weight, fit_params), {}, score

    def _scorer(self) -> Any:
        return check_scoring(self._inner(), scoring=self.scoring)

    def get_metadata_routing(self):
        """Return who asks for which metadata.

        Returns
        -------
        MetadataRouter
            Of scikit-learn.
        """
        return (
            super()
            .get_metadata_routing()
            .add(
                splitter=self.cv,
                method_mapping=MethodMapping().add(caller="fit", callee="split"),
            )
            .add(
                scorer=self._scorer(),
                method_mapping=MethodMapping().add(caller="fit", callee="score"),
            )
        )

    def _out_of_fold(self, X: Any, y: Any, splits: list, to_fit: dict) -> np.ndarray:
        """Return scores of the test rows of all splits by classifiers not fitted on them."""
        parts = Parallel(n_jobs=self.n_jobs)(
            delayed(_fit_and_score)(clone(self._inner()), X, y, train, test, to_fit)
            for train, test in splits
        )
        return np.concatenate(parts)

    def _tune(
        self,
        X: Any,
        labels: np.ndarray,
        rows: np.ndarray,
        scores: np.ndarray,
        parts,
        scorer,
        to_score,
    ) -> None:
        """Find the offsets: `rows` (n,) are positions in X, `scores` (n, K) what was scored there."""
        index = np.searchsorted(self.classes_, labels[rows])
        weight = to_score.get("sample_weight")
        weight = None if weight is None else np.asarray(weight, dtype=np.float64)[rows]
        objective: Objective
        if isinstance(self.scoring, str) and self.scoring in CONFUSION_METRICS:
            metric = CONFUSION_METRICS[self.scoring]
            objective = Confusion(metric, index, len(self.classes_), weight)
            guard = Guard(parts, objective.of_rows, NEEDED.get(self.scoring, (1.0, 1.0)))
        else:

            def score(decisions: np.ndarray, part: np.ndarray) -> float:
                at = rows[part]
                params = check_method_params(X, params=to_score, indices=at)
                answers = _Answers(self.classes_[decisions[part]], self.classes_)
                with warnings.catch_warnings():  # some decisions leave a class without predictions
                    warnings.simplefilter("ignore", UndefinedMetricWarning)
                    return float(scorer(answers, safe_indexing(X, at), labels[at], **params))

            everything = np.arange(len(rows))
            objective = PerDecision(lambda decisions: score(decisions, everything))
            guard = Guard(parts, score)
        tuned = ascend(scores, index, objective, guard=guard, weight=weight)
        self.offsets_, self.best_score_ = tuned.offsets, tuned.score
        self.initial_score_ = tuned.initial_score

    def decision_function(self, X):
        """Return scores plus offsets; the class of the largest is predicted.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes), of two classes (n_samples,)
            Values, in the order of `classes_`; of two classes the second's minus the first's.
        """
        check_is_fitted(self)
        moved = _class_scores(self.estimator_, X) + self.offsets_
        return moved[:, 1] - moved[:, 0] if moved.shape[1] == 2 else moved

    def predict(self, X):
        """Return the class of the largest score plus offset, of several the first.

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
        moved = _class_scores(self.estimator_, X) + self.offsets_
        return self.classes_[moved.argmax(axis=1)]


class _Answers(ClassifierMixin, BaseEstimator):
    """A classifier whose predictions are known, for scorers."""

    def __init__(self, labels: np.ndarray, classes_: np.ndarray):
        self.labels = labels
        self.classes_ = classes_

    def predict(self, X: Any) -> np.ndarray:
        return self.labels

    def __sklearn_is_fitted__(self) -> bool:
        return True


def _check_classes(labels: np.ndarray, weight: np.ndarray | None) -> None:
    classes = np.unique(labels)
    weighed = classes if weight is None else np.unique(labels[weight > 0])
    if len(weighed) < 2 or len(weighed) < len(classes):
        raise ValueError(
            "Offsets need samples of at least two classes, and of each class one with a weight above "
            f"0. Got {len(weighed)} class(es) with such samples, of {len(classes)} class(es) in all."
        )


def _probe(scorer: Any, scoring: Any, X: Any, labels: np.ndarray, to_score: dict) -> None:
    """Score the true labels: what is wrong with a metric shows before anything is fitted."""
    name = repr(scoring)
    try:
        value = scorer(_Answers(labels, np.unique(labels)), X, labels, **to_score)
    except AttributeError as err:
        raise ValueError(
            f"scoring must look at predicted labels, which is what offsets change. Got {name}, which "
            f"needs more: {err}. Choose a metric of labels, such as 'balanced_accuracy' or "
            "'f1_macro'."
        ) from err
    except (TypeError, ValueError) as err:
        raise ValueError(
            f"scoring={name} cannot be used with these labels: {err} Choose another metric, for "
            "more than two classes one with an average, such as 'f1_macro'."
        ) from err
    if not (np.isscalar(value) and np.isfinite(value)):
        raise ValueError(
            f"scoring must give one finite number. Got {value!r} from {name} for predictions that "
            "are all right. Choose another metric."
        )


def checked_splits(cv: Any, X: Any, labels: np.ndarray, split_params: dict) -> list:
    """Return splits (train, test), or refuse those whose training parts lack a class.

    Parameters
    ----------
    cv : as of `TunedOffsetsClassifierCV`
        None: five stratified folds, or as many as the smallest class has samples.
    X, labels : data
        What is split.
    split_params : dict
        For the splitter.

    Raises
    ------
    ValueError
        If there are fewer samples than folds, or a class is missing from a training part.
    """
    classes, counts = np.unique(labels, return_counts=True)
    if cv is None:
        if counts.min() < 2:
            raise ValueError(
                "Each class needs two samples at least, one to train on and one to tune on. Got "
                f"one of {shown(classes[counts < 2])}. Give more samples, leave the class out, or "
                "pass splits as cv."
            )
        cv = StratifiedKFold(min(5, int(counts.min())))
    elif isinstance(cv, Integral) and cv > counts.max():
        raise ValueError(
            f"cv must not be larger than the number of samples of the largest class. Got cv={cv} "
            f"for class counts of at most {counts.max()}. Pass a smaller number."
        )
    splitter = check_cv(cv, y=labels, classifier=True)
    splits = [(np.asarray(a), np.asarray(b)) for a, b in splitter.split(X, labels, **split_params)]
    for number, (train, _) in enumerate(splits):
        missing = np.setdiff1d(classes, labels[train])
        if len(missing):
            raise ValueError(
                f"Each class must be in the training part of each split. Got {shown(missing)} "
                f"missing from split {number} of {len(splits)}. Use fewer folds, stratified ones, or "
                "give the class more samples."
            )
    return splits


def _check_fitted(estimator: Any) -> None:
    try:
        check_is_fitted(estimator, "classes_")
    except (NotFittedError, TypeError) as err:
        raise NotFittedError(
            f"With cv='prefit' the classifier must be fitted. Got {estimator!r}. Fit it, or choose "
            "a number of folds."
        ) from err


def _fit_and_score(
    estimator: Any, X: Any, y: Any, train: np.ndarray, test: np.ndarray, fit_params: dict
) -> np.ndarray:
    params = check_method_params(X, params=fit_params, indices=train)
    estimator.fit(safe_indexing(X, train), safe_indexing(y, train), **params)
    return _class_scores(estimator, safe_indexing(X, test))


def _class_scores(estimator: Any, X: Any) -> np.ndarray:
    """Return log-probabilities or decision values (n, K), finite."""
    if offers(estimator, "predict_proba"):
        proba = np.asarray(estimator.predict_proba(X), dtype=np.float64)
        return np.log(np.maximum(np.nan_to_num(proba), _LEAST_PROBA))
    values = np.asarray(estimator.decision_function(X), dtype=np.float64)
    n_classes = len(estimator.classes_)
    if _is_one_against_one(estimator, n_classes) or (
        values.ndim > 1 and values.shape[1] != n_classes
    ):
        raise ValueError(
            "decision_function must give one value for each class. Got those of pairs of classes from "
            f"{estimator!r}. Pass decision_function_shape='ovr', or a classifier with predict_proba."
        )
    return np.stack([-values / 2, values / 2], axis=1) if values.ndim == 1 else values


def _is_one_against_one(fitted: Any, n_classes: int) -> bool:
    """Return whether decision values are of pairs: of three classes there are as many as classes."""
    return n_classes > 2 and getattr(last_of(fitted), "decision_function_shape", "") == "ovo"
