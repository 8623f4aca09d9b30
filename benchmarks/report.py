"""Tables of a suite, in Markdown and CSV, beside the paper's cells."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.cards import card
from benchmarks.comparison import Bootstrap, Interval, correct_samples
from benchmarks.paper import Cell, paper_column
from benchmarks.records import read_records
from benchmarks.suites import Run, Suite

__all__ = ["Results", "as_csv", "as_markdown", "write_tables"]

METRICS = {
    "bACC": "balanced_accuracy",
    "GM": "geometric_mean",
    "GM floored .1": "geometric_mean_floored",
    "many": "many",
    "medium": "medium",
    "few": "few",
}
OVER = ("both", "samples", "seeds")
PICKS = {"last": "Last epoch", "best": "Best epoch by validation"}
CSV_METRICS = {**METRICS, "classes never recalled": "n_zero_recall", "accuracy": "accuracy"}


class Results:
    """The records of a suite, sorted into its rows.

    Parameters
    ----------
    suite : Suite
        The suite; records of other specs are left aside.
    records : list of dict
        What was read. Of two records of one run, the later one counts.
    """

    def __init__(self, suite: Suite, records: list[dict[str, Any]]):
        self.suite = suite
        self.of: dict[tuple[str, str], dict[int, dict[str, Any]]] = {}
        for run in suite.runs:
            own = {r["seed"]: r for r in records if r["spec"] == run.spec}
            if own:
                self.of[run.variant, run.row] = dict(sorted(own.items()))

    @property
    def used(self) -> list[dict[str, Any]]:
        """All records that stand in the tables."""
        return [record for records in self.of.values() for record in records.values()]

    def runs(self, variant: str) -> list[Run]:
        """Return the rows of a variant that have records."""
        return [r for r in self.suite.runs if r.variant == variant and (variant, r.row) in self.of]

    def scores(self, run: Run, pick: str, metric: str) -> list[float]:
        """Return a score per seed, as a share; empty where there was no epoch to pick."""
        picked = [record[pick] for record in self.of[run.variant, run.row].values()]
        return [p["scores"][metric] for p in picked if p and p["scores"][metric] is not None]

    def worst_class(self, run: Run, pick: str) -> list[float]:
        """Return the lowest recall of a class per seed; empty where there was no epoch to pick."""
        picked = [record[pick] for record in self.of[run.variant, run.row].values()]
        recalls = [[r for r in p.get("recall", []) if r is not None] for p in picked if p]
        return [min(recall) for recall in recalls if recall]

    def papers(self, variant: str) -> list[str]:
        """Return the papers whose cells stand beside the rows of a variant."""
        cells = [self.paper_cell(run, "bACC") for run in self.runs(variant)]
        return list(dict.fromkeys(cell.paper for cell in cells if cell is not None))

    def validation(self, run: Run, pick: str) -> list[float]:
        """Return bACC on the validation part per seed."""
        picked = [record[pick] for record in self.of[run.variant, run.row].values()]
        return [p["validation_bacc"] for p in picked if p and p["validation_bacc"] is not None]

    def acceptance(self, run: Run) -> list[float]:
        """Return the share of candidates that was accepted, per seed."""
        records = self.of[run.variant, run.row].values()
        return [r["acceptance"] for r in records if r["acceptance"] is not None]

    def paper_cell(self, run: Run, metric: str) -> Cell | None:
        """Return what a paper prints for the row, if one does: the first of those in the suite file."""
        for table in self.suite.paper.get("tables", []):
            name = table.get("name", self.suite.paper.get("name"))
            known = ("", name, f"{name}, {table['table']}")
            if run.variant in table.get("variants", [run.variant]) and run.paper in known:
                cell = _cell(name, table, metric, run.paper_row)
                if cell is not None:
                    return cell
        return None

    def correct(self, variant: str, row: str, seeds: list[int]) -> np.ndarray:
        """Return which samples were recognised after the last epoch, (n_seeds, n_samples)."""
        records = [self.of[variant, row][seed] for seed in seeds]
        return np.array([correct_samples(r["last"]["correct"], r["n_test"]) for r in records])


def _cell(paper: str, table: dict[str, Any], metric: str, row: str) -> Cell | None:
    """Look a row up in a table; where errors are printed on a balanced test set, bACC is the rest."""
    if metric in table:
        return paper_column(paper, table["table"], table[metric]).get(row)
    if metric != "bACC" or "error" not in table:
        return None
    cell = paper_column(paper, table["table"], table["error"]).get(row)
    return cell and cell._replace(value=round(100 - cell.value, 2))


def write_tables(suite: Suite, *, records: Path, tables: Path) -> list[Path]:
    """Write the tables of a suite.

    Parameters
    ----------
    suite : Suite
        The suite.
    records, tables : Path
        Folders to read from and to write to.

    Returns
    -------
    list of Path
        The files written; none without records.
    """
    found, _ = read_records(records / f"{suite.name}.jsonl")
    results = Results(suite, found)
    if not results.of:
        return []
    tables.mkdir(parents=True, exist_ok=True)
    written = []
    for ending, text in (("md", as_markdown(results)), ("csv", as_csv(results))):
        path = tables / f"{suite.name}.{ending}"
        path.write_text(text, encoding="utf-8")
        written.append(path)
    return written


def as_markdown(results: Results) -> str:
    """Return all tables of a suite as Markdown.

    Parameters
    ----------
    results : Results
        The sorted records.
    """
    suite = results.suite
    parts = [f"# {suite.title}", suite.notes.strip(), READING]
    for variant in suite.variants:
        if not results.runs(variant):
            continue
        parts.append(f"## {variant}")
        for pick, title in PICKS.items():
            parts.append(f"### {title}\n\n{_score_table(results, variant, pick)}")
        own = [results.of[variant, run.row].values() for run in results.runs(variant)]
        told = card([record for of_row in own for record in of_row], results.papers(variant))
        parts += [f"### Protocol\n\n{told}"] if told else []
        comparison = _comparison_table(results, variant)
        if comparison:
            parts.append(f"### Paired differences in bACC, last epoch\n\n{comparison}")
    parts += [_row_notes(results), _provenance(results)]
    return "\n\n".join(part for part in parts if part) + "\n"


READING = """Per cent, mean ± standard deviation over n seeds. GM is the geometric mean of the
recalls: 0 as soon as one class is never recalled; "GM floored .1" raises every recall
to at least .1. "Worst class": the lowest recall of a class. Many: classes with more
than 100 training samples, few: less than 20. "bACC valid." is that of the held-out part
of the training data. "Accepted" is the share of synthesized candidates that passed the
tests; the real sample stays where one did not."""

INTERVALS = """95 % intervals of the bootstrap: over test samples, drawn within their classes, and
seeds; over samples alone; over seeds alone, which is too narrow with few seeds."""


def _score_table(results: Results, variant: str, pick: str) -> str:
    runs = results.runs(variant)
    has_paper = any(results.paper_cell(run, "bACC") for run in runs)
    accepted = any(results.acceptance(run) for run in runs)
    where = results.suite.paper.get("where")
    paper = [f"paper {m}{f', {where}' if where else ''}" for m in ("bACC", "GM") if has_paper]
    header = [
        "method",
        *METRICS,
        "worst class",
        *paper,
        *(["accepted"] if accepted else []),
        "bACC valid.",
        "n",
    ]
    rows = [header]
    for run in runs:
        cells = [_spread(results.scores(run, pick, metric)) for metric in METRICS.values()]
        cells.append(_spread(results.worst_class(run, pick)))
        if has_paper:
            told = [results.paper_cell(run, metric) for metric in ("bACC", "GM")]
            cells += [_printed(cell, named="name" not in results.suite.paper) for cell in told]
        if accepted:
            cells.append(_rounded(results.acceptance(run)))
        cells.append(_spread(results.validation(run, pick)))
        rows.append([run.row, *cells, str(len(results.scores(run, pick, "balanced_accuracy")))])
    return _table(rows)


def _comparison_table(results: Results, variant: str) -> str:
    present = [run.row for run in results.runs(variant)]
    references = [name for name in results.suite.references if name in present]
    if not references:
        return ""
    header = ["method", "bACC"]
    for name in references:
        header += [f"- {name}", "both", "samples", "seeds"]
    rows = [_compared(results, variant, row, references) for row in present]
    return f"{INTERVALS}\n\n{_table([header, *rows])}"


def _compared(results: Results, variant: str, row: str, references: list[str]) -> list[str]:
    own = list(results.of[variant, row])
    interval = _interval(results, variant, row, None, own, "both")
    cells = [row, f"{100 * interval.mean:.1f} {_range(interval)}"]
    for name in references:
        seeds = [seed for seed in own if seed in results.of[variant, name]]
        if row == name or not seeds:
            cells += ["", "", "", ""]
            continue
        found = [_interval(results, variant, row, name, seeds, over) for over in OVER]
        cells += [f"{100 * found[0].mean:+.1f}", *map(_range, found)]
    return cells


def _interval(
    results: Results, variant: str, row: str, reference: str | None, seeds: list[int], over: str
) -> Interval:
    n_test = tuple(results.of[variant, row][seeds[0]]["n_test"])
    bootstrap = _bootstrap(n_test, len(seeds), over)
    correct = results.correct(variant, row, seeds)
    if reference is None:
        return bootstrap.balanced_accuracy(correct)
    return bootstrap.difference(correct, results.correct(variant, reference, seeds))


@lru_cache(maxsize=8)
def _bootstrap(n_test: tuple[int, ...], n_seeds: int, over: str) -> Bootstrap:
    return Bootstrap(n_test, n_seeds, samples=over != "seeds", seeds=over != "samples")


def as_csv(results: Results) -> str:
    """Return all means in long form: one line per variant, row, epoch and metric.

    Parameters
    ----------
    results : Results
        The sorted records.
    """
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(
        ["suite", "variant", "row", "epoch", "metric", "mean", "std", "n", "paper", "paper_std"]
    )
    for run in results.suite.runs:
        if (run.variant, run.row) not in results.of:
            continue
        for pick in PICKS:
            values = {m: results.scores(run, pick, name) for m, name in CSV_METRICS.items()}
            values["worst class"] = results.worst_class(run, pick)
            values["validation bACC"] = results.validation(run, pick)
            values["acceptance"] = results.acceptance(run)
            for metric, told in values.items():
                if told:
                    writer.writerow(_csv_line(results, run, pick, metric, told))
    return out.getvalue()


def _csv_line(results: Results, run: Run, pick: str, metric: str, told: list[float]) -> list[Any]:
    cell = results.paper_cell(run, metric)
    factor = 1 if metric == "classes never recalled" else 100
    std = np.std(told, ddof=1) * factor if len(told) > 1 else math.nan
    printed = ["", ""] if cell is None else [cell.value, "" if cell.std is None else cell.std]
    mean = f"{np.mean(told) * factor:.3f}"
    deviation = "" if math.isnan(std) else f"{std:.3f}"
    where = [results.suite.name, run.variant, run.row, pick, metric]
    return [*where, mean, deviation, len(told), *printed]


def _spread(values: list[float]) -> str:
    if not values:
        return "-"
    mean = f"{100 * np.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * np.std(values, ddof=1):.1f}"


def _rounded(values: list[float]) -> str:
    return f"{100 * np.mean(values):.0f}" if values else "-"


def _printed(cell: Cell | None, *, named: bool) -> str:
    if cell is None:
        return "-"
    value = f"{cell.value}" if cell.std is None else f"{cell.value} ± {cell.std}"
    return f"{value} ({cell.paper})" if named else value


def _range(interval: Interval) -> str:
    return f"[{100 * interval.low:.1f}, {100 * interval.high:.1f}]"


def _table(rows: list[list[str]]) -> str:
    header, *body = rows
    lines = [header, ["---"] + ["---:"] * (len(header) - 1), *body]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _row_notes(results: Results) -> str:
    notes = {run.row: run.note for run in results.suite.runs if run.note}
    lines = [f"- {row}: {note}" for row, note in notes.items()]
    for run in results.suite.runs:
        cell = results.paper_cell(run, "bACC")
        if cell is not None and cell.note and run.variant == results.suite.variants[0]:
            lines.append(f"- Paper, {cell.row}: {cell.note}.")
    return "## Notes\n\n" + "\n".join(lines) if lines else ""


def _provenance(results: Results) -> str:
    """Say what the records were made with."""
    seen: dict[str, set[str]] = defaultdict(set)
    for record in results.used:
        state = " with changes" if record["dirty"] else ""
        seen["commit"].add(f"{(record['commit'] or 'none')[:10]}{state}")
        seen["sources"].add(record["source_sha256"])
        machine = record["machine"]
        card = f"{machine['card']}, " if "card" in machine else ""
        card += "CUDA graphs, " if machine.get("cuda_graphs") else ""
        seen["machine"].add(
            f"{card}{machine['cpu']}, {machine['cores']} cores, threads per run: "
            f"{machine['threads']}"
        )
        for name, number in record["versions"].items():
            seen[name].add(str(number))
        seen["data"].add(record["data_sha256"])
        seen["warned"].update(text.split(":")[0] for text in record["warnings"])
    seconds = sum(sum(record["seconds"].values()) for record in results.used)
    busy = sum(record.get("cpu_seconds", 0.0) for record in results.used)
    days = sorted(record["finished"][:10] for record in results.used)
    lines = [
        f"- {len(results.used)} runs, {seconds / 60:.1f} minutes one after the other, "
        f"{busy / 60:.1f} of them on a processor, "
        f"{days[0]} to {days[-1]}",
        *(f"- {name}: {', '.join(sorted(values))}" for name, values in seen.items()),
    ]
    return "## Records\n\n" + "\n".join(lines)
