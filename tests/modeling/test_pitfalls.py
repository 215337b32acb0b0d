"""What makes a score a lie is said, with names and counts; an honest table gets no warning."""

import random
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from tables import make_parameters

from modeling.checks import usable_features
from modeling.pitfalls import compared_columns, leaks, pitfalls_of
from modeling.sketches import Overlap, row_hashes
from modeling.summary import survey
from record.notes import Pitfall, refuse_named
from record.problem import Problem

ROWS = 200
CHANCE = random.Random(1)  # noqa: S311 - not a secret
CLASSES = [CHANCE.choice(["yes", "no"]) for _ in range(ROWS)]
MASS = [CHANCE.uniform(0, 9) for _ in range(ROWS)]
CODES = [{"yes": 1, "no": 2}[value] for value in CLASSES]
LEAK = "determines the target 'y', or nearly so (200 different rows); is it known beforehand?"
SAID = {  # by column: the warning's name, its words, and the values
    "copy": ("leak", LEAK, CODES),
    "nearly": ("leak", LEAK, [3 - CODES[0], *CODES[1:]]),
    "far_apart": (
        "leak",
        LEAK,
        [10 * code + x for code, x in zip(CODES, MASS, strict=True)],
    ),
    "tied": ("leak", LEAK, [round(10 * code + x) for code, x in zip(CODES, MASS, strict=True)]),
    "missing": ("leak", LEAK, [None if code == 1 else x for code, x in zip(CODES, MASS, strict=True)]),
    "names": (
        "identifier",
        "198 of 200 values are different; if it is an identifier",
        [f"n{k % 198}" for k in range(ROWS)],
    ),
    "name": ("identifier", "every value is different; if it is an identifier", [f"n{k}" for k in range(ROWS)]),
    "row": ("identifier", "counts the rows", list(range(1, ROWS + 1))),
    "colour": (
        "near_equal",
        "nearly equal values 'Red ' (1 row), 'red' (100 rows)",
        ["Red ", *["red", "blue"] * 99, "red"],
    ),
    "lists": ("unusable", "holds list<item: int64>, which no model here can learn from", [[1]] * ROWS),
    "nothing": ("unusable", "has no value in any row, so it is left out", [None] * ROWS),
    "": ("index", "is the index of a pandas frame, so it is left out", list(range(ROWS))),
    "Unnamed: 0": ("index", "is the index of a pandas frame, so it is left out", list(range(ROWS))),
    "__index_level_0__": ("index", "is the index of a pandas frame, so it is left out", list(range(ROWS))),
}


def found(table: pa.Table, target: str = "y", task: str = "classification", **data: Any) -> list[Pitfall]:
    parameters = make_parameters({"class": "x.Y"}, target, task, data=data)
    seen = survey([table.slice(0, 7), table.slice(7)], table.schema, parameters)
    features = usable_features(seen.columns, parameters)
    names = [name for name in features if seen.columns[name].kind_for(name, parameters.data) != "text"]
    overlap = None
    if compared := compared_columns(seen, features, target):
        overlap = Overlap()
        overlap.add(row_hashes(table.select(compared)), np.arange(len(table)) >= 150)
    return pitfalls_of(seen, features, table.select([*names, target]), overlap, parameters)


def honest() -> dict[str, list]:
    return {"mass": MASS, "island": [CHANCE.choice("abc") for _ in range(ROWS)], "y": CLASSES}


def test_an_honest_table_gets_no_warning() -> None:
    assert found(pa.table(honest())) == []


@pytest.mark.parametrize("name", SAID)
def test_a_column_that_misleads_is_named_unless_it_is_dropped(name: str) -> None:
    kind, words, values = SAID[name]
    table = pa.table({name: values, **honest()})
    (pitfall,) = found(table)

    assert (pitfall.name, pitfall.column) == (kind, name)
    assert pitfall.text.startswith(f"column '{name}': {words}")
    assert found(table, drop=[name]) == []


