"""What a meta-estimator asks of the estimator inside it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn import get_config
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    AdaBoostClassifier,
    BaggingClassifier,
    StackingClassifier,
    VotingClassifier,
)
from sklearn.feature_selection import RFE, RFECV
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection._search import BaseSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.metadata_routing import get_routing_for_object
from sklearn.utils.validation import has_fit_parameter

from ltresample.exceptions import refuse_class

__all__ = [
    "check_classifier",
    "last_of",
    "offers",
    "own_prior",
    "register_wrapper",
    "requesting_weights",
    "weight_keyword",
]


def weight_keyword(classifier: Any) -> str | None:
    """Name the parameter of ``fit`` that takes sample weights.

    Parameters
    ----------
    classifier : classifier
        Of a ``Pipeline`` the last step counts, of a search or a feature elimination the estimator
        inside; an ensemble takes weights if all its members do.

    Returns
    -------
    str or None
        Its name; None if there is none.

    Examples
    --------
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn.pipeline import make_pipeline
    >>> weight_keyword(make_pipeline("passthrough", LogisticRegression()))
    'logisticregression__sample_weight'
    >>> weight_keyword(GridSearchCV(LogisticRegression(), {"C": [0.1, 1.0]}))
    'sample_weight'
    """
    for kind, rule in _RULES.items():
        if isinstance(classifier, kind):
            return rule(classifier)
    return "sample_weight" if has_fit_parameter(classifier, "sample_weight") else None


def _of_pipeline(pipeline: Pipeline) -> str | None:
    name, last = pipeline.steps[-1]
    if any(hasattr(step, "fit_resample") for _, step in pipeline.steps):
        return None  # weights of the rows that come in do not fit those that the sampler hands on
    own = None if last in (None, "passthrough") else weight_keyword(last)
    return own and f"{name}__{own}"


def _of_members(ensemble: VotingClassifier | StackingClassifier) -> str | None:
    """Return the keyword that is handed to each member as it is."""
    members = [member for _, member in ensemble.estimators if not isinstance(member, str)]
    final = getattr(ensemble, "final_estimator", None)
    members += [] if final is None else [final]
    return _if_all_take_it(members)


def _of_inner(wrapper: Any) -> str | None:
    """Return the keyword if the estimator inside takes it under the same name."""
    return _if_all_take_it([] if wrapper.estimator is None else [wrapper.estimator])


def _if_all_take_it(members: list[Any]) -> str | None:
    return "sample_weight" if all(weight_keyword(m) == "sample_weight" for m in members) else None


def register_wrapper(kind: type, inner_of: Callable[[Any], Any]) -> None:
    """Let a wrapper of this package take weights, as `sample_weight`, if the classifier inside does.

    Parameters
    ----------
    kind : type
        The wrapper, whose ``fit`` hands weights on.
    inner_of : callable
        From the wrapper to the classifier inside.
    """
    _RULES[kind] = lambda outer: "sample_weight" if weight_keyword(inner_of(outer)) else None


# scikit-learn's wrappers whose signature does not say what becomes of weights
_RULES: dict[type | tuple[type, ...], Callable[[Any], str | None]] = {
    Pipeline: _of_pipeline,
    RFECV: lambda outer: None,  # before its parent RFE
    (BaseSearchCV, RFE): lambda outer: weight_keyword(outer.estimator),
    (VotingClassifier, StackingClassifier): _of_members,
    (CalibratedClassifierCV, AdaBoostClassifier): _of_inner,
}


def offers(classifier: Any, method: str) -> bool:
    """Return whether a classifier has a method, or will have it once it is fitted.

    Parameters
    ----------
    classifier : classifier
        A ``StackingClassifier`` without a `final_estimator` has what its default has.
    method : str
        Such as "predict_proba".

    Returns
    -------
    bool
        Whether it can be called after ``fit``.

    Examples
    --------
    >>> from sklearn.svm import LinearSVC
    >>> offers(LinearSVC(), "predict_proba")
    False
    """
    if isinstance(classifier, StackingClassifier) and classifier.final_estimator is None:
        return hasattr(LogisticRegression(), method)
    if isinstance(classifier, Pipeline):
        return offers(classifier.steps[-1][1], method)
    return hasattr(classifier, method)


def requesting_weights(classifier: Any) -> Any:
    """Ask for sample weights on behalf of a clone, where metadata routing is switched on.

    A meta-estimator that makes weights itself hands them to the classifier inside, which the user
    need not have told to expect any.

    Parameters
    ----------
    classifier : classifier
        A clone. Of a ``Pipeline`` the last step asks, and steps before it that have said nothing
        decline; of a search the estimator inside asks, of a vote or a stack each member.

    Returns
    -------
    classifier
        The same object.
    """
    if not get_config()["enable_metadata_routing"]:
        return classifier
    _request(classifier)
    return classifier


def _request(inner: Any) -> None:
    if isinstance(inner, Pipeline):
        for _, step in inner.steps[:-1]:
            _decline(step)
        _request(inner.steps[-1][1])
    elif isinstance(inner, BaseSearchCV):
        _request(inner.estimator)
    elif isinstance(inner, VotingClassifier | StackingClassifier):
        for member in (*dict(inner.estimators).values(), getattr(inner, "final_estimator", None)):
            _request(member)
    elif _takes_weights(inner):
        inner.set_fit_request(sample_weight=True)


def _decline(step: Any) -> None:
    """Say that a step wants no weights, where it has not said anything; the user's word stands."""
    if _takes_weights(step) and get_routing_for_object(step).fit.requests["sample_weight"] is None:
        step.set_fit_request(sample_weight=False)


