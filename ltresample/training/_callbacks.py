"""Callbacks: deferral for any skorch net."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from skorch.utils import data_from_dataset, to_numpy

from ltresample._progress import progress
from ltresample._random import root_seed
from ltresample._torch import unwrapped
from ltresample.rows import TakenRows, pool_of, table_space
from ltresample.training._criterion import LossWeights, logit_scale
from ltresample.training._epoch import EpochPlan, EpochSettings, epoch_plan
from ltresample.training._hooks import Acceptance
from ltresample.training._index_samplers import ClassIndexSampler
from ltresample.training._synthesis import StepSynthesis

__all__ = ["DeferredResampling", "DeferredReweighting", "DeferredSynthesis"]


def _training_labels(dataset: Any) -> np.ndarray:
    """Return the labels (n,) of a skorch data set or a subset of one."""
    _, y = data_from_dataset(dataset)
    return to_numpy(y).astype(np.int64)


def _plan(net: Any, dataset: Any, **settings: Any) -> EpochPlan:
    """Plan the epoch in which a net is."""
    counts = np.bincount(_training_labels(dataset))
    return epoch_plan(
        EpochSettings(net.max_epochs, **settings), counts, max(len(net.history) - 1, 0)
    )


class DeferredResampling(Callback):
    """Draw class-balanced batches from an epoch on (DRS), with any skorch net.

    The net's data loader needs an index sampler whose weights can change:
    ``iterator_train__sampler=ClassIndexSampler()``. It also shuffles the epochs before.
    `DeferredRebalancingClassifier` has this built in.

    Parameters
    ----------
    start : int or float, default=0.8
        First epoch, counted from 0, or share of ``max_epochs``. 0 is re-sampling (RS).
    weighting : {"balanced", "effective"}, default="balanced"
        Rows are drawn with weight ``1 / N_k`` or ``1 / E_k``, E_k the effective number of samples.
    beta : float, default=0.9999
        Of the effective number, in [0, 1].

    See Also
    --------
    ClassIndexSampler : Its weights are set in place: skorch makes the loader once per ``fit``.

    Examples
    --------
    >>> from skorch import NeuralNetClassifier
    >>> from ltresample.models import MLP
    >>> from ltresample.training import ClassIndexSampler
    >>> net = NeuralNetClassifier(
    ...     MLP(20, 2),
    ...     criterion=torch.nn.CrossEntropyLoss,
    ...     iterator_train__sampler=ClassIndexSampler(random_state=0),
    ...     callbacks=[DeferredResampling(start=8)],
    ... )
    """

    def __init__(self, start=0.8, weighting="balanced", beta=0.9999):
        self.start = start
        self.weighting = weighting
        self.beta = beta

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Choose the stream of this epoch."""
        sampler = net.get_params_for("iterator_train").get("sampler")
        if not isinstance(sampler, ClassIndexSampler):
            raise TypeError(
                "DeferredResampling changes the weights of the loader's index sampler. Got "
                f"iterator_train__sampler={sampler!r}. "
                "Pass iterator_train__sampler=ClassIndexSampler()."
            )
        plan = _plan(
            net,
            dataset_train,
            rebalance="resample",
            rebalance_start=self.start,
            weighting=self.weighting,
            beta=self.beta,
        )
        sampler.set_labels(_training_labels(dataset_train))
        sampler.set_epoch(len(net.history) - 1)
        sampler.set_class_weight(plan.stream_weight)


