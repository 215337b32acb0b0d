"""Scoring: rows in batches from one file to another, through a model that has been loaded and checked."""

from collections.abc import Iterator
from io import BytesIO
from itertools import chain
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from modeling.loading import Loaded
from modeling.new_rows import contract_of, read_batches
from modeling.table import to_frame
from modeling.tells import Tell, Tells
from record.files import replacing
from record.problem import REFUSALS, Problem, in_one_line, progress, refuse_if, say


class DiffersError(Problem):
    """Rows that differ from those of training, where that was not to be."""

    def __init__(self, source: Path, tells: list[Tell]) -> None:
        super().__init__(*(f"{source}: {tell.text}" for tell in tells), "nothing was written, as --strict asks")
        self.tells = tells


def score_file(source: Path, target: Path, loaded: Loaded, *, is_strict: bool = False) -> tuple[int, list[Tell]]:
    """Write the rows of `source` with their predictions to `target`; returns how many, and what is odd about them.

    Raises:
        Problem: when they cannot be scored, or `is_strict` and they differ from training; nothing is written then.
    """
    manifest = loaded.manifest
    contract = contract_of(manifest)
    if contract and (once := contract.unique & {feature.name for feature in manifest.model.features}):
        say(f"note: whether values come once, as the contract asks of {', '.join(sorted(once))}, is not checked here")
    tells = Tells(manifest.model.features, manifest.data.train.rows, contract)
    try:
        scored = score_batches(source, target, loaded, tells)
        start = next(scored)
        with replacing(target) as part:
            with _writer(part, target, start.schema) as writer:
                for batch in progress(chain([start], scored), "scoring", " rows", size=len):
                    writer.write_table(batch)
            if is_strict and (found := tells.found()):
                raise DiffersError(source, found)
    except StopIteration:
        raise Problem(f"{source}: expected rows, found none") from None
    except (pa.ArrowException, *REFUSALS) as error:
        raise Problem(f"{source}: cannot be read or scored: {in_one_line(error)}") from None
    return tells.rows, tells.found()


def score_batches(source: Path, target: Path, loaded: Loaded, tells: Tells) -> Iterator[pa.Table]:
    """The scored rows, batch by batch; once a number is infinite, the others are only counted, and then refused."""
    for rows, features in read_batches(source, loaded.manifest):
        tells.add(features)
        if not tells.infinite():
            yield score(for_csv(rows, source) if target.suffix == ".csv" else rows, features, loaded, target)
    refuse_if(f"{source}: {line}" for line in tells.infinite())


def for_csv(rows: pa.Table, source: Path) -> pa.Table:
    """The rows in types that a CSV can have; those of lists and other nested types are refused by name."""
    problems = []
    for k, field in enumerate(rows.schema):
        if pa.types.is_string_view(field.type):
            rows = rows.set_column(k, field.name, rows[k].cast(pa.string()))
        elif not is_writable(field):
            problems.append(f"{source}: column '{field.name}': {field.type} cannot be in a CSV; name a .parquet output")
    refuse_if(problems)
    return rows


def is_writable(field: pa.Field) -> bool:
    """Whether Arrow writes a type as CSV."""
    try:
        pyarrow.csv.write_csv(pa.schema([field]).empty_table(), BytesIO())
    except pa.ArrowInvalid:
        return False
    return True


def score(rows: pa.Table, features: pa.Table, loaded: Loaded, target: Path) -> pa.Table:
    """The rows with their predictions, the probabilities where the model has them, and the model's identity."""
    frame, model = to_frame(features), loaded.model
    encoded = model[:-1].transform(frame) if len(model) > 1 else frame  # once, for both questions to the estimator
    columns = {"prediction": pa.array(model[-1].predict(encoded).tolist())}
    if hasattr(model[-1], "predict_proba"):
        probabilities = model[-1].predict_proba(encoded).T
        labels = model[-1].classes_.tolist()
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
