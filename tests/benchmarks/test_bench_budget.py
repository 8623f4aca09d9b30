"""A time that a suite may take: what is started, where trainings stop, and how they go on."""

import json
import os
import random
import signal
import subprocess
import time
from types import SimpleNamespace

import psutil
import pytest
import torch

from benchmarks import checkpoints, run
from benchmarks.run import DeviceLost, main
from benchmarks.schedule import Job, Pace, jobs_of
from benchmarks.suites import Task, load_suite
from benchmarks.trial import run_trial, run_unit
from benchmarks.units import BudgetOver, newest

FREE = ("seconds", "cpu_seconds", "finished", "warnings")


@pytest.fixture
def suite_path(request):
    return request.path.parent / "trunk_suite.toml"


def task_of(suite_path, row):
    run = load_suite(str(suite_path)).chosen(rows=[row])[0]
    return Task("trunk_suite", "default", row, run.spec, 0, None)


def jobs(task, folder, **place):
    return jobs_of([task], [""], [False], {"folder": folder, **place})


def kept(record):
    return {key: value for key, value in record.items() if key not in FREE}


def stopped_after_each_epoch(task, folder):
    """Give a run no time at all, again and again: each time it gets one epoch further."""
    stops = []
    for _ in range(30):
        job = next(iter(jobs(task, folder, deadline=time.time() + 0.001)))
        try:
            record = run_unit(job.unit)
        except BudgetOver as over:
            stops.append(over.epoch)
        else:
            if record is not None:
                return record, stops
    raise AssertionError(f"never came to an end: {stops}")


@pytest.mark.parametrize("row", ["DRS", "M2m", "OTMix", "OS"])
def test_a_run_that_is_stopped_after_every_epoch_is_the_run(suite_path, tmp_path, row, monkeypatch):
    monkeypatch.setattr(checkpoints.Checkpoints, "on_batch_end", lambda self, net, **kwargs: None)
    task = task_of(suite_path, row)
    record, stops = stopped_after_each_epoch(task, tmp_path)
    assert len(stops) >= 5
    assert kept(record) == kept(run_trial(task))


def test_a_step_that_is_too_late_ends_the_epoch(suite_path, tmp_path):
    (job,) = jobs(task_of(suite_path, "OS"), tmp_path, deadline=time.time() - 1)
    with pytest.raises(BudgetOver):
        run_unit(job.unit)
    assert not list(tmp_path.glob("*.pt")), "an epoch that is not whole leaves nothing"


@pytest.fixture
def state(suite_path, tmp_path):
    """A file with the state of a training after its first epoch, and the task."""
    task = task_of(suite_path, "ERM")
    (job,) = jobs(task, tmp_path, every=0.0, deadline=time.time() + 3600)
    unit = job.unit._replace(is_wanted=True)
    run_unit(unit)
    key = unit.stretch.key
    return newest(tmp_path, key)[1], key


def test_checkpoints_of_others_are_refused(state, tmp_path, monkeypatch):
    path, key = state
    assert checkpoints.read(path, key, "cpu")["epoch"] == 6
    with pytest.raises(ValueError, match=r"belongs to another training, .*Remove .*\.pt, and its"):
        checkpoints.read(path, "another", "cpu")
    with pytest.raises(ValueError, match=r"written by a training on cpu\. Got --device cuda"):
        checkpoints.read(path, key, "cuda:0")
    made_with = {"versions": {"torch": "0.1"}, "package": "p"}
    monkeypatch.setattr(checkpoints, "_made_with", lambda: made_with)
    with pytest.raises(ValueError, match=r"was written with .*torch .*Got .*torch 0\.1"):
        checkpoints.read(path, key, "cpu")
    torch_versions = torch.load(path, weights_only=True)["versions"]
    made_with["versions"] = torch_versions
    with pytest.raises(ValueError, match="was written by other sources of ltresample"):
        checkpoints.read(path, key, "cpu")


