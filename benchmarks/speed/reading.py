"""Open-set images read from a memory map of 300,000 images, 0.9 GB.

A plain memory map beside the rows of this package, in the system's cache and dropped from it, and what
an epoch of reading adds to the process's memory.
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

import numpy as np
import psutil
import torch

from benchmarks.speed.turns import Case, Way

N_AUX = 300_000
KINDS = {"plain memory map": True, "ours": False}


def written(folder: Path, n_images: int) -> Path:
    """Write images of noise, unless they are there."""
    place, rng = folder / f"{n_images}-images-of-noise.npy", np.random.default_rng(0)
    if place.exists():
        return place
    shape = (n_images, 32, 32, 3)
    images = np.lib.format.open_memmap(place.with_suffix(".part"), "w+", np.uint8, shape)
    for start in range(0, n_images, 10_000):
        part = images[start : start + 10_000]
        part[:] = rng.integers(0, 256, part.shape, dtype=np.uint8)
    images.flush()
    return place.with_suffix(".part").replace(place)


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
    """Read an epoch's open-set images; return seconds a step, and MB that memory grew by."""
    # here, since the other commit of a paired comparison may have no such room
    from ltresample.rows import open_set_rows

    generator = torch.Generator().manual_seed(0)
    images = opened(place)
    example = torch.rand(8, 3, 32, 32, generator=generator)
    process = psutil.Process()
    before = peak = process.memory_info().rss
    rows = open_set_rows(images, example)
    seconds = 0.0
    for _ in range(n_steps):
        index = torch.randint(len(images), (n_rows,), generator=generator)
        began = time.perf_counter()
        if plain:
            torch.from_numpy(np.ascontiguousarray(images[index.numpy()])).float().div_(255)
        else:
            rows.take(index)
        seconds += time.perf_counter() - began
        peak = max(peak, process.memory_info().rss)
    return {"seconds": seconds / n_steps, "MB": (peak - before) / 2**20}


def in_own_process(place: Path, n_rows: int, n_steps: int, *, plain: bool) -> dict[str, float]:
    """Read in a process of its own, so that its memory is its own."""
    command = [sys.executable, "-m", "benchmarks.speed.reading", str(place)]
    command += [str(n_rows), str(n_steps), "plain" if plain else "ours"]
    out = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return json.loads(out.splitlines()[-1])


def ways(options: argparse.Namespace) -> dict[str, Way]:
    """Return both ways of reading, in this process, from a file in the system's cache."""
    place = written(Path(options.folder), options.images)
    return {
        name: lambda plain=plain: reading(place, options.rows, options.steps, plain=plain)[
            "seconds"
        ]
        for name, plain in KINDS.items()
    }


def memory(options: argparse.Namespace) -> list[str]:
    """Return what an epoch of reading adds to the memory, and its time in and out of the cache."""
    place = written(Path(options.folder), options.images)
    lines = [""]
    for name, plain in KINDS.items():
        warm = in_own_process(place, options.rows, options.steps, plain=plain)
        dropped = drop_from_cache(place)
        cold = in_own_process(place, options.rows, options.steps, plain=plain) if dropped else warm
        lines.append(
            f"{name:17} {1e3 * warm['seconds']:6.2f} ms a step in cache, "
            f"{1e3 * cold['seconds']:6.2f} ms not; memory + {warm['MB']:.0f} MB"
        )
    place.unlink()
    return lines


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--folder", default=tempfile.gettempdir(), help="where the file is written")
    parser.add_argument("--images", type=int, default=N_AUX, help="images of the file")
    parser.add_argument("--rows", type=int, default=128, help="open-set images in a step")
    parser.add_argument("--steps", type=int, default=97, help="steps of an epoch")


CASE = Case("reading open-set images from a memory map", ways, _add_options, memory, rounds=3)


if __name__ == "__main__":
    file, n_rows, n_steps, kind = sys.argv[1:]
    print(json.dumps(reading(Path(file), int(n_rows), int(n_steps), plain=kind == "plain")))
