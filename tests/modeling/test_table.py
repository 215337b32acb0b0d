"""The table: how it is read, normalised, kept, and handed to scikit-learn."""

import decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.feather
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tables import make_data

from modeling.reading import read_raw
from modeling.table import kind_of, kinds_of, normalise, read_table, stored_batches, to_frame, to_target, write_table
from record.problem import Problem

NAN = float("nan")
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
    columns = [pa.array(draw(st.lists(st.none() | VALUES[t], min_size=rows, max_size=rows)), t) for t in types]
    return pa.table(columns, [f"column {number}" for number in range(len(columns))])


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("tables") / "table.parquet"


def kept(table: pa.Table, path: Path) -> bytes:
    """The bytes of a table on disk."""
    write_table(table, path)
    return path.read_bytes()


@given(tables(), st.data())
@settings(max_examples=50, deadline=None)
def test_reading_gives_back_what_was_written_and_bytes_and_frame_depend_only_on_the_rows(
    path: Path, table: pa.Table, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(table)))
    other = pa.concat_tables([table.slice(0, cut), table.slice(cut)]).replace_schema_metadata({"pandas": "{}"})

    assert kept(other, path) == kept(table, path)
    assert read_table(path).equals(table)
    pd.testing.assert_frame_equal(to_frame(other), to_frame(table))


@pytest.mark.parametrize("ending", [".parquet", ".feather"])
def test_the_rows_of_a_file_come_in_batches_of_one_size_however_it_was_written(tmp_path: Path, ending: str) -> None:
    """Small ones would each have their price, and the last digits of a prediction depend on the rows of its batch."""
    path, table = tmp_path / f"t{ending}", pa.table({"row": range(1000), "tag": [f"tag {row}" for row in range(1000)]})
    if ending == ".feather":
        pyarrow.feather.write_feather(table, path, chunksize=7)
    else:
        pq.write_table(table, path, row_group_size=7)
    found = [*stored_batches(path, 300)]

    assert [len(rows) for rows in found] == [300, 300, 300, 100]
    assert pa.concat_tables(found).equals(table)
    assert [rows.column_names for rows in stored_batches(path, 300, ["tag"])] == [["tag"]] * 4


def test_a_large_table_has_row_groups_whose_bytes_do_not_depend_on_how_it_was_read(path: Path) -> None:
    """Pages of text end where chunks end, once a table is large enough to have several."""
    table = pa.table({"tag": [f"tag {row}" for row in range(300_000)]})
    pieces = pa.concat_tables([table.slice(start, 1013) for start in range(0, len(table), 1013)])

    assert kept(pieces, path) == kept(table, path)
    assert pq.read_metadata(path).num_row_groups == 3
    assert read_table(path).equals(table)


@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_flipped_byte_in_the_pages_never_gives_other_rows(path: Path, data: st.DataObject) -> None:
    content = bytearray(kept(TEN, path))
    column = pq.read_metadata(path).row_group(0).column(data.draw(st.integers(0, 3), "column"))
    start = column.dictionary_page_offset if column.has_dictionary_page else column.data_page_offset
    flip = data.draw(st.integers(1, 255), "flip")
    content[start + data.draw(st.integers(0, column.total_compressed_size - 1), "byte")] ^= flip
    path.write_bytes(content)

    try:
        found = read_table(path)
    except Problem:
        return

    assert found.equals(TEN)


@pytest.mark.parametrize(
    "text",
    [
        'a,b,c,d\n1,1.5,"x, y",true\n,,,\nNA,NA,NA,NA\nnull,null,null,null\n',
        '\ufeffa,b,c,d\r\n1,1.5,"x, y",true\r\n,,,\r\nNA,NA,NA,NA\r\nnull,null,null,null\r\n',
        'a,b,c,d\n"1","1.5","x, y","true"\n,,,\n"NA","NA","NA","NA"\n"null","null","null","null"',
    ],
    ids=["plain", "windows", "quoted"],
)
def test_a_csv_has_numbers_texts_and_booleans_and_empty_na_and_null_are_missing(tmp_path: Path, text: str) -> None:
    (tmp_path / "table.csv").write_bytes(text.encode())
    table = read_raw(tmp_path / "table.csv", make_data()).table

    assert table.schema.types == [pa.int64(), pa.float64(), pa.string(), pa.bool_()]
    assert list(table.to_pydict().values()) == [[value, None, None, None] for value in (1, 1.5, "x, y", True)]


def test_a_missing_file_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(
        Problem, match=r"t\.parquet: not found; dvc pull brings .*, dvc repro makes what a stage makes$"
    ):
        read_table(tmp_path / "t.parquet")


