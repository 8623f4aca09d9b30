"""Focal loss: rows that are classified well already count less."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from ltresample.losses._base import LongTailLoss
from ltresample.losses._inputs import check_at_least
from ltresample.losses._reduction import reduced_loss

__all__ = ["FocalLoss", "focal_loss", "focal_rows", "sigmoid_focal_rows"]


def focal_loss(
    logits: Tensor,
    y: Tensor,
    *,
    gamma: float = 1.0,
    weight: ArrayLike | Tensor | None = None,
    sample_weight: ArrayLike | Tensor | None = None,
    reduction: str = "weighted_mean",
) -> Tensor:
    """Compute the focal loss ``-(1 - p_y)^gamma log p_y``, with p the softmax of the logits.

    Parameters
    ----------
    logits : Tensor of shape (m, n_classes)
        Scores before the softmax.
    y : Tensor of shape (m,)
        Class indices.
    gamma : float, default=1.0
        Focus, at least 0. 0 is cross-entropy; the larger, the less do easy rows count.
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
        If `gamma`, logits, targets or weights do not fit, see `LongTailLoss.per_row`.

    Notes
    -----
    The loss is that of [1]_ with a softmax in place of the sigmoid, as the code of LDAM and M2m has
    it.

    Fidelity: that code takes ``p = exp(-w_y CE)``, which is the probability of the class only if
    its weight is 1; here p is the softmax and the weight multiplies the loss, as the formula says.
    Some published code multiplies the loss by 10.

    References
    ----------
    .. [1] Lin, Goyal, Girshick, He, Dollar. Focal Loss for Dense Object Detection. ICCV 2017.
       arXiv:1708.02002, equation 4.

    Examples
    --------
    >>> import torch
    >>> logits, y = torch.tensor([[0.0, 0.0], [2.0, 0.0]]), torch.tensor([0, 0])
    >>> focal_loss(logits, y, gamma=2, reduction="none")
    tensor([0.1733, 0.0018])
    """
    check_at_least("gamma", gamma, 0)
    return reduced_loss(
        "focal_loss",
        partial(focal_rows, gamma=gamma),
        logits,
        y,
        weight=weight,
        sample_weight=sample_weight,
        reduction=reduction,
    )


class FocalLoss(LongTailLoss):
    """Focal loss on the softmax.

    See `focal_loss` for the formula and `LongTailLoss` for weights and reductions.

    Parameters
    ----------
    gamma : float, default=1.0
        Focus, at least 0. 0 is cross-entropy; the larger, the less do easy rows count.
    weight : array-like of shape (n_classes,) or None, default=None
        Class weights, at least 0. None stands for ones.
    class_counts : array-like of shape (n_classes,) or None, default=None
        Training samples per class. Not used; taken so that all losses are alike.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="weighted_mean"
        What the sum over rows is divided by, see `LongTailLoss`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> FocalLoss(gamma=2.0)(torch.zeros(3, 2), torch.tensor([0, 1, 1]))
    tensor(0.1733)
    """

    def __init__(
        self, gamma: float = 1.0, *, weight=None, class_counts=None, reduction="weighted_mean"
    ):
        super().__init__(weight=weight, class_counts=class_counts, reduction=reduction)
        check_at_least("gamma", gamma, 0)
        self.gamma = gamma

    def _rows(self, logits: Tensor, y: Tensor) -> Tensor:
        return focal_rows(logits, y, self.gamma)


def focal_rows(logits: Tensor, y: Tensor, gamma: float) -> Tensor:
    """Give -(1 - p_y)^gamma log p_y as (m,)."""
    own = logits.gather(1, y[:, None]).squeeze(1)
    others = logits.scatter(1, y[:, None], -torch.inf).logsumexp(1)
    return _modulated(own - others, gamma)  # p_y = sigmoid(z_y - log sum_{k != y} e^(z_k))


def sigmoid_focal_rows(logits: Tensor, y: Tensor, gamma: float) -> Tensor:
    """Give -sum_k (1 - p_k)^gamma log p_k as (m,), p_k of being right about class k on its own."""
    sign = 2 * F.one_hot(y, logits.shape[1]) - 1
    return _modulated(sign * logits, gamma).sum(1)


def _modulated(margin: Tensor, gamma: float) -> Tensor:
    """Give -(1 - p)^gamma log p for p = sigmoid(margin), also where p rounds to 0 or 1."""
    return -(gamma * F.logsigmoid(-margin)).exp() * F.logsigmoid(margin)
