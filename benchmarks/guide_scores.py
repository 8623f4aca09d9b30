"""Judge the default guide on tables: balanced accuracy out of fold, chance, and whether it is warned of.

One line a table; the last line counts those whose guide is 0.1 above chance, and how many of them
are warned of all the same (there should be none)::

    python -m benchmarks.guide_scores FOLDER [--only NAME ...]

FOLDER holds ``.npz`` files with `X` and `y`.
"""

from __future__ import annotations

import argparse
import warnings
from pathlib import Path
from typing import NamedTuple

import numpy as np
from sklearn.impute import SimpleImputer

from ltresample import M2mSampler
from ltresample.class_counts import PartialFill


class Judged(NamedTuple):
    """What is said about the guide of one table."""

    score: float
    chance: float
    warned: bool

    @property
    def above(self) -> bool:
        """Whether the guide is at least 0.1 above chance."""
        return self.score >= self.chance + 0.1


def judge(X: np.ndarray, y: np.ndarray, seed: int = 0) -> Judged:
    """Return the score of the guide that `M2mSampler` fits, and whether it warns of it."""
    if np.isnan(X).any():
        X = SimpleImputer().fit_transform(X)
    sampler = M2mSampler(sampling_strategy=PartialFill(0.01), random_state=seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        sampler.fit_resample(X, y)
    warned = any("no better than a guess" in str(w.message) for w in caught)
    counts = np.unique(y, return_counts=True)[1]
    return Judged(sampler.guide_score_, 1 / (counts > 1).sum(), warned)


def main() -> None:
    """Print a line for each table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--only", nargs="+", default=None, help="names of files without .npz")
    args = parser.parse_args()
    made = {}
    for path in sorted(args.folder.glob("*.npz")):
        if args.only is None or path.stem in args.only:
            with np.load(path) as table:
                made[path.stem] = one = judge(table["X"].astype(float), table["y"].ravel())
            said = "warned" if one.warned else ""
            print(f"{path.stem:<45} {one.score:.3f} (chance {one.chance:.3f}) {said}", flush=True)
    above = [one for one in made.values() if one.above]
    print(
        f"{len(made)} tables, {len(above)} guides 0.1 above chance, "
        f"{sum(one.warned for one in above)} of these warned of"
    )


if __name__ == "__main__":
    main()
