"""Runs on an accelerator: the same key, the card in the record, rows copied once."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from benchmarks import monitor, provenance, trial
from benchmarks.run import main
from benchmarks.suites import Task
from benchmarks.trial import Parts, run_trial
from ltresample.over_sampling import M2mSampler
from ltresample.training import DeferredRebalancingClassifier

PARTS = Parts(*(np.zeros((n, 1, 8, 8), np.uint8) if n > 3 else np.zeros(n) for n in (8, 3) * 3))


def test_a_device_that_is_not_there_is_an_error_before_any_run(tmp_path, capsys):
    places = ["--records", str(tmp_path), "--tables", str(tmp_path)]
    assert main(["smoke", "--device", "abacus", *places]) == 2
    told = capsys.readouterr().err
    assert "--device abacus cannot be used here: " in told
    assert "Pass cpu, or the name of an accelerator" in told
    assert not list(tmp_path.iterdir())


def test_recorded_passes_are_refused_elsewhere_before_any_run(tmp_path, capsys):
    places = ["--records", str(tmp_path), "--tables", str(tmp_path)]
    assert main(["smoke", "--cuda-graphs", *places]) == 2
    assert "--cuda-graphs needs a CUDA device. Got --device cpu." in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_estimators_with_a_device_are_put_there():
    there = Task("s", "v", "r", {}, 0, None, "meta", True)
    here = Task("s", "v", "r", {}, 0, None)
    net = trial._placed(DeferredRebalancingClassifier(), there)
    assert net.device == "meta"
    assert net.cuda_graphs
    assert trial._placed(M2mSampler(), there).device == "meta"
    net = trial._placed(DeferredRebalancingClassifier(), here)
    assert net.device == "cpu"
    assert not net.cuda_graphs
    other = SimpleNamespace(get_params=lambda deep: {"lr": 1})
    assert trial._placed(other, there) is other


def test_scored_rows_are_copied_to_an_accelerator():
    placed = monitor._placed(PARTS, torch.device("meta"))
    assert placed.X_test.device == placed.X_validation.device == torch.device("meta")
    assert placed.X_test.dtype == torch.uint8
    assert placed.y_test is PARTS.y_test
    assert placed.X_train is PARTS.X_train
    assert monitor._placed(PARTS, torch.device("cpu")) is PARTS
    without = PARTS._replace(X_validation=PARTS.X_validation[:0])
    assert monitor._placed(without, torch.device("meta")).X_validation is without.X_validation


def test_the_card_is_named_only_where_there_is_one(monkeypatch):
    assert "card" not in provenance.machine(1)
    module = SimpleNamespace(get_device_name=lambda device: f"card of {device}")
    monkeypatch.setattr(torch, "get_device_module", lambda device: module)
    assert provenance.machine(1, "xpu:0")["card"] == "card of xpu:0"
    module = SimpleNamespace()
    assert provenance.machine(1, "xpu:0")["card"] == "xpu:0"


SPEC = {
    "data": {"name": "digits", "images": True},
    "validation": 0.2,
    "threads": 1,
    "classifier": {"make": "DeferredRebalancingClassifier", "max_epochs": 1},
}


@pytest.mark.gpu
def test_a_run_on_a_card_is_the_same_run():
    places = [("cpu", False), ("cuda", False), ("cuda", True)]
    records = [run_trial(Task("s", "v", "r", SPEC, 0, None, *place)) for place in places]
    assert [record["machine"].get("cuda_graphs", False) for record in records] == [
        False,
        False,
        True,
    ]
    curves = [record["curve"]["train_loss"] for record in records]
    for record, curve in zip(records[1:], curves[1:], strict=True):
        assert record["key"] == records[0]["key"]
        assert record["machine"]["card"] == torch.cuda.get_device_name()
        assert record["n_train"] == records[0]["n_train"]
        np.testing.assert_allclose(curve, curves[0], rtol=1e-2)
