"""Run a suite: what is not recorded yet, several seeds at once, and write its tables.

    python -m benchmarks.run smoke
    python -m benchmarks.run reuters --data FOLDER --jobs 2
    python -m benchmarks.run SUITE --device cuda --jobs 4

Every finished run is one line in the records; killed and started again, the command goes on where
it was. See benchmarks/README.md.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import threading
import time
import traceback
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

from benchmarks.records import RecordFile, run_key
from benchmarks.suites import Run, Suite, Task, load_suite

__all__ = ["main"]

HERE = Path(__file__).parent


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
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these rows only")
    parser.add_argument("--variants", nargs="+", default=[], metavar="NAME", help="these only")
    parser.add_argument("--records", type=Path, default=HERE / "records", metavar="DIR")
    parser.add_argument("--tables", type=Path, default=HERE / "tables", metavar="DIR")
    parser.add_argument("--table-only", action="store_true", help="run nothing, write the tables")
    return parser.parse_args(argv)


def main(argv: list[str] | None = None) -> int:
    """Run a suite; give 0, 1 if runs failed, 2 for a wrong argument, 130 if interrupted."""
    options = arguments(argv)
    try:
        _check_device(options.device)
        suite = load_suite(options.suite)
        runs = suite.chosen(rows=options.only, variants=options.variants)
        n_failed = 0 if options.table_only else _run_missing(suite, runs, options)
    except (ValueError, RuntimeError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped; what had ended is recorded, the same command goes on", file=sys.stderr)
        return 130
    _write_tables(suite, options)
    return min(n_failed, 1)


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


def _run_missing(suite: Suite, runs: list[Run], options: argparse.Namespace) -> int:
    path = options.records / f"{suite.name}.jsonl"
    with RecordFile(path).opened() as file:
        if file.n_dropped:
            print(f"{path}: dropped an unfinished last line of {file.n_dropped} bytes")
        tasks = _missing_tasks(suite, runs, file, options)
        n_all = len(runs) * (options.seeds or suite.n_seeds)
        print(f"{suite.name}: {n_all} runs, {n_all - len(tasks)} recorded, {len(tasks)} to do")
        return _run_all(tasks, file, jobs=options.jobs) if tasks else 0


def _missing_tasks(
    suite: Suite, runs: list[Run], file: RecordFile, options: argparse.Namespace
) -> list[Task]:
    """List what is to do, seed by seed, so that a part of the runs already compares all rows."""
    from benchmarks.data_sets import hash_of

    folder = None if options.data is None else options.data.resolve()
    hashes = [hash_of(run.spec["data"], folder) for run in runs]
    seen = set(file.keys)
    tasks = []
    for seed in range(options.seeds or suite.n_seeds):
        for run, hashed in zip(runs, hashes, strict=True):
            key = run_key(run.spec, seed, hashed)
            if key not in seen:
                tasks.append(
                    Task(suite.name, run.variant, run.row, run.spec, seed, folder, options.device)
                )
                seen.add(key)
    return tasks


def _run_all(tasks: list[Task], file: RecordFile, *, jobs: int) -> int:
    """Run tasks in processes of their own; record each as it ends."""
    _limit_threads(max(task.spec["threads"] for task in tasks))
    progress = Progress(tasks, file.records, jobs)
    n_failed = 0
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_end_with_parent) as pool:
        pending = {pool.submit(_work, task): task for task in tasks}
        try:
            for future in as_completed(pending):
                n_failed += not _recorded(future, pending[future], file, progress)
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    return n_failed


def _recorded(future: Future, task: Task, file: RecordFile, progress: Progress) -> bool:
    """Append the record of a run that ended; tell whether there was one."""
    try:
        record = future.result()
    except BrokenProcessPool as err:
        raise RuntimeError(
            f"A worker process died during {task.row!r}, seed {task.seed}, perhaps for lack of "
            "memory. What had ended is recorded. Start again with fewer --jobs."
        ) from err
    except Exception as err:
        progress.tell_failure(task, err)
        return False
    file.append(record)
    progress.tell(task, record)
    return True


def _work(task: Task) -> dict[str, Any]:
    from benchmarks.trial import run_trial  # loads what the runner itself has no use for

    return run_trial(task)


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
