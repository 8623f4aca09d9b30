"""Pairs of rows of the suite on tables: what each question about them is answered by."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.ranks import Pair, compare, means_of_shared

__all__ = [
    "QUESTIONS",
    "Answer",
    "Question",
    "answers",
    "by_kind_of_table",
    "nested",
    "paired",
    "write_questions",
]

LOSSES = {"log_loss", "brier", "slope_error"}
NAMES = {
    "bacc": "bACC",
    "ap": "average precision",
    "log_loss": "log loss",
    "brier": "Brier score",
    "slope_error": "distance of the calibration slope from 1",
}
RANKING = ("bacc", "ap")
PROBABILITIES = ("log_loss", "brier", "slope_error")
RECIPE, PLAIN = "ResampledClassifier", "none, corrected"
UNDER = ("BalancedRandomForest", "EasyEnsemble")


class Question(NamedTuple):
    """What is asked, of which pairs (row, rival), in which scores."""

    text: str
    pairs: list[tuple[str, str]]
    scores: tuple[str, ...] = RANKING


VOTES, VOTED = ("with g", "with MLP", "with LR"), "ResampledClassifier, with g"
QUESTIONS = [
    Question("Is the recipe ahead of what costs nothing?", [(RECIPE, PLAIN)]),
    Question(
        "Does it matter where its rows lie?",
        [(RECIPE, f"{name} .05, corrected") for name in ("duplicates", "SMOTE", "G-SMOTE")],
    ),
    Question(
        "Is the choice by cross-validation ahead of what costs nothing, and of the recipe?",
        [("auto", rival) for rival in (PLAIN, "none", "class_weight", RECIPE)],
    ),
    Question(
        "Are both ahead of the usual remedies?",
        [
            *(("auto", rival) for rival in ("SMOTE", "ROS", "RUS", "threshold")),
            *((RECIPE, rival) for rival in ("SMOTE", "ROS", "RUS", "class_weight")),
        ],
    ),
    Question(
        "Is the choice ahead of under-sampling ensembles?", [("auto", rival) for rival in UNDER]
    ),
    Question("What is a second opinion worth, without synthesis?", [(row, PLAIN) for row in VOTES]),
    Question(
        "Is the recipe with such a vote ahead of what costs nothing, of the choice, and of ensembles?",
        [(VOTED, rival) for rival in (PLAIN, "auto", *UNDER)],
    ),
    Question("Does synthesis add to a second opinion?", [(VOTED, rival) for rival in VOTES]),
    Question(
        "What does the choice give with the guide's vote among the ways?",
        [("auto, with g", rival) for rival in (PLAIN, "auto", "with g", VOTED, *UNDER)],
    ),
    Question(
        "Are probabilities at the training prior as good as those of the plain fit?",
        [
            ("ResampledClassifier, training prior", rival)
            for rival in ("none", "sigmoid", "isotonic")
        ]
        + [("auto, training prior", "none")],
        PROBABILITIES,
    ),
]


class Answer(NamedTuple):
    """A row beside another in one score, over the tables and repeats that both have."""

    row: str
    rival: str
    score: str
    n_tables: int
    own: float  # mean over tables
    other: float
    pair: Pair


def paired(
    of: dict[str, dict], row: str, rival: str, keep: Callable[[str], bool] = lambda table: True
) -> tuple[np.ndarray, np.ndarray]:
    """Return the scores of two rows per table, means over the repeats that both have.

    Parameters
    ----------
    of : dict
        Row to table to repeat to score.
    row, rival : str
        The two.
    keep : callable
        From the name of a table to whether it counts.
    """
    tables, means = means_of_shared([of.get(row, {}), of.get(rival, {})])
    kept = np.array([keep(table) for table in tables], dtype=bool)
    return means[0][kept], means[1][kept]


def answers(of: dict[str, dict[str, dict]], question: Question) -> Iterator[Answer]:
    """Answer a question for one classifier: `of` maps a score to what `paired` takes."""
    for row, rival in question.pairs:
        for score in question.scores:
            own, other = paired(of.get(score, {}), row, rival)
            if len(own):
                yield Answer(
                    row, rival, score, len(own), own.mean(), other.mean(), compare(own, other)
                )


def write_questions(
    scores: dict[str, dict[str, dict]], smallest: dict[str, int], folder: Path
) -> None:
    """Write ``tabular_questions.md`` and ``.csv``.

    Parameters
    ----------
    scores : dict
        Classifier to score to row to table to repeat to value.
    smallest : dict
        Table to the size of its smallest class.
    folder : Path
        Where.
    """
    lines, rows = [_HEADING], []
    for question in QUESTIONS:
        found = [
            (name, answer)
            for name, of in scores.items()
            for answer in answers(of, question)
            if f"with {name}" not in (answer.row, answer.rival)  # the classifier with itself
        ]
        if found:
            lines += [f"## {question.text}\n", *_table(found)]
            rows += [[question.text, name, *answer[:6], *answer.pair] for name, answer in found]
    lines += _nested_lines(scores)
    lines += [
        "## By the size of the smallest class, and by overlap\n",
        *by_kind_of_table(scores, smallest),
    ]
    (folder / "tabular_questions.md").write_text("\n".join(lines))
    with (folder / "tabular_questions.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        head = ["question", "classifier", "row", "rival", "score", "tables", "own", "other"]
        writer.writerow([*head, "wins", "ties", "losses", "difference", "p"])
        writer.writerows(rows)


# ---------------------------------------------------------------------- chosen and shown apart

CANDIDATES = (PLAIN, "class_weight", RECIPE, *VOTES[:1], VOTED, "auto", "auto, with g")
REFERENCES = (PLAIN, "class_weight", "SMOTE", "ROS")


class Nested(NamedTuple):
    """The row that is best on one half of the tables, shown on the other, both ways."""

    chosen: tuple[str, str]  # on the tables at even places, and at odd ones
    tables: list[str]
    values: dict[str, np.ndarray]  # score to values of the tables
    rivals: dict[tuple[str, str], np.ndarray]  # (rival, score) to values of the tables


def nested(of: dict[str, dict[str, dict]]) -> Nested | None:
    """Choose among `CANDIDATES` by the mean of both scores on half of the tables, both ways.

    Rows that are not there are no candidates; means are over the repeats that all rows have.

    Parameters
    ----------
    of : dict
        Score to row to table to repeat to value.
    """
    own = {m: of.get(m, {}) for m in RANKING}
    names = [n for n in (*CANDIDATES, *REFERENCES) if all(n in own[m] for m in RANKING)]
    most = max((len(own[RANKING[0]][n]) for n in names), default=0)
    names = [n for n in dict.fromkeys(names) if len(own[RANKING[0]][n]) == most]
    both_scores = [(n, m) for n in names for m in RANKING]
    tables, means = means_of_shared([own[m][n] for n, m in both_scores])
    candidates = [name for name in CANDIDATES if name in names]
    if len(tables) < 2 or len(candidates) < 2:
        return None
    values = dict(zip(both_scores, means, strict=True))
    even = np.arange(len(tables)) % 2 == 0
    both = {n: np.mean([values[n, m] for m in RANKING], axis=0) for n in candidates}
    chosen = [max(candidates, key=lambda n: both[n][part].mean()) for part in (even, ~even)]
    return Nested(
        (chosen[0], chosen[1]),
        tables,
        {m: np.where(even, values[chosen[1], m], values[chosen[0], m]) for m in RANKING},
        {(n, m): values[n, m] for n in REFERENCES if n in names for m in RANKING},
    )


def _nested_lines(scores: dict[str, dict]) -> list[str]:
    head = ["classifier", "chosen on the first half", "on the second", "rival", "score"]
    head += ["mean", "rival's", "difference", "p"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, of in scores.items():
        if (found := nested(of)) is None:
            continue
        for (rival, m), other in found.rivals.items():
            pair, value = compare(found.values[m], other), found.values[m]
            cells = [name, *found.chosen, rival, NAMES[m], f"{100 * value.mean():.1f}"]
            cells += [f"{100 * other.mean():.1f}", f"{100 * pair.difference:+.1f}", f"{pair.p:.3f}"]
            lines.append(f"| {' | '.join(cells)} |")
    if len(lines) == 2:
        return []
    about = (
        f"Of {', '.join(CANDIDATES)} the one with the best mean of both scores on every second table, "
        "shown on the others, both ways: what a reader who chooses on half of the tables gets on the "
        "other half.\n"
    )
    return ["## Chosen on half of the tables, shown on the other half\n", about, *lines, ""]


_HEADING = """# Questions to the tables

