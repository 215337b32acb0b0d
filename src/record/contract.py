"""The contract: what a raw table must be like, in the words of Table Schema.

https://datapackage.org/standard/table-schema/ says what the keys mean. Three things are settled here: the order of the
columns does not matter; columns that the contract does not name are allowed unless `fieldsMatch` is `equal`; and
durations are compared as numbers of seconds. Without a contract nothing is checked.
"""

import math
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError
from pydantic_core import PydanticCustomError

from record.files import from_document
from record.notes import CONTRACT
from record.parameters import Data, Strict, sentence
from record.problem import Problem, did_you_mean, refuse_if

Type = Literal["string", "integer", "number", "boolean", "date", "datetime", "time", "duration", "any"]
NUMBERS = {"integer", "number", "duration"}
ORDERED = NUMBERS | {"date", "datetime", "time"}
FITTING = {  # the types that a constraint is for; the others are for all
    "minimum": ORDERED,
    "maximum": ORDERED,
    "minLength": {"string"},
    "maxLength": {"string"},
    "pattern": {"string"},
    "enum": ORDERED | {"string", "boolean"},
}


def _instant(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found.astimezone(UTC).replace(tzinfo=None) if found.tzinfo else found


def _day(text: str) -> datetime:
    return datetime.combine(date.fromisoformat(text), time())


PARSERS: dict[str, Callable[[str], Any]] = {"date": _day, "datetime": _instant, "time": time.fromisoformat}


def _as_scalar(value: Any) -> Any:
    """A value as JSON has it: YAML's dates as text."""
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise PydanticCustomError("value", "expected a finite number, text, true, false or a date")


def _as_pattern(text: str) -> str:
    try:
        re.compile(text)
    except re.error as error:
        reason = {"reason": str(error)}
        raise PydanticCustomError("pattern", "expected a regular expression ({reason})", reason) from None
    return text


def _as_names(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Value = Annotated[Any, AfterValidator(_as_scalar)]
Length = Annotated[int, Field(ge=0)]


class Constraints(Strict):
    """What the values of a column must be like; a missing value breaks `required` alone."""

    required: bool = False
    unique: bool = False
    minimum: Value = None
    maximum: Value = None
    min_length: Annotated[Length | None, Field(alias="minLength")] = None
    max_length: Annotated[Length | None, Field(alias="maxLength")] = None
    pattern: Annotated[str, AfterValidator(_as_pattern)] | None = None  # which the whole text matches
    enum: Annotated[list[Value], Field(min_length=1)] | None = None


class Column(Strict):
    """A field of the table, as Table Schema calls a column."""

    name: str
    type: Type = "string"
    title: str | None = None
    description: str | None = None
    constraints: Constraints = Constraints()

    def value_of(self, value: Any) -> Any:
        """A value of a constraint as one of this type; dates are instants in UTC.

        Raises:
            ValueError: when it is of another type.
        """
        if self.type in PARSERS:
            return PARSERS[self.type](value if isinstance(value, str) else "")
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        fits = is_number if self.type in NUMBERS else isinstance(value, bool if self.type == "boolean" else str)
        if not fits:
            raise ValueError
        return value


class Contract(Strict):
    """The whole of data/contract.yaml."""

    fields: Annotated[list[Column], Field(min_length=1)]
    fields_match: Annotated[Literal["subset", "equal"], Field(alias="fieldsMatch")] = "subset"
    missing_values: Annotated[list[str], Field(alias="missingValues", default_factory=lambda: [""])]
    primary_key: Annotated[list[str], BeforeValidator(_as_names), Field(alias="primaryKey", default_factory=list)]

    @classmethod
    def of(cls, document: Any, place: str) -> Self:
        """The contract in a document.

        Raises:
            Problem: with a line for every key that is unknown, missing or has a value that it cannot have.
        """
        if not isinstance(document, dict):
            raise Problem(f"{place}: expected fields, found none; delete it, then python src/lineage.py contract")
        try:
            contract = cls.model_validate(document, by_alias=True, by_name=False)
        except ValidationError as error:
            lines = (f"{_name_of(each['loc'], document)}: {sentence(cls, each)}" for each in error.errors())
            raise Problem(*sorted(f"{place}: {line}" for line in lines)) from None
        refuse_if(f"{place}: {line}" for line in _contradictions(contract))
        return contract

    @property
    def unique(self) -> set[str]:
        """The columns of the primary key, and those whose values come once."""
        return {*self.primary_key, *(field.name for field in self.fields if field.constraints.unique)}

    def document(self) -> dict[str, Any]:
        """The contract as JSON holds it: what the file says, without what it leaves open."""
        return self.model_dump(mode="json", by_alias=True, exclude_unset=True)


def widen(data: Data, spellings: list[str]) -> Data:
    """How a table is read in which a contract's spellings of missing values count, too."""
    everywhere = dict.fromkeys([*data.missing.get("*", []), *spellings])
    return data.model_copy(update={"missing": data.missing | {"*": [*everywhere]}})


def read_contract(path: Path = CONTRACT) -> Contract | None:
    """The contract in a file; None if the file does not exist."""
    if not path.is_file():
        return None
    return Contract.of(from_document(path.read_bytes(), path), path.as_posix())


def _contradictions(contract: Contract) -> Iterator[str]:
    names = [field.name for field in contract.fields]
    yield from (f"field '{name}': occurs {names.count(name)} times" for name in names if names.count(name) > 1)
    for name in contract.primary_key:
        if name not in names:
            yield f"primaryKey: '{name}' is not a field; {did_you_mean(name, names)}"
    for field in contract.fields:
        asked = field.constraints.model_dump(by_alias=True, exclude_none=True)
        yield from (f"field '{field.name}': constraints.{line}" for line in _misfits(field, asked))


def _misfits(field: Column, asked: dict[str, Any]) -> Iterator[str]:
    """The constraints that are not for this type, have values of another, or leave no value."""
    for name in FITTING.keys() & asked.keys():
        if field.type not in FITTING[name]:
            yield f"{name}: is not for type {field.type}, but for {', '.join(sorted(FITTING[name]))}"
    if field.type in FITTING["enum"]:
        values = [
            *((name, asked.get(name)) for name in ("minimum", "maximum")),
            *(("enum", v) for v in asked.get("enum", [])),
        ]
        wrong = [(name, value) for name, value in values if value is not None and not _is_of(field, value)]
        yield from (f"{name}: expected values of type {field.type}, found {value!r}" for name, value in wrong)
    for least, most in (("minimum", "maximum"), ("minLength", "maxLength")):
        if least in asked and most in asked and _exceeds(field, asked[least], asked[most]):
            yield f"{least}: expected at most {most} ({asked[most]}), found {asked[least]}"


def _is_of(field: Column, value: Any) -> bool:
    try:
        field.value_of(value)
    except ValueError:
        return False
    return True


def _exceeds(field: Column, least: Any, most: Any) -> bool:
    if field.type == "string":  # these are lengths
        return isinstance(least, int) and isinstance(most, int) and least > most
    return _is_of(field, least) and _is_of(field, most) and bool(field.value_of(least) > field.value_of(most))


def _name_of(location: tuple[int | str, ...], document: dict[str, Any]) -> str:
    """Where something is in a contract, by the name of its column."""
    if location[0] != "fields" or len(location) < 3:
        return ".".join(map(str, location))
    name = document["fields"][location[1]].get("name", location[1])
    return f"field '{name}': {'.'.join(map(str, location[2:]))}"
