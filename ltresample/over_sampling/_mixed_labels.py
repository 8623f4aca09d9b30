"""Labels of mixed rows: soft targets, or two rows with weights."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from ltresample.over_sampling._shares import TwoShares
from ltresample.synthesis import Filled

__all__ = ["first_rows", "append_twins", "soft_targets", "translated_targets", "twins"]


def twins(wanted: dict[int, int], share: float) -> Tensor:
    """Return each new row that is to be mixed the place of its twin, -1 to the others."""
    planned = [torch.arange(n) < round(share * n) for n in wanted.values()]
    planned = torch.cat(planned) if planned else torch.zeros(0, dtype=torch.bool)
    return torch.where(planned, len(planned) + planned.cumsum(0) - 1, -1)


def append_twins(filled: Filled, twin: Tensor, y: Tensor) -> tuple[Filled, Tensor]:
    """Append a twin with the background's label to each mixed row, and give weights.

    Rows that were planned but not made stand twice with half the weight.
    """
    own = (twin >= 0).nonzero()[:, 0]  # (n_twins,) mixed rows
    made, lam = filled.synthetic[own], filled.lam
    index = torch.where(made, filled.partner[own], filled.index[own])
    partner = torch.where(made, filled.index[own], -1)
    appended = {"y": y[index], "index": index, "partner": partner, "source": y[index]}
    appended |= {
        name: getattr(filled, name)[own] for name in ("synthetic", "round", "confidence", "lam")
    }
    both = {name: torch.cat([getattr(filled, name), part]) for name, part in appended.items()}
    weight = 1 - lam
    weight[own[~made]] = 0.5
    return filled._replace(**both), torch.cat([weight, torch.where(made, lam[own], 0.5)])


def soft_targets(filled: Filled, y: np.ndarray, n_classes: int) -> TwoShares:
    """Return labels of real and new rows as shares of the foreground's and the background's class."""
    lam = filled.lam.numpy()
    # the background of a duplicate has no share, whatever class is read for it
    return _behind_real(y, filled.y.numpy(), 1 - lam, y[filled.partner.numpy()], lam, n_classes)


def translated_targets(filled: Filled, y: np.ndarray, n_classes: int) -> TwoShares:
    """Return labels of all rows: a synthetic one has p_g of its class, the rest of its source's.

    Rows that start from open-set samples, which are of no class, keep their whole label.
    """
    own = filled.synthetic & (filled.source >= 0)
    # M2m and DM stop where g is confident, which need not be certain
    share = torch.where(own, filled.confidence.clamp(0, 1), 1.0).numpy()
    source = filled.source.clamp(min=0).numpy()
    return _behind_real(y, filled.y.numpy(), share, source, 1 - share, n_classes)


def _behind_real(y: np.ndarray, own, share, other, rest, n_classes: int) -> TwoShares:
    """Return shares of new rows behind those of real ones, which are of their class `y` (n,) alone."""
    ones, zeros = np.ones(len(y)), np.zeros(len(y))
    pairs = ((y, own), (ones, share), (y, other), (zeros, rest))
    return TwoShares(*(np.concatenate(pair) for pair in pairs), n_classes)


def first_rows(filled: Filled, n: int) -> Filled:
    """Return the first n new rows."""
    return Filled(*(part[:n] if isinstance(part, Tensor) else part for part in filled))
