"""Where rows come from and go to: sources, units, pools, open-set samples, containers."""

from ltresample.rows._categories import Categories, categories_of, one_hot_groups
from ltresample.rows._columns import TakeColumns, VaryingColumns
from ltresample.rows._containers import (
    Container,
    container_of,
    extended_index,
    in_type,
    take_labels,
    take_rows,
)
from ltresample.rows._door import (
    Opened,
    check_finite,
    check_fits,
    check_image_layout,
    open_values,
    plain,
    plain_labels,
    warn_of_pixel_range,
)
from ltresample.rows._open_set import (
    aligned_with,
    check_random_access,
    open_beside,
    open_set_rows,
)
from ltresample.rows._pixels import PixelUnit, looked_at, pixel_unit
from ltresample.rows._pool import ClassIndex, Pool, index_of, pool_of
from ltresample.rows._sources import (
    ArrayRows,
    DatasetRows,
    Rows,
    RowSource,
    RowStream,
    SubsetRows,
    first_part,
)
from ltresample.rows._space import Space, Units, space_of, units_of
from ltresample.rows._table import Columns, columns_of, encoded_table, known_rows
from ltresample.rows._taken import TakenRows, can_be_held, row_shape_of, table_space

__all__ = [
    "ArrayRows",
    "Categories",
    "ClassIndex",
    "Columns",
    "Container",
    "DatasetRows",
    "Opened",
    "PixelUnit",
    "Pool",
    "RowSource",
    "RowStream",
    "Rows",
    "Space",
    "SubsetRows",
    "TakeColumns",
    "TakenRows",
    "VaryingColumns",
    "Units",
    "aligned_with",
    "can_be_held",
    "categories_of",
    "check_finite",
    "check_fits",
    "check_image_layout",
    "check_random_access",
    "columns_of",
    "container_of",
    "encoded_table",
    "extended_index",
    "first_part",
    "in_type",
    "index_of",
    "known_rows",
    "one_hot_groups",
    "looked_at",
    "open_beside",
    "open_set_rows",
    "open_values",
    "pixel_unit",
    "plain",
    "plain_labels",
    "pool_of",
    "row_shape_of",
    "space_of",
    "table_space",
    "take_labels",
    "take_rows",
    "units_of",
    "warn_of_pixel_range",
]
