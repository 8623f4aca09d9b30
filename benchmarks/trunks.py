"""What rows of a suite have in common: planned from their specs, before anything runs.

Rows that are equal up to some epoch (data, network, loss, seeds, schedule) share that part: ERM,
deferred re-sampling, deferred re-weighting, M2m and distribution matching until what is deferred starts.
The part, a trunk, is trained once, written down, and taken up by each of them. Guides are trainings of
the same kind. With ``seed = "guides"`` they have a seed of their own, which all guides of a run share:
M2m's g and DM's are then one network up to the epoch in which they part. With ``seed = "classifier"``
they have the row's: ERM's last epoch is then M2m's g, and f begins its late phase as a younger state of
g. M2m's paper warns of that ("M2m-Self"): to such an f the samples are of their class already.

What decides the first n epochs of a row is its spec without all that starts later: `first_epochs`. Two
rows share n epochs if that is equal.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

from benchmarks.records import run_key
from benchmarks.suites import Run

__all__ = ["Plan", "Stretch", "Training", "check_claims", "first_epochs", "plan", "trainings_of"]

CLASSIFIER = "DeferredRebalancingClassifier"
ROLES = ("classifier", "guides")  # whose seeds a training has
# what the classifier takes where a suite says nothing; tests/benchmarks hold them against it
DEFAULTS = {"max_epochs": 40, "start": 0.8, "rebalance_start": 0, "weighting": "balanced"}
DEFAULTS |= {"beta": 0.9999, "warmup": 0}
DEFERRED = {"start", "resampler", "batch_size_after_start", "lr_decay", "max_epochs"}
REBALANCING = {"rebalance", "rebalance_start", "weighting", "beta"}
SWITCHED = {
    "InfluenceBalancedLoss",
    "RIDELoss",
}  # losses that change at `rebalance_start` themselves
# resamplers that learn from epoch to epoch: a training is never cut while they are at work
LEARNING = {"SAFA"}


class Training(NamedTuple):
    """A training of the classifier, of a row or of a guide.

    Attributes
    ----------
    classifier : dict
        Its resolved table.
    guides : dict
        The guides that it names.
    base : dict
        What else decides its result: data, held-out share, sampler, threads.
    seed : int
        Seed of the run.
    data_hash : str
        Hash of the data.
    role : {"classifier", "guides"}
        Whose random numbers it has, of those of the run's seed.
    """

    classifier: dict[str, Any]
    guides: dict[str, Any]
    base: dict[str, Any]
    seed: int
    data_hash: str
    role: str = ROLES[0]

    @property
    def n_epochs(self) -> int:
        """Length of the training."""
        return self.classifier.get("max_epochs", DEFAULTS["max_epochs"])

    @property
    def learns_from(self) -> int:
        """First epoch in which the resampler learns something that a checkpoint does not hold."""
        resampler = self.classifier.get("resampler") or {}
        learns = resampler.get("make") in LEARNING or resampler.get("feature_bank", False)
        start = self.classifier.get("start", DEFAULTS["start"])
        return _epoch(start, self.n_epochs) if learns else self.n_epochs

    def changes(self) -> set[int]:
        """Return the epochs at which something that was deferred starts, and the end."""
        own, n = {**DEFAULTS, **self.classifier}, self.n_epochs
        deferred = {own["start"], own["rebalance_start"], *_decay(own)}
        epochs = {_epoch(value, n) for value in deferred} | {n}
        return {epoch for epoch in epochs if 0 < epoch <= n}

    def key(self, epoch: int) -> str:
        """Name the state after the first `epoch` epochs by what decides it."""
        whole = epoch > self.learns_from
        what = {**DEFAULTS, **self.classifier} if whole else first_epochs(self.classifier, epoch)
        guides = self.guides if "resampler" in what else {}
        told = {**self.base, "first": what, "guides": guides, "n": epoch}
        told |= {} if self.role == ROLES[0] else {"role": self.role}
        return run_key(told, self.seed, self.data_hash)


class Stretch(NamedTuple):
    """Epochs of a training, from a state to a state.

    Attributes
    ----------
    key : str
        Names the state after the last epoch.
    parent : str or None
        Names the state that it starts from; None: new weights.
    first, last : int
        Epochs [first, last).
    classifier : dict
        What to train with.
    role : {"classifier", "guides"}
        Whose random numbers it has.
    """

    key: str
    parent: str | None
    first: int
    last: int
    classifier: dict[str, Any]
    role: str = ROLES[0]


class Plan(NamedTuple):
    """Stretches of all trainings; one that several trainings need is there once.

    Attributes
    ----------
    chains : dict
        {name of a training: its stretches, in order}.
    """

    chains: dict[Any, list[Stretch]]

    def stretches(self) -> dict[str, Stretch]:
        """Return all stretches by key, each after its parent."""
        return {stretch.key: stretch for chain in self.chains.values() for stretch in chain}

    def n_epochs(self, names: Iterable[Any]) -> int:
        """Return how many epochs some trainings take, each stretch once."""
        own = {s.key: s for name in names for s in self.chains[name]}
        return sum(stretch.last - stretch.first for stretch in own.values())


def _epoch(value: Any, n: int) -> int:
    """Return an epoch; a float is a share of n epochs."""
    value = float(value) if isinstance(value, str) and "." in value else value
    return round(value * n) if isinstance(value, float) else int(value)


def _decay(settings: dict[str, Any]) -> list[Any]:
    return list(settings.get("lr_decay") or {})


def first_epochs(classifier: dict[str, Any], n: int) -> dict[str, Any]:
    """Return the settings that decide the first `n` epochs, which can also be trained with.

    Parameters
    ----------
    classifier : dict
        The resolved table of a `DeferredRebalancingClassifier`.
    n : int
        Number of epochs.

    Examples
    --------
    >>> erm = {"max_epochs": 200, "lr_decay": {"160": 0.01, "0.9": 0.01}}
    >>> drs = {**erm, "rebalance": "resample", "rebalance_start": 160}
    >>> first_epochs(drs, 160) == first_epochs(erm, 160)
    True
    >>> first_epochs(drs, 161)["lr_decay"]
    {'160': 0.01}
    """
    given = {**DEFAULTS, **classifier}
    total, start = given["max_epochs"], _epoch(given["start"], given["max_epochs"])
    rebalance_start = _epoch(given["rebalance_start"], total)
    own = {k: v for k, v in given.items() if k not in DEFERRED | REBALANCING}
    decay = {_epoch(k, total): v for k, v in (given.get("lr_decay") or {}).items()}
    decay = {str(epoch): decay[epoch] for epoch in sorted(decay) if epoch < n}
    if decay:
        own["lr_decay"] = decay
    if given.get("resampler") is not None and start < n:
        own |= {"resampler": given["resampler"], "start": start, "max_epochs": total}
    if given.get("batch_size_after_start") is not None and start < n:
        own |= {"batch_size_after_start": given["batch_size_after_start"], "start": start}
    if given.get("rebalance") is not None and rebalance_start < n:
        own |= {name: given[name] for name in REBALANCING} | {"rebalance_start": rebalance_start}
    if given.get("criterion", {}).get("use") in SWITCHED:
        own["rebalance_start"] = min(rebalance_start, n)
    return own


def trainings_of(spec: dict[str, Any], seed: int, data_hash: str) -> dict[str, Training]:
    """Return the trainings of a run that can be shared: its own ("") and those of its guides.

    A guide is one of these if its seed is "guides" or "classifier"; the run itself if its classifier
    is a `DeferredRebalancingClassifier` that nothing is wrapped around.
    """
    base = {k: spec[k] for k in ("data", "validation", "threads", "sampler") if k in spec}
    guides = spec.get("guides", {})

    def training(classifier: dict[str, Any], of: dict[str, Any], role: str) -> Training:
        return Training(classifier, of, base, seed, data_hash, role)

    own = {}
    for name, guide in guides.items():
        if guide.get("seed") in ROLES and guide["classifier"]["make"] == CLASSIFIER:
            own[name] = training(guide["classifier"], {}, guide["seed"])
    if spec["classifier"].get("make") == CLASSIFIER and "wrap" not in spec:
        own[""] = training(spec["classifier"], guides, ROLES[0])
    return own


def plan(trainings: dict[Any, Training]) -> Plan:
    """Find the longest parts that trainings have in common.

    Parameters
    ----------
    trainings : dict
        Name to training, in the order in which they are wanted.

    Returns
    -------
    Plan
        A stretch ends where a training ends, or where trainings part.
    """
    epochs = sorted(set().union(*(training.changes() for training in trainings.values())))
    paths = {name: _path(training, epochs) for name, training in trainings.items()}
    following: dict[str, set[str | None]] = {}
    for path in paths.values():
        for (_, key), after in zip(path, [*path[1:], None], strict=True):
            following.setdefault(key, set()).add(after and after[1])
    kept = {key for key, after in following.items() if len(after) > 1 or None in after}
    return Plan({name: _chain(trainings[name], path, kept) for name, path in paths.items()})


def _path(training: Training, epochs: list[int]) -> list[tuple[int, str]]:
    """Return (epoch, key) at each of the epochs up to the training's end."""
    return [(epoch, training.key(epoch)) for epoch in epochs if epoch <= training.n_epochs]


