"""The engine inside training: from a batch to the batch that the network is trained on."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor, nn

from ltresample._random import Seed
from ltresample._torch import unwrapped
from ltresample.guides import classifier_of, unscaled_cosine_factor
from ltresample.models import FoldedModule
from ltresample.rows import Pool
from ltresample.synthesis import Bound, Moment, Step
from ltresample.training._aux_rows import AugmentedRows
from ltresample.training._data import RowDataset
from ltresample.training._resemblance import warn_of_resemblance

__all__ = ["Resampler", "StepSynthesis"]


class Resampler(Protocol):
    """What ``resampler=`` has to offer; the samplers of `ltresample.over_sampling` do.

    The loss of a step is the sum over the batch's terms of ``coef * criterion(logits[rows], y)``.
    A method may replace rows (M2m), mix whole batches (two terms with complementary coefficients),
    append rows with a term of their own, or work inside the network (`SAFA`).
    """

    inside_f: bool  # works inside the network that is trained, and has to have that one itself
    X_aux: Any  # open-set samples, where ``fit`` gets none
    categorical_features: Any  # columns of categories that are given as numbers; None: none

    def bind(
        self,
        pool: Pool,
        *,
        classes: np.ndarray,
        f: nn.Module,
        seed: Seed,
        raw: Callable[[], Any] | None = None,
    ) -> Bound:
        """Bind a method to a training run.

        Parameters
        ----------
        pool : Pool
            The whole training split, its units, and open-set samples if there are any.
        classes : ndarray of shape (K,)
            Labels, sorted.
        f : nn.Module
            The network in training.
        seed : Seed
            Root of what is random in the preparation, such as fitting g.
        raw : callable or None
            A function that returns the training rows as the user passed them, for estimators that
            are to be fitted.
        """


class StepSynthesis(Step):
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
        A function that returns the training rows as they came in.
    cuda_graphs : bool, default=False
        Whether passes of f and g are recorded and replayed.
    logit_scale : float or None, default=None
        What the loss multiplies the logits of f by; None: what is usual for its last layer.
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
        cuda_graphs: bool = False,
        logit_scale: float | None = None,
    ):
        module = unwrapped(module)
        # a resampler that works inside the network has to have the network itself
        inside = resampler.inside_f or not _can_be_copied(module)
        folded = None if inside else FoldedModule(module, logit_scale)
        scaled = logit_scale not in (None, unscaled_cosine_factor(module))
        self.folded = folded if folded is not None and (folded.folded or scaled) else None
        f = self.folded or module
        bound = resampler.bind(pool, classes=classes, f=f, seed=seed, raw=raw)
        super().__init__(
            bound.method,
            bound.pool,
            seed,
            f=classifier_of(f),
            synthetic_share=bound.synthetic_share,
        )
        if cuda_graphs:
            for classifier in (self.f, *bound.method.guides()):
                classifier.capture()
        self.g_ = bound.g_
        self.settings_ = bound.settings
        aux = bound.pool.aux_x
        self._aux = aux if isinstance(aux, AugmentedRows) else None
        self._precision = precision
        # the guide and the network, until they were compared
        self._pair = (bound.g_, module) if bound.method.guides() else None

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
        if self._pair is not None:
            warn_of_resemblance(*self._pair)
            self._pair = None
        if self.folded is not None:
            self.folded.refresh()
        held_out = None
        if isinstance(valid, RowDataset):
            held_out = valid.rows.on(self.pool.y.device), valid.target
        super().begin_epoch(Moment(epoch, max_epochs, held_out))

    def enter(self, x: Tensor, seed: Seed) -> Tensor:
        """Return the rows of a step in the layout in which convolutions are fast."""
        layout = torch.channels_last if x.dim() == 4 else torch.preserve_format
        if self.folded is not None:
            self.folded.refresh().to(memory_format=layout)
        if self._aux is not None:
            self._aux.begin_step(seed)
        return x.to(memory_format=layout)

    def context(self) -> AbstractContextManager:
        """Return the precision of synthesis."""
        half = self._precision == "bfloat16"
        return torch.autocast(self.pool.y.device.type, dtype=torch.bfloat16, enabled=half)


def _can_be_copied(module: nn.Module) -> bool:
    """Return whether a network can be copied: not where a hook computes its weights (`weight_norm`)."""
    values = (value for part in module.modules() for value in vars(part).values())
    return all(value.is_leaf for value in values if isinstance(value, Tensor))
