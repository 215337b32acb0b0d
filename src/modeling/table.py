"""The table: how it is read, what its columns are to a model, how it is kept, and how scikit-learn takes it.

Tables are Arrow tables of numbers, booleans, text, dates (instants in UTC) and times of day; a duration is its number
of seconds. Missing values are nulls.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.feather
import pyarrow.parquet as pq

from record.files import check_inputs, replacing
from record.parameters import Data, Kind, Parameters
from record.problem import Problem, in_one_line, refuse_if

if TYPE_CHECKING:
    import pandas as pd

DATE, TIME = pa.timestamp("us"), pa.time64("us")
PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
FEW = 40  # values of a category, up to which each gets a column of its own
WORDS = 3  # text of more values, and of so many words in the mean, is free text
BATCH = 32 * 1024  # rows that are worked on at a time
PIECE = 256 * 1024  # bytes of a column of a Parquet file that are read at a time
ROW_GROUP = 128 * 1024  # rows; fixed, since the bytes of a Parquet file depend on it


class Source(Protocol):
    """Where a table is: a `Path`, or what has as much of its interface."""

    @property
    def name(self) -> str:
        """The last part of it."""

    @property
    def suffix(self) -> str:
        """The ending of the name."""

    @property
    def suffixes(self) -> Sequence[str]:
        """All endings of the name."""

    def is_file(self) -> bool:
        """Whether it is a file."""

    def is_dir(self) -> bool:
        """Whether it is a folder."""

    def rglob(self, pattern: str, /) -> Iterable[Any]:
        """The files of a folder, those of its folders too."""

    def stat(self) -> Any:
        """The size, as `st_size`."""

    def open(self, mode: str, /) -> Any:
        """The bytes."""


def opened(path: Source) -> pa.NativeFile:
    """The bytes of a file as Arrow takes them; of one that is elsewhere those that are asked for."""
    return pa.OSFile(str(path)) if isinstance(path, Path) else pa.PythonFile(path.open("rb"), "r")


def read_table(path: Path) -> pa.Table:
    """Read a Parquet or Feather file.

    Raises:
        Problem: when the file is missing, empty, damaged or of another format, or a column's name occurs twice.
    """
    schema_of(path)
    with readable(path):
        if path.suffix == ".feather":
            table = pyarrow.feather.read_table(path)
        else:
            table = pq.ParquetFile(path, page_checksum_verification=True).read()
        table.validate(full=True)  # detects text that is not UTF-8
    return normalise(table)


def schema_of(path: Source) -> pa.Schema:
    """The columns of such a file, as `normalise` makes them, refused as `read_table` does."""
    check_file(path)
    with readable(path):
        stored = stored_columns(path)
    check_names(stored.names, path)
    return normalise(stored.empty_table()).schema


def check_file(path: Source) -> None:
    """Refuse a file that does not exist or is empty."""
    check_inputs(path)
    if path.stat().st_size == 0:
        raise Problem(f"{path}: expected a table, found an empty file")


@contextmanager
def readable(path: Source) -> Iterator[None]:
    """What Arrow says of a Parquet or Feather file that it cannot read becomes a problem that names the file."""
    try:
        yield
    except (pa.ArrowException, UnicodeError, OSError) as error:
        kind = "Feather" if path.suffix == ".feather" else "Parquet"
        raise Problem(f"{path}: not readable as {kind}: {in_one_line(error)}") from None


def check_names(names: list[str], path: Source) -> None:
    """Refuse a table in which the name of a column occurs twice."""
    counts = Counter(names)
    refuse_if(f"{path}: column '{name}' occurs {n} times; names must differ" for name, n in counts.items() if n > 1)


def stored_columns(path: Source) -> pa.Schema:
    """The columns of a Parquet or Feather file as they are stored."""
    with opened(path) as stream:
        if path.suffix == ".feather":
            with pa.ipc.open_file(stream) as reader:
                return reader.schema
        return pq.read_schema(stream)


def unified(schemas: list[pa.Schema], path: Source) -> pa.Schema:
    """The columns of all files of a folder, of which each may lack some.

    Raises:
        Problem: when a column is of several types.
    """
    try:
        return pa.unify_schemas(schemas, promote_options="permissive")
    except pa.ArrowException as error:
        found = f"its files differ: {in_one_line(error)}"
        raise Problem(f"{path}: {found}; write that column in one type in all files") from None


def stored_batches(path: Source, most: int = BATCH, columns: list[str] | None = None) -> Iterator[pa.Table]:
    """The rows of a Parquet or Feather file as they are stored, so many at a time, all columns or some.

    Not more is held than these and one batch or row group of the file.
    """
    return in_runs(_stored(path, most, columns), most)


def _stored(path: Source, most: int, columns: list[str] | None) -> Iterator[pa.Table]:
    if path.suffix == ".feather":
        with opened(path) as stream, pa.ipc.open_file(stream) as reader:
            stored = (pa.Table.from_batches([reader.get_batch(k)]) for k in range(reader.num_record_batches))
            wanted = (rows.select(columns) if columns else rows for rows in stored)
            yield from (rows.slice(start, most) for rows in wanted for start in range(0, len(rows), most))
        return
    # With Arrow's defaults, all row groups are read ahead, and memory grows with the file, or with its row groups.
    with pq.ParquetFile(opened(path), page_checksum_verification=True, pre_buffer=False, buffer_size=PIECE) as parquet:
        batches = parquet.iter_batches(most, columns=columns, use_threads=False)
        yield from (pa.Table.from_batches([batch]) for batch in batches if len(batch))


def write_table(table: pa.Table, path: Path) -> None:
    """Write Parquet whose bytes depend on the rows and on the version of pyarrow alone, with a checksum per page."""
    with replacing(path) as part, TableWriter(part, table.schema) as writer:
        writer.write(table)


class TableWriter:
    """Writes such a file row group by row group, whatever the size of the tables that it is given."""

    def __init__(self, path: Path, schema: pa.Schema) -> None:
        self.row_groups = Runs(ROW_GROUP)
        self.writer = pq.ParquetWriter(path, schema.remove_metadata(), store_schema=False, write_page_checksum=True)

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        """Write the last rows, unless something went wrong."""
        if kind is None:
            self._write(self.row_groups.rest())
        self.writer.close()

    def write(self, rows: pa.Table) -> None:
        """Add rows."""
        self._write(self.row_groups.add(rows.replace_schema_metadata(None)))

    def _write(self, row_groups: Iterable[pa.Table]) -> None:
        for rows in row_groups:
            self.writer.write_table(rows.combine_chunks(), row_group_size=ROW_GROUP)


class Runs:
    """The rows of tables of any size, given again in runs of one size, but for the last."""

    def __init__(self, size: int) -> None:
        self.size, self.waiting = size, list[pa.Table]()

    def add(self, rows: pa.Table) -> Iterator[pa.Table]:
        """The runs that these rows complete."""
        self.waiting.append(rows)
        while (count := sum(map(len, self.waiting))) >= self.size:
            known = pa.concat_tables(self.waiting)
            self.waiting = [known.slice(self.size)] if count > self.size else []
            yield known.slice(0, self.size)

    def rest(self) -> Iterator[pa.Table]:
        """The last rows, if any are left."""
        if any(map(len, self.waiting)):
            yield pa.concat_tables(self.waiting)


def in_runs(tables: Iterable[pa.Table], size: int) -> Iterator[pa.Table]:
    """The rows of tables of any size in runs of one size, but for the last."""
    runs = Runs(size)
    for rows in tables:
        yield from runs.add(rows)
    yield from runs.rest()


def normalise(table: pa.Table) -> pa.Table:
    """Bring different spellings of one thing together: categories to their values, decimals to doubles, NaN to null.

    Dates become instants in UTC, and durations seconds, so that a table means the same from CSV as from Parquet.
    """
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
    if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type):
        column = column.cast(DATE, safe=False)  # what is finer than microseconds is cut
    if pa.types.is_time(column.type):
        column = column.cast(TIME, safe=False)
    if pa.types.is_duration(column.type):
        column = pc.divide(column.cast(pa.int64()).cast(pa.float64()), float(PER_SECOND[column.type.unit]))
    return column


def kind_of(column_type: pa.DataType) -> Kind | None:
    """What a column is by its type, where text is a category; None for types that cannot be a feature."""
    if pa.types.is_integer(column_type) or pa.types.is_floating(column_type):
        return "number"
    if pa.types.is_boolean(column_type):
        return "boolean"
    if pa.types.is_string(column_type):
        return "category"
    if column_type == DATE:
        return "date"
    return "time" if column_type == TIME else None


def kinds_of(table: pa.Table, data: Data) -> dict[str, Kind]:
    """What each column is to a model: as its type says, and of text as `data.types` or else its words say."""
    kinds = ((name, kind_of(table[name].type)) for name in table.column_names)
    return {name: _kind_of_text(name, table, data) if kind == "category" else kind for name, kind in kinds if kind}


def _kind_of_text(name: str, table: pa.Table, data: Data) -> Kind:
    is_prose = not has_few_values(table[name]) and mean_words(table[name]) >= WORDS
    return kind_of_text(name, data, is_prose=is_prose)


def kind_of_text(name: str, data: Data, *, is_prose: bool) -> Kind:
    """Whether text is a category or free text: as `data.types` says, or else as its values look."""
    said = data.types.get(name)
    return "text" if said == "text" or (said is None and is_prose) else "category"


def mean_words(column: pa.ChunkedArray) -> float:
    """The mean number of words in the values of text."""
    known = column.drop_null()
    return words_in(*pc.value_counts(known).flatten()) / max(1, len(known))


def words_in(values: pa.Array, counts: pa.Array) -> int:
    """The number of words in different texts, each of so many rows."""
    return int(pc.sum(pc.multiply(pc.count_substring_regex(values, r"\S+"), counts)).as_py() or 0)


def has_few_values(column: pa.ChunkedArray) -> bool:
    """Whether a category has so few values that each gets a column of its own."""
    return bool(pc.count_distinct(column).as_py() <= FEW)


def feature_names(table: pa.Table, parameters: Parameters) -> list[str]:
    """The columns that a model learns from, in the table's order."""
    names = {*table.column_names} - parameters.not_features
    return [name for name in table.column_names if name in names]


