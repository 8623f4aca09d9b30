"""Pairing by the confusion matrix alone."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ltresample._torch import in_full_precision
from ltresample.pairing._base import Side, affinity_without_diagonal, drawn_column

__all__ = ["ConfusionPairing"]


@dataclass(frozen=True)
class ConfusionPairing:
    """Pair with any background of the class that the foreground's class is most often misclassified as.

    The ablation "confusion matrix only" of OTMix: no transport. If the batch has no background of
    that class, any other background is taken.

    Examples
    --------
    >>> affinity = torch.tensor([[0.9, 0.0, 0.1], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    >>> background = Side(torch.tensor([0, 1, 2]))
    >>> foreground = Side(torch.tensor([0]))
    >>> ConfusionPairing().pair(foreground, background, torch.rand(1), class_affinity=affinity)
    tensor([2])
    """

    needs_features = False
    needs_affinity = True

    @in_full_precision
    def pair(
        self, foreground: Side, background: Side, u: Tensor, *, class_affinity: Tensor | None = None
    ) -> Tensor:
        """Return a background (n,) for each of n foregrounds."""
        if class_affinity is None:
            raise ValueError(
                "ConfusionPairing needs a class affinity (K, K). Got class_affinity=None. Pass a "
                "row-normalised confusion matrix of held-out data, or use RandomPairing."
            )
        others = affinity_without_diagonal(class_affinity)
        others = others - torch.eye(len(others), dtype=others.dtype, device=others.device)
        nearest = others.argmax(1)  # (K,) never the class itself
        fits = background.y == nearest.to(background.y.device)[foreground.y][:, None]  # (n, m)
        fits = torch.where(fits.any(1, keepdim=True), fits, torch.ones_like(fits))
        return drawn_column(fits, u)
