"""Stage 1: check the raw table, split it, and keep both parts as Parquet. Run it with `dvc repro prepare`."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from record.problem import run, say

if TYPE_CHECKING:
    from record.notes import Profile


def facts(profile: "Profile", source: str, target: str) -> Iterator[str]:
    """What a person should see of the profile."""
    rows = profile.rows
    yield f"{source}: {rows.read} rows read, {sum(rows.dropped.values())} dropped because {target} is missing"
    yield f"{rows.train} rows to train on, {rows.test} to test on"


def main() -> None:
    """Read the raw table; write train.parquet, test.parquet and profile.json."""
    from record.environment import REQUIREMENTS, check_environment

    check_environment()
    from modeling.checks import check_table, count_rows, feature_names, profile_columns, with_target
    from modeling.pitfalls import warnings_of
    from modeling.reading import files_of, read_raw, said_of_missing_targets
    from modeling.split import split
    from modeling.table import write_table
    from record.files import keep_only
    from record.notes import PREPARED, PROFILE, TEST, TRAIN, Profile, Readings, note_cost
    from record.parameters import read_parameters

    parameters = read_parameters()
    data, settings = parameters.data, parameters.prepare
    used = {"data": data.model_dump(), "prepare": settings.model_dump()}
    source = Path(data.path)
    readings = Readings.start(*files_of(source), REQUIREMENTS, params=used)

    table = read_raw(source, data)
    missing = list(said_of_missing_targets(source, table, data))
    for line in missing:  # before the table is refused for want of that class
        say(f"warning: {line}")
    check_table(table, data)
    kept = with_target(table, data).select([*feature_names(table, data), data.target])
    train, test = split(kept, data, settings)
    warnings = [*missing, *warnings_of(table, train, test, data)]
    rows, columns = count_rows(table, train, test, data), profile_columns(table, data)
    profile = Profile(rows=rows, columns=columns, warnings=warnings, readings=readings.finish())

    write_table(train, PREPARED / TRAIN)
    write_table(test, PREPARED / TEST)
    profile.write(PREPARED / PROFILE)
    keep_only(PREPARED, {TRAIN, TEST, PROFILE})
    note_cost(PREPARED / PROFILE)
    for fact in facts(profile, data.path, data.target):
        say(fact)
    for line in warnings[len(missing) :]:
        say(f"warning: {line}")


if __name__ == "__main__":
    run(main)
