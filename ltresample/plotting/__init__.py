"""Pictures of long tails, of synthetic samples and of test results.

Each is a class in scikit-learn's manner: ``from_...`` computes, ``plot(ax=None)`` draws and gives
the display back with ``ax_`` and ``figure_``. Drawing needs matplotlib:
``pip install "ltresample[plot]"``.
"""

from ltresample.plotting._class_counts import ClassCountsDisplay
from ltresample.plotting._comparison import ComparisonDisplay
from ltresample.plotting._embedding import EmbeddingDisplay
from ltresample.plotting._feature_augmentation import FeatureAugmentationDisplay
from ltresample.plotting._label_distribution import LabelDistributionDisplay
from ltresample.plotting._open_set import OpenSetDisplay
from ltresample.plotting._pair_counts import PairCountsDisplay
from ltresample.plotting._recall import RecallDisplay
from ltresample.plotting._reliability import ReliabilityDisplay
from ltresample.plotting._synthesis import SynthesisDisplay
from ltresample.plotting._transport_plan import TransportPlanDisplay

__all__ = [
    "ClassCountsDisplay",
    "ComparisonDisplay",
    "EmbeddingDisplay",
    "FeatureAugmentationDisplay",
    "LabelDistributionDisplay",
    "OpenSetDisplay",
    "PairCountsDisplay",
    "RecallDisplay",
    "ReliabilityDisplay",
    "SynthesisDisplay",
    "TransportPlanDisplay",
]
