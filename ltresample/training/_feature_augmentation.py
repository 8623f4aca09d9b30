"""SAFA in training: the output of a layer gets augmented tail features, behind the real ones."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils._param_validation import Interval, StrOptions
from torch import Tensor, nn

from ltresample._random import Seed
from ltresample.exceptions import LongTailWarning
from ltresample.losses import LongTailLoss
from ltresample.rows import Pool
from ltresample.synthesis import (
    Bound,
    LossTerm,
    Made,
    Method,
    RealBatch,
    SafaDraw,
    SafaNetworks,
    SafaSettings,
    Slots,
    augment_tail,
    draw_same_class_pairs,
    head_classes,
)
from ltresample.training._companion import CompanionOptimizer
from ltresample.training._layers import find_layer, try_longer_batch

__all__ = ["SAFA"]

_WEIGHT = [Interval(Real, 0, None, closed="left")]
_WIDTH = [None, Interval(Integral, 1, None, closed="left")]


class SAFA(BaseEstimator):
    """Augment the features of tail classes inside a network in training (SAFA).

    A resampler of `DeferredRebalancingClassifier`. From `start` on, the output of a layer is taken
    as features F; differences between two samples of a head class, one of the largest, are moved
    onto samples of tail classes by four small networks [1]_,

    ``Delta = E(F_h^i - F_h^j),  F~_t = G(D([Delta; F_t^i]) + F_t^i)``  (Eq. 2 and 3)

    and the layers above see a longer batch: the real features, then the augmented ones with the
    label of their tail sample. E, D, G and a fourth network Q are trained along, with the optimizer's
    kind, settings and learning rate, by the loss

    ``L_cls + lambda_1 L_r + lambda_2 L_ms^t + lambda_3 L_ms^h + lambda_4 L_c``  (Eq. 1)

    L_cls is the training criterion on real and augmented rows alike. Nothing is left in the network
    when training ends: its parameters have the names that they had, and prediction costs the same.

    Parameters
    ----------
    layer : str, default="auto"
        Name of the layer, as in ``module.named_modules()``; its output must be one tensor, of maps
        (n, C, H, W) or vectors (n, C), through which everything passes. "auto" knows the networks of
        `ltresample.models`: before the second-to-last down-sampling, the final pooling counted, as
        in [1]_ (`ResNet32`: "stage2"), and of an `MLP` the last hidden layer.
    head_ratio : float, default=0.2
        gamma, in (0, 1): share of the classes, the largest ones, that are the head. At least one
        class is in the head and one in the tail.
    reconstruction_weight : float, default=100.0
        lambda_1, of the cycle: the delta is found again in the augmented feature, and leads from one
        head sample to the other (Eq. 4 and 5). 0 leaves a loss out.
    tail_spread_weight : float, default=0.01
        lambda_2, of the loss that keeps two augmented samples of a class apart (Eq. 7).
    head_spread_weight : float, default=0.01
        lambda_3, of the loss that keeps one sample, augmented in two ways, apart. [1]_ prints 100.
    contrast_weight : float, default=0.1
        lambda_4: Q tells whether two features are of one class (Eq. 6).
    head_spread : {"deltas", "printed"}, default="deltas"
        L_ms^h: distance of two deltas over that of one tail sample moved by both, as the text of
        [1]_ describes it; or the ratio as Eq. 7 prints it.
    reconstruction : {"mean_square", "norm"}, default="mean_square"
        L_r: mean of squared errors, or mean of the Euclidean norms.
    delta_sign : {"paper", "consistent"}, default="paper"
        The delta that is found again is that of augmented minus real feature ("paper") or, in the
        order of Eq. 2, of real minus augmented feature ("consistent").
    generator : {"plain", "residual"}, default="plain"
        "residual" lets G add to its input.
    gradient : {"networks", "end_to_end"}, default="networks"
        "networks": real features are constants to E, D, G and Q, so that their losses train these
        alone, and real rows train the network as ever. "end_to_end": the losses also train the
        layers below.
    augmented_per_pair : float, default=1.0
        Augmented features for each pair of head samples in the batch, above 0.
    width : int or None, default=None
        Hidden channels of E, D and G. None: as many as the layer has.
    contrast_width : int or None, default=256
        Hidden channels of Q, as of the contrastive module that [1]_ builds on. None: `width`.
    max_grad_norm : float or None, default=10.0
        Gradients of E, D, G and Q, taken together, are shortened to this norm: their first ones are
        long with lambda_1 = 100, and can blow the networks up. None: as they are.

    See Also
    --------
    ltresample.over_sampling.SAFASampler : The same before training, on fixed feature vectors.

    Notes
    -----
    Batches stay as they are drawn, natural frequencies by default. In each, samples are paired
    within their class, at random; a tail sample that is left over is paired with itself. Batches without
    a pair of head samples or without a tail sample are trained on as they are.

    Start where the learning rate has fallen, as [1]_ does (``lr_decay={160: 0.01, 180: 0.01},
    start=160``): with lambda_1 = 100 a rate of 0.05 can be too large for E, D and G. At 0.01, without
    `max_grad_norm`, 2 of 18 runs on a reduced CIFAR-10-LT ended with losses that were not finite.

    *Fidelity.* No code of the paper's authors is public. Open in the paper, and here: kernels (3 x 3,
    and 1 x 1 first in Q), widths, the norm in L_r, gradient routing (`gradient`), the number of
    augmented features, and lambda_3, which is printed as 100 beside lambda_2 = 0.01 for a loss of the
    same form. `max_grad_norm` is ours. Numerators of Eq. 7 are constants, else real features would
    shrink. The pairs of Eq. 7 are shared: two deltas meet the same two tail samples.

    With `torch.compile` the layer's output leaves the compiled graph in training.

    References
    ----------
    .. [1] Y. Hong, J. Zhang, Z. Sun, K. Yan, "SAFA: Sample-Adaptive Feature Augmentation for
       Long-Tailed Image Classification", ECCV 2022.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> from ltresample import make_long_tailed
    >>> from ltresample.training import SAFA, DeferredRebalancingClassifier
    >>> X, y = load_digits(return_X_y=True)
    >>> images = X.reshape(-1, 1, 8, 8).astype("float32") / 16
    >>> images, y = make_long_tailed(images, y, imbalance_factor=20, n_max=60, random_state=0)
    >>> net = DeferredRebalancingClassifier(
    ...     resampler=SAFA(), start=2, lr_decay={2: 0.1}, max_epochs=3, random_state=0
    ... ).fit(images, y)
    >>> net.history[-1]["share_synthesized"] > 0
    True
    """

    _parameter_constraints: ClassVar[dict] = {
        "layer": [str],
        "head_ratio": [Interval(Real, 0, 1, closed="neither")],
        "reconstruction_weight": _WEIGHT,
        "tail_spread_weight": _WEIGHT,
        "head_spread_weight": _WEIGHT,
        "contrast_weight": _WEIGHT,
        "head_spread": [StrOptions({"deltas", "printed"})],
        "reconstruction": [StrOptions({"mean_square", "norm"})],
        "delta_sign": [StrOptions({"paper", "consistent"})],
        "generator": [StrOptions({"plain", "residual"})],
        "gradient": [StrOptions({"networks", "end_to_end"})],
        "augmented_per_pair": [Interval(Real, 0, None, closed="neither")],
        "width": _WIDTH,
        "contrast_width": _WIDTH,
        "max_grad_norm": [None, Interval(Real, 0, None, closed="neither")],
    }
    inside_f = True  # works in the network that is trained, and never calls it
    X_aux = categorical_features = None  # rows are left as they are

    def __init__(
        self,
        layer="auto",
        *,
        head_ratio=0.2,
        reconstruction_weight=100.0,
        tail_spread_weight=0.01,
        head_spread_weight=0.01,
        contrast_weight=0.1,
        head_spread="deltas",
        reconstruction="mean_square",
        delta_sign="paper",
        generator="plain",
        gradient="networks",
        augmented_per_pair=1.0,
        width=None,
        contrast_width=256,
        max_grad_norm=10.0,
    ):
        self.layer = layer
        self.head_ratio = head_ratio
        self.reconstruction_weight = reconstruction_weight
        self.tail_spread_weight = tail_spread_weight
        self.head_spread_weight = head_spread_weight
        self.contrast_weight = contrast_weight
        self.head_spread = head_spread
        self.reconstruction = reconstruction
        self.delta_sign = delta_sign
        self.generator = generator
        self.gradient = gradient
        self.augmented_per_pair = augmented_per_pair
        self.width = width
        self.contrast_width = contrast_width
        self.max_grad_norm = max_grad_norm

    def bind(
        self,
        pool: Pool,
        *,
        classes: np.ndarray,
        f: nn.Module,
        seed: Seed,
        raw: Callable[[], Any] | None = None,
    ) -> Bound:
        """Bind to a training run; `DeferredRebalancingClassifier` calls it.

        Parameters
        ----------
        pool : Pool
            The whole training split.
        classes : ndarray of shape (n_classes,)
            Labels, sorted.
        f : nn.Module
            The network in training.
        seed : Seed
            Of the starting weights of E, D, G and Q.
        raw : callable or None
            Of no meaning.

        Returns
        -------
        Bound
            The method, at work inside the network until it ends.

        Raises
        ------
        ValueError
            If there is no such layer, its output cannot be augmented, or there is no tail class or
            no pair in a head class.
        """
        self._validate_params()
        is_head = head_classes(pool.class_counts, self.head_ratio)
        name, layer = find_layer(f, self.layer)
        two = pool.x.take(torch.arange(2, device=pool.y.device))
        output = try_longer_batch(f, name, layer, two)
        networks = SafaNetworks(
            output.shape[1],
            n_dims=output.dim() - 2,
            width=self.width,
            contrast_width=self.contrast_width,
            residual=self.generator == "residual",
            generator=seed.child("networks").torch(),
        )
        settings = SafaSettings(
            reconstruction_weight=self.reconstruction_weight,
            tail_spread_weight=self.tail_spread_weight,
            head_spread_weight=self.head_spread_weight,
            contrast_weight=self.contrast_weight,
            mean_square=self.reconstruction == "mean_square",
            literal_spread=self.head_spread == "printed",
            consistent_sign=self.delta_sign == "consistent",
            end_to_end=self.gradient == "end_to_end",
            augmented_per_pair=self.augmented_per_pair,
        )
        method = FeatureAugmentation(
            networks.to(output),
            is_head,
            settings,
            f=f,
            layer=layer,
            max_grad_norm=self.max_grad_norm,
        )
        return Bound(method, pool, g_=method.networks)


class AugmentState(NamedTuple):
    """What SAFA keeps in training."""

    pool: Pool
    own_losses: _OwnLosses
    step: _Pending  # what the next pass through the layer is to do
    counted: _Counted
    hook: Any
    companion: list[CompanionOptimizer]  # one, once a net has joined


class FeatureAugmentation(Method):
    """SAFA inside a network: draws pairs of a mini-batch, and augments when the layer is passed.

    Parameters
    ----------
    networks : SafaNetworks
        E, D, G and Q.
    is_head : Tensor of shape (K,), bool
        Head classes.
    settings : SafaSettings
        Weights and readings.
    f : nn.Module
        The network in training.
    layer : nn.Module
        The layer whose output is augmented.
    max_grad_norm : float or None, default=None
        Bound on the norm of the gradient of the networks.
    """

    place: ClassVar[str] = "inside"
    balanced: ClassVar[bool] = False  # batches come at natural frequencies

    def __init__(
        self,
        networks: SafaNetworks,
        is_head: Tensor,
        settings: SafaSettings,
        *,
        f: nn.Module,
        layer: nn.Module,
        max_grad_norm: float | None = None,
    ):
        self.networks = networks
        self.is_head = is_head.cpu()
        self.settings = settings
        self.f = f
        self.layer = layer
        self.max_grad_norm = max_grad_norm

    def begin(self, pool: Pool, seed: Seed, wanted: dict[int, int] | None = None) -> AugmentState:
        """Put a hook on the layer."""
        own, pending = _OwnLosses(), _Pending()

        @torch.compiler.disable
        def augment(layer: nn.Module, args: Any, output: Tensor) -> Tensor | None:
            if pending.draw is None or not self.f.training:
                return None
            draw, y, pending.draw = pending.draw, pending.y, None  # one pass for each step
            made = augment_tail(self.networks, output, y, draw, self.settings)
            own.loss = made.loss
            return torch.cat([output, made.x])

        hook = self.layer.register_forward_hook(augment)
        return AugmentState(pool, own, pending, _Counted(), hook, [])

    def join(self, state: AugmentState, net: Any) -> None:
        """Train E, D, G and Q whenever the net's optimizer takes a step."""
        state.companion[:] = [
            CompanionOptimizer(net, self.networks, max_grad_norm=self.max_grad_norm)
        ]

    def end(self, state: AugmentState) -> None:
        """Take all out of the network and its optimizer."""
        state.hook.remove()
        state.step.draw = None
        for companion in state.companion:
            companion.leave()
        _told(state.pool.y[:0], state.own_losses)
        if state.counted.n_batches and state.counted.n_without == state.counted.n_batches:
            state.counted.warn()

    def state_dict(self, state: AugmentState) -> dict[str, Any]:
        """Return what an interrupted run needs to go on."""
        (companion,) = state.companion
        return {"networks": self.networks.state_dict(), "optimizer": companion.state_dict()}

    def load_state_dict(self, state: AugmentState, saved: dict[str, Any]) -> None:
        """Take up an interrupted run."""
        (companion,) = state.companion
        self.networks.load_state_dict(saved["networks"])
        companion.load_state_dict(saved["optimizer"])

    def request(self, state: AugmentState, batch: RealBatch, seed: Seed) -> Slots:
        """Ask for augmented features, as many as the pairs of the mini-batch allow."""
        labels = _told(batch.y, state.own_losses)
        per_pair = self.settings.augmented_per_pair
        draw = draw_same_class_pairs(labels, self.is_head, seed, augmented_per_pair=per_pair)
        p, n = len(draw.head), len(labels)
        state.counted.add(p)
        state.step.draw = draw.to(batch.y.device) if p else None
        state.step.y, state.step.tail = batch.y, draw.tail[:, 0]
        return Slots(torch.arange(n, n + p), labels[draw.tail[:, 0]])

    def draw(self, state: AugmentState, slots: Slots, seed: Seed, shared: Seed) -> SafaDraw:
        """Return the pairs that `request` has drawn."""
        return state.step.draw

    def make(self, state: AugmentState, draws: list[SafaDraw], f: Any = None) -> Made:
        """Leave the features to the layer; say which rows they will be made from."""
        tail, x = state.step.tail, state.pool.x.x
        return Made(torch.ones(len(tail), dtype=torch.bool), x[:0], tail, torch.full_like(tail, -1))

    def terms(
        self, state: AugmentState, slots: Slots, made: Made, batch: RealBatch
    ) -> list[LossTerm]:
        """Return the loss of real and augmented rows alike, and that of the networks (Eq. 1)."""
        longer = torch.cat([batch.y, slots.y.to(batch.y.device)])
        none = LossTerm(slice(0, 0), batch.y[:0], criterion=state.own_losses)
        return [LossTerm(slice(None), longer), none]


