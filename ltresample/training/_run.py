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

from ltresample._progress import progress
from ltresample._random import Seed, global_streams
from ltresample._torch import unwrapped
from ltresample.class_counts import class_weights
from ltresample.exceptions import LongTailWarning
from ltresample.losses import LongTailLoss
from ltresample.rows import pool_of, table_space
from ltresample.training._aux_rows import open_aux_rows
from ltresample.training._captured import CapturedTraining, check_graphs
from ltresample.training._criterion import (
    LossWeights,
    assign_class_weight,
    has_class_weight,
    logit_scale,
    needs_of,
)
from ltresample.training._data import RowDataset
from ltresample.training._device import place_of
from ltresample.training._epoch import EpochPlan, EpochSettings, epoch_plan
from ltresample.training._index_samplers import ClassIndexSampler, IndexBatches
from ltresample.training._look import Look, look_at, takes_single_rows
from ltresample.training._network import set_units, wants_units
from ltresample.training._schedules import epoch_of, set_learning_rate_factor
from ltresample.training._step import scaler_of
from ltresample.training._synthesis import StepSynthesis

__all__ = ["Run", "begin_run", "check_epochs", "check_starts"]

N_OVERFLOWS = 10  # of losses in half precision in one epoch, at which training ends


@dataclass
class Run:
    """State of one fit; gone when it ends."""

    seed: Seed
    settings: EpochSettings
    counts: np.ndarray  # (K,) rows of this training split
    total_counts: np.ndarray  # (K,) with those of earlier calls of partial_fit
    batches: IndexBatches
    weights: LossWeights
    look: Look
    synthesis: StepSynthesis | None = None
    plan: EpochPlan | None = None  # of the epoch
    epoch: int = 0
    step: int = 0  # of the epoch
    loader: DataLoader | None = None
    head_input: list[Tensor] = field(default_factory=list)
    scaler: torch.amp.GradScaler | None = None  # of losses in half precision
    captured: CapturedTraining | None = None  # passes of the network as CUDA graphs
    watch: Any = None  # ends the watch over the last layer's input
    listening: dict[str, list[Callback]] = field(default_factory=dict)
    n_overflows: int = 0  # steps in half precision whose loss was no number
    n_requested: int = 0  # synthetic rows in the run so far
    n_accepted: int = 0
    warned: bool = False  # of low acceptance

    @property
    def synthesizing(self) -> bool:
        """Whether batches of this epoch are rewritten."""
        return self.synthesis is not None and self.plan.synthesizes

    def listeners(self, callbacks: list[tuple[str, Callback]], event: str) -> list[Callback]:
        """Return the callbacks that do something at an event: it comes several times in each step."""
        if event not in self.listening:
            self.listening[event] = [c for _, c in callbacks if _listens(c, event)]
        return self.listening[event]

    def step_seed(self) -> Seed:
        """Return the root of what is random in the next step."""
        self.step += 1
        return self.seed.child("step", self.epoch, self.step)

    def overflows(self) -> bool:
        """Count a step in half precision that is left out; tell whether another one may follow."""
        self.n_overflows += 1
        return self.n_overflows < N_OVERFLOWS

    def begin_epoch(self, net: Any, epoch: int) -> None:
        """Set stream, batch size, class weights and learning rate of an epoch."""
        self.epoch, self.step, self.n_overflows = epoch, 0, 0
        self.listening.clear()
        self.plan = plan = epoch_plan(self.settings, self.counts, epoch, self.total_counts)
        stream = self.batches.sampler
        stream.set_epoch(epoch)
        stream.set_class_weight(plan.stream_weight)
        self.batches.batch_size = plan.batch_size
        if self.loader is not None:
            self.loader.generator = self.seed.child("workers", epoch).torch()
        self.weights.set(plan.loss_weight)
        criterion = unwrapped(net.criterion_)
        if isinstance(criterion, LongTailLoss):
            criterion.active = plan.active
        if net.warmup or net.lr_decay:
            set_learning_rate_factor(net.optimizer_, plan.rate)


def _listens(callback: Callback, event: str) -> bool:
    """Return whether a callback has a method of its own for an event, on its class or set on itself."""
    if event in vars(callback):
        return True
    return getattr(type(callback), event, None) is not getattr(Callback, event)


