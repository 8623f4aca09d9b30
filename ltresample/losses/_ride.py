"""RIDE: each expert has its own loss, and is rewarded for being of another opinion than the mean."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from numpy.typing import ArrayLike
from torch import Tensor

from ltresample.losses._base import LongTailLoss
from ltresample.losses._inputs import check_at_least
from ltresample.losses._ldam import ldam_rows

__all__ = ["RIDELoss", "ride_loss"]


def ride_loss(
    logits: Tensor,
    y: Tensor,
    experts: Tensor,
    *,
    class_counts: ArrayLike | Tensor,
    max_margin: float = 0.5,
    scale: float = 30.0,
    diversity: float = 0.45,
    temperature_factor: float = 0.05,
    weight: ArrayLike | Tensor | None = None,
    sample_weight: ArrayLike | Tensor | None = None,
    reduction: str = "weighted_mean",
) -> Tensor:
    """Compute RIDE's loss of an ensemble of experts [1]_.

    With z_e the cosines of expert e, z their mean, s the scale and T the class temperatures::

        sum_e [ LDAM(z_e, y) - diversity * mean(T)^2 * KL( softmax(s z / T) || softmax(s z_e / T) ) ]
        T_k = t_k / max_j t_j,   t_k = f K N_k / N + 1 - f

    The mean is a constant in the second term. Rarer classes have the lower temperature, so that experts
    are kept apart where data are few.

    Parameters
    ----------
    logits : Tensor of shape (m, n_classes)
        Mean of the experts' cosines; not yet scaled.
    y : Tensor of shape (m,)
        Class indices.
    experts : Tensor of shape (m, n_experts, n_classes)
        Cosines of each expert, in [-1, 1].
    class_counts : array-like of shape (n_classes,)
        Training samples per class N_k, each at least 1.
    max_margin : float, default=0.5
        Margin of the smallest class in the LDAM loss, at least 0.
    scale : float, default=30.0
        s, above 0.
    diversity : float, default=0.45
        Weight of the divergence, at least 0. 0: independent experts.
    temperature_factor : float, default=0.05
        f, in [0, 1]: how much temperatures follow the class counts. 0: all are 1.
    weight : array-like of shape (n_classes,) or None, default=None
        Class weights of the LDAM losses, at least 0; the divergence has none. None stands for ones.
    sample_weight : array-like of shape (m,) or None, default=None
        Coefficients of the row losses; they do not enter the denominator.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="weighted_mean"
        What the sums over rows are divided by, see `LongTailLoss`; the divergence's weights are ones.

    Returns
    -------
    Tensor
        A number, or shape (m,) if ``reduction="none"``.

    Raises
    ------
    TypeError, ValueError
        If a setting, logits, experts or targets do not fit, see `LongTailLoss.per_row`.

    Notes
    -----
    One expert and ``diversity=0`` give the LDAM loss.

    References
    ----------
    .. [1] Wang, Lian, Miao, Liu, Yu. Long-tailed Recognition by Routing Diverse Distribution-Aware
       Experts. ICLR 2021. arXiv:2010.01809.

    Examples
    --------
    >>> import torch
    >>> experts = torch.tensor([[[0.4, 0.1], [0.2, 0.1]]])  # a row, two experts, two classes
    >>> y = torch.tensor([0])
    >>> ride_loss(experts.mean(1), y, experts, class_counts=[1600, 100])
    tensor(4.6888)
    """
    loss = RIDELoss(
        max_margin,
        scale,
        diversity,
        temperature_factor,
        class_counts=class_counts,
        weight=weight,
        reduction=reduction,
    )
    return loss(logits, y, experts, sample_weight=sample_weight)


class RIDELoss(LongTailLoss):
    """RIDE's loss, for `ltresample.models.RIDEResNet`; takes the experts' logits as a third argument.

    See `ride_loss` for the formula and `LongTailLoss` for weights and reductions. The paper sets
    effective-number weights and switches the class temperatures on late in training:
    ``rebalance="reweight"`` with ``rebalance_start`` of the classifier does both.

    Parameters
    ----------
    max_margin : float, default=0.5
        Margin of the smallest class in the LDAM loss, at least 0.
    scale : float, default=30.0
        s, above 0. Probabilities are ``softmax(scale * logits)``.
    diversity : float, default=0.45
        Weight of the divergence, at least 0.
    temperature_factor : float, default=0.05
        f, in [0, 1]: how much temperatures follow the class counts.
    class_counts : array-like of shape (n_classes,) or None, default=None
        Training samples per class, each at least 1. None: to be set before training.
    weight : array-like of shape (n_classes,) or None, default=None
        Class weights of the LDAM losses, at least 0. None stands for ones.
    reduction : {"weighted_mean", "mean", "sum", "none"}, default="weighted_mean"
        What the sums over rows are divided by, see `LongTailLoss`.

    Attributes
    ----------
    active : bool
        True at first. While False all temperatures are 1.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import torch
    >>> loss = RIDELoss(class_counts=[1600, 100])
    >>> experts = torch.tensor([[[0.4, 0.1], [0.2, 0.1]]])
    >>> loss(experts.mean(1), torch.tensor([0]), experts)
    tensor(4.6888)
    """

    needs_class_counts = True
    needs_cosine_head = True
    needs_features = True

    def __init__(
        self,
        max_margin: float = 0.5,
        scale: float = 30.0,
        diversity: float = 0.45,
        temperature_factor: float = 0.05,
        *,
        class_counts=None,
        weight=None,
        reduction="weighted_mean",
    ):
        super().__init__(weight=weight, class_counts=class_counts, reduction=reduction)
        for name, value in (("max_margin", max_margin), ("diversity", diversity)):
            check_at_least(name, value, 0)
        if not 0 < scale < float("inf"):
            raise ValueError(f"scale must be finite and above 0. Got scale={scale!r}.")
        if not 0 <= temperature_factor <= 1:
            raise ValueError(
                "temperature_factor must be in [0, 1]: 0 for temperatures of 1, 1 for the class "
                f"shares. Got temperature_factor={temperature_factor!r}."
            )
        self.max_margin = max_margin
        self.scale = scale
        self.diversity = diversity
        self.temperature_factor = temperature_factor
        self.active = True

    @property
    def logit_scale(self) -> float:
        """S."""
        return float(self.scale)

    def per_row(self, logits: Tensor, y: Tensor, experts: Tensor | None = None) -> Tensor:
        """Return the row losses without class weights.

        Parameters
        ----------
        logits : Tensor of shape (m, n_classes)
            Mean of the experts' cosines.
        y : Tensor of shape (m,)
            Class indices.
        experts : Tensor of shape (m, n_experts, n_classes)
            Cosines of each expert.

        Returns
        -------
        Tensor of shape (m,)
            In the logits' type, or float32 for half precision.

        Raises
        ------
        RuntimeError, TypeError, ValueError
            As `LongTailLoss.per_row`, and if the experts do not fit.
        """
        self._check_counts()
        logits, y = self._checked(logits, y)
        return self._margin_rows(logits, y, experts) + self._diversity_rows(logits, y, experts)

    def forward(
        self,
        logits: Tensor,
        y: Tensor,
        experts: Tensor | None = None,
        *,
        sample_weight: ArrayLike | Tensor | None = None,
    ) -> Tensor:
        """Return the loss of a batch.

        Parameters
        ----------
        logits : Tensor of shape (m, n_classes)
            Mean of the experts' cosines.
        y : Tensor of shape (m,)
            Class indices.
        experts : Tensor of shape (m, n_experts, n_classes)
            Cosines of each expert: what enters the last layer of `ltresample.models.RIDEResNet`.
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
        weight = self._class_weight(logits) if isinstance(logits, Tensor) else None
        given = {"logits": logits, "y": y, "sample_weight": sample_weight}
        own = self._reduced(partial(self._margin_rows, experts=experts), weight=weight, **given)
        apart = partial(self._diversity_rows, experts=experts)
        return own + self._reduced(apart, weight=None, **given)

    def _margin_rows(self, logits: Tensor, y: Tensor, experts: Tensor | None) -> Tensor:
        """Return sum_e LDAM(z_e, y) as (m,)."""
        _check_experts(logits, experts)
        settings = (self.class_counts, self.max_margin, self.scale)
        each = experts.to(logits.dtype).unbind(1)  # n_experts x (m, K)
        return torch.stack([ldam_rows(z, y, *settings) for z in each]).sum(0)

    def _diversity_rows(self, logits: Tensor, y: Tensor, experts: Tensor | None) -> Tensor:
        """Return -diversity mean(T)^2 sum_e KL(mean || expert e) as (m,)."""
        _check_experts(logits, experts)
        T = self._temperatures(logits)  # (K,)
        mean = (self.scale * logits.detach() / T).log_softmax(1)[:, None]  # (m, 1, K)
        own = (self.scale * experts.to(logits.dtype) / T).log_softmax(2)  # (m, E, K)
        divergence = F.kl_div(own, mean.expand_as(own), reduction="none", log_target=True)
        return -self.diversity * T.mean() ** 2 * divergence.sum((1, 2))

    def _temperatures(self, logits: Tensor) -> Tensor:
        counts = self.class_counts.to(logits)
        f = self.temperature_factor if self.active else 0.0
        t = f * len(counts) * counts / counts.sum() + 1 - f
        return t / t.max()


def _check_experts(logits: Tensor, experts: Tensor | None) -> None:
    if experts is None:
        raise TypeError(
            "RIDE's loss needs the logits of each expert. Got experts=None. Pass a tensor of shape "
            "(m, n_experts, n_classes), as ltresample.models.RIDEResNet gives by its method `experts`."
        )
    if experts.ndim != 3 or experts.shape[::2] != logits.shape:
        m, n_classes = logits.shape
        raise ValueError(
            f"experts must hold the logits of each expert, shape ({m}, n_experts, {n_classes}). Got "
            f"shape {tuple(experts.shape)}. Use ltresample.models.RIDEResNet."
        )
