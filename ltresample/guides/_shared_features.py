"""Guides whose members share fixed features: random convolutions of images, directions of wide rows."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from ltresample._progress import counted
from ltresample._random import Seed
from ltresample.guides._random_units import convex_output, room_for_features

__all__ = [
    "ConvolutionGuide",
    "LinearGuide",
    "RandomConvolutions",
    "convolution_guide",
    "linear_guide",
]

N_FILTERS = 64
N_DIRECTIONS = 256  # most directions of wide rows that a linear guide looks along
PART = 256  # images passed at once


class RandomConvolutions(nn.Module):
    """Features of images: responses to patches of other images, pooled over quadrants.

    Filters are patches of the data, without their mean and of norm 1; a response and its negative
    are rectified, less a quarter of its spread, and averaged over each quadrant (Coates, Lee, Ng,
    "An Analysis of Single-Layer Networks in Unsupervised Feature Learning", AISTATS 2011).

    Parameters
    ----------
    images : Tensor of shape (n, C, H, W)
        Where patches come from, and what responses are measured on.
    seed : Seed
        Root of the patches.
    """

    def __init__(self, images: Tensor, seed: Seed):
        super().__init__()
        n, _, height, width = images.shape
        size = min(3, height, width)
        generator = seed.torch()

        def draw(bound: int) -> list[int]:
            return torch.randint(bound, (4 * N_FILTERS,), generator=generator).tolist()

        places = zip(draw(n), draw(height - size + 1), draw(width - size + 1), strict=True)
        patches = torch.stack([images[i, :, r : r + size, c : c + size] for i, r, c in places])
        patches = patches - patches.mean((1, 2, 3), keepdim=True)
        norm = patches.flatten(1).norm(dim=1)
        strong = norm.argsort(descending=True, stable=True)[: 2 * N_FILTERS : 2]  # no bare ground
        norm = norm[strong, None, None, None].clamp(min=torch.finfo(norm.dtype).tiny)
        self.register_buffer("filters", patches[strong] / norm)
        self.register_buffer("threshold", torch.zeros_like(norm[:, 0, 0, 0]))
        self.threshold = self._responses(images[:PART]).std((0, 2, 3)) / 4

    def _responses(self, x: Tensor) -> Tensor:
        return nn.functional.conv2d(x, self.filters, padding=self.filters.shape[2] // 2)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (n, 8 * N_FILTERS) of images (n, C, H, W)."""
        response, threshold = self._responses(x), self.threshold[:, None, None]
        both = torch.cat([(response - threshold).relu(), (-response - threshold).relu()], 1)
        return nn.functional.adaptive_avg_pool2d(both, 2).flatten(1)


class ConvolutionGuide(nn.Module):
    """Output layers of M members on random convolutions: logits (M, n, K), or (n, K) of one."""

    def __init__(self, body: RandomConvolutions, weight: Tensor, bias: Tensor):
        super().__init__()
        self.body = body
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)  # (M, h, K), (M, 1, K)

    def features(self, x: Tensor) -> Tensor:
        """Return the features (n, h) of images."""
        return self.body(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of images (n, C, H, W)."""
        return _of_one(self.body(x) @ self.weight + self.bias)


class LinearGuide(nn.Module):
    """Linear classifiers of wide rows: logits (M, n, K), or (n, K) of one."""

    def __init__(self, directions: Tensor, weight: Tensor, bias: Tensor):
        super().__init__()
        self.register_buffer("directions", directions)  # (d, r)
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)  # (M, d, K), (M, 1, K)

    def features(self, x: Tensor) -> Tensor:
        """Return where rows lie along the directions in which they vary most, (n, r)."""
        return x @ self.directions

    def forward(self, x: Tensor) -> Tensor:
        """Return logits of rows (n, d)."""
        return _of_one(x @ self.weight + self.bias)


def _of_one(logits: Tensor) -> Tensor:
    return logits if len(logits) > 1 else logits[0]


@torch.no_grad()
def convolution_guide(
    x: Tensor, y: Tensor, weight: Tensor, n_classes: int, seed: Seed
) -> ConvolutionGuide:
    """Draw filters from images (n, C, H, W), and fit output layers to rows of weights (M, n)."""
    body = RandomConvolutions(x, seed)
    parts = x.split(PART)
    own = torch.cat([body(part) for part in counted(parts, len(parts))])  # (n, h)
    phi = room_for_features(1, own.shape[1], own)
    phi[:, :-1] = own.T
    return ConvolutionGuide(body, *convex_output(phi, y, weight, n_classes))


def leading_directions(z: Tensor) -> Tensor:
    """Return orthonormal directions (d, r) along which few wide rows (n, d) vary most.

    They are found in the n x n matrix of inner products, so that columns cost one pass.
    """
    centered = z - z.mean(0)
    values, vectors = torch.linalg.eigh(centered @ centered.T)
    kept = slice(max(0, len(z) - N_DIRECTIONS), None)
    values, vectors = values[kept], vectors[:, kept]
    fine = values > 1e-5 * values[-1].clamp(min=torch.finfo(values.dtype).tiny)
    return centered.T @ (vectors[:, fine] / values[fine].sqrt())


@torch.no_grad()
def linear_guide(z: Tensor, y: Tensor, weight: Tensor, n_classes: int) -> LinearGuide:
    """Fit linear classifiers to wide rows, along the directions in which they vary most.

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

    Returns
    -------
    LinearGuide
        Of rows in standard units.

    Examples
    --------
    >>> z = torch.eye(40, 500)
    >>> z[20:, 0] = 3.0
    >>> y = torch.arange(40) // 20
    >>> g = linear_guide(z, y, torch.ones(1, 40), 2)
    >>> bool((g(z).argmax(1) == y).all())
    True
    """
    directions = leading_directions(z)
    phi = room_for_features(1, directions.shape[1], z)
    phi[:, :-1] = (z @ directions).T
    weight, bias = convex_output(phi, y, weight, n_classes, alike=False)
    return LinearGuide(directions, directions @ weight, bias)
