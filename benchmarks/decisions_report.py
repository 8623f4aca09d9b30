"""Tables of the suite on decisions."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.ranks import Pair, compare

__all__ = [
    "Values",
    "against",
    "by_data",
    "chosen_on",
    "classifiers_of",
    "collect",
    "has_costs",
    "of_priors",
    "of_ways",
    "shown",
    "write_report",
]

METRICS = {
    "bacc": "bACC",
    "f1": "macro F1",
    "worst": "recall of the worst class",
    "log_loss": "log loss",
    "even": "cost",
    "inverse": "cost, rare classes dear",
}
LOSSES = {"log_loss", "even", "inverse"}
COSTS = ("even", "inverse")
Values = dict[str, dict[str, float]]  # row -> data set -> mean over repeats


def has_costs(metric: str) -> bool:
    """Return whether a metric is a mean cost, in shares of that of the plain argmax."""
    return metric in COSTS


def collect(records: Iterable[dict[str, Any]], classifier: str, metric: str) -> Values:
    """Return row -> data set -> mean over repeats.

    Costs are geometric means, over the matrices of a kind, of the ratio to the plain argmax. The
    log loss leaves out data whose test part has another prior.
    """
    found: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record["kind"] != "decisions" or record["name"] != classifier:
            continue
        for row, value in _of_record(record, metric).items():
            found[row][record["data"]].append(value)
    return {row: {data: float(np.mean(v)) for data, v in of.items()} for row, of in found.items()}


def _of_record(record: dict[str, Any], metric: str) -> dict[str, float]:
    if has_costs(metric):
        return _cost_ratios(record, metric)
    if metric == "log_loss" and not record["same_prior"]:
        return {}
    return {row: scores[metric] for row, scores in record["scores"].items()}


def _cost_ratios(record: dict[str, Any], kind: str) -> dict[str, float]:
    drawn = [of for which, of in record["costs"].items() if which.split()[0] == kind]
    logs = {row: [np.log(of[row] / of["argmax"]) for of in drawn] for row in drawn[0]}
    return {row: float(np.exp(np.mean(values))) for row, values in logs.items()}


def of_priors(records: Iterable[dict[str, Any]], classifier: str, part: str, metric: str) -> Values:
    """Return target prior -> data set -> mean over repeats; `part` is "shifted" or "as they are"."""
    found: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record["kind"] == "priors" and record["name"] == classifier:
            for row, scores in record["priors"][part].items():
                found[row][record["data"]].append(scores[metric])
    return {row: {data: float(np.mean(v)) for data, v in of.items()} for row, of in found.items()}


def of_ways(records: Iterable[dict[str, Any]], metric: str) -> dict[str, dict[str, list[float]]]:
    """Return way -> text set -> scores of the repeats."""
    found: dict[str, dict[str, list]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        if record["kind"] == "text":
            found[record["name"]][record["data"]].append(record["scores"][record["name"]][metric])
    return found


def by_data(of: Values, row: str) -> list[float]:
    """Return the values of a row, data sets in sorted order."""
    return [of[row][data] for data in sorted(of[row])]


def against(of: Values, row: str, other: str, metric: str) -> Pair | None:
    """Compare two rows over the data sets that both have; costs by the logarithm of their ratio."""
    shared = sorted(of[row].keys() & of.get(other, {}).keys())
    if row == other or not shared:
        return None
    own, rival = (np.array([of[name][data] for data in shared]) for name in (row, other))
    if has_costs(metric):
        own, rival = np.log(own), np.log(rival)
    return compare(own, rival)


def classifiers_of(records: Iterable[dict[str, Any]]) -> list[str]:
    """Return the names of classifiers, in the order of the file."""
    return list(dict.fromkeys(record["name"] for record in records if record["kind"] != "text"))


def write_report(records: list[dict[str, Any]], folder: Path) -> None:
    """Write ``decisions.md`` and ``decisions.csv``."""
    folder.mkdir(parents=True, exist_ok=True)
    records = list({record["key"]: record for record in records}.values())
    decided = [record for record in records if record["kind"] == "decisions"]
    shifted = [record for record in records if record["kind"] == "priors"]
    parts = [_heading(records)]
    parts += [_decisions(decided, name) for name in classifiers_of(decided)]
    parts += [_thresholds(decided)] if decided else []
    parts += [_priors(shifted)] if shifted else []
    parts.append(_ways(records))
    (folder / "decisions.md").write_text("\n".join(part for part in parts if part))
    with (folder / "decisions.csv").open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["part", "classifier", "score", "row", "data", "value"])
        writer.writerows(_csv_rows(records))


def _heading(records: list[dict]) -> str:
    sizes = {}
    for record in records:
        sizes[record["data"]] = record
    lines = ["| data | rows | classes | largest | smallest | of |", "|---|---|---|---|---|---|"]
    for name, record in sizes.items():
        counts = record["class_counts"]
        n = record["n"] if record["n_test"] is None else f"{sum(counts)} + {record['n_test']}"
        cells = [name, str(n), str(len(counts)), str(max(counts)), str(min(counts)), record["of"]]
        lines.append(f"| {' | '.join(cells)} |")
    repeats = Counter((r["data"], r["name"]) for r in records if r["kind"] == "decisions").values()
    return (
        f"# Decisions for many classes\n\n{len(sizes)} data sets, "
        f"{min(repeats, default=0)} to {max(repeats, default=0)} repeats of a stratified three-fold "
        "cross-validation, or the training and test part that a set comes with (rows + test rows). "
        "All that is tuned or learnt is so on training parts; scores are pooled over folds. Rows "
        "of the tables: *one-vs-rest* is OneVsRestClassifier(TunedThresholdClassifierCV): as "
        "it comes it predicts the largest score, and the thresholds have no say; *thresholds*: the "
        "most probable of the classes whose threshold is passed, else of all; *ratio to threshold*: "
        "the largest ratio of probability to threshold. Log loss: at the prior of the training "
        "part, sets whose test part has that prior. Costs: five matrices per set and kind, drawn "
        "log-uniform between 1 and 10, the second kind divided by the share of the true class; "
        "ratio to the plain argmax, geometric mean. Comparisons: wins/ties/losses over data sets "
        "(smaller wins for losses), mean difference, Wilcoxon's p.\n\n" + "\n".join(lines) + "\n"
    )


def _decisions(records: list[dict], classifier: str) -> str:
    of = {metric: collect(records, classifier, metric) for metric in METRICS}
    head = ["row", *METRICS.values()]
    for metric in ("bacc", "f1", *COSTS):
        head += [f"{METRICS[metric]}: against {other}" for other in ("argmax", "balanced prior")]
    lines = [f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
    for row in of["even"]:
        cells = [row, *(shown(metric, of[metric], row) for metric in METRICS)]
        for metric in ("bacc", "f1", *COSTS):
            for other in ("argmax", "balanced prior"):
                cells.append(told(of[metric], row, other, metric))
        lines.append(f"| {' | '.join(cells)} |")
    n = len(of["even"]["argmax"])
    return f"## {classifier}, {n} data sets\n\n" + "\n".join(lines) + "\n"


def shown(metric: str, of: Values, row: str) -> str:
    """Return the mean over data sets as text: per cent, or the number for losses and ratios."""
    if row not in of:
        return ""
    values = by_data(of, row)
    if has_costs(metric):
        return f"{np.exp(np.mean(np.log(values))):.2f}"
    return f"{np.mean(values):.3f}" if metric in LOSSES else f"{100 * np.mean(values):.1f}"


def told(of: Values, row: str, other: str, metric: str) -> str:
    """Return a comparison as text."""
    pair = against(of, row, other, metric) if row in of else None
    if pair is None:
        return ""
    wins, losses = (
        (pair.losses, pair.wins)
        if metric in LOSSES or has_costs(metric)
        else (pair.wins, pair.losses)
    )
    if has_costs(metric):
        gap = f"x {np.exp(pair.difference):.2f}"
    elif metric in LOSSES:
        gap = f"{pair.difference:+.3f}"
    else:
        gap = f"{100 * pair.difference:+.1f}"
    return f"{wins}/{pair.ties}/{losses}, {gap}, p = {pair.p:.3f}"


def _thresholds(records: list[dict]) -> str:
    lines = ["| classifier | none passed | one | several |", "|---|---|---|---|"]
    for name in classifiers_of(records):
        found = [record["thresholds_passed"] for record in records if record["name"] == name]
        cells = [
            f"{100 * np.mean([of[k] for of in found]):.0f}" for k in ("none", "one", "several")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return (
        "## Thresholds of one-vs-rest that a test row passes\n\nPer cent of the rows, mean over "
        "data sets.\n\n" + "\n".join(lines) + "\n"
    )


def _priors(records: list[dict]) -> str:
    lines = []
    head = ["classifier", "target prior", "log loss", "accuracy", "error of the shares"]
    head += ["log loss: against training", "log loss: against balanced"]
    head += ["accuracy: against training", "accuracy: against balanced"]
    for part in ("shifted", "as they are"):
        lines += [f"\n### {part}\n", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for name in classifiers_of(records):
            of = {m: of_priors(records, name, part, m) for m in ("log_loss", "accuracy")}
            off = of_priors(records, name, part, "share_error")
            for row in off:
                cells = [name, row, *(shown(m, of[m], row) for m in of), shown("", off, row)]
                cells += [told(of[m], row, o, m) for m in of for o in ("training", "balanced")]
                lines.append(f"| {' | '.join(cells)} |")
    return (
        "## Another prior in the test part\n\nFor each split a prior is drawn (uniform over all "
        "priors) and test rows with it, with replacement, as many as there are; *as they are*: "
        "the test part without a change. *estimated*: by expectation-maximisation from these rows "
        "without their labels; *smoothed*: as if one more row of each class had been counted. The "
        "error of the shares is the total variation to the true ones, in per cent.\n"
        + "\n".join(lines)
        + "\n"
    )


def _ways(records: list[dict]) -> str:
    scores = {metric: of_ways(records, metric) for metric in ("bacc", "f1", "ap", "worst")}
    if not scores["bacc"]:
        return ""
    sets = sorted({data for of in scores["bacc"].values() for data in of})
    titles = {"bacc": "bACC", "f1": "macro F1", "ap": "average precision", "worst": "worst class"}
    lines = []
    for data in sets:
        head = ["way", "repeats", *titles.values()]
        lines += [f"\n### {data}\n", f"| {' | '.join(head)} |", "|" + "---|" * len(head)]
        for way, of in scores["bacc"].items():
            if data in of:
                cells = [way, str(len(of[data]))]
                cells += [f"{100 * np.mean(scores[metric][way][data]):.1f}" for metric in titles]
                lines.append(f"| {' | '.join(cells)} |")
        lines += ["", *chosen_on(records, data)]
    return (
        "## Texts: ways to treat the training data, logistic regression\n\nMeans over repeats."
        "\n" + "\n".join(lines) + "\n"
    )


def chosen_on(records: Iterable[dict[str, Any]], data: str) -> list[str]:
    """Return what was chosen on a text set how often, and one of the reasons."""
    choices = [
        choice
        for record in records
        if record["kind"] == "text" and record["data"] == data
        for choice in record["choices"]
    ]
    counts = Counter(choice["chosen"] for choice in choices)
    reason = {choice["chosen"]: choice["reason"] for choice in choices}
    return [
        f"*auto* chose {way}, {n} of {len(choices)} times; for example: {reason[way]}"
        for way, n in counts.most_common()
    ]


def _csv_rows(records: list[dict]) -> Iterable[list]:
    for name in classifiers_of(records):
        for metric in METRICS:
            of = collect(records, name, metric)
            for row, values in of.items():
                for data, value in values.items():
                    yield ["decisions", name, metric, row, data, f"{value:.5f}"]
        for part in ("shifted", "as they are"):
            for metric in ("log_loss", "accuracy", "share_error"):
                for row, values in of_priors(records, name, part, metric).items():
                    for data, value in values.items():
                        yield [f"prior, {part}", name, metric, row, data, f"{value:.5f}"]
    for metric in ("bacc", "f1", "ap", "worst"):
        for way, of in of_ways(records, metric).items():
            for data, values in of.items():
                yield ["text", "LR", metric, way, data, f"{np.mean(values):.5f}"]
