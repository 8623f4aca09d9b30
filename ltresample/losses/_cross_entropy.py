"""Cross-entropy, with the interface and the reductions of the other losses."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from ltresample.losses._base import LongTailLoss
from ltresample.losses._reduction import reduced_loss

__all__ = ["CrossEntropy", "cross_entropy", "cross_entropy_rows"]

_NO_CLASS = -(2**62)  # PyTorch passes over -100 in silence


def cross_entropy(
    logits: Tensor,
    y: Tensor,
    *,
    weight: ArrayLike | Tensor | None = None,
    sample_weight: ArrayLike | Tensor | None = None,
    reduction: str = "weighted_mean",
) -> Tensor:
    """Compute the cross-entropy ``-log p_y``, with p the softmax of the logits.

    Parameters
    ----------
    logits : Tensor of shape (m, n_classes)
        Scores before the softmax.
    y : Tensor of shape (m,) or (m, n_classes)
        Class indices, or soft targets q of floats: ``-sum_k q_k w_k log p_k``.
    weight : array-like of shape (n_classes,) or None, default=None
        Class weights w, at least 0. None stands for ones.
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
        If logits, targets or weights do not fit, see `LongTailLoss.per_row`.

    Notes
    -----
    For class indices ``"weighted_mean"`` is PyTorch's ``"mean"``. For soft targets PyTorch divides
    by m; here the denominator is ``sum_i sum_k q_ik w_k``, the same for an index and its one-hot
    target.

    Examples
    --------
    >>> import torch
    >>> logits, y = torch.zeros(2, 4), torch.tensor([0, 3])
    >>> cross_entropy(logits, y)  # log 4
    tensor(1.3863)
    >>> cross_entropy(logits, y, weight=[0, 1, 1, 0.5], reduction="mean")
    tensor(0.3466)
    """
    return reduced_loss(
        "cross_entropy",
        cross_entropy_rows,
        logits,
        y,
        soft_targets=True,
        weight=weight,
        sample_weight=sample_weight,
        reduction=reduction,
    )


class CrossEntropy(LongTailLoss):
    """Cross-entropy; with class weights this is re-weighting (RW), deferred or not.

    See `cross_entropy` for the formula and `LongTailLoss` for weights and reductions.

    Parameters
    ----------
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
    >>> CrossEntropy(weight=[1.0, 3.0])(torch.zeros(2, 2), torch.tensor([0, 1]))
    tensor(0.6931)
    """

    accepts_soft_targets = True

    def forward(
        self, logits: Tensor, y: Tensor, *, sample_weight: ArrayLike | Tensor | None = None
    ) -> Tensor:
        """Return the loss of a batch; see `LongTailLoss.forward`."""
        loss = None
        if sample_weight is None and isinstance(logits, Tensor) and logits.is_floating_point():
            loss = self._by_torch(logits, y)
        return super().forward(logits, y, sample_weight=sample_weight) if loss is None else loss

    def _by_torch(self, logits: Tensor, y: Tensor) -> Tensor | None:
        """Return PyTorch's own loss, in one call; None where it is another one or nothing at all."""
        if self.reduction != "weighted_mean" or not isinstance(y, Tensor):
            return None
        if logits.device.type != "cpu" or logits.ndim != 2 or logits.dtype.itemsize < 4:
            return None
        if y.dtype != torch.int64 or y.shape != logits.shape[:1]:
            return None
        weight = self._class_weight(logits)
        if weight is not None:
            if weight.shape != logits.shape[1:]:
                return None
            weight = weight.to(logits.dtype)
        try:
            loss = F.cross_entropy(logits, y, weight=weight, ignore_index=_NO_CLASS)
        except IndexError:  # a label out of range: the long way says which
            return None
        return loss if math.isfinite(loss.item()) else None

    def _rows(self, logits: Tensor, y: Tensor) -> Tensor:
        return cross_entropy_rows(logits, y)


def cross_entropy_rows(logits: Tensor, y: Tensor) -> Tensor:
    """Return -log p_y, or -sum_k q_k log p_k, as (m,)."""
    return F.cross_entropy(logits, y, reduction="none")