Each line compares two rows on the same folds: means over tables, in per cent but for losses (log loss,
Brier score, distance of the slope from 1: smaller is better), the mean difference, wins / ties / losses
of the first (a tie is a difference under .05 points), and the p of Wilcoxon's signed-rank test,
two-sided, over tables. Many lines are many tests: a single p just under .05 means little.
"""


def _table(found: list[tuple[str, Answer]]) -> list[str]:
    head = ["classifier", "row", "rival", "score", "tables", "row's mean", "rival's", "difference"]
    head += ["wins / ties / losses", "p"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, answer in found:
        loss = answer.score in LOSSES
        scale, form = (1, ".3f") if loss else (100, ".1f")
        sign = "+.3f" if loss else "+.1f"
        pair = answer.pair
        wins, losses = (pair.losses, pair.wins) if loss else (pair.wins, pair.losses)
        cells = [name, answer.row, answer.rival, NAMES[answer.score], str(answer.n_tables)]
        cells += [f"{scale * answer.own:{form}}", f"{scale * answer.other:{form}}"]
        cells += [f"{scale * pair.difference:{sign}}", f"{wins}/{pair.ties}/{losses}"]
        lines.append(f"| {' | '.join([*cells, f'{pair.p:.3f}'])} |")
    return [*lines, ""]


# ---------------------------------------------------------------------- kinds of tables


def by_kind_of_table(scores: dict[str, dict], smallest: dict[str, int]) -> list[str]:
    """Return a table of mean differences for tables of a kind, with Wilcoxon's p."""
    kinds = _kinds(scores, smallest)
    contrasts = [(RECIPE, PLAIN), ("auto", PLAIN), (RECIPE, "SMOTE"), ("auto", "SMOTE")]
    head = [
        "classifier",
        "tables",
        *(f"{a} - {b}, {NAMES[s]}" for s in RANKING for a, b in contrasts),
    ]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, of in scores.items():
        for kind, keep in kinds.items():
            cells = [
                _gap(*paired(of.get(score, {}), row, rival, keep))
                for score in RANKING
                for row, rival in contrasts
            ]
            if any(cells):
                lines.append(f"| {' | '.join([name, kind, *cells])} |")
    return [*lines, ""]


