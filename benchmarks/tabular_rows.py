"""The rows and classifiers of the suite on tables."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, ClassVar, NamedTuple

import joblib
import numpy as np
from imblearn.ensemble import (
    BalancedBaggingClassifier,
    BalancedRandomForestClassifier,
    EasyEnsembleClassifier,
)
from imblearn.over_sampling import ADASYN, SMOTE, SMOTENC, BorderlineSMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.base import BaseEstimator, ClassifierMixin, clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.ensemble import (
    ExtraTreesClassifier,
    HistGradientBoostingClassifier,
    RandomForestClassifier,
)
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import TunedThresholdClassifierCV
from sklearn.naive_bayes import GaussianNB
from sklearn.neighbors import KNeighborsClassifier
from sklearn.neural_network import MLPClassifier

from ltresample import DistributionMatchingOversampler, M2mSampler, OTMixSampler, SAFASampler
from ltresample.class_counts import PartialFill
from ltresample.decisions import PriorCorrectedClassifier, TunedOffsetsClassifierCV
from ltresample.over_sampling import AutoResampledClassifier, ResampledClassifier

__all__ = ["CLASSIFIERS", "FORESTS", "ROWS", "Auto", "Blend", "Fold", "Row"]

CLASSIFIERS: dict[str, Callable[[], BaseEstimator]] = {
    "LR": lambda: LogisticRegression(max_iter=500),
    # at scikit-learn's learning rate of 0.001, 100 epochs of a small table are too few, and resampled
    # data, which are larger, would be ahead for that reason alone
    "MLP": lambda: MLPClassifier((64,), max_iter=100, learning_rate_init=0.01, random_state=0),
    "HGB": lambda: HistGradientBoostingClassifier(max_iter=50, random_state=0),
    "kNN": lambda: KNeighborsClassifier(),
}
# recorded apart, under keys of their own: what was recorded of the others stays
FORESTS: dict[str, Callable[[], BaseEstimator]] = {
    "RF": lambda: RandomForestClassifier(100, random_state=0),
    "ET": lambda: ExtraTreesClassifier(100, random_state=0),
}


class Fold(NamedTuple):
    """Training data of a fold, imputed and standardised, and the seed of what is random in it."""

    X: np.ndarray
    y: np.ndarray
    seed: int

    @property
    def smallest(self) -> int:
        """Number of samples of the smallest class."""
        return int(np.unique(self.y, return_counts=True)[1].min())

    @property
    def categorical(self) -> np.ndarray:
        """Positions of columns with at most ten values."""
        few = [len(np.unique(column)) <= 10 for column in self.X.T]
        return np.flatnonzero(few)


class Row(NamedTuple):
    """What stands before or around the classifiers."""

    sampler: Callable[[Fold], Any] | None = None  # None: the data as they are
    weighted: bool = False  # class weights
    # (model, number of classes, seed of the fold)
    wrap: Callable[[BaseEstimator, int, int], BaseEstimator | None] | None = None
    corrected: bool = False  # also with the output divided by the class shares of the training data
    alone: bool = False  # an ensemble of its own: the classifier makes no difference
    needs: int = 1  # samples of the smallest class in the training fold


def _threshold(model: BaseEstimator, n_classes: int, seed: int) -> BaseEstimator | None:
    if n_classes != 2:
        return None
    return TunedThresholdClassifierCV(model, scoring="balanced_accuracy", cv=3)


class Blend(ClassifierMixin, BaseEstimator):
    """Normalised geometric mean of two corrected classifiers: a second opinion without synthesis."""

    def __init__(
        self,
        first: BaseEstimator,
        second: BaseEstimator,
        *,
        corrected: tuple[bool, bool] = (True, True),
    ):
        self.first = first
        self.second = second
        self.corrected = corrected

    def fit(self, X: np.ndarray, y: np.ndarray) -> Blend:
        """Fit both, and correct those that do not answer for equal class shares by themselves."""
        models = zip((self.first, self.second), self.corrected, strict=True)
        self.members_ = [
            (PriorCorrectedClassifier(clone(model)) if wanted else clone(model)).fit(X, y)
            for model, wanted in models
        ]
        self.classes_ = self.members_[0].classes_
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the vote, each with weight .5."""
        logs = [np.log(np.maximum(model.predict_proba(X), 1e-12)) for model in self.members_]
        proba = np.exp(0.5 * (logs[0] + logs[1]))
        return proba / proba.sum(axis=1, keepdims=True)

    def predict(self, X: np.ndarray) -> np.ndarray:
        """Return the most probable labels."""
        return self.classes_[self.predict_proba(X).argmax(axis=1)]


