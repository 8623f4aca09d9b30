"""Classifiers as the methods see them: probabilities of g, logits of f."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from ltresample._captured import CapturedPasses

__all__ = ["Classifier"]


class Classifier:
    """One network or an ensemble of them, whose probabilities are averaged.

    ``log p(k | x) = log mean_j softmax(s_j * logits_j(x))_k``

    Parameters
    ----------
    members : sequence of nn.Module
        Each gives logits (n, K), or (M, n, K) for M networks in one.
    scales : sequence of float or None, default=None
        s_j, of each member; None: 1. Cosine heads give logits in [-1, 1], whose softmax never
        exceeds 0.46 for ten classes; their usual scale is 30.

    Examples
    --------
    >>> g = Classifier([nn.Identity()])
    >>> g.log_proba(torch.zeros(1, 2)).exp()
    tensor([[0.5000, 0.5000]])
    """

    def __init__(self, members: Sequence[nn.Module], *, scales: Sequence[float] | None = None):
        self.members = tuple(members)
        self.scales = (1.0,) * len(self.members) if scales is None else tuple(scales)
        self._passes: tuple[Callable[[Tensor], Tensor], ...] = self.members

    def capture(self) -> None:
        """Replay the passes of the members, on CUDA, from now on; they are to be in evaluation mode."""
        self._passes = tuple(CapturedPasses(member) for member in self.members)

    def log_proba(self, x: Tensor) -> Tensor:
        """Return log-probabilities (n, K); gradients flow to `x`."""
        parts = []
        for passed, scale in zip(self._passes, self.scales, strict=True):
            logits = _scaled(_single(passed(x)), scale)
            parts.append((logits if logits.dim() == 3 else logits[None]).log_softmax(-1))
        parts = parts[0] if len(parts) == 1 else torch.cat(parts)  # (M, n, K)
        if x.requires_grad and torch.is_grad_enabled() and not parts.requires_grad:
            raise ValueError(
                "g must have a gradient with respect to the rows. Got one that has none: it detaches "
                "them, or turns them into positions of an embedding. Pass a g on real numbers, or "
                "g=None for the default."
            )
        return parts[0] if len(parts) == 1 else parts.logsumexp(0) - math.log(len(parts))

    def logits(self, x: Tensor, *, scaled: bool = False) -> Tensor:
        """Return logits (n, K), averaged over members: raw, or each member's times its s_j."""
        scales = self.scales if scaled else (1.0,) * len(self.scales)
        passes = zip(self._passes, scales, strict=True)
        parts = [_scaled(_single(passed(x)), scale) for passed, scale in passes]
        stacked = torch.cat([p if p.dim() == 3 else p[None] for p in parts])
        return stacked.mean(0)


def _scaled(logits: Tensor, scale: float) -> Tensor:
    return logits if scale == 1.0 else logits * scale


def _single(logits: Tensor) -> Tensor:
    """Return logits of half precision, as autocast makes them, in single precision."""
    return logits.float() if logits.dtype.itemsize < 4 else logits
