"""Class-balanced loss: weights by the effective number of samples."""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from ltresample._torch import to_numpy
from ltresample.class_counts import class_weights
from ltresample.losses._base import LongTailLoss
from ltresample.losses._cross_entropy import cross_entropy_rows
from ltresample.losses._focal import sigmoid_focal_rows
from ltresample.losses._inputs import check_at_least, checked_counts
from ltresample.losses._reduction import reduced_loss

__all__ = ["ClassBalancedLoss", "class_balanced_loss"]


def class_balanced_loss(
    logits: Tensor,
    y: Tensor,
    *,
    class_counts: ArrayLike | Tensor,
    beta: float = 0.9999,
    loss: str = "softmax",
    gamma: float = 1.0,
    sample_weight: ArrayLike | Tensor | None = None,
    reduction: str = "weighted_mean",
) -> Tensor:
    """Compute a loss weighted by ``w_k ~ (1 - beta) / (1 - beta^N_k)``, with sum K [1]_.

    Parameters
    ----------
    logits : Tensor of shape (m, n_classes)
        Scores before softmax or sigmoid.
    y : Tensor of shape (m,) or (m, n_classes)
        Class indices; or soft targets, floats, for ``loss="softmax"``.
    class_counts : array-like of shape (n_classes,)
        Training samples per class N_k, each at least 1.
    beta : float, default=0.9999
        In [0, 1]. 0: no weights; 1: ``w_k ~ 1 / N_k``.
    loss : {"softmax", "sigmoid", "focal"}, default="softmax"
        Cross-entropy; binary cross-entropy of one class against the others, summed over classes;
        or the focal form of the latter.
    gamma : float, default=1.0
        Focus of ``"focal"``, at least 0; 0 is ``"sigmoid"``.
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
    The sigmoid losses are sums over the K classes; a mean over all ``m * K`` terms is smaller by
    the factor K.

    References
    ----------
    .. [1] Cui, Jia, Lin, Song, Belongie. Class-Balanced Loss Based on Effective Number of Samples.
       CVPR 2019. arXiv:1901.05555.

    Examples
    --------
    >>> import torch
    >>> logits, y = torch.zeros(2, 2), torch.tensor([0, 1])
    >>> class_balanced_loss(logits, y, class_counts=[90, 10], beta=1, reduction="none")
    tensor([0.1386, 1.2477])
    """
    rows_of, soft_targets = _chosen(loss)
    check_at_least("gamma", gamma, 0)
    return reduced_loss(
        f"class_balanced_loss(loss={loss!r})",
        partial(rows_of, gamma=gamma),
        logits,
        y,
        soft_targets=soft_targets,
        weight=class_weights(to_numpy(checked_counts(class_counts)), "effective", beta=beta),
        sample_weight=sample_weight,
        reduction=reduction,
    )


class ClassBalancedLoss(LongTailLoss):
    """Loss weighted by the effective number of samples.

    See `class_balanced_loss` for the formula and `LongTailLoss` for the reductions. The class
    weights follow from the counts; weights that are set later replace them.

    Parameters
    ----------
    beta : float, default=0.9999
        In [0, 1]. 0: no weights; 1: ``w_k ~ 1 / N_k``.
    loss : {"softmax", "sigmoid", "focal"}, default="softmax"
        Cross-entropy; binary cross-entropy of one class against the others, summed over classes;
        or the focal form of the latter.
    gamma : float, default=1.0
        Focus of ``"focal"``, at least 0; 0 is ``"sigmoid"``.
    class_counts : array-like of shape (n_classes,) or None, default=None
        Training samples per class, each at least 1. None: to be set before training.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="weighted_mean"
        What the sum over rows is divided by, see `LongTailLoss`.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> loss = ClassBalancedLoss(beta=1.0)
    >>> loss.set_class_counts([90, 10])
    >>> loss.weight
    tensor([0.2000, 1.8000])
    """

    needs_class_counts = True

    def __init__(
        self,
        beta: float = 0.9999,
        loss: str = "softmax",
        gamma: float = 1.0,
        *,
        class_counts=None,
        reduction="weighted_mean",
    ):
        super().__init__(reduction=reduction)
        _chosen(loss)
        check_at_least("gamma", gamma, 0)
        class_weights([1, 1], "effective", beta=beta)  # refuses a beta out of range
        self.beta = beta
        self.loss = loss
        self.gamma = gamma
        if class_counts is not None:
            self.set_class_counts(class_counts)

    @property
    def accepts_soft_targets(self) -> bool:
        """Whether the chosen loss is linear in the target."""
        return _chosen(self.loss)[1]

    def set_class_counts(self, counts: ArrayLike | Tensor) -> None:
        """Set the training samples per class; class weights follow, in place.

        Parameters
        ----------
        counts : array-like of shape (n_classes,)
            Whole numbers, each at least 1.

        Raises
        ------
        ValueError
            If a count is out of its range, or the number of classes is another than before.
        """
        super().set_class_counts(counts)
        counts = to_numpy(checked_counts(counts))
        self.set_weight(class_weights(counts, "effective", beta=self.beta))

    def _rows(self, logits: Tensor, y: Tensor) -> Tensor:
        return _chosen(self.loss)[0](logits, y, self.gamma)


def _softmax_rows(logits: Tensor, y: Tensor, gamma: float) -> Tensor:
    return cross_entropy_rows(logits, y)


def _sigmoid_rows(logits: Tensor, y: Tensor, gamma: float) -> Tensor:
    one_hot = F.one_hot(y, logits.shape[1]).to(logits.dtype)
    return F.binary_cross_entropy_with_logits(logits, one_hot, reduction="none").sum(1)


# the row losses, and whether they are linear in the target
_LOSSES = {
    "softmax": (_softmax_rows, True),
    "sigmoid": (_sigmoid_rows, False),
    "focal": (sigmoid_focal_rows, False),
}


def _chosen(loss: str):
    if loss not in _LOSSES:
        allowed = ", ".join(repr(word) for word in _LOSSES)
        raise ValueError(f"loss must be one of {allowed}. Got loss={loss!r}.")
    return _LOSSES[loss]
