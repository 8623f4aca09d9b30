"""How a sampler hands on what hard labels cannot say: shares of classes, and weights."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from sklearn.base import clone

from ltresample.over_sampling._shares import Shares

__all__ = ["Carried", "CarriesLabels", "carried_by", "carrying"]


class Carried(NamedTuple):
    """What goes with the rows of a resampled table, beside their hard labels."""

    soft_targets: Shares | None = None  # of classes, to be used without weights
    sample_weight: np.ndarray | None = None  # (n,)


class CarriesLabels:
    """Samplers that know whether their soft labels and weights reach the classifier.

    A plain pipeline hands on rows and hard labels, and nothing else. `ResampledClassifier`, and
    training, hand on all of it, and say so by asking for `carrying`.
    """

    def carrying(self) -> Any:
        """Return an unfitted copy for a consumer that uses `carried`; here the settings as they are."""
        return clone(self)

    def carried(self) -> Carried:
        """Return what goes with the rows of the last ``fit_resample``."""
        fitted = vars(self)
        return Carried(fitted.get("_shares"), fitted.get("sample_weight_"))


def carrying(sampler: Any) -> Any:
    """Return an unfitted copy of any sampler for a consumer that hands on labels and weights."""
    return sampler.carrying() if isinstance(sampler, CarriesLabels) else clone(sampler)


def carried_by(sampler: Any) -> Carried:
    """Return what goes with a fitted sampler's rows; nothing for samplers with hard labels."""
    return sampler.carried() if isinstance(sampler, CarriesLabels) else Carried()
