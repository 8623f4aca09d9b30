"""One run: hold out a validation part, train, score the test samples, make a record."""

from __future__ import annotations

import copy
import math
import time
import warnings
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import numpy as np

from benchmarks.checkpoints import Checkpoints, read, restore
from benchmarks.comparison import packed_samples
from benchmarks.components import build, find
from benchmarks.data_sets import TrainTest, hash_of, in_unit_range, load, split
from benchmarks.provenance import commit, machine, source_hash, versions
from benchmarks.records import run_key
from benchmarks.suites import Task
from benchmarks.trunks import ROLES
from benchmarks.units import Unit, newest
from ltresample.metrics import LongTailReport

__all__ = ["Parts", "offline_sampler", "run_trial", "run_unit"]

ARRAYS = ("labels", "class_counts", "n_test", "recall")
HISTORY = {
    "train_loss": "train_loss",
    "acceptance": "acceptance_rate",
    "share_synthesized": "share_synthesized",
}
BEFORE_START = {"share_synthesized": 0.0}  # of epochs that a training without resampler gave


class Parts(NamedTuple):
    """The data of one run."""

    X_train: np.ndarray
    y_train: np.ndarray
    X_validation: np.ndarray
    y_validation: np.ndarray
    X_test: np.ndarray
    y_test: np.ndarray

    @classmethod
    def of(cls, data: TrainTest, share: float, seed: int) -> Parts:
        """Hold out the validation part."""
        train, held = split(data.y_train, share, seed)
        X, y = data.X_train, data.y_train
        return cls(X[train], y[train], X[held], y[held], data.X_test, data.y_test)

    def report(self, y_true: np.ndarray, y_pred: np.ndarray) -> LongTailReport:
        """Score predictions."""
        return LongTailReport.from_predictions(y_true, y_pred, y_train=self.y_train)

    def validation_score(self, classifier: Any) -> float:
        """Return bACC on the validation part, NaN if there is none."""
        if not len(self.y_validation):
            return math.nan
        predicted = classifier.predict(self.X_validation)
        return self.report(self.y_validation, predicted).balanced_accuracy


class Clock:
    """Seconds by the name of what was done, and processor seconds in all."""

    def __init__(self):
        self.seconds: dict[str, float] = {}
        self.cpu_seconds = 0.0

    def add(self, name: str, seconds: float, cpu_seconds: float) -> None:
        """Add what something took."""
        self.seconds[name] = self.seconds.get(name, 0.0) + seconds
        self.cpu_seconds += cpu_seconds

    def timed(self, name: str, work: Callable[[], Any]) -> Any:
        """Do some work and add its time."""
        start, busy = time.perf_counter(), time.process_time()
        result = work()
        self.add(name, time.perf_counter() - start, time.process_time() - busy)
        return result


def run_trial(task: Task) -> dict[str, Any]:
    """Do one run.

    Parameters
    ----------
    task : Task
        What to run.

    Returns
    -------
    dict
        The record, plain JSON values.
    """
    return run_unit(Unit(task))


