"""One odd cell does not change what a column is, and a date, time or duration means the same in every spelling."""

import datetime as dt
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from raw_tables import ROWS, Cells, kinds, numbers, settings, with_cell, written

from modeling.reading import DEFAULTS, read_raw
from modeling.spellings import Spelling, as_yaml
from record.files import from_yaml
from record.problem import Problem

CSV = DEFAULTS["csv"]


@pytest.mark.parametrize("cell", ["-", "?", "None", "#DIV/0!", "12o", "Total", "n.a.", "$1.50", "12 kg", "1,234.5"])
def test_one_odd_cell_is_refused_with_its_row_and_the_ways_on(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path / "t.csv", with_cell(cell))
    with pytest.raises(Problem) as refused:
        kinds(path)

    (line,) = refused.value.lines
    assert f"column 'z': 59 of 60 values are numbers, but {cell!r} is in 1 row, first in row 7" in line
    assert f"add z: [{as_yaml(cell)}] to data.missing" in line
    assert "add z: category to data.types" in line
    assert "or z to data.drop" in line


@pytest.mark.parametrize(
    ("more", "kind"),
    [
        ({"missing": {"z": ["-"]}}, "double"),
        ({"missing": {"*": ["-"]}}, "double"),
        ({"types": {"z": "category"}}, "string"),
        ({"drop": ["z"]}, "string"),
    ],
    ids=["missing here", "missing everywhere", "category", "dropped"],
)
def test_each_way_on_is_taken(tmp_path: Path, more: dict[str, Any], kind: str) -> None:
    assert kinds(written(tmp_path / "t.csv", with_cell("-")), **more)["z"] == kind


def thousands(mark: str, decimal: str = ".") -> Callable[[str], str]:
    """Some numbers are below a thousand, some have two marks."""
    marks = str.maketrans(",.", mark + decimal)
    return lambda cell: f"{float(cell) ** 3 / 100:,.2f}".translate(marks)


@pytest.mark.parametrize(
    ("spell", "remedy", "more"),
    [
        (lambda cell: cell.replace(".", ","), "data.csv.decimal: ','", {"decimal": ","}),
        (lambda cell: f"{float(cell) * 1000 + 1000:,.0f}", "data.csv.thousands: ','", {"thousands": ","}),
        (lambda cell: f"${cell}", "remove the unit", None),
        (lambda cell: f"{cell} kg", "remove the unit", None),
        (lambda cell: cell if cell < "5" else f"{cell} €", "remove the unit", None),
        (lambda cell: f"({cell})" if cell > "5" else cell, "write negative numbers with a hyphen in front", None),
        (lambda cell: f"{cell}-" if cell > "5" else cell, "write negative numbers with a hyphen in front", None),
        (lambda cell: f"\u2212{cell}" if cell > "5" else cell, "write negative numbers with a hyphen in front", None),
        (thousands(","), "data.csv.thousands: ','", {"thousands": ","}),
        (thousands(" "), 'data.csv.thousands: " "', {"thousands": " "}),
        (thousands("'"), """data.csv.thousands: "'\"""", {"thousands": "'"}),
        (thousands("\u00a0"), r'data.csv.thousands: "\u00a0"', {"thousands": "\u00a0"}),
        (thousands(" ", ","), "\" \" and data.csv.decimal: ','", {"thousands": " ", "decimal": ","}),
        (thousands(".", ","), "data.csv.decimal: ',' and data.csv.thousands: '.'", {"thousands": ".", "decimal": ","}),
    ],
)
def test_numbers_in_another_spelling_are_refused_with_the_parameter(
    tmp_path: Path, spell: Callable[[str], str], remedy: str, more: dict[str, str] | None
) -> None:
    path = written(tmp_path / "t.csv", [spell(cell) for cell in numbers()])
    with pytest.raises(Problem, match=r"column 'z': values such as .* are read as text") as refused:
        kinds(path)

    assert remedy in str(refused.value)
    if more:
        assert kinds(path, csv=CSV | more)["z"] in {"double", "int64"}


@pytest.mark.parametrize("sign", [".", "?"])
def test_a_few_numbers_among_many_spellings_of_missing_are_refused(tmp_path: Path, sign: str) -> None:
    path = written(tmp_path / "t.csv", [str(row) if row % 20 == 0 else sign for row in range(ROWS)])
    with pytest.raises(Problem, match=rf'values are numbers, but .*, add z: \["\{sign}"\] to data.missing'):
        kinds(path)

    assert kinds(path, missing={"*": [], "z": [sign]})["z"] == "int64"


