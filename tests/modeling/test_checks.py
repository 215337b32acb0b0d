import datetime as dt
import decimal
from typing import Any

import pyarrow as pa
import pytest

from modeling.checks import check_table, count_rows, profile_columns, with_target
from modeling.table import normalise
from record.parameters import Data
from record.problem import Problem

TEN = pa.table(
    {
        "length": [39.0, 39.5, 40.25, 36.75, 39.25, 38.5, 38.75, 34.0, 42.5, 37.75],
        "island": ["Biscoe", "Dream"] * 5,
        "sex": ["female", "female", "male", "male", "female", "male", "female", "male", "male", "female"],
    }
)


def data(**changes: Any) -> Data:
    return Data(**{"path": "table.csv", "target": "sex", "task": "classification", "drop": []} | changes)


def table(**columns: Any) -> pa.Table:
    """The ten rows with some columns changed or added."""
    return normalise(pa.table(dict(zip(TEN.column_names, TEN.columns, strict=True)) | columns))


def refusal(rows: pa.Table, **changes: Any) -> list[str]:
    with pytest.raises(Problem) as caught:
        check_table(rows, data(**changes))
    return list(caught.value.lines)


@pytest.mark.parametrize(("target", "task"), [("sex", "classification"), ("length", "regression")])
def test_a_usable_table_is_accepted(target: str, task: str) -> None:
    check_table(TEN, data(target=target, task=task))


def test_a_table_without_rows_is_refused() -> None:
    assert refusal(TEN.slice(0, 0)) == ["table.csv: expected rows, found only column names"]


def test_unknown_columns_are_refused_with_the_nearest_name() -> None:
    assert refusal(TEN, target="sexe", drop=["iland", "iland", " ISLAND", "zz"]) == [
        "params.yaml: data.target: 'sexe' is not a column of table.csv; did you mean 'sex'?",
        "params.yaml: data.drop: 'iland' is not a column of table.csv; did you mean 'island'?",
        "params.yaml: data.drop: ' ISLAND' is not a column of table.csv; did you mean 'island'?",
        "params.yaml: data.drop: 'zz' is not a column of table.csv; known: island, length, sex",
    ]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        (pa.nulls(10), "every value is missing"),
        (pa.nulls(10, pa.string()), "every value is missing"),
        ([float("nan")] * 10, "every value is missing"),
        ([float("inf"), -float("inf"), None, *range(7)], "expected finite numbers, found 2 infinite"),
        ([dt.date(2007, 11, 11)] * 10, "expected numbers, text or booleans, found date32[day]"),
    ],
    ids=["null", "missing", "nan", "infinite", "date"],
)
def test_an_unusable_feature_is_refused_unless_it_is_dropped(values: Any, complaint: str) -> None:
    rows = table(extra=values)

    assert refusal(rows) == [f"column 'extra': {complaint}; correct it or add it to data.drop"]
    check_table(rows, data(drop=["extra"]))


def test_a_feature_that_is_missing_wherever_the_target_is_known_is_refused() -> None:
    rows = table(length=[None] * 8 + [1.0, 2.0], sex=["f", "m"] * 4 + [None, None])

    assert refusal(rows) == ["column 'length': every value is missing; correct it or add it to data.drop"]


def test_a_table_without_features_is_refused() -> None:
    lines = ["table.csv: no feature is left beside the target 'sex'; shorten data.drop"]

    assert refusal(TEN, drop=["length", "island"]) == lines


FEW = "target 'sex': {} classes have only one row, such as 'x'; remove such rows or correct them"
NUMBERS = "target 'sex': expected numbers for a regression, found {}; check data.task"
OTHERWISE = "correct it or choose another data.target"


@pytest.mark.parametrize(
    ("task", "values", "complaint"),
    [
        ("classification", ["f"] * 9 + [None], "target 'sex': expected at least two classes, found only 'f'"),
        ("classification", ["f"] * 4 + ["m"] * 5 + ["x"], FEW.format("1 of 3")),
        ("classification", ["f"] * 4 + ["m"] * 4 + ["x", "y"], FEW.format("2 of 4")),
        (
            "classification",
            [0.5, 1.0] * 5,
            "target 'sex': expected classes for a classification, found fractions; check data.task",
        ),
        ("regression", ["f", "m"] * 5, NUMBERS.format("string")),
        ("regression", [True, False] * 5, NUMBERS.format("bool")),
        ("classification", pa.nulls(10), f"column 'sex': every value is missing; {OTHERWISE}"),
        ("regression", pa.nulls(10), f"column 'sex': every value is missing; {OTHERWISE}"),
        (
            "regression",
            [float("inf"), *range(9)],
            f"column 'sex': expected finite numbers, found 1 infinite; {OTHERWISE}",
        ),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(task: str, values: Any, complaint: str) -> None:
    assert refusal(table(sex=values), task=task) == [complaint]


def test_all_unusable_columns_are_named_at_once() -> None:
    assert refusal(table(length=pa.nulls(10), island=[float("inf")] * 10, sex=["f"] * 10)) == [
        "target 'sex': expected at least two classes, found only 'f'",
        "column 'length': every value is missing; correct it or add it to data.drop",
        "column 'island': expected finite numbers, found 10 infinite; correct it or add it to data.drop",
    ]


def test_rows_without_a_target_are_dropped_and_counted() -> None:
    rows = table(sex=[None, *["f", "m"] * 4, None])
    kept = with_target(rows, data())
    counted = count_rows(rows, kept.slice(0, 6), kept.slice(6), data())

    assert kept.equals(rows.slice(1, 8))
    assert counted.model_dump() == {"read": 10, "dropped": {"sex is missing": 2}, "train": 6, "test": 2}
    assert count_rows(TEN, TEN.slice(0, 8), TEN.slice(8), data()).dropped == {}


def test_the_profile_describes_every_column() -> None:
    rows = table(
        length=[float("nan"), None, *range(8)],
        when=[dt.date(2007, 11, 11)] * 10,
        mass=[decimal.Decimal("3.5"), None] * 5,
        sex=[None, *["f", "m"] * 4, "f"],
    )
    profile = profile_columns(rows, data(drop=["when"]))

    assert {name: tuple(column.model_dump().values()) for name, column in profile.items()} == {
        "length": ("double", "feature", 2, 8),
        "island": ("string", "feature", 0, 2),
        "sex": ("string", "target", 1, 2),
        "when": ("date32[day]", "dropped", 0, None),
        "mass": ("double", "feature", 5, 1),
    }
