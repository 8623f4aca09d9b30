"""What pair mixing asks of the network in training: features, and which classes it confuses."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from ltresample._torch import evaluating
from ltresample.guides import FeatureBank, confusion_of
from ltresample.models import feature_extractor
from ltresample.rows import Pool, Rows

__all__ = ["ask_held_out", "look_up_features"]


def look_up_features(bank: FeatureBank | None, f: Any, x: Tensor, at: Tensor | None) -> Tensor:
    """Return pooled features (B, d) of f: evaluation mode, no gradient, nothing changed."""
    if bank is None or at is None:
        return _fresh(f, x)
    return bank.take(at, lambda missing: _fresh(f, x[missing.to(x.device)]))


@torch.no_grad()
def _fresh(f: Any, x: Tensor) -> Tensor:
    (network,) = f.members
    # z of Eq. 5, with running statistics: a second pass in training mode would move them
    with evaluating(network):
        return feature_extractor(network)(x)


@torch.no_grad()
def ask_held_out(f: Any, rows: Rows, y: Tensor, pool: Pool, *, soft: bool) -> Tensor:
    """Ask the network in training about rows that it is not trained on."""
    device, proba = pool.y.device, [torch.zeros(0, len(pool.counts), device=pool.y.device)]
    with evaluating(*f.members):
        for part in torch.arange(len(y)).split(1024):
            proba.append(f.log_proba(rows.take(part.to(device))).exp().double())
    return confusion_of(torch.cat(proba).double(), y.to(device), soft=soft)
