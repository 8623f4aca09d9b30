"""Tables of the user guide are what the records say."""

import json

import pytest

from benchmarks import doc_tables
from benchmarks.suites import load_suite


def test_means_over_tables(tmp_path):
    scores = [{"LR": 0.5, "HGB": 0.25, "seconds": 1.0}, {"LR": 0.75, "HGB": 0.75, "seconds": 3.0}]
    lines = [
        {"table": f"binary_{i}", "n": 90 + i, "d": 2, "scores": {"none": score, "SMOTE": {}}}
        for i, score in enumerate(scores)
    ]
    (tmp_path / "safa_tables.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = doc_tables.on_tables(tmp_path)
    assert text.startswith("2 tables (2 binary, 0 multi-class), at most 91 rows")
    cells = next(line for line in text.splitlines() if line.startswith("none")).split()
    assert cells == ["none", "\\-", "2.00", "62.5", "\\-", "50.0", "\\-"]
    assert "SMOTE" in text


def test_rank_correlations(tmp_path):
    lines = [{"rank_correlation": {"OTMix": rho, "CMO": 0.0}} for rho in (0.5, 0.75)]
    (tmp_path / "otmix_pairs.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = doc_tables.pair_counts(tmp_path)
    assert next(line for line in text.splitlines() if line.startswith("OTMix")).split() == [
        "OTMix",
        "0.62",
        "0.50,",
        "0.75",
    ]


def test_a_suites_means_are_those_of_its_last_epoch(tmp_path):
    suite = load_suite("digits_safa")
    lines = [
        {"key": f"{seed}", "variant": "default", "row": "CE", "seed": seed, "spec": run.spec}
        | {"last": {"scores": {"balanced_accuracy": score}}}
        for run in suite.runs[:1]
        for seed, score in enumerate((0.5, 0.7))
    ]
    (tmp_path / "digits_safa.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    assert doc_tables.suite_table(tmp_path, "digits_safa") == "", "runs are missing"
    text = doc_tables.suite_table(tmp_path, "digits_safa", partial=True)
    assert "over 2 seeds" in text
    assert "CE     60.0 ± 14.1" in text


def test_repeats_are_averaged_before_tables(tmp_path):
    lines = [
        {"table": table, "row": row, "repeat": repeat, "n": 50, "scores": scores}
        for row in ("ROS", "none")
        for table, repeat, bacc in (("a", 0, 0.5), ("a", 1, 0.7), ("b", 0, 0.8))
        for scores in [{"LR": {"plain": {"bacc": bacc, "ap": bacc / 2}}}]
    ]
    lines.append(lines[0] | {"scores": {"HGB": {"plain": {"bacc": 0.5, "ap": 0.5}}}})
    (tmp_path / "tabular.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = doc_tables.suite_of_tables(tmp_path)
    assert "Means over 2 tables" in text
    rows = [line.split() for line in text.splitlines() if line.startswith(("none", "ROS"))]
    assert rows == [
        ["none", "70.0", "\\-"],
        ["ROS", "70.0", "\\-"],
        ["none", "35.0", "\\-"],
        ["ROS", "35.0", "\\-"],
    ]


def test_answers_are_differences_with_stars(tmp_path):
    recipe, plain = "ResampledClassifier", "none"
    lines = [
        {"table": f"t{i}", "row": row, "repeat": 0, "n": 50, "scores": {"LR": {output: scores}}}
        for i in range(12)
        for row, output, gain in ((plain, "corrected", 0.0), (recipe, "plain", 0.001 * (i + 1)))
        for scores in [{"bacc": 0.5 + 10 * gain, "ap": 0.5 + gain * (-1) ** i}]
    ]
    (tmp_path / "tabular.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = doc_tables.answers_of_tables(tmp_path)
    assert "*Is the recipe ahead of what costs nothing?*" in text
    rows = [line.split() for line in text.splitlines() if line.startswith(recipe)]
    assert [row[-1] for row in rows] == ["+6.5\\*\\*\\*", "-0.1"], "twelve of twelve: p = .0005"
    assert "second opinion" not in text, "without such rows"


def test_text_rows_stand_together(tmp_path):
    same = {"encoding": "tfidf", "vocabulary": "all", "model": "svc", "C": 0.05}
    lines = [
        {**same, "row": row, "seed": seed, "bacc": 80.0 + seed, "gm_floored": 70.0, "accepted": a}
        for row, a in (("none", None), ("M2m", 0.5))
        for seed in range(2)
    ]
    lines.append(dict(lines[0]))  # run again
    (tmp_path / "reuters_offline.jsonl").write_text("\n".join(map(json.dumps, lines)))
    text = doc_tables.on_text(tmp_path)
    none, m2m = text.splitlines()[-3:-1]
    assert none.startswith("tfidf, all words linear SVM, C = 0.05 none")
    assert m2m.split()[:2] == ["\\", "\\"]
    assert "80.5 ± 0.7" in m2m
    assert m2m.split()[-2:] == ["0.50", "2"]
    assert none.endswith(" 2")


@pytest.mark.parametrize("name", sorted(doc_tables.FILES))
def test_no_records_no_table(tmp_path, name):
    assert doc_tables.FILES[name](tmp_path) == ""


def test_all_tables_have_the_columns_of_their_rule():
    lines = doc_tables.rst_table([["a", "bb"], ["ccc", "d"]]).splitlines()
    assert lines == ["=== ==", "a   bb", "=== ==", "ccc d", "=== =="]
