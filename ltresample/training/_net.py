"""What the classifier does in skorch's hooks: data, epochs, steps, losses.

The calls of a fit, from the outside in (file: function)::

    _classifier   fit                        check parameters, open data, initialize;
                                             _checkpoint: is there a run to take up?
    (skorch)      partial_fit                tell callbacks that training begins and ends
    _net          fit_loop                   split real rows
    _run          begin_run                  counts, units, class weights, _look: look_at, resampler
    _run          begin_epoch                _epoch: epoch_plan -> stream, weights, rate, batch size
    _net          run_single_epoch           batches of positions; loss and sizes into the history
    _net          train_step
    _step         rewrite_batch              augment, then _synthesis: the resampler's rows and terms
    (skorch)      train_step -> optimizer    infer -> get_loss -> _step: step_loss; backward, step
    (skorch)      validation_step            the same loss without the weights of `rebalance`
    _hooks        on_epoch_end               scores, share of synthetic rows, bar
    _checkpoint   write                      the state after the epoch
"""

from __future__ import annotations

import copy
import hashlib
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from sklearn.utils._param_validation import validate_parameter_constraints
from skorch.dataset import Dataset, unpack_data
from skorch.utils import data_from_dataset, is_skorch_dataset, to_numpy
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from ltresample._random import Seed, global_streams
from ltresample._torch import unwrapped
from ltresample.exceptions import NotFiniteError
from ltresample.rows import TakenRows, row_shape_of
from ltresample.training._checkpoint import Checkpoint
from ltresample.training._criterion import needs_of, probabilities_by
from ltresample.training._data import BatchRows, FetchedBatches, RowDataset, as_it_is
from ltresample.training._device import place_of, place_of_rows
from ltresample.training._holdout import split_rows
from ltresample.training._index_samplers import IndexBatches
from ltresample.training._look import watch_head
from ltresample.training._network import (
    LOG_PROBABILITIES,
    default_module,
    first_of,
    shape_arguments,
)
from ltresample.training._opening import Opened, encoded, open_rows, open_training
from ltresample.training._parameters import ParameterNet
from ltresample.training._run import Run, begin_run
from ltresample.training._step import (
    StepTarget,
    autocast_of,
    check_precision,
    in_single,
    not_finite,
    rewrite_batch,
    step_loss,
)
from ltresample.training._surface import check_callbacks, check_surface, loader_settings

__all__ = ["TrainingNet"]


