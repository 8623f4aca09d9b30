"""Remix: the label of a mixed sample goes to the smaller class."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Remix"]


@dataclass(frozen=True)
class Remix:
    r"""Return a mixed sample the label of its smaller class where that is small enough [1]_.

    With counts n_b and n_f of the background's and the foreground's class, the background's share
    of the label is

    ``0`` if ``n_b / n_f >= kappa`` and ``lam < tau``; ``1`` if ``n_b / n_f <= 1 / kappa`` and
    ``1 - lam < tau``; else lam.

    The sample itself is mixed as without the rule, in the paper by Mixup.

    Parameters
    ----------
    kappa : float, default=3.0
        Ratio of the counts from which classes are unequal, at least 1.
    tau : float, default=0.5
        Largest share of the larger class that is passed over, in [0, 1].

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    References
    ----------
    .. [1] Chou, Chang, Pan, Wei, Juan, "Remix: Rebalanced Mixup", ECCV 2020 Workshops,
       arXiv:2007.03943.

    Examples
    --------
    >>> Remix().share(torch.tensor([0.4, 0.6]), torch.tensor([5, 5]), torch.tensor([90, 90]))
    tensor([0.0000, 0.6000])
    """

    kappa: float = 3.0
    tau: float = 0.5

    def __post_init__(self):
        if not self.kappa >= 1:
            raise ValueError(f"kappa must be at least 1. Got kappa={self.kappa!r}.")
        if not 0 <= self.tau <= 1:
            raise ValueError(f"tau must be in [0, 1]. Got tau={self.tau!r}.")

    def share(self, lam: Tensor, n_foreground: Tensor, n_background: Tensor) -> Tensor:
        """Return the background's share of the label.

        Parameters
        ----------
        lam : Tensor of shape (m,)
            Share of the background in the sample.
        n_foreground, n_background : Tensor of shape (m,)
            Training samples of the two classes.

        Returns
        -------
        Tensor of shape (m,)
            Shares in [0, 1].
        """
        ratio = n_background / n_foreground
        to_foreground = (ratio >= self.kappa) & (lam < self.tau)
        to_background = (ratio <= 1 / self.kappa) & (1 - lam < self.tau)
        share = torch.where(to_foreground, torch.zeros_like(lam), lam)
        return torch.where(to_background, torch.ones_like(lam), share)
