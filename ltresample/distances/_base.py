"""What a distance between two sets is, and the one door through which all of them are called."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
from torch import Tensor

from ltresample._torch import in_full_precision

__all__ = ["Distance", "SetPairs"]


class SetPairs(NamedTuple):
    """S pairs of sets, padded to common sizes; padding holds zeros and has weight zero.

    Attributes
    ----------
    real : Tensor of shape (S, n, d)
        First sets.
    synthetic : Tensor of shape (S, m, d)
        Second sets.
    real_mask, synthetic_mask : bool Tensor of shape (S, n) and (S, m), or None
        True where a row belongs to its set; None stands for all rows.
    a, b : Tensor of shape (S, n) and (S, m)
        Uniform weights 1/n and 1/m over the rows that belong, zero elsewhere.
    """

    real: Tensor
    synthetic: Tensor
    real_mask: Tensor | None
    synthetic_mask: Tensor | None
    a: Tensor
    b: Tensor


class Distance(ABC):
    """A distance between a set of real and a set of synthetic embeddings, for S pairs at once.

    A member states its hyper-parameters as fields and implements `between`; checks, padding,
    precision and empty sets are dealt with here.
    """

    @in_full_precision
    def __call__(
        self,
        real: Tensor,
        synthetic: Tensor,
        *,
        real_mask: Tensor | None = None,
        synthetic_mask: Tensor | None = None,
    ) -> Tensor:
        """Measure how far each synthetic set is from its real set.

        Parameters
        ----------
        real : Tensor of shape (S, n, d) or (n, d)
            Embeddings of real rows. Half precision is raised to single precision.
        synthetic : Tensor of shape (S, m, d) or (m, d)
            Embeddings of synthetic rows.
        real_mask, synthetic_mask : bool Tensor, optional
            Of shape (S, n) and (S, m), or (n,) and (m,). True where a row belongs to
            the set; what stands in the other rows has no influence.

        Returns
        -------
        Tensor of shape (S,) or ()
            The distances, differentiable with respect to `real` and `synthetic`. Where one of the
            two sets is empty the distance is 0.

        Raises
        ------
        ValueError
            If the shapes do not fit each other.
        """
        batched = real.ndim == 3
        pairs = set_pairs(real, synthetic, real_mask=real_mask, synthetic_mask=synthetic_mask)
        value = self.between(pairs)
        occupied = pairs.a.any(-1) & pairs.b.any(-1)  # (S,)
        value = torch.where(occupied, value, torch.zeros_like(value))
        return value if batched else value[0]

    @abstractmethod
    def between(self, pairs: SetPairs) -> Tensor:
        """Return the distances of shape (S,); must be finite, of any value, where a set is empty."""


def set_pairs(
    real: Tensor,
    synthetic: Tensor,
    *,
    real_mask: Tensor | None = None,
    synthetic_mask: Tensor | None = None,
) -> SetPairs:
    """Check two padded batches of sets and return them with their weights, as 3-d tensors."""
    _check_sets(real, synthetic)
    real_mask = _check_mask(real_mask, real, "real")
    synthetic_mask = _check_mask(synthetic_mask, synthetic, "synthetic")
    if real.ndim == 2:
        real, synthetic = real[None], synthetic[None]
        real_mask = None if real_mask is None else real_mask[None]
        synthetic_mask = None if synthetic_mask is None else synthetic_mask[None]
    dtype = torch.promote_types(torch.promote_types(real.dtype, synthetic.dtype), torch.float32)
    real, a = _weighted(real.to(dtype), real_mask)
    synthetic, b = _weighted(synthetic.to(dtype), synthetic_mask)
    return SetPairs(real, synthetic, real_mask, synthetic_mask, a, b)


def _weighted(x: Tensor, mask: Tensor | None) -> tuple[Tensor, Tensor]:
    """Return the rows with padding set to zero, and their weights (S, n)."""
    if mask is None:
        return x, x.new_full(x.shape[:2], 1 / max(x.shape[1], 1))
    weight = mask.to(x.dtype) / mask.sum(-1, keepdim=True).clamp_min(1)
    return x.masked_fill(~mask[..., None], 0), weight


def _check_sets(real: Tensor, synthetic: Tensor) -> None:
    shapes = f"real of shape {tuple(real.shape)} and synthetic of shape {tuple(synthetic.shape)}"
    if real.ndim not in (2, 3) or synthetic.ndim != real.ndim:
        raise ValueError(
            "A distance takes two sets, (n, d) and (m, d), or two batches of sets, (S, n, d) and "
            f"(S, m, d). Got {shapes}."
        )
    if real.shape[-1] != synthetic.shape[-1] or real.shape[:-2] != synthetic.shape[:-2]:
        raise ValueError(
            "Both batches of sets must have the same number of sets S and of features d. "
            f"Got {shapes}."
        )


def _check_mask(mask: Tensor | None, x: Tensor, name: str) -> Tensor | None:
    if mask is None:
        return None
    if mask.dtype != torch.bool or mask.shape != x.shape[:-1]:
        raise ValueError(
            f"{name}_mask must be a bool tensor of shape {tuple(x.shape[:-1])}, True where a row "
            f"belongs to the set. Got {mask.dtype} of shape {tuple(mask.shape)}."
        )
    return mask
