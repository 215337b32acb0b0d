"""What is kept of rows that went by is the same whatever the batches, and exact while there are few of them."""

from itertools import pairwise

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from modeling import sketches
from modeling.sketches import Counts, Distinct, Overlap, Repeats, Sample, hashes_of, row_hashes

VALUES = [None, "a", "b", "", "é", "a\x00"]
COLUMNS = {
    "text": (pa.string(), VALUES),
    "number": (pa.float64(), [None, 0.0, 1.5, -1.5, 1e300]),
    "integer": (pa.int64(), [None, 0, 1, -1, 2**62]),
    "boolean": (pa.bool_(), [None, True, False]),
    "date": (pa.timestamp("us"), [None, 0, 1]),
}


@pytest.mark.parametrize("kind", COLUMNS)
def test_equal_values_have_equal_hashes_and_others_have_others(kind: str) -> None:
    column_type, values = COLUMNS[kind]
    column = pa.array(values, column_type)

    assert len({*hashes_of(column).tolist()}) == len(values)
    assert hashes_of(column.take(pa.array([1, 0, 1]))).tolist() == hashes_of(column)[[1, 0, 1]].tolist()


def test_zero_has_one_hash_and_the_hash_of_text_is_the_same_in_every_process() -> None:
    assert hashes_of(pa.array([0.0])) == hashes_of(pa.array([-0.0]))
    assert hex(hashes_of(pa.array(["penguin"]))[0]) == "0x27497b1038a06a06"


@given(st.lists(st.tuples(st.sampled_from(VALUES), st.integers(0, 3) | st.none()), max_size=30))
def test_rows_have_equal_hashes_exactly_where_they_are_equal(rows: list[tuple]) -> None:
    table = pa.table(
        {"a": pa.array([row[0] for row in rows], pa.string()), "b": pa.array([row[1] for row in rows], pa.int64())}
    )
    hashes = row_hashes(table).tolist()

    assert len({*zip(hashes, rows, strict=True)}) == len({*hashes}) == len({*rows})


@pytest.mark.parametrize("values", [10, 1 << 16, 300_000])
@pytest.mark.parametrize("batch", [1000, 70_000])
def test_distinct_values_are_counted_or_estimated_within_the_error(values: int, batch: int) -> None:
    column = pa.array(np.random.default_rng(0).permutation(np.arange(2 * values) % values))
    distinct = Distinct()
    for start in range(0, len(column), max(batch, values // 10)):
        distinct.add(column.slice(start, max(batch, values // 10)).unique())

    assert abs(distinct.count - values) <= distinct.error * values
    assert (distinct.error == 0) == (values < sketches.EXACT)


def test_values_are_counted_until_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sketches, "EXACT", 2)
    few, many = Counts(3), Counts(2)
    for counts in (few, many):
        for word in ("b", "a", "b", "c", "b", "a", "c"):
            counts.add(pa.array([word]), pa.array([2]))

    assert few.items() == [("b", 6), ("a", 4), ("c", 4)]
    assert (many.items(), many.is_complete) == ([], False)


@pytest.mark.parametrize("batch", [7, 100, 1000])
def test_a_sample_is_all_rows_or_the_same_ones_whatever_the_batches_in_their_order(batch: int) -> None:
    table = pa.table({"row": range(1000)})
    samples = {most: Sample(most) for most in (40, 1000)}
    for start in range(0, len(table), batch):
        for sample in samples.values():
            sample.add(table.slice(start, batch))
    some = samples[40].table["row"].to_pylist()

    assert samples[1000].table.equals(table)
    assert (len(some), sum(some)) == (40, 19_945)
    assert all(one < other for one, other in pairwise(some))


@pytest.mark.parametrize("most", [1 << 20, 2000])
def test_the_rows_of_one_part_that_are_in_the_other_are_counted_or_estimated(
    monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(sketches, "MOST_HASHES", most)
    rows = pa.table({"x": [*range(20_000), *range(17_500, 22_500)]})
    is_test, overlap = np.arange(25_000) >= 20_000, Overlap()
    for start in range(0, 25_000, 3000):
        overlap.add(row_hashes(rows.slice(start, 3000)), is_test[start : start + 3000])

    assert overlap.tested == 5000
    assert overlap.share == pytest.approx(0.5, abs=0 if overlap.is_exact else 0.1)
    assert overlap.is_exact == (most > 2000)


@pytest.mark.parametrize("most", [1 << 20, 5])
@given(values=st.lists(st.integers(0, 9), max_size=40))
def test_every_row_that_repeats_an_earlier_one_is_found_in_memory_as_in_files(most: int, values: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sketches, "MOST_HASHES", most)
        repeats = Repeats()
        for row, value in enumerate(values):
            repeats.add(hashes_of(pa.array([value])), np.array([row]))
        again = [row for row, value in enumerate(values) if value in values[:row]]

        assert repeats.found(3) == (len(again), again[:3])
