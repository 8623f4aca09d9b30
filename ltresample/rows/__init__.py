"""Where rows come from and go to: sources, units, pools, open-set samples, containers."""

from ltresample.rows._columns import TakeColumns, VaryingColumns
from ltresample.rows._containers import Container, container_of, extended_index, take_labels
from ltresample.rows._open_set import check_random_access, open_set_rows
from ltresample.rows._pool import ClassIndex, Pool, index_of, pool_of
from ltresample.rows._sources import ArrayRows, DatasetRows, Rows, RowStream, SubsetRows
from ltresample.rows._space import Space, space_of
from ltresample.rows._taken import TakenRows, can_be_held, has_pixels, row_shape_of

__all__ = [
    "ArrayRows",
    "ClassIndex",
    "Container",
    "DatasetRows",
    "Pool",
    "RowStream",
    "Rows",
    "Space",
    "SubsetRows",
    "TakeColumns",
    "TakenRows",
    "VaryingColumns",
    "can_be_held",
    "check_random_access",
    "container_of",
    "extended_index",
    "has_pixels",
    "index_of",
    "open_set_rows",
    "pool_of",
    "row_shape_of",
    "space_of",
    "take_labels",
]
