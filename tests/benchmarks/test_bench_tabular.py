"""The suite on tables: records resume, scores are pooled, ranks are Demsar's."""

import csv
import json

import numpy as np
import pytest
from scipy.stats import friedmanchisquare
from sklearn.datasets import make_classification
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

from benchmarks import tabular
from benchmarks.ranks import compare, critical_difference, draw_ranking, rank
from benchmarks.tabular_report import _against, _choices, complete
from benchmarks.tabular_rows import CLASSIFIERS, ROWS, Auto, Fold
from ltresample.class_counts import PartialFill
from ltresample.over_sampling import ChoiceReport, ResampledClassifier, _auto

# rows of packages that are not needed for the tests
ELSEWHERE = {
    "polynom-fit SMOTE": "smote_variants",
    "ProWSyn": "smote_variants",
    "G-SMOTE": "imblearn_extra",
    "G-SMOTE .05": "imblearn_extra",
}
FAST = {"LR": CLASSIFIERS["LR"], "kNN": CLASSIFIERS["kNN"]}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(tabular, "CLASSIFIERS", FAST)
    for i, weights in enumerate([[0.7], [0.6, 0.2]]):
        n_classes = len(weights) + 1
        X, y = make_classification(
            n_samples=120, n_informative=4, n_classes=n_classes, weights=weights, random_state=i
        )
        X[3, 1] = np.nan
        X[:, 0] = np.rint(X[:, 0])
        np.savez(tmp_path / f"table{i}.npz", X=X, y=y)
    return tmp_path


def run(folder, *options):
    common = ["--records", str(folder), "--tables", str(folder), "--jobs", "1", "--repeats", "1"]
    tabular.main([str(folder), *common, *options])
    lines = (folder / "tabular.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


def test_resumes_and_writes_tables(folder):
    first = run(folder, "--only", "none", "ROS", "class_weight", "threshold")
    assert len(first) == 2 * 4
    again = run(folder, "--only", "none", "ROS", "class_weight", "threshold", "SMOTENC")
    assert again[: len(first)] == first
    assert len(again) == 2 * 5
    text = (folder / "tabular.md").read_text()
    assert "none, corrected" in text
    assert "2 tables" in text
    listed = (folder / "tabular_data.md").read_text().splitlines()
    counts = first[0]["class_counts"]
    sizes = [first[0]["n"], first[0]["n_columns"], len(counts), min(counts)]
    begins = f"| {' | '.join(map(str, [first[0]['table'], *sizes]))} |"
    assert sum(line.startswith(begins) for line in listed) == 1
    with (folder / "tabular.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    row = {(r["classifier"], r["score"], r["row"]): r for r in rows}
    values = [r["scores"]["LR"]["plain"]["bacc"] for r in again if r["row"] == "ROS"]
    assert float(row["LR", "bacc", "ROS"]["mean"]) == pytest.approx(np.mean(values), abs=1e-5)
    assert row["LR", "bacc", "threshold"]["tables"] == "1", "two classes only"
    assert ("kNN", "bacc", "class_weight") not in row, "kNN takes no weights"
    for metric in ("bacc", "gm", "ap"):
        assert (folder / f"tabular_{metric}.png").stat().st_size > 1000


def test_correction_is_of_the_same_fit(folder):
    table = tabular.read_table(str(folder / "table0.npz"), 1000)
    scores = tabular.run_row(table, ROWS["none"], 0)["scores"]["LR"]
    folds = tabular.StratifiedKFold(5, shuffle=True, random_state=0).split(table.X, table.y)
    answers = np.empty((2, len(table.y)))
    for train, test in folds:
        prepare = tabular.make_pipeline(tabular.SimpleImputer(), tabular.StandardScaler())
        X = prepare.fit(table.X[train]).transform(table.X)
        p = LogisticRegression(max_iter=500).fit(X[train], table.y[train]).predict_proba(X[test])
        share = np.bincount(table.y[train]) / len(train)
        answers[:, test] = p.argmax(1), (p / share).argmax(1)
    for output, answer in zip(("plain", "corrected"), answers, strict=True):
        assert scores[output]["bacc"] == pytest.approx(balanced_accuracy_score(table.y, answer))


def test_a_sampler_that_refuses_is_counted(folder):
    table = tabular.read_table(str(folder / "table0.npz"), 1000)

    def refuse(fold):
        class Refusing:
            def fit_resample(self, X, y):
                raise ValueError("no")

        return Refusing()

    result = tabular.run_row(table, tabular.Row(refuse), 0)
    assert result["n_failed"] == 5
    plain = tabular.run_row(table, ROWS["none"], 0)
    assert result["scores"]["LR"]["plain"] == plain["scores"]["LR"]["plain"]


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if row.sampler is not None])
def test_samplers_of_the_rows_balance(name):
    if name in ELSEWHERE:
        pytest.importorskip(ELSEWHERE[name])
    X, y = make_classification(n_samples=150, n_informative=4, weights=[0.8], random_state=0)
    X[:, 0] = np.rint(X[:, 0])
    fold = Fold(X, y, 0)
    sampler = ROWS[name].sampler(fold)
    _, y_res = sampler.fit_resample(X, y)
    counts = np.bincount(y_res)
    assert counts.max() == np.bincount(y).max()
    assert counts.min() > np.bincount(y).min()
    if ROWS[name].corrected:
        assert counts.min() == PartialFill(0.05 if ".05" in name else 0.3)(y)[1]


