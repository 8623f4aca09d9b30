"""ResampledClassifier: a sampler and a classifier as one estimator, and labels that are shares."""

from __future__ import annotations

import warnings
from typing import Any, ClassVar

import numpy as np
import torch
from scipy import sparse
from sklearn.base import BaseEstimator, ClassifierMixin, MetaEstimatorMixin, clone
from sklearn.linear_model import LogisticRegression
from sklearn.utils import get_tags
from sklearn.utils._param_validation import HasMethods, StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted
from torch import Tensor

from ltresample._compat import check_sample_weight, fit_context
from ltresample.class_counts import PartialFill
from ltresample.exceptions import LongTailWarning
from ltresample.over_sampling._data import labels_of
from ltresample.over_sampling._m2m import M2mSampler
from ltresample.prior_correction import PriorCorrectedClassifier, weight_keyword

__all__ = ["ResampledClassifier", "to_weighted_pairs"]

_DEFAULT = LogisticRegression()


def to_weighted_pairs(
    X: Any, soft_targets: Any, classes: Any
) -> tuple[Any, np.ndarray, np.ndarray]:
    """Turn rows whose labels are shares of classes into rows with one label and a weight.

    A row with shares q_k becomes one row for each k with q_k > 0, of label k and weight q_k. For a
    loss that is linear in the target the weighted sum is the same:
    ``sum_k q_k l(f(x), k) = l(f(x), q)``.

    Parameters
    ----------
    X : array-like, data frame, sparse matrix or tensor of shape (n_samples, ...)
        Rows.
    soft_targets : array-like of shape (n_samples, n_classes)
        Shares, at least 0.
    classes : array-like of shape (n_classes,)
        Labels.

    Returns
    -------
    X : as X, n_pairs rows
        The rows, in their order, some of them more than once.
    y : ndarray of shape (n_pairs,)
        Labels.
    sample_weight : ndarray of shape (n_pairs,)
        Weights.

    Raises
    ------
    ValueError
        If the shapes do not fit, or a share is negative or not finite.

    Examples
    --------
    >>> X, y, weight = to_weighted_pairs([[1.0], [2.0]], [[1.0, 0.0], [0.25, 0.75]], ["a", "b"])
    >>> X, y, weight
    ([[1.0], [2.0], [2.0]], array(['a', 'a', 'b'], dtype='<U1'), array([1.  , 0.25, 0.75]))
    """
    targets, classes = np.asarray(soft_targets, dtype=np.float64), np.asarray(classes)
    n = X.shape[0] if hasattr(X, "shape") else len(X)
    if targets.shape != (n, len(classes)):
        raise ValueError(
            f"soft_targets must have one row per row of X and one column per class, shape "
            f"({n}, {len(classes)}). Got shape {targets.shape}."
        )
    if not np.isfinite(targets).all() or (targets < 0).any():
        raise ValueError(
            "soft_targets must be finite and at least 0. Got entries from "
            f"{targets.min():g} to {targets.max():g}."
        )
    index, k = np.nonzero(targets)
    return _take_rows(X, index), classes[k], targets[index, k]


def _take_rows(X: Any, index: np.ndarray) -> Any:
    """Return rows of any container."""
    if isinstance(X, Tensor):
        return X[torch.from_numpy(index).to(X.device)]
    if isinstance(X, list | tuple):
        return [X[i] for i in index]
    if sparse.issparse(X):
        return X.tocsr()[index].asformat(X.format)
    return X.iloc[index] if hasattr(X, "iloc") else X[index]


def _offers(name: str):
    """Make a test whether the classifier has a method."""

    def test(self) -> bool:
        getattr(getattr(self, "classifier_", self._inner()), name)
        return not (self._corrects() and name == "decision_function")

    return test


