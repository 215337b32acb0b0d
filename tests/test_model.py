import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.compose import TransformedTargetRegressor
from sklearn.ensemble import BaggingClassifier, VotingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeClassifier

from frame import to_frame, to_target
from model import (
    build_object,
    build_pipeline,
    build_preprocessing,
    build_setting,
    check_task,
    describe,
    distributions,
    load_class,
    seed,
    settle,
)
from parameters import Data, Estimator, Package, Parameters, Prepare, Train
from problem import Problem

PLACE = "params.yaml: estimators.mine"
LOGISTIC = {"class": "sklearn.linear_model.LogisticRegression"}
RIDGE = {"class": "sklearn.linear_model.Ridge"}
TREE = {"class": "sklearn.tree.DecisionTreeClassifier"}
SEARCH = {"class": "sklearn.model_selection.GridSearchCV", "estimator": LOGISTIC, "param_grid": {"C": [0.1, 1.0]}}


class Open(ClassifierMixin, BaseEstimator):
    """An estimator that takes any setting, as those of some libraries do."""

    def __init__(self, depth: int = 1, **settings: object) -> None:
        self.depth = depth
        self.settings = settings

    def fit(self, _x: object, _y: object) -> "Open":
        return self

    def predict(self, x: object) -> np.ndarray:
        return np.zeros(len(x))


def section(settings: dict[str, Any]) -> Estimator:
    return Estimator.model_validate(settings)


def parameters(settings: dict[str, Any], task: str = "classification") -> Parameters:
    return Parameters(
        data=Data(path="table.csv", target="target", task=task, drop=[]),
        prepare=Prepare(test_size=0.2, seed=42),
        train=Train(estimator="mine", folds=2, seed=7, threads=1, portable=False),
        estimators={"mine": section(settings)},
        package=Package(name="table", version="v1.0.0"),
    )


SCHEMA = pa.schema({"x": pa.float64(), "target": pa.string()})


def build(settings: dict[str, Any]) -> Any:
    return build_object(section(settings).class_, section(settings).settings, PLACE)


def problems_of(settings: dict[str, Any], task: str = "classification") -> tuple[str, ...]:
    with pytest.raises(Problem) as problem:
        build_pipeline(parameters(settings, task), SCHEMA)
    return problem.value.lines


def test_an_estimator_is_made_with_its_settings() -> None:
    estimator = build(LOGISTIC | {"C": 0.5, "max_iter": 7})

    assert isinstance(estimator, LogisticRegression)
    assert estimator.get_params() == LogisticRegression(C=0.5, max_iter=7).get_params()


def test_a_module_that_cannot_be_imported_is_named() -> None:
    reason = "No module named 'sklearn.oaks'"

    assert problems_of({"class": "sklearn.oaks.Oak"}) == (
        f"{PLACE}.class: 'sklearn.oaks.Oak' cannot be imported ({reason}); give the dotted path of an installed class",
    )


def test_the_nearest_class_is_offered_for_an_unknown_one() -> None:
    assert problems_of({"class": "sklearn.linear_model.LogisticRegresion"}) == (
        f"{PLACE}.class: 'sklearn.linear_model' has no class 'LogisticRegresion'; did you mean 'LogisticRegression'?",
    )


def test_every_unknown_setting_is_named_with_the_nearest_one() -> None:
    assert problems_of(LOGISTIC | {"max_itr": 5, "C": 1.0, "solvr": "lbfgs"}) == (
        f"{PLACE}.max_itr: LogisticRegression takes no such setting; did you mean 'max_iter'?",
        f"{PLACE}.solvr: LogisticRegression takes no such setting; did you mean 'solver'?",
    )


def test_self_is_no_setting() -> None:
    assert problems_of({"class": "sklearn.naive_bayes.GaussianNB", "self": 1}) == (
        f"{PLACE}.self: GaussianNB takes no such setting; known: priors, var_smoothing",
    )


def test_every_setting_that_an_estimator_cannot_be_made_without_is_named() -> None:
    assert problems_of({"class": SEARCH["class"]}) == (
        f"{PLACE}.estimator: missing; GridSearchCV cannot be made without it",
        f"{PLACE}.param_grid: missing; GridSearchCV cannot be made without it",
    )


def test_what_is_no_class_is_refused() -> None:
    assert problems_of({"class": "os.path.join"}) == (f"{PLACE}.class: 'os.path' has no class 'join'; none is known",)


