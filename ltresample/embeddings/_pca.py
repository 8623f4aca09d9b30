"""Principal components as an embedding."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import ClassVar

import torch
from torch import Tensor

from ltresample._torch import exact_product

__all__ = ["PCAEmbedding"]


@dataclass(frozen=True)
class PCAEmbedding:
    """Projection onto the directions of largest variance of the flattened rows.

    ``psi(x) = V (x - mean)``, where the rows of V are the leading eigenvectors of the covariance,
    each with its largest entry positive.

    Parameters
    ----------
    n_components : int, default=64
        Number of directions; `fit` keeps no more than the rank of the centred rows.
    mean : Tensor of shape (d,) or None
        Set by `fit`.
    components : Tensor of shape (n_kept, d) or None
        V; set by `fit`.

    Attributes
    ----------
    standardized : bool
        True: rows are to be given in standardised units.

    Raises
    ------
    ValueError
        If `n_components` is below 1.

    Examples
    --------
    >>> x = torch.tensor([[0.0, 0.0], [3.0, 4.0], [6.0, 8.0]])
    >>> embedding = PCAEmbedding().fit(x)
    >>> psi = embedding.member(torch.Generator(), calibration=x)
    >>> psi(x)
    tensor([[-5.],
            [ 0.],
            [ 5.]])
    """

    n_components: int = 64
    mean: Tensor | None = field(default=None, repr=False, compare=False)
    components: Tensor | None = field(default=None, repr=False, compare=False)
    standardized: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.n_components < 1:
            raise ValueError(
                f"n_components must be at least 1. Got n_components={self.n_components!r}."
            )

    def fit(self, x: Tensor) -> PCAEmbedding:
        """Return a copy that knows the directions.

        Parameters
        ----------
        x : Tensor of shape (n, ...)
            Rows in standardised units.

        Returns
        -------
        PCAEmbedding
            A fitted copy; the directions are found in double precision on the CPU.

        Raises
        ------
        ValueError
            If the rows do not differ from each other.
        """
        x = x.detach().flatten(1).cpu()
        mean = x.mean(0, dtype=torch.float64)
        components = _directions(x, mean, self.n_components)
        if not len(components):
            raise ValueError(
                f"Principal components need rows that differ. Got {len(x)} rows, all alike. "
                "Pass more rows, or use IdentityEmbedding()."
            )
        return replace(self, mean=mean, components=components)

    def member(
        self, generator: torch.Generator, *, calibration: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Return the projection, in the dtype and on the device of `calibration`.

        Raises
        ------
        ValueError
            If the embedding is not fitted.
        """
        if self.mean is None or self.components is None:
            raise ValueError(
                "PCAEmbedding does not know its directions yet. Got one that is not fitted. "
                "Pass PCAEmbedding(...).fit(x), with the training rows in standardised units."
            )
        mean, components = (
            part.to(device=calibration.device, dtype=calibration.dtype)
            for part in (self.mean, self.components)
        )
        return lambda x: exact_product(x.flatten(1) - mean, components.T)


def _directions(x: Tensor, mean: Tensor, most: int) -> Tensor:
    """Return the leading eigenvectors of the covariance as rows (n_kept, d), with fixed signs."""
    n, d = x.shape
    if n > d:  # the smaller of the two Gram matrices
        gram = torch.zeros(d, d, dtype=torch.float64)
        for part in x.split(4096):
            centred = part - mean
            gram.addmm_(centred.T, centred)
    else:
        centred = x - mean
        gram = centred @ centred.T
    values, vectors = torch.linalg.eigh(gram)  # ascending
    eps = torch.finfo(torch.float64).eps
    rounding = n * eps * mean.square().sum()  # what is left of rows that are all alike
    kept = values > max(n, d) * eps * torch.maximum(values[-1:], rounding)
    vectors = vectors[:, kept].flip(1)[:, :most]
    if n <= d:
        vectors = centred.T @ vectors
        vectors = vectors / vectors.norm(dim=0)
    largest = vectors.gather(0, vectors.abs().argmax(0, keepdim=True))
    return (vectors * largest.sign()).T.contiguous()
