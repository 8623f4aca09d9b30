"""Samplers with imbalanced-learn's ``fit_resample``."""

from ltresample.over_sampling._distribution_matching import DistributionMatchingOversampler
from ltresample.over_sampling._m2m import M2mSampler
from ltresample.over_sampling._open_sampler import OpenSampler
from ltresample.over_sampling._safa import SAFASampler

__all__ = ["DistributionMatchingOversampler", "M2mSampler", "OpenSampler", "SAFASampler"]
