"""What makes a score misleading, as far as the table shows it: warnings with names and counts.

They are noted in profile.json and in the manifest, and `data.refuse` turns them into refusals by their names.
"""

import re
from collections import Counter
from collections.abc import Iterator
from math import prod

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeling.checks import Columns, why_left_out
from modeling.reading import Raw, files_of
from modeling.sketches import Overlap
from modeling.spellings import MISSING, as_yaml, folded
from modeling.summary import EXACT, Summary, Survey
from modeling.table import kind_of, stored_columns
from record.notes import Pitfall
from record.parameters import Data, Parameters
from record.problem import rows_of, say

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


def pitfalls_of(
    found: Survey, features: list[str], sample: pa.Table, overlap: Overlap | None, parameters: Parameters
) -> list[Pitfall]:
    """What a person should know before the score is believed.

    `sample` has rows that are kept, with the target and the features that are not free text; `overlap` is None where
    rows repeat by nature.
    """
    columns, data = found.columns, parameters.data
    named = [pitfall for name in features for pitfall in identifiers(name, columns[name])]
    looked_at = {*sample.column_names} - {data.target, *(pitfall.column for pitfall in named)}
    compared = [name for name in sample.column_names if name in {*features, data.target}]
    distinct = sample.select(compared).group_by(compared, use_threads=False).aggregate([])  # each row once
    return [
        *left_out(columns, features, parameters),
        *missing_classes(columns[data.target], data.target),
        *named,
        *(pitfall for name in features for pitfall in large_integers(name, columns[name])),
        *(pitfall for name in features if name in looked_at for pitfall in leaks(name, distinct, data)),
        *(pitfall for name in [*features, data.target] for pitfall in near_equal(name, columns[name], data.target)),
        *(repeated_rows(overlap) if overlap else []),
    ]


def missing_targets(raw: Raw, data: Data) -> Iterator[Pitfall]:
    """Spellings that were read as a missing target, since a class may be called so."""
    for word, count in raw.read_as_missing.items():
        found = f"target '{data.target}': {word!r} in {rows_of(count)} was read as missing"
        text = f"{found}; if it is a class, take it out of data.missing"
        yield Pitfall(name="missing_target", column=data.target, text=text)


def lost_zeros(raw: Raw, data: Data) -> Iterator[Pitfall]:
    """Numbers that were written with leading zeros, as codes are."""
    for name, text in raw.lost_zeros.items():
        if name not in {*data.types, *data.drop}:
            way = f"if it is a code, add {as_yaml(name)}: category to data.types"
            yield Pitfall(
                name="leading_zeros", column=name, text=f"column '{name}': {text!r} is read as {int(text)}; {way}"
            )


def lost_columns(raw: Raw, data: Data) -> Iterator[Pitfall]:
    """Columns that only some files of a folder have. One that only the names of folders have is said."""
    files = files_of(raw.path)
    counts = Counter(name for file in files if len(files) > 1 for name in stored_columns(file).names)
    for name in raw.stored.names:
        if counts and counts[name] < len(files) and name not in data.drop:
            text = f"column '{name}': is not in {len(files) - counts[name]} of {len(files)} files"
            yield Pitfall(name="lost_column", column=name, text=f"{text}; are the names the same in all?")
    inner = "".join(str(file).removeprefix(str(raw.path)) for file in files)
    for name in sorted({*re.findall(r"[/\\]([^/\\=]+)=", inner)} - {*raw.stored.names}):
        say(f"note: {raw.path}: '{name}' is in the names of its folders only, so it is not a column")


def large_integers(name: str, column: Summary) -> Iterator[Pitfall]:
    """Whole numbers that a double does not hold."""
    if pa.types.is_integer(column.type) and column.size > EXACT:
        found = f"column '{name}': holds whole numbers of {column.size:g}, of which near ones are the same to a model"
        text = f"{found}; if it is an identifier, add it to data.drop"
        yield Pitfall(name="large_integers", column=name, text=text)


def left_out(columns: Columns, features: list[str], parameters: Parameters) -> Iterator[Pitfall]:
    """The columns that are not features by rule."""
    for name, column in columns.items():
        if name not in features and name not in parameters.not_features:
            kind, reason = why_left_out(name, column) or ("unusable", "has no value in any training row")
            yield Pitfall(name=kind, column=name, text=f"column '{name}': {reason}, so it is left out")


def missing_classes(column: Summary, target: str) -> Iterator[Pitfall]:
    """Classes that are spelt as a missing value often is."""
    for value, count in column.counts.items() if column.kind == "category" else ():
        if value.strip().casefold() in MISSING:
            found = f"target '{target}': {value!r} is a class of {rows_of(count)}"
            text = f"{found}; if it means missing, add it to data.missing"
            yield Pitfall(name="missing_class", column=target, text=text)


def identifiers(name: str, column: Summary) -> Iterator[Pitfall]:
    """A column that names its row: text that hardly ever comes twice, or a row number."""
    different, text = column.distinct, ""
    is_unique = different.count >= (1 - different.error) * column.known
    if column.known >= 3 and column.kind == "category":
        if different.count >= ALIKE * column.known and column.mean_words < WORDS:
            some = f"{different.count:,} of {column.known:,} values are"
            shown = "every value is" if is_unique and not different.error else some
            text = f"column '{name}': {shown} different; if it is an identifier, add it to data.drop"
    elif column.known >= 3 and pa.types.is_integer(column.type) and not column.missing:
        is_dense = column.least in {0, 1} and column.greatest - column.least + 1 < 1.1 * column.rows
        if is_dense and is_unique:
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


def near_equal(name: str, column: Summary, target: str) -> Iterator[Pitfall]:
    """Values of a category that differ only in case or blanks, such as 'yes', 'yes ' and 'YES'."""
    if column.kind != "category" or not (name == target or column.has_few_values):
        return
    counts = dict(column.counts.items())
    groups: dict[str, list[str]] = {}
    for value in counts:
        groups.setdefault(folded(value), []).append(value)
    alike = [sorted(values) for values in groups.values() if len(values) > 1]
    if alike:
        shown = "; ".join(", ".join(f"{v!r} ({rows_of(counts[v])})" for v in values) for values in alike[:SHOWN])
        more = f"; and {len(alike) - SHOWN} more" if len(alike) > SHOWN else ""
        place = f"{'target' if name == target else 'column'} '{name}'"
        yield Pitfall(name="near_equal", column=name, text=f"{place}: nearly equal values {shown}{more}; are they one?")


def compared_columns(found: Survey, features: list[str], target: str) -> list[str]:
    """The columns by which a row of the test is one of the training part too; none where rows repeat by nature.

    That is so where the columns have fewer combinations of values than there are rows.
    """
    names = [*(name for name in features if not any(identifiers(name, found.columns[name]))), target]
    return names if prod(max(1, found.columns[name].distinct.count) for name in names) > found.kept else []


def repeated_rows(overlap: Overlap) -> Iterator[Pitfall]:
    """Test rows that are training rows too, by which a score measures memory."""
    if overlap.share >= AGAIN:
        again, about = round(overlap.share * overlap.tested), "" if overlap.is_exact else "about "
        found = f"{about}{again:,} of {overlap.tested:,} test rows occur among the training rows too"
        yield Pitfall(name="repeated_rows", column=None, text=f"{found}; if rows repeat, keep each once")
