"""Callbacks: deferral for any skorch net, and what the classifier writes down and shows."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback, PrintLog
from skorch.utils import data_from_dataset, to_numpy
from tqdm.auto import tqdm

from ltresample._random import root_seed
from ltresample.class_counts import class_weights
from ltresample.metrics import recall_per_class
from ltresample.synthesis import Pool
from ltresample.training._criterion import assign_class_weight
from ltresample.training._index_samplers import ClassIndexSampler
from ltresample.training._rows import TakenRows
from ltresample.training._schedules import epoch_of
from ltresample.training._space import space_of
from ltresample.training._synthesis import StepSynthesis

__all__ = [
    "DeferredResampling",
    "DeferredReweighting",
    "DeferredSynthesis",
    "EpochBar",
    "EpochTable",
    "SynthesisRecord",
    "mean_recall",
]


def _training_labels(dataset: Any) -> np.ndarray:
    """Give the labels (n,) of a skorch data set or a subset of one."""
    _, y = data_from_dataset(dataset)
    return to_numpy(y).astype(np.int64)


def _epoch(net: Any) -> int:
    return len(net.history) - 1


class DeferredResampling(Callback):
    """Draw classes alike from an epoch on (DRS), with any skorch net.

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
        y, epoch = _training_labels(dataset_train), _epoch(net)
        sampler.set_labels(y)
        sampler.set_epoch(epoch)
        weight = None
        if epoch >= epoch_of(self.start, net.max_epochs):
            weight = class_weights(np.bincount(y), self.weighting, beta=self.beta)
        sampler.set_class_weight(weight)


class DeferredReweighting(Callback):
    """Weigh classes in the loss from an epoch on (DRW), with any skorch net.

    The criterion's weights are assigned in place. Setting them as a parameter of the net would build
    a new optimizer and lose its momentum. `DeferredRebalancingClassifier` has this built in.

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

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Set the weights when their time has come."""
        if _epoch(net) >= epoch_of(self.start, net.max_epochs):
            counts = np.bincount(_training_labels(dataset_train))
            weight = class_weights(counts, self.weighting, beta=self.beta)
            assign_class_weight(net.criterion_, weight)


class DeferredSynthesis(Callback):
    """Replace rows of training batches by synthetic ones from an epoch on, with any skorch net.

    Works on batches in place, so the method must keep one label a row, as M2m and distribution
    matching do; all others need `DeferredRebalancingClassifier`. Batches should be drawn with
    classes alike: add `DeferredResampling`.

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
        self.synthesis_ = None
        self.seed_ = root_seed(self.random_state)

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Prepare when the time has come."""
        self.step_ = 0
        if self.synthesis_ is None and _epoch(net) >= epoch_of(self.start, net.max_epochs):
            self.synthesis_ = self._begin(net, dataset_train)

    def _begin(self, net: Any, dataset: Any) -> StepSynthesis:
        X, y = data_from_dataset(dataset)[0], _training_labels(dataset)
        parameter = next(net.module_.parameters())
        rows = TakenRows(X, dtype=parameter.dtype, device=parameter.device)
        pool = pool_of(rows, torch.from_numpy(y), np.bincount(y))
        return StepSynthesis(
            self.resampler,
            pool,
            classes=np.arange(len(pool.class_counts)),
            module=net.module_,
            seed=self.seed_.child("prepare"),
            raw=lambda: X,
        )

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Rewrite a training batch in place."""
        if not training or self.synthesis_ is None:
            return
        x, y = batch
        device = next(net.module_.parameters()).device
        seed = self.seed_.child("step", _epoch(net), self.step_)
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
        record_synthesis(net)

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Let go of the network and the data."""
        self.synthesis_ = None


def pool_of(rows: TakenRows, y: torch.Tensor, counts: np.ndarray, *, aux=None, weight=None) -> Pool:
    """Give the engine its view of a training split."""
    space = space_of(rows, weight=weight)
    device = space.scale.device
    return Pool(
        x=rows,
        y=y.to(device),
        class_counts=torch.as_tensor(counts, device=device),
        space=space,
        aux_x=aux,
        weight=None if weight is None else weight.to(device),
    )


def record_synthesis(net: Any) -> None:
    """Sum up an epoch: share of the rows that are synthetic, accepted per requested."""
    batches = [b for b in net.history[-1]["batches"] if "train_batch_size" in b]
    n_rows = sum(b["train_batch_size"] for b in batches)
    requested = sum(b.get("n_requested", 0) for b in batches)
    accepted = sum(b.get("n_accepted", 0) for b in batches)
    net.history.record("share_synthesized", accepted / max(n_rows, 1))
    net.history.record("acceptance_rate", accepted / requested if requested else float("nan"))


class SynthesisRecord(Callback):
    """Write ``share_synthesized`` and ``acceptance_rate`` into the history of each epoch."""

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record what was made."""
        if net.resampler is not None:
            record_synthesis(net)


class EpochBar(Callback):
    """Show a bar of epochs with the last loss and scores, where ``verbose`` is 1."""

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Open the bar."""
        self.bar_ = tqdm(
            total=net.max_epochs, initial=len(net.history), disable=net.verbose != 1, unit="epoch"
        )

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Advance the bar."""
        shown = ("train_loss", "valid_bacc", "share_synthesized")
        last = net.history[-1]
        self.bar_.set_postfix({name: f"{last[name]:.3f}" for name in shown if name in last})
        self.bar_.update()

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Close the bar."""
        self.bar_.close()
        self.bar_ = None

    def __getstate__(self):
        return {key: value for key, value in vars(self).items() if key != "bar_"}


class EpochTable(PrintLog):
    """Print a line for each epoch, where ``verbose`` is 2 or more."""

    def _sink(self, text, verbose):
        super()._sink(text, verbose >= 2)


def mean_recall(net: Any, X: Any, y: Any) -> float:
    """Score: mean recall of the classes that occur in `y`."""
    recalls = recall_per_class(y, net.predict(X), labels=np.unique(y))
    return float(np.nanmean(recalls))
