"""The table: how it is read, what its columns are to a model, how it is kept, and how scikit-learn takes it.

Tables are Arrow tables with three kinds of columns: number, text and boolean. Missing values are nulls.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.parquet as pq

from record.files import replacing
from record.problem import Problem, refuse_if

if TYPE_CHECKING:
    import pandas as pd

Kind = Literal["number", "text", "boolean"]
ROW_GROUP = 128 * 1024  # rows; fixed, since the bytes of a Parquet file depend on it


def read_table(path: Path) -> pa.Table:
    """Read a Parquet or Feather file.

    Raises:
        Problem: when the file is missing, empty, damaged or of another format, or a column's name occurs twice.
    """
    if not path.is_file():
        raise Problem(f"{path}: not found")
    if path.stat().st_size == 0:
        raise Problem(f"{path}: expected a table, found an empty file")
    try:
        table = pyarrow.feather.read_table(path) if path.suffix == ".feather" else _read_parquet(path)
        table.validate(full=True)  # detects text that is not UTF-8
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        kind = "Feather" if path.suffix == ".feather" else "Parquet"
        raise Problem(f"{path}: not readable as {kind}: {' '.join(str(error).split())}") from None
    check_names(table, path)
    return normalise(table)


def check_names(table: pa.Table, path: Path) -> None:
    """Refuse a table in which the name of a column occurs twice."""
    names = Counter(table.column_names)
    refuse_if(f"{path}: column '{name}' occurs {n} times; names must differ" for name, n in names.items() if n > 1)


def _read_parquet(path: Path) -> pa.Table:
    return pq.ParquetFile(path, page_checksum_verification=True).read()


def write_table(table: pa.Table, path: Path) -> None:
    """Write Parquet whose bytes depend on the rows and on the version of pyarrow alone, with a checksum per page."""
    with replacing(path) as part:
        pq.write_table(
            table.replace_schema_metadata(None).combine_chunks(),
            part,
            row_group_size=ROW_GROUP,
            store_schema=False,
            write_page_checksum=True,
        )


def normalise(table: pa.Table) -> pa.Table:
    """Bring different spellings of one thing together: categories to their values, decimals to doubles, NaN to null."""
    columns = {field.name: _normalise(table[field.name]) for field in table.schema}
    return pa.table(columns)


def _normalise(column: pa.ChunkedArray) -> pa.ChunkedArray:
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_decimal(column.type) or pa.types.is_float16(column.type):
        column = column.cast(pa.float64())
    if pa.types.is_large_string(column.type) or pa.types.is_string_view(column.type):
        column = column.cast(pa.string())
    if pa.types.is_floating(column.type):
        column = pc.if_else(pc.is_nan(column), pa.nulls(1, column.type)[0], column)
    return column


def kind_of(column_type: pa.DataType) -> Kind | None:
    """What a column is to a model; None for types that cannot be a feature."""
    if pa.types.is_integer(column_type) or pa.types.is_floating(column_type):
        return "number"
    if pa.types.is_boolean(column_type):
        return "boolean"
    return "text" if pa.types.is_string(column_type) else None


def problems_of_column(name: str, column: pa.ChunkedArray, remedy: str) -> Iterator[str]:
    """Why a column cannot be used, with the remedy."""
    if column.null_count == len(column):
        yield f"column '{name}': every value is missing; {remedy}"
    elif kind_of(column.type) is None:
        hint = " (text that is not in UTF-8 is read as such)" if pa.types.is_binary(column.type) else ""
        yield f"column '{name}': expected numbers, text or booleans, found {column.type}{hint}; {remedy}"
    elif pa.types.is_floating(column.type) and (infinite := pc.sum(pc.is_inf(column)).as_py()):
        yield f"column '{name}': expected finite numbers, found {infinite} infinite; {remedy}"


def features_and_target(table: pa.Table, target: str) -> tuple["pd.DataFrame", np.ndarray]:
    """A prepared table as scikit-learn takes it."""
    return to_frame(table.drop([target])), to_target(table[target])


def to_frame(table: pa.Table) -> "pd.DataFrame":
    """The table as a fitted Pipeline takes it: numbers as double, text and booleans as objects, missing as NaN."""
    import pandas as pd  # noqa: PLC0415 - prepare does not need it

    columns = {}
    for field in table.schema:
        column = table[field.name]
        if kind_of(field.type) == "number":
            columns[field.name] = column.cast(pa.float64(), safe=False).to_numpy()
        else:
            values = pd.Series(column.to_pylist(), dtype=object)
            columns[field.name] = values.where(column.is_valid().to_numpy(), float("nan"))
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)))


def to_target(column: pa.ChunkedArray) -> np.ndarray:
    """The target as scikit-learn takes it: numbers and booleans as such, text as objects."""
    return np.asarray(column.to_pylist(), dtype=object) if kind_of(column.type) == "text" else column.to_numpy()
