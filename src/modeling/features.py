"""The features: how the raw columns become the numbers that an estimator takes.

A column is used by its kind. Numbers: missing ones become the median, then mean 0 and variance 1. Booleans and
categories of few values: one-hot, a missing value as one of its own. Categories of many values: the mean of the target
for each value (for each class, the share), learned on other rows than it is used on. Dates: year, month, day, hour and
weekday, the last four as points on a circle, and the seconds since 1970. Times of day: splines that meet at midnight.
Free text: its n-grams of letters, brought down to few numbers.
"""

import numpy as np
import pyarrow as pa
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler, TargetEncoder

from modeling.table import has_few_values, kinds_of
from record.parameters import Parameters

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
        ("times", _splines(), of_kind["time"]),
        *((f"date_{name}", _calendar(), name) for name in of_kind["date"]),
        *((f"text_{name}", _n_grams(len(table), seed), name) for name in of_kind["text"]),
    ]
    return ColumnTransformer([step for step in steps if step[2]], verbose_feature_names_out=False)


def _scaled(*before: tuple[str, BaseEstimator]) -> Pipeline:
    impute = SimpleImputer(strategy="median", keep_empty_features=True)
    return Pipeline([*before, ("impute", impute), ("scale", StandardScaler())])


def _target_means(task: str, seed: int) -> TargetEncoder:
    if task == "regression":
        return TargetEncoder(target_type="continuous", cv=KFold(ENCODER_FOLDS, shuffle=True, random_state=seed))
    return TargetEncoder(cv=StratifiedKFold(ENCODER_FOLDS, shuffle=True, random_state=seed))


def _splines() -> SplineTransformer:
    knots = np.linspace(0, DAY, KNOTS)[:, None]
    return SplineTransformer(knots=knots, extrapolation="periodic", handle_missing="zeros")


def _calendar() -> Pipeline:
    from skrub import DatetimeEncoder  # noqa: PLC0415 - half a second, for tables with dates alone

    return _scaled(("encode", DatetimeEncoder(add_weekday=True, periodic_encoding="circular")))


def _n_grams(rows: int, seed: int) -> BaseEstimator:
    from skrub import StringEncoder  # noqa: PLC0415 - half a second, for tables with free text alone

    return StringEncoder(n_components=min(COMPONENTS, max(2, rows // 10)), random_state=seed)
