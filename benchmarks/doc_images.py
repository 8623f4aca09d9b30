"""Tables of the user guide's page on images: scores, the papers' claims, what decides, what it cost."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.comparison import Bootstrap, Interval
from benchmarks.paper import paper_column
from benchmarks.records import read_records
from benchmarks.report import Results
from benchmarks.rst import percent, rst_table, with_zeros
from benchmarks.suites import Run, load_suite
from benchmarks.trunks import Stretch, plan, trainings_of

__all__ = [
    "candidates",
    "claims",
    "costs",
    "full_protocol",
    "guides",
    "milder",
    "scores",
    "settings",
]

SUITE, SETTINGS = "fashion_mnist_lt", "fashion_mnist_lt_settings"
CARD, BASE = "cifar10_lt_card", "ERM"
VARIANT, REFERENCE = "IF 100", "DRS"
MILDER, ITS_REFERENCES = "IF 50", ("DRS", "BS", "CMO-DRW")
ITS_VARIANT = "as it is"
# rows with M2m by what guides them, from the weakest to the strongest
GUIDED = {
    "M2m, g: ERM of 12 epochs": "ERM, 12 epochs",
    "M2m, g from f's training": "the network's own training",
    "M2m": "ERM (M2m's paper)",
    "M2m, g: DRS": "DRS",
    "M2m, g that has seen the left-out images": "has seen all other images",
}
PLAIN = ("M2m", "M2m, g from f's training")  # these are in both tables
CANDIDATE_KEYS = ("acceptance", "synthetic", "known_to_f", "seen_as_label", "seen_as_source")


class Claim(NamedTuple):
    """A row that a paper has above another one, and the two cells that say so."""

    row: str
    over: str
    paper: str
    table: str
    column: str
    cells: tuple[str, str]


ERROR = "CIFAR-LT-10 IF 100 error"
CLAIMS = [
    Claim("M2m", "DRS", "M2m", "1", "CIFAR-LT-10 IF 100 bACC", ("M2m", "DRS")),
    Claim("M2m, chosen", "DRS", "M2m", "1", "CIFAR-LT-10 IF 100 bACC", ("M2m", "DRS")),
    Claim("M2m, g from f's training", "DRS", "M2m", "1", "CIFAR-LT-10 IF 100 bACC", ("M2m", "DRS")),
    Claim("LDAM+M2m", "LDAM-DRW", "M2m", "1", "CIFAR-LT-10 IF 100 bACC", ("LDAM+M2m", "LDAM-DRW")),
    Claim("DM", "M2m", "DM", "1", ERROR, ("DM", "M2m")),
    Claim("DM+BS", "BS", "DM", "3", ERROR, ("BS+DM", "BS")),
    Claim("OTMix", "CMO", "OTMix", "1 and 6", ERROR, ("ERM+OTMix", "ERM+CMO")),
    Claim("OTMix-DRW", "DRW", "OTMix", "1 and 6", ERROR, ("DRW+OTMix", "DRW")),
    Claim("OTMix-DRW", "BS", "OTMix", "1 and 6", ERROR, ("DRW+OTMix", "BALMS")),
    Claim("OTMix-DRW", "CMO-DRW", "OTMix", "1 and 6", ERROR, ("DRW+OTMix", "DRW+CMO")),
    Claim("OTMix-BS", "BS", "OTMix", "1 and 6", ERROR, ("BALMS+OTMix", "BALMS")),
    Claim("RIDE+OTMix", "RIDE", "OTMix", "1 and 6", ERROR, ("RIDE-3+OTMix", "RIDE-3")),
    Claim("OS", "ERM", "Open-sampling", "1", "CIFAR-LT-10 IF 100 accuracy", ("OS", "Standard")),
    Claim("OS+BS", "BS", "Open-sampling", "1", "CIFAR-LT-10 IF 100 accuracy", ("BS+OS", "BS")),
    Claim(
        "OS+BS, photographs",
        "BS",
        "Open-sampling",
        "1",
        "CIFAR-LT-10 IF 100 accuracy",
        ("BS+OS", "BS"),
    ),
    Claim("SAFA", "ERM", "SAFA", "1 and 6", ERROR, ("CB-SAFA", "CB-CE")),
    Claim("LDAM-DRW+SAFA", "LDAM-DRW", "SAFA", "1 and 6", ERROR, ("LDAM-DRW-SAFA", "LDAM-DRW")),
]


def scores(records: Path) -> str:
    """Return scores of all rows, with intervals over test images and seeds."""
    results = _results(records, SUITE)
    runs = results.runs(VARIANT)
    if not runs:
        return ""
    header = [
        "method",
        "bACC",
        "95 %",
        "over DRS",
        "95 %",
        "many",
        "few",
        "worst class",
        "accepted",
    ]
    body = [_score_row(results, run) for run in runs]
    note = f"""Balanced accuracy (bACC), recall of the classes with more than 100 training images
