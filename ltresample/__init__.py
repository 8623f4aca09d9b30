"""Samplers for long-tailed data: ``fit_resample`` over one PyTorch synthesis engine.

Names below are loaded on first use, so that ``import ltresample`` stays fast.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:  # what a type checker sees of the names that are loaded on first use
    from ltresample._versions import (
        show_versions as show_versions,
    )
    from ltresample.class_counts import (
        PartialFill as PartialFill,
    )
    from ltresample.comparison import (
        compare as compare,
    )
    from ltresample.datasets import (
        make_long_tailed as make_long_tailed,
    )
    from ltresample.decisions import (
        MinimumCostClassifier as MinimumCostClassifier,
    )
    from ltresample.decisions import (
        PriorCorrectedClassifier as PriorCorrectedClassifier,
    )
    from ltresample.decisions import (
        TunedOffsetsClassifierCV as TunedOffsetsClassifierCV,
    )
    from ltresample.exceptions import (
        LongTailWarning as LongTailWarning,
    )
    from ltresample.metrics import (
        LongTailReport as LongTailReport,
    )
    from ltresample.over_sampling import (
        DistributionMatchingOversampler as DistributionMatchingOversampler,
    )
    from ltresample.over_sampling import (
        M2mSampler as M2mSampler,
    )
    from ltresample.over_sampling import (
        OpenSampler as OpenSampler,
    )
    from ltresample.over_sampling import (
        OTMixSampler as OTMixSampler,
    )
    from ltresample.over_sampling import (
        ResampledClassifier as ResampledClassifier,
    )
    from ltresample.over_sampling import (
        SAFASampler as SAFASampler,
    )
    from ltresample.training import (
        DeferredRebalancingClassifier as DeferredRebalancingClassifier,
    )

__version__ = "0.1.0"

_HOME = {
    "DeferredRebalancingClassifier": "ltresample.training",
    "DistributionMatchingOversampler": "ltresample.over_sampling",
    "LongTailReport": "ltresample.metrics",
    "LongTailWarning": "ltresample.exceptions",
    "M2mSampler": "ltresample.over_sampling",
    "MinimumCostClassifier": "ltresample.decisions",
    "OTMixSampler": "ltresample.over_sampling",
    "OpenSampler": "ltresample.over_sampling",
    "PartialFill": "ltresample.class_counts",
    "PriorCorrectedClassifier": "ltresample.decisions",
    "ResampledClassifier": "ltresample.over_sampling",
    "SAFASampler": "ltresample.over_sampling",
    "TunedOffsetsClassifierCV": "ltresample.decisions",
    "compare": "ltresample.comparison",
    "make_long_tailed": "ltresample.datasets",
    "show_versions": "ltresample._versions",
}
_MODULES = (
    "class_counts",
    "comparison",
    "datasets",
    "decisions",
    "distances",
    "embeddings",
    "exceptions",
    "losses",
    "metrics",
    "mixing",
    "models",
    "over_sampling",
    "pairing",
    "plotting",
    "prior_correction",
    "training",
)

__all__ = ["__version__", *sorted(_HOME)]


if not TYPE_CHECKING:  # a checker shall say that a name is wrong

    def __getattr__(name: str) -> Any:
        if name in _MODULES:
            return importlib.import_module(f"{__name__}.{name}")
        if name not in _HOME:
            _refuse(name, asked_by_import=_asked_by_import())
        return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])


def _asked_by_import() -> bool:
    """Return whether ``from ltresample import name`` asks, which puts its own words in place of ours.

    Python asks twice: first the import system whether there is such a name, where an ImportError
    passes through, then the statement itself, which hides what an AttributeError says.
    """
    caller = sys._getframe(2).f_globals.get("__name__")
    return caller in ("importlib._bootstrap", "_frozen_importlib")


def _refuse(name: str, *, asked_by_import: bool) -> NoReturn:
    """Say where a name stands, or which names are like it."""
    message = f"module {__name__!r} has no attribute {name!r}"
    if name.startswith("_") or importlib.util.find_spec(f"{__name__}.{name}"):
        raise AttributeError(message, name=name)
    message += f".{_hint(name)}"
    if asked_by_import:
        raise ImportError(message, name=__name__)
    raise AttributeError(message)


def _hint(name: str) -> str:
    import difflib  # slow to load, and only a name that is not there needs it

    home = {}
    for part in _MODULES:
        module = importlib.import_module(f"{__name__}.{part}")
        home |= dict.fromkeys(getattr(module, "__all__", ()), f"{__name__}.{part}")
    home |= dict.fromkeys((*_HOME, *_MODULES), __name__)
    if name in home:
        return f" It stands in {home[name]}: from {home[name]} import {name}"
    lower = {known.lower(): known for known in home}
    near = [lower[word] for word in difflib.get_close_matches(name.lower(), lower, n=3, cutoff=0.6)]
    if not near:
        return f" It has {', '.join(sorted(_HOME))}."
    return f" Did you mean {' or '.join(f'{word} (in {home[word]})' for word in near)}?"
