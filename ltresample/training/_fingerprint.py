"""What a run is made of, as one number: all bytes of data and settings, and the code behind them."""

from __future__ import annotations

import functools
import hashlib
import io
import logging
import os
import random
import sys
import types
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from scipy import sparse
from skorch import NeuralNet
from skorch.callbacks import Callback
from torch import Tensor, nn
from torch.utils.data import Dataset as TorchDataset

from ltresample._torch import unwrapped
from ltresample.training._data import RowDataset
from ltresample.training._fingerprint_code import CODE_KINDS, package_root

__all__ = ["fingerprint_of", "hash_of"]

WITHOUT_INFLUENCE = {
    "checkpoint_dir",
    "verbose",
    "device",
    "rows_on_device",
    "cuda_graphs",
    "callbacks",
}
CHUNK = 4096  # rows that are hashed together
PLAIN = (bool, int, float, complex, str, bytes, type(None), types.EllipsisType)
BY_CLASS = {"builtins", "accelerate", "tqdm"}  # iterators, handles


def fingerprint_of(net: Any, dataset: RowDataset, X_aux: Any, fit_params: dict[str, Any]) -> str:
    """Return what tells runs apart: a hash of everything that has an influence on their result.

    Rows, labels, sample weights, open-set samples and validation sets by all their bytes; settings,
    callbacks and networks by their values; functions and classes of the user by their code, with
    what they refer to; the root seed; this package by its source, NumPy and PyTorch by their
    versions. A run that goes on from an earlier one is told by the weights that it starts from.

    Parameters
    ----------
    net : DeferredRebalancingClassifier
        Initialized.
    dataset : RowDataset
        All rows, before the split.
    X_aux, fit_params : object
        What else was passed to ``fit``.
    """
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, 20_000))  # functions refer to functions, parts hold parts
    try:
        return _fingerprint_of(net, dataset, X_aux, fit_params)
    finally:
        sys.setrecursionlimit(limit)


def _fingerprint_of(net: Any, dataset: RowDataset, X_aux: Any, fit_params: dict[str, Any]) -> str:
    total = _Hasher()
    total.add([_package(), np.__version__, torch.__version__, sys.version_info[:2]])
    settings = {
        name: value
        for name, value in vars(net).items()
        if name in net._get_param_names()
        and name not in WITHOUT_INFLUENCE
        and name != "random_state"
    }
    total.add(sorted(settings.items()))
    total.add([(name, callback) for name, callback in net.callbacks_])
    total.add([X_aux, fit_params])
    _add_rows(total, dataset)
    started = len(net.history) > 0
    total.add([net.random_state is None, started])
    if net.random_state is not None:
        total.add(tuple(net.seed_))
    if started or net.random_state is not None:
        total.add([unwrapped(net.module_).state_dict(), net.optimizer_.state_dict()])
    return total.digest()


def hash_of(value: Any) -> str:
    """Return a hash of a value of any kind, the same in all processes.

    Examples
    --------
    >>> hash_of([1, 2.0, "a"]) == hash_of([1, 2.0, "a"])
    True
    >>> hash_of(lambda x: x + 1) == hash_of(lambda x: x + 2)
    False
    """
    total = _Hasher()
    total.add(value)
    return total.digest()


def _add_rows(total: _Hasher, dataset: RowDataset) -> None:
    """Add all rows as they came in, labels, weights and positions."""
    total.add([dataset.y, dataset.weight, dataset.index])
    raw = dataset.rows.raw()
    total.add(raw)
    if not isinstance(raw, TorchDataset):
        return
    # items may come from files; what is drawn at random anew each time tells nothing
    few = np.arange(min(4, len(dataset)))
    if torch.equal(dataset.rows.gather(few), dataset.rows.gather(few)):
        for start in range(0, len(dataset), CHUNK):
            _add_tensor(
                total, dataset.rows.gather(np.arange(start, min(start + CHUNK, len(dataset))))
            )


