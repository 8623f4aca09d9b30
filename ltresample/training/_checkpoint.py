"""Going on after an interruption: what a run writes down after each epoch, and takes up again."""

from __future__ import annotations

import logging
import os
import pickle
import time
import types
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from skorch.callbacks import EpochScoring
from torch import Tensor, nn
from tqdm.auto import tqdm

from ltresample._random import Seed
from ltresample._torch import unwrapped
from ltresample.exceptions import LongTailWarning
from ltresample.training._data import RowDataset
from ltresample.training._fingerprint import fingerprint_of
from ltresample.training._modes import held_in_evaluation

__all__ = ["Checkpoint"]

PLAIN = (bool, int, float, str, bytes, type(None))
ARRAY = "__ndarray__"  # marks tensors that were arrays: files are read without running code
CODE = (type, types.FunctionType, types.MethodType, types.BuiltinFunctionType)
OF_AN_EPOCH = {"y_trues_", "y_preds_"}  # what scoring callbacks collect and drop
logger = logging.getLogger(__name__)


class Checkpoint:
    """The file of a run: one for each combination of data, settings and code.

    Parameters
    ----------
    net : DeferredRebalancingClassifier
        Initialized, about to train.
    dataset : RowDataset
        All rows.
    X_aux, fit_params : object
        What else was passed to ``fit``.
    """

    def __init__(self, net: Any, dataset: RowDataset, X_aux: Any, fit_params: dict[str, Any]):
        self.name = fingerprint_of(net, dataset, X_aux, fit_params)
        self.path = Path(net.checkpoint_dir) / f"{self.name}.pt"
        self.n_before = len(net.history)  # epochs that were there already
        self.began = time.time()
        self.state: dict[str, Any] | None = None

    def n_done(self, net: Any) -> int:
        """Return how many epochs of this run are behind."""
        return len(net.history) - self.n_before

    # ------------------------------------------------------------------ taking up

    def take_up(self, net: Any) -> None:
        """Put a net where its run was interrupted, if it was, and say so.

        Raises
        ------
        ValueError
            If the file cannot be read.
        """
        self.state = self._read(net)
        if self.state is None:
            return
        self.restore_net(net)
        text = (
            f"Taking up run {self.name} at epoch {self.n_done(net)} of {net.max_epochs}, from "
            f"{self.path}."
        )
        logger.info(text)
        if net.verbose and net._is_main:
            tqdm.write(text)

    def _read(self, net: Any) -> dict[str, Any] | None:
        if not self.path.exists():
            return None
        try:
            return torch.load(self.path, map_location=net.device or "cpu", weights_only=True)
        except (RuntimeError, EOFError, OSError, ValueError, pickle.UnpicklingError) as err:
            reason = (str(err).splitlines() or [type(err).__name__])[0]
            raise ValueError(
                f"The checkpoint of this run cannot be read: it is cut off or damaged. Got {reason!r} "
                f"from {self.path}. Delete the file to start the run anew."
            ) from err

    def restore_net(self, net: Any) -> None:
        """Put seed, network, optimizer and history back."""
        state = self.state
        entropy, path = state["seed"]
        net.seed_ = Seed(entropy, tuple(path))
        module = unwrapped(net.module_)
        module.load_state_dict(state["module"])
        for name, buffer in module.named_buffers():
            if name in state["buffers"]:
                buffer.copy_(state["buffers"][name])
        for name, p in module.named_parameters():
            p.requires_grad_(name not in state["frozen"])
        net._held = {name: tuple(held) for name, held in state["held"].items()}
        net.module_.eval()  # the next step trains all but the layers that were held
        net.optimizer_.load_state_dict(state["optimizer"])
        if isinstance(net.criterion_, nn.Module):
            net.criterion_.load_state_dict(state["criterion"], strict=False)
        net.history.clear()
        net.history.extend(_decode(state["history"]))

    def restore_rest(self, net: Any) -> None:
        """Put back what callbacks have learned, what a resampler trains, and the scale of losses.

        Raises
        ------
        ValueError
            If a callback makes what it learns in the middle of training.
        """
        state = self.state
        net.optimizer_.load_state_dict(state["optimizer"])  # schedulers set rates at the beginning
        for name, callback in net.callbacks_:
            for key, value in state["callbacks"].get(name, {}).items():
                setattr(callback, key, _decode(value))
            for key, value in state["parts"].get(name, {}).items():
                part = vars(callback).get(key)
                if not _has_state(part):
                    raise ValueError(
                        f"What the callback {name!r} has learned cannot be put back: its {key} is not "
                        f"there yet when training begins. Got {part!r}. Make it in on_train_begin."
                    )
                part.load_state_dict(_decode(value))
        if net._run.synthesis is not None:
            net._run.synthesis.load_state_dict(state["online"])
        if net._run.scaler is not None:
            net._run.scaler.load_state_dict(state["scaler"])

    # ------------------------------------------------------------------ writing

    def write(self, net: Any) -> None:
        """Write the state after an epoch; the file is whole at any moment, also on the disk."""
        state = _encode(_state_of(net))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = self.path.with_suffix(f".{os.getpid()}.part")
        try:
            with unfinished.open("wb") as file:
                torch.save(state, file)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self.path)
        finally:
            unfinished.unlink(missing_ok=True)
        for left in self.path.parent.glob(f"{self.name}.*.part"):  # of processes that were killed
            if left.stat().st_mtime < self.began:
                left.unlink(missing_ok=True)

    def finish(self, net: Any) -> None:
        """Drop the file of a run that is over and that nobody can ask for again: it has no seed."""
        if net.random_state is None and net._is_main:
            self.path.unlink(missing_ok=True)


