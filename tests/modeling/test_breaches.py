"""The contract: every breach of a raw table is named, and what is drafted from a table holds for it."""

from datetime import datetime, time
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tables import make_data

from commands.contract import to_yaml
from modeling.breaches import TableCheck
from modeling.drafting import draft
from record.contract import Contract
from record.files import from_yaml
from record.problem import Problem

DATES = pa.array([datetime(2024, 1, 1), datetime(2024, 1, 2, 3)], pa.timestamp("us"))  # noqa: DTZ001 - in UTC
ZONED = "2024-01-02T04:00:00+02:00"
USABLE = "what a model can learn from"
LIST = "list<item: int64>"
AS_TEXT = "data.types: {x: category} keeps it text"
END = "data/contract.yaml: asks for this; correct the table in a new snapshot, or change what is asked"


def check_contract(table: pa.Table, contract: Contract, rows: int) -> None:
    """Compare a table, in batches of so many rows, with its contract."""
    check = TableCheck(contract, table.schema)
    for start in range(0, len(table), rows):
        check.add(table.slice(start, rows))
    check.refuse("t.csv", lambda names: [table.slice(0, 2).select(names), table.slice(2).select(names)])


def breaches(fields: dict[str, Any], table: pa.Table, **more: Any) -> list[str]:
    """What is said of a table whose contract has these fields, each a type and its constraints."""
    named = [{"name": name, "type": kind, "constraints": asked} for name, (kind, asked) in fields.items()]
    said = []
    for rows in (len(table), 1, 2):
        with pytest.raises(Problem) as refused:
            check_contract(table, Contract.of({"fields": named, **more}, "c"), rows)
        assert refused.value.lines[-1] == END
        said.append([line.removeprefix("t.csv: column ") for line in refused.value.lines[:-1]])
    assert said[0] == said[1] == said[2]
    return said[0]


@pytest.mark.parametrize(
    ("kind", "asked", "values", "said"),
    [
        ("any", {"required": True}, [1, None, None], "a value; 2 rows differ: nothing in row 2, nothing in row 3"),
        ("number", {"minimum": 2}, [1, None, 2, 3], "at least 2; 1 row differs: 1 in row 1"),
        ("number", {"maximum": 0.5}, [1, None, 2, 0], "at most 0.5; 2 rows differ: 1 in row 1, 2 in row 3"),
        ("integer", {"minimum": 2**53 + 1}, [2**53], f"at least {2**53 + 1}; 1 row differs: {2**53} in row 1"),
        ("integer", {}, [1.0, None, 2.5], "integer; 1 row differs: 2.5 in row 3"),
        ("number", {"enum": [1, 2.5]}, [1, None, 2], "one of 1, 2.5; 1 row differs: 2 in row 3"),
        ("string", {"enum": ["a"]}, ["a", None, "A"], "one of 'a'; 1 row differs: 'A' in row 3"),
        ("boolean", {"enum": [True]}, [True, None, False], "one of True; 1 row differs: false in row 3"),
        ("string", {"pattern": "a|b+"}, ["ab", None, "bb"], "text like a|b+; 1 row differs: 'ab' in row 1"),
        ("string", {"minLength": 2}, ["é", "ab"], "at least 2 characters; 1 row differs: 'é' in row 1"),
        ("string", {"maxLength": 1}, ["é", "ab"], "at most 1 characters; 1 row differs: 'ab' in row 2"),
        ("datetime", {"maximum": ZONED}, DATES, f"at most {ZONED}; 1 row differs: 2024-01-02 03:00:00 in row 2"),
        ("date", {"minimum": "2024-01-02"}, DATES[:1], "at least 2024-01-02; 1 row differs: 2024-01-01 in row 1"),
        ("date", {}, DATES, "date without a time; 1 row differs: 2024-01-02 03:00:00 in row 2"),
        ("time", {"enum": ["13:45"]}, pa.array([time(1)]), "one of '13:45'; 1 row differs: 01:00:00 in row 1"),
        ("duration", {"minimum": 3600}, [60.5], "at least 3600; 1 row differs: 60.5 in row 1"),
        ("string", {}, [7], f"string, found int64 ({AS_TEXT}); 1 row differs: 7 in row 1"),
        ("number", {"minimum": 3}, ["7"], "number, found string; 1 row differs: '7' in row 1"),
        ("string", {}, [[7], None], f"string, found {LIST}; 1 row differs: [7] in row 1"),
        ("any", {"required": True}, [[7]], f"{USABLE}, found {LIST}; 1 row differs: [7] in row 1"),
        ("number", {"unique": True}, [1, 2, None, 1, None], "another value in every row; 1 row differs: 1 in row 4"),
    ],
)  # fmt: skip
def test_each_constraint_names_the_rows_that_break_it(kind: str, asked: dict[str, Any], values: Any, said: str) -> None:
    assert breaches({"x": (kind, asked)}, pa.table({"x": values})) == [f"'x': expected {said}"]


