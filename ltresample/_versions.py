"""What a report of a fault should say about the machine and the packages."""

from __future__ import annotations

import importlib
import importlib.metadata
import platform
import sys

__all__ = ["show_versions"]

_PACKAGES = (
    "ltresample",
    "numpy",
    "scipy",
    "scikit-learn",
    "imbalanced-learn",
    "torch",
    "skorch",
    "POT",
    "joblib",
    "threadpoolctl",
    "pandas",
    "polars",
    "torchvision",
    "matplotlib",
    "accelerate",
    "pip",
)


def show_versions() -> None:
    """Print the versions of Python, of the packages in use, and what PyTorch computes on.

    Put this under the report of a fault.

    Examples
    --------
    >>> from ltresample import show_versions
    >>> show_versions()  # doctest: +ELLIPSIS
    <BLANKLINE>
    System:
        python: ...
    """
    for title, lines in _sections():
        width = max(map(len, lines))
        text = "\n".join(f"{name:>{width}}: {value}" for name, value in lines.items())
        print(f"\n{title}:\n{text}")  # noqa: T201


def _sections() -> list[tuple[str, dict[str, str]]]:
    system = {
        "python": sys.version.replace("\n", " "),
        "executable": sys.executable,
        "machine": platform.platform(),
    }
    return [
        ("System", system),
        ("Packages", {name: _version(name) for name in _PACKAGES}),
        ("PyTorch", _torch_build()),
    ]


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _torch_build() -> dict[str, str]:
    torch = importlib.import_module("torch")
    device = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return {
        "accelerator": "none" if device is None else str(device),
        "threads": str(torch.get_num_threads()),
        "vector instructions": torch.backends.cpu.get_cpu_capability(),
    }
