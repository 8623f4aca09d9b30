"""What is to be done for the runs of a suite, in which order, and what fits into a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.records import run_key
from benchmarks.suites import Run, Suite, Task
from benchmarks.trunks import Plan, Stretch, Training, plan, trainings_of
from benchmarks.units import Place, Unit, newest

__all__ = ["Job", "Pace", "jobs_of", "plan_lines"]

Name = tuple[int, str]  # of a training: position of its run, name of the guide or ""


class Job(NamedTuple):
    """What a worker is given, and what has to be there before.

    Attributes
    ----------
    unit : Unit
        The work.
    needs, gives : frozenset of str
        Keys of states.
    kind : str
        The same for all seeds.
    users : list of str
        Rows that it is for.
    done_before : int
        Epochs of the training that are written down already.
    """

    unit: Any
    needs: frozenset[str]
    gives: frozenset[str]
    kind: str
    users: list[str]
    done_before: int = 0

    @property
    def n_epochs(self) -> int:
        """Epochs that are left to train; 0 for a run in one piece."""
        stretch = self.unit.stretch
        return 0 if stretch is None else stretch.last - max(stretch.first, self.done_before)

    def title(self) -> str:
        """Name the epochs and the rows that they are for."""
        task, stretch = self.unit.task, self.unit.stretch
        rows = ", ".join(dict.fromkeys(self.users))
        what = "" if stretch is None else f", epochs {stretch.first} to {stretch.last}"
        return f"{task.variant} {rows} seed {task.seed}{what}"


def jobs_of(
    tasks: list[Task],
    hashes: list[str],
    known: list[bool],
    place: dict[str, Any],
    *,
    unshared: bool = False,
) -> list[Job]:
    """List the jobs of all runs that are not recorded, each after those that it needs.

    Parameters
    ----------
    tasks : list of Task
        All runs, the most valuable first, recorded or not: together they decide what is shared.
    hashes : list of str
        Of their data.
    known : list of bool
        Which of them are recorded.
    place : dict
        Where states are, see `benchmarks.checkpoints.Place`.
    unshared : bool, default=False
        Whether each run is done in one piece.
    """
    if unshared:
        return [
            Job(Unit(task), frozenset(), frozenset(), _kind(task.spec), [task.row])
            for task, is_known in zip(tasks, known, strict=True)
            if not is_known
        ]
    return _Jobs(tasks, hashes, known, place).listed()


def _kind(what: Any) -> str:
    return run_key({"what": what}, 0, "")


class _Jobs:
    """Collects jobs, going from each run back to what it starts from."""

    def __init__(self, tasks, hashes, known, place):
        self.tasks, self.known = tasks, known
        self.place = Place(**place)
        self.trainings: dict[Name, Training] = {}
        for i, (task, hashed) in enumerate(zip(tasks, hashes, strict=True)):
            own = trainings_of(task.spec, task.seed, hashed)
            self.trainings |= {(i, name): training for name, training in own.items()}
        self.plan = plan(self.trainings) if self.trainings else Plan({})
        self.users: dict[str, list[str]] = {}
        for (i, _), chain in self.plan.chains.items():
            for stretch in chain:
                self.users.setdefault(stretch.key, []).append(tasks[i].row)
        self.jobs: dict[str, Job] = {}
        self.final: list[Job] = []

    def listed(self) -> list[Job]:
        for i, is_known in enumerate(self.known):
            if not is_known:
                self._add_run(i)
        return list(self.jobs.values())

    def _add_run(self, i: int) -> None:
        guides = {
            name: self.plan.chains[at, name][-1]
            for at, name in self.plan.chains
            if at == i and name
        }
        needs = {self._state((i, name), len(self.plan.chains[i, name]) - 1) for name in guides}
        unit = Unit(self.tasks[i], guides=guides, place=self.place)
        if (i, "") not in self.plan.chains:
            job = Job(unit, frozenset(needs) - {None}, frozenset(), "", [self.tasks[i].row])
            self.jobs[f"run {i}"] = job
            return
        self._add((i, ""), len(self.plan.chains[i, ""]) - 1, unit, needs)

    def _state(self, name: Name, at: int) -> str | None:
        """See to it that a state will be there; return its key, or None if it is there already."""
        stretch = self.plan.chains[name][at]
        found = newest(self.place.folder, stretch.key)
        if found is not None and found[0] == stretch.last:
            return None
        gives = {key for job in self.jobs.values() for key in job.gives}
        if stretch.key not in gives:
            i, guide = name
            maker = self._run_that_ends_with(stretch)
            if maker is not None:
                self._add_run(maker)
            else:
                task = self.tasks[i]
                guides = {} if guide else self._guides(i, stretch)
                needs = {self._state((i, g), len(self.plan.chains[i, g]) - 1) for g in guides}
                unit = Unit(task, guide, guides=guides, is_last=False, place=self.place)
                self._add(name, at, unit, needs)
        return stretch.key

    def _guides(self, i: int, stretch: Stretch) -> dict[str, Stretch]:
        """Return the guides of a run, if its stretch has the resampler at work."""
        if "resampler" not in stretch.classifier:
            return {}
        chains = self.plan.chains
        return {name: chains[at, name][-1] for at, name in chains if at == i and name}

    def _run_that_ends_with(self, stretch: Stretch) -> int | None:
        """Return a run that is to be recorded and whose last state this is."""
        for (i, name), chain in self.plan.chains.items():
            is_open = not self.known[i] and f"run {i}" not in self.jobs
            if not name and is_open and chain[-1].key == stretch.key:
                return i
        return None

    def _add(self, name: Name, at: int, unit: Any, needs: set[str | None]) -> None:
        i, _ = name
        stretch, training = self.plan.chains[name][at], self.trainings[name]
        label = f"run {i}" if unit.is_last else stretch.key
        if label in self.jobs:
            return
        found = newest(self.place.folder, stretch.key)
        if found is None and at > 0:
            needs = needs | {self._state(name, at - 1)}
        shared = [key for job in self.jobs.values() for key in job.gives]
        if unit.is_last and stretch.key in shared:
            needs = needs | {stretch.key}  # another run trains the same
        unit = unit._replace(
            stretch=stretch,
            is_wanted=not unit.is_last or len(self.users[stretch.key]) > 1,
            may_cut=stretch.last <= training.learns_from,
        )
        self.jobs[label] = Job(
            unit,
            needs=frozenset(needs) - {None},
            gives=frozenset({stretch.key}),
            kind=_kind([stretch.classifier, training.base, training.guides]),
            users=self.users[stretch.key],
            done_before=found[0] if found else 0,
        )


class Pace:
    """Seconds an epoch of each kind of training, and of runs in one piece, as they were measured.

    Parameters
    ----------
    path : Path
        Where they are kept from one command to the next.
    records : list of dict
        What was recorded before.
    """

    def __init__(self, path: Path, records: list[dict[str, Any]]):
        self.path = path
        self.an_epoch: dict[str, float] = {}
        if path.exists():
            self.an_epoch = json.loads(path.read_text(encoding="utf-8"))
        self.a_run: dict[tuple[str, str], float] = {}
        for record in records:
            took = sum(record["seconds"].values())
            self.a_run[record["variant"], record["row"]] = took

    def note(self, job: Job, ended: Any) -> None:
        """Keep what a job took."""
        task, stretch = job.unit.task, job.unit.stretch
        if stretch is None:
            self.a_run[task.variant, task.row] = ended.seconds
            return
        begun = max(stretch.first, job.done_before)
        done = (stretch.last if ended.stopped_at is None else ended.stopped_at) - begun
        if done > 0:
            self.an_epoch[job.kind] = ended.seconds / done
            self.path.parent.mkdir(parents=True, exist_ok=True)
            unfinished = self.path.with_suffix(".part")
            unfinished.write_text(json.dumps(self.an_epoch), encoding="utf-8")
            unfinished.replace(self.path)

    def seconds(self, job: Job) -> float | None:
        """Return the least seconds in which a job gets anywhere; None: that is not known."""
        if job.unit.stretch is None:
            return self.a_run.get((job.unit.task.variant, job.unit.task.row))
        rate = self.an_epoch.get(job.kind)
        if rate is None and not job.unit.may_cut and self.an_epoch:
            rate = max(self.an_epoch.values())
        if rate is None:
            return None
        return rate * (1 if job.unit.may_cut else job.n_epochs)

    def fits(self, job: Job, left: float) -> bool:
        """Return whether a job gets anywhere in the seconds that are left."""
        seconds = self.seconds(job)
        return left > 0 if seconds is None else 1.1 * seconds <= left

    def advice(self, waiting: list[Job]) -> str:
        """Say what the cheapest job takes."""
        known = [s for s in map(self.seconds, waiting) if s is not None]
        return f"; the shortest takes about {min(known):.0f} s" if known else ""


def _few(names: list[str], n: int = 4) -> str:
    more = f" and {len(names) - n} more" if len(names) > n else ""
    return ", ".join(names[:n]) + more


def plan_lines(suite: Suite, runs: list[Run]) -> list[str]:
    """Return what one seed of each row trains, row by row and with what is shared.

    Parameters
    ----------
    suite : Suite
        The suite.
    runs : list of Run
        Rows and variants.
    """
    lines = []
    for variant in dict.fromkeys(run.variant for run in runs):
        own = [run for run in runs if run.variant == variant]
        lines += [f"{suite.name}, {variant}: epochs of one seed", *_variant_lines(own), ""]
    return lines


def _variant_lines(runs: list[Run]) -> list[str]:
    trainings: dict[Name, Training] = {}
    alone: dict[int, int] = {}
    for i, run in enumerate(runs):
        own = trainings_of(run.spec, 0, "")
        trainings |= {(i, name): training for name, training in own.items()}
        others = [
            g["classifier"] for name, g in run.spec.get("guides", {}).items() if name not in own
        ]
        others += [] if "" in own else [run.spec["classifier"]]
        alone[i] = sum(c.get("max_epochs", 0) + c.get("second_epochs", 0) for c in others)
    planned = plan(trainings)
    users: dict[str, set[int]] = {}
    for (i, _), chain in planned.chains.items():
        for stretch in chain:
            users.setdefault(stretch.key, set()).add(i)
    lines, separate, sharing = [], 0, set()
    for i, run in enumerate(runs):
        names = [name for name in planned.chains if name[0] == i]
        n = alone[i] + sum(trainings[name].n_epochs for name in names)
        separate += n
        keys = {s.key: s for name in names for s in planned.chains[name]}
        n_own = alone[i] + sum(s.last - s.first for k, s in keys.items() if users[k] == {i})
        partners = {j for k in keys for j in users[k]} - {i}
        sharing |= {i} if partners else set()
        told = (
            f", the rest with {_few([runs[j].row for j in sorted(partners)])}" if partners else ""
        )
        lines.append(f"  {run.row:32}{n:6}, of its own {n_own:6}{told}")
    together = planned.n_epochs(planned.chains) + sum(alone.values())
    lines.append(
        f"  row by row {separate}, with what is shared {together}: {separate / together:.2f} x"
    )
    if sharing:
        names = [name for name in planned.chains if name[0] in sharing]
        before = sum(trainings[name].n_epochs for name in names) + sum(alone[i] for i in sharing)
        after = planned.n_epochs(names) + sum(alone[i] for i in sharing)
        lines.append(
            f"  the {len(sharing)} rows that share: {before} and {after}: {before / after:.2f} x"
        )
    return lines
