"""Tables of the user guide's page on decisions: scores, costs, paired differences, priors, texts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.decisions_report import (
    Values,
    against,
    classifiers_of,
    collect,
    has_costs,
    of_priors,
    of_ways,
    shown,
)
from benchmarks.records import read_records
from benchmarks.rst import percent, rst_table

__all__ = ["costs", "pairs", "priors", "scores", "texts"]

LONG = {
    "LR": "logistic regression",
    "HGB": "boosted trees",
    "RF": "random forest",
}
SCORES = {"bacc": "bACC", "f1": "macro F1", "worst": "worst class"}
COSTS = {"even": "costs 1 to 10", "inverse": "rare ones costly"}
# what was tuned or learnt, what it is held against, and in what
PAIRS = [
    ("balanced prior", "argmax", "bacc"),
    ("class weights", "balanced prior", "bacc"),
    ("offsets for bACC", "balanced prior", "bacc"),
    ("recipe", "balanced prior", "bacc"),
    ("one-vs-rest, thresholds", "argmax", "bacc"),
    ("balanced prior", "one-vs-rest, thresholds", "bacc"),
    ("balanced prior", "argmax", "worst"),
    ("offsets for macro F1", "argmax", "f1"),
    ("balanced prior", "argmax", "f1"),
    ("class weights", "argmax", "f1"),
    ("recipe", "argmax", "f1"),
    ("offsets for macro F1", "one-vs-rest, thresholds", "f1"),
    ("minimum cost", "argmax", "even"),
    ("minimum cost", "one-vs-rest, thresholds", "even"),
    ("minimum cost, sigmoid", "argmax", "even"),
    ("minimum cost, sigmoid", "one-vs-rest, thresholds", "even"),
    ("minimum cost, sigmoid", "minimum cost", "even"),
    ("offsets for the cost", "minimum cost", "even"),
    ("minimum cost", "argmax", "inverse"),
    ("minimum cost", "balanced prior", "inverse"),
    ("minimum cost, sigmoid", "argmax", "inverse"),
    ("minimum cost, sigmoid", "balanced prior", "inverse"),
    ("minimum cost, sigmoid", "one-vs-rest, thresholds", "inverse"),
    ("minimum cost, sigmoid", "minimum cost", "inverse"),
]
Records = list[dict[str, Any]]


def _of_kind(records: Path, kind: str) -> Records:
    return [r for r in read_records(records / "decisions.jsonl")[0] if r["kind"] == kind]


def _models(records: Records) -> list[str]:
    return [name for name in LONG if name in classifiers_of(records)]


def _n_sets(records: Records) -> str:
    """Return, in words, on how many data sets each classifier was run."""
    n = {
        name: len({record["data"] for record in records if record["name"] == name})
        for name in _models(records)
    }
    return ", ".join(f"{LONG[name]} ({name}) on {count}" for name, count in n.items())


def scores(records: Path) -> str:
    """Return bACC, macro F1 and the recall of the worst class of each decision."""
    own = _of_kind(records, "decisions")
    if not own:
        return ""
    models = _models(own)
    of = {(m, s): collect(own, m, s) for m in models for s in SCORES}
    head = ["decision", *(f"{SCORES[s]}, {m}" for s in SCORES for m in models)]
    rows = [
        [row, *(shown(s, of[m, s], row) or "\\-" for s in SCORES for m in models)]
        for row in of[models[0], "bacc"]
    ]
    note = f"""Per cent, mean over data sets: {_n_sets(own)}. "worst class" is the
recall of the class with the smallest one. ``python -m benchmarks.decisions FOLDER --reuters PATH``:"""
    return f"{note}\n\n{rst_table([head, *rows])}"


def costs(records: Path) -> str:
    """Return what decisions cost, in shares of the plain argmax."""
    own = _of_kind(records, "decisions")
    if not own:
        return ""
    models = _models(own)
    of = {(m, kind): collect(own, m, kind) for m in models for kind in COSTS}
    head = ["decision", *(f"{COSTS[kind]}, {m}" for kind in COSTS for m in models)]
    rows = [
        [row, *(shown(kind, of[m, kind], row) for kind in COSTS for m in models)]
        for row in of[models[0], "even"]
    ]
    note = """Mean cost in shares of that of the plain argmax, geometric mean over data sets and, of each
kind, five matrices that were drawn: costs off the diagonal log-uniform between 1 and 10, and the same
divided by the share of the true class. The decisions at the top know the costs:"""
    return f"{note}\n\n{rst_table([head, *rows])}"


def pairs(records: Path) -> str:
    """Return paired differences over data sets, and how sure they are."""
    own = _of_kind(records, "decisions")
    if not own:
        return ""
    models = _models(own)
    titles = {**SCORES, **COSTS}
    rows = [["decision", "against", "in", *models]]
    for row, other, score in PAIRS:
        cells = [_gap(collect(own, model, score), row, other, score) for model in models]
        rows.append([row, other, titles[score], *cells])
    note = """Mean difference over the same data sets in points, of costs the factor, and p of Wilcoxon's
signed-rank test:"""
    return f"{note}\n\n{rst_table(rows)}"


def _gap(of: Values, row: str, other: str, score: str) -> str:
    pair = against(of, row, other, score)
    if pair is None:
        return "\\-"
    gap = (
        f"× {np.exp(pair.difference):.2f}" if has_costs(score) else f"{100 * pair.difference:+.1f}"
    )
    return f"{gap}, {'p < 0.001' if pair.p < 0.001 else f'p = {pair.p:.3f}'}"


def priors(records: Path) -> str:
    """Return log loss and accuracy where the test part has another prior, and where it has not."""
    own = _of_kind(records, "priors")
    if not own:
        return ""
    models, parts = _models(own), ("shifted", "as they are")
    of = {
        (m, part, score): of_priors(own, m, part, score)
        for m in models
        for part in parts
        for score in ("log_loss", "accuracy")
    }
    columns = [("shifted", "log_loss"), ("shifted", "accuracy"), ("as they are", "log_loss")]
    words = {"log_loss": "log loss", "accuracy": "accuracy"}
    head = ["target prior", *(f"{words[s]}, {part}, {m}" for part, s in columns for m in models)]
    rows = [
        [row, *(shown(s, of[m, part, s], row) for part, s in columns for m in models)]
        for row in of[models[0], "shifted", "log_loss"]
    ]
    note = """"shifted": test rows were drawn with class shares of their own, uniform over all priors.
"estimated": from these rows without their labels; "smoothed": as if one more row of each class had
been counted; "sigmoid": from calibrated probabilities. Mean over data sets:"""
    return f"{note}\n\n{rst_table([head, *rows])}"


def texts(records: Path) -> str:
    """Return what treatments of the training data are worth on texts."""
    own = _of_kind(records, "text")
    if not own:
        return ""
    scores_of_ways = {"bacc": "bACC", "f1": "macro F1", "ap": "average precision"}
    of = {score: of_ways(own, score) for score in scores_of_ways}
    sets = sorted({data for values in of["bacc"].values() for data in values}, reverse=True)
    head = [
        "treatment",
        *(f"{title}, {data}" for data in sets for title in scores_of_ways.values()),
    ]
    rows = [
        [way, *(percent(of[s][way].get(data, [])) for data in sets for s in scores_of_ways)]
        for way in of["bacc"]
    ]
    note = """Per cent, logistic regression (C = 10) on TF-IDF with 2,000 words, means over three
seeds or repeats where anything is drawn:"""
    return f"{note}\n\n{rst_table([head, *rows])}"
