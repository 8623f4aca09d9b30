"""The border to PyTorch: devices, arrays and the modes of modules. The only file that says "cuda"."""

from __future__ import annotations

import functools
import mmap
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, ParamSpec, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "LateNumber",
    "as_tensor",
    "drop_mapped_pages",
    "evaluating",
    "exact_product",
    "free_bytes",
    "in_full_precision",
    "pick_device",
    "sent",
    "to_numpy",
    "unwrapped",
]

P = ParamSpec("P")
R = TypeVar("R")

STAGED = 2**16  # bytes that CUDA copies from ordinary memory without waiting

# Kinds of devices whose autocast may be on.
_AUTOCAST = ("cpu", "cuda", "mps", "xpu")
_MATMULS = [
    backend.matmul
    for backend in (torch.backends.cuda, torch.backends.mkldnn)
    if hasattr(backend, "matmul") and hasattr(backend.matmul, "fp32_precision")
]


def pick_device(device: str | torch.device | None) -> torch.device:
    """Turn a `device` parameter into a device.

    Parameters
    ----------
    device : str, torch.device or None
        None stands for the CPU; "auto" for the first accelerator that works, else the CPU.

    Returns
    -------
    torch.device
        A device that exists here.

    Raises
    ------
    ValueError
        If PyTorch does not know the name, or the device is not on this machine.
    """
    if device is None:
        return torch.device("cpu")
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        found = torch.device(device)
        torch.empty(0, device=found)
    except (RuntimeError, AssertionError) as err:
        reason = str(err).splitlines()[0]
        raise ValueError(
            f"device={device!r} cannot be used here: {reason}. "
            "Pass 'cpu', 'auto' or the name of an accelerator that this PyTorch build supports."
        ) from None
    return found


def free_bytes(device: torch.device) -> int:
    """Return the memory that is free on a device; 0 where it cannot tell, as the CPU cannot."""
    module = None if device.type == "cpu" else torch.get_device_module(device)
    return module.mem_get_info(device)[0] if hasattr(module, "mem_get_info") else 0


