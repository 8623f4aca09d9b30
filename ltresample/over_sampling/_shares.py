"""Labels that are shares of classes: of two a row, which take no room of all of them, or of any."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

__all__ = ["AllShares", "HasShares", "Shares", "TwoShares", "WeightedLabels"]


class WeightedLabels(NamedTuple):
    """Rows with one label and a weight each, for rows with shares: some rows stand more than once."""

    row: np.ndarray  # (n_pairs,) positions of rows, ascending
    label: np.ndarray  # (n_pairs,) class index
    weight: np.ndarray  # (n_pairs,) above 0


class TwoShares(NamedTuple):
    """Each row is of one class with a share, and of one other class, or the same, with another one."""

    own: np.ndarray  # (n,) class index of the hard label
    share: np.ndarray  # (n,)
    other: np.ndarray  # (n,) class index
    rest: np.ndarray  # (n,) its share
    n_classes: int

    @property
    def of_own_class(self) -> np.ndarray:
        """The share (n,) of the class of the hard label."""
        return np.where(self.own == self.other, self.share + self.rest, self.share)

    @property
    def are_mixed(self) -> bool:
        """Whether a row is not of one class only."""
        return bool((np.maximum(self.of_own_class, self.rest) < 1).any())

    def dense(self) -> np.ndarray:
        """Return the shares of all classes (n, K)."""
        shares = np.zeros((len(self.own), self.n_classes))
        rows = np.arange(len(shares))
        shares[rows, self.other] = self.rest
        shares[rows, self.own] = self.of_own_class
        return shares

    def weighted(self) -> WeightedLabels:
        """Return a row for each class with a share, classes in their order."""
        k = np.stack([self.own, self.other], axis=1)
        shares = np.stack([self.of_own_class, np.where(self.own == self.other, 0, self.rest)], 1)
        first = k.argmin(axis=1)[:, None]
        order = np.concatenate([first, 1 - first], axis=1)
        k, shares = np.take_along_axis(k, order, 1), np.take_along_axis(shares, order, 1)
        row, place = np.nonzero(shares)
        return WeightedLabels(row, k[row, place], shares[row, place])


class AllShares(NamedTuple):
    """Rows of any classes."""

    own: np.ndarray  # (n,) class index of the hard label
    shares: np.ndarray  # (n, K)

    @property
    def of_own_class(self) -> np.ndarray:
        """The share (n,) of the class of the hard label."""
        return self.shares[np.arange(len(self.own)), self.own]

    @property
    def are_mixed(self) -> bool:
        """Whether a row is not of one class only."""
        return bool((self.shares.max(axis=1) < 1).any())

    def dense(self) -> np.ndarray:
        """Return the shares of all classes (n, K)."""
        return self.shares

    def weighted(self) -> WeightedLabels:
        """Return a row for each class with a share, classes in their order."""
        row, label = np.nonzero(self.shares)
        return WeightedLabels(row, label, self.shares[row, label])


Shares = TwoShares | AllShares


class HasShares:
    """Samplers that keep two shares a row: (n, K) numbers are made when somebody asks for them."""

    _shares: TwoShares | None = None

    @property
    def soft_targets_(self) -> np.ndarray:
        """Labels as shares of the sorted classes (n_samples_new, n_classes); made anew each time."""
        if self._shares is None:
            raise AttributeError(
                f"{type(self).__name__} has no soft_targets_. They are there after fit_resample, where "
                "the settings ask for labels that are shares of classes."
            )
        return self._shares.dense()
