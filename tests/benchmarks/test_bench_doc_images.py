"""Tables of the page on images are what the records say."""

import json

import numpy as np
import pytest

from benchmarks import doc_images, doc_tables
from benchmarks.comparison import Interval, packed_samples
from benchmarks.suites import load_suite

N_TEST = [20] * 10


def write(folder, name, rows, variant="IF 100"):
    """Write records in which a row recognises the first n of each class's 20 images, per seed."""
    specs = {run.row: run.spec for run in load_suite(name).runs if run.variant == variant}
    y = np.repeat(np.arange(10), 20)
    lines = []
    for row, of_seed in rows.items():
        for seed, n in enumerate(of_seed):
            correct = packed_samples(np.tile(np.arange(20) < n, 10), y)
            last = {
                "scores": {"balanced_accuracy": n / 20, "many": n / 20, "few": n / 20},
                "recall": [n / 20] * 10,
                "correct": correct,
            }
            lines.append(
                {"key": f"{row} {seed}", "variant": variant, "row": row, "seed": seed}
                | {"spec": specs[row], "last": last, "n_test": N_TEST, "cpu_seconds": 105.0}
                | {"acceptance": 0.25 if row == "M2m" else None, "share_synthesized": None}
                | {"curve": {"share_synthesized": [0.0] * 60 + [0.5] * 45} if row == "M2m" else {}}
            )
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / f"{name}.jsonl").write_text(text)


def cells(text, start):
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line.split()


def test_scores_stand_beside_deferred_resampling(tmp_path):
    write(tmp_path, "fashion_mnist_lt", {"DRS": [10, 10], "M2m": [15, 15]})
    text = doc_images.scores(tmp_path)
    assert "over\n2 seeds" in text
    assert cells(text, "DRS ")[1] == "50.0"
    m2m = cells(text, "M2m ")
    assert m2m[1] == "75.0"
    assert m2m[5] == "+25.0"
    assert m2m[-5:] == ["75.0", "75.0", "75.0", "25.0", "2"]


def test_the_main_rows_stand_beside_two_references_at_half_the_imbalance(tmp_path):
    write(tmp_path, "fashion_mnist_lt", {"DRS": [10, 11], "BS": [14], "M2m": [15, 15]}, "IF 50")
    text = doc_images.milder(tmp_path)
    assert '--variants "IF 50" --only DRS BS M2m``' in text
    line = " ".join(cells(text, "M2m "))
    assert line.startswith("M2m 75.0 (")
    assert "+22.5 (" in line
    assert "+5.0 (" in line, "of the seed that both have"
    assert cells(text, "DRS ")[5] == "\\-"
    assert not doc_images.scores(tmp_path)


@pytest.mark.parametrize(
    ("m2m", "drs", "said"),
    [
        ([15, 16], [10, 10], "shown, 2 seeds"),
        ([10, 10], [15, 16], "refuted, 2 seeds"),
        ([10, 11], [11, 10], "not decidable, 2 seeds"),
        ([15], [10], "not decidable, 1 seed"),
    ],
)
def test_a_claim_is_what_seeds_and_interval_say(tmp_path, m2m, drs, said):
    write(tmp_path, "fashion_mnist_lt", {"DRS": drs, "M2m": m2m})
    text = doc_images.claims(tmp_path)
    line = cells(text, "M2m above DRS")
    assert line[3] == "+3.1", "the paper's gain"
    assert line[4] == f"{100 * (np.mean(m2m) - np.mean(drs)) / 20:+.1f}"
    assert " ".join(line).endswith(f" {said}")


def test_a_seed_against_the_others_decides_nothing():
    assert doc_images.verdict(Interval(0.1, 0.05, 0.2), [0.2, 0.2, -0.1]) == (
        "not decidable, 3 seeds"
    )


def test_all_claims_are_of_rows_and_cells_that_exist():
    rows = {run.row for run in load_suite("fashion_mnist_lt").runs if run.variant == "IF 100"}
    for claim in doc_images.CLAIMS:
        assert {claim.row, claim.over} <= rows
        assert doc_images._printed(claim) > 0, "a claim is a gain"


