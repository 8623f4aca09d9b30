"""How good a guide is on rows that it has not seen, and what a guess would reach."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltresample._random import Seed
from ltresample._torch import evaluating
from ltresample.guides._classifier import Classifier
from ltresample.guides._confusion import proba_of_estimator
from ltresample.guides._fit import GuideRecipe, balanced_rows, in_closed_form, is_wide
from ltresample.guides._folds import fit_fold_guides, held_out_guide
from ltresample.rows import Pool, SubsetRows

__all__ = ["GuideScore", "score_of_estimator", "score_of_recipe", "score_on_training_rows"]

MOST_ROWS = 2048  # of more rows a class-balanced draw is judged


class GuideScore(NamedTuple):
    """Balanced accuracy of a guide beside that of a guess.

    Examples
    --------
    >>> y = torch.tensor([0] * 90 + [1] * 10)
    >>> score = GuideScore.of(torch.eye(2)[y][None], y)
    >>> score.value, score.chance, round(score.error, 3), score.informed
    (1.0, 0.5, 0.083, True)
    """

    value: float
    chance: float  # 1 / number of classes that have a row to learn from and one to be judged by
    error: float  # standard error of a guess: of a mean of K binomial shares

    @classmethod
    def of(cls, proba: Tensor, y: Tensor) -> GuideScore:
        """Judge probabilities (R, n, K) of R dealings of rows of class y (n,): the mean over R.

        Classes with a single row cannot be judged: they are left out, as labels and as guesses. All
        is NaN where less than two classes are left.
        """
        counts = torch.bincount(y, minlength=proba.shape[-1])
        judged = counts > 1
        guess = proba.masked_fill(~judged, -1.0).argmax(-1)
        hits = (guess == y).double().mean(0)  # (n,)
        # not bincount, which sums up weights in any order on an accelerator
        n_hits = hits.new_zeros(len(counts)).index_add_(0, y, hits)
        recall = n_hits[judged] / counts[judged]
        if len(recall) < 2:  # one class alone is recognised by any guess
            return cls(float("nan"), float("nan"), float("nan"))
        chance = 1 / len(recall)
        error = (chance * (1 - chance) / counts[judged]).sum().sqrt() / len(recall)
        return cls(float(recall.mean()), chance, float(error))

    @property
    def informed(self) -> bool:
        """Whether the guide knows more than a guess.

        It does if it is 2.5 standard errors above chance; 0.1 above are enough, if they are 1.3
        standard errors. Labels without meaning pass in about 1 of 100 data sets with 20 rows in the
        smallest class, and in fewer with more.
        """
        needed = min(2.5 * self.error, max(0.1, 1.3 * self.error))
        return self.value - self.chance > needed


def score_of_recipe(pool: Pool, seed: Seed, recipe: GuideRecipe) -> GuideScore:
    """Judge guides that are fitted by a recipe, out of fold.

    Where only output layers are fitted the rows are dealt to four folds several times, which takes
    the luck of a dealing out of the score. Networks on images that are trained are judged on a
    quarter of the rows, by one that is trained on the others.

    Parameters
    ----------
    pool : Pool
        Real samples; of more than 2,048 a class-balanced draw.
    seed : Seed
        Root of what is drawn.
    recipe : GuideRecipe
        How the guide is fitted.

    Returns
    -------
    GuideScore
        Mean over dealings.
    """
    pool = _some(pool, seed.child("rows"))
    if in_closed_form(pool, recipe) is not None:
        narrow = len(pool.x.row_shape) == 1 and not is_wide(pool)
        n_repeats = 2 if not narrow or len(pool.class_counts) > 20 else 5 - 2 * (len(pool.y) > 1000)
        guides = fit_fold_guides(pool, seed, recipe, n_repeats=n_repeats)
    elif len(pool.x.row_shape) == 1:
        guides = fit_fold_guides(pool, seed, recipe)
    else:
        guides, pool = held_out_guide(pool, seed, recipe)
    proba = guides.out_of_fold_proba(pool)
    return GuideScore.of(proba if guides.fold.dim() == 2 else proba[None], pool.y)


def score_of_estimator(
    g: Any, X: Any, labels: np.ndarray, classes: np.ndarray, seed: Seed
) -> GuideScore:
    """Judge an estimator that is not fitted, out of four folds."""
    proba = torch.from_numpy(proba_of_estimator(g, X, labels, classes, seed))
    return GuideScore.of(proba[None], torch.from_numpy(np.searchsorted(classes, labels)))


@torch.no_grad()
def score_on_training_rows(g: Classifier, pool: Pool, seed: Seed) -> GuideScore:
    """Judge a guide that came fitted, on rows that it may have seen: an upper bound."""
    rows = balanced_rows(pool, seed)
    with evaluating(*g.members):
        proba = torch.cat([g.log_proba(pool.x.take(part)).exp() for part in rows.split(256)])
    return GuideScore.of(proba[None], pool.y[rows])


def _some(pool: Pool, seed: Seed) -> Pool:
    """Return a class-balanced pool of `MOST_ROWS` rows."""
    if len(pool.y) <= MOST_ROWS:
        return pool
    n_classes = len(pool.class_counts)
    rows = balanced_rows(pool, seed, n_per_class=max(8, MOST_ROWS // n_classes))
    y = pool.y[rows]
    counts = torch.bincount(y, minlength=n_classes)
    return pool._replace(x=SubsetRows(pool.x, rows), y=y, class_counts=counts)