(many) and with fewer than 20 (few), and of the worst class, in per cent after the last epoch, mean over
{_seeds(results, runs)}; *95 %* are bootstrap intervals over test images and seeds;
*over {REFERENCE}* is the paired difference to the row {REFERENCE}. *Accepted* is the share of
synthesized candidates that passed the method's tests, *n* the number of seeds.
``python -m benchmarks.run {SUITE}``:"""
    return f"{note}\n\n{rst_table([[*header, 'n'], *body])}"


def _score_row(results: Results, run: Run) -> list[str]:
    own = _interval(results, run.row, None)
    cells = [run.row, f"{100 * own.mean:.1f}", _range(own)]
    apart = None if run.row == REFERENCE else _interval(results, run.row, REFERENCE)
    cells += ["\\-", "\\-"] if apart is None else [_signed(apart.mean), _range(apart)]
    for name in ("many", "few"):
        cells.append(percent(results.scores(run, "last", name)))
    cells += [percent(results.worst_class(run, "last")), percent(_searched(results, run))]
    return [*cells, str(len(results.of[VARIANT, run.row]))]


def milder(records: Path) -> str:
    """Return scores of the main rows at half the imbalance, beside two references."""
    results = _results(records, SUITE)
    runs = results.runs(MILDER)
    if not runs:
        return ""
    header = ["method", "bACC", *(f"over {name}" for name in ITS_REFERENCES)]
    body = [_milder_row(results, run) for run in runs]
    names = " ".join(f'"{run.row}"' if " " in run.row else run.row for run in runs)
    note = f"""With 1,000 to 20 images a class, main rows only, means over {_seeds(results, runs)}:
balanced accuracy and paired differences, in brackets bootstrap intervals over test images and seeds.
``python -m benchmarks.run {SUITE} --variants "{MILDER}" --only {names}``:"""
    return f"{note}\n\n{rst_table([header, *body])}"


def _milder_row(results: Results, run: Run) -> list[str]:
    own = _interval(results, run.row, None, MILDER)
    cells = [run.row, f"{100 * own.mean:.1f} ({_range(own)})"]
    for name in ITS_REFERENCES:
        apart = None if run.row == name else _interval(results, run.row, name, MILDER)
        cells.append("\\-" if apart is None else f"{_signed(apart.mean)} ({_range(apart)})")
    return cells


def full_protocol(records: Path) -> str:
    """Return scores of the papers' protocol on a card, beside the papers' cells."""
    results = _results(records, CARD)
    runs = results.runs(VARIANT)
    if not runs:
        return ""
    differences = [f"over {name}" for name in (BASE, REFERENCE)]
    header = ["method", "bACC", *differences, "worst class", "accepted", "minutes"]
    rows = [[*header, "in the paper", f"over {BASE}"]]
    rows += [_card_row(results, run) for run in runs]
    note = f"""Balanced accuracy in per cent after the last epoch, {_seeds(results, runs)}; in brackets
