"""M2m with random labels: the ablation "M2m-RS-Rand"."""

from __future__ import annotations

from typing import Any

from ltresample.over_sampling import M2mSampler

__all__ = ["RandomLabelM2mSampler"]


class RandomLabelM2mSampler(M2mSampler):
    """M2m whose accepted rows get a random class other than target and seed, for training only.

    Asks whether synthetic rows carry what belongs to their class.

    Examples
    --------
    >>> RandomLabelM2mSampler(preset="paper")
    RandomLabelM2mSampler(preset='paper')
    """

    def method(self, settings: Any, pool: Any, guides: Any) -> Any:
        """Build the method; see `M2mSampler.method`.

        Parameters
        ----------
        settings, pool, guides : object
            As for `M2mSampler`.
        """
        method = super().method(settings, pool, guides)
        return method.with_random_labels()
