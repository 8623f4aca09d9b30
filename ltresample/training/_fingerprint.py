"""What a run is made of, as one number: all bytes of data and settings, and the code behind them."""

from __future__ import annotations

import dis
import functools
import hashlib
import io
import logging
import os
import random
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping
from pathlib import Path
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

__all__ = ["fingerprint_of", "hash_of"]

WITHOUT_INFLUENCE = {"checkpoint_dir", "verbose", "device", "rows_on_device", "callbacks"}
CHUNK = 4096  # rows that are hashed together
PACKAGE = "ltresample"
PLAIN = (bool, int, float, complex, str, bytes, type(None), types.EllipsisType)
OF_NO_MATTER = {  # of a class
    *("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__annotate_func__"),
    *("__firstlineno__", "__static_attributes__", "__qualname__", "__slotnames__"),
}
BY_CLASS = {"builtins", "accelerate", "tqdm"}  # iterators, handles


def fingerprint_of(net: Any, dataset: RowDataset, X_aux: Any, fit_params: dict[str, Any]) -> str:
    """Tell runs apart by everything that has an influence on their result.

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
    files = sorted(_root().rglob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()


def _root() -> Path:
    return Path(sys.modules[PACKAGE].__file__).parent


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


# ---------------------------------------------------------------------- code


def _add_code(total: _Hasher, value: types.CodeType) -> None:
    total.say("code", value.co_code, *value.co_names, *value.co_varnames, value.co_flags)
    for constant in value.co_consts:
        total.add(constant)


def _add_function(total: _Hasher, value: types.FunctionType) -> None:
    total.say("function", value.__name__)
    if _is_library(value):
        _add_library(total, value)
    else:
        total.add(value.__code__)
        total.add(_referred(value.__code__, value.__globals__))
    total.add([value.__defaults__, value.__kwdefaults__])
    for cell in value.__closure__ or ():
        total.add(_content(cell))


def _content(cell: types.CellType) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _referred(code: types.CodeType, names: Mapping[str, Any]) -> list[Any]:
    """Return what a function's code takes from its module: helpers, classes, constants."""
    found = []
    for name in _global_names(code):
        if name not in names:
            continue
        value = names[name]
        if isinstance(value, types.ModuleType):
            if not _is_library(value):
                parts = [vars(value)[n] for n in code.co_names if n in vars(value)]
                found += [(name, part) for part in parts]
        else:
            found.append((name, value))
    return found


def _global_names(code: types.CodeType) -> list[str]:
    """List the global names that a code object and those in it load, in order."""
    names = [
        i.argval for i in dis.get_instructions(code) if i.opname in ("LOAD_GLOBAL", "LOAD_NAME")
    ]
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            names += _global_names(constant)
    return list(dict.fromkeys(names))


def _add_class(total: _Hasher, value: type) -> None:
    total.say("class", value.__module__, value.__qualname__)
    if _is_library(value):
        _add_library(total, value)
        return
    total.add(value.__bases__)
    for name, part in sorted(vars(value).items()):
        if name not in OF_NO_MATTER and not name.startswith("_abc"):
            total.say(name)
            total.add(part)


def _add_method(total: _Hasher, value: types.MethodType) -> None:
    total.say("method")
    total.add([value.__func__, value.__self__])


def _add_wrapped(total: _Hasher, value: Any) -> None:
    total.say(type(value).__name__)
    total.add(value.__func__)


def _add_property(total: _Hasher, value: property) -> None:
    total.say("property")
    total.add([value.fget, value.fset])


def _add_partial(total: _Hasher, value: functools.partial) -> None:
    total.say("partial")
    total.add([value.func, value.args, value.keywords])


def _add_built_in(total: _Hasher, value: Any) -> None:
    total.say(type(value).__name__, value.__name__)
    if not isinstance(value.__self__, types.ModuleType):
        total.add(value.__self__)


@functools.cache
def _library_roots() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    roots = [paths["stdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()]
    roots.append(str(_root()))
    return tuple(os.path.realpath(root) + os.sep for root in roots)


def _is_library(value: Any) -> bool:
    """Tell whether a function, class or module comes with Python, a package, or this one."""
    if isinstance(value, types.FunctionType):
        return os.path.realpath(value.__code__.co_filename).startswith(_library_roots())
    name = value.__name__ if isinstance(value, types.ModuleType) else value.__module__
    root = (name or "").partition(".")[0]
    if root == "__main__":
        return False
    file = _file_of(root)
    is_there = file is not None and os.path.realpath(file).startswith(_library_roots())
    return is_there or root in sys.stdlib_module_names


def _file_of(module: str | None) -> str | None:
    return getattr(sys.modules.get(module), "__file__", None)


def _add_library(total: _Hasher, value: Any) -> None:
    """Add what comes with a package: its name, and the file in which it stands."""
    total.say(value.__module__, value.__qualname__, _file_hash(value.__module__))


@functools.cache
def _file_hash(module: str) -> str:
    file = _file_of(module) or ""
    is_source = file.endswith(".py") and not module.startswith(
        PACKAGE
    )  # which is hashed as a whole
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if is_source else ""


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
    (type, _add_class),
    (types.FunctionType, _add_function),
    (types.MethodType, _add_method),
    ((staticmethod, classmethod), _add_wrapped),
    (property, _add_property),
    (functools.partial, _add_partial),
    (types.CodeType, _add_code),
    ((types.BuiltinFunctionType, types.MethodWrapperType), _add_built_in),
    (types.ModuleType, lambda total, value: total.say("module", value.__name__)),
    (
        (logging.Logger, io.IOBase),
        lambda total, value: total.say(type(value).__name__, getattr(value, "name", "")),
    ),
    ((list, tuple), _add_sequence),
    # in no order
    (Mapping, lambda total, value: total.say("mapping", *sorted(map(total.hash, value.items())))),
    ((set, frozenset), lambda total, value: total.say("set", *sorted(map(total.hash, value)))),
]
