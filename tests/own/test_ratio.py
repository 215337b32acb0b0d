"""Your features on ten rows: one test for each transformer in src/own/features.py is enough to start with."""

import pandas as pd
import pytest
from sklearn.base import clone

from own.features import Ratio

NAN = float("nan")
ROWS = pd.DataFrame(
    {
        "mass": [10.0, 20.0, 30.0, 0.0, -8.0, NAN, 60.0, 70.0, 80.0, NAN],
        "length": [2.0, 5.0, 4.0, 3.0, 4.0, 6.0, NAN, 0.0, -8.0, NAN],
        "colour": ["red", "blue"] * 5,
    }
)
RATIO = [5.0, 4.0, 7.5, 0.0, -2.0, NAN, NAN, NAN, -10.0, NAN]


def test_a_ratio_is_one_more_column_missing_where_it_cannot_be_known() -> None:
    expected = ROWS.assign(mass_per_length=RATIO)

    pd.testing.assert_frame_equal(Ratio("mass", "length").fit_transform(ROWS.copy()), expected)


def test_a_row_gets_the_same_ratio_alone() -> None:
    ratio = clone(Ratio("mass", "length", name="ratio")).fit(ROWS)
    alone = [ratio.transform(ROWS.iloc[[row]])["ratio"].item() for row in range(10)]

    assert alone == pytest.approx(RATIO, nan_ok=True)


def test_a_column_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match="no column width; known: mass, length, colour"):
        Ratio("mass", "width").fit(ROWS)
