"""Which of f's logits Distribution Matching pushes down."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["ConfusingClass", "SourceAndConfusingClass", "most_confusing"]


@dataclass(frozen=True)
class ConfusingClass:
    """The logit of the class that the target class is most often misclassified as, k_c."""

    confusing: Tensor  # (K,)

    def __call__(self, logits: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Return f(x)_{k_c}, (m,)."""
        # Eq. 8: open-set samples have no source class, so the confusing class takes its place
        return logits.gather(1, self.confusing[target][:, None])[:, 0]


@dataclass(frozen=True)
class SourceAndConfusingClass:
    """Both logits: that of the seed's class and that of the most confusing one."""

    confusing: Tensor  # (K,)

    def __call__(self, logits: Tensor, source: Tensor, target: Tensor) -> Tensor:
        """Return f(x)_{k_0} + f(x)_{k_c}, (m,)."""
        # (m, 2): Eq. 7 and 8 together, "+ L(k_c)" of the paper's Figure 1 (a)
        both = torch.stack([source, self.confusing[target]], dim=1)
        return logits.gather(1, both).sum(1)


def most_confusing(affinity: Tensor, class_counts: Tensor) -> Tensor:
    """Return argmax_{i != k} A_ki for each class k; of equals, the more frequent class.

    Parameters
    ----------
    affinity : Tensor of shape (K, K)
        A: mean predicted probability of class i over samples of class k. The paper counts hard
        predictions, which are nearly all correct on training data, so that ties would decide.
    class_counts : Tensor of shape (K,)
        Breaks ties.

    Returns
    -------
    Tensor of shape (K,)
        k_c.
    """
    # Algorithm 2, line 11: A_{k, k_c} >= A_{k, i} for all i != k
    others = affinity.double().clone().fill_diagonal_(-torch.inf)
    best = others.max(1, keepdim=True).values
    return torch.where(others == best, class_counts.double(), -torch.inf).argmax(1)
