"""Influence-balanced loss: rows that would move the decision boundary most count less."""

from __future__ import annotations

from functools import partial

import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from ltresample._torch import to_numpy
from ltresample.class_counts import class_weights
from ltresample.losses._base import LongTailLoss
from ltresample.losses._cross_entropy import cross_entropy_rows
from ltresample.losses._inputs import check_at_least, checked_counts
from ltresample.losses._reduction import reduced_loss

__all__ = ["InfluenceBalancedLoss", "influence_balanced_loss"]


def influence_balanced_loss(
    logits: Tensor,
    y: Tensor,
    features: Tensor,
    *,
    alpha: float = 1000.0,
    epsilon: float = 1e-3,
    detach: bool = True,
    weight: ArrayLike | Tensor | None = None,
    sample_weight: ArrayLike | Tensor | None = None,
    reduction: str = "mean",
) -> Tensor:
    """Compute the cross-entropy divided by each row's influence on the last layer [1]_.

    The influence is the L1 norm of the gradient of the cross-entropy with respect to the weights of
    a linear head, ``|p - e_y|_1 |h|_1``; the row loss is::

        alpha / (|p - e_y|_1 |h|_1 + epsilon) * (-log p_y)

    Parameters
    ----------
    logits : Tensor of shape (m, n_classes)
        Scores before the softmax, linear in the features.
    y : Tensor of shape (m,)
        Class indices.
    features : Tensor of shape (m, ...)
        Input h of the last layer.
    alpha : float, default=1000.0
        Scale of the loss, at least 0.
    epsilon : float, default=1e-3
        Bounds the factor by ``alpha / epsilon``; above 0.
    detach : bool, default=True
        Whether the factor is a constant for the gradient.
    weight : array-like of shape (n_classes,) or None, default=None
        Class weights, at least 0; [1]_ has ``w_k ~ 1 / N_k`` with sum K. None stands for ones.
    sample_weight : array-like of shape (m,) or None, default=None
        Coefficients of the row losses; they do not enter the denominator.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="mean"
        What the sum over rows is divided by, see `LongTailLoss`.

    Returns
    -------
    Tensor
        A number, or shape (m,) if ``reduction="none"``.

    Raises
    ------
    TypeError, ValueError
        If a setting, logits, features or targets do not fit, see `LongTailLoss.per_row`.

    Notes
    -----
    Fidelity: the factor is a weight, so it is held constant; published code lets gradients through
    it, which is ``detach=False``.

    References
    ----------
    .. [1] Park, Lim, Jeon, Choi. Influence-Balanced Loss for Imbalanced Visual Classification.
       ICCV 2021. arXiv:2110.02444.

    Examples
    --------
    >>> import torch
    >>> logits, y = torch.zeros(2, 2), torch.tensor([0, 1])
    >>> features = torch.tensor([[1.0, -1.0], [2.0, 2.0]])
    >>> influence_balanced_loss(logits, y, features, alpha=1, reduction="none")
    tensor([0.3464, 0.1732])
    """
    _check_settings(alpha, epsilon)
    settings = {"alpha": alpha, "epsilon": epsilon, "detach": detach}
    return reduced_loss(
        "influence_balanced_loss",
        partial(_influence_balanced_rows, features=features, **settings),
        logits,
        y,
        weight=weight,
        sample_weight=sample_weight,
        reduction=reduction,
    )