def _chain(training: Training, path: list[tuple[int, str]], kept: set[str]) -> list[Stretch]:
    chain, first, parent = [], 0, None
    for last, key in path:
        if key not in kept:
            continue
        ends = last == training.n_epochs
        settings = first_epochs(training.classifier, last) | {"max_epochs": training.n_epochs}
        classifier = training.classifier if ends else settings
        chain.append(Stretch(key, parent, first, last, classifier, training.role))
        first, parent = last, key
    return chain


def check_claims(runs: list[Run]) -> None:
    """Refuse rows whose ``trunk`` names a row with which they share no epoch.

    Raises
    ------
    ValueError
        With what they differ in from the first epoch on.
    """
    for run in runs:
        other = next((r for r in runs if r.row == run.trunk and r.variant == run.variant), None)
        if run.trunk and other is not None:
            own, its = (trainings_of(r.spec, 0, "").get("") for r in (run, other))
            if own is None or its is None or own.key(1) != its.key(1):
                raise ValueError(
                    f"Row {run.row!r} says trunk = {run.trunk!r}, but shares no epoch with it in "
                    f"{run.variant!r}. They differ in {_differences(run.spec, other.spec)} from the "
                    "first epoch on. Make these equal, or leave trunk out."
                )


def _differences(one: dict[str, Any], other: dict[str, Any]) -> str:
    first = [{**spec, "classifier": first_epochs(spec["classifier"], 1)} for spec in (one, other)]
    flat = [dict(_flat({k: v for k, v in spec.items() if k != "guides"})) for spec in first]
    names = [name for name in {**flat[0], **flat[1]} if flat[0].get(name) != flat[1].get(name)]
    return ", ".join(sorted(names)) or "the kind of classifier"


def _flat(value: Any, path: str = "") -> Iterable[tuple[str, Any]]:
    if not isinstance(value, dict):
        yield path, value
        return
    for key, part in value.items():
        yield from _flat(part, f"{path}.{key}" if path else key)
