"""How a raw table is read: files of several formats, in the way that params.yaml says."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from modeling.spellings import DateOrder, Reader, Spelling, as_said, without_missing
from modeling.table import (
    BATCH,
    Source,
    check_file,
    check_names,
    in_runs,
    normalise,
    readable,
    schema_of,
    stored_batches,
    stored_columns,
    unified,
)
from record.parameters import COMPRESSED, Csv, Data
from record.problem import Problem, in_one_line, progress, refuse_if

BLOCK = 1024 * 1024  # bytes of a text file, of which Arrow reads 32 ahead
LARGEST_BLOCK = 64 * 1024 * 1024  # bytes; no row of a text file may be larger
DENSEST = 20  # bytes of text in a byte of a compressed file
SHOWN = 5  # columns with odd values that are described one by one
ENDINGS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}

STARTS = {  # of files that are not the text that their name says
    b"\xff\xfe": "text in UTF-16; set data.csv.encoding: utf-16 in params.yaml",
    b"\xfe\xff": "text in UTF-16; set data.csv.encoding: utf-16 in params.yaml",
    b"PK\x03\x04": "an Excel or ZIP file; save the table in it as CSV",
    b"PAR1": "a Parquet file; let its name end in .parquet",
    b"\x1f\x8b": "gzip; let its name end in .gz, or set data.csv.compression: gzip in params.yaml",
}

DEFAULTS: dict[str, Any] = {  # of manifests from before these were parameters
    "missing": {"*": ["NA", "N/A", "NaN", "nan", "null", "NULL", "n/a", "#N/A"]},
    "types": {},
    "date_order": "auto",
    "csv": {"delimiter": ",", "decimal": ".", "thousands": "", "encoding": "utf-8", "compression": "auto"},
    "refuse": [],
}


@dataclass(frozen=True)
class Raw:
    """A raw table: how its rows are read, batch by batch, as often as they are needed."""

    path: Source
    data: Data
    stored: pa.Schema
    readers: dict[str, Reader]  # of the columns of text that are not to stay text
    read_as_missing: Counter[str]  # of the target: rows by the spelling of a missing value
    lost_zeros: dict[str, str]  # of columns of numbers: one that was written with leading zeros
    rows: int | None  # where they were counted

    def batches(self, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows, of all columns or some, each of the kind that its values have or that `data.types` names."""
        plain = {name: reader.type for name, reader in self.readers.items() if reader.is_plain}
        stored = stored_rows(self.path, self.data, self.stored, columns, plain)
        for rows in progress(stored, f"reading {self.path}", " rows", self.rows, size=len):
            yield pa.table({name: self.read(name, rows[name]) for name in rows.column_names})

    def read(self, name: str, column: pa.ChunkedArray) -> pa.ChunkedArray:
        """A column as it is stored, as its kind."""
        column = without_missing(name, column, self.data)
        if name in self.readers and pa.types.is_string(column.type):  # -999 may be written as -999.0
            return without_missing(name, self.readers[name](column), self.data)
        is_said = name in self.data.types and not pa.types.is_string(column.type)
        return as_said(name, column, self.data.types[name]) if is_said else column

    @cached_property
    def schema(self) -> pa.Schema:
        """The columns and their types."""
        empty = {field.name: self.read(field.name, pa.chunked_array([], field.type)) for field in self.stored}
        return pa.table(empty).schema

    @property
    def table(self) -> pa.Table:
        """All rows at once."""
        return pa.concat_tables([self.schema.empty_table(), *self.batches()]).combine_chunks()

    @property
    def date_orders(self) -> dict[str, DateOrder]:
        """Of dates that are text, whether the day or the month comes first."""
        return {name: reader.order for name, reader in self.readers.items() if reader.order}


def settings_of(recorded: dict[str, Any]) -> Data:
    """How the raw table of a manifest was read, from its parameters.

    Raises:
        Problem: when they are not what `params.yaml` can say.
    """
    read = {key: recorded.get(key, value) for key, value in DEFAULTS.items()}
    try:
        read["csv"] = DEFAULTS["csv"] | read["csv"]
        return Data.model_validate({"path": "any.csv", "target": "any", "task": "regression", "drop": []} | read)
    except (ValueError, TypeError):
        raise Problem("manifest.json: params.data: does not say how the table is read") from None


def is_text(path: Source) -> bool:
    """Whether a file is text with a delimiter, compressed or not."""
    return path.name.endswith(tuple(f"{kind}{ending}" for kind in (".csv", ".tsv") for ending in COMPRESSED))


