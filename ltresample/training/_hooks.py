"""Callbacks that are always there: what is written down of each epoch, and what is shown."""

from __future__ import annotations

import logging
import warnings
from typing import Any

import numpy as np
from skorch.callbacks import Callback, PrintLog
from tqdm.auto import tqdm

from ltresample.exceptions import LongTailWarning
from ltresample.metrics import recall_per_class

logger = logging.getLogger(__name__)

__all__ = ["Acceptance", "EpochBar", "EpochTable", "SynthesisRecord", "mean_recall"]

LOW = 0.1  # acceptance rate that is said
LEAST = 20  # requested rows of a run that tell something
ENOUGH = 100  # requested rows that tell it before the run ends


class Acceptance(Callback):
    """Write down what was synthesized in each epoch, and say once a run where it is little.

    The columns are ``share_synthesized``, accepted rows per row of the batches, and
    ``acceptance_rate``, accepted per requested row; NaN where none was requested.
    """

    n_requested_ = n_accepted_ = 0
    said_ = False

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Start a count."""
        self.n_requested_ = self.n_accepted_ = 0
        self.said_ = False

    def record(self, net):
        """Sum up an epoch."""
        batches = [b for b in net.history[-1]["batches"] if "train_batch_size" in b]
        n_rows = sum(b["train_batch_size"] for b in batches)
        requested = sum(b.get("n_requested", 0) for b in batches)
        accepted = sum(b.get("n_accepted", 0) for b in batches)
        net.history.record("share_synthesized", accepted / max(n_rows, 1))
        net.history.record("acceptance_rate", accepted / requested if requested else float("nan"))
        self.n_requested_ += requested
        self.n_accepted_ += accepted
        if self.n_requested_ >= ENOUGH:
            self.judge(net)

    def judge(self, net):
        """Warn, once, if few rows were accepted."""
        low = self.n_accepted_ < LOW * self.n_requested_
        if self.said_ or not low or self.n_requested_ < LEAST:
            return
        self.said_ = True
        warnings.warn(
            f"Few synthetic rows were accepted: {self.n_accepted_} of {self.n_requested_} requested "
            f"({self.n_accepted_ / self.n_requested_:.1%}) up to epoch {len(net.history) - 1}. Real "
            "rows stay in the other slots, so that this is little more than class-balanced sampling. "
            "Lower min_confidence and count_decay of the resampler or raise its step_size, or pass "
            "preset='scaled' on tables. history[:, 'acceptance_rate'] has the rate of each epoch.",
            LongTailWarning,
            stacklevel=2,
        )

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Judge also what was little in number."""
        self.judge(net)


class SynthesisRecord(Acceptance):
    """Write ``share_synthesized`` and ``acceptance_rate`` into the history of each epoch."""

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Record what was made."""
        if net.resampler is not None:
            self.record(net)


class EpochBar(Callback):
    """Show a bar of epochs with the last loss and scores, where ``verbose`` is 1."""

    bar_ = None

    def on_train_begin(self, net, X=None, y=None, **kwargs):
        """Open the bar."""
        shown = net.verbose == 1 and net._is_main
        n = len(net.history)
        n_done = 0 if net._checkpoint is None else net._checkpoint.n_done(net)
        self.bar_ = tqdm(
            total=n - n_done + net.max_epochs, initial=n, disable=not shown, unit="epoch"
        )

    def on_epoch_end(self, net, dataset_train=None, dataset_valid=None, **kwargs):
        """Advance the bar."""
        if net._is_main:
            logger.debug("%s: epoch %d: %s", type(net).__name__, len(net.history), _numbers(net))
        if self.bar_ is None:  # in `fit_loop` alone
            return
        shown = ("train_loss", "valid_bacc", "share_synthesized")
        last = net.history[-1]
        self.bar_.set_postfix({name: f"{last[name]:.3f}" for name in shown if name in last})
        self.bar_.update()

    def on_train_end(self, net, X=None, y=None, **kwargs):
        """Close the bar."""
        if net._is_main and len(net.history):
            seconds = sum(row.get("dur", 0.0) for row in net.history)
            text = "%s: %d epochs took %.2f s; %s"
            logger.info(text, type(net).__name__, len(net.history), seconds, _numbers(net))
        if self.bar_ is not None:
            self.bar_.close()
        self.bar_ = None

    def __getstate__(self):
        return {key: value for key, value in vars(self).items() if key != "bar_"}


def _numbers(net: Any) -> str:
    """Write the numbers of the last epoch."""
    last = net.history[-1]
    return ", ".join(f"{k} {v:.4g}" for k, v in last.items() if isinstance(v, float))


class EpochTable(PrintLog):
    """Print a line for each epoch, where ``verbose`` is 2 or more."""

    def _sink(self, text, verbose):
        super()._sink(text, verbose >= 2)


def mean_recall(net: Any, X: Any, y: Any) -> float:
    """Score: mean recall of the classes that occur in `y`."""
    recalls = recall_per_class(y, net.predict(X), labels=np.unique(y))
    return float(np.nanmean(recalls))
