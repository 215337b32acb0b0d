import math
from typing import Any

import pyarrow as pa
import pytest

from modeling.features import build_preprocessing
from modeling.table import to_frame


def preprocess(train: pa.Table, rows: pa.Table) -> list[list[float]]:
    """What the estimator sees of some rows after the preprocessing has seen the training part."""
    preprocessing = build_preprocessing(train.schema, "target").fit(to_frame(train.drop(["target"])))
    return preprocessing.transform(to_frame(rows)).tolist()


def test_numbers_get_the_median_for_missing_ones_then_mean_0_and_variance_1() -> None:
    train = pa.table({"x": [0.0, 2.0, None, 10.0], "n": [1, 1, 3, 3], "target": ["a", "b", "a", "b"]})
    rows = pa.table({"x": [0.0, None, 7.0], "n": [1, 3, None]})
    mean, deviation = 3.5, math.sqrt(14.75)  # of 0, 2, 2, 10

    assert preprocess(train, rows) == [
        pytest.approx([(0 - mean) / deviation, -1]),
        pytest.approx([(2 - mean) / deviation, 1]),
        pytest.approx([(7 - mean) / deviation, 0]),
    ]


def test_text_and_booleans_get_the_most_frequent_for_missing_ones_then_one_column_for_each_value() -> None:
    train = pa.table(
        {"t": ["a", "b", None, "b"], "target": [0, 1, 0, 1], "flag": [True, None, False, True]},
    )
    rows = pa.table({"t": ["a", "b", None], "flag": [False, True, None]})

    assert preprocess(train, rows) == [[1, 0, 1, 0], [0, 1, 0, 1], [0, 1, 0, 1]]


def test_a_value_that_training_never_saw_is_all_zeros() -> None:
    train = pa.table({"t": ["a", "b"], "flag": [True, True], "target": [0, 1]})
    rows = pa.table({"t": ["c"], "flag": [False]})

    assert preprocess(train, rows) == [[0, 0, 0]]


@pytest.mark.parametrize(("kind", "value"), [(pa.float64(), 1.5), (pa.string(), "a"), (pa.bool_(), True)])
def test_a_column_that_was_empty_in_training_keeps_its_place_and_can_be_scored(kind: pa.DataType, value: Any) -> None:
    train = pa.table({"empty": pa.nulls(2, kind), "x": [1.0, 3.0], "target": [0, 1]})
    rows = pa.table({"empty": [value, None], "x": [1.0, 3.0]})

    assert [len(row) for row in preprocess(train, rows)] == [2, 2]