def begin_run(net: Any, train: RowDataset, X_aux: Any, fit_params: dict[str, Any]) -> Run:
    """Look at training split and network, tell the criterion, and prepare the resampler.

    Raises
    ------
    ValueError
        If a class that is needed has no row, network and criterion do not fit, no batch is left, or
        the resampler cannot work with these data, or CUDA graphs with this net.
    """
    check_graphs(net)
    counts = np.bincount(train.target.numpy(), minlength=len(net.classes_))
    total_counts = net._count(train, counts)
    _check_classes(net, counts, total_counts)
    sizes = _batch_sizes(net, len(train))
    criterion, module = unwrapped(net.criterion_), unwrapped(net.module_)
    _set_own_weights(net, criterion, total_counts)
    pool = None
    own_units = net.module is None and wants_units(module)
    rows = train.rows.on(next((p.device for p in module.parameters()), torch.device("cpu")))
    if own_units or net.resampler is not None:
        brought = None if net.resampler is None else net.resampler.X_aux
        aux = brought if X_aux is None else X_aux
        aux = None if aux is None else open_aux_rows(aux, rows, net.augment, net._columns)
        features = None if net.resampler is None else net.resampler.categorical_features
        space = table_space(rows, weight=train.weight, columns=net._columns, features=features)
        pool = pool_of(rows, train.target, counts, aux=aux, weight=train.weight, space=space)
    if own_units:
        set_units(module, pool.space)
    with global_streams(net.seed_.child("look"), place_of(net)):  # of layers that are random always
        look = look_at(net, rows, fit_params)
    sampler = ClassIndexSampler(train.target, random_state=net.seed_.child("index").integer())
    train.annotated = net.resampler is not None or train.weight is not None
    synthesis = None if net.resampler is None else _synthesis(net, pool, train)
    settings = EpochSettings(
        max_epochs=net.max_epochs,
        start=net.start,
        balanced=synthesis is not None and synthesis.balanced,
        rebalance=net.rebalance,
        rebalance_start=net.rebalance_start,
        weighting=net.weighting,
        beta=net.beta,
        warmup=net.warmup,
        lr_decay=net.lr_decay,
        **sizes,
    )
    place = "" if synthesis is None else synthesis.method.place
    _refuse_arguments(net, fit_params, place)
    _check_single_rows(net, settings, rows, place, fit_params)
    return Run(
        seed=net.seed_,
        settings=settings,
        counts=counts,
        total_counts=total_counts,
        batches=IndexBatches(sampler, settings.batch_size),
        weights=LossWeights(criterion, _like(module)),
        look=look,
        synthesis=synthesis,
        scaler=scaler_of(net),
        captured=CapturedTraining(module, net.precision) if net.cuda_graphs else None,
    )


def check_epochs(net: Any, first: int, n_epochs: int) -> None:
    """Warn where the resampler is on in these epochs, and its own schedule leaves all of them out."""
    run, last = net._run, net.max_epochs
    if run.synthesis is None:
        return
    on = [e for e in range(first, first + n_epochs) if e >= epoch_of(net.start, last)]
    if on and not any(run.synthesis.method.works_in(epoch, last) for epoch in on):
        warnings.warn(
            f"{type(net.resampler).__name__} rewrites no batch: its own schedule (start, stop) leaves "
            f"out all epochs from {on[0]} to {on[-1]}, in which it could, of max_epochs={last}. Epochs "
            "are counted from 0, and a negative stop from max_epochs. Pass another start or stop to "
            "the sampler, or raise max_epochs.",
            LongTailWarning,
            stacklevel=4,
        )


def _check_single_rows(
    net: Any, settings: EpochSettings, rows: Any, place: str, fit_params: dict[str, Any]
) -> None:
    """Refuse batch sizes that leave one row to a network that cannot be trained on one.

    Raises
    ------
    ValueError
        With the batch size.
    """
    if net.get_params_for("iterator_train").get("drop_last", False):
        return
    start = epoch_of(settings.start, settings.max_epochs)
    after, sizes = settings.batch_size_after_start, {}
    if start > 0:
        sizes["batch_size"] = settings.batch_size
    if start < settings.max_epochs and place != "append":  # which never leaves a row alone
        name = "batch_size" if after is None else "batch_size_after_start"
        sizes[name] = settings.batch_size if after is None else after
    for name, size in sizes.items():
        if 1 in (size, len(rows) % size) and not takes_single_rows(net, rows, fit_params):
            raise ValueError(
                "The last batch of an epoch would be a single row, and the batch normalisation of the "
                f"network needs two. Got {name}={size} for {len(rows)} training rows. Pass another "
                "one, or iterator_train__drop_last=True."
            )


