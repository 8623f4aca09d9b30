"""What all samplers share: check, resolve settings, run the engine, say what was made."""

from __future__ import annotations

import warnings
from abc import abstractmethod
from functools import partial
from numbers import Integral, Real
from typing import Any, ClassVar

import numpy as np
import torch
from imblearn.over_sampling.base import BaseOverSampler
from scipy import sparse
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn
from tqdm.auto import tqdm

from ltresample._compat import (
    CallbackSupportMixin,
    check_sampling_strategy,
    fit_context,
    with_callbacks,
)
from ltresample._random import Seed, root_seed
from ltresample.exceptions import LongTailWarning
from ltresample.guides import (
    Classifier,
    GuideRecipe,
    GuideScore,
    as_classifier,
    balanced_rows,
    can_be_fitted,
    default_device,
    fit_guide,
    fitted,
    score_of_estimator,
    score_of_recipe,
    score_on_training_rows,
    soft_confusion,
)
from ltresample.over_sampling._carried import CarriesLabels
from ltresample.over_sampling._data import Data, aligned_aux, open_data, pool_of
from ltresample.over_sampling._mixed_labels import translated_targets
from ltresample.over_sampling._mixed_rows import categorical_mask
from ltresample.over_sampling._online import begin_online
from ltresample.rows import Pool, TakeColumns, VaryingColumns, take_labels
from ltresample.synthesis import Filled, Synthesizer, fill

__all__ = ["BaseSynthesisSampler"]

PROVENANCE = np.dtype(
    [
        ("origin", "U9"),
        ("seed_index", np.int64),
        ("partner_index", np.int64),
        ("from_aux", np.bool_),
        ("source", np.int64),
        ("round", np.int64),
        ("confidence", np.float64),
    ]
)

RECIPES = {
    "random_units": GuideRecipe(random_units=True),
    "bagged": GuideRecipe(),
    "erm": GuideRecipe.plain(),
    "drs": GuideRecipe.deferred(),
}


