"""What `train.features` may name: transformers of data frames, whose columns are used as raw columns are."""

from collections.abc import Callable
from datetime import time
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, TransformerMixin
from tables import LOGISTIC, make_parameters

from modeling.estimator import describe, fit_pipeline
from modeling.features import with_own_features
from modeling.table import to_frame
from record.problem import Problem

TABLE = pa.table(
    {
        "x": [None, *(float(row) for row in range(1, 12))],
        "word": ["a", None, "b"] * 4,
        "at": pa.array([time(hour) for hour in range(12)], pa.time64("us")),
        "target": ["p", "q"] * 6,
    }
)
RAW = TABLE.drop_columns("target")


class By(TransformerMixin, BaseEstimator):
    """Does to a frame what a function in `CHANGES` does, which is named in params.yaml as a user's class would be."""

    def __init__(self, change: str) -> None:
        self.change = change

    def fit(self, frame: pd.DataFrame, target: object = None) -> "By":  # noqa: ARG002
        return self

    def transform(self, frame: pd.DataFrame) -> Any:
        return CHANGES[self.change](frame)


def pop(frame: pd.DataFrame) -> pd.DataFrame:
    frame.pop("x")
    return frame


CHANGES: dict[str, Callable[[pd.DataFrame], Any]] = {
    "nothing": lambda f: f,
    "double": lambda f: f.assign(double=2 * f["x"]),
    "day": lambda f: f[["x"]].assign(day=pd.to_datetime(f["x"], unit="D")),
    "only a word": lambda f: f[["word"]],
    "fails": lambda f: f["y"],
    "an array": lambda f: f[["x"]].to_numpy(),
    "drops rows": lambda f: f.dropna(),
    "in place": pop,
    "mean of the batch": lambda f: f.fillna({"x": f["x"].mean()}),
    "one row only": lambda f: f.assign(y=f["x"].iloc[1]),
    "sum so far": lambda f: f.assign(y=f["x"].fillna(1).cumsum()),
    "sorts": lambda f: f.sort_values("x", ascending=False),
    "one column for each value": lambda f: pd.get_dummies(f, columns=["word"], dtype=float),
    "lists": lambda f: f.assign(y=[[1]] * len(f)),
    "infinite": lambda f: f.assign(y=f["x"].fillna(0) / 0),
    "nothing but missing": lambda f: f.assign(y=float("nan")),
    "another missing": lambda f: f.assign(y=f["word"].astype("string")),
    "lengths of time": lambda f: f.assign(y=pd.to_timedelta(f["x"], unit="D")),
    "both kinds": lambda f: f.assign(y=[row if row < 4 else "a" for row in f.index]),
    "a number as name": lambda f: f.assign(y=1.0).rename(columns={"y": 7}),
    "a name twice": lambda f: pd.concat([f, f[["x"]]], axis=1),
}


def parameters_of(*changes: str) -> Any:
    features = [{"class": f"{__name__}.By", "change": change} for change in changes]
    return make_parameters(LOGISTIC, train={"features": features})


def test_own_transformers_come_first_in_order_and_their_columns_are_used_by_kind() -> None:
    model = fit_pipeline(TABLE, parameters_of("double", "day"))
    used = {name: columns for name, _, columns in model["preprocess"].transformers_}

    assert [name for name, _ in model.steps] == ["features_1", "features_2", "preprocess", "model"]
    assert used == {"numbers": ["x"], "date_day": "day"}


def test_the_model_still_expects_the_raw_columns() -> None:
    parameters = parameters_of("double", "only a word")
    described = describe(fit_pipeline(TABLE, parameters), TABLE, parameters, None)

    assert [feature.name for feature in described.features] == ["x", "word", "at"]
    assert [step.class_ for step in described.steps[:2]] == [f"{__name__}.By"] * 2


def test_a_column_that_comes_back_as_it_was_keeps_its_kind() -> None:
    found = with_own_features([("features_1", By("double"))], TABLE, parameters_of())

    assert found.select(RAW.column_names).equals(RAW)
    assert found["double"].to_pylist() == [None, *(2.0 * row for row in range(1, 12))]


def test_each_row_is_predicted_alone_as_it_is_among_others() -> None:
    model, rows = fit_pipeline(TABLE, parameters_of("double")), to_frame(RAW)
    alone = [model.predict_proba(rows.iloc[[row]])[0].tolist() for row in range(12)]

    assert alone == [pytest.approx(row) for row in model.predict_proba(rows).tolist()]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("fails", "fails on the training table: KeyError: 'y'"),
        ("an array", "expected a data frame with the 12 rows that it was given, found a ndarray; return one"),
        ("drops rows", "expected a data frame with the 12 rows that it was given, found 7; keep every row"),
        ("in place", "changes the data frame that it is given; let it change a copy"),
        ("mean of the batch", "gives a row other values alone than among others; learn in fit"),
        ("sum so far", "gives a row other values alone than among others; learn in fit"),
        ("sorts", "gives a row other values alone than among others; learn in fit"),
        ("one column for each value", "gives a row other values alone than among others; learn in fit"),
        ("one row only", "fails on the training table: IndexError: single positional indexer is out-of-bounds"),
        ("lists", "column 'y': expected numbers, text, booleans or dates, found list<item: int64>; correct it"),
        ("infinite", "column 'y': expected finite numbers, found 11 infinite; correct it"),
        ("nothing but missing", "column 'y': every value is missing; correct it"),
        ("another missing", "column 'y': expected numbers, text, booleans or dates, and NaN where missing, found str"),
        ("lengths of time", "column 'y': expected numbers, text, booleans or dates, and NaN where missing, found time"),
        ("both kinds", "a column cannot be used: (\"Could not convert 'a' with type str"),
        ("a number as name", "expected different texts as names of columns, found 'x', 'word', 'at', 7"),
        ("a name twice", "expected different texts as names of columns, found 'x', 'word', 'at', 'x'"),
    ],
)
def test_a_transformer_that_cannot_be_used_is_named_with_its_place(change: str, said: str) -> None:
    with pytest.raises(Problem) as problem:
        fit_pipeline(TABLE, parameters_of("nothing", change))

    (line,) = problem.value.lines
    assert line.startswith(f"params.yaml: train.features.1: By: {said}")


@pytest.mark.parametrize(
    ("features", "said"),
    [
        ("own.features.Ration", "0.class: 'own.features' has no class 'Ration'; did you mean 'Ratio'?"),
        ({"class": "own.features.Ratio", "of": "x"}, "0.to: missing; Ratio requires it"),
        ("sklearn.linear_model.Ridge", "0: 'sklearn.linear_model.Ridge' is not a transformer: expected one with fit"),
    ],
)
def test_what_is_not_a_transformer_is_refused(features: Any, said: str) -> None:
    with pytest.raises(Problem) as problem:
        fit_pipeline(TABLE, make_parameters(LOGISTIC, train={"features": [features]}))

    assert problem.value.lines[0].startswith(f"params.yaml: train.features.{said}")
