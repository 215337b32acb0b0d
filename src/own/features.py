"""Features of your own: transformers that `train.features` in params.yaml applies to the raw columns.

Each takes and returns a data frame with the same rows, in which missing values are NaN. It may learn from the training
rows in `fit`; `transform` must give a row the same values whether it comes alone or among others.
"""

from typing import Self

import pandas as pd
from sklearn.base import BaseEstimator, TransformerMixin


class Ratio(TransformerMixin, BaseEstimator):
    """One column divided by another, as one more column; missing where either is, or where the divisor is 0."""

    def __init__(self, of: str, to: str, name: str | None = None) -> None:
        self.of = of
        self.to = to
        self.name = name  # `<of>_per_<to>` if it is not given

    def fit(self, frame: pd.DataFrame, target: object = None) -> Self:  # noqa: ARG002 - scikit-learn passes both
        """Learn nothing, but name a column that is not there."""
        if unknown := sorted({self.of, self.to} - {*frame.columns}):
            raise ValueError(f"no column {', '.join(unknown)}; known: {', '.join(frame.columns)}")
        return self

    def transform(self, frame: pd.DataFrame) -> pd.DataFrame:
        """The same columns, and the ratio."""
        divisor = frame[self.to].where(frame[self.to] != 0)
        return frame.assign(**{self.name or f"{self.of}_per_{self.to}": frame[self.of] / divisor})
