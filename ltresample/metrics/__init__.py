"""Scores for long-tailed test results: per-class recall and what follows from it.

`balanced_accuracy_score` is scikit-learn's own.
"""

from sklearn.metrics import balanced_accuracy_score

from ltresample.metrics._calibration import Reliability, calibration_error, reliability
from ltresample.metrics._report import LongTailReport
from ltresample.metrics._scores import geometric_mean, recall_per_class, shot_accuracy

__all__ = [
    "LongTailReport",
    "Reliability",
    "balanced_accuracy_score",
    "calibration_error",
    "geometric_mean",
    "recall_per_class",
    "reliability",
    "shot_accuracy",
]
