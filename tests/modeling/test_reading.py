"""Reading: one odd cell does not change what a column is, and what params.yaml says of a file is heeded."""

import csv
import gzip
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest

from modeling.reading import DEFAULTS, read_raw, said_of_missing_targets
from record.parameters import Data
from record.problem import Problem

ROWS = 60
Cells = list[str]
CSV = DEFAULTS["csv"]


def settings(path: Path | str, **more: Any) -> Data:
    return Data.model_validate(
        DEFAULTS | {"path": Path(path).name, "target": "y", "task": "classification", "drop": []} | more
    )


def numbers() -> Cells:
    """Numbers with three decimals, all of them different."""
    return [f"{random.Random(row).uniform(1, 999):.3f}" for row in range(ROWS)]  # noqa: S311 - not a secret


def written(path: Path, z: Cells, delimiter: str = ",") -> Path:
    """A text file with the columns x, z and y."""
    with path.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, delimiter=delimiter)
        rows.writerow("xzy")
        rows.writerows([str(row), cell, "ab"[row % 2]] for row, cell in enumerate(z))
    return path


def with_cell(cell: str, row: int = 6) -> Cells:
    return [cell if k == row else value for k, value in enumerate(numbers())]


def kinds(path: Path, **more: Any) -> dict[str, str]:
    table = read_raw(path, settings(path, **more))
    return {name: str(table[name].type) for name in table.column_names}


@pytest.mark.parametrize("cell", ["-", "?", "None", "#DIV/0!", "12o", "Total", "n.a.", "$1.50", "12 kg", "1,234.5"])
def test_one_odd_cell_is_refused_with_its_row_and_the_ways_on(tmp_path: Path, cell: str) -> None:
    path = written(tmp_path / "t.csv", with_cell(cell))
    with pytest.raises(Problem) as refused:
        kinds(path)

    (line,) = refused.value.lines
    assert f"column 'z': 59 of 60 values are numbers, but {cell!r} 1 times, first in row 7" in line
    assert f"set data.missing: {{z: [{cell!r}]}}" in line
    assert "data.types: {z: category}" in line
    assert "data.drop" in line


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


@pytest.mark.parametrize(
    ("spell", "remedy", "more"),
    [
        (lambda cell: cell.replace(".", ","), "data.csv.decimal: ','", {"decimal": ","}),
        (lambda cell: f"{float(cell) * 1000 + 1000:,.0f}", "data.csv.thousands: ','", {"thousands": ","}),
        (lambda cell: f"${cell}", "remove the unit", None),
        (lambda cell: f"{cell} kg", "remove the unit", None),
    ],
    ids=["decimal comma", "thousands", "currency", "unit"],
)
def test_numbers_in_another_spelling_are_refused_with_the_parameter(
    tmp_path: Path, spell: Callable[[str], str], remedy: str, more: dict[str, str] | None
) -> None:
    path = written(tmp_path / "t.csv", [spell(cell) for cell in numbers()])
    with pytest.raises(Problem, match=r"column 'z': numbers such as .* are read as text") as refused:
        kinds(path)

    assert remedy in str(refused.value)
    if more:
        assert kinds(path, csv=CSV | more)["z"] in {"double", "int64"}


@pytest.mark.parametrize("cells", [["01/02/2020"] * ROWS, ["2020-01-31 10:30"] * ROWS], ids=["day first", "ISO"])
def test_dates_as_text_are_not_taken_for_categories(tmp_path: Path, cells: Cells) -> None:
    path = written(tmp_path / "t.parquet", [])
    pq.write_table(pa.table({"z": cells, "y": ["a", "b"] * (ROWS // 2)}), path)

    with pytest.raises(Problem, match=r"column 'z': dates such as .* cannot be features"):
        kinds(path)


def test_a_few_numbers_among_words_are_words(tmp_path: Path) -> None:
    assert kinds(written(tmp_path / "t.csv", ["12", *["red", "blue"] * 29, "7"]))["z"] == "string"


def test_text_of_a_typed_file_stays_text_unless_it_is_said_to_be_numbers(tmp_path: Path) -> None:
    pq.write_table(pa.table({"z": numbers(), "y": ["a", "b"] * (ROWS // 2)}), tmp_path / "t.parquet")

    assert kinds(tmp_path / "t.parquet")["z"] == "string"
    assert kinds(tmp_path / "t.parquet", types={"z": "number"})["z"] == "double"


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_delimiter_is_named(tmp_path: Path, mark: str) -> None:
    path = written(tmp_path / "t.csv", numbers(), mark)
    with pytest.raises(Problem) as refused:
        kinds(path)

    assert f"looks separated by {mark!r}; set data.csv.delimiter: {mark!r}" in str(refused.value)
    assert kinds(path, csv=CSV | {"delimiter": mark}) == {"x": "int64", "z": "double", "y": "string"}


@pytest.mark.parametrize("size", [100, 300_000])
def test_line_breaks_inside_quotes_are_right_at_any_size(tmp_path: Path, size: int) -> None:
    cells = [f"{row} word\n" * (size if row == 7 else 2) for row in range(ROWS)]
    path = written(tmp_path / "t.csv", cells)
    table = read_raw(path, settings(path, drop=["z"]))

    assert table["z"].to_pylist() == cells
    assert len(table) == ROWS


def test_every_format_gives_the_same_table(tmp_path: Path) -> None:
    plain = written(tmp_path / "t.csv", numbers())
    expected = read_raw(plain, settings(plain))
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    written(tmp_path / "t.tsv", numbers(), "\t")
    pq.write_table(expected, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(expected, str(tmp_path / "t.feather"))
    (tmp_path / "folder").mkdir()
    for k in (0, 1):
        pq.write_table(expected.slice(k * 20, 20 + k * 20), tmp_path / f"folder/part-{k}.parquet")

    for name in ("t.csv.gz", "t.tsv", "t.parquet", "t.feather", "folder"):
        assert read_raw(tmp_path / name, settings(name)).equals(expected), name


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "found an empty file"),
        (b"x,x,y\n1,2,a\n", "occurs 2 times"),
    ],
)
def test_what_is_not_a_table_is_a_sentence(tmp_path: Path, content: bytes, said: str) -> None:
    (tmp_path / "t.csv").write_bytes(content)

    with pytest.raises(Problem, match=said):
        read_raw(tmp_path / "t.csv", settings("t.csv"))


def test_an_encoding_that_is_named_is_used_and_one_that_does_not_exist_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_bytes("x,y\n1,Zürich\n".encode("latin-1"))
    named = settings("t.csv", csv=CSV | {"encoding": "latin-1"})

    assert read_raw(tmp_path / "t.csv", named)["y"].to_pylist() == ["Zürich"]
    with pytest.raises(Problem, match="klingon"):
        read_raw(tmp_path / "t.csv", settings("t.csv", csv=CSV | {"encoding": "klingon"}))


def test_a_class_that_is_spelt_like_a_missing_value_is_said_with_its_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "1,NA\n2,yes\n3,\n" * 5)
    data = settings("t.csv")
    (line,) = said_of_missing_targets(tmp_path / "t.csv", read_raw(tmp_path / "t.csv", data), data)

    assert line == "target 'y': 'NA' in 5 rows was read as missing; if it is a class, take it out of data.missing"
    kept = settings("t.csv", missing={"*": []})
    assert read_raw(tmp_path / "t.csv", kept)["y"].to_pylist()[:3] == ["NA", "yes", None]
