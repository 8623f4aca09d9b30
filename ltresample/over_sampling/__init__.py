"""Samplers with imbalanced-learn's ``fit_resample``."""

from ltresample.over_sampling._distribution_matching import DistributionMatchingOversampler
from ltresample.over_sampling._m2m import M2mSampler

__all__ = ["DistributionMatchingOversampler", "M2mSampler"]
