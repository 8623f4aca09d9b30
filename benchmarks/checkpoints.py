"""States of trainings between their epochs, as files that are whole at any moment.

A file ``KEY-EPOCH.pt`` holds the state of the training that `benchmarks.trunks` calls KEY after EPOCH
epochs: weights, optimizer, history, what the monitor noted, and with what it was made. The newest of a
key counts. They can be moved to another machine with the records.
"""

from __future__ import annotations

import json
import os
import pickle
import time
import zipfile
from pathlib import Path
from typing import Any

import torch
from skorch.callbacks import Callback

from benchmarks.provenance import package_hash, versions
from benchmarks.units import BudgetOver, Place

__all__ = ["Checkpoints", "read", "restore"]

UNREADABLE = (OSError, EOFError, KeyError, ValueError, RuntimeError, pickle.UnpicklingError)
UNREADABLE += (zipfile.BadZipFile,)


def write(place: Place, key: str, state: dict[str, Any]) -> None:
    """Write a state, and remove older ones of its key."""
    place.folder.mkdir(parents=True, exist_ok=True)
    path = place.folder / f"{key}-{state['epoch']}.pt"
    older = [other for other in place.folder.glob(f"{key}-*.pt") if other != path]
    unfinished = place.folder / f"{path.stem}.{os.getpid()}.part"
    with unfinished.open("wb") as file:
        torch.save({"key": key, **_made_with(), **state}, file)
        os.fsync(file.fileno())
    unfinished.replace(path)
    for other in older:
        other.unlink(missing_ok=True)


def _made_with() -> dict[str, Any]:
    return {"versions": {**versions()}, "package": package_hash()}


def read(path: Path, key: str, device: str) -> dict[str, Any]:
    """Read a state.

    Raises
    ------
    ValueError
        If the file is damaged, belongs to another training, or was made by another version, by other
        sources or on another kind of device: what is then trained on would not be the same run.
    """
    advice = f"Remove {path}, and its epochs are trained again"
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        found = {"key": state["key"], "device": state["device"], "package": state["package"]}
    except UNREADABLE as err:
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        raise ValueError(f"{path} is no whole checkpoint: {reason[:200]}. {advice}.") from None
    if found["key"] != key:
        raise ValueError(f"{path} belongs to another training, {found['key']}. {advice}.")
    if found["device"] != _kind(device):
        raise ValueError(
            f"{path} was written by a training on {found['device']}. Got --device {device}. Go on "
            f"there, or: {advice}."
        )
    now = _made_with()
    if state["versions"] != now["versions"]:
        told = [f"{k} {v}" for k, v in state["versions"].items() if v != now["versions"].get(k)]
        here = [f"{k} {v}" for k, v in now["versions"].items() if v != state["versions"].get(k)]
        raise ValueError(
            f"{path} was written with {', '.join(told)}. Got {', '.join(here)}. Go on with the same "
            f"versions, or: {advice}."
        )
    if found["package"] != now["package"]:
        raise ValueError(
            f"{path} was written by other sources of ltresample, {found['package']}. Got "
            f"{now['package']}. {advice}."
        )
    return state


def _kind(device: str) -> str:
    return device.partition(":")[0]


class Checkpoints(Callback):
    """Write the state of a training down now and then, and stop it when the time is up.

    It has to come after the monitor in the list of callbacks.

    Parameters
    ----------
    place : Place
        Where, how often, until when.
    key : str
        Of the training.
    last : int
        Epochs after which it ends.
    monitor : Monitor
        Scores the epochs.
    spent : dict
        Seconds of training, and processor seconds in all, before it begins.
    may_cut : bool
        Whether the training can be taken up between any two epochs.
    keep_last : bool
        Whether the last state is wanted by other trainings.
    """

    def __init__(self, place, key, last, monitor, spent, *, may_cut=True, keep_last=False):
        self.place = place
        self.key = key
        self.last = last
        self.monitor = monitor
        self.spent = spent
        self.may_cut = may_cut
        self.keep_last = keep_last

    def on_train_begin(self, net: Any, **kwargs: Any) -> None:
        """Start the clocks."""
        self.began = self.written = self.epoch_began = time.time()
        self.busy, self.scored = time.process_time(), self.monitor.seconds
        self.slowest = 0.0

    def on_epoch_begin(self, net: Any, **kwargs: Any) -> None:
        """Note when the epoch begins."""
        self.epoch_began = time.time()

    def on_batch_end(self, net: Any, **kwargs: Any) -> None:
        """Stop in the middle of an epoch if there is no other way to end in time."""
        if self.place.deadline is not None and time.time() > self.place.deadline:
            raise BudgetOver(len(net.history) - 1)

    def on_epoch_end(self, net: Any, **kwargs: Any) -> None:
        """Write the state if it is time, or the last one; stop if the next epoch would not fit."""
        epoch, now = len(net.history), time.time()
        self.slowest = max(self.slowest, now - self.epoch_began)
        ends = epoch == self.last
        over = not ends and not self._fits_another(now)
        due = self.may_cut and (over or now - self.written >= self.place.every)
        if (ends and self.keep_last) or (due and not ends):
            write(self.place, self.key, self._state(net))
            self.written = time.time()
        if over and self.may_cut:
            raise BudgetOver(epoch)

    def _fits_another(self, now: float) -> bool:
        deadline = self.place.deadline
        return deadline is None or now + 1.2 * self.slowest < deadline

    def _state(self, net: Any) -> dict[str, Any]:
        criterion = net.criterion_
        epochs = [{**epoch, "batches": []} for epoch in net.history]
        return {
            "epoch": len(net.history),
            "device": _kind(str(net.device or "cpu")),
            "module": net.module_.state_dict(),
            "optimizer": net.optimizer_.state_dict(),
            "criterion": criterion.state_dict() if isinstance(criterion, torch.nn.Module) else {},
            "history": json.dumps(epochs, default=lambda value: value.item()),
            "monitor": self.monitor.state(),
            "spent": self.so_far(),
        }

    def so_far(self) -> dict[str, float]:
        """Return the seconds of training, and processor seconds, from the first epoch on."""
        scoring = self.monitor.seconds - self.scored
        training = time.time() - self.began - scoring
        busy = time.process_time() - self.busy
        return {"training": self.spent["training"] + training, "cpu": self.spent["cpu"] + busy}


def restore(net: Any, monitor: Any, state: dict[str, Any]) -> None:
    """Put a net that was made ready, and its monitor, into a state."""
    net.module_.load_state_dict(state["module"])
    net.optimizer_.load_state_dict(state["optimizer"])
    if isinstance(net.criterion_, torch.nn.Module):
        net.criterion_.load_state_dict(state["criterion"], strict=False)
    net.history.clear()
    net.history.extend(json.loads(state["history"]))
    if monitor is not None:
        monitor.restore(state["monitor"])
