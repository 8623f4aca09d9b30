"""DistributedRebalancingClassifier: one training run in several processes, with one result."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from skorch.hf import AccelerateMixin
from skorch.utils import to_tensor
from torch import Tensor, distributed, nn

from ltresample._random import Seed
from ltresample._torch import unwrapped
from ltresample.synthesis import Made
from ltresample.training._classifier import DeferredRebalancingClassifier
from ltresample.training._device import place_of

__all__ = ["DistributedRebalancingClassifier"]


class DistributedRebalancingClassifier(AccelerateMixin, DeferredRebalancingClassifier):
    """Train in several processes, a device each, with the result of a single one.

    `DeferredRebalancingClassifier` on Hugging Face Accelerate, by skorch's mixin. Start the script
    with ``accelerate launch`` or ``torchrun``, and pass the same data in all processes. Every
    process reads the same batches of `batch_size` rows and rewrites them alike; it passes its slice
    of the batch through the network, and the logits of all slices meet before the loss, so that
    every criterion and every resampler sees whole batches. Gradients are summed over processes by
    PyTorch's DistributedDataParallel.

    Parameters
    ----------
    *args, **kwargs : object
        Parameters of `DeferredRebalancingClassifier`. With ``random_state=None`` all processes take
        the root of the first.
    accelerator : accelerate.Accelerator
        Knows processes and devices, and the precision (``mixed_precision="bf16"``).
    device : None
        The accelerator places the network.
    unwrap_after_train : bool, default=True
        Return the network without wrappers after training, for pickling.
    callbacks__print_log__sink : "auto" or callable, default="auto"
        Prints the table of epochs; "auto": in the first process only.

    See Also
    --------
    DeferredRebalancingClassifier : In one process.

    Notes
    -----
    *What is divided.* The forward and backward pass of training and validation, and M2m's steps: all
    processes make the same draw from the whole batch and the same child seed, each moves every n-th
    row of it, and the rows are exchanged. Other synthesis is not divided: transport plans, and the
    distances of distribution matching, join the rows of a batch, so that each process makes the whole
    batch. That is exact and costs no communication, but takes as long as in one process; for
    distribution matching, processes are better used for several seeds. Prediction runs in each process
    alone.

    *What is equal.* Batches, labels, random choices and losses are those of one process; logits and
    gradients differ by rounding. Two things depend on the number of processes: dropout, whose
    masks are drawn by each process for its slice, and batch normalisation, which takes statistics of
    slices unless ``torch.nn.SyncBatchNorm.convert_sync_batchnorm`` was applied to the module. After
    each step all processes have the buffers of the first.

    *The mixin alone.* ``class Net(AccelerateMixin, DeferredRebalancingClassifier)`` is data-parallel
    training as skorch has it: each process has batches of its own, which together are larger by the
    number of processes. `SAFA` needs it, since it draws pairs inside the network.

    A net that holds an accelerator cannot be pickled or checkpointed as a whole; use
    ``save_params``.

    Examples
    --------
    In a script that is started by ``accelerate launch --num_processes 2 script.py``:

    >>> from sklearn.datasets import make_classification
    >>> from ltresample.training import DistributedRebalancingClassifier
    >>> def main():
    ...     from accelerate import Accelerator
    ...     X, y = make_classification(n_samples=300, weights=[0.9], random_state=0)
    ...     net = DistributedRebalancingClassifier(
    ...         rebalance="resample",
    ...         rebalance_start=0.8,
    ...         max_epochs=10,
    ...         accelerator=Accelerator(),
    ...         random_state=0,
    ...     )
    ...     net.fit(X, y)
    ...     net.save_params("params.pt")
    """

    _in_step = False  # whether what passes the network is divided

    def _check_parameters(self) -> None:
        super()._check_parameters()
        if self._works_inside:
            raise ValueError(
                "A resampler inside the network draws from whole batches, and each process passes a "
                f"slice. Got resampler={self.resampler!r}. Use skorch.hf.AccelerateMixin with "
                "DeferredRebalancingClassifier, which gives each process batches of its own."
            )

    def initialize_virtual_params(self) -> None:
        """Draw the root seed, the same in all processes."""
        super().initialize_virtual_params()
        if self._n_processes > 1:
            agreed = [tuple(self.seed_)]
            distributed.broadcast_object_list(agreed, src=0)
            self.seed_ = Seed(*agreed[0])

    def _initialize_accelerator(self) -> DistributedRebalancingClassifier:
        """Wrap network and optimizer; criteria without weights have no gradients to share."""
        if self._wrapped_with_accelerator:
            return self
        if isinstance(self.criterion_, nn.Module):
            self.criterion_.to(self.accelerator.device)
        with self._current_init_context("module"):
            self.module_ = self.accelerator.prepare(self.module_)
        with self._current_init_context("optimizer"):
            self.optimizer_ = self.accelerator.prepare(self.optimizer_)
        self._wrapped_with_accelerator = True
        return self

    def _initialize_callbacks(self) -> DistributedRebalancingClassifier:
        if self.callbacks__print_log__sink == "auto" and self.verbose < 2:
            self.callbacks__print_log__sink = print  # others are written to at any `verbose`
        return super()._initialize_callbacks()

    # ------------------------------------------------------------------ processes

    @property
    def _n_processes(self) -> int:
        return self.accelerator.num_processes

    @property
    def _is_main(self) -> bool:
        return self.accelerator.is_main_process

    def _slices(self, n: int) -> list[slice]:
        """Return the slice of n rows that each process passes; some may be empty."""
        ends = [n * i // self._n_processes for i in range(self._n_processes + 1)]
        return [slice(*pair) for pair in zip(ends, ends[1:], strict=False)]

    def _forward_seed(self, prefix: str) -> Seed:
        seed, rank = super()._forward_seed(prefix), self.accelerator.process_index
        return seed.child("process", rank) if rank else seed

    # ------------------------------------------------------------------ loaders and steps

    def _needs_loader(self) -> bool:
        return False  # batches are divided here, not by a loader of Accelerate's

    def get_iterator(self, dataset, training=False):
        """Return a loader of whole batches, the same in all processes."""
        return super(AccelerateMixin, self).get_iterator(dataset, training)

    def _begin(self, train, X_aux, fit_params):
        self._initialize_accelerator()  # the network of an earlier fit was unwrapped
        super()._begin(train, X_aux, fit_params)
        if self._n_processes > 1 and self._run.synthesis is not None:
            self._run.synthesis.divide(self._made_in_parts)

    @contextmanager
    def _divide_rows(self) -> Iterator[None]:
        self._in_step = self._n_processes > 1
        try:
            yield
        finally:
            self._in_step = False

    def train_step(self, batch, **fit_params):
        """Take one training step on the whole batch, a slice of it in each process."""
        with self._divide_rows():
            step = super().train_step(batch, **fit_params)
        if self._n_processes > 1:
            _same_buffers(unwrapped(self.module_))
        return step

    def validation_step(self, batch, **fit_params):
        """Return the loss of a validation batch, a slice of it in each process."""
        with self._divide_rows():
            return super().validation_step(batch, **fit_params)

    def evaluation_step(self, batch, training=False):
        """Return the output for a batch, in this process alone."""
        return super(AccelerateMixin, self).evaluation_step(batch, training=training)

    def infer(self, x, **fit_params):
        """Pass rows through the network: in a step this process's slice, and gather all outputs."""
        if self._n_processes == 1:
            return super().infer(x, **fit_params)
        wrapped, x = self.module_, to_tensor(x, device=place_of(self))
        module = wrapped if self._in_step and wrapped.training else unwrapped(wrapped)
        if not self._in_step:
            return module(x, **fit_params)
        slices = self._slices(len(x))
        own = slices[self.accelerator.process_index]
        few = x[own] if own.stop > own.start else x[:1]  # all processes take part in a step
        output = module(few, **fit_params)
        if self._run is not None and self._run.head_input:
            self._run.head_input[:] = [self._gather(self._run.head_input[0], slices)]
        if isinstance(output, tuple):
            return tuple(self._gather(part, slices) for part in output)
        return self._gather(output, slices)

    def _gather(self, part: Tensor, slices: list[slice]) -> Tensor:
        """Put the rows of all processes together; gradients flow to those of this one."""
        sizes = [rows.stop - rows.start for rows in slices]
        part = part[: sizes[self.accelerator.process_index]]
        parts = _from_all(part.detach(), sizes)
        parts[self.accelerator.process_index] = part
        return torch.cat(parts)

    def _made_in_parts(self, m: int, make: Callable[[Tensor], Made]) -> Made:
        """Make every n-th of m synthetic rows in this process, and take the others from all."""
        n, rank, place = self._n_processes, self.accelerator.process_index, place_of(self)
        rows = torch.arange(m)
        made, sizes = make(rows[rank::n]), [len(rows[i::n]) for i in range(n)]
        x = made.x.new_zeros((sizes[rank], *made.x.shape[1:]))
        x[made.accepted.to(x.device)] = made.x
        own = made._asdict() | {"accepted": made.accepted.byte(), "x": x}
        whole = {}
        for name, part in own.items():
            if part is None:
                continue
            whole[name] = part.new_empty((m, *part.shape[1:]))
            for i, other in enumerate(_from_all(part.to(place), sizes)):
                whole[name][i::n] = other.to(part.device)
        accepted = whole["accepted"].bool()
        return Made(**whole | {"accepted": accepted, "x": whole["x"][accepted.to(x.device)]})

    def get_loss(self, y_pred, y_true, X=None, training=False):
        """Return the loss of the whole batch; its gradient is this process's part, not a mean."""
        loss = super().get_loss(y_pred, y_true, X=X, training=training)
        if training and self._in_step:  # processes average gradients, which are to be summed
            loss = loss + (self._n_processes - 1) * (loss - loss.detach())
        return loss


def _from_all(part: Tensor, sizes: list[int]) -> list[Tensor]:
    """Return the rows that each process has, of which there are `sizes`."""
    padded = part.new_zeros((max(sizes), *part.shape[1:]))
    padded[: len(part)] = part
    parts = [torch.empty_like(padded) for _ in sizes]
    distributed.all_gather(parts, padded)
    return [other[:size] for other, size in zip(parts, sizes, strict=True)]


def _same_buffers(module: nn.Module) -> None:
    """Take over the statistics of the first process."""
    buffers = [b for b in module.buffers() if b.is_floating_point()]
    if not buffers:
        return
    flat = torch.cat([b.detach().reshape(-1).float() for b in buffers])
    distributed.broadcast(flat, src=0)
    for buffer, part in zip(buffers, flat.split([b.numel() for b in buffers]), strict=True):
        buffer.copy_(part.view_as(buffer))
