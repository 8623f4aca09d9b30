"""Shared parts of trainings: what is planned from specs, and that nothing changes by sharing."""

import copy
import inspect
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import trunks
from benchmarks.data_sets import load
from benchmarks.records import run_key
from benchmarks.run import main
from benchmarks.schedule import jobs_of, plan_lines
from benchmarks.suites import Task, load_suite
from benchmarks.trial import Clock, Parts, _maker, run_trial, run_unit
from benchmarks.trunks import Training, first_epochs, plan, trainings_of
from benchmarks.units import Place, Unit
from ltresample.training import DeferredRebalancingClassifier

FREE = ("seconds", "cpu_seconds", "finished", "warnings")
NET = {"make": "DeferredRebalancingClassifier", "max_epochs": 10, "lr": 0.1, "start": 8}
DRS = {"rebalance": "resample", "rebalance_start": 8}


@pytest.fixture
def suite(request):
    return load_suite(str(request.path.parent / "trunk_suite.toml"))


def training(classifier, **base):
    return Training({**NET, **classifier}, {}, {"data": "d", **base}, 0, "")


def kept(record):
    return {key: value for key, value in record.items() if key not in FREE}


def test_defaults_are_the_classifiers():
    known = inspect.signature(DeferredRebalancingClassifier).parameters
    assert {name: known[name].default for name in trunks.DEFAULTS} == trunks.DEFAULTS


@pytest.mark.parametrize(
    ("own", "n_equal"),
    [
        ({}, 10),
        (DRS, 8),
        ({**DRS, "rebalance_start": 0.5}, 5),
        ({"weighting": "effective"}, 10),  # without rebalance it means nothing
        ({"resampler": {"make": "M2mSampler"}}, 8),
        ({"resampler": {"make": "M2mSampler"}, "start": 0.3}, 3),
        ({"lr_decay": {"6": 0.1}}, 6),
        ({"batch_size_after_start": 32}, 8),
        ({"max_epochs": 12}, 10),
        ({"lr": 0.2}, 0),
        ({"criterion": {"use": "LDAMLoss"}}, 0),
        ({"warmup": 0}, 10),
    ],
)
def test_rows_share_what_they_have_in_common(own, n_equal):
    one, other = training({}), training(own)
    for n in range(1, 11):
        assert (one.key(n) == other.key(n)) == (n <= n_equal), n


def test_other_data_share_nothing():
    assert training({}).key(1) != training({}, validation=0.2).key(1)


def test_a_resampler_that_learns_is_never_cut_while_it_works():
    safa = training({"resampler": {"make": "SAFA"}})
    assert safa.learns_from == 8
    assert safa.key(8) == training({}).key(8)
    twin = training({"resampler": {"make": "SAFA"}, "lr_decay": {"9": 0.1}})
    assert safa.key(9) != twin.key(9), (
        "equal up to there, but the state does not hold what it learned"
    )
    assert training({"resampler": {"make": "M2mSampler"}}).learns_from == 10


def test_a_tree_of_stretches():
    planned = plan({"ERM": training({}), "DRS": training(DRS), "M2m": training({"resampler": {}})})
    spans = {name: [(s.first, s.last) for s in chain] for name, chain in planned.chains.items()}
    assert spans == {name: [(0, 8), (8, 10)] for name in ("ERM", "DRS", "M2m")}
    assert planned.n_epochs(planned.chains) == 8 + 3 * 2
    trunk, own = planned.chains["M2m"]
    assert trunk.parent is None
    assert own.parent == trunk.key
    assert "resampler" not in trunk.classifier
    alone = plan({"DRS": training(DRS)})
    assert [(s.first, s.last) for s in alone.chains["DRS"]] == [(0, 10)]


def test_guides_are_trunks(suite):
    own = trainings_of(suite.chosen(rows=["M2m"])[0].spec, 0, "")
    erm = trainings_of(suite.chosen(rows=["ERM"])[0].spec, 0, "")[""]
    assert set(own) == {"", "erm"}
    assert own["erm"].key(6) == erm.key(6)


def test_guides_with_seeds_of_their_own_share_epochs_with_each_other_alone(suite):
    spec = suite.chosen(rows=["DM"])[0].spec
    spec["guides"]["erm"] = {
        "seed": "guides",
        "classifier": spec["classifier"] | {"resampler": None},
    }
    own = trainings_of(spec, 0, "")
    assert own["drs"].key(4) == own["erm"].key(4)
    assert own["drs"].key(4) != own[""].key(4)
    networks = []
    for name in ("drs", "erm", ""):
        (first, *_) = plan({name: own[name]}).chains[name]
        networks.append(_first_weights(spec, first))
    assert torch.equal(networks[0], networks[1])
    assert not torch.equal(networks[0], networks[2])


def _first_weights(spec, stretch):
    """Return what a network begins with."""
    task = Task("s", "v", "r", spec, 0, None)
    unit = Unit(task, stretch=stretch._replace(last=0), is_last=False, place=Place(Path("none")))
    parts = Parts.of(load(spec["data"], None), spec["validation"], 0)
    made = _maker(unit, parts, "", Clock())
    net = made(stretch.classifier, stretch.role).fit(parts.X_train, parts.y_train, epochs=0)
    return next(net.module_.parameters())


