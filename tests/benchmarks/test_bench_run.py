import json
import os
import signal
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.run import Progress, main
from benchmarks.suites import Task, load_suite
from benchmarks.trial import run_trial

# what may differ between two runs
FREE = ("seconds", "cpu_seconds", "finished", "source_sha256", "dirty", "commit")


def lines(tmp_path, name="standin"):
    path = tmp_path / "records" / f"{name}.jsonl"
    return path.read_bytes().splitlines(keepends=True) if path.exists() else []


def kept(record):
    return {key: value for key, value in record.items() if key not in FREE}


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited too long"
        time.sleep(0.02)


def killed_in_the_middle(command, suite, tmp_path):
    """Start a run, kill it with SIGKILL after two records, and wait until its workers are gone."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(**command(suite), **quiet)
    wait_for(lambda: len(lines(tmp_path, Path(suite).stem)) >= 2)
    workers = psutil.Process(process.pid).children(recursive=True)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive, "workers outlive the runner"


def test_a_killed_suite_goes_on_where_it_was(command, run, suite_file, tmp_path):
    killed_in_the_middle(command, suite_file, tmp_path)
    before = lines(tmp_path)
    assert 2 <= len(before) < 6
    with (tmp_path / "records" / "standin.jsonl").open("ab") as file:
        file.write(before[0][: len(before[0]) // 2])  # as if it had died while writing
    again = run(suite_file)
    assert again.returncode == 0, again.stderr
    assert f"dropped an unfinished last line of {len(before[0]) // 2} bytes" in again.stdout
    assert f"6 runs, {len(before)} recorded, {6 - len(before)} to do" in again.stdout
    after = lines(tmp_path)
    assert after[: len(before)] == before  # nothing lost
    records = [json.loads(line) for line in after]
    assert len({r["key"] for r in records}) == len(records) == 6  # nothing repeated
    assert {(r["row"], r["seed"]) for r in records} == {
        (row, seed) for row in ("rough", "smooth") for seed in range(3)
    }

    one = records[-1]
    task = Task(*(one[name] for name in ("suite", "variant", "row", "spec", "seed")), None)
    assert kept(run_trial(task)) == kept(one)  # as in a run that nobody killed

    assert main([str(suite_file), "--table-only", *places(tmp_path)]) == 0
    assert lines(tmp_path) == after


def places(tmp_path):
    return ["--records", str(tmp_path / "records"), "--tables", str(tmp_path / "tables")]


def test_a_failing_row_is_told_and_the_others_run(run, suite_file, tmp_path):
    text = suite_file.read_text() + (
        '\n[[rows]]\nname = "fails"\nclassifier.make = "standin_method:Failing"\n'
    )
    suite_file.write_text(text)
    ended = run(suite_file, "--seeds", 1, "--jobs", 1)
    assert ended.returncode == 1
    assert "default fails seed 0: FAILED: ArithmeticError: this one always fails" in ended.stdout
    assert {json.loads(line)["row"] for line in lines(tmp_path)} == {"rough", "smooth"}


@pytest.mark.slow
def test_the_smoke_suite_runs_and_is_killed_and_goes_on(command, run, tmp_path):
    killed_in_the_middle(command, "smoke", tmp_path)
    n_before = len(lines(tmp_path, "smoke"))
    again = run("smoke")
    assert again.returncode == 0, again.stderr
    assert f"8 runs, {n_before} recorded, {8 - n_before} to do" in again.stdout
    records = [json.loads(line) for line in lines(tmp_path, "smoke")]
    assert len({r["key"] for r in records}) == len(records) == 8
    assert all(len(r["curve"]["validation_bacc"]) == 6 for r in records)
    m2m = [r for r in records if r["row"] == "M2m"]
    assert all(0 < r["acceptance"] <= 1 and r["share_synthesized"] > 0 for r in m2m)
    table = (tmp_path / "tables" / "smoke.md").read_text()
    assert all(f"| {row} |" in table for row in ("ERM", "SMOTE", "DRS", "M2m"))


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["reutres"], "error: There is no suite 'reutres'. Did you mean 'reuters'? There are: "),
        (["smoke", "--only", "ERN"], "There is no row in suite 'smoke': 'ERN'. Did you mean 'ERM'"),
    ],
)
def test_unknown_names_list_what_exists(capsys, tmp_path, arguments, said):
    assert main([*arguments, *places(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_unknown_methods_and_data_sets_are_named_before_anything_runs(capsys, suite_file, tmp_path):
    text = suite_file.read_text()
    suite_file.write_text(text.replace('"standin_method:blobs"', '"blobs"'))
    assert main([str(suite_file), *places(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert "There is no data set 'blobs'. There are: " in told
    assert "cifar10_lt, digits, fashion_mnist_lt, " in told
    suite_file.write_text(text.replace("standin_method:NoisyMeans", "NoisyMeans"))
    assert main([str(suite_file), *places(tmp_path)]) == 2
    assert "There is no component 'NoisyMeans'. " in capsys.readouterr().err
    assert not lines(tmp_path)


def test_the_estimate_follows_what_rows_took(suite_file):
    runs = load_suite(str(suite_file)).runs
    tasks = [Task("s", r.variant, r.row, r.spec, seed, None) for seed in (0, 1) for r in runs]
    done = [{"variant": "default", "row": "rough", "seconds": {"training": 4.0, "scoring": 2.0}}]
    progress = Progress(tasks, done, jobs=2)
    assert progress.estimate() == pytest.approx((6 + 6 + 6 + 6) / 2)
    done.append({"variant": "default", "row": "smooth", "seconds": {"training": 1.0}})
    assert Progress(tasks, done, jobs=2).estimate() == pytest.approx((6 + 1 + 6 + 1) / 2)
    assert Progress(tasks[:1], done, jobs=2).estimate() == pytest.approx(6)
