"""Random networks as embeddings: a new one for each draw, or always the same one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ltresample._random import Seed
from ltresample._torch import unwrapped
from ltresample.models import MLP, SmallCNN, feature_extractor, initialize, uninitialized

__all__ = ["FixedRandomEmbedding", "RandomEmbedding"]


@dataclass(frozen=True)
class RandomEmbedding:
    """A family of networks that are never trained, one for each generator.

    The features of networks with random weights tell distributions apart, and what one network does
    not see the next one may [1]_ [2]_.

    Parameters
    ----------
    architecture : nn.Module, callable or None, default=None
        A network that serves as a template (copied, never changed), or a function without arguments
        that builds one; weights are drawn anew in both cases. None: the body of `SmallCNN` for
        images (n, C, H, W) and (n, H, W), one hidden layer of `width` ReLU units for other rows.
    bn : {"calibrate", "init"}, default="calibrate"
        Running statistics of batch normalisations: those of the calibration rows, or means 0 and
        variances 1. Members are then used in evaluation mode, so that they do not normalise away
        what differs between two sets. Fewer than two rows are not enough to calibrate.
    width : int or None, default=None
        Number of features where `architecture` is None; of images it is rounded down to an even
        number. None: 64 for images, 256 for other rows.
    layer : str or None, default=None
        Where the features of `architecture` are; see `ltresample.models.feature_extractor`.

    Attributes
    ----------
    standardized : bool
        True: rows are to be given in standardised units, as random weights treat columns alike.

    Raises
    ------
    ValueError
        If `bn` is neither.

    See Also
    --------
    FixedRandomEmbedding : One random network for all draws.
    ltresample.models.initialize : The law of the weights.

    Notes
    -----
    *Fidelity.* The paper on distribution matching does not say how a random network normalises its
    batches; "calibrate" is a choice made here. The work on dataset condensation that it builds on
    normalises each batch by itself, with all classes in it.

    References
    ----------
    .. [1] "Synthesizing Minority Samples for Long-tailed Classification via Distribution Matching",
       Algorithm 3.
    .. [2] Zhao, Bilen, "Dataset Condensation with Distribution Matching", WACV 2023,
       arXiv 2110.04181.

    Examples
    --------
    >>> x = torch.zeros(2, 5)
    >>> psi = RandomEmbedding().member(torch.Generator().manual_seed(0), calibration=x)
    >>> psi(x).shape
    torch.Size([2, 256])
    """

    architecture: nn.Module | Callable[[], nn.Module] | None = None
    bn: str = "calibrate"
    width: int | None = None
    layer: str | None = None
    standardized: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.bn not in ("calibrate", "init"):
            raise ValueError(f"bn must be 'calibrate' or 'init'. Got bn={self.bn!r}.")

    def member(
        self, generator: torch.Generator, *, calibration: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Draw a network; it lives where `calibration` lives.

        Parameters
        ----------
        generator : torch.Generator
            On the CPU; the weights come from it.
        calibration : Tensor of shape (c, ...)
            Real rows, each class alike.

        Returns
        -------
        callable
            From rows (n, ...) to vectors (n, d); frozen, in evaluation mode.
        """
        network = initialize(self._network(calibration), generator)
        network.to(device=calibration.device, dtype=calibration.dtype)
        network.requires_grad_(False).eval()
        if self.bn == "calibrate" and len(calibration) > 1:
            _calibrate(network, calibration)
        return feature_extractor(network, self.layer)

    def _network(self, calibration: Tensor) -> nn.Module:
        if isinstance(self.architecture, nn.Module):
            return copy.deepcopy(unwrapped(self.architecture))
        if self.architecture is not None:
            with torch.random.fork_rng(devices=[]):  # its own starting weights are of no meaning
                return self.architecture()
        shape = calibration.shape[1:]
        with uninitialized():
            if len(shape) == 3:
                return SmallCNN(shape[0], 1, width=(self.width or 64) // 2)
            if len(shape) == 2:
                return nn.Sequential(
                    nn.Unflatten(1, (1, shape[0])), SmallCNN(1, 1, width=(self.width or 64) // 2)
                )
            return MLP(shape.numel(), 1, hidden=(self.width or 256,))


@dataclass(frozen=True)
class FixedRandomEmbedding:
    """One random network for all draws.

    Parameters
    ----------
    architecture : nn.Module, callable or None, default=None
        A network that serves as a template, or a function without arguments that builds one. None:
        the body of `SmallCNN` for images, one hidden layer of `width` ReLU units for other rows.
    bn : {"calibrate", "init"}, default="calibrate"
        Running statistics of batch normalisations: those of the calibration rows, or means 0 and
        variances 1.
    width : int or None, default=None
        Number of features where `architecture` is None. None: 64 for images, 256 for other rows.
    layer : str or None, default=None
        Where the features of `architecture` are; see `ltresample.models.feature_extractor`.
    seed : int, default=0
        Chooses the weights; the generator of a draw has no influence.

    Attributes
    ----------
    standardized : bool
        True: rows are to be given in standardised units.

    Notes
    -----
    With ``bn="calibrate"`` the weights are always the same, and the running statistics of batch
    normalisations, if there are any, are those of the calibration rows of the draw. With
    ``bn="init"`` the whole map is always the same.

    Examples
    --------
    >>> x = torch.rand(2, 5)
    >>> first, second = (torch.Generator().manual_seed(i) for i in range(2))
    >>> embedding = FixedRandomEmbedding(seed=3)
    >>> one = embedding.member(first, calibration=x)
    >>> other = embedding.member(second, calibration=x)
    >>> torch.equal(one(x), other(x))
    True
    """

    architecture: nn.Module | Callable[[], nn.Module] | None = None
    seed: int = 0
    bn: str = "calibrate"
    width: int | None = None
    layer: str | None = None
    standardized: ClassVar[bool] = True

    def __post_init__(self) -> None:
        self._family()

    def _family(self) -> RandomEmbedding:
        return RandomEmbedding(self.architecture, bn=self.bn, width=self.width, layer=self.layer)

    def member(
        self, generator: torch.Generator, *, calibration: Tensor
    ) -> Callable[[Tensor], Tensor]:
        """Return the member that `seed` chooses; see `RandomEmbedding.member`."""
        return self._family().member(Seed(self.seed).torch(), calibration=calibration)


class _LocalBatchNorm(_BatchNorm):
    def _check_input_dim(self, input: Tensor) -> None:
        pass


@torch.no_grad()
def _calibrate(network: nn.Module, x: Tensor) -> None:
    """Take the running statistics of all batch normalisations from one batch."""
    norms = [m for m in network.modules() if isinstance(m, _BatchNorm) and m.track_running_stats]
    for norm in norms:
        if isinstance(norm, nn.SyncBatchNorm):
            norm.__class__ = _LocalBatchNorm  # other processes draw other members
        norm.momentum = 1.0
        norm.train()  # dropout stays off
    if norms:
        network(x)
        network.eval()
