import json
import math
import warnings
from io import BytesIO
from typing import Any

import joblib
import numpy as np
import pyarrow as pa
import pytest
from sklearn.linear_model import LogisticRegression

from files import to_json
from fitting import check_folds, features_and_target, fit, one_line_each
from parameters import Data, Estimator, Package, Parameters, Prepare, Train
from problem import Problem, say

REFUSED = "the estimator refuses these settings or this table"
LOGISTIC = {"class": "sklearn.linear_model.LogisticRegression"}
LINEAR_SVC = {"class": "sklearn.svm.LinearSVC"}
FOREST = {"class": "sklearn.ensemble.RandomForestClassifier", "n_estimators": 5}
SEARCH = {"class": "sklearn.model_selection.GridSearchCV", "estimator": LOGISTIC, "param_grid": {"C": [0.1, 1.0]}}
VOTING = {"class": "sklearn.ensemble.VotingClassifier", "estimators": [["logistic", LOGISTIC], ["forest", FOREST]]}
RIDGE = {"class": "sklearn.linear_model.Ridge"}


def parameters(settings: dict[str, Any], target: str = "kind", task: str = "classification") -> Parameters:
    return Parameters(
        data=Data(path="table.csv", target=target, task=task, drop=[]),
        prepare=Prepare(test_size=0.2, seed=42),
        train=Train(estimator="mine", folds=3, seed=7, threads=1, portable=False),
        estimators={"mine": Estimator.model_validate(settings)},
        package=Package(name="table", version="v1.0.0"),
    )