def _takes_weights(part: Any) -> bool:
    return hasattr(part, "set_fit_request") and weight_keyword(part) is not None


def check_classifier(classifier: Any, name: str) -> None:
    """Refuse what cannot be fitted as a classifier, before anything is computed.

    Parameters
    ----------
    classifier : object
        What the user passed.
    name : str
        Of the parameter, for the message.

    Raises
    ------
    TypeError
        If it is a class, has no ``fit`` and ``predict``, or says of itself that it is another kind
        of estimator, such as a regressor.
    """
    refuse_class(classifier, name)
    if not (offers(classifier, "fit") and offers(classifier, "predict")):
        raise TypeError(
            f"{name} must be a classifier with fit and predict. Got {name}={classifier!r}. Pass a "
            "classifier of scikit-learn, or one that follows its conventions."
        )
    kind = get_tags(classifier).estimator_type if hasattr(classifier, "__sklearn_tags__") else None
    if kind not in (None, "classifier"):
        raise TypeError(
            f"{name} must be a classifier. Got {name}={classifier!r}, which is a {kind}. Pass a "
            "classifier, for example LogisticRegression() in place of LinearRegression()."
        )


def last_of(fitted: Any) -> Any:
    """Return the classifier that saw the weights: out of pipelines, searches and frozen ones.

    Of an ensemble whose members all have the same class weights it is one of them.
    """
    if isinstance(fitted, Pipeline):
        return last_of(fitted.steps[-1][1])
    if isinstance(fitted, BaseSearchCV):
        return last_of(fitted.best_estimator_)
    if isinstance(fitted, FrozenEstimator):
        return last_of(fitted.estimator)
    if isinstance(fitted, StackingClassifier):
        return last_of(fitted.final_estimator_)
    if isinstance(fitted, BaggingClassifier | VotingClassifier):
        members = [last_of(member) for member in fitted.estimators_]
        weights = [getattr(member, "class_weight", None) for member in members]
        return members[0] if all(_equal(one, weights[0]) for one in weights) else fitted
    return fitted


def _equal(one: Any, other: Any) -> bool:
    return type(one) is type(other) and one == other


def own_prior(fitted: Any) -> str:
    """Say why a classifier answers at other class shares than those of y; empty: it does not."""
    if isinstance(fitted, Pipeline):
        steps = [step for _, step in fitted.steps]
        sampled = [type(step).__name__ for step in steps if hasattr(step, "fit_resample")]
        if sampled:
            return f"{sampled[0]} inside changes them"
        return own_prior(steps[-1])
    if isinstance(fitted, BaseSearchCV):
        return own_prior(fitted.best_estimator_)
    if isinstance(fitted, FrozenEstimator):
        return own_prior(fitted.estimator)
    if (
        hasattr(fitted, "target_prior_")
        or hasattr(fitted, "sampler_")
        or hasattr(fitted, "samplers_")
    ):
        return f"{type(fitted).__name__} corrects them itself"
    members = getattr(fitted, "estimators_", None)
    if isinstance(fitted, BaggingClassifier | VotingClassifier | OneVsRestClassifier):
        weighted = [getattr(last_of(one), "class_weight", None) is not None for one in members]
        known = getattr(last_of(fitted), "class_weight", None) is not None
        if any(weighted) and not known:
            return "members have class weights"
        return next(filter(None, map(own_prior, members)), "")
    return ""
