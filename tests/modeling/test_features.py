"""The preprocessing: each column is used by its kind, whatever is missing or new in the rows that are scored."""

import datetime as dt
import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tables import RIDGE, make_parameters

from modeling.features import COMPONENTS, build_preprocessing
from modeling.table import normalise, to_frame

MANY = [f"shop {row % 50}" for row in range(500)]
WORDS = [f"a small {('red', 'blue', 'green')[row % 3]} bird number {row}" for row in range(500)]


def preprocess(train: dict[str, Any], rows: dict[str, Any], target: Any = None) -> list[list[float]]:
    """What the estimator sees of some rows after the preprocessing has seen the training part."""
    learned = normalise(pa.table(train))
    parameters = make_parameters(RIDGE, task="regression")
    fitted = build_preprocessing(learned, parameters).fit(to_frame(learned), target)
    asked = pa.table(rows, schema=pa.schema([(name, learned[name].type) for name in rows]))
    found: list[list[float]] = fitted.transform(to_frame(asked)).tolist()
    return found


def test_numbers_get_the_median_for_missing_ones_then_mean_0_and_variance_1() -> None:
    found = preprocess({"x": [0.0, 2.0, None, 10.0], "n": [1, 1, 3, 3]}, {"x": [0.0, None, 7.0], "n": [1, 3, None]})
    mean, deviation = 3.5, math.sqrt(14.75)  # of 0, 2, 2, 10

    assert found == [pytest.approx([(x - mean) / deviation, n]) for x, n in ((0, -1), (2, 1), (7, 0))]


def test_categories_and_booleans_get_a_column_for_each_value_and_for_missing_ones() -> None:
    train = {"t": ["a", "b", None, "b"], "flag": [True, None, False, True]}

    assert preprocess(train, {"t": ["a", "b", None], "flag": [False, True, None]}) == [
        [1, 0, 0, 1, 0, 0],
        [0, 1, 0, 0, 1, 0],
        [0, 0, 1, 0, 0, 1],
    ]


def test_a_value_that_training_never_saw_is_all_zeros() -> None:
    assert (
        preprocess({"t": ["a", "b"], "flag": [True, True]}, {"t": ["c", None], "flag": [False, None]}) == [[0] * 3] * 2
    )


def test_a_category_of_many_values_is_one_number_the_mean_of_its_target() -> None:
    target = np.asarray([float(row % 50) for row in range(500)])
    found = preprocess({"t": MANY}, {"t": ["shop 3", "shop 40", "never seen", None]}, target)

    assert [len(row) for row in found] == [1] * 4
    assert [row[0] for row in found] == pytest.approx([3, 40, 24.5, 24.5], abs=1)


def test_a_date_is_its_calendar_and_a_missing_one_can_be_scored() -> None:
    days = [dt.date(2024, 1, 1) + dt.timedelta(days=row) for row in range(366)]
    january, december, june, missing = preprocess(
        {"when": days}, {"when": pa.array([days[0], days[-1], days[180], None]).cast(pa.timestamp("us"))}
    )

    assert np.linalg.norm(np.subtract(january[2:], december[2:])) < np.linalg.norm(np.subtract(january[2:], june[2:]))
    assert np.isfinite(missing).all()


def test_times_of_day_meet_at_midnight() -> None:
    times = pa.array([dt.time(hour) for hour in range(24)]).cast(pa.time64("us"))
    asked = pa.array([dt.time(0), dt.time(23, 59), dt.time(12), None]).cast(pa.time64("us"))
    midnight, before, noon, missing = preprocess({"at": times}, {"at": asked})

    assert midnight == pytest.approx(before, abs=0.01)
    assert np.linalg.norm(np.subtract(midnight, noon)) > 0.5
    assert missing == [0] * len(noon)


def test_free_text_becomes_few_numbers_and_texts_that_share_words_are_near() -> None:
    one, alike, other, missing = preprocess(
        {"note": WORDS}, {"note": ["a small red bird", "small red birds", "7", None]}
    )

    assert len(one) == COMPONENTS
    assert np.linalg.norm(np.subtract(one, alike)) < np.linalg.norm(np.subtract(one, other))
    assert missing == [0] * COMPONENTS


@pytest.mark.parametrize("kind", [pa.float64(), pa.string(), pa.bool_(), pa.timestamp("us"), pa.time64("us")], ids=str)
def test_a_column_that_was_empty_in_training_can_be_scored(kind: pa.DataType) -> None:
    rows = {"x": [1.0, 3.0], "empty": pa.nulls(2, kind)}
    found = preprocess(rows, rows)

    assert np.isfinite(found).all()
