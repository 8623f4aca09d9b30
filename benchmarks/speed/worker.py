"""One side of a paired comparison: measure cases with whichever package is loaded."""

from __future__ import annotations

import argparse
import json
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import ltresample
from benchmarks.speed.cases import CASES

__all__ = ["main"]


def main(cases: tuple[str, ...], settings: dict[str, Any], tree: str) -> None:
    """Print the names of all ways; then, for each name that is read, the seconds that it takes.

    Parameters
    ----------
    cases : tuple of str
        Names of cases.
    settings : dict
        Options of cases; None: the case's own default.
    tree : str
        Where the package must come from.
    """
    if not Path(ltresample.__file__).is_relative_to(tree):
        raise RuntimeError(f"ltresample must be that of {tree}. Got {ltresample.__file__}.")
    torch.set_num_threads(settings["threads"])
    warnings.simplefilter("ignore")
    with threadpool_limits(settings["threads"]):
        ways = {
            f"{name}: {way}": run
            for name in cases
            for way, run in CASES[name].ways(_options(name, settings)).items()
        }
        print(json.dumps(list(ways)), flush=True)
        for line in sys.stdin:
            print(json.dumps(float(np.sum(ways[line.strip()]()))), flush=True)


def _options(name: str, settings: dict[str, Any]) -> argparse.Namespace:
    """Return the defaults of a case with the settings that it knows over them."""
    parser = argparse.ArgumentParser()
    CASES[name].add_options(parser)
    positional = [settings["folder"]] if name == "tables" else []
    options = parser.parse_args(list(filter(None, positional)))
    known = {k: v for k, v in settings.items() if v is not None and hasattr(options, k)}
    vars(options).update({k: v for k, v in known.items() if k != "folder"})
    return options
