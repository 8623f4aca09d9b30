"""All cases by name."""

from __future__ import annotations

from benchmarks.speed import imports, overhead, reading, sampling, steps, transport
from benchmarks.speed.turns import Case

__all__ = ["CASES"]

CASES: dict[str, Case] = {
    "import": imports.CASE,
    "overhead": overhead.CASE,
    **steps.CASES,
    "digits": sampling.DIGITS,
    **sampling.CASES,
    "transport": transport.CASE,
    "reading": reading.CASE,
}
