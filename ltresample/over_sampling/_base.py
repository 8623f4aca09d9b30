"""What all samplers share: check, resolve settings, run the engine, say what was made."""

from __future__ import annotations

import logging
import warnings
from abc import abstractmethod
from functools import partial
from numbers import Integral, Real
from time import perf_counter
from typing import Any, ClassVar, NamedTuple

import numpy as np
import torch
from imblearn.over_sampling.base import BaseOverSampler
from sklearn.utils._param_validation import Interval, StrOptions
from torch import nn

from ltresample._compat import (
    CallbackSupportMixin,
    check_sampling_strategy,
    fit_context,
    refuse_truth_values,
    with_callbacks,
)
from ltresample._progress import advance, phase, progress
from ltresample._random import Seed, root_seed
from ltresample.exceptions import LongTailWarning, refuse_class
from ltresample.guides import default_device
from ltresample.over_sampling._carried import CarriesLabels
from ltresample.over_sampling._data import Data, open_data, real_pool, within_range
from ltresample.over_sampling._guiding import RECIPES, Guides, first_dtype
from ltresample.rows import (
    Pool,
    TakeColumns,
    VaryingColumns,
    aligned_with,
    open_beside,
    take_labels,
)
from ltresample.synthesis import Bound, Filled, Method, fill

__all__ = ["About", "BaseSynthesisSampler", "Guides", "Settings"]

logger = logging.getLogger(__name__)

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


class About(NamedTuple):
    """What settings may depend on."""

    row_shape: tuple[int, ...]
    class_counts: np.ndarray  # (K,)
    columns: Any = None  # names of columns
    in_training: bool = False
    from_aux: bool = False  # open-set samples are there


class Settings(NamedTuple):
    """What each parameter that can be "auto" stood for; samplers have one with more fields."""

    synthetic_share: float = 1.0


