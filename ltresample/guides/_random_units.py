"""A guide without gradient descent: random hidden units, and output layers that are a convex fit."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from ltresample._progress import counted
from ltresample._random import Seed
from ltresample.models import MLPEnsemble, uninitialized

__all__ = [
    "convex_output",
    "discriminant_output",
    "fit_output_layers",
    "random_ensemble",
    "random_hidden_units",
]

MANY_CLASSES = (
    50  # from which on logistic regressions of all of them take too many, too small steps
)


def random_hidden_units(ensemble: MLPEnsemble, z: Tensor, weight: Tensor, seed: Seed) -> None:
    """Draw the first layers: directions at random, each unit bending at a row of the data.

    ``h_u(z) = relu(w_u . (z - z_u))`` with w_u normal of variance 1 / d and z_u a row drawn in
    proportion to `weight`.

    Parameters
    ----------
    ensemble : MLPEnsemble
        Its first layers are overwritten.
    z : Tensor of shape (n, d)
        Rows in standard units.
    weight : Tensor of shape (n,)
        At least 0, not all 0.
    seed : Seed
        Root of the directions and rows.
    """
    n_units, d = ensemble.first.weight.shape
    direction = torch.randn(n_units, d, generator=seed.child("units").torch()) / math.sqrt(d)
    bends = torch.multinomial(
        weight.cpu().double(), n_units, replacement=True, generator=seed.child("bends").torch()
    )
    with torch.no_grad():
        ensemble.first.weight.copy_(direction)
        ensemble.first.bias.copy_(-(ensemble.first.weight * z[bends.to(z.device)]).sum(1))


@torch.no_grad()
def fit_output_layers(
    ensemble: MLPEnsemble,
    z: Tensor,
    y: Tensor,
    weight: Tensor,
    *,
    ridge: float = 0.1,
    n_iterations: int = 15,
) -> None:
    """Fit the output layers to random hidden units, each unit standardised.

    Parameters
    ----------
    ensemble : MLPEnsemble
        With hidden units; its output layers are overwritten.
    z : Tensor of shape (n, d)
        Rows in standard units.
    y : Tensor of shape (n,)
        Class index.
    weight : Tensor of shape (n_members, n)
        Weights of the rows for each member; scaled here to mean 1.
    ridge : float, default=0.1
        On the weights of standardised units.
    n_iterations : int, default=15
        Steps.
    """
    n_members, n_classes = ensemble.n_members, ensemble.weight.shape[2]
    hidden = room_for_features(n_members, ensemble.hidden, z)
    hidden[:, :-1] = ensemble.features(z).T.unflatten(0, (n_members, -1))
    output, bias = convex_output(
        hidden, y, weight, n_classes, ridge=ridge, n_iterations=n_iterations
    )
    ensemble.weight.copy_(output)
    ensemble.bias.copy_(bias)


def room_for_features(n_members: int, n_features: int, like: Tensor) -> Tensor:
    """Return room (n_members, n_features + 1, n) for features of the rows `like` (n, d), and ones."""
    room = like.new_empty(n_members, n_features + 1, len(like))
    room[:, -1] = 1  # what the bias belongs to
    return room


@torch.no_grad()
def convex_output(
    features: Tensor,
    y: Tensor,
    weight: Tensor,
    n_classes: int,
    *,
    alike: bool = True,
    ridge: float = 0.1,
    n_iterations: int = 15,
) -> tuple[Tensor, Tensor]:
    """Fit multinomial logistic regressions on given features: a convex problem for each member.

    Member j minimises ``sum_i v_ji CE(B_j phi_j(z_i), y_i) / n + ridge / 2 |B_j|^2`` with
    standardised features phi_j and mean weight 1; biases have a ridge of 1e-4. The Hessian of the
    loss is nowhere above ``Phi^T V Phi / 2n`` in each output (Boehning 1992), so that one
    factorisation serves all steps, which are accelerated as Nesterov's.

    Parameters
    ----------
    features : Tensor of shape (n_members, h + 1, n) or (1, h + 1, n)
        Features of the rows, of each member or shared by all, in what `room_for_features` gives;
        overwritten.
    y : Tensor of shape (n,)
        Class index.
    weight : Tensor of shape (n_members, n)
        Weights of the rows for each member; scaled here to mean 1.
    n_classes : int
        K.
    alike : bool, default=True
        Give each feature unit variance. False: all features together that of 64 such ones, so that
        directions in which rows vary more weigh more, as in a linear model of the rows themselves.
    ridge : float, default=0.1
        Of standardised features.
    n_iterations : int, default=15
        Steps.

    Returns
    -------
    output : Tensor of shape (n_members, h, K)
        Weights of the features as they came.
    bias : Tensor of shape (n_members, 1, K)
        Biases.

    References
    ----------
    D. Boehning, "Multinomial Logistic Regression Algorithm", Ann. Inst. Statist. Math. 44, 1992.
    """
    if n_classes > MANY_CLASSES:
        return discriminant_output(features[:, :-1], y, weight, n_classes, ridge=ridge)
    phi, hidden = features, features[:, :-1]
    mean = hidden.mean(2, keepdim=True)
    hidden -= mean
    spread = hidden.square().mean(2, keepdim=True).sqrt()
    if not alike:
        spread = (spread.square().sum(1, keepdim=True) / 64).sqrt().expand_as(spread)
    spread = torch.where(spread > 1e-6, spread, 1.0)  # a unit that never moves adds nothing
    hidden /= spread
    share = (weight / weight.sum(1, keepdim=True))[:, None]  # (M, 1, n), v / n
    penalty = torch.full_like(phi[0, :, 0], ridge)
    penalty[-1] = 1e-4  # the bias; not 0, as adding to all outputs changes no probability
    factor = torch.linalg.cholesky((phi * share) @ phi.mT / 2 + penalty.diag())
    target = nn.functional.one_hot(y, n_classes).T.to(phi.dtype)  # (K, n)
    old = new = phi.new_zeros(len(weight), n_classes, phi.shape[1])
    for step in counted(range(n_iterations), n_iterations):
        ahead = new + step / (step + 3) * (new - old)
        residual = ((ahead @ phi).softmax(1) - target) * share
        gradient = residual @ phi.mT + penalty * ahead  # (M, K, h + 1)
        old, new = new, ahead - torch.cholesky_solve(gradient.mT, factor).mT
    output = new[..., :-1] / spread.mT  # (M, K, h)
    return output.mT, (new[..., -1:] - output @ mean).mT


@torch.no_grad()
def discriminant_output(
    features: Tensor, y: Tensor, weight: Tensor, n_classes: int, *, ridge: float = 0.1
) -> tuple[Tensor, Tensor]:
    """Fit linear discriminants on given features: no steps, whatever the number of classes.

    With class means mu_k, and S what is left of the covariance within classes plus `ridge` times its
    mean variance, ``logit_k = mu_k' S^-1 phi - mu_k' S^-1 mu_k / 2``; classes count alike.

    Parameters
    ----------
    features : Tensor of shape (n_members, h, n) or (1, h, n)
        Features of the rows, of each member or shared by all.
    y : Tensor of shape (n,)
        Class index.
    weight : Tensor of shape (n_members, n)
        Weights of the rows for each member.
    n_classes : int
        K.
    ridge : float, default=0.1
        At least 0.

    Returns
    -------
    output : Tensor of shape (n_members, h, K)
        Weights of the features.
    bias : Tensor of shape (n_members, 1, K)
        Biases; of a class without weight so low that it is never given.
    """
    phi = features.mT  # (M, n, h)
    center = phi.mean(1, keepdim=True)
    phi = phi - center
    total = weight.new_zeros(len(weight), n_classes).index_add_(1, y, weight)  # (M, K)
    weighted = phi * weight[..., None]
    mean = weighted.new_zeros(len(weight), n_classes, phi.shape[2]).index_add_(1, y, weighted)
    mean = mean / total.clamp(min=torch.finfo(total.dtype).tiny)[..., None]
    rest = phi - mean[:, y]  # (M, n, h)
    several = (torch.bincount(y, minlength=n_classes) > 1)[y]  # a single row is its own mean
    share = weight * several
    share = share / share.sum(1, keepdim=True).clamp(min=torch.finfo(total.dtype).tiny)
    within = (rest * share[..., None]).mT @ rest  # (M, h, h)
    variance = within.diagonal(dim1=1, dim2=2).mean(1).clamp(min=1e-12)[:, None, None]
    eye = torch.eye(phi.shape[2], dtype=phi.dtype, device=phi.device)
    factor = torch.linalg.cholesky(within + ridge * variance * eye)
    output = torch.cholesky_solve(mean.mT, factor)  # (M, h, K)
    bias = -(mean.mT * output).sum(1, keepdim=True) / 2
    bias = torch.where(total[:, None] > 0, bias, -1e4)
    return output, bias - center @ output


def random_ensemble(
    z: Tensor, y: Tensor, weight: Tensor, n_classes: int, seed: Seed, *, hidden: int = 64
) -> MLPEnsemble:
    """Make an ensemble with random hidden units, and fit its outputs.

    Parameters
    ----------
    z : Tensor of shape (n, d)
        Rows in standard units.
    y : Tensor of shape (n,)
        Class index.
    weight : Tensor of shape (n_members, n)
        Weights of the rows for each member.
    n_classes : int
        K.
    seed : Seed
        Root of the hidden units.
    hidden : int, default=64
        Units of each member.

    Returns
    -------
    MLPEnsemble
        Of rows in standard units.

    Examples
    --------
    >>> z = torch.linspace(-2, 2, 50)[:, None]
    >>> y = (z[:, 0].abs() < 1).long()
    >>> ensemble = random_ensemble(z, y, torch.ones(8, 50), 2, Seed(0))
    >>> bool((ensemble(z).softmax(2).mean(0).argmax(1) == y).float().mean() > 0.9)
    True
    """
    with uninitialized():
        ensemble = MLPEnsemble(len(weight), z.shape[1], n_classes, hidden=hidden)
    ensemble.to(device=z.device, dtype=z.dtype)
    random_hidden_units(ensemble, z, weight.sum(0), seed)
    fit_output_layers(ensemble, z, y, weight)
    return ensemble
