"""New rows: each column reaches the model as training had it, from text as from typed files."""

from datetime import datetime, time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from manifests import document
from tables import make_data

from modeling.new_rows import as_feature, read_batches
from record.files import to_json
from record.manifest import parse_manifest
from record.notes import Feature
from record.problem import Problem

DAY = datetime(2024, 4, 3)  # noqa: DTZ001 - instants are in UTC


def feature(kind: object, name: str = "x") -> Feature:
    return Feature(name=name, dtype=str(kind), nullable=False)


@pytest.mark.parametrize(
    ("kinds", "texts", "values"),
    [
        ((pa.float32(), pa.int8(), pa.uint64()), ["1", None, "2.5"], [1.0, None, 2.5]),
        ((pa.float64(),), ["26:00:00", None, "1 days 02:00:00"], [93600.0, None, 93600.0]),
        ((pa.int8(), pa.bool_()), ["NA", None], [None, None]),
        ((pa.bool_(),), ["true", None, "FALSE"], [True, None, False]),
        ((pa.string(),), ["01", None, "x"], ["01", None, "x"]),
        ((pa.timestamp("us"),), ["2024-04-03", None, "3 April 2024"], [DAY, None, DAY]),
    ],
)
def test_the_text_of_a_csv_becomes_the_kind_of_its_feature(kinds: Any, texts: list[Any], values: list[Any]) -> None:
    found = [as_feature(pa.chunked_array([texts]), feature(kind), make_data()).to_pylist() for kind in kinds]

    assert found == [values] * len(kinds)


@pytest.mark.parametrize(
    ("values", "kind", "more", "expected"),
    [
        (["2024-04-03", "NA"], pa.timestamp("us"), {}, [DAY, None]),
        (["03/04/2024"], pa.timestamp("us"), {"date_order": "dmy"}, [DAY]),
        (["13:45", "NA"], pa.time64("us"), {}, [time(13, 45), None]),
        (["26:00:00"], pa.float64(), {}, [93600.0]),
        (["NA", "Adelie"], pa.string(), {}, [None, "Adelie"]),
        (["7"], pa.int64(), {"types": {"x": "number"}}, [7.0]),
        (["yes", "no"], pa.bool_(), {"types": {"x": "boolean"}}, [True, False]),
        ([1234], pa.string(), {"types": {"x": "category"}}, ["1234"]),
        ([1, 0], pa.bool_(), {"types": {"x": "boolean"}}, [True, False]),
        (pa.nulls(2), pa.timestamp("us"), {}, [None, None]),
    ],
)
def test_a_typed_file_is_read_as_in_training(values: Any, kind: object, more: Any, expected: list[Any]) -> None:
    column = as_feature(pa.chunked_array([values]), feature(kind), make_data(**more), is_typed=True)

    assert column.to_pylist() == expected


@pytest.mark.parametrize(
    ("values", "kind", "message"),
    [
        (["7"], pa.int64(), "expected int64, found the text '7' in row 11"),
        (["NA", "true"], pa.bool_(), "expected bool, found the text 'true' in row 12"),
        ([[1]], pa.int64(), "expected int64, found list<item: int64>; write it as it was in training"),
        ([1.5], pa.timestamp("us"), r"expected timestamp\[us\], found double; write it as it was in training"),
    ],
)
def test_a_kind_that_changed_is_refused(values: Any, kind: object, message: str) -> None:
    with pytest.raises(Problem, match=message):
        as_feature(pa.chunked_array([values]), feature(kind), make_data(), 10, is_typed=True)


def test_dates_of_a_csv_have_the_order_that_training_saw(tmp_path: Path) -> None:
    whole = document()
    whole["model"]["features"] = [feature(pa.timestamp("us")).model_dump()]
    whole["data"]["date_orders"] = {"x": "dmy"}
    (tmp_path / "in.csv").write_text("x\n03/04/2024\n")
    ((_, features),) = read_batches(tmp_path / "in.csv", parse_manifest(to_json(whole)))

    assert features["x"].to_pylist() == [DAY]


def test_a_column_that_occurs_twice_is_refused(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("x,x\n1,2\n")
    with pytest.raises(Problem, match="column 'x' occurs 2 times"):
        next(read_batches(tmp_path / "in.csv", parse_manifest(to_json(document()))))
