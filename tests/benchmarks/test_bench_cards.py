"""Cards say what the records say, and what papers did otherwise."""

import pytest

from benchmarks.cards import card, paper_protocols
from benchmarks.data_sets import DATA_SETS

CLASSIFIER = {
    "make": "DeferredRebalancingClassifier",
    "module": {"use": "ResNetCifar"},
    "module__depth": 8,
    "augment": {"make": "RandomCropFlip", "padding": 2},
    "max_epochs": 100,
    "batch_size": 128,
    "lr": 0.1,
    "lr_decay": {"40": 0.1},
}


def record(seed=0, **changes):
    return {
        "spec": {
            "data": {"name": "cifar10_lt", "size": 16},
            "classifier": {**CLASSIFIER, **changes},
        },
        "seed": seed,
        "data_sha256": "abc",
        "class_counts": [90, 9],
        "n_train": 99,
        "n_validation": 11,
        "n_test": [20, 20],
        "network": {"parameters": 78042, "operations": 12_345_678},
        "versions": {"torch": "2.0"},
        "machine": {"cpu": "one", "cores": 2},
    }


def test_a_card_holds_the_protocol():
    told = card([record(0), record(1)], [])
    for line in (
        "- subset: SHA-256 abc",
        "- data: name cifar10_lt, size 16",
        "- samples of a class: 90 to 9 in training; 99 samples train, 11 are held out",
        "- test: 40 samples",
        "- network: ResNetCifar, depth 8: 78,042 parameters, 12.3 million operations a sample",
        "- augmentation: make RandomCropFlip, padding 2",
        "- epochs: 100",
        "- training: lr 0.1, lr_decay 40 0.1, batch_size 128",
        "- seeds: 0, 1",
        "- versions: torch 2.0",
        "- machine: cpu one, cores 2",
    ):
        assert line in told.splitlines()
    assert "the last epoch, and the best by the held-out part" in told


def test_rows_that_differ_are_listed_once():
    told = card([record(0), record(0, max_epochs=240), record(1)], [])
    assert "- epochs: 100; 240" in told.splitlines()


def test_papers_stand_beside_with_what_differs():
    *_, line = card([record()], ["M2m"]).splitlines()
    assert line.startswith(
        "- beside M2m: network ResNet-32 (here ResNetCifar, depth 8); epochs 200"
    )
    assert "batch size" not in line
    assert "image size 32 (here 16)" in line
    assert line.endswith("its subset: the first images of each class in file order")


def test_old_records_and_rows_without_a_network():
    old = record()
    del old["network"]
    assert "- network: ResNetCifar, depth 8" in card([old], []).splitlines()
    linear = record()
    linear["spec"]["classifier"] = {"make": "LinearSVC"}
    assert card([linear], ["M2m"]) == ""


def test_settings_of_rows_are_told_once():
    rows = [record(start=60), record(start=0, weighting="effective"), record(1, start=60)]
    (line,) = [line for line in card(rows, []).splitlines() if line.startswith("- training")]
    assert line.endswith("lr_decay 40 0.1, batch_size 128, start 60 / 0, weighting effective")


def test_a_paper_is_compared_on_its_own_data_only():
    text = record()
    text["spec"]["data"] = {"name": "reuters36"}
    told = card([text], ["M2m", "DM"])
    assert "beside M2m: network MLP, hidden [256] (here ResNetCifar, depth 8)" in told
    assert "image size" not in told
    assert "beside DM" not in told
    text["spec"]["data"] = {"name": "digits"}
    assert "beside" not in card([text], ["M2m"])


@pytest.mark.parametrize(("start", "told"), [(40, "40"), (0.8, "80"), (160, None)])
def test_the_late_phase_stands_beside_the_papers(start, told):
    *_, line = card([record(start=start), record(start=0)], ["M2m"]).splitlines()
    if told is None:
        assert "late phase" not in line
    else:
        assert f"late phase 160 (here {told})" in line


@pytest.mark.parametrize("paper", ["M2m", "DM", "OTMix", "Open-sampling", "SAFA"])
def test_the_papers_have_protocols(paper):
    keys = {"paper", "data", "network", "epochs", "batch_size", "late_phase", "image_size"}
    assert set(paper_protocols()[paper, "cifar10_lt"]) == keys | {"subset", "reported"}


def test_protocols_are_for_data_sets_that_suites_know():
    assert {name for _, name in paper_protocols()} <= set(DATA_SETS)
