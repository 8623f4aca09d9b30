"""What M2m's candidates are: how many pass, which test stops the others, what an examiner sees in them.

    python -m benchmarks.candidates fashion_mnist_lt_settings --data FOLDER
    python -m benchmarks.candidates SUITE --only M2m "M2m, step .3" --seeds 2

For a row with M2m all rows that the training part lacks are made once, with g as trained to its end
and f as it is when synthesis starts. The examiner is a network of the same kind that has seen all
training images, also those that the tail leaves out. A record is a row with a seed; what is recorded
is not made again.
"""

from __future__ import annotations

import argparse
import copy
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from benchmarks.data_sets import in_unit_range, load
from benchmarks.suites import Run, Suite, Task, load_suite
from benchmarks.trunks import first_epochs

__all__ = ["examine", "seen_by", "task_of"]

HERE = Path(__file__).parent
EXAMINER = {"max_epochs": 4, "lr_decay": {"2": 0.1, "3": 0.1}, "warmup": 0}


def task_of(suite: Suite, run: Run, seed: int, folder: Path | None) -> Task:
    """Return a run whose sampler has as f the network of the epoch in which synthesis starts.

    Parameters
    ----------
    suite : Suite
        The suite.
    run : Run
        A row with M2m.
    seed : int
        Seed of the run.
    folder : Path or None
        Where the data files are.
    """
    spec = copy.deepcopy(run.spec)
    classifier = spec["classifier"]
    start = classifier["start"]
    first = {**first_epochs(classifier, start), "max_epochs": start}
    spec["guides"]["now"] = {"seed": "classifier", "classifier": first}
    classifier["resampler"]["f"] = {"guide": "now"}
    return Task(suite.name, run.variant, run.row, spec, seed, folder)


def examine(sampler: Any, X: np.ndarray, y: np.ndarray, examiner: Any) -> dict[str, Any]:
    """Make the rows that are missing and tell what they are.

    Parameters
    ----------
    sampler : M2mSampler
        The sampler.
    X, y : ndarray
        The training part.
    examiner : estimator
        Fitted; predicts labels.

    Returns
    -------
    dict
        ``acceptance``: accepted of tried candidates. ``synthetic``: share of the missing rows that
        were made, duplicates being the rest. ``seen_as_label``, ``seen_as_source``: share of the
        accepted ones in which the examiner sees the class that they stand for, and the one that
        they were made from; ``known_to_f``: in which f sees the label already. None where none was
        accepted.
    """
    X_new, y_new = sampler.fit_resample(X, y)
    made, classes = sampler.is_synthetic_, np.unique(y)
    n_missing, n_made = len(X_new) - len(X), int(made.sum())
    rates = [rate for rate in sampler.acceptance_rate_.values() if rate is not None]
    told = {
        "acceptance": float(np.mean(rates)) if rates else None,
        "synthetic": n_made / max(n_missing, 1),
        "seen_as_label": None,
        "seen_as_source": None,
        "known_to_f": None,
    }
    if n_made:
        seen = examiner.predict(X_new[made])
        source = classes[sampler.provenance_["source"][made]]
        told["seen_as_label"] = float(np.mean(seen == y_new[made]))
        told["seen_as_source"] = float(np.mean(seen == source))
        told["known_to_f"] = float(np.mean(classes[seen_by(sampler.f, X_new[made])] == y_new[made]))
    return told


def seen_by(f: nn.Module, X: np.ndarray) -> np.ndarray:
    """Return the class, an index, that a network sees in each row."""
    was_training, place = f.training, next(f.parameters()).device
    parts = [torch.from_numpy(part).to(place) for part in np.array_split(X, 20)]
    with torch.no_grad():
        seen = [f.eval()(part).argmax(1).cpu() for part in parts]
    f.train(was_training)
    return torch.cat(seen).numpy()


def examiner_of(run: Run, folder: Path | None) -> tuple[Any, float]:
    """Fit the examiner to nine tenths of all training images; return its accuracy on the others."""
    from benchmarks.components import build

    data = {k: v for k, v in run.spec["data"].items() if k not in ("fold", "n_max")}
    whole = load({**data, "imbalance_factor": 1}, folder)
    settings = first_epochs(run.spec["classifier"], 1)
    net = build({**settings, **EXAMINER}, guide=None, seed=lambda path: 0)
    net.set_params(train_split=None, verbose=0)
    X = in_unit_range(whole.X_train)
    held = np.arange(len(X)) % 10 == 0
    net.fit(X[~held], whole.y_train[~held])
    return net, float(np.mean(net.predict(X[held]) == whole.y_train[held]))


def main(argv: list[str] | None = None) -> None:
    """Examine the rows that are not recorded."""
    from benchmarks.trial import offline_sampler

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the data files are")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these rows only")
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="seeds 0 .. N-1")
    parser.add_argument("--records", type=Path, default=HERE / "records", metavar="DIR")
    options = parser.parse_args(argv)
    suite = load_suite(options.suite)
    runs = suite.chosen(rows=options.only, variants=suite.variants[:1])
    runs = [
        r for r in runs if r.spec["classifier"].get("resampler", {}).get("make") == "M2mSampler"
    ]
    path = options.records / f"{suite.name}_candidates.jsonl"
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    known = {(record["row"], record["seed"]) for record in map(json.loads, lines)}
    wanted = [(s, r) for s in range(options.seeds) for r in runs if (r.row, s) not in known]
    if not wanted:
        return
    examiner, accuracy = examiner_of(runs[0], options.data)
    path.parent.mkdir(parents=True, exist_ok=True)
    for seed, run in wanted:
        sampler, X, y = offline_sampler(task_of(suite, run, seed, options.data))
        told = {
            "row": run.row,
            "seed": seed,
            "examiner": accuracy,
            **examine(sampler, X, y, examiner),
        }
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(told) + "\n")
        print(told, flush=True)


if __name__ == "__main__":
    main()
