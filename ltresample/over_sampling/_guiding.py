"""The classifiers of a run, fitted or converted when a method first asks for them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ltresample._progress import phase
from ltresample._random import Seed
from ltresample.exceptions import LongTailWarning
from ltresample.guides import (
    Classifier,
    GuideRecipe,
    as_classifier,
    balanced_rows,
    can_be_fitted,
    classifier_of,
    confusion_of,
    fit_fold_guides,
    fit_guide,
    fitted,
    network_of,
    score_of_estimator,
    score_of_recipe,
    score_on_training_rows,
    soft_confusion,
)
from ltresample.models import fold_batch_norm
from ltresample.rows import Pool

__all__ = ["RECIPES", "Guides", "first_dtype"]

RECIPES = {
    "random_units": GuideRecipe(random_units=True),
    "bagged": GuideRecipe(),
    "erm": GuideRecipe.plain(),
    "drs": GuideRecipe.deferred(),
}


class Guides:
    """The guide g and the classifier f.

    Parameters
    ----------
    g, f : None, estimator, nn.Module, list of these, or "f"
        As the user passed them.
    pool : Pool
        Real samples.
    classes : ndarray of shape (K,)
        Labels, sorted.
    seed : Seed
        Root of what is random.
    recipe : str or None
        How g is fitted where it is None.
    raw : callable
        Gives the rows of the pool as they came in, for estimators that are to be fitted.
    live : nn.Module or None, default=None
        In training, the network that is trained.
    """

    def __init__(
        self,
        g: Any,
        f: Any,
        pool: Pool,
        *,
        classes: np.ndarray,
        seed: Seed,
        recipe: str | None,
        raw: Callable[[], Any] | None,
        live: nn.Module | None = None,
    ):
        self.given = g if live is None else _in_type(g, pool.space.scale.dtype)
        self.given_f = f
        self.pool = pool
        self.classes = classes
        self.seed = seed
        self.recipe = None if recipe is None else RECIPES[recipe]
        self.live = None if live is None else classifier_of(live)
        self.fitted: Any = None  # what becomes `g_`
        self.members: list[nn.Module] = []  # of `out_of_fold`
        self._raw = raw

    @cached_property
    def labels(self) -> np.ndarray:
        """Labels of the pool's rows, as the user names classes."""
        return self.classes[self.pool.labels.numpy()]

    def raw(self, g: Any) -> Any:
        """Return the rows as they came in, where `g` needs them; None: it is fitted."""
        return None if _is_ready(g) or self._raw is None else self._raw()

    @cached_property
    def g(self) -> Classifier:
        """The guide."""
        if self.live is not None and isinstance(self.given, str) and self.given == "f":
            return self.live
        if self.given is None and self.members:
            return self._convert(self.fitted, "g")
        if self.given is None:
            self.fitted = fit_guide(self.pool, self.seed.child("guide"), self.recipe)
        else:
            self.fitted = fitted(self.given, self.raw(self.given), self.labels, "g")
        g = self._convert(self.fitted, "g")
        return g if self.live is None else self._fold(g)

    @cached_property
    def f(self) -> Classifier | None:
        """The second classifier."""
        if self.given_f is None:
            return None
        return self._convert(fitted(self.given_f, self.raw(self.given_f), self.labels, "f"), "f")

    def out_of_fold(self, seed: Seed, *, soft: bool, n_folds: int = 4) -> Tensor:
        """Return the confusion matrix (K, K) of networks that each leave out a fold.

        Where g was not asked for before, they are g together.
        """
        phase("fitting the guide")
        guides = fit_fold_guides(self.pool, seed, self.recipe, n_folds=n_folds)
        self.members = guides.members
        if self.fitted is None:
            self.fitted = self.members if len(self.members) > 1 else self.members[0]
        return confusion_of(guides.out_of_fold_proba(self.pool), self.pool.y, soft=soft)

    def _convert(self, part: Any, name: str) -> Classifier:
        example = self.pool.x.take(torch.arange(min(2, len(self.pool.labels))))
        return as_classifier(part, example, self.classes, name, device=self.pool.y.device)

    def judge(self) -> float | None:
        """Return what the guide is worth on rows that it has not seen; warn at chance.

        None where no guide was asked for. Its random numbers are its own: rows do not depend on it.
        """
        if self.fitted is None:
            return None
        phase("judging the guide")
        seed = self.seed.child("judge")
        if self.given is None:
            score = score_of_recipe(self.pool, seed, self.recipe)
        elif can_be_fitted(self.given):
            given, X = self.given, self.raw(self.given)
            score = score_of_estimator(given, X, self.labels, self.classes, seed)
        else:
            self._look_at(self.g)
            return score_on_training_rows(self.g, self.pool, self.seed.child("look")).value
        if not score.informed and np.isfinite(score.value):
            warnings.warn(
                "The guide is no better than a guess on rows that it has not seen: balanced accuracy "
                f"{score.value:.2f}, chance {score.chance:.2f}, standard error {score.error:.2f}. "
                "What it accepts means nothing. Check that y belongs to X, add columns that tell the "
                "classes apart, or pass a better g.",
                LongTailWarning,
                stacklevel=4,
            )
        return score.value

    def _look_at(self, g: Classifier) -> None:
        """Warn where a guide that came fitted knows less than a guess about the rows of X."""
        rows = balanced_rows(self.pool, self.seed.child("look"), n_per_class=20)
        confusion = soft_confusion(g, self.pool, rows)
        chance, own = 1 / len(confusion), float(confusion.diagonal().mean())
        if own <= chance:
            warnings.warn(
                f"g gives the true class of its training data a mean probability of {own:.2f}, no "
                f"better than chance ({chance:.2f}). Rows that it accepts mean nothing. Train g "
                "longer, check the order of its outputs and the scale of X, or pass g=None.",
                LongTailWarning,
                stacklevel=5,
            )

    def _fold(self, g: Classifier) -> Classifier:
        """Fold what can be folded; g never changes."""
        images = len(self.pool.x.row_shape) == 3
        members = [fold_batch_norm(member) for member in g.members]
        if images:
            members = [member.to(memory_format=torch.channels_last) for member in members]
        return Classifier(members, scales=g.scales)


def _is_ready(g: Any) -> bool:
    """Return whether a guide needs no fitting."""
    if isinstance(g, list | tuple):
        return all(_is_ready(part) for part in g)
    return not can_be_fitted(g)


def _in_type(g: Any, dtype: torch.dtype) -> Any:
    """Return networks in the type of the rows; those that have it, and all else, as they are."""
    if isinstance(g, list | tuple):
        return [_in_type(part, dtype) for part in g]
    network = network_of(g)
    if network is None or all(p.dtype == dtype for p in network.parameters()):
        return g
    network = copy.deepcopy(network).to(dtype)
    if isinstance(g, nn.Module):
        return network
    net = copy.copy(g)
    vars(net)["module_"] = network
    return net


def first_dtype(guides: list[Any]) -> torch.dtype | None:
    """Return the floating-point type of the first network that the user brought."""
    for guide in guides:
        for part in guide if isinstance(guide, list | tuple) else [guide]:
            network = network_of(part)
            if network is not None:
                for parameter in network.parameters():
                    return parameter.dtype
    return None
