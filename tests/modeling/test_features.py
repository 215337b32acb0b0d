import math
from typing import Any

import pyarrow as pa
import pytest

from modeling.features import build_preprocessing
from modeling.table import to_frame


def preprocess(train: dict[str, Any], rows: dict[str, Any]) -> list[list[float]]:
    """What the estimator sees of some rows after the preprocessing has seen the training part."""
    schema = pa.table(train | {"target": next(iter(train.values()))}).schema
    return (
        build_preprocessing(schema, "target")
        .fit(to_frame(pa.table(train)))
        .transform(to_frame(pa.table(rows)))
        .tolist()
    )


def test_numbers_get_the_median_for_missing_ones_then_mean_0_and_variance_1() -> None:
    found = preprocess({"x": [0.0, 2.0, None, 10.0], "n": [1, 1, 3, 3]}, {"x": [0.0, None, 7.0], "n": [1, 3, None]})
    mean, deviation = 3.5, math.sqrt(14.75)  # of 0, 2, 2, 10

    assert found == [pytest.approx([(x - mean) / deviation, n]) for x, n in ((0, -1), (2, 1), (7, 0))]


def test_text_and_booleans_get_the_most_frequent_for_missing_ones_then_one_column_for_each_value() -> None:
    train = {"t": ["a", "b", None, "b"], "flag": [True, None, False, True]}

    assert preprocess(train, {"t": ["a", "b", None], "flag": [False, True, None]}) == [
        [1, 0, 1, 0],
        [0, 1, 0, 1],
        [0, 1, 0, 1],
    ]


def test_a_value_that_training_never_saw_is_all_zeros() -> None:
    assert preprocess({"t": ["a", "b"], "flag": [True, True]}, {"t": ["c"], "flag": [False]}) == [[0, 0, 0]]


@pytest.mark.parametrize(("kind", "value"), [(pa.float64(), 1.5), (pa.string(), "a"), (pa.bool_(), True)])
def test_a_column_that_was_empty_in_training_keeps_its_place_and_can_be_scored(kind: pa.DataType, value: Any) -> None:
    found = preprocess({"x": [1.0, 3.0], "empty": pa.nulls(2, kind)}, {"x": [1.0, 3.0], "empty": [value, None]})

    assert [len(row) for row in found] == [2, 2]
