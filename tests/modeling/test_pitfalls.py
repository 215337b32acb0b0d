"""What makes a score a lie is said, with names and counts; an honest table gets no warning."""

import random

import pyarrow as pa
import pytest

from modeling.pitfalls import warnings_of
from modeling.reading import DEFAULTS
from record.parameters import Data

ROWS = 200
CHANCE = random.Random(1)  # noqa: S311 - not a secret
CLASSES = [CHANCE.choice(["yes", "no"]) for _ in range(ROWS)]
MASS = [CHANCE.uniform(0, 9) for _ in range(ROWS)]
SAID = {
    "leak": ("determines the target 'y' in all 200 rows", [{"yes": 1, "no": 2}[value] for value in CLASSES]),
    "name": ("every value is different; if it is an identifier, add it to data.drop", [f"n{k}" for k in range(ROWS)]),
    "row": ("counts the rows", list(range(1, ROWS + 1))),
    "colour": ("nearly equal values 'Red ' (1 rows), 'red' (100 rows)", ["Red ", *["red", "blue"] * 99, "red"][:ROWS]),
}


def data(task: str = "classification") -> Data:
    return Data.model_validate(DEFAULTS | {"path": "t.csv", "target": "y", "task": task, "drop": []})


def said(table: pa.Table, settings: Data, raw: pa.Table | None = None) -> list[str]:
    return warnings_of(raw or table, table.slice(0, 150), table.slice(150), settings)


def honest() -> dict[str, list]:
    return {"mass": MASS, "island": [CHANCE.choice("abc") for _ in range(ROWS)], "y": CLASSES}


def test_an_honest_table_gets_no_warning() -> None:
    assert said(pa.table(honest()), data()) == []


@pytest.mark.parametrize("name", SAID)
def test_a_column_that_makes_the_score_a_lie_is_named(name: str) -> None:
    words, values = SAID[name]
    (line,) = said(pa.table({name: values, **honest()}), data())

    assert line.startswith(f"column '{name}': {words}")


def test_a_straight_line_of_the_target_is_named_for_a_regression() -> None:
    table = pa.table({"pounds": [2.2 * value + 1 for value in MASS], "other": MASS[::-1], "y": MASS})
    (line,) = said(table, data("regression"))

    assert line.startswith("column 'pounds': determines the target 'y'")


def test_classes_that_differ_in_blanks_or_case_are_shown_with_their_counts() -> None:
    table = pa.table({"mass": MASS, "y": ["yes", "yes ", "YES", "no"] * 50})

    assert said(table, data()) == [
        "target 'y': nearly equal values 'YES' (50 rows), 'yes' (50 rows), 'yes ' (50 rows); are they one?"
    ]


@pytest.mark.parametrize("name", ["", "Unnamed: 0", "__index_level_0__"])
def test_the_index_of_a_frame_is_left_out_and_named(name: str) -> None:
    table = pa.table(honest())
    lines = said(table, data(), raw=pa.table({name: list(range(ROWS)), **honest()}))

    assert lines == [f"column '{name}': is the index of a pandas frame, so it is left out"]


def test_test_rows_that_are_training_rows_are_counted() -> None:
    half = pa.table(honest()).slice(0, 100)
    lines = said(pa.concat_tables([half, half]), data())

    assert lines == ["50 of 50 test rows occur among the training rows too; if rows repeat, keep each once"]
