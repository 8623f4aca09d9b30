"""Decisions that cost least, for a matrix of costs."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.validation import check_is_fitted

from ltresample._compat import check_sample_weight, fit_context
from ltresample.decisions._base import ClassifierAround, read_labels, to_be_fitted
from ltresample.decisions._priors import check_proba, check_row_weights, shown
from ltresample.rows import plain_labels

__all__ = ["MinimumCostClassifier", "expected_costs", "mean_cost"]


def expected_costs(proba: ArrayLike, cost_matrix: ArrayLike) -> NDArray[np.float64]:
    """Return what each decision costs on average.

    ``R(j | x) = sum_k p(k | x) * cost_matrix[k, j]`` (Eq. 1 of [1]_, whose matrix has predictions
    in its rows; here rows are true classes, as in scikit-learn's confusion matrix).

    Parameters
    ----------
    proba : array-like of shape (n_samples, n_classes)
        Probabilities, each row with sum 1.
    cost_matrix : array-like of shape (n_classes, n_classes)
        ``cost_matrix[k, j]`` is the cost of predicting class j for a sample of class k.

    Returns
    -------
    ndarray of shape (n_samples, n_classes)
        Expected cost of predicting each class.

    Raises
    ------
    ValueError
        If `proba` holds no probabilities, or `cost_matrix` is not square, of another number of
        classes, or not finite.

    References
    ----------
    .. [1] C. Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001.

    Examples
    --------
    >>> from ltresample.decisions import expected_costs
    >>> expected_costs([[0.9, 0.1]], [[0, 1], [20, 0]])  # to predict class 1 is cheaper
    array([[2. , 0.9]])
    """
    proba = check_proba(proba)
    return proba @ _checked_costs(cost_matrix, proba.shape[1])


def mean_cost(
    y_true: ArrayLike,
    y_pred: ArrayLike,
    *,
    cost_matrix: ArrayLike,
    labels: ArrayLike | None = None,
    sample_weight: ArrayLike | None = None,
) -> float:
    """Return the mean cost of predictions, a metric for ``make_scorer``.

    Parameters
    ----------
    y_true, y_pred : array-like of shape (n_samples,)
        Labels and predicted labels.
    cost_matrix : array-like of shape (n_classes, n_classes) or data frame
        ``cost_matrix[k, j]`` is the cost of predicting class j for a sample of class k. The rows
        and columns of a data frame are found by their labels.
    labels : array-like of shape (n_classes,) or None, default=None
        Classes in the order of the matrix. None: those of a data frame, else the sorted labels of
        `y_true` and `y_pred`.
    sample_weight : array-like of shape (n_samples,) or None, default=None
        Weights of the samples, at least 0 and not all 0. None: all count the same.

    Returns
    -------
    float
        In the units of the matrix; smaller is better.

    Raises
    ------
    ValueError
        If there are no samples, the matrix does not fit the labels, a label is not among them, or
        weights are negative, not finite, all 0 or not one per sample.

    Examples
    --------
    >>> from sklearn.metrics import make_scorer
    >>> from ltresample.decisions import mean_cost
    >>> costs = [[0, 1], [20, 0]]
    >>> mean_cost([0, 0, 1, 1], [0, 1, 1, 0], cost_matrix=costs)
    5.25
    >>> scorer = make_scorer(mean_cost, greater_is_better=False, cost_matrix=costs, labels=[0, 1])
    """
    true, predicted = read_labels(y_true), np.asarray(plain_labels(y_pred)).ravel()
    if true.shape != predicted.shape or not len(true):
        raise ValueError(
            "y_true and y_pred must hold the same number of labels, at least one. Got "
            f"{len(true)} and {len(predicted)}."
        )
    weight = check_row_weights(sample_weight, len(true))
    if labels is not None:
        classes = np.asarray(labels)
    elif hasattr(cost_matrix, "loc"):
        classes = np.asarray(cost_matrix.index)
    else:
        classes = np.union1d(true, predicted)
    costs = _read_costs(cost_matrix, classes)
    order = np.argsort(classes)
    index = []
    for values in (true, predicted):
        place = order[np.minimum(np.searchsorted(classes, values, sorter=order), len(order) - 1)]
        if (classes[place] != values).any():
            raise ValueError(
                f"All labels must be among labels={shown(classes)}. Got "
                f"{shown(np.setdiff1d(values, classes))}."
            )
        index.append(place)
    return float(np.average(costs[index[0], index[1]], weights=weight))


class MinimumCostClassifier(ClassifierAround):
    """Predict the class whose expected cost is least.

    ``argmin_j sum_k p(k | x) * cost_matrix[k, j]``: the decision of Bayes for known costs [1]_,
    for two classes and for many. Nothing about the training changes, and `predict_proba` remains
    what the classifier inside gives. The probabilities must be those of the data to predict: put a
    `PriorCorrectedClassifier` inside if the training data have other class shares.

    A classifier that is fitted already is passed as ``FrozenEstimator(classifier)``.

    Parameters
    ----------
    estimator : classifier with ``predict_proba`` or None, default=None
        Cloned and fitted. None stands for ``LogisticRegression()``.
    cost_matrix : array-like of shape (n_classes, n_classes), data frame or None, default=None
        ``cost_matrix[k, j]`` is the cost of predicting class j for a sample of class k, in any
        unit, in the order of the sorted labels. Negative numbers are gains. The larger the costs in
        row k, the more often class k is predicted. The rows and columns of a data frame are found
        by their labels. None: each error costs 1, which predicts the most probable class.

    Attributes
    ----------
    estimator_ : classifier
        The fitted classifier.
    classes_ : ndarray of shape (n_classes,)
        Sorted labels.
    cost_matrix_ : ndarray of shape (n_classes, n_classes)
        The costs that are used.

    See Also
    --------
    TunedOffsetsClassifierCV : Tune decisions on data where probabilities are not to be trusted.

    References
    ----------
    .. [1] C. Elkan, "The Foundations of Cost-Sensitive Learning", IJCAI 2001.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from sklearn.linear_model import LogisticRegression
    >>> from ltresample.decisions import MinimumCostClassifier, mean_cost
    >>> X, y = make_classification(n_samples=500, weights=[0.9], flip_y=0.1, random_state=0)
    >>> costs = [[0, 1], [20, 0]]  # to miss a sample of class 1 costs as much as 20 false alarms
    >>> model = MinimumCostClassifier(LogisticRegression(), cost_matrix=costs).fit(X, y)
    >>> plain = model.estimator_.predict(X)
    >>> mean_cost(y, model.predict(X), cost_matrix=costs) < mean_cost(y, plain, cost_matrix=costs)
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        **ClassifierAround._parameter_constraints,
        "cost_matrix": ["array-like", None],
    }

    def __init__(self, estimator=None, *, cost_matrix=None):
        self.estimator = estimator
        self.cost_matrix = cost_matrix

    @fit_context(prefer_skip_nested_validation=False)
    def fit(self, X, y, sample_weight=None, **fit_params):
        """Fit a clone of the classifier.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.
        y : array-like of shape (n_samples,)
            Labels.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Passed on, of a ``Pipeline`` to its last step.
        **fit_params : dict
            Passed on.

        Returns
        -------
        self
            The fitted estimator.

        Raises
        ------
        ValueError
            Before anything is fitted: if the matrix does not fit the classes or is not finite, or
            the classifier has no ``predict_proba``.
        """
        self._check_inner()
        labels = read_labels(y)
        costs = self._costs(self._known_classes(labels))
        if sample_weight is not None:
            check_sample_weight(sample_weight, labels, ensure_non_negative=True)
        to_fit = self._inner_params(sample_weight, fit_params)
        self._fit_inner(X, to_be_fitted(y, labels), to_fit)
        self.cost_matrix_ = costs
        return self

    def _costs(self, classes: np.ndarray) -> np.ndarray:
        if self.cost_matrix is None:
            return 1.0 - np.eye(len(classes))
        return _read_costs(self.cost_matrix, classes)

    def expected_costs(self, X):
        """Return what each decision costs on average.

        Parameters
        ----------
        X : array-like of shape (n_samples, n_features)
            Samples.

        Returns
        -------
        ndarray of shape (n_samples, n_classes)
            Expected cost of predicting each class, in the order of `classes_`.
        """
        check_is_fitted(self)
        return expected_costs(self.estimator_.predict_proba(X), self.cost_matrix_)

    def predict(self, X):
        """Return the class whose expected cost is least; of several the first.

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
        return self.classes_[self.expected_costs(X).argmin(axis=1)]


def _read_costs(cost_matrix: Any, classes: np.ndarray) -> NDArray[np.float64]:
    """Return costs in the order of the classes, of a frame by its names."""
    costs = _in_order(cost_matrix, classes) if hasattr(cost_matrix, "loc") else cost_matrix
    return _checked_costs(costs, len(classes))


def _in_order(frame: Any, classes: np.ndarray) -> Any:
    """Return a frame of costs with rows and columns in the order of the classes."""
    for where, names in (("rows", frame.index), ("columns", frame.columns)):
        if set(names) != set(classes.tolist()) or len(names) != len(classes):
            raise ValueError(
                f"The {where} of cost_matrix must be named as the classes, {shown(classes)}. Got "
                f"{shown(list(names))}. Pass an array for costs in the order of the sorted labels."
            )
    rows, columns = (names.get_indexer(classes.tolist()) for names in (frame.index, frame.columns))
    return frame.iloc[rows, columns]  # labels False and True would be taken for a mask


def _checked_costs(cost_matrix: Any, n_classes: int) -> NDArray[np.float64]:
    try:
        costs = np.asarray(cost_matrix, dtype=np.float64)
    except (TypeError, ValueError) as err:
        raise ValueError(f"cost_matrix must hold numbers. Got {cost_matrix!r}.") from err
    if costs.shape != (n_classes, n_classes):
        raise ValueError(
            f"cost_matrix must have shape ({n_classes}, {n_classes}): a row for each true class and "
            f"a column for each predicted one. Got shape {costs.shape}."
        )
    if not np.isfinite(costs).all():
        k, j = np.argwhere(~np.isfinite(costs))[0]
        raise ValueError(
            f"cost_matrix must be finite. Got {costs[k, j]} in row {k}, column {j}. For a decision "
            "that must never be taken pass a cost far above all others."
        )
    return costs
