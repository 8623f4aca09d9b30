import csv
import io

import numpy as np
import pytest

from benchmarks.comparison import packed_samples
from benchmarks.records import RecordFile
from benchmarks.report import Results, as_csv, as_markdown, write_tables
from benchmarks.suites import load_suite

SUITE = """
title = "Reuters"
references = ["ERM"]
paper = { name = "M2m", tables = [{ table = "2", bACC = "Reuters bACC", GM = "Reuters GM" }] }
[protocol]
data = { name = "digits" }
[protocol.classifier]
make = "LinearSVC"
[[rows]]
name = "ERM"
[[rows]]
name = "ours"
classifier.C = 2
paper_row = "M2m"
note = "a note"
"""
Y = np.repeat([0, 1], [6, 4])


def picked(n_wrong, epoch):
    hit = np.ones(10, bool)
    hit[:n_wrong] = False
    recalls = [hit[k == Y].mean() for k in (0, 1)]
    names = ("accuracy", "many", "medium", "few", "geometric_mean_floored")
    return {
        "epoch": epoch,
        "validation_bacc": 0.5,
        "correct": packed_samples(hit, Y),
        "recall": recalls,
        "scores": {
            "balanced_accuracy": np.mean(recalls),
            "geometric_mean": 0.0,
            "n_zero_recall": 1,
            **{name: None if name == "few" else 0.25 for name in names},
        },
    }


def record(run, seed, n_wrong, **changes):
    return {
        "key": f"{run.row}{seed}",
        "variant": run.variant,
        "row": run.row,
        "seed": seed,
        "spec": run.spec,
        "n_test": [6, 4],
        "last": picked(n_wrong, 2),
        "best": picked(0, 1),
        "acceptance": None,
        "seconds": {"training": 30.0},
        "cpu_seconds": 15.0,
        "warnings": [],
        "commit": "0123456789abcdef",
        "dirty": False,
        "source_sha256": "s",
        "data_sha256": "d",
        "machine": {"cpu": "a cpu", "cores": 2, "threads": 1},
        "versions": {"torch": "1"},
        "finished": "2026-01-01T00:00:00+00:00",
        **changes,
    }


@pytest.fixture
def suite(tmp_path):
    path = tmp_path / "reuters_like.toml"
    path.write_text(SUITE)
    return load_suite(str(path))


@pytest.fixture
def results(suite):
    erm, ours = suite.runs
    records = [record(erm, 0, 6), record(erm, 1, 3)]
    records += [record(ours, 0, 3, acceptance=0.5), record(ours, 1, 0, acceptance=0.7)]
    stray = record(ours, 0, 6, spec={"another": 1})
    return Results(suite, [*records, stray])


def row(text, heading, name):
    part = text.split(f"### {heading}")[1].split("###")[0]
    head, *lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in part.splitlines()
        if line.startswith("|")
    ]
    (found,) = [cells for cells in lines if cells[0] == name]
    return dict(zip(head, found, strict=True))


def test_means_stand_beside_the_paper(results):
    text = as_markdown(results)
    erm = row(text, "Last epoch", "ERM")  # recalls (0, 1) and (0.5, 1)
    assert erm["bACC"] == "62.5 ± 17.7"
    assert erm["GM"] == "0.0 ± 0.0"
    assert erm["few"] == "-"
    assert (erm["paper bACC"], erm["paper GM"], erm["n"]) == ("59.8 ± 1.17", "53.8 ± 1.75", "2")
    ours = row(text, "Last epoch", "ours")
    assert (ours["bACC"], ours["accepted"]) == ("87.5 ± 17.7", "60")
    assert ours["paper bACC"] == "66.3 ± 0.42"
    assert row(text, "Best epoch by validation", "ERM")["bACC"] == "100.0 ± 0.0"
    assert "- ours: a note" in text
    assert "- 4 runs, 2.0 minutes one after the other, 1.0 of them on a processor" in text
    assert "- commit: 0123456789" in text


def test_differences_are_paired(suite):
    erm, ours = suite.runs
    records = [record(erm, 0, 6), record(erm, 1, 6), record(ours, 0, 3), record(ours, 1, 3)]
    results = Results(suite, records)
    told = row(as_markdown(results), "Paired differences in bACC, last epoch", "ours")
    assert told["- ERM"] == "+25.0"
    assert (
        told["seeds"] == "[25.0, 25.0]"
    )  # three of six samples of one of two classes, in both seeds
    assert told["samples"].startswith("[")
    assert told["samples"] != told["seeds"]


def test_csv_is_long_and_holds_the_paper(results):
    lines = list(csv.DictReader(io.StringIO(as_csv(results))))
    (one,) = [x for x in lines if (x["row"], x["epoch"], x["metric"]) == ("ours", "last", "bACC")]
    assert (one["mean"], one["std"], one["n"]) == ("87.500", "17.678", "2")
    assert (one["paper"], one["paper_std"]) == ("66.3", "0.42")
    (zeros,) = [
        x
        for x in lines
        if (x["row"], x["epoch"], x["metric"]) == ("ERM", "best", "classes never recalled")
    ]
    assert (zeros["mean"], zeros["paper"]) == ("1.000", "")
    assert not [x for x in lines if x["metric"] == "few"]


def test_runs_without_epochs_have_no_best_one(suite):
    runs = [record(run, seed, 3, best=None) for run in suite.runs for seed in (0, 1)]
    told = row(as_markdown(Results(suite, runs)), "Best epoch by validation", "ours")
    assert (told["bACC"], told["n"]) == ("-", "0")


def test_a_later_record_of_a_run_counts(suite):
    erm = suite.runs[0]
    results = Results(suite, [record(erm, 0, 6), record(erm, 0, 0)])
    assert results.scores(erm, "last", "balanced_accuracy") == [1.0]


def test_files_are_written(suite, tmp_path):
    places = {"records": tmp_path, "tables": tmp_path / "tables"}
    assert write_tables(suite, **places) == []
    with RecordFile(tmp_path / "reuters_like.jsonl").opened() as file:
        file.append(record(suite.runs[0], 0, 3))
    md, table = write_tables(suite, **places)
    assert (md.name, table.name) == ("reuters_like.md", "reuters_like.csv")
    assert md.read_text().startswith("# Reuters\n")


def test_cells_of_several_papers_and_variants(tmp_path):
    text = SUITE.replace("paper_row", 'paper = "DM"\npaper_row').replace(
        '"M2m"\nnote', '"DM"\nnote'
    )
    tables = """paper = { tables = [
        { name = "M2m", table = "1", variants = ["IF 100"], bACC = "CIFAR-LT-10 IF 100 bACC" },
        { name = "DM", table = "1", variants = ["IF 10"], error = "CIFAR-LT-10 IF 10 error" },
        { name = "DM", table = "1", variants = ["IF 100"], error = "CIFAR-LT-10 IF 100 error" },
    ] }
    """
    text = text.replace(text.splitlines()[3], tables)
    path = tmp_path / "two.toml"
    path.write_text(text + '[variants."IF 100"]\n[variants."IF 10"]\n')
    suite = load_suite(str(path))
    results = Results(suite, [record(run, 0, 1) for run in suite.runs])
    cells = {(r.variant, r.row): results.paper_cell(r, "bACC") for r in suite.runs}
    assert cells["IF 100", "ERM"].value == 68.7
    assert cells["IF 10", "ERM"] is None
    assert cells["IF 100", "ours"].value == 81.8  # 100 - 18.20
    assert cells["IF 10", "ours"].value == 90.66
    assert "| 81.8 ± 0.21 (DM) |" in as_markdown(results)
