"""What makes a score misleading, as far as the table shows it: warnings with names and counts.

They are noted in profile.json and in the manifest, and `data.refuse` turns them into refusals by their names.
"""

from collections.abc import Iterator
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeling.checks import why_left_out
from modeling.reading import Raw, spellings_read_as_missing
from modeling.split import to_mask
from modeling.table import feature_names, kind_of, kinds_of
from record.notes import Pitfall
from record.parameters import Data, Parameters

FEW = 0.5  # a text column with more distinct values than this share of its rows is not compared value by value
REPEATED = 0.2  # a column with more distinct values than this share of its rows is looked at in the order of its values
NEARLY = 0.98  # of the wrong guesses that a column takes away, from which on it nearly determines the target
SMOOTH = 0.001  # of the variance of a target, that may be left between neighbours in the order of a column
MISSING = {"", "-", "--", "?", ".", "na", "n/a", "nan", "nil", "none", "null", "missing", "unknown", "#n/a", "n.a."}
SAMPLE = 100_000  # rows that are enough to see what a column says of the target
SHOWN = 3  # of what is named


def pitfalls_of(table: pa.Table, train: pa.Table, test: pa.Table, parameters: Parameters) -> list[Pitfall]:
    """What a person should know before the score is believed; `table` has all columns of the rows that are kept."""
    kept, target = pa.concat_tables([train, test]), parameters.data.target
    features = feature_names(kept, parameters)
    kinds = kinds_of(kept.select(features), parameters.data)
    distinct = distinct_rows(evenly(kept.select([*features, target]), SAMPLE))
    return [
        *left_out(table, parameters),
        *missing_classes(kept[target], target),
        *(pitfall for name in features if kinds[name] != "text" for pitfall in identifiers(name, kept[name])),
        *(pitfall for name in features if kinds[name] != "text" for pitfall in leaks(name, distinct, parameters.data)),
        *(pitfall for name in [*features, target] for pitfall in near_equal(name, kept[name], target)),
        *repeated_rows(train.select([*features, target]), test.select([*features, target])),
    ]


