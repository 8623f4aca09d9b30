import json
import os
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.records import RecordFile, read_records, run_key
from benchmarks.suites import load_suite

RECORDED = Path(__file__).parents[2] / "benchmarks" / "records"
RECORDS = [{"key": f"k{i}", "text": "ä" * i, "value": i / 3} for i in range(3)]


def write(path, records):
    with RecordFile(path).opened() as file:
        for record in records:
            file.append(record)


def test_what_was_appended_is_read(tmp_path):
    path = tmp_path / "new" / "suite.jsonl"
    write(path, RECORDS[:1])
    write(path, RECORDS[1:])
    assert read_records(path)[0] == RECORDS
    with RecordFile(path).opened() as file:
        assert file.records == RECORDS
        assert file.keys == {"k0", "k1", "k2"}


def test_a_missing_file_holds_nothing(tmp_path):
    assert read_records(tmp_path / "none.jsonl") == ([], 0)


def test_a_line_cut_anywhere_is_dropped_and_only_that(tmp_path):
    path = tmp_path / "suite.jsonl"
    write(path, RECORDS)
    whole = path.read_bytes()
    starts_last = whole[:-1].rfind(b"\n") + 1
    for cut in range(starts_last + 1, len(whole)):
        path.write_bytes(whole[:cut])
        with RecordFile(path).opened() as file:
            assert file.records == RECORDS[:2]
            assert file.n_dropped == cut - starts_last
            file.append(RECORDS[2])
        assert path.read_bytes() == whole


@pytest.mark.parametrize("line", ["{broken", "[1, 2]", '{"no": "key"}'])
def test_a_broken_line_in_the_middle_is_named(tmp_path, line):
    path = tmp_path / "suite.jsonl"
    path.write_text(f'{{"key": "a"}}\n{line}\n{{"key": "b"}}\n')
    said = (
        f"Line 2 of {path} must be a record, a JSON object with a key. Got {line!r}. "
        "Remove that line: its run will be done again."
    )
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        read_records(path)


def test_two_writers_exclude_each_other(tmp_path):
    path = tmp_path / "suite.jsonl"
    said = "is being written by another process. Wait for its end, or pass another folder"
    second = RecordFile(path)
    with RecordFile(path).opened(), pytest.raises(RuntimeError, match=said), second.opened():
        raise AssertionError("opened twice")
    with RecordFile(path).opened():  # the lock is given back
        pass


def test_nan_is_not_written(tmp_path):
    path = tmp_path / "suite.jsonl"
    with RecordFile(path).opened() as file, pytest.raises(ValueError, match="not JSON compliant"):
        file.append({"key": "a", "value": float("nan")})
    assert path.read_bytes() == b""


def test_a_full_disk_leaves_no_half_line(tmp_path, monkeypatch):
    path = tmp_path / "suite.jsonl"
    write = os.write

    def full(file, line):
        if len(line) < 10:
            raise OSError("No space left on device")
        return write(file, line[:10])

    with RecordFile(path).opened() as file:
        file.append(RECORDS[0])
        monkeypatch.setattr(os, "write", full)
        with pytest.raises(OSError, match="No space left"):
            file.append(RECORDS[1])
        monkeypatch.setattr(os, "write", lambda file, line: write(file, line[:3]))  # in small bits
        file.append(RECORDS[2])
    assert read_records(path)[0] == [RECORDS[0], RECORDS[2]]


specs = st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3), max_size=4)


@settings(deadline=None)
@given(specs, specs, st.integers(0, 9), st.integers(0, 9))
def test_a_key_is_the_spec_the_seed_and_the_data(one, other, seed, other_seed):
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    keys = run_key(one, seed, "data"), run_key(other, other_seed, "data")
    assert (keys[0] == keys[1]) == (same and seed == other_seed)
    assert run_key(one, seed, "data") != run_key(one, seed, "other data")
    backwards = dict(reversed(one.items()))
    assert run_key(backwards, seed, "data") == keys[0]


def test_a_record_with_old_names_is_that_of_the_suite_of_now(tmp_path):
    def spec(**settings):
        return {"classifier": {"resampler": {"make": "OpenSampler", **settings}}}

    old, new = spec(labels="uniform", soft=True), spec(label_distribution="uniform")
    new["classifier"]["resampler"]["expected_labels"] = True
    path = tmp_path / "suite.jsonl"
    written = {"key": run_key(old, 3, "d"), "seed": 3, "data_sha256": "d", "spec": old}
    path.write_text(json.dumps(written) + "\n")
    with RecordFile(path).opened() as file:
        assert file.keys == {run_key(new, 3, "d")}
        assert file.records[0]["spec"] == new
    assert json.loads(path.read_text()) == written


def test_the_committed_records_of_the_label_distributions_are_those_of_their_suite():
    suite = load_suite("digits_label_distribution")
    path = RECORDED / "digits_label_distribution.jsonl"
    records, _ = read_records(path)
    for run in suite.runs:
        assert {r["seed"] for r in records if r["spec"] == run.spec} >= set(range(suite.n_seeds)), (
            run.row
        )
