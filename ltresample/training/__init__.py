"""Deferred rebalancing and synthesis inside training, on skorch."""

from ltresample.training._accelerate import DistributedRebalancingClassifier
from ltresample.training._augmentation import RandomCropFlip
from ltresample.training._callbacks import (
    DeferredResampling,
    DeferredReweighting,
    DeferredSynthesis,
)
from ltresample.training._classifier import DeferredRebalancingClassifier
from ltresample.training._feature_augmentation import SAFA
from ltresample.training._index_samplers import ClassIndexSampler
from ltresample.training._schedules import WarmupStepDecay, learning_rate_factor

__all__ = [
    "SAFA",
    "ClassIndexSampler",
    "DeferredRebalancingClassifier",
    "DeferredResampling",
    "DeferredReweighting",
    "DeferredSynthesis",
    "DistributedRebalancingClassifier",
    "RandomCropFlip",
    "WarmupStepDecay",
    "learning_rate_factor",
]
