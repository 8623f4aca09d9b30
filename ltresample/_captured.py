"""Passes through a network that are recorded once as CUDA graphs, and then replayed.

A small network on a fast card waits for the processor: each of its kernels is launched from Python, and
takes less time than its launch. A recorded pass is launched as a whole. What is replayed are the same
kernels on the same addresses; results are those of the network itself, but for rounding where rows
were added to fill up a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["CapturedPasses", "Places", "record", "size_of_pass"]

KIND = "cuda"  # of devices that have graphs


def size_of_pass(n: int) -> int:
    """Return the number of rows of the pass that n rows go through: of an octave four, at least 8.

    Examples
    --------
    >>> [size_of_pass(n) for n in (1, 8, 9, 33, 100, 128, 129)]
    [8, 8, 16, 40, 112, 128, 160]
    """
    step = max(8, 1 << max(0, n.bit_length() - 3))
    return -(-n // step) * step


def record(what: Any, sample: Tensor) -> Callable[[Tensor], Any]:
    """Return a module or function as a graph that takes rows of the shape and layout of `sample`.

    Raises
    ------
    ValueError
        If its pass cannot be recorded: it waits for the device, or its Python code depends on values.
    """
    # a cast that is cached would not be part of the graph
    with torch.enable_grad(), torch.autocast(KIND, enabled=False), _fastest_convolutions():
        try:
            return torch.cuda.make_graphed_callables(what, (sample,), allow_unused_input=True)
        except torch.cuda.OutOfMemoryError:
            raise
        except RuntimeError as err:
            raise ValueError(
                "cuda_graphs=True records the passes of the networks, which must not wait for the "
                f"device. Got {type(err).__name__}: {err}. Leave cuda_graphs out, or take out of "
                "forward what looks at values (item, nonzero, boolean indices)."
            ) from err


@contextmanager
def _fastest_convolutions() -> Iterator[None]:
    """Let cuDNN try its algorithms: the one that is found is part of the graph.

    Not where kernels are to be deterministic: the fastest need not be the same another time.
    """
    cudnn = torch.backends.cudnn
    before = cudnn.benchmark
    cudnn.benchmark = not (cudnn.deterministic or torch.are_deterministic_algorithms_enabled())
    try:
        yield
    finally:
        cudnn.benchmark = before


_HOOKS = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")


class Places:
    """What a recorded pass takes from a network: where its parameters and buffers lie, and no hooks.

    Parameters
    ----------
    network : nn.Module or callable
        Anything but a module has none.
    """

    def __init__(self, network: Any):
        is_module = isinstance(network, nn.Module)
        self._tensors = [*network.parameters(), *network.buffers()] if is_module else []
        self._parts = [*network.modules()] if is_module else []
        self._before = self._now()

    def _now(self) -> list[int]:
        return [tensor.data_ptr() for tensor in self._tensors]

    def have_changed(self) -> bool:
        """Return whether one was moved since this was asked before."""
        before, self._before = self._before, self._now()
        return before != self._before

    def have_hooks(self) -> bool:
        """Return whether a layer has hooks, which a recorded pass would pass over."""
        return any(getattr(part, kind) for part in self._parts for kind in _HOOKS)


class CapturedPasses:
    """A network in evaluation mode, with gradients with respect to rows, as recorded passes.

    Parameters
    ----------
    network : callable
        From rows (n, ...) to rows of outputs (n, ...). Where its parameters are moved to other
        memory, passes are recorded anew.

    Raises
    ------
    ValueError
        At a call, if a pass cannot be recorded.

    Notes
    -----
    Rows are filled up with zeros to one of few sizes, see `size_of_pass`. A pass has one place for
    what it computes: gradients are to be taken before the next call with as many rows.

    Examples
    --------
    >>> x = torch.ones(2, 3)
    >>> CapturedPasses(lambda x: 2 * x)(x)  # on the CPU: the network itself
    tensor([[2., 2., 2.],
            [2., 2., 2.]])
    """

    def __init__(self, network: Callable[[Tensor], Tensor]):
        self.network = network
        self._passes: dict[Any, _Pass] = {}
        self._places = Places(network)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the outputs for some rows."""
        if x.device.type != KIND or not len(x) or self._places.have_hooks():
            return self.network(x)
        if self._places.have_changed():
            self._passes.clear()
        half = torch.is_autocast_enabled(KIND), torch.get_autocast_dtype(KIND)
        key = (size_of_pass(len(x)), *x.shape[1:], x.dtype, _is_channels_last(x), *half)
        if key not in self._passes:
            self._passes[key] = _Pass(self.network, x, *half)
        return self._passes[key](x)


class _Pass:
    """A pass with a fixed number of rows."""

    def __init__(self, network: Callable[[Tensor], Tensor], x: Tensor, half: bool, dtype: Any):
        self.size, self.serial = size_of_pass(len(x)), 0
        layout = torch.channels_last if _is_channels_last(x) else torch.contiguous_format

        def passed(rows: Tensor) -> Tensor:
            with torch.autocast(KIND, dtype=dtype, enabled=half, cache_enabled=False):
                return network(rows)

        sample = self._filled(x.detach()).clone(memory_format=layout).requires_grad_()
        self.replay = record(passed, sample)

    def _filled(self, x: Tensor) -> Tensor:
        missing = self.size - len(x)
        return torch.cat([x, x.new_zeros(missing, *x.shape[1:])]) if missing else x

    def __call__(self, x: Tensor) -> Tensor:
        outputs = self.replay(self._filled(x))[: len(x)]
        self.serial += 1
        return _Once.apply(outputs, self)


class _Once(torch.autograd.Function):
    """Copies outputs out of their place, and sees to it that gradients are those of the last pass."""

    @staticmethod
    def forward(ctx: Any, outputs: Tensor, recorded: _Pass) -> Tensor:
        ctx.recorded, ctx.serial = recorded, recorded.serial
        return outputs.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        if ctx.serial != ctx.recorded.serial:
            raise RuntimeError(
                "A recorded pass keeps what its last call computed. Got a gradient of an earlier "
                "call. Take the gradients of a call before the next one."
            )
        return gradient, None


def _is_channels_last(x: Tensor) -> bool:
    """Return whether channels are last."""
    return x.dim() == 4 and x.is_contiguous(memory_format=torch.channels_last)