def run_unit(unit: Unit) -> dict[str, Any] | None:
    """Do a whole run, or a stretch of one of its trainings.

    Parameters
    ----------
    unit : Unit
        What to do.

    Returns
    -------
    dict or None
        The record, plain JSON values; None after a stretch that is not the run's last.

    Raises
    ------
    BudgetOver
        If the time was up; the state so far is written down.
    """
    task = unit.task
    data = load(task.spec["data"], task.folder)
    hashed = hash_of(task.spec["data"], task.folder)
    parts = Parts.of(data, task.spec["validation"], task.seed)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        outcome = _trained(unit, parts, hashed)
    if not unit.is_last:
        return None
    told = dict.fromkeys(f"{w.category.__name__}: {w.message}" for w in caught)
    return {
        "key": run_key(task.spec, task.seed, hashed),
        **{name: getattr(task, name) for name in ("suite", "variant", "row", "seed", "spec")},
        "data_sha256": hashed,
        **outcome,
        "warnings": list(told)[:10],
        "versions": versions(),
        **commit(),
        "source_sha256": source_hash(),
        "machine": machine(task.spec["threads"], task.device, cuda_graphs=task.cuda_graphs),
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _trained(unit: Unit, parts: Parts, hashed: str) -> dict[str, Any]:
    """Train as the spec says, and score."""
    task, clock, monitor = unit.task, Clock(), None
    spec = task.spec
    made = _maker(unit, parts, hashed, clock)
    X, y, sampler = parts.X_train, parts.y_train, None
    if "sampler" in spec:
        sampler = _placed(made(spec["sampler"], "sampler"), task)
        X, y = clock.timed("sampling", lambda: sampler.fit_resample(X, y))
    settings = spec["classifier"] if unit.stretch is None else unit.stretch.classifier
    role = "classifier" if unit.stretch is None else unit.stretch.role
    classifier = _placed(made(settings, role), task)
    if "wrap" in spec:
        classifier = made({**spec["wrap"], "estimator": _untold(classifier)}, "wrap")
    else:
        monitor = _listened(classifier, parts)
    if unit.stretch is not None:
        _advance(unit, classifier, monitor, X, y, clock)
    else:
        clock.timed("training", lambda: classifier.fit(X, y))
        if monitor is not None:
            clock.seconds["training"] -= monitor.seconds
    if not unit.is_last:
        return {}
    if monitor is not None:
        clock.seconds["scoring"] = monitor.seconds
    return {
        "seconds": {name: round(value, 3) for name, value in clock.seconds.items()},
        "cpu_seconds": round(clock.cpu_seconds, 3),
        "network": _network_size(classifier, X),
        **_scores(classifier, monitor, parts),
        **_synthesis(classifier, sampler),
        **_guide_score(classifier, parts),
    }


def _advance(
    unit: Unit, net: Any, monitor: Any, X: np.ndarray, y: np.ndarray, clock: Clock
) -> None:
    """Train the epochs of a stretch, from the newest state of its own or from its parent's."""
    stretch, place = unit.stretch, unit.place
    found = newest(place.folder, stretch.key)
    key = stretch.key if found else stretch.parent
    found = found or (key and newest(place.folder, key))
    state = None if found is None else read(found[1], key, unit.task.device)
    spent = {"training": 0.0, "cpu": 0.0} if state is None else state["spent"]
    wanted = {"may_cut": unit.may_cut, "keep_last": unit.is_wanted}
    watch = Checkpoints(place, stretch.key, stretch.last, monitor, spent, **wanted)
    net.set_params(callbacks=[*net.callbacks, ("checkpoints", watch)])
    if state is None:
        net.fit(X, y, epochs=stretch.last)
    else:
        net.fit(X, y, epochs=0)  # makes all parts as at the beginning of a training
        restore(net, monitor, state)
        net.partial_fit(X, y, epochs=stretch.last - state["epoch"])
    told = watch.so_far()
    clock.add("training", told["training"], told["cpu"])


def _maker(
    unit: Unit, parts: Parts, hashed: str, clock: Clock
) -> Callable[[dict[str, Any], str], Any]:
    """Return a function that builds what a part of the spec, of some name, stands for."""
    task = unit.task

    def guide(name: str, path: str) -> Any:
        if name in unit.guides:
            return _guide_from_state(unit, name, made, parts, clock)
        is_trunk = task.spec["guides"][name].get("seed") in ROLES
        child = task.seed if is_trunk else _child(task.seed, f"guide{path}")
        own = _guide_of(task.spec["guides"][name], child, parts, hashed, task=task)
        clock.add("guides", own.seconds, own.cpu_seconds)
        return copy.deepcopy(own.fitted)

    def made(settings: dict[str, Any], name: str) -> Any:
        return build(
            settings,
            guide=guide,
            seed=lambda path: _child(task.seed, name + path),
            train=parts.X_train,
            folder=task.folder,
        )

    return made


def offline_sampler(task: Task) -> tuple[Any, np.ndarray, np.ndarray]:
    """Make the sampler that a row has in training, for use before training.

    Parameters
    ----------
    task : Task
        The run.

    Returns
    -------
    sampler : object
        The sampler, with the guide of the run.
    X : ndarray of shape (n, ...), float32
        The training part; bytes are scaled to [0, 1].
    y : ndarray of shape (n,)
        Labels.
    """
    data = load(task.spec["data"], task.folder)
    hashed = hash_of(task.spec["data"], task.folder)
    parts = Parts.of(data, task.spec["validation"], task.seed)
    made = _maker(Unit(task), parts, hashed, Clock())
    sampler = made(task.spec["classifier"]["resampler"], "classifier.resampler")
    return sampler, in_unit_range(parts.X_train), parts.y_train


def _guide_from_state(unit: Unit, name: str, made: Callable, parts: Parts, clock: Clock) -> Any:
    """Return the network of a guide that was trained as stretches."""
    stretch, task = unit.guides[name], unit.task
    found = newest(unit.place.folder, stretch.key)
    state = read(found[1], stretch.key, task.device)
    net = _untold(_placed(made(stretch.classifier, stretch.role), task))
    restore(net.fit(parts.X_train, parts.y_train, epochs=0), None, state)
    clock.add("guides", state["spent"]["training"], state["spent"]["cpu"])
    return net.module_


def _child(seed: int, path: str) -> int:
    """Return the seed that belongs to a place in the spec; the same in every row."""
    sequence = np.random.SeedSequence([seed, zlib.crc32(path.encode())])
    return int(sequence.generate_state(1)[0] >> 1)


class _Guide(NamedTuple):
    """A fitted guide, and what fitting it took."""

    fitted: Any
    seconds: float
    cpu_seconds: float


_guides: dict[str, _Guide] = {}  # rows of a suite share guides: the last few stay


def _guide_of(spec: dict[str, Any], seed: int, parts: Parts, hashed: str, *, task: Task) -> _Guide:
    """Return a guide that this process has fitted to the same data with the same seed, or fit it."""
    key = run_key(spec, seed, f"{hashed} {len(parts.y_train)}")
    if key not in _guides:
        start, busy = time.perf_counter(), time.process_time()
        fitted = _fitted_guide(spec, seed, parts, task)
        taken = time.perf_counter() - start, time.process_time() - busy
        while len(_guides) >= 4:
            _guides.pop(next(iter(_guides)))
        _guides[key] = _Guide(fitted, *taken)
    return _guides[key]


def _fitted_guide(spec: dict[str, Any], seed: int, parts: Parts, task: Task) -> Any:
    """Fit a guide, on the training part unless its spec has data of its own.

    Of a net give the module, which survives cloning.
    """
    X, y = parts.X_train, parts.y_train
    if "data" in spec:
        data = load({**task.spec["data"], **spec["data"]}, task.folder)
        X, y = data.X_train, data.y_train
    classifier = build(
        spec["classifier"],
        guide=lambda name, path: find(name, kind="guide of a guide", known={}),
        seed=lambda path: _child(seed, f"{spec.get('seed', '')}{path}"),
    )
    classifier = _untold(_placed(classifier, task)).fit(X, y)
    return getattr(classifier, "module_", classifier)


def _placed(estimator: Any, task: Task) -> Any:
    """Put an estimator that has a device on the one of the run."""
    known = estimator.get_params(deep=False)
    wanted = {"device": (task.device, "cpu"), "cuda_graphs": (task.cuda_graphs, False)}
    new = {name: value for name, (value, own) in wanted.items() if value != own and name in known}
    return estimator.set_params(**new) if new else estimator


def _untold(classifier: Any) -> Any:
    """Switch the classifier's own validation split and printing off: the runner has its own."""
    known = classifier.get_params(deep=False)
    off = {"train_split": None, "verbose": 0}
    return classifier.set_params(**{name: off[name] for name in off if name in known})


def _listened(classifier: Any, parts: Parts) -> Any:
    """Let a monitor hear of epochs; give it, or None where there are no epochs to hear of."""
    if "callbacks" not in _untold(classifier).get_params(deep=False):
        return None
    from benchmarks.monitor import Monitor  # loads PyTorch

    monitor = Monitor(parts)
    classifier.set_params(callbacks=[*(classifier.callbacks or []), ("benchmark", monitor)])
    return monitor


def _scores(classifier: Any, monitor: Any, parts: Parts) -> dict[str, Any]:
    """Score the last epoch, and the best by validation where there were epochs."""
    curve = [] if monitor is None else monitor.curve
    score = curve[-1] if curve else parts.validation_score(classifier)
    last = _picked(parts, classifier.predict(parts.X_test), len(curve) - 1, score)
    best = None
    if curve:
        epoch = monitor.best_epoch
        best = _picked(parts, monitor.best_predictions, epoch, curve[epoch])
    report = parts.report(parts.y_test, parts.y_test)
    return {
        "n_train": len(parts.y_train),
        "n_validation": len(parts.y_validation),
        "labels": report.labels.tolist(),
        "class_counts": report.class_counts.tolist(),
        "n_test": report.n_test.tolist(),
        "last": last,
        "best": best,
        "curve": {"validation_bacc": [_plain(value) for value in curve], **_history(classifier)},
    }


def _network_size(classifier: Any, X: np.ndarray) -> dict[str, int] | None:
    """Count parameters, and operations for a row (multiply and add are two); None: no network."""
    module = getattr(classifier, "module_", None)
    if module is None:
        return None
    from torch.utils.flop_counter import FlopCounterMode

    with FlopCounterMode(display=False) as counter:
        classifier.predict_proba(X[:1])
    n_parameters = sum(parameter.numel() for parameter in module.parameters())
    return {"parameters": n_parameters, "operations": counter.get_total_flops()}


def _picked(parts: Parts, predicted: np.ndarray, epoch: int, validation: float) -> dict[str, Any]:
    """Score the predictions of an epoch for the test samples; -1: there are no epochs."""
    report = parts.report(parts.y_test, predicted)
    return {
        "epoch": epoch if epoch >= 0 else None,
        "validation_bacc": _plain(validation),
        "scores": {k: _plain(v) for k, v in report.to_dict().items() if k not in ARRAYS},
        "recall": [_plain(value) for value in report.recall],
        "correct": packed_samples(np.asarray(predicted) == parts.y_test, parts.y_test),
    }


def _plain(value: Any) -> Any:
    """Round floats for JSON, which has no NaN."""
    if isinstance(value, float | np.floating):
        return None if math.isnan(value) else round(float(value), 6)
    return value


def _history(classifier: Any) -> dict[str, list]:
    """Return what the classifier noted after each epoch."""
    epochs = list(getattr(classifier, "history", None) or [])
    return {
        name: [_plain(epoch.get(column, BEFORE_START.get(name))) for epoch in epochs]
        for name, column in HISTORY.items()
        if epochs and column in epochs[-1]
    }


def _synthesis(classifier: Any, sampler: Any) -> dict[str, Any]:
    """Say which share of candidates was accepted and which share of samples was synthetic."""
    if getattr(sampler, "is_synthetic_", None) is not None:
        rates = list(sampler.acceptance_rate_.values())
        return {
            "acceptance": _plain(float(np.mean(rates))) if rates else None,
            "share_synthesized": _plain(float(sampler.is_synthetic_.mean())),
        }
    curves = _history(classifier)
    return {name: _late_mean(curves.get(name, [])) for name in ("acceptance", "share_synthesized")}


def _guide_score(classifier: Any, parts: Parts) -> dict[str, float]:
    """Return the balanced accuracy on the test part of the network that guides, if there is one."""
    guide = getattr(getattr(classifier, "resampler", None), "g", None)
    if not hasattr(guide, "state_dict"):  # a fitted estimator, several, or none
        return {}
    from benchmarks.candidates import seen_by  # loads PyTorch

    seen = np.unique(parts.y_train)[seen_by(guide, in_unit_range(parts.X_test))]
    return {"guide_bacc": _plain(parts.report(parts.y_test, seen).balanced_accuracy)}


def _late_mean(curve: list[float | None]) -> float | None:
    """Average over the epochs in which there was something to report."""
    told = [value for value in curve if value is not None]
    return _plain(float(np.mean(told))) if told else None
