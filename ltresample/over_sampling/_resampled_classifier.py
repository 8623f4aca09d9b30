"""ResampledClassifier: a sampler and a classifier as one estimator."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from copy import copy
from numbers import Real
from time import perf_counter
from typing import Any, ClassVar, Literal

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from ltresample._compat import fit_context
from ltresample._estimators import (
    check_classifier,
    offers,
    register_wrapper,
    requesting_weights,
    weight_keyword,
)
from ltresample._progress import advance, phase, progress
from ltresample.class_counts import PartialFill
from ltresample.decisions import PriorCorrectedClassifier
from ltresample.decisions._priors import check_prior, count_prior
from ltresample.exceptions import refuse_class
from ltresample.over_sampling._binned import binned_for
from ltresample.over_sampling._carried import carried_by, carrying
from ltresample.over_sampling._data import labels_of
from ltresample.over_sampling._guide_vote import GuideVote
from ltresample.over_sampling._m2m import M2mSampler
from ltresample.over_sampling._weighted_rows import (
    mixed,
    positive,
    take_columns_of,
    warn_of_lost_weights,
    weights_of_parents,
)
from ltresample.rows import plain, take_rows

__all__ = ["ResampledClassifier", "with_vote"]

logger = logging.getLogger(__name__)

_DEFAULT = LogisticRegression()


def _offers(name: str):
    """Make a test whether the classifier has a method."""

    def test(self) -> bool:
        inner = vars(self).get("classifier_", self._inner())
        return offers(inner, name) and not (self._corrects() and name == "decision_function")

    return test


def _is_balanced(target_prior: Any) -> bool:
    return isinstance(target_prior, str) and target_prior == "balanced"


class ResampledClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Resample the training data, then fit a classifier: one plain scikit-learn estimator.

    Given a classifier only, it is the recipe of the user guide for tables (with ``guide_weight=0.5``
    its figures are better still): `M2mSampler` adds 5 % of what the classes lack (`PartialFill`), all of
    it synthetic, new rows have soft labels by g's probability (``soft_labels=True``), and the predicted
    probabilities are then corrected for the remaining imbalance.

    Resampling happens in `fit` only, on the data that `fit` is given; nothing is split, and in
    cross-validation nothing leaks. What imbalanced-learn's ``Pipeline`` cannot carry arrives:

    * labels that are shares of classes (`OTMixSampler`, `OpenSampler`) become weighted rows, see
      `to_weighted_pairs`, which is exact for losses that are linear in the target;
    * weights of a sampler (`sample_weight_`) are handed on;
    * weights of the user follow their rows: a new row has the weight of the row that it is made
      from, if that is of the same class, else the mean weight of its class.

    A classifier that takes no weights is fitted on hard labels, with a warning if these are wrong
    in part.

    A sampler need not fill all classes up to the largest: the predicted probabilities can then
    be corrected for the remaining imbalance, ``p'(k | x)`` in proportion to ``p(k | x) / share_k``
    with the class shares of the *resampled* data (`prior_correction`). The classifier then sees
    fewer synthetic rows and predicts as if all classes were equally frequent. The user guide has
    figures.

    Parameters
    ----------
    classifier : classifier or None, default=None
        Cloned. A ``Pipeline`` gets weights if its last step takes them, a search such as
        ``GridSearchCV`` if the estimator inside does, an ensemble if all its members do. For a
        ``HistGradientBoostingClassifier`` with weights, columns are brought onto `max_bins` values
        of the data first, since its weighted binning takes longer than its trees. None stands for
        ``LogisticRegression()``.
    sampler : sampler, "auto" or None, default=None
        With ``fit_resample``: of this package or of imbalanced-learn. Cloned. None stands for the
        recipe above. "auto" chooses by cross-validation among no sampler and a few, and takes a
        sampler only where it is ahead by more than its standard error
        (`AutoResampledClassifier`, which also takes a metric); the reason is in `choice_report_`.
        With the recipe, labels are hard for a classifier that takes no weights, and all classes are
        filled up for one without ``predict_proba``.
    prior_correction : bool or "auto", default="auto"
        Divide the classifier's probabilities by the class shares of the resampled training data,
        as `ltresample.decisions.PriorCorrectedClassifier` does. Needs ``predict_proba``.
        Changes nothing where the sampler balances the classes. "auto": with the recipe only.
    target_prior : {"balanced", "training"}, dict or array-like of shape (n_classes,), \
default="balanced"
        Class shares at which corrected probabilities hold, and for which labels are predicted.
        "balanced": all classes have the same share, which is best for balanced accuracy.
        "training": the shares in the data that `fit` is given, before resampling and weighted by
        `sample_weight`; probabilities are then those of the original population, and the most
        probable class is predicted. A dict of label to share, or shares in the order of the sorted
        labels: of another population. With another value than "balanced" there is a correction
        also where `prior_correction` is "auto" and a sampler is given, or ``sampler="auto"``.
    guide_weight : float, default=0.0
        Weight of the sampler's guide g in a vote of two models, in [0, 1]: probabilities are in
        proportion to ``p_k ** (1 - guide_weight) * g_k ** guide_weight``, with p of the corrected
        classifier and both at equal class shares, then brought to the `target_prior`. 0: the
        classifier alone; 1: the guide alone. Any second model helps many classifiers, whether it
        has to do with resampling or not; this one is at hand. It knows the categories of ``fit`` and no
        others: on a row with a new or a missing one the classifier answers alone. What it is worth on
        rows that it has not seen is ``sampler_.guide_score_``. With ``sampler="auto"`` the vote
        without a sampler stands unless another way is ahead, see `AutoResampledClassifier`.
    random_state : int, RandomState or None, default=None
        Of the recipe's sampler. A sampler that is given has its own.
    verbose : int or bool, default=0
        1: show a progress bar of guide, new rows and classifier. 0: nothing. At any value the logger
        "ltresample" is told what was fitted and how long it took (INFO).

    Attributes
    ----------
    sampler_ : sampler
        The sampler after ``fit_resample``, with its `provenance_`.
    choice_report_ : ChoiceReport
        What was tried and chosen, and why, with ``sampler="auto"``.
    classifier_ : classifier
        The fitted classifier; with `prior_correction` a `PriorCorrectedClassifier` around it.
    classes_ : ndarray of shape (n_classes,)
        Labels.
    n_features_in_ : int
        Number of columns of X.
    feature_names_in_ : ndarray
        Names of the columns, where X is a frame.

    See Also
    --------
    OTMixSampler : A sampler whose labels are shares of two classes.
    ltresample.class_counts.PartialFill : A `sampling_strategy` that fills classes up in part.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from sklearn.model_selection import cross_val_score
    >>> from ltresample.over_sampling import OTMixSampler, ResampledClassifier
    >>> X, y = make_classification(n_samples=200, weights=[0.9], random_state=0)
    >>> model = ResampledClassifier(LogisticRegression(), OTMixSampler(random_state=0))
    >>> cross_val_score(model, X, y, cv=3, scoring="balanced_accuracy").shape
    (3,)

    The recipe:

    >>> model = ResampledClassifier(LogisticRegression(), random_state=0).fit(X, y)
    >>> model.sampler_
    M2mSampler(random_state=0, sampling_strategy=PartialFill(share=0.05),
               soft_labels=True, synthetic_share=1.0)
    """

    _parameter_constraints: ClassVar[dict] = {
        "classifier": [HasMethods("fit"), None],
        "sampler": [HasMethods("fit_resample"), StrOptions({"auto"}), None],
        "prior_correction": ["boolean", StrOptions({"auto"})],
        "target_prior": [StrOptions({"balanced", "training"}), Mapping, "array-like"],
        "guide_weight": [Interval(Real, 0, 1, closed="both")],
        "random_state": ["random_state"],
        "verbose": ["verbose"],
    }

    # not in the signature of `fit`: a weight is not as many samples here, since what a sampler adds
    # follows from the number of samples
    __metadata_request__fit: ClassVar[dict] = {"sample_weight": None}

    def __init__(
        self,
        classifier: Any = None,
        sampler: Any = None,
        *,
        prior_correction: bool | Literal["auto"] = "auto",
        target_prior: Any = "balanced",
        guide_weight: float = 0.0,
        random_state: int | np.random.RandomState | None = None,
        verbose: int | bool = 0,
    ) -> None:
        self.classifier = classifier
        self.sampler = sampler
        self.prior_correction = prior_correction
        self.target_prior = target_prior
        self.guide_weight = guide_weight
        self.random_state = random_state
        self.verbose = verbose

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, **fit_params):
        """Resample and fit.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or tensor of shape (n_samples, n_features, ...)
            Training samples, as the sampler takes them.
        y : array-like of shape (n_samples,)
            Labels.
        **fit_params : dict
            ``sample_weight``: weights of the samples, at least 0. Samples of weight 0 are left out
            before resampling; how many samples a class has is counted without weights. Everything
            else is passed on to the classifier's ``fit``.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            If the data cannot be used, or weights are given to a classifier that takes none.
        TypeError
            If `classifier` is no classifier or `sampler` no sampler.
        """
        vars(self).pop("choice_report_", None)  # of an earlier fit
        if self.sampler == "auto":
            return self._fit_auto(X, y, fit_params)
        self._check_vote()
        keyword, given = weight_keyword(self._inner()), fit_params.pop("sample_weight", None)
        if given is not None:
            X, y, given = positive(self._inner(), keyword, X, y, given)
        model = self._model(y, given)
        self.sampler_ = self._sampler(weighted=keyword is not None)
        with progress(type(self).__name__, shown=bool(self.verbose)):
            return self._fit_resampled(model, X, y, keyword, given, fit_params)

    def _fit_resampled(self, model, X, y, keyword, given, fit_params) -> Any:
        phase("resampling")
        X_res, y_res = self.sampler_.fit_resample(X, y)[:2]
        if self.guide_weight and self.sampler_.g_ is None:
            raise ValueError(
                f"guide_weight={self.guide_weight!r} lets the sampler's guide vote, and "
                f"{self.sampler_!r} fitted none. Pass another sampler, or guide_weight=0."
            )
        labels = labels_of(y_res)
        targets, weight = carried_by(self.sampler_)
        rows = np.arange(len(labels))
        if keyword is None:
            warn_of_lost_weights(self._inner(), self.sampler_, targets, weight)
            weight = None
        elif mixed(targets):
            rows, index, weight = targets.weighted()
            X_res, y_res = take_rows(X_res, rows), np.unique(labels)[index]
            labels = y_res
        if given is not None:
            own = weights_of_parents(self.sampler_, labels_of(y), given, rows, labels)
            weight = own if weight is None else own * weight
        if weight is not None:
            # routing finds the way into a pipeline itself
            routed = self._corrects() or get_config()["enable_metadata_routing"]
            fit_params["sample_weight" if routed else keyword] = weight
        X_res = plain(X_res) if weight is None else binned_for(self._inner(), plain(X_res))
        name, began = type(self._inner()).__name__, perf_counter()
        phase(f"fitting {name}", 1)
        self.classifier_ = model.fit(X_res, y_res, **fit_params)
        advance()
        logger.info("fitting %s to %d rows took %.2f s", name, len(labels), perf_counter() - began)
        if self.guide_weight:
            self.classifier_ = GuideVote(self.classifier_, self.sampler_, self.guide_weight)
        self.classes_ = getattr(self.classifier_, "classes_", np.unique(labels))
        take_columns_of(self, self.sampler_)
        return self

    def _fit_auto(self, X: Any, y: Any, fit_params: dict[str, Any]) -> Any:
        """Choose by cross-validation, with the defaults of the class that does it."""
        from ltresample.over_sampling._auto import AutoResampledClassifier  # it is made of this one

        if self.prior_correction != "auto":
            raise ValueError(
                "sampler='auto' chooses the correction itself. Got prior_correction="
                f"{self.prior_correction!r}. Leave it at 'auto', or name a sampler."
            )
        auto = AutoResampledClassifier(
            self._inner(),
            guide_weight=self.guide_weight,
            target_prior=None if _is_balanced(self.target_prior) else self.target_prior,
            random_state=self.random_state,
            verbose=self.verbose,
        )
        self.classifier_ = auto.fit(X, y, **fit_params)
        self.choice_report_ = auto.choice_report_
        chosen = auto.classifier_
        self.sampler_ = chosen.sampler_ if isinstance(chosen, ResampledClassifier) else None
        self.classes_ = auto.classes_
        take_columns_of(self, auto)
        return self

    def _check_vote(self) -> None:
        """Refuse a vote without a guide or without probabilities, before anything is fitted."""
        if not self.guide_weight:
            return
        guided = self.sampler is None or "g" in self.sampler.get_params(deep=False)
        if not guided or not self._corrects():
            raise ValueError(
                "guide_weight needs a sampler with a guide g and corrected probabilities. Got "
                f"guide_weight={self.guide_weight!r} with sampler={self.sampler!r}, classifier="
                f"{self.classifier!r}, prior_correction={self.prior_correction!r}. Use M2mSampler or "
                "DistributionMatchingOversampler, a classifier with predict_proba, and "
                "prior_correction=True."
            )

    def _validate_params(self) -> None:
        """Refuse what is no classifier or no sampler, by the name of what it is."""
        refuse_class(self.classifier, "classifier")
        if offers(self.classifier, "fit_resample"):
            raise TypeError(
                "ResampledClassifier takes the classifier first, then the sampler. Got "
                f"classifier={self.classifier!r}, which is a sampler, and sampler="
                f"{self.sampler!r}. Pass ResampledClassifier(classifier, sampler); the sampler stood "
                "first in versions before the first release."
            )
        check_classifier(self._inner(), "classifier")
        refuse_class(self.sampler, "sampler")
        super()._validate_params()

    def _inner(self) -> Any:
        return _DEFAULT if self.classifier is None else self.classifier

    def _corrects(self) -> bool:
        if self.prior_correction != "auto":
            return bool(self.prior_correction)
        wanted = self.sampler is None or not _is_balanced(self.target_prior)
        return wanted and offers(self._inner(), "predict_proba")

    def _sampler(self, *, weighted: bool) -> Any:
        if self.sampler is not None:
            return carrying(self.sampler) if weighted else clone(self.sampler)
        if not self._corrects():
            return M2mSampler(random_state=self.random_state)
        return M2mSampler(
            sampling_strategy=PartialFill(0.05),
            synthetic_share=1.0,
            soft_labels=weighted,
            random_state=self.random_state,
        )

    def _model(self, y: Any, weight: np.ndarray | None) -> Any:
        classifier = requesting_weights(clone(self._inner()))
        if not self._corrects():
            if not _is_balanced(self.target_prior):
                raise ValueError(
                    "target_prior needs a correction of probabilities. Got "
                    f"target_prior={self.target_prior!r} with prior_correction="
                    f"{self.prior_correction!r} and classifier={self.classifier!r}. Choose "
                    "prior_correction=True and a classifier with predict_proba."
                )
            return classifier
        if not offers(classifier, "predict_proba"):
            raise ValueError(
                "prior_correction=True divides probabilities, and the classifier must have "
                f"predict_proba. Got classifier={self.classifier!r}. Choose another classifier, or "
                "prior_correction=False."
            )
        labels = labels_of(y)
        classes = np.unique(labels)
        target = self.target_prior
        if isinstance(target, str) and target == "training":
            # of the data before resampling: the classifier inside sees other shares
            target = count_prior(labels, classes, weight)
        elif not _is_balanced(target):
            target = check_prior(target, classes, "target_prior")
        return PriorCorrectedClassifier(classifier, target_prior=target)

    def predict(self, X):
        """Predict labels.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,)
            Labels.
        """
        check_is_fitted(self)
        return self.classifier_.predict(plain(X))

    @available_if(_offers("predict_proba"))
    def predict_proba(self, X):
        """Predict probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Probabilities, in the order of `classes_`; those of the resampled data, or with
            `prior_correction` those at the `target_prior`.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(plain(X))

    @available_if(_offers("predict_log_proba"))
    def predict_log_proba(self, X):
        """Predict logarithms of probabilities.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Log-probabilities, in the order of `classes_`.
        """
        check_is_fitted(self)
        return self.classifier_.predict_log_proba(plain(X))

    @available_if(_offers("decision_function"))
    def decision_function(self, X):
        """Return the classifier's scores.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features, ...)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples,) or (n_samples, n_classes)
            Scores.
        """
        check_is_fitted(self)
        return self.classifier_.decision_function(plain(X))

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        own = get_tags(self._inner())
        if self.sampler == "auto":  # ways without a sampler take what the classifier takes
            tags.input_tags.sparse = own.input_tags.sparse
            return tags
        sampler = get_tags(M2mSampler() if self.sampler is None else self.sampler)
        tags.classifier_tags = own.classifier_tags
        tags.input_tags.sparse = own.input_tags.sparse and sampler.input_tags.sparse
        return tags


register_wrapper(ResampledClassifier, ResampledClassifier._inner)


def with_vote(model: ResampledClassifier, weight: float, voter: Any) -> ResampledClassifier:
    """Return a fitted and corrected classifier with the vote of the guide of a fitted sampler.

    With its own sampler it answers as if it had been fitted with ``guide_weight=weight``.
    """
    voted = copy(model)
    voted.guide_weight = weight
    voted.classifier_ = GuideVote(model.classifier_, voter, weight)
    return voted