def test_settings_show_the_late_share(tmp_path):
    name = "fashion_mnist_lt_settings"
    write(tmp_path, name, {"DRS": [10], "M2m": [12]}, variant="as it is")
    line = cells(doc_images.settings(tmp_path), "\\")
    assert line == ["\\", "M2m", "60.0", "+10.0", *line[4:7], "60.0", "25.0", "50.0", "1"]


def test_costs_count_a_shared_epoch_once():
    runs = [r for r in load_suite("fashion_mnist_lt").runs if r.variant == "IF 100"]
    pair = [run for run in runs if run.row in ("ERM", "DRS")]
    cost = doc_images.cost_of(pair, {"ERM": 105.0, "DRS": 210.0})
    assert (cost.epochs_alone, cost.epochs) == (210, 150)
    assert cost.seconds_alone == 315
    assert cost.seconds == 315 - 60
    alone = doc_images.cost_of(runs[:1], {"ERM": 105.0})
    assert alone.epochs_alone == alone.epochs == 105


def test_costs_are_those_of_the_plan_and_of_the_records(tmp_path):
    write(tmp_path, "fashion_mnist_lt", {"ERM": [10], "DRS": [10], "BS": [10]})
    text = doc_images.costs(tmp_path)
    assert cells(text, "measured (3)")[2:] == ["315", "255", "1.24", "315", "255", "1.24"]
    assert cells(text, "measured, rows that share (2)")[5:8] == ["210", "150", "1.40"]
    assert cells(text, "planned, rows that share")[-3:] == ["\\-"] * 3


def test_guides_stand_in_order_with_their_own_scores(tmp_path):
    name, strong = "fashion_mnist_lt_settings", "M2m, g that has seen the left-out images"
    rows = {"DRS": [10, 10], strong: [14, 16], "M2m": [13]}
    write(tmp_path, name, rows, "as it is")
    path = tmp_path / f"{name}.jsonl"
    records = [json.loads(line) for line in path.read_text().splitlines()]
    for record in records:
        record |= {"guide_bacc": 0.875} if record["row"] == strong and record["seed"] else {}
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    text = doc_images.guides(tmp_path)
    told = cells(text, "has seen all")
    assert told[5:9] == ["87.5", "\\-", "75.0", "+25.0"]
    assert told[-1] == "2"
    assert cells(text, "ERM (M2m's paper)")[3] == "\\-", "no score was recorded"
    assert text.index("ERM (M2m's") < text.index("has seen all"), "the weaker guide first"
    assert strong not in doc_images.settings(tmp_path)


def test_synthesis_in_front_of_crops_stands_beside_crops_in_the_same_place(tmp_path):
    rows = {"DRS": [10], "DRS, crops behind synthesis": [8], "M2m, crops behind synthesis": [9]}
    write(tmp_path, "fashion_mnist_lt_settings", rows, "as it is")
    lines = doc_images.settings(tmp_path).splitlines()
    for row, over in (("M2m, crops", "+5.0"), ("DRS, crops", "-10.0")):
        (line,) = [line for line in lines if row in line]
        assert over in line.split()


def test_candidates_are_told_by_row(tmp_path):
    told = {"examiner": 0.9, "acceptance": 0.25, "synthetic": 0.125}
    seen = dict.fromkeys(("known_to_f", "seen_as_label", "seen_as_source"))
    known = {"known_to_f": 0.5, "seen_as_label": 0.75, "seen_as_source": 0.25}
    lines = [
        {"row": "M2m", "seed": 0, **told, **seen},
        {"row": "M2m, step .3", "seed": 0, **told, **known},
    ]
    path = tmp_path / "fashion_mnist_lt_settings_candidates.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    text = doc_images.candidates(tmp_path)
    assert "right on 90.0 %" in text
    assert cells(text, "M2m  ")[1:] == ["25.0", "12.5", "\\-", "\\-", "\\-", "1"]
    assert cells(text, "M2m, step 0.3")[3:] == ["25.0", "12.5", "50.0", "75.0", "25.0", "1"]


def test_the_user_guide_has_the_tables_of_the_records():
    records, guide = doc_tables.HERE / "records", doc_tables.HERE.parent / "doc" / "user_guide"
    for name in (name for name in doc_tables.FILES if name.startswith("fashion_mnist_lt")):
        text = doc_tables.FILES[name](records)
        assert not text or (guide / name).read_text(encoding="utf-8") == text + "\n", (
            f"{name} is not up to date: python -m benchmarks.doc_tables"
        )
