"""M2m with random labels: the ablation "M2m-RS-Rand"."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltresample.over_sampling import M2mSampler

__all__ = ["RandomLabelM2mSampler"]


class RandomLabelM2mSampler(M2mSampler):
    """M2m whose accepted rows get a random class other than their target, for training only.

    Asks whether synthetic rows carry what belongs to their class. The paper leaves the class of the
    seed out, too; here it is one of the others.

    Examples
    --------
    >>> RandomLabelM2mSampler(preset="paper")
    RandomLabelM2mSampler(preset='paper')
    """

    def online(self, pool: Any, **context: Any) -> Any:
        """Begin a training run.

        Parameters
        ----------
        pool : Pool
            The training split.
        **context : dict
            As for `M2mSampler`.
        """
        return _WithRandomLabels(super().online(pool, **context), len(pool.class_counts))


class _WithRandomLabels:
    """A method in training, with other labels on the rows that it changed."""

    def __init__(self, inner: Any, n_classes: int):
        self.inner = inner
        self.n_classes = n_classes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.inner, name)

    def rewrite(self, x: Tensor, y: Tensor, *, seed: Any, index: Tensor | None = None) -> Any:
        batch = self.inner.rewrite(x, y, seed=seed, index=index)
        synthetic = (batch.x != x).flatten(1).any(1)
        generator = seed.child("label").torch()
        shift = torch.randint(1, self.n_classes, (len(y),), generator=generator).to(y.device)
        labels = torch.where(synthetic, (y + shift) % self.n_classes, y)
        return batch._replace(terms=[batch.terms[0]._replace(y=labels)])
