"""Going on after an interruption: what a run writes down after each epoch, and takes up again."""

from __future__ import annotations

import hashlib
import os
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ltresample._random import Seed
from ltresample._torch import unwrapped
from ltresample.training._data import RowDataset

__all__ = ["checkpoint_path", "read", "restore_callbacks", "restore_net", "restore_online", "write"]

PLAIN = (bool, int, float, str, type(None))
WITHOUT_INFLUENCE = {"checkpoint_dir", "verbose", "device", "rows_on_device"}
N_LOOKED_AT = 64  # rows that enter the fingerprint


def checkpoint_path(net: Any, dataset: RowDataset) -> Path:
    """Name the file of a run: one for each combination of parameters and data."""
    return Path(net.checkpoint_dir) / f"{_fingerprint(net, dataset)}.pt"


def _fingerprint(net: Any, dataset: RowDataset) -> str:
    """Tell runs apart by their parameters, all labels, and some of the rows."""
    digest = hashlib.sha256()
    for name, value in sorted(net.get_params(deep=True).items()):
        if name not in WITHOUT_INFLUENCE:
            digest.update(f"{name}={_without_addresses(value)};".encode())
    if dataset.y is not None:
        digest.update(str(dataset.y.tolist()).encode())
    at = np.linspace(0, len(dataset) - 1, min(N_LOOKED_AT, len(dataset))).astype(np.int64)
    digest.update(np.ascontiguousarray(dataset.rows.gather(at).cpu().numpy()).tobytes())
    if dataset.weight is not None:
        digest.update(dataset.weight.numpy().tobytes())
    return digest.hexdigest()[:24]


def _without_addresses(value: Any) -> str:
    if isinstance(value, torch.nn.Module):
        weights = [p.detach().cpu().double().sum().item() for p in value.state_dict().values()]
        return f"{value!r}{weights}"
    if isinstance(value, np.ndarray):
        some = value[:: max(1, len(value) // N_LOOKED_AT)] if value.ndim else value
        return f"{value.dtype}{value.shape}{zlib.crc32(np.ascontiguousarray(some))}"
    return re.sub(r" at 0x[0-9a-f]+", "", repr(value))


def write(net: Any, path: Path) -> None:
    """Write the state after an epoch; the file is whole at any moment."""
    state = {
        "seed": list(net.seed_),
        "module": unwrapped(net.module_).state_dict(),
        "optimizer": net.optimizer_.state_dict(),
        "criterion": net.criterion_.state_dict() if hasattr(net.criterion_, "state_dict") else {},
        "history": _plain(net.history.to_list()),
        "callbacks": {name: _plain_state(callback) for name, callback in net.callbacks_},
    }
    if net._run.synthesis is not None:
        state["online"] = net._run.synthesis.state_dict()
    if net._run.scaler is not None:
        state["scaler"] = net._run.scaler.state_dict()
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    torch.save(state, unfinished)
    unfinished.replace(path)


def read(path: Path, device: Any) -> dict[str, Any] | None:
    """Read what `write` wrote; None where there is nothing."""
    if not path.exists():
        return None
    return torch.load(path, map_location=device or "cpu", weights_only=True)


def restore_net(net: Any, state: dict[str, Any]) -> None:
    """Put seed, network, optimizer and history back."""
    entropy, path = state["seed"]
    net.seed_ = Seed(entropy, tuple(path))
    unwrapped(net.module_).load_state_dict(state["module"])
    net.optimizer_.load_state_dict(state["optimizer"])
    if hasattr(net.criterion_, "load_state_dict"):
        net.criterion_.load_state_dict(state["criterion"], strict=False)
    net.history.clear()
    net.history.extend(state["history"])


def restore_online(net: Any, state: dict[str, Any]) -> None:
    """Put back what a resampler trains beside the network, and the scale of losses."""
    if "online" in state:
        net._run.synthesis.load_state_dict(state["online"])
    if "scaler" in state:
        net._run.scaler.load_state_dict(state["scaler"])


def restore_callbacks(net: Any, state: dict[str, Any]) -> None:
    """Put back what callbacks had learned, such as the patience that is left."""
    net.optimizer_.load_state_dict(state["optimizer"])  # schedulers set rates when training begins
    for name, callback in net.callbacks_:
        for key, value in state["callbacks"].get(name, {}).items():
            part = getattr(callback, key, None)
            if hasattr(part, "load_state_dict"):
                part.load_state_dict(value)
            else:
                setattr(callback, key, value)


def _plain(value: Any) -> Any:
    """Return lists, dictionaries and numbers without NumPy's types, which a safe file does not hold."""
    if isinstance(value, dict):
        return {key: _plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return value.item() if isinstance(value, np.generic) else value


def _plain_state(callback: Any) -> dict[str, Any]:
    """Return the learned attributes of a callback that can be written down."""
    state = {}
    for key, value in vars(callback).items():
        if not key.endswith("_") or isinstance(value, type):
            continue
        if hasattr(value, "state_dict"):
            state[key] = value.state_dict()
        elif isinstance(value, (*PLAIN, np.generic)):
            state[key] = _plain(value)
    return state
