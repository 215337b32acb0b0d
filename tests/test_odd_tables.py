"""Tables as people have them: each is prepared as it is meant, or refused with the way on, which then works."""

import csv
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from projects import CHECKOUT, Project

import prepare
from record.notes import PREPARED, PROFILE, Profile
from record.problem import Problem

CHANCE = random.Random(7)  # noqa: S311 - not a secret
ROWS = 200
TABLE, FOLDER = "data/raw/table", Path("data/raw/table_v1.0.0")
Columns = dict[str, list[Any]]


def tidy() -> Columns:
    """Numbers, a category, a boolean and two targets: one of classes, `y`, and one of numbers, `r`."""
    x = [CHANCE.gauss(0, 1) for _ in range(ROWS)]
    return {
        "x": [f"{value:.3f}" for value in x],
        "n": [CHANCE.randint(1, 50) for _ in range(ROWS)],
        "c": [CHANCE.choice("abc") for _ in range(ROWS)],
        "y": ["yes" if value + CHANCE.gauss(0, 1) > 0 else "no" for value in x],
        "r": [f"{100 + 10 * value + CHANCE.gauss(0, 5):.2f}" for value in x],
    }


def days(form: str) -> list[str]:
    return [form.format(day=1 + row % 28, month=1 + row % 12, year=2020 + row % 4) for row in range(ROWS)]


def written(columns: Columns, delimiter: str = ",", footer: str = "") -> str:
    """The table as a CSV; its path."""
    with Path(f"{TABLE}.csv").open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow(columns)
        rows.writerows(zip(*columns.values(), strict=True))
        file.write(footer)
    return f"{TABLE}.csv"


def with_index(columns: Columns) -> str:
    typed = columns | {"x": [float(x) for x in columns["x"]]}
    pq.write_table(pa.table({"__index_level_0__": range(ROWS), **typed}), f"{TABLE}.parquet")
    return f"{TABLE}.parquet"


def in_folder(columns: Columns) -> str:
    for k, start in enumerate((0, 120)):
        (FOLDER / f"part={k}").mkdir(parents=True)
        typed = columns | {"x": [float(x) for x in columns["x"]]}
        pq.write_table(pa.table(typed).slice(start, 120), FOLDER / f"part={k}/0.parquet")
    return FOLDER.as_posix()


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    for name in ("params.yaml", "requirements.txt"):
        shutil.copy(CHECKOUT / name, tmp_path)
    (tmp_path / "data/raw").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    project.set(data__target="y", data__drop=["r"])
    return project


def outcome() -> Profile | str:
    """What is noted of the table, or why it is refused."""
    try:
        prepare.main()
    except Problem as problem:
        return "\n".join(problem.lines)
    return Profile.read(PREPARED / PROFILE)