def evenly(table: pa.Table, most: int) -> pa.Table:
    """At most so many rows, in equal steps through the table."""
    step = -(-len(table) // most)
    return table if step <= 1 else table.filter(to_mask(np.arange(len(table)) % step == 0))


def distinct_rows(table: pa.Table) -> pa.Table:
    """Each row once."""
    return table.group_by(table.column_names, use_threads=False).aggregate([])


def missing_targets(raw: Raw, data: Data) -> Iterator[Pitfall]:
    """Spellings that were read as a missing target, since a class may be called so."""
    for word, rows in spellings_read_as_missing(raw, data):
        found = f"target '{data.target}': {word!r} in {rows:,} rows was read as missing"
        text = f"{found}; if it is a class, take it out of data.missing"
        yield Pitfall(name="missing_target", column=data.target, text=text)


def left_out(table: pa.Table, parameters: Parameters) -> Iterator[Pitfall]:
    """The columns that are not features by rule."""
    for name in feature_names(table, parameters):
        if rule := why_left_out(name, table[name]):
            yield Pitfall(name=rule[0], column=name, text=f"column '{name}': {rule[1]}, so it is left out")


def missing_classes(column: pa.ChunkedArray, target: str) -> Iterator[Pitfall]:
    """Classes that are spelt as a missing value often is."""
    if pa.types.is_string(column.type):
        for value in pc.value_counts(column).to_pylist():
            if value["values"].strip().casefold() in MISSING:
                found = f"target '{target}': {value['values']!r} is a class of {value['counts']:,} rows"
                text = f"{found}; if it means missing, add it to data.missing"
                yield Pitfall(name="missing_class", column=target, text=text)


def identifiers(name: str, column: pa.ChunkedArray) -> Iterator[Pitfall]:
    """A column that names its row: text that never comes twice, or a row number."""
    values, text = column.drop_null(), ""
    if len(values) < 3:
        return
    if pa.types.is_string(column.type) and pc.count_distinct(values).as_py() == len(values):
        text = f"column '{name}': every value is different; if it is an identifier, add it to data.drop"
    elif pa.types.is_integer(column.type) and column.null_count == 0:
        first, last = pc.min(values).as_py(), pc.max(values).as_py()
        is_dense = first in {0, 1} and len(values) <= last - first + 1 < 1.1 * len(values)
        if is_dense and pc.count_distinct(values).as_py() == len(values):
            text = f"column '{name}': counts the rows; if it is a row number, add it to data.drop"
    if text:
        yield Pitfall(name="identifier", column=name, text=text)


def leaks(name: str, distinct: pa.Table, data: Data) -> Iterator[Pitfall]:
    """A column that determines the target, or nearly does: it may be known only after the target is.

    Rows that repeat are looked at once, since all their columns determine the target.
    """
    known = distinct.select([name, data.target]).drop_null()
    if len(known) < 3 or pc.count_distinct(known[data.target]).as_py() < 2:
        return
    has_many = pc.count_distinct(known[name]).as_py() > REPEATED * len(known)
    is_ordered = has_many and kind_of(known[name].type) != "category"
    if data.task == "classification":
        share = separated_in_order(known, name, data.target) if is_ordered else guessed(known, name, data.target)
    else:
        share = smoothness(known, name, data.target) if is_ordered else explained(known, name, data.target)
    if share is None or share < (NEARLY if data.task == "classification" else 1 - SMOOTH):
        return
    how = "determines" if share > 1 - 1e-9 else "nearly determines"
    text = f"column '{name}': {how} the target '{data.target}' in {len(known):,} rows; is it known beforehand?"
    yield Pitfall(name="leak", column=name, text=text)


def codes_of(column: pa.ChunkedArray) -> np.ndarray:
    """The place of each value among the distinct ones."""
    return np.from_dlpack(column.combine_chunks().dictionary_encode().indices)


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers, dates and times of day, as doubles."""
    plain = column.cast(pa.int64()) if kind_of(column.type) in {"date", "time", "boolean"} else column
    return np.from_dlpack(plain.cast(pa.float64(), safe=False).combine_chunks())


def guessed(known: pa.Table, name: str, target: str) -> float | None:
    """Of the rows that the most frequent class is wrong for, the share that a guess by the column's value is right for.

    None where there are so many values that such guesses are right by chance.
    """
    values, classes = codes_of(known[name]), codes_of(known[target])
    if values.max() + 1 > REPEATED * len(known):
        return None
    pairs, counts = np.unique(values.astype(np.int64) * (classes.max() + 1) + classes, return_counts=True)
    best = np.zeros(values.max() + 1, dtype=int)
    np.maximum.at(best, pairs // (classes.max() + 1), counts)
    wrong = len(known) - np.bincount(classes).max()
    return 1 - float(len(known) - best.sum()) / float(wrong)


def separated_in_order(known: pa.Table, name: str, target: str) -> float:
    """1 where each class is one interval of the column's values; else what the borders between classes leave of it."""
    values, classes = numbers_of(known[name]), codes_of(known[target])
    order = np.argsort(values, kind="stable")
    changes = np.flatnonzero(np.diff(classes[order]))
    is_torn = values[order][changes] == values[order][changes + 1]
    needed = classes.max()
    wrong = len(known) - np.bincount(classes).max()
    return 1 - float(len(changes) - needed + is_torn.sum()) / 2 / float(wrong)


def explained(known: pa.Table, name: str, target: str) -> float | None:
    """The share of the target's variance that lies between the column's values; None where there are too many."""
    values, y = codes_of(known[name]), numbers_of(known[target])
    if values.max() + 1 > REPEATED * len(known):
        return None
    means = np.bincount(values, weights=y) / np.bincount(values)
    return 1 - float(np.var(y - means[values]) / np.var(y))


def smoothness(known: pa.Table, name: str, target: str) -> float:
    """1 less the share of the target's variance that is left between neighbours in the order of the column.

    It is von Neumann's ratio: about 0 for a column that says nothing of the target, 1 for one of which the target is a
    smooth function.
    """
    y = numbers_of(known[target])[np.argsort(numbers_of(known[name]), kind="stable")]
    return 1 - float(np.mean(np.diff(y) ** 2) / (2 * np.var(y)))


def near_equal(name: str, column: pa.ChunkedArray, target: str) -> Iterator[Pitfall]:
    """Values that differ only in case or blanks, such as 'yes', 'yes ' and 'YES'."""
    if not pa.types.is_string(column.type):
        return
    counts = {v["values"]: v["counts"] for v in pc.value_counts(column.drop_null()).to_pylist()}
    if len(counts) > FEW * len(column):
        return
    groups: dict[str, list[str]] = {}
    for value in counts:
        groups.setdefault(" ".join(value.split()).casefold(), []).append(value)
    alike = [values for values in groups.values() if len(values) > 1]
    for values in alike[:SHOWN]:
        shown = ", ".join(f"{value!r} ({counts[value]:,} rows)" for value in sorted(values))
        place = f"{'target' if name == target else 'column'} '{name}'"
        yield Pitfall(name="near_equal", column=name, text=f"{place}: nearly equal values {shown}; are they one?")


def repeated_rows(train: pa.Table, test: pa.Table) -> Iterator[Pitfall]:
    """Test rows that are training rows too, by which a score measures memory.

    Where the columns have fewer combinations of values than there are rows, rows repeat by nature.
    """
    values = [pc.count_distinct(column).as_py() for column in train.columns]
    if prod(max(1, count) for count in values) <= len(train):
        return
    tested = len(test)
    finest = train.column_names[int(np.argmax(values))]  # in which few rows of one part have a value of the other
    train = train.filter(pc.is_in(train[finest], value_set=pc.unique(test[finest])))
    test = test.filter(pc.is_in(test[finest], value_set=pc.unique(train[finest])))
    names = [f"column {k}" for k in range(train.num_columns)]  # whatever they are called in the table
    of_parts = [part.rename_columns(names).group_by(names).aggregate([([], "count_all")]) for part in (train, test)]
    seen = of_parts[0].set_column(len(names), "count_all", pc.multiply(of_parts[0]["count_all"], 0))
    both = pa.concat_tables([seen, of_parts[1]]).group_by(names).aggregate([("count_all", "sum"), ([], "count_all")])
    again = pc.sum(both.filter(pc.equal(both["count_all"], 2))["count_all_sum"]).as_py() or 0
    if again:
        found = f"{again:,} of {tested:,} test rows occur among the training rows too"
        yield Pitfall(name="repeated_rows", column=None, text=f"{found}; if rows repeat, keep each once")
