"""New rows for a model: files of every format that `prepare` reads, in batches, each column as training had it."""

from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from modeling.reading import BLOCK, delimiter_of, files_of, is_text, names_in, seen_delimiter, settings_of, text_rows
from modeling.spellings import Parser, as_said, parsers, without_missing
from modeling.table import BATCH, check_names, in_runs, kind_of, normalise, stored_batches, stored_columns, unified
from record.contract import Contract, widen
from record.manifest import Manifest
from record.notes import Feature
from record.parameters import Data, Kind
from record.problem import Problem, refuse_if, say


def read_batches(path: Path, manifest: Manifest) -> Iterator[tuple[pa.Table, pa.Table]]:
    """The rows of a file in batches that are not empty: as they are to be written, and the features that they have.

    Raises:
        Problem: for every column that the model needs and cannot take.
    """
    data, done = settings_for(manifest), 0
    for rows in text_batches(path, data) if is_text(path) else typed_batches(path):
        taken = as_trained(rows, manifest, data, path, done)
        if not done:
            name_unused(rows.column_names, manifest.model.features)
        for name in taken.column_names if is_text(path) else ():
            rows = rows.set_column(rows.column_names.index(name), name, taken[name])  # noqa: PLW2901 - typed from here on
        done += len(rows)
        yield rows, taken


def settings_for(manifest: Manifest) -> Data:
    """How the training table was read, with what its contract says of missing values."""
    data = settings_of(manifest.params.data)
    return widen(data, contract.missing_values) if (contract := contract_of(manifest)) else data


def contract_of(manifest: Manifest) -> Contract | None:
    """The contract of the raw table, if there was one."""
    return Contract.of(manifest.contract, "manifest.json: contract") if manifest.contract else None


def text_batches(path: Path, data: Data) -> Iterator[pa.Table]:
    """The rows of a text file, with all columns as text."""
    if not path.is_file():
        raise Problem(f"{path}: not found")
    if (mark := seen_delimiter(path, data.csv)) != delimiter_of(path, data.csv):
        say(f"note: {path}: read with {mark!r} between columns and dots in numbers, unlike the training table")
        plain = {"delimiter": mark, "decimal": ".", "thousands": ""}
        data = data.model_copy(update={"csv": data.csv.model_copy(update=plain)})
    check_names(names := names_in(path, data), path)
    yield from text_rows(path, data, dict.fromkeys(names, pa.string()), BATCH, BLOCK)


def typed_batches(path: Path) -> Iterator[pa.Table]:
    """The rows of a Feather or Parquet file, or of a folder of Parquet files, which may differ in their columns."""
    files = files_of(path)
    refuse_if([] if files and files[0].is_file() else [f"{path}: not found, or a folder without .parquet files"])
    if len(files) == 1:
        return stored_batches(files[0], BATCH)
    none = unified([stored_columns(file) for file in files], path).empty_table()
    stored = (rows for file in files for rows in stored_batches(file, BATCH))
    return in_runs((pa.concat_tables([none, rows], promote_options="permissive") for rows in stored), BATCH)


def name_unused(names: list[str], features: list[Feature]) -> None:
    """Tell which columns the model does not use."""
    used = {feature.name for feature in features}
    if extra := [name for name in names if name not in used]:
        say(f"not used by the model: {', '.join(extra)}")


def as_trained(rows: pa.Table, manifest: Manifest, data: Data, path: Path, done: int) -> pa.Table:
    """The features of some rows, each of the kind that it had in training; `done` rows came before.

    Raises:
        Problem: for every feature that is not there once or is of another kind.
    """
    columns, problems = {}, []
    for feature in manifest.model.features:
        name, place = feature.name, f"{path}: column '{feature.name}'"
        if (count := rows.column_names.count(name)) != 1:
            found = f"occurs {count} times" if count else "is missing"
            problems.append(f"{place} {found}; the model needs one, of {feature.dtype}")
            continue
        read = data.model_copy(update={"date_order": manifest.data.date_orders.get(name, data.date_order)})
        try:
            column = normalise(rows.select([name]))[0]
            columns[name] = as_feature(column, feature, read, done, is_typed=not is_text(path))
        except Problem as problem:
            problems += [f"{place}: {line}" for line in problem.lines]
    refuse_if(problems)
    return pa.table(columns)


def as_feature(
    column: pa.ChunkedArray, feature: Feature, data: Data, done: int = 0, *, is_typed: bool = False
) -> pa.ChunkedArray:
    """A column as the kind of its feature; `done` rows came before.

    Raises:
        Problem: when it is of another kind, or naming the first text that is, and its row.
    """
    expected, said = pa.type_for_alias(feature.dtype), data.types.get(feature.name)
    if pa.types.is_null(column.type):
        return column.cast(expected)
    if not pa.types.is_string(column.type):
        with suppress(Problem):
            column = as_said(feature.name, column, said) if said else column
        if kind_of(column.type) != kind_of(expected):
            raise Problem(f"expected {feature.dtype}, found {column.type}; write it as it was in training")
        return column
    text = without_missing(feature.name, column, data).combine_chunks()
    if pa.types.is_string(expected):
        return pa.chunked_array([text])
    read = [parse(text) for parse in ways_to_read(feature, data, is_typed=is_typed)] or [pa.nulls(len(text), expected)]
    values = next((found for found in read if found.null_count == text.null_count), read[0])
    if values.null_count > text.null_count:
        row = pc.index(pc.and_(text.is_valid(), values.is_null()), True).as_py()
        found = f"found the text {text[row].as_py()!r} in row {done + row + 1:,}"
        way = "write it as it was in training" if is_typed else "correct it, or leave the cell empty"
        raise Problem(f"expected {feature.dtype}, {found}; {way}")
    return pa.chunked_array([values.cast(pa.float64(), safe=False) if kind_of(expected) == "number" else values])


def ways_to_read(feature: Feature, data: Data, *, is_typed: bool) -> list[Parser]:
    """How text may be read as a feature, as in training: in a typed file it is not taken for numbers or booleans."""
    said, kind = data.types.get(feature.name), kind_of(pa.type_for_alias(feature.dtype))
    known = parsers(data.csv, None if data.date_order == "auto" else data.date_order, said)
    if said in known:
        return [known[said]]
    kinds: dict[Kind | None, list[Kind]] = {"number": ["number", "duration"], "boolean": ["boolean"]}
    return [known[name] for name in kinds.get(kind, [kind] if kind else []) if not (is_typed and name == kind in kinds)]
