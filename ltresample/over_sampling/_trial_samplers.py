"""Samplers that the choice and the comparison of ways to train have in common."""

from __future__ import annotations

from typing import Any

import numpy as np
from imblearn.over_sampling import SMOTE

from ltresample.over_sampling._m2m import M2mSampler

__all__ = ["guide_alone", "smote_for"]


def guide_alone(seed: int) -> M2mSampler:
    """Return a sampler that makes nothing: its guide is fitted, and can vote."""
    return M2mSampler(sampling_strategy={}, random_state=seed)


def smote_for(y: np.ndarray, seed: int, share: Any = "auto") -> SMOTE:
    """Return SMOTE with as many neighbours as the smallest class has, five at most."""
    smallest = int(np.unique(y, return_counts=True)[1].min())
    return SMOTE(
        sampling_strategy=share, k_neighbors=max(1, min(5, smallest - 1)), random_state=seed
    )