@pytest.mark.parametrize("path", ["LogisticRegression", ".sklearn.linear_model.Ridge", "..Ridge", ".Ridge", "."])
def test_what_is_no_dotted_path_is_refused_with_an_example(path: str) -> None:
    assert problems_of({"class": path}) == (
        f"{PLACE}.class: expected a dotted path such as sklearn.linear_model.Ridge, found '{path}'",
    )


def test_a_class_inside_without_a_name_is_refused_with_an_example() -> None:
    assert problems_of(SEARCH | {"estimator": {"class": ""}}) == (
        f"{PLACE}.estimator.class: expected a dotted path such as sklearn.linear_model.Ridge, found ''",
    )


def test_a_class_that_cannot_be_made_is_refused_in_its_own_words() -> None:
    (line,) = problems_of({"class": "sklearn.linear_model._base.LinearModel"})

    assert line.startswith(
        f"{PLACE}: LinearModel cannot be made with these settings: Can't instantiate abstract class "
    )


@pytest.mark.parametrize(
    "settings",
    [
        {"class": "sklearn.preprocessing.StandardScaler"},
        {"class": "pathlib.Path"},
        SEARCH | {"refit": False},
        SEARCH | {"estimator": {"class": None}},
    ],
    ids=["transformer", "path", "search that fits nothing in the end", "search of nothing"],
)
def test_what_is_no_estimator_is_refused(settings: dict[str, Any]) -> None:
    assert problems_of(settings) == (
        f"{PLACE}.class: '{settings['class']}' is no estimator: expected one with fit, predict, get_params, set_params",
    )


def test_a_class_that_takes_any_setting_gets_any_setting() -> None:
    estimator = build({"class": f"{__name__}.Open", "depth": 3, "colour": "blue"})

    assert (estimator.depth, estimator.settings) == (3, {"colour": "blue"})


def test_a_mapping_with_a_class_is_an_estimator_inside_the_other() -> None:
    inner = {"class": "sklearn.ensemble.BaggingClassifier", "estimator": TREE | {"max_depth": 2}}
    outer = build(SEARCH | {"estimator": inner, "param_grid": {"n_estimators": [5]}})

    assert isinstance(outer, GridSearchCV)
    assert isinstance(outer.estimator, BaggingClassifier)
    assert isinstance(outer.estimator.estimator, DecisionTreeClassifier)
    assert outer.estimator.estimator.max_depth == 2
    assert outer.param_grid == {"n_estimators": [5]}


def test_a_mapping_with_a_class_may_be_any_object() -> None:
    scaler = {"class": "sklearn.preprocessing.StandardScaler", "with_mean": False}
    outer = build({"class": "sklearn.compose.TransformedTargetRegressor", "transformer": scaler})

    assert isinstance(outer, TransformedTargetRegressor)
    assert isinstance(outer.transformer, StandardScaler)
    assert outer.transformer.with_mean is False


def test_objects_are_made_inside_of_lists_too() -> None:
    voters = [["tree", TREE | {"max_depth": 2}], ["logistic", LOGISTIC]]
    outer = build({"class": "sklearn.ensemble.VotingClassifier", "estimators": voters})

    assert isinstance(outer, VotingClassifier)
    assert [(name, type(voter)) for name, voter in outer.estimators] == [
        ("tree", DecisionTreeClassifier),
        ("logistic", LogisticRegression),
    ]
    assert outer.estimators[0][1].max_depth == 2


@pytest.mark.parametrize(
    ("settings", "place"),
    [
        (SEARCH | {"estimator": TREE | {"max_dept": 2}}, "estimator"),
        (
            {"class": "sklearn.ensemble.VotingClassifier", "estimators": [["tree", TREE | {"max_dept": 2}]]},
            "estimators.0.1",
        ),
    ],
    ids=["mapping", "list"],
)
def test_what_is_wrong_inside_is_said_with_its_full_name(settings: dict[str, Any], place: str) -> None:
    assert problems_of(settings) == (
        f"{PLACE}.{place}.max_dept: DecisionTreeClassifier takes no such setting; did you mean 'max_depth'?",
    )


@pytest.mark.parametrize(
    "value", [None, True, 3, 0.5, "sqrt", [1, [2.0, None]], {"a": 1}, {"class": None}, {"class": 3}]
)
def test_a_value_that_describes_no_object_stays_as_it_stands(value: Any) -> None:
    assert build_setting(value, PLACE) == value


