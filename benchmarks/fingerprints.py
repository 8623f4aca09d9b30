"""Hash what the samplers give and what training arrives at, to see whether a change changes rows.

Five samplers on six data sets (tables, text, images), with their defaults and with the papers'
settings, and the weights after a short training with each::

    python -m benchmarks.fingerprints --write before.json     # on one commit
    python -m benchmarks.fingerprints --compare before.json   # on another, on the same machine

Bits differ between processors and versions of PyTorch; so a record is compared with one that the
same machine made. `EXPLAINED` names what is meant to differ from the commit before the second house.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from scipy import sparse
from sklearn.datasets import load_breast_cancer, load_digits, load_wine, make_classification

from ltresample.datasets import make_long_tailed
from ltresample.over_sampling import (
    DistributionMatchingOversampler,
    M2mSampler,
    OpenSampler,
    OTMixSampler,
    SAFASampler,
)
from ltresample.training import SAFA, DeferredRebalancingClassifier

# name of a case (a prefix is enough) -> why its rows are not those of the commit before
_CONVOLUTIONS = "the guide of images is fitted on random convolutions, not trained"
_LINEAR = "the guide of rows that are wide and mostly zeros is a linear classifier"
_ZEROS = "in training, too, rows that are mostly zeros keep the zeros of their seeds"
_MIXED = "OTMix: foregrounds are the larger part where labels are hard; guides in closed form"
EXPLAINED: dict[str, str] = {
    "offline/otmix": _MIXED,
    "training/otmix": _MIXED,
    "offline/safa": "networks are fitted in 30 to 40 steps, at a higher rate",
    "offline/m2m-scaled/images": _CONVOLUTIONS,
    "offline/dm-scaled/images": _CONVOLUTIONS,
    "offline/m2m-scaled/bytes": _CONVOLUTIONS,
    "offline/dm-scaled/bytes": _CONVOLUTIONS,
    "offline/m2m-scaled/text": _LINEAR,
    "offline/dm-scaled/text": _LINEAR,
    "training/m2m-scaled/text": f"{_LINEAR}; {_ZEROS}",
    "training/dm-scaled/text": f"{_LINEAR}; {_ZEROS}",
    "training/m2m-easy/text": f"{_LINEAR}; {_ZEROS}",
    "training/dm-easy/text": f"{_LINEAR}; {_ZEROS}",
    "offline/dm-paper": "preset='paper' has the paper's count_decay, .999",
    "training/dm-paper": "preset='paper' has the paper's count_decay, .999; on images see dm-easy",
    "training/m2m-scaled/images": "preset='scaled' is honoured in training on images",
    "training/dm-scaled/images": "preset='scaled' is honoured in training on images",
    "training/dm-easy/images": "psi has the architecture of the network in training",
    "training/safa/images": "Q is 256 channels wide",
}


def data_sets() -> dict[str, tuple[Any, np.ndarray]]:
    """Return X and y of six small long-tailed data sets: tables, text, images."""
    rng = np.random.default_rng(0)
    cancer, wine, digits = (
        load(return_X_y=True) for load in (load_breast_cancer, load_wine, load_digits)
    )
    images = digits[0].reshape(-1, 1, 8, 8)
    X, y = make_classification(
        400, 12, n_informative=6, n_classes=3, weights=[0.7, 0.2], random_state=0
    )
    X[:, 0], X[:, 1] = np.round(2 * X[:, 0]), X[:, 1] > 0
    topics = rng.dirichlet(np.full(300, 0.05), size=3)
    labels = np.repeat([0, 1, 2], [200, 60, 20])
    text = sparse.csr_array(
        np.stack([rng.multinomial(40, topics[k]) for k in labels]).astype(float)
    )
    cut = {"imbalance_factor": 10, "random_state": 0}
    return {
        "breast_cancer": make_long_tailed(*cancer, **cut),
        "wine": make_long_tailed(*wine, imbalance_factor=5, random_state=0),
        "mixed_table": (X, y),
        "text": (text, labels),
        "images": make_long_tailed((images / 16).astype(np.float32), digits[1], n_max=60, **cut),
        "bytes": make_long_tailed((images * 15).astype(np.uint8), digits[1], n_max=60, **cut),
    }


def samplers(X: Any) -> dict[str, Any]:
    """Return the samplers, each with a fixed seed, by name and preset."""
    aux = X[::-1][:40] if not sparse.issparse(X) else X[::-1].tocsr()[:40]
    made: dict[str, Any] = {"open": OpenSampler(X_aux=aux, random_state=0)}
    for preset in ("scaled", "paper"):
        made[f"m2m-{preset}"] = M2mSampler(preset=preset, random_state=0)
        made[f"dm-{preset}"] = DistributionMatchingOversampler(preset=preset, random_state=0)
        made[f"safa-{preset}"] = SAFASampler(preset=preset, random_state=0)
    for preset in ("otmix", "cmo"):
        made[f"otmix-{preset}"] = OTMixSampler(preset=preset, random_state=0)
    return made


def resamplers(X: Any) -> dict[str, Any]:
    """Return what goes into training, by name, so set that rows are made; None: rebalancing alone."""
    chosen = ("open", "m2m-scaled", "m2m-paper", "dm-scaled", "dm-paper")
    known = {k: v for k, v in samplers(X).items() if k in chosen}
    always = {"start": 0, "stop": None, "mix_prob": 1.0, "schedule_power": 0}
    easy = {"min_confidence": 0.2, "count_decay": 0.5}
    for preset in ("otmix", "cmo"):
        known[f"otmix-{preset}"] = OTMixSampler(preset=preset, **always)
    known["m2m-easy"] = M2mSampler(**easy)
    known["dm-easy"] = DistributionMatchingOversampler(class_test=False, **easy)
    return {"none": None, **known, "safa": SAFA()}


def digest(*parts: Any) -> str:
    """Return a hash of arrays, tensors, sparse matrices, and of names and shapes with them."""
    total = hashlib.sha256()
    for part in parts:
        if sparse.issparse(part):
            part = part.toarray()
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().numpy()
        part = np.asarray(part)
        total.update(f"{part.dtype.str}{part.shape}".encode())
        total.update(np.ascontiguousarray(part).tobytes())
    return total.hexdigest()[:16]


def offline_case(sampler: Any, X: Any, y: np.ndarray) -> str:
    """Return the hash of rows, labels and origins."""
    X_new, y_new = sampler.fit_resample(X, y)
    record = sampler.provenance_
    return digest(X_new, y_new, record["seed_index"], record["partner_index"], record["confidence"])


def training_case(resampler: Any, X: Any, y: np.ndarray) -> str:
    """Return the hash of the weights after six epochs, the last three with the resampler."""
    net = DeferredRebalancingClassifier(
        resampler=resampler,
        rebalance="resample" if resampler is None else None,
        rebalance_start=3,
        start=3,
        max_epochs=6,
        lr=0.02,
        batch_size=64,
        train_split=0.2,
        random_state=0,
    ).fit(X, y)
    # that the units are known is a truth value, which the state once lacked
    return digest(*(t for t in net.module_.state_dict().values() if t.dtype != torch.bool))


def cases() -> Iterator[tuple[str, Callable[[], str]]]:
    """Yield the name of each case and what computes its hash."""
    for name, (X, y) in data_sets().items():
        for method, sampler in samplers(X).items():
            yield f"offline/{method}/{name}", lambda s=sampler, X=X, y=y: offline_case(s, X, y)
        if name == "bytes":  # the same network as for images
            continue
        for method, resampler in resamplers(X).items():
            yield f"training/{method}/{name}", lambda r=resampler, X=X, y=y: training_case(r, X, y)


def compute() -> dict[str, str]:
    """Return {name of a case: hash}; a case that cannot be run has its error's name."""
    torch.set_num_threads(1)
    hashes = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, run in cases():
            try:
                hashes[name] = run()
            except (ValueError, TypeError, RuntimeError) as error:
                hashes[name] = f"{type(error).__name__}: {error}"
            print(f"{name:45} {hashes[name][:60]}", flush=True)
    return hashes


def compare(before: dict[str, str], after: dict[str, str]) -> list[str]:
    """Return a line for each case whose hash is another and that nothing explains."""
    unexplained = []
    for name in sorted({*before, *after}):
        if before.get(name) == after.get(name):
            continue
        reason = next((why for part, why in EXPLAINED.items() if name.startswith(part)), None)
        line = f"{name}: {before.get(name)} -> {after.get(name)}"
        print(line if reason is None else f"{line}, as is meant: {reason}")
        if reason is None:
            unexplained.append(line)
    equal = sum(before.get(name) == value for name, value in after.items())
    print(f"{equal} of {len(after)} cases are equal, {len(unexplained)} differ without a reason")
    return unexplained


def main(arguments: list[str] | None = None) -> int:
    """Run from the command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", type=Path)
    parser.add_argument("--compare", type=Path)
    options = parser.parse_args(arguments)
    hashes = compute()
    if options.write:
        options.write.write_text(json.dumps(hashes, indent=1))
    if options.compare:
        return bool(compare(json.loads(options.compare.read_text()), hashes))
    return 0


if __name__ == "__main__":
    sys.exit(main())