def test_ranked_are_the_rows_of_the_question(folder):
    run(folder, "--only", "none", "ROS", "duplicates", "ResampledClassifier")
    with (folder / "tabular.csv").open(newline="") as file:
        places = {r["row"]: r["mean_rank"] for r in csv.DictReader(file) if r["score"] == "bacc"}
    ranked = {name for name, place in places.items() if place}
    assert ranked == {"none, corrected", "ROS", "ResampledClassifier"}
    assert "duplicates" in places


def test_pairs_are_of_the_same_repeats():
    """A row that was run once is compared with the same folds of one that was run twice."""
    repeats = {"a": {f"t{i}": {0: 0.5} for i in range(6)}}
    repeats["b"] = {f"t{i}": {0: 0.4, 1: 0.9} for i in range(7)}
    assert _against(repeats, "a", "b").startswith("6/0/0, +10.0, p = ")
    assert _against(repeats, "a", "a") == ""


def test_critical_difference_is_that_of_the_paper():
    """Demsar 2006, Section 3.2.2: four methods on 14 data sets; Table 5 for q."""
    assert critical_difference(4, 14) == pytest.approx(1.25, abs=0.005)
    assert critical_difference(2, 6) == pytest.approx(1.960 * np.sqrt(6 / 36), abs=1e-3)


def test_ranks():
    rng = np.random.default_rng(0)
    scores = rng.normal(size=(40, 3)) + [0.0, 0.0, 2.0]
    ranking = rank(scores, ["a", "b", "c"])
    assert ranking.mean_ranks.sum() == pytest.approx(6)
    assert ranking.friedman_p == pytest.approx(friedmanchisquare(*scores.T).pvalue)
    assert ranking.ahead("c", "a")
    assert not ranking.ahead("a", "c")
    turned = rank(scores, ["a", "b", "c"], smaller_is_better=True)
    np.testing.assert_allclose(ranking.mean_ranks + turned.mean_ranks, 4)
    pair = compare(scores[:, 2], scores[:, 0])
    assert pair.wins + pair.ties + pair.losses == 40
    assert pair.p < 0.01


def test_bars_join_what_does_not_differ():
    import matplotlib.pyplot as plt

    scores = np.tile([0.1, 0.2, 0.3], (50, 1))
    scores[:25, :2] = scores[:25, 1::-1]
    _, ax = plt.subplots()
    draw_ranking(rank(scores, ["a", "b", "c"]), ax, title="x")
    bars = [line.get_xdata() for line in ax.get_lines() if line.get_linewidth() == 3]
    assert len(bars) == 1
    np.testing.assert_allclose(bars[0], [2.47, 2.53])
    plt.close("all")


