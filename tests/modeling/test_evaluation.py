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
from sklearn import metrics
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.dummy import DummyClassifier
from sklearn.ensemble import VotingClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC, LinearSVC
from sklearn.tree import DecisionTreeClassifier
from tables import FOREST, LINEAR_SVC, LOGISTIC, RIDGE, SEARCH, TREE, VOTING, make_parameters

from modeling import evaluation
from modeling.estimator import fit_pipeline
from modeling.evaluation import CURVE_POINTS, SCATTER_POINTS, Scorer, evaluate, main_scorer, warnings_in_one_line
from modeling.split import folds_of
from record.problem import Problem, say

VALUES = pd.DataFrame({"x": np.arange(12.0)})
TWO, THREE = (np.asarray(list(names) * (12 // len(names)), dtype=object) for names in ("ab", "abc"))
BOOLEANS, INTEGERS = np.asarray([True, False] * 6), np.asarray([3, 1, 2] * 4)
DECISIONS = VotingClassifier([("tree", DecisionTreeClassifier(max_depth=2))])
REFUSED = "the estimator refuses these settings or this table"


def fitted(model: BaseEstimator, features: pd.DataFrame, target: np.ndarray) -> Pipeline:
    return Pipeline([("model", model)]).fit(features, target)


def noise(rows: int) -> tuple[pd.DataFrame, np.ndarray]:
    """A number, and a number that is correlated with it."""
    random = np.random.default_rng(0)
    x = random.normal(size=rows)
    return pd.DataFrame({"x": x}), x + random.normal(size=rows)


@pytest.mark.parametrize("target", [TWO, THREE, BOOLEANS, INTEGERS], ids=["two", "three", "booleans", "integers"])
def test_a_perfect_classifier_has_perfect_scores(target: np.ndarray) -> None:
    scores = evaluation.score(fitted(DecisionTreeClassifier(), VALUES, target), VALUES, target, "classification")

    assert list(scores) == ["balanced_accuracy", "accuracy", "roc_auc", "log_loss"]
    assert list(scores.values()) == pytest.approx([1, 1, 1, 0], abs=1e-9)


@pytest.mark.parametrize(("shares", "chance"), [((9, 3), 1 / 2), ((6, 3, 3), 1 / 3)])
def test_the_baseline_of_a_classification_is_chance_however_unequal_the_classes(
    shares: tuple[int, ...], chance: float
) -> None:
    target = np.repeat(np.asarray(list("abc"[: len(shares)]), dtype=object), shares)
    scores = evaluation.score(
        evaluation.fit_baseline(VALUES, target, "classification"), VALUES, target, "classification"
    )
    log_loss = -sum(share / 12 * math.log(share / 12) for share in shares)

    assert list(scores.values()) == pytest.approx([chance, shares[0] / 12, 0.5, log_loss])


def test_a_perfect_regressor_has_perfect_scores_and_its_baseline_is_the_mean() -> None:
    line, steps = VALUES["x"].to_numpy() * 2, np.asarray([0.0, 4.0] * 6)
    scores = evaluation.score(fitted(LinearRegression(), VALUES, line), VALUES, line, "regression")
    of_mean = evaluation.score(evaluation.fit_baseline(VALUES, steps, "regression"), VALUES, steps, "regression")

    assert list(scores) == list(of_mean) == ["r2", "mean_absolute_error", "root_mean_squared_error"]
    assert list(scores.values()) == pytest.approx([1, 0, 0], abs=1e-9)
    assert list(of_mean.values()) == pytest.approx([0, 2, 2])


@pytest.mark.parametrize("target", [TWO, THREE], ids=["two", "three"])
@pytest.mark.parametrize(
    "model",
    [DecisionTreeClassifier(max_depth=3), LinearSVC(), SVC(decision_function_shape="ovo"), DECISIONS],
    ids=["probabilities", "margins", "margins of pairs", "decisions"],
)
def test_the_class_with_the_highest_score_is_the_predicted_one(model: BaseEstimator, target: np.ndarray) -> None:
    pipeline = fitted(model, VALUES, target)
    scores = evaluation.class_scores(pipeline, VALUES)

    assert scores.shape == (len(VALUES), len(set(target)))
    assert pipeline.classes_[scores.argmax(axis=1)].tolist() == pipeline.predict(VALUES).tolist()


def test_a_model_with_bare_decisions_has_no_log_loss_and_the_area_of_its_only_point() -> None:
    scores = evaluation.score(fitted(DECISIONS, VALUES, TWO), VALUES, TWO, "classification")

    assert list(scores) == ["balanced_accuracy", "accuracy", "roc_auc"]
    assert 0.5 < scores["roc_auc"] < 1
    assert scores["roc_auc"] == pytest.approx(scores["balanced_accuracy"])  # the mean of both rates


def test_margins_of_pairs_of_classes_are_not_mistaken_for_margins_of_classes() -> None:
    features, target = pd.DataFrame({"x": np.arange(40) % 4 * 10.0}), np.asarray(list("abcd") * 10, dtype=object)
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


def scorer(name: str) -> Scorer:
    return Scorer(name, metrics.get_scorer(name))


def rows_fitted(model: Memory, seed: int) -> list[list[int]]:
    Memory.seen.clear()
    folds = folds_of(pa.table({"target": TWO}), make_parameters(LOGISTIC, train={"seed": seed}))
    evaluation.cross_validate(Pipeline([("model", model)]), VALUES, TWO, folds, scorer("accuracy"))
    return [*Memory.seen]


def test_the_folds_depend_on_the_seed_and_not_on_the_estimator_and_have_equal_shares_of_each_class() -> None:
    fits = rows_fitted(Memory(), 1)

    assert fits == rows_fitted(Memory(draws=100), 1)
    assert fits != rows_fitted(Memory(), 2)
    assert Counter(row for rows in fits for row in rows) == dict.fromkeys(range(12), 2)
    assert all(Counter(TWO[rows].tolist()) == {"a": 4, "b": 4} for rows in fits)


def test_metrics_start_with_the_main_score_its_spread_and_its_baseline() -> None:
    folds = [0.5, 0.75, 1.0]
    test = {"balanced_accuracy": 0.8, "accuracy": 0.9, "roc_auc": 0.7}
    baseline = {"balanced_accuracy": 0.5, "accuracy": 0.6, "roc_auc": 0.5, "log_loss": 0.7}
    found = evaluation.summarise("balanced_accuracy", folds, test, baseline)

    assert list(found.items()) == [
        ("balanced_accuracy", {"test": 0.8, "cv_mean": 0.75, "cv_std": statistics.stdev(folds), "baseline": 0.5}),
        ("test", {"accuracy": 0.9, "roc_auc": 0.7}),
        ("baseline", {"accuracy": 0.6, "roc_auc": 0.5}),
    ]


def test_each_pair_of_classes_is_counted_even_if_it_never_occurred() -> None:
    features, target = VALUES[:5], np.asarray(["ä b", "b", "b", "ä b", "b"], dtype=object)
    model = fitted(DummyClassifier(strategy="constant", constant="b"), features, target)

    rows = evaluation.prediction_rows(model, features, target, "classification")
    assert [tuple(row.values()) for row in rows] == [("b", "b", 3), ("b", "ä b", 0), ("ä b", "b", 2), ("ä b", "ä b", 0)]
    assert list(rows[0]) == ["actual", "predicted", "rows"]


def test_a_regression_shows_each_row_with_its_residual_and_of_many_what_a_plot_can_show() -> None:
    target = np.asarray([0.0, 4.0, 2.0])
    few = evaluation.fit_baseline(VALUES[:3], target, "regression"), VALUES[:3], target, "regression"
    features, values = noise(SCATTER_POINTS + 1)
    many = evaluation.fit_baseline(features, values, "regression"), features, values, "regression"

    assert evaluation.prediction_rows(*few) == [{"actual": value, "predicted": 2.0} for value in (0.0, 4.0, 2.0)]
    assert evaluation.error_rows(*few) == [{"curve": "residuals", "x": 2.0, "y": y} for y in (-2.0, 2.0, 0.0)]
    assert len(evaluation.prediction_rows(*many)) == len(evaluation.error_rows(*many)) == SCATTER_POINTS


@pytest.mark.parametrize(("names", "limits"), [("b", [0]), ("abc", [-0.5, 0.5])], ids=["two classes", "three classes"])
def test_curves_go_from_end_to_end_in_as_many_points_as_a_plot_can_show(names: str, limits: list[float]) -> None:
    features, value = noise(3000)
    target = np.asarray(list("abc"), dtype=object)[np.digitize(value, limits)]
    curves: dict[tuple[str, str], list[tuple[float, float]]] = {}
    model = fitted(LogisticRegression(), features, target)
    for row in evaluation.error_rows(model, features, target, "classification"):
        curves.setdefault((row["curve"], row["class"]), []).append((row["x"], row["y"]))

    assert list(curves) == [(curve, name) for name in names for curve in ("ROC", "precision-recall")]
    for (curve, _), points in curves.items():
        assert len(points) == CURVE_POINTS
        assert points == sorted(points) or curve == "precision-recall"
        assert (points[0], points[-1][0]) == ((0.0, 0.0 if curve == "ROC" else 1.0), 1.0)


def test_the_most_important_columns_come_first_whatever_they_are_encoded_to() -> None:
    random = np.random.default_rng(0)
    rows = {"useless": random.normal(size=60), "some": np.arange(60.0), "most": [f"m{row % 7}" for row in range(60)]}
    rows |= {"shop": [f"s{row}" for row in range(60)], "day": pa.array(range(60)).cast(pa.timestamp("us"))}
    table = pa.table(rows | {"target": np.arange(60.0) + 100 * (np.arange(60) % 7)})
    parameters = make_parameters(RIDGE, task="regression")
    features, target = evaluation.features_and_target(table, parameters)
    model = fit_pipeline(table, parameters)
    found, again, other = (evaluation.importance_rows(model, features, target, scorer("r2"), s) for s in (1, 1, 2))

    assert [row["feature"] for row in found[:1]] == ["most"]
    assert {row["feature"] for row in found} == {*rows}
    assert found[-1]["importance"] < 0.05 * found[0]["importance"]
    assert found == again != other


def test_importance_is_what_shuffling_the_raw_column_costs() -> None:
    parameters = make_parameters(RIDGE, "mass", "regression")
    features, target = evaluation.features_and_target(TRAIN, parameters)
    model, main = fit_pipeline(TRAIN, parameters), scorer("r2")
    raw, shuffles = features.copy(), np.random.default_rng(3)
    falls = []
    for _ in range(evaluation.IMPORTANCE_REPEATS):
        raw["length"] = features["length"].to_numpy()[shuffles.permutation(len(raw))]
        falls.append(main(model, features, target) - main(model, raw, target))
    rows = {row["feature"]: row["importance"] for row in evaluation.importance_rows(model, features, target, main, 3)}

    assert next(iter(evaluation.encoded_columns(model["preprocess"]))) == "length"  # the first to be shuffled
    assert rows["length"] == pytest.approx(statistics.fmean(falls)) != 0


@settings(max_examples=100)
@given(count=st.integers(0, 3000), most=st.integers(2, 300))
def test_evenly_chosen_rows_rise_from_the_first_to_the_last(count: int, most: int) -> None:
    rows = evaluation.evenly(count, most)

    assert len(rows) == min(count, most)
    assert rows == sorted(set(rows))
    assert not rows or (rows[0], rows[-1]) == (0, count - 1)


def table(rows: int) -> pa.Table:
    """Numbers, text and booleans, some of them missing, and targets of every sort that depend on them."""
    number = [i % 6 for i in range(rows)]
    return pa.table(
        {
            "length": [None if i == 4 else n + 0.5 for i, n in enumerate(number)],
            "island": [None if i == 5 else f"island {n // 2}" for i, n in enumerate(number)],
            "adult": [None if i == 6 else n % 2 == 0 for i, n in enumerate(number)],
            "beyond what a double holds": [2**60 + i for i in range(rows)],
            "kind": [f"kind {n // 2}" for n in number],
            "big": [n > 2 for n in number],
            "age": [n // 3 for n in number],
            "mass": [10.0 * n for n in number],
        }
    )


TRAIN, TEST = table(36), table(12)


@pytest.mark.parametrize(
    ("target", "settings"),
    [
        *(("kind", settings) for settings in (LOGISTIC, LINEAR_SVC, SEARCH, VOTING, TREE)),
        *(("big", LOGISTIC), ("age", FOREST), ("mass", RIDGE)),
    ],
)
def test_a_model_for_each_sort_of_target_beats_the_baseline(target: str, settings: dict[str, Any]) -> None:
    task, main = ("regression", "r2") if settings is RIDGE else ("classification", "balanced_accuracy")
    found = evaluate(TRAIN, TEST, make_parameters(settings, target, task))
    score = found.metrics[main]

    assert score["test"] > 0.9
    assert score["baseline"] <= 0.5
    assert len(found.folds) == 3
    assert score["cv_mean"] == pytest.approx(np.mean(found.folds))
    assert json.loads(json.dumps(found.metrics, allow_nan=False)) == found.metrics
    assert list(found.plots) == ["predictions.csv", "errors.csv", "importance.csv"]
    assert all(len({tuple(row) for row in rows}) == 1 for rows in found.plots.values())
    if settings is TREE:
        assert found.model["model"].tree_.n_node_samples[0] == len(TRAIN)  # all of these rows and no other


def test_just_enough_rows_for_the_folds_give_a_score_on_each() -> None:
    found = evaluate(TRAIN.slice(0, 6), TEST, make_parameters(RIDGE, "mass", "regression"))

    assert [math.isfinite(score) for score in found.folds] == [True] * 3


@pytest.mark.parametrize(
    ("train", "test", "message"),
    [
        (TRAIN.drop(["kind"]), TEST.drop(["kind"]), "expected the same columns in both, and 'kind' among them"),
        (TRAIN, TEST.drop(["age"]), "expected the same columns in both, and 'kind' among them"),
        (TRAIN, TEST.set_column(6, "age", pa.array([0.5] * 12)), "expected the same columns in both"),
        (TRAIN, TEST.set_column(4, "kind", pa.nulls(12, pa.string())), "target 'kind': values are missing"),
        (TRAIN, TEST.slice(0, 2), "target 'kind': expected the same classes in both tables, found only in one: kind 1"),
        (*(t.append_column("x", pa.nulls(len(t))) for t in (TRAIN, TEST)), "column 'x': every value is missing"),
        (TRAIN.slice(0, 7), TEST, r"^params\.yaml: train\.folds: "),
    ],
    ids=["no target", "fewer columns", "another type", "missing targets", "classes", "unusable column", "too few rows"],
)
def test_tables_of_another_stage_are_checked_before_anything_is_fitted(
    train: pa.Table, test: pa.Table, message: str
) -> None:
    with pytest.raises(Problem, match=message):
        evaluate(train, test, make_parameters(LOGISTIC, "kind"))


def test_a_warning_of_every_fold_is_shown_once_and_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    evaluate(TRAIN, TEST, make_parameters(LOGISTIC | {"max_iter": 1}, "kind"))
    (said,) = [line for line in capsys.readouterr().err.splitlines() if "converge" in line]

    assert said.startswith("warning: lbfgs failed to converge")


@pytest.mark.parametrize("error", [ValueError, TypeError, AttributeError])
def test_warnings_are_shown_even_if_the_fit_fails(capsys: pytest.CaptureFixture[str], error: type[Exception]) -> None:
    with pytest.raises(Problem) as problem, warnings_in_one_line(make_parameters(LOGISTIC)):  # noqa: PT012 - the block is what is tested
        for text in ("first\n  of two lines", "second", "first of two lines"):
            warnings.warn(text, stacklevel=1)
        say("a fact")
        raise error("not\n so")

    way = "change estimators.mine in params.yaml, or choose another train.estimator"
    assert problem.value.lines == (f"{REFUSED}: not so; {way}",)
    assert capsys.readouterr().err == "a fact\nwarning: first of two lines\nwarning: second\n"


@pytest.mark.parametrize(
    ("target", "asked", "name"),
    [
        ("kind", "auto", "balanced_accuracy"),
        ("kind", "f1_macro", "f1_macro"),
        ("big", "roc_auc", "roc_auc"),
        ("mass", "neg_root_mean_squared_error", "neg_root_mean_squared_error"),
    ],
)
def test_the_chosen_metric_is_the_main_score_and_the_usual_ones_stand_beside_it(
    target: str, asked: str, name: str
) -> None:
    task = "regression" if target == "mass" else "classification"
    settings = RIDGE if task == "regression" else LOGISTIC
    found = evaluate(TRAIN, TEST, make_parameters(settings, target, task, train={"metric": asked}))
    usual = {"roc_auc", "balanced_accuracy", "accuracy", "log_loss"}
    expected = {"r2", "mean_absolute_error", "root_mean_squared_error"} if task == "regression" else usual

    assert next(iter(found.metrics)) == name
    assert {*found.metrics["test"]} == {*found.metrics["baseline"]} == expected - {name}
    assert found.metrics[name]["test"] > found.metrics[name]["baseline"]


@pytest.mark.parametrize(
    ("target", "asked", "said"),
    [
        (
            "kind",
            "roc_acu_ovr",
            "'roc_acu_ovr' is not a scorer of scikit-learn for a classification; did you mean 'roc_auc_ovr'",
        ),
        ("kind", "r2", "'r2' is not a scorer of scikit-learn for a classification"),
        ("mass", "accuracy", "'accuracy' is not a scorer of scikit-learn for a regression"),
        ("kind", "rand_score", "'rand_score' is not a scorer of scikit-learn for a classification"),
        (
            "kind",
            "roc_auc",
            "'roc_auc' cannot score these classes; choose roc_auc_ovo or roc_auc_ovo_weighted or roc_auc_ovr",
        ),
        ("kind", "f1", "'f1' cannot score these classes; choose f1_macro or f1_micro or f1_weighted"),
    ],
)
def test_a_metric_that_is_not_for_this_target_is_refused_with_one_that_is(target: str, asked: str, said: str) -> None:
    task = "regression" if target == "mass" else "classification"
    parameters = make_parameters(RIDGE, target, task, train={"metric": asked})
    features, values = evaluation.features_and_target(TEST, parameters)

    with pytest.raises(Problem, match=r"params\.yaml: train\.metric: ") as refused:
        main_scorer(parameters, evaluation.fit_baseline(features, values, task), features, values)
    assert said in str(refused.value)


def test_a_target_that_is_too_large_to_be_scored_is_named() -> None:
    huge = TEST.set_column(TEST.column_names.index("mass"), "mass", pa.array(np.resize([1e300, -1e300], len(TEST))))
    parameters = make_parameters(RIDGE, "mass", "regression")
    features, values = evaluation.features_and_target(huge, parameters)
    said = r"train\.metric: 'r2' is not finite for 'mass'; scale that column"
    with np.errstate(all="ignore"), pytest.raises(Problem, match=said):
        main_scorer(parameters, evaluation.fit_baseline(features, values, "regression"), features, values)


def scored_in_folds(
    target: list[Any], by: list[Any], task: str, changes: dict[str, float] | None = None, **train: Any
) -> None:
    """Evaluate a model of a number, cross-validated in three folds of whole groups."""
    table = pa.table({"x": np.arange(float(len(target))), "by": by, "target": target})
    prepare = {"split": "group", "split_by": "by"}
    settings = RIDGE if task == "regression" else LINEAR_SVC
    evaluate(table, table, make_parameters(settings | (changes or {}), task=task, prepare=prepare, train=train))


@pytest.mark.parametrize(
    ("target", "by", "task", "metric", "found"),
    [
        (list("aabbab" * 2), list("rrsstt" * 2), "classification", "roc_auc", "2 of 3 folds"),
        ([1.0, 3.0, 2.0, 5.0, 4.0, 6.0, 8.0], list("rsttttt"), "regression", "auto", "2 of 3 folds"),
    ],
    ids=["one class", "one row"],
)
def test_folds_whose_rows_have_no_score_are_refused_before_anything_is_fitted(
    target: list[Any], by: list[Any], task: str, metric: str, found: str
) -> None:
    name = "r2" if metric == "auto" else metric
    with pytest.raises(Problem, match=rf"params\.yaml: train\.metric: '{name}' is not defined on {found}, "):
        scored_in_folds(target, by, task, {"alpha": -1.0} if task == "regression" else {"C": -1.0}, metric=metric)


def test_a_metric_that_the_estimator_cannot_give_is_named_with_one_that_it_can() -> None:
    with pytest.raises(Problem, match=r"'neg_log_loss' cannot score this estimator: .*predict_proba; choose another"):
        scored_in_folds(list("ab" * 9), list("rrsstt" * 3), "classification", metric="neg_log_loss")


@pytest.mark.parametrize("name", ["d2_brier_score", "d2_log_loss_score"])
def test_scores_of_probabilities_are_for_classes(name: str) -> None:
    assert name in evaluation.scorers_for("classification")
    assert name not in evaluation.scorers_for("regression")


def test_the_test_rows_of_each_group_are_scored_by_themselves() -> None:
    found = evaluate(TRAIN, TEST, make_parameters(LOGISTIC, "big", train={"slices": ["island", "length", "adult"]}))
    slices = found.metrics["slices"]

    assert {group: scores["rows"] for group, scores in slices["island"].items()} == {
        "(missing)": 1,
        "island 0": 4,
        "island 1": 4,
        "island 2": 3,
    }
    assert slices["island"]["island 1"] == {"rows": 4, "balanced_accuracy": 1.0, "accuracy": 1.0}
    assert list(slices["adult"]) == ["(missing)", "False", "True"]
    assert json.loads(json.dumps(found.metrics, allow_nan=False)) == found.metrics


def test_a_score_that_a_group_does_not_have_is_null() -> None:
    found = evaluate(TRAIN, TEST, make_parameters(LOGISTIC, "big", train={"slices": ["age"], "metric": "roc_auc"}))

    assert found.metrics["slices"]["age"]["0"] == {"rows": 6, "roc_auc": None, "accuracy": 1.0}


def test_numbers_are_cut_at_the_quartiles_of_training_dates_into_years_and_too_many_values_are_refused() -> None:
    days = pa.array(["2023-12-31", "2024-01-01", None] * 20).cast(pa.timestamp("us"))
    train = pa.table({"x": range(60), "day": days, "name": [f"n{row}" for row in range(60)]})
    test = train.take([0, 14, 15, 45, 59])

    quarters = ["up to 14.75", "up to 14.75", "14.75 to 29.5", "above 44.25", "above 44.25"]
    assert evaluation.groups_of("x", train, test) == quarters
    assert evaluation.groups_of("day", train, test) == ["2023", "(missing)", "2023", "2023", "(missing)"]
    with pytest.raises(Problem, match=r"train\.slices: 'name' has 60 values, at most 40 are scored one by one"):
        evaluation.groups_of("name", train, train)


def test_what_the_scores_show_is_kept_with_the_evaluation() -> None:
    assert [pitfall.name for pitfall in evaluate(TRAIN, TEST, make_parameters(TREE, "kind")).warnings] == [
        "perfect_score",
        "few_test_rows",
    ]
