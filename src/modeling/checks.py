"""What a raw table must be like to be learned from, and what is noted of it."""

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from modeling.pitfalls import is_index
from modeling.table import kind_of, problems_of_column
from record.notes import Column, Rows
from record.parameters import Data
from record.problem import did_you_mean, refuse_if

MANY_CLASSES = 20


def check_table(table: pa.Table, data: Data) -> None:
    """Raise a problem for every column that cannot play the part that params.yaml gives it."""
    names = table.column_names
    asked = [("data.target", data.target), *(("data.drop", name) for name in data.drop)]
    problems = [
        f"params.yaml: {key}: '{name}' is not a column of {data.path}; {did_you_mean(name, names)}"
        for key, name in asked
        if name not in names
    ]
    if len(table) == 0:
        problems.append(f"{data.path}: expected rows, found only column names")
    refuse_if(problems)

    problems += problems_of_target(table[data.target], data)
    features = feature_names(table, data)
    if not features:
        problems.append(f"{data.path}: no feature is left beside the target '{data.target}'; shorten data.drop")
    rows = table if problems else with_target(table, data)
    for name in features:
        problems += problems_of_column(name, rows[name], "correct it or add it to data.drop")
    refuse_if(problems)


def with_target(table: pa.Table, data: Data) -> pa.Table:
    """The rows whose target is known."""
    return table.filter(pc.is_valid(table[data.target]))


def feature_names(table: pa.Table, data: Data) -> list[str]:
    """The columns to learn from, in the table's order."""
    names = [name for name in table.column_names if name != data.target and name not in data.drop]
    return [name for name in names if not is_index(name, data)]


def problems_of_target(column: pa.ChunkedArray, data: Data) -> Iterator[str]:
    """Why the target cannot be learned for this task."""
    name = data.target
    if problems := list(problems_of_column(name, column, "correct it or choose another data.target")):
        yield from problems
    elif data.task == "regression":
        if kind_of(column.type) != "number":
            yield f"target '{name}': expected numbers for a regression, found {column.type}; check data.task"
        elif pc.count_distinct(column.drop_null()).as_py() == 1:
            yield f"target '{name}': every value is {column.drop_null()[0].as_py()}, so there is nothing to learn"
    elif pa.types.is_floating(column.type) and not pc.all(pc.equal(column, pc.floor(column))).as_py():
        yield f"target '{name}': expected classes for a classification, found fractions; check data.task"
    else:
        yield from _problems_of_classes(name, column.drop_null())


def _problems_of_classes(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    classes = pc.value_counts(column)
    if kind_of(column.type) == "number" and len(classes) > max(MANY_CLASSES, len(column) // 10):
        values = f"{len(classes):,} different numbers in {len(column):,} rows"
        yield f"target '{name}': {values} look like a regression; check data.task"
        return
    if len(classes) < 2:
        yield f"target '{name}': expected at least two classes, found only {classes[0]['values'].as_py()!r}"
    if alone := [found["values"] for found in classes.to_pylist() if found["counts"] < 2]:
        few = f"{len(alone)} of {len(classes)} classes have only one row, such as {alone[0]!r}"
        yield f"target '{name}': {few}; remove such rows or correct them"


def profile_columns(table: pa.Table, data: Data) -> dict[str, Column]:
    """Describe every column of the raw table."""
    return {
        name: Column(
            type=str(table[name].type),
            role=role_of(name, data),
            missing=table[name].null_count,
            distinct=pc.count_distinct(table[name]).as_py() if kind_of(table[name].type) else None,
        )
        for name in table.column_names
    }


def role_of(name: str, data: Data) -> Literal["feature", "target", "dropped"]:
    """What a column is for."""
    if name == data.target:
        return "target"
    return "dropped" if name in data.drop or is_index(name, data) else "feature"


def count_rows(table: pa.Table, train: pa.Table, test: pa.Table, data: Data) -> Rows:
    """Where the rows of the raw table went."""
    dropped = len(table) - len(train) - len(test)
    reasons = {f"{data.target} is missing": dropped} if dropped else {}
    return Rows(read=len(table), dropped=reasons, train=len(train), test=len(test))
