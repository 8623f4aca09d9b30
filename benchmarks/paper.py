"""The numbers that papers print, as data."""

from __future__ import annotations

import re
import tomllib
from functools import cache
from pathlib import Path
from typing import NamedTuple

__all__ = ["Cell", "paper_cells", "paper_column"]

FILE = Path(__file__).parent / "paper_cells.toml"
NUMBER = re.compile(r"(\d*\.?\d+)(?:±(\d*\.?\d+))?")


class Cell(NamedTuple):
    """One printed number, in per cent where the table says nothing else."""

    paper: str
    table: str
    row: str
    column: str
    value: float
    std: float | None
    note: str


@cache
def paper_cells() -> tuple[Cell, ...]:
    """Read all cells.

    A table of the file holds ``columns`` and ``rows``; a row's entries are texts such as
    ``"66.3±0.42"``, ``"-"`` where the paper has none, and two numbers with a slash between them
    where ``measures`` names two columns for each entry. ``notes`` holds a remark per row, or per
    ``"row | column"``.

    Raises
    ------
    ValueError
        If a row has another number of entries than there are columns, or an entry is no number.
    """
    content = tomllib.loads(FILE.read_text(encoding="utf-8"))
    return tuple(cell for table in content["table"] for cell in _cells(table))


def _cells(table: dict) -> list[Cell]:
    where = f"{table['paper']}, table {table['table']}"
    cells, notes = [], table.get("notes", {})
    measures = table.get("measures", [""])
    for row, entries in table["rows"].items():
        if len(entries) != len(table["columns"]):
            raise ValueError(
                f"Row {row!r} of {where} must have {len(table['columns'])} entries. Got "
                f"{len(entries)}."
            )
        for column, entry in zip(table["columns"], entries, strict=True):
            if entry == "-":
                continue
            for measure, text in zip(measures, entry.split("/"), strict=True):
                name = f"{column} {measure}".strip()
                note = notes.get(f"{row} | {name}", notes.get(row, ""))
                value, std = _parse(text.strip(), f"{where}, {row}, {name}")
                cells.append(Cell(table["paper"], table["table"], row, name, value, std, note))
    return cells


def _parse(text: str, where: str) -> tuple[float, float | None]:
    match = NUMBER.fullmatch(text)
    if match is None:
        raise ValueError(f"{where} must be a number such as '66.3±.42', or '-'. Got {text!r}.")
    value, std = match.groups()
    return float(value), None if std is None else float(std)


def paper_column(paper: str, table: str, column: str) -> dict[str, Cell]:
    """Return the cells of a column by row.

    Parameters
    ----------
    paper, table, column : str
        As in the file.

    Raises
    ------
    ValueError
        If there is no such column.

    Examples
    --------
    >>> paper_column("M2m", "2", "Reuters bACC")["ERM"].value
    59.8
    """
    cells = [cell for cell in paper_cells() if cell[:2] == (paper, table)]
    found = {cell.row: cell for cell in cells if cell.column == column}
    if not found:
        known = sorted({cell.column for cell in cells}) or "no such table"
        raise ValueError(
            f"{paper}, table {table}, has no column {column!r}. Got cells of: {known}."
        )
    return found
