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
    from modeling.breaches import check_contract
    from modeling.checks import (
        check_table,
        count_rows,
        prepared_columns,
        profile_columns,
        with_target,
        without_unknown,
    )
    from modeling.pitfalls import missing_targets, pitfalls_of
    from modeling.reading import files_of, read_raw
    from modeling.remote import objects_of, source_of
    from modeling.split import split
    from modeling.table import write_table
    from record.contract import read_contract, widen
    from record.files import keep_only
    from record.notes import (
        CONTRACT,
        PREPARED,
        PROFILE,
        TEST,
        TRAIN,
        Profile,
        Readings,
        note_cost,
        refuse_named,
        warn_of,
    )
    from record.parameters import read_parameters

    parameters = read_parameters()
    data, settings = parameters.data, parameters.prepare
    used = {"data": data.model_dump(), "prepare": settings.model_dump(), "train.slices": parameters.train.slices}
    source, contract = source_of(data.path), read_contract()
    local = [file for file in files_of(source) if isinstance(file, Path)]
    inputs = [*local, REQUIREMENTS, *([CONTRACT] if contract else [])]
    readings = Readings.start(*inputs, params=used, objects=objects_of(source))
    if contract:
        data = widen(data, contract.missing_values)
        parameters = parameters.model_copy(update={"data": data})

    raw = read_raw(source, data)
    if contract:
        check_contract(raw.table, contract, data.path)
    warnings = list(missing_targets(raw, data))
    warn_of(warnings)  # before the table is refused for want of that class
    check_table(raw.table, parameters)
    rows = with_target(raw.table, data)
    parts = split(rows.select(prepared_columns(rows, parameters)), parameters)
    train, test = without_unknown(*parts, parameters)
    found = pitfalls_of(rows, train, test, parameters)
    warn_of(found)
    refuse_named([*warnings, *found], data.refuse)
    profile = Profile(
        rows=count_rows(raw.table, train, test, data),
        columns=profile_columns(raw.table, train, parameters, raw.date_orders),
        warnings=[*warnings, *found],
        contract=contract.document() if contract else None,
        readings=readings.finish(objects_of(source)),
    )

    write_table(train, PREPARED / TRAIN)
    write_table(test, PREPARED / TEST)
    profile.write(PREPARED / PROFILE)
    keep_only(PREPARED, {TRAIN, TEST, PROFILE})
    note_cost(PREPARED / PROFILE)
    for fact in facts(profile, data.path, data.target):
        say(fact)


if __name__ == "__main__":
    run(main)