def test_codes_and_addresses_are_not_numbers_in_another_spelling(tmp_path: Path) -> None:
    codes = ["10.100.{0}.3", "207a{0}", "555-{0}", "A {0}", "1.2.{0}", "192.168.1.{0}"]

    for code in codes:
        cells = [code.format(100 + row) for row in range(ROWS)]
        assert kinds(written(tmp_path / "t.csv", cells))["z"] == "string"


def test_dates_of_which_half_name_a_zone_are_refused(tmp_path: Path) -> None:
    cells = [f"2024-03-{1 + row % 28:02}T10:00:{row:02}{'Z' if row % 2 else ''}" for row in range(ROWS)]
    with pytest.raises(Problem, match="column 'z': 30 of 60 values are dates with a time zone; write one in all or"):
        kinds(written(tmp_path / "t.csv", cells))


DAY, NOON = "2024-03-15 00:00:00", "2024-03-15 12:30:00"


@pytest.mark.parametrize(
    ("cell", "value"),
    [
        *((cell, DAY) for cell in ("2024-03-15", "2024/3/15", "15/03/2024", "03/15/2024", "15.3.2024", "15 Mar 2024")),
        *((cell, DAY) for cell in ("March 15, 2024", "15-mar-2024")),
        *((cell, NOON) for cell in ("2024-03-15 12:30", "2024-03-15T12:30:00Z", "15/03/2024 12:30:00.000")),
        *((cell, NOON) for cell in ("2024-03-15T14:30:00+02:00", "2024-03-15 07:30:00-0500", "15/3/2024 12:30 PM")),
        *((cell, "13:45:00") for cell in ("13:45", "1:45 pm", "13:45:00.0")),
        *((cell, "93784.0") for cell in ("26:03:04", "1 days 02:03:04", "1 day, 02:03:04.0")),
    ],
)
@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_dates_times_and_durations_mean_the_same_in_every_spelling_and_format(
    tmp_path: Path, suffix: str, cell: str, value: str
) -> None:
    path = written(tmp_path / "t.csv", [cell, "", *[cell] * (ROWS - 2)])
    if suffix == "parquet":
        path = path.with_suffix(".parquet")
        cells = [cell, None, *[cell] * (ROWS - 2)]
        pq.write_table(pa.table({"z": cells, "y": ["a", "b"] * (ROWS // 2)}), path)

    found = read_raw(path, settings(path)).table["z"].to_pylist()
    assert [str(one) for one in found[:3]] == [value, "None", value]


def test_instants_and_durations_of_a_typed_file_are_utc_and_seconds(tmp_path: Path) -> None:
    zoned = pa.array([f"{DAY}Z"] * 2).cast(pa.timestamp("ns", "UTC")).cast(pa.timestamp("ns", "Europe/Berlin"))
    typed = pa.table({"z": zoned, "d": pa.array([dt.timedelta(hours=26)] * 2), "y": ["a", "b"]})
    pq.write_table(typed, tmp_path / "t.parquet")
    found = read_raw(tmp_path / "t.parquet", settings("t.parquet")).table

    assert (str(found["z"][0]), found["d"][0].as_py()) == (DAY, 26 * 3600)


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["03/04/2024", "05/06/2024"], "do not show which number is the day; set data.date_order: dmy"),
        (["13/04/2024", "04/13/2024"], "'13/04/2024' and '04/13/2024' have the day in different places"),
        *(
            (cells, "write the year with four digits")
            for cells in (["13/04/24", "14/04/24"], ["8/6/20 18:57", "9/6/20 1:07"])
        ),
        (["6-Aug-09", "7-Aug-09"], "write the year with four digits"),
        (["2024-02-30", *["2024-02-28"] * 9], "9 of 10 values are dates, but '2024-02-30' is in 1 row, first in row 1"),
        (["soon", *["2024-02-28"] * 9], "9 of 10 values are dates, but 'soon' is in 1 row, first in row 1"),
        (["2024-02-28T10:00Z", *["2024-02-28T10:00"] * 9], "9 of 10 values are dates, but '2024-02-28T10:00Z'"),
        (["25:10", *["10:25"] * 9], "9 of 10 values are times, but '25:10'"),
        (["maybe", *["true", "false"] * 9], "18 of 19 values are booleans, but 'maybe'"),
    ],
)
def test_dates_and_the_like_that_cannot_be_told_are_refused_with_the_way_on(
    tmp_path: Path, cells: Cells, said: str
) -> None:
    with pytest.raises(Problem) as refused:
        kinds(written(tmp_path / "t.csv", cells))

    assert said in str(refused.value)
    assert kinds(written(tmp_path / "t.csv", cells), types={"z": "category"})["z"] == "string"


@pytest.mark.parametrize(("order", "month"), [("dmy", 4), ("mdy", 3)])
def test_the_parameter_decides_which_number_is_the_day(tmp_path: Path, order: str, month: int) -> None:
    path = written(tmp_path / "t.csv", ["03/04/2024"] * 4)

    assert read_raw(path, settings(path, date_order=order)).table["z"][0].as_py().month == month


def test_the_order_that_the_values_show_is_noted(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", ["03/04/2024", "13/04/2024"])

    assert read_raw(path, settings(path)).date_orders == {"z": "dmy"}


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
@pytest.mark.parametrize("where", ["z", "*"])
def test_a_number_can_mean_missing_in_every_format(tmp_path: Path, suffix: str, where: str) -> None:
    path = written(tmp_path / "t.csv", ["-999", "1.5", "-999.0"])
    pq.write_table(pa.table({"z": [-999, 1.5, -999.0]}), tmp_path / "t.parquet")
    data = settings(path, missing={where: ["-999", "-999.0", "none"]})

    assert read_raw(tmp_path / f"t.{suffix}", data).table["z"].to_pylist() == [None, 1.5, None]


@pytest.mark.parametrize(
    ("kind", "cells", "values"),
    [
        ("category", ["01234", "1234"], ["01234", "1234"]),
        ("text", ["1", "2"], ["1", "2"]),
        ("boolean", ["yes", "N"], [True, False]),
        ("boolean", ["1", "0"], [True, False]),
        ("number", ["1", "2.5"], [1.0, 2.5]),
        ("duration", ["1:00:00", "0:00:01"], [3600.0, 1.0]),
    ],
)
def test_a_column_is_what_params_yaml_says_that_it_is(tmp_path: Path, kind: str, cells: Cells, values: list) -> None:
    path = written(tmp_path / "t.csv", cells)

    assert read_raw(path, settings(path, types={"z": kind})).table["z"].to_pylist() == values


def test_a_column_that_cannot_be_what_params_yaml_says_is_refused(tmp_path: Path) -> None:
    path = written(tmp_path / "t.csv", ["red", "blue", "7"])
    pq.write_table(pa.table({"z": [1.5, 2.5], "y": ["a", "b"]}), tmp_path / "t.parquet")

    with pytest.raises(Problem, match="column 'z': 1 of 3 values are numbers, but 'red' is in 1 row"):
        kinds(path, types={"z": "number"})
    with pytest.raises(Problem, match=r"column 'z': double cannot be read as date; correct data.types"):
        kinds(tmp_path / "t.parquet", types={"z": "date"})


@pytest.mark.parametrize(
    ("odd", "is_refused"),
    [
        (["-"] * 20 + ["?"] * 9, True),
        (["Over 100"] * 29, True),
        (["2-10"] * 15 + ["Over 100"] * 14, False),
        (["2-10"] * 3 + ["Over 100"] * 2, True),
    ],
    ids=["two spellings of missing", "one value", "a category", "few of several"],
)
def test_odd_values_are_few_or_alike(tmp_path: Path, odd: Cells, *, is_refused: bool) -> None:
    path = written(tmp_path / "t.csv", [*numbers()[: ROWS - len(odd)], *odd])

    if is_refused:
        with pytest.raises(Problem, match="values are numbers, but "):
            kinds(path)
    else:
        assert kinds(path)["z"] == "string"


@pytest.mark.parametrize("name", ["a: b, c", "null", "*", "@a", "a]", "5' 11\"", "größe", "plain", "x\x1a"])
def test_a_remedy_is_yaml_whatever_the_name_and_the_value(name: str) -> None:
    column = pa.chunked_array([[*numbers(), name]])
    spelling = Spelling(name, settings("t.csv", missing={"*": []}), is_typed=False)
    spelling.add(column)
    with pytest.raises(Problem) as refused:
        spelling.reader()
    (line,) = refused.value.lines
    remedies = re.findall(r"(?:add|or) (\S.*?) to data\.(missing|types|drop)", line.partition("row 61; ")[2])
    missing, kind, drop = (
        (from_yaml(f"[{text}]".encode()) if key == "drop" else from_yaml(f"{{{text}}}".encode()))
        for text, key in remedies
    )

    assert (missing, kind, drop) == ({name: [name]}, {name: "category"}, [name])


def test_a_few_numbers_among_words_are_words(tmp_path: Path) -> None:
    assert kinds(written(tmp_path / "t.csv", ["12", *["red", "blue"] * 29, "7"]))["z"] == "string"


def test_text_of_a_typed_file_stays_text_unless_it_is_said_to_be_numbers(tmp_path: Path) -> None:
    pq.write_table(pa.table({"z": numbers(), "y": ["a", "b"] * (ROWS // 2)}), tmp_path / "t.parquet")

    assert kinds(tmp_path / "t.parquet")["z"] == "string"
    assert kinds(tmp_path / "t.parquet", types={"z": "number"})["z"] == "double"
