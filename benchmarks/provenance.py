"""Where a number comes from: versions, commit, sources, machine."""

from __future__ import annotations

import hashlib
import os
import platform
import subprocess
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

__all__ = ["commit", "machine", "package_hash", "source_hash", "versions"]

ROOT = Path(__file__).parents[1]
PACKAGES = (
    "ltresample",
    "torch",
    "scikit-learn",
    "imbalanced-learn",
    "skorch",
    "numpy",
    "scipy",
    "pot",
)


@cache
def versions() -> dict[str, str | None]:
    """Return the versions of Python and of the packages that results depend on."""
    return {"python": platform.python_version(), **{name: _version(name) for name in PACKAGES}}


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


@cache
def commit() -> dict[str, Any]:
    """Return the commit of the checkout, and whether sources differ from it; None outside of git."""
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--", "ltresample", "benchmarks/*.py", "*.toml")
    return {"commit": head, "dirty": None if changed is None else bool(changed)}


def _git(*arguments: str) -> str | None:
    command = ["git", "--no-optional-locks", "-C", str(ROOT), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


@cache
def source_hash() -> str:
    """Return a hash of all Python files of the package and of the benchmarks."""
    return _hash_of_sources("ltresample", "benchmarks")


@cache
def package_hash() -> str:
    """Return a hash of all Python files of the package."""
    return _hash_of_sources("ltresample")


def _hash_of_sources(*folders: str) -> str:
    digest = hashlib.sha256()
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            digest.update(path.relative_to(ROOT).as_posix().encode())
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def machine(threads: int, device: str = "cpu", *, cuda_graphs: bool = False) -> dict[str, Any]:
    """Describe the machine, the threads that a run may use, and the card if it uses one."""
    return {
        **({} if device == "cpu" else {"card": _card(device)}),
        **({"cuda_graphs": True} if cuda_graphs else {}),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "platform": f"{platform.system()} {platform.machine()}",
    }


def _card(device: str) -> str:
    import torch  # the runner itself does without

    module = torch.get_device_module(torch.device(device))
    name = getattr(module, "get_device_name", None)
    return device if name is None else name(device)


@cache
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
