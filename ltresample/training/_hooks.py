"""Callbacks that are always there: what is written down of each epoch, and what is shown."""

from __future__ import annotations

from typing import Any

import numpy as np
from skorch.callbacks import Callback, PrintLog
from tqdm.auto import tqdm

from ltresample.metrics import recall_per_class

__all__ = ["EpochBar", "EpochTable", "SynthesisRecord", "mean_recall", "record_synthesis"]


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
        shown = net.verbose == 1 and getattr(net, "_is_main", True)
        self.bar_ = tqdm(
            total=net.max_epochs, initial=len(net.history), disable=not shown, unit="epoch"
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