def problems_of_column(name: str, column: pa.ChunkedArray, remedy: str) -> Iterator[str]:
    """Why a column cannot be used, with the remedy."""
    infinite = (pc.sum(pc.is_inf(column)).as_py() or 0) if pa.types.is_floating(column.type) else 0
    yield from problems_of(name, column.type, remedy, is_empty=column.null_count == len(column), infinite=infinite)


def problems_of(name: str, column_type: pa.DataType, remedy: str, *, is_empty: bool, infinite: int) -> Iterator[str]:
    """The same of what is known of a column."""
    if is_empty:
        yield f"column '{name}': every value is missing; {remedy}"
    elif kind_of(column_type) is None:
        hint = " (text that is not in UTF-8 is read as such)" if pa.types.is_binary(column_type) else ""
        yield f"column '{name}': expected numbers, text, booleans or dates, found {column_type}{hint}; {remedy}"
    elif infinite:
        yield f"column '{name}': expected finite numbers, found {infinite} infinite; {remedy}"


def features_and_target(table: pa.Table, parameters: Parameters) -> tuple["pd.DataFrame", np.ndarray]:
    """A prepared table as scikit-learn takes it."""
    return to_frame(table.select(feature_names(table, parameters))), to_target(table[parameters.data.target])


def to_frame(table: pa.Table) -> "pd.DataFrame":
    """The table as a fitted Pipeline takes it: missing values are NaN or NaT.

    Numbers are double, times of day seconds, dates datetime64, text and booleans objects.
    """
    import pandas as pd  # noqa: PLC0415 - prepare does not need it

    columns = {}
    for field in table.schema:
        column = table[field.name]
        match kind_of(field.type):
            case "number":
                columns[field.name] = column.cast(pa.float64(), safe=False).to_numpy()
            case "time":
                columns[field.name] = pc.divide(column.cast(pa.int64()).cast(pa.float64()), 1e6).to_numpy()
            case "date":
                columns[field.name] = column.to_numpy()
            case _:
                columns[field.name] = pd.Series(to_objects(column), dtype=object)
    return pd.DataFrame(columns, index=pd.RangeIndex(len(table)))


def to_target(column: pa.ChunkedArray) -> np.ndarray:
    """The target as scikit-learn takes it: numbers and booleans as such, text as objects."""
    return to_objects(column) if kind_of(column.type) == "category" else column.to_numpy()


def to_objects(column: pa.ChunkedArray) -> np.ndarray:
    """Text or booleans as Python objects, NaN where missing; rows of one value share one object."""
    encoded = column.dictionary_encode().combine_chunks()
    values = np.array([*encoded.dictionary.to_pylist(), float("nan")], dtype=object)
    return np.asarray(values[encoded.indices.fill_null(len(values) - 1).to_numpy()])


def to_mask(rows: np.ndarray) -> pa.BooleanArray:
    """A NumPy mask as an Arrow mask."""
    bits = pa.py_buffer(np.packbits(rows, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(rows), [None, bits])


def to_array(mask: pa.Array) -> np.ndarray:
    """An Arrow mask without missing values as a NumPy mask."""
    return np.from_dlpack(mask.cast(pa.uint8())).view(bool)