bootstrap intervals over test images{" and seeds" if _seeds(results, runs) != "one seed" else ""}.
*Minutes* are those of the row alone, its guide's epochs included, while another row trained on the same
card. *In the paper*: balanced accuracy and its gain over plain training, as printed.
``python -m benchmarks.run {CARD} --device cuda --cuda-graphs``:"""
    return f"{note}\n\n{rst_table(rows)}"


def _card_row(results: Results, run: Run) -> list[str]:
    own = _interval(results, run.row, None)
    cells = [with_zeros(run.row), f"{100 * own.mean:.1f} ({_range(own)})"]
    for name in (BASE, REFERENCE):
        apart = None if run.row == name else _interval(results, run.row, name)
        cells.append("\\-" if apart is None else f"{_signed(apart.mean)} ({_range(apart)})")
    seconds = [sum(r["seconds"].values()) for r in results.of[VARIANT, run.row].values()]
    cells += [percent(results.worst_class(run, "last")), percent(_searched(results, run))]
    cells.append(f"{np.mean(seconds) / 60:.1f}")
    cell = results.paper_cell(run, "bACC")
    if cell is None:
        return [*cells, "\\-", "\\-"]
    plain = results.paper_cell(dataclasses.replace(run, paper_row=BASE), "bACC")
    is_gain = plain is not None and plain.paper == cell.paper and run.row != BASE
    gain = f"{cell.value - plain.value:+.1f}" if is_gain else "\\-"
    return [*cells, f"{cell.value:.1f} ({cell.paper})", gain]


def _searched(results: Results, run: Run) -> list[float]:
    """Return the acceptance of methods that test candidates; mixing accepts everything."""
    return [rate for rate in results.acceptance(run) if rate < 1]


def claims(records: Path) -> str:
    """Return what is left of the papers' main claims."""
    results = _results(records, SUITE)
    rows = [["claim", "in the paper", "here", "95 %", "seed by seed", "so it is"]]
    for claim in CLAIMS:
        apart = _interval(results, claim.row, claim.over)
        if apart is not None:
            each = _by_seed(results, claim.row, claim.over)
            told = ", ".join(_signed(value) for value in each)
            name = f"{claim.row} above {claim.over}"
            printed = f"{_printed(claim):+.1f}"
            cells = [name, printed, _signed(apart.mean), _range(apart), told]
            rows.append([*cells, verdict(apart, each)])
    if len(rows) == 1:
        return ""
    note = """Differences in balanced accuracy in points: in the paper on CIFAR-10-LT, imbalance factor
100, and here, paired, with the bootstrap interval over test images and seeds. *Shown* and *refuted*: the
interval is on one side of zero and so is every seed, of two or more; all else is *not decidable*."""
    return f"{note}\n\n{rst_table(rows)}"


def verdict(apart: Interval, each: Sequence[float]) -> str:
    """Say in a word what a difference shows, if anything.

    Examples
    --------
    >>> verdict(Interval(0.02, 0.01, 0.03), [0.02, 0.02])
    'shown, 2 seeds'
    >>> verdict(Interval(0.02, 0.01, 0.03), [0.02])
    'not decidable, 1 seed'
    """
    n = len(each)
    if n < 2:
        return "not decidable, 1 seed"
    if apart.low > 0 and min(each) > 0:
        return f"shown, {n} seeds"
    if apart.high < 0 and max(each) < 0:
        return f"refuted, {n} seeds"
    return f"not decidable, {n} seeds"


def settings(records: Path) -> str:
    """Return what was varied on held-out training images."""
    results = _results(records, SETTINGS)
    rows = [["protocol", "method", "bACC", "over DRS", "95 %", "few", "accepted", "synthetic", "n"]]
    for variant in results.suite.variants:
        shown = [run for run in results.runs(variant) if run.row not in GUIDED or run.row in PLAIN]
        for i, run in enumerate(shown):
            rows.append(["\\" if i else with_zeros(variant), *_setting_row(results, run)])
    if len(rows) == 1:
        return ""
    note = f"""Scored on held-out training images, not on test images; changed are the protocol (first
column) or the method. *over {REFERENCE}* is the paired difference to {REFERENCE}
in the same protocol (*crops behind synthesis*: to {REFERENCE} with crops in the same place), *95 %*
its bootstrap interval over images and seeds, *synthetic* the share of the late batches that is
synthetic.
``python -m benchmarks.run {SETTINGS}``:"""
    return f"{note}\n\n{rst_table(rows)}"