class Guide(ClassifierMixin, BaseEstimator):
    """The default guide of M2m as a classifier of its own."""

    def __init__(self, random_state: int):
        self.random_state = random_state

    def fit(self, X: np.ndarray, y: np.ndarray) -> Guide:
        """Fit the guide as a sampler does."""
        share, seed = PartialFill(0.05), self.random_state
        sampler = M2mSampler(sampling_strategy=share, synthetic_share=1.0, random_state=seed)
        self.model_ = ResampledClassifier(
            GaussianNB(), sampler, prior_correction=True, guide_weight=1.0
        ).fit(X, y)
        self.classes_ = self.model_.classes_
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Return the guide's probabilities, at equal class shares."""
        return self.model_.predict_proba(X)


class Auto(AutoResampledClassifier):
    """The choice; what another of its rows has tried on the same splits is not fitted again."""

    known: ClassVar[dict[tuple, tuple[float, list]]] = {}

    def _results(self, trials, splits, score, X, labels, weight):
        names = tuple(trial.name for trial in trials)
        asked = (repr(self._inner()), str(self.scoring), str(self.random_state), names)
        key = (joblib.hash((X, labels, splits, weight)), *asked)
        voted, results = self.known.get(key, (None, None))
        # votes cost nothing to leave out, and are not there if nobody asked for them
        if voted is None or self.guide_weight not in (0, voted):
            results = super()._results(trials, splits, score, X, labels, weight)
            self.known[key] = (self.guide_weight, results)
        return results


def _with_guide(model: BaseEstimator, n_classes: int, seed: int) -> BaseEstimator:
    return Blend(model, Guide(seed), corrected=(True, False))


def _blend(name: str) -> Callable:
    return lambda model, n_classes, seed: Blend(model, CLASSIFIERS[name]())


def _recalibrated(method: str) -> Callable:
    return lambda model, n_classes, seed: CalibratedClassifierCV(model, method=method, cv=3)


def _offsets(scoring: str) -> Callable:
    return lambda model, n_classes, seed: TunedOffsetsClassifierCV(model, scoring=scoring)


def _resampling(**parameters: Any) -> Callable:
    return lambda model, n_classes, seed: ResampledClassifier(
        model, random_state=seed, **parameters
    )


def _ensemble(cls: type, **parameters: Any) -> Callable:
    return lambda model, n_classes, seed: cls(random_state=seed, **parameters)


def _recipe(model: BaseEstimator, n_classes: int, seed: int) -> BaseEstimator:
    return ResampledClassifier(model, random_state=seed)


def _gsmote(fold: Fold) -> Any:
    from imblearn_extra.gsmote import GeometricSMOTE

    return GeometricSMOTE(k_neighbors=_neighbors(fold), random_state=fold.seed)


