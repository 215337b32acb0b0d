import math
import statistics
from collections import Counter
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier

import evaluation
from evaluation import CURVE_POINTS, SCATTER_POINTS
from parameters import Data, Train

VALUES = pd.DataFrame({"x": np.arange(12.0)})
CLASSES = {
    "two": np.asarray(["a", "b"] * 6, dtype=object),
    "three": np.asarray(["a", "b", "c"] * 4, dtype=object),
    "booleans": np.asarray([True, False] * 6),
    "integers": np.asarray([3, 1, 2] * 4),
}
DATA = Data(path="table.csv", target="y", task="classification", drop=[])


def fitted(model: BaseEstimator, features: pd.DataFrame, target: np.ndarray) -> Pipeline:
    return Pipeline([("model", model)]).fit(features, target)


def noise(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A number, and a number that hangs together with it a little."""
    random = np.random.default_rng(0)
    x = random.normal(size=rows)
    return pd.DataFrame({"x": x}), x + random.normal(size=rows)


@pytest.mark.parametrize("target", CLASSES.values(), ids=CLASSES)
def test_a_perfect_classifier_has_perfect_scores(target: np.ndarray) -> None:
    scores = evaluation.score(fitted(DecisionTreeClassifier(), VALUES, target), VALUES, target, "classification")

    assert list(scores) == ["balanced_accuracy", "accuracy", "roc_auc", "log_loss"]
    assert scores == pytest.approx({"balanced_accuracy": 1, "accuracy": 1, "roc_auc": 1, "log_loss": 0}, abs=1e-9)


@pytest.mark.parametrize(("shares", "chance"), [((9, 3), 1 / 2), ((6, 3, 3), 1 / 3)])
def test_the_baseline_of_a_classification_is_chance_however_unequal_the_classes(
    shares: tuple[int, ...], chance: float
) -> None:
    target = np.asarray(list("a" * shares[0] + "b" * shares[1] + "c" * sum(shares[2:])), dtype=object)
    baseline = evaluation.fit_baseline(VALUES, target, "classification")
    scores = evaluation.score(baseline, VALUES, target, "classification")

    assert scores == pytest.approx(
        {
            "balanced_accuracy": chance,
            "accuracy": shares[0] / 12,
            "roc_auc": 0.5,
            "log_loss": -sum(share / 12 * math.log(share / 12) for share in shares),
        }
    )


def test_a_perfect_regressor_has_perfect_scores() -> None:
    target = VALUES["x"].to_numpy() * 2
    scores = evaluation.score(fitted(LinearRegression(), VALUES, target), VALUES, target, "regression")

    assert list(scores) == ["r2", "mean_absolute_error", "root_mean_squared_error"]
    assert scores == pytest.approx({"r2": 1, "mean_absolute_error": 0, "root_mean_squared_error": 0}, abs=1e-9)


def test_the_baseline_of_a_regression_is_the_mean() -> None:
    target = np.asarray([0.0, 4.0] * 6)
    scores = evaluation.score(evaluation.fit_baseline(VALUES, target, "regression"), VALUES, target, "regression")

    assert scores == pytest.approx({"r2": 0, "mean_absolute_error": 2, "root_mean_squared_error": 2})


@pytest.mark.parametrize("target", [CLASSES["two"], CLASSES["three"]], ids=["two", "three"])
@pytest.mark.parametrize(
    "model",
    [
        DecisionTreeClassifier(max_depth=3),
        LinearSVC(),
        SVC(decision_function_shape="ovo"),
        VotingClassifier([("tree", DecisionTreeClassifier(max_depth=2))]),
    ],
    ids=["probabilities", "margins", "margins of pairs", "decisions"],
)
def test_the_class_that_a_model_leans_to_most_is_the_one_it_predicts(model: BaseEstimator, target: np.ndarray) -> None:
    pipeline = fitted(model, VALUES, target)
    scores = evaluation.class_scores(pipeline, VALUES)

    assert scores.shape == (len(VALUES), len(set(target)))
    assert pipeline.classes_[scores.argmax(axis=1)].tolist() == pipeline.predict(VALUES).tolist()


def test_a_model_without_probabilities_has_no_log_loss() -> None:
    pipeline = fitted(LinearSVC(), VALUES, CLASSES["two"])

    assert list(evaluation.score(pipeline, VALUES, CLASSES["two"], "classification")) == [
        "balanced_accuracy",
        "accuracy",
        "roc_auc",
    ]


def test_a_model_of_bare_decisions_is_scored_by_them() -> None:
    """Of the ROC curve, one point is left: the mean of both rates of what is right."""
    pipeline = fitted(VotingClassifier([("tree", DecisionTreeClassifier(max_depth=2))]), VALUES, CLASSES["two"])
    scores = evaluation.score(pipeline, VALUES, CLASSES["two"], "classification")

    assert 0.5 < scores["roc_auc"] < 1
    assert scores["roc_auc"] == pytest.approx(scores["balanced_accuracy"])


def test_margins_between_pairs_of_classes_are_not_taken_for_margins_of_classes() -> None:
    features = pd.DataFrame({"x": np.arange(40) % 4 * 10.0})
    target = np.asarray(list("abcd") * 10, dtype=object)
    pipeline = fitted(SVC(decision_function_shape="ovo"), features, target)

    assert evaluation.score(pipeline, features, target, "classification")["roc_auc"] == pytest.approx(1)


class Memory(ClassifierMixin, BaseEstimator):
    """A classifier that remembers which rows it was fitted on, and draws random numbers as it likes."""

    seen: ClassVar[list[list[int]]] = []

    def __init__(self, draws: int = 0) -> None:
        self.draws = draws

    def fit(self, x: pd.DataFrame, y: np.ndarray) -> "Memory":
        self.seen.append(x.index.tolist())
        self.classes_ = np.unique(y)
        np.random.random(self.draws)  # noqa: NPY002 - the state that estimators without a random_state share
        return self

    def predict(self, x: pd.DataFrame) -> np.ndarray:
        return np.full(len(x), self.classes_[0])


def rows_fitted(model: Memory, seed: int) -> list[list[int]]:
    train = Train(estimator="memory", folds=3, seed=seed, threads=1, portable=False)
    Memory.seen.clear()
    evaluation.cross_validate(Pipeline([("model", model)]), VALUES, CLASSES["two"], DATA, train)
    return [*Memory.seen]


def test_the_folds_depend_on_the_seed_and_not_on_the_estimator() -> None:
    assert rows_fitted(Memory(), 1) == rows_fitted(Memory(draws=100), 1)
    assert rows_fitted(Memory(), 1) != rows_fitted(Memory(), 2)


def test_each_row_is_scored_in_one_fold_and_classes_are_in_equal_shares() -> None:
    fits = rows_fitted(Memory(), 1)

    assert Counter(row for rows in fits for row in rows) == dict.fromkeys(range(12), 2)
    assert all(Counter(CLASSES["two"][rows].tolist()) == {"a": 4, "b": 4} for rows in fits)


@pytest.mark.parametrize("folds", [2, 4])
@pytest.mark.parametrize("task", ["classification", "regression"])
def test_there_is_a_main_score_for_each_fold(task: str, folds: int) -> None:
    features = pd.DataFrame({"x": [0.0, 1.0] * 12})
    target = np.asarray([0, 1] * 12)
    model = LogisticRegression() if task == "classification" else LinearRegression()
    data = DATA.model_copy(update={"task": task})
    train = Train(estimator="mine", folds=folds, seed=1, threads=1, portable=False)

    scores = evaluation.cross_validate(Pipeline([("model", model)]), features, target, data, train)

    assert scores == pytest.approx([1.0] * folds)


def test_metrics_start_with_the_main_score_its_spread_and_its_baseline() -> None:
    folds = [0.5, 0.75, 1.0]
    test = {"balanced_accuracy": 0.8, "accuracy": 0.9, "roc_auc": 0.7}
    baseline = {"balanced_accuracy": 0.5, "accuracy": 0.6, "roc_auc": 0.5, "log_loss": 0.7}
    found = evaluation.metrics(folds, test, baseline, "classification")

    assert list(found.items()) == [
        ("balanced_accuracy", {"test": 0.8, "cv_mean": 0.75, "cv_std": statistics.stdev(folds), "baseline": 0.5}),
        ("test", {"accuracy": 0.9, "roc_auc": 0.7}),
        ("baseline", {"accuracy": 0.6, "roc_auc": 0.5}),
    ]


@settings(max_examples=25, deadline=None)
@given(
    target=st.lists(st.sampled_from(["a", "b", "c"]) | st.just("ä b"), min_size=1, max_size=30), seed=st.integers(0, 9)
)
def test_the_counts_of_predictions_sum_to_the_rows(target: list[str], seed: int) -> None:
    features, truth = pd.DataFrame(index=range(len(target))), np.asarray(target, dtype=object)
    model = fitted(DummyClassifier(strategy="uniform", random_state=seed), features, truth)
    rows = evaluation.prediction_rows(model, features, truth, "classification")

    assert sum(row["rows"] for row in rows) == len(target)
    assert len(rows) == len(set(target)) ** 2
    for name in set(target):
        assert sum(row["rows"] for row in rows if row["actual"] == name) == target.count(name)


def test_each_pair_of_classes_is_counted_even_where_it_never_came() -> None:
    target = CLASSES["two"][:4]
    model = fitted(DummyClassifier(strategy="constant", constant="b"), VALUES[:4], target)

    assert evaluation.prediction_rows(model, VALUES[:4], target, "classification") == [
        {"actual": "a", "predicted": "a", "rows": 0},
        {"actual": "a", "predicted": "b", "rows": 2},
        {"actual": "b", "predicted": "a", "rows": 0},
        {"actual": "b", "predicted": "b", "rows": 2},
    ]


def test_a_regression_shows_each_row_with_its_residual() -> None:
    target = np.asarray([0.0, 4.0, 2.0])
    model = evaluation.fit_baseline(VALUES[:3], target, "regression")

    assert evaluation.prediction_rows(model, VALUES[:3], target, "regression") == [
        {"actual": actual, "predicted": 2.0} for actual in (0.0, 4.0, 2.0)
    ]
    assert evaluation.error_rows(model, VALUES[:3], target, "regression") == [
        {"curve": "residuals", "x": 2.0, "y": residual} for residual in (-2.0, 2.0, 0.0)
    ]


def test_a_regression_of_many_rows_shows_as_many_as_a_plot_can() -> None:
    features, target = noise(SCATTER_POINTS + 1)
    model = fitted(LinearRegression(), features, target)

    for rows in (
        evaluation.prediction_rows(model, features, target, "regression"),
        evaluation.error_rows(model, features, target, "regression"),
    ):
        assert len(rows) == SCATTER_POINTS


@pytest.mark.parametrize("names", [["b"], ["a", "b", "c"]], ids=["two classes", "three classes"])
def test_curves_go_from_end_to_end_in_as_many_points_as_a_plot_can_show(names: list[str]) -> None:
    features, value = noise(3000)
    target = np.asarray(["a", "b", "c"], dtype=object)[np.digitize(value, [0] if len(names) == 1 else [-0.5, 0.5])]
    rows = evaluation.error_rows(fitted(LogisticRegression(), features, target), features, target, "classification")
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in rows:
        curves.setdefault((row["curve"], row["class"]), []).append((row["x"], row["y"]))

    assert list(curves) == [(curve, name) for name in names for curve in ("ROC", "precision-recall")]
    for (curve, _), points in curves.items():
        assert len(points) == CURVE_POINTS
        assert points == sorted(points) or curve == "precision-recall"
        assert (points[0], points[-1][0]) == ((0.0, 0.0 if curve == "ROC" else 1.0), 1.0)


def test_the_columns_that_matter_most_come_first() -> None:
    random = np.random.default_rng(0)
    features = pd.DataFrame({"useless": random.normal(size=60), "some": np.arange(60.0), "most": np.arange(60.0) % 7})
    target = features["some"].to_numpy() + 100 * features["most"].to_numpy()
    model = fitted(LinearRegression(), features, target)
    rows = evaluation.importance_rows(model, features, target, "regression", seed=1)

    assert [row["feature"] for row in rows] == ["most", "some", "useless"]
    assert rows[-1] == pytest.approx({"feature": "useless", "importance": 0.0, "spread": 0.0}, abs=1e-9)
    assert rows == evaluation.importance_rows(model, features, target, "regression", seed=1)
    assert rows != evaluation.importance_rows(model, features, target, "regression", seed=2)


@settings(max_examples=100)
@given(count=st.integers(0, 3000), most=st.integers(2, 300))
def test_evenly_chosen_rows_rise_from_the_first_to_the_last(count: int, most: int) -> None:
    rows = evaluation.evenly(count, most)

    assert len(rows) == min(count, most)
    assert rows == sorted(set(rows))
    assert not rows or (rows[0], rows[-1]) == (0, count - 1)


def test_truth_as_a_matrix_has_a_row_for_each_row_and_a_column_for_each_class() -> None:
    found = evaluation.one_hot(np.asarray(["b", "a", "b"], dtype=object), np.asarray(["a", "b", "c"], dtype=object))

    assert found.tolist() == [[0, 1, 0], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize(("count", "shown"), [(2, [1]), (3, [0, 1, 2])])
def test_of_two_classes_only_the_second_has_a_curve(count: int, shown: list[int]) -> None:
    assert evaluation.shown_classes(count) == shown
