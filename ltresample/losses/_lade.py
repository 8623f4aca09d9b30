"""LADE: balanced softmax with a regulariser that makes logits log ratios of densities."""

from __future__ import annotations

import math
from functools import partial

import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from ltresample.losses._balanced_softmax import balanced_softmax_rows
from ltresample.losses._base import LongTailLoss
from ltresample.losses._inputs import check_at_least, checked_counts, per_class
from ltresample.losses._reduction import reduced_loss

__all__ = ["LADELoss", "lade_loss"]


def lade_loss(
    logits: Tensor,
    y: Tensor,
    *,
    class_counts: ArrayLike | Tensor,
    alpha: float = 0.1,
    square_penalty: float = 0.1,
    importance: str = "column",
    weight: ArrayLike | Tensor | None = None,
    sample_weight: ArrayLike | Tensor | None = None,
    reduction: str = "weighted_mean",
) -> Tensor:
    """Compute balanced softmax plus `alpha` times the regulariser LADER [1]_.

    With the class prior ``pi`` and logits z::

        LADER = sum_c pi_c ( -mean_{i: y_i = c} z_ic + S_c + lambda S_c^2 )
        S_c   = log( (1 / m) sum_i e^(z_ic) / (K pi_c) )

    A class that is absent from the batch has mean 0.

    Parameters
    ----------
    logits : Tensor of shape (m, n_classes)
        Scores before the softmax, as they are used at test time.
    y : Tensor of shape (m,)
        Class indices.
    class_counts : array-like of shape (n_classes,)
        Training samples per class, each at least 1. Only their ratios matter.
    alpha : float, default=0.1
        Weight of the regulariser, at least 0. 0 is balanced softmax.
    square_penalty : float, default=0.1
        lambda, at least 0.
    importance : {"column", "label"}, default="column"
        The class in whose prior row i is divided in S_c: the column c, or the row's own y_i.
    weight : array-like of shape (n_classes,) or None, default=None
        Class weights, at least 0. None stands for ones.
    sample_weight : array-like of shape (m,) or None, default=None
        Coefficients of the row losses; they do not enter the denominator.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="weighted_mean"
        What the sum over rows is divided by, see `LongTailLoss`.

    Returns
    -------
    Tensor
        A number, or shape (m,) if ``reduction="none"``.

    Raises
    ------
    TypeError, ValueError
        If a setting, logits or targets do not fit, see `LongTailLoss.per_row`.

    Notes
    -----
    The regulariser belongs to the batch. It is added to each row, so that with both means the loss
    is the mean of balanced softmax plus ``alpha * LADER``; class weights leave it as it is under
    ``"weighted_mean"``.

    At test time the logits stand for balanced classes; add the log of the target prior for others.

    Fidelity: published code has ``importance="column"``. The derivation samples from a balanced
    distribution by weighting row i with ``1 / (K pi_{y_i})``, which is ``"label"``.

    References
    ----------
    .. [1] Hong, Han, Choi, Seo, Kim, Chang. Disentangling Label Distribution for Long-tailed Visual
       Recognition. CVPR 2021. arXiv:2012.00321.

    Examples
    --------
    >>> import torch
    >>> logits, y = torch.zeros(2, 2), torch.tensor([0, 1])
    >>> lade_loss(logits, y, class_counts=[90, 10], alpha=0)
    tensor(1.2040)
    >>> lade_loss(logits, y, class_counts=[90, 10])
    tensor(1.1729)
    """
    _check_settings(alpha, square_penalty, importance)
    counts = checked_counts(class_counts)
    return reduced_loss(
        "lade_loss",
        partial(
            _lade_rows,
            class_counts=counts,
            alpha=alpha,
            square_penalty=square_penalty,
            importance=importance,
        ),
        logits,
        y,
        weight=weight,
        sample_weight=sample_weight,
        reduction=reduction,
    )


class LADELoss(LongTailLoss):
    """Balanced softmax with the regulariser LADER.

    See `lade_loss` for the formula and `LongTailLoss` for weights and reductions.

    Parameters
    ----------
    alpha : float, default=0.1
        Weight of the regulariser, at least 0. 0 is balanced softmax.
    square_penalty : float, default=0.1
        lambda, at least 0.
    importance : {"column", "label"}, default="column"
        As in published code, or as derived, see `lade_loss`.
    class_counts : array-like of shape (n_classes,) or None, default=None
        Training samples per class, each at least 1. None: to be set before training.
    weight : array-like of shape (n_classes,) or None, default=None
        Class weights, at least 0. None stands for ones.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="weighted_mean"
        What the sum over rows is divided by, see `LongTailLoss`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> LADELoss(class_counts=[90, 10])(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor(1.1729)
    """

    needs_class_counts = True

    def __init__(
        self,
        alpha: float = 0.1,
        square_penalty: float = 0.1,
        importance: str = "column",
        *,
        class_counts=None,
        weight=None,
        reduction="weighted_mean",
    ):
        super().__init__(weight=weight, class_counts=class_counts, reduction=reduction)
        _check_settings(alpha, square_penalty, importance)
        self.alpha = alpha
        self.square_penalty = square_penalty
        self.importance = importance

    def _rows(self, logits: Tensor, y: Tensor) -> Tensor:
        return _lade_rows(
            logits, y, self.class_counts, self.alpha, self.square_penalty, self.importance
        )


# log(K pi) of the row i and column c whose density is estimated, as (1, K) or (m, 1)
_IMPORTANCE = {
    "column": lambda log_ratio, y: log_ratio[None, :],
    "label": lambda log_ratio, y: log_ratio[y][:, None],
}


def _check_settings(alpha: float, square_penalty: float, importance: str) -> None:
    check_at_least("alpha", alpha, 0)
    check_at_least("square_penalty", square_penalty, 0)
    if importance not in _IMPORTANCE:
        allowed = ", ".join(repr(word) for word in _IMPORTANCE)
        raise ValueError(f"importance must be one of {allowed}. Got importance={importance!r}.")


def _lade_rows(
    logits: Tensor,
    y: Tensor,
    class_counts: Tensor,
    alpha: float,
    square_penalty: float,
    importance: str,
) -> Tensor:
    counts = per_class("class_counts", class_counts, logits)
    regulariser = _lader(logits, y, counts / counts.sum(), square_penalty, importance)
    return balanced_softmax_rows(logits, y, counts) + alpha * regulariser


def _lader(
    logits: Tensor, y: Tensor, prior: Tensor, square_penalty: float, importance: str
) -> Tensor:
    m, n_classes = logits.shape
    one_hot = F.one_hot(y, n_classes)  # (m, K)
    class_mean = (logits * one_hot).sum(0) / one_hot.sum(0).clamp_min(1)  # (K,)
    log_ratio = _IMPORTANCE[importance]((n_classes * prior).log(), y)
    log_mean = (logits - log_ratio).logsumexp(0) - math.log(max(m, 1))  # S_c
    return (prior * (log_mean + square_penalty * log_mean**2 - class_mean)).sum()
