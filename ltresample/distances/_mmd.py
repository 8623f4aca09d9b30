"""Maximum mean discrepancy with the linear kernel."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from ltresample._torch import exact_product
from ltresample.distances._base import Distance, SetPairs
from ltresample.distances._costs import unit_rows

__all__ = ["MaximumMeanDiscrepancy"]


@dataclass(frozen=True)
class MaximumMeanDiscrepancy(Distance):
    r"""Squared distance between the means of two sets.

    .. math:: D(R, X) = \| \tfrac1n \sum_i r_i - \tfrac1m \sum_j x_j \|_2^2

    which is the squared maximum mean discrepancy for the linear kernel [1]_. It grows with the
    square of the embedding's scale.

    Parameters
    ----------
    normalize : bool, default=False
        Scale every row to Euclidean norm 1 first, which makes embeddings comparable.

    References
    ----------
    .. [1] Gretton et al., "A Kernel Two-Sample Test", JMLR 13, 2012.

    Examples
    --------
    >>> import torch
    >>> MaximumMeanDiscrepancy()(torch.tensor([[0.0], [2.0]]), torch.tensor([[4.0]]))
    tensor(9.)
    """

    normalize: bool = False

    def between(self, pairs: SetPairs) -> Tensor:
        """Return the squared distances of the means, shape (S,)."""
        real, synthetic = pairs.real, pairs.synthetic
        if self.normalize:
            real, synthetic = unit_rows(real), unit_rows(synthetic)
        means = exact_product(pairs.a[:, None], real), exact_product(pairs.b[:, None], synthetic)
        gap = means[0] - means[1]  # (S, 1, d)
        return gap.square().sum((1, 2))