def _gap(own: np.ndarray, other: np.ndarray) -> str:
    if not len(own):
        return ""
    pair = compare(own, other)
    return f"{100 * pair.difference:+.1f} (p {pair.p:.2f})"


def _kinds(scores: dict[str, dict], smallest: dict[str, int]) -> dict[str, Callable[[str], bool]]:
    """Return tests of a table's name: by the smallest class, and by how far classes overlap.

    Overlap is told by nearest neighbours without a sampler, corrected, which are none of the
    methods that are compared: tables on which their balanced accuracy is below the median overlap more.
    """
    kinds: dict[str, Callable[[str], bool]] = {
        "smallest class up to 20": lambda t: smallest[t] <= 20,
        "21 to 50": lambda t: 20 < smallest[t] <= 50,
        "above 50": lambda t: smallest[t] > 50,
    }
    neighbours: dict[str, Any] = scores.get("kNN", {}).get("bacc", {}).get(PLAIN, {})
    if neighbours:
        easy = {table: np.mean(list(values.values())) for table, values in neighbours.items()}
        middle = np.median(list(easy.values()))
        kinds["classes overlap more"] = lambda t: t in easy and easy[t] < middle
        kinds["classes overlap less"] = lambda t: t in easy and easy[t] >= middle
    return kinds
