"""What we need of scikit-learn and imbalanced-learn beyond their public names, in one place."""

from __future__ import annotations

from typing import Any

from imblearn.utils import check_sampling_strategy, check_target_type
from sklearn.base import _fit_context as fit_context
from sklearn.utils import _safe_indexing as safe_indexing
from sklearn.utils._param_validation import Interval, InvalidParameterError
from sklearn.utils.validation import _check_feature_names as check_feature_names
from sklearn.utils.validation import _check_method_params as check_method_params
from sklearn.utils.validation import _check_n_features as check_n_features
from sklearn.utils.validation import _check_sample_weight as check_sample_weight
from sklearn.utils.validation import _num_samples as num_samples
from sklearn.utils.validation import check_array, validate_data

try:  # scikit-learn >= 1.9
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:

    class CallbackSupportMixin:
        """Stand in for scikit-learn's mixin where there are no callbacks yet."""

        def _init_callback_context(self, **settings: Any) -> None:
            """Return None: there is no context."""

    def with_callbacks(method):
        """Return the method as it is."""
        return method


__all__ = [
    "CallbackSupportMixin",
    "check_method_params",
    "check_array",
    "check_feature_names",
    "check_n_features",
    "check_sample_weight",
    "check_sampling_strategy",
    "check_target_type",
    "fit_context",
    "num_samples",
    "refuse_truth_values",
    "safe_indexing",
    "validate_data",
    "with_callbacks",
]


def refuse_truth_values(owner: str, constraints: dict[str, Any], given: dict[str, Any]) -> None:
    """Refuse True and False where a number is needed: Python would count them as 1 and 0.

    Parameters
    ----------
    owner : str
        Name of the class, for the message.
    constraints : dict
        Constraints of the parameters, as scikit-learn writes them.
    given : dict
        The parameters' values.

    Raises
    ------
    InvalidParameterError
        If there is one.
    """
    for name, value in given.items():
        allowed = constraints.get(name)
        allowed = allowed if isinstance(allowed, list) else []
        is_number = any(isinstance(c, Interval) for c in allowed) and "boolean" not in allowed
        if is_number and type(value).__name__ in ("bool", "bool_"):
            raise InvalidParameterError(
                f"The {name!r} parameter of {owner} must be a number, not a truth value. Got "
                f"{value!r} instead."
            )