def _setting_row(results: Results, run: Run) -> list[str]:
    own = results.of[run.variant, run.row].values()
    cells = [with_zeros(run.row), percent(results.scores(run, "last", "balanced_accuracy"))]
    reference = run.trunk if run.trunk.startswith(f"{REFERENCE},") else REFERENCE
    apart = _interval(results, run.row, reference, run.variant)
    if run.row == REFERENCE or apart is None:
        cells += ["\\-", "\\-"]
    else:
        cells += [_signed(apart.mean), _range(apart)]
    cells += [percent(results.scores(run, "last", "few")), percent(results.acceptance(run))]
    return [*cells, percent(list(map(_late_share, own))), str(len(own))]


def guides(records: Path) -> str:
    """Return what M2m gains with guides that are more or less often right."""
    results = _results(records, SETTINGS)
    rows = [["guide", "its bACC", "accepted", "bACC", f"over {REFERENCE}", "95 %", "few", "n"]]
    found = {run.row: run for run in results.runs(ITS_VARIANT) if run.row in GUIDED}
    for row, name in GUIDED.items():
        if row in found:
            run, own = found[row], results.of[ITS_VARIANT, row].values()
            known = [record["guide_bacc"] for record in own if "guide_bacc" in record]
            bacc, over, interval, few, accepted, _, n = _setting_row(results, run)[1:]
            rows.append([name, percent(known), accepted, bacc, over, interval, few, n])
    if len(rows) == 1:
        return ""
    note = f"""M2m with the papers' settings and other guides, on the same held-out training images: the
guide's own balanced accuracy on them, where it was recorded, and what M2m comes to. The last guide has
seen the images that the tail leaves out, and not those that are scored; nobody has it.
``python -m benchmarks.run {SETTINGS} --variants "{ITS_VARIANT}"``:"""
    return f"{note}\n\n{rst_table(rows)}"


def _late_share(record: dict[str, Any]) -> float:
    """Return which share of the late batches was synthetic."""
    start = record["spec"]["classifier"]["start"]
    shares = record["curve"].get("share_synthesized", [])[start:]
    return float(np.mean(shares)) if shares else 0.0


def candidates(records: Path) -> str:
    """Return what candidates of M2m are, by setting."""
    path = records / f"{SETTINGS}_candidates.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    found = [json.loads(line) for line in lines]
    if not found:
        return ""
    header = ["method", "accepted", "missing rows made", "known to f"]
    rows = [[*header, "seen as label", "seen as source", "n"]]
    for row in dict.fromkeys(record["row"] for record in found):
        own = [record for record in found if record["row"] == row]
        shares = [[r[key] for r in own if r[key] is not None] for key in CANDIDATE_KEYS]
        rows.append([with_zeros(row), *map(percent, shares), str(len(own))])
    accuracy = percent([record["examiner"] for record in found])
    note = f"""All rows that the training images lack, made once; per cent. *Known to f*: in which share
of the accepted images the network in training sees their class, as it is when synthesis begins.
*Seen as label*, *seen as source*: in which share an examiner sees the class that they stand for, or
the one that they were made from. It was trained on nine tenths of all training images of
Fashion-MNIST, and is right on {accuracy} % of the others.
``python -m benchmarks.candidates {SETTINGS}``:"""
    return f"{note}\n\n{rst_table(rows)}"


def costs(records: Path) -> str:
    """Return what rows cost, as if none shared an epoch and as they are run."""
    results = _results(records, SUITE)
    measured = results.runs(VARIANT)
    if not measured:
        return ""
    alone = {
        run.row: float(np.mean([r["cpu_seconds"] for r in results.of[VARIANT, run.row].values()]))
        for run in measured
    }
    planned = [run for run in results.suite.runs if run.variant == VARIANT]
    rows = [["one seed", "epochs", "shared", "ratio", "seconds", "shared", "ratio"]]
    for name, runs in (("planned", planned), ("measured", measured)):
        for told, own in ((name, runs), (f"{name}, rows that share", _sharing(runs))):
            if own:
                cost = cost_of(own, alone if name == "measured" else {})
                rows.append([f"{told} ({len(own)})", *_cost_cells(cost)])
    note = f"""Epochs and seconds of one processor, row by row and with what rows share. A shared epoch
counts as one of the cheapest row that has it. ``python -m benchmarks.run {SUITE} --plan``:"""
    return f"{note}\n\n{rst_table(rows)}"


