"""How a raw table is read: files of several formats, in the way that params.yaml says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from modeling.spellings import DateOrder, understood
from modeling.table import Source, check_names, normalise, read_table
from record.parameters import COMPRESSED, Csv, Data
from record.problem import Problem, refuse_if

LARGEST_BLOCK = 256 * 1024 * 1024  # bytes; no row of a text file may be larger
DENSEST = 20  # bytes of text in a byte of a compressed file
SHOWN = 5  # columns with odd values that are described one by one
CODECS = {"gzip": "gzip", "bz2": "bz2", "zstd": "zstd", "lz4": "lz4", "none": None, "auto": "detect"}
ENDINGS = {".gz": "gzip", ".bz2": "bz2", ".zst": "zstd", ".lz4": "lz4"}

DEFAULTS: dict[str, Any] = {  # of manifests from before these were parameters
    "missing": {"*": ["NA", "N/A", "NaN", "nan", "null", "NULL", "n/a", "#N/A"]},
    "types": {},
    "date_order": "auto",
    "csv": {"delimiter": ",", "decimal": ".", "thousands": "", "encoding": "utf-8", "compression": "auto"},
    "refuse": [],
}


@dataclass(frozen=True)
class Raw:
    """A raw table, and of its dates that are text, which number is the day."""

    path: Source
    table: pa.Table
    date_orders: dict[str, DateOrder]


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
    return sorted(path.rglob("*.parquet")) if path.is_dir() else [path]


def read_raw(path: Source, data: Data) -> Raw:
    """The raw table, each column of the kind that its values have or that `data.types` names.

    Raises:
        Problem: when it cannot be read, or the values of a column are of several kinds; with the ways on.
    """
    files = files_of(path)
    refuse_if(
        [] if files else [f"{path}: expected .parquet files in this folder, found none; dvc pull brings what it tracks"]
    )
    if is_text(path):
        table = read_text(path, data)
    else:
        table = pa.concat_tables([read_table(file) for file in files], promote_options="permissive")
    columns: dict[str, pa.ChunkedArray] = {}
    orders: dict[str, DateOrder] = {}
    problems: dict[str, str] = {}
    for name in table.column_names:
        try:
            columns[name], order = understood(name, table[name], data, is_typed=not is_text(path))
            if order:
                orders[name] = order
        except Problem as problem:
            problems[name] = " ".join(problem.lines)
    shown, others = list(problems.values())[:SHOWN], list(problems)[SHOWN:]
    if others:
        way = "what means missing in every column belongs in data.missing under '*'"
        shown.append(f"{len(others)} more columns have odd values: {', '.join(others)}; {way}")
    refuse_if(f"{path}: {line}" for line in shown)
    return Raw(path, pa.table(columns), orders)


def read_text(path: Source, data: Data) -> pa.Table:
    """The table in a text file, with the kinds that Arrow infers from all values of a column."""
    if not path.is_file():
        raise Problem(f"{path}: not found; dvc pull brings what DVC tracks")
    if path.stat().st_size == 0:
        raise Problem(f"{path}: expected a table, found an empty file")
    try:
        check_delimiter(path, data.csv)
        with opened(path, data.csv) as stream:
            table = pa.csv.read_csv(stream, **text_options(path, data))
        table.validate(full=True)  # detects text that is not in this encoding
    except (pa.ArrowException, UnicodeError, LookupError, OSError) as error:
        reason = " ".join(str(error).split())
        raise Problem(f"{path}: not readable as CSV in {data.csv.encoding} with one header line: {reason}") from None
    check_names(table, path)
    remedy = "set data.csv.encoding in params.yaml"
    refuse_if(
        f"{path}: column '{field.name}': has text that is not in {data.csv.encoding}; {remedy}"
        for field in table.schema
        if pa.types.is_binary(field.type)
    )
    return normalise(table)


def opened(path: Source, csv: Csv) -> IO[bytes]:
    """A text file as a stream of what it holds, without its compression."""
    codec = CODECS[csv.compression]
    if codec == "detect":
        codec = ENDINGS.get(path.suffix)
    stream: IO[bytes] = pa.input_stream(str(path) if isinstance(path, Path) else path.open("rb"), compression=codec)
    return stream


def text_options(path: Source, data: Data, largest: int = LARGEST_BLOCK) -> dict[str, Any]:
    """How Arrow is to read a text file. A block is as large as the file, where it can be, since a cell can be."""
    is_plain = data.csv.compression == "none" or (data.csv.compression == "auto" and path.suffix in {".csv", ".tsv"})
    size = path.stat().st_size * (1 if is_plain else DENSEST)
    missing = ["", *data.missing.get("*", [])]
    return {
        "read_options": pa.csv.ReadOptions(block_size=min(size + 1024, largest), encoding=data.csv.encoding),
        "parse_options": pa.csv.ParseOptions(delimiter=delimiter_of(path, data.csv), newlines_in_values=True),
        "convert_options": pa.csv.ConvertOptions(
            strings_can_be_null=True,
            null_values=missing,
            decimal_point=data.csv.decimal,
            # As they are written, with the zeros of a postcode.
            column_types=dict.fromkeys([*data.types, *data.missing.keys() - {"*"}], pa.string()),
        ),
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
    with opened(path, csv) as stream:
        first = stream.read(1 << 16).split(b"\n")[0].decode(csv.encoding, errors="replace")
    counts = {mark: first.count(mark) for mark in (";", "\t", "|", ",")}
    mark = max(counts, key=lambda mark: counts[mark])
    expected = delimiter_of(path, csv)
    return mark if counts[mark] and expected not in first else expected


def spellings_read_as_missing(raw: Raw, data: Data) -> Iterator[tuple[str, int]]:
    """Which spellings in a text file were read as a missing target, each with its number of rows."""
    target = data.target
    if not (is_text(raw.path) and target in raw.table.column_names and raw.table[target].null_count):
        return
    options = text_options(raw.path, data)
    convert = options["convert_options"]
    convert.null_values, convert.include_columns = [""], [target]
    convert.column_types = {target: pa.string()}
    with opened(raw.path, data.csv) as stream:
        found = pc.value_counts(pa.csv.read_csv(stream, **options)[target].drop_null()).to_pylist()
    spellings = {*data.missing.get("*", []), *data.missing.get(target, [])}
    yield from ((value["values"], value["counts"]) for value in found if value["values"] in spellings)
