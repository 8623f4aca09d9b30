"""Run a suite: what is not recorded yet, several seeds at once, and write its tables.

    python -m benchmarks.run smoke
    python -m benchmarks.run reuters --data FOLDER --jobs 2
    python -m benchmarks.run SUITE --device cuda --jobs 4

    python -m benchmarks.run SUITE --plan              # which epochs rows share; trains nothing
    python -m benchmarks.run SUITE --budget 480        # what fits into 480 seconds, the rest next time

Every finished run is one line in the records; killed and started again, the command goes on where
it was. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import sys
import threading
import time
import traceback
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.records import RecordFile, run_key
from benchmarks.schedule import Job, Pace, jobs_of, plan_lines
from benchmarks.suites import Run, Suite, Task, load_suite
from benchmarks.trunks import check_claims
from benchmarks.units import BudgetOver

__all__ = ["main"]

HERE = Path(__file__).parent
GRACE = 5.0  # seconds after the deadline in which a worker may still end by itself


class DeviceLost(RuntimeError):
    """The accelerator no longer answers."""


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description="Run a suite and write its tables."
    )
    parser.add_argument("suite", help="name of a suite, or path of a .toml file")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the data files are")
    parser.add_argument("--seeds", type=int, metavar="N", help="seeds 0 .. N-1 (default: suite's)")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once (default: 2)")
    parser.add_argument("--device", default="cpu", help="where to train (default: cpu)")
    parser.add_argument(
        "--cuda-graphs", action="store_true", help="record passes on a CUDA device, and replay them"
    )
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these rows only")
    parser.add_argument("--variants", nargs="+", default=[], metavar="NAME", help="these only")
    parser.add_argument("--records", type=Path, default=HERE / "records", metavar="DIR")
    parser.add_argument("--tables", type=Path, default=HERE / "tables", metavar="DIR")
    parser.add_argument("--table-only", action="store_true", help="run nothing, write the tables")
    parser.add_argument("--plan", action="store_true", help="say which epochs rows share, and end")
    parser.add_argument("--unshared", action="store_true", help="train each row from its beginning")
    parser.add_argument("--budget", type=float, metavar="SECONDS", help="start what fits, and end")
    parser.add_argument(
        "--every",
        type=float,
        default=60.0,
        metavar="SECONDS",
        help="between two states of a training (default: 60)",
    )
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run a suite; give 0, 1 if runs failed, 2 for a wrong argument, 130 if interrupted."""
    options = arguments(argv)
    options.deadline = None if options.budget is None else time.time() + options.budget
    try:
        _check_numbers(options)
        _check_device(options.device)
        _check_graphs(options)
        suite = load_suite(options.suite)
        runs = suite.chosen(rows=options.only, variants=options.variants)
        check_claims(suite.runs)
        if options.plan:
            print("\n".join(plan_lines(suite, runs)))
            return 0
        n_failed = 0 if options.table_only else _run_missing(suite, runs, options)
    except (ValueError, RuntimeError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what had ended is recorded, the same command goes on", file=sys.stderr)
        return 130
    _write_tables(suite, options)
    return min(n_failed, 1)


def _check_graphs(options: argparse.Namespace) -> None:
    """Refuse recorded passes on a device that has none."""
    if options.cuda_graphs and not options.device.startswith("cuda"):
        raise ValueError(
            f"--cuda-graphs needs a CUDA device. Got --device {options.device}. Pass --device cuda, "
            "or leave --cuda-graphs out."
        )


def _check_device(device: str) -> None:
    """Look for an accelerator before work is given out; PyTorch is loaded for nothing else here."""
    if device == "cpu":
        return
    import torch

    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as err:
        reason = str(err).splitlines()[0]
        raise ValueError(
            f"--device {device} cannot be used here: {reason}. Pass cpu, or the name of an "
            "accelerator that this PyTorch build supports."
        ) from None


def _check_numbers(options: argparse.Namespace) -> None:
    budget = options.budget
    if budget is not None and not budget > 0:
        raise ValueError(f"--budget must be a number of seconds above 0. Got {budget:g}.")
    for name in ("seeds", "jobs"):
        number = getattr(options, name)
        if number is not None and number < 1:
            raise ValueError(f"--{name} must be a whole number from 1. Got {number}.")


def _run_missing(suite: Suite, runs: list[Run], options: argparse.Namespace) -> int:
    path = options.records / f"{suite.name}.jsonl"
    with RecordFile(path).opened() as file:
        if file.n_dropped:
            print(f"{path}: dropped an unfinished last line of {file.n_dropped} bytes")
        tasks, hashes = _tasks(suite, runs, options)
        known = [
            run_key(task.spec, task.seed, hashes[i]) in file.keys for i, task in enumerate(tasks)
        ]
        missing = [task for task, is_known in zip(tasks, known, strict=True) if not is_known]
        n_all = len(runs) * (options.seeds or suite.n_seeds)
        print(f"{suite.name}: {n_all} runs, {n_all - len(missing)} recorded, {len(missing)} to do")
        if not missing:
            return 0
        states = path.with_suffix(".states")
        n_failed = _Running(tasks, hashes, known, file, states, options).to_the_end()
        if _is_complete(suite, file, options):
            shutil.rmtree(states, ignore_errors=True)  # no run is left that could need one
        return n_failed


def _is_complete(suite: Suite, file: RecordFile, options: argparse.Namespace) -> bool:
    # of a row whose settings have changed since, earlier records do not count
    recorded = [(r["variant"], r["row"], r["seed"], r["spec"]) for r in file.records]
    seeds = range(max(options.seeds or 0, suite.n_seeds))
    wanted = [(run.variant, run.row, seed, run.spec) for run in suite.runs for seed in seeds]
    return all(one in recorded for one in wanted)


def _tasks(
    suite: Suite, runs: list[Run], options: argparse.Namespace
) -> tuple[list[Task], list[str]]:
    """List all runs and the hashes of their data, seed by seed, the most valuable rows first.

    So a part of the runs already compares all rows. Of two equal runs the first one counts.
    """
    from benchmarks.data_sets import hash_of

    folder = None if options.data is None else options.data.resolve()
    rank = {name: i for i, name in enumerate(suite.order)}
    runs = sorted(runs, key=lambda run: rank.get(run.row, len(rank)))
    hashes = [hash_of(run.spec["data"], folder) for run in runs]
    tasks: dict[str, tuple[Task, str]] = {}
    for seed in range(options.seeds or suite.n_seeds):
        for run, hashed in zip(runs, hashes, strict=True):
            place = folder, options.device, options.cuda_graphs
            task = Task(suite.name, run.variant, run.row, run.spec, seed, *place)
            tasks.setdefault(run_key(run.spec, seed, hashed), (task, hashed))
    return [task for task, _ in tasks.values()], [hashed for _, hashed in tasks.values()]


class Ended(NamedTuple):
    """What comes back from a worker."""

    record: dict[str, Any] | None
    stopped_at: int | None  # the epoch after which the time was up
    seconds: float


class _Running:
    """Jobs in processes of their own, each started when what it needs is there."""

    def __init__(self, tasks, hashes, known, file, states, options):
        self.file, self.options = file, options
        missing = [task for task, is_known in zip(tasks, known, strict=True) if not is_known]
        self.progress = Progress(missing, file.records, options.jobs)
        self.pace = Pace(states / "seconds.json", file.records)
        place = {"folder": states, "every": options.every, "deadline": self._deadline_of_workers()}
        self.waiting = jobs_of(tasks, hashes, known, place, unshared=options.unshared)
        self.done: set[str] = set()
        self.lost: set[str] = set()  # states that will not come: their training failed
        self.later: set[str] = set()  # states that will not come today: the time was up
        self.n_failed = self.n_advanced = 0
        _limit_threads(max(task.spec["threads"] for task in missing))

    def _deadline_of_workers(self) -> float | None:
        """Leave a little time for the tables."""
        deadline, budget = self.options.deadline, self.options.budget
        return None if deadline is None else deadline - min(5.0, 0.05 * budget)

    def to_the_end(self) -> int:
        """Run all jobs, or those that fit; return how many runs failed."""
        context = multiprocessing.get_context("spawn")
        jobs = self.options.jobs
        with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
            running: dict[Future, Job] = {}
            try:
                while self._start(pool, running) or running:
                    ended, _ = wait(running, timeout=self._patience(), return_when=FIRST_COMPLETED)
                    if not ended and self._is_over():
                        _end_workers()
                        break
                    for future in ended:
                        self._take(future, running.pop(future))
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
        return self._told()

    def _start(self, pool: ProcessPoolExecutor, running: dict[Future, Job]) -> bool:
        """Submit jobs up to the number that may run at once; tell whether one was submitted."""
        self._drop_lost()
        started = False
        for job in list(self.waiting):
            if len(running) >= self.options.jobs:
                break
            left = None if self.options.deadline is None else self._left()
            if job.needs <= self.done and (left is None or self.pace.fits(job, left)):
                self.waiting.remove(job)
                running[pool.submit(_work, job.unit)] = job
                started = True
        return started

    def _left(self) -> float:
        return self._deadline_of_workers() - time.time()

    def _patience(self) -> float | None:
        return None if self.options.deadline is None else max(0.1, self._left() + GRACE)

    def _is_over(self) -> bool:
        return self.options.deadline is not None and self._left() < 0

    def _drop_lost(self) -> None:
        """Take out what cannot be done, and what that makes impossible in its turn."""
        for job in list(self.waiting):
            if job.needs & self.lost:
                self.waiting.remove(job)
                self._fail(job, RuntimeError("a training that it shares with other rows failed"))
            elif job.needs & self.later:
                self.waiting.remove(job)
                self.later |= job.gives

    def _fail(self, job: Job, err: Exception) -> None:
        self.lost |= job.gives
        if job.unit.is_last:
            self.n_failed += 1
            self.progress.tell_failure(job.unit.task, err)
        else:
            self.progress.tell_stretch(job, f"FAILED: {type(err).__name__}: {err}")

    def _take(self, future: Future, job: Job) -> None:
        """Record what a job gave."""
        task = job.unit.task
        try:
            ended = future.result()
        except BrokenProcessPool as err:
            raise RuntimeError(
                f"A worker process died during {task.row!r}, seed {task.seed}, perhaps for lack of "
                "memory. What had ended is recorded. Start again with fewer --jobs."
            ) from err
        except DeviceLost as err:
            raise RuntimeError(
                f"{err} It was lost during {task.row!r}, seed {task.seed}. What had ended is recorded; "
                "start again when the device is back."
            ) from err
        except Exception as err:
            self._fail(job, err)
            return
        self.pace.note(job, ended)
        if ended.stopped_at is not None:
            self.n_advanced += ended.stopped_at > job.done_before
            self.progress.tell_stretch(job, f"stopped after epoch {ended.stopped_at}")
            self.later |= job.gives
            return
        self.n_advanced += 1
        self.done |= job.gives
        if ended.record is None:
            self.progress.tell_stretch(job, f"{ended.seconds:.1f} s")
        else:
            self.file.append(ended.record)
            self.progress.tell(task, ended.record)

    def _told(self) -> int:
        """Say what is left after a budget."""
        left = len(self.progress.left)
        if self.options.deadline is not None and left:
            if not self.n_advanced and not self.n_failed:
                raise ValueError(
                    f"--budget {self.options.budget:g} is too short: not one step of training or run "
                    f"was finished in it{self.pace.advice(self.waiting)}. Nothing was recorded."
                )
            print(f"the budget is spent; {left} runs are left, the same command goes on with them")
        return self.n_failed


def _end_workers() -> None:
    """End workers that did not end by themselves."""
    for process in multiprocessing.active_children():
        process.terminate()


def _work(unit: Any) -> Ended:
    from benchmarks.trial import run_unit  # loads what the runner itself has no use for

    began = time.time()
    record = stopped_at = None
    try:
        record = run_unit(unit)
    except BudgetOver as over:
        stopped_at = over.epoch
    except Exception as err:
        _check_answers(unit.task.device, err)
        raise
    return Ended(record, stopped_at, time.time() - began)


def _check_answers(device: str, err: Exception) -> None:
    """Tell a failed run from an accelerator that is gone: with it every other run would fail, too."""
    try:
        _check_device(device)
    except ValueError:
        reason = (str(err).splitlines() or [type(err).__name__])[0]
        raise DeviceLost(f"The device {device} does not answer any more: {reason}.") from err


def _limit_threads(threads: int) -> None:
    """Set what the workers' numerical libraries read when they are loaded."""
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        os.environ[name] = str(threads)


def _end_with_parent() -> None:
    """Let a worker end as soon as the process that started it is gone, however that ended."""

    def wait() -> None:
        multiprocessing.parent_process().join()
        os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


class Progress:
    """Prints a line for every run, with an estimate of the time that is left.

    The estimate takes for each run what the same row took before, here or in the records.

    Parameters
    ----------
    tasks : list of Task
        All that is to do.
    records : list of dict
        What was done before.
    jobs : int
        Runs at once.
    """

    def __init__(self, tasks: list[Task], records: list[dict[str, Any]], jobs: int):
        self.left = [(task.variant, task.row, task.seed) for task in tasks]
        self.n = len(tasks)
        self.jobs = jobs
        self.seconds: dict[tuple[str, str], list[float]] = {}
        self.start = time.perf_counter()
        for record in records:
            self._note(record)

    def _note(self, record: dict[str, Any]) -> None:
        took = sum(record["seconds"].values())
        self.seconds.setdefault((record["variant"], record["row"]), []).append(took)

    def estimate(self) -> float:
        """Return the seconds that are probably left."""
        told = [value for values in self.seconds.values() for value in values]
        usual = sum(told) / len(told) if told else 0.0
        expected = 0.0
        for variant, row, _ in self.left:
            own = self.seconds.get((variant, row))
            expected += sum(own) / len(own) if own else usual
        return expected / min(self.jobs, max(len(self.left), 1))

    def tell(self, task: Task, record: dict[str, Any]) -> None:
        """Print how a run ended."""
        self._note(record)
        last, best, accepted = record["last"], record["best"], record["acceptance"]
        parts = [f"bACC {100 * last['scores']['balanced_accuracy']:.1f}"]
        if best is not None:
            parts.append(f"best epoch {100 * best['scores']['balanced_accuracy']:.1f}")
        if accepted is not None:
            parts.append(f"accepted {100 * accepted:.0f} %")
        parts.append(f"{sum(record['seconds'].values()):.1f} s")
        self._line(task, ", ".join(parts))

    def tell_stretch(self, job: Job, text: str) -> None:
        """Print how a part of a run ended that is no run."""
        print(f"{' ' * (2 * len(str(self.n)) + 3)} {job.title()}: {text}", flush=True)

    def tell_failure(self, task: Task, error: Exception) -> None:
        """Print why a run failed."""
        self._line(task, f"FAILED: {type(error).__name__}: {error}")
        traceback.print_exception(error, file=sys.stderr)

    def _line(self, task: Task, text: str) -> None:
        self.left.remove((task.variant, task.row, task.seed))
        done = self.n - len(self.left)
        left = _duration(self.estimate()) if self.left else "done"
        what = f"{task.variant} {task.row} seed {task.seed}"
        print(f"[{done:>{len(str(self.n))}}/{self.n}] {what}: {text}; {left}", flush=True)


def _duration(seconds: float) -> str:
    return f"{seconds / 60:.0f} min left" if seconds >= 90 else f"{seconds:.0f} s left"


def _write_tables(suite: Suite, options: argparse.Namespace) -> None:
    from benchmarks.report import write_tables

    for path in write_tables(suite, records=options.records, tables=options.tables):
        print(f"wrote {path}")


if __name__ == "__main__":
    sys.exit(main())
