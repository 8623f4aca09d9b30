"""Labels of open-set samples: distributions that fill up the class prior (Wei et al., ICML 2022)."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ltresample.class_counts import class_prior, class_weights, complementary_distribution

__all__ = ["LABEL_DISTRIBUTIONS", "balancing_size", "exact_counts", "label_distribution"]


def _class_balanced(counts: ArrayLike, beta: float) -> NDArray[np.float64]:
    weights = class_weights(counts, "effective", beta=beta)
    return weights / weights.sum()


_KINDS = {
    "complementary": lambda counts, beta: complementary_distribution(counts),
    "minimum": lambda counts, beta: complementary_distribution(
        counts, alpha=float(class_prior(counts).max())
    ),
    "uniform": lambda counts, beta: complementary_distribution(counts, alpha=np.inf),
    "original": lambda counts, beta: class_prior(counts),
    "class_balanced": _class_balanced,
}
LABEL_DISTRIBUTIONS = tuple(_KINDS)


def label_distribution(
    class_counts: ArrayLike,
    kind: str = "complementary",
    *,
    alpha: float | None = None,
    beta: float = 0.9999,
) -> NDArray[np.float64]:
    """Return the distribution Gamma from which open-set samples get their labels.

    Parameters
    ----------
    class_counts : array-like of shape (n_classes,)
        N_k, training samples per class.
    kind : {"complementary", "minimum", "uniform", "original", "class_balanced"}, \
            default="complementary"
        ``(alpha - N_k / N) / (K alpha - 1)``; the same with the smallest alpha, which leaves the
        largest class out; all classes equally; the class prior; in proportion to ``1 / E_k`` with the
        effective number ``E_k = (1 - beta^N_k) / (1 - beta)``.
    alpha : float or None, default=None
        For "complementary", at least the largest prior. None: largest plus smallest prior.
    beta : float, default=0.9999
        For "class_balanced", in [0, 1].

    Returns
    -------
    ndarray of shape (n_classes,)
        Probabilities with sum 1.

    Raises
    ------
    ValueError
        If `kind` is unknown, `alpha` is given for another kind than "complementary" or is below
        the largest prior, or the counts are out of their range.

    References
    ----------
    .. [1] Wei et al., ICML 2022, arXiv:2206.08802: Proposition 1 and Figure 1.

    Examples
    --------
    >>> label_distribution([6, 3, 1]).round(3)
    array([0.091, 0.364, 0.545])
    >>> label_distribution([6, 3, 1], "minimum")
    array([0.   , 0.375, 0.625])
    """
    if kind not in _KINDS:
        allowed = ", ".join(repr(word) for word in _KINDS)
        raise ValueError(
            f"label_distribution must be one of {allowed}. Got label_distribution={kind!r}."
        )
    if alpha is None:
        return _KINDS[kind](class_counts, beta)
    if kind != "complementary":
        raise ValueError(
            f"alpha belongs to label_distribution='complementary'. Got alpha={alpha!r} and "
            f"label_distribution={kind!r}. Leave one of them out."
        )
    return complementary_distribution(class_counts, alpha=alpha)


def balancing_size(class_counts: ArrayLike, alpha: float | None = None) -> int:
    """Return M* = N (K alpha - 1): with so many labels from Gamma all classes end at N alpha.

    Parameters
    ----------
    class_counts : array-like of shape (n_classes,)
        N_k, training samples per class.
    alpha : float or None, default=None
        At least the largest prior, finite. None: largest plus smallest prior, so that classes end
        at N_max + N_min.

    Returns
    -------
    int
        M*, rounded.

    Examples
    --------
    >>> balancing_size([6, 3, 1])  # 1, 4 and 6 more: each class ends at 7
    11
    """
    prior = class_prior(class_counts)
    alpha = prior.max() + prior.min() if alpha is None else alpha
    return max(0, round(float(np.sum(class_counts)) * (len(prior) * alpha - 1)))


def exact_counts(n: int, distribution: ArrayLike) -> NDArray[np.int64]:
    """Share n labels out as the distribution says, by largest remainder; of equals, the first.

    Parameters
    ----------
    n : int
        Number of labels, at least 0.
    distribution : array-like of shape (n_classes,)
        Probabilities with sum 1.

    Returns
    -------
    ndarray of shape (n_classes,), int64
        Counts with sum n, each within one of ``n * distribution``.

    Examples
    --------
    >>> exact_counts(10, [0.55, 0.25, 0.2])
    array([6, 2, 2])
    """
    # nine digits: sums of rounded numbers must not decide between equal remainders
    quota = np.round(n * np.asarray(distribution, dtype=np.float64), 9)
    counts = np.floor(quota).astype(np.int64)
    order = np.argsort(-(quota - counts), kind="stable")
    counts[order[: n - counts.sum()]] += 1
    return counts
