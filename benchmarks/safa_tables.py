"""SAFA on tables, before training, beside SMOTE and distribution matching.

    python -m benchmarks.safa_tables FOLDER [--rows 1000] [--jobs 1] [--every 2] [--out FILE]

The protocol of `benchmarks.tables`: five-fold cross-validation, samplers inside the folds, logistic
regression and histogram gradient boosting.
"""

from __future__ import annotations

from imblearn.over_sampling import SMOTE, RandomOverSampler

from benchmarks import tables
from ltresample import DistributionMatchingOversampler, SAFASampler


def samplers(seed: int, smallest: int) -> dict:
    """Return a sampler, or None, for each column."""
    return {
        "none": None,
        "ROS": RandomOverSampler(random_state=seed),
        "SMOTE": SMOTE(k_neighbors=max(1, min(5, smallest - 1)), random_state=seed),
        "DM": DistributionMatchingOversampler(random_state=seed),
        "SAFA": SAFASampler(random_state=seed),
        "SAFA share 1": SAFASampler(synthetic_share=1.0, random_state=seed),
        "SAFA paper": SAFASampler(preset="paper", random_state=seed),
    }


if __name__ == "__main__":
    tables.main(__doc__, samplers, "safa_tables.jsonl")
