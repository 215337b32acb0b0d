import json
import math
import statistics
import warnings
from collections import Counter
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import pyarrow as pa
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
from tables import FOREST, LINEAR_SVC, LOGISTIC, RIDGE, SEARCH, TREE, VOTING, all_finite, dumped, make_parameters

from modeling import evaluation
from modeling.evaluation import CURVE_POINTS, SCATTER_POINTS, check_folds, evaluate, warnings_in_one_line
from record.files import to_json
from record.parameters import Data, Train
from record.problem import Problem, say

VALUES = pd.DataFrame({"x": np.arange(12.0)})
CLASSES = {
    "two": np.asarray(["a", "b"] * 6, dtype=object),
    "three": np.asarray(["a", "b", "c"] * 4, dtype=object),
    "booleans": np.asarray([True, False] * 6),
    "integers": np.asarray([3, 1, 2] * 4),
}
REFUSED = "the estimator refuses these settings or this table"
DATA = Data(path="table.csv", target="y", task="classification", drop=[])


def fitted(model: BaseEstimator, features: pd.DataFrame, target: np.ndarray) -> Pipeline:
    return Pipeline([("model", model)]).fit(features, target)


def noise(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A number, and a number that is correlated with it."""
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
def test_the_class_with_the_highest_score_is_the_predicted_one(model: BaseEstimator, target: np.ndarray) -> None:
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


def test_a_model_with_bare_decisions_is_scored_by_them() -> None:
    """Their ROC curve has one point, so its area is the mean of both rates."""
    pipeline = fitted(VotingClassifier([("tree", DecisionTreeClassifier(max_depth=2))]), VALUES, CLASSES["two"])
    scores = evaluation.score(pipeline, VALUES, CLASSES["two"], "classification")

    assert 0.5 < scores["roc_auc"] < 1
    assert scores["roc_auc"] == pytest.approx(scores["balanced_accuracy"])


def test_margins_of_pairs_of_classes_are_not_mistaken_for_margins_of_classes() -> None:
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
    found = evaluation.summarise(folds, test, baseline, "classification")

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


def test_each_pair_of_classes_is_counted_even_if_it_never_occurred() -> None:
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


def test_a_regression_of_many_rows_is_thinned_to_what_a_plot_can_show() -> None:
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


def test_the_most_important_columns_come_first() -> None:
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


def table(rows: int) -> pa.Table:
    """Numbers, text and booleans, some of them missing, and targets of every sort that depend on them."""
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
    fitted = evaluate(TRAIN, TEST, make_parameters(settings, target, task))
    score = fitted.metrics[main]

    assert score["test"] > 0.9
    assert score["baseline"] <= 0.5
    assert len(fitted.folds) == 3
    assert score["cv_mean"] == pytest.approx(np.mean(fitted.folds))
    assert all_finite(fitted.metrics)
    assert json.loads(to_json(fitted.metrics)) == fitted.metrics
    assert list(fitted.plots) == ["predictions.csv", "errors.csv", "importance.csv"]
    assert all(len({tuple(row) for row in rows}) == 1 for rows in fitted.plots.values())


def test_integers_beyond_what_a_double_holds_can_be_learned_from() -> None:
    train, test = (
        part.append_column("id", pa.array([2**60 + row for row in range(len(part))])) for part in (TRAIN, TEST)
    )
    fitted = evaluate(train, test, make_parameters(FOREST, "kind"))

    assert "id" in fitted.model["preprocess"].feature_names_in_
    assert all_finite(fitted.metrics)


def test_the_model_is_fitted_on_the_whole_training_part_and_no_other_row() -> None:
    fitted = evaluate(TRAIN, TEST, make_parameters(TREE, "kind"))

    assert fitted.model["model"].tree_.n_node_samples[0] == len(TRAIN)


def test_the_best_estimator_of_a_search_is_kept() -> None:
    assert isinstance(evaluate(TRAIN, TEST, make_parameters(SEARCH, "kind")).model["model"], LogisticRegression)


def test_the_same_fit_gives_the_same_bytes() -> None:
    one, other = (evaluate(TRAIN, TEST, make_parameters(FOREST, "kind")) for _ in range(2))

    assert dumped((one.model, one.metrics, one.plots)) == dumped((other.model, other.metrics, other.plots))


@pytest.mark.parametrize(
    ("values", "task", "problems"),
    [
        (list("aaaccb"), "classification", ["'b' has 1", "'c' has 2"]),
        ([2, 2, 2, 1, 0, 0], "classification", ["0 has 2", "1 has 1"]),
        (list("aaabbb"), "classification", []),
        (range(2), "regression", ["3 folds need 6 rows, found 2 to train on"]),
        (range(5), "regression", ["3 folds need 6 rows, found 5 to train on"]),
        (range(6), "regression", []),
    ],
)
def test_too_few_rows_for_the_folds_are_all_named(values: Any, task: str, problems: list[str]) -> None:
    needs = "each class needs 3 rows to train on, but " if task == "classification" else ""
    lines: tuple[str, ...] = ()
    try:
        check_folds(pa.chunked_array([pa.array(values)]), task, folds=3)
    except Problem as problem:
        lines = problem.lines

    assert lines == tuple(f"params.yaml: train.folds: {needs}{problem}" for problem in problems)


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (TRAIN.drop(["kind"]), TEST.drop(["kind"]), "expected the same columns in both, and 'kind' among them"),
        (TRAIN, TEST.drop(["age"]), "expected the same columns in both, and 'kind' among them"),
        (TRAIN, TEST.set_column(5, "age", pa.array([0.5] * 12)), "expected the same columns in both"),
        (TRAIN, TEST.set_column(3, "kind", pa.nulls(12, pa.string())), "target 'kind': values are missing"),
        (*(t.append_column("x", pa.nulls(len(t))) for t in (TRAIN, TEST)), "column 'x': every value is missing"),
    ],
    ids=["no target", "fewer columns", "another type", "missing targets", "unusable column"],
)
def test_tables_of_another_stage_are_checked(train: pa.Table, test: pa.Table, message: str) -> None:
    with pytest.raises(Problem, match=message):
        evaluate(train, test, make_parameters(LOGISTIC, "kind"))


def test_a_regression_with_two_rows_for_each_fold_is_scored_on_each() -> None:
    fitted = evaluate(TRAIN.slice(0, 6), TEST, make_parameters(RIDGE, "mass", "regression"))

    assert len(fitted.folds) == 3
    assert all(math.isfinite(score) for score in fitted.folds)


@pytest.mark.parametrize(
    ("rows", "settings", "target", "task"),
    [(7, LOGISTIC, "kind", "classification"), (5, RIDGE, "mass", "regression")],
)
def test_folds_are_checked_before_anything_is_fitted(
    rows: int, settings: dict[str, Any], target: str, task: str
) -> None:
    with pytest.raises(Problem, match=r"^params\.yaml: train\.folds: "):
        evaluate(TRAIN.slice(0, rows), TEST, make_parameters(settings, target, task))


def test_a_setting_that_the_estimator_refuses_is_reported_in_one_sentence() -> None:
    with pytest.raises(Problem) as problem:
        evaluate(TRAIN, TEST, make_parameters(LOGISTIC | {"C": -1}, "kind"))

    assert problem.value.lines == (
        f"{REFUSED}: The 'C' parameter of LogisticRegression must be a float in the range (0.0, inf]. Got -1 instead.",
    )


def test_a_warning_of_every_fold_is_shown_once_and_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(TRAIN, TEST, make_parameters(LOGISTIC | {"max_iter": 1}, "kind"))
    said = [line for line in capsys.readouterr().err.splitlines() if "converge" in line]

    assert len(said) == 1
    assert said[0].startswith("warning: lbfgs failed to converge")


@pytest.mark.parametrize("error", [ValueError, TypeError, AttributeError])
def test_warnings_are_shown_even_if_the_fit_fails(capsys: pytest.CaptureFixture[str], error: type[Exception]) -> None:
    with pytest.raises(Problem) as problem, warnings_in_one_line():  # noqa: PT012 - the block is what is tested
        for text in ("first\n  of two lines", "second", "first of two lines"):
            warnings.warn(text, stacklevel=1)
        raise error("not\n so")

    assert problem.value.lines == (f"{REFUSED}: not so",)
    assert capsys.readouterr().err == "warning: first of two lines\nwarning: second\n"


def test_without_warnings_nothing_is_added(capsys: pytest.CaptureFixture[str]) -> None:
    with warnings_in_one_line():
        say("a fact")

    assert capsys.readouterr().err == "a fact\n"
