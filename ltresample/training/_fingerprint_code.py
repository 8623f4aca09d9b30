"""What functions and classes are made of, for the fingerprint of a run: code, and what it refers to.

Each function adds a value to a total, which is a hash with ``say(*words)`` and ``add(value)``.
"""

from __future__ import annotations

import dis
import functools
import hashlib
import os
import site
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["CODE_KINDS", "package_root"]

PACKAGE = "ltresample"
OF_NO_MATTER = {  # of a class
    *("__dict__", "__weakref__", "__doc__", "__module__", "__annotations__", "__annotate_func__"),
    *("__firstlineno__", "__static_attributes__", "__qualname__", "__slotnames__"),
}


def package_root() -> Path:
    """Return the folder of this package."""
    return Path(sys.modules[PACKAGE].__file__).parent


def _add_code(total: Any, value: types.CodeType) -> None:
    total.say("code", value.co_code, *value.co_names, *value.co_varnames, value.co_flags)
    for constant in value.co_consts:
        total.add(constant)


def _add_function(total: Any, value: types.FunctionType) -> None:
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


def _add_class(total: Any, value: type) -> None:
    total.say("class", value.__module__, value.__qualname__)
    if _is_library(value):
        _add_library(total, value)
        return
    total.add(value.__bases__)
    for name, part in sorted(vars(value).items()):
        if name not in OF_NO_MATTER and not name.startswith("_abc"):
            total.say(name)
            total.add(part)


def _add_method(total: Any, value: types.MethodType) -> None:
    total.say("method")
    total.add([value.__func__, value.__self__])


def _add_wrapped(total: Any, value: Any) -> None:
    total.say(type(value).__name__)
    total.add(value.__func__)


def _add_property(total: Any, value: property) -> None:
    total.say("property")
    total.add([value.fget, value.fset])


def _add_partial(total: Any, value: functools.partial) -> None:
    total.say("partial")
    total.add([value.func, value.args, value.keywords])


def _add_built_in(total: Any, value: Any) -> None:
    total.say(type(value).__name__, value.__name__)
    if not isinstance(value.__self__, types.ModuleType):
        total.add(value.__self__)


@functools.cache
def _library_roots() -> tuple[str, ...]:
    paths = sysconfig.get_paths()
    roots = [paths["stdlib"], paths["purelib"], paths["platlib"], *site.getsitepackages()]
    roots.append(str(package_root()))
    return tuple(os.path.realpath(root) + os.sep for root in roots)


def _is_library(value: Any) -> bool:
    """Return whether a function, class or module comes with Python, a package, or this one."""
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


def _add_library(total: Any, value: Any) -> None:
    """Add what comes with a package: its name, and the file in which it stands."""
    total.say(value.__module__, value.__qualname__, _file_hash(value.__module__))


@functools.cache
def _file_hash(module: str) -> str:
    file = _file_of(module) or ""
    is_source = file.endswith(".py") and not module.startswith(
        PACKAGE
    )  # which is hashed as a whole
    return hashlib.sha256(Path(file).read_bytes()).hexdigest() if is_source else ""


CODE_KINDS: list[tuple[Any, Callable[[Any, Any], None]]] = [
    (type, _add_class),
    (types.FunctionType, _add_function),
    (types.MethodType, _add_method),
    ((staticmethod, classmethod), _add_wrapped),
    (property, _add_property),
    (functools.partial, _add_partial),
    (types.CodeType, _add_code),
    ((types.BuiltinFunctionType, types.MethodWrapperType), _add_built_in),
    (types.ModuleType, lambda total, value: total.say("module", value.__name__)),
]
