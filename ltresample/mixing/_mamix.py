"""MAMix: the larger a class, the more of a sample it needs for the label."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["MAMix"]


@dataclass(frozen=True)
class MAMix:
    r"""Return labels by margins that grow as classes shrink [1]_.

    With counts n_f and n_b of the foreground's and the background's class, the background's share
    of the label rises linearly from 0 at ``lam = 0`` to 1/2 at

    ``lam* = n_f^w / (n_f^w + n_b^w)``

    and on to 1 at ``lam = 1``. With ``w = -1/4``, LDAM's margins, a large class needs more than
    half of the sample for half of the label.

    Parameters
    ----------
    power : float, default=-0.25
        w; 0: the share of the label is that of the sample.

    References
    ----------
    .. [1] Cheng, Mai, Lin, "From SMOTE to Mixup for Deep Imbalanced Classification", 2023,
       arXiv:2308.15457.

    Examples
    --------
    >>> MAMix().share(torch.tensor([0.5, 2 / 3]), torch.tensor([1, 1]), torch.tensor([1, 16]))
    tensor([0.5000, 0.5000])
    """

    power: float = -0.25

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
        half = 1 / (1 + (n_background / n_foreground).to(lam.dtype) ** self.power)  # lam*, (m,)
        return torch.where(lam <= half, lam / (2 * half), 1 - (1 - lam) / (2 * (1 - half)))