@pytest.mark.parametrize("row", ["DRS", "DRW", "M2m", "DM", "SAFA", "OTMix-DRW"])
def test_shared_runs_are_bit_equal_to_runs_of_their_own(suite, tmp_path, row):
    """All stretches that a row shares with the others, one after the other, in this process."""
    wanted = Task("s", "v", row, suite.chosen(rows=[row])[0].spec, 0, None)
    tasks = [Task("s", run.variant, run.row, run.spec, 0, None) for run in suite.runs]
    known = [task.row != row for task in tasks]
    jobs = jobs_of(tasks, [""] * len(tasks), known, {"folder": tmp_path / "states"})
    assert len(jobs) >= 2, "a trunk and a part of its own"
    made = set()
    for job in jobs:
        assert job.needs <= made, "each after what it needs"
        record = run_unit(job.unit)
        made |= job.gives
    alone = run_trial(wanted)
    shared = kept(record)
    shared |= {name: kept(alone)[name] for name in ("suite", "variant")}
    assert shared == kept(alone)
    assert record["key"] == run_key(wanted.spec, 0, record["data_sha256"])


@pytest.mark.gpu
@pytest.mark.parametrize("cuda_graphs", [False, True])
@pytest.mark.parametrize("row", ["DRS", "M2m", "DM"])
def test_shared_runs_on_a_card_are_close_to_runs_of_their_own(suite, tmp_path, row, cuda_graphs):
    place = None, "cuda", cuda_graphs
    tasks = [Task("s", run.variant, run.row, run.spec, 0, *place) for run in suite.runs]
    known = [task.row != row for task in tasks]
    for job in jobs_of(tasks, [""] * len(tasks), known, {"folder": tmp_path / "states"}):
        record = run_unit(job.unit)
    alone = run_trial(Task("s", "v", row, suite.chosen(rows=[row])[0].spec, 0, *place))
    np.testing.assert_allclose(
        record["curve"]["train_loss"], alone["curve"]["train_loss"], rtol=2e-2
    )


def test_the_plan_is_printed_without_training(suite, capsys, tmp_path, request):
    path = request.path.parent / "trunk_suite.toml"
    assert main([str(path), "--plan", "--records", str(tmp_path)]) == 0
    told = capsys.readouterr().out
    assert "row by row 72, with what is shared 42: 1.71 x" in told
    assert "the 8 rows that share: 60 and 30: 2.00 x" in told
    assert not list(tmp_path.iterdir())


def test_what_cifar_10_lt_saves():
    """Epochs of one seed at an imbalance factor of 100: the eight headline rows, then all of them."""
    rows = ["ERM", "DRS", "LDAM-DRW", "Balanced Softmax", "M2m", "DM", "OTMix+DRW", "DM+BS"]
    suite = load_suite("cifar10_lt")
    told = plan_lines(suite, suite.chosen(rows=rows, variants=["IF 100"]))
    assert "  row by row 2240, with what is shared 1560: 1.44 x" in told
    told = plan_lines(suite, suite.chosen(variants=["IF 100"]))
    assert any(line.startswith("  the 29 rows that share: 7780 and 3300: 2.36 x") for line in told)


def test_a_claimed_trunk_that_is_not_shared_is_refused(suite, capsys, tmp_path, request):
    text = (request.path.parent / "trunk_suite.toml").read_text()
    wrong = tmp_path / "wrong.toml"
    wrong.write_text(text.replace('name = "DRS"\n', 'name = "DRS"\nclassifier.lr = 0.2\n'))
    assert main([str(wrong), "--plan"]) == 2
    told = capsys.readouterr().err
    assert "Row 'DRS' says trunk = 'ERM', but shares no epoch with it in 'default'." in told
    assert "They differ in classifier.lr from the first epoch on." in told
    wrong.write_text(text.replace('trunk = "ERM"', 'trunk = "ERN"', 1))
    assert main([str(wrong), "--plan"]) == 2
    assert "There is no row in wrong.toml: 'ERN'. Did you mean 'ERM'" in capsys.readouterr().err
    wrong.write_text(text.replace('order = ["ERM"', 'order = ["ERN"', 1))
    assert main([str(wrong), "--plan"]) == 2
    assert "There is no row in wrong.toml: 'ERN'" in capsys.readouterr().err


def test_first_epochs_can_be_trained_with():
    settings = {**NET, **DRS, "lr_decay": {"0.9": 0.1}, "resampler": {"make": "M2mSampler"}}
    before = copy.deepcopy(settings)
    own = first_epochs(settings, 8)
    assert "resampler" not in own
    assert "rebalance" not in own
    assert "lr_decay" not in own
    assert first_epochs(settings, 10)["lr_decay"] == {"9": 0.1}
    assert settings == before
    assert json.dumps(own), "plain values"
