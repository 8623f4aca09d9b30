"""Long-tailed data: a tail cut out of any labelled data, and data sets with a natural one."""

from ltresample.datasets._long_tail import make_long_tailed
from ltresample.datasets._reuters import fetch_reuters36, fetch_reuters52
from ltresample.datasets._tables import load_table, load_tables

__all__ = [
    "fetch_reuters36",
    "fetch_reuters52",
    "load_table",
    "load_tables",
    "make_long_tailed",
]
