"""Candidates of M2m are counted and examined, each row once."""

import json
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn

from benchmarks.candidates import examine, main, task_of
from benchmarks.suites import load_suite

SUITE = Path(__file__).parent / "trunk_suite.toml"


class FixedSampler:
    """Makes two rows from the first, of class 1, and repeats one of its rows."""

    acceptance_rate_: ClassVar[dict] = {0: 0.5, 1: None}
    f = nn.Linear(1, 2)  # "b" where a feature is larger than 4

    def fit_resample(self, X, y):
        """Return X with three rows more."""
        with torch.no_grad():
            self.f.weight.copy_(torch.tensor([[0.0], [1.0]]))
            self.f.bias.copy_(torch.tensor([4.0, 0.0]))
        self.is_synthetic_ = np.array([False] * len(X) + [True, True, False])
        self.provenance_ = {"source": np.array([0] * len(X) + [0, 0, 1])}
        return np.concatenate([X, np.float32([[5], [7], [1]])]), np.append(y, ["b", "b", "b"])


@pytest.mark.parametrize(
    ("seen", "as_label", "as_source"),
    [(["b", "b"], 1.0, 0.0), (["a", "b"], 0.5, 0.5), (["c", "c"], 0.0, 0.0)],
)
def test_an_examiner_sees_the_label_the_source_or_neither(seen, as_label, as_source):
    examiner = SimpleNamespace(predict=lambda X: np.array(seen))
    X, y = np.zeros((4, 1), dtype=np.float32), np.array(["a", "a", "a", "b"])
    told = examine(FixedSampler(), X, y, examiner)
    assert told == {
        "acceptance": 0.5,
        "synthetic": pytest.approx(2 / 3),
        "seen_as_label": as_label,
        "seen_as_source": as_source,
        "known_to_f": 1.0,
    }


def test_f_is_the_network_in_which_synthesis_starts():
    suite = load_suite(str(SUITE))
    (run,) = [run for run in suite.runs if run.row == "M2m"]
    task = task_of(suite, run, 0, None)
    assert task.spec["classifier"]["resampler"]["f"] == {"guide": "now"}
    first = task.spec["guides"]["now"]["classifier"]
    assert first["max_epochs"] == 4
    assert "resampler" not in first
    assert "now" not in run.spec["guides"], "the suite's own run is left alone"


def test_a_row_is_examined_once(tmp_path, capsys):
    arguments = [str(SUITE), "--records", str(tmp_path)]
    main(arguments)
    (path,) = tmp_path.glob("*.jsonl")
    (record,) = map(json.loads, path.read_text().splitlines())
    assert (record["row"], record["seed"]) == ("M2m", 0)
    assert record["examiner"] > 0.25, "better than chance among four digits"
    assert 0 < record["synthetic"] <= 1
    capsys.readouterr()
    main(arguments)
    assert capsys.readouterr().out == ""
    assert len(path.read_text().splitlines()) == 1
