"""Last layers: from features to logits."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import linear, normalize

from ltresample.models._initialize import initialize, uninitialized

__all__ = ["CosineHead", "LinearHead", "make_head"]


class LinearHead(nn.Linear):
    """Linear classifier on features: ``logit_c = <w_c, h> + b_c``.

    Parameters
    ----------
    n_features : int
        Width of the features h.
    n_classes : int
        Number of classes K.
    generator : torch.Generator or None, default=None
        Where starting weights come from; None: PyTorch's global generator.

    Examples
    --------
    >>> LinearHead(64, 10)(torch.zeros(2, 64)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self, n_features: int, n_classes: int, *, generator: torch.Generator | None = None
    ):
        with uninitialized():
            super().__init__(n_features, n_classes)
        initialize(self, generator)


class CosineHead(nn.Module):
    """Cosine classifier on features: ``logit_c = scale * cos(h, w_c)``, without bias.

    With ``scale=1`` logits lie in [-1, 1], as LDAM expects [1]_: there the scale (s = 30) belongs
    to the loss. A softmax of such logits is nearly flat: at most 0.451 for ten classes.

    Parameters
    ----------
    n_features : int
        Width of the features h.
    n_classes : int
        Number of classes K.
    scale : float, default=1.0
        Factor of the cosine, > 0.
    generator : torch.Generator or None, default=None
        Where starting weights come from; None: PyTorch's global generator.

    Attributes
    ----------
    scale : float
        As given.
    weight : Parameter of shape (n_classes, n_features)
        Class vectors w_c, of any length.

    Raises
    ------
    ValueError
        If `scale` is not positive.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga, Ma, "Learning Imbalanced Datasets with
       Label-Distribution-Aware Margin Loss", NeurIPS 2019, arXiv 1906.07413.

    Examples
    --------
    >>> head = CosineHead(64, 10)
    >>> h = torch.ones(1, 64)
    >>> torch.allclose(head(h), head(100 * h))
    True
    """

    def __init__(
        self,
        n_features: int,
        n_classes: int,
        *,
        scale: float = 1.0,
        generator: torch.Generator | None = None,
    ):
        super().__init__()
        if not scale > 0:
            raise ValueError(f"scale must be positive. Got scale={scale!r}. LDAM uses 1 here.")
        self.scale = float(scale)
        self.weight = nn.Parameter(torch.empty(n_classes, n_features))
        initialize(self, generator)

    def forward(self, h: Tensor) -> Tensor:
        """Return logits (n, K) of features (n, d); features of length 0 give 0."""
        return self.scale * linear(normalize(h, dim=1), normalize(self.weight, dim=1))

    def extra_repr(self) -> str:
        """Describe the head in one line."""
        n_classes, n_features = self.weight.shape
        return f"n_features={n_features}, n_classes={n_classes}, scale={self.scale}"


_HEADS: dict[str, Callable[[int, int], nn.Module]] = {"linear": LinearHead, "cosine": CosineHead}


def make_head(head: str, n_features: int, n_classes: int) -> nn.Module:
    """Build a head by its name."""
    if head not in _HEADS:
        raise ValueError(f"head must be 'linear' or 'cosine'. Got head={head!r}.")
    return _HEADS[head](n_features, n_classes)
