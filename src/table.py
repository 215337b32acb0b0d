"""The table: how it is read, which columns can be learned from, and the form in which it is kept.

Tables are Arrow tables with three kinds of columns: number, text and boolean. Missing values are nulls.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Literal

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq

from files import replacing
from problem import Problem, refuse_if

Kind = Literal["number", "text", "boolean"]
ROW_GROUP = 128 * 1024  # rows; fixed, since the bytes of a Parquet file depend on it


def read_table(path: Path) -> pa.Table:
    """Read a Parquet or CSV file (UTF-8, a header line, commas; empty, NA and null are missing values).

    Raises:
        Problem: when the file is missing, empty, damaged or of another format, or a column's name is there twice.
    """
    if not path.is_file():
        raise Problem(f"{path}: not found")
    if path.stat().st_size == 0:
        raise Problem(f"{path}: expected a table, found an empty file")
    return parse_table(path, path)


def parse_table(source: Path | BinaryIO, path: Path) -> pa.Table:
    """The table in a file, or in the bytes of one that stood at `path`."""
    try:
        table = _read_csv(source) if path.suffix == ".csv" else _read_parquet(source)
        table.validate(full=True)  # text that is not UTF-8 is found here
        names = Counter(table.column_names)
    except (pa.ArrowException, UnicodeDecodeError, OSError) as error:
        kind = "CSV in UTF-8 with one header line" if path.suffix == ".csv" else "Parquet"
        raise Problem(f"{path}: not readable as {kind}: {' '.join(str(error).split())}") from None
    refuse_if(f"{path}: column '{name}' is there {n} times; names must differ" for name, n in names.items() if n > 1)
    return normalise(table)


def _read_csv(source: Path | BinaryIO) -> pa.Table:
    return pa.csv.read_csv(source, convert_options=pa.csv.ConvertOptions(strings_can_be_null=True))


def _read_parquet(source: Path | BinaryIO) -> pa.Table:
    return pq.ParquetFile(source, page_checksum_verification=True).read()


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
        column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    return column


def kind_of(column_type: pa.DataType) -> Kind | None:
    """What a column is to a model; None for types that cannot be a feature."""
    if pa.types.is_integer(column_type) or pa.types.is_floating(column_type):
        return "number"
    if pa.types.is_boolean(column_type):
        return "boolean"
    return "text" if pa.types.is_string(column_type) else None


def problems_of_column(name: str, column: pa.ChunkedArray, mend: str) -> Iterator[str]:
    """Why a column cannot be used; `mend` says what else to do than to correct the column."""
    if column.null_count == len(column):
        yield f"column '{name}': every value is missing; {mend}"
    elif kind_of(column.type) is None:
        hint = " (text that is not in UTF-8 is read as such)" if pa.types.is_binary(column.type) else ""
        yield f"column '{name}': expected numbers, text or booleans, found {column.type}{hint}; {mend}"
    elif pa.types.is_floating(column.type) and (infinite := pc.sum(pc.is_inf(column)).as_py()):
        yield f"column '{name}': expected finite numbers, found {infinite} infinite; {mend}"
