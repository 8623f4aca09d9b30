"""An accelerator that is not there: to count what a step waits for, without one.

Tensors on it say that they live on the device "meta", compute on the CPU, and refuse what a real
accelerator refuses: to be mixed with tensors of the CPU, to become NumPy arrays, to draw from a CPU
generator, and, under `torch.use_deterministic_algorithms`, what has no deterministic kernel. Matrix
products round their factors to TF32 where PyTorch is set so. Each wait (a copy to the CPU, `item`,
`nonzero`, a boolean index, ...) and each copy to the device is counted, with the line of the package
that causes it. A copy to the device waits, too, if it is large and blocks: CUDA stages 64 KiB from
ordinary memory, and images are smaller here, so that large begins at `LARGE` bytes.

    with emulated_device() as log:
        step(log.put(x), log.put_module(network))
    print(log.report())

Not CUDA: streams, memory and the bits of most kernels are the CPU's. But a step that waits k times
here waits k times there.
"""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode, return_and_correct_aliasing
from torch.utils._pytree import tree_flatten, tree_map

DEVICE = torch.device("meta")
LARGE = 2**13  # bytes

# The size of what comes out is known on the device only, or it is a number for the processor.
_WAITING = {
    "_linalg_check_errors",
    "_linalg_eigh",
    "_linalg_svd",
    "_local_scalar_dense",
    "_unique2",
    "bincount",
    "equal",
    "histc",
    "is_nonzero",
    "masked_select",
    "nonzero",
    "repeat_interleave",
    "unique_consecutive",
    "unique_dim",
}
_INDEXING = {"index", "index_put", "index_put_", "_index_put_impl_", "_unsafe_index"}
_PRODUCTS = {"mm": 0, "bmm": 0, "addmm": 1, "baddbmm": 1}  # which arguments are no factors
# Without a deterministic kernel on CUDA, as the documentation of PyTorch lists them.
_NOT_DETERMINISTIC = {
    "_adaptive_avg_pool2d_backward",
    "histc",
    "kthvalue",
    "max_unpool2d",
    "median",
    "reflection_pad2d_backward",
    "scatter_reduce",
}


class _Emulated(torch.Tensor):
    """A tensor of the device; `inner` holds its numbers on the CPU."""

    inner: Tensor
    __torch_function__ = torch._C._disabled_torch_function_impl

    @staticmethod
    def __new__(cls, inner: Tensor, requires_grad: bool = False) -> _Emulated:
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            layout=inner.layout,
            device=DEVICE,
            requires_grad=requires_grad,
        )
        made.inner = inner
        return made

    def __init__(self, inner: Tensor, requires_grad: bool = False) -> None:
        pass

    def __repr__(self) -> str:
        return f"on the emulated device: {self.inner!r}"

    def __deepcopy__(self, memo: dict) -> _Emulated:
        made = _Emulated(self.inner.clone(), self.requires_grad)
        if getattr(self, "_is_param", False):
            made._is_param = True
        memo[id(self)] = made
        return made

    @property
    def data(self) -> Tensor:
        return self.detach()

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, _Emulated) or value.shape != self.shape:
            raise RuntimeError("The emulated device takes data of the same shape, and of its own.")
        self.inner = value.inner

    def tolist(self) -> list:
        _log().wait("tolist")
        return self.inner.tolist()

    def numpy(self, *args: Any, **kwargs: Any) -> Any:
        raise TypeError("can't convert emulated device tensor to numpy. Use Tensor.cpu() first.")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _dispatch(func, args, kwargs or {})


class DeviceLog:
    """What happened on the device: waits and copies to it, each with the line that caused it."""

    def __init__(self) -> None:
        self.waits: Counter[tuple[str, str]] = Counter()
        self.copies: Counter[tuple[str, str]] = Counter()
        self._by_rooms: Counter[frozenset[str]] = Counter()

    @property
    def n_waits(self) -> int:
        """How often the processor waited."""
        return self.waits.total()

    def n_waits_outside(self, room: str) -> int:
        """How often it waited for anything but what a room of the package had asked for."""
        return sum(n for rooms, n in self._by_rooms.items() if room not in rooms)

    def clear(self) -> None:
        """Forget what was before the step that is looked at."""
        self.waits.clear(), self.copies.clear(), self._by_rooms.clear()

    def wait(self, kind: str) -> None:
        frames = _frames()
        self.waits[kind, _line(frames)] += 1
        self._by_rooms[frozenset(_name(frame).partition("/")[0] for frame in frames)] += 1

    def copy(self, kind: str) -> None:
        self.copies[kind, _line(_frames())] += 1

    def report(self) -> str:
        """Return one line for each kind of wait at each place, the most frequent first."""
        return "\n".join(
            f"{n:6d}  {kind:22s} {line}" for (kind, line), n in self.waits.most_common()
        )

    @staticmethod
    def put(x: Tensor) -> Tensor:
        """Return a tensor of the device; nothing is counted."""
        return _Emulated(x.detach().clone())

    def put_module(self, module: nn.Module) -> nn.Module:
        """Move a module there, in place; nothing is counted."""
        for part in module.modules():
            for name, p in part._parameters.items():
                if p is not None:
                    part._parameters[name] = nn.Parameter(self.put(p), p.requires_grad)
            for name, b in part._buffers.items():
                if b is not None:
                    part._buffers[name] = self.put(b)
        return module