class SmoteVariant(NamedTuple):
    """A sampler of the package smote-variants behind imbalanced-learn's method."""

    name: str
    seed: int

    def fit_resample(self, X: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Resample; of more than two classes one against all larger ones, in turn."""
        import smote_variants

        logging.getLogger("smote_variants").setLevel(logging.ERROR)
        own = {"random_state": self.seed}
        if len(np.unique(y)) > 2:
            many = smote_variants.MulticlassOversampling
            return many(oversampler=self.name, oversampler_params=own).sample(X, y)
        return getattr(smote_variants, self.name)(**own).sample(X, y)


def _smotenc(fold: Fold) -> Any:
    columns = fold.categorical
    if not 0 < len(columns) < fold.X.shape[1]:
        return None
    return SMOTENC(columns.tolist(), k_neighbors=_neighbors(fold), random_state=fold.seed)


def _neighbors(fold: Fold) -> int:
    return max(1, min(5, fold.smallest - 1))


def _ours(cls: type, *, corrected: bool = False, **parameters: Any) -> Row:
    return Row(lambda fold: cls(random_state=fold.seed, **parameters), corrected=corrected)


ROWS: dict[str, Row] = {
    "none": Row(corrected=True),
    "class_weight": Row(weighted=True),
    "threshold": Row(wrap=_threshold),
    "ROS": Row(lambda fold: RandomOverSampler(random_state=fold.seed)),
    "SMOTE": Row(lambda fold: SMOTE(k_neighbors=_neighbors(fold), random_state=fold.seed)),
    "BorderlineSMOTE": Row(
        lambda fold: BorderlineSMOTE(k_neighbors=_neighbors(fold), random_state=fold.seed)
    ),
    "ADASYN": Row(lambda fold: ADASYN(n_neighbors=_neighbors(fold), random_state=fold.seed)),
    "SMOTENC": Row(_smotenc),
    "G-SMOTE": Row(_gsmote),
    # the first two of the comparison by the authors of smote-variants (Kovacs 2019)
    "polynom-fit SMOTE": Row(lambda fold: SmoteVariant("polynom_fit_SMOTE_star", fold.seed)),
    "ProWSyn": Row(lambda fold: SmoteVariant("ProWSyn", fold.seed)),
    "duplicates": _ours(M2mSampler, synthetic_share=0.0),
    "M2m": _ours(M2mSampler),
    "DM": _ours(DistributionMatchingOversampler),
    "ResampledClassifier": Row(wrap=_recipe),
    # what the recipe is made of: no synthesis, another one, one without soft labels, more of it
    "duplicates .05": Row(
        lambda fold: RandomOverSampler(sampling_strategy=PartialFill(0.05), random_state=fold.seed),
        corrected=True,
    ),
    "SMOTE .05": Row(
        lambda fold: SMOTE(
            sampling_strategy=PartialFill(0.05),
            k_neighbors=_neighbors(fold),
            random_state=fold.seed,
        ),
        corrected=True,
    ),
    "M2m .05": _ours(
        M2mSampler, sampling_strategy=PartialFill(0.05), synthetic_share=1.0, corrected=True
    ),
    "DM .05, soft labels": _ours(
        DistributionMatchingOversampler,
        sampling_strategy=PartialFill(0.05),
        synthetic_share=1.0,
        soft_labels=True,
        corrected=True,
    ),
    "M2m .3, soft labels": _ours(
        M2mSampler, sampling_strategy=PartialFill(0.3), soft_labels=True, corrected=True
    ),
    "offsets for bACC": Row(wrap=_offsets("balanced_accuracy"), needs=2),
    "offsets for F1": Row(wrap=_offsets("f1_macro"), needs=2),
    "sigmoid": Row(wrap=_recalibrated("sigmoid"), corrected=True, needs=3),
    "isotonic": Row(wrap=_recalibrated("isotonic"), corrected=True, needs=3),
    "RUS": Row(
        wrap=lambda model, n_classes, seed: ResampledClassifier(
            model, RandomUnderSampler(random_state=seed)
        )
    ),
    "BalancedBagging": Row(
        wrap=lambda model, n_classes, seed: BalancedBaggingClassifier(model, random_state=seed)
    ),
    "BalancedRandomForest": Row(
        wrap=_ensemble(
            BalancedRandomForestClassifier,
            sampling_strategy="all",
            replacement=True,
            bootstrap=False,
        ),
        alone=True,
    ),
    "EasyEnsemble": Row(wrap=_ensemble(EasyEnsembleClassifier), alone=True),
    "G-SMOTE .05": Row(
        lambda fold: _gsmote(fold).set_params(sampling_strategy=PartialFill(0.05)), corrected=True
    ),
    "with MLP": Row(wrap=_blend("MLP")),
    "with LR": Row(wrap=_blend("LR")),
    "with g": Row(wrap=_with_guide),
    "ResampledClassifier, with g": Row(wrap=_resampling(guide_weight=0.5)),
    "ResampledClassifier, training prior": Row(wrap=_resampling(target_prior="training")),
    "auto": Row(
        wrap=lambda model, n_classes, seed: Auto(model, random_state=seed),
        needs=2,
    ),
    "auto, with g": Row(
        wrap=lambda model, n_classes, seed: Auto(model, guide_weight=0.5, random_state=seed),
        needs=2,
    ),
    "auto, training prior": Row(
        wrap=lambda model, n_classes, seed: Auto(model, target_prior="training", random_state=seed),
        needs=2,
    ),
    "OTMix": _ours(OTMixSampler, min_foreground=0.5),  # labels are hard: of the larger part
    "SAFA": _ours(SAFASampler),
    "SAFA, share 1": _ours(SAFASampler, synthetic_share=1.0),
    "SAFA, paper": _ours(SAFASampler, preset="paper"),
}