def test_a_class_is_found_by_its_dotted_path() -> None:
    assert load_class("sklearn.linear_model.LogisticRegression", PLACE) is LogisticRegression


def test_other_mappings_are_settings_as_they_stand() -> None:
    estimator = build(LOGISTIC | {"class_weight": {"female": 2, "male": 1}})

    assert estimator.class_weight == {"female": 2, "male": 1}


@pytest.mark.parametrize(
    ("settings", "task"),
    [(LOGISTIC, "classification"), (SEARCH, "classification"), (RIDGE, "regression")],
)
def test_an_estimator_for_the_task_is_accepted(settings: dict[str, Any], task: str) -> None:
    check_task(build(settings), parameters(settings, task).data, PLACE)


@pytest.mark.parametrize(
    ("settings", "task", "name"),
    [
        (LOGISTIC, "regression", "LogisticRegression"),
        (SEARCH, "regression", "GridSearchCV"),
        (RIDGE, "classification", "Ridge"),
        ({"class": "sklearn.cluster.KMeans"}, "classification", "KMeans"),
        ({"class": "sklearn.cluster.KMeans"}, "regression", "KMeans"),
    ],
)
def test_an_estimator_for_another_task_is_refused(settings: dict[str, Any], task: str, name: str) -> None:
    assert problems_of(settings, task) == (f"{PLACE}.class: {name} is not for data.task: {task}",)


def test_every_random_state_that_is_open_gets_the_seed_and_no_other() -> None:
    given, left_open = TREE | {"random_state": 3}, TREE
    estimators = [
        build({"class": "sklearn.ensemble.BaggingClassifier", "estimator": inner}) for inner in (given, left_open)
    ]
    for estimator in estimators:
        seed(estimator, 7)

    assert [(e.random_state, e.estimator.random_state) for e in estimators] == [(7, 3), (7, 7)]


def test_an_estimator_without_a_random_state_needs_no_seed() -> None:
    estimator = build({"class": "sklearn.naive_bayes.GaussianNB"})
    before = estimator.get_params()
    seed(estimator, 7)

    assert estimator.get_params() == before


def test_the_pipeline_is_the_preprocessing_and_the_seeded_estimator() -> None:
    pipeline = build_pipeline(parameters(TREE), SCHEMA)

    assert [name for name, _ in pipeline.steps] == ["preprocess", "model"]
    assert pipeline["preprocess"].transformers[0][2] == ["x"]
    assert pipeline["model"].random_state == 7


def preprocess(train: pa.Table, rows: pa.Table) -> list[list[float]]:
    """What the estimator sees of some rows after the preprocessing has seen the training part."""
    preprocessing = build_preprocessing(train.schema, "target").fit(to_frame(train.drop(["target"])))
    return preprocessing.transform(to_frame(rows)).tolist()


def test_numbers_get_the_median_for_missing_ones_then_mean_0_and_variance_1() -> None:
    train = pa.table({"x": [0.0, 2.0, None, 10.0], "n": [1, 1, 3, 3], "target": ["a", "b", "a", "b"]})
    rows = pa.table({"x": [0.0, None, 7.0], "n": [1, 3, None]})
    mean, deviation = 3.5, math.sqrt(14.75)  # of 0, 2, 2, 10

    assert preprocess(train, rows) == [
        pytest.approx([(0 - mean) / deviation, -1]),
        pytest.approx([(2 - mean) / deviation, 1]),
        pytest.approx([(7 - mean) / deviation, 0]),
    ]


def test_text_and_booleans_get_the_most_frequent_for_missing_ones_then_one_column_for_each_value() -> None:
    train = pa.table(
        {"t": ["a", "b", None, "b"], "target": [0, 1, 0, 1], "flag": [True, None, False, True]},
    )
    rows = pa.table({"t": ["a", "b", None], "flag": [False, True, None]})

    assert preprocess(train, rows) == [[1, 0, 1, 0], [0, 1, 0, 1], [0, 1, 0, 1]]


def test_a_value_that_training_never_saw_is_all_zeros() -> None:
    train = pa.table({"t": ["a", "b"], "flag": [True, True], "target": [0, 1]})
    rows = pa.table({"t": ["c"], "flag": [False]})

    assert preprocess(train, rows) == [[0, 0, 0]]


