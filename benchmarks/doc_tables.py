"""Write the tables that stand in the user guide, from the records that are there.

    python -m benchmarks.doc_tables [--records DIR] [--out DIR]

A file is written anew if there are records for it, of a suite all; else it is left as it is.
"""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks import doc_decisions, doc_images
from benchmarks.ranks import compare
from benchmarks.records import read_records
from benchmarks.report import Results
from benchmarks.rst import rst_table, spread, with_zeros
from benchmarks.suites import load_suite
from benchmarks.tabular_questions import NAMES, QUESTIONS, RANKING, paired
from benchmarks.tabular_report import CORRECTED, by_repeat
from benchmarks.tabular_rows import CLASSIFIERS, FORESTS, ROWS

__all__ = ["rst_table"]

HERE = Path(__file__).parent


def suite_table(records: Path, name: str, *, partial: bool = False) -> str:
    """Return a suite's mean bACC after the last epoch, rows by variants, once all of it was run."""
    suite = load_suite(name)
    results = Results(suite, read_records(records / f"{name}.jsonl")[0])
    if len(results.used) < suite.n_seeds * len(suite.runs) and not partial:
        return ""
    cells: dict[str, dict[str, str]] = {}
    for run in suite.runs:
        if (run.variant, run.row) in results.of:
            told = spread(results.scores(run, "last", "balanced_accuracy"))
            cells.setdefault(run.row, {})[run.variant] = told
    if not cells:
        return ""
    variants = [v for v in suite.variants if any(v in own for own in cells.values())]
    body = [[with_zeros(row), *(own.get(v, "\\-") for v in variants)] for row, own in cells.items()]
    counts = sorted({len(own) for own in results.of.values()})
    n = " to ".join(map(str, {counts[0]: 0, counts[-1]: 0}))
    header = ["method", *(["bACC"] if len(suite.variants) == 1 else variants)]
    note = (
        f"Balanced accuracy on test data in per cent, mean ± standard deviation over {n} seeds; "
        f"``python -m benchmarks.run {name}``:"
    )
    return f"{note}\n\n{rst_table([header, *body])}"


def pair_counts(records: Path) -> str:
    """Return the rank correlations of pairs with confusions."""
    found = _lines(records / "otmix_pairs.jsonl")
    if not found:
        return ""
    rows = [["pairs", "mean", "each seed"]]
    for name in found[0]["rank_correlation"]:
        values = [record["rank_correlation"][name] for record in found]
        each = ", ".join(f"{value:.2f}" for value in values)
        rows.append([name, f"{np.mean(values):.2f}", each])
    note = f"""Spearman's rank correlation of the counts with confusions of held-out rows, over the
pairs of different classes, {len(found)} seeds; ``python -m benchmarks.otmix_pairs``:"""
    return f"{note}\n\n{rst_table(rows)}"


def on_tables(records: Path) -> str:
    """Return means over tables of SAFA beside its rivals."""
    found = _lines(records / "safa_tables.jsonl")
    if not found:
        return ""
    keys = {"LR": "LR", "LR corrected": "LR prior-corrected"}
    keys |= {"HGB": "HGB", "HGB corrected": "HGB prior-corrected"}
    rows = [["before the classifier", "accepted", "seconds", *keys]]
    for name in found[0]["scores"]:
        scores = [record["scores"].get(name, {}) for record in found]
        cells = [_middle(scores, "accepted"), _middle(scores, "seconds")]
        cells += [_mean(scores, key) for key in keys.values()]
        rows.append([name, *cells])
    most = max(record["n"] for record in found)
    n_binary = sum(record["table"].startswith("binary") for record in found)
    kinds = f"{n_binary} binary, {len(found) - n_binary} multi-class"
    note = f"""{len(found)} tables ({kinds}), at most {most} rows of each, five folds; balanced
accuracy in per cent, mean over tables; acceptance rate and seconds: medians; "corrected" divides
predicted probabilities by the class shares of the training data.
Rows of ``python -m benchmarks.tabular FOLDER --rows {most}``, measured before it had repeats:"""
    return f"{note}\n\n{rst_table(rows)}"


