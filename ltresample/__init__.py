"""Samplers for long-tailed data: ``fit_resample`` over one PyTorch synthesis engine.

Names below are loaded on first use, so that ``import ltresample`` stays fast.
"""

from __future__ import annotations

import importlib

__version__ = "0.1.0.dev0"

_HOME = {
    "DistributionMatchingOversampler": "ltresample.over_sampling",
    "LongTailReport": "ltresample.metrics",
    "LongTailWarning": "ltresample.exceptions",
    "M2mSampler": "ltresample.over_sampling",
    "OTMixSampler": "ltresample.over_sampling",
    "OpenSampler": "ltresample.over_sampling",
    "ResampledClassifier": "ltresample.over_sampling",
    "SAFASampler": "ltresample.over_sampling",
    "make_long_tailed": "ltresample.datasets",
}

__all__ = ["__version__", *sorted(_HOME)]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module 'ltresample' has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
