"""A prepared table that stays in its file: read in batches of a fixed size, in one order or another, or by row numbers.

What has to be decided before the batches come (kinds of columns, classes, medians) is decided by a sample of the rows.
Neither the sample nor the batches depend on how the file is divided into row groups.
"""

from collections import Counter
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from modeling.table import BATCH, FEW, ROW_GROUP, in_runs, kind_of, normalise, readable, schema_of, stored_batches
from record.parameters import Parameters
from record.problem import Problem, progress

SAMPLE_ROWS = 50_000  # in equal steps; the median of so many is that of all to within 1 % of the ranks
CLASS_ROWS = 50  # of each class, however rare, that are in the sample
Numbered = Iterator[tuple[np.ndarray, pa.Table]]  # rows with their numbers in the table


class Stored:
    """The rows of a Parquet file, of which a batch or a row group is held at a time."""

    def __init__(self, path: Path, parameters: Parameters) -> None:
        self.path, self.parameters = path, parameters
        self.schema = schema_of(path)
        self.column_names: list[str] = self.schema.names
        self.rows: int = pq.read_metadata(path).num_rows
        if not self.rows:
            raise Problem(f"{path}: expected rows, found only column names")

    def __len__(self) -> int:
        """How many rows there are."""
        return self.rows

    def chunks(self, name: str) -> Iterator[pa.ChunkedArray]:
        """One column in the order of the table; no other is read."""
        return (rows[name] for _, rows in self._in_order([name]))

    def batches(self, most: int, seed: list[int] | None = None, columns: list[str] | None = None) -> Numbered:
        """All rows in batches of this size, but for the last: as they are, or shuffled by the seed.

        What is shuffled are blocks of `ROW_GROUP` rows, and the rows within each.
        """
        blocks = self._in_order(columns) if seed is None else self._shuffled(seed)
        numbered = (rows.append_column("number", pa.array(numbers)) for numbers, rows in blocks)
        for rows in in_runs(numbered, most):
            last = rows.num_columns - 1  # by its place, since a column of the table may have the name
            yield rows.column(last).to_numpy(), rows.remove_column(last)

    def at(self, numbers: np.ndarray, columns: list[str] | None = None) -> Iterator[pa.Table]:
        """The rows of these numbers, which ascend, in batches."""
        for these, rows in self._in_order(columns):
            first, last = np.searchsorted(numbers, [these[0], these[-1] + 1])
            if last > first:
                yield rows.take(pa.array(numbers[first:last] - these[0]))

    def take(self, numbers: Iterable[int], columns: list[str] | None = None) -> pa.Table:
        """The rows of these numbers, which ascend, as a table."""
        return pa.concat_tables(self.at(np.fromiter(numbers, int), columns)).combine_chunks()

    @cached_property
    def sampled(self) -> np.ndarray:
        """The numbers of the rows of the sample.

        Beside rows in equal steps, it has the first row of each value that a column of few values has, or of the first
        values of others, so that it is judged as the whole table would be: kinds, classes, what is missing or infinite.
        """
        found, target = {*evenly(len(self), SAMPLE_ROWS)}, self.parameters.data.target
        least = max(CLASS_ROWS, self.parameters.train.folds)
        usable = [field.name for field in self.schema if kind_of(field.type)]
        asked = usable if len(found) < len(self) else []
        for name in progress(asked, "choosing a sample", " columns", len(asked)):
            found |= first_rows(self.chunks(name), max(FEW, self.parameters.train.folds) + 1, 1)
            if name == target and self.parameters.data.task == "classification":
                found |= first_rows(self.chunks(name), len(self), least)
        return np.array(sorted(found))

    @cached_property
    def sample(self) -> pa.Table:
        """The sample, in the order of the table."""
        return self.take(self.sampled)

    def _in_order(self, columns: list[str] | None) -> Numbered:
        start = 0
        with readable(self.path):
            for stored in stored_batches(self.path, BATCH, columns):
                stored.validate(full=True)
                yield np.arange(start, start + len(stored)), normalise(stored)
                start += len(stored)

    def _shuffled(self, seed: list[int]) -> Numbered:
        random = np.random.default_rng(seed)
        with readable(self.path), pq.ParquetFile(self.path, page_checksum_verification=True, pre_buffer=False) as file:
            sizes = [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)]
            ends = np.cumsum(sizes)
            for block in random.permutation(-(-self.rows // ROW_GROUP)):
                start, stop = block * ROW_GROUP, min((block + 1) * ROW_GROUP, self.rows)
                first, last = np.searchsorted(ends, [start, stop - 1], side="right")
                stored = file.read_row_groups([*range(first, last + 1)], use_threads=False)
                stored = stored.slice(start - (ends[first] - sizes[first]), stop - start)
                order = random.permutation(stop - start)
                yield start + order, normalise(stored.take(pa.array(order)))


def in_memory(part: pa.Table | Stored) -> pa.Table:
    """What is known of a part beforehand: all of its rows, or the sample of those that stay in their file."""
    return part.sample if isinstance(part, Stored) else part


def first_rows(chunks: Iterable[pa.ChunkedArray], most: int, each: int) -> set[int]:
    """The numbers of the first rows, so many of each, of the first different values; and of the first odd ones."""
    start, counts, found, odd = 0, Counter[object](), set(), set()
    for chunk in chunks:
        if len(counts) < most:
            encoded = chunk.combine_chunks().dictionary_encode(null_encoding="encode")
            codes = encoded.indices.to_numpy()
            order = np.argsort(codes, kind="stable")
            bounds = np.searchsorted(codes[order], np.arange(len(encoded.dictionary) + 1))
            for code, value in enumerate(encoded.dictionary[:most].to_pylist()):
                rows = order[bounds[code] : bounds[code + 1]][: each - counts[value]]
                found |= {*(start + rows).tolist()}
                counts[value] += len(rows)
        odd |= {start + row for mask in _odd(chunk) if (row := pc.index(mask, pa.scalar(value=True)).as_py()) >= 0}
        start += len(chunk)
    return found | {*sorted(odd)[:1]}


def _odd(chunk: pa.ChunkedArray) -> Iterator[pa.ChunkedArray]:
    yield chunk.is_null()
    if pa.types.is_floating(chunk.type):
        yield pc.is_inf(chunk)


def evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, in equal steps, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]
