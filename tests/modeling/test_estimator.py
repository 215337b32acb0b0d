import sys
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
from tables import LOGISTIC, RIDGE, SEARCH, TREE, VOTING, make_parameters

from modeling.estimator import (
    build_object,
    build_pipeline,
    build_setting,
    check_task,
    describe,
    distributions,
    fit_pipeline,
    load_class,
    seed,
)
from modeling.table import features_and_target
from record.parameters import Estimator
from record.problem import Problem

PLACE = "params.yaml: estimators.mine"
SCHEMA = pa.schema({"x": pa.float64(), "target": pa.string()})
BAGGING = {"class": "sklearn.ensemble.BaggingClassifier"}


class Dangerous:
    """A class of this repository that must not be called."""

    def __init__(self, args: object = None) -> None:
        raise AssertionError(args)


class Duck:
    """An estimator of a library that does not build on scikit-learn's base class."""

    def fit(self) -> None: ...
    def predict(self) -> None: ...


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


def build(settings: dict[str, Any]) -> Any:
    return build_object(section(settings).class_, section(settings).settings, PLACE)


def problems_of(settings: dict[str, Any], task: str = "classification") -> tuple[str, ...]:
    with pytest.raises(Problem) as problem:
        build_pipeline(SCHEMA, make_parameters(settings, task=task))
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
        f"{PLACE}.max_itr: LogisticRegression has no such setting; did you mean 'max_iter'?",
        f"{PLACE}.solvr: LogisticRegression has no such setting; did you mean 'solver'?",
    )


def test_self_is_not_a_setting() -> None:
    assert problems_of({"class": "sklearn.naive_bayes.GaussianNB", "self": 1}) == (
        f"{PLACE}.self: GaussianNB has no such setting; known: priors, var_smoothing",
    )


def test_every_missing_setting_is_named() -> None:
    assert problems_of({"class": SEARCH["class"]}) == (
        f"{PLACE}.estimator: missing; GridSearchCV requires it",
        f"{PLACE}.param_grid: missing; GridSearchCV requires it",
    )


def test_a_name_that_is_not_a_class_is_refused() -> None:
    (line,) = problems_of({"class": "sklearn.base.clone"})

    assert line.startswith(f"{PLACE}.class: 'sklearn.base' has no class 'clone'; ")


@pytest.mark.parametrize(
    "path",
    [
        "subprocess.Popen",
        "os.path.join",
        "pathlib.Path",
        "builtins.open",
        "sklearn.datasets._base.Path",
        "pyarrow.parquet.ParquetWriter",
        "record.checksums.Digest",
        f"{__name__}.Dangerous",
    ],
)
@pytest.mark.parametrize("place", ["", ".estimator", ".estimators.0.1"])
def test_a_class_that_is_not_part_of_an_estimator_is_never_called(path: str, place: str) -> None:
    settings: dict[str, Any] = {"class": path, "args": ["touch", "mark"]}
    nested = {
        ".estimator": BAGGING | {"estimator": settings},
        ".estimators.0.1": VOTING | {"estimators": [["a", settings]]},
    }

    assert problems_of(nested.get(place, settings)) == (
        f"{PLACE}{place}.class: '{path}' is not an estimator or a part of one, so it is not used",
    )


def test_a_module_of_the_standard_library_is_not_even_imported() -> None:
    assert "antigravity" not in sys.modules
    with pytest.raises(Problem, match="is not an estimator"):
        load_class("antigravity.Antigravity", PLACE)

    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "path",
    [
        "sklearn.gaussian_process.kernels.RBF",
        "sklearn.model_selection.KFold",
        "sklearn.preprocessing.StandardScaler",
        f"{__name__}.Duck",
    ],
)
def test_kernels_splitters_and_what_behaves_like_an_estimator_are_parts(path: str) -> None:
    assert load_class(path, PLACE).__name__ == path.rpartition(".")[2]


@pytest.mark.parametrize("path", ["LogisticRegression", ".sklearn.linear_model.Ridge", "..Ridge", ".Ridge", "."])
def test_a_path_without_dots_is_refused_with_an_example(path: str) -> None:
    assert problems_of({"class": path}) == (
        f"{PLACE}.class: expected a dotted path such as sklearn.linear_model.Ridge, found '{path}'",
    )


def test_a_nested_class_without_a_name_is_refused_with_an_example() -> None:
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
        SEARCH | {"refit": False},
        SEARCH | {"estimator": {"class": None}},
    ],
    ids=["transformer", "search that fits nothing in the end", "search of nothing"],
)
def test_an_object_without_an_estimators_methods_is_refused(settings: dict[str, Any]) -> None:
    expected = "expected one with fit, predict, get_params, set_params"

    assert problems_of(settings) == (f"{PLACE}.class: '{settings['class']}' is not an estimator: {expected}",)


def test_a_class_that_takes_any_setting_gets_any_setting() -> None:
    estimator = build({"class": f"{__name__}.Open", "depth": 3, "colour": "blue"})

    assert (estimator.depth, estimator.settings) == (3, {"colour": "blue"})


