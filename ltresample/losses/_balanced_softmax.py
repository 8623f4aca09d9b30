"""Balanced softmax: the class prior is added while training and left out at test time."""

from __future__ import annotations

from functools import partial

from numpy.typing import ArrayLike
from torch import Tensor

from ltresample.losses._base import LongTailLoss
from ltresample.losses._cross_entropy import cross_entropy_rows
from ltresample.losses._inputs import checked_counts, per_class
from ltresample.losses._reduction import reduced_loss

__all__ = ["BalancedSoftmaxLoss", "balanced_softmax_loss", "balanced_softmax_rows"]


def balanced_softmax_loss(
    logits: Tensor,
    y: Tensor,
    *,
    class_counts: ArrayLike | Tensor,
    weight: ArrayLike | Tensor | None = None,
    sample_weight: ArrayLike | Tensor | None = None,
    reduction: str = "weighted_mean",
) -> Tensor:
    """Compute the cross-entropy of ``logits + log N_k`` [1]_.

    Parameters
    ----------
    logits : Tensor of shape (m, n_classes)
        Scores before the softmax, as they are used at test time.
    y : Tensor of shape (m,) or (m, n_classes)
        Class indices, or soft targets q of floats: ``sum_k q_k w_k loss_k``.
    class_counts : array-like of shape (n_classes,)
        Training samples per class N_k, each at least 1. Only their ratios matter.
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
        If counts, logits or targets do not fit, see `LongTailLoss.per_row`.

    Notes
    -----
    For training only: ``softmax(logits)`` then estimates the probabilities under balanced classes.
    The meta-sampler of [1]_ is not part of the loss. Equal counts give cross-entropy.

    References
    ----------
    .. [1] Ren, Yu, Sheng, Ma, Zhao, Yi, Li. Balanced Meta-Softmax for Long-Tailed Visual
       Recognition. NeurIPS 2020. arXiv:2007.10740.

    Examples
    --------
    >>> import torch
    >>> logits, y = torch.zeros(2, 2), torch.tensor([0, 1])
    >>> balanced_softmax_loss(logits, y, class_counts=[90, 10], reduction="none")  # -log prior
    tensor([0.1054, 2.3026])
    """
    return reduced_loss(
        "balanced_softmax_loss",
        partial(balanced_softmax_rows, class_counts=checked_counts(class_counts)),
        logits,
        y,
        soft_targets=True,
        weight=weight,
        sample_weight=sample_weight,
        reduction=reduction,
    )


class BalancedSoftmaxLoss(LongTailLoss):
    """Cross-entropy of the logits plus the log class counts.

    See `balanced_softmax_loss` for the formula and `LongTailLoss` for weights and reductions.

    Parameters
    ----------
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
    >>> loss = BalancedSoftmaxLoss(class_counts=[90, 10])
    >>> loss(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor(1.2040)
    """

    needs_class_counts = True
    accepts_soft_targets = True

    def _rows(self, logits: Tensor, y: Tensor) -> Tensor:
        return balanced_softmax_rows(logits, y, self.class_counts)


def balanced_softmax_rows(logits: Tensor, y: Tensor, class_counts: Tensor) -> Tensor:
    """Return the cross-entropy of logits + log N as (m,)."""
    return cross_entropy_rows(logits + per_class("class_counts", class_counts, logits).log(), y)
