"""Number types x containers x estimators: is each right, or refused before any work?

Print the matrix, a line for each number type and container, a column for each estimator::

    python -m tests.contracts.input_matrix            # all cells
    python -m tests.contracts.input_matrix --bad      # those only that are wrong

``ok``: the result is that of a plain array with the same values, within the precision of the type;
``no``: a clear error before any work. Everything else is a fault: ``DIFFERS``, ``DEEP`` (an error from
within), ``LATE`` (an error after a guide was fitted).
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import traceback
import warnings
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import polars as pl
import torch
from scipy import sparse
from sklearn.linear_model import LogisticRegression
from torch import nn

from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
    ResampledClassifier,
    SAFASampler,
)
from ltresample.training import DeferredRebalancingClassifier

N, P = 48, 4
Y = np.repeat([0, 1, 2], [28, 12, 8])


def base(kind: str) -> np.ndarray:
    """Return rows that every type of a kind ("f", "i", "b") can hold exactly."""
    rng = np.random.default_rng(0)
    x = rng.integers(0, 80, (N, P)) // 4 + 12 * Y[:, None]
    if kind == "b":
        x = rng.random((N, P)) < 0.2 + 0.3 * Y[:, None]
    return x / 4.0 if kind == "f" else x.astype(np.float64)


class Kind(NamedTuple):
    """A number type."""

    kind: str  # "f", "i", "b": the plain array it is compared with; "x": to be refused
    convert: Callable[[np.ndarray], Any]
    eps: float = 1e-6


def cast(dtype: Any) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: x.astype(dtype)


def objects(make: Callable[[float], Any]) -> Callable[[np.ndarray], np.ndarray]:
    return lambda x: np.frompyfunc(make, 1, 1)(x)


KINDS: dict[str, Kind] = {
    "float16": Kind("f", cast(np.float16), 1e-3),
    "float32": Kind("f", cast(np.float32)),
    "float64": Kind("f", cast(np.float64)),
    "longdouble": Kind("f", cast(np.longdouble)),
    ">f4": Kind("f", cast(">f4")),
    ">f8": Kind("f", cast(">f8")),
    "1e300": Kind("f", lambda x: x * 1e300),
    "1e-300": Kind("f", lambda x: x * 1e-300),
    "far from 0": Kind("f", lambda x: x + 2.0**40, 1e-3),
    **{f"{s}int{b}": Kind("i", cast(f"{s}int{b}")) for s in ("", "u") for b in (8, 16, 32, 64)},
    ">i4": Kind("i", cast(">i4")),
    "bool": Kind("b", cast(bool)),
    "object floats": Kind("f", objects(float)),
    "object ints": Kind("i", objects(int)),
    "object bools": Kind("b", objects(bool)),
    "Decimal": Kind("f", objects(Decimal), 1e-3),  # polars keeps two digits
    "complex": Kind("x", cast(complex)),
    "datetime": Kind("x", lambda x: x.astype("int64").astype("datetime64[s]")),
    "timedelta": Kind("x", lambda x: x.astype("int64").astype("timedelta64[s]")),
    "bytes": Kind("x", lambda x: x.astype("S4")),
    "dicts": Kind("x", objects(lambda v: {"a": v})),
    "NaN": Kind("x", lambda x: np.where(np.arange(N)[:, None] == 3, np.nan, x)),
}
TORCH_ONLY = {
    "bfloat16": Kind("f", lambda x: torch.from_numpy(x).to(torch.bfloat16), 0.01),
    "float8_e5m2": Kind("x", lambda x: torch.from_numpy(x).to(torch.float8_e5m2)),
    "complex64": Kind("x", lambda x: torch.from_numpy(x).to(torch.complex64)),
    "qint8": Kind(
        "x", lambda x: torch.quantize_per_tensor(torch.tensor(x).float(), 1.0, 0, torch.qint8)
    ),
}


class ArrayLike:
    """What gives an array when it is asked."""

    def __init__(self, x: np.ndarray):
        self.x = x

    def __array__(self, dtype=None, copy=None):
        return np.asarray(self.x, dtype=dtype)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def shape(self):
        return self.x.shape


class FrameLike:
    """What offers the data frame interchange protocol, and nothing else."""

    def __init__(self, frame: pd.DataFrame):
        self.frame = frame

    def __dataframe__(self, nan_as_null: bool = False, allow_copy: bool = True):
        return self.frame.__dataframe__(nan_as_null, allow_copy)

    def __len__(self) -> int:
        return len(self.frame)


NAMES = list("abcd")


def read_only(x: np.ndarray) -> np.ndarray:
    x = x.copy()
    x.flags.writeable = False
    return x


def strided(x: np.ndarray) -> np.ndarray:
    wide = np.repeat(np.repeat(x, 2, axis=0), 3, axis=1)[::-1]
    return wide[::-2, ::3]


def mapped(x: np.ndarray) -> np.memmap:
    place = Path(tempfile.mkdtemp()) / "x.npy"
    np.save(place, x)
    return np.load(place, mmap_mode="r")


def nullable(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(x, columns=NAMES).convert_dtypes(
        convert_string=False, convert_integer=x.dtype.kind in "iu", convert_floating=True
    )


def pandas_sparse(x: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({n: pd.arrays.SparseArray(x[:, i]) for i, n in enumerate(NAMES)})


def polars_object(x: np.ndarray) -> pl.DataFrame:
    return pl.DataFrame({n: pl.Series(x[:, i].tolist()) for i, n in enumerate(NAMES)})


CONTAINERS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": lambda x: x,
    "Fortran": np.asfortranarray,
    "negative strides": lambda x: x[::-1, ::-1].copy()[::-1, ::-1],
    "strided": strided,
    "read-only": read_only,
    "memory map": mapped,
    "masked": np.ma.masked_array,
    "list": lambda x: x.tolist(),
    "tuple of arrays": tuple,
    "__array__": ArrayLike,
    "tensor": torch.from_numpy,
    "tensor of a graph": lambda x: torch.from_numpy(x).requires_grad_() * 1,
    **{
        f"{form} {kind}": lambda x, f=form, k=kind: getattr(sparse, f"{f}_{k}")(x)
        for form in ("csr", "csc", "coo", "bsr", "lil", "dok", "dia")
        for kind in ("matrix", "array")
    },
    "pandas": lambda x: pd.DataFrame(x, columns=NAMES),
    "pandas nullable": nullable,
    "pandas sparse": pandas_sparse,
    "polars": polars_object,
    "__dataframe__": lambda x: FrameLike(pd.DataFrame(x, columns=NAMES)),
}
LABELS: dict[str, Callable[[np.ndarray], Any]] = {
    "array": lambda y: y,
    "int8": lambda y: y.astype(np.int8),
    ">i4": lambda y: y.astype(">i4"),
    "floats": lambda y: y.astype(float),
    "list": lambda y: y.tolist(),
    "tensor": torch.from_numpy,
    "column": lambda y: y[:, None],
    "objects": lambda y: y.astype(object),
    "text": lambda y: np.array(list("abc"))[y],
    "pandas": pd.Series,
    "pandas text": lambda y: pd.Series(np.array(list("abc"))[y]),
    "pandas category": lambda y: pd.Series(np.array(list("abc"))[y], dtype="category"),
    "pandas nullable": lambda y: pd.Series(y, dtype="Int64"),
    "polars": pl.Series,
    "polars text": lambda y: pl.Series(np.array(list("abc"))[y]),
}
FAST_CONTAINERS = (
    "array",
    "strided",
    "list",
    "tensor",
    "csr array",
    "coo matrix",
    "pandas",
    "polars",
)


class Guide(LogisticRegression):
    """A linear guide in closed form, the same for any container; counts how often it was fitted."""

    n_fitted = 0

    def fit(self, X, y, sample_weight=None):
        type(self).n_fitted += 1
        x, y = dense(X), labels(y)
        self.classes_ = np.unique(y)
        size = np.abs(x).max(0).clip(min=np.finfo(float).tiny)
        center, scale = (x / size).mean(0) * size, (x / size).std(0) * size
        unit = (x - center) / scale
        coef = np.stack([unit[y == k].mean(0) for k in self.classes_])
        self.coef_, self.n_features_in_ = coef / scale, x.shape[1]
        self.intercept_ = -coef @ (center / scale) - (coef**2).sum(1) / 2
        return self


def dense(x: Any) -> np.ndarray:
    """Return what an estimator gave as an array of float64."""
    if isinstance(x, torch.Tensor):
        x = x.detach().cpu().double().numpy()
    x = x.toarray() if sparse.issparse(x) else x
    x = x.to_numpy() if hasattr(x, "to_numpy") else x
    return np.asarray(np.asarray(x), dtype=np.float64)


class Row(nn.Module):
    """A network that does nothing beside a linear layer."""

    def __init__(self, n_features: int, n_classes: int):
        super().__init__()
        self.layer = nn.Linear(n_features, n_classes)

    def forward(self, x):
        return self.layer(x.squeeze() if x.dim() == 1 else x)


def labels(y: Any) -> np.ndarray:
    """Return labels as an array of one dimension."""
    y = y.to_numpy() if hasattr(y, "to_numpy") else y
    return np.asarray(y).ravel()


def sampled(make: Callable[[Any], Any]) -> Callable[[Any, Any], np.ndarray]:
    return lambda X, y: dense(make(X).fit_resample(X, y)[0])


def resampled_classifier(X: Any, y: Any) -> np.ndarray:
    easy = M2mSampler(g=Guide(), min_confidence=0.2, count_decay=0.5, random_state=0)
    return ResampledClassifier(Guide(), easy).fit(X, y).predict_proba(X)


def deferred(X: Any, y: Any) -> np.ndarray:
    net = DeferredRebalancingClassifier(
        resampler=M2mSampler(g=Guide(), min_confidence=0.2, count_decay=0.5),
        start=1,
        max_epochs=2,
        lr=0.01,
        random_state=0,
    )
    return net.fit(X, y).predict_proba(X)


EASY = {"g": Guide(), "min_confidence": 0.2, "random_state": 0}
ESTIMATORS: dict[str, Callable[[Any, Any], np.ndarray]] = {
    "M2m": sampled(lambda X: M2mSampler(**EASY, count_decay=0.5)),
    "DM": sampled(
        lambda X: DistributionMatchingOversampler(
            **EASY, distance="none", embedding="identity", class_test=False
        )
    ),
    "OTMix": sampled(lambda X: OTMixSampler(preset="cmo", random_state=0)),
    "SAFA": sampled(lambda X: SAFASampler(n_steps=2, random_state=0)),
    "Open": sampled(lambda X: OpenSampler(X_aux=X, random_state=0)),
    "Resampled": resampled_classifier,
    "Deferred": deferred,
}

DOORS = (
    "/ltresample/rows/",
    "/ltresample/training/_opening.py",
    "/ltresample/over_sampling/_data.py",
    "/sklearn/utils/",
    "/imblearn/utils/",
)


def made(kind: str, container: str) -> Any:
    """Return X of this type in this container; raise where there is no such thing."""
    if kind in TORCH_ONLY:
        return TORCH_ONLY[kind].convert(base("f"))
    own = KINDS[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return CONTAINERS[container](own.convert(base("f" if own.kind == "x" else own.kind)))


def plain(kind: str) -> np.ndarray | None:
    """Return the plain array with the same values; None: it is to be refused."""
    own = KINDS.get(kind) or TORCH_ONLY[kind]
    if own.kind == "x":
        return None
    x = base(own.kind)
    if kind in ("1e300", "1e-300", "far from 0"):
        x = own.convert(x)
    return x if own.kind == "f" else x.astype({"i": np.int64, "b": bool}[own.kind])


REFERENCES: dict[tuple[str, str], np.ndarray] = {}


def reference(kind: str, estimator: str, single: bool) -> np.ndarray:
    """Return what the plain array gives, in double or single precision."""
    x = plain(kind)
    if single and estimator == "Deferred" and 1 < np.abs(x).max() < 1e6:
        x = x.astype(np.float32)
    key = (x.tobytes()[:256].hex() + x.dtype.str, estimator)
    if key not in REFERENCES:
        REFERENCES[key] = ESTIMATORS[estimator](x, Y)
    return REFERENCES[key]


def cell(kind: str, container: str, estimator: str, y: Any = Y) -> tuple[str, str]:
    """Return what came of a cell, and the text of its error."""
    try:
        X = made(kind, container)
    except Exception as error:
        return "-", str(error)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        Guide.n_fitted = 0
        try:
            got = ESTIMATORS[estimator](X, y)
        except Exception as error:
            return judged(error)
        own = KINDS.get(kind) or TORCH_ONLY[kind]
        if own.kind == "x":
            return "TAKEN", "this should have been refused"
        # networks in training are as precise as the table that they are given
        gaps = [gap(got, reference(kind, estimator, single)) for single in (False, True)]
    if min(gaps) <= max(own.eps, 1e-6):
        return "ok", ""
    return "DIFFERS", f"by {min(gaps):.2g} of the spread"


def gap(got: np.ndarray, want: np.ndarray) -> float:
    """Return the largest difference, in units of the spread."""
    if got.shape != want.shape:
        return np.inf
    spread = np.ptp(want) or 1.0
    return float(np.nan_to_num(np.abs(got / spread - want / spread), nan=np.inf).max())


def judged(error: Exception) -> tuple[str, str]:
    """Say whether an error is a clear one, raised before any work."""
    frames = traceback.extract_tb(error.__traceback__)
    text = f"{type(error).__name__}: {str(error)[:160]}"
    if Guide.n_fitted:
        return "LATE", text
    at_door = any(door in frames[-1].filename.replace(os.sep, "/") for door in DOORS)
    return ("no" if at_door and isinstance(error, ValueError | TypeError) else "DEEP"), text


def all_cells() -> Iterator[tuple[str, str]]:
    """Yield each pair of type and container."""
    for kind in KINDS:
        for container in CONTAINERS:
            yield kind, container
    for kind in TORCH_ONLY:
        yield kind, "tensor"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bad", action="store_true", help="wrong cells only, with their errors")
    parser.add_argument("--kind", help="one number type")
    args = parser.parse_args()
    print(f"{'type':14} {'container':18}", *(f"{name:9}" for name in ESTIMATORS))
    n: dict[str, int] = {}
    for kind, container in all_cells():
        if args.kind and kind != args.kind:
            continue
        cells = [cell(kind, container, name) for name in ESTIMATORS]
        if cells[0][0] == "-":
            continue
        for word, _ in cells:
            n[word] = n.get(word, 0) + 1
        bad = [
            (name, c) for name, c in zip(ESTIMATORS, cells, strict=True) if c[0] not in ("ok", "no")
        ]
        if bad or not args.bad:
            print(f"{kind:14} {container:18}", *(f"{word:9}" for word, _ in cells), flush=True)
        if args.bad:
            for text in sorted({c[1] for _, c in bad}):
                print("     ", text)
    print(", ".join(f"{count} {word}" for word, count in sorted(n.items())))
    sys.exit(any(word not in ("ok", "no") for word in n))


if __name__ == "__main__":
    main()
