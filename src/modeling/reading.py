"""How a raw table is read: files of several formats, with the spellings and kinds that params.yaml names.

One odd cell must not change what a column is: text that is nearly all numbers, dates or booleans is refused with the
odd values. As categories it would be learned without a word, and be worth nothing.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from modeling.table import check_names, normalise, read_table
from record.parameters import Csv, Data
from record.problem import Problem, refuse_if

LARGEST_BLOCK = 256 * 1024 * 1024  # bytes; no row of a text file may be larger
NEARLY = 0.5  # from this share of numbers, dates or booleans on, the other values are odd ones
SHOWN = 3  # odd values that are named
FORMS = {
    "numbers": r"^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?\s*$",
    "booleans": r"^(?i:true|false)$",
    "dates": r"^(\d{4}[-/.]\d{1,2}[-/.]\d{1,2}|\d{1,2}[-/.]\d{1,2}[-/.]\d{4})([ T]\d{1,2}:\d{2}.*)?$",
}
# Text of which every value is a number in another spelling, and what to do about it.
DISGUISES = {
    r"^[+-]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$": "set data.csv.thousands: ','",
    r"^[+-]?[1-9]\d{0,2}(\.\d{3}){2,}$": "set data.csv.thousands: '.'",
    r"^[+-]?\d+(,\d+)?$": "set data.csv.decimal: ','",
    r"^[$€£¥]\s?[+-]?\d[\d.,]*$|^[+-]?\d[\d.,]*(\s?[$€£¥%]|\s[[:alpha:]]{1,4})$": "remove the unit in a stage before",
}


DEFAULTS: dict[str, Any] = {  # of manifests from before these were parameters
    "missing": {"*": ["NA", "N/A", "NaN", "nan", "null", "NULL", "n/a", "#N/A"]},
    "types": {},
    "csv": {"delimiter": ",", "decimal": ".", "thousands": "", "encoding": "utf-8"},
}


def settings_of(recorded: dict[str, Any]) -> Data:
    """How the raw table of a manifest was read, from its parameters.

    Raises:
        Problem: when they are not what `params.yaml` can say.
    """
    read = {key: recorded.get(key, value) for key, value in DEFAULTS.items()}
    try:
        return Data.model_validate({"path": "any.csv", "target": "any", "task": "regression", "drop": []} | read)
    except ValueError:
        raise Problem("manifest.json: params.data: does not say how the table is read") from None


def is_text(path: Path) -> bool:
    """Whether a file is text with a delimiter, compressed or not."""
    return not {".csv", ".tsv"}.isdisjoint(path.suffixes[-2:])


def files_of(path: Path) -> list[Path]:
    """The files of a table: one, or those of a folder of Parquet files in the order of their names."""
    return sorted(path.rglob("*.parquet")) if path.is_dir() else [path]


def read_raw(path: Path, data: Data) -> pa.Table:
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
        table = pa.concat_tables([read_table(file) for file in files], promote_options="default")
    columns = {name: understood(name, table[name], data, is_typed=not is_text(path)) for name in table.column_names}
    refuse_if(f"{path}: {problem}" for name, column in columns.items() for problem in odd_values(name, column, data))
    return pa.table(columns)


def read_text(path: Path, data: Data) -> pa.Table:
    """The table in a text file, with the kinds that Arrow infers from all values of a column."""
    if not path.is_file():
        raise Problem(f"{path}: not found; dvc pull brings what DVC tracks")
    if path.stat().st_size == 0:
        raise Problem(f"{path}: expected a table, found an empty file")
    try:
        check_delimiter(path, data.csv)
        table = pa.csv.read_csv(path, **text_options(path, data))
        table.validate(full=True)  # detects text that is not in this encoding
    except (pa.ArrowException, UnicodeError, LookupError, OSError) as error:
        reason = " ".join(str(error).split())
        raise Problem(f"{path}: not readable as CSV in {data.csv.encoding} with one header line: {reason}") from None
    check_names(table, path)
    return normalise(table)


def text_options(path: Path, data: Data, largest: int = LARGEST_BLOCK) -> dict[str, Any]:
    """How Arrow is to read a text file. A block is as large as the file, where it can be, since a cell can be."""
    size = path.stat().st_size * (20 if path.suffix == ".gz" else 1)
    missing = ["", *data.missing.get("*", [])]
    return {
        "read_options": pa.csv.ReadOptions(block_size=min(size + 1024, largest), encoding=data.csv.encoding),
        "parse_options": pa.csv.ParseOptions(delimiter=delimiter_of(path, data.csv), newlines_in_values=True),
        "convert_options": pa.csv.ConvertOptions(
            strings_can_be_null=True, null_values=missing, decimal_point=data.csv.decimal
        ),
    }


def delimiter_of(path: Path, csv: Csv) -> str:
    """The delimiter; of a .tsv it is a tab, whatever params.yaml says."""
    return "\t" if ".tsv" in path.suffixes else csv.delimiter


def check_delimiter(path: Path, csv: Csv) -> None:
    """Refuse a file whose first line has another delimiter than the one that params.yaml names."""
    mark = seen_delimiter(path, csv)
    if mark != delimiter_of(path, csv):
        decimal = ", and data.csv.decimal: ',' where numbers have one" if mark == ";" else ""
        raise Problem(f"{path}: looks separated by {mark!r}; set data.csv.delimiter: {mark!r} in params.yaml{decimal}")


def seen_delimiter(path: Path, csv: Csv) -> str:
    """The delimiter that is expected, if the first line has it or no other; else the one that it has most often."""
    with pa.input_stream(str(path)) as stream:  # which decompresses by the name
        first = stream.read(1 << 16).split(b"\n")[0].decode(csv.encoding, errors="replace")
    counts = {mark: first.count(mark) for mark in (";", "\t", "|", ",")}
    mark = max(counts, key=lambda mark: counts[mark])
    expected = delimiter_of(path, csv)
    return mark if counts[mark] and expected not in first else expected


def understood(name: str, column: pa.ChunkedArray, data: Data, *, is_typed: bool) -> pa.ChunkedArray:
    """A column with its spellings of missing values as nulls, and of the kind that it is said or seen to be.

    The text of a typed file, such as Parquet, stays text unless `data.types` says that it is numbers.
    """
    kind = data.types.get(name)
    if kind == "category":
        column = column.cast(pa.string())
    if pa.types.is_string(column.type):
        spellings = pa.array([*data.missing.get("*", []), *data.missing.get(name, [])], pa.string())
        column = pc.if_else(pc.is_in(column, value_set=spellings), pa.scalar(None, pa.string()), column)
        if kind == "number" or not (is_typed or kind):
            column = as_inferred(column, data.csv)
    return column


def as_inferred(column: pa.ChunkedArray, csv: Csv) -> pa.ChunkedArray:
    """Text as numbers or booleans where every value is one, in the spelling that params.yaml names."""
    plain = column
    if csv.thousands:
        grouped = (
            rf"^\s*[+-]?\d{{1,3}}([{csv.thousands}]\d{{3}})*([{csv.decimal}]\d*)?\s*$|^[+-]?\d+([{csv.decimal}]\d*)?$"
        )
        if _is_all(column, grouped):
            plain = pc.replace_substring(column, csv.thousands, "")
    plain = pc.replace_substring(plain, csv.decimal, ".") if csv.decimal != "." else plain
    if column.null_count < len(column) and _is_all(plain, FORMS["numbers"]):
        numbers = pc.utf8_trim_whitespace(plain).cast(pa.float64())
        return numbers.cast(pa.int64()) if _is_all(plain, r"^\s*[+-]?\d{1,15}\s*$") else numbers
    if column.null_count < len(column) and _is_all(column, FORMS["booleans"]):
        return pc.equal(pc.utf8_lower(column), "true")
    return column


def _is_all(column: pa.ChunkedArray, pattern: str) -> bool:
    return bool(pc.all(pc.match_substring_regex(column, pattern)).as_py())


def odd_values(name: str, column: pa.ChunkedArray, data: Data) -> Iterator[str]:
    """Why a text column is not what it seems to be: nearly all numbers, dates or booleans, or numbers in disguise."""
    kind, values = data.types.get(name), column.drop_null()
    if not pa.types.is_string(column.type) or name in data.drop or kind == "category" or not len(values):
        return
    ways = f"set data.types: {{{name}: category}} if it is text, or add it to data.drop"
    for form, pattern in FORMS.items():
        fits = pc.sum(pc.match_substring_regex(values, pattern)).as_py()
        if form == "dates" and fits == len(values):
            example = values[0].as_py()
            yield f"column '{name}': dates such as {example!r} cannot be features; turn them into numbers, or {ways}"
            return
        if fits < len(values) and (fits >= NEARLY * len(values) or (kind == "number" and form == "numbers")):
            yield f"column '{name}': {describe_odd(name, column, form)}, {ways}"
            return
    remedies = [remedy for pattern, remedy in DISGUISES.items() if _is_all(values, pattern)]
    if remedies and pc.count_distinct(values).as_py() > NEARLY * len(values):
        remedy = " or ".join(dict.fromkeys(remedies))
        yield f"column '{name}': numbers such as {values[0].as_py()!r} are read as text; {remedy}, or {ways}"


def describe_odd(name: str, column: pa.ChunkedArray, form: str) -> str:
    """How many values are of a form, which are not and in which rows, and what to do about these."""
    fits = pc.fill_null(pc.match_substring_regex(column, FORMS[form]), fill_value=True)
    odd = pc.value_counts(column.filter(pc.invert(fits))).to_pylist()
    most = sorted(odd, key=lambda value: -value["counts"])[:SHOWN]
    first = {value["values"]: pc.index(column, value["values"]).as_py() + 1 for value in most}
    rows = [f"{v['values']!r} {v['counts']:,} times, first in row {first[v['values']]:,}" for v in most]
    total = len(column) - column.null_count
    more = f"; and {len(odd) - SHOWN} others" if len(odd) > SHOWN else ""
    spellings = [value["values"] for value in most]
    missing = "" if more else f", set data.missing: {{{name}: {spellings}}} if that means missing"
    count = total - sum(value["counts"] for value in odd)
    return f"{count:,} of {total:,} values are {form}, but {'; '.join(rows)}{more}; correct that{missing}"


def said_of_missing_targets(path: Path, table: pa.Table, data: Data) -> Iterator[str]:
    """Which spellings of a text file were read as a missing target, since a class may be called so."""
    if is_text(path) and data.target in table.column_names and table[data.target].null_count:
        options = text_options(path, data)
        convert = options["convert_options"]
        convert.null_values, convert.include_columns = [""], [data.target]
        convert.column_types = {data.target: pa.string()}
        found = pc.value_counts(pa.csv.read_csv(path, **options)[data.target].drop_null()).to_pylist()
        spellings = {*data.missing.get("*", []), *data.missing.get(data.target, [])}
        for value in found:
            if value["values"] in spellings:
                word, rows = value["values"], f"{value['counts']:,} rows"
                way = "if it is a class, take it out of data.missing"
                yield f"target '{data.target}': {word!r} in {rows} was read as missing; {way}"