class DeferredReweighting(Callback):
    """Weigh classes in the loss from an epoch on (DRW), with any skorch net.

    The criterion's weights are assigned in place, and are its own again when training ends. Setting
    them as a parameter of the net would build a new optimizer and lose its momentum.
    `DeferredRebalancingClassifier` has this built in.

    Parameters
    ----------
    start : int or float, default=0.8
        First epoch, counted from 0, or share of ``max_epochs``. 0 is re-weighting (RW).
    weighting : {"balanced", "effective"}, default="effective"
        Weights proportional to ``1 / N_k`` or ``1 / E_k``, with sum K.
    beta : float, default=0.9999
        Of the effective number, in [0, 1].

    Examples
    --------
    >>> from skorch import NeuralNetClassifier
    >>> from ltresample.models import MLP
    >>> net = NeuralNetClassifier(
    ...     MLP(20, 2),
    ...     criterion=torch.nn.CrossEntropyLoss,
    ...     callbacks=[DeferredReweighting(start=8)],
    ... )
    """

    def __init__(self, start=0.8, weighting="effective", beta=0.9999):
        self.start = start
        self.weighting = weighting
        self.beta = beta

    def initialize(self):
        """Forget an earlier network."""
        self.weights_ = None
        return self

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Note the criterion's own weights."""
        self.weights_ = LossWeights(unwrapped(net.criterion_), next(net.module_.parameters()))

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Set the weights of this epoch."""
        plan = _plan(
            net,
            dataset_train,
            rebalance="reweight",
            rebalance_start=self.start,
            weighting=self.weighting,
            beta=self.beta,
        )
        self.weights_.set(plan.loss_weight)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Restore the weights that the criterion had."""
        self.weights_.set(None)
        self.weights_ = None


class DeferredSynthesis(Acceptance):
    """Replace rows of training batches by synthetic ones from an epoch on, with any skorch net.

    Works on batches in place, so the method must keep one label a row, as M2m and distribution
    matching do; all others need `DeferredRebalancingClassifier`. Batches should be class-balanced:
    add `DeferredResampling`. If few rows are accepted, one `LongTailWarning` in a run says so.

    Parameters
    ----------
    resampler : sampler
        For example ``M2mSampler()``. Not changed.
    start : int or float, default=0.8
        First epoch, counted from 0, or share of ``max_epochs``.
    random_state : int, RandomState or None, default=None
        Root of the random numbers of synthesis.

    Examples
    --------
    >>> from ltresample.over_sampling import M2mSampler
    >>> callbacks = [DeferredResampling(start=8), DeferredSynthesis(M2mSampler(), start=8)]
    """

    def __init__(self, resampler, start=0.8, random_state=None):
        self.resampler = resampler
        self.start = start
        self.random_state = random_state

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Forget the last run."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        self.synthesis_ = None
        self.seed_ = root_seed(self.random_state)

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Prepare when the time has come."""
        self.step_ = 0
        begun = _plan(net, dataset_train, start=self.start).synthesizes
        if begun and self.synthesis_ is None:
            self.synthesis_ = self._begin(net, dataset_train)

    def _begin(self, net: Any, dataset: Any) -> StepSynthesis:
        X, y = data_from_dataset(dataset)[0], _training_labels(dataset)
        parameter = next(net.module_.parameters())
        rows = TakenRows(X, dtype=parameter.dtype, device=parameter.device)
        space = table_space(rows, features=self.resampler.categorical_features)
        pool = pool_of(rows, torch.from_numpy(y), np.bincount(y), space=space)
        with progress(type(self.resampler).__name__, shown=bool(net.verbose)):
            return StepSynthesis(
                self.resampler,
                pool,
                classes=np.arange(len(pool.class_counts)),
                module=net.module_,
                seed=self.seed_.child("prepare"),
                raw=lambda: X,
                logit_scale=logit_scale(net.criterion_),
            )

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Rewrite a training batch in place."""
        if not training or self.synthesis_ is None:
            return
        x, y = batch
        device = next(net.module_.parameters()).device
        seed = self.seed_.child("step", len(net.history) - 1, self.step_)
        made = self.synthesis_(x.to(device), y.to(device), seed=seed)
        if len(made.terms) != 1 or made.x.shape != x.shape:
            raise ValueError(
                "DeferredSynthesis rewrites batches in place and needs one label a row. Got "
                f"{len(made.terms)} loss terms and rows of shape {tuple(made.x.shape)} from "
                f"{self.resampler!r}. Use DeferredRebalancingClassifier(resampler=...)."
            )
        x.copy_(made.x)
        y.copy_(made.terms[0].y)
        self.step_ += 1
        net.history.record_batch("n_requested", made.n_requested)
        net.history.record_batch("n_accepted", made.n_accepted)

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record what was made."""
        self.record(net)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Let go of the network and the data."""
        super().on_train_end(net, X=X, y=y, **kwargs)
        self.synthesis_ = None
