"""The suite on decisions: records resume, scores and costs are what they are called, nothing leaks."""

import csv
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import ClassVar

import numpy as np
import pytest
from joblib import Memory
from scipy.stats import wilcoxon
from sklearn.base import clone
from sklearn.datasets import make_classification
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import f1_score, recall_score
from sklearn.model_selection import StratifiedKFold
from sklearn.naive_bayes import GaussianNB
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from benchmarks import (
    decisions,
    decisions_data,
    decisions_report,
    decisions_rows,
    decisions_text,
    doc_decisions,
)
from benchmarks.decisions_data import Data, Split
from benchmarks.decisions_rows import COST_ROWS, PRIORS, ROWS, Fitted, Remembered
from ltresample.decisions import mean_cost

pytestmark = pytest.mark.filterwarnings("ignore")


class Counting(GaussianNB):
    """Notes each fit."""

    fits: ClassVar[list] = []

    def fit(self, X, y):
        self.fits.append(len(y))
        return super().fit(X, y)


FEW = {"LR": lambda: LogisticRegression(), "NB": lambda: GaussianNB()}


def table(seed=0, n=150, n_classes=3):
    X, y = make_classification(
        n_samples=n,
        n_features=5,
        n_informative=4,
        n_redundant=0,
        n_classes=n_classes,
        n_clusters_per_class=1,
        weights=[0.65, 0.25][: n_classes - 1],
        random_state=seed,
    )
    X[3, 1] = np.nan
    return X, y


@pytest.fixture
def folder(tmp_path, monkeypatch):
    for name, n_classes in (("three", 3), ("two", 2)):
        X, y = table(n_classes=n_classes)
        np.savez(tmp_path / f"multiclass_{name}.npz", X=X, y=y)
    monkeypatch.setattr(decisions, "CLASSIFIERS", {"table": FEW, "text": {}})
    monkeypatch.setattr(decisions_data, "_docstrings", texts)
    return tmp_path


