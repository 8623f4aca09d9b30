"""Questions to the tables: pairs on shared folds, kinds of tables, and what is written."""

import csv

import numpy as np
import pytest

from benchmarks import tabular_questions as questions
from benchmarks.ranks import compare


def scores_of(values):
    """From row to a list of scores, one a table, to what the report collects."""
    return {row: {f"t{i}": {0: v} for i, v in enumerate(own)} for row, own in values.items()}


def test_pairs_are_means_over_the_repeats_that_both_have():
    of = {
        "a": {"t0": {0: 0.5, 1: 0.7}, "t1": {0: 0.9}, "t2": {1: 0.1}},
        "b": {"t0": {1: 0.6, 2: 0.0}, "t1": {0: 0.8}, "t2": {0: 0.3}},
    }
    own, other = questions.paired(of, "a", "b")
    np.testing.assert_allclose(own, [0.7, 0.9])
    np.testing.assert_allclose(other, [0.6, 0.8])
    own, _ = questions.paired(of, "a", "b", lambda table: table == "t1")
    np.testing.assert_allclose(own, [0.9])
    assert not len(questions.paired(of, "a", "nothing")[0])


@pytest.fixture
def scores():
    rng = np.random.default_rng(0)
    plain = rng.uniform(0.5, 0.9, 12)
    recipe = plain + rng.uniform(0.0, 0.1, 12)
    of = {
        "bacc": scores_of(
            {"none, corrected": plain, "ResampledClassifier": recipe, "with LR": plain}
        ),
        "log_loss": scores_of({"none": plain, "ResampledClassifier, training prior": recipe}),
    }
    return {"LR": of, "kNN": of}


def test_answers_are_those_of_the_paired_test(scores):
    asked = questions.Question("?", [("ResampledClassifier", "none, corrected")])
    (answer,) = questions.answers(scores["LR"], asked)
    of = scores["LR"]["bacc"]
    own, other = ([t[0] for t in of[row].values()] for row in (answer.row, answer.rival))
    assert answer.n_tables == 12
    assert answer.pair == compare(np.array(own), np.array(other))
    assert answer.own - answer.other == pytest.approx(answer.pair.difference)


def test_tables_are_told_by_the_smallest_class_and_by_overlap(scores):
    smallest = {f"t{i}": 10 * (i + 1) for i in range(12)}
    lines = questions.by_kind_of_table(scores, smallest)
    kinds = [line.split(" | ")[1] for line in lines[2:-1]]
    assert kinds[:5] == [
        "smallest class up to 20",
        "21 to 50",
        "above 50",
        "classes overlap more",
        "classes overlap less",
    ]
    of = scores["LR"]["bacc"]
    gaps = [
        of["ResampledClassifier"][f"t{i}"][0] - of["none, corrected"][f"t{i}"][0] for i in (0, 1)
    ]
    assert f"{100 * np.mean(gaps):+.1f} (p " in lines[2], "two tables up to 20"
    easy = np.array([t[0] for t in of["none, corrected"].values()])
    hard = easy < np.median(easy)
    gaps = np.array([t[0] for t in of["ResampledClassifier"].values()]) - easy
    assert f"{100 * gaps[hard].mean():+.1f} (p " in lines[5]


def test_what_is_written_leaves_out_a_vote_with_oneself(scores, tmp_path):
    smallest = {f"t{i}": 10 for i in range(12)}
    questions.write_questions(scores, smallest, tmp_path)
    with (tmp_path / "tabular_questions.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    votes = {row["classifier"] for row in rows if row["row"] == "with LR"}
    assert votes == {"kNN"}
    losses = next(row for row in rows if row["score"] == "log_loss")
    assert float(losses["difference"]) > 0
    text = (tmp_path / "tabular_questions.md").read_text()
    line = next(line for line in text.splitlines() if "| log loss |" in line)
    assert f"{losses['losses']}/{losses['ties']}/{losses['wins']}" in line, "a smaller loss wins"


def test_what_is_chosen_on_half_is_shown_on_the_other():
    """Each half prefers another row, and gets what the other half prefers."""
    even = np.arange(6) % 2 == 0
    rows = {
        "none, corrected": np.full(6, 0.5),
        "ResampledClassifier": np.where(even, 0.9, 0.1),
        "with g": np.where(even, 0.2, 0.8),
        "auto": np.full(5, 1.0),  # not on all tables: no candidate
        "SMOTE": np.linspace(0, 1, 6),
        "M2m": np.full(6, 1.0),  # no candidate
    }
    of = {"bacc": scores_of(rows), "ap": scores_of(rows)}
    found = questions.nested(of)
    assert found.chosen == ("ResampledClassifier", "with g")
    np.testing.assert_allclose(found.values["bacc"], np.where(even, 0.2, 0.1))
    assert set(found.rivals) == {
        (rival, score) for rival in ("none, corrected", "SMOTE") for score in ("bacc", "ap")
    }
    np.testing.assert_allclose(found.rivals["SMOTE", "ap"], rows["SMOTE"])
    told = "\n".join(questions._nested_lines({"LR": of}))
    assert (
        "| LR | ResampledClassifier | with g | none, corrected | bACC | 15.0 | 50.0 | -35.0 |"
        in told
    )
    # both scores count alike
    of["ap"] = scores_of({**rows, "with g": np.where(even, 1.7, 0.8)})
    assert questions.nested(of).chosen == ("with g", "with g")


def test_nothing_is_nested_without_two_candidates():
    of = scores_of({"none, corrected": [0.5, 0.6], "SMOTE": [0.1, 0.2]})
    assert questions.nested({"bacc": of, "ap": of}) is None
    assert questions.nested({}) is None
    assert questions._nested_lines({"LR": {"bacc": of, "ap": of}}) == []