@functools.cache
def _package() -> str:
    """Return a hash of this package's source."""
    files = sorted(package_root().rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


class _Hasher:
    """A hash that values are added to, each by a hash of its own: circles end, and equal is equal."""

    def __init__(self):
        self.total = hashlib.sha256()
        self.known: dict[int, bytes] = {}  # hashes of objects by their id
        self.inside: dict[int, int] = {}  # objects that are being added, and how deep they stand
        self.kept: list[Any] = []  # an id is free again when its object is gone

    def digest(self) -> str:
        return self.total.hexdigest()[:24]

    def say(self, *words: Any) -> None:
        """Add words and bytes, each with its length."""
        for word in words:
            data = word if isinstance(word, bytes) else str(word).encode()
            self.total.update(f"{len(data)}:".encode())
            self.total.update(data)

    def add(self, value: Any) -> None:
        """Add a value of any kind."""
        self.say(self.hash(value))

    def hash(self, value: Any) -> bytes:
        """Return the hash of a value: that of the first kind that it is of."""
        if isinstance(value, PLAIN):
            return hashlib.sha256(f"{type(value).__name__}{value!r}".encode()).digest()
        key = id(value)
        if key in self.inside:
            return f"circle {len(self.inside) - self.inside[key]}".encode()
        if key not in self.known:
            outer, self.total = self.total, hashlib.sha256()
            self.inside[key] = len(self.inside)
            add = next((add for kind, add in KINDS if isinstance(value, kind)), _add_object)
            add(self, value)
            del self.inside[key]
            self.known[key], self.total = self.total.digest(), outer
            self.kept.append(value)
        return self.known[key]


# ---------------------------------------------------------------------- numbers and containers


def _add_array(total: _Hasher, value: np.ndarray) -> None:
    total.say("array", value.dtype.str if value.dtype.names is None else value.dtype, value.shape)
    if value.dtype.hasobject:
        for item in value.ravel().tolist():
            total.add(item)
        return
    for start in range(0, len(value) if value.ndim else 1, CHUNK):
        part = value[start : start + CHUNK] if value.ndim else value
        total.total.update(np.ascontiguousarray(part).view(np.uint8).data if part.size else b"")


def _add_tensor(total: _Hasher, value: Tensor) -> None:
    total.say("tensor", value.dtype, value.requires_grad, type(value).__name__)
    value = value.detach()
    value = value.to_dense() if value.layout != torch.strided else value
    flat = value.cpu().contiguous().reshape(-1)
    total.say(tuple(value.shape))
    if flat.numel():
        total.total.update(flat.view(torch.uint8).numpy().data)


def _add_sparse(total: _Hasher, value: Any) -> None:
    value = value.tocsr()
    total.add([value.shape, value.data, value.indices, value.indptr])


def _add_sequence(total: _Hasher, value: list[Any] | tuple[Any, ...]) -> None:
    total.say(type(value).__name__, len(value))
    for item in value:
        total.add(item)


def _add_random_state(total: _Hasher, value: np.random.RandomState) -> None:
    total.say("RandomState")
    total.add(list(value.get_state()))


def _add_repr(total: _Hasher, value: Any) -> None:
    total.say(type(value).__name__, repr(value))


# ---------------------------------------------------------------------- objects


def _add_module(total: _Hasher, value: nn.Module) -> None:
    """Add a network: class, settings, weights, buffers, parts, hooks."""
    total.add(type(value))
    total.say(value.training)
    total.add(list(value._parameters.items()) + list(value._buffers.items()))
    total.add(list(value._modules.items()))
    total.add([list(value._forward_hooks.values()), list(value._forward_pre_hooks.values())])
    total.add({k: v for k, v in vars(value).items() if not k.startswith("_")})


def _add_callback(total: _Hasher, value: Callback) -> None:
    """Add a callback's class and settings; what it has learned has a trailing underscore."""
    total.add(type(value))
    total.add({k: v for k, v in vars(value).items() if not k.endswith("_")})


def _add_net(total: _Hasher, value: NeuralNet) -> None:
    """Add a net that was given, as a guide for example: settings and weights."""
    total.add(type(value))
    total.add({k: v for k, v in vars(value).items() if k in value._get_param_names()})
    total.add(vars(value).get("module_"))


def _add_object(total: _Hasher, value: Any) -> None:
    """Add an object's class and what it holds; what cannot be read, such as a lock, by its class."""
    total.add(type(value))
    if type(value).__module__.partition(".")[0] in BY_CLASS:
        return
    try:
        reduced = value.__reduce_ex__(2)
    except TypeError:
        return
    if isinstance(reduced, str):
        total.say(reduced)
        return
    _, args, *others = reduced
    total.add(args)
    total.add(others[0] if others else None)
    for items in others[1:3]:
        total.add(list(items or ()))


KINDS: list[tuple[Any, Callable[[_Hasher, Any], None]]] = [
    (Tensor, _add_tensor),
    (np.ndarray, _add_array),
    (np.generic, lambda total, value: _add_array(total, np.asarray(value))),
    (np.random.RandomState, _add_random_state),
    (np.random.Generator, lambda total, value: total.add(value.bit_generator.state)),
    (torch.Generator, lambda total, value: total.add(value.get_state())),
    (random.Random, lambda total, value: total.add(value.getstate())),
    ((torch.dtype, torch.device, np.dtype, range, slice, bytearray), _add_repr),
    (os.PathLike, _add_repr),
    ((sparse.spmatrix, sparse.sparray), _add_sparse),
    (nn.Module, _add_module),
    (NeuralNet, _add_net),
    (Callback, _add_callback),
    *CODE_KINDS,
    (
        (logging.Logger, io.IOBase),
        lambda total, value: total.say(type(value).__name__, getattr(value, "name", "")),
    ),
    ((list, tuple), _add_sequence),
    # in no order
    (Mapping, lambda total, value: total.say("mapping", *sorted(map(total.hash, value.items())))),
    ((set, frozenset), lambda total, value: total.say("set", *sorted(map(total.hash, value)))),
]
