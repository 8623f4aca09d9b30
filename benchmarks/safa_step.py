"""What SAFA costs in a training step and in prediction, as ratios measured in one run.

    python -m benchmarks.safa_step [--repeats 5] [--batches 6] [--threads 1] [--batch 128] [--out FILE]

ResNet-32 on 32 x 32 images of ten classes, whose counts fall as in CIFAR-10-LT with an imbalance
factor of 100: of a batch, 64 % are of the two head classes. `DeferredRebalancingClassifier` trains
epochs of a few batches without and with `SAFA` behind the second stage, in turns; then both predict.
Of each round the fastest step counts, as other work on the machine only adds; printed are the median
over rounds, the median of the paired ratios, and the ratio of the fastest of all. A line of JSON goes
to FILE.
"""

from __future__ import annotations

import argparse
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import torch
from skorch.callbacks import Callback

from benchmarks.provenance import commit, machine, source_hash, versions
from ltresample.class_counts import long_tailed_counts
from ltresample.models import ResNet32
from ltresample.training import SAFA, DeferredRebalancingClassifier

N_CLASSES = 10
WAYS = {
    "without": None,
    "SAFA": SAFA("stage2"),
    "SAFA, Q 256 wide": SAFA("stage2", contrast_width=256),
}


class StepTimes(Callback):
    """Processor seconds of each training step."""

    def __init__(self):
        self.seconds: list[float] = []

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Start the clock."""
        self.began = time.process_time()

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Stop it."""
        if training:
            self.seconds.append(time.process_time() - self.began)


def data(n_rows: int) -> tuple[np.ndarray, np.ndarray]:
    """Return random images, with classes in the proportions of CIFAR-10-LT."""
    rng = np.random.default_rng(0)
    counts = long_tailed_counts(5000, N_CLASSES, imbalance_factor=100)
    y = rng.permutation(np.repeat(np.arange(N_CLASSES), counts))[:n_rows]
    y[:N_CLASSES] = np.arange(N_CLASSES)
    return rng.random((n_rows, 3, 32, 32), dtype=np.float32), y


def trained(resampler, X, y, batch: int) -> tuple[DeferredRebalancingClassifier, float]:
    """Train for one epoch; give the net and the seconds of the fastest step."""
    times = StepTimes()
    net = DeferredRebalancingClassifier(
        ResNet32,
        resampler=resampler,
        start=0,
        lr=1e-3,
        max_epochs=1,
        batch_size=batch,
        callbacks=[times],
        random_state=0,
    )
    net.fit(X, y)
    return net, min(times.seconds)


def prediction(net: DeferredRebalancingClassifier, X: np.ndarray) -> float:
    """Return the seconds of a prediction."""
    began = time.process_time()
    net.predict(X)
    return time.process_time() - began


def measured(arguments: argparse.Namespace) -> dict[str, dict[str, list[float]]]:
    """Let the ways take turns; the first round warms up."""
    X, y = data(arguments.batch * arguments.batches)
    seconds = {part: {name: [] for name in WAYS} for part in ("step", "prediction")}
    for repeat in range(arguments.repeats + 1):
        nets = {}
        for name, resampler in WAYS.items():
            nets[name], step = trained(resampler, X, y, arguments.batch)
            if repeat:
                seconds["step"][name].append(step)
        for name, net in nets.items():
            assert list(net.module_.state_dict()) == list(nets["without"].module_.state_dict())
            assert not any(part._forward_hooks for part in net.module_.modules())
            if repeat:
                seconds["prediction"][name].append(prediction(net, X))
    return seconds


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--batches", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    seconds = measured(arguments)
    print(
        f"ResNet-32, batch {arguments.batch}, {arguments.threads} thread(s), torch {torch.__version__}"
    )
    ratios = {}
    for part, values in seconds.items():
        base = np.array(values["without"])
        for name, own in values.items():
            paired, best = float(np.median(np.array(own) / base)), min(own) / min(base)
            ratios[f"{part}, {name}"] = [round(paired, 3), round(best, 3)]
            print(f"{part:12}{name:20}{np.median(own):8.3f} s{paired:8.2f}{best:8.2f} x without")
    if arguments.out is not None:
        record = {
            "benchmark": "safa_step",
            **{name: getattr(arguments, name) for name in ("repeats", "batches", "batch")},
            "seconds": seconds,
            "ratios": ratios,
            "versions": versions(),
            **commit(),
            "source_sha256": source_hash(),
            "machine": machine(arguments.threads),
            "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        }
        with arguments.out.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record) + "\n")


if __name__ == "__main__":
    main()