class BaseSynthesisSampler(CarriesLabels, CallbackSupportMixin, BaseOverSampler):
    """Base of the samplers that run the synthesis engine.

    A sampler adds its ``__init__``, `_parameter_constraints`, `_presets` and `method`; what it says
    in `method` holds in `fit_resample` and in training alike.
    """

    _parameter_constraints: ClassVar[dict] = {
        **BaseOverSampler._parameter_constraints,
        "preset": [StrOptions({"auto", "scaled", "paper"})],
        "g": "no_validation",
        "f": "no_validation",
        "g_recipe": [StrOptions({"auto", *RECIPES})],
        "synthetic_share": [StrOptions({"auto"}), Interval(Real, 0, 1, closed="both")],
        "max_rounds": [Interval(Integral, 1, None, closed="left")],
        "batch_size": [StrOptions({"auto"}), Interval(Integral, 1, None, closed="left")],
        "device": [None, str, torch.device],
        "n_jobs": [
            None,
            Interval(Integral, None, -1, closed="right"),
            Interval(Integral, 1, None, closed="left"),
        ],
        "verbose": ["verbose"],
    }
    _presets: ClassVar[dict[str, Any]] = {"auto": Settings()}
    _advice = (
        "Lower min_confidence or count_decay, raise step_size, n_steps or max_rounds, or look at g."
    )
    _preparation = "fitting the guide"  # what is shown before rows are made
    inside_f = False  # in training: works on mini-batches, not inside the network
    # of samplers that do not have these parameters
    preset = "auto"
    g = f = X_aux = device = n_jobs = categorical_features = None
    max_rounds = 1
    batch_size = "auto"
    verbose = 0

    @classmethod
    def constraints(cls, *names: str, **own: list) -> dict[str, list]:
        """Return the constraints of these parameters that all samplers know, and of some more.

        Parameters
        ----------
        *names : str
            Of "sampling_strategy", "random_state", "g", "f", "g_recipe", "synthetic_share",
            "max_rounds", "batch_size", "device", "n_jobs", "verbose": those that ``__init__`` has.
        **own : list
            Constraints of other parameters, as scikit-learn writes them.
        """
        return {**{name: cls._parameter_constraints[name] for name in names}, **own}

    def _validate_params(self) -> None:
        """Check parameters; neither classes nor truth values stand for what they are not."""
        given = self.get_params(deep=False)
        for name, value in given.items():
            refuse_class(value, name)
        refuse_truth_values(type(self).__name__, self._parameter_constraints, given)
        super()._validate_params()

    @abstractmethod
    def method(self, settings: Any, pool: Pool, guides: Guides) -> Method:
        """Build the method: the one thing that `fit_resample` and training share.

        Parameters
        ----------
        settings : NamedTuple
            Each parameter that can be "auto", resolved.
        pool : Pool
            Real samples.
        guides : Guides
            The classifiers g and f, fitted or converted when they are asked for.

        Returns
        -------
        Method
            What the engine drives.
        """

    def _preset(self, about: About) -> str:
        """Return the name of the preset that "auto" stands for."""
        return self.preset

    def _resolve(self, about: About) -> Any:
        """Replace each "auto" by what the preset says, and refuse what does not fit the rows."""
        preset = self._presets[self._preset(about)]
        given = self.get_params(deep=False)
        own = {name: given[name] for name in preset._fields if name in given}
        return preset._replace(**{name: v for name, v in own.items() if not _is_auto(v)})

    def _n_new(self, wanted: dict[int, int], settings: Any) -> int:
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
    def fit_resample(self, X: Any, y: Any, *, X_aux: Any = None) -> tuple[Any, Any]:
        """Add synthetic rows to the classes that are short of samples.

        Parameters
        ----------
        X : array-like, data frame, sparse matrix or tensor of shape (n_samples, n_features, ...)
            Real samples: rows of a table, or images with values in [0, 1] or bytes (uint8) in
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
        seed, names = root_seed(self.random_state), getattr(self, "feature_names_in_", None)
        aux = aligned_with(self._aux(X_aux), data.columns)
        about = About(data.values.shape[1:], data.class_counts, names, from_aux=aux is not None)
        settings = self._resolve(about)
        wanted = _wanted(self.sampling_strategy_, data)
        self._check_targets(data, wanted, from_aux=aux is not None)
        with progress(type(self).__name__, shown=bool(self.verbose)):
            began = perf_counter()
            phase(self._preparation)
            pool, values = self._pool(data, X, aux), data.values
            columns = None if self._sees_columns(settings) else VaryingColumns.of(values, pool)
            if columns is not None:
                pool, values = columns.narrow(pool), values[:, columns.varying]
            guides = self._guides(pool, settings, data.classes, seed, raw=lambda: values)
            method = self.method(settings, pool, guides)
            f, score = guides.f, guides.judge()
            _say_prepared(self, settings, len(data.y), score, perf_counter() - began)
            began, out = perf_counter(), data.container
            out.open(data.values, self._n_new(wanted, settings))
            write = out.write if columns is None else partial(columns.write, out)
            write = self._writer(within_range(write, values, pool), data, wanted, settings)
            filled = self._fill(data, method, pool, wanted, seed, settings, f, write=write)
            filled = self._write_labels(filled, data, wanted, settings)
            X_new = out.close(filled.synthetic.numpy(), filled.index.numpy())
            self.settings_ = settings._asdict()
            self._write_learned(method, guides, data, score)
            if columns is not None and isinstance(vars(self).get("g_"), nn.Module):
                varying = TakeColumns(torch.from_numpy(columns.varying))
                self.g_ = nn.Sequential(varying, self.g_)
            self._report(data, filled, wanted, settings, from_aux=aux is not None)
            _say_made(self, perf_counter() - began)
        return X_new, take_labels(y, _label_rows(data, filled), len(filled.y))

    def bind(self, pool, *, classes, f, seed, raw=None):
        """Bind the method to a training run; `ltresample.training` calls it.

        The sampler is not changed.

        Parameters
        ----------
        pool : Pool
            The whole training split, as the network in training takes it, and open-set samples if
            there are any.
        classes : ndarray of shape (n_classes,)
            Labels, sorted.
        f : nn.Module
            The network in training, in the place of the parameter of that name; always up to date
            when a mini-batch is rewritten.
        seed : Seed
            Root of what is random in the preparation; `random_state` has no meaning here.
        raw : callable or None, default=None
            A function that returns the training rows as they came in, for a guide that is to be
            fitted.

        Returns
        -------
        Bound
            The method, and the pool as the method takes it.

        Raises
        ------
        ValueError
            If g or open-set samples cannot be used.
        """
        aux = self._aux(pool.aux_x)
        about = About(
            pool.x.row_shape, pool.counts.numpy(), in_training=True, from_aux=aux is not None
        )
        settings, began = self._resolve(about), perf_counter()
        phase(self._preparation)
        pool = pool._replace(aux_x=None if aux is None else open_beside(aux, pool.x))
        guides = self._guides(pool, settings, classes, seed, raw=raw, live=f)
        method, score = self.method(settings, pool, guides), None
        if self.g is not None or len(pool.x.row_shape) == 1:  # networks on images cost too much
            score = guides.judge()
        _say_prepared(self, settings, len(pool.y), score, perf_counter() - began)
        return Bound(method, pool, settings.synthetic_share, settings._asdict(), guides.fitted)

    def _fit_resample(self, X, y, **params):
        """Do what `fit_resample` does; imbalanced-learn's base asks for this method."""
        return self.fit_resample(X, y, **params)

    def _strategy(self, data: Data) -> dict:
        return check_sampling_strategy(self.sampling_strategy, data.labels, self._sampling_type)

    def _aux(self, X_aux: Any) -> Any:
        """Return the open-set samples to use; most samplers use none."""
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
        return real_pool(data, X, aux=aux, device=device, dtype=first_dtype([self.g, self.f]))

    def _sees_columns(self, settings: Any) -> bool:
        """Say whether something that the user brought needs all columns in their places."""
        return self.g is not None or self.f is not None

    def _guides(self, pool: Pool, settings: Any, classes, seed: Seed, *, raw, live=None) -> Guides:
        recipe = settings._asdict().get("g_recipe")
        own = {"classes": classes, "seed": seed, "recipe": recipe, "raw": raw, "live": live}
        return Guides(self.g, self.f, pool, **own)

    def _writer(self, write: Any, data: Data, wanted: dict[int, int], settings: Any) -> Any:
        """Return the function that takes accepted rows, given one that puts them in their places."""
        return write

    def _fill(self, data, method, pool, wanted, seed, settings, f, *, write) -> Filled:
        n_rows = sum(round(settings.synthetic_share * n) for n in wanted.values())
        batch = self._batch_size(pool)
        context = self._begin(n_rows, batch)
        phase("making rows", n_rows)

        def tick(n: int) -> bool:
            advance(n)
            if context is None:
                return False
            step = context.subcontext(task_name="pass").call_on_fit_task_begin(estimator=self)
            return step.call_on_fit_task_end(estimator=self)

        filled = fill(
            method,
            pool,
            wanted,
            seed.child("fill"),
            write=write,
            batch_size=batch,
            synthetic_share=settings.synthetic_share,
            max_rounds=self.max_rounds,
            n_jobs=self.n_jobs,
            f=f,
            tick=tick,
        )
        if context is not None:
            context.call_on_fit_task_end(estimator=self)
        return filled

    def _write_labels(
        self, filled: Filled, data: Data, wanted: dict[int, int], settings: Any
    ) -> Filled:
        """Write labels beside the hard ones, and weights, as fitted attributes."""
        return filled

    def _write_learned(
        self, method: Method, guides: Guides, data: Data, score: float | None
    ) -> None:
        """Write what was fitted, and what it is worth."""
        self.g_, self.guide_score_ = guides.fitted, score

    def _begin(self, n_rows: int, batch: int) -> Any:
        """Open scikit-learn's callback context where this version has one."""
        context = self._init_callback_context(task_name="fit_resample", max_subtasks=None)
        return None if context is None else context.call_on_fit_task_begin(estimator=self)

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
        asked = {k: round(settings.synthetic_share * m) for k, m in wanted.items()}
        label = dict(enumerate(data.classes.tolist()))
        made = {k: filled.n_made.get(k, 0) for k, m in asked.items() if m}
        self.acceptance_rate_ = {label[k]: filled.n_accepted[k] / made[k] for k in made if made[k]}
        n_synthetic = torch.bincount(filled.y[filled.synthetic], minlength=len(label)).tolist()
        self.shortfall_ = {label[k]: asked[k] - n_synthetic[k] for k in asked}
        n_made = sum(made.values())
        _warn_of_low_acceptance(self.acceptance_rate_, self.shortfall_, n_made, self._advice)


