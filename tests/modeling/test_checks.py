import datetime as dt
import decimal
from typing import Any

import pyarrow as pa
import pytest
from tables import make_data

from modeling.checks import check_table, count_rows, profile_columns, with_target
from modeling.table import normalise
from record.parameters import Data
from record.problem import Problem

TEN = {"length": [39.0, 36.75] * 5, "island": ["Biscoe", "Dream"] * 5, "sex": ["f", "f", "m", "m", "f"] * 2}
INFINITE = [float("inf"), *range(9)]
DAYS = [dt.date(2007, 11, 11)] * 10


def data(**changes: Any) -> Data:
    return make_data(**{"target": "sex"} | changes)


def table(**columns: Any) -> pa.Table:
    """Ten rows with some columns changed or added."""
    return normalise(pa.table(TEN | columns))


def refusal(rows: pa.Table, **changes: Any) -> list[str]:
    with pytest.raises(Problem) as caught:
        check_table(rows, data(**changes))
    return list(caught.value.lines)


@pytest.mark.parametrize(("target", "task"), [("sex", "classification"), ("length", "regression")])
def test_a_usable_table_is_accepted(target: str, task: str) -> None:
    check_table(table(), data(target=target, task=task))


def test_a_table_without_rows_or_features_is_refused() -> None:
    nothing_left = "table.csv: no feature is left beside the target 'sex'; shorten data.drop"

    assert refusal(table().slice(0, 0)) == ["table.csv: expected rows, found only column names"]
    assert refusal(table(), drop=["length", "island"]) == [nothing_left]


def test_unknown_columns_are_refused_with_the_nearest_name() -> None:
    assert refusal(table(), target="sexe", drop=["iland", " ISLAND", "zz"]) == [
        "params.yaml: data.target: 'sexe' is not a column of table.csv; did you mean 'sex'?",
        "params.yaml: data.drop: 'iland' is not a column of table.csv; did you mean 'island'?",
        "params.yaml: data.drop: ' ISLAND' is not a column of table.csv; did you mean 'island'?",
        "params.yaml: data.drop: 'zz' is not a column of table.csv; known: island, length, sex",
    ]


@pytest.mark.parametrize(
    ("values", "complaint"),
    [
        *((empty, "every value is missing") for empty in (pa.nulls(10, pa.string()), [float("nan")] * 10)),
        (INFINITE, "expected finite numbers, found 1 infinite"),
        (DAYS, "expected numbers, text or booleans, found date32[day]"),
    ],
)
def test_an_unusable_feature_is_refused_unless_it_is_dropped(values: Any, complaint: str) -> None:
    rows = table(extra=values)

    assert refusal(rows) == [f"column 'extra': {complaint}; correct it or add it to data.drop"]
    check_table(rows, data(drop=["extra"]))


FEW = "target 'sex': {} classes have only one row, such as 'x'; remove such rows or correct them"
CLASSES = "target 'sex': expected classes for a classification, found fractions; check data.task"
NUMBERS = "target 'sex': expected numbers for a regression, found {}; check data.task"
COLUMN = "column 'sex': {}; correct it or choose another data.target"


@pytest.mark.parametrize(
    ("task", "values", "complaint"),
    [
        ("classification", ["f"] * 9 + [None], "target 'sex': expected at least two classes, found only 'f'"),
        ("classification", ["f"] * 4 + ["m"] * 5 + ["x"], FEW.format("1 of 3")),
        ("classification", ["f"] * 4 + ["m"] * 4 + ["x", "y"], FEW.format("2 of 4")),
        ("classification", [0.5, 1.0] * 5, CLASSES),
        ("classification", pa.nulls(10), COLUMN.format("every value is missing")),
        ("regression", ["f", "m"] * 5, NUMBERS.format("string")),
        ("regression", [True, False] * 5, NUMBERS.format("bool")),
        ("regression", [4] * 10, "target 'sex': every value is 4, so there is nothing to learn"),
        ("regression", INFINITE, COLUMN.format("expected finite numbers, found 1 infinite")),
    ],
)
def test_a_target_that_cannot_be_learned_is_refused(task: str, values: Any, complaint: str) -> None:
    assert refusal(table(sex=values), task=task) == [complaint]


def test_numbers_that_look_like_a_regression_are_no_classes() -> None:
    rows = pa.table({"length": range(21), "sex": range(21)})

    assert refusal(rows) == ["target 'sex': 21 different numbers in 21 rows look like a regression; check data.task"]


def test_all_unusable_columns_are_named_at_once_also_those_missing_wherever_the_target_is_known() -> None:
    empty = "column 'length': every value is missing; correct it or add it to data.drop"

    assert refusal(table(length=pa.nulls(10), island=INFINITE, sex=["f"] * 10)) == [
        "target 'sex': expected at least two classes, found only 'f'",
        empty,
        "column 'island': expected finite numbers, found 1 infinite; correct it or add it to data.drop",
    ]
    assert refusal(table(length=[None] * 8 + [1.0, 2.0], sex=["f", "m"] * 4 + [None, None])) == [empty]


def test_rows_without_a_target_are_dropped_and_counted() -> None:
    rows = table(sex=[None, *["f", "m"] * 4, None])
    kept = with_target(rows, data())
    counted = count_rows(rows, kept.slice(0, 6), kept.slice(6), data())

    assert kept.equals(rows.slice(1, 8))
    assert counted.model_dump() == {"read": 10, "dropped": {"sex is missing": 2}, "train": 6, "test": 2}


def test_the_profile_describes_every_column() -> None:
    values = {"when": DAYS, "mass": [decimal.Decimal("3.5"), None] * 5, "sex": [None, *["f", "m"] * 4, "f"]}
    profile = profile_columns(table(length=[float("nan"), None, *range(8)], **values), data(drop=["when"]))

    assert {name: tuple(column.model_dump().values()) for name, column in profile.items()} == {
        "length": ("double", "feature", 2, 8),
        "island": ("string", "feature", 0, 2),
        "sex": ("string", "target", 1, 2),
        "when": ("date32[day]", "dropped", 0, None),
        "mass": ("double", "feature", 5, 1),
    }
