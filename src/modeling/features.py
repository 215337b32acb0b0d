"""The features: how the raw columns become the numbers that an estimator takes.

A column is used by its kind. Numbers: missing ones become the median, then mean 0 and variance 1. Booleans and
categories of few values: one-hot, a missing value as one of its own. Categories of many values: the mean of the target
for each value (for each class, the share), learned on other rows than it is used on. Dates: year, month, day, hour and
weekday, the last four as points on a circle, and the seconds since 1970. Times of day: splines that meet at midnight.
Free text: its n-grams of letters, brought down to few numbers.

Before all that come the transformers of `train.features`: a data frame of the raw columns in, a data frame out, whose
columns then are used by their kinds.
"""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pandas as pd
import pyarrow as pa
from sklearn.base import BaseEstimator, clone
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler, TargetEncoder

from modeling.table import feature_names, features_and_target, has_few_values, kinds_of, normalise, problems_of_column
from record.parameters import Parameters
from record.problem import Problem, in_one_line, refuse_if

COMPONENTS = 30  # numbers that free text becomes
DAY = 24 * 60 * 60  # seconds
ENCODER_FOLDS = 5  # so that the mean of a row's target is learned on other rows
KNOTS = 7  # of the splines of a time of day: every four hours


def build_preprocessing(table: pa.Table, parameters: Parameters) -> ColumnTransformer:
    """The unfitted transformers of the columns of a training table, which holds the features alone."""
    kinds, seed = kinds_of(table, parameters.data), parameters.train.seed
    few = [name for name in kinds if kinds[name] in {"boolean", "category"} and has_few_values(table[name])]
    many = [name for name in kinds if kinds[name] == "category" and name not in few]
    of_kind = {kind: [name for name in kinds if kinds[name] == kind] for kind in ("number", "time", "date", "text")}
    task = parameters.data.task
    steps = [
        ("numbers", _scaled(), of_kind["number"]),
        ("categories", OneHotEncoder(handle_unknown="ignore", sparse_output=False), few),
        ("many_valued", _target_means(task, seed), many),
        ("times", _splines(len(of_kind["time"])), of_kind["time"]),
        *((f"date_{name}", _calendar(), name) for name in of_kind["date"]),
        *((f"text_{name}", _n_grams(len(table), seed), name) for name in of_kind["text"]),
    ]
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)