def test_a_mapping_with_a_class_becomes_a_nested_estimator() -> None:
    inner = {"class": "sklearn.ensemble.BaggingClassifier", "estimator": TREE | {"max_depth": 2}}
    outer = build(SEARCH | {"estimator": inner, "param_grid": {"n_estimators": [5]}})

    assert isinstance(outer, GridSearchCV)
    assert isinstance(outer.estimator, BaggingClassifier)
    assert isinstance(outer.estimator.estimator, DecisionTreeClassifier)
    assert outer.estimator.estimator.max_depth == 2
    assert outer.param_grid == {"n_estimators": [5]}


def test_a_mapping_with_a_class_may_be_a_transformer() -> None:
    scaler = {"class": "sklearn.preprocessing.StandardScaler", "with_mean": False}
    outer = build({"class": "sklearn.compose.TransformedTargetRegressor", "transformer": scaler})

    assert isinstance(outer, TransformedTargetRegressor)
    assert isinstance(outer.transformer, StandardScaler)
    assert outer.transformer.with_mean is False


def test_objects_are_made_inside_lists_too() -> None:
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
        (VOTING | {"estimators": [["tree", TREE | {"max_dept": 2}]]}, "estimators.0.1"),
    ],
    ids=["mapping", "list"],
)
def test_a_nested_problem_is_reported_with_its_full_name(settings: dict[str, Any], place: str) -> None:
    assert problems_of(settings) == (
        f"{PLACE}.{place}.max_dept: DecisionTreeClassifier has no such setting; did you mean 'max_depth'?",
    )


@pytest.mark.parametrize(
    "value", [None, True, 3, 0.5, "sqrt", [1, [2.0, None]], {"a": 1}, {"class": None}, {"class": 3}]
)
def test_any_other_value_is_unchanged(value: Any) -> None:
    assert build_setting(value, PLACE) == value


def test_a_class_is_found_by_its_dotted_path() -> None:
    assert load_class("sklearn.linear_model.LogisticRegression", PLACE) is LogisticRegression


def test_other_mappings_are_unchanged() -> None:
    estimator = build(LOGISTIC | {"class_weight": {"female": 2, "male": 1}})

    assert estimator.class_weight == {"female": 2, "male": 1}


@pytest.mark.parametrize(
    ("settings", "task"),
    [(LOGISTIC, "classification"), (SEARCH, "classification"), (RIDGE, "regression")],
)
def test_an_estimator_for_the_task_is_accepted(settings: dict[str, Any], task: str) -> None:
    check_task(build(settings), make_parameters(settings, task=task).data, PLACE)


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


def test_only_unset_random_states_get_the_seed() -> None:
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
    pipeline = build_pipeline(SCHEMA, make_parameters(TREE))

    assert [name for name, _ in pipeline.steps] == ["preprocess", "model"]
    assert pipeline["preprocess"].transformers[0][2] == ["x"]
    assert pipeline["model"].random_state == 7


TABLE = pa.table({"x": [0.0, 1.0, 5.0, 6.0] * 5, "target": ["low", "low", "high", "high"] * 5})


def test_of_a_search_the_best_estimator_is_kept_and_predicts_the_same() -> None:
    features, target = features_and_target(TABLE, "target")
    search = build_pipeline(TABLE.schema, make_parameters(SEARCH)).fit(features, target)
    kept = fit_pipeline(TABLE, make_parameters(SEARCH))

    assert isinstance(kept["model"], LogisticRegression)
    assert [name for name, _ in kept.steps] == ["preprocess", "model"]
    assert kept.predict_proba(features).tolist() == search.predict_proba(features).tolist()


def test_a_model_is_described_by_its_steps_and_the_columns_it_expects() -> None:
    table = pa.table({"x": [0.0, None, 5.0, 6.0], "target": ["b", "a", "b", "a"], "n": [1, 2, 3, 4]})
    described = describe(fit_pipeline(table, make_parameters(LOGISTIC)), table, make_parameters(LOGISTIC).data, None)

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
    found = describe(
        fit_pipeline(table, make_parameters(LOGISTIC)), table, make_parameters(LOGISTIC).data, None
    ).classes

    assert found == classes
    assert [type(value) for value in found] == [type(value) for value in classes]


def test_a_regression_has_no_classes() -> None:
    table = pa.table({"x": [1.0, 2.0], "target": [1.0, 2.0]})
    parameters = make_parameters(RIDGE, task="regression")

    assert describe(fit_pipeline(table, parameters), table, parameters.data, None).classes is None


def test_nondeterminism_is_part_of_the_description() -> None:
    described = describe(
        fit_pipeline(TABLE, make_parameters(LOGISTIC)), TABLE, make_parameters(LOGISTIC).data, "model.coef_ differs"
    )

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
def test_the_packages_of_nested_classes_count_too(settings: dict[str, Any]) -> None:
    assert distributions(section(settings)) == {"scikit-learn", "hypothesis"}
