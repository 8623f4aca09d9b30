"""Probabilities of a classifier at a class prior that the user names."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from sklearn.ensemble._forest import BaseForest
from sklearn.linear_model import LogisticRegression
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ltresample._compat import check_sample_weight, fit_context
from ltresample._estimators import last_of, own_prior
from ltresample.decisions._base import (
    ClassifierAround,
    check_known,
    inner_offers,
    read_labels,
    to_be_fitted,
)
from ltresample.decisions._priors import check_prior, correct_prior, count_prior, estimate_prior
from ltresample.decisions._priors import shown as shown_labels
from ltresample.exceptions import LongTailWarning

__all__ = ["PriorCorrectedClassifier"]

# these balance classes by the weights of rows; all others count rows, and multiply by weights later
_WEIGHTED = (LogisticRegression, BaseForest)

_PER_BATCH = "estimated"
_BALANCED = {"balanced", "uniform"}
_TRAINING = {"training", "train"}
_NAMED = _BALANCED | _TRAINING | {_PER_BATCH}


class PriorCorrectedClassifier(ClassifierAround):
    """Divide a classifier's probabilities by the class shares it was trained on.

    ``p'(k | x)`` is proportional to ``p(k | x) * target_prior_k / training_prior_k`` (Saerens et
    al. 2002 [1]_; with a balanced target this is the post-hoc logit adjustment of Menon et al. 2021
    [2]_). On long-tailed data this costs nothing and is often as good for balanced accuracy as any
    resampling: measure against it.

    As the last step of a pipeline with a sampler it sees the resampled labels, so that what the
    sampler changed about the prior is taken into account. Class weights of the classifier
    (`class_weight`) are, too. A classifier that is fitted already is passed as
    ``FrozenEstimator(classifier)``; `fit` then only counts classes.

    Parameters
    ----------
    estimator : classifier with ``predict_proba`` or None, default=None
        Cloned and fitted. None stands for ``LogisticRegression()``.
    target_prior : {"balanced", "training", "estimated"}, dict or array-like of shape \
