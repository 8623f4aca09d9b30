"""The real samples that a method may use."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from ltresample.rows._sources import Rows
from ltresample.rows._space import Space, space_of

__all__ = ["Pool", "index_of", "pool_of"]


class Pool(NamedTuple):
    """The real samples that a method may use."""

    x: Rows
    y: Tensor  # (n,) class index, 0..K-1
    class_counts: Tensor  # (K,) training counts N_k; of the whole training set, also for a batch
    space: Space
    aux_x: Rows | None = None  # open-set samples: of none of the classes
    reference: Pool | None = None  # where real sets of a class come from, if not from here
    in_batch: bool = False  # x is a mini-batch that an index sampler has already balanced
    weight: Tensor | None = None  # (n,) sample weights; None: all alike


def index_of(array: np.ndarray | list[int], device=None) -> Tensor:
    """Return positions as a tensor of 64-bit integers."""
    return torch.as_tensor(np.asarray(array, dtype=np.int64), device=device)


def pool_of(rows: Rows, y: Tensor, counts: np.ndarray, *, aux=None, weight=None) -> Pool:
    """Return the engine its view of a training split."""
    space = space_of(rows, weight=weight)
    device = space.scale.device
    return Pool(
        x=rows,
        y=y.to(device),
        class_counts=torch.as_tensor(counts, device=device),
        space=space,
        aux_x=aux,
        weight=None if weight is None else weight.to(device),
    )
