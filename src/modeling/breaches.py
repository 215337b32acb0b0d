"""Whether a table keeps its contract: every breach, by column, with the number of its rows and the first of them."""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeling.sketches import Repeats, hashes_of, row_hashes
from modeling.table import kind_of, to_array
from record.contract import NUMBERS, Column, Contract
from record.notes import CONTRACT
from record.problem import did_you_mean, refuse_if

KINDS = {"string": "category", "boolean": "boolean", "date": "date", "datetime": "date", "time": "time"}
SHOWN = 3  # rows that are named
LONGEST = 60  # characters of a value that are shown
Rule = tuple[str, pa.ChunkedArray]  # what is expected, and of each row whether it differs


@dataclass(frozen=True)
class Breach:
    """Rows that break one rule: how many there are, and the first of them as words; none where it is the column."""

    column: str
    expected: str
    rows: int
    first: tuple[str, ...]

    @property
    def text(self) -> str:
        """The breach as a person reads it."""
        if not self.first:
            return f"column '{self.column}' {self.expected}"
        more = ", …" if self.rows > len(self.first) else ""
        differ = f"{self.rows:,} row{' differs' if self.rows == 1 else 's differ'}"
        return f"column '{self.column}': expected {self.expected}; {differ}: {', '.join(self.first)}{more}"

    def and_later(self, other: "Breach") -> "Breach":
        """The same breach in rows that come later, added."""
        first = (*self.first, *other.first)[:SHOWN]
        return Breach(self.column, self.expected, self.rows + other.rows, first)


class Breaches:
    """The breaches in the rows that went by so far."""

    def __init__(self, contract: Contract) -> None:
        self.contract, self.rows = contract, 0
        self.found: dict[tuple[str, str], Breach] = {}

    def add(self, rows: pa.Table) -> None:
        """Look at the rows that come next."""
        for breach in breaches_of_rows(rows, self.contract, self.rows):
            key = breach.column, breach.expected
            self.found[key] = self.found[key].and_later(breach) if key in self.found else breach
        self.rows += len(rows)

    def of_rows(self) -> list[Breach]:
        """Those that can be seen of each row alone, in the order of the fields."""
        places = {field.name: k for k, field in enumerate(self.contract.fields)}
        return sorted(self.found.values(), key=lambda breach: places[breach.column])


class TableCheck:
    """Whether a whole table keeps its contract, of which the rows come in batches."""

    def __init__(self, contract: Contract, schema: pa.Schema) -> None:
        self.contract, self.schema = contract, schema
        self.breaches = Breaches(contract)
        there = [name for name in schema.names if kind_of(schema.field(name).type)]
        unique = [field.name for field in contract.fields if field.constraints.unique and field.name in there]
        self.unique = {name: Repeats() for name in unique}
        self.key = list(contract.primary_key) if {*contract.primary_key} <= {*there} else []
        self.keys = Repeats()

    def add(self, rows: pa.Table) -> None:
        """Look at the rows that come next."""
        numbers = np.arange(len(rows)) + self.breaches.rows
        self.breaches.add(rows)
        for name, repeats in self.unique.items():
            is_known = to_array(rows[name].combine_chunks().is_valid())
            repeats.add(hashes_of(rows[name].combine_chunks())[is_known], numbers[is_known])
        if self.key:
            self.keys.add(row_hashes(rows.select(self.key)), numbers)

    def refuse(self, path: str, batches: Callable[[list[str]], Iterable[pa.Table]]) -> None:
        """Raise a problem that names all breaches at once; `batches` reads rows again, to show what repeats."""
        columns = breaches_of_columns(self.schema.names, self.breaches.rows, self.contract)
        again = [(name, [name], "another value in every row", found) for name, found in self.unique.items()]
        again += [(", ".join(self.key), self.key, "another primary key in every row", self.keys)] if self.key else []
        repeated = []
        for name, of, expected, found in again:
            count, rows = found.found(SHOWN)
            if count:
                first, start = list[str](), 0
                for batch in batches([of[0]]):
                    places = [row - start for row in rows if start <= row < start + len(batch)]
                    first += words_at(pa.array(places, pa.int64()), batch[0], start)
                    start += len(batch)
                repeated.append(Breach(name, expected, count, tuple(first)))
        every = [*columns, *self.breaches.of_rows(), *repeated]
        last = [f"{CONTRACT}: asks for this; correct the table in a new snapshot, or change what is asked"]
        refuse_if([*(f"{path}: {breach.text}" for breach in every), *(last if every else [])])


def words_at(places: pa.Array, column: pa.ChunkedArray, done: int) -> tuple[str, ...]:
    """The values of a column in some of its rows, as a person reads them; `done` rows came before."""
    values = zip(words_of(column.take(places)), places.to_pylist(), strict=True)
    return tuple(f"{value} in row {done + place + 1:,}" for value, place in values)


