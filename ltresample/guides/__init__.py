"""Guides g: fitted, converted, judged out of fold, and asked."""

from ltresample.guides._classifier import Classifier
from ltresample.guides._confusion import confusion_of_estimator, confusion_on_training_rows
from ltresample.guides._convert import (
    as_classifier,
    can_be_fitted,
    classifier_of,
    default_device,
    differentiable,
    fitted,
    network_of,
    unscaled_cosine_factor,
)
from ltresample.guides._feature_bank import FeatureBank
from ltresample.guides._features import FeatureRows, feature_rows
from ltresample.guides._fit import (
    GuideRecipe,
    Standardize,
    balanced_rows,
    fit_guide,
    soft_confusion,
)
from ltresample.guides._folds import FoldGuides, confusion_of, deal_folds, fit_fold_guides
from ltresample.guides._random_units import fit_output_layers, random_ensemble, random_hidden_units
from ltresample.guides._score import (
    GuideScore,
    score_of_estimator,
    score_of_recipe,
    score_on_training_rows,
)

__all__ = [
    "Classifier",
    "FeatureBank",
    "FeatureRows",
    "FoldGuides",
    "GuideRecipe",
    "GuideScore",
    "Standardize",
    "as_classifier",
    "classifier_of",
    "balanced_rows",
    "can_be_fitted",
    "confusion_of",
    "confusion_of_estimator",
    "confusion_on_training_rows",
    "deal_folds",
    "default_device",
    "differentiable",
    "feature_rows",
    "fit_fold_guides",
    "fit_guide",
    "fit_output_layers",
    "fitted",
    "network_of",
    "random_ensemble",
    "random_hidden_units",
    "score_of_estimator",
    "score_of_recipe",
    "score_on_training_rows",
    "soft_confusion",
    "unscaled_cosine_factor",
]
