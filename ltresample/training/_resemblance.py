"""Whether a guide is the network in training itself, at another time."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor, nn

from ltresample._torch import unwrapped
from ltresample.exceptions import LongTailWarning
from ltresample.guides import network_of

__all__ = ["resemblance", "warn_of_resemblance"]

MOST = 0.5  # correlation of weights from which on two trainings are no longer apart
N_LAYERS = 2  # with weights; networks with fewer come to the same weights from anywhere


@torch.no_grad()
def resemblance(one: nn.Module, other: nn.Module) -> float | None:
    """Return the correlation of the weights of two networks; None where they cannot be compared.

    Networks of one kind that were trained from different weights number their units differently, and
    have a correlation near 0; one network at two times of its training has one near 1. Biases and
    the parameters of normalisations are left out: they are much the same in any network.

    Parameters
    ----------
    one, other : nn.Module
        The networks. They cannot be compared where their weights have different shapes, or where
        they have less than two layers.

    Examples
    --------
    >>> from ltresample.models import MLP
    >>> nets = [MLP(20, 3, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1)]
    >>> resemblance(nets[0], nets[0]), abs(resemblance(*nets)) < 0.1
    (1.0, True)
    """
    weights = [[p for p in net.parameters() if p.dim() > 1] for net in (one, other)]
    shapes = [[p.shape for p in own] for own in weights]
    if shapes[0] != shapes[1] or len(shapes[0]) < N_LAYERS:
        return None
    pairs = [(a.double().cpu(), b.double().cpu()) for a, b in zip(*weights, strict=True)]
    # layers count alike, whatever the size of their weights
    each = torch.stack([_cosine(a, b) for a, b in pairs])
    return round(float(each.mean()), 6)


def _cosine(a: Tensor, b: Tensor) -> Tensor:
    return torch.nn.functional.cosine_similarity(a.flatten(), b.flatten(), dim=0)


def warn_of_resemblance(g: Any, f: nn.Module) -> None:
    """Warn if a guide has the weights of the network in training, or of its past or future.

    Parameters
    ----------
    g : nn.Module, fitted skorch net, list of these, or anything
        The guide; what is no network is not looked at.
    f : nn.Module
        The network in training, at the time at which synthesis begins.
    """
    for member in g if isinstance(g, list | tuple) else (g,):
        network = network_of(member)
        alike = None if network is None else resemblance(unwrapped(network), unwrapped(f))
        if alike is not None and alike > MOST:
            warnings.warn(
                f"The guide g and the network in training have nearly the same weights (correlation "
                f"{alike:.2f}), as if g were that network at another time: both began with the same "
                "weights. What g takes for a row of its class then is one to the network already, "
                "which learns little from it. Train g with another random_state, or leave g out.",
                LongTailWarning,
                stacklevel=2,
            )
            return
