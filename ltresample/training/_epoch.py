"""What happens in an epoch: one function that the classifier and the callbacks share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ltresample.class_counts import class_weights
from ltresample.training._schedules import epoch_of, learning_rate_factor

__all__ = ["EpochPlan", "EpochSettings", "epoch_plan"]


class EpochSettings(NamedTuple):
    """The settings on which an epoch depends; epochs and starts as users give them."""

    max_epochs: int
    start: float = 0.8  # of synthesis
    balanced: bool = False  # whether the resampler wants class-balanced batches
    rebalance: str | None = None  # "resample" or "reweight"
    rebalance_start: float = 0
    weighting: str = "balanced"
    beta: float = 0.9999
    warmup: int = 0
    lr_decay: Mapping[float, float] | None = None
    batch_size: int = 0
    batch_size_after_start: int | None = None


class EpochPlan(NamedTuple):
    """What is set at the beginning of an epoch."""

    synthesizes: bool  # whether a resampler is at work
    stream_weight: np.ndarray | None  # (K,) weight of a row in the stream; None: each row once
    loss_weight: np.ndarray | None  # (K,) class weights of the loss; None: the criterion's own
    active: bool  # the criterion's switch
    rate: float  # factor of the learning rate
    batch_size: int


def epoch_plan(
    settings: EpochSettings, counts: np.ndarray, epoch: int, total: np.ndarray | None = None
) -> EpochPlan:
    """Plan an epoch; it depends on nothing else, and not on how training got there.

    Parameters
    ----------
    settings : EpochSettings
        What is deferred, and until when.
    counts : ndarray of shape (K,)
        Training rows of each class, each at least 1 where they are drawn with weights.
    epoch : int
        From 0.
    total : ndarray of shape (K,) or None, default=None
        Rows that weights of the loss follow from; None: `counts`.

    Returns
    -------
    EpochPlan
        What to set.

    Examples
    --------
    >>> settings = EpochSettings(max_epochs=10, rebalance="reweight", rebalance_start=0.8)
    >>> epoch_plan(settings, np.array([3, 1]), 7).loss_weight is None
    True
    >>> epoch_plan(settings, np.array([3, 1]), 8).loss_weight
    array([0.5, 1.5])
    """
    synthesizes = epoch >= epoch_of(settings.start, settings.max_epochs)
    rebalances = epoch >= epoch_of(settings.rebalance_start, settings.max_epochs)
    stream_weight = loss_weight = None
    if rebalances and settings.rebalance == "resample":
        stream_weight = class_weights(counts, settings.weighting, beta=settings.beta)
    if rebalances and settings.rebalance == "reweight":
        known = counts if total is None else total
        loss_weight = class_weights(known, settings.weighting, beta=settings.beta)
    if synthesizes and settings.balanced:
        stream_weight = class_weights(counts)
    later = settings.batch_size_after_start
    return EpochPlan(
        synthesizes=synthesizes,
        stream_weight=stream_weight,
        loss_weight=loss_weight,
        active=rebalances,
        rate=learning_rate_factor(
            epoch,
            warmup=settings.warmup,
            decay=settings.lr_decay,
            max_epochs=settings.max_epochs,
        ),
        batch_size=settings.batch_size if later is None or not synthesizes else later,
    )
