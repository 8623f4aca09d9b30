"""Samplers with imbalanced-learn's ``fit_resample``."""

from ltresample.over_sampling._auto import AutoResampledClassifier, ChoiceReport
from ltresample.over_sampling._base import BaseSynthesisSampler
from ltresample.over_sampling._distribution_matching import DistributionMatchingOversampler
from ltresample.over_sampling._m2m import M2mSampler
from ltresample.over_sampling._open_sampler import OpenSampler
from ltresample.over_sampling._otmix import OTMixSampler
from ltresample.over_sampling._resampled_classifier import ResampledClassifier
from ltresample.over_sampling._safa import SAFASampler
from ltresample.over_sampling._weighted_rows import to_weighted_pairs

__all__ = [
    "AutoResampledClassifier",
    "BaseSynthesisSampler",
    "ChoiceReport",
    "DistributionMatchingOversampler",
    "M2mSampler",
    "OTMixSampler",
    "OpenSampler",
    "ResampledClassifier",
    "SAFASampler",
    "to_weighted_pairs",
]
