"""Differences between rows on the same test samples, with bootstrap intervals."""

from __future__ import annotations

import base64
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

__all__ = ["Bootstrap", "Interval", "correct_samples", "packed_samples"]


def packed_samples(correct: ArrayLike, y_test: ArrayLike) -> str:
    """Pack which test samples were recognised into a text, a bit each.

    Parameters
    ----------
    correct : array-like of bool, shape (n,)
        In the order of the data.
    y_test : array-like of shape (n,)
        Labels; samples are sorted by them.
    """
    order = np.argsort(np.asarray(y_test), kind="stable")
    bits = np.packbits(np.asarray(correct, dtype=bool)[order])
    return base64.b64encode(bits.tobytes()).decode()


def correct_samples(packed: str, n_test: list[int]) -> NDArray[np.bool_]:
    """Unpack which test samples were recognised.

    Parameters
    ----------
    packed : str
        From `packed_samples`.
    n_test : list of int
        Test samples per class.

    Returns
    -------
    ndarray of bool, shape (sum(n_test),)
        Class by class in sorted order, within a class in the order of the data.

    Examples
    --------
    >>> packed = packed_samples([True, False, True], ["b", "a", "a"])
    >>> correct_samples(packed, [2, 1])
    array([False,  True,  True])
    """
    bits = np.frombuffer(base64.b64decode(packed), dtype=np.uint8)
    return np.unpackbits(bits)[: sum(n_test)].astype(bool)


class Interval(NamedTuple):
    """A mean with its interval, in the units of the scores."""

    mean: float
    low: float
    high: float


class Bootstrap:
    """Resamples test samples within their classes, and seeds; the same for every pair of rows.

    The balanced accuracy of seed s is ``mean_k mean_{i in class k} c_si``, c 0 or 1. A resample
    gives sample i the weight ``v_i`` (how often it was drawn within its class, over the class's
    size and the number of classes) and seed s the weight ``w_s``, and the mean over seeds becomes
    ``sum_s w_s sum_i v_i c_si``. Samples are drawn once for all seeds, as all seeds are tested
    on the same ones.

    Parameters
    ----------
    n_test : sequence of int
        Test samples per class; classes without any count for nothing.
    n_seeds : int
        Number of seeds.
    n_resamples : int, default=2000
        Number of resamples.
    seeds, samples : bool, default=True
        Whether to resample them; otherwise they are taken as they are.
    random_state : int, default=0
        Seed of the resampling.
    """

    def __init__(
        self,
        n_test: list[int],
        n_seeds: int,
        *,
        n_resamples: int = 2000,
        seeds: bool = True,
        samples: bool = True,
        random_state: int = 0,
    ):
        rng = np.random.default_rng(random_state)
        sizes = [n for n in n_test if n]
        self.plain = np.concatenate([np.full(n, 1 / n / len(sizes)) for n in sizes])
        if samples:
            drawn = [rng.multinomial(n, np.full(n, 1 / n), n_resamples) / n for n in sizes]
            self.of_sample = np.concatenate(drawn, axis=1) / len(sizes)  # (B, n)
        else:
            self.of_sample = self.plain[None].repeat(n_resamples, axis=0)
        self.of_seed = np.full((n_resamples, n_seeds), 1 / n_seeds)  # (B, S)
        if seeds:
            draws = rng.multinomial(n_seeds, np.full(n_seeds, 1 / n_seeds), n_resamples)
            self.of_seed = draws / n_seeds

    def balanced_accuracy(self, correct: NDArray) -> Interval:
        """Return the mean bACC of a row.

        Parameters
        ----------
        correct : ndarray of shape (n_seeds, n_samples)
            Which samples were recognised, class by class.
        """
        return self._interval(np.asarray(correct, dtype=float))

    def difference(self, row: NDArray, reference: NDArray) -> Interval:
        """Return the mean difference in bACC between a row and a reference.

        Parameters
        ----------
        row, reference : ndarray of shape (n_seeds, n_samples)
            As in `balanced_accuracy`, seeds in the same order.
        """
        return self._interval(np.asarray(row, dtype=float) - np.asarray(reference, dtype=float))

    def _interval(self, values: NDArray) -> Interval:
        resampled = ((self.of_sample @ values.T) * self.of_seed).sum(1)  # (B,)
        low, high = np.percentile(resampled, [2.5, 97.5])
        return Interval(float((values @ self.plain).mean()), float(low), float(high))
