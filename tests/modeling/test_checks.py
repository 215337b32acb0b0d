import datetime as dt
import decimal
from typing import Any

import pyarrow as pa
import pytest
from tables import make_parameters

from modeling import checks
from modeling.checks import count_rows, profile_columns
from modeling.summary import survey, with_target
from modeling.table import normalise
from record.parameters import Parameters
from record.problem import Problem

TEN = {"length": [39.0, 36.75] * 5, "island": ["Biscoe", "Dream"] * 5, "sex": ["f", "f", "m", "m", "f"] * 2}
INFINITE = [float("inf"), *range(9)]
DAYS = [dt.date(2007, 11, 11)] * 10


def asked(task: str = "classification", target: str = "sex", **sections: Any) -> Parameters:
    return make_parameters({"class": "x.Y"}, target, task, **sections)


def dropping(*names: str) -> Parameters:
    return asked(data={"drop": [*names]})


def table(**columns: Any) -> pa.Table:
    """Ten rows with some columns changed or added."""
    return normalise(pa.table(TEN | columns))


def check_table(rows: pa.Table, parameters: Parameters) -> None:
    checks.check_table(survey([rows.slice(0, 3), rows.slice(3)], rows.schema, parameters), parameters)


def prepared_columns(rows: pa.Table, parameters: Parameters) -> list[str]:
    return checks.prepared_columns(survey([rows], rows.schema, parameters).columns, parameters)


def refusal(rows: pa.Table, parameters: Parameters | None = None) -> list[str]:
    with pytest.raises(Problem) as caught:
        check_table(rows, parameters or asked())
    return list(caught.value.lines)


@pytest.mark.parametrize(("target", "task"), [("sex", "classification"), ("length", "regression")])
def test_a_usable_table_is_accepted(target: str, task: str) -> None:
    check_table(table(), asked(task, target))


def test_a_table_without_rows_or_features_is_refused() -> None:
    nothing_left = "table.csv: no column that can be a feature is left beside the target 'sex'; shorten data.drop"

    assert refusal(table().slice(0, 0)) == ["table.csv: expected rows, found only column names"]
    assert refusal(table(), dropping("length", "island")) == [nothing_left]


def test_unknown_columns_are_refused_with_the_nearest_name() -> None:
    data = {"drop": ["iland", " ISLAND", "zz"], "types": {"Length": "number"}, "missing": {"*": ["-"], "lenth": ["-"]}}
    parameters = asked(
        target="sexe", data=data, prepare={"split": "group", "split_by": "isle"}, train={"slices": ["Sex"]}
    )

    assert refusal(table(), parameters) == [
        "params.yaml: data.target: 'sexe' is not a column of table.csv; did you mean 'sex'?",
        "params.yaml: data.drop: 'iland' is not a column of table.csv; did you mean 'island'?",
        "params.yaml: data.drop: ' ISLAND' is not a column of table.csv; did you mean 'island'?",
        "params.yaml: data.drop: 'zz' is not a column of table.csv; known: island, length, sex",
        "params.yaml: data.types: 'Length' is not a column of table.csv; did you mean 'length'?",
        "params.yaml: train.slices: 'Sex' is not a column of table.csv; did you mean 'sex'?",
        "params.yaml: data.missing: 'lenth' is not a column of table.csv; did you mean 'length'?",
        "params.yaml: prepare.split_by: 'isle' is not a column of table.csv; did you mean 'island'?",
    ]


def test_an_infinite_number_is_refused_unless_it_is_dropped() -> None:
    rows = table(extra=INFINITE)
    complaint = "expected finite numbers, found 1 infinite; correct it or add it to data.drop"

    assert refusal(rows) == [f"column 'extra': {complaint}"]
    check_table(rows, dropping("extra"))


