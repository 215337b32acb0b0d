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

    problems += problems_of_target(table[data.target], data)
    features = feature_names(table, data)
    if not features:
        problems.append(f"{data.path}: no feature is left beside the target '{data.target}'; shorten data.drop")
    rows = table if problems else with_target(table, data)
    for name in features:
        problems += problems_of_column(name, rows[name], mend="correct it or add it to data.drop")
    refuse_if(problems)


def with_target(table: pa.Table, data: Data) -> pa.Table:
    """The rows whose target is known."""
    return table.filter(pc.is_valid(table[data.target]))


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
    if alone := [value for value, count in classes.items() if count < 2]:
        yield f"target '{name}': {len(alone)} of {len(classes)} have one row only, such as {alone[0]!r}; remove it"


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
    parts = table.take(sorted(train)), table.take(sorted(test))
    if classes:
        everywhere = set.intersection(*(set(part[data.target].to_pylist()) for part in parts))
        refuse_if(
            f"params.yaml: prepare.test_size: {settings.test_size} leaves a part without class {value!r}; change it"
            for value in dict.fromkeys(classes)
            if value not in everywhere
        )
    elif len(test) < 2:
        raise Problem(f"params.yaml: prepare.test_size: expected at least two rows to test on, found {len(test)}")
    return parts


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


def count_rows(table: pa.Table, kept: pa.Table, train: pa.Table, data: Data) -> Rows:
    """Where the rows of the raw table went."""
    dropped = len(table) - len(kept)
    reasons = {f"{data.target} is missing": dropped} if dropped else {}
    return Rows(read=len(table), dropped=reasons, train=len(train), test=len(kept) - len(train))


def facts(profile: Profile, data: Data) -> Iterator[str]:
    """What a person should see of the profile."""
    rows = profile.rows
    yield f"{data.path}: {rows.read} rows read, {sum(rows.dropped.values())} dropped because {data.target} is missing"
    for name, column in profile.columns.items():
        if column.role == "feature" and column.type == "string" and column.distinct == rows.read - column.missing:
            yield f"note: every value of '{name}' is different; if it is an identifier, add it to data.drop"
    yield f"{prepared.FOLDER}: {rows.train} rows to train on, {rows.test} to test on"


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
    kept = with_target(table, data).select([*feature_names(table, data), data.target])
    train, test = split(kept, data, settings.prepare)
    profile = Profile(
        rows=count_rows(table, kept, train, data),
        columns=profile_columns(table, data),
        readings=readings.finish(),
    )

    write_table(train, prepared.TRAIN)
    write_table(test, prepared.TEST)
    profile.write(prepared.PROFILE)
    keep_only(prepared.FOLDER, {path.name for path in (prepared.TRAIN, prepared.TEST, prepared.PROFILE)})
    for fact in facts(profile, data):
        say(fact)


if __name__ == "__main__":
    run(main)
