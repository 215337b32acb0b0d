"""Reading: every format gives the same table, and what params.yaml says of a file is heeded."""

import bz2
import gzip
from pathlib import Path

import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from raw_tables import ROWS, kinds, numbers, settings, written
from tables import make_data

from modeling.pitfalls import missing_targets
from modeling.reading import DEFAULTS, read_raw
from record.problem import Problem

CSV = DEFAULTS["csv"]


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
    table = read_raw(path, settings(path, drop=["z"])).table

    assert table["z"].to_pylist() == cells
    assert len(table) == ROWS


def test_every_format_gives_the_same_table(tmp_path: Path) -> None:
    plain = written(tmp_path / "t.csv", numbers())
    expected = read_raw(plain, settings(plain)).table
    (tmp_path / "t.csv.gz").write_bytes(gzip.compress(plain.read_bytes()))
    (tmp_path / "t.csv.bz2").write_bytes(bz2.compress(plain.read_bytes()))
    for codec, ending in (("zstd", "zst"), ("lz4", "lz4")):
        with pa.CompressedOutputStream(str(tmp_path / f"t.csv.{ending}"), codec) as stream:
            stream.write(plain.read_bytes())
    written(tmp_path / "t.tsv", numbers(), "\t")
    pq.write_table(expected, tmp_path / "t.parquet")
    pyarrow.feather.write_feather(expected, str(tmp_path / "t.feather"))
    (tmp_path / "folder").mkdir()
    for k in (0, 1):
        pq.write_table(expected.slice(k * 20, 20 + k * 20), tmp_path / f"folder/part-{k}.parquet")

    for name in ("t.csv.gz", "t.csv.bz2", "t.csv.zst", "t.csv.lz4", "t.tsv", "t.parquet", "t.feather", "folder"):
        assert read_raw(tmp_path / name, settings(name)).table.equals(expected), name


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

    assert read_raw(tmp_path / "t.csv", named).table["y"].to_pylist() == ["Zürich"]
    with pytest.raises(Problem, match="klingon"):
        read_raw(tmp_path / "t.csv", settings("t.csv", csv=CSV | {"encoding": "klingon"}))


def test_a_class_that_is_spelt_like_a_missing_value_is_said_with_its_rows(tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("x,y\n" + "1,NA\n2,yes\n3,\n" * 5)
    data = settings("t.csv")
    (found,) = missing_targets(read_raw(tmp_path / "t.csv", data), data)

    assert found.text == "target 'y': 'NA' in 5 rows was read as missing; if it is a class, take it out of data.missing"
    kept = settings("t.csv", missing={"*": []})
    assert read_raw(tmp_path / "t.csv", kept).table["y"].to_pylist()[:3] == ["NA", "yes", None]


def test_files_in_folders_that_are_named_like_files_are_read(tmp_path: Path) -> None:
    (tmp_path / "t/a.parquet").mkdir(parents=True)
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "t/a.parquet/part-0.parquet")

    assert read_raw(tmp_path / "t", make_data()).table.to_pydict() == {"x": [1, 2]}


def test_files_of_which_a_column_differs_in_type_are_refused_with_its_name(tmp_path: Path) -> None:
    pq.write_table(pa.table({"x": [1, 2]}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"x": ["a"]}), tmp_path / "b.parquet")

    with pytest.raises(Problem, match=r"its files differ: .*x has incompatible types.*; write that column in one type"):
        read_raw(tmp_path, make_data())
