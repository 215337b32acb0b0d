"""The table: how it is read, normalised, kept, and handed to scikit-learn."""

import datetime as dt
import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from modeling.table import (
    features_and_target,
    kind_of,
    normalise,
    problems_of_column,
    read_table,
    to_frame,
    to_target,
    write_table,
)
from record.problem import Problem

TEN = pa.table(
    {
        "length": [39.1, 39.5, None, 36.7, 39.3, 38.9, 39.2, 34.1, 42.0, 37.8],
        "year": [2007, 2008, 2009, 2007, 2008, 2009, 2007, 2008, None, 2007],
        "island": ["Biscoe", "Dream", None, "Dream", "Biscoe", "Dream", "Biscoe", "Dream", "ö", ""],
        "tagged": [True, False, None, True, False, True, False, True, False, True],
    }
)
VALUES = {
    pa.float64(): st.floats(allow_nan=False),
    pa.float32(): st.floats(allow_nan=False, width=32),
    pa.int64(): st.integers(-(2**53), 2**53),  # what a double holds exactly
    pa.uint8(): st.integers(0, 255),
    pa.string(): st.text(),
    pa.bool_(): st.booleans(),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Tables of the three kinds of columns, with missing values."""
    rows = draw(st.integers(1, 12))
    types = draw(st.lists(st.sampled_from(list(VALUES)), min_size=1, max_size=4))
    return pa.table(
        {
            f"column {number}": pa.array(
                draw(st.lists(st.none() | VALUES[kind], min_size=rows, max_size=rows)), type=kind
            )
            for number, kind in enumerate(types)
        }
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables")


def kept(table: pa.Table, folder: Path) -> bytes:
    """The bytes of a table on disk."""
    write_table(table, folder / "table.parquet")
    return (folder / "table.parquet").read_bytes()


@given(tables())
@settings(max_examples=50, deadline=None)
def test_reading_gives_back_what_was_written(folder: Path, table: pa.Table) -> None:
    write_table(table, folder / "table.parquet")

    assert read_table(folder / "table.parquet").equals(table)


@given(tables(), st.data())
@settings(max_examples=50, deadline=None)
def test_the_bytes_depend_only_on_the_rows(folder: Path, table: pa.Table, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(table)))
    other = pa.concat_tables([table.slice(0, cut), table.slice(cut)]).replace_schema_metadata({"pandas": "{}"})

    assert kept(other, folder) == kept(table, folder)


def test_the_bytes_of_a_large_table_do_not_depend_on_how_it_was_read(tmp_path: Path) -> None:
    """Pages of text end where chunks end, once a table is large enough to have several."""
    table = pa.table({"tag": [f"tag {row}" for row in range(100_000)]})
    pieces = pa.concat_tables([table.slice(start, 1013) for start in range(0, len(table), 1013)])

    assert kept(pieces, tmp_path) == kept(table, tmp_path)


def test_the_metadata_of_another_program_is_not_kept(tmp_path: Path) -> None:
    write_table(TEN.replace_schema_metadata({"pandas": "{}"}), tmp_path / "table.parquet")

    assert pq.read_metadata(tmp_path / "table.parquet").metadata is None


def test_a_table_of_several_row_groups_is_read_back_in_order(tmp_path: Path) -> None:
    table = pa.table({"row": range(300_000)})

    write_table(table, tmp_path / "table.parquet")

    assert pq.read_metadata(tmp_path / "table.parquet").num_row_groups == 3
    assert read_table(tmp_path / "table.parquet").equals(table)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_flipped_byte_in_the_pages_never_gives_other_rows(folder: Path, data: st.DataObject) -> None:
    path = folder / "flipped.parquet"
    write_table(TEN, path)
    column = pq.read_metadata(path).row_group(0).column(data.draw(st.integers(0, 3), "column"))
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    content = bytearray(path.read_bytes())
    content[start + data.draw(st.integers(0, column.total_compressed_size - 1), "byte")] ^= data.draw(
        st.integers(1, 255), "flip"
    )
    path.write_bytes(content)

    try:
        found = read_table(path)
    except Problem:
        return

    assert found.equals(TEN)


@pytest.mark.parametrize(
    "text",
    [
        "a,b\n1,x\n,\nNA,NA\nnull,null\n",
        "\ufeffa,b\r\n1,x\r\n,\r\nNA,NA\r\nnull,null\r\n",
        'a,b\n"1","x"\n,\n"NA","NA"\nnull,null',
    ],
    ids=["plain", "windows", "quoted"],
)
def test_empty_na_and_null_are_missing_values_of_a_csv(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.csv").write_bytes(text.encode())

    assert read_table(tmp_path / "table.csv").to_pydict() == {"a": [1, None, None, None], "b": ["x", None, None, None]}


def test_a_csv_has_numbers_texts_and_booleans(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text('a,b,c,d\n1,1.5,"x, y",true\n2,2e3,ö,false\n', "utf-8")

    table = read_table(tmp_path / "table.csv")

    assert table.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.bool_()]
    assert table.to_pydict() == {"a": [1, 2], "b": [1.5, 2000.0], "c": ["x, y", "ö"], "d": [True, False]}


def test_a_missing_or_empty_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "empty.csv").touch()

    with pytest.raises(Problem, match=r"missing\.csv: not found$"):
        read_table(tmp_path / "missing.csv")
    with pytest.raises(Problem, match=r"empty\.csv: expected a table, found an empty file$"):
        read_table(tmp_path / "empty.csv")


def test_every_duplicate_column_name_is_reported_at_once(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    path.write_text("a,b,a,b,c\n1,2,3,4,5\n")

    with pytest.raises(Problem) as caught:
        read_table(path)

    assert caught.value.lines == (
        f"{path}: column 'a' occurs 2 times; names must differ",
        f"{path}: column 'b' occurs 2 times; names must differ",
    )


@pytest.mark.parametrize(
    "values", [[b"\xe9"], [b"a", None, b"\xe9"], [b"\xed\xa0\x80"]], ids=["letter", "later", "surrogate"]
)
def test_text_in_parquet_that_is_not_utf8_is_refused(tmp_path: Path, values: list[bytes | None]) -> None:
    binary = pa.array(values)
    text = pa.Array.from_buffers(pa.string(), len(binary), binary.buffers(), binary.null_count)
    pq.write_table(pa.table({"a": text}), tmp_path / "table.parquet")

    with pytest.raises(Problem) as caught:
        read_table(tmp_path / "table.parquet")

    assert str(caught.value) == (
        f"{tmp_path / 'table.parquet'}: not readable as Parquet: "
        f"Column 0: In chunk 0: Invalid: Invalid UTF8 sequence at string index {len(values) - 1}"
    )


def test_a_column_name_that_is_damaged_in_the_footer_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    write_table(TEN, path)
    path.write_bytes(path.read_bytes().replace(b"length", b"l\xe9ngth"))

    with pytest.raises(Problem) as caught:
        read_table(path)

    assert str(caught.value) == (
        f"{path}: not readable as Parquet: "
        "'utf-8' codec can't decode byte 0xe9 in position 1: invalid continuation byte"
    )


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        (pa.array([1.0, float("nan"), None]), pa.array([1.0, None, None])),
        (pa.array([1.0, float("nan"), None], pa.float32()), pa.array([1.0, None, None], pa.float32())),
        (pa.array([1.5, float("nan"), None], pa.float16()), pa.array([1.5, None, None])),
        (pa.array([decimal.Decimal("1.50"), None]), pa.array([1.5, None])),
        (pa.array([decimal.Decimal("1.50"), None], pa.decimal256(40, 2)), pa.array([1.5, None])),
        (pa.array(["a", None], pa.large_string()), pa.array(["a", None])),
        (pa.array(["a", None], pa.string_view()), pa.array(["a", None])),
        (pa.array(["a", None, "a"]).dictionary_encode(), pa.array(["a", None, "a"])),
        (pa.array(["a", None], pa.large_string()).dictionary_encode(), pa.array(["a", None])),
        (pa.array([1.0, float("nan")]).dictionary_encode(), pa.array([1.0, None])),
        (pa.array([decimal.Decimal("1.5")]).dictionary_encode(), pa.array([1.5])),
        (pa.array([3, 4], pa.int8()), pa.array([3, 4], pa.int8())),
        (pa.array([True, None]), pa.array([True, None])),
    ],
    ids=lambda values: str(values.type),
)
def test_equivalent_types_become_the_same(spelled: pa.Array, plain: pa.Array) -> None:
    assert normalise(pa.table({"a": spelled})).equals(pa.table({"a": plain}))


@pytest.mark.parametrize(
    ("column_type", "kind"),
    [
        *((kind, "number") for kind in (pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64())),
        (pa.bool_(), "boolean"),
        (pa.string(), "text"),
        *((kind, None) for kind in (pa.binary(), pa.date32(), pa.timestamp("s"), pa.list_(pa.int8()), pa.null())),
    ],
    ids=str,
)
def test_the_kind_of_each_type(column_type: pa.DataType, kind: str | None) -> None:
    assert kind_of(column_type) == kind


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        ([None, None], "every value is missing"),
        ([float("inf"), None, -float("inf")], "expected finite numbers, found 2 infinite"),
        ([b"\xe9"], "expected numbers, text or booleans, found binary (text that is not in UTF-8 is read as such)"),
        ([[1]], "expected numbers, text or booleans, found list<item: int64>"),
        ([{"x": 1}], "expected numbers, text or booleans, found struct<x: int64>"),
        ([dt.date(2007, 1, 1)], "expected numbers, text or booleans, found date32[day]"),
    ],
    ids=["missing", "infinite", "binary", "list", "struct", "date"],
)
def test_an_unusable_column_is_named_with_the_remedy(values: list[object], complaint: str) -> None:
    column = pa.chunked_array([pa.array(values)])

    assert list(problems_of_column("a", column, "drop it")) == [f"column 'a': {complaint}; drop it"]


@pytest.mark.parametrize("name", TEN.column_names)
def test_a_column_with_some_missing_values_is_usable(name: str) -> None:
    assert not list(problems_of_column(name, TEN[name], "drop it"))


def test_a_frame_has_doubles_and_objects_and_nan_for_missing_values() -> None:
    frame = to_frame(TEN.slice(1, 2))

    pd.testing.assert_frame_equal(
        frame,
        pd.DataFrame(
            {
                "length": [39.5, np.nan],
                "year": [2008.0, 2009.0],
                "island": pd.Series(["Dream", np.nan], dtype=object),
                "tagged": pd.Series([False, np.nan], dtype=object),
            }
        ),
    )


@pytest.mark.parametrize("number", [2**53 + 1, 2**60, -(2**53) - 1])
def test_an_integer_beyond_what_a_double_holds_becomes_the_nearest_one(number: int) -> None:
    assert to_frame(pa.table({"id": [number, None]}))["id"].tolist()[0] == float(number)


@given(tables(), st.data())
@settings(max_examples=30, deadline=None)
def test_a_frame_does_not_depend_on_chunks(table: pa.Table, data: st.DataObject) -> None:
    cut = data.draw(st.integers(0, len(table)))

    pd.testing.assert_frame_equal(to_frame(pa.concat_tables([table.slice(0, cut), table.slice(cut)])), to_frame(table))


@pytest.mark.parametrize(
    ("values", "dtype"), [([1, 0], "int64"), ([1.5, 0.0], "float64"), ([True, False], "bool"), (["b", "a"], "object")]
)
def test_a_target_keeps_the_type_of_its_values(values: list[object], dtype: str) -> None:
    target = to_target(pa.chunked_array([values[:1], values[1:]]))

    assert target.dtype == dtype
    assert target.tolist() == values


def test_features_and_target_share_the_columns_between_them() -> None:
    features, target = features_and_target(TEN, "year")

    assert list(features.columns) == ["length", "island", "tagged"]
    np.testing.assert_equal(target, TEN["year"].to_numpy())


def test_a_frame_of_many_columns_is_made_without_a_warning() -> None:
    assert to_frame(pa.table({f"x{number}": [1.0] for number in range(200)})).shape == (1, 200)
