"""Data of many classes for the suite on decisions: tables, digits and two sets of texts."""

from __future__ import annotations

import hashlib
import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from scipy.sparse import issparse
from scipy.sparse import vstack as sparse_vstack
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks.data_sets import digits
from benchmarks.tabular import read_table
from ltresample.datasets import fetch_reuters36

__all__ = ["Data", "Split", "load_data", "read_docstrings"]

N_FOLDS = 3  # more would leave few rows to estimate a prior from
N_WORDS = 2000
IMBALANCE_OF_DIGITS = 20

# sub-packages whose functions and classes have long docstrings; each is a class
PARTS = """
numpy.fft numpy.linalg numpy.random scipy.cluster.hierarchy scipy.fft scipy.integrate scipy.interpolate
scipy.io scipy.linalg scipy.ndimage scipy.optimize scipy.signal scipy.sparse scipy.sparse.csgraph
scipy.sparse.linalg scipy.spatial scipy.special scipy.stats sklearn.cluster sklearn.covariance
sklearn.decomposition sklearn.ensemble sklearn.feature_selection sklearn.linear_model sklearn.manifold
sklearn.metrics sklearn.neighbors sklearn.preprocessing sklearn.utils
"""


class Split(NamedTuple):
    """Training and test part, ready for a classifier, and the seed of what is random there."""

    X: Any
    y: np.ndarray
    X_test: Any
    y_test: np.ndarray
    seed: int


class Data(NamedTuple):
    """A data set: how it is split and what must be learnt from the training part first."""

    name: str
    X: Any
    y: np.ndarray  # 0 .. K-1
    kind: str  # "table" or "text"
    hash: str
    prepare: Callable[[], Any] | None
    train: np.ndarray | None = None  # rows of a training part that is given; else folds
    same_prior: bool = True  # of training and test part

    @property
    def n_classes(self) -> int:
        """Number of classes K."""
        return int(self.y.max()) + 1

    @property
    def training_labels(self) -> np.ndarray:
        """Labels from which class shares are counted: of the training part, else of all rows."""
        return self.y if self.train is None else self.y[self.train]

    def n_repeats(self, wanted: int) -> int:
        """Return how often the set can be split anew."""
        return wanted if self.train is None else 1

    def splits(self, repeat: int) -> list[Split]:
        """Return the splits of a repeat; whatever is learnt is learnt from training parts."""
        if self.train is None:
            folds = StratifiedKFold(N_FOLDS, shuffle=True, random_state=repeat)
            places = list(folds.split(np.zeros(len(self.y)), self.y))
        else:
            places = [(self.train, np.setdiff1d(np.arange(len(self.y)), self.train))]
        return [self._split(*place, 100 * repeat + i) for i, place in enumerate(places)]

    def _split(self, train: np.ndarray, test: np.ndarray, seed: int) -> Split:
        X, X_test = self.X[train], self.X[test]
        if self.prepare is not None:
            learnt = self.prepare().fit(X)
            X, X_test = learnt.transform(X), learnt.transform(X_test)
        return Split(X, self.y[train], X_test, self.y[test], seed)


def load_data(folder: Path, reuters: Path | None, max_rows: int) -> list[Data]:
    """Load the tables of more than two classes, the digits and the texts."""
    tables = [read_table(str(path), max_rows) for path in sorted(folder.glob("*.npz"))]
    found = [
        Data(table.name.removeprefix("multiclass_"), table.X, table.y, "table", table.hash, _scaled)
        for table in tables
        if table.y.max() > 1
    ]
    found += [_digits(), _docstrings()]
    return found if reuters is None else [*found, _reuters(reuters)]


def _scaled() -> Any:
    return make_pipeline(SimpleImputer(), StandardScaler())


def _digits() -> Data:
    """Half of the digits with a long tail, the other half balanced as it is."""
    parts = digits(None, imbalance_factor=IMBALANCE_OF_DIGITS)
    X = np.concatenate([parts.X_train, parts.X_test]).astype(np.float64)
    given = _given("digits-LT", X, parts.y_train, parts.y_test, "table", _scaled)
    return given._replace(same_prior=False)


def _reuters(folder: Path) -> Data:
    parts = fetch_reuters36(path=folder, encoding="tfidf", vocabulary_size=N_WORDS)
    X = sparse_vstack([parts.X_train, parts.X_test]).tocsr()
    return _given("Reuters-36", X, parts.y_train, parts.y_test, "text", None)


def _given(
    name: str, X: Any, y_train: Any, y_test: Any, kind: str, prepare: Callable | None
) -> Data:
    """Return a set whose training part is given."""
    y = np.unique(np.concatenate([y_train, y_test]), return_inverse=True)[1]
    return Data(name, X, y, kind, _digest(X, y), prepare, np.arange(len(y_train)))


def read_docstrings() -> tuple[np.ndarray, np.ndarray]:
    """Return docstrings of installed packages, without their examples, and their sub-packages.

    Each text stands once, under the first sub-package that has it; those under 300 characters are
    left out. Words are sorted: nothing here looks at their order, and some texts print sets, whose
    order changes from process to process. So what comes back depends on the installed versions only.
    """
    part_of: dict[str, str] = {}
    for part in PARTS.split():
        module = importlib.import_module(part)
        for name in sorted(module.__all__):
            member = getattr(module, name)
            text = (member.__doc__ or "").partition("Examples\n")[0]
            if callable(member) and len(text) > 300:
                part_of.setdefault(" ".join(sorted(re.findall(r"\w+", text))), part)
    return np.array(list(part_of), dtype=object), np.array(list(part_of.values()))


def _words() -> TfidfVectorizer:
    return TfidfVectorizer(stop_words="english", sublinear_tf=True, max_features=N_WORDS)


def _docstrings() -> Data:
    texts, parts = read_docstrings()
    y = np.unique(parts, return_inverse=True)[1]
    return Data("docstrings", texts, y, "text", _digest(texts, y), _words)


def _digest(X: Any, y: np.ndarray) -> str:
    digest = hashlib.sha256(y.tobytes())
    if issparse(X):
        for part in (X.data, X.indices, X.indptr):
            digest.update(part.tobytes())
    elif X.dtype == object:
        digest.update("\0".join(X).encode())
    else:
        digest.update(np.ascontiguousarray(X).tobytes())
    return digest.hexdigest()[:16]
