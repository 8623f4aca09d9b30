"""What the classifier does in skorch's hooks: data, epochs, steps, losses.

The calls of a fit, from the outside in (file: function)::

    _classifier   fit                        check parameters (_surface), open data, initialize
                                             (_data_net, _network); _checkpoint: a run to take up?
    (skorch)      partial_fit                tell callbacks that training begins and ends
    _net          fit_loop                   split real rows
    _run          begin_run                  counts, units, class weights, _look: look_at, resampler
    _run          begin_epoch                _epoch: epoch_plan -> stream, weights, rate, batch size
    _net          run_single_epoch           batches of positions; sizes into the history, and losses
                                             (_batch_losses: on a device one batch late)
    _net          train_step                 _step: augment; then the resampler's rows and terms:
    synthesis     Step.__call__              request -> draw -> make -> terms, of the method
    (skorch)      train_step -> optimizer    infer -> get_loss -> _step: step_loss; backward, step
    (skorch)      validation_step            the same loss without the weights of `rebalance`
    _hooks        on_epoch_end               scores, share of synthetic rows, bar
    _checkpoint   write                      the state after the epoch
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from skorch.dataset import unpack_data
from skorch.utils import to_numpy
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from ltresample._progress import progress
from ltresample._random import Seed, global_streams
from ltresample.exceptions import NotFiniteError
from ltresample.training._batch_losses import BatchLosses
from ltresample.training._checkpoint import Checkpoint
from ltresample.training._criterion import needs_of, probabilities_by
from ltresample.training._data import BatchRows, RowDataset
from ltresample.training._data_net import DataNet
from ltresample.training._device import place_of
from ltresample.training._look import watch_head
from ltresample.training._modes import held_in_evaluation, train_except
from ltresample.training._network import LOG_PROBABILITIES, first_of
from ltresample.training._run import begin_run, check_epochs
from ltresample.training._step import (
    StepTarget,
    as_trained,
    autocast_of,
    enter,
    in_single,
    not_finite,
    step_loss,
)
from ltresample.training._surface import check_callbacks

__all__ = ["TrainingNet"]


class TrainingNet(DataNet):
    """Base of the classifier: skorch's template with rows, deferral and synthesis in its hooks.

    Each member of skorch's that is replaced says why in its comment.
    """

    _checkpoint: Checkpoint | None = None
    _trimmed: Callable[[Tensor], Tensor] | None = None  # gives probabilities without a criterion
    _is_main: bool = True  # of several processes, the one that writes and shows

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
            check_epochs(self, len(self.history), epochs)
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
        self._output_kind = self._run.look.kind
        vars(self).pop("g_", None)  # of an earlier run
        if self._run.synthesis is not None:
            # not a component to skorch, which would want it made in an `initialize` method
            vars(self)["g_"] = self._run.synthesis.g_
            self._run.synthesis.join(self)
            if self.compile and self._works_inside:
                # code that was compiled for the same class without a hook would pass the hook over
                torch.compiler.reset()
        if self._run.look.head is not None:
            self._run.watch = watch_head(self._run.look.head, self._run.head_input)

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
            # what a pairing needs is fitted when it is first used
            shown = bool(self.verbose) and self._is_main
            with progress(type(self.resampler).__name__, shown=shown):
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
        n_batches, state = 0, vars(self)
        losses = BatchLosses(self, f"{prefix}_loss", self._is_fine if training else None)
        with global_streams(self._forward_seed(prefix), place_of(self)):
            for batch in iterator:
                self.notify("on_batch_begin", batch=batch, training=training)
                try:
                    step = step_fn(batch, **fit_params)
                except NotFiniteError as err:
                    raise not_finite(self, math.nan, n_batches) from err
                losses.add(step["loss"], n_batches)
                self.history.record_batch(f"{prefix}_batch_size", len(batch[1]))
                state["_batch_rows"] = batch[0]  # past skorch's look at each assignment
                self.notify("on_batch_end", batch=batch, training=training, **step)
                state["_batch_rows"] = None
                n_batches += 1
        losses.read()
        self.history.record(f"{prefix}_batch_count", n_batches)

    def _is_fine(self, loss: float) -> bool:
        """Return whether training can go on: after a finite loss, or a step that is left out."""
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

    # why: walking through all layers costs as much as a small step, and layers that a user holds in
    # evaluation mode, such as a frozen batch normalisation, are to stay there after a validation
    def _set_training(self, training=True):
        """Change modes where they are others; layers held in evaluation mode stay there in training."""
        for name in self._modules + self._criteria:
            part = vars(self)[f"{name}_"]
            if not isinstance(part, nn.Module):
                continue
            if not training:
                held = held_in_evaluation(part, self._held.get(name, ()))
                self._held[name] = held  # in place: predicting sets no attribute
                if any(layer.training for layer in part.modules()):
                    part.eval()
            elif not part.training:
                train_except(part, self._held.get(name, ()))

    # ------------------------------------------------------------------ steps

    # why: the batch is rewritten once, where the optimizer may call train_step_single several times
    # and Accelerate's mixin replaces it; in half precision gradients are scaled
    def train_step(self, batch, **fit_params):
        """Augment and synthesize, then take one training step on the batch that came out."""
        rows, y = batch
        if self._run is not None and (isinstance(rows, BatchRows) or self.augment is not None):
            own, made = enter(self, rows, y), None
            if self._run.synthesizing:
                where = {"index": own.index, "y_here": own.y_here}
                made = self._run.synthesis(own.x, own.y, seed=own.seed, **where)
            batch = as_trained(self, own, made)
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

    # why: a pass that is recorded is replayed
    def infer(self, x, **fit_params):
        """Return what the network gives for a batch."""
        captured = None if self._run is None or fit_params else self._run.captured
        output = None if captured is None else captured(x)
        return super().infer(x, **fit_params) if output is None else output

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
        if not needs_of(criterion).features:
            return criterion(logits, y_true)
        return criterion(logits, y_true, features) if training else cross_entropy(logits, y_true)

    # ------------------------------------------------------------------ pickles

    # why: networks that only training uses (SAFA's) are larger than the net itself, and a callback may
    # pickle the net in the middle of a run, which holds the training rows
    def __getstate__(self):
        """Return what a pickle holds: not the run, nor what a resampler inside the network trained."""
        state = vars(self)
        left_out = {"_run", "_batch_rows", "_checkpoint"}
        left_out |= {"g_"} if "g_" in state and self._works_inside else set()
        kept = {name: state.pop(name) for name in left_out & set(state)}
        try:
            return super().__getstate__()
        finally:
            state.update(kept)

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
