"""LDAM: the rarer the class, the larger the margin by which it has to win."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from ltresample.losses._base import LongTailLoss
from ltresample.losses._cross_entropy import cross_entropy_rows
from ltresample.losses._inputs import check_at_least, checked_counts, per_class
from ltresample.losses._reduction import reduced_loss

__all__ = ["LDAMLoss", "ldam_loss", "ldam_rows"]


def ldam_loss(
    logits: Tensor,
    y: Tensor,
    *,
    class_counts: ArrayLike | Tensor,
    max_margin: float = 0.5,
    scale: float = 30.0,
    weight: ArrayLike | Tensor | None = None,
    sample_weight: ArrayLike | Tensor | None = None,
    reduction: str = "weighted_mean",
) -> Tensor:
    """Compute the label-distribution-aware margin loss [1]_.

    With margins ``Delta_k = C N_k^(-1/4)``, C such that the largest is `max_margin`::

        -log( e^(s (z_y - Delta_y)) / (e^(s (z_y - Delta_y)) + sum_{k != y} e^(s z_k)) )

    Parameters
    ----------
    logits : Tensor of shape (m, n_classes)
        Cosines z in [-1, 1] between features and class vectors, not yet scaled.
    y : Tensor of shape (m,) or (m, n_classes)
        Class indices, or soft targets q of floats: ``sum_k q_k w_k loss_k``.
    class_counts : array-like of shape (n_classes,)
        Training samples per class N_k, each at least 1.
    max_margin : float, default=0.5
        Margin of the smallest class, at least 0, in units of the cosine.
    scale : float, default=30.0
        s, above 0.
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
    Probabilities of the trained model are ``softmax(scale * logits)``. The softmax of the cosines
    themselves cannot exceed ``e / (e + (K - 1) / e)``, 0.451 for 10 and 0.069 for 100 classes, so no
    threshold on it works.

    Margin 0 and scale 1 give cross-entropy.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga, Ma. Learning Imbalanced Datasets with
       Label-Distribution-Aware Margin Loss. NeurIPS 2019. arXiv:1906.07413, section 3.2.

    Examples
    --------
    >>> import torch
    >>> cosines, y = torch.tensor([[0.4, 0.1], [0.1, 0.4]]), torch.tensor([0, 1])
    >>> ldam_loss(cosines, y, class_counts=[1600, 100], reduction="none")  # margins .25 and .5
    tensor([0.2014, 6.0025])
    """
    _check_settings(max_margin, scale)
    counts = checked_counts(class_counts)
    return reduced_loss(
        "ldam_loss",
        partial(ldam_rows, class_counts=counts, max_margin=max_margin, scale=scale),
        logits,
        y,
        soft_targets=True,
        weight=weight,
        sample_weight=sample_weight,
        reduction=reduction,
    )


class LDAMLoss(LongTailLoss):
    """Label-distribution-aware margin loss, for models with a cosine head.

    See `ldam_loss` for the formula and `LongTailLoss` for weights and reductions. LDAM-DRW sets
    effective-number weights late in training.

    Parameters
    ----------
    max_margin : float, default=0.5
        Margin of the smallest class, at least 0, in units of the cosine.
    scale : float, default=30.0
        s, above 0. Probabilities are ``softmax(scale * logits)``.
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
    >>> loss = LDAMLoss(class_counts=[1600, 100])
    >>> loss(torch.tensor([[0.4, 0.1], [0.1, 0.4]]), torch.tensor([0, 1]))
    tensor(3.1019)
    """

    needs_class_counts = True
    needs_cosine_head = True
    accepts_soft_targets = True

    def __init__(
        self,
        max_margin: float = 0.5,
        scale: float = 30.0,
        *,
        class_counts=None,
        weight=None,
        reduction="weighted_mean",
    ):
        super().__init__(weight=weight, class_counts=class_counts, reduction=reduction)
        _check_settings(max_margin, scale)
        self.max_margin = max_margin
        self.scale = scale

    @property
    def logit_scale(self) -> float:
        """S."""
        return float(self.scale)

    def _rows(self, logits: Tensor, y: Tensor) -> Tensor:
        return ldam_rows(logits, y, self.class_counts, self.max_margin, self.scale)


def _check_settings(max_margin: float, scale: float) -> None:
    check_at_least("max_margin", max_margin, 0)
    if not 0 < scale < float("inf"):
        raise ValueError(f"scale must be finite and above 0. Got scale={scale!r}.")


def ldam_rows(
    logits: Tensor, y: Tensor, class_counts: Tensor, max_margin: float, scale: float
) -> Tensor:
    """Return the row losses (m,) of cosines (m, K) and indices (m,) or soft targets (m, K)."""
    counts = per_class("class_counts", class_counts, logits)
    margins = max_margin * (counts.min() / counts) ** 0.25  # (K,)
    if y.is_floating_point():
        return (y * _loss_of_each_class(scale * logits, scale * margins)).sum(1)
    margin = margins * F.one_hot(y, len(margins))  # (m, K), 0 but at y
    return cross_entropy_rows(scale * (logits - margin), y)


def _loss_of_each_class(logits: Tensor, margins: Tensor) -> Tensor:
    """Return the losses (m, K) that a row would have, were k its class."""
    return -F.logsigmoid(logits - margins - _logsumexp_of_others(logits))


def _logsumexp_of_others(logits: Tensor) -> Tensor:
    """Return log sum_{j != k} e^(z_j) for each k, as (m, K)."""
    largest = torch.zeros_like(logits, dtype=torch.bool)
    largest = largest.scatter(1, logits.argmax(1, keepdim=True), True)
    # p_k <= 1/2 for all but the largest, so log(1 - p_k) is exact for them only
    p = logits.softmax(1).masked_fill(largest, 0)
    without_k = logits.logsumexp(1, keepdim=True) + torch.log1p(-p)
    without_largest = logits.masked_fill(largest, -torch.inf).logsumexp(1, keepdim=True)
    return torch.where(largest, without_largest, without_k)
