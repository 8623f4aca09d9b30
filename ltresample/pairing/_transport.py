"""Pairing along a transport plan."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from ltresample._torch import in_full_precision
from ltresample.distances import (
    TransportPlan,
    cosine_cost,
    euclidean_cost,
    sinkhorn_plan,
    unit_rows,
)
from ltresample.exceptions import LongTailWarning
from ltresample.pairing._base import Side, affinity_without_diagonal, drawn_column

__all__ = ["TransportPairing"]


@dataclass(frozen=True)
class TransportPairing:
    r"""Pair along an optimal transport plan between foregrounds and backgrounds (OTMix) [1]_.

    .. math:: C_{ij} = \omega \, (1 - \cos(z_i, z_j)) + (1 - \omega) \, (1 - \hat F_{y_i y_j})

    with features z and the class affinity :math:`\hat F`, a row-normalised confusion matrix whose
    diagonal is set to 0, so that samples of confused but different classes are near (Eq. 7). The
    entropic plan T between uniform weights is solved for (Eq. 4), and foreground i gets the
    background :math:`\arg\max_j T_{ij}` (Eq. 8). Backgrounds may be taken more than once. No
    gradient flows.

    Parameters
    ----------
    feature_weight : float, default=0.05
        omega, in [0, 1]: weight of the cost between samples. 1: features only; 0: classes only.
    cost : {"cosine", "euclidean"}, default="cosine"
        Cost between features; "euclidean" is the distance of features divided by their norms, which
        has the same range [0, 2].
    reg : float, default=0.01
        Entropic strength epsilon, above 0, in the unit of the cost.
    select : {"argmax", "sample", "softmax"}, default="argmax"
        How a background is chosen from a row of the plan: the largest entry, ties broken at random;
        drawn in proportion to the entries; or, as the paper's "probability selection", drawn in
        proportion to their softmax, which is nearly uniform since no entry exceeds 1 / n.
    keep_same_class : bool, default=False
        Leave the diagonal of the class affinity as it is, so that foregrounds mostly meet their own
        class (the paper's "keep same category").
    max_iter : int, default=200
        Largest number of iterations for the plan.
    tol : float, default=1e-6
        L1 error of the plan's marginals at which to stop.

    Raises
    ------
    ValueError
        If a parameter is out of its range.

    Warns
    -----
    LongTailWarning
        If the plan's marginals are off by more than `tol`.

    Notes
    -----
    *Fidelity.* Rows of F are foregrounds here, as in published code: how often the foreground's
    class is misclassified as the background's. In the paper's Eq. 4 to 6 rows are backgrounds;
    the transpose of `class_affinity` gives that. Published code takes the first of equal entries.

    References
    ----------
    .. [1] Gao, Zhao, Li, Guo, "Enhancing Minority Classes by Mixing: An Adaptive Optimal Transport
       Approach for Long-tailed Classification", NeurIPS 2023.

    Examples
    --------
    >>> foreground = Side(torch.tensor([0, 1]), torch.eye(2))
    >>> background = Side(torch.tensor([2, 2]), torch.tensor([[0.1, 1.0], [1.0, 0.1]]))
    >>> TransportPairing(feature_weight=1.0).pair(foreground, background, torch.rand(2))
    tensor([1, 0])
    """

    feature_weight: float = 0.05
    cost: str = "cosine"
    reg: float = 0.01
    select: str = "argmax"
    keep_same_class: bool = False
    max_iter: int = 200
    tol: float = 1e-6

    def __post_init__(self):
        if not 0 <= self.feature_weight <= 1:
            raise ValueError(
                "feature_weight (omega) must be in [0, 1]. Got "
                f"feature_weight={self.feature_weight!r}. 0 is classes only, 1 features only."
            )
        if not self.reg > 0:
            raise ValueError(f"reg must be positive. Got reg={self.reg!r}.")
        _known(_COSTS, "cost", self.cost)
        _known(_SELECT, "select", self.select)

    @property
    def needs_features(self) -> bool:
        """Whether both sides must have features."""
        return self.feature_weight > 0

    @property
    def needs_affinity(self) -> bool:
        """Whether a class affinity must be given."""
        return self.feature_weight < 1

    @in_full_precision
    def cost_matrix(
        self, foreground: Side, background: Side, *, class_affinity: Tensor | None = None
    ) -> Tensor:
        """Return the costs between samples.

        Parameters
        ----------
        foreground, background : Side
            n foregrounds and m backgrounds.
        class_affinity : Tensor of shape (K, K) or None, default=None
            Row-normalised confusion matrix, rows are true classes.

        Returns
        -------
        Tensor of shape (n, m)
            Costs in [0, 1 + omega].

        Raises
        ------
        ValueError
            If features or the class affinity are needed and missing, or do not fit.
        """
        total = torch.zeros(len(foreground.y), len(background.y), device=foreground.y.device)
        if self.needs_features:
            between = _COSTS[self.cost](*_features(foreground, background))
            total = total + self.feature_weight * between
        if self.needs_affinity:
            affinity = self._affinity(class_affinity).to(total)
            pairs = affinity[foreground.y][:, background.y]  # (n, m)
            total = total + (1 - self.feature_weight) * (1 - pairs)
        return total

    def _affinity(self, class_affinity: Tensor | None) -> Tensor:
        if class_affinity is None:
            raise ValueError(
                "TransportPairing needs a class affinity (K, K) for the cost between classes. Got "
                f"class_affinity=None with feature_weight={self.feature_weight!r}. Pass a "
                "row-normalised confusion matrix of held-out data, or feature_weight=1.0."
            )
        return class_affinity if self.keep_same_class else affinity_without_diagonal(class_affinity)

    @torch.no_grad()
    @in_full_precision
    def plan(
        self, foreground: Side, background: Side, *, class_affinity: Tensor | None = None
    ) -> TransportPlan:
        """Solve for the plan between uniform weights.

        Parameters
        ----------
        foreground, background : Side
            n foregrounds and m backgrounds.
        class_affinity : Tensor of shape (K, K) or None, default=None
            Row-normalised confusion matrix, rows are true classes.

        Returns
        -------
        TransportPlan
            With ``plan`` (n, m), whose rows sum to 1 / n and whose columns to 1 / m.

        Raises
        ------
        ValueError
            As `cost_matrix`.

        Warns
        -----
        LongTailWarning
            If the plan's marginals are off by more than `tol`.
        """
        cost = self.cost_matrix(foreground, background, class_affinity=class_affinity)
        found = sinkhorn_plan(cost, reg=self.reg, max_iter=self.max_iter, tol=self.tol, warn=False)
        if not found.converged:
            error = float(found.marginal_error)
            warnings.warn(
                f"The transport plan of {len(cost)} foregrounds and {cost.shape[1]} backgrounds "
                f"has not converged: its marginals are off by {error:.1e} after {found.n_iter} "
                f"iterations, above tol={self.tol}. Pairs are taken from it all the same. Raise "
                f"max_iter (now {self.max_iter}) or reg (now {self.reg}).",
                LongTailWarning,
                stacklevel=4,
            )
        return found

    @in_full_precision
    def pair(
        self, foreground: Side, background: Side, u: Tensor, *, class_affinity: Tensor | None = None
    ) -> Tensor:
        """Return the background (n,) that the plan sends each foreground to.

        Parameters
        ----------
        foreground, background : Side
            n foregrounds and m backgrounds.
        u : Tensor of shape (n,)
            Uniform numbers in [0, 1), for ties and draws.
        class_affinity : Tensor of shape (K, K) or None, default=None
            Row-normalised confusion matrix, rows are true classes.

        Returns
        -------
        Tensor of shape (n,)
            Positions in the backgrounds.

        Raises
        ------
        ValueError
            As `cost_matrix`.
        """
        plan = self.plan(foreground, background, class_affinity=class_affinity).plan
        return drawn_column(_SELECT[self.select](plan), u)


def _known(table: dict, name: str, key: str) -> None:
    if key not in table:
        allowed = ", ".join(repr(word) for word in table)
        raise ValueError(f"{name} must be one of {allowed}. Got {name}={key!r}.")


def _features(foreground: Side, background: Side) -> tuple[Tensor, Tensor]:
    z_f, z_b = foreground.features, background.features
    if z_f is None or z_b is None or z_f.shape[1:] != z_b.shape[1:] or z_f.dim() != 2:
        shapes = [None if z is None else tuple(z.shape) for z in (z_f, z_b)]
        raise ValueError(
            "TransportPairing needs features (n, d) of foregrounds and backgrounds. Got "
            f"{shapes[0]} and {shapes[1]}. Pass both, or feature_weight=0.0 for classes only."
        )
    return z_f.float(), z_b.float()


_COSTS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cosine": cosine_cost,
    "euclidean": lambda z_f, z_b: euclidean_cost(unit_rows(z_f), unit_rows(z_b)),
}


def _largest(plan: Tensor) -> Tensor:
    """Mark the largest entries of each row; what differs by rounding only is equal."""
    return plan >= plan.amax(1, keepdim=True) * (1 - 1e-5)


_SELECT: dict[str, Callable[[Tensor], Tensor]] = {
    "argmax": _largest,
    "sample": lambda plan: plan.double(),
    "softmax": lambda plan: plan.double().softmax(1),
}
