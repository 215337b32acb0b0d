"""Scoring: rows in batches from one file to another, through a model that has been loaded and checked."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
from tqdm import tqdm

from modeling.loading import Loaded
from modeling.reading import delimiter_of, is_text, opened, seen_delimiter, settings_of, text_options
from modeling.spellings import durations, parsers, without_missing
from modeling.table import kind_of, normalise, to_frame
from record.files import replacing
from record.manifest import Manifest
from record.notes import Feature
from record.parameters import Data
from record.problem import REFUSALS, Problem, in_one_line, refuse_if, say

BATCH = 64 * 1024  # rows that are scored at a time
BLOCK = 16 * 1024 * 1024  # bytes of a text file; no row may be larger


def score_file(source: Path, target: Path, loaded: Loaded) -> int:
    """Write the rows of `source` with their predictions to `target`; returns how many there are."""
    try:
        batches = read_batches(source, loaded.manifest)
        first = next(batches)
        check_columns(first, loaded.manifest, source)
        scored = (score(batch, loaded, target) for batch in chain([first], batches))
        start = next(scored)
        with replacing(target) as part, tqdm(unit=" rows", desc="scoring", disable=None, leave=False) as bar:
            count = 0
            with _writer(part, target, start.schema) as writer:
                for batch in chain([start], scored):
                    writer.write_table(batch)
                    count += len(batch)
                    bar.update(len(batch))
            return count
    except StopIteration:
        raise Problem(f"{source}: expected rows, found none") from None
    except (pa.ArrowException, *REFUSALS) as error:
        raise Problem(f"{source}: cannot be read or scored: {in_one_line(error)}") from None


def read_batches(path: Path, manifest: Manifest) -> Iterator[pa.Table]:
    """The rows of a file in batches that are not empty; those of a text file as the training table was read."""
    data = settings_of(manifest.params.data)
    if not path.is_file():
        raise Problem(f"{path}: not found")
    if not is_text(path):
        batches = pq.ParquetFile(path).iter_batches(BATCH)
        yield from (pa.Table.from_batches([batch]) for batch in batches if len(batch))
        return
    if (mark := seen_delimiter(path, data.csv)) != delimiter_of(path, data.csv):
        say(f"note: {path}: read with {mark!r} between columns and dots in numbers, unlike the training table")
        plain = {"delimiter": mark, "decimal": ".", "thousands": ""}
        data = data.model_copy(update={"csv": data.csv.model_copy(update=plain)})
    options = text_options(path, data, largest=BLOCK)
    options["convert_options"].column_types = dict.fromkeys(names_in(path, data), pa.string())
    features = {feature.name: feature for feature in manifest.model.features}
    as_trained = {
        name: data.model_copy(update={"date_order": manifest.data.date_orders.get(name, data.date_order)})
        for name in features
    }
    done = 0
    with opened(path, data.csv) as stream:
        for batch in pa.csv.open_csv(stream, **options):
            rows = pa.Table.from_batches([batch])
            for name in features.keys() & {*rows.column_names}:
                k, place = rows.column_names.index(name), f"{path}: column '{name}'"
                read = as_feature(rows[k], features[name], as_trained[name], place, done)
                rows = rows.set_column(k, name, read)
            done += len(rows)
            if len(rows):
                yield rows


def names_in(path: Path, data: Data) -> list[str]:
    """The names of the columns of a text file."""
    with opened(path, data.csv) as stream:
        return list(pa.csv.open_csv(stream, **text_options(path, data, largest=BLOCK)).schema.names)


def as_feature(column: pa.ChunkedArray, feature: Feature, data: Data, place: str, done: int) -> pa.ChunkedArray:
    """The text of a column as the kind of its feature; `done` rows came before.

    Raises:
        Problem: naming the first value that is of another kind, and its row.
    """
    expected, text = pa.type_for_alias(feature.dtype), without_missing(feature.name, column, data)
    kind, known = feature.kind or kind_of(expected), parsers(data.csv, data.date_order, None)
    if kind is None or kind not in known:
        return text
    values, text = known[kind](text.combine_chunks()), text.combine_chunks()
    if kind == "number" and values.null_count > text.null_count == (seconds := durations(text)).null_count:
        values = seconds
    if values.null_count > text.null_count:
        row = pc.index(pc.and_(pc.is_valid(text), pc.is_null(values)), True).as_py()
        raise Problem(f"{place}: expected {feature.dtype}, found {text[row].as_py()!r} in row {done + row + 1:,}")
    return pa.chunked_array([values.cast(pa.float64()) if kind == "number" else values])


def check_columns(rows: pa.Table, manifest: Manifest, path: Path) -> None:
    """Raise a problem for every feature that is missing or of a kind that the model cannot take; name what is extra."""
    problems = []
    for feature in manifest.model.features:
        if (count := rows.column_names.count(feature.name)) != 1:
            found = f"occurs {count} times" if count else "is missing"
            problems.append(f"{path}: column '{feature.name}' {found}; the model needs one, of {feature.dtype}")
            continue
        column, expected = normalise(rows.select([feature.name]))[0], kind_of(pa.type_for_alias(feature.dtype))
        if column.type != pa.null() and kind_of(column.type) != expected:
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