def files_of(path: Source) -> Sequence[Source]:
    """The files of a table: one, or those of a folder of Parquet files in the order of their names."""
    if not path.is_dir():
        return [path]
    return sorted(file for file in path.rglob("*.parquet") if not file.is_dir())  # Spark names folders so


def read_raw(path: Source, data: Data) -> Raw:
    """A raw table, once all of its text was looked at: one odd cell in the last row would change what a column is.

    Raises:
        Problem: when it cannot be read, or the values of a column are of several kinds; with the ways on.
    """
    stored = stored_schema(path, data)
    texts = [field.name for field in stored if pa.types.is_string(field.type)]
    spellings = {name: Spelling(name, data, is_typed=not is_text(path)) for name in texts}
    read_as_missing: Counter[str] = Counter()
    rows_read = 0
    batches = stored_rows(path, data, stored, texts) if texts else ()
    for rows in progress(batches, f"looking at the text of {path}", " rows", size=len):
        rows_read += len(rows)
        for name, spelling in spellings.items():
            known = without_missing(name, rows[name], data)
            spelling.add(known)
            if name == data.target and is_text(path) and known.null_count > rows[name].null_count:
                lost = pc.value_counts(rows[name].filter(pc.is_null(known)).drop_null())
                read_as_missing.update({value["values"]: value["counts"] for value in lost.to_pylist()})
    readers: dict[str, Reader] = {}
    problems: dict[str, str] = {}
    for name, spelling in spellings.items():
        try:
            if reader := spelling.reader():
                readers[name] = reader
        except Problem as problem:
            problems[name] = " ".join(problem.lines)
    shown, others = list(problems.values())[:SHOWN], list(problems)[SHOWN:]
    if others:
        way = "what means missing in every column belongs in data.missing under '*'"
        shown.append(f"{len(others)} more columns have odd values: {', '.join(others)}; {way}")
    refuse_if(f"{path}: {line}" for line in shown)
    padded = {name: zeros for name in readers if (zeros := spellings[name].zeros) and readers[name].is_whole}
    return Raw(path, data, stored, readers, read_as_missing, padded, rows_read or None)


def stored_schema(path: Source, data: Data) -> pa.Schema:
    """The columns of a table as they are stored, where text files have text alone, and files of a folder agree.

    Raises:
        Problem: when the table does not exist, or the name of a column occurs twice.
    """
    files = files_of(path)
    if not files:
        way = "write the table as these or as one CSV, or dvc pull brings what it tracks"
        raise Problem(f"{path}: expected .parquet files in this folder, found none; {way}")
    if is_text(path):
        check_file(path)
        with readable_as(path, data):
            check_delimiter(path, data.csv)
            names = names_in(path, data)
        check_names(names, path)
        return pa.schema(dict.fromkeys(names, pa.string()))
    return unified([schema_of(file) for file in files], path)


def stored_rows(
    path: Source,
    data: Data,
    schema: pa.Schema,
    columns: list[str] | None = None,
    types: Mapping[str, pa.DataType] | None = None,
) -> Iterator[pa.Table]:
    """The rows of a table as they are stored, batch by batch, of all columns or some.

    The columns of a text file are text, unless `types` names another type that all of its values are of.

    Raises:
        Problem: when a file is damaged, or not of its format.
    """
    names = schema.names if columns is None else columns
    of_text = {name: (types or {}).get(name, pa.string()) for name in names}
    none = pa.schema(of_text if is_text(path) else [schema.field(name) for name in names]).empty_table()
    for file in files_of(path):
        with readable_as(file, data):
            if is_text(path):
                batches = text_rows(path, data, of_text)
            else:
                there = [name for name in names if name in stored_columns(file).names]
                batches = (normalise(rows) for rows in stored_batches(file, BATCH, there))
            for rows in batches:
                rows.validate(full=True)  # detects text that is not UTF-8
                yield pa.concat_tables([none, rows], promote_options="permissive")


@contextmanager
def readable_as(path: Source, data: Data) -> Iterator[None]:
    """What Arrow says of a raw table that it cannot read becomes a problem that names the file and its format."""
    if not is_text(path):
        with readable(path):
            yield
        return
    try:
        yield
    except (pa.ArrowException, UnicodeError, LookupError, OSError) as error:
        if found := re.search(r"In CSV column #(\d+): .* invalid UTF8", str(error)):
            name, remedy = names_in(path, data)[int(found[1])], "set data.csv.encoding in params.yaml"
            raise Problem(f"{path}: column '{name}': has text that is not in {data.csv.encoding}; {remedy}") from None
        kind = f"CSV in {data.csv.encoding} with one header line"
        raise Problem(f"{path}: not readable as {kind}: {in_one_line(error)}") from None


