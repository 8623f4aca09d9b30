"""What the classifiers with a decision of their own share: the classifier inside, and routing."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import assert_all_finite, get_tags
from sklearn.utils._param_validation import HasMethods
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.metaestimators import available_if
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, column_or_1d

from ltresample._estimators import check_classifier, offers, register_wrapper, weight_keyword
from ltresample.decisions._priors import shown
from ltresample.rows import plain_labels

__all__ = ["ClassifierAround", "check_known", "inner_offers", "read_labels", "to_be_fitted"]

_DEFAULT = LogisticRegression()


def read_labels(y: Any) -> np.ndarray:
    """Return labels as an array (n,), or refuse what is no target of a classification.

    Nullable numbers and truth values of pandas, and objects that are such, come as plain ones:
    scikit-learn makes floats of the former and refuses the latter.
    """
    labels = column_or_1d(plain_labels(y))
    if not len(labels):
        raise ValueError("y must hold at least one label. Got none, with 0 sample(s).")
    assert_all_finite(labels, input_name="y")
    check_classification_targets(labels)
    return labels


def to_be_fitted(y: Any, labels: np.ndarray) -> Any:
    """Return y as it came, for the classifier inside; the labels where they have another type."""
    return y if getattr(y, "dtype", labels.dtype) == labels.dtype else labels


def check_known(labels: np.ndarray, classes: np.ndarray) -> None:
    """Refuse labels that a fitted classifier does not know."""
    known = set(np.asarray(classes).tolist())
    unknown = [label for label in np.unique(labels).tolist() if label not in known]
    if unknown:
        raise ValueError(
            "y must hold classes that the fitted classifier knows. Got the labels "
            f"{shown(unknown)}; it knows {shown(classes)}."
        )


def inner_offers(name: str):
    """Make a test whether the classifier inside has a method."""
    return lambda self: offers(vars(self).get("estimator_", self._inner()), name)


class ClassifierAround(ClassifierMixin, MetaEstimatorMixin, BaseEstimator):
    """Base: a classifier inside, fitted once, whose answers are turned into decisions."""

    _parameter_constraints: ClassVar[dict] = {"estimator": [HasMethods(["fit"]), None]}

    def _inner(self) -> Any:
        return _DEFAULT if self.estimator is None else self.estimator

    def _known_classes(self, labels: np.ndarray) -> np.ndarray:
        """Return the classes that the classifier will have: the labels', or a frozen one's own."""
        return np.asarray(getattr(clone(self._inner()), "classes_", np.unique(labels)))

    def _check_inner(self) -> None:
        check_classifier(self._inner(), "estimator")
        if not offers(self._inner(), "predict_proba"):
            raise ValueError(
                f"{type(self).__name__} works on probabilities, and estimator must have "
                f"predict_proba. Got estimator={self.estimator!r}. Choose another classifier, or put "
                "CalibratedClassifierCV around it."
            )

    def _fit_inner(self, X: Any, y: Any, params: dict[str, Any]) -> None:
        """Fit a clone of the classifier, and take over what it says about the data."""
        self._keep(clone(self._inner()).fit(X, y, **params))

    def _keep(self, fitted: Any) -> None:
        self.estimator_ = fitted
        self.classes_ = np.asarray(fitted.classes_)
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
            if hasattr(fitted, name):
                setattr(self, name, getattr(fitted, name))

    def _routed(self, sample_weight: Any, fit_params: dict[str, Any]) -> Any:
        """Return what goes to whom, by metadata routing where it is switched on."""
        return process_routing(self, "fit", sample_weight=sample_weight, **fit_params)

    def _inner_params(self, sample_weight: Any, fit_params: dict[str, Any]) -> dict[str, Any]:
        """Return the keywords for ``fit`` of the classifier inside."""
        if get_config()["enable_metadata_routing"]:
            return dict(self._routed(sample_weight, fit_params).estimator.fit)
        if sample_weight is None:
            return fit_params
        return {**fit_params, weight_keyword(self._inner()) or "sample_weight": sample_weight}

    def get_metadata_routing(self):
        """Return who asks for which metadata.

        Returns
        -------
        MetadataRouter
            Of scikit-learn.
        """
        to_fit = MethodMapping().add(caller="fit", callee="fit")
        router = MetadataRouter(owner=self).add_self_request(self)
        return router.add(estimator=self._inner(), method_mapping=to_fit)

    @available_if(inner_offers("predict_proba"))
    def predict_proba(self, X):
        """Return the probabilities of the classifier inside, which the decision does not change.

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
        return self.estimator_.predict_proba(X)

    @available_if(inner_offers("predict_log_proba"))
    def predict_log_proba(self, X):
        """Return the log-probabilities of the classifier inside.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.estimator_.predict_log_proba(X)

    def __sklearn_tags__(self):
        tags, inner = super().__sklearn_tags__(), get_tags(self._inner())
        tags.input_tags.sparse = inner.input_tags.sparse
        tags.input_tags.allow_nan = inner.input_tags.allow_nan
        tags.classifier_tags.multi_class = inner.classifier_tags.multi_class
        return tags


register_wrapper(ClassifierAround, ClassifierAround._inner)
