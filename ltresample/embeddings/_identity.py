"""The rows themselves."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

__all__ = ["IdentityEmbedding"]


@dataclass(frozen=True)
class IdentityEmbedding:
    """Take distances between the rows themselves, flattened: ``psi(x) = x``.

    Attributes
    ----------
    standardized : bool
        True: rows are to be given in standardised units.

    Examples
    --------
    >>> x = torch.zeros(2, 3, 4, 4)
    >>> IdentityEmbedding().member(torch.Generator(), calibration=x)(x).shape
    torch.Size([2, 48])
    """

    standardized: ClassVar[bool] = True

    def member(
        self, generator: torch.Generator, *, calibration: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Return the only member; both arguments are of no meaning."""
        return _flat


def _flat(x: Tensor) -> Tensor:
    return x.flatten(1)
