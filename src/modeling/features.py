"""The features: how the raw columns become the numbers that an estimator takes.

A column is used by its kind. Numbers: missing ones become the median, then mean 0 and variance 1. Booleans and
categories of few values: one-hot, a missing value as one of its own. Categories of many values: the mean of the target
for each value (for each class, the share), learned on other rows than it is used on. Dates: year, month, day, hour and
weekday, the last four as points on a circle, and the seconds since 1970. Times of day: splines that meet at midnight.
Free text: its n-grams of letters, brought down to few numbers.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, SplineTransformer, StandardScaler, TargetEncoder

from modeling.table import feature_names, has_few_values, kinds_of
from record.parameters import Kind, Parameters
from record.problem import Problem

COMPONENTS = 30  # numbers that free text becomes
DAY = 24 * 60 * 60  # seconds
ENCODER_FOLDS = 5  # so that the mean of a row's target is learned on other rows
KNOTS = 7  # of the splines of a time of day: every four hours
COPIES = 4  # of all numbers: encoded, scaled, those of a fold, the estimator's own
NUMBER = 8  # bytes
N_GRAM = 30  # bytes for each letter of free text, of which about two n-grams begin at each
WIDTHS: dict[Kind, int] = {"number": 1, "boolean": 3, "time": KNOTS - 1, "date": 10, "text": COMPONENTS}  # encoded
SHOWN = 3  # columns that are named
GIB = 1024**3


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


def check_memory(train: pa.Table, parameters: Parameters, available: int) -> None:
    """Raise a problem when the features would take more bytes than are available, with the columns that take most."""
    needed = bytes_by_column(train, parameters)
    if sum(needed.values()) > available:
        most = sorted(needed, key=lambda name: -needed[name])[:SHOWN]
        takes = f"learning from {len(train):,} rows takes about {sum(needed.values()) / GIB:.1f} GiB of memory"
        columns = ", ".join(f"'{name}' ({needed[name] / GIB:.1f} GiB)" for name in most)
        ways = "add some to data.drop, learn from fewer rows, or run where there is more"
        raise Problem(f"{takes}, and {available / GIB:.1f} GiB are available; most for {columns}; {ways}")


def bytes_by_column(train: pa.Table, parameters: Parameters) -> dict[str, int]:
    """About how many bytes each feature takes while a model is fitted."""
    table = train.select(feature_names(train, parameters))
    kinds = kinds_of(table, parameters.data)
    classes = 1 if parameters.data.task == "regression" else pc.count_distinct(train[parameters.data.target]).as_py()
    needed = {}
    for name, kind in kinds.items():
        width = WIDTHS.get(kind, 0)
        if kind == "category":
            values = pc.count_distinct(table[name]).as_py()
            width = values + 1 if has_few_values(table[name]) else classes
        letters = pc.sum(pc.binary_length(table[name])).as_py() or 0 if kind == "text" else 0
        needed[name] = len(table) * width * NUMBER * COPIES + letters * N_GRAM
    return needed
