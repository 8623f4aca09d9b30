"""What happens at which epoch: learning rates, and when something deferred starts."""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Integral

import torch
from skorch.callbacks import Callback

__all__ = ["WarmupStepDecay", "epoch_of", "learning_rate_factor", "set_learning_rate_factor"]


def epoch_of(start: float, max_epochs: int) -> int:
    """Turn an epoch, counted from 0, or a share of training into an epoch.

    Parameters
    ----------
    start : int or float
        An integer is an epoch; a float in [0, 1] is a share of `max_epochs`, rounded.
    max_epochs : int
        Length of training.

    Returns
    -------
    int
        The first epoch, counted from 0.

    Raises
    ------
    ValueError
        If an integer is negative or a float is not in [0, 1].

    Examples
    --------
    >>> epoch_of(160, 200), epoch_of(0.8, 200), epoch_of(0.8, 15)
    (160, 160, 12)
    """
    if isinstance(start, Integral) and start >= 0:
        return int(start)
    if isinstance(start, Integral) or not 0 <= start <= 1:
        raise ValueError(
            "An epoch is an integer from 0, or a float in [0, 1] as a share of max_epochs. "
            f"Got {start!r}."
        )
    return round(start * max_epochs)


def learning_rate_factor(
    epoch: int, *, warmup: int = 0, decay: Mapping[float, float] | None = None, max_epochs: int = 0
) -> float:
    """Return the factor of the learning rate in an epoch: linear warm-up, then steps.

    ``min(1, (epoch + 1) / warmup) * prod_{e <= epoch} decay[e]``, which is the schedule of most
    long-tailed experiments on CIFAR with ``warmup=5, decay={160: 0.01, 180: 0.01}``: "decayed by
    0.01" multiplies the present rate.

    Parameters
    ----------
    epoch : int
        Counted from 0.
    warmup : int, default=0
        Number of epochs of linear warm-up.
    decay : dict of {int or float: float} or None, default=None
        Epoch, or share of `max_epochs`, from which on the rate is multiplied, and the factor.
    max_epochs : int, default=0
        Length of training, for shares.

    Returns
    -------
    float
        Factor of the rate that the optimizer was given.

    Examples
    --------
    >>> steps = {160: 0.01, 180: 0.01}
    >>> [learning_rate_factor(e, warmup=5, decay=steps) for e in (0, 4, 159, 160, 180)]
    [0.2, 1.0, 1.0, 0.01, 0.0001]
    """
    factor = min(1.0, (epoch + 1) / warmup) if warmup else 1.0
    for when, times in (decay or {}).items():
        if epoch >= epoch_of(when, max_epochs):
            factor *= times
    return factor


def set_learning_rate_factor(optimizer: torch.optim.Optimizer, factor: float) -> None:
    """Set each group's rate to `factor` times the rate that it was given at first."""
    for group in optimizer.param_groups:
        group["lr"] = group.setdefault("initial_lr", group["lr"]) * factor


class WarmupStepDecay(Callback):
    """Callback for any skorch net: linear warm-up of the learning rate, then steps.

    `DeferredRebalancingClassifier` has this built in. The rate of an epoch does not depend on how
    training got there, so that interrupted runs can go on.

    Parameters
    ----------
    warmup : int, default=0
        Number of epochs of linear warm-up.
    decay : dict of {int or float: float} or None, default=None
        Epoch from 0, or share of ``max_epochs``, from which on the rate is multiplied by a factor.

    See Also
    --------
    learning_rate_factor : The formula.

    Examples
    --------
    >>> schedule = WarmupStepDecay(warmup=5, decay={160: 0.01, 180: 0.01})
    """

    def __init__(self, warmup=0, decay=None):
        self.warmup = warmup
        self.decay = decay

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Set the rate of this epoch."""
        factor = learning_rate_factor(
            len(net.history) - 1, warmup=self.warmup, decay=self.decay, max_epochs=net.max_epochs
        )
        set_learning_rate_factor(net.optimizer_, factor)