def texts():
    """Texts of three classes that share most words."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1, 2], [30, 12, 6])
    words = np.array(["alpha", "beta", "gamma", "delta", "common", "usual", "plain", "same"])
    X = np.array(
        [" ".join(rng.choice(words, 12)) + f" {words[k]}" * 3 for k in y.tolist()], dtype=object
    )
    return Data("tiny texts", X, y, "text", "00", decisions_data._words)


def run(folder, *options):
    common = ["--records", str(folder), "--tables", str(folder)]
    decisions.main([str(folder), *common, *options])
    return [json.loads(line) for line in (folder / "decisions.jsonl").read_text().splitlines()]


@pytest.fixture
def split():
    X, y = table(1, 240)
    X = make_pipeline(SimpleImputer(), StandardScaler()).fit_transform(X)
    return Split(X[:160], y[:160], X[160:], y[160:], 7)


def test_resumes_and_writes_tables(folder):
    options = ["--only", "three", "--classifiers", "LR"]
    first = run(folder, *options, "--kinds", "decisions")
    assert [(r["kind"], r["data"], r["name"]) for r in first] == [("decisions", "three", "LR")]
    run(folder, *options)
    again = run(folder, "--only", "three", "digits-LT", "--classifiers", "LR")
    assert again[0] == first[0]
    assert [(record["kind"], record["data"]) for record in again] == [
        ("decisions", "three"),
        ("priors", "three"),
        ("decisions", "digits-LT"),
        ("priors", "digits-LT"),
    ], "what is recorded is not run again"
    assert len(run(folder, "--table-only")) == 4
    with (folder / "decisions.csv").open(newline="") as file:
        rows = {tuple(row[:5]): float(row[5]) for row in csv.reader(file) if row[0] != "part"}
    place = ("decisions", "LR", "bacc", "offsets for bACC", "three")
    told = first[0]["scores"]["offsets for bACC"]["bacc"]
    assert rows[place] == pytest.approx(told, abs=1e-5)
    place = ("prior, as they are", "LR", "log_loss", "true", "digits-LT")
    told = again[3]["priors"]["as they are"]["true"]["log_loss"]
    assert rows[place] == pytest.approx(told, abs=1e-5)
    text = (folder / "decisions.md").read_text()
    assert "## LR, 2 data sets" in text
    assert "### shifted" in text
    assert re.search(r"\| digits-LT \| \d+ \+ 899 \| 10 \|", text)
    assert ("decisions", "LR", "log_loss", "argmax", "digits-LT") not in rows, "another prior"


def test_unknown_data_are_refused(folder):
    with pytest.raises(SystemExit, match=r"--only must name data sets: three, .*Got tow\."):
        run(folder, "--only", "tow")


@pytest.fixture(scope="module")
def pooled():
    """A table, and what is recorded of it."""
    data = Data("three", *table(), "table", "0123456789abcdef", decisions_data._scaled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decisions, "CLASSIFIERS", {"table": FEW})
        return data, decisions.run_decisions(data, "NB", 0)


def test_scores_are_those_of_the_pooled_folds(pooled):
    data, record = pooled
    X, y = data.X, data.y
    proba = np.empty((len(y), 3))
    labels = np.empty_like(y)
    for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(X, y):
        model = make_pipeline(SimpleImputer(), StandardScaler(), GaussianNB())
        p = model.fit(X[train], y[train]).predict_proba(X[test])
        labels[test] = p.argmax(axis=1)
        q = p / np.bincount(y[train])
        proba[test] = q / q.sum(axis=1, keepdims=True)
    recalls = recall_score(y, labels, average=None)
    of = record["scores"]["argmax"]
    assert of["bacc"] == pytest.approx(recalls.mean())
    assert of["worst"] == pytest.approx(recalls.min())
    assert of["f1"] == pytest.approx(f1_score(y, labels, average="macro"))
    balanced = record["scores"]["balanced prior"]
    assert balanced["bacc"] == pytest.approx(recall_score(y, proba.argmax(axis=1), average="macro"))
    assert balanced["log_loss"] == pytest.approx(of["log_loss"]), "both at the training prior"


def test_costs_are_those_of_the_labels(pooled):
    data, record = pooled
    X, y = data.X, data.y
    for which, costs in decisions.costs_of(data).items():
        spent = {"argmax": 0.0, "minimum cost": 0.0}
        for train, test in StratifiedKFold(3, shuffle=True, random_state=0).split(X, y):
            model = make_pipeline(SimpleImputer(), StandardScaler(), GaussianNB())
            p = model.fit(X[train], y[train]).predict_proba(X[test])
            for row, true in zip(p, y[test], strict=True):
                risks = [sum(row[k] * costs[k, j] for k in range(3)) for j in range(3)]
                spent["minimum cost"] += costs[true, int(np.argmin(risks))]
                spent["argmax"] += costs[true, int(np.argmax(row))]
        for name, total in spent.items():
            assert record["costs"][which][name] == pytest.approx(total / len(y)), (which, name)


def test_costs_that_are_drawn():
    shares = np.array([0.7, 0.2, 0.1])
    even = decisions_rows.draw_costs(shares, [3, 0], inverse=False)
    off = even[~np.eye(3, dtype=bool)]
    assert (np.diag(even) == 0).all()
    assert off.min() >= 1
    assert off.max() <= 10
    inverse = decisions_rows.draw_costs(shares, [3, 0], inverse=True)
    np.testing.assert_allclose(inverse * 3 * shares[:, None], even)
    many = decisions_rows.draw_costs(np.full(60, 1 / 60), [0], inverse=False)
    logs = np.log10(many[~np.eye(60, dtype=bool)])
    assert logs.mean() == pytest.approx(0.5, abs=0.03)


def test_thresholds_say_something_for_none_one_and_several(split):
    proba = np.array([[0.6, 0.1, 0.02], [0.5, 0.3, 0.02], [0.5, 0.3, 0.2], [0.35, 0.2, 0.04]])
    parts = [
        SimpleNamespace(
            predict_proba=lambda X, k=k: np.c_[1 - proba[:, k], proba[:, k]], best_threshold_=t
        )
        for k, t in enumerate([0.55, 0.25, 0.05])
    ]
    own = Fitted(GaussianNB(), split)
    own.one_vs_rest = SimpleNamespace(
        estimators_=parts, predict=lambda X: proba.argmax(axis=1), predict_proba=lambda X: proba
    )
    # passed: the first, the second, the second and the third, none
    assert ROWS["one-vs-rest, thresholds"](own).labels.tolist() == [0, 1, 1, 0]
    assert ROWS["one-vs-rest, ratio to threshold"](own).labels.tolist() == [0, 1, 2, 1]
    assert ROWS["one-vs-rest, as it comes"](own).labels.tolist() == [0, 0, 0, 0]
    np.testing.assert_allclose(decisions_rows.ratios(own)[3], [0.35 / 0.55, 0.8, 0.8])


def test_scikit_learns_one_vs_rest_does_not_look_at_thresholds(split):
    own = Fitted(LogisticRegression(), split)
    before = ROWS["one-vs-rest, as it comes"](own).labels
    for part in own.one_vs_rest.estimators_:
        part.best_threshold_ = 0.999
    np.testing.assert_array_equal(ROWS["one-vs-rest, as it comes"](own).labels, before)


@pytest.mark.parametrize("name", [*ROWS, *COST_ROWS])
def test_no_row_sees_the_test_labels_or_other_test_rows(split, name):
    costs = decisions_rows.draw_costs(np.bincount(split.y) / len(split.y), [0], inverse=True)

    def labels(part):
        own = Fitted(GaussianNB(), part)
        return ROWS[name](own).labels if name in ROWS else COST_ROWS[name](own, costs)

    whole = labels(split)
    assert set(np.unique(whole)) <= {0, 1, 2}
    wrong = split._replace(y_test=np.roll(split.y_test, 1))
    np.testing.assert_array_equal(labels(wrong), whole)
    part = split._replace(X_test=split.X_test[:9], y_test=split.y_test[:9])
    np.testing.assert_array_equal(labels(part), whole[:9])


@pytest.mark.parametrize("name", list(ROWS))
def test_probabilities_are_at_the_training_prior(split, name):
    proba = ROWS[name](Fitted(LogisticRegression(), split)).proba
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    shares = np.bincount(split.y) / len(split.y)
    assert np.abs(proba.mean(axis=0) - shares).max() < 0.15, "not balanced ones"


def test_a_remembered_classifier_is_fitted_once(split, tmp_path, monkeypatch):
    monkeypatch.setattr(Counting, "fits", fits := [])
    model = Remembered(Counting(), Memory(tmp_path, verbose=0))
    twice = [clone(model).fit(split.X, split.y).predict(split.X_test) for _ in range(2)]
    assert fits == [160]
    np.testing.assert_array_equal(*twice)
    np.testing.assert_array_equal(
        twice[0], GaussianNB().fit(split.X, split.y).predict(split.X_test)
    )
    clone(model).fit(split.X[1:], split.y[1:])
    assert fits == [160, 159]


def test_shifted_rows_have_the_prior():
    y = np.repeat([0, 1, 3], [4000, 900, 100])
    prior, rows = decisions_rows.shift(y, 4, np.random.default_rng(0))
    assert prior[2] == 0, "a class without rows"
    assert prior.sum() == pytest.approx(1)
    shares = np.bincount(y[rows], minlength=4) / len(rows)
    assert len(rows) == len(y)
    np.testing.assert_allclose(shares, prior, atol=0.03)


def test_priors_are_scored_at_the_rows_that_were_drawn(split):
    own = Fitted(LogisticRegression(), split)
    rows, prior = np.arange(60), np.array([0.2, 0.5, 0.3])
    plain = own.plain.predict_proba(split.X_test[:60])
    moved = plain * prior / own.shares
    moved /= moved.sum(axis=1, keepdims=True)
    answers = {name: answer(own, rows, prior) for name, answer in PRIORS.items()}
    np.testing.assert_allclose(answers["true"], moved)
    np.testing.assert_allclose(answers["training"], plain)
    scores = decisions._priors_on(own, rows, prior)
    right = moved[np.arange(60), split.y_test[:60]]
    assert scores["true"]["log_loss"] == pytest.approx(-np.log(right).mean())
    estimated = answers["estimated"].mean(axis=0)
    fixed = plain * estimated / own.shares
    fixed /= fixed.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(fixed.mean(axis=0), estimated, atol=1e-6, err_msg="fixed point")
    shares = (60 * estimated + 1) / 63
    smoothed = plain * shares / own.shares
    smoothed /= smoothed.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(answers["estimated, smoothed"], smoothed, atol=1e-6)
    assert scores["estimated"]["share_error"] == pytest.approx(
        np.abs(estimated - prior).sum() / 2, abs=1e-6
    )


def test_ways_on_texts_and_what_was_chosen(folder, monkeypatch):
    ways = {name: decisions_text.WAYS[name] for name in ("none", "recipe", "auto")}
    monkeypatch.setattr(decisions, "WAYS", ways)
    monkeypatch.setattr(decisions_text, "WAYS", ways)
    monkeypatch.setattr(decisions, "REPEATS_OF_WAYS", 1)
    records = run(folder, "--only", "tiny texts")
    assert [record["name"] for record in records] == ["none", "recipe", "auto"]
    auto = records[-1]
    assert len(auto["choices"]) == 3, "one choice for each fold"
    for choice in auto["choices"]:
        assert choice["chosen"] in choice["reason"]
    text = (folder / "decisions.md").read_text()
    assert "### tiny texts" in text
    assert f"*auto* chose {auto['choices'][0]['chosen']}" in text
    assert set(auto["scores"]["auto"]) == {"bacc", "f1", "ap", "worst"}


def test_docstrings_are_the_same_in_each_process():
    code = "from benchmarks.decisions_data import _docstrings; print(_docstrings().hash)"
    hashes = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            cwd=Path(decisions.__file__).parents[1],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        for seed in "12"
    }
    assert len(hashes) == 1


def test_docstrings_have_a_long_tail():
    texts, parts = decisions_data.read_docstrings()
    counts = np.unique(parts, return_counts=True)[1]
    assert len(texts) == len(set(texts)), "no text twice"
    assert len(counts) > 20
    assert counts.max() > 10 * counts.min()
    assert counts.min() >= decisions_data.N_FOLDS


def test_texts_are_turned_into_words_of_the_training_part():
    data = texts()
    split = data.splits(0)[0]
    assert split.X.shape[1] == split.X_test.shape[1]
    train = next(StratifiedKFold(3, shuffle=True, random_state=0).split(data.X, data.y))[0]
    same = decisions_data._words().fit_transform(data.X[train])
    np.testing.assert_allclose(split.X.toarray(), same.toarray(), atol=1e-12)


def made_record(data, bacc, costs, *, same_prior=True):
    scores = {"bacc": bacc, "f1": bacc, "worst": bacc, "log_loss": 1 - bacc}
    return {
        "key": f"{data} {bacc}",
        "kind": "decisions",
        "name": "LR",
        "data": data,
        "same_prior": same_prior,
        "scores": {"argmax": dict.fromkeys(scores, 0.5), "balanced prior": scores},
        "costs": {f"even {i}": {"argmax": 2.0, "balanced prior": c} for i, c in enumerate(costs)},
    }


def test_costs_are_geometric_means_of_ratios():
    records = [made_record("a", 0.6, [1.0, 4.0]), made_record("b", 0.8, [1.0, 1.0])]
    of = decisions_report.collect(records, "LR", "even")
    assert of["balanced prior"] == pytest.approx({"a": 1.0, "b": 0.5})
    assert decisions_report.shown("even", of, "balanced prior") == "0.71"


def test_repeats_are_averaged_and_other_priors_have_no_log_loss():
    records = [made_record("a", 0.6, [1.0]), made_record("a", 0.8, [1.0])]
    records.append(made_record("b", 0.9, [1.0], same_prior=False))
    of = decisions_report.collect(records, "LR", "bacc")
    assert of["balanced prior"] == pytest.approx({"a": 0.7, "b": 0.9})
    assert list(decisions_report.collect(records, "LR", "log_loss")["argmax"]) == ["a"]


def test_smaller_losses_win():
    gaps = np.linspace(0.01, 0.1, 8)
    records = [made_record(f"{i}", 0.5 + gap, [1.0]) for i, gap in enumerate(gaps)]
    p = f"p = {wilcoxon(gaps).pvalue:.3f}"
    bacc, loss, cost = (
        decisions_report.told(
            decisions_report.collect(records, "LR", metric), "balanced prior", "argmax", metric
        )
        for metric in ("bacc", "log_loss", "even")
    )
    assert bacc == f"8/0/0, +5.5, {p}"
    assert loss == f"8/0/0, -0.055, {p}"
    assert cost.startswith("8/0/0, x 0.50")


def test_mean_cost_is_literal():
    costs = decisions_rows.draw_costs(np.full(3, 1 / 3), [1], inverse=False)
    y, labels = np.array([0, 1, 2, 2]), np.array([0, 2, 1, 2])
    told = mean_cost(y, labels, cost_matrix=costs, labels=np.arange(3))
    assert told == pytest.approx((costs[1, 2] + costs[2, 1]) / 4)


def guide(folder, table, records):
    """Return the cells of a table of the guide, by row and column."""
    text = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "decisions.jsonl").write_text(text)
    rule, *lines, _ = table(folder).partition("\n\n")[2].splitlines()
    ends = np.cumsum([len(column) + 1 for column in rule.split()])
    head, _, *rows = [
        [line[a:b].strip() for a, b in zip([0, *ends], ends, strict=False)] for line in lines
    ]
    return {row[0]: dict(zip(head[1:], row[1:], strict=True)) for row in rows}


def test_the_guide_says_what_the_records_say(tmp_path):
    records = [made_record("a", 0.6, [1.0]), made_record("b", 0.8, [1.0])]
    for record in records:
        record["costs"]["inverse 0"] = record["costs"]["even 0"]
    scores = guide(tmp_path, doc_decisions.scores, records)
    assert scores["balanced prior"]["bACC, LR"] == "70.0"
    assert scores["argmax"]["worst class, LR"] == "50.0"
    costs = guide(tmp_path, doc_decisions.costs, records)
    assert costs["balanced prior"]["costs 1 to 10, LR"] == "0.50"


def test_the_guide_tells_differences(tmp_path, monkeypatch):
    monkeypatch.setattr(doc_decisions, "PAIRS", [("balanced prior", "argmax", "bacc")])
    records = [made_record("a", 0.6, [1.0]), made_record("b", 0.8, [1.0])]
    cells = guide(tmp_path, doc_decisions.pairs, records)["balanced prior"]
    assert cells == {"against": "argmax", "in": "bACC", "LR": "+20.0, p = 0.500"}


def test_the_guide_tells_priors_and_texts(tmp_path):
    shift = {"true": {"log_loss": 0.25, "accuracy": 0.5, "share_error": 0.0}}
    records = [
        {"key": data, "kind": "priors", "name": "LR", "data": data}
        | {"priors": {"shifted": shift, "as they are": shift}}
        for data in "ab"
    ]
    cells = guide(tmp_path, doc_decisions.priors, records)["true"]
    assert cells["log loss, shifted, LR"] == "0.250"
    assert cells["accuracy, shifted, LR"] == "50.0"
    assert doc_decisions.texts(tmp_path) == "", "no records of this kind"
    ways = [
        {"key": f"{i}", "kind": "text", "name": "auto", "data": "docstrings"}
        | {"scores": {"auto": {"bacc": bacc, "f1": 0.5, "ap": 0.5, "worst": 0.0}}, "choices": []}
        for i, bacc in enumerate((0.6, 0.7))
    ]
    assert guide(tmp_path, doc_decisions.texts, ways)["auto"]["bACC, docstrings"] == "65.0"