SHOWN = {"bacc": "Balanced accuracy in per cent", "ap": "Average precision in per cent"}


def suite_of_tables(records: Path) -> str:
    """Return means over tables of samplers and rivals, a table for each of two scores."""
    found = _lines(records / "tabular.jsonl")
    if not found:
        return ""
    n_tables = len({record["table"] for record in found})
    names = sorted({record["row"] for record in found}, key=list(ROWS).index)
    outputs = [name + added for name in names for added in ("", CORRECTED)]
    models = [name for name in (*CLASSIFIERS, *FORESTS) if any(name in r["scores"] for r in found)]
    parts = [
        f"""Means over {n_tables} tables of at most {max(record["n"] for record in found)} rows,
stratified five-fold cross-validation, repeated up to {1 + max(r["repeat"] for r in found)} time(s).
"corrected" divides predicted probabilities by the class shares of the rows that the classifier saw,
"5 %" makes that share of the missing rows; "duplicates" is M2m in which nothing is accepted;
"ResampledClassifier" is its recipe, which is corrected, too; "with g", "with MLP" and "with LR" are
votes of the corrected classifier and another model; ensembles that under-sample are the same beside
each classifier. ``python -m benchmarks.tabular FOLDER``."""
    ]
    for metric, title in SHOWN.items():
        of = {model: by_repeat(found, model, metric) for model in models}
        rows = [[title, *models]]
        for name in outputs:
            cells = [_score(of[model].get(name, {}), n_tables) for model in models]
            if any(cell != "\\-" for cell in cells):
                rows.append([_with_shares(name), *cells])
        parts.append(rst_table(rows))
    return "\n\n".join(parts)


def answers_of_tables(records: Path) -> str:
    """Return what questions to the tables are answered by: differences, and how sure they are."""
    found = _lines(records / "tabular.jsonl")
    models = [name for name in (*CLASSIFIERS, *FORESTS) if any(name in r["scores"] for r in found)]
    scores = {name: {m: by_repeat(found, name, m) for m in RANKING} for name in models}
    parts = []
    for question in QUESTIONS:
        rows = [["row", "against", "score", *models]]
        for row, rival in question.pairs if question.scores == RANKING else ():
            for m in RANKING:
                cells = [
                    _difference(scores[model][m], row, rival)
                    if f"with {model}" not in (row, rival)  # the classifier with itself
                    else "\\-"
                    for model in models
                ]
                if any(cell != "\\-" for cell in cells):
                    rows.append([_with_shares(row), _with_shares(rival), NAMES[m], *cells])
        if len(rows) > 1:
            parts.append(f"*{question.text}*\n\n{rst_table(rows)}")
    return "\n\n".join(parts)


def _difference(of: dict[str, dict], row: str, rival: str) -> str:
    own, other = paired(of, row, rival)
    if not len(own):
        return "\\-"
    pair = compare(own, other)
    stars = "***" if pair.p < 0.001 else "**" if pair.p < 0.01 else "*" if pair.p < 0.05 else ""
    return f"{100 * pair.difference:+.1f}{stars.replace('*', chr(92) + '*')}"


def _with_shares(name: str) -> str:
    """Return a row's name with shares in per cent: "SMOTE .05" is "SMOTE 5 %"."""
    return re.sub(r" (\.\d+)", lambda share: f" {100 * float(share[1]):.0f} %", name)


MODELS = {"lr": "logistic regression", "svc": "linear SVM"}


