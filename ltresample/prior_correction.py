"""Classifiers whose probabilities are corrected for the class prior after training."""

from ltresample._estimators import weight_keyword
from ltresample.decisions import PriorCorrectedClassifier

__all__ = ["PriorCorrectedClassifier", "weight_keyword"]