def in_full_precision(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function computed in the type of its data, whatever the settings outside.

    Autocast would compute costs in half precision, where differences of cosines drown; TF32 and its
    kin round what goes into a matrix product to ten bits, so that marginals of a transport plan are
    off by 1e-4 while their error is reported as 1e-8. Both are given back as they were. The second
    is a setting of the whole process, which other threads see while the function runs.

    Examples
    --------
    >>> square = lambda x: float(x @ x)
    >>> x = torch.tensor([1.0009765625])  # 1 + 2^-10 has more bits than bfloat16
    >>> with torch.autocast("cpu"):
    ...     round(square(x), 6), round(in_full_precision(square)(x), 6)
    (1.0, 1.001954)
    """

    @functools.wraps(function)
    def exact(*args: P.args, **kwargs: P.kwargs) -> R:
        kinds = [kind for kind in _AUTOCAST if torch.is_autocast_enabled(kind)]
        if not kinds and not _products_are_rounded():
            return function(*args, **kwargs)
        with ExitStack() as stack:
            for kind in kinds:
                stack.enter_context(torch.autocast(kind, enabled=False))
            _keep_products_exact(stack)
            return function(*args, **kwargs)

    return exact


def _products_are_rounded() -> bool:
    if _MATMULS:  # from PyTorch 2.9 on
        return any(matmul.fp32_precision not in ("ieee", "none") for matmul in _MATMULS)
    return torch.get_float32_matmul_precision() != "highest"


def _keep_products_exact(stack: ExitStack) -> None:
    """Switch the rounding of factors off until the stack is left."""
    # From PyTorch 2.9 on each backend has a setting of its own, and the common one cannot be read
    # while it contradicts theirs; both are changed together, so that they never do because of us.
    own = [matmul for matmul in _MATMULS if matmul.fp32_precision != "none"]
    for matmul in own:
        stack.callback(setattr, matmul, "fp32_precision", matmul.fp32_precision)
    try:
        common = torch.get_float32_matmul_precision()
    except RuntimeError:
        common = "highest"  # what was never set
    if common != "highest":
        stack.callback(torch.set_float32_matmul_precision, common)
        torch.set_float32_matmul_precision("highest")
    for matmul in own:
        matmul.fp32_precision = "ieee"


@in_full_precision
def exact_product(a: Tensor, b: Tensor) -> Tensor:
    """Return ``a @ b``, computed in the type of the data, and later its gradient likewise.

    `in_full_precision` alone does not reach a gradient, which is asked for when it is over.

    Examples
    --------
    >>> a = torch.tensor([[1.0]], requires_grad=True)
    >>> with torch.autocast("cpu"):
    ...     exact_product(a, torch.tensor([[1.0009765625]])).backward()
    >>> a.grad
    tensor([[1.0010]])
    """
    if torch.is_grad_enabled() and (a.requires_grad or b.requires_grad):
        return _ExactProduct.apply(a, b)
    return a @ b


class _ExactProduct(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor) -> Tensor:
        ctx.save_for_backward(a, b)
        return a @ b

    @staticmethod
    @in_full_precision
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None]:
        a, b = ctx.saved_tensors
        by_a, by_b = ctx.needs_input_grad
        return (
            (gradient @ b.mT).sum_to_size(a.shape) if by_a else None,
            (a.mT @ gradient).sum_to_size(b.shape) if by_b else None,
        )


def as_tensor(
    x: np.ndarray | Tensor, *, dtype: torch.dtype | None = None, device: torch.device | None = None
) -> Tensor:
    """Return `x` as a detached tensor; read-only arrays are copied, others may share memory."""
    if isinstance(x, Tensor):
        return x.detach().to(device=device, dtype=dtype)
    x = np.asarray(x)
    if not x.flags.writeable or any(stride < 0 for stride in x.strides):
        x = x.copy()
    return torch.from_numpy(x).to(device=device, dtype=dtype)


def sent(x: Tensor, device: torch.device) -> Tensor:
    """Return a tensor on a device, without waiting for what the device is still at.

    From ordinary memory CUDA copies more than 64 KiB only when everything before is done; from pinned
    memory it copies in the order of the stream. The pinned block is kept until the copy is over. Metal
    reads the source when it comes to it, so that there the processor waits.
    """
    if device.type == "cuda" and x.device.type == "cpu" and x.nbytes > STAGED:
        x = x.pin_memory()
    return x.to(device, non_blocking=device.type != "mps")


class LateNumber:
    """A number of a device on its way to the processor: `read` waits for it, not for what came later.

    ``tensor.item()`` waits for all that was queued until then. Here the copy is queued behind what
    gives the number, so that the next step can be queued before it is read.

    Parameters
    ----------
    x : Tensor of one element
        On any device.
    """

    def __init__(self, x: Tensor):
        x, self.event = x.detach(), None
        if x.device.type == "cuda":
            pinned = torch.empty_like(x, device="cpu", pin_memory=True)
            self.told = pinned.copy_(x, non_blocking=True)
            self.event = torch.cuda.Event()
            self.event.record(torch.cuda.current_stream(x.device))
        else:
            self.told = x.clone()

    def read(self) -> float:
        """Return the number."""
        if self.event is not None:
            self.event.synchronize()
        return self.told.item()


def drop_mapped_pages(x: object) -> None:
    """Return the pages of a read-only memory map back, which else stay in memory once they were read.

    They are read again when they are needed. Anything but a NumPy memory map opened with "r", or a
    view of one, is passed over, as are systems that have no such call.
    """
    mapped = False
    while isinstance(x, np.ndarray):
        mapped = mapped or (isinstance(x, np.memmap) and x.mode == "r")
        x = x.base
    if mapped and isinstance(x, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        x.madvise(mmap.MADV_DONTNEED)


def to_numpy(x: Tensor) -> np.ndarray:
    """Return a tensor as an array on the CPU."""
    return x.detach().cpu().numpy()


_PARALLEL = (nn.DataParallel, nn.parallel.DistributedDataParallel)


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the user's own module out of the wrappers of DistributedDataParallel and compile."""
    while True:
        parts = getattr(module, "_modules", ())
        if isinstance(module, _PARALLEL):
            module = module.module
        elif "_orig_mod" in parts:
            module = parts["_orig_mod"]
        else:
            return module


@contextmanager
def evaluating(*modules: nn.Module | None) -> Iterator[None]:
    """Hold modules in evaluation mode without parameter gradients, then give them back as they came.

    Every submodule's own mode and every parameter's own `requires_grad` is restored, also after an
    error. Gradients with respect to inputs still flow.

    Parameters
    ----------
    *modules : nn.Module or None
        None is passed over.
    """
    parts = [part for module in modules if module is not None for part in module.modules()]
    params = [p for module in modules if module is not None for p in module.parameters()]
    modes = [part.training for part in parts]
    grads = [p.requires_grad for p in params]
    try:
        for part in parts:
            part.training = False
        for p in params:
            p.requires_grad_(False)
        yield
    finally:
        for part, mode in zip(parts, modes, strict=True):
            part.training = mode
        for p, grad in zip(params, grads, strict=True):
            p.requires_grad_(grad)
