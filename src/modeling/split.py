"""The split: which rows are kept for the test. The seed, the share and the rows decide it, and no library's version."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from record.parameters import Parameters
from record.problem import Problem


def split(table: pa.Table, parameters: Parameters) -> tuple[pa.Table, pa.Table]:
    """Divide the rows into a training and a test part, each in the order of the table.

    The rows are shuffled and, for a classification, sorted by class; then every (1 / share)-th of them is taken. So
    each class has its share of both parts, to within one row.
    """
    data, settings = parameters.data, parameters.prepare
    rows, is_classification = len(table), data.task == "classification"
    classes, codes = classes_of(table[data.target]) if is_classification else (pa.nulls(1), np.zeros(rows, dtype=int))
    shuffled = np.random.default_rng(settings.seed).permutation(rows)
    ordered = shuffled[np.argsort(codes[shuffled], kind="stable")]
    taken_before = np.floor(np.arange(rows + 1) * settings.test_size + 0.5)
    is_test = np.zeros(rows, dtype=bool)
    is_test[ordered[np.diff(taken_before) > 0]] = True

    least = 1 if is_classification else 2  # the rows that a score takes: one of each class, or two numbers
    in_parts = [np.bincount(codes[part], minlength=len(classes)) for part in (is_test, ~is_test)]
    if (lacking := np.flatnonzero(np.minimum(*in_parts) < least)).size:
        few = f"{len(lacking)} of {len(classes)} classes, such as {classes[int(lacking[0])].as_py()!r}"
        without = f"without {few}" if is_classification else f"with fewer than {least} rows"
        place = f"params.yaml: prepare.test_size: {settings.test_size}"
        raise Problem(f"{place} of {rows} rows leaves a part {without}; change it")
    return table.filter(to_mask(~is_test)), table.filter(to_mask(is_test))


def classes_of(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The distinct values in ascending order, and for each row the place of its value among them."""
    encoded = column.combine_chunks().dictionary_encode()
    ascending = pc.sort_indices(encoded.dictionary)
    # From DLPack, since `to_numpy`, as `pa.array` below, would import pandas for nothing.
    return encoded.dictionary.take(ascending), np.argsort(np.from_dlpack(ascending))[np.from_dlpack(encoded.indices)]


def to_mask(rows: np.ndarray) -> pa.BooleanArray:
    """A NumPy mask as an Arrow mask."""
    bits = pa.py_buffer(np.packbits(rows, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(rows), [None, bits])