class ResampledClassifier(MetaEstimatorMixin, ClassifierMixin, BaseEstimator):
    """Resample the training data, then fit a classifier: one plain scikit-learn estimator.

    Given a classifier only, it is the recipe for tables that has the best figures in the user
    guide: `M2mSampler` adds 5 % of what the classes lack (`PartialFill`), all of it synthetic, new
    rows are of their class as far as g says so (``labels="soft"``), and what is left of the
    imbalance is divided out of the answers.

    Resampling happens in `fit` only, on the data that `fit` is given; nothing is split, and in
    cross-validation nothing leaks. What imbalanced-learn's ``Pipeline`` cannot carry arrives:

    * labels that are shares of classes (`OTMixSampler`, `OpenSampler`) become weighted rows, see
      `to_weighted_pairs`, which is exact for losses that are linear in the target;
    * weights of a sampler (`sample_weight_`) are handed on;
    * weights of the user follow their rows: a new row has the weight of the row that it is made
      from, if that is of the same class, else the mean weight of its class.

    A classifier that takes no weights is fitted on hard labels, with a warning if these are wrong
    in part.

    A sampler need not fill all classes up to the largest: what is left of the imbalance can be
    divided out of the answers, ``p'(k | x)`` in proportion to ``p(k | x) / share_k`` with the class
    shares of the *resampled* data (`prior_correction`). The classifier then sees fewer made-up rows
    and answers as if classes were alike. The user guide has figures.

    Parameters
    ----------
    sampler : sampler or None, default=None
        With ``fit_resample``: of this package or of imbalanced-learn. Cloned. None stands for the
        recipe above; labels are hard for a classifier that takes no weights, and all classes are
        filled up for one without ``predict_proba``.
    classifier : classifier or None, default=None
        Cloned. A ``Pipeline`` gets weights if its last step takes them. None stands for
        ``LogisticRegression()``.
    prior_correction : bool or "auto", default="auto"
        Divide the classifier's probabilities by the class shares of the resampled training data,
        as `ltresample.prior_correction.PriorCorrectedClassifier` does. Needs ``predict_proba``.
        Changes nothing where the sampler balances the classes. "auto": with the recipe only.
    random_state : int, RandomState or None, default=None
        Of the recipe's sampler. A sampler that is given has its own.

    Attributes
    ----------
    sampler_ : sampler
        The sampler after ``fit_resample``, with its `provenance_`.
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
    >>> model = ResampledClassifier(OTMixSampler(random_state=0), LogisticRegression())
    >>> cross_val_score(model, X, y, cv=3, scoring="balanced_accuracy").shape
    (3,)

    The recipe:

    >>> model = ResampledClassifier(classifier=LogisticRegression(), random_state=0).fit(X, y)
    >>> model.sampler_
    M2mSampler(labels='soft', random_state=0,
               sampling_strategy=PartialFill(share=0.05), synthetic_share=1.0)
    """

    _parameter_constraints: ClassVar[dict] = {
        "sampler": [HasMethods("fit_resample"), None],
        "classifier": [HasMethods(["fit", "predict"]), None],
        "prior_correction": ["boolean", StrOptions({"auto"})],
        "random_state": ["random_state"],
    }

    # not in the signature of `fit`: a weight is not as many samples here, since what a sampler adds
    # follows from the number of samples
    __metadata_request__fit: ClassVar[dict] = {"sample_weight": None}

    def __init__(
        self, sampler=None, classifier=None, *, prior_correction="auto", random_state=None
    ):
        self.sampler = sampler
        self.classifier = classifier
        self.prior_correction = prior_correction
        self.random_state = random_state

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
        """
        model, keyword = self._model(), weight_keyword(self._inner())
        given = fit_params.pop("sample_weight", None)
        if given is not None:
            X, y, given = _positive(self._inner(), keyword, X, y, given)
        self.sampler_ = self._sampler(weighted=keyword is not None)
        X_res, y_res = self.sampler_.fit_resample(X, y)[:2]
        labels = labels_of(y_res)
        targets = _shares(self.sampler_)
        if keyword is None:
            _warn_of_lost_weights(self._inner(), self.sampler_, targets, labels)
            weight = None
        elif targets is not None:
            X_res, y_res, weight = to_weighted_pairs(X_res, targets, np.unique(labels))
            labels, rows = y_res, np.nonzero(targets)[0]
        else:
            weight, rows = getattr(self.sampler_, "sample_weight_", None), np.arange(len(labels))
        if given is not None:
            followed = _followed(self.sampler_, labels_of(y), given, rows, labels)
            weight = followed if weight is None else followed * weight
        if weight is not None:
            fit_params["sample_weight" if self._corrects() else keyword] = weight
        self.classifier_ = model.fit(X_res, y_res, **fit_params)
        self.classes_ = getattr(self.classifier_, "classes_", np.unique(labels))
        for name in ("n_features_in_", "feature_names_in_"):
            vars(self).pop(name, None)
            if hasattr(self.sampler_, name):
                setattr(self, name, getattr(self.sampler_, name))
        return self

    def _inner(self) -> Any:
        return _DEFAULT if self.classifier is None else self.classifier

    def _corrects(self) -> bool:
        if self.prior_correction != "auto":
            return bool(self.prior_correction)
        return self.sampler is None and hasattr(self._inner(), "predict_proba")

    def _sampler(self, *, weighted: bool) -> Any:
        if self.sampler is not None:
            return clone(self.sampler)
        if not self._corrects():
            return M2mSampler(random_state=self.random_state)
        return M2mSampler(
            sampling_strategy=PartialFill(0.05),
            synthetic_share=1.0,
            labels="soft" if weighted else "hard",
            random_state=self.random_state,
        )

    def _model(self) -> Any:
        classifier = clone(self._inner())
        if not self._corrects():
            return classifier
        if not hasattr(classifier, "predict_proba"):
            raise ValueError(
                "prior_correction=True divides probabilities, and the classifier must have "
                f"predict_proba. Got classifier={self.classifier!r}. Choose another classifier, or "
                "prior_correction=False."
            )
        return PriorCorrectedClassifier(classifier)

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
        return self.classifier_.predict(X)

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
            `prior_correction` those where all classes are alike.
        """
        check_is_fitted(self)
        return self.classifier_.predict_proba(X)

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
        return self.classifier_.predict_log_proba(X)

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
        return self.classifier_.decision_function(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        own = get_tags(self._inner())
        sampler = get_tags(M2mSampler() if self.sampler is None else self.sampler)
        tags.classifier_tags = own.classifier_tags
        tags.input_tags.sparse = own.input_tags.sparse and sampler.input_tags.sparse
        return tags


def _positive(classifier: Any, keyword: str | None, X: Any, y: Any, sample_weight: Any):
    """Check weights, and leave out rows of weight 0."""
    if keyword is None:
        raise ValueError(
            f"{classifier!r} takes no sample_weight in fit. Got sample_weight. Leave it out, or "
            "choose a classifier that takes weights."
        )
    values = y.to_numpy() if hasattr(y, "to_numpy") else y
    weight = check_sample_weight(sample_weight, values, ensure_non_negative=True)
    kept = np.flatnonzero(weight)
    if len(kept) == len(weight):
        return X, y, weight
    left = np.unique(labels_of(y)[kept]).tolist()
    if len(left) < 2:
        raise ValueError(
            "Samples of positive weight must belong to at least two classes. Got sample_weight that "
            f"leaves only {left!r}. Give samples of other classes a positive weight."
        )
    return _take_rows(X, kept), _take_rows(y, kept), weight[kept]


def _shares(sampler: Any) -> np.ndarray | None:
    """Return the sampler's soft targets if a label is not of one class only."""
    targets = getattr(sampler, "soft_targets_", None)
    mixed = targets is not None and bool((np.max(targets, axis=1) < 1).any())
    return targets if mixed else None


def _warn_of_lost_weights(
    classifier: Any, sampler: Any, targets: np.ndarray | None, labels: np.ndarray
) -> None:
    """Say what a classifier without weights makes of mixed labels and weighted rows."""
    weight = np.asarray(getattr(sampler, "sample_weight_", np.ones(len(labels))))
    if targets is not None:
        share = targets[np.arange(len(labels)), np.unique(labels, return_inverse=True)[1]]
        mean = share[share < 1].mean()
        lost = (
            f"it is fitted on hard labels. {(share < 1).sum()} rows are mixtures that belong to "
            f"the class of their label with a share of {mean:.0%} on average: hard labels are "
            f"wrong by the other {1 - mean:.0%}. Choose a classifier that takes sample_weight, or, "
            "with OTMixSampler, min_foreground=0.5 or more."
        )
    elif (weight != 1).any():
        light = weight[weight != 1]
        lost = (
            f"the weights that {type(sampler).__name__} gives its rows are lost. {len(light)} rows "
            f"with a mean weight of {light.mean():.2g} count in full. Choose a classifier that "
            "takes sample_weight."
        )
    else:
        return
    message = f"{type(classifier).__name__} takes neither soft targets nor sample_weight, so "
    warnings.warn(message + lost, LongTailWarning, stacklevel=4)


def _followed(
    sampler: Any, y: np.ndarray, weight: np.ndarray, rows: np.ndarray, labels: np.ndarray
) -> np.ndarray:
    """Return each training row the weight of the real row of its class that it is made from.

    `rows` are positions in the resampled data, `labels` what they are trained as.
    """
    followed, open_rows = np.empty(len(rows)), np.ones(len(rows), dtype=bool)
    for k in np.unique(labels):
        followed[labels == k] = weight[y == k].mean() if (y == k).any() else weight.mean()
    for parent in _parents(sampler, y, int(rows.max()) + 1 if len(rows) else 0):
        index = parent[rows]
        fits = open_rows & (index >= 0) & (y[index] == labels)
        followed[fits] = weight[index[fits]]
        open_rows &= ~fits
    return followed


def _parents(sampler: Any, y: np.ndarray, n_rows: int) -> list[np.ndarray]:
    """Return for each row the rows of X that it is made from, -1 where nothing is known."""
    if hasattr(sampler, "provenance_"):
        record = sampler.provenance_
        return [np.where(record["from_aux"], -1, record["seed_index"]), record["partner_index"]]
    if hasattr(sampler, "sample_indices_"):
        return [np.asarray(sampler.sample_indices_)]
    known = np.full(n_rows, -1)
    if getattr(sampler, "_sampling_type", None) == "over-sampling":  # real rows come first
        known[: len(y)] = np.arange(len(y))
    return [known]
