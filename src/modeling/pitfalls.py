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
from modeling.spellings import MISSING, folded
from modeling.split import to_mask
from modeling.table import feature_names, has_few_values, kind_of, kinds_of, mean_words
from record.notes import Pitfall
from record.parameters import Data, Parameters
from record.problem import rows_of

REPEATED = 0.2  # a column with more distinct values than this share of its rows is looked at in the order of its values
NEARLY = 0.98  # of the wrong guesses that a column takes away, from which on it nearly determines the target
EXPLAINED = 0.995  # of a numeric target's variance, from which on the values of a column nearly determine it
SMOOTH = 0.999  # of it, where neighbours in the order of a column are compared
LINE = 1 - 1e-5  # of the squared correlation, from which on the target is a straight line of a column
LEAST = 20  # different rows; in fewer, chance orders a column as the target
ALIKE = 0.95  # of a text column's values that are different, from which on they name the rows
WORDS = 5  # text of more words in the mean is written for its own sake
AGAIN = 0.01  # of the test rows, from which on repeated ones matter
SAMPLE = 100_000  # rows that are enough to see what a column says of the target
SHOWN = 3  # of what is named


def pitfalls_of(table: pa.Table, train: pa.Table, test: pa.Table, parameters: Parameters) -> list[Pitfall]:
    """What a person should know before the score is believed; `table` has all columns of the rows that are kept."""
    kept, target = pa.concat_tables([train, test]), parameters.data.target
    features = feature_names(kept, parameters)
    kinds = kinds_of(kept.select(features), parameters.data)
    named = [pitfall for name in features for pitfall in identifiers(name, kept[name])]
    others = [name for name in features if name not in {pitfall.column for pitfall in named}]
    distinct = distinct_rows(evenly(kept.select([*features, target]), SAMPLE))
    return [
        *left_out(table, train, parameters),
        *missing_classes(kept[target], target),
        *named,
        *(pitfall for name in features if kinds[name] != "text" for pitfall in leaks(name, distinct, parameters.data)),
        *(pitfall for name in [*features, target] for pitfall in near_equal(name, kept[name], target)),
        *repeated_rows(train.select([*others, target]), test.select([*others, target])),
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
    for word, count in spellings_read_as_missing(raw, data):
        found = f"target '{data.target}': {word!r} in {rows_of(count)} was read as missing"
        text = f"{found}; if it is a class, take it out of data.missing"
        yield Pitfall(name="missing_target", column=data.target, text=text)


def left_out(table: pa.Table, train: pa.Table, parameters: Parameters) -> Iterator[Pitfall]:
    """The columns that are not features by rule."""
    for name in feature_names(table, parameters):
        if name not in train.column_names:
            kind, reason = why_left_out(name, table[name]) or ("unusable", "has no value in any training row")
            yield Pitfall(name=kind, column=name, text=f"column '{name}': {reason}, so it is left out")


def missing_classes(column: pa.ChunkedArray, target: str) -> Iterator[Pitfall]:
    """Classes that are spelt as a missing value often is."""
    if pa.types.is_string(column.type):
        for value in pc.value_counts(column).to_pylist():
            if value["values"].strip().casefold() in MISSING:
                found = f"target '{target}': {value['values']!r} is a class of {rows_of(value['counts'])}"
                text = f"{found}; if it means missing, add it to data.missing"
                yield Pitfall(name="missing_class", column=target, text=text)


def identifiers(name: str, column: pa.ChunkedArray) -> Iterator[Pitfall]:
    """A column that names its row: text that hardly ever comes twice, or a row number."""
    values, text = column.drop_null(), ""
    if len(values) >= 3 and pa.types.is_string(column.type):
        different = pc.count_distinct(values).as_py()
        if different >= ALIKE * len(values) and mean_words(values) < WORDS:
            shown = "every value is" if different == len(values) else f"{different:,} of {len(values):,} values are"
            text = f"column '{name}': {shown} different; if it is an identifier, add it to data.drop"
    elif len(values) >= 3 and pa.types.is_integer(column.type) and column.null_count == 0:
        first, last = pc.min(values).as_py(), pc.max(values).as_py()
        is_dense = first in {0, 1} and last - first + 1 < 1.1 * len(values)
        if is_dense and pc.count_distinct(values).as_py() == len(values):
            text = f"column '{name}': counts the rows; if it is a row number, add it to data.drop"
    if text:
        yield Pitfall(name="identifier", column=name, text=text)


def leaks(name: str, distinct: pa.Table, data: Data) -> Iterator[Pitfall]:
    """A column that determines the target, or nearly does: it may be known only after the target is.

    Rows that repeat are looked at once, since all their columns determine the target. That a value is missing can say
    as much as a value.
    """
    pair = distinct.select([name, data.target])
    known, is_null = pair.drop_null(), pc.is_null(pair[name])
    whether = pa.table({name: is_null, data.target: pair[data.target]})
    share = max(strength(known, name, data), strength(whether, name, data) if pc.any(is_null).as_py() else 0)
    if share < 1:
        return
    place, question = f"column '{name}'", "is it known beforehand?"
    if data.task == "regression" and kind_of(pair[name].type) == "date":
        text = f"{place}: rows that are near in time have nearly the same '{data.target}'"
        question = f"prepare.split: time with split_by: {name} scores what is to come"
    else:
        text = f"{place}: determines the target '{data.target}', or nearly so ({len(pair):,} different rows)"
    yield Pitfall(name="leak", column=name, text=f"{text}; {question}")


def strength(known: pa.Table, name: str, data: Data) -> float:
    """How much a column says of the target, as a share of what a leak says: 1 or more for a leak."""
    target = data.target
    if len(known) < LEAST or pc.count_distinct(known[target]).as_py() < 2:
        return 0
    values = pc.count_distinct(known[name]).as_py()
    is_repeating, is_ordered = values <= REPEATED * len(known), kind_of(known[name].type) != "category"
    if data.task == "classification":
        if is_repeating or is_ordered:
            return (guessed if is_repeating else separated_in_order)(known, name, target) / NEARLY
        return 0
    found = [explained(known, name, target) / EXPLAINED] if is_repeating else []
    if is_ordered:
        found += [correlation(known, name, target) ** 2 / LINE]
        found += [] if is_repeating else [smoothness(known, name, target) / SMOOTH]
    return max(found, default=0)


def codes_of(column: pa.ChunkedArray) -> np.ndarray:
    """The place of each value among the distinct ones."""
    return np.from_dlpack(column.combine_chunks().dictionary_encode().indices)


def numbers_of(column: pa.ChunkedArray) -> np.ndarray:
    """Numbers, dates and times of day, as doubles."""
    plain = column.cast(pa.int64()) if kind_of(column.type) in {"date", "time", "boolean"} else column
    return np.from_dlpack(plain.cast(pa.float64(), safe=False).combine_chunks())


def guessed(known: pa.Table, name: str, target: str) -> float:
    """Of the rows that are not of the most frequent class, the share that the column's value gives the class of."""
    values, classes = codes_of(known[name]), codes_of(known[target])
    wrong = len(known) - np.bincount(classes).max()
    return 1 - float(wrong_guesses(values, classes)[0].sum()) / float(wrong)


def separated_in_order(known: pa.Table, name: str, target: str) -> float:
    """1 where each class is one interval of the column's values; each border beyond those costs half a row."""
    values, classes = np.unique(numbers_of(known[name]), return_inverse=True)[1], codes_of(known[target])
    mixed, most = wrong_guesses(values, classes)
    borders = np.count_nonzero(np.diff(most)) - (len(np.unique(most)) - 1)
    wrong = len(known) - np.bincount(classes).max()
    return 1 - float(mixed.sum() + borders / 2) / float(wrong)


def wrong_guesses(values: np.ndarray, classes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each value how many rows are not of its most frequent class, and that class."""
    pairs, counts = np.unique(values.astype(np.int64) * (classes.max() + 1) + classes, return_counts=True)
    order = np.lexsort((counts, pairs // (classes.max() + 1)))
    last = np.append(np.flatnonzero(np.diff(pairs[order] // (classes.max() + 1))), len(order) - 1)
    return np.bincount(values) - counts[order][last], pairs[order][last] % (classes.max() + 1)


def explained(known: pa.Table, name: str, target: str) -> float:
    """The share of the target's variance that lies between the column's values."""
    values, y = codes_of(known[name]), numbers_of(known[target])
    means = np.bincount(values, weights=y) / np.bincount(values)
    return 1 - float(np.var(y - means[values]) / np.var(y))


def correlation(known: pa.Table, name: str, target: str) -> float:
    """Pearson's correlation of a column with the target; 0 where the column is constant."""
    x, y = numbers_of(known[name]), numbers_of(known[target])
    return float(np.corrcoef(x, y)[0, 1]) if np.ptp(x) > 0 else 0.0


def smoothness(known: pa.Table, name: str, target: str) -> float:
    """1 less the share of the target's variance that is left between neighbours in the order of the column.

    It is von Neumann's ratio: about 0 for a column that says nothing of the target, 1 for one of which the target is a
    smooth function.
    """
    y = numbers_of(known[target])[np.argsort(numbers_of(known[name]), kind="stable")]
    return 1 - float(np.mean(np.diff(y) ** 2) / (2 * np.var(y)))


def near_equal(name: str, column: pa.ChunkedArray, target: str) -> Iterator[Pitfall]:
    """Values of a category that differ only in case or blanks, such as 'yes', 'yes ' and 'YES'."""
    if not pa.types.is_string(column.type) or not (name == target or has_few_values(column)):
        return
    counts = {v["values"]: v["counts"] for v in pc.value_counts(column.drop_null()).to_pylist()}
    groups: dict[str, list[str]] = {}
    for value in counts:
        groups.setdefault(folded(value), []).append(value)
    alike = [sorted(values) for values in groups.values() if len(values) > 1]
    if alike:
        shown = "; ".join(", ".join(f"{v!r} ({rows_of(counts[v])})" for v in values) for values in alike[:SHOWN])
        more = f"; and {len(alike) - SHOWN} more" if len(alike) > SHOWN else ""
        place = f"{'target' if name == target else 'column'} '{name}'"
        yield Pitfall(name="near_equal", column=name, text=f"{place}: nearly equal values {shown}{more}; are they one?")


def repeated_rows(train: pa.Table, test: pa.Table) -> Iterator[Pitfall]:
    """Test rows that are training rows too, by which a score measures memory.

    Where the columns have fewer combinations of values than there are rows, rows repeat by nature.
    """
    rows = len(train) + len(test)
    for part in (evenly(train, SAMPLE // 10), train):  # a few rows mostly show that there are combinations enough
        values = [pc.count_distinct(column).as_py() for column in part.columns]
        if prod(max(1, count) for count in values) > rows:
            break
    else:
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
    if again >= AGAIN * tested:
        found = f"{again:,} of {tested:,} test rows occur among the training rows too"
        yield Pitfall(name="repeated_rows", column=None, text=f"{found}; if rows repeat, keep each once")
