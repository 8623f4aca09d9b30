"""Pictures of a suite: learning curves of its records, and what its samplers make of images.

    python -m benchmarks.pictures cifar10_lt_cpu --data FOLDER [--variants NAME ...] [--samples]

Curves come from the records: bACC on the validation part after every epoch, mean over the seeds, a
panel a variant. With ``--samples`` the suite's rows with `M2mSampler` or
`DistributionMatchingOversampler` are made once, before training, from the first seed's training
part and guide: seed, result and amplified difference stand in one picture a row.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.records import read_records
from benchmarks.report import Results
from benchmarks.suites import Run, Suite, Task, load_suite

__all__ = ["draw_curves", "draw_samples", "main"]

HERE = Path(__file__).parent
N_ROWS = 8  # curves a panel can hold before colours repeat with another line style


def draw_curves(results: Results, folder: Path) -> Path | None:
    """Draw learning curves, a panel a variant.

    Parameters
    ----------
    results : Results
        The sorted records.
    folder : Path
        Where to write ``SUITE-curves.png``.

    Returns
    -------
    Path or None
        The file; None if no record holds a curve.
    """
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator

    panels = {v: _curves(results, v) for v in results.suite.variants}
    panels = {variant: curves for variant, curves in panels.items() if curves}
    if not panels:
        return None
    size = (7.5, 3.6 * len(panels))
    figure, axes = plt.subplots(len(panels), 1, figsize=size, layout="constrained", squeeze=False)
    for ax, (variant, curves) in zip(axes[:, 0], panels.items(), strict=True):
        for i, (row, curve) in enumerate(curves.items()):
            style = ("-", "--", ":")[i // N_ROWS % 3]
            epochs = np.arange(1, len(curve) + 1)
            ax.plot(epochs, 100 * curve, style, color=f"C{i % N_ROWS}", label=row, linewidth=1.3)
        ax.set(title=variant, xlabel="epoch", ylabel="bACC, validation part, %")
        ax.xaxis.set_major_locator(MaxNLocator(integer=True))
        ax.spines[["top", "right"]].set_visible(False)
        ax.legend(loc="center left", bbox_to_anchor=(1, 0.5), frameon=False, fontsize=7)
    path = folder / f"{results.suite.name}-curves.png"
    folder.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110)
    plt.close(figure)
    return path


def _curves(results: Results, variant: str) -> dict[str, np.ndarray]:
    """Return the mean curve of each row; rows without epochs have none."""
    curves = {}
    for run in results.runs(variant):
        own = [r["curve"]["validation_bacc"] for r in results.of[variant, run.row].values()]
        if own[0]:
            curves[run.row] = np.mean([np.array(curve, float) for curve in own], axis=0)
    return curves


def draw_samples(suite: Suite, runs: list[Run], data: Path | None, folder: Path) -> list[Path]:
    """Draw what the samplers of some rows make of the training part of seed 0.

    Parameters
    ----------
    suite : Suite
        The suite.
    runs : list of Run
        Rows; those without a sampler that makes rows from seeds are passed over.
    data : Path or None
        Folder of the data files.
    folder : Path
        Where to write ``SUITE-VARIANT-ROW.png``.

    Returns
    -------
    list of Path
        The files.
    """
    from benchmarks.trial import offline_sampler

    written = []
    for run in runs:
        made = run.spec["classifier"].get("resampler", {}).get("make")
        if made not in ("M2mSampler", "DistributionMatchingOversampler"):
            continue
        task = Task(suite.name, run.variant, run.row, run.spec, 0, data)
        sampler, X, y = offline_sampler(task)
        name = re.sub(r"\W+", "-", f"{suite.name}-{run.variant}-{run.row}").strip("-")
        written.append(_drawn(sampler, X, y, folder / f"{name}.png"))
    return written


def _drawn(sampler: Any, X: np.ndarray, y: np.ndarray, path: Path) -> Path:
    from ltresample.plotting import SynthesisDisplay

    counts = {label: int((y == label).sum()) for label in np.unique(y)}
    rare = sorted(counts, key=counts.get)[: len(counts) // 2]
    sampler.set_params(sampling_strategy={k: counts[k] + 40 for k in rare})
    X_new, y_new = sampler.fit_resample(X, y)
    display = SynthesisDisplay.from_sampler(sampler, X, X_new, y_new)
    path.parent.mkdir(parents=True, exist_ok=True)
    display.plot().figure_.savefig(path, dpi=110)
    return path


def main(argv: list[str] | None = None) -> int:
    """Draw; give 0, or 2 for a wrong argument."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.pictures", description=__doc__.splitlines()[0]
    )
    parser.add_argument("suite", help="name of a suite, or path of a .toml file")
    parser.add_argument("--data", type=Path, metavar="FOLDER", help="where the data files are")
    parser.add_argument("--samples", action="store_true", help="draw synthetic samples, too")
    parser.add_argument("--only", nargs="+", default=[], metavar="NAME", help="these rows only")
    parser.add_argument("--variants", nargs="+", default=[], metavar="NAME", help="these only")
    parser.add_argument("--records", type=Path, default=HERE / "records", metavar="DIR")
    parser.add_argument("--pictures", type=Path, default=HERE / "pictures", metavar="DIR")
    options = parser.parse_args(argv)
    try:
        suite = load_suite(options.suite)
        runs = suite.chosen(rows=options.only, variants=options.variants)
        found, _ = read_records(options.records / f"{suite.name}.jsonl")
        written = [draw_curves(Results(suite, found), options.pictures)]
        if options.samples:
            written += draw_samples(suite, runs, options.data, options.pictures)
    except (ValueError, OSError) as err:
        print(f"error: {err}", file=sys.stderr)
        return 2
    for path in filter(None, written):
        print(f"wrote {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
