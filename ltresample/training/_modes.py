"""Modes of layers: those that a user holds in evaluation mode are in it in training, too."""

from __future__ import annotations

from collections.abc import Iterable

from torch import nn

from ltresample._torch import unwrapped

__all__ = ["held_in_evaluation", "train_except"]


def held_in_evaluation(module: nn.Module, known: Iterable[str] = ()) -> tuple[str, ...]:
    """Name the layers that are in evaluation mode although the module is in training mode.

    Parameters
    ----------
    module : nn.Module
        In any mode. In evaluation mode it does not tell: then they are those of `known` that are
        still in that mode.
    known : iterable of str, default=()
        What was found when the module was last in training mode.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2).eval())
    >>> held_in_evaluation(network)
    ('1',)
    >>> held_in_evaluation(network.eval(), ("1",))
    ('1',)
    """
    module = unwrapped(module)
    parts = dict(module.named_modules())
    names = parts if module.training else [name for name in known if name in parts]
    return tuple(name for name in names if not parts[name].training)


def train_except(module: nn.Module, held: Iterable[str]) -> None:
    """Put a module in training mode, but for the layers of these names that are not in it already.

    Examples
    --------
    >>> network = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)).eval()
    >>> train_except(network, ("1",))
    >>> [layer.training for layer in network]
    [True, False]
    """
    names = held_in_evaluation(module, held)
    module.train(True)
    for name in names:
        unwrapped(module).get_submodule(name).training = False
