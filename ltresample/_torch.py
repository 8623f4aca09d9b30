"""The border to PyTorch: devices, arrays and the modes of modules. The only file that says "cuda"."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor, nn

__all__ = [
    "as_tensor",
    "drop_mapped_pages",
    "evaluating",
    "free_bytes",
    "pick_device",
    "to_numpy",
    "unwrapped",
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


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the user's own module out of the wrappers of DistributedDataParallel and compile."""
    while True:
        if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
            module = module.module
        elif hasattr(module, "_orig_mod"):
            module = module._orig_mod
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