@pytest.mark.parametrize(
    ("kind", "asked", "values"),
    [
        ("any", {}, [[7], None]),
        ("integer", {"minimum": -(2**70)}, [2**63 - 1]),
        ("integer", {"minimum": 1, "unique": True}, pa.nulls(2)),
        ("string", {"pattern": "a", "minLength": 1, "maxLength": 1, "enum": ["a"]}, ["a", None]),
        ("date", {"minimum": "2024-01-01", "maximum": "2024-01-01"}, DATES[:1]),
    ],
)
def test_a_table_that_keeps_its_contract_passes(kind: str, asked: dict[str, Any], values: Any) -> None:
    field = {"name": "x", "type": kind, "constraints": asked}
    check_contract(pa.table({"x": values}), Contract.of({"fields": [field]}, "c"), 1)


def test_all_breaches_are_named_at_once_and_those_of_one_kind_in_one_line() -> None:
    table = pa.table({"a": [0] * 1000, "b": ["x"] * 1000, "spare": [0] * 1000})
    fields = {"a": ("integer", {"minimum": 1}), "B": ("string", {}), "b": ("string", {"enum": ["y"]})}

    assert breaches(fields, table, fieldsMatch="equal") == [
        "'B' is missing; known: spare",
        "'spare' is not a field, and fieldsMatch is equal",
        "'a': expected at least 1; 1,000 rows differ: 0 in row 1, 0 in row 2, 0 in row 3, …",
        "'b': expected one of 'y'; 1,000 rows differ: 'x' in row 1, 'x' in row 2, 'x' in row 3, …",
    ]
    assert len(breaches(fields, table)) == 3


def test_a_primary_key_is_whole_and_comes_once() -> None:
    table = pa.table({"site": ["a", "a", "b", "a", None], "day": [1, 2, 1, 2, 3]})
    fields = {"site": ("string", {}), "day": ("integer", {})}

    assert breaches(fields, table, primaryKey=["site", "day"]) == [
        "'site': expected a value, since it is in the primary key; 1 row differs: nothing in row 5",
        "'site, day': expected another primary key in every row; 1 row differs: 'a' in row 4",
    ]


def test_a_draft_says_what_all_rows_have_in_common() -> None:
    table = pa.table(
        {
            "id": [f"p{row}" for row in range(12)],
            "Unnamed: 0": [*range(12)],
            "mass": [3.5, None, *range(10)],
            "sex": ["f", "m"] * 6,
            "seen": pa.array([datetime(2024, 1, day) for day in range(1, 13)], pa.timestamp("us")),  # noqa: DTZ001
            "tags": [["a"]] * 12,
        }
    )

    assert draft(table, make_data()).document() == {
        "fields": [
            {"name": "id", "type": "string", "constraints": {"required": True, "unique": True}},
            {"name": "mass", "type": "number", "constraints": {"minimum": 0.0, "maximum": 9.0}},
            {"name": "sex", "type": "string", "constraints": {"required": True, "enum": ["f", "m"]}},
            {"name": "seen", "type": "date", "constraints": {"required": True, "minimum": "2024-01-01"}},
            {"name": "tags", "type": "any"},
        ],
        "fieldsMatch": "subset",
        "missingValues": [""],
        "primaryKey": ["id"],
    }


VALUES = {
    pa.int64(): st.integers(-(2**63), 2**63 - 1),
    pa.uint64(): st.integers(0, 2**64 - 1),
    pa.float32(): st.floats(width=32, allow_nan=False, allow_infinity=False),
    pa.float64(): st.floats(allow_nan=False),
    pa.bool_(): st.booleans(),
    pa.string(): st.one_of(
        st.text(min_size=1), st.sampled_from(["yes", "null", "1", "01", "2024-01-01", "é", "a: b #"])
    ),
    pa.timestamp("us"): st.datetimes(),
    pa.time64("us"): st.times(),
    pa.list_(pa.int64()): st.lists(st.integers(0, 9)),
}


@st.composite
def tables(draw: st.DrawFn) -> pa.Table:
    """Tables of any kinds of columns, with few values that repeat or many, and missing ones."""
    names = draw(st.lists(st.one_of(st.text(min_size=1), st.just("yes")), min_size=1, max_size=4, unique=True))
    rows = draw(st.integers(1, 12))
    columns = {}
    for name in names:
        kind = draw(st.sampled_from([*VALUES]))
        few = st.sampled_from(draw(st.lists(st.none() | VALUES[kind], min_size=1, max_size=3)))
        cells = draw(st.lists(draw(st.sampled_from([few, st.none() | VALUES[kind]])), min_size=rows, max_size=rows))
        columns[name] = pa.array(cells, kind)
    return pa.table(columns)


@given(tables())
def test_a_drafted_contract_survives_its_file_and_holds_for_its_table(table: pa.Table) -> None:
    drafted = draft(table, make_data())
    written = Contract.of(from_yaml(to_yaml(drafted.document())), "c")

    assert written == drafted
    check_contract(table, written, 5)
