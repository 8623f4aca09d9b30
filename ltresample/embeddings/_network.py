"""Features of a network that somebody trained."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn

from ltresample._torch import evaluating
from ltresample.models import feature_extractor

__all__ = ["NetworkEmbedding"]


@dataclass(frozen=True)
class NetworkEmbedding:
    """Features of a fixed network: ``psi(x) = features(transform(x))``.

    The network is used in evaluation mode and given back as it came: modes, parameters, buffers and
    ``requires_grad``. Rows are moved to its device and dtype, features back to those of the rows.

    Parameters
    ----------
    module : nn.Module
        Any network: a classifier of the data, the image tower of CLIP, ...
    layer : str or None, default=None
        Where the features are; see `ltresample.models.feature_extractor`.
    transform : callable or None, default=None
        From rows to what the network takes, differentiable: for example resizing and normalisation.

    Attributes
    ----------
    standardized : bool
        False: rows are to be given as the network takes them.

    Examples
    --------
    >>> from ltresample.models import MLP
    >>> x = torch.zeros(2, 5)
    >>> psi = NetworkEmbedding(MLP(5, 3, hidden=(16,))).member(torch.Generator(), calibration=x)
    >>> psi(x).shape
    torch.Size([2, 16])
    """

    module: nn.Module
    layer: str | None = None
    transform: Callable[[Tensor], Tensor] | None = None
    standardized: ClassVar[bool] = False

    def member(
        self, generator: torch.Generator, *, calibration: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Return the only member; both arguments are of no meaning.

        Raises
        ------
        ValueError
            If the network has no such layer.
        """
        features = feature_extractor(self.module, self.layer)

        def psi(x: Tensor) -> Tensor:
            rows = x if self.transform is None else self.transform(x)
            with evaluating(self.module):
                return features(_as_taken_by(self.module, rows)).to(device=x.device, dtype=x.dtype)

        return psi


def _as_taken_by(module: nn.Module, x: Tensor) -> Tensor:
    """Return rows in the type and place of a network's first floating-point tensor."""
    for tensor in [*module.parameters(), *module.buffers()]:
        if tensor.is_floating_point():
            return x.to(device=tensor.device, dtype=tensor.dtype)
    return x
