"""What is kept of rows that went by, where all of them would not fit: distinct values, a sample, repetitions.

Each takes the rows in batches of any size and gives the same whatever the size is, since hashes decide.
"""

import tempfile
from collections.abc import Iterator
from hashlib import blake2b
from typing import IO, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeling.table import kind_of, to_mask

EXACT = 1 << 16  # distinct values that are counted; more are estimated, with a standard error of 1 / √EXACT
MOST_HASHES = 1 << 20  # of the rows in which repetitions are looked for, once there are more
PARTITIONS, SHIFT = 64, np.uint64(58)  # files by the first bits of a hash, of which one is in memory at a time
LARGEST = np.uint64(np.iinfo(np.uint64).max)
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
MISSING = np.uint64(0x6A09E667F3BCC909)  # stands for a missing value


def mixed(numbers: np.ndarray) -> np.ndarray:
    """Each 64-bit number as another in which every bit depends on every bit: the end of SplitMix64."""
    found = numbers + GOLDEN
    found = (found ^ (found >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    found = (found ^ (found >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(found ^ (found >> np.uint64(31)))


def hashes_of(column: pa.Array) -> np.ndarray:
    """A 64-bit hash for each value of a column, the same for the same values on every machine."""
    if kind_of(column.type) == "category":
        encoded = column.dictionary_encode()
        digests = (blake2b(value.encode(), digest_size=8).digest() for value in encoded.dictionary.to_pylist())
        of_values = np.append(np.frombuffer(b"".join(digests), "<u8"), MISSING)
        return np.asarray(of_values[np.from_dlpack(encoded.indices.fill_null(len(of_values) - 1))])
    if pa.types.is_null(column.type):
        return np.full(len(column), MISSING)
    if pa.types.is_floating(column.type):
        known = pc.add(pc.fill_null(column.cast(pa.float64()), 0.0), 0.0)  # one zero, not two
        numbers = np.from_dlpack(known)
    else:
        numbers = np.from_dlpack(pc.fill_null(column.cast(pa.int64(), safe=False), 0))
    found = mixed(numbers.view(np.uint64))
    if column.null_count:
        found[np.from_dlpack(column.is_null().cast(pa.uint8())).view(bool)] = MISSING
    return found


def row_hashes(table: pa.Table) -> np.ndarray:
    """A 64-bit hash for each row; the names of the columns do not matter, their order does."""
    found = np.zeros(len(table), np.uint64)
    for column in table.columns:
        found = mixed(found ^ hashes_of(column.combine_chunks()))
    return found


class Distinct:
    """How many different values there are: the least of their hashes tell (Bar-Yossef et al., 2002)."""

    def __init__(self) -> None:
        self.limit, self.hashes = LARGEST, [np.empty(0, np.uint64)]

    def add(self, values: pa.Array) -> None:
        """Look at different values of some rows."""
        hashes = hashes_of(values)
        self.hashes.append(hashes[hashes <= self.limit])
        if sum(map(len, self.hashes)) > 2 * EXACT:
            self._merge()

    def _merge(self) -> None:
        ordered = np.sort(np.concatenate(self.hashes))  # much faster than np.unique, which hashes
        least = ordered[np.append(ordered[:1] == ordered[:1], ordered[1:] != ordered[:-1])][:EXACT]
        self.limit, self.hashes = least[-1] if len(least) == EXACT else LARGEST, [least]

    @property
    def count(self) -> int:
        """The number, to three digits where it is an estimate."""
        self._merge()
        if not self.error:
            return len(self.hashes[0])
        return int(float(f"{(EXACT - 1) / (float(self.limit) / 2**64):.3g}"))

    @property
    def error(self) -> float:
        """How far the number may be off, as a share of it."""
        return 0 if self.limit == LARGEST else 0.02


class Counts:
    """How many rows there are of each value, as long as there are not more values than wanted."""

    def __init__(self, most: int) -> None:
        self.most, self.is_complete = most, most > 0
        self.parts: list[pa.Table] = []

    def add(self, values: pa.Array, counts: pa.Array) -> None:
        """Add rows of different values."""
        if self.is_complete and len(values):
            self.parts.append(pa.table({"values": values, "counts": counts}))
            if sum(map(len, self.parts)) > 2 * max(len(self.parts[0]), EXACT):
                self._merge()

    def _merge(self) -> None:
        if len(self.parts) > 1:
            every = pa.concat_tables(self.parts).group_by("values", use_threads=False).aggregate([("counts", "sum")])
            self.parts = [every.rename_columns(["values", "counts"])]
        if self.parts and len(self.parts[0]) > self.most:
            self.is_complete, self.parts = False, []

    @property
    def table(self) -> pa.Table | None:
        """The columns `values` and `counts`, in the order of the rows; None where values were too many, or none."""
        self._merge()
        return self.parts[0] if self.parts else None

    def items(self) -> list[tuple[Any, int]]:
        """The values with their numbers of rows; nothing where they were too many."""
        found = self.table
        return [] if found is None else [(row["values"], row["counts"]) for row in found.to_pylist()]


class Sample:
    """A sample of rows, drawn by the hash of their number; all rows of a table that is no longer than the sample."""

    def __init__(self, most: int) -> None:
        self.most, self.seen, self.limit = most, 0, LARGEST
        self.parts: list[pa.Table] = []
        self.hashes: list[np.ndarray] = []

    def add(self, rows: pa.Table) -> None:
        """Look at the rows that come next."""
        hashes = mixed(np.arange(self.seen, self.seen + len(rows), dtype=np.uint64))
        self.seen += len(rows)
        is_low = hashes <= self.limit
        self.parts.append(rows.filter(to_mask(is_low)))
        self.hashes.append(hashes[is_low])
        if sum(map(len, self.hashes)) > 1.2 * self.most:
            self._drop()

    def _drop(self) -> None:
        hashes = np.concatenate(self.hashes)
        if len(hashes) > self.most:
            self.limit = np.partition(hashes, self.most - 1)[self.most - 1]
        is_low = hashes <= self.limit
        self.parts = [pa.concat_tables(self.parts).filter(to_mask(is_low)).combine_chunks()]
        self.hashes = [hashes[is_low]]

    @property
    def table(self) -> pa.Table:
        """The sample, in the order of the rows."""
        self._drop()
        return self.parts[0]


class Overlap:
    """How many rows of the test are rows of the training part too, by the hashes of rows; of many rows, of a share."""

    def __init__(self) -> None:
        self.limit, self.tested = LARGEST, 0
        self.train = self.test = np.empty(0, np.uint64)

    def add(self, hashes: np.ndarray, is_test: np.ndarray) -> None:
        """Look at rows of both parts."""
        self.tested += int(is_test.sum())
        is_low = hashes <= self.limit
        self.train = np.concatenate([self.train, hashes[is_low & ~is_test]])
        self.test = np.concatenate([self.test, hashes[is_low & is_test]])
        while len(self.train) + len(self.test) > MOST_HASHES:
            self.limit //= np.uint64(2)
            self.train, self.test = (part[part <= self.limit] for part in (self.train, self.test))

    @property
    def is_exact(self) -> bool:
        """Whether all rows were compared."""
        return bool(self.limit == LARGEST)

    @property
    def share(self) -> float:
        """The share of the test rows that occur among the training rows."""
        train = np.sort(self.train)
        places = np.searchsorted(train, self.test)
        return float((train.take(places, mode="clip") == self.test).mean()) if len(self.test) else 0.0


class Repeats:
    """Which rows have the values of an earlier row, exactly but for hashes that happen to be equal: 1 in 2⁶⁴ pairs.

    Very many hashes are kept in files, by their first bits, of which one at a time is read again.
    """

    def __init__(self) -> None:
        self.pairs: list[np.ndarray] = []  # of a hash and the number of its row
        self.files: list[IO[bytes]] = []

    def add(self, hashes: np.ndarray, rows: np.ndarray) -> None:
        """Look at the rows with these numbers."""
        self.pairs.append(np.column_stack([hashes, rows.astype(np.uint64)]))
        if sum(map(len, self.pairs)) > MOST_HASHES:
            self._spill()

    def _spill(self) -> None:
        self.files = self.files or [tempfile.TemporaryFile() for _ in range(PARTITIONS)]  # noqa: SIM115 - see `found`
        pairs = np.concatenate([np.empty((0, 2), np.uint64), *self.pairs])
        for place, file in enumerate(self.files):
            file.write(pairs[pairs[:, 0] >> SHIFT == place].tobytes())
        self.pairs = []

    def found(self, most: int) -> tuple[int, list[int]]:
        """How many rows repeat an earlier one, and the numbers of the first."""
        count, first = 0, np.empty(0, np.uint64)
        for hashes, rows in self._partitions():
            order = np.lexsort((rows, hashes))
            again = rows[order[1:][np.diff(hashes[order]) == 0]]
            count, first = count + len(again), np.sort(np.concatenate([first, again]))[:most]
        return count, [int(row) for row in first]

    def _partitions(self) -> Iterator[np.ndarray]:
        if not self.files:
            yield np.concatenate([np.empty((0, 2), np.uint64), *self.pairs]).T
            return
        self._spill()
        for file in self.files:
            with file:
                file.seek(0)
                yield np.frombuffer(file.read(), np.uint64).reshape(-1, 2).T