def _sharing(runs: list[Run]) -> list[Run]:
    """Return the rows that have a trunk, and those that are one."""
    trunks = {run.trunk for run in runs}
    rows = {run.row for run in runs}
    return [run for run in runs if run.trunk in rows or run.row in trunks]


def _cost_cells(cost: Cost) -> list[str]:
    cells = [str(cost.epochs_alone), str(cost.epochs), f"{cost.epochs_alone / cost.epochs:.2f}"]
    if not cost.seconds_alone:
        return [*cells, *["\\-"] * 3]
    seconds = cost.seconds_alone, cost.seconds
    return [*cells, *(f"{s:.0f}" for s in seconds), f"{seconds[0] / seconds[1]:.2f}"]


class Cost(NamedTuple):
    """What one seed of some rows takes."""

    epochs_alone: int
    epochs: int
    seconds_alone: float
    seconds: float


def cost_of(runs: list[Run], alone: dict[str, float]) -> Cost:
    """Return epochs and seconds of rows, with and without sharing.

    Parameters
    ----------
    runs : list of Run
        Rows of one variant, trained by stretches.
    alone : dict
        Seconds that each takes by itself, guides included; empty if only epochs are asked for.
    """
    trainings = {
        (run.row, name): training
        for run in runs
        for name, training in trainings_of(run.spec, 0, "").items()
    }
    chains = plan(trainings).chains
    n_alone = sum(training.n_epochs for training in trainings.values())
    per_row = {run.row: 0 for run in runs}
    for (row, _), training in trainings.items():
        per_row[row] += training.n_epochs
    pace = {row: alone.get(row, 0.0) / n for row, n in per_row.items()}
    users: dict[str, list[str]] = {}
    stretches: dict[str, Stretch] = {}
    for (row, _), chain in chains.items():
        for stretch in chain:
            stretches[stretch.key] = stretch
            users.setdefault(stretch.key, []).append(row)
    saved_epochs = saved = 0
    for key, rows in users.items():
        n = (len(rows) - 1) * (stretches[key].last - stretches[key].first)
        saved_epochs += n
        saved += n * min(pace[row] for row in rows)
    total = sum(alone.get(run.row, 0.0) for run in runs)
    return Cost(n_alone, n_alone - saved_epochs, total, total - saved)


def _results(records: Path, name: str) -> Results:
    return Results(load_suite(name), read_records(records / f"{name}.jsonl")[0])


def _interval(
    results: Results, row: str, reference: str | None, variant: str = VARIANT
) -> Interval | None:
    """Return bACC or a paired difference with its interval; None where a row has no records."""
    found = results.of.get((variant, row), {})
    seeds = [
        seed
        for seed in found
        if reference is None or seed in results.of.get((variant, reference), {})
    ]
    if not seeds:
        return None
    bootstrap = Bootstrap(tuple(found[seeds[0]]["n_test"]), len(seeds))
    correct = results.correct(variant, row, seeds)
    if reference is None:
        return bootstrap.balanced_accuracy(correct)
    return bootstrap.difference(correct, results.correct(variant, reference, seeds))


def _by_seed(results: Results, row: str, over: str) -> list[float]:
    """Return the differences in bACC of the seeds that both rows have."""
    own, its = results.of[VARIANT, row], results.of[VARIANT, over]
    both = [seed for seed in own if seed in its]
    name = "balanced_accuracy"
    return [own[s]["last"]["scores"][name] - its[s]["last"]["scores"][name] for s in both]


def _printed(claim: Claim) -> float:
    """Return the gain that a paper prints, in points."""
    column = paper_column(claim.paper, claim.table, claim.column)
    first, second = (column[cell].value for cell in claim.cells)
    return second - first if "error" in claim.column else first - second


def _seeds(results: Results, runs: list[Run]) -> str:
    counts = [len(results.of[run.variant, run.row]) for run in runs]
    if max(counts) == 1:
        return "one seed"
    return (
        f"{min(counts)} to {max(counts)} seeds"
        if min(counts) < max(counts)
        else f"{counts[0]} seeds"
    )


def _signed(share: float) -> str:
    return f"{round(100 * share, 6):+.1f}"  # means and seeds of the same value look the same


def _range(interval: Interval) -> str:
    return f"{100 * interval.low:.1f} to {100 * interval.high:.1f}"
