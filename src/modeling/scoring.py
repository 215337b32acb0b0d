"""Scoring: rows in batches from one file to another, through a model that has been loaded and checked."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
from tqdm import tqdm

from modeling.loading import Loaded
from modeling.table import kind_of, normalise, to_frame
from record.files import replacing
from record.manifest import Manifest
from record.problem import Problem, refuse_if, say

BATCH = 64 * 1024  # rows that are scored at a time


def score_file(source: Path, target: Path, loaded: Loaded) -> int:
    """Write the rows of `source` with their predictions to `target`; returns how many there are."""
    try:
        rows = next(read_batches(source, {}))
        check_columns(rows, loaded.manifest, source)
        batches = read_batches(source, csv_types(rows, loaded.manifest))
        first = score(next(batches), loaded, target)
        with replacing(target) as part, tqdm(unit=" rows", desc="scoring", disable=None, leave=False) as bar:
            count = 0
            with _writer(part, target, first.schema) as writer:
                for batch in chain([first], (score(batch, loaded, target) for batch in batches)):
                    writer.write_table(batch)
                    count += len(batch)
                    bar.update(len(batch))
            return count
    except StopIteration:
        raise Problem(f"{source}: expected rows, found none") from None
    except (pa.ArrowException, ValueError) as error:  # the second is what a model raises about rows
        raise Problem(f"{source}: cannot be read or scored: {' '.join(str(error).split())}") from None


def read_batches(path: Path, types: dict[str, pa.DataType]) -> Iterator[pa.Table]:
    """The rows of a Parquet or CSV file in batches that are not empty; `types` are of a CSV's columns by name."""
    if not path.is_file():
        raise Problem(f"{path}: not found")
    if path.suffix == ".csv":
        options = pa.csv.ConvertOptions(strings_can_be_null=True, column_types=types)
        batches: Iterator[pa.RecordBatch] = iter(pa.csv.open_csv(path, convert_options=options))
    else:
        batches = pq.ParquetFile(path).iter_batches(BATCH)
    return (pa.Table.from_batches([batch]) for batch in batches if len(batch))


def csv_types(rows: pa.Table, manifest: Manifest) -> dict[str, pa.DataType]:
    """The types to read a CSV's columns as, so that no batch is read as another type than the first one.

    A column that is not a feature is passed on as the text that it is.
    """
    types = {feature.name: pa.type_for_alias(feature.dtype) for feature in manifest.model.features}
    numbers = {name: pa.float64() for name, found in types.items() if kind_of(found) == "number"}
    return dict.fromkeys(rows.column_names, pa.string()) | types | numbers


def check_columns(rows: pa.Table, manifest: Manifest, path: Path) -> None:
    """Raise a problem for every feature that is missing or of a kind that the model cannot take; name what is extra."""
    problems = []
    for feature in manifest.model.features:
        if (count := rows.column_names.count(feature.name)) != 1:
            found = f"occurs {count} times" if count else "is missing"
            problems.append(f"{path}: column '{feature.name}' {found}; the model needs one, of {feature.dtype}")
            continue
        column, expected = normalise(rows.select([feature.name]))[0], kind_of(pa.type_for_alias(feature.dtype))
        readable = expected == "text" and path.suffix == ".csv"  # digits can be text there
        if column.type != pa.null() and kind_of(column.type) != expected and not readable:
            problems.append(f"{path}: column '{feature.name}': expected {feature.dtype}, found {column.type}")
    refuse_if(problems)
    used = {feature.name for feature in manifest.model.features}
    if extra := [name for name in rows.column_names if name not in used]:
        say(f"not used by the model: {', '.join(extra)}")


def score(rows: pa.Table, loaded: Loaded, target: Path) -> pa.Table:
    """The rows with their predictions, the probabilities where the model has them, and the model's identity."""
    names = [feature.name for feature in loaded.manifest.model.features]
    frame = to_frame(normalise(rows.select(names)))
    columns = {"prediction": pa.array(loaded.model.predict(frame).tolist())}
    if hasattr(loaded.model, "predict_proba"):
        probabilities = loaded.model.predict_proba(frame).T
        labels = loaded.model.classes_.tolist()
        columns |= {f"probability_{label}": pa.array(p) for label, p in zip(labels, probabilities, strict=True)}
    identity = {"model_version": loaded.manifest.version, "model_sha256": loaded.manifest.model.sha256}
    if target.suffix == ".csv":
        columns |= {name: pa.array([value] * len(rows)) for name, value in identity.items()}
    taken = [name for name in columns if name in rows.column_names]
    refuse_if(f"column '{name}' is in the input already, and the output needs it; rename it" for name in taken)
    for name, column in columns.items():
        rows = rows.append_column(name, column)
    return rows if target.suffix == ".csv" else rows.replace_schema_metadata(identity)


def _writer(part: Path, target: Path, schema: pa.Schema) -> pa.csv.CSVWriter | pq.ParquetWriter:
    return pa.csv.CSVWriter(part, schema) if target.suffix == ".csv" else pq.ParquetWriter(part, schema)