class _Pending:
    """What the next pass through the layer is to do."""

    draw: SafaDraw | None = None
    y: Tensor | None = None  # (B,)
    tail: Tensor | None = None  # (p,) the tail samples, on the CPU


class _Counted:
    """Counts mini-batches with and without pairs, and says where there are too few."""

    n_batches = n_without = 0

    def add(self, p: int) -> None:
        self.n_batches += 1
        self.n_without += not p
        if self.n_batches == 20 and self.n_without > 10:
            self.warn()

    def warn(self) -> None:
        warnings.warn(
            "SAFA needs two samples of one head class and a sample of a tail class in a batch. Got "
            f"{self.n_without} of {self.n_batches} batches without; nothing was augmented there. "
            "Pass a larger batch_size or another head_ratio.",
            LongTailWarning,
            stacklevel=2,
        )


class _OwnLosses(LongTailLoss):
    """The criterion of a loss term that has no rows: what E, D, G and Q have to pay in this step."""

    loss: Tensor | None = None

    def forward(self, logits: Tensor, y: Tensor, *, sample_weight=None) -> Tensor:
        """Return the losses that were computed when the layer was passed."""
        return self.loss


def _told(y: Tensor, own: _OwnLosses) -> Tensor:
    """Return labels on the CPU, and look at the losses of the last step with the same wait."""
    loss, own.loss = own.loss, None
    if loss is None:
        return y.cpu()
    told = torch.cat([y, torch.isfinite(loss.detach()).view(1).to(y)]).cpu()
    if not told[-1]:
        raise ValueError(
            f"The losses of SAFA's networks are no longer finite. Got {loss.item()}. Lower lr, "
            "reconstruction_weight or max_grad_norm, or start where lr_decay has lowered the rate."
        )
    return told[:-1]
