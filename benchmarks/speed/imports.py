"""Importing the package, and what users import first from it, in interpreters of their own."""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from benchmarks.speed.turns import Case, Way

MODULES = ("ltresample", "ltresample.over_sampling", "ltresample.training")
TIMED = """import sys, time
sys.path.insert(0, {root!r})
began = time.process_time()
import {module}
print(time.process_time() - began)"""


def seconds_of(module: str) -> float:
    """Return the processor seconds of an import, from where this process has the package from."""
    import ltresample

    code = TIMED.format(root=str(Path(ltresample.__file__).parents[1]), module=module)
    command = [sys.executable, "-P", "-c", code]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def ways(options: argparse.Namespace) -> dict[str, Way]:
    """Return the imports."""
    return {module: lambda module=module: seconds_of(module) for module in MODULES}


CASE = Case("import of the package", ways)
