"""A table as scikit-learn takes it: a pandas frame of features, and the target as an array."""

import numpy as np
import pandas as pd
import pyarrow as pa

from table import kind_of


def to_frame(table: pa.Table) -> pd.DataFrame:
    """The table as a fitted Pipeline takes it: numbers as double, text and booleans as objects, missing as NaN."""
    frame = pd.DataFrame(index=pd.RangeIndex(len(table)))
    for field in table.schema:
        column = table[field.name]
        if kind_of(field.type) == "number":
            frame[field.name] = column.cast(pa.float64(), safe=False).to_numpy()
        else:
            frame[field.name] = pd.Series(column.to_pylist(), dtype=object).where(
                column.is_valid().to_numpy(), float("nan")
            )
    return frame


def to_target(column: pa.ChunkedArray) -> np.ndarray:
    """The target as scikit-learn takes it: numbers and booleans as such, text as objects."""
    return np.asarray(column.to_pylist(), dtype=object) if kind_of(column.type) == "text" else column.to_numpy()