def text_rows(
    path: Source, data: Data, types: Mapping[str, pa.DataType], most: int = BATCH, block: int = BLOCK
) -> Iterator[pa.Table]:
    """Some columns of a text file, batch by batch; an empty cell of text is null, and what means missing in numbers."""
    missing = [""] if all(map(pa.types.is_string, types.values())) else ["", *data.missing.get("*", [])]
    convert = pa.csv.ConvertOptions(strings_can_be_null=True, null_values=missing, include_columns=[*types])
    convert.column_types, done = dict(types), 0
    while True:
        passed = 0
        try:
            with unpacked(path, data.csv) as stream:
                reader = pa.csv.open_csv(stream, convert_options=convert, **text_options(path, data, block))
                for rows in in_runs((pa.Table.from_batches([batch]) for batch in reader), most):
                    new, passed = rows.slice(max(0, done - passed)), passed + len(rows)
                    done += len(new)
                    if len(new):
                        yield new
        except pa.ArrowInvalid as error:  # what went by is passed over in larger blocks
            block = larger_block(block, error, path, done)
        else:
            return


def larger_block(block: int, error: pa.ArrowInvalid, path: Source, rows: int) -> int:
    """The next size to try where a row is larger than a block: memory grows with the largest row, and no further.

    Raises:
        Problem: when no row may be so large; `rows` came before.
        pa.ArrowInvalid: when something else is wrong.
    """
    is_header, is_row = (words in str(error) for words in ("cannot infer number of columns", "straddling"))
    is_largest = block >= LARGEST_BLOCK
    if is_row and is_largest:
        found = f"a row after the first {rows:,} is larger than {LARGEST_BLOCK >> 20} MiB"
        raise Problem(f"{path}: {found}; if a quote was left open there, close it")
    if is_largest or not (is_header or is_row):
        raise error
    return 2 * block


def names_in(path: Source, data: Data, block: int = BLOCK) -> list[str]:
    """The names of the columns of a text file."""
    try:
        with unpacked(path, data.csv) as stream:
            return list(pa.csv.open_csv(stream, **text_options(path, data, block)).schema.names)
    except pa.ArrowInvalid as error:
        return names_in(path, data, larger_block(block, error, path, 0))


def unpacked(path: Source, csv: Csv) -> IO[bytes]:
    """A text file as a stream of what it holds, without its compression."""
    source, codec = str(path) if isinstance(path, Path) else path.open("rb"), codec_of(path, csv)
    stream: IO[bytes] = pa.input_stream(source, compression=None if codec == "none" else codec)
    return stream


def codec_of(path: Source, csv: Csv) -> str:
    """How a text file is compressed: as params.yaml or else the end of its name says."""
    return ENDINGS.get(path.suffix, "none") if csv.compression == "auto" else csv.compression


def text_options(path: Source, data: Data, block: int) -> dict[str, Any]:
    """How Arrow is to read a text file, in blocks of so many bytes."""
    size = path.stat().st_size * (1 if codec_of(path, data.csv) == "none" else DENSEST)
    return {
        "read_options": pa.csv.ReadOptions(block_size=min(size + 1024, block), encoding=data.csv.encoding),
        "parse_options": pa.csv.ParseOptions(delimiter=delimiter_of(path, data.csv), newlines_in_values=True),
    }


def delimiter_of(path: Source, csv: Csv) -> str:
    """The delimiter; of a .tsv it is a tab, whatever params.yaml says."""
    return "\t" if ".tsv" in path.suffixes else csv.delimiter


def check_delimiter(path: Source, csv: Csv) -> None:
    """Refuse a file whose first line has another delimiter than the one that params.yaml names."""
    mark = seen_delimiter(path, csv)
    if mark != delimiter_of(path, csv):
        decimal = ", and data.csv.decimal: ',' where numbers have one" if mark == ";" else ""
        raise Problem(f"{path}: looks separated by {mark!r}; set data.csv.delimiter: {mark!r} in params.yaml{decimal}")


def seen_delimiter(path: Source, csv: Csv) -> str:
    """The delimiter that is expected, if the first line has it or no other; else the one that it has most often."""
    with unpacked(path, csv) as stream:
        start = stream.read(1 << 16)
    is_wide = csv.encoding.lower().startswith("utf-16")
    refuse_if(f"{path}: is {kind}" for mark, kind in STARTS.items() if start.startswith(mark) and not is_wide)
    first = start.split(b"\n")[0].decode(csv.encoding, errors="replace")
    counts = {mark: first.count(mark) for mark in (";", "\t", "|", ",")}
    mark = max(counts, key=lambda mark: counts[mark])
    expected = delimiter_of(path, csv)
    return mark if counts[mark] and expected not in first else expected