class InfluenceBalancedLoss(LongTailLoss):
    """Cross-entropy divided by each row's influence; takes the features as a third argument.

    See `influence_balanced_loss` for the formula and `LongTailLoss` for the reductions. The class
    weights ``1 / N_k``, with sum K, follow from the counts; weights that are set later replace
    them.

    Parameters
    ----------
    alpha : float, default=1000.0
        Scale of the loss, at least 0.
    epsilon : float, default=1e-3
        Bounds the factor by ``alpha / epsilon``; above 0.
    detach : bool, default=True
        Whether the factor is a constant for the gradient.
    class_counts : array-like of shape (n_classes,) or None, default=None
        Training samples per class, each at least 1. None: to be set before training.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="mean"
        What the sum over rows is divided by, see `LongTailLoss`.

    Attributes
    ----------
    active : bool
        True at first. While False the loss is cross-entropy without weights and `features` may be
        None: the paper trains so for the first half of the epochs.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> loss = InfluenceBalancedLoss(alpha=1.0, class_counts=[90, 10])
    >>> logits, y, features = torch.zeros(2, 2), torch.tensor([0, 1]), torch.ones(2, 4)
    >>> loss(logits, y, features)
    tensor(0.1732)
    >>> loss.active = False
    >>> loss(logits, y)
    tensor(0.6931)
    """

    needs_class_counts = True
    needs_features = True

    def __init__(
        self,
        alpha: float = 1000.0,
        epsilon: float = 1e-3,
        detach: bool = True,
        *,
        class_counts=None,
        reduction="mean",
    ):
        super().__init__(reduction=reduction)
        _check_settings(alpha, epsilon)
        self.alpha = alpha
        self.epsilon = epsilon
        self.detach = detach
        self.active = True
        if class_counts is not None:
            self.set_class_counts(class_counts)

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
        self.set_weight(class_weights(to_numpy(checked_counts(counts)), "inverse"))

    def per_row(self, logits: Tensor, y: Tensor, features: Tensor | None = None) -> Tensor:
        """Return the row losses without class weights.

        Parameters
        ----------
        logits : Tensor of shape (m, n_classes)
            Scores before the softmax.
        y : Tensor of shape (m,)
            Class indices.
        features : Tensor of shape (m, ...) or None
            Input of the last layer; None only while not `active`.

        Returns
        -------
        Tensor of shape (m,)
            In the logits' type, or float32 for half precision.

        Raises
        ------
        RuntimeError, TypeError, ValueError
            As `LongTailLoss.per_row`, and if the features do not fit.
        """
        self._check_counts()
        return self._rows(*self._checked(logits, y), features)

    def forward(
        self,
        logits: Tensor,
        y: Tensor,
        features: Tensor | None = None,
        *,
        sample_weight: ArrayLike | Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        logits : Tensor of shape (m, n_classes)
            Scores before the softmax.
        y : Tensor of shape (m,)
            Class indices.
        features : Tensor of shape (m, ...) or None
            Input of the last layer; None only while not `active`.
        sample_weight : array-like of shape (m,) or None, default=None
            Coefficients of the row losses. They do not enter the denominator.

        Returns
        -------
        Tensor
            A number, or row losses of shape (m,) if ``reduction="none"``.

        Raises
        ------
        RuntimeError, TypeError, ValueError
            As `per_row`.
        """
        self._check_counts()
        weighs = self.active and isinstance(logits, Tensor)
        return self._reduced(
            partial(self._rows, features=features),
            logits,
            y,
            weight=self._class_weight(logits) if weighs else None,
            sample_weight=sample_weight,
        )

    def _rows(self, logits: Tensor, y: Tensor, features: Tensor | None) -> Tensor:
        if not self.active:
            return cross_entropy_rows(logits, y)
        return _influence_balanced_rows(logits, y, features, self.alpha, self.epsilon, self.detach)


def _check_settings(alpha: float, epsilon: float) -> None:
    check_at_least("alpha", alpha, 0)
    if not 0 < epsilon < float("inf"):
        raise ValueError(f"epsilon must be finite and above 0. Got epsilon={epsilon!r}.")


def _influence_balanced_rows(
    logits: Tensor,
    y: Tensor,
    features: Tensor | None,
    alpha: float,
    epsilon: float,
    detach: bool,
) -> Tensor:
    _check_features(logits, features)
    error = logits.softmax(1) - F.one_hot(y, logits.shape[1])  # (m, K)
    size = features.to(logits.dtype).flatten(1).abs().sum(1)
    factor = alpha / (error.abs().sum(1) * size + epsilon)  # (m,)
    return (factor.detach() if detach else factor) * cross_entropy_rows(logits, y)


def _check_features(logits: Tensor, features: Tensor | None) -> None:
    if features is None:
        raise TypeError(
            "The influence-balanced loss needs the input of the last layer. Got features=None. "
            "Pass a tensor of shape (m, d), such as model.features(x)."
        )
    if features.ndim < 2 or len(features) != len(logits):
        raise ValueError(
            f"features must have one row for each row of the logits, shape ({len(logits)}, d). "
            f"Got shape {tuple(features.shape)}."
        )
