"""The engine inside training: from a batch to the batch that the network is trained on."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ltresample._random import Seed
from ltresample._torch import unwrapped
from ltresample.models import FoldedModule
from ltresample.rows import Pool
from ltresample.synthesis import Batch, Candidates, OnlineSynthesis
from ltresample.training._aux_rows import AugmentedRows
from ltresample.training._data import RowDataset

__all__ = ["Resampler", "StepSynthesis"]

# (m, make the rows at some of m positions) -> all m of them
Divide = Callable[[int, Callable[[Tensor], Candidates]], Candidates]


class Resampler(Protocol):
    """What ``resampler=`` has to offer; the samplers of `ltresample.over_sampling` do.

    A resampler with ``inside_f = True`` works inside the network (SAFA): it is given the network
    itself.

    The loss of a step is the sum over the batch's terms of ``coef * criterion(logits[rows], y)``.
    A method may replace rows (M2m), mix whole batches (two terms with complementary coefficients)
    or append rows with a term of their own.
    """

    def online(
        self,
        pool: Pool,
        *,
        classes: np.ndarray,
        f: nn.Module,
        seed: Seed,
        raw: Callable[[], Any] | None = None,
    ) -> OnlineSynthesis:
        """Begin a training run.

        Parameters
        ----------
        pool : Pool
            The whole training split, its units, and open-set samples if there are any.
        classes : ndarray of shape (K,)
            Labels, sorted.
        f : nn.Module
            The network in training, in evaluation mode or to be put there; always up to date when
            `OnlineSynthesis.rewrite` is called.
        seed : Seed
            Root of what is random in the preparation, such as fitting g.
        raw : callable or None
            Gives the training rows as the user passed them, for estimators that are to be fitted.
        """


class StepSynthesis:
    """A resampler with the network in training: rewrites batches.

    Where the network has batch normalisations that can be folded into the layers before them, f is
    a folded copy that follows it; else f is the network itself, put in evaluation mode by the
    engine while it is used.

    Parameters
    ----------
    resampler : Resampler
        What the user passed.
    pool : Pool
        The training split.
    classes : ndarray of shape (K,)
        Labels, sorted.
    module : nn.Module
        The network in training.
    seed : Seed
        Root of the preparation.
    precision : {"float32", "bfloat16"}, default="float32"
        Of synthesis: "bfloat16" runs matrix products and convolutions in that type.
    raw : callable or None
        Gives the training rows as they came in.
    """

    def __init__(
        self,
        resampler: Resampler,
        pool: Pool,
        *,
        classes: np.ndarray,
        module: nn.Module,
        seed: Seed,
        precision: str = "float32",
        raw: Callable[[], Any] | None = None,
    ):
        module = unwrapped(module)
        # a resampler that works inside the network has to have the network itself
        folded = None if getattr(resampler, "inside_f", False) else FoldedModule(module)
        self.folded = folded if folded is not None and folded.folded else None
        self.online = resampler.online(
            pool, classes=classes, f=self.folded or module, seed=seed, raw=raw
        )
        self.aux = pool.aux_x if isinstance(pool.aux_x, AugmentedRows) else None
        self.device = pool.y.device
        self.autocast = torch.autocast(
            pool.y.device.type, dtype=torch.bfloat16, enabled=precision == "bfloat16"
        )

    @property
    def balanced(self) -> bool:
        """Whether batches are to be drawn with classes alike."""
        return self.online.balanced

    @property
    def g_(self) -> Any:
        """The fitted guide, or None."""
        return self.online.g_

    def divide(self, make: Divide) -> None:
        """Let several processes share the rows of a step: ``make(m, part) -> Candidates``."""
        self.online.divide = make

    def join(self, net: Any) -> None:
        """Begin, with the net that trains the network."""
        self.online.join(net)

    def leave(self) -> None:
        """End: leave nothing in the network."""
        self.online.leave()

    def state_dict(self) -> dict[str, Any]:
        """Return what an interrupted run needs to go on."""
        return self.online.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up an interrupted run."""
        self.online.load_state_dict(state)

    def begin_epoch(self, epoch: int, max_epochs: int, valid: Any = None) -> None:
        """Say where training is, and show the held-out rows.

        Parameters
        ----------
        epoch : int
            From 0.
        max_epochs : int
            Their number.
        valid : RowDataset or None, default=None
            The validation split.
        """
        if self.folded is not None:
            self.folded.refresh()
        held_out = None
        if isinstance(valid, RowDataset):
            held_out = valid.rows.on(self.device), valid.target
        self.online.begin_epoch(epoch, max_epochs=max_epochs, held_out=held_out)

    def __call__(self, x: Tensor, y: Tensor, *, seed: Seed, index: Tensor | None = None) -> Batch:
        """Return the batch to train on."""
        layout = torch.channels_last if x.dim() == 4 else torch.preserve_format
        x = x.to(memory_format=layout)  # convolutions are faster so
        if self.folded is not None:
            self.folded.refresh().to(memory_format=layout)
        if self.aux is not None:
            self.aux.begin_step(seed)
        with self.autocast:
            batch = self.online.rewrite(x, y, seed=seed, index=index)
        return batch._replace(x=batch.x.detach())