def _state_of(net: Any) -> dict[str, Any]:
    module, saved = unwrapped(net.module_), unwrapped(net.module_).state_dict()
    run = net._run
    learned = {name: _collect_learned(name, callback) for name, callback in net.callbacks_}
    return {
        "seed": list(net.seed_),
        "module": saved,
        "buffers": {name: b for name, b in module.named_buffers() if name not in saved},
        "frozen": [name for name, p in module.named_parameters() if not p.requires_grad],
        "held": {"module": list(held_in_evaluation(module, net._held.get("module", ())))},
        "optimizer": net.optimizer_.state_dict(),
        "criterion": net.criterion_.state_dict() if isinstance(net.criterion_, nn.Module) else {},
        "history": net.history.to_list(),
        "callbacks": {name: values for name, (values, _) in learned.items()},
        "parts": {name: parts for name, (_, parts) in learned.items()},
        "online": None if run.synthesis is None else run.synthesis.state_dict(),
        "scaler": None if run.scaler is None else run.scaler.state_dict(),
    }


def _has_state(value: Any) -> bool:
    """Return whether a part of a callback, of PyTorch or like its, says and takes up its own state."""
    return hasattr(value, "state_dict") and hasattr(value, "load_state_dict")


def _collect_learned(name: str, callback: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return what a callback has learned (attributes with a trailing underscore): values, and states.

    Functions, classes and what belongs to one epoch are left out; of anything else that cannot be
    written down a user's callback is warned.
    """
    values, parts, lost = {}, {}, []
    for key, value in vars(callback).items():
        caches = isinstance(callback, EpochScoring) and key in OF_AN_EPOCH
        if not key.endswith("_") or caches or isinstance(value, CODE):
            continue
        if _has_state(value):
            parts[key] = value.state_dict()
        elif _can_be_written(value):
            values[key] = value
        else:
            lost.append(key)
    if lost and type(callback).__module__.partition(".")[0] not in ("skorch", "ltresample"):
        warnings.warn(
            f"A checkpoint cannot hold everything that the callback {name!r} has learned: a run that "
            f"goes on will lack {', '.join(lost)}. Keep numbers, strings, arrays, tensors, lists and "
            "dictionaries of these, or objects with state_dict and load_state_dict.",
            LongTailWarning,
            stacklevel=2,
        )
    return values, parts


def _can_be_written(value: Any) -> bool:
    """Return whether a file holds a value that is read without running code."""
    if type(value) in (dict, OrderedDict):
        return all(map(_can_be_written, value)) and all(map(_can_be_written, value.values()))
    if type(value) in (list, tuple, set):
        return all(map(_can_be_written, value))
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biufc"
    return type(value) in PLAIN or isinstance(value, Tensor | np.generic)


def _encode(value: Any) -> Any:
    """Return plain Python in place of NumPy's types, which such a file cannot hold."""
    if isinstance(value, Mapping) and not _holds_tensors(value):
        return {_encode(key): _encode(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(_encode(part) for part in value)
    if isinstance(value, np.ndarray):
        return {ARRAY: torch.from_numpy(value.copy())}
    return value.item() if isinstance(value, np.generic) else value


def _decode(value: Any) -> Any:
    if isinstance(value, dict):
        if set(value) == {ARRAY}:
            return value[ARRAY].cpu().numpy()
        if not _holds_tensors(value):
            return {key: _decode(part) for key, part in value.items()}
    if isinstance(value, list | tuple | set):
        return type(value)(_decode(part) for part in value)
    return value


def _holds_tensors(value: Mapping[Any, Any]) -> bool:
    """Return whether it is the state of a module, which stays what it is."""
    return bool(value) and all(isinstance(part, Tensor) for part in value.values())
