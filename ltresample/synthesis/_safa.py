"""SAFA: tail features moved along what the head has learnt (Hong, Zhang, Sun and Yan, ECCV 2022).

Works on a batch of features x of one layer, maps (B, C, H, W) or vectors (B, C). Differences of two
samples of a head class become a delta that says nothing about the class, E; the delta is fitted to
one tail sample, D, and moves it, G; a fourth network, Q, tells whether two features are of one class.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from ltresample._random import Seed
from ltresample.synthesis._safa_networks import SafaNetworks

__all__ = [
    "Augmented",
    "SafaDraw",
    "SafaSettings",
    "augment_tail",
    "draw_same_class_pairs",
    "head_classes",
]

_SPREAD_EPS = 1e-5  # of the ratios of Eq. 7


class SafaSettings(NamedTuple):
    """Weights of the four losses, 0 leaves a loss out, and how the paper's open points are read."""

    reconstruction_weight: float = 100.0  # lambda_1
    tail_spread_weight: float = 0.01  # lambda_2
    head_spread_weight: float = 0.01  # lambda_3; the paper prints 1e2
    contrast_weight: float = 0.1  # lambda_4
    mean_square: bool = True  # L_r: mean of squared errors; False: mean of Euclidean norms
    literal_spread: bool = False  # L_ms^h: Eq. 7 as printed; False: two deltas on one tail feature
    consistent_sign: bool = False  # Delta^ from F_t - F~_t, as Delta; False: the paper's F~_t - F_t
    end_to_end: bool = False  # gradients of the four losses reach the network that is trained
    augmented_per_pair: float = 1.0  # augmented features for each head pair

    @property
    def weights(self) -> dict[str, float]:
        """Weights of the losses by their names, lambda_1, lambda_2, lambda_3 and lambda_4."""
        return {
            "reconstruction": self.reconstruction_weight,
            "tail_spread": self.tail_spread_weight,
            "head_spread": self.head_spread_weight,
            "contrast": self.contrast_weight,
        }


class SafaDraw(NamedTuple):
    """All random choices for p augmented features, as positions in the batch."""

    head: Tensor  # (p, 2) F_h^i and F_h^j
    tail: Tensor  # (p, 2) F_t^i, which is augmented, and F_t^j of its class
    other: Tensor  # (p,) the augmented row whose F_t^j is this row's F_t^i; itself: there is none
    contrast: Tensor  # (s // 2, 2) positions in the batch followed by the p augmented rows

    def to(self, device: torch.device) -> SafaDraw:
        """Move the draw to a device."""
        return SafaDraw(*(part.to(device) for part in self))


class Augmented(NamedTuple):
    """What became of a draw."""

    x: Tensor  # (p, C, ...)
    y: Tensor  # (p,)
    losses: dict[str, Tensor]  # "reconstruction", "tail_spread", "head_spread", "contrast"
    loss: Tensor  # their weighted sum


def head_classes(class_counts: Tensor, head_ratio: float = 0.2) -> Tensor:
    """Choose the head: the first gamma K classes by decreasing count, at least one, not all.

    Parameters
    ----------
    class_counts : Tensor of shape (K,)
        Training samples per class; classes without samples are neither.
    head_ratio : float, default=0.2
        gamma, in (0, 1).

    Returns
    -------
    Tensor of shape (K,), bool
        True for head classes. Of equal counts the lower class index comes first.

    Raises
    ------
    ValueError
        If there are fewer than two classes with samples, or no head class has two samples.

    Examples
    --------
    >>> head_classes(torch.tensor([3, 50, 20, 9]))
    tensor([False,  True, False, False])
    """
    n_present = int((class_counts > 0).sum())
    if n_present < 2:
        raise ValueError(
            "SAFA needs at least one head class and one tail class. Got "
            f"{n_present} class(es) with samples, class_counts={class_counts.tolist()}."
        )
    # the paper's classes are sorted by count; here the order follows from the counts
    n_head = min(max(1, round(head_ratio * n_present)), n_present - 1)
    order = class_counts.argsort(descending=True, stable=True)
    if class_counts[order[0]] < 2:
        raise ValueError(
            "SAFA learns from pairs of samples of a head class, and no class has two samples. Got "
            f"class_counts={class_counts.tolist()}."
        )
    chosen = torch.zeros_like(class_counts, dtype=torch.bool)
    chosen[order[:n_head]] = True
    return chosen


