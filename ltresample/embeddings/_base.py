"""What an embedding promises."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

__all__ = ["Embedding"]


@runtime_checkable
class Embedding(Protocol):
    """A family of maps psi from rows to vectors; it may have one member only.

    Objects are plain data: hyper-parameters, modules and fitted arrays. They can be pickled and are
    not changed by drawing members.

    Examples
    --------
    >>> from ltresample.embeddings import RandomEmbedding
    >>> isinstance(RandomEmbedding(), Embedding)
    True
    """

    @property
    def standardized(self) -> bool:
        """True: rows are given in standardised units; False: as the user's network takes them."""

    def member(
        self, generator: torch.Generator, *, calibration: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Draw one map from the family.

        Parameters
        ----------
        generator : torch.Generator
            On the CPU; the only source of randomness.
        calibration : Tensor of shape (c, ...)
            Real rows, each class alike, of the dtype and on the device of the rows to come.

        Returns
        -------
        callable
            From rows (n, ...) to vectors (n, d); gradients flow to the rows, and to nothing else.
        """