EPOCH, MINUTE = pa.array([0], pa.timestamp("us")), pa.array([60_000_000], pa.time64("us"))
FLOAT, TEXT = pa.array([1.5, None]), pa.array(["a", None])


@pytest.mark.parametrize(
    ("spelled", "plain"),
    [
        *((pa.array([1.5, NAN], kind), FLOAT) for kind in (pa.float64(), pa.float16())),
        (pa.array([1.5, NAN], pa.float32()), FLOAT.cast(pa.float32())),
        *((pa.array([decimal.Decimal("1.50"), None], kind), FLOAT) for kind in (None, pa.decimal256(40, 2))),
        *((TEXT.cast(kind), TEXT) for kind in (pa.large_string(), pa.string_view())),
        *((TEXT.cast(kind).dictionary_encode(), TEXT) for kind in (pa.string(), pa.large_string())),
        (pa.array([1.5, NAN]).dictionary_encode(), FLOAT),
        (pa.array([decimal.Decimal("1.5"), None]).dictionary_encode(), FLOAT),
        *((pa.array([0], kind), EPOCH) for kind in (pa.date32(), pa.date64(), pa.timestamp("s"), pa.timestamp("ns"))),
        (pa.array([0], pa.timestamp("ms", "Asia/Tokyo")), EPOCH),
        *((pa.array([60], pa.time32("s")).cast(kind), MINUTE) for kind in (pa.time32("ms"), pa.time64("ns"))),
        *((pa.array([1500], pa.duration("ms")).cast(pa.duration(unit)), FLOAT[:1]) for unit in ("ms", "us", "ns")),
        *((same, same) for same in (pa.array([3, 4], pa.int8()), pa.array([True, None]))),
    ],
    ids=lambda values: str(values.type),
)
def test_equivalent_types_become_the_same(spelled: pa.Array, plain: pa.Array) -> None:
    assert normalise(pa.table({"a": spelled})).equals(pa.table({"a": plain}))


@pytest.mark.parametrize(
    ("column_type", "kind"),
    [
        *((kind, "number") for kind in (pa.int8(), pa.int64(), pa.uint64(), pa.float32(), pa.float64())),
        *((pa.bool_(), "boolean"), (pa.string(), "category")),
        *((pa.timestamp("us"), "date"), (pa.time64("us"), "time")),
        *((kind, None) for kind in (pa.binary(), pa.date32(), pa.timestamp("s"), pa.list_(pa.int8()), pa.null())),
    ],
    ids=str,
)
def test_the_kind_of_each_type(column_type: pa.DataType, kind: str | None) -> None:
    assert kind_of(column_type) == kind


def test_a_frame_has_doubles_and_objects_and_nan_for_missing_values() -> None:
    expected = {
        "length": [39.5, np.nan],
        "year": [2008.0, 2009.0],
        "island": pd.Series(["Dream", np.nan], dtype=object),
        "tagged": pd.Series([False, np.nan], dtype=object),
        "when": pd.Series([pd.Timestamp(0), pd.NaT]).astype("datetime64[us]"),
        "at": [60.5, np.nan],
    }
    when, at = pa.array([0, None], pa.timestamp("us")), pa.array([60_500_000, None], pa.time64("us"))
    rows = TEN.slice(1, 2).append_column("when", when).append_column("at", at)

    pd.testing.assert_frame_equal(to_frame(rows), pd.DataFrame(expected))


@pytest.mark.parametrize(
    ("words", "types", "kind"),
    [
        ("red {}", {}, "category"),
        ("a small bird {}", {}, "text"),
        ("a small bird", {}, "category"),
        ("a small bird {}", {"x": "category"}, "category"),
        ("red", {"x": "text"}, "text"),
    ],
)
def test_text_of_many_values_of_several_words_is_free_text(words: str, types: dict[str, str], kind: str) -> None:
    table = pa.table({"x": [words.format(row) for row in range(60)], "n": range(60)})

    assert kinds_of(table, make_data(types=types)) == {"x": kind, "n": "number"}


@pytest.mark.parametrize(
    ("values", "dtype"), [([1, 0], "int64"), ([1.5, 0.0], "float64"), ([True, False], "bool"), (["b", "a"], "object")]
)
def test_a_target_keeps_the_type_of_its_values(values: list[object], dtype: str) -> None:
    target = to_target(pa.chunked_array([values[:1], values[1:]]))

    assert (target.dtype, target.tolist()) == (dtype, values)


def test_a_frame_of_many_columns_is_made_without_a_warning() -> None:
    assert to_frame(pa.table({f"x{number}": [1.0] for number in range(200)})).shape == (1, 200)