def draw_same_class_pairs(
    y: Tensor, is_head: Tensor, seed: Seed, *, augmented_per_pair: float = 1.0
) -> SafaDraw:
    """Cut a batch into pairs of one class, and let head pairs meet tail pairs.

    Each sample is in at most one pair; a tail sample that is left over in its class, as one that is
    alone in the batch, is paired with itself. Head pairs come in twos, and two of them meet the same
    tail pair (t, t'), the first to move t, the second to move t'; so the four features that both
    losses of Eq. 7 compare are made once. Tail pairs are taken in turn.

    Parameters
    ----------
    y : Tensor of shape (B,)
        Class indices of the batch.
    is_head : Tensor of shape (K,), bool
        Head classes.
    seed : Seed
        Belongs to this step.
    augmented_per_pair : float, default=1.0
        Augmented features per head pair, above 0; at least two are made.

    Returns
    -------
    SafaDraw
        On the CPU; of length 0 where there is no head pair or no tail sample.

    Examples
    --------
    >>> draw = draw_same_class_pairs(torch.tensor([0, 0, 0, 0, 1]), torch.tensor([True, False]), Seed(0))
    >>> draw.tail.tolist()
    [[4, 4], [4, 4]]
    """
    y, is_head, generator = y.cpu(), is_head.cpu(), seed.torch()
    first, second = _class_pairs(y, generator)
    of_head = is_head[y[first]]
    head = torch.stack([first, second], 1)[of_head & (first != second)]
    tail = torch.stack([first, second], 1)[~of_head]
    if not len(head) or not len(tail):
        nothing = torch.empty(0, 2, dtype=torch.int64)
        return SafaDraw(nothing, nothing, nothing[:, 0], nothing)
    head = head[torch.randperm(len(head), generator=generator)]
    tail = tail[torch.randperm(len(tail), generator=generator)]
    p = max(2, round(augmented_per_pair * len(head)))  # batch statistics need two rows
    row = torch.arange(p)
    met = tail[(row // 2) % len(tail)]
    shuffled = torch.randperm(len(y) + p, generator=generator)
    return SafaDraw(
        head=head[row % len(head)],
        tail=torch.where((row % 2 == 0)[:, None], met, met.flip(1)),
        other=torch.where(row ^ 1 < p, row ^ 1, row),
        contrast=shuffled[: len(shuffled) // 2 * 2].view(-1, 2),
    )


def _class_pairs(y: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Pair the samples of each class at random; one that is left over is paired with itself."""
    order = torch.randperm(len(y), generator=generator)
    order = order[y[order].argsort(stable=True)]
    labels = y[order]
    rank = torch.arange(len(y)) - torch.searchsorted(labels, labels)  # within the class
    last = torch.searchsorted(labels, labels, right=True) - 1
    first = (rank % 2 == 0).nonzero()[:, 0]
    return order[first], order[torch.minimum(first + 1, last[first])]


def augment_tail(
    networks: SafaNetworks,
    x: Tensor,
    y: Tensor,
    draw: SafaDraw,
    settings: SafaSettings | None = None,
) -> Augmented:
    """Move tail features along deltas of head pairs, and compute the losses of the networks.

    Per augmented feature, with head pair (F_h^i, F_h^j) and tail pair (F_t^i, F_t^j),

    ``Delta = E(F_h^i - F_h^j),  F~_t = G(D([Delta; F_t^i]) + F_t^i)``  (Eq. 2 and 3)

    and, weighted, ``L_r`` (Eq. 4 and 5), ``L_c`` (Eq. 6), ``L_ms^t`` and ``L_ms^h`` (Eq. 7).

    Parameters
    ----------
    networks : SafaNetworks
        E, D, G and Q, in training mode.
    x : Tensor of shape (B, C, ...)
        Features of a batch. Unless ``settings.end_to_end`` they are constants here: what comes out
        sends gradients to the networks only.
    y : Tensor of shape (B,)
        Class indices.
    draw : SafaDraw
        On the device of `x`, of length p >= 2.
    settings : SafaSettings or None, default=None
        Weights and readings; None: the defaults.

    Returns
    -------
    Augmented
        Features (p, C, ...), their classes, and the losses that were not left out.
    """
    settings = settings or SafaSettings()
    source = x if settings.end_to_end else x.detach()
    head_i, head_j = source[draw.head[:, 0]], source[draw.head[:, 1]]
    tail_i, tail_j = source[draw.tail[:, 0]], source[draw.tail[:, 1]]
    delta = networks.delta(head_i - head_j)  # Eq. 2, (p, C, ...)
    made, partner = _move_both(networks, delta, tail_i, tail_j, settings)
    losses = {}
    if settings.reconstruction_weight:
        losses["reconstruction"] = _cycle(networks, delta, made, tail_i, head_i, head_j, settings)
    if settings.contrast_weight:
        # of the s = B + p real and augmented features, s / 2 random pairs
        y_all = torch.cat([y, y[draw.tail[:, 0]]])
        losses["contrast"] = _contrast(networks, torch.cat([source, made]), y_all, draw.contrast)
    if settings.tail_spread_weight:
        losses["tail_spread"] = _ratio(tail_i - tail_j, made - partner)
    if settings.head_spread_weight and settings.literal_spread:
        # the same features in both places would make the ratio infinite
        losses["head_spread"] = _ratio(head_i - head_j, made - partner, where=tail_i - tail_j)
    elif settings.head_spread_weight:
        # as the prose asks: one tail feature, moved by two deltas
        losses["head_spread"] = _ratio(delta - delta[draw.other], made - partner[draw.other])
    # Eq. 1 without L_cls, which the layers above compute
    weighted = [settings.weights[name] * loss for name, loss in losses.items()]
    loss = torch.stack(weighted).sum() if weighted else made.new_zeros(())
    return Augmented(made.to(x.dtype), y[draw.tail[:, 0]], losses, loss)


def _move_both(networks, delta, tail_i, tail_j, settings) -> tuple[Tensor, Tensor]:
    """Move F_t^i, and F_t^j with the same delta where a loss compares them, in one pass."""
    if not (settings.tail_spread_weight or settings.head_spread_weight):
        made = networks.move(delta, tail_i)
        return made, made
    both = networks.move(torch.cat([delta, delta]), torch.cat([tail_i, tail_j]))
    return both[: len(delta)], both[len(delta) :]


def _cycle(networks, delta, made, tail, head_i, head_j, settings: SafaSettings) -> Tensor:
    """Find the delta again in what it moved (Eq. 4), and the head sample by that delta (Eq. 5)."""
    found = networks.delta(tail - made if settings.consistent_sign else made - tail)
    again = networks.move(found, head_i)
    # L_r = |Delta^ - Delta| + |F^_h^j - F_h^j|
    errors = (found - delta).float(), (again - head_j).float()
    if settings.mean_square:
        return sum(error.square().mean() for error in errors)
    return sum(error.flatten(1).norm(dim=1).mean() for error in errors)


def _contrast(networks, features: Tensor, y: Tensor, pairs: Tensor) -> Tensor:
    """Tell pairs of one class from others (Eq. 6)."""
    same = (y[pairs[:, 0]] == y[pairs[:, 1]]).float()
    stacked = torch.cat([features[pairs[:, 0]], features[pairs[:, 1]]], 1)
    return binary_cross_entropy_with_logits(networks.same_class(stacked).float(), same)


def _ratio(before: Tensor, after: Tensor, *, where: Tensor | None = None) -> Tensor:
    """Return the mean of |before|_1 / |after|_1 (Eq. 7) over the rows in which `where` is not 0.

    The numerators are constants: else real features would shrink.
    """
    numerator, denominator = _length(before.detach()), _length(after)
    valid = (numerator if where is None else _length(where.detach())) > 0
    ratio = numerator / (denominator + _SPREAD_EPS)
    return torch.where(valid, ratio, 0.0).sum() / valid.sum().clamp(min=1)


def _length(rows: Tensor) -> Tensor:
    return rows.flatten(1).float().abs().sum(1)
