"""Many small networks evaluated at once."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ltresample.models._initialize import initialize, normal_values, uninitialized

__all__ = ["MLPEnsemble"]


class MLPEnsemble(nn.Module):
    """M independent networks with one hidden layer of ReLU units, evaluated together.

    ``logits_j(x) = W2_j relu(W1_j x + b1_j) + b2_j``. The first layers are one matrix product, the
    second layers one batched product; nothing is shared between members.

    Parameters
    ----------
    n_members : int
        Number of networks M.
    n_features : int
        Number of columns d.
    n_classes : int
        Number of classes K.
    hidden : int, default=64
        Units of each member.
    generator : torch.Generator or None, default=None
        Where starting weights come from; None: PyTorch's global generator.

    Attributes
    ----------
    first : nn.Linear
        First layers, the units of a member next to each other.
    weight : Parameter of shape (n_members, hidden, n_classes)
        Second layers W2.
    bias : Parameter of shape (n_members, 1, n_classes)
        b2.

    Examples
    --------
    >>> network = MLPEnsemble(8, 5, 3)
    >>> network(torch.zeros(2, 5)).shape
    torch.Size([8, 2, 3])
    >>> network.features(torch.zeros(2, 5)).shape
    torch.Size([2, 512])
    """

    def __init__(
        self,
        n_members: int,
        n_features: int,
        n_classes: int,
        *,
        hidden: int = 64,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        self.n_members, self.hidden = n_members, hidden
        with uninitialized():
            self.first = nn.Linear(n_features, n_members * hidden)
        self.weight = nn.Parameter(torch.empty(n_members, hidden, n_classes))
        self.bias = nn.Parameter(torch.empty(n_members, 1, n_classes))
        initialize(self, generator)

    def initialize_parameters(self, generator: torch.Generator | None) -> None:
        """Start the second layers as `initialize` starts a linear layer."""
        self.weight.copy_(normal_values(self.weight, math.sqrt(2 / self.hidden), generator))
        self.bias.zero_()

    def features(self, x: Tensor) -> Tensor:
        """Return the hidden units (n, M * hidden) of rows (n, d), member by member."""
        return self.first(x).relu()

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (M, n, K) of rows (n, d)."""
        h = self.features(x).unflatten(1, (self.n_members, self.hidden)).transpose(0, 1)
        return torch.baddbmm(self.bias, h, self.weight)
