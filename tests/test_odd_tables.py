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


def in_utf_16(columns: Columns) -> str:
    path = Path(written(columns))
    path.write_text(path.read_text(encoding="utf-8"), encoding="utf-16")
    return path.as_posix()


def renamed_in_one_file(columns: Columns) -> str:
    for name, column in (("a", "x"), ("b", "X")):
        typed = {column if key == "x" else key: values[:100] for key, values in columns.items()}
        FOLDER.mkdir(exist_ok=True)
        pq.write_table(pa.table(typed), FOLDER / f"{name}.parquet")
    return FOLDER.as_posix()


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
    "a group of all rows": (
        lambda t: written(t | {"g": ["a"] * ROWS}),
        "'g' is the same in all rows, so that none are left for the test; choose another column",
        {"prepare__split_by": "n"},
    ),
    "integers that are one double": (
        lambda t: written(t | {"z": [10**30 + n for n in t["n"]]}),
        "column 'z': holds numbers that are all nearly 1e+30, so they are the same; correct it or add it to data.drop",
        {"data__drop": ["z", "r"]},
    ),
    "numbers whose squares are infinite": (
        lambda t: written(t | {"z": [f"{n}e300" for n in t["n"]]}),
        "column 'z': holds numbers of 5e+301, which are too large to compute with",
        {"data__drop": ["z", "r"]},
    ),
    "UTF-16": (in_utf_16, "is text in UTF-16; set data.csv.encoding: utf-16", {"data__csv__encoding": "utf-16"}),
    "an Excel file": (
        lambda _: str(Path(f"{TABLE}.csv").write_bytes(b"PK\x03\x04...") and f"{TABLE}.csv"),
        "is an Excel or ZIP file; save the table in it as CSV",
        None,
    ),
    "a folder of CSV files": (
        lambda t: str(FOLDER.mkdir(parents=True) or Path(written(t)).rename(FOLDER / "a.csv").parent.as_posix()),
        "expected .parquet files in this folder, found none; write the table as these or as one CSV",
        None,
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
    if "group" in name:
        project.set(prepare__split="group", prepare__split_by="g")
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
    "codes with leading zeros": (
        lambda t: written(t | {"n": [f"{n:05}" for n in t["n"]]}),
        "leading_zeros",
        "column 'n': '000",
    ),
    "integers beyond 2^53": (
        lambda t: written(t | {"z": [n**11 for n in t["n"]]}),
        "large_integers",
        "column 'z': holds whole numbers of 4.88281e+18, of which near ones are the same to a model",
    ),
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


def test_a_column_that_some_files_lack_is_said(project: Project) -> None:
    project.set(data__path=renamed_in_one_file(tidy()))
    profile = outcome()

    assert isinstance(profile, Profile)
    assert [(found.name, found.column) for found in profile.warnings][:2] == [
        ("lost_column", "x"),
        ("lost_column", "X"),
    ]


def test_a_column_that_only_folders_name_is_said(project: Project, capsys: pytest.CaptureFixture[str]) -> None:
    project.set(data__path=in_folder(tidy()))
    outcome()

    assert "'part' is in the names of its folders only, so it is not a column" in capsys.readouterr().err


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
