"""The loss of each batch, into the history; on an accelerator one batch later."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from skorch import NeuralNet
from skorch.callbacks import EpochScoring
from torch import Tensor

from ltresample._torch import LateNumber
from ltresample.training._device import place_of
from ltresample.training._step import not_finite

__all__ = ["BatchLosses", "may_come_late"]

IN_A_STEP = ("on_batch_begin", "on_batch_end", "on_grad_computed")


def may_come_late(net: Any) -> bool:
    """Return whether nobody looks at the loss of a batch before the next one is on its way.

    Whoever listens within an epoch may look at the history; skorch's `EpochScoring` does not. In half
    precision the loss decides whether the step counts.
    """
    run = net._run
    if run is None or run.scaler is not None or place_of(net).type == "cpu":
        return False
    if any(getattr(type(net), e) is not getattr(NeuralNet, e) for e in IN_A_STEP):
        return False
    heard = [c for event in IN_A_STEP for c in run.listeners(net.callbacks_, event)]
    return all(isinstance(callback, EpochScoring) for callback in heard)


class _Waiting(NamedTuple):
    """A loss that is not read yet."""

    loss: LateNumber
    entry: dict[str, Any]  # of the batch, in the history
    step: int


class BatchLosses:
    """Write losses into the history, and end a training whose loss is no number.

    To read the loss of a batch means to wait for all that an accelerator has been given. Read when
    the next batch is on its way, the device never runs dry; an epoch ends with all of them read.

    Parameters
    ----------
    net : DeferredRebalancingClassifier
        In an epoch.
    name : str
        Under which losses stand in the history.
    is_fine : callable or None
        Whether training may go on after a loss; None: after any.
    """

    def __init__(self, net: Any, name: str, is_fine: Callable[[float], bool] | None):
        self.net, self.name, self.is_fine = net, name, is_fine
        self.is_late = may_come_late(net)
        self.waiting: list[_Waiting] = []

    def add(self, loss: Tensor, step: int) -> None:
        """Note the loss of the batch that the history has last."""
        entry = self.net.history[-1]["batches"][-1]
        self.waiting.append(_Waiting(LateNumber(loss), entry, step))
        self.read(all_but=int(self.is_late))

    def read(self, *, all_but: int = 0) -> None:
        """Write down what is waiting, but for the last few.

        Raises
        ------
        ValueError
            If a loss is no number.
        """
        while len(self.waiting) > all_but:
            loss, entry, step = self.waiting.pop(0)
            value = loss.read()
            if self.is_fine is not None and not self.is_fine(value):
                raise not_finite(self.net, value, step)
            entry[self.name] = value
