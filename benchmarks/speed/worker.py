"""One side of a paired comparison: measure cases with whichever package is loaded."""

from __future__ import annotations

import argparse
import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import torch
from threadpoolctl import threadpool_limits

import ltresample
from benchmarks.speed.cases import CASES
from benchmarks.speed.turns import take_turns

__all__ = ["main"]


def main(cases: tuple[str, ...], settings: dict[str, Any], tree: str) -> None:
    """Print {case and way: median seconds} as JSON.

    Parameters
    ----------
    cases : tuple of str
        Names of cases.
    settings : dict
        ``repeats`` of each way, and options of cases; None: the case's own default.
    tree : str
        Where the package must come from.
    """
    if not Path(ltresample.__file__).is_relative_to(tree):
        raise RuntimeError(f"ltresample must be that of {tree}. Got {ltresample.__file__}.")
    torch.set_num_threads(settings["threads"])
    warnings.simplefilter("ignore")
    seconds = {}
    with threadpool_limits(settings["threads"]):
        for name in cases:
            ways = CASES[name].ways(_options(name, settings))
            for way, values in take_turns(ways, settings["repeats"]).items():
                seconds[f"{name}: {way}"] = float(np.median(values, axis=0).sum())
    print(json.dumps(seconds))


def _options(name: str, settings: dict[str, Any]) -> argparse.Namespace:
    """Return the defaults of a case with the settings that it knows over them."""
    parser = argparse.ArgumentParser()
    CASES[name].add_options(parser)
    positional = [settings["folder"]] if name == "tables" else []
    options = parser.parse_args(list(filter(None, positional)))
    known = {k: v for k, v in settings.items() if v is not None and hasattr(options, k)}
    vars(options).update({k: v for k, v in known.items() if k != "folder"})
    return options