class BaseSynthesisSampler(CarriesLabels, CallbackSupportMixin, BaseOverSampler):
    """Base of the samplers that run the synthesis engine.

    A sampler adds its ``__init__``, `_parameter_constraints`, `_presets` and `_synthesizer`.
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseOverSampler._parameter_constraints,
        "preset": [StrOptions({"scaled", "paper"})],
        "g": "no_validation",
        "f": "no_validation",
        "g_recipe": [StrOptions({"auto", *RECIPES})],
        "synthetic_share": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "max_rounds": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "device": [None, str, torch.device],
        "n_jobs": [None, Integral],
        "verbose": ["verbose"],
    }
    _presets: ClassVar[dict[str, dict[str, Any]]]
    _advice = (
        "Lower min_confidence or count_decay, raise step_size, n_steps or max_rounds, or look at g."
    )

    @abstractmethod
    def _synthesizer(self, settings: dict[str, Any], pool: Pool, g: Classifier) -> Synthesizer:
        """Build the method for these settings."""

    def _settings(self, class_counts: np.ndarray) -> dict[str, Any]:
        """Replace each ``"auto"`` by what the preset says."""
        preset = self._presets[self.preset]
        own = {name: getattr(self, name) for name in preset}
        own = {name: preset[name] if _is_auto(value) else value for name, value in own.items()}
        return {
            n: v(class_counts) if callable(v) and n == "count_decay" else v for n, v in own.items()
        }

    def _settings_for(self, data: Data) -> dict[str, Any]:
        """Resolve the settings for this input, and refuse those that do not fit it."""
        return self._settings(data.class_counts)

    def _n_new(self, wanted: dict[int, int], settings: dict[str, Any]) -> int:
        """Count the rows that will be added."""
        return sum(wanted.values())

    @fit_context(prefer_skip_nested_validation=True)
    def fit(self, X, y, **params):
        """Check the input and compute `sampling_strategy_`; use `fit_resample` to resample.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or tensor of shape (n_samples, n_features, ...)
            Real samples.
        y : array-like of shape (n_samples,)
            Their labels.
        **params : dict
            Ignored.

        Returns
        -------
        self
            The sampler.
        """
        data = open_data(self, X, y)
        self.sampling_strategy_ = self._strategy(data)
        return self

    @with_callbacks
    @fit_context(prefer_skip_nested_validation=True)
    def fit_resample(self, X, y, *, X_aux=None):
        """Add synthetic rows to the classes that are short of samples.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or tensor of shape (n_samples, n_features, ...)
            Real samples: rows of a table, or images with values in [0, 1] or whole numbers in
            [0, 255]. Never modified.
        y : array-like of shape (n_samples,)
            Their labels.
        X_aux : array-like of shape (n_aux, n_features, ...) or None, default=None
            Open-set samples, for the samplers that use them. Takes the place of the parameter of
            the same name.

        Returns
        -------
        X_resampled : as X
            The real rows, untouched and in their order, then the new rows, class by class.
        y_resampled : as y
            Labels of these rows.

        Raises
        ------
        ValueError
            If X, y, g, f or X_aux cannot be used; before anything is computed.
        """
        data = open_data(self, X, y)
        self.sampling_strategy_ = self._strategy(data)
        seed = root_seed(self.random_state)
        settings = self._settings_for(data)
        wanted = _wanted(self.sampling_strategy_, data)
        aux = self._aux(X_aux, settings)
        aux = aligned_aux(aux, getattr(self, "feature_names_in_", None))
        self._check_targets(data, wanted, from_aux=aux is not None)
        pool, values = self._pool(data, X, aux), data.values
        columns = None if self._sees_columns(settings) else VaryingColumns.of(values, pool)
        if columns is not None:
            pool, values = columns.narrowed(pool), values[:, columns.varying]
        g, f = self._guides(data, pool, settings, seed)
        self._judge(g, data, pool, settings, seed)
        synthesizer = self._synthesizer(settings, pool, g)
        out = data.container
        out.open(data.values, self._n_new(wanted, settings))
        write = out.write if columns is None else partial(columns.write, out)
        write = _within_range(write, values, pool)
        filled = self._fill(synthesizer, pool, wanted, seed, settings, f, write=write)
        X_new = out.close(filled.synthetic.numpy(), filled.index.numpy())
        self.settings_ = settings
        if columns is not None and isinstance(vars(self).get("g_"), nn.Module):
            self.g_ = nn.Sequential(TakeColumns(torch.from_numpy(columns.varying)), self.g_)
        self._report(data, filled, wanted, settings, from_aux=aux is not None)
        return X_new, take_labels(y, _label_rows(data, filled), len(filled.y))

    def online(self, pool, *, classes, f, seed, raw=None):
        """Begin a training run; `ltresample.training` calls it.

        Parameters
        ----------
        pool : Pool
            The whole training split, as the network in training takes it.
        classes : ndarray of shape (n_classes,)
            Labels, sorted.
        f : nn.Module
            The network in training, in the place of the parameter of that name.
        seed : Seed
            Root of what is random in the preparation; `random_state` has no meaning here.
        raw : callable or None, default=None
            Gives the training rows as they came in, for a guide that is to be fitted.

        Returns
        -------
        OnlineSampler
            Rewrites mini-batches; the sampler itself is not changed.
        """
        return begin_online(self, pool, classes=classes, f=f, seed=seed, raw=raw)

    def _fit_resample(self, X, y, **params):
        """Do what `fit_resample` does; imbalanced-learn's base asks for this method."""
        return self.fit_resample(X, y, **params)

    def _strategy(self, data: Data) -> dict:
        return check_sampling_strategy(self.sampling_strategy, data.labels, self._sampling_type)

    def _aux(self, X_aux: Any, settings: dict[str, Any]) -> Any:
        """Say which open-set samples to use; most samplers use none."""
        if X_aux is not None:
            raise ValueError(
                f"{type(self).__name__} does not use open-set samples. Got X_aux in fit_resample. "
                "Leave it out, or use DistributionMatchingOversampler."
            )

    def _check_targets(self, data: Data, wanted: dict[int, int], *, from_aux: bool) -> None:
        """Refuse classes that have nothing to start from; name those with a single sample."""
        counts = data.class_counts
        stuck = [k for k, n in wanted.items() if n and counts[k] == counts.max()]
        if stuck and not from_aux:
            names = ", ".join(repr(_plain(data.classes[k])) for k in stuck)
            raise ValueError(
                "New samples start from samples of a larger class, and there is none. Got "
                f"sampling_strategy={self.sampling_strategy!r}, which asks for more of class "
                f"{names} with {counts.max()} samples, the largest count. Leave these classes out "
                "of sampling_strategy."
            )
        self._name_single_samples(data, wanted)

    def _name_single_samples(self, data: Data, wanted: dict[int, int]) -> None:
        counts = data.class_counts
        single = [repr(_plain(data.classes[k])) for k, n in wanted.items() if n and counts[k] == 1]
        if single:
            more = f" and {len(single) - 5} others have" if len(single) > 5 else " has"
            warnings.warn(
                f"Class {', '.join(single[:5])}{more} a single sample. All its duplicates are copies "
                "of that one, and its synthetic rows rest on it alone.",
                LongTailWarning,
                stacklevel=4,
            )

    def _pool(self, data: Data, X: Any, aux: Any) -> Pool:
        device = default_device([self.g, self.f], self.device, X)
        names = getattr(self, "feature_names_in_", None)
        return pool_of(
            data,
            X,
            aux=aux,
            device=device,
            dtype=_module_dtype([self.g, self.f]),
            categorical=self._categorical(data.values.shape[1:], names),
        )

    def _categorical(self, row_shape: tuple[int, ...], names: Any = None) -> np.ndarray | None:
        """Return a mask of the columns that hold categories, for samplers that have a say in it."""
        return categorical_mask(getattr(self, "categorical_features", None), row_shape, names)

    def _sees_columns(self, settings: dict[str, Any]) -> bool:
        """Say whether something that the user brought needs all columns in their places."""
        return self.g is not None or self.f is not None

    def _guides(
        self, data: Data, pool: Pool, settings: dict[str, Any], seed: Seed
    ) -> tuple[Classifier, Classifier | None]:
        """Fit or convert g and f, and look at what g knows."""
        example = pool.x.take(torch.arange(min(2, len(pool.y)), device=pool.y.device))
        device = pool.y.device
        if self.g is None:
            self.g_ = fit_guide(pool, seed.child("guide"), RECIPES[settings["g_recipe"]])
        else:
            self.g_ = fitted(self.g, data.values, data.labels, "g")
        g = as_classifier(self.g_, example, data.classes, "g", device=device)
        f = None
        if self.f is not None:
            f_ = fitted(self.f, data.values, data.labels, "f")
            f = as_classifier(f_, example, data.classes, "f", device=device)
        return g, f

    def _judge(self, g: Classifier, data: Data, pool: Pool, settings, seed: Seed) -> None:
        """Write what the guide is worth on rows that it has not seen, and warn at chance.

        Its random numbers are its own: rows do not depend on it.
        """
        if self.g is None:
            recipe = RECIPES[settings["g_recipe"]]
            score = score_of_recipe(pool, seed.child("judge"), recipe)
        elif can_be_fitted(self.g):
            score = score_of_estimator(
                self.g, data.values, data.labels, data.classes, seed.child("judge")
            )
        else:
            score = score_on_training_rows(g, pool, seed.child("look"))
            self._check_guide(g, pool, seed.child("look"))
        self.guide_score_ = score.value
        if self.g is None or can_be_fitted(self.g):
            warn_at_chance(score)

    def _check_guide(self, g: Classifier, pool: Pool, seed: Seed) -> None:
        """Warn where a guide that came fitted knows less than a guess about the rows of X."""
        rows = balanced_rows(pool, seed, n_per_class=20)
        confusion = soft_confusion(g, pool, rows)
        chance = 1 / len(confusion)
        own = float(confusion.diagonal().mean())
        if own <= chance:
            warnings.warn(
                f"g gives the true class of its training data a mean probability of {own:.2f}, no "
                f"better than chance ({chance:.2f}). Rows that it accepts mean nothing. Train g "
                "longer, check the order of its outputs and the scale of X, or pass g=None.",
                LongTailWarning,
                stacklevel=4,
            )

    def _fill(self, synthesizer, pool, wanted, seed, settings, f, *, write) -> Filled:
        n_rows = sum(round(settings["synthetic_share"] * n) for n in wanted.values())
        batch = self._batch_size(pool)
        context = self._begin(n_rows, batch)
        with tqdm(total=n_rows, disable=not self.verbose, desc=type(self).__name__) as bar:

            def tick(n: int) -> bool:
                bar.update(n)
                if context is None:
                    return False
                step = context.subcontext(task_name="pass").call_on_fit_task_begin(estimator=self)
                return step.call_on_fit_task_end(estimator=self)

            options = {"write": write, "batch_size": batch, "n_jobs": self.n_jobs, "tick": tick}
            options["synthetic_share"] = settings["synthetic_share"]
            filled = self._drive(synthesizer, pool, wanted, seed.child("fill"), f, **options)
        if context is not None:
            context.call_on_fit_task_end(estimator=self)
        return filled

    def _drive(self, synthesizer, pool, wanted, seed, f, **options) -> Filled:
        """Run the engine's driver."""
        options["max_rounds"] = self.max_rounds
        return fill(synthesizer, pool, wanted, seed, f=f, **options)

    def _begin(self, n_rows: int, batch: int) -> Any:
        """Open scikit-learn's callback context where this version has one."""
        if not hasattr(self, "_init_callback_context"):
            return None
        context = self._init_callback_context(task_name="fit_resample", max_subtasks=None)
        return context.call_on_fit_task_begin(estimator=self)

    def _batch_size(self, pool: Pool) -> int:
        if self.batch_size != "auto":
            return self.batch_size
        row = 4 * int(np.prod(pool.x.row_shape))
        return int(np.clip((128 << 20) // (8 * row), 64, 4096))

    def _report(self, data: Data, filled: Filled, wanted, settings, *, from_aux: bool) -> None:
        """Write the fitted attributes, and warn where little was accepted."""
        n = len(data.y)
        self.is_synthetic_ = np.concatenate([np.zeros(n, bool), filled.synthetic.numpy()])
        self.provenance_ = provenance_records(data, filled, from_aux=from_aux)
        asked = {k: round(settings["synthetic_share"] * m) for k, m in wanted.items()}
        label = dict(enumerate(data.classes.tolist()))
        made = {k: filled.n_made.get(k, 0) for k, m in asked.items() if m}
        if hasattr(self, "labels"):
            vars(self).pop("soft_targets_", None)  # of an earlier call, with other labels
            if self.labels == "soft":
                self.soft_targets_ = translated_targets(filled, data.y, len(data.classes))
        self.acceptance_rate_ = {label[k]: filled.n_accepted[k] / made[k] for k in made if made[k]}
        self.shortfall_ = {
            label[k]: asked[k] - int(filled.synthetic[filled.y == k].sum()) for k in asked
        }
        n_made = sum(made.values())
        _warn_of_low_acceptance(self.acceptance_rate_, self.shortfall_, n_made, self._advice)


def warn_at_chance(score: GuideScore) -> None:
    """Warn where a guide is no better out of fold than a guess."""
    if score.informed or not np.isfinite(score.value):
        return
    warnings.warn(
        "The guide is no better than a guess on rows that it has not seen: balanced accuracy "
        f"{score.value:.2f}, chance {score.chance:.2f}, standard error {score.error:.2f}. What it "
        "accepts means nothing. Check that y belongs to X, add columns that tell the classes apart, "
        "or pass a better g.",
        LongTailWarning,
        stacklevel=4,
    )


def _within_range(write: Any, values: Any, pool: Pool) -> Any:
    """Undo the rounding of single precision where it leaves the observed range of a column."""
    if values.ndim > 2 or values.dtype != np.float64 or pool.space.scale.dtype == torch.float64:
        return write
    bounds = [
        part.toarray().ravel() if sparse.issparse(part) else part
        for part in (values.min(axis=0), values.max(axis=0))
    ]
    lower, upper = (torch.from_numpy(part) for part in bounds)
    return lambda at, rows: write(at, torch.clamp(rows.cpu().double(), lower, upper))


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _wanted(strategy: dict, data: Data) -> dict[int, int]:
    """Turn {label: n to add} into {class index: n to add}."""
    index = {label: k for k, label in enumerate(data.classes.tolist())}
    return {index[_plain(label)]: int(n) for label, n in strategy.items() if n}


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _module_dtype(guides: list[Any]) -> torch.dtype | None:
    """Return the floating-point type of the first network that the user brought."""
    for guide in guides:
        for part in guide if isinstance(guide, list | tuple) else [guide]:
            module = getattr(part, "module_", part)
            if isinstance(module, nn.Module):
                for parameter in module.parameters():
                    return parameter.dtype
    return None


def _label_rows(data: Data, filled: Filled) -> np.ndarray:
    """Return, for each output row, a real row with the same label."""
    first = np.array([np.flatnonzero(data.y == k)[0] for k in range(len(data.classes))])
    return np.concatenate([np.arange(len(data.y)), first[filled.y.numpy()]])


def provenance_records(data: Data, filled: Filled, *, from_aux: bool) -> np.ndarray:
    """Say of each output row where it comes from."""
    n, synthetic = len(data.y), filled.synthetic.numpy()
    record = np.zeros(n + len(synthetic), dtype=PROVENANCE)
    record["origin"][:n] = "original"
    record["origin"][n:] = np.where(synthetic, "synthetic", "duplicate")
    record["seed_index"] = np.concatenate([np.arange(n), filled.index.numpy()])
    record["partner_index"] = -1
    if filled.partner is not None:
        record["partner_index"][n:] = filled.partner.numpy()
    record["from_aux"][n:] = synthetic & from_aux
    record["source"] = np.concatenate([data.y, filled.source.numpy()])
    record["round"] = np.concatenate([np.full(n, -1), filled.round.numpy()])
    record["confidence"] = np.concatenate([np.full(n, np.nan), filled.confidence.numpy()])
    return record


def _warn_of_low_acceptance(rates: dict, shortfall: dict, n_made: int, advice: str) -> None:
    low = {label: rate for label, rate in rates.items() if rate < 0.1}
    short = sum(shortfall[label] for label in low)
    if n_made < 20 or short < min(20, 0.05 * n_made):
        return
    shown = ", ".join(
        f"{label!r}: {rate:.1%} ({shortfall[label]} rows short)"
        for label, rate in sorted(low.items(), key=lambda item: item[1])[:3]
    )
    warnings.warn(
        f"Few synthetic rows were accepted for {len(low)} of {len(rates)} classes: {shown}. "
        f"Duplicates of real rows stand in their place. {advice}",
        LongTailWarning,
        stacklevel=4,
    )
