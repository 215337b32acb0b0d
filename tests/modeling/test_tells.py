"""Tells: what new rows have that training never saw, in one batch as in many."""

from typing import Any

import pyarrow as pa
import pytest

from modeling import tells
from modeling.tells import Tell, Tells, span
from record.contract import Contract
from record.notes import Feature

TRAINED = 200
COLOURS = {"kind": "category", "dtype": "string", "values": ["blue", "red"], "missing": 0.0}
ZIPS = COLOURS | {"values": ["01234", "04567", "98765"]}
SIZES = {"kind": "number", "dtype": "double", "minimum": 1.0, "maximum": 9.5, "missing": 0.5}


def told(seen: dict[str, Any], *batches: list[Any], contract: Contract | None = None) -> list[Tell]:
    """What is told of the batches of one column `x`."""
    feature = Feature.model_validate({"name": "x", "nullable": True} | seen)
    found = Tells([feature], TRAINED, contract)
    for batch in batches:
        found.add(pa.table({"x": pa.array(batch, pa.type_for_alias(feature.dtype))}))
    return found.found()


NEVER = "with values that training never saw:"
OUTSIDE = "outside the range of training"
LOST = "with digits that lost their zeros:"


@pytest.mark.parametrize(
    ("seen", "rows", "name", "count", "text"),
    [
        (COLOURS, ["red ", "red ", "red"], "unseen_values", 2, f"2 rows {NEVER} 'red ' (2, nearly 'red')"),
        (COLOURS, ["RED", "grey"], "unseen_values", 2, f"2 rows {NEVER} 'RED' (1, nearly 'red'), 'grey' (1)"),
        (ZIPS, ["1234", "98765"], "lost_zeros", 1, f"1 row {LOST} '1234' for '01234'"),
        (ZIPS, ["1299", "4567"], "lost_zeros", 2, f"2 rows {LOST} '1299' for 5 digits, '4567' for '04567'"),
        (SIZES, [0.5, 12.0, None], "out_of_range", 2, f"2 rows {OUTSIDE}, 1 to 9.5; found 0.5 to 12"),
        (COLOURS, [None] * 3 + ["red"], "missing_share", 3, "missing in 75% of 4 rows, in training in 0%"),
        (SIZES, [2.0] * 40, "missing_share", 0, "missing in 0% of 40 rows, in training in 50%"),
    ],
)
def test_what_training_never_saw_is_told_with_counts(
    seen: dict[str, Any], rows: list[Any], name: str, count: int, text: str
) -> None:
    assert told(seen, rows) == [Tell(name, "x", count, f"column 'x': {text}")]
    assert told(seen, *([row] for row in rows)) == told(seen, rows)


@pytest.mark.parametrize(
    ("seen", "rows"),
    [
        (COLOURS, ["red", "blue"]),
        (COLOURS, [None]),  # one row shows no share
        (COLOURS, [None] * 9 + ["red"] * 91),  # not by much
        (ZIPS, ["01234"]),
        (SIZES, [1.0, 9.5, None]),
        ({"dtype": "double"}, [99.0, None]),  # of an old manifest
        ({"dtype": "timestamp[us]", "kind": "date", "missing": 0.0}, [0, 2**50]),  # time goes on
        (COLOURS | {"values": None}, ["any"]),  # too many to be listed
    ],
)
def test_rows_like_those_of_training_are_not_told(seen: dict[str, Any], rows: list[Any]) -> None:
    assert told(seen, rows) == []


def test_more_unseen_values_than_are_kept_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tells, "KEPT", 2)
    (tell,) = told(COLOURS, ["a", "b", "c", "d"], ["a", "e"])

    assert tell.rows == 6
    assert "'a' (2), 'b' (1)" in tell.text


def test_infinite_numbers_are_counted_by_column() -> None:
    found = Tells([Feature.model_validate({"name": "x", "nullable": False} | SIZES)], TRAINED, None)
    for batch in ([1.0, float("inf")], [float("-inf"), None]):
        found.add(pa.table({"x": batch}))

    (line,) = found.infinite()
    assert line.startswith("column 'x': expected finite numbers, found 2 infinite; ")


def test_breaches_of_the_contract_are_added_up_over_batches() -> None:
    field = {"name": "x", "type": "number", "constraints": {"required": True, "maximum": 8}}
    contract = Contract.of({"fields": [field]}, "c")
    found = told(SIZES, [9.0, 8.0, None], [9.5] * 3, contract=contract)

    assert [(tell.name, tell.rows) for tell in found] == [("contract", 1), ("contract", 4)]
    assert found[1].text == (
        "column 'x': expected at most 8; 4 rows differ: 9 in row 1, 9.5 in row 4, 9.5 in row 5, … (contract)"
    )


def test_a_very_large_number_is_not_written_out() -> None:
    assert span(-1.5, 1e300) == "-1.5 to 1e+300"
