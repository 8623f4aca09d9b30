"""Losses for long-tailed data: one interface, one loss a file, as a function and as a module.

Every function takes ``(logits, y)`` and keywords; every module is a `LongTailLoss` that a training
loop can fill with class counts and class weights without rebuilding it.
"""

from ltresample.losses._balanced_softmax import BalancedSoftmaxLoss, balanced_softmax_loss
from ltresample.losses._base import LongTailLoss
from ltresample.losses._class_balanced import ClassBalancedLoss, class_balanced_loss
from ltresample.losses._cross_entropy import CrossEntropy, cross_entropy
from ltresample.losses._focal import FocalLoss, focal_loss
from ltresample.losses._influence_balanced import InfluenceBalancedLoss, influence_balanced_loss
from ltresample.losses._lade import LADELoss, lade_loss
from ltresample.losses._ldam import LDAMLoss, ldam_loss
from ltresample.losses._ride import RIDELoss, ride_loss

__all__ = [
    "BalancedSoftmaxLoss",
    "ClassBalancedLoss",
    "CrossEntropy",
    "FocalLoss",
    "InfluenceBalancedLoss",
    "LADELoss",
    "LDAMLoss",
    "LongTailLoss",
    "RIDELoss",
    "balanced_softmax_loss",
    "class_balanced_loss",
    "cross_entropy",
    "focal_loss",
    "influence_balanced_loss",
    "lade_loss",
    "ldam_loss",
    "ride_loss",
]