RIVALS = [
    "offsets for bACC",
    "offsets for F1",
    "sigmoid",
    "isotonic",
    "RUS",
    "BalancedBagging",
    "BalancedRandomForest",
    "EasyEnsemble",
    "with MLP",
    "with LR",
    "ResampledClassifier, with g",
    "ResampledClassifier, training prior",
    "auto",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", RIVALS)
def test_rivals_answer(folder, name, monkeypatch):
    monkeypatch.setattr(tabular, "N_FOLDS", 2)
    table = tabular.read_table(str(folder / "table0.npz"), 60)
    result = tabular.run_row(table, ROWS[name], 0, {"kNN": CLASSIFIERS["kNN"], "LR": FAST["LR"]})
    assert set(result["scores"]) == {"kNN", "LR"}
    assert result["n_failed"] == 0
    for of in result["scores"].values():
        for scores in of.values():
            assert all(np.isfinite(value) for value in scores.values())
            assert 0 <= scores["worst"] <= scores["bacc"] <= 1
            assert 0 <= scores["brier"] <= 2
    same = result["scores"]["kNN"] == result["scores"]["LR"]
    assert same == ROWS[name].alone
    outputs = {"plain", "corrected"} if ROWS[name].corrected else {"plain"}
    assert set(result["scores"]["LR"]) == outputs


@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
def test_the_row_with_g_is_a_vote_of_the_corrected_classifier_and_the_guide(folder):
    table = tabular.read_table(str(folder / "table0.npz"), 1000)
    X, y = np.nan_to_num(table.X), table.y
    blend = ROWS["with g"].wrap(FAST["LR"](), 2, 3).fit(X, y)
    recipe = ResampledClassifier(FAST["LR"](), random_state=3, guide_weight=1.0).fit(X, y)
    own, guide = (member.predict_proba(X) for member in blend.members_)
    np.testing.assert_allclose(guide, recipe.predict_proba(X), rtol=1e-5)
    product = np.sqrt(own * guide)
    product /= product.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(blend.predict_proba(X), product, rtol=1e-6)


def test_a_row_that_needs_more_samples_is_left_out(folder):
    table = tabular.read_table(str(folder / "table0.npz"), 1000)
    result = tabular.run_row(table, ROWS["auto"]._replace(needs=1000), 0)
    assert result["left_out"]
    assert result["scores"] == {}


def test_forests_are_recorded_beside_what_is_there(folder, monkeypatch):
    few = {"RF": lambda: LogisticRegression(C=0.1, max_iter=500)}
    monkeypatch.setattr(tabular, "FORESTS", few)
    first = run(folder, "--only", "none")
    for record in first:  # as records were before there were groups and the newer metrics
        record.pop("classifiers")
        for scores in record["scores"].values():
            for of in scores.values():
                for metric in ("brier", "slope", "slope_error", "worst"):
                    of.pop(metric)
    text = "".join(json.dumps(record) + "\n" for record in first)
    (folder / "tabular.jsonl").write_text(text)
    assert len(run(folder, "--only", "none")) == 2, "what is recorded is not run again"
    both = run(folder, "--only", "none", "--group", "forests")
    assert len(both) == 4
    assert [record.get("classifiers") for record in both] == [None, None, ["RF"], ["RF"]]
    alone = run(folder, "--only", "none", "--classifiers", "kNN")
    assert len(alone) == 6, "records of their own"
    assert alone[-1]["scores"].keys() == {"kNN"}
    report = (folder / "tabular.md").read_text()
    assert "## LR" in report
    assert "## RF" in report
    with (folder / "tabular.csv").open(newline="") as file:
        held = {(r["classifier"], r["score"]) for r in csv.DictReader(file)}
    assert ("RF", "brier") in held
    assert ("LR", "brier") not in held


def test_the_slope_of_calibrated_probabilities_is_one():
    rng = np.random.default_rng(0)
    odds = rng.normal(size=20000)
    p = 1 / (1 + np.exp(-odds))
    y = (rng.random(20000) < p).astype(int)
    assert tabular.calibration_slope(y, np.c_[1 - p, p]) == pytest.approx(1, abs=0.06)
    sure = 1 / (1 + np.exp(-2 * odds))
    assert tabular.calibration_slope(y, np.c_[1 - sure, sure]) == pytest.approx(0.5, abs=0.03)


def test_rows_are_ranked_on_the_repeats_that_all_of_them_have():
    of = {
        "auto": {"a": {0: 0.5, 1: 0.9}, "b": {0: 0.1}},
        "SMOTE": {"a": {0: 0.6}, "b": {0: 0.2, 1: 0.3}},
        "RUS": {"a": {0: 0.7}},  # not on all tables: not ranked
        "M2m": {"a": {1: 0.0}, "b": {1: 0.0}},  # not among the rows to rank
    }
    scores = complete(of)
    assert (scores.tables, scores.names) == (["a", "b"], ["auto", "SMOTE"])
    np.testing.assert_allclose(scores.values, [[0.5, 0.6], [0.1, 0.2]])


def test_first_repeats_can_be_left_out(folder):
    late = run(folder, "--only", "none", "--repeats", "3", "--first-repeat", "2")
    assert [record["repeat"] for record in late] == [2, 2]
    assert len(run(folder, "--only", "none", "--repeats", "3")) == 6


@pytest.mark.filterwarnings("ignore::ltresample.LongTailWarning")
def test_what_one_choice_has_tried_the_other_takes(folder, monkeypatch):
    table = tabular.read_table(str(sorted(folder.glob("*.npz"))[0]), 1000)
    model = {"LR": LogisticRegression}
    monkeypatch.setattr(Auto, "known", {})
    alone = tabular.run_row(table, ROWS["auto"], 0, model)
    tried, run = [], _auto.run_trials
    monkeypatch.setattr(
        _auto,
        "run_trials",
        lambda trials, *a, **k: tried.append(len(trials)) or run(trials, *a, **k),
    )
    monkeypatch.setattr(Auto, "known", {})
    voted = tabular.run_row(table, ROWS["auto, with g"], 0, model)
    n_voted = len(tried)
    assert tabular.run_row(table, ROWS["auto"], 0, model) == alone
    assert len(tried) == n_voted == tabular.N_FOLDS, "nothing is tried twice"
    # votes are not in what was tried without them
    monkeypatch.setattr(Auto, "known", {})
    tabular.run_row(table, ROWS["auto"], 0, model)
    assert tabular.run_row(table, ROWS["auto, with g"], 0, model) == voted
    assert len(tried) == 3 * tabular.N_FOLDS
    assert len(voted["chosen"]) == tabular.N_FOLDS
    assert voted["fits"] == 4 * 5 + 1, "four trials on five splits, and the last fit"


def test_fits_are_counted_by_what_is_trained():
    names = ["none, with g", "M2m 5%, with g", "none", "SMOTE 30%, with g"]
    report = ChoiceReport(names, [0.0] * 4, [0.0] * 4, [0.0] * 4, 10, "none", "", {})
    assert tabular.fits_of(report) == 3 * 10 + 1


def test_choices_are_counted_by_row_and_classifier():
    scores = {"LR": {"plain": {}}}
    records = [
        {"row": "auto", "scores": scores, "chosen": ["none", "none, corrected"], "fits": 21.0},
        {"row": "auto", "scores": scores, "chosen": ["none", "none"], "fits": 21.0},
        {"row": "auto, with g", "scores": {"RF": {}}, "chosen": ["M2m 5%, with g"], "fits": 16.0},
        {"row": "none", "scores": scores, "chosen": []},
        {"row": "SMOTE", "scores": scores},
    ]
    told = _choices(records)
    assert "A choice takes 21 fits" in told
    assert "| auto | LR | 4 | none 75 %; none, corrected 25 % |" in told
    assert "| auto, with g | RF | 1 | M2m 5%, with g 100 % |" in told
    assert told.count("| auto") == 2
    assert _choices(records[-2:]) == ""
