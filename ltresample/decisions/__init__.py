"""Decisions after training: class priors, costs and offsets, for two classes and for many.

A classifier gives probabilities; what to predict from them is a question of its own. Here it is
answered for another class prior (`PriorCorrectedClassifier`), for a matrix of costs
(`MinimumCostClassifier`), and for any metric of predicted labels (`TunedOffsetsClassifierCV`). A
classifier that is fitted already is passed in scikit-learn's ``FrozenEstimator``.
"""

from ltresample.decisions._costs import MinimumCostClassifier, expected_costs, mean_cost
from ltresample.decisions._offsets import TunedOffsetsClassifierCV
from ltresample.decisions._prior_corrected import PriorCorrectedClassifier
from ltresample.decisions._priors import correct_prior, estimate_prior
from ltresample.decisions._search import tune_offsets

__all__ = [
    "MinimumCostClassifier",
    "PriorCorrectedClassifier",
    "TunedOffsetsClassifierCV",
    "correct_prior",
    "estimate_prior",
    "expected_costs",
    "mean_cost",
    "tune_offsets",
]