@pytest.mark.parametrize("damage", [lambda b: b[: len(b) // 2], lambda b: b"", lambda b: b"x" * 99])
def test_damaged_checkpoints_are_refused(state, damage):
    path, key = state
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(ValueError, match="is no whole checkpoint: "):
        checkpoints.read(path, key, "cpu")


@pytest.mark.parametrize("budget", ["0", "-3", "nan"])
def test_a_budget_is_a_number_of_seconds(budget, capsys, suite_path, tmp_path):
    assert main([str(suite_path), "--budget", budget, "--records", str(tmp_path)]) == 2
    assert "--budget must be a number of seconds above 0." in capsys.readouterr().err


@pytest.mark.parametrize(("name", "number"), [("--seeds", "0"), ("--seeds", "-1"), ("--jobs", "0")])
def test_numbers_of_seeds_and_jobs_begin_at_one(name, number, capsys, suite_path, tmp_path):
    assert main([str(suite_path), name, number, "--records", str(tmp_path)]) == 2
    assert f"{name} must be a whole number from 1. Got {number}." in capsys.readouterr().err


def test_states_are_kept_while_a_row_of_other_settings_is_to_do(suite_path):
    suite = load_suite(str(suite_path))
    names = ("variant", "row", "spec")
    records = [
        {name: getattr(run_, name) for name in names} | {"seed": seed}
        for run_ in suite.runs
        for seed in range(suite.n_seeds)
    ]
    options = SimpleNamespace(seeds=None)
    assert run._is_complete(suite, SimpleNamespace(records=records), options)
    records[0] = {**records[0], "spec": {**records[0]["spec"], "threads": 7}}
    assert not run._is_complete(suite, SimpleNamespace(records=records), options)


def test_a_budget_below_the_first_step_is_refused(suite_path, tmp_path, capsys):
    places = ["--records", str(tmp_path), "--tables", str(tmp_path / "tables")]
    states = tmp_path / "trunk_suite.states"
    states.mkdir()
    task = task_of(suite_path, "ERM")
    whole = load_suite(str(suite_path))
    tasks = [task_of(suite_path, r.row) for r in whole.runs]
    from benchmarks.data_sets import hash_of

    hashes = [hash_of(task.spec["data"], None)] * len(tasks)
    kinds = {job.kind for job in jobs_of(tasks, hashes, [False] * len(tasks), {"folder": states})}
    (states / "seconds.json").write_text(json.dumps(dict.fromkeys(kinds, 1000.0)))
    assert main([str(suite_path), "--budget", "60", *places]) == 2
    told = capsys.readouterr().err
    assert "--budget 60 is too short" in told
    assert "the shortest takes about 1000 s" in told
    assert not (tmp_path / "trunk_suite.jsonl").read_bytes()


def job_of(kind, *, first=0, last=10, may_cut=True, done=0):
    stretch = SimpleNamespace(first=first, last=last)
    task = SimpleNamespace(variant="v", row="r")
    unit = SimpleNamespace(stretch=stretch, task=task, may_cut=may_cut)
    return Job(unit, frozenset(), frozenset(), kind, ["r"], done)


def test_what_fits_follows_from_measured_seconds(tmp_path):
    pace = Pace(tmp_path / "states" / "seconds.json", [])
    assert pace.fits(job_of("a"), 0.1), "nothing is known yet"
    pace.note(job_of("a", last=4), SimpleNamespace(stopped_at=None, seconds=8.0))
    assert pace.fits(job_of("a"), 2.3)
    assert not pace.fits(job_of("a"), 2.1), "an epoch takes two seconds"
    whole = job_of("a", may_cut=False, done=5)
    assert pace.fits(whole, 11.1)
    assert not pace.fits(whole, 10.9), "five epochs in one piece"
    assert not pace.fits(job_of("b", may_cut=False), 21.9), "what is not known is like the slowest"
    again = Pace(tmp_path / "states" / "seconds.json", [])
    assert again.an_epoch == {"a": 2.0}, "the next command knows"


def test_a_run_in_one_piece_takes_what_it_took(tmp_path):
    done = [{"variant": "v", "row": "r", "seconds": {"training": 8.0, "scoring": 2.0}}]
    pace, job = Pace(tmp_path / "seconds.json", done), job_of("a")
    job.unit.stretch = None
    assert pace.fits(job, 11.5)
    assert not pace.fits(job, 10.5)


def test_a_lost_device_is_told_from_a_failed_run(monkeypatch):
    failed = RuntimeError("a launch failed")
    run._check_answers("cpu", failed)

    def gone(device):
        raise ValueError("no such device")

    monkeypatch.setattr(run, "_check_device", gone)
    with pytest.raises(DeviceLost, match=r"cuda does not answer any more: a launch failed"):
        run._check_answers("cuda", failed)


class PoolHere:
    """A pool without processes; tests say what becomes of what is submitted."""

    def __init__(self, *args, **kwargs):
        pass

    def __enter__(self):
        return self

    def __exit__(self, *args):
        return False

    def shutdown(self, **kwargs):
        pass


def test_a_lost_device_ends_the_command_and_leaves_the_records(
    suite_file, tmp_path, capsys, monkeypatch
):
    """The second run loses the device: the first is recorded, and no third is tried."""

    class Future(run.Future):
        pass

    class Pool(PoolHere):
        n = 0

        def submit(self, work, unit):
            Pool.n += 1
            future = Future()
            if Pool.n == 2:
                future.set_exception(DeviceLost("The device cuda does not answer any more: x."))
            else:
                future.set_result(work(unit))
            return future

    monkeypatch.setattr(run, "ProcessPoolExecutor", Pool)
    places = ["--records", str(tmp_path), "--tables", str(tmp_path), "--jobs", "1"]
    assert main([str(suite_file), *places]) == 2
    assert (
        "does not answer any more: x. It was lost during 'smooth', seed 0."
        in capsys.readouterr().err
    )
    lines = (tmp_path / "standin.jsonl").read_text().splitlines()
    assert [json.loads(line)["row"] for line in lines] == ["rough"]
    assert Pool.n == 2


def test_rows_whose_trunk_was_stopped_are_left_and_have_not_failed(
    suite_path, tmp_path, capsys, monkeypatch
):
    submitted = []

    class Pool(PoolHere):
        def submit(self, work, unit):
            submitted.append(unit)
            future = run.Future()
            future.set_result(run.Ended(None, 1, 1.0))  # stopped after its first epoch
            return future

    monkeypatch.setattr(run, "ProcessPoolExecutor", Pool)
    places = ["--records", str(tmp_path), "--tables", str(tmp_path), "--jobs", "1"]
    rows = ["ERM", "DRS", "M2m"]
    assert main([str(suite_path), "--budget", "600", "--only", *rows, *places]) == 0
    told = capsys.readouterr()
    assert "FAILED" not in told.out
    assert "failed" not in told.err
    assert "3 runs are left, the same command goes on with them" in told.out
    assert len(submitted) == 1, "what needs the trunk is not started"


def broken(command, suite_path, rng):
    """Start a run and kill it and its workers at some moment."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(**command(suite_path, "--jobs", 1, "--every", 0), **quiet)
    time.sleep(rng.uniform(3.0, 20.0))
    if process.poll() is None:
        workers = psutil.Process(process.pid).children(recursive=True)
        os.kill(process.pid, signal.SIGKILL)
        psutil.wait_procs(workers, timeout=20)
    process.wait()


@pytest.mark.slow
def test_five_kills_and_five_budgets_end_with_the_records_of_an_unbroken_suite(
    command, run, suite_path, tmp_path
):
    rng = random.Random(0)
    rows = ["ERM", "DRS", "M2m", "SAFA", "OTMix"]
    for _ in range(5):
        broken(lambda *a: command(*a, "--only", *rows), suite_path, rng)
    for _ in range(5):
        budget = rng.uniform(10, 20)
        ended = run(suite_path, "--jobs", 1, "--only", *rows, "--budget", budget, "--every", 0)
        assert ended.returncode in (0, 2), ended.stderr
        assert ended.returncode == 0 or "is too short" in ended.stderr
    ended = run(suite_path, "--jobs", 1, "--only", *rows)
    assert ended.returncode == 0, ended.stderr
    lines = (tmp_path / "records" / "trunk_suite.jsonl").read_text().splitlines()
    records = {record["row"]: record for record in map(json.loads, lines)}
    assert len(lines) == len(records) == len(rows), "nothing lost, nothing repeated"
    for row in rows:
        assert kept(records[row]) == kept(run_trial(task_of(suite_path, row)))
