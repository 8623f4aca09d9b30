"""What the classifier does in skorch's hooks: data, epochs, steps, losses."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import numpy as np
import torch
from sklearn.utils._param_validation import validate_parameter_constraints
from skorch.dataset import unpack_data
from skorch.utils import data_from_dataset, is_skorch_dataset
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader

from ltresample._random import Seed, global_streams
from ltresample._torch import unwrapped
from ltresample.rows import TakenRows, row_shape_of
from ltresample.synthesis import LossTerm
from ltresample.training._architecture import default_module, shape_arguments
from ltresample.training._criterion import StepTarget, logit_scale, step_loss
from ltresample.training._data import BatchRows, FetchedBatches, RowDataset, as_it_is
from ltresample.training._device import (
    autocast_of,
    check_precision,
    in_single,
    place_of,
    place_of_rows,
)
from ltresample.training._holdout import split_rows
from ltresample.training._index_samplers import IndexBatches
from ltresample.training._net import ParameterNet
from ltresample.training._opening import Opened, encoded, open_rows
from ltresample.training._resume import (
    checkpoint_path,
    read,
    restore_callbacks,
    restore_net,
    restore_online,
    write,
)
from ltresample.training._run import Run, begin_run, watch_head

__all__ = ["TrainingNet"]


class TrainingNet(ParameterNet):
    """Base of the classifier: skorch's template with rows, deferral and synthesis in its hooks."""

    _run: Run | None = None
    _saved: dict[str, Any] | None = None
    _row_shape: tuple[int, ...] | None = None
    _double: bool = False
    _is_main: bool = True  # of several processes, the one that writes and shows

    # ------------------------------------------------------------------ parameters and shapes

    def _check_parameters(self) -> None:
        given = {k: v for k, v in vars(self).items() if k in self._parameter_constraints}
        validate_parameter_constraints(self._parameter_constraints, given, type(self).__name__)
        if self.class_weight is not None and self.rebalance == "reweight":
            raise ValueError(
                "class_weight and rebalance='reweight' both set the class weights of the loss. Got "
                f"class_weight={self.class_weight!r}. Leave one of them out."
            )
        check_precision(self)

    def _learn_shape(self, x: Any, labels: np.ndarray) -> None:
        """Note the classes and the shape of a row: what the network is built from."""
        classes = np.unique(labels)
        if len(classes) < 2:
            raise ValueError(
                f"y must hold at least two classes. Got one class, {classes.tolist()}, in "
                f"{len(labels)} rows. There is nothing to learn from one class."
            )
        self.classes_inferred_ = classes
        self._row_shape = row_shape_of(x)
        self._double = str(getattr(x, "dtype", "")).endswith("float64")

    def initialize_module(self) -> TrainingNet:
        """Build the network from the shape of the data, or copy the one that was given."""
        settings = self.get_params_for("module")
        with global_streams(self.seed_.child("module"), self.device):
            module = self._built(settings)
        if self._row_shape is not None and len(self._row_shape) == 3:
            module = module.to(memory_format=torch.channels_last)  # convolutions are faster so
        self.module_ = module if self.dtype is None else module.to(self.dtype)
        return self

    def _built(self, settings: dict[str, Any]) -> nn.Module:
        if isinstance(self.module, nn.Module) and not settings:
            return copy.deepcopy(self.module)
        known = {}
        if self._row_shape is not None:
            known = (self._row_shape, len(self.classes_))
        if self.module is not None:
            told = shape_arguments(self.module, *known) if known else {}
            return self.initialized_instance(self.module, {**told, **settings})
        if not known:
            raise ValueError(
                "module=None is built from the shape of the data, which is not known yet. Call fit, "
                "or pass a module."
            )
        if getattr(self.criterion, "needs_cosine_head", False):
            settings = {"head": "cosine", **settings}
        module = default_module(*known, **settings)
        on_cpu = self.device is not None and torch.device(self.device).type == "cpu"
        return module.double() if self._double and on_cpu and len(self._row_shape) == 1 else module

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

    def get_dataset(self, X, y=None):
        """Return rows to predict as a data set; data sets as they are."""
        if isinstance(X, RowDataset):
            return X
        return RowDataset(TakenRows(open_rows(self, X), dtype=self._row_dtype()))

    def get_split_datasets(self, X, y=None, **split_params):
        """Split real rows into a training and a validation part, before anything is resampled."""
        train, valid = split_rows(X, self.train_split, self.seed_.child("split"), **split_params)
        if valid is not None and not isinstance(valid, RowDataset) and is_skorch_dataset(valid):
            x, labels = data_from_dataset(valid)
            valid = self._dataset_of(Opened(open_rows(self, x), np.asarray(labels), None, None))
        return train, valid

    def get_iterator(self, dataset, training=False):
        """Return a loader of batches: those of the run where it trains, else the rows in order."""
        if not isinstance(dataset, RowDataset):
            return super().get_iterator(dataset, training)
        settings = self.get_params_for("iterator_train" if training else "iterator_valid")
        size = settings.pop("batch_size", self.batch_size)
        drop_last = settings.pop("drop_last", False)
        if training and self._run is not None:
            batches = self._run.batches
            batches.drop_last = drop_last
        else:
            size = max(len(dataset), 1) if size == -1 else size
            batches = IndexBatches(range(len(dataset)), size, drop_last=drop_last)
        if not settings and not self._needs_loader():
            return FetchedBatches(dataset, batches)
        settings.setdefault("generator", Seed(0).child("workers").torch())
        return DataLoader(dataset, batch_sampler=batches, collate_fn=as_it_is, **settings)

    def _needs_loader(self) -> bool:
        """Tell whether batches have to come from a loader of PyTorch's: Accelerate takes these."""
        return hasattr(self, "accelerator")

    # ------------------------------------------------------------------ epochs

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Take up an interrupted run, before callbacks look at the history."""
        super().on_train_begin(net, X=X, y=y, **kwargs)
        if self.checkpoint_dir is not None and not len(self.history):
            self._saved = read(checkpoint_path(self, X), self.device)
            if self._saved is not None:
                restore_net(self, self._saved)

    def fit_loop(self, X, y=None, epochs=None, *, X_aux=None, _routing_method="fit", **fit_params):
        """Split, prepare, and train epoch by epoch.

        Parameters
        ----------
        X : RowDataset
            Rows with labels.
        y : None
            Of no meaning.
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
        epochs = self.max_epochs if epochs is None else epochs
        train, valid = self.get_split_datasets(X)
        try:
            self._begin(train, X_aux)
            loaders = self.get_iterator(train, training=True), None
            if valid is not None:
                loaders = loaders[0], self.get_iterator(valid, training=False)
            self._run.loader = loaders[0]
            if self._saved is not None:
                epochs = max(0, epochs - len(self.history))
                restore_callbacks(self, self._saved)
                restore_online(self, self._saved)
            for _ in range(epochs):
                self._one_epoch(X, loaders, fit_params, dataset_train=train, dataset_valid=valid)
        finally:
            self._end()
        return self

    def _begin(self, train: RowDataset, X_aux: Any) -> None:
        self._run = begin_run(self, train, X_aux)
        self.class_counts_ = self._run.counts
        if self._run.synthesis is not None:
            # not a component to skorch, which would want it made in an `initialize` method
            vars(self)["g_"] = self._run.synthesis.g_
            self._run.synthesis.join(self)
        if getattr(unwrapped(self.criterion_), "needs_features", False):
            self._run.watch = watch_head(self.module_, self._run.head_input)

    def _end(self) -> None:
        if self._run is not None and self._run.watch is not None:
            self._run.watch.remove()
        synthesis = None if self._run is None else self._run.synthesis
        self._run = self._saved = None
        if synthesis is not None:
            synthesis.leave()

    def _one_epoch(self, dataset: RowDataset, loaders, fit_params, **datasets) -> None:
        self.notify("on_epoch_begin", **datasets)
        for loader, prefix, step in zip(
            loaders, ("train", "valid"), (self.train_step, self.validation_step), strict=True
        ):
            training = prefix == "train"
            self.run_single_epoch(
                loader, training=training, prefix=prefix, step_fn=step, **fit_params
            )
        self.notify("on_epoch_end", **datasets)
        if self.checkpoint_dir is not None and self._is_main:
            write(self, checkpoint_path(self, dataset))

    def on_epoch_begin(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Set the stream of rows, class weights and learning rate of the epoch."""
        super().on_epoch_begin(net, dataset_train, dataset_valid, **kwargs)
        self._run.begin_epoch(self, len(self.history) - 1)
        if self._run.synthesizing:
            self._run.synthesis.begin_epoch(self._run.epoch, self.max_epochs, dataset_valid)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """Train or validate for an epoch, with random layers drawing from this net's seed."""
        if iterator is None:
            return
        n_batches = 0
        with global_streams(self._forward_seed(prefix), place_of(self)):
            for batch in iterator:
                self.notify("on_batch_begin", batch=batch, training=training)
                step = step_fn(batch, **fit_params)
                self.history.record_batch(f"{prefix}_loss", step["loss"].item())
                self.history.record_batch(f"{prefix}_batch_size", len(batch[1]))
                self.notify("on_batch_end", batch=batch, training=training, **step)
                n_batches += 1
        self.history.record(f"{prefix}_batch_count", n_batches)

    def _forward_seed(self, prefix: str) -> Seed:
        """Return the root of random layers in an epoch."""
        return self.seed_.child("forward", prefix, self._run.epoch)

    def notify(self, method_name, **cb_kwargs):
        """Tell the net and those of its callbacks that listen."""
        if self._run is None:
            super().notify(method_name, **cb_kwargs)
            return
        getattr(self, method_name)(self, **cb_kwargs)
        for callback in self._run.listeners(self.callbacks_, method_name):
            getattr(callback, method_name)(self, **cb_kwargs)

    def _set_training(self, training=True):
        """Change modes where they are others; parts that a user keeps in another mode stay there."""
        for name in self._modules + self._criteria:
            part = getattr(self, f"{name}_")
            if isinstance(part, nn.Module) and part.training != training:
                part.train(training)

    # ------------------------------------------------------------------ steps

    def train_step(self, batch, **fit_params):
        """Augment and synthesize, then take one training step on the batch that came out.

        Synthesis stands here and not in ``train_step_single``, which an optimizer may call several
        times and which Accelerate's mixin replaces.
        """
        rows, y = batch
        if isinstance(rows, BatchRows) or self.augment is not None:
            batch = self._rewritten(rows, y)
        return super().train_step(batch, **fit_params)

    def train_step_single(self, batch, **fit_params):
        """Return loss and gradients of a batch; in half precision only the network is passed so."""
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

    def _step_optimizer(self, step_fn):
        """Take a step, unless gradients in half precision have grown too large for one."""
        if self._run is None or self._run.scaler is None:
            super()._step_optimizer(step_fn)
            return
        step_fn()
        self._run.scaler.step(self.optimizer_)
        self._run.scaler.update()

    def _rewritten(self, rows: Tensor | BatchRows, y: Tensor) -> tuple[Tensor, Any]:
        run = self._run
        x, index, weight = rows if isinstance(rows, BatchRows) else (rows, None, None)
        place = place_of(self)
        x, y = x.to(place), y.to(place)
        seed = run.step_seed()
        if self.augment is not None:
            x = self.augment(x, seed.child("augment").torch())
        if not run.synthesizing:
            return x, StepTarget([LossTerm(slice(None), y)], weight)
        made = run.synthesis(x, y, seed=seed, index=index)
        self.history.record_batch("n_requested", made.n_requested)
        self.history.record_batch("n_accepted", made.n_accepted)
        return made.x, StepTarget(made.terms, None if made.weighted else weight)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the loss of a batch: of class indices, or of a step's terms."""
        logits = y_pred[0] if isinstance(y_pred, tuple) else y_pred
        criterion = self.criterion_
        if isinstance(criterion, nn.NLLLoss):  # skorch: such a module gives probabilities
            logits = torch.log(logits + torch.finfo(logits.dtype).eps)
        features = self._run.head_input[0] if self._run and self._run.head_input else None
        features = in_single(features)
        if isinstance(y_true, StepTarget):
            return step_loss(criterion, logits, y_true, features)
        y_true = y_true.to(logits.device)
        if not getattr(criterion, "needs_features", False):
            return criterion(logits, y_true)
        return criterion(logits, y_true, features) if training else cross_entropy(logits, y_true)

    def _get_predict_nonlinearity(self):
        if isinstance(self.criterion_, nn.NLLLoss):
            return lambda probabilities: probabilities
        scale = logit_scale(unwrapped(self.criterion_))
        return partial(_probabilities, scale=scale)


def _probabilities(logits: Tensor, scale: float) -> Tensor:
    return (scale * logits).softmax(-1)
