"""What is known of a column once its rows went by: what is missing, how many values differ, their ends and counts."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import inf
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from modeling.sketches import Counts, Distinct, Sample
from modeling.table import FEW, WORDS, kind_of, kind_of_text, problems_of, words_in
from record.parameters import Data, Kind, Parameters

CLASSES = 1_000_000  # of a target, up to which the rows of each are counted
GROUPS = 1 << 62  # all of them, since a group is divided as a whole
TIMES = 1 << 17  # rows by which it is seen from when on they are for the test; all of so many are looked at
LARGEST = 1e150  # numbers above, squared, are more than a double holds
EXACT = 2**53  # of larger whole numbers, neighbours are the same double
APART = 1e-9  # of the size of such numbers, by which they differ at least: scaled, rounding would be all that is left
COUNTED = 1000  # different values of a category, up to which the rows of each are counted


class Summary:
    """A column as its batches were so far. The rows that are kept are those whose target is known."""

    def __init__(self, column_type: pa.DataType, counted: int | None = None) -> None:
        self.type, self.kind = column_type, kind_of(column_type)
        self.rows = self.missing = self.kept = self.kept_missing = self.infinite = self.fractions = self.words = 0
        self.distinct = Distinct()
        self.least: Any = None  # of numbers, as `greatest`
        self.greatest: Any = None
        most = COUNTED if self.kind in {"category", "boolean"} else 0
        self.counts = Counts(most if counted is None else counted)

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Summary":
        """The summary of a whole column."""
        summary = cls(column.type)
        summary.add(column, column)
        return summary

    def add(self, column: pa.ChunkedArray, kept: pa.ChunkedArray) -> None:
        """Look at the rows that come next, and at those of them that are kept."""
        self.rows, self.missing = self.rows + len(column), self.missing + column.null_count
        self.kept, self.kept_missing = self.kept + len(kept), self.kept_missing + kept.null_count
        if not self.kind:
            return
        known = column.drop_null()
        values, counts = pc.value_counts(known).flatten()
        self.distinct.add(values)
        self.counts.add(*((values, counts) if kept is column else pc.value_counts(kept.drop_null()).flatten()))
        if pa.types.is_floating(self.type):
            self.infinite += pc.sum(pc.is_inf(kept)).as_py() or 0
            self.fractions += pc.sum(pc.not_equal(kept, pc.floor(kept))).as_py() or 0
        if self.kind == "number" and len(known):
            ends = pc.min_max(known).as_py()
            self.least = ends["min"] if self.least is None else min(self.least, ends["min"])
            self.greatest = ends["max"] if self.greatest is None else max(self.greatest, ends["max"])
        if self.kind == "category":
            self.words += words_in(values, counts)

    @property
    def known(self) -> int:
        """How many rows have a value."""
        return self.rows - self.missing

    @property
    def size(self) -> float:
        """The greatest number without its sign; 0 where there are none."""
        return max(abs(self.least), abs(self.greatest)) if self.least is not None else 0

    @property
    def is_empty(self) -> bool:
        """Whether no row that is kept has a value; no row at all, if none is kept."""
        return self.kept_missing == self.kept if self.kept else not self.known

    @property
    def has_few_values(self) -> bool:
        """Whether a category has so few values that each gets a column of its own."""
        return self.distinct.count <= FEW

    @property
    def mean_words(self) -> float:
        """The mean number of words in the values of text."""
        return self.words / max(1, self.known)

    def kind_for(self, name: str, data: Data) -> Kind | None:
        """What the column is to a model."""
        is_prose = not self.has_few_values and self.mean_words >= WORDS
        return kind_of_text(name, data, is_prose=is_prose) if self.kind == "category" else self.kind


@dataclass(frozen=True)
class Survey:
    """What is known of a table's columns once all rows went by, and a sample of the times by which it is split."""

    columns: dict[str, Summary]
    times: Sample | None

    @property
    def rows(self) -> int:
        """How many rows there are."""
        return next(iter(self.columns.values())).rows if self.columns else 0

    @property
    def kept(self) -> int:
        """How many rows have a target."""
        return next(iter(self.columns.values())).kept if self.columns else 0


class Watcher(Protocol):
    """What looks at the same rows."""

    def add(self, rows: pa.Table) -> None:
        """Look at the rows that come next."""


def survey(
    batches: Iterable[pa.Table], schema: pa.Schema, parameters: Parameters, watcher: Watcher | None = None
) -> Survey:
    """What is known of the columns of a table; without a column of the target's name, all rows are kept."""
    target, by, rule = parameters.data.target, parameters.prepare.split_by, parameters.prepare.split
    counted = {target: CLASSES if parameters.data.task == "classification" else 0}
    counted |= {by: GROUPS} if rule == "group" and by else {}
    columns = {field.name: Summary(field.type, counted.get(field.name)) for field in schema}
    times = Sample(TIMES) if rule == "time" and by in columns else None
    for rows in batches:
        if watcher:
            watcher.add(rows)
        kept = with_target(rows, parameters.data)
        for name, summary in columns.items():
            column = rows[name]
            summary.add(column, column if kept is rows else kept[name])
        if times:
            times.add(kept.select([by]))
    return Survey(columns, times)


def with_target(rows: pa.Table, data: Data) -> pa.Table:
    """The rows whose target is known."""
    if data.target not in rows.column_names or not rows[data.target].null_count:
        return rows
    return rows.filter(pc.is_valid(rows[data.target]))


def problems_of_summary(name: str, column: Summary, remedy: str) -> Iterator[str]:
    """Why a column cannot be used, by the rows that are kept, with the remedy."""
    yield from problems_of(name, column.type, remedy, is_empty=column.is_empty, infinite=column.infinite)
    if LARGEST < column.size < inf:
        yield f"column '{name}': holds numbers of {column.size:g}, which are too large to compute with; {remedy}"


def problems_of_scale(name: str, column: Summary, remedy: str) -> Iterator[str]:
    """Why a feature cannot be scaled."""
    if EXACT < column.size <= LARGEST and float(column.greatest) - float(column.least) < APART * column.size:
        yield f"column '{name}': holds numbers that are all nearly {column.size:g}, so they are the same; {remedy}"