def on_cpu(x: Tensor) -> Tensor:
    """Return the numbers of a tensor; nothing is counted."""
    return _inner(x.detach())


_logs: list[DeviceLog] = []


def _log() -> DeviceLog:
    return _logs[-1]


def _frames() -> list[traceback.FrameSummary]:
    """Return the lines of the package that are being run, the innermost last."""
    return [
        frame
        for frame in traceback.extract_stack()
        if "/ltresample/" in frame.filename and not frame.filename.endswith("/_torch.py")
    ]


def _name(frame: traceback.FrameSummary) -> str:
    return frame.filename.rpartition("/ltresample/")[2]


def _line(frames: list[traceback.FrameSummary]) -> str:
    if not frames:
        return "outside of the package"
    return f"{_name(frames[-1])}:{frames[-1].lineno} {(frames[-1].line or '')[:76]}"


def _inner(x: Any) -> Any:
    return x.inner if isinstance(x, _Emulated) else x


def _outer(x: Any) -> Any:
    return _Emulated(x) if isinstance(x, Tensor) and not isinstance(x, _Emulated) else x


def _is_here(device: Any) -> bool:
    return device is not None and torch.device(device).type == DEVICE.type


def _dispatch(func: Any, args: Any, kwargs: Any) -> Any:
    name = func.overloadpacket.__name__
    if name == "_to_copy":
        return _moved(func, args, kwargs)
    if name == "copy_":
        return _copied(*args[:2])
    if _is_here(kwargs.get("device")):
        return _made_here(func, args, kwargs)
    tensors = [t for t in tree_flatten((args, kwargs))[0] if isinstance(t, Tensor)]
    here = [t for t in tensors if isinstance(t, _Emulated)]
    if not here:
        return func(*args, **kwargs)
    _refuse_mixed(func, name, args, [t for t in tensors if not isinstance(t, _Emulated)])
    _refuse_generator(kwargs)
    _refuse_undetermined(name, args)
    _count(name, args)
    out = func(*_rounded(name, tree_map(_inner, args)), **tree_map(_inner, _without_device(kwargs)))
    if kwargs.get("device") is not None:  # made like one of the device, but elsewhere
        return out
    out = tree_map(_outer, out)
    if func.is_view or func._schema.is_mutable:
        return return_and_correct_aliasing(func, args, kwargs, out)
    return out


def _without_device(kwargs: dict) -> dict:
    kept = {key: value for key, value in kwargs.items() if key != "pin_memory"}
    if kept.get("device") is not None:
        kept["device"] = torch.device("cpu")
    return kept


def _moved(func: Any, args: Any, kwargs: Any) -> Any:
    source = isinstance(args[0], _Emulated)
    target = source if kwargs.get("device") is None else _is_here(kwargs["device"])
    if source and not target:
        _log().wait("copy to the CPU")
    elif target and not source:
        _log().copy("copy to the device")
        if args[0].nbytes > LARGE and not kwargs.get("non_blocking"):
            _log().wait("large copy to the device")
    out = func(*tree_map(_inner, args), **_without_device(kwargs))
    return _Emulated(out) if target else out


def _copied(target: Tensor, source: Tensor) -> Tensor:
    if isinstance(source, _Emulated) and not isinstance(target, _Emulated):
        _log().wait("copy to the CPU")
    elif isinstance(target, _Emulated) and not isinstance(source, _Emulated) and source.dim():
        _log().copy("copy to the device")
    _inner(target).copy_(_inner(source))
    return target


def _made_here(func: Any, args: Any, kwargs: Any) -> Any:
    _refuse_generator(kwargs)
    out = func(*tree_map(_inner, args), **tree_map(_inner, _without_device(kwargs)))
    return tree_map(_outer, out)


def _refuse_mixed(func: Any, name: str, args: Any, elsewhere: list[Tensor]) -> None:
    """Numbers of the CPU may go into an operation, and so may an index; nothing else may."""
    arrays = [t for t in elsewhere if t.dim()]
    if not arrays:
        return
    values = args[2] if name.startswith(("index_put", "_index_put")) else None
    fits = isinstance(values, _Emulated) or values is None or not values.dim()
    if name in _INDEXING and isinstance(args[0], _Emulated) and fits:
        _log().copy("index to the device")
        return
    shapes = [tuple(t.shape) for t in arrays]
    raise RuntimeError(
        f"Expected all tensors to be on the same device. {func} got some of the CPU, of shapes "
        f"{shapes}, at {_line(_frames())}"
    )


