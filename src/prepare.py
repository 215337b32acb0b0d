"""Stage 1: check the raw table, split it, and keep both parts as Parquet. Run it with `dvc repro prepare`."""

from pathlib import Path

from record.problem import run, say


def main() -> None:
    """Read the raw table; write train.parquet, test.parquet and profile.json.

    The table is read batch by batch, as often as it takes: to see what its text means, to know its columns, and to
    divide its rows.
    """
    from record.environment import REQUIREMENTS, check_environment

    check_environment()
    from modeling.breaches import TableCheck
    from modeling.checks import check_table, count_rows, prepared_columns, profile_columns
    from modeling.dividing import divide
    from modeling.pitfalls import lost_columns, lost_zeros, missing_targets, pitfalls_of
    from modeling.reading import files_of, read_raw
    from modeling.remote import objects_of, source_of
    from modeling.summary import survey
    from record.contract import read_contract, widen
    from record.files import keep_only, replacing
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
    check = TableCheck(contract, raw.schema) if contract else None
    found = survey(raw.batches(), raw.schema, parameters, check)
    if check:
        check.refuse(data.path, raw.batches)
    warnings = [*missing_targets(raw, data), *lost_zeros(raw, data), *lost_columns(raw, data)]
    warn_of(warnings)  # before the table is refused for want of that class
    check_table(found, parameters)
    with replacing(PREPARED / TRAIN) as train, replacing(PREPARED / TEST) as test:
        divided = divide(raw, found, prepared_columns(found.columns, parameters), (train, test), parameters)
        pitfalls = pitfalls_of(found, divided.features, divided.sample.table, divided.overlap, parameters)
        warn_of(pitfalls)
        refuse_named([*warnings, *pitfalls], data.refuse)
        profile = Profile(
            rows=count_rows(found, divided.rows, data),
            columns=profile_columns(found.columns, divided.features, parameters, raw.date_orders),
            warnings=[*warnings, *pitfalls],
            contract=contract.document() if contract else None,
            readings=readings.finish(objects_of(source)),
        )

    profile.write(PREPARED / PROFILE)
    keep_only(PREPARED, {TRAIN, TEST, PROFILE})
    note_cost(PREPARED / PROFILE)
    rows, dropped = profile.rows, sum(profile.rows.dropped.values())
    say(f"{data.path}: {rows.read} rows read, {dropped} dropped because {data.target} is missing")
    say(f"{rows.train} rows to train on, {rows.test} to test on")


if __name__ == "__main__":
    run(main)