def breaches_of_columns(there: list[str], rows: int, contract: Contract) -> Iterator[Breach]:
    """Columns that are missing and, if only those of the contract may be there, columns that it does not name."""
    names = [field.name for field in contract.fields]
    for name in names:
        if name not in there:
            others = [other for other in there if other not in names]
            yield Breach(name, f"is missing; {did_you_mean(name, others) if others else 'add it'}", rows, ())
    if contract.fields_match == "equal":
        for name in (name for name in there if name not in names):
            yield Breach(name, "is not a field, and fieldsMatch is equal", rows, ())


def breaches_of_rows(table: pa.Table, contract: Contract, done: int = 0) -> Iterator[Breach]:
    """What can be seen of each row alone; `done` rows came before."""
    for field in contract.fields:
        if field.name in table.column_names:
            column = table[field.name]
            asked = [*rules(field, column)]
            if field.name in contract.primary_key and kind_of(column.type):
                asked.append(("a value, since it is in the primary key", column.is_null()))
            for expected, is_breach in asked:
                if len(rows := pc.indices_nonzero(is_breach)):
                    yield Breach(field.name, expected, len(rows), words_at(rows[:SHOWN], column, done))


def words_of(values: pa.ChunkedArray) -> list[str]:
    """Values as a person reads them."""
    if pa.types.is_string(values.type) or kind_of(values.type) is None:
        return ["nothing" if value is None else repr(value)[:LONGEST] for value in values.to_pylist()]
    texts = values.cast(pa.string()).to_pylist()  # a date may be of a year that Python does not know
    return ["nothing" if text is None else re.sub(r"( 00:00:00)?\.0+$", "", text) for text in texts]


def rules(field: Column, column: pa.ChunkedArray) -> Iterator[Rule]:
    """Everything that a field asks of a column's values, one by one."""
    asked = field.constraints
    if asked.required:
        yield "a value", column.is_null()
    kind, is_any = kind_of(column.type), field.type == "any"
    if pa.types.is_null(column.type) or (is_any and (kind or not asked.required)):
        return
    if not is_any and kind == ("number" if field.type in NUMBERS else KINDS[field.type]):
        yield from rules_of_values(field, column)
    elif column.null_count < len(column):
        way = f" (data.types: {{{field.name}: category}} keeps it text)" if field.type == "string" and kind else ""
        expected = "what a model can learn from" if is_any else field.type
        yield f"{expected}, found {column.type}{way}", column.is_valid()


def rules_of_values(field: Column, column: pa.ChunkedArray) -> Iterator[Rule]:
    """What a field asks of values of its type; a missing one gives null, which is not a breach."""
    asked = field.constraints
    if field.type == "integer" and pa.types.is_floating(column.type):
        yield "integer", pc.not_equal(column, pc.floor(column))
    if field.type == "date":
        yield "date without a time", pc.not_equal(column, pc.floor_temporal(column, unit="day"))
    if asked.minimum is not None:
        yield f"at least {asked.minimum}", compared(column, pc.less, field.value_of(asked.minimum))
    if asked.maximum is not None:
        yield f"at most {asked.maximum}", compared(column, pc.greater, field.value_of(asked.maximum))
    if asked.min_length is not None:
        yield f"at least {asked.min_length} characters", pc.less(pc.utf8_length(column), asked.min_length)
    if asked.max_length is not None:
        yield f"at most {asked.max_length} characters", pc.greater(pc.utf8_length(column), asked.max_length)
    if asked.pattern is not None:
        yield f"text like {asked.pattern}", unlike(asked.pattern, column)
    if asked.enum is not None:
        yield f"one of {listed(asked.enum)}", outside([field.value_of(value) for value in asked.enum], column)


def compared(column: pa.ChunkedArray, is_wrong: Callable[..., pa.ChunkedArray], value: Any) -> pa.ChunkedArray:
    """A column compared with a value, exactly where the column's type can hold it."""
    try:
        return is_wrong(column, pa.scalar(value, column.type))
    except (pa.ArrowInvalid, OverflowError):
        return is_wrong(column.cast(pa.float64(), safe=False), float(value))


def unlike(pattern: str, column: pa.ChunkedArray) -> pa.Array:
    """Of each text whether it does not match as a whole; each is looked at once, by Python's own expressions."""
    encoded = column.combine_chunks().dictionary_encode()
    expression = re.compile(pattern)
    wrong = pa.array([expression.fullmatch(text) is None for text in encoded.dictionary.to_pylist()], pa.bool_())
    return wrong.take(encoded.indices)


def outside(known: list[Any], column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Of each value whether it is not among some; numbers are compared as doubles."""
    if kind_of(column.type) == "number":
        column, known = column.cast(pa.float64(), safe=False), [float(value) for value in known]
    return pc.and_(pc.invert(pc.is_in(column, value_set=pa.array(known, column.type))), column.is_valid())


def listed(values: list[Any]) -> str:
    """Some values of a list, for a sentence."""
    return ", ".join([*map(repr, values[:SHOWN]), *(["…"] if len(values) > SHOWN else [])])