(n_classes,), default="balanced"
        Class shares in the data to predict. The larger the share of a class, the more often it is
        predicted.

        - "balanced": all classes have the same share (also "uniform").
        - "training": those of the training data, which changes nothing (also "train").
        - "estimated": those of the rows that are predicted together, estimated without their labels
          (`estimate_prior`, one more row of each class counted). Then the answer for a row depends
          on the other rows.
        - a dict of label to share, or shares in the order of the sorted labels: above 0, sum 1.
    training_prior : {"balanced"}, dict, array-like of shape (n_classes,) or None, default=None
        Class shares at which the classifier's probabilities hold. None: they are counted in `y`,
        weighted by `sample_weight` and the classifier's `class_weight`. Name them where the
        classifier balances classes in another way ("balanced" for imbalanced-learn's
        ``BalancedRandomForestClassifier``), or was fitted on other data.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    training_prior_ : ndarray of shape (n_classes,)
        Class shares at which the classifier's probabilities hold.
    target_prior_ : ndarray of shape (n_classes,) or None
        Class shares at which this one's hold; None if they are estimated for each batch.

    See Also
    --------
    MinimumCostClassifier : Predict what costs least.
    TunedOffsetsClassifierCV : Offsets per class that are best for a metric.

    References
    ----------
    .. [1] M. Saerens, P. Latinne, C. Decaestecker, "Adjusting the Outputs of a Classifier to New a
       Priori Probabilities", Neural Computation 14(1), 2002.
    .. [2] A. K. Menon et al., "Long-tail Learning via Logit Adjustment", ICLR 2021,
       arXiv:2007.07314.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.metrics import balanced_accuracy_score
    >>> from ltresample.decisions import PriorCorrectedClassifier
    >>> X, y = make_classification(n_samples=500, weights=[0.95], random_state=0)
    >>> plain = LogisticRegression().fit(X, y)
    >>> corrected = PriorCorrectedClassifier(LogisticRegression()).fit(X, y)
    >>> bool(
    ...     balanced_accuracy_score(y, corrected.predict(X))
    ...     > balanced_accuracy_score(y, plain.predict(X))
    ... )
    True

    One fitted model answers for other populations, too:

    >>> corrected.predict_proba(X[:1], target_prior={0: 0.99, 1: 0.01}).shape
    (1, 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        **ClassifierAround._parameter_constraints,
        "target_prior": [StrOptions(_NAMED), Mapping, "array-like"],
        "training_prior": [StrOptions({"balanced"}), Mapping, "array-like", None],
    }

    def __init__(
        self, estimator: Any = None, *, target_prior: Any = "balanced", training_prior: Any = None
    ) -> None:
        self.estimator = estimator
        self.target_prior = target_prior
        self.training_prior = training_prior

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **fit_params):
        """Fit a clone of the classifier and note the class shares.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Passed on, of a ``Pipeline`` to its last step, and counted in the class shares.
        **fit_params : dict
            Passed on.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            Before anything is fitted: if a prior does not hold one share above 0 per class, with
            sum 1, or the classifier has no ``predict_proba``.
        """
        self._check_inner()
        labels = read_labels(y)
        classes = self._known_classes(labels)
        check_known(labels, classes)
        # refused before any fit: a prior that is named needs no count
        _named_prior(self.target_prior, classes, "target_prior", counted=np.ones(len(classes)))
        self._training_prior(classes, counted=np.ones(len(classes)))
        weight = sample_weight
        if weight is not None:
            weight = check_sample_weight(weight, labels, ensure_non_negative=True)
        to_fit = self._inner_params(sample_weight, fit_params)
        self._fit_inner(X, to_be_fitted(y, labels), to_fit)
        if self.training_prior is None:
            self._check_shares(labels)
        counted = count_prior(labels, self.classes_, _with_class_weight(self, labels, weight))
        self.training_prior_ = self._training_prior(self.classes_, counted)
        self.target_prior_ = _named_prior(
            self.target_prior, self.classes_, "target_prior", self.training_prior_
        )
        return self

    def _check_shares(self, labels: np.ndarray) -> None:
        """Refuse classes that would get the share 0, and warn of shares that are not those of y."""
        lost = np.setdiff1d(self.classes_, labels)
        if len(lost):
            raise ValueError(
                "y must hold a row of each class that the classifier knows: class shares are counted in "
                f"it. Got none of {shown_labels(lost)}, which would never be predicted. Pass y with all "
                "classes, or name the shares in training_prior."
            )
        _warn_of_own_prior(self.estimator_)

    @property
    def train_prior_(self) -> np.ndarray:
        """Older name of `training_prior_`."""
        return self.training_prior_

    def _training_prior(self, classes: np.ndarray, counted: np.ndarray) -> np.ndarray:
        if self.training_prior is None:
            return counted
        return _named_prior(self.training_prior, classes, "training_prior", counted)

    @available_if(inner_offers("predict_proba"))
    def predict_proba(self, X, target_prior=None):
        """Return corrected probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        target_prior : as the parameter of the class, or None, default=None
            Class shares in these rows, in place of those named when the classifier was made.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`.

        Raises
        ------
        ValueError
            If `target_prior` cannot be used.
        """
        check_is_fitted(self)
        target = self._target(target_prior)
        proba = self.estimator_.predict_proba(X)
        if target is None:
            target = estimate_prior(proba, self.training_prior_)
        return correct_prior(proba, self.training_prior_, target)

    def _target(self, target_prior: Any) -> np.ndarray | None:
        if target_prior is None:
            return self.target_prior_
        # an estimated share may be 0
        counted = self.training_prior_
        return _named_prior(target_prior, self.classes_, "target_prior", counted, zero_allowed=True)

    @available_if(inner_offers("predict_proba"))
    def predict_log_proba(self, X, target_prior=None):
        """Return the logarithms of the corrected probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        target_prior : as the parameter of the class, or None, default=None
            Class shares at which the probabilities hold. None: the parameter of the class.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the order of `classes_`.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X, target_prior))

    def predict(self, X, target_prior=None):
        """Return the class of the largest corrected probability.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        target_prior : as the parameter of the class, or None, default=None
            Class shares at which the probabilities hold. None: the parameter of the class.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X, target_prior).argmax(axis=1)]

    def estimate_prior(self, X, *, smoothing=1.0, sample_weight=None):
        """Return the class shares of rows without labels, by expectation-maximisation.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples of the population to predict, some hundred or more.
        smoothing : float, default=1.0
            How many more rows of each class are counted, at least 0. The larger, the closer are the
            shares to each other; with 0 a rare class can get the share 0.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the rows, counted as numbers of rows.

        Returns
        -------
        ndarray of shape (n_classes,)
            Estimated shares, for `target_prior` of `predict_proba`.

        Raises
        ------
        ValueError
            If X is empty, or `smoothing` below 0.

        See Also
        --------
        ltresample.decisions.estimate_prior : The same from probabilities.
        """
        check_is_fitted(self)
        proba = self.estimator_.predict_proba(X)
        return estimate_prior(
            proba, self.training_prior_, smoothing=smoothing, sample_weight=sample_weight
        )


def _named_prior(
    prior: Any, classes: np.ndarray, name: str, counted: np.ndarray, *, zero_allowed: bool = False
) -> np.ndarray | None:
    """Return shares for what the user named; None where they are estimated later."""
    if not isinstance(prior, str):
        return check_prior(prior, classes, name, zero_allowed=zero_allowed)
    if prior not in _NAMED:
        raise ValueError(
            f"{name} must be one of {sorted(_NAMED)}, a dict or an array. Got {prior!r}."
        )
    if prior == _PER_BATCH:
        return None
    return counted if prior in _TRAINING else np.full(len(classes), 1 / len(classes))


def _with_class_weight(
    owner: PriorCorrectedClassifier, labels: np.ndarray, weight: np.ndarray | None
) -> np.ndarray | None:
    """Return the weights of rows, times those that the fitted classifier gives their classes."""
    last = last_of(owner.estimator_)
    class_weight = getattr(last, "class_weight", None)
    if class_weight is None:
        return weight
    # a forest that balances each bootstrap sample is balanced as a whole
    kind = "balanced" if isinstance(class_weight, str) else class_weight
    if kind == "balanced" and weight is not None and isinstance(last, _WEIGHTED):
        shares = count_prior(labels, owner.classes_, weight)
        kind = {
            k: 1 / share if share else 0.0
            for k, share in zip(owner.classes_.tolist(), shares, strict=True)
        }
    by_class = compute_sample_weight(kind, labels)
    return by_class if weight is None else by_class * weight


def _warn_of_own_prior(fitted: Any) -> None:
    """Warn of classifiers whose probabilities hold at class shares that nobody can count in y."""
    reason = own_prior(fitted)
    if reason:
        warnings.warn(
            f"The class shares at which {type(fitted).__name__} answers are taken to be those of y, and "
            f"are not: {reason}. Its probabilities are corrected a second time. Name the shares in "
            "training_prior ('balanced' where classes were balanced), or put the correction inside.",
            LongTailWarning,
            stacklevel=4,
        )