def test_what_cannot_be_a_feature_is_left_out_instead_of_stopping_the_run() -> None:
    rows = table(lists=[[1]] * 10, binary=[b"x"] * 10, structs=[{"a": 1}] * 10, empty=pa.nulls(10, pa.string()))
    check_table(rows, asked())

    assert prepared_columns(rows, asked()) == ["length", "island", "sex"]


def test_the_columns_of_the_split_and_of_slices_are_prepared_and_the_target_is_last() -> None:
    parameters = asked(
        data={"drop": ["length"]}, prepare={"split": "time", "split_by": "when"}, train={"slices": ["length"]}
    )

    assert prepared_columns(table(when=DAYS), parameters) == ["length", "island", "when", "sex"]


@pytest.mark.parametrize(
    ("split", "values", "said"),
    [
        ("group", [None, *range(9)], "is missing in 1 rows; correct them"),
        ("time", ["a", "b"] * 5, "expected dates or numbers to order rows by, found string"),
        ("group", [[1]] * 10, "holds list<item: int64>; choose another column"),
    ],
)
def test_a_column_that_cannot_split_rows_is_refused(split: str, values: Any, said: str) -> None:
    (line,) = refusal(table(by=values), asked(prepare={"split": split, "split_by": "by"}))

    assert line.startswith("params.yaml: prepare.split_by: 'by'")
    assert said in line


FEW = (
    "target 'sex': expected several rows of each class, found {} classes with only one row, such as 'x'; "
    "remove or merge them"
)
WAYS = "check data.task, or add sex: category to data.types if they are classes"
CLASSES = f"target 'sex': expected classes for a classification, found fractions; {WAYS}"
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
    assert refusal(table(sex=values), asked(task)) == [complaint]


def test_numbers_that_look_like_a_regression_are_no_classes() -> None:
    rows = pa.table({"length": range(21), "sex": range(21)})

    assert refusal(rows) == ["target 'sex': 21 different numbers in 21 rows look like a regression; check data.task"]


def test_all_problems_are_named_at_once_also_those_of_rows_whose_target_is_known() -> None:
    infinite = "expected finite numbers, found 1 infinite; correct it or add it to data.drop"

    assert refusal(table(length=INFINITE, island=INFINITE, sex=["f"] * 10)) == [
        "target 'sex': expected at least two classes, found only 'f'",
        f"column 'length': {infinite}",
        f"column 'island': {infinite}",
    ]
    nothing = table(length=[None] * 8 + [1.0, 2.0], sex=["f", "m"] * 4 + [None, None]).drop(["island"])
    assert refusal(nothing) == [
        "table.csv: no column that can be a feature is left beside the target 'sex'; bring more columns"
    ]


def test_rows_without_a_target_are_dropped_and_counted() -> None:
    rows = table(sex=[None, *["f", "m"] * 4, None])
    kept = with_target(rows, asked().data)
    counted = count_rows(survey([rows], rows.schema, asked()), (6, 2), asked().data)

    assert kept.equals(rows.slice(1, 8))
    assert counted.model_dump() == {"read": 10, "dropped": {"sex is missing": 2}, "train": 6, "test": 2}


def test_the_profile_describes_every_column() -> None:
    values = {"when": DAYS, "mass": [decimal.Decimal("3.5"), None] * 5, "sex": [None, *["f", "m"] * 4, "f"]}
    rows = table(length=[float("nan"), None, *range(8)], **values)
    parameters = asked(data={"drop": ["mass"]}, prepare={"split": "time", "split_by": "when"})
    columns = survey([rows.slice(0, 7), rows.slice(7)], rows.schema, parameters).columns
    profile = profile_columns(columns, ["length", "island"], parameters, {"when": "dmy"})

    assert {name: tuple(column.model_dump().values()) for name, column in profile.items()} == {
        "length": ("double", "feature", 2, 8, None),
        "island": ("string", "feature", 0, 2, None),
        "sex": ("string", "target", 1, 2, None),
        "when": ("timestamp[us]", "split", 0, 1, "dmy"),
        "mass": ("double", "dropped", 5, 1, None),
    }