def _refuse_arguments(net: Any, fit_params: dict[str, Any], place: str) -> None:
    """Refuse arguments of ``forward`` with a resampler that asks the network without them."""
    if fit_params and place == "replace":
        raise ValueError(
            f"{type(net.resampler).__name__} asks the network for logits and passes rows alone. Got "
            f"{', '.join(sorted(fit_params))} in fit, which would reach the training passes only. Set "
            "them on the module, for example by module__name=value."
        )


def _set_own_weights(net: Any, criterion: nn.Module, counts: np.ndarray) -> None:
    """Give the criterion the class weights that its settings say, whatever an earlier run left there."""
    like = _like(unwrapped(net.module_))
    if has_class_weight(criterion):
        assign_class_weight(criterion, net._criterion_weight, like)
    if isinstance(criterion, LongTailLoss) and counts.all():
        criterion.set_class_counts(counts)
    if net.class_weight is not None:
        assign_class_weight(criterion, _class_weight(net.class_weight, net.classes_, counts), like)


def _like(module: nn.Module) -> Tensor:
    """Return a parameter: type and place of what goes with it."""
    floats = (p.detach() for p in module.parameters() if p.is_floating_point())
    return next(floats, torch.empty(0))


def _batch_sizes(net: Any, n_rows: int) -> dict[str, int | None]:
    """Return rows in a batch, at first and from `start` on.

    Raises
    ------
    ValueError
        If only batches that are full count, and none is.
    """
    loader = net.get_params_for("iterator_train")
    size = loader.get("batch_size", net.batch_size)
    size = n_rows if size == -1 else size
    sizes = {"batch_size": size, "batch_size_after_start": net.batch_size_after_start}
    for name, number in sizes.items():
        if loader.get("drop_last", False) and number is not None and number > n_rows:
            raise ValueError(
                "drop_last leaves out batches that are not full, and there would be no other. Got "
                f"{name}={number} for {n_rows} training rows. Pass a smaller one, or leave "
                "iterator_train__drop_last out."
            )
    return sizes


def _synthesis(net: Any, pool: Any, train: RowDataset) -> StepSynthesis:
    # the bar of epochs is there, and stands still while a guide is fitted
    shown = bool(net.verbose) and net._is_main
    with progress(type(net.resampler).__name__, shown=shown):
        return StepSynthesis(
            net.resampler,
            pool._replace(augment=net.augment),
            classes=net.classes_,
            module=net.module_,
            seed=net.seed_.child("resampler"),
            precision=net.synthesis_precision,
            raw=train.rows.raw_array,
            cuda_graphs=net.cuda_graphs,
            logit_scale=logit_scale(unwrapped(net.criterion_)),
        )


def _check_classes(net: Any, counts: np.ndarray, total: np.ndarray) -> None:
    """Refuse needed classes without a row: in this split to draw, in all so far to count."""
    draws = net.resampler is not None or net.rebalance == "resample"
    weighs = net.rebalance == "reweight" or isinstance(net.class_weight, str)
    weighs = weighs or needs_of(net.criterion_).class_counts
    absent = net.classes_[(counts if draws else total) == 0].tolist()
    if not absent:
        return
    names = ", ".join(map(repr, absent))
    found = f"Class {names} has no row in the training split of {counts.sum()} rows."
    if draws or weighs:
        raise ValueError(
            f"{found} Rebalancing needs at least one of each. Pass a train_split that leaves one "
            "(a float does), or leave the class out of y."
        )
    warnings.warn(f"{found} The network cannot learn it.", LongTailWarning, stacklevel=5)


def check_starts(net: Any) -> None:
    """Warn where something deferred would start after the last epoch."""
    used = [
        ("start", net.start, net.resampler is not None),
        ("rebalance_start", net.rebalance_start, net.rebalance is not None),
    ]
    for name, value, is_used in used:
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
    weight = np.array([class_weight.get(label, 1.0) for label in classes.tolist()], dtype=float)
    if not weight.any():
        raise ValueError(
            f"class_weight must leave a class with a weight above 0. Got {class_weight!r}, with which "
            "nothing would be learnt."
        )
    return weight
