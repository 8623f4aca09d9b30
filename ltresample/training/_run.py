"""What a fit holds while it lasts: its stream of rows, its class weights, its synthesis."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import DataLoader

from ltresample._random import Seed
from ltresample._torch import evaluating, unwrapped
from ltresample.class_counts import class_weights
from ltresample.exceptions import LongTailWarning
from ltresample.models import CosineHead
from ltresample.rows import pool_of
from ltresample.training._architecture import has_units, set_units
from ltresample.training._aux_rows import open_aux_rows
from ltresample.training._criterion import assign_class_weight, check_head
from ltresample.training._data import RowDataset
from ltresample.training._device import scaler_of
from ltresample.training._index_samplers import ClassIndexSampler, IndexBatches
from ltresample.training._schedules import (
    epoch_of,
    learning_rate_factor,
    set_learning_rate_factor,
)
from ltresample.training._synthesis import StepSynthesis

__all__ = ["Run", "begin_run", "check_starts", "watch_head"]


@dataclass
class Run:
    """State of one fit; gone when it ends."""

    seed: Seed
    counts: np.ndarray  # (K,)
    batches: IndexBatches
    start: int  # first epoch of synthesis
    rebalance_start: int
    synthesis: StepSynthesis | None = None
    epoch: int = 0
    step: int = 0  # of the epoch
    loader: DataLoader | None = None
    head_input: list[Tensor] = field(default_factory=list)
    scaler: torch.amp.GradScaler | None = None  # of losses in half precision
    watch: Any = None  # ends the watch over the last layer's input
    listening: dict[str, list[Callback]] = field(default_factory=dict)

    @property
    def synthesizing(self) -> bool:
        """Whether batches of this epoch are rewritten."""
        return self.synthesis is not None and self.epoch >= self.start

    def listeners(self, callbacks: list[tuple[str, Callback]], event: str) -> list[Callback]:
        """Return the callbacks that do something at an event: it comes several times in each step."""
        if event not in self.listening:
            nothing = getattr(Callback, event)
            self.listening[event] = [
                callback
                for _, callback in callbacks
                if getattr(type(callback), event, None) is not nothing
            ]
        return self.listening[event]

    def step_seed(self) -> Seed:
        """Return the root of what is random in the next step."""
        self.step += 1
        return self.seed.child("step", self.epoch, self.step)

    def begin_epoch(self, net: Any, epoch: int) -> None:
        """Set stream, batch size, class weights and learning rate of an epoch."""
        self.epoch, self.step = epoch, 0
        stream = self.batches.sampler
        stream.set_epoch(epoch)
        stream.set_class_weight(self._stream_weight(net))
        if net.batch_size_after_start is not None and epoch >= self.start:
            self.batches.batch_size = net.batch_size_after_start
        if self.loader is not None:
            self.loader.generator = self.seed.child("workers", epoch).torch()
        if net.rebalance == "reweight" and epoch >= self.rebalance_start:
            weight = class_weights(self.counts, net.weighting, beta=net.beta)
            assign_class_weight(unwrapped(net.criterion_), weight)
        if hasattr(net.criterion_, "active"):
            net.criterion_.active = epoch >= self.rebalance_start
        if net.warmup or net.lr_decay:
            factor = learning_rate_factor(
                epoch, warmup=net.warmup, decay=net.lr_decay, max_epochs=net.max_epochs
            )
            set_learning_rate_factor(net.optimizer_, factor)

    def _stream_weight(self, net: Any) -> np.ndarray | None:
        """Return the weight of a row of each class in the index stream; None: each row once."""
        if self.synthesizing and self.synthesis.balanced:
            return class_weights(self.counts)
        if net.rebalance == "resample" and self.epoch >= self.rebalance_start:
            return class_weights(self.counts, net.weighting, beta=net.beta)
        return None


def begin_run(net: Any, train: RowDataset, X_aux: Any = None) -> Run:
    """Look at the training split, tell the criterion, and prepare the resampler.

    Raises
    ------
    ValueError
        If a class that is needed has no row, the criterion does not fit the head, or the resampler
        cannot work with these data.
    """
    counts = np.bincount(train.target.numpy(), minlength=len(net.classes_))
    _check_classes(net, counts)
    criterion, module = unwrapped(net.criterion_), unwrapped(net.module_)
    if hasattr(criterion, "set_class_counts") and counts.all():
        criterion.set_class_counts(counts)
    if net.class_weight is not None:
        assign_class_weight(criterion, _class_weight(net.class_weight, net.classes_, counts))
    pool = None
    own_units = net.module is None and has_units(module) and not len(net.history)
    rows = train.rows.on(_device_of(module))
    if own_units or net.resampler is not None:
        aux = getattr(net.resampler, "X_aux", None) if X_aux is None else X_aux
        aux = None if aux is None else open_aux_rows(aux, rows, net.augment)
        pool = pool_of(rows, train.target, counts, aux=aux, weight=train.weight)
    if own_units:
        set_units(module, pool.space)
    _check_head(criterion, module, rows)
    sampler = ClassIndexSampler(train.target, random_state=net.seed_.child("index").integer())
    train.annotated = net.resampler is not None or train.weight is not None
    return Run(
        seed=net.seed_,
        counts=counts,
        batches=IndexBatches(sampler, _batch_size(net, train)),
        start=epoch_of(net.start, net.max_epochs),
        rebalance_start=epoch_of(net.rebalance_start, net.max_epochs),
        synthesis=None if net.resampler is None else _synthesis(net, pool, train),
        scaler=scaler_of(net),
    )


def _synthesis(net: Any, pool: Any, train: RowDataset) -> StepSynthesis:
    return StepSynthesis(
        net.resampler,
        pool,
        classes=net.classes_,
        module=net.module_,
        seed=net.seed_.child("resampler"),
        precision=net.synthesis_precision,
        raw=train.rows.raw,
    )


def _batch_size(net: Any, train: RowDataset) -> int:
    size = net.get_params_for("iterator_train").get("batch_size", net.batch_size)
    return len(train) if size == -1 else size


def _device_of(module: nn.Module) -> torch.device:
    return next((p.device for p in module.parameters()), torch.device("cpu"))


def _check_classes(net: Any, counts: np.ndarray) -> None:
    absent = net.classes_[counts == 0].tolist()
    if not absent:
        return
    names = ", ".join(map(repr, absent))
    found = f"Class {names} has no row in the training split of {counts.sum()} rows."
    needed = (
        net.resampler is not None or net.rebalance is not None or net.class_weight == "balanced"
    )
    if needed or getattr(net.criterion_, "needs_class_counts", False):
        raise ValueError(
            f"{found} Rebalancing needs at least one of each. Pass a train_split that leaves one "
            "(a float does), or leave the class out of y."
        )
    warnings.warn(f"{found} The network cannot learn it.", LongTailWarning, stacklevel=5)


def check_starts(net: Any) -> None:
    """Warn where something deferred would start after the last epoch."""
    used = {"start": net.resampler is not None, "rebalance_start": net.rebalance is not None}
    for name, is_used in used.items():
        value = getattr(net, name)
        if is_used and epoch_of(value, net.max_epochs) >= net.max_epochs:
            what = "the resampler" if name == "start" else f"rebalance={net.rebalance!r}"
            warnings.warn(
                f"{name}={value!r} is not before the end of training, max_epochs={net.max_epochs}; "
                f"{what} will have no effect. Epochs are counted from 0. Pass an earlier epoch, or a "
                "float as a share of max_epochs.",
                LongTailWarning,
                stacklevel=3,
            )


def _class_weight(class_weight: Any, classes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Turn scikit-learn's `class_weight` into weights (K,)."""
    if class_weight == "balanced":
        return class_weights(counts)
    unknown = [label for label in class_weight if label not in classes]
    if unknown:
        raise ValueError(
            f"class_weight names classes that are not in y. Got {unknown!r}; y has "
            f"{classes.tolist()[:20]!r}."
        )
    return np.array([class_weight.get(label, 1.0) for label in classes.tolist()], dtype=np.float64)


def _check_head(criterion: nn.Module, module: nn.Module, rows: Any) -> None:
    few = rows.take(torch.linspace(0, len(rows) - 1, min(16, len(rows))).long())
    with evaluating(module):
        warning = check_head(criterion, module, few)
    if warning is not None:
        warnings.warn(warning, LongTailWarning, stacklevel=6)


def watch_head(module: nn.Module, seen: list[Tensor]) -> Any:
    """Note what enters the last layer at each forward pass; give the handle that ends it."""
    layers = [m for m in unwrapped(module).modules() if isinstance(m, nn.Linear | CosineHead)]

    def note(_: nn.Module, args: tuple[Any, ...]) -> None:
        seen[:] = [args[0]]

    return layers[-1].register_forward_pre_hook(note)