def _refuse_generator(kwargs: Any) -> None:
    if kwargs.get("generator") is not None:
        raise RuntimeError("Expected a generator of the emulated device. Got one of the CPU.")


def _refuse_undetermined(name: str, args: Any) -> None:
    if not torch.are_deterministic_algorithms_enabled():
        return
    summed = name in ("cumsum", "cumsum_") and args[0].is_floating_point()
    weighed = name == "bincount" and len(args) > 1 and args[1] is not None
    if summed or weighed or name in _NOT_DETERMINISTIC:
        raise RuntimeError(
            f"{name} does not have a deterministic implementation. At {_line(_frames())}"
        )


def _count(name: str, args: Any) -> None:
    if name in _WAITING:
        _log().wait({"_local_scalar_dense": "item", "_unique2": "unique"}.get(name, name))
    if name not in _INDEXING:
        return
    masks = [i for i in args[1] if i is not None and i.dtype in (torch.bool, torch.uint8)]
    # a number of the CPU is filled in under a mask, without a list of where that is
    filled = "put" in name and len(args[1]) == 1 and not isinstance(args[2], _Emulated)
    if masks and not (filled and args[2].numel() == 1):
        _log().wait("boolean index")


def _rounded(name: str, args: Any) -> Any:
    """Return the arguments of a matrix product with factors of ten bits, where PyTorch asks for it."""
    if name not in _PRODUCTS or not _rounds_products():
        return args
    return tuple(
        _to_ten_bits(x) if i >= _PRODUCTS[name] and isinstance(x, Tensor) else x
        for i, x in enumerate(args)
    )


def _rounds_products() -> bool:
    matmul = torch.backends.cuda.matmul
    if hasattr(matmul, "fp32_precision"):
        return matmul.fp32_precision == "tf32"
    return matmul.allow_tf32


def _to_ten_bits(x: Tensor) -> Tensor:
    if x.dtype != torch.float32:
        return x
    bits = x.contiguous().view(torch.int32)
    return ((bits + 0x1000) & ~0x1FFF).view(torch.float32)


class _Mode(TorchDispatchMode):
    """Takes up what is made on the device out of nothing."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return _dispatch(func, args, kwargs or {})


class _Autocast(torch.autocast):
    def __init__(self, device_type: str, *args: Any, **kwargs: Any) -> None:
        super().__init__("cpu" if device_type == DEVICE.type else device_type, *args, **kwargs)


class _Generator(torch.Generator):
    def __new__(cls, device: Any = "cpu") -> _Generator:
        return super().__new__(cls, "cpu" if _is_here(device) else device)


def _from_host(make: Any, kind: str) -> Any:
    """Return `torch.tensor` or `torch.as_tensor` for lists, numbers and arrays, too."""

    def made(data: Any, *args: Any, device: Any = None, **kwargs: Any) -> Tensor:
        if not _is_here(device) or isinstance(data, Tensor):
            return make(data, *args, device=device, **kwargs)
        _log().copy(kind)
        return _Emulated(make(data, *args, **kwargs).clone())

    return made


def _no_streams() -> SimpleNamespace:
    """Stand in for `torch.cuda`: there are no generators of the device to lend, and memory is free."""
    return SimpleNamespace(
        get_rng_state=torch.get_rng_state,
        set_rng_state=torch.set_rng_state,
        mem_get_info=lambda device=None: (2**40, 2**40),
        synchronize=lambda device=None: None,
    )


@contextmanager
def emulated_device() -> Iterator[DeviceLog]:
    """Let there be an accelerator of the name "meta"."""
    log, module_of = DeviceLog(), torch.get_device_module
    overwrites = torch.__future__.get_overwrite_module_params_on_conversion()
    with ExitStack() as stack:
        for name, other in {
            "autocast": _Autocast,
            "tensor": _from_host(torch.tensor, "torch.tensor"),
            "as_tensor": _from_host(torch.as_tensor, "torch.as_tensor"),
            "get_device_module": lambda d=None: _no_streams() if _is_here(d) else module_of(d),
            "Generator": _Generator,
        }.items():
            stack.enter_context(patch.object(torch, name, other))
        torch.__future__.set_overwrite_module_params_on_conversion(True)
        stack.callback(torch.__future__.set_overwrite_module_params_on_conversion, overwrites)
        _logs.append(log)
        stack.callback(_logs.pop)
        stack.enter_context(_Mode())
        yield log