def table(rows: int) -> pa.Table:
    """Numbers, text and booleans, some of them missing, and targets of every sort that hang together with them."""
    number = [i % 6 for i in range(rows)]
    return pa.table(
        {
            "length": [None if i == 4 else n + 0.5 for i, n in enumerate(number)],
            "island": [None if i == 5 else f"island {n // 2}" for i, n in enumerate(number)],
            "adult": [None if i == 6 else n % 2 == 0 for i, n in enumerate(number)],
            "kind": [f"kind {n // 2}" for n in number],
            "big": [n > 2 for n in number],
            "age": [n // 3 for n in number],
            "mass": [10.0 * n for n in number],
        }
    )


TRAIN, TEST = table(36), table(12)


def numbers(value: Any) -> list[float]:
    """The leaves of nested mappings."""
    return [leaf for part in value.values() for leaf in numbers(part)] if isinstance(value, dict) else [value]


def test_features_and_target_share_the_columns_between_them() -> None:
    features, target = features_and_target(TRAIN, "kind")

    assert list(features.columns) == [name for name in TRAIN.column_names if name != "kind"]
    assert target.tolist() == TRAIN["kind"].to_pylist()


@pytest.mark.parametrize(
    ("target", "task", "settings", "main"),
    [
        ("kind", "classification", LOGISTIC, "balanced_accuracy"),
        ("kind", "classification", LINEAR_SVC, "balanced_accuracy"),
        ("kind", "classification", SEARCH, "balanced_accuracy"),
        ("kind", "classification", VOTING, "balanced_accuracy"),
        ("big", "classification", LOGISTIC, "balanced_accuracy"),
        ("age", "classification", FOREST, "balanced_accuracy"),
        ("mass", "regression", RIDGE, "r2"),
    ],
)
def test_a_model_for_each_sort_of_target_beats_the_baseline(
    target: str, task: str, settings: dict[str, Any], main: str
) -> None:
    fitted = fit(TRAIN, TEST, parameters(settings, target, task))
    score = fitted.metrics[main]

    assert score["test"] > 0.9
    assert score["baseline"] <= 0.5
    assert len(fitted.folds) == 3
    assert score["cv_mean"] == pytest.approx(np.mean(fitted.folds))
    assert all(math.isfinite(number) for number in numbers(fitted.metrics))
    assert json.loads(to_json(fitted.metrics)) == fitted.metrics
    assert list(fitted.plots) == ["predictions.csv", "errors.csv", "importance.csv"]
    assert all(len({tuple(row) for row in rows}) == 1 for rows in fitted.plots.values())


def test_integers_beyond_what_a_double_holds_can_be_learned_from() -> None:
    train, test = (
        part.append_column("id", pa.array([2**60 + row for row in range(len(part))])) for part in (TRAIN, TEST)
    )
    fitted = fit(train, test, parameters(FOREST))

    assert "id" in fitted.model["preprocess"].feature_names_in_
    assert all(math.isfinite(number) for number in numbers(fitted.metrics))


def test_the_model_is_fitted_on_the_whole_training_part_and_no_other_row() -> None:
    tree = {"class": "sklearn.tree.DecisionTreeClassifier"}
    fitted = fit(TRAIN, TEST, parameters(tree))

    assert fitted.model["model"].tree_.n_node_samples[0] == len(TRAIN)


def test_a_search_is_kept_as_its_best_estimator() -> None:
    assert isinstance(fit(TRAIN, TEST, parameters(SEARCH)).model["model"], LogisticRegression)


def test_the_same_fit_gives_the_same_bytes() -> None:
    dumps = [BytesIO(), BytesIO()]
    for dump in dumps:
        fitted = fit(TRAIN, TEST, parameters(FOREST))
        joblib.dump((fitted.model, fitted.metrics, fitted.plots), dump)

    assert dumps[0].getvalue() == dumps[1].getvalue()


@pytest.mark.parametrize(("values", "shown"), [(list("aaaccb"), ("'b'", "'c'")), ([2, 2, 2, 1, 0, 0], ("0", "1"))])
def test_every_class_that_is_smaller_than_the_folds_is_named(values: list[Any], shown: tuple[str, str]) -> None:
    counts = {shown_value: sum(repr(value) == shown_value for value in values) for shown_value in shown}

    with pytest.raises(Problem) as problem:
        check_folds(np.asarray(values), "classification", folds=3)

    assert problem.value.lines == tuple(
        f"params.yaml: train.folds: each class needs 3 rows to train on, but {value} has {count}"
        for value, count in counts.items()
    )


def test_a_class_as_large_as_the_folds_is_large_enough() -> None:
    check_folds(np.asarray(list("aaabbb")), "classification", folds=3)


@pytest.mark.parametrize("rows", [2, 5])
def test_a_regression_with_less_than_two_rows_for_each_fold_is_refused(rows: int) -> None:
    complaint = (f"params.yaml: train.folds: 3 folds need 6 rows, found {rows} to train on",)

    with pytest.raises(Problem) as problem:
        check_folds(np.arange(rows), "regression", folds=3)
    with pytest.raises(Problem) as whole:
        fit(TRAIN.slice(0, rows), TEST, parameters(RIDGE, "mass", "regression"))

    assert problem.value.lines == whole.value.lines == complaint


def test_a_regression_with_two_rows_for_each_fold_is_scored_on_each() -> None:
    fitted = fit(TRAIN.slice(0, 6), TEST, parameters(RIDGE, "mass", "regression"))

    assert len(fitted.folds) == 3
    assert all(math.isfinite(score) for score in fitted.folds)


def test_a_class_that_is_too_small_is_found_before_anything_is_fitted() -> None:
    rare = TRAIN.slice(0, 7)  # of "kind 2" there are two rows

    with pytest.raises(Problem) as problem:
        fit(rare, TEST, parameters(LOGISTIC))

    assert problem.value.lines == tuple(
        f"params.yaml: train.folds: each class needs 3 rows to train on, but 'kind {n}' has 2" for n in (1, 2)
    )


def test_a_setting_that_the_estimator_refuses_ends_in_one_sentence() -> None:
    with pytest.raises(Problem) as problem:
        fit(TRAIN, TEST, parameters(LOGISTIC | {"C": -1}))

    assert problem.value.lines == (
        f"{REFUSED}: The 'C' parameter of LogisticRegression must be a float in the range (0.0, inf]. Got -1 instead.",
    )


def test_a_warning_of_every_fold_is_said_once_and_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    fit(TRAIN, TEST, parameters(LOGISTIC | {"max_iter": 1}))
    said = [line for line in capsys.readouterr().err.splitlines() if "converge" in line]

    assert len(said) == 1
    assert said[0].startswith("warning: lbfgs failed to converge")


@pytest.mark.parametrize("error", [ValueError, TypeError, AttributeError])
def test_each_warning_is_said_even_where_the_fit_ends_in_a_problem(
    capsys: pytest.CaptureFixture[str], error: type[Exception]
) -> None:
    with pytest.raises(Problem) as problem, one_line_each():  # noqa: PT012 - the block is what is tested
        for text in ("first\n  of two lines", "second", "first of two lines"):
            warnings.warn(text, stacklevel=1)
        raise error("not\n so")

    assert problem.value.lines == (f"{REFUSED}: not so",)
    assert capsys.readouterr().err == "warning: first of two lines\nwarning: second\n"


def test_where_nothing_is_warned_of_nothing_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with one_line_each():
        say("a fact")

    assert capsys.readouterr().err == "a fact\n"
