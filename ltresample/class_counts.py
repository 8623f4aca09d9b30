"""Arithmetic on class counts: how long the tail is, and what follows for weights and draws.

Everything here takes the number of training samples per class ``N_k``, shape ``(n_classes,)``, in
any order of classes, and returns NumPy arrays in the same order. These formulas stand nowhere else.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = [
    "PartialFill",
    "acceptance_probability",
    "class_prior",
    "class_weights",
    "complementary_distribution",
    "effective_number",
    "grid_count_decay",
    "imbalance_factor",
    "long_tailed_counts",
    "scaled_count_decay",
    "shot_groups",
]

_PASS_RATE = 0.95  # share of candidates that a chosen count decay lets through
_MAX_COUNT_DECAY = 0.999  # M2m's largest value


def imbalance_factor(counts: ArrayLike) -> float:
    """Return the imbalance factor ``N_max / N_min``.

    Parameters
    ----------
    counts : array-like of shape (n_classes,)
        Number of training samples per class, each at least 1.

    Returns
    -------
    float
        At least 1; 1 for balanced classes.

    Raises
    ------
    ValueError
        If `counts` is empty, not one-dimensional, not finite or holds a count below 1.

    Examples
    --------
    >>> imbalance_factor([5000, 50])
    100.0
    """
    counts = _checked(counts, least=1)
    return float(counts.max() / counts.min())


def long_tailed_counts(
    n_max: int, n_classes: int, *, imbalance_factor: float, kind: str = "exp"
) -> NDArray[np.int64]:
    """Return class counts that fall from `n_max` to ``n_max / imbalance_factor``.

    ``"exp"`` is the profile of the CIFAR-LT data sets [1]_,
    ``N_c = int(n_max * (1 / IF)^(c / (K - 1)))``. ``"step"`` gives the first ``K // 2`` classes
    `n_max` samples and the others ``int(n_max / IF)``. Both truncate, they do not round.

    Parameters
    ----------
    n_max : int
        Samples of the first, largest class, at least 1.
    n_classes : int
        Number of classes K, at least 2.
    imbalance_factor : float
        IF = N_max / N_min, from 1 (balanced) to `n_max`.
    kind : {"exp", "step"}, default="exp"
        Shape of the tail.

    Returns
    -------
    ndarray of shape (n_classes,), int64
        Counts in decreasing order, each at least 1.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    References
    ----------
    .. [1] Cao, Wei, Gaidon, Arechiga, Ma. Learning Imbalanced Datasets with
       Label-Distribution-Aware Margin Loss. NeurIPS 2019. arXiv:1906.07413.

    Examples
    --------
    >>> long_tailed_counts(5000, 10, imbalance_factor=100)
    array([5000, 2997, 1796, 1077,  645,  387,  232,  139,   83,   50])
    >>> long_tailed_counts(100, 5, imbalance_factor=10, kind="step")
    array([100, 100,  10,  10,  10])
    """
    profile = _choose(_PROFILES, "kind", kind)
    if n_classes < 2:
        raise ValueError(f"n_classes must be at least 2. Got n_classes={n_classes!r}.")
    if n_max < 1:
        raise ValueError(f"n_max must be at least 1. Got n_max={n_max!r}.")
    if not 1 <= imbalance_factor <= n_max:
        raise ValueError(
            f"imbalance_factor is N_max / N_min, in [1, n_max={n_max}] so that no class is empty. "
            f"Got imbalance_factor={imbalance_factor!r}. "
            "For a factor given as N_min / N_max, pass its inverse."
        )
    return np.array(profile(n_max, n_classes, imbalance_factor), dtype=np.int64)


def effective_number(counts: ArrayLike, beta: float) -> NDArray[np.float64]:
    """Return the effective number of samples ``E_k = (1 - beta^N_k) / (1 - beta)`` [1]_.

    Parameters
    ----------
    counts : array-like of shape (n_classes,)
        Number of training samples per class, each at least 0.
    beta : float
        In [0, 1]. 0: every class counts as one sample; 1: as its ``N_k`` samples.

    Returns
    -------
    ndarray of shape (n_classes,)
        Effective numbers, in [0, N_k].

    Raises
    ------
    ValueError
        If `beta` or `counts` is out of its range.

    References
    ----------
    .. [1] Cui, Jia, Lin, Song, Belongie. Class-Balanced Loss Based on Effective Number of Samples.
       CVPR 2019. arXiv:1901.05555.

    Examples
    --------
    >>> effective_number([1, 2, 3], 0.5)
    array([1.  , 1.5 , 1.75])
    """
    counts = _checked(counts, least=0)
    _check_unit("beta", beta)
    if beta == 1:
        return counts
    return (1 - beta**counts) / (1 - beta)


def class_weights(
    counts: ArrayLike, kind: str = "balanced", *, beta: float = 0.9999
) -> NDArray[np.float64]:
    """Return loss weights per class that sum to the number of classes.

    Parameters
    ----------
    counts : array-like of shape (n_classes,)
        Number of training samples per class, each at least 1.
    kind : {"balanced", "inverse", "effective"}, default="balanced"
        ``"balanced"`` (scikit-learn's word) and ``"inverse"`` (the papers') are both proportional
        to ``1 / N_k``, and equal since the sum is fixed; ``"effective"`` is proportional to
        ``1 / E_k``, see `effective_number` [1]_.
    beta : float, default=0.9999
        In [0, 1], used by ``"effective"`` only. 0: equal weights; 1: ``1 / N_k``.

    Returns
    -------
    ndarray of shape (n_classes,)
        Positive weights with sum ``n_classes``.

    Raises
    ------
    ValueError
        If `kind` is unknown, or `beta` or `counts` is out of its range.

    References
    ----------
    .. [1] Cui, Jia, Lin, Song, Belongie. Class-Balanced Loss Based on Effective Number of Samples.
       CVPR 2019. arXiv:1901.05555.

    Examples
    --------
    >>> class_weights([90, 10])
    array([0.2, 1.8])
    """
    effective = _choose(_EFFECTIVE, "kind", kind)
    weights = 1 / effective(_checked(counts, least=1), beta)
    return weights * (len(weights) / weights.sum())


def class_prior(counts: ArrayLike) -> NDArray[np.float64]:
    """Return the class prior ``N_k / N``.

    Parameters
    ----------
    counts : array-like of shape (n_classes,)
        Number of training samples per class, each at least 0, not all 0.

    Returns
    -------
    ndarray of shape (n_classes,)
        Probabilities with sum 1.

    Raises
    ------
    ValueError
        If `counts` is out of its range or sums to 0.

    Examples
    --------
    >>> class_prior([3, 1])
    array([0.75, 0.25])
    """
    counts = _checked(counts, least=0)
    if not counts.any():
        raise ValueError(
            "The prior of classes without samples is not defined. "
            f"Got counts that are all 0, {len(counts)} classes. Pass at least one positive count."
        )
    return counts / counts.sum()


def complementary_distribution(
    counts: ArrayLike, alpha: float | None = None
) -> NDArray[np.float64]:
    """Return the label distribution that fills up the class prior, as Open-sampling uses it [1]_.

    ``Gamma_k = (alpha - p_k) / (K alpha - 1)`` with the prior ``p_k = N_k / N``: the rarer the
    class, the likelier the label. Open-sampling's class weights are ``K * Gamma_k``.

    Parameters
    ----------
    counts : array-like of shape (n_classes,)
        Number of training samples per class, each at least 0, not all 0.
    alpha : float or None, default=None
        From ``max p`` (the largest class gets probability 0) to infinity (uniform). None stands for
        ``max p + min p``, the paper's choice.

    Returns
    -------
    ndarray of shape (n_classes,)
        Probabilities with sum 1. Uniform for balanced classes, whatever `alpha`.

    Raises
    ------
    ValueError
        If `alpha` is below the largest prior, or `counts` is out of its range.

    References
    ----------
    .. [1] Wei, Tao, Xie, Feng, An. Open-Sampling: Exploring Out-of-Distribution Data for
       Re-balancing Long-tailed Datasets. ICML 2022. arXiv:2206.08802.

    Examples
    --------
    >>> complementary_distribution([6, 3, 1])
    array([0.09090909, 0.36363636, 0.54545455])
    >>> complementary_distribution([6, 3, 1], alpha=0.6)
    array([0.   , 0.375, 0.625])
    """
    prior = class_prior(counts)
    alpha = prior.max() + prior.min() if alpha is None else alpha
    if np.isnan(alpha) or alpha < prior.max() - 1e-12:
        raise ValueError(
            f"alpha must be at least the largest class prior, {prior.max():.6g}. "
            f"Got alpha={alpha!r}. Pass alpha=None for the largest plus the smallest prior."
        )
    missing = np.maximum(alpha - prior, 0)
    if np.isinf(alpha) or missing.max() < 1e-12:  # the limit, and 0 / 0 for balanced classes
        return np.full(len(prior), 1 / len(prior))
    return missing / missing.sum()  # the sum is K alpha - 1


def acceptance_probability(
    n_source: ArrayLike, n_target: ArrayLike, count_decay: float
) -> NDArray[np.float64]:
    """Return M2m's probability to let a candidate pass, ``1 - beta^((N_source - N_target)+)`` [1]_.

    Parameters
    ----------
    n_source : array-like
        Training samples of the seed's class.
    n_target : array-like
        Training samples of the class to be synthesized; broadcast against `n_source`.
    count_decay : float
        beta, in [0, 1]. 0: every candidate from a larger class passes; 1: none does.

    Returns
    -------
    ndarray
        Probabilities in the broadcast shape; 0 where the source class is not the larger one.

    Raises
    ------
    ValueError
        If `count_decay` is out of its range.

    References
    ----------
    .. [1] Kim, Jeong, Shin. M2m: Imbalanced Classification via Major-to-minor Translation.
       CVPR 2020. arXiv:2004.00431.

    Examples
    --------
    >>> acceptance_probability([12, 11, 10], 10, 0.5)
    array([0.75, 0.5 , 0.  ])
    """
    _check_unit("count_decay", count_decay)
    gap = np.maximum(np.subtract(n_source, n_target, dtype=np.float64), 0)
    return 1 - np.power(float(count_decay), gap)


def scaled_count_decay(counts: ArrayLike) -> float:
    """Return the largest count decay in (0, 0.999] that leaves every smaller class its candidates.

    The smallest positive gap ``N_max - N_k`` still passes with probability 0.95, so
    ``beta = min(0.999, 0.05^(1 / gap))``. M2m's 0.999 is made for thousands of samples a class and
    rejects nearly every candidate of a class that lacks ten.

    Parameters
    ----------
    counts : array-like of shape (n_classes,)
        Number of training samples per class, each at least 0.

    Returns
    -------
    float
        The count decay beta; 0.999 for balanced classes.

    Raises
    ------
    ValueError
        If `counts` is out of its range.

    Examples
    --------
    >>> scaled_count_decay([5000, 50])
    0.999
    >>> round(scaled_count_decay([100, 90, 5]), 4)
    0.7411
    """
    counts = _checked(counts, least=0)
    gaps = counts.max() - counts
    gaps = gaps[gaps > 0]
    if not len(gaps):
        return _MAX_COUNT_DECAY
    return float(min(_MAX_COUNT_DECAY, (1 - _PASS_RATE) ** (1 / gaps.min())))


def grid_count_decay(counts: ArrayLike, *, grid: Sequence[float] = (0.9, 0.99, 0.999)) -> float:
    """Return the largest count decay of M2m's search grid that the smallest class can stand.

    It is the largest beta with ``1 - beta^(N_max - N_min) >= 0.95``; the smallest of the grid where
    there is none.

    Parameters
    ----------
    counts : array-like of shape (n_classes,)
        Number of training samples per class, each at least 0.
    grid : sequence of float, default=(0.9, 0.99, 0.999)
        Count decays to choose from, each in [0, 1].

    Returns
    -------
    float
        A member of `grid`.

    Raises
    ------
    ValueError
        If `grid` is empty, or a member or `counts` is out of its range.

    Examples
    --------
    >>> grid_count_decay([5000, 50]), grid_count_decay([500, 5])
    (0.999, 0.99)
    """
    counts = _checked(counts, least=0)
    if not len(grid):
        raise ValueError("grid must hold at least one count decay in [0, 1]. Got an empty grid.")
    passing = [
        beta
        for beta in grid
        if acceptance_probability(counts.max(), counts.min(), beta) >= _PASS_RATE
    ]
    return float(max(passing) if passing else min(grid))


def shot_groups(
    counts: ArrayLike, *, many: float = 100, few: float = 20
) -> dict[str, NDArray[np.bool_]]:
    """Sort classes into many-, medium- and few-shot.

    Parameters
    ----------
    counts : array-like of shape (n_classes,)
        Number of training samples per class, each at least 0.
    many : float, default=100
        Classes with more than `many` samples are many-shot.
    few : float, default=20
        Classes with less than `few` samples are few-shot; those in between are medium-shot.

    Returns
    -------
    dict of str to ndarray of shape (n_classes,), bool
        Masks "many", "medium" and "few", in this order; each class is in exactly one.

    Raises
    ------
    ValueError
        If `few` is above `many`, or `counts` is out of its range.

    Notes
    -----
    Fidelity: ``> 100``, ``20 to 100``, ``< 20`` is the definition in the papers' text. Some
    published code puts classes of exactly 20 samples into few (pass ``few=21``) or those of exactly
    100 into many (pass ``many=99``).

    Examples
    --------
    >>> {name: mask.tolist() for name, mask in shot_groups([101, 100, 19]).items()}
    {'many': [True, False, False], 'medium': [False, True, False], 'few': [False, False, True]}
    """
    counts = _checked(counts, least=0)
    if not few <= many:
        raise ValueError(f"few must not be above many. Got few={few!r} and many={many!r}.")
    is_many, is_few = counts > many, counts < few
    return {"many": is_many, "medium": ~is_many & ~is_few, "few": is_few}


@dataclass(frozen=True)
class PartialFill:
    """Fill each class up by a share of what it lacks to the largest: a ``sampling_strategy``.

    ``N'_k = N_k + round(share * (N_max - N_k))``. With ``share=1`` all classes become alike, as
    with ``sampling_strategy="auto"``; between, the imbalance is softened. What is left of it can be
    corrected in the answers: `ltresample.over_sampling.ResampledClassifier` with
    ``prior_correction=True``.

    Works for any number of classes and with any over-sampler of imbalanced-learn's kind.

    Parameters
    ----------
    share : float, default=0.3
        In [0, 1].

    Raises
    ------
    ValueError
        If `share` is out of its range.

    Examples
    --------
    >>> PartialFill(0.3)(["a"] * 100 + ["b"] * 50 + ["c"] * 10)
    {'b': 65, 'c': 37}
    """

    share: float = 0.3

    def __post_init__(self):
        _check_unit("share", self.share)

    def __call__(self, y: ArrayLike) -> dict[Any, int]:
        """Return the number of samples of each class that grows.

        Parameters
        ----------
        y : array-like of shape (n_samples,)
            Labels.

        Returns
        -------
        dict of label to int
            Counts after resampling.
        """
        labels, counts = np.unique(np.asarray(y), return_counts=True)
        target = counts + np.rint(self.share * (counts.max() - counts)).astype(np.int64)
        grows = target > counts
        return dict(zip(labels[grows].tolist(), target[grows].tolist(), strict=True))


def _exponential(n_max: int, n_classes: int, factor: float) -> list[int]:
    last = n_classes - 1
    return [_floor_of_share(n_max, factor, c, last) for c in range(n_classes)]


def _step(n_max: int, n_classes: int, factor: float) -> list[int]:
    n_head = n_classes // 2
    n_tail = _floor_of_share(n_max, factor, 1, 1)
    return [int(n_max)] * n_head + [n_tail] * (n_classes - n_head)


def _floor_of_share(n_max: int, factor: float, c: int, last: int) -> int:
    """Return ``floor(n_max * factor^(-c / last))`` exactly.

    Powers of floats differ in the last bit between processors and between mathematics libraries,
    and truncation would turn that into another count. So the float is only a guess, and integers
    decide: m is not above the share where ``m^last * factor^c <= n_max^last``.
    """
    n_max = int(n_max)
    # a factor such as 5000 / 49 is meant as this ratio, not as the float next to it
    ratio = Fraction(float(factor)).limit_denominator(max(n_max, 1000))
    guess = int(n_max * float(ratio) ** (-c / last))
    top, bottom = ratio.numerator**c, n_max**last * ratio.denominator**c
    return max(m for m in (guess - 1, guess, guess + 1) if m**last * top <= bottom)


def by_label(values: Any) -> Any:
    """Return a pandas Series as a dict of label to value: its order says nothing; all else as it is.

    Examples
    --------
    >>> import pandas as pd
    >>> by_label(pd.Series(["b", "b", "a"]).value_counts())
    {'b': 2, 'a': 1}
    """
    is_series = hasattr(values, "index") and hasattr(values, "to_dict") and hasattr(values, "iloc")
    return values.to_dict() if is_series else values


def in_order_of_labels(values: Any) -> Any:
    """Return a mapping or a Series as a list in the sorted order of its labels; all else as it is.

    Examples
    --------
    >>> import pandas as pd
    >>> in_order_of_labels(pd.Series(["b", "b", "a"]).value_counts())
    [1, 2]
    """
    values = by_label(values)
    return [values[k] for k in sorted(values)] if isinstance(values, Mapping) else values


_PROFILES = {"exp": _exponential, "step": _step}
_EFFECTIVE = {
    "balanced": lambda counts, beta: counts,
    "inverse": lambda counts, beta: counts,
    "effective": effective_number,
}


def _choose(table: dict, name: str, key: str):
    if key not in table:
        allowed = ", ".join(repr(word) for word in table)
        raise ValueError(f"{name} must be one of {allowed}. Got {name}={key!r}.")
    return table[key]


def _check_unit(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} must be in [0, 1]. Got {name}={value!r}.")


def _checked(counts: ArrayLike, *, least: int) -> NDArray[np.float64]:
    """Return counts as floats (n_classes,), all finite and not below `least`."""
    array = np.asarray(counts)
    if array.ndim != 1 or not len(array) or array.dtype.kind not in "iuf":
        raise ValueError(
            "counts must be a sequence of numbers, one per class. "
            f"Got {type(counts).__name__} of shape {array.shape} and dtype {array.dtype}."
        )
    array = array.astype(np.float64)
    if not np.isfinite(array).all() or array.min() < least:
        worst = int(np.argmin(np.where(np.isfinite(array), array, -np.inf)))
        raise ValueError(
            f"counts must be finite and at least {least}. Got {array[worst]:g} at index {worst}. "
            "Leave out classes that have no training samples."
        )
    return array
