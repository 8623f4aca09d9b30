"""One command for a card: what is run, with which time, and what is left when something fails."""

import argparse
from pathlib import Path

import pytest

from benchmarks import card
from benchmarks.card import can_record, main, parts, run

PASSED = "....\n91 passed, 1 skipped in 49.29s\n"
FAILED = "FAILED tests/training/test_cuda_graphs.py::test_x[cuda]\n1 failed, 90 passed in 9 s\n"
OTHER = "FAILED tests/test_on_a_device.py::test_x[DM]\n1 failed, 90 passed in 9 s\n"
CUT = "...."


@pytest.mark.parametrize(
    ("printed", "may"), [(PASSED, True), (FAILED, False), (OTHER, True), (CUT, False)]
)
def test_passes_are_recorded_where_the_tests_of_that_passed(printed, may, tmp_path):
    assert can_record(printed) is may
    options = argparse.Namespace(
        device="cuda", jobs=3, quick=False, out=tmp_path, data=tmp_path, suite="s", only=["ERM"]
    )
    listed = list(parts(options, lambda: 100.0, lambda: printed))
    assert [part.name for part in listed] == ["tests", "rows", "speed-float32", "speed-bfloat16"]
    for part in listed[1:]:
        assert ("--cuda-graphs" in part.command) is may
    command = listed[1].command
    assert command[command.index("--budget") + 1] == "75"
    assert command[-2:] == ["--only", "ERM"]


def test_a_part_that_takes_too_long_is_ended_and_what_it_printed_is_kept(tmp_path):
    code = "import time; print('begun', flush=True); time.sleep(60)"
    part = card.Part("x", [card.sys.executable, "-c", code], 3.0)
    assert run(part, tmp_path / "x.txt") == "ended after 3 s"
    assert (tmp_path / "x.txt").read_text() == "begun\n"


def test_parts_that_fail_are_told_and_the_others_run(tmp_path, monkeypatch, capsys):
    ran = []

    def fake(part, path):
        ran.append(part.name)
        path.write_text(PASSED if part.name == "tests" else "nothing\n")
        return "exit status 1" if part.name == "speed-float32" else ""

    monkeypatch.setattr(card, "run", fake)
    given = ["--data", str(tmp_path), "--out", str(tmp_path / "o"), "--device", "cpu"]
    assert main(given) == 1
    assert ran == ["tests", "rows", "speed-float32", "speed-bfloat16"]
    told = capsys.readouterr().out
    assert "exit status 1" in told
    assert "91 passed" in told


@pytest.mark.slow
def test_all_of_it_on_the_processor(tmp_path, capsys):
    suite = Path(__file__).parents[2] / "benchmarks" / "suites" / "smoke.toml"
    given = ["--data", str(tmp_path), "--out", str(tmp_path / "o"), "--suite", str(suite)]
    main([*given, "--device", "cpu", "--quick", "--jobs", "1", "--seconds", "400"])
    left = {path.name for path in (tmp_path / "o").iterdir()}
    assert {"tests.txt", "speed-float32.txt", "rows.txt", "smoke.jsonl", "smoke.md"} <= left
