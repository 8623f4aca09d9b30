"""What open-set data cost in training, as ratios measured in one run.

    python -m benchmarks.open_set_step [--steps 12] [--images 128] [--open-set 128] [--threads 1]

A step of DeferredRebalancingClassifier with OpenSampler, ResNet-32 on 32 x 32 colour images, is
compared with a step of the same classifier without a resampler on the same number of images; the
two take turns. Then open-set images are read from a memory map of 300,000 images (0.9 GB, written
to a temporary folder) and from memory, in turn; printed are the ratio of the steps, the time that
reading takes of a step with the file in the system's cache and dropped from it, and what an epoch
of reading adds to the process's memory, by a plain memory map and by the rows of this package.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import numpy as np
import psutil
import torch
from skorch.callbacks import Callback

from ltresample import OpenSampler
from ltresample.class_counts import long_tailed_counts
from ltresample.models import ResNet32
from ltresample.rows import open_set_rows
from ltresample.training import DeferredRebalancingClassifier

N_AUX = 300_000
COUNTS = long_tailed_counts(5000, 10, imbalance_factor=100)


class StepTimes(Callback):
    """Seconds of every training step."""

    def __init__(self):
        self.seconds: list[float] = []

    def on_batch_begin(self, net, batch=None, training=False, **kwargs):
        """Start the clock."""
        self.began = time.perf_counter()

    def on_batch_end(self, net, batch=None, training=False, **kwargs):
        """Stop it."""
        self.seconds.append(time.perf_counter() - self.began)


def steps_of(n_images: int, n_steps: int, resampler: OpenSampler | None) -> list[float]:
    """Train for some steps, and give the seconds of each but the first."""
    rng = np.random.default_rng(0)
    X = rng.random((n_images * n_steps, 3, 32, 32), dtype=np.float32)
    y = np.arange(len(X)) % 10
    clock = StepTimes()
    DeferredRebalancingClassifier(
        ResNet32,
        resampler=resampler,
        start=0,
        max_epochs=1,
        batch_size=n_images,
        random_state=0,
        callbacks=[("clock", clock)],
    ).fit(X, y)
    return clock.seconds[1:]


def compared(first, second, repeats: int = 3) -> tuple[float, float]:
    """Take turns; give the median seconds of the first, and the median ratio of the second to it."""
    ratios, seconds = [], []
    for _ in range(repeats):
        one, other = median(first()), median(second())
        seconds.append(one)
        ratios.append(other / one)
    return median(seconds), median(ratios)


def written(folder: Path) -> Path:
    """Write 300,000 images of noise."""
    place, rng = folder / "images.npy", np.random.default_rng(0)
    images = np.lib.format.open_memmap(place, "w+", np.uint8, (N_AUX, 32, 32, 3))
    for start in range(0, N_AUX, 10_000):
        images[start : start + 10_000] = rng.integers(0, 256, (10_000, 32, 32, 3), dtype=np.uint8)
    images.flush()
    return place


def opened(place: Path) -> np.ndarray:
    """Open the file as users do."""
    return np.moveaxis(np.load(place, mmap_mode="r"), -1, 1)


def drop_from_cache(place: Path) -> bool:
    """Ask the system to forget the file."""
    if not hasattr(os, "posix_fadvise"):
        return False
    with place.open("rb") as file:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return True


def reading(place: Path, n_rows: int, n_steps: int, *, plain: bool) -> dict[str, float]:
    """Read an epoch's open-set images; give milliseconds a step and what memory grew by, in MB."""
    generator = torch.Generator().manual_seed(0)
    images = opened(place)
    example = torch.rand(8, 3, 32, 32, generator=generator)
    process = psutil.Process()
    before = peak = process.memory_info().rss
    rows = open_set_rows(images, example)
    seconds = 0.0
    for _ in range(n_steps):
        index = torch.randint(N_AUX, (n_rows,), generator=generator)
        began = time.perf_counter()
        if plain:
            torch.from_numpy(np.ascontiguousarray(images[index.numpy()])).float().div_(255)
        else:
            rows.take(index)
        seconds += time.perf_counter() - began
        peak = max(peak, process.memory_info().rss)
    return {"ms": 1e3 * seconds / n_steps, "MB": (peak - before) / 2**20}


def in_own_process(place: Path, n_rows: int, n_steps: int, *, plain: bool) -> dict[str, float]:
    """Read in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-m", "benchmarks.open_set_step", "--read", str(place)]
    command += ["--open-set", str(n_rows), "--steps", str(n_steps)] + (["--plain"] if plain else [])
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])


def main() -> None:
    """Print the ratios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=12, help="steps of which the median is taken")
    parser.add_argument("--images", type=int, default=128, help="real images in a step")
    parser.add_argument("--open-set", type=int, default=128, help="open-set images in a step")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--plain", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    n, m = options.images, options.open_set
    if options.read:
        print(json.dumps(reading(options.read, m, options.steps, plain=options.plain)))
        return
    in_memory = np.random.default_rng(0).integers(0, 256, (20_000, 3, 32, 32), dtype=np.uint8)
    sampler = OpenSampler(X_aux=in_memory, aux_batch_size=m)
    plain, ratio = compared(
        lambda: steps_of(n + m, options.steps, None), lambda: steps_of(n, options.steps, sampler)
    )
    print(f"torch {torch.__version__}, {options.threads} thread(s), ResNet-32, {n} + {m} images")
    print(f"plain step on {n + m} images     {1e3 * plain:8.0f} ms")
    print(f"OpenSampler step / plain step   {ratio:8.3f}")
    with tempfile.TemporaryDirectory() as folder:
        place = written(Path(folder))
        mapped = OpenSampler(X_aux=opened(place), aux_batch_size=m)
        step, ratio = compared(
            lambda: steps_of(n, options.steps, sampler), lambda: steps_of(n, options.steps, mapped)
        )
        print(f"step with a memory map of {N_AUX:,} images / with images in memory   {ratio:.3f}")
        n_steps = -(-int(COUNTS.sum()) // n)
        for name, is_plain in (("plain memory map", True), ("ours", False)):
            warm = in_own_process(place, m, n_steps, plain=is_plain)
            cold = (
                in_own_process(place, m, n_steps, plain=is_plain)
                if drop_from_cache(place)
                else warm
            )
            print(
                f"{name:17} {n_steps} steps of {m} images: {warm['ms']:6.2f} ms a step in cache, "
                f"{cold['ms']:6.2f} ms not, {warm['ms'] / step / 10:.2f} % and "
                f"{cold['ms'] / step / 10:.2f} % of a step; memory + {warm['MB']:.0f} MB"
            )


if __name__ == "__main__":
    main()
