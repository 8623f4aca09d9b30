"""What a pairing is, and what all of them share."""

from __future__ import annotations

import math
from typing import NamedTuple, Protocol

import torch
from torch import Tensor

__all__ = ["Pairing", "Side", "checked_affinity", "affinity_without_diagonal", "drawn_column"]


class Side(NamedTuple):
    """One of the two batches, as a pairing sees it."""

    y: Tensor  # (n,) class index
    features: Tensor | None = None  # (n, d), of the network that is trained or guides


class Pairing(Protocol):
    """A way to choose a background for each foreground."""

    @property
    def needs_features(self) -> bool:
        """Whether both sides must have features."""

    @property
    def needs_affinity(self) -> bool:
        """Whether a class affinity must be given."""

    def pair(
        self, foreground: Side, background: Side, u: Tensor, *, class_affinity: Tensor | None = None
    ) -> Tensor:
        """Return the position of a background (n,) for each of n foregrounds.

        ``u`` (n,) holds uniform numbers in [0, 1), all the randomness there is.
        """


def checked_affinity(class_affinity, n_classes: int) -> Tensor:
    """Check a class affinity that a user gave, and return it as a tensor.

    Parameters
    ----------
    class_affinity : array-like of shape (K, K)
        Row-normalised confusion matrix: entry (i, j) is the share of class i that is
        misclassified as j.
    n_classes : int
        K.

    Returns
    -------
    Tensor of shape (K, K)
        Double precision.

    Raises
    ------
    ValueError
        If the shape is another, or an entry is not finite or outside [0, 1].

    Examples
    --------
    >>> checked_affinity([[0.9, 0.1], [0.2, 0.8]], 2)
    tensor([[0.9000, 0.1000],
            [0.2000, 0.8000]], dtype=torch.float64)
    """
    affinity = torch.as_tensor(class_affinity, dtype=torch.float64).detach()
    if affinity.shape != (n_classes, n_classes):
        raise ValueError(
            f"class_affinity must have shape ({n_classes}, {n_classes}), one row and one column "
            f"per class. Got shape {tuple(affinity.shape)}. Order it by the sorted labels."
        )
    low, high = torch.stack(affinity.aminmax()).tolist()  # NaN if there is one
    if not math.isfinite(low) or not math.isfinite(high):
        i, j = (~torch.isfinite(affinity)).nonzero()[0].tolist()
        raise ValueError(
            f"class_affinity must be finite. Got {float(affinity[i, j])} at row {i}, column {j}. A "
            "class without held-out samples gives 0 / 0: fill its row with 0."
        )
    if low < 0 or high > 1 + 1e-6:
        raise ValueError(
            f"class_affinity must hold shares in [0, 1]. Got entries from {low:g} to {high:g}. "
            "Divide each row of counts by its sum, as confusion_matrix(..., normalize='true') does."
        )
    return affinity


def affinity_without_diagonal(class_affinity: Tensor) -> Tensor:
    """Return a copy with zeros on the diagonal; rows are not normalised anew.

    Values are looked at on the CPU only: elsewhere a look would make each pairing wait, and there
    the matrix has come through `checked_affinity` or was computed.
    """
    if class_affinity.device.type == "cpu":
        class_affinity = checked_affinity(class_affinity, len(class_affinity))
    return class_affinity - torch.diag(class_affinity.diagonal())


def drawn_column(weights: Tensor, u: Tensor) -> Tensor:
    """Draw one column per row in proportion to weights (n, m), from uniform numbers (n,).

    Flags are counted, which is exact anywhere. Other weights are summed up on the CPU, one after
    the other: an accelerator sums in an order of its own, or refuses to where it is told to be
    deterministic, and the last bit decides between two columns.
    """
    device = weights.device
    total = weights.cumsum(1) if weights.dtype == torch.bool else weights.cpu().cumsum(1).to(device)
    total = total.double()
    mass = u.to(total)[:, None] * total[:, -1:]
    # u < 1, so that the mass is below the total and a column of weight 0 is never hit
    return torch.searchsorted(total, mass, right=True)[:, 0].clamp(max=weights.shape[1] - 1)
