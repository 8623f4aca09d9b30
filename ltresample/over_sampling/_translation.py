"""What M2m and distribution matching share: settings, seeds, the descent, soft labels."""

from __future__ import annotations

from collections.abc import Callable
from numbers import Integral, Real
from typing import Any, ClassVar, NamedTuple

from sklearn.utils._param_validation import Interval, StrOptions

from ltresample.class_counts import grid_count_decay, scaled_count_decay
from ltresample.guides import Classifier
from ltresample.over_sampling._base import About, BaseSynthesisSampler
from ltresample.over_sampling._data import Data
from ltresample.over_sampling._mixed_labels import translated_targets
from ltresample.over_sampling._shares import HasShares
from ltresample.synthesis import (
    DistributionSeeds,
    Filled,
    M2m,
    NearSeeds,
    OpenSetSeeds,
    RandomSeeds,
    Seeding,
    Steps,
    gaussian_noise,
    reference_noise,
    uniform_noise,
)

__all__ = ["TranslationSampler", "TranslationSettings"]

NOISES = {"uniform": uniform_noise, "gaussian": gaussian_noise, "reference": reference_noise}


class TranslationSettings(NamedTuple):
    """What each "auto" of `M2mSampler` stands for; the values are those of ``preset="scaled"``."""

    step_size: Any = "reach"
    n_steps: int = 10
    min_confidence: float = 0.6
    source_penalty: float = 0.5
    count_decay: Any = scaled_count_decay
    noise_radius: Any = "reach"
    seeds: str = "near"
    rest: bool = True
    synthetic_share: float = 0.5
    g_recipe: str = "random_units"


PAPER = TranslationSettings(
    step_size=0.1,
    min_confidence=0.9,
    count_decay=grid_count_decay,
    noise_radius=0.5,
    seeds="distribution",
    rest=False,
    synthetic_share=1.0,
    g_recipe="erm",
)


class TranslationSampler(HasShares, BaseSynthesisSampler):
    """Base of the samplers that move samples of larger classes into smaller ones."""

    _parameter_constraints: ClassVar[dict] = {
        **BaseSynthesisSampler._parameter_constraints,
        "step_size": [StrOptions({"auto", "reach"}), Interval(Real, 0, None, closed="left")],
        "n_steps": [StrOptions({"auto"}), Interval(Integral, 0, None, closed="left")],
        "min_confidence": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "source_penalty": [StrOptions({"auto"}), Interval(Real, 0, None, closed="left")],
        "count_decay": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="left")],
        "noise_radius": [StrOptions({"auto", "reach"}), Interval(Real, 0, None, closed="left")],
        "seeds": [StrOptions({"auto", "near", "distribution", "random"})],
        "noise": [StrOptions(set(NOISES))],
        "rest": [StrOptions({"auto"}), "boolean"],
        "confidence_test": [StrOptions({"probability", "loss"})],
        "scaled_penalty": ["boolean"],
        "n_seeds_per_class": [None, Interval(Integral, 1, None, closed="left")],
        "categorical_features": [None, "array-like"],
        "soft_labels": ["boolean"],
    }

    def _preset(self, about: About) -> str:
        """Return "paper" for images in training, for which the papers' settings are made."""
        if self.preset != "auto":
            return self.preset
        return "paper" if about.in_training and len(about.row_shape) > 1 else "scaled"

    def _resolve(self, about: About) -> Any:
        settings = super()._resolve(about)
        if callable(settings.count_decay):
            settings = settings._replace(count_decay=settings.count_decay(about.class_counts))
        least = settings.min_confidence
        if self.confidence_test == "probability" and least > 1:
            percent = (
                f" Pass min_confidence={least / 100:g} for {least:g} %." if least <= 100 else ""
            )
            raise ValueError(
                "min_confidence is a probability, in [0, 1], and above 1 nothing would be accepted. "
                f"Got min_confidence={least!r} with confidence_test='probability'.{percent} With "
                "confidence_test='loss' it is a bound on the loss."
            )
        if not about.from_aux:
            return settings
        # nothing is known of the way from an open-set sample to a class
        paper = self._presets["paper"]
        if settings.step_size == "reach":
            settings = settings._replace(step_size=paper.step_size)
        if settings.noise_radius == "reach":
            settings = settings._replace(noise_radius=paper.noise_radius)
        return settings

    def _translation(self, settings: Any, g: Classifier, *, from_aux: bool, **more: Any) -> M2m:
        """Build the part of the objective that both methods share."""
        step, radius = settings.step_size, settings.noise_radius
        return M2m(
            g=g,
            seeding=OpenSetSeeds() if from_aux else self._seeding(settings),
            steps=Steps(
                n_steps=settings.n_steps,
                step_size=None if step == "reach" else float(step),
                noise_radius=None if radius == "reach" else float(radius),
                draw_noise=NOISES[self.noise],
                rest=settings.rest,
            ),
            min_confidence=settings.min_confidence,
            source_penalty=settings.source_penalty,
            loss_test=self.confidence_test == "loss",
            scaled_penalty=self.scaled_penalty,
            **more,
        )

    def _seeding(self, settings: Any) -> Seeding:
        """Turn the name of a way to choose seeds into the engine's object."""
        decay, subset = settings.count_decay, self.n_seeds_per_class
        named: dict[str, Callable[[], Seeding]] = {
            "distribution": lambda: DistributionSeeds(decay, n_per_class=subset),
            "near": NearSeeds,
            "random": RandomSeeds,
        }
        if subset is not None and settings.seeds != "distribution":
            raise ValueError(
                f"n_seeds_per_class={subset!r} goes with seeds='distribution' only. Got "
                f"seeds={settings.seeds!r}. Pass seeds='distribution' or n_seeds_per_class=None."
            )
        if settings.seeds != "near" and "reach" in (settings.step_size, settings.noise_radius):
            raise ValueError(
                "step_size='reach' and noise_radius='reach' are measured from a seed to its target "
                f"class, which only seeds='near' knows. Got seeds={settings.seeds!r}. Pass numbers "
                "for step_size and noise_radius, or seeds='near'."
            )
        return named[settings.seeds]()

    def _write_labels(
        self, filled: Filled, data: Data, wanted: dict[int, int], settings: Any
    ) -> Filled:
        """Write soft labels, where they are asked for."""
        soft = self.soft_labels
        self._shares = translated_targets(filled, data.y, len(data.classes)) if soft else None
        return filled
