"""A sampler's answer on digits, with every kind of row, and closed figures."""

from types import SimpleNamespace

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pytest
from sklearn.datasets import load_digits

from ltresample.datasets import make_long_tailed

PROVENANCE = [
    ("origin", "U9"),
    ("seed_index", np.int64),
    ("from_aux", bool),
    ("source", np.int64),
    ("round", np.int64),
    ("confidence", np.float64),
]


@pytest.fixture(autouse=True)
def _closed_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="session")
def resampled():
    """X, y, X_res, y_res and a stand-in for the sampler.

    New rows of class k are a row of class 0 moved half-way to one of class k; every third is a
    duplicate.
    """
    X, y = load_digits(return_X_y=True)
    X, y = make_long_tailed(X / 16, y, imbalance_factor=20, n_max=60, random_state=0)
    rows, labels = [X], [y]
    entries = [("original", i, False, label, 0, np.nan) for i, label in enumerate(y)]
    for k in range(1, 10):
        own = np.flatnonzero(y == k)
        for i in range(60 - len(own)):
            real = own[i % len(own)]
            if i % 3 == 2:
                rows.append(X[[real]])
                entries.append(("duplicate", real, False, k, 0, np.nan))
            else:
                seed = np.flatnonzero(y == 0)[i]
                rows.append((X[[seed]] + X[[real]]) / 2)
                entries.append(("synthetic", seed, False, 0, 1, 0.9))
            labels.append([k])
    provenance = np.array(entries, dtype=PROVENANCE)
    sampler = SimpleNamespace(
        provenance_=provenance, is_synthetic_=provenance["origin"] == "synthetic"
    )
    return SimpleNamespace(
        X=X, y=y, X_res=np.concatenate(rows), y_res=np.concatenate(labels), sampler=sampler
    )