@pytest.mark.parametrize(("kind", "value"), [(pa.float64(), 1.5), (pa.string(), "a"), (pa.bool_(), True)])
def test_a_column_that_was_empty_in_training_keeps_its_place_and_can_be_scored(kind: pa.DataType, value: Any) -> None:
    train = pa.table({"empty": pa.nulls(2, kind), "x": [1.0, 3.0], "target": [0, 1]})
    rows = pa.table({"empty": [value, None], "x": [1.0, 3.0]})

    assert [len(row) for row in preprocess(train, rows)] == [2, 2]


def fit(settings: dict[str, Any], table: pa.Table, task: str = "classification") -> Any:
    pipeline = build_pipeline(parameters(settings, task), table.schema)
    return pipeline.fit(to_frame(table.drop(["target"])), to_target(table["target"]))


TABLE = pa.table({"x": [0.0, 1.0, 5.0, 6.0] * 5, "target": ["low", "low", "high", "high"] * 5})


def test_a_search_settles_to_its_best_estimator_which_predicts_the_same() -> None:
    search = fit(SEARCH, TABLE)
    settled = settle(search)
    rows = to_frame(TABLE.drop(["target"]))

    assert isinstance(settled["model"], LogisticRegression)
    assert [name for name, _ in settled.steps] == ["preprocess", "model"]
    assert settled.predict_proba(rows).tolist() == search.predict_proba(rows).tolist()


def test_what_is_no_search_settles_to_itself() -> None:
    pipeline = fit(TREE, TABLE)

    assert settle(pipeline).steps == pipeline.steps


def test_a_model_is_described_by_its_steps_and_the_columns_it_expects() -> None:
    table = pa.table({"x": [0.0, None, 5.0, 6.0], "target": ["b", "a", "b", "a"], "n": [1, 2, 3, 4]})
    described = describe(fit(LOGISTIC, table), table, parameters(LOGISTIC).data, None)

    assert described.model_dump(by_alias=True) == {
        "class": "sklearn.pipeline.Pipeline",
        "steps": [
            {"name": "preprocess", "class": "sklearn.compose._column_transformer.ColumnTransformer"},
            {"name": "model", "class": "sklearn.linear_model._logistic.LogisticRegression"},
        ],
        "task": "classification",
        "target": "target",
        "classes": ["a", "b"],
        "features": [
            {"name": "x", "dtype": "double", "nullable": True},
            {"name": "n", "dtype": "int64", "nullable": False},
        ],
        "deterministic": True,
        "nondeterminism": None,
    }


@pytest.mark.parametrize("classes", [["high", "low"], [False, True], [-1, 2], [1.0, 2.0]])
def test_classes_are_described_as_the_values_they_are(classes: list[Any]) -> None:
    table = pa.table({"x": [1.0, 2.0, 3.0, 4.0], "target": classes * 2})
    found = describe(fit(LOGISTIC, table), table, parameters(LOGISTIC).data, None).classes

    assert found == classes
    assert [type(value) for value in found] == [type(value) for value in classes]


def test_a_regression_has_no_classes() -> None:
    table = pa.table({"x": [1.0, 2.0], "target": [1.0, 2.0]})

    assert describe(fit(RIDGE, table, "regression"), table, parameters(RIDGE, "regression").data, None).classes is None


def test_a_model_that_another_process_made_otherwise_is_described_as_such() -> None:
    described = describe(fit(LOGISTIC, TABLE), TABLE, parameters(LOGISTIC).data, "model.coef_ differs")

    assert (described.deterministic, described.nondeterminism) == (False, "model.coef_ differs")


def test_an_estimator_comes_from_its_package_and_one_of_this_repository_from_none() -> None:
    assert distributions(section(LOGISTIC)) == {"scikit-learn"}
    assert distributions(section({"class": f"{__name__}.Open"})) == set()


@pytest.mark.parametrize(
    "settings",
    [
        SEARCH | {"estimator": {"class": "hypothesis.Classifier"}},
        SEARCH | {"estimator": {"class": "sklearn.ensemble.BaggingClassifier", "estimator": {"class": "hypothesis.X"}}},
        {"class": "sklearn.ensemble.VotingClassifier", "estimators": [["a", {"class": "hypothesis.X"}], ["b", TREE]]},
    ],
    ids=["inside", "deeper", "in a list"],
)
def test_the_packages_of_what_is_inside_count_too(settings: dict[str, Any]) -> None:
    assert distributions(section(settings)) == {"scikit-learn", "hypothesis"}