def encoded_columns(preprocessing: ColumnTransformer) -> dict[str, slice]:
    """Where each column is among those that the fitted transformers make of it."""
    found: dict[str, slice] = {}
    for step, fitted, columns in preprocessing.transformers_:
        names, place = [columns] if isinstance(columns, str) else columns, preprocessing.output_indices_[step]
        widths = [(place.stop - place.start) // len(names)] * len(names)
        if isinstance(fitted, OneHotEncoder):
            widths = [len(values) for values in fitted.categories_]
        ends = np.cumsum([place.start, *widths]).tolist()
        found |= {name: slice(*limits) for name, limits in zip(names, pairwise(ends), strict=True)}
    return found


def _scaled(*before: tuple[str, BaseEstimator]) -> Pipeline:
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([*before, ("impute", impute), ("scale", StandardScaler())])


def _target_means(task: str, seed: int) -> TargetEncoder:
    if task == "regression":
        return TargetEncoder(target_type="continuous", cv=KFold(ENCODER_FOLDS, shuffle=True, random_state=seed))
    return TargetEncoder(cv=StratifiedKFold(ENCODER_FOLDS, shuffle=True, random_state=seed))


def _splines(columns: int) -> SplineTransformer:
    knots = np.repeat(np.linspace(0, DAY, KNOTS)[:, None], columns, axis=1)
    return SplineTransformer(knots=knots, extrapolation="periodic", handle_missing="zeros")


def _calendar() -> Pipeline:
    from skrub import DatetimeEncoder  # noqa: PLC0415 - half a second, for tables with dates alone

    return _scaled(("encode", DatetimeEncoder(add_weekday=True, periodic_encoding="circular")))


def _n_grams(rows: int, seed: int) -> BaseEstimator:
    from skrub import StringEncoder  # noqa: PLC0415 - half a second, for tables with free text alone

    return StringEncoder(n_components=min(COMPONENTS, max(2, rows // 10)), random_state=seed)


def with_own_features(own: list[tuple[str, BaseEstimator]], table: pa.Table, parameters: Parameters) -> pa.Table:
    """The features of a training table after the own transformers; a column that none of them changed keeps its kind.

    Raises:
        Problem: when one of them fails, or does not give each row, alone or among others, values that can be used.
    """
    features = table.select(feature_names(table, parameters))
    if not own:
        return features
    raw, target = features_and_target(table, parameters)
    frame, found = raw, features
    for k, (_, transformer) in enumerate(own):
        place = f"params.yaml: train.features.{k}: {type(transformer).__name__}"
        frame = _transformed(transformer, frame, target, place)
        found = _as_table(frame, place)
    same = [name for name in features.column_names if name in frame and frame[name].equals(raw[name])]
    return pa.table({name: (features if name in same else found)[name] for name in found.column_names})


def _transformed(transformer: BaseEstimator, frame: pd.DataFrame, target: np.ndarray, place: str) -> pd.DataFrame:
    given = frame.copy()
    try:
        fitted = clone(transformer)
        made = fitted.fit_transform(given, target)
        whole, *parts = (fitted.transform(frame.iloc[rows].copy()) for rows in _batches(len(frame)))
    except Exception as error:
        raise Problem(f"{place}: fails on the training table: {in_one_line(error)}") from error
    expected = f"{place}: expected a data frame with the {len(frame)} rows that it was given"
    if not isinstance(made, pd.DataFrame):
        raise Problem(f"{expected}, found a {type(made).__name__}; return one from transform")
    if len(made) != len(frame):
        raise Problem(f"{expected}, found {len(made)}; keep every row, and leave values missing instead")
    if not given.equals(frame):
        raise Problem(f"{place}: changes the data frame that it is given; let it change a copy")
    if not all(_same(part, whole.iloc[rows]) for part, rows in zip(parts, _batches(len(frame))[1:], strict=True)):
        raise Problem(f"{place}: gives a row other values alone than among others; learn in fit what transform needs")
    return made


def _batches(rows: int) -> list[slice]:
    """All rows, the first alone, and the later half: sums, ranks and means of a batch differ between them."""
    return [slice(None), slice(1), slice(rows // 2, None)]


def _same(part: pd.DataFrame, expected: pd.DataFrame) -> bool:
    """Whether two frames have the same values, but for the last digits, which depend on the size of a batch."""
    one, other = (frame.reset_index(drop=True) for frame in (part, expected))
    try:
        pd.testing.assert_frame_equal(one, other, check_dtype=False, check_categorical=False)
    except AssertionError:
        return False
    return True


def _as_table(frame: pd.DataFrame, place: str) -> pa.Table:
    """A transformer's data frame as a table."""
    refuse_if(f"{place}: {line}" for line in _unusual(frame))
    try:
        table = normalise(pa.Table.from_pandas(frame, preserve_index=False))
    except (pa.ArrowException, TypeError, ValueError) as error:
        raise Problem(f"{place}: a column cannot be used: {in_one_line(error)}") from error
    remedy = "correct it in the transformer, or leave the column out"
    refuse_if(f"{place}: {line}" for n in table.column_names for line in problems_of_column(n, table[n], remedy))
    return table


def _unusual(frame: pd.DataFrame) -> Iterator[str]:
    if not frame.columns.is_unique or not all(isinstance(name, str) for name in frame.columns):
        yield f"expected different texts as names of columns, found {', '.join(map(repr, frame.columns))}"
        return
    for name, dtype in frame.dtypes.items():
        if dtype.kind not in "biufOM" or getattr(dtype, "na_value", None) is pd.NA:
            yield f"column '{name}': expected numbers, text, booleans or dates, and NaN where missing, found {dtype}"