NUMBERS = {"pounds": [2.2 * value + 1 for value in MASS], "cubed": [value**3 for value in MASS]}
NUMBERS |= {"tenth": [round(value, 1) for value in MASS]}


@pytest.mark.parametrize("name", NUMBERS)
def test_a_column_that_a_number_follows_from_is_named_for_a_regression(name: str) -> None:
    table = pa.table({name: NUMBERS[name], "other": MASS[::-1], "y": MASS})
    (pitfall,) = found(table, task="regression")

    assert pitfall.text.startswith(f"column '{name}': {LEAK}")


@pytest.mark.parametrize("noise", [0.5, 2])
def test_a_strong_column_is_not_a_leak(noise: float) -> None:
    near = [value + CHANCE.gauss(0, noise) for value in MASS]
    codes = [code + CHANCE.gauss(0, noise) for code in CODES]

    assert found(pa.table({"near": near, "y": MASS}), task="regression") == []
    assert found(pa.table({"near": codes, "y": CLASSES})) == []


def test_near_times_that_have_near_numbers_ask_for_a_split_by_time() -> None:
    days = pa.array(range(ROWS)).cast(pa.timestamp("s")).cast(pa.timestamp("us"))
    (pitfall,) = found(pa.table({"day": days, "other": MASS, "y": [float(k) for k in range(ROWS)]}), task="regression")

    assert pitfall.text.endswith(
        "have nearly the same 'y'; prepare.split: time with split_by: day scores what is to come"
    )


@pytest.mark.parametrize(("rows", "warns"), [(19, False), (20, True)])
def test_too_few_rows_show_no_leak(rows: int, *, warns: bool) -> None:
    line = pa.table({"x": [2.0 * k for k in range(rows)], "y": [float(k) for k in range(rows)]})
    parameters = make_parameters({"class": "x.Y"}, "y", "regression")

    assert bool([*leaks("x", line, parameters.data)]) == warns


def test_free_text_is_not_an_identifier() -> None:
    words = [f"{k} small birds on island {k % 7}" for k in range(ROWS)]

    assert found(pa.table({"note": words, **honest()})) == []


def test_classes_that_differ_in_blanks_or_case_are_shown_with_their_counts() -> None:
    (pitfall,) = found(pa.table({"mass": MASS, "y": ["yes", "yes ", "YES", "no"] * 50}))

    assert pitfall.text == (
        "target 'y': nearly equal values 'YES' (50 rows), 'yes' (50 rows), 'yes ' (50 rows); are they one?"
    )


def test_a_class_that_is_spelt_like_a_missing_value_is_named() -> None:
    (pitfall,) = found(pa.table({"mass": MASS, "y": ["?", "yes", "no", "no"] * 50}))

    assert pitfall.name == "missing_class"
    assert pitfall.text == "target 'y': '?' is a class of 50 rows; if it means missing, add it to data.missing"


def test_test_rows_that_are_training_rows_are_counted_unless_rows_repeat_by_nature() -> None:
    half = pa.table({"n": [None, *[7] * (ROWS - 1)], **honest()}).slice(0, 100)
    (pitfall,) = found(pa.concat_tables([half, half]))

    text = "50 of 50 test rows occur among the training rows too; if rows repeat, keep each once"
    assert (pitfall.name, pitfall.text) == ("repeated_rows", text)
    assert found(pa.table(honest()).drop(["mass"])) == []


def test_a_warning_that_params_yaml_refuses_is_a_problem_and_no_other() -> None:
    pitfalls = found(pa.table({"copy": CODES, "row": range(ROWS), **honest()}))

    refuse_named(pitfalls, ["repeated_rows"])
    with pytest.raises(Problem) as refused:
        refuse_named(pitfalls, ["leak"])
    assert [p.name for p in pitfalls] == ["identifier", "leak"]
    assert refused.value.lines == (f"{pitfalls[1].text} (data.refuse names 'leak')",)