def on_text(records: Path) -> str:
    """Return scores on Reuters-36 of samplers in front of linear models."""
    found = _lines(records / "reuters_offline.jsonl")
    if not found:
        return ""
    cells: dict[tuple[str, str], dict[str, dict[int, dict]]] = {}
    for record in found:
        words = "all words" if record["vocabulary"] == "all" else f"{record['vocabulary']} words"
        data = f"{record['encoding']}, {words}"
        model = f"{MODELS[record['model']]}, C = {record['C']:g}"
        by_row = cells.setdefault((data, model), {})
        by_row.setdefault(record["row"], {})[record["seed"]] = record
    rows = [["features", "classifier", "before it", "bACC", "GM, floored", "accepted", "seeds"]]
    for place, by_row in cells.items():
        for i, (row, of_seed) in enumerate(by_row.items()):
            own = list(of_seed.values())
            rate = own[0]["accepted"]
            accepted = "\\-" if rate is None else f"{np.mean([r['accepted'] for r in own]):.2f}"
            scores = [spread([r[key] / 100 for r in own]) for key in ("bacc", "gm_floored")]
            rows.append([*(("\\", "\\") if i else place), row, *scores, accepted, str(len(own))])
    note = """Reuters-36, test documents, balanced accuracy (bACC) and geometric mean of the recalls (GM,
recalls below 0.1 count as 0.1) in per cent, mean ± standard deviation over seeds where anything is
drawn;
a number behind a sampler is the share of the missing rows that it makes, "corrected" and "class_weight"
say what the classifier does about the rest; the recipe is that of `ResampledClassifier`.
``python -m benchmarks.offline_reuters``:"""
    return f"{note}\n\n{rst_table(rows)}"


def _score(of: dict[str, dict[int, float]], n_tables: int) -> str:
    """Mean over tables of means over repeats; a dash where not all tables have one."""
    if len(of) < n_tables:
        return "\\-"
    return f"{100 * np.mean([np.mean(list(repeats.values())) for repeats in of.values()]):.1f}"


def _lines(path: Path) -> list[dict[str, Any]]:
    """Read records that are no runs of a suite."""
    if not path.exists():
        return []
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _values(scores: Sequence[dict[str, Any]], key: str) -> list[float]:
    return [score[key] for score in scores if key in score]


def _middle(scores: Sequence[dict[str, Any]], key: str) -> str:
    values = _values(scores, key)
    return f"{np.nanmedian(values):.2f}" if values else "\\-"


def _mean(scores: Sequence[dict[str, Any]], key: str) -> str:
    values = _values(scores, key)
    return f"{100 * np.mean(values):.1f}" if values else "\\-"


def _suite(name: str, *, partial: bool = False) -> Callable[[Path], str]:
    return lambda records: suite_table(records, name, partial=partial)


FILES: dict[str, Callable[[Path], str]] = {
    "otmix_pairs.inc": pair_counts,
    "otmix_digits.inc": _suite("digits_mixing"),
    "safa_digits.inc": _suite("digits_safa"),
    "safa_losses.inc": _suite("digits_safa_ablation"),
    "safa_tables.inc": on_tables,
    "open_set_labels.inc": _suite("digits_label_distribution"),
    "open_set_digits.inc": _suite("digits_open_set", partial=True),
    "tabular.inc": suite_of_tables,
    "tabular_answers.inc": answers_of_tables,
    "text.inc": on_text,
    "reuters.inc": _suite("reuters"),
    "cifar10_lt_cpu.inc": _suite("cifar10_lt_cpu", partial=True),
    "cifar10_lt_card.inc": doc_images.full_protocol,
    "fashion_mnist_lt.inc": doc_images.scores,
    "fashion_mnist_lt_50.inc": doc_images.milder,
    "fashion_mnist_lt_claims.inc": doc_images.claims,
    "fashion_mnist_lt_settings.inc": doc_images.settings,
    "fashion_mnist_lt_guides.inc": doc_images.guides,
    "fashion_mnist_lt_candidates.inc": doc_images.candidates,
    "fashion_mnist_lt_costs.inc": doc_images.costs,
    "decisions_scores.inc": doc_decisions.scores,
    "decisions_costs.inc": doc_decisions.costs,
    "decisions_pairs.inc": doc_decisions.pairs,
    "decisions_priors.inc": doc_decisions.priors,
    "decisions_text.inc": doc_decisions.texts,
}


def main() -> None:
    """Write the files."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=Path, default=HERE / "records")
    parser.add_argument("--out", type=Path, default=HERE.parent / "doc" / "user_guide")
    arguments = parser.parse_args()
    for name, table in FILES.items():
        text = table(arguments.records)
        if text:
            (arguments.out / name).write_text(text + "\n", encoding="utf-8")
        print(f"{'wrote' if text else 'no records for'} {arguments.out / name}")


if __name__ == "__main__":
    main()
