"""The audit's table: means over tables, and the excess over duplicates."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from sklearn.datasets import make_classification

from benchmarks import audit


def test_the_excess_is_over_duplicates_on_shared_tables():
    rng = np.random.default_rng(0)
    floor, own = rng.random((2, 6))
    records = [
        {"row": name, "table": f"t{i}", "scores": dict.fromkeys(audit.SCORES, v)}
        for name, values in (("ROS", floor), ("M2m", own))
        for i, v in enumerate(values)
    ]
    records.append({"row": "ROS", "table": "more", "scores": dict.fromkeys(audit.SCORES, 9.0)})
    lines = audit.report(records)
    (line,) = (line for line in lines if line.startswith("| M2m"))
    assert line.split(" | ")[1] == f"{own.mean():.3f}"
    assert line.split(" | ")[2] == f"{(own - floor).mean():+.3f}"
    assert any("6 binary tables" in line for line in lines)


@pytest.fixture
def package(monkeypatch):
    """A stand-in for the package: it resamples once, and tells how many rows were added."""

    def audited(X, y, resampler, n_query):
        X_new, _ = resampler().fit_resample(X, y)
        return SimpleNamespace(er_split=len(X_new) - len(X), info_gain=0.0, delta_pr_auc=0.0)

    module = ModuleType("resample_audit")
    module.audit = audited
    monkeypatch.setitem(sys.modules, "resample_audit", module)


def test_runs_on_binary_tables_of_enough_rows_and_resumes(tmp_path, package, capsys):
    for name, weights in (("binary", [0.8]), ("few", [0.95]), ("three", [0.6, 0.2])):
        X, y = make_classification(
            n_samples=100,
            n_informative=4,
            n_classes=len(weights) + 1,
            weights=weights,
            random_state=0,
        )
        np.savez(tmp_path / f"{name}.npz", X=X, y=y)
    common = [str(tmp_path), "--records", str(tmp_path), "--tables", str(tmp_path), "--jobs", "1"]
    assert audit.main([*common, "--only", "ROS", "SMOTE"]) == 0
    assert "2 to do" in capsys.readouterr().out
    text = (tmp_path / "audit.md").read_text()
    assert "1 binary tables" in text
    assert "| SMOTE |" in text
    audit.main([*common, "--only", "ROS", "SMOTE"])
    assert "0 to do" in capsys.readouterr().out
