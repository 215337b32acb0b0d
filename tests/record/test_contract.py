"""The contract's file: strict, in the words of Table Schema, all problems at once."""

from pathlib import Path

import pytest

from record.contract import Contract, read_contract
from record.files import from_yaml
from record.problem import Problem

WHOLE = """\
fieldsMatch: equal
missingValues: ["", "-"]
primaryKey: id
fields:
  - {name: id, type: integer, title: Number, description: Of the bird, constraints: {unique: true, minimum: 1}}
  - {name: sex, constraints: {required: true, enum: [female, male], pattern: "[a-z]+", minLength: 1, maxLength: 6}}
  - {name: seen, type: datetime, constraints: {minimum: 2024-01-01T10:00:00+02:00, maximum: 2025-01-01}}
  - {name: rest, type: any}
"""


TURNED = "{minimum: 2024-01-02, maximum: 2024-01-01, enum: [1]}"
WRONG = "{minimun: 1, required: yes, maximum: [1], pattern: (, minLength: -1}"
UNCLOSED = "missing ), unterminated subpattern at position 0"


def contract(text: str) -> Contract:
    return Contract.of(from_yaml(text.encode()), "c.yaml")


def test_a_contract_is_what_its_json_says() -> None:
    found = contract(WHOLE)
    document = found.document()

    assert Contract.of(document, "manifest") == found
    assert document["primaryKey"] == ["id"]
    assert document["fields"][2]["constraints"] == {"minimum": "2024-01-01T10:00:00+02:00", "maximum": "2025-01-01"}
    assert document["fields"][3] == {"name": "rest", "type": "any"}


def test_no_file_is_no_contract(tmp_path: Path) -> None:
    assert read_contract(tmp_path / "contract.yaml") is None


@pytest.mark.parametrize("text", ["fields: [", "fields: [{name: x, constraints: {minimum: 2024-02-30}}]"])
def test_what_is_not_yaml_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "contract.yaml").write_text(text)
    with pytest.raises(Problem, match=r"contract\.yaml: not readable as YAML: "):
        read_contract(tmp_path / "contract.yaml")


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("[]", ["expected fields, found none; delete it, then python src/lineage.py contract"]),
        (
            "missingvalues: []",
            ["fields: missing; write it down", "missingvalues: unknown key; did you mean 'missingValues'?"],
        ),
        ("fields: []", ["fields: List should have at least 1 item after validation, not 0, found []"]),
        ("fields: [x]", ["fields.0: expected a valid dictionary, found 'x'"]),
        (
            f"fields: [{{name: x, typ: q, constraints: {WRONG}}}]",
            [
                "field 'x': constraints.maximum: expected a finite number, text, true, false or a date, found [1]",
                "field 'x': constraints.minLength: expected greater than or equal to 0, found -1",
                "field 'x': constraints.minimun: unknown key; did you mean 'minimum'?",
                f"field 'x': constraints.pattern: expected a regular expression ({UNCLOSED}), found '('",
                "field 'x': constraints.required: expected a valid boolean, found 'yes'",
                "field 'x': typ: unknown key; did you mean 'type'?",
            ],
        ),
        (
            f"fields: [{{name: x}}, {{name: x, type: date, constraints: {TURNED}}}]",
            [
                "field 'x': occurs 2 times",
                "field 'x': constraints.enum: expected values of type date, found 1",
                "field 'x': constraints.minimum: expected at most maximum (2024-01-01), found 2024-01-02",
            ],
        ),
        (
            "{primaryKey: X, fields: [{name: x, type: integer, constraints: {maxLength: 1, enum: [1, true]}}]}",
            [
                "primaryKey: 'X' is not a field; did you mean 'x'?",
                "field 'x': constraints.maxLength: is not for type integer, but for string",
                "field 'x': constraints.enum: expected values of type integer, found True",
            ],
        ),
        (
            "fields: [{name: x, constraints: {minLength: 2, maxLength: 1}}]",
            ["field 'x': constraints.minLength: expected at most maxLength (1), found 2"],
        ),
    ],
)  # fmt: skip
def test_all_that_is_wrong_is_named_at_once(text: str, lines: list[str]) -> None:
    with pytest.raises(Problem) as refused:
        contract(text)

    assert list(refused.value.lines) == [f"c.yaml: {line}" for line in lines]