REFUSED: dict[str, tuple[Callable[[Columns], str], str, dict[str, Any] | None]] = {  # what is said, and what helps
    "a dash for missing": (
        lambda t: written(t | {"n": ["-" if row % 7 == 0 else n for row, n in enumerate(t["n"])]}),
        "column 'n': 171 of 200 values are numbers, but '-' is in 29 rows, first in row 1",
        {"data__missing": {"n": ["-"]}},
    ),
    "a footer": (
        lambda t: written(t, footer="Total,,,,\n"),
        "column 'x': 200 of 201 values are numbers, but 'Total' is in 1 row, first in row 201",
        {"data__missing": {"x": ["Total"]}},
    ),
    "decimal commas": (
        lambda t: written(t | {"x": [x.replace(".", ",") for x in t["x"]]}),
        "are read as text; set data.csv.decimal: ','",
        {"data__csv__decimal": ","},
    ),
    "thousands": (
        lambda t: written(t | {"n": [f"{1000 * n + row:,}" for row, n in enumerate(t["n"])]}),
        "are read as text; set data.csv.thousands: ','",
        {"data__csv__thousands": ","},
    ),
    "semicolons": (
        lambda t: written(t, delimiter=";"),
        "looks separated by ';'; set data.csv.delimiter: ';'",
        {"data__csv__delimiter": ";"},
    ),
    "semicolons and decimal commas": (
        lambda t: written({name: [str(v).replace(".", ",") for v in values] for name, values in t.items()}, ";"),
        "set data.csv.delimiter: ';' in params.yaml, and data.csv.decimal: ','",
        {"data__csv__delimiter": ";", "data__csv__decimal": ","},
    ),
    "dates of an unknown order": (
        lambda t: written(t | {"z": days("{month:02}/{month:02}/{year}")}),
        "do not show which number is the day; set data.date_order: dmy",
        {"data__date_order": "dmy"},
    ),
    "a constant target": (
        lambda t: written(t | {"y": [5] * ROWS}),
        "target 'y': expected at least two classes, found only 5",
        None,
    ),
    "prices as classes": (
        lambda t: written(t | {"y": [1000 * n + row for row, n in enumerate(t["n"])]}),
        "target 'y': 200 different numbers in 200 rows look like a regression; check data.task",
        {"data__task": "regression"},
    ),
    "a class that is called NA": (
        lambda t: written(t | {"y": ["NA" if y == "no" else y for y in t["y"]]}),
        "target 'y': expected at least two classes, found only 'yes'",
        {"data__missing": {"*": []}},
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_an_odd_table_is_refused_and_what_is_said_helps(project: Project, name: str) -> None:
    make, said, way_on = REFUSED[name]
    project.set(data__path=make(tidy()))
    found = outcome()

    assert isinstance(found, str)
    assert said in found
    assert not PREPARED.exists()
    if way_on:
        project.set(**way_on)
        kinds = {name: column.type for name, column in outcome().columns.items()}  # type: ignore[union-attr]
        assert (kinds["x"], kinds["n"], kinds["c"]) == ("double", "int64", "string")


WARNED: dict[str, tuple[Callable[[Columns], str], str, str]] = {
    "a copy of the target": (lambda t: written(t | {"z": t["y"]}), "leak", "column 'z': determines the target 'y'"),
    "an index": (with_index, "index", "column '__index_level_0__': is the index of a pandas frame, so it is left out"),
    "each row five times": (
        lambda t: written({name: values[:40] * 5 for name, values in t.items()}),
        "repeated_rows",
        "40 of 40 test rows occur among the training rows too",
    ),
    "blanks after classes": (
        lambda t: written(t | {"y": [f"{y} " if row % 3 == 0 else y for row, y in enumerate(t["y"])]}),
        "near_equal",
        "target 'y': nearly equal values",
    ),
}


@pytest.mark.parametrize("name", WARNED)
def test_what_misleads_is_said_and_noted_and_can_be_refused(
    project: Project, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, kind, said = WARNED[name]
    project.set(data__path=make(tidy()))
    profile = outcome()
    heard = capsys.readouterr().err
    project.set(data__refuse=[kind])

    assert isinstance(profile, Profile)
    assert {pitfall.name for pitfall in profile.warnings} == {kind}
    assert profile.warnings[0].text.startswith(said)
    assert f"warning: {said}" in heard
    assert f"(data.refuse names '{kind}')" in str(outcome())


@pytest.mark.parametrize(
    "make",
    [
        in_folder,
        lambda t: written(t | {"z": days("{day:02}/{month:02}/{year}")}),
        lambda t: written(t | {"note": ["line\nbreak " * 3000] * ROWS}),
    ],
    ids=["a folder of Parquet files", "dates that show their order", "line breaks in quotes, 6 MB"],
)
def test_an_odd_table_of_which_nothing_is_doubtful_is_prepared(
    project: Project, make: Callable[[Columns], str]
) -> None:
    project.set(data__path=make(tidy()))
    profile = outcome()

    assert isinstance(profile, Profile)
    assert (profile.rows.read, profile.warnings) == (ROWS, [])
    assert "z" not in profile.columns or profile.columns["z"].date_order == "dmy"
