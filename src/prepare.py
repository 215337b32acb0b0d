"""Stage 1: check the raw table, split it, and keep both parts as Parquet. Run it with `dvc repro prepare`."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
from sklearn.model_selection import train_test_split

import prepared
from environment import REQUIREMENTS, check_environment
from files import keep_only
from parameters import Data, Prepare, read_parameters
from prepared import Column, Profile, Rows
from problem import Problem, did_you_mean, refuse_if, run, say
from table import kind_of, problems_of_column, read_table, write_table
from witness import Readings


def check_table(table: pa.Table, data: Data) -> None:
    """Raise a problem for every column that cannot play the part that params.yaml gives it."""
    names = table.column_names
    unknown = [("data.target", data.target), *(("data.drop", name) for name in data.drop)]
    problems = [
        f"params.yaml: {key}: '{name}' is no column of {data.path}; {did_you_mean(name, names)}"
        for key, name in unknown
        if name not in names
    ]
    if len(table) == 0:
        problems.append(f"{data.path}: expected rows, found only column names")
    refuse_if(problems)

    features = feature_names(table, data)
    if not features:
        problems.append(f"{data.path}: no feature is left beside the target '{data.target}'; shorten data.drop")
    for name in features:
        problems += problems_of_column(name, table[name], mend="correct it or add it to data.drop")
    problems += problems_of_target(table[data.target], data)
    refuse_if(problems)


def feature_names(table: pa.Table, data: Data) -> list[str]:
    """The columns to learn from, in the table's order."""
    return [name for name in table.column_names if name != data.target and name not in data.drop]


def problems_of_target(column: pa.ChunkedArray, data: Data) -> Iterator[str]:
    """Why the target cannot be learned for this task."""
    name, kind = data.target, kind_of(column.type)
    if problems := list(problems_of_column(name, column, mend="correct it or choose another data.target")):
        yield from problems
        return
    if data.task == "regression":
        if kind != "number":
            yield f"target '{name}': expected numbers for a regression, found {column.type}; check data.task"
        return
    if pa.types.is_floating(column.type) and not pc.all(pc.equal(column, pc.floor(column))).as_py():
        yield f"target '{name}': expected classes for a classification, found fractions; check data.task"
        return
    classes = {count["values"]: count["counts"] for count in pc.value_counts(column.drop_null()).to_pylist()}
    if len(classes) < 2:
        yield f"target '{name}': expected at least two classes, found only {next(iter(classes))!r}"
    for value, count in classes.items():
        if count < 2:
            yield f"target '{name}': class {value!r} has {count} row, which cannot be in both parts; remove it"


def split(table: pa.Table, data: Data, settings: Prepare) -> tuple[pa.Table, pa.Table]:
    """Divide the rows into a training and a test part, each in the order of the table; classes in equal shares."""
    rows = range(len(table))
    classes = table[data.target].to_pylist() if data.task == "classification" else None
    try:
        train, test = train_test_split(rows, test_size=settings.test_size, random_state=settings.seed, stratify=classes)
    except ValueError as error:
        raise Problem(
            f"params.yaml: prepare.test_size: {settings.test_size} of {len(table)} rows cannot be split off: {error}"
        ) from None
    return table.take(sorted(train)), table.take(sorted(test))


def profile_columns(table: pa.Table, data: Data) -> dict[str, Column]:
    """Describe every column of the raw table."""
    return {
        name: Column(
            type=str(table[name].type),
            role="target" if name == data.target else "dropped" if name in data.drop else "feature",
            missing=table[name].null_count,
            distinct=pc.count_distinct(table[name]).as_py() if kind_of(table[name].type) else None,
        )
        for name in table.column_names
    }


def main() -> None:
    """Read the raw table; write train.parquet, test.parquet and profile.json."""
    settings = read_parameters()
    check_environment()
    data, source = settings.data, Path(settings.data.path)
    readings = Readings.start(
        source, REQUIREMENTS, params={"data": data.model_dump(), "prepare": settings.prepare.model_dump()}
    )

    table = read_table(source)
    check_table(table, data)
    kept = table.filter(pc.is_valid(table[data.target])).select([*feature_names(table, data), data.target])
    train, test = split(kept, data, settings.prepare)
    dropped = len(table) - len(kept)
    rows = Rows(
        read=len(table),
        dropped={f"{data.target} is missing": dropped} if dropped else {},
        train=len(train),
        test=len(test),
    )
    columns = profile_columns(table, data)
    readings.refuse_changes()

    write_table(train, prepared.TRAIN)
    write_table(test, prepared.TEST)
    Profile(rows=rows, columns=columns, readings=readings).write(prepared.PROFILE)
    keep_only(prepared.FOLDER, {path.name for path in (prepared.TRAIN, prepared.TEST, prepared.PROFILE)})

    say(f"{source}: {rows.read} rows read, {dropped} dropped because {data.target} is missing")
    for name, column in columns.items():
        if column.role == "feature" and column.type == "string" and column.distinct == rows.read - column.missing:
            say(f"note: every value of '{name}' is different; if it is an identifier, add it to data.drop")
    say(f"{prepared.FOLDER}: {rows.train} rows to train on, {rows.test} to test on")


if __name__ == "__main__":
    run(main)
