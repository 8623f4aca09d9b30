"""A multi-layer perceptron."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

import torch
from torch import Tensor, nn

from ltresample.models._heads import make_head
from ltresample.models._initialize import initialize, uninitialized

__all__ = ["MLP"]


class MLP(nn.Module):
    """Fully connected layers with ReLU units and a head.

    Parameters
    ----------
    n_features : int
        Number of columns d of a row, or of elements of a row of any other shape.
    n_classes : int
        Number of classes K.
    hidden : int or sequence of int, default=(256,)
        Units of each hidden layer; with an empty one the features are the columns themselves.
    head : {"linear", "cosine"}, default="linear"
        Last layer.
    dropout : float, default=0.0
        Rate of dropout after each hidden layer, in [0, 1].
    generator : torch.Generator or None, default=None
        Where starting weights come from; None: PyTorch's global generator.

    Examples
    --------
    >>> network = MLP(20, 3, hidden=(64, 32))
    >>> network(torch.zeros(2, 20)).shape
    torch.Size([2, 3])
    >>> network.features(torch.zeros(2, 20)).shape
    torch.Size([2, 32])
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        hidden: int | Sequence[int] = (256,),
        head: str = "linear",
        dropout: float = 0.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        widths = [n_features, *((int(hidden),) if isinstance(hidden, Integral) else hidden)]
        layers: list[nn.Module] = []
        with uninitialized():
            for n_in, n_out in zip(widths[:-1], widths[1:], strict=True):
                layers += [nn.Linear(n_in, n_out), nn.ReLU()]
                layers += [nn.Dropout(dropout)] if dropout else []
            self.body = nn.Sequential(*layers)
            self.head = make_head(head, widths[-1], n_classes)
        initialize(self, generator)

    def features(self, x: Tensor) -> Tensor:
        """Return the last hidden layer (n, hidden[-1]) of rows (n, ...)."""
        return self.body(x.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return logits (n, K) of rows (n, ...)."""
        return self.head(self.features(x))
