"""What a raw table must be like to be learned from, which of its columns are used, and what is noted of them."""

from collections.abc import Iterator, Mapping
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from modeling.table import feature_names, kind_of, problems_of_column
from record.notes import Column, Rows
from record.parameters import Data, Parameters
from record.problem import did_you_mean, refuse_if

MANY_CLASSES = 20
INDEX_NAMES = {"", "Unnamed: 0", "__index_level_0__"}  # which pandas gives to the index of a frame


def check_table(table: pa.Table, parameters: Parameters) -> None:
    """Raise a problem for every column that cannot play the part that params.yaml gives it."""
    data, names = parameters.data, table.column_names
    problems = [
        f"params.yaml: {key}: '{name}' is not a column of {data.path}; {did_you_mean(name, names)}"
        for key, name in asked_columns(parameters)
        if name not in names
    ]
    if len(table) == 0:
        problems.append(f"{data.path}: expected rows, found only column names")
    refuse_if(problems)

    problems += problems_of_target(table[data.target], data)
    rows = table if problems else with_target(table, data)
    features = usable_features(rows, parameters)
    if not features:
        used = f" and prepare.split_by '{parameters.prepare.split_by}'" if parameters.prepare.split_by else ""
        what = f"no column that can be a feature is left beside the target '{data.target}'{used}"
        problems.append(f"{data.path}: {what}; {'shorten data.drop' if data.drop else 'bring more columns'}")
    if by := parameters.prepare.split_by:
        problems += problems_of_split_column(by, rows[by], parameters.prepare.split)
    for name in dict.fromkeys([*features, *parameters.train.slices]):
        problems += problems_of_column(name, rows[name], "correct it or add it to data.drop")
    refuse_if(problems)


def asked_columns(parameters: Parameters) -> Iterator[tuple[str, str]]:
    """The columns that params.yaml names, each with the key that does."""
    data, by = parameters.data, parameters.prepare.split_by
    yield "data.target", data.target
    lists = {"data.drop": data.drop, "data.types": data.types, "train.slices": parameters.train.slices}
    lists |= {"data.missing": [name for name in data.missing if name != "*"], "prepare.split_by": [by] if by else []}
    yield from ((key, name) for key, names in lists.items() for name in names)


def with_target(table: pa.Table, data: Data) -> pa.Table:
    """The rows whose target is known."""
    return table.filter(pc.is_valid(table[data.target]))


def prepared_columns(table: pa.Table, parameters: Parameters) -> list[str]:
    """The columns that `train` needs: the features, those of the split and the slices, and last the target."""
    needed = {*usable_features(table, parameters), *parameters.train.slices}
    kept = [name for name in table.column_names if name in needed or name == parameters.prepare.split_by]
    return [*(name for name in kept if name != parameters.data.target), parameters.data.target]


def usable_features(table: pa.Table, parameters: Parameters) -> list[str]:
    """The columns to learn from, in the table's order."""
    return [name for name in feature_names(table, parameters) if not why_left_out(name, table[name])]


def without_unknown(train: pa.Table, test: pa.Table, parameters: Parameters) -> tuple[pa.Table, pa.Table]:
    """Both parts without the features of which no training row has a value."""
    names = {*feature_names(train, parameters)} - {*parameters.train.slices}
    unknown = [name for name in names if train[name].null_count == len(train)]
    return train.drop(unknown), test.drop(unknown)


def why_left_out(name: str, column: pa.ChunkedArray) -> tuple[Literal["index", "unusable"], str] | None:
    """The rule by which a column is not a feature, as the name of a warning and a sentence; None if it can be one."""
    if name in INDEX_NAMES:
        return "index", "is the index of a pandas frame"
    if column.null_count == len(column):
        return "unusable", "has no value in any row"
    if kind_of(column.type) is None:
        return "unusable", f"holds {column.type}, which no model here can learn from"
    return None


def problems_of_target(column: pa.ChunkedArray, data: Data) -> Iterator[str]:
    """Why the target cannot be learned for this task."""
    name = data.target
    if problems := list(problems_of_column(name, column, "correct it or choose another data.target")):
        yield from problems
    elif kind_of(column.type) in {"date", "time"}:
        yield f"target '{name}': expected classes or numbers, found {column.type}; turn it into those in a stage before"
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
        few = f"{len(alone)} of {len(classes)} classes with only one row, such as {alone[0]!r}"
        yield f"target '{name}': expected several rows of each class, found {few}; remove or merge them"


def problems_of_split_column(name: str, column: pa.ChunkedArray, split: str) -> Iterator[str]:
    """Why rows cannot be split by a column."""
    place = f"params.yaml: prepare.split_by: '{name}'"
    if column.null_count:
        yield f"{place} is missing in {column.null_count:,} rows; correct them or choose another column"
    elif kind_of(column.type) is None:
        yield f"{place} holds {column.type}; choose another column"
    elif split == "time" and kind_of(column.type) not in {"date", "number"}:
        yield f"{place}: expected dates or numbers to order rows by, found {column.type}; choose another column"


def profile_columns(
    table: pa.Table, train: pa.Table, parameters: Parameters, date_orders: Mapping[str, str]
) -> dict[str, Column]:
    """Describe every column of the raw table, of which the training part has those that are used."""
    used = {*feature_names(train, parameters)}
    return {
        name: Column.model_validate(
            {
                "type": str(table[name].type),
                "role": "feature" if name in used else role_of(name, parameters),
                "missing": table[name].null_count,
                "distinct": pc.count_distinct(table[name]).as_py() if kind_of(table[name].type) else None,
                "date_order": date_orders.get(name),
            }
        )
        for name in table.column_names
    }


def role_of(name: str, parameters: Parameters) -> Literal["target", "split", "dropped"]:
    """What a column is for that is not a feature."""
    if name == parameters.data.target:
        return "target"
    return "split" if name == parameters.prepare.split_by else "dropped"


def count_rows(table: pa.Table, train: pa.Table, test: pa.Table, data: Data) -> Rows:
    """Where the rows of the raw table went."""
    dropped = len(table) - len(train) - len(test)
    reasons = {f"{data.target} is missing": dropped} if dropped else {}
    return Rows(read=len(table), dropped=reasons, train=len(train), test=len(test))
