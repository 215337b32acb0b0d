"""What new rows have that training never saw, counted over all batches: a model answers all the same.

Nothing but counts and some values is kept, so memory does not grow with the file.
"""

import math
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import get_close_matches

import pyarrow as pa
import pyarrow.compute as pc

from modeling.breaches import Breaches
from modeling.spellings import folded
from record.contract import Contract
from record.notes import Feature
from record.problem import rows_of

LONG = 1e15  # from which on a number is not written out
KEPT = 1000  # values of a column that training never saw, which are counted one by one
SHOWN = 3  # of them that are named
MUCH = 0.1  # by which a share of missing values must differ
SURE = 3.0  # standard errors, beyond which it is not by chance


@dataclass(frozen=True)
class Tell:
    """A warning about new rows: its name, the column, the number of rows, and a sentence."""

    name: str
    column: str
    rows: int
    text: str


@dataclass
class Seen:
    """What the rows so far had in one column."""

    feature: Feature
    rows: int = 0
    missing: int = 0
    infinite: int = 0
    outside: int = 0
    least: float = math.inf
    greatest: float = -math.inf
    unseen: Counter[str] = field(default_factory=Counter)
    others: int = 0  # rows with unseen values beyond those that are kept

    def add(self, column: pa.ChunkedArray) -> None:
        """Count one batch."""
        self.rows += len(column)
        self.missing += column.null_count
        if self.feature.values is not None:
            self._add_values(column)
        elif self.feature.kind == "number" or pa.types.is_floating(column.type):
            self._add_numbers(column.cast(pa.float64(), safe=False))

    def _add_values(self, column: pa.ChunkedArray) -> None:
        is_known = pc.is_in(column, value_set=pa.array(self.feature.values, pa.string()))
        for found in pc.value_counts(column.filter(pc.invert(is_known)).drop_null()).to_pylist():
            if found["values"] in self.unseen or len(self.unseen) < KEPT:
                self.unseen[found["values"]] += found["counts"]
            else:
                self.others += found["counts"]

    def _add_numbers(self, column: pa.ChunkedArray) -> None:
        least, greatest = self.feature.minimum, self.feature.maximum
        self.infinite += pc.sum(pc.is_inf(column)).as_py() or 0
        if least is None or greatest is None or column.null_count == len(column):
            return
        self.outside += pc.sum(pc.or_(pc.less(column, least), pc.greater(column, greatest))).as_py()
        ends = pc.min_max(column).as_py()
        self.least, self.greatest = min(self.least, ends["min"]), max(self.greatest, ends["max"])


class Tells:
    """All that new rows had so far, column by column."""

    def __init__(self, features: list[Feature], trained: int, contract: Contract | None) -> None:
        self.columns = [Seen(feature) for feature in features]
        self.trained = trained  # rows
        self.breaches = Breaches(contract) if contract else None
        self.rows = 0

    def add(self, features: pa.Table) -> None:
        """Count one batch."""
        for seen in self.columns:
            seen.add(features[seen.feature.name])
        if self.breaches:
            self.breaches.add(features)
        self.rows += len(features)

    def infinite(self) -> list[str]:
        """The columns with infinite numbers, which no model takes."""
        return [
            f"column '{seen.feature.name}': expected finite numbers, found {seen.infinite:,} infinite; "
            "correct them, or leave them empty if they are missing"
            for seen in self.columns
            if seen.infinite
        ]

    def found(self) -> list[Tell]:
        """Everything that a person should know of the rows."""
        broken = [
            Tell("contract", b.column, b.rows, f"{b.text} (contract)")
            for b in (self.breaches.of_rows() if self.breaches else [])
        ]
        return [*(tell for seen in self.columns for tell in tells_of(seen, self.trained)), *broken]


def tells_of(seen: Seen, trained: int) -> Iterator[Tell]:
    """What one column had that training did not see; nothing where the manifest does not say what it saw."""
    known, name = seen.feature, seen.feature.name
    values, place = known.values or [], f"column '{seen.feature.name}':"
    lost = lost_zeros(seen.unseen, values)
    if rows := sum(seen.unseen[value] for value in lost):
        shown = ", ".join(f"{value!r} for {was}" for value, was in list(lost.items())[:SHOWN])
        yield Tell("lost_zeros", name, rows, f"{place} {rows_of(rows)} with digits that lost their zeros: {shown}")
    unseen = Counter({value: count for value, count in seen.unseen.items() if value not in lost})
    if rows := unseen.total() + seen.others:
        text = f"{rows_of(rows)} with values that training never saw: {named(unseen, values)}"
        yield Tell("unseen_values", name, rows, f"{place} {text}")
    if seen.outside:
        text = f"{rows_of(seen.outside)} outside the range of training, {span(known.minimum, known.maximum)}"
        yield Tell("out_of_range", name, seen.outside, f"{place} {text}; found {span(seen.least, seen.greatest)}")
    if known.missing is not None and differs(seen.missing, seen.rows, known.missing, trained):
        share = f"missing in {seen.missing / seen.rows:.0%} of {rows_of(seen.rows)}, in training in {known.missing:.0%}"
        yield Tell("missing_share", name, seen.missing, f"{place} {share}")


def lost_zeros(unseen: Counter[str], known: list[str]) -> dict[str, str]:
    """Unseen digits that training saw with zeros before them, or only at a greater length; each with what it was."""
    padded = {value.lstrip("0"): repr(value) for value in known if value.isdecimal() and value[0] == "0"}
    widths = {len(value) for value in known}
    width = widths.pop() if padded and len(widths) == 1 and all(map(str.isdecimal, known)) else 0
    digits = [value for value in unseen if value.isdecimal()]
    longer = {value: f"{width} digits" for value in digits if len(value) < width}
    return longer | {value: padded[value] for value in digits if value in padded}


def named(unseen: Counter[str], known: list[str]) -> str:
    """The most frequent unseen values with their rows, and the known value that each nearly is."""
    alike = {folded(value): value for value in known}
    words = []
    for value, count in unseen.most_common(SHOWN):
        near = get_close_matches(folded(value), alike, n=1, cutoff=0.8)
        words.append(f"{value!r} ({count:,}{f', nearly {alike[near[0]]!r}' if near else ''})")
    return ", ".join([*words, *(["…"] if len(unseen) > SHOWN else [])])


def span(least: float | None, greatest: float | None) -> str:
    """A range, without fractions that its ends do not have."""
    return " to ".join(
        f"{end:g}" if abs(end) >= LONG else f"{end:,.0f}" if end == int(end) else f"{end:,}"
        for end in (least or 0, greatest or 0)
    )


def differs(missing: int, rows: int, share: float, trained: int) -> bool:
    """Whether two shares differ by much and beyond chance: by Agresti and Caffo's interval, which small counts suit."""
    if not rows or abs(missing / rows - share) < MUCH:
        return False
    one, other = (missing + 1) / (rows + 2), (share * trained + 1) / (trained + 2)
    error = math.sqrt(one * (1 - one) / (rows + 2) + other * (1 - other) / (trained + 2))
    return abs(one - other) > SURE * error
