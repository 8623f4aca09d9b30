"""Classifiers whose probabilities are corrected for the class prior after training."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ltresample._compat import fit_context
from ltresample._estimators import offers, weight_keyword

__all__ = ["PriorCorrectedClassifier", "weight_keyword"]


def _has_proba(self) -> bool:
    inner = vars(self).get("estimator_", self.estimator)
    return offers(_DEFAULT if inner is None else inner, "predict_proba")


_DEFAULT = LogisticRegression()


class PriorCorrectedClassifier(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Divide a classifier's probabilities by the class shares it was trained on.

    ``p'(k | x)`` is proportional to ``p(k | x) * target_prior_k / train_prior_k`` (Saerens et al.
    2002; with a uniform target this is the post-hoc logit adjustment of Menon et al. 2021). On
    long-tailed data this costs nothing and is often as good for balanced accuracy as any
    resampling: measure against it.

    As the last step of a pipeline with a sampler it sees the resampled labels, so that what the
    sampler changed about the prior is taken into account.

    Parameters
    ----------
    estimator : classifier with ``predict_proba`` or None, default=None
        Cloned and fitted. None stands for ``LogisticRegression()``.
    target_prior : {"uniform", "train"} or array-like of shape (n_classes,), default="uniform"
        Class shares in the data to predict, in the order of the sorted labels; need not sum to
        one. "train" changes nothing.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    train_prior_ : ndarray of shape (n_classes,)
        Shares of the classes in `y`, weighted by `sample_weight`.

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
    >>> X, y = make_classification(n_samples=500, weights=[0.95], random_state=0)
    >>> plain = LogisticRegression().fit(X, y)
    >>> corrected = PriorCorrectedClassifier(LogisticRegression()).fit(X, y)
    >>> bool(
    ...     balanced_accuracy_score(y, corrected.predict(X))
    ...     > balanced_accuracy_score(y, plain.predict(X))
    ... )
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "estimator": [HasMethods("fit"), None],
        "target_prior": [StrOptions({"uniform", "train"}), "array-like"],
    }

    def __init__(self, estimator=None, *, target_prior="uniform"):
        self.estimator = estimator
        self.target_prior = target_prior

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

        Raises
        ------
        ValueError
            If `target_prior` does not hold one positive number per class, or `estimator` has no
            ``predict_proba``.
        """
        if self.estimator is not None and not offers(self.estimator, "predict_proba"):
            raise ValueError(
                "PriorCorrectedClassifier divides probabilities, and estimator must have "
                f"predict_proba. Got estimator={self.estimator!r}. Choose another classifier, or put "
                "CalibratedClassifierCV around it."
            )
        estimator = clone(self.estimator) if self.estimator is not None else LogisticRegression()
        if sample_weight is not None:
            fit_params[weight_keyword(estimator) or "sample_weight"] = sample_weight
        self.estimator_ = estimator.fit(X, y, **fit_params)
        self.classes_ = np.asarray(self.estimator_.classes_)
        labels = np.asarray(y).ravel()
        weights = None if sample_weight is None else np.asarray(sample_weight, dtype=np.float64)
        counts = np.bincount(
            np.searchsorted(self.classes_, labels), weights=weights, minlength=len(self.classes_)
        )
        self.train_prior_ = counts / counts.sum()
        seen = self.train_prior_ > 0  # a class whose weights are all zero is never given
        self._factor = np.divide(self._target(), self.train_prior_, out=0.0 * counts, where=seen)
        if hasattr(self.estimator_, "n_features_in_"):
            self.n_features_in_ = self.estimator_.n_features_in_
        if hasattr(self.estimator_, "feature_names_in_"):
            self.feature_names_in_ = self.estimator_.feature_names_in_
        return self

    def _target(self) -> np.ndarray:
        if isinstance(self.target_prior, str):
            if self.target_prior == "train":
                return self.train_prior_
            return np.full(len(self.classes_), 1 / len(self.classes_))
        prior = np.asarray(self.target_prior, dtype=np.float64)
        if prior.shape != self.classes_.shape or not (prior > 0).all():
            raise ValueError(
                "target_prior must hold one positive number per class. Got "
                f"{self.target_prior!r} for the {len(self.classes_)} classes "
                f"{self.classes_.tolist()!r}. Pass shares in the order of the sorted labels."
            )
        return prior / prior.sum()

    @available_if(_has_proba)
    def predict_proba(self, X):
        """Return corrected probabilities, shape (n_samples, n_classes).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        """
        check_is_fitted(self)
        proba = self.estimator_.predict_proba(X) * self._factor
        total = proba.sum(axis=1, keepdims=True)
        return np.divide(proba, total, out=np.full_like(proba, 1 / proba.shape[1]), where=total > 0)

    @available_if(_has_proba)
    def predict_log_proba(self, X):
        """Return the logarithms of the corrected probabilities, shape (n_samples, n_classes).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        """
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def predict(self, X):
        """Return the class of the largest corrected probability, shape (n_samples,).

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        """
        check_is_fitted(self)
        return self.classes_[self.predict_proba(X).argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        inner = self.estimator if self.estimator is not None else _DEFAULT
        inner_tags = inner.__sklearn_tags__()
        tags.input_tags.sparse = inner_tags.input_tags.sparse
        tags.input_tags.allow_nan = inner_tags.input_tags.allow_nan
        return tags
