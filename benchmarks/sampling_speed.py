"""Time and memory of offline sampling, as ratios measured in one run.

    python -m benchmarks.sampling_speed --path FOLDER [--repeats 3] [--threads 2]

FOLDER holds r52-train.txt and r52-test.txt. Reuters-36 is filled to balance by SMOTE, M2m and DM in
turn, several times; printed are the median seconds, the median of the paired ratios to SMOTE, and
the peak of the resident memory above the input, divided by the size of the output. Memory is
measured in processes of their own, on a dense table of 100,000 x 100 numbers with a tenth in the
second class.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import threading
import time
import warnings

import numpy as np
import psutil
import torch
from imblearn.over_sampling import SMOTE
from threadpoolctl import threadpool_limits

from ltresample import DistributionMatchingOversampler, M2mSampler
from ltresample.datasets import fetch_reuters36

SAMPLERS = {
    "SMOTE": lambda: SMOTE(k_neighbors=3, random_state=0),
    "M2m": lambda: M2mSampler(random_state=0),
    "DM": lambda: DistributionMatchingOversampler(random_state=0),
}


def seconds(make, X, y) -> float:
    """Time one call."""
    began = time.perf_counter()
    make().fit_resample(X, y)
    return time.perf_counter() - began


def peak_memory(name: str) -> dict:
    """Measure the peak above the input in this process, in bytes."""
    rng = np.random.default_rng(0)
    X = rng.normal(size=(55_000, 100))
    y = (np.arange(len(X)) >= 50_000).astype(int)
    X[y == 1] += 0.5
    SAMPLERS[name]().fit_resample(X[::50], y[::50])  # libraries load and warm up
    process = psutil.Process()
    start, peak, done = process.memory_info().rss, [0], threading.Event()

    def watch():
        while not done.wait(0.005):
            peak[0] = max(peak[0], process.memory_info().rss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    X_new, _ = SAMPLERS[name]().fit_resample(X, y)
    done.set()
    watcher.join()
    return {"above_input": peak[0] - start, "output": X_new.nbytes}


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--path", help="folder of the two Reuters files; default: download")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--memory-of", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    warnings.simplefilter("ignore")
    with threadpool_limits(arguments.threads):
        if arguments.memory_of:
            print(json.dumps(peak_memory(arguments.memory_of)))
            return
        data = fetch_reuters36(path=arguments.path, encoding="log1p")
        X, y = data.X_train.toarray(), data.y_train
        n_new = 36 * np.unique(y, return_counts=True)[1].max() - len(y)
        print(f"Reuters-36 to balance: {n_new} new rows, {arguments.threads} threads")
        times = {name: [] for name in SAMPLERS}
        for _ in range(arguments.repeats):
            for name, make in SAMPLERS.items():
                times[name].append(seconds(make, X, y))
    base = np.array(times["SMOTE"])
    for name, values in times.items():
        ratio = np.median(np.array(values) / base)
        print(f"{name:8}{np.median(values):8.2f} s{ratio:8.2f} x SMOTE")
    print("Memory: peak above the input / size of the output")
    for name in SAMPLERS:
        command = [sys.executable, "-m", "benchmarks.sampling_speed", "--memory-of", name]
        out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        figures = json.loads(out.splitlines()[-1])
        print(f"{name:8}{figures['above_input'] / figures['output']:8.2f} x")


if __name__ == "__main__":
    main()