def _say_prepared(sampler: Any, settings: Any, n: int, score: float | None, seconds: float) -> None:
    """Log what was fitted, and with which settings."""
    name, said = type(sampler).__name__, "" if score is None else f"; guide_score_ {score:.3f}"
    logger.info("%s: %s on %d rows took %.2f s%s", name, sampler._preparation, n, seconds, said)
    logger.debug("%s: settings %s", name, settings._asdict())


def _say_made(sampler: Any, seconds: float) -> None:
    """Log what was made."""
    origin, name = sampler.provenance_["origin"], type(sampler).__name__
    n_new, n_copies = (origin != "original").sum(), (origin == "duplicate").sum()
    text = "%s: making %d rows, %d of them duplicates, took %.2f s"
    logger.info(text, name, n_new, n_copies, seconds)
    rates = vars(sampler).get("acceptance_rate_", {})
    logger.debug("%s: acceptance %s", name, {k: round(rate, 3) for k, rate in rates.items()})


def _is_auto(value: Any) -> bool:
    return isinstance(value, str) and value == "auto"


def _wanted(strategy: dict, data: Data) -> dict[int, int]:
    """Turn {label: n to add} into {class index: n to add}."""
    index = {label: k for k, label in enumerate(data.classes.tolist())}
    return {index[_plain(label)]: int(n) for label, n in strategy.items() if n}


def _plain(label: Any) -> Any:
    return label.item() if isinstance(label, np.generic) else label


def _label_rows(data: Data, filled: Filled) -> np.ndarray:
    """Return, for each output row, a real row with the same label."""
    first = np.unique(data.y, return_index=True)[1]  # (K,)
    return np.concatenate([np.arange(len(data.y)), first[filled.y.numpy()]])


def provenance_records(data: Data, filled: Filled, *, from_aux: bool) -> np.ndarray:
    """Say of each output row where it comes from."""
    n, synthetic = len(data.y), filled.synthetic.numpy()
    record = np.zeros(n + len(synthetic), dtype=PROVENANCE)
    record["origin"][:n] = "original"
    record["origin"][n:] = np.where(synthetic, "synthetic", "duplicate")
    record["seed_index"] = np.concatenate([np.arange(n), filled.index.numpy()])
    record["partner_index"][:n] = -1
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
