"""What makes a score misleading: warnings with names and counts, noted in profile.json and in the manifest."""

from collections.abc import Iterator

import pyarrow as pa
import pyarrow.compute as pc

from modeling.table import kind_of
from record.parameters import Data

INDEX_NAMES = {"", "Unnamed: 0", "__index_level_0__"}  # which pandas gives to the index of a frame
FEW = 0.5  # a text column with more distinct values than this share of its rows is not compared value by value
REPEATED = 0.2  # a column with more distinct values than this share of its rows determines the target by chance
SHOWN = 3  # of what is named


def is_index(name: str, data: Data) -> bool:
    """Whether a column is the index of a pandas frame, which is left out unless it is the target."""
    return name in INDEX_NAMES and name != data.target


def warnings_of(table: pa.Table, train: pa.Table, test: pa.Table, data: Data) -> list[str]:
    """All that a person should know before the score is believed; `table` is raw, the parts are of what was kept."""
    kept = pa.concat_tables([train, test])
    features = [name for name in kept.column_names if name != data.target]
    return [
        *left_out(table, data),
        *(line for name in features for line in identifiers(name, kept[name])),
        *(line for name in features for line in leaks(name, kept, data)),
        *(line for name in kept.column_names for line in near_equal(name, kept[name], data)),
        *repeated_rows(train, test),
    ]


def left_out(table: pa.Table, data: Data) -> Iterator[str]:
    """The columns that are not features by rule."""
    for name in table.column_names:
        if is_index(name, data) and name not in data.drop:
            yield f"column '{name}': is the index of a pandas frame, so it is left out"


def identifiers(name: str, column: pa.ChunkedArray) -> Iterator[str]:
    """A column that names its row: text that never comes twice, or a row number."""
    values = column.drop_null()
    if len(values) < 3:
        return
    if pa.types.is_string(column.type) and pc.count_distinct(values).as_py() == len(values):
        yield f"column '{name}': every value is different; if it is an identifier, add it to data.drop"
    elif pa.types.is_integer(column.type) and column.null_count == 0:
        steps = pc.pairwise_diff(pc.take(values, pc.sort_indices(values)).combine_chunks())
        first, last = pc.min(values).as_py(), pc.max(values).as_py()
        if first in {0, 1} and last - first < 1.1 * len(values) and pc.min(steps.drop_null()).as_py() >= 1:
            yield f"column '{name}': counts the rows; if it is a row number, add it to data.drop"


def leaks(name: str, kept: pa.Table, data: Data) -> Iterator[str]:
    """A column that determines the target: each of its values comes with one value of the target."""
    known = kept.select([name, data.target]).drop_null()
    values, pairs = pc.count_distinct(known[name]).as_py(), known.group_by([name, data.target]).aggregate([])
    targets = pc.count_distinct(known[data.target]).as_py()
    is_regression = data.task == "regression"
    if (
        is_regression
        and kind_of(known[name].type) == "number"
        and len(known) > 2
        and _is_line(known, name, data.target)
    ):
        yield f"column '{name}': determines the target '{data.target}', as a straight line of it; known beforehand?"
    elif not is_regression and 1 < values <= REPEATED * len(known) and len(pairs) == values >= targets > 1:
        yield f"column '{name}': determines the target '{data.target}' in all {len(known):,} rows; known beforehand?"


def _is_line(known: pa.Table, name: str, target: str) -> bool:
    """Whether the target is a straight line of a column, by Pearson's correlation."""
    x, y = (pc.cast(known[column], pa.float64(), safe=False) for column in (name, target))
    spread = pc.multiply(pc.stddev(x), pc.stddev(y)).as_py()
    if not spread:
        return False
    covariance = pc.subtract(pc.mean(pc.multiply(x, y)), pc.multiply(pc.mean(x), pc.mean(y))).as_py()
    return bool(abs(covariance / spread) > 1 - 1e-9)


def near_equal(name: str, column: pa.ChunkedArray, data: Data) -> Iterator[str]:
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
        yield f"{'target' if name == data.target else 'column'} '{name}': nearly equal values {shown}; are they one?"


def repeated_rows(train: pa.Table, test: pa.Table) -> Iterator[str]:
    """Test rows that are training rows too, by which a score measures memory."""
    seen = train.group_by(train.column_names).aggregate([])
    rows = test.append_column("n", pa.array([1] * len(test), pa.int64())).group_by(test.column_names)
    both = pa.concat_tables(
        [
            rows.aggregate([("n", "sum")]).rename_columns([*test.column_names, "n"]),
            seen.append_column("n", pa.array([0] * len(seen), pa.int64())),
        ]
    )
    counted = both.group_by(test.column_names).aggregate([("n", "sum"), ("n", "count")])
    again = pc.sum(counted.filter(pc.equal(counted["n_count"], 2))["n_sum"]).as_py() or 0
    if again:
        yield f"{again:,} of {len(test):,} test rows occur among the training rows too; if rows repeat, keep each once"
