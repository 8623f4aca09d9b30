"""Tables in reStructuredText, and how numbers stand in them."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

__all__ = ["percent", "rst_table", "spread", "with_zeros"]


def rst_table(rows: Sequence[Sequence[str]]) -> str:
    """Return a simple table of reStructuredText.

    Parameters
    ----------
    rows : list of list of str
        The first is the header.

    Returns
    -------
    str
        The table, lines joined.

    Examples
    --------
    >>> print(rst_table([["way", "bACC"], ["plain", "70.1"]]))
    ===== ====
    way   bACC
    ===== ====
    plain 70.1
    ===== ====
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    rule = " ".join("=" * width for width in widths)
    lines = [
        " ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]
    return "\n".join([rule, lines[0], rule, *lines[1:], rule])


def spread(values: Sequence[float]) -> str:
    """Return per cent, mean ± standard deviation."""
    if len(values) == 0:
        return "\\-"
    mean = f"{100 * np.mean(values):.1f}"
    return mean if len(values) < 2 else f"{mean} ± {100 * np.std(values, ddof=1):.1f}"


def with_zeros(name: str) -> str:
    """Return a row's name with 0.3 for .3."""
    return re.sub(r"(?<![\w.])\.(?=\d)", "0.", name)


def percent(values: Sequence[float]) -> str:
    """Return the mean in per cent, a dash where there is nothing.

    Examples
    --------
    >>> percent([0.5, 0.25])
    '37.5'
    """
    return f"{100 * np.mean(values):.1f}" if len(values) else "\\-"