class TrainingNet(ParameterNet):
    """Base of the classifier: skorch's template with rows, deferral and synthesis in its hooks.

    Each member of skorch's that is replaced says why in its comment.
    """

    _run: Run | None = None
    _checkpoint: Checkpoint | None = None
    _batch_rows: Any = None  # rows of the batch of which callbacks are told
    _row_shape: tuple[int, ...] | None = None
    _double: bool = False
    _output_kind: str | None = None  # what the network gives, known from the first training on
    _seen: tuple[set[str], np.ndarray] | None = None  # training splits so far, and their counts
    _trimmed: Callable[[Tensor], Tensor] | None = (
        None  # what gives probabilities when all else is gone
    )
    _is_main: bool = True  # of several processes, the one that writes and shows

    # ------------------------------------------------------------------ parameters and shapes

    def _check_parameters(self) -> None:
        self.check_training_readiness()
        given = {k: v for k, v in vars(self).items() if k in self._parameter_constraints}
        validate_parameter_constraints(self._parameter_constraints, given, type(self).__name__)
        if self.class_weight is not None and self.rebalance == "reweight":
            raise ValueError(
                "class_weight and rebalance='reweight' both set the class weights of the loss. Got "
                f"class_weight={self.class_weight!r}. Leave one of them out."
            )
        if self.classes is not None and len(np.unique(self.classes)) < max(2, len(self.classes)):
            raise ValueError(
                "classes must name at least two classes, each once. Got "
                f"classes={list(self.classes)[:20]!r}. Leave it out to take those in y."
            )
        check_surface(self)
        check_precision(self)

    @property
    def classes_(self) -> np.ndarray:
        """Labels, sorted: those of `classes`, else those that were in y."""
        # columns of the output are in the order of the labels, whatever the order in `classes`
        return super().classes_ if self.classes is None else np.unique(self.classes)

    def _learn_shape(self, x: Any, labels: np.ndarray) -> None:
        """Note the classes and the shape of a row: what the network is built from."""
        classes = np.unique(labels)
        if len(classes) < 2 and self.classes is None:
            raise ValueError(
                f"y must hold at least two classes. Got one class, {classes.tolist()}, in "
                f"{len(labels)} rows. There is nothing to learn from one class."
            )
        self.classes_inferred_ = classes
        self._row_shape = row_shape_of(x)
        self._double = str(getattr(x, "dtype", "")).endswith("float64")
        self._seen = None

    def _check_same(self, x: Any, labels: np.ndarray) -> None:
        """Refuse rows and labels that the network, as it was built, cannot go on with."""
        shape = row_shape_of(x)
        if self._row_shape is not None and shape != self._row_shape:
            raise ValueError(
                f"Rows must have the shape that the network was built for, {self._row_shape}. Got rows "
                f"of shape {shape}. Call fit with warm_start=False to start anew."
            )
        unknown = np.setdiff1d(labels, self.classes_)
        if self.warm_start and len(unknown):
            raise ValueError(
                "warm_start goes on with a network for the classes "
                f"{self.classes_.tolist()[:20]}. Got {unknown.tolist()[:5]} in y as well. Pass "
                "warm_start=False to start anew, or name all classes in classes= before the first fit."
            )

    def _count(self, train: RowDataset, counts: np.ndarray) -> np.ndarray:
        """Return rows of each class in all different training splits since the network was built."""
        digest = hashlib.sha256(train.target.numpy().tobytes())
        few = np.linspace(0, len(train) - 1, min(8, len(train))).astype(np.int64)
        digest.update(train.rows.gather(few).float().cpu().numpy().tobytes())
        seen, total = self._seen or (set(), np.zeros_like(counts))
        if digest.hexdigest() not in seen:  # the same rows again are no more rows
            self._seen = ({*seen, digest.hexdigest()}, total + counts)
        return self._seen[1]

    # why: a network is told, or built from, the shape of the data; instances are copied
    def initialize_module(self) -> TrainingNet:
        """Build the network from the shape of the data, or copy the one that was given."""
        settings = self.get_params_for("module")
        with global_streams(self.seed_.child("module"), self.device):
            module = self._built(settings)
        if self._row_shape is not None and len(self._row_shape) == 3:
            module = module.to(memory_format=torch.channels_last)  # convolutions are faster so
        self.module_ = module if self.dtype is None else module.to(self.dtype)
        self._output_kind = None
        return self

    def _built(self, settings: dict[str, Any]) -> nn.Module:
        if isinstance(self.module, nn.Module) and not settings:
            return copy.deepcopy(self.module)
        try:
            n_classes = len(self.classes_)
        except AttributeError:
            n_classes = None
        if self.module is not None:
            told = shape_arguments(self.module, self._row_shape, n_classes)
            return self.initialized_instance(self.module, {**told, **settings})
        row_shape = settings.pop("row_shape", None)
        row_shape = self._row_shape if self._row_shape is not None else row_shape
        if row_shape is None or n_classes is None:
            raise ValueError(
                "module=None is built from the shape of the data, which is not known yet. Call fit, or "
                "pass a module. To initialize without data, for load_params, pass classes= and "
                "module__row_shape, for example module__row_shape=(20,) or (3, 32, 32)."
            )
        if needs_of(self.criterion).cosine_head:
            settings = {"head": "cosine", **settings}
        module = default_module(tuple(row_shape), n_classes, **settings)
        on_cpu = self.device is not None and torch.device(self.device).type == "cpu"
        return module.double() if self._double and on_cpu and len(row_shape) == 1 else module

    # ------------------------------------------------------------------ data

    def _row_dtype(self) -> torch.dtype:
        types = (p.dtype for p in self.module_.parameters() if p.is_floating_point())
        return next(types, self.dtype or torch.float32)

    def _dataset_of(self, opened: Opened) -> RowDataset:
        dtype = self._row_dtype()
        rows = TakenRows(opened.x, dtype=dtype, held=place_of_rows(self, opened.x, dtype))
        labels, weight, index = opened[1:]
        if index is not None:
            rows = rows.subset(index)
        return RowDataset(rows, labels, encoded(labels, self.classes_), weight, index)

    def _rows_of(self, X: Any, y: Any) -> RowDataset:
        """Return rows with labels as a data set of this net's; its own as they are."""
        if isinstance(X, RowDataset):
            return X
        return self._dataset_of(open_training(self, X, y, None, reset=False))

    # why: rows of any container, as the network takes them, and a batch of a run as it is
    def get_dataset(self, X, y=None):
        """Return rows to predict as a data set; data sets as they are."""
        if isinstance(X, RowDataset):
            return X
        if self._is_batch(X):
            return Dataset(X.x if isinstance(X, BatchRows) else X)
        return RowDataset(TakenRows(open_rows(self, X), dtype=self._row_dtype()))

    def _is_batch(self, X: Any) -> bool:
        """Tell whether rows are those of which callbacks are being told; their labels are indices."""
        return self._batch_rows is not None and X is self._batch_rows

    # why: the split is stratified, seeded, and of real rows
    def get_split_datasets(self, X, y=None, **split_params):
        """Split real rows into a training and a validation part, before anything is resampled."""
        X = self._rows_of(X, y)
        train, valid = split_rows(X, self.train_split, self.seed_.child("split"), **split_params)
        if valid is not None and not isinstance(valid, RowDataset) and is_skorch_dataset(valid):
            x, labels = data_from_dataset(valid)
            valid = self._dataset_of(Opened(open_rows(self, x), np.asarray(labels), None, None))
        return train, valid

    # why: whole batches are fetched by positions that change their law between epochs
    def get_iterator(self, dataset, training=False):
        """Return a loader of batches: those of the run where it trains, else the rows in order."""
        if not isinstance(dataset, RowDataset):
            return super().get_iterator(dataset, training)
        settings = loader_settings(self, training)
        size = settings.pop("batch_size", self.batch_size)
        drop_last = settings.pop("drop_last", False)
        if training and self._run is not None:
            batches = self._run.batches
            batches.drop_last = drop_last
        else:
            size = max(len(dataset), 1) if size == -1 else size
            batches = IndexBatches(range(len(dataset)), size, drop_last=drop_last)
        loader = self.iterator_train if training else self.iterator_valid
        if loader is DataLoader:
            if not settings and not self._needs_loader():
                return FetchedBatches(dataset, batches)
            settings["generator"] = Seed(0).child("workers").torch()
        return loader(dataset, batch_sampler=batches, collate_fn=as_it_is, **settings)

    def _needs_loader(self) -> bool:
        """Tell whether batches have to come from a loader of PyTorch's: Accelerate takes these."""
        return hasattr(self, "accelerator")

    # ------------------------------------------------------------------ epochs

    @contextmanager
    def _interruptible(
        self, dataset: RowDataset, X_aux: Any, fit_params: dict[str, Any]
    ) -> Iterator[None]:
        """Write down what happens meanwhile, and take up a run that was interrupted."""
        if self.checkpoint_dir is None:
            yield
            return
        self._checkpoint = Checkpoint(self, dataset, X_aux, fit_params)
        try:
            self._checkpoint.take_up(self)  # before callbacks look at the history
            yield
        finally:
            self._checkpoint = None

    # why: a run is prepared between the split and the first epoch, and ended whatever happens
    def fit_loop(self, X, y=None, epochs=None, *, X_aux=None, _routing_method="fit", **fit_params):
        """Split, prepare, and train epoch by epoch.

        Parameters
        ----------
        X, y : as in ``fit``
            Rows with labels.
        epochs : int or None, default=None
            Number of epochs; None: `max_epochs`, or what an interrupted run has left of them.
        X_aux : array-like or None, default=None
            Open-set samples.
        **fit_params : dict
            Passed to the module's ``forward``.

        Returns
        -------
        self
            The net.
        """
        self.check_training_readiness()
        X = self._rows_of(X, y)
        epochs = self.max_epochs if epochs is None else epochs
        resumed = self._checkpoint if self._checkpoint and self._checkpoint.state else None
        if resumed is not None:
            resumed.restore_net(self)  # again: callbacks may have loaded or built another one
            epochs = max(0, epochs - resumed.n_done(self))
        train, valid = self.get_split_datasets(X)
        check_callbacks(self, has_valid=valid is not None)
        try:
            self._begin(train, X_aux, fit_params)
            loaders = self.get_iterator(train, training=True), None
            if valid is not None:
                loaders = loaders[0], self.get_iterator(valid, training=False)
            self._run.loader = loaders[0]
            if resumed is not None:
                resumed.restore_rest(self)
            for _ in range(epochs):
                self._begin_epoch(train, valid)
                self.run_single_epoch(loaders[0], True, "train", self.train_step, **fit_params)
                with self._run.weights.left_out():
                    self.run_single_epoch(
                        loaders[1], False, "valid", self.validation_step, **fit_params
                    )
                self._end_epoch(train, valid)
            if self._checkpoint is not None:
                self._checkpoint.finish(self)
        finally:
            self._end()
        return self

    def _begin(self, train: RowDataset, X_aux: Any, fit_params: dict[str, Any]) -> None:
        self._run = begin_run(self, train, X_aux, fit_params)
        self.class_counts_ = self._run.total_counts
        self._output_kind = self._run.output_kind
        vars(self).pop("g_", None)  # of an earlier run
        if self._run.synthesis is not None:
            # not a component to skorch, which would want it made in an `initialize` method
            vars(self)["g_"] = self._run.synthesis.g_
            self._run.synthesis.join(self)
        if needs_of(unwrapped(self.criterion_)).features:
            self._run.watch = watch_head(self.module_, self._run.head_input)

    def _end(self) -> None:
        if self._run is not None and self._run.watch is not None:
            self._run.watch.remove()
        synthesis = None if self._run is None else self._run.synthesis
        self._run = self._batch_rows = None
        if synthesis is not None:
            synthesis.leave()

    def _begin_epoch(self, train: RowDataset, valid: Any) -> None:
        """Carry out the plan of an epoch, then let callbacks hear of it."""
        run, epoch = self._run, len(self.history)
        run.begin_epoch(self, epoch)
        if run.synthesizing:
            run.synthesis.begin_epoch(epoch, self.max_epochs, valid)
        self.notify("on_epoch_begin", dataset_train=train, dataset_valid=valid)

    def _end_epoch(self, train: RowDataset, valid: Any) -> None:
        """Let callbacks hear of the end, and write the state down."""
        try:
            self.notify("on_epoch_end", dataset_train=train, dataset_valid=valid)
        except KeyboardInterrupt:  # early stopping
            if self._checkpoint is not None:
                self._checkpoint.finish(self)
            raise
        if self._checkpoint is not None and self._is_main:
            self._checkpoint.write(self)

    # why: random layers draw from this net's seed, and a loss that is no number ends training
    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Train or validate for an epoch, with random layers drawing from this net's seed."""
        if iterator is None:
            return
        n_batches = 0
        with global_streams(self._forward_seed(prefix), place_of(self)):
            for batch in iterator:
                self.notify("on_batch_begin", batch=batch, training=training)
                try:
                    step = step_fn(batch, **fit_params)
                except NotFiniteError as err:
                    raise not_finite(self, math.nan, n_batches) from err
                loss = step["loss"].item()
                if training and not self._is_fine(loss):
                    raise not_finite(self, loss, n_batches)
                self.history.record_batch(f"{prefix}_loss", loss)
                self.history.record_batch(f"{prefix}_batch_size", len(batch[1]))
                self._batch_rows = batch[0]
                self.notify("on_batch_end", batch=batch, training=training, **step)
                self._batch_rows = None
                n_batches += 1
        self.history.record(f"{prefix}_batch_count", n_batches)

    def _is_fine(self, loss: float) -> bool:
        """Tell whether training can go on: after a finite loss, or a step that is left out."""
        if math.isfinite(loss):
            return True
        return self._run is not None and self._run.scaler is not None and self._run.overflows()

    def _forward_seed(self, prefix: str) -> Seed:
        """Return the root of random layers in an epoch."""
        epoch = len(self.history) - 1 if self._run is None else self._run.epoch
        return self.seed_.child("forward", prefix, epoch)

    # why: six events a step, of which most callbacks hear none
    def notify(self, method_name, **cb_kwargs):
        """Tell the net and those of its callbacks that listen."""
        if self._run is None:
            super().notify(method_name, **cb_kwargs)
            return
        getattr(self, method_name)(self, **cb_kwargs)
        for callback in self._run.listeners(self.callbacks_, method_name):
            getattr(callback, method_name)(self, **cb_kwargs)

    # why: walking through all layers costs as much as a small step
    def _set_training(self, training=True):
        """Change modes where they are others; parts that a user keeps in another mode stay there."""
        for name in self._modules + self._criteria:
            part = getattr(self, f"{name}_")
            if isinstance(part, nn.Module) and part.training != training:
                part.train(training)

    # ------------------------------------------------------------------ steps

    # why: the batch is rewritten once, where the optimizer may call train_step_single several times
    # and Accelerate's mixin replaces it; in half precision gradients are scaled
    def train_step(self, batch, **fit_params):
        """Augment and synthesize, then take one training step on the batch that came out."""
        rows, y = batch
        if self._run is not None and (isinstance(rows, BatchRows) or self.augment is not None):
            batch = rewrite_batch(self, rows, y)
        if self._run is None or self._run.scaler is None:
            step = super().train_step(batch, **fit_params)
        else:
            step = self._scaled_step(batch, fit_params)
        if len(first_of(step["y_pred"])) > len(
            y
        ):  # rows were appended: scores are of the real ones
            step = {**step, "y_pred": _first_rows(step["y_pred"], len(y))}
        return step

    def _scaled_step(self, batch: Any, fit_params: dict[str, Any]) -> dict[str, Any]:
        """Take a step, unless gradients in half precision have grown too large for one."""
        self.optimizer_.zero_grad()
        step = self.train_step_single(batch, **fit_params)
        self.notify(
            "on_grad_computed",
            named_parameters=list(self.get_all_learnable_params()),
            batch=batch,
            training=True,
        )
        self._run.scaler.step(self.optimizer_)
        self._run.scaler.update()
        return step

    # why: in half precision the network alone is passed so, and losses in single
    def train_step_single(self, batch, **fit_params):
        """Return loss and gradients of a batch."""
        if self.precision == "float32":
            return super().train_step_single(batch, **fit_params)
        self._set_training(True)
        x, y = unpack_data(batch)
        with autocast_of(self):
            y_pred = self.infer(x, **fit_params)
        y_pred = in_single(y_pred)
        loss = self.get_loss(y_pred, y, X=x, training=True)
        scaler = None if self._run is None else self._run.scaler
        if scaler is None:
            loss.backward()
        else:
            scaler.scale(loss).backward()
            scaler.unscale_(self.optimizer_)  # callbacks may look at gradients, and clip them
        return {"loss": loss, "y_pred": y_pred}

    # why: a step has terms, some criteria take features, and NLLLoss takes one of two kinds
    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the loss of a batch: of class indices, or of a step's terms."""
        logits = first_of(y_pred)
        criterion = self.criterion_
        if isinstance(criterion, nn.NLLLoss) and self._output_kind != LOG_PROBABILITIES:
            logits = torch.log(logits + torch.finfo(logits.dtype).eps)  # as skorch does
        features = self._run.head_input[0] if self._run and self._run.head_input else None
        features = in_single(features)
        if isinstance(y_true, StepTarget):
            return step_loss(criterion, logits, y_true, features)
        y_true = y_true.to(logits.device)
        if not getattr(criterion, "needs_features", False):
            return criterion(logits, y_true)
        return criterion(logits, y_true, features) if training else cross_entropy(logits, y_true)

    # ------------------------------------------------------------------ pickles

    # why: networks that only training uses (SAFA's) are larger than the net itself
    def __getstate__(self):
        """Return what a pickle holds: all but what a resampler inside the network has trained."""
        state = vars(self)
        inside = "g_" in state and getattr(self.resampler, "inside_f", False)
        networks = state.pop("g_") if inside else None
        try:
            return super().__getstate__()
        finally:
            if inside:
                state["g_"] = networks

    # ------------------------------------------------------------------ predictions

    def _to_probabilities(self) -> Callable[[Tensor], Tensor]:
        """Return what turns outputs into probabilities."""
        if self._trimmed is not None:
            return self._trimmed
        if self.predict_nonlinearity is None:
            return _identity
        if callable(self.predict_nonlinearity):
            return self.predict_nonlinearity
        return probabilities_by(self.criterion_, self._output_kind)

    # why: probabilities follow from the criterion, which goes
    def trim_for_prediction(self):
        """Drop what only training needs; the net can predict and no more."""
        to_probabilities = self._to_probabilities()
        super().trim_for_prediction()
        self._trimmed = to_probabilities

    def _probabilities(self, X: Any) -> np.ndarray:
        to_probabilities = self._to_probabilities()
        outputs = self.forward_iter(X, training=False)
        return np.concatenate(
            [to_numpy(to_probabilities(in_single(first_of(part)))) for part in outputs]
        )


def _first_rows(output: Any, n: int) -> Any:
    return tuple(part[:n] for part in output) if isinstance(output, tuple) else output[:n]


def _identity(outputs: Tensor) -> Tensor:
    return outputs
