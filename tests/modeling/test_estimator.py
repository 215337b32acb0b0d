import sys
from typing import Any

import pyarrow as pa
import pytest
from sklearn.compose import TransformedTargetRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.tree import DecisionTreeClassifier
from tables import LOGISTIC, RIDGE, SEARCH, TREE, VOTING, make_parameters

from modeling.estimator import (
    MOST_VALUES,
    build_object,
    build_pipeline,
    build_setting,
    check_task,
    describe,
    describe_feature,
    distributions,
    fit_pipeline,
    load_class,
    seed,
)
from modeling.table import features_and_target, kind_of
from record.notes import Fitted
from record.parameters import Estimator
from record.problem import Problem

PLACE = "params.yaml: estimators.mine"
BAGGING = {"class": "sklearn.ensemble.BaggingClassifier"}
KMEANS = {"class": "sklearn.cluster.KMeans"}
SCALER = {"class": "sklearn.preprocessing.StandardScaler"}
FOREIGN = {"class": "hypothesis.Classifier"}
TABLE = pa.table({"x": [0.0, 1.0, 5.0, 6.0] * 5, "target": ["low", "low", "high", "high"] * 5})


class Dangerous:
    """A class of this repository that must not be called."""

    def __init__(self, args: object = None) -> None:
        raise AssertionError(args)


class Duck:
    """An estimator of a library that does not build on scikit-learn's base class, and takes any setting."""

    def __init__(self, depth: int = 1, **settings: object) -> None:
        self.made = depth, settings

    def fit(self) -> None: ...
    def predict(self) -> None: ...


def build(settings: dict[str, Any]) -> Any:
    section = Estimator.model_validate(settings)
    return build_object(section.class_, section.settings, PLACE)


def problems_of(settings: dict[str, Any], task: str = "classification") -> list[str]:
    """What is said of the settings, each line without the place in which all begin."""
    with pytest.raises(Problem) as problem:
        build_pipeline(TABLE, make_parameters(settings, task=task))
    assert all(line.startswith(PLACE) for line in problem.value.lines)
    return [line.removeprefix(PLACE) for line in problem.value.lines]


DOTTED = ".class: expected a dotted path such as sklearn.linear_model.Ridge, found "
OAKS = (
    "'sklearn.oaks.Oak' cannot be imported (No module named 'sklearn.oaks'); give the dotted path of an installed class"
)
LOGISTICS = "'sklearn.linear_model' has no class 'LogisticRegresion'; did you mean 'LogisticRegression'?"
ABSTRACT = "LinearModel cannot be made with these settings: Can't instantiate abstract class "
MAX_ITER, SOLVER = (
    f"LogisticRegression has no such setting; did you mean '{name}'?" for name in ("max_iter", "solver")
)
BAYES = "GaussianNB has no such setting; known: priors, var_smoothing"
DEPTH = "max_dept: DecisionTreeClassifier has no such setting; did you mean 'max_depth'?"
METHODS = ".class: '{}' is not an estimator: expected one with fit, predict, get_params, set_params"
REQUIRED = [f".{name}: missing; GridSearchCV requires it" for name in ("estimator", "param_grid")]


@pytest.mark.parametrize(
    ("settings", "lines"),
    [
        ({"class": "sklearn.oaks.Oak"}, [f".class: {OAKS}"]),
        ({"class": "sklearn.linear_model.LogisticRegresion"}, [f".class: {LOGISTICS}"]),
        ({"class": "sklearn.base.clone"}, [".class: 'sklearn.base' has no class 'clone'; "]),
        ({"class": "sklearn.linear_model._base.LinearModel"}, [f": {ABSTRACT}"]),
        (LOGISTIC | {"max_itr": 5, "C": 1.0, "solvr": "lbfgs"}, [f".max_itr: {MAX_ITER}", f".solvr: {SOLVER}"]),
        ({"class": "sklearn.naive_bayes.GaussianNB", "self": 1}, [f".self: {BAYES}"]),
        ({"class": SEARCH["class"]}, REQUIRED),
        *(
            ({"class": path}, [f"{DOTTED}'{path}'"])
            for path in ("Ridge", ".sklearn.linear_model.Ridge", "..Ridge", ".")
        ),
        (SEARCH | {"estimator": {"class": ""}}, [f".estimator{DOTTED}''"]),
        (SEARCH | {"estimator": TREE | {"max_dept": 2}}, [f".estimator.{DEPTH}"]),
        (VOTING | {"estimators": [["tree", TREE | {"max_dept": 2}]]}, [f".estimators.0.1.{DEPTH}"]),
        (SCALER, [METHODS.format(SCALER["class"])]),
        *(
            (SEARCH | more, [METHODS.format(SEARCH["class"])])
            for more in ({"refit": False}, {"estimator": {"class": None}})
        ),
    ],
)
def test_settings_that_make_no_estimator_are_all_named_with_the_remedy(
    settings: dict[str, Any], lines: list[str]
) -> None:
    found = problems_of(settings)

    assert [line[: len(start)] for line, start in zip(found, lines, strict=True)] == lines


@pytest.mark.parametrize("name", ["StackingClassifier", "StackingRegressor"])
def test_a_stack_without_a_last_estimator_has_its_usual_one(name: str) -> None:
    parts = [["first", TREE if name == "StackingClassifier" else RIDGE]]
    task = "classification" if name == "StackingClassifier" else "regression"
    settings = {"class": f"sklearn.ensemble.{name}", "estimators": parts}
    table = TABLE if task == "classification" else TABLE.set_column(1, "target", TABLE["x"])

    assert len(fit_pipeline(table, make_parameters(settings, task=task)).predict(table.to_pandas())) == len(table)


@pytest.mark.parametrize(
    "path",
    [
        *("subprocess.Popen", "os.path.join", "pathlib.Path", "builtins.open", "sklearn.datasets._base.Path"),
        *("pyarrow.parquet.ParquetWriter", "record.checksums.Digest", f"{__name__}.Dangerous"),
    ],
)
def test_a_class_that_is_not_part_of_an_estimator_is_never_called(path: str) -> None:
    settings: dict[str, Any] = {"class": path, "args": ["touch", "mark"]}
    in_list = VOTING | {"estimators": [["a", settings]]}
    foreign = f".class: '{path}' is not an estimator or a part of one, so it is not used"

    assert problems_of(settings) == [foreign]
    assert problems_of(BAGGING | {"estimator": settings}) == [f".estimator{foreign}"]
    assert problems_of(in_list) == [f".estimators.0.1{foreign}"]


def test_a_module_of_the_standard_library_is_not_even_imported() -> None:
    assert "antigravity" not in sys.modules
    assert "is not an estimator" in problems_of({"class": "antigravity.Antigravity"})[0]
    assert "antigravity" not in sys.modules


@pytest.mark.parametrize(
    "path", ["sklearn.gaussian_process.kernels.RBF", "sklearn.model_selection.KFold", f"{__name__}.Duck"]
)
def test_kernels_splitters_and_what_behaves_like_an_estimator_are_parts(path: str) -> None:
    assert load_class(path, PLACE).__name__ == path.rpartition(".")[2]


def test_a_class_that_takes_any_setting_gets_any_setting() -> None:
    assert build({"class": f"{__name__}.Duck", "depth": 3, "colour": "blue"}).made == (3, {"colour": "blue"})


def test_a_mapping_with_a_class_becomes_an_object_at_any_depth_and_inside_lists_too() -> None:
    search = build(SEARCH | {"estimator": BAGGING | {"estimator": TREE | {"max_depth": 2}}, "param_grid": {"C": [5]}})
    target = build(
        {"class": "sklearn.compose.TransformedTargetRegressor", "transformer": SCALER | {"with_mean": False}}
    )
    voting = build(VOTING | {"estimators": [["tree", TREE | {"max_depth": 2}], ["logistic", LOGISTIC]]})

    assert isinstance(search, GridSearchCV)
    assert isinstance(search.estimator.estimator, DecisionTreeClassifier)
    assert (search.estimator.estimator.max_depth, search.param_grid) == (2, {"C": [5]})
    assert isinstance(target, TransformedTargetRegressor)
    assert target.transformer.with_mean is False
    assert [(name, type(voter)) for name, voter in voting.estimators] == [
        ("tree", DecisionTreeClassifier),
        ("logistic", LogisticRegression),
    ]
    assert voting.estimators[0][1].max_depth == 2


@pytest.mark.parametrize("value", [None, True, 0.5, "sqrt", [1, [2.0, None]], {"a": 1}, {"class": None}, {"class": 3}])
def test_any_other_value_is_unchanged(value: Any) -> None:
    assert build_setting(value, PLACE) == value


@pytest.mark.parametrize(
    ("settings", "task"), [(LOGISTIC, "classification"), (SEARCH, "classification"), (RIDGE, "regression")]
)
def test_an_estimator_is_refused_for_another_task_only(settings: dict[str, Any], task: str) -> None:
    estimator, other = build(settings), "regression" if task == "classification" else "classification"
    check_task(estimator, make_parameters(settings, task=task).data, PLACE)
    kinds = {"classification": "classifier", "regression": "regressor"}

    for one, asked in ((settings, other), (KMEANS, task)):
        found = f".class: {type(build(one)).__name__} does not fit data.task: {asked}"
        assert problems_of(one, asked) == [f"{found}; choose a {kinds[asked]} as train.estimator, or another data.task"]


def test_only_unset_random_states_get_the_seed() -> None:
    given, left_open = (build(BAGGING | {"estimator": inner}) for inner in (TREE | {"random_state": 3}, TREE))
    without = build({"class": "sklearn.naive_bayes.GaussianNB"})
    for estimator in (given, left_open, without):
        seed(estimator, 7)

    assert [(e.random_state, e.estimator.random_state) for e in (given, left_open)] == [(7, 3), (7, 7)]
    assert "random_state" not in without.get_params()


def test_the_pipeline_is_the_preprocessing_and_the_seeded_estimator() -> None:
    pipeline = build_pipeline(TABLE, make_parameters(TREE))

    assert [name for name, _ in pipeline.steps] == ["preprocess", "model"]
    assert pipeline["preprocess"].transformers[0][2] == ["x"]
    assert pipeline["model"].random_state == 7


def test_of_a_search_the_best_estimator_is_kept_and_predicts_the_same() -> None:
    features, target = features_and_target(TABLE, make_parameters(SEARCH))
    search = build_pipeline(TABLE, make_parameters(SEARCH)).fit(features, target)
    kept = fit_pipeline(TABLE, make_parameters(SEARCH))

    assert isinstance(kept["model"], LogisticRegression)
    assert [name for name, _ in kept.steps] == ["preprocess", "model"]
    assert kept.predict_proba(features).tolist() == search.predict_proba(features).tolist()


def described(table: pa.Table, settings: dict[str, Any], *reason: str, task: str = "classification") -> Fitted:
    parameters = make_parameters(settings, task=task)
    return describe(fit_pipeline(table, parameters), table, parameters, *(reason or [None]))


def test_a_model_is_described_by_its_steps_and_the_columns_it_expects() -> None:
    table = pa.table({"x": [0.0, None, 5.0, 6.0], "target": ["b", "a", "b", "a"], "n": [1, 2, 3, 4]})
    found = described(table, LOGISTIC)

    assert (found.class_, found.task, found.target) == ("sklearn.pipeline.Pipeline", "classification", "target")
    assert [(step.name, step.class_) for step in found.steps] == [
        ("preprocess", "sklearn.compose._column_transformer.ColumnTransformer"),
        ("model", "sklearn.linear_model._logistic.LogisticRegression"),
    ]
    assert [tuple(dict(one).values()) for one in found.features] == [
        ("x", "double", True, "number", 0.25, 0, 6, None, [1, *[0] * 15, 1, 0, 0, 1]),
        ("n", "int64", False, "number", 0, 1, 4, None, [1, *[0] * 5, 1, *[0] * 6, 1, *[0] * 5, 1]),
    ]
    assert (found.classes, found.deterministic, found.nondeterminism) == (["a", "b"], True, None)


@pytest.mark.parametrize(
    ("values", "counts"),
    [
        (["b", "a", None, "b"], [1, 2]),
        ([True, None, True, False], [1, 2]),
        ([True, True, None, True], [0, 3]),
        ([7, 7, None, 7], [3, *[0] * 19]),
        ([0.0, 19.0, 20.0, None], [1, *[0] * 18, 2]),
        ([-1.7e308, 0.0, 1.7e308, 1.7e308], [1, *[0] * 9, 1, *[0] * 8, 2]),
        ([0.0, 5e-324, 5e-324, None], [3, *[0] * 19]),
    ],
)
def test_the_rows_of_a_column_are_counted_by_value_or_bin(values: list[Any], counts: list[int]) -> None:
    column = pa.chunked_array([values[:2], values[2:]], pa.array(values).type)

    assert describe_feature("x", lambda: iter(column.chunks), kind_of(column.type)).counts == counts


def test_a_column_of_too_many_values_or_of_dates_is_not_counted() -> None:
    words = pa.chunked_array([[f"word {k}" for k in range(MOST_VALUES + 1)]])
    dates = pa.chunked_array([[0, 1]], pa.timestamp("us"))

    assert describe_feature("x", lambda: iter([words]), "category").counts is None
    assert describe_feature("x", lambda: iter([dates]), "date").counts is None


@pytest.mark.parametrize("classes", [["high", "low"], [False, True], [-1, 2], [1.0, 2.0]])
def test_classes_are_described_as_the_values_they_are(classes: list[Any]) -> None:
    found = described(pa.table({"x": [1.0, 2.0, 3.0, 4.0], "target": classes * 2}), LOGISTIC).classes

    assert [(value, type(value)) for value in found] == [(value, type(value)) for value in classes]


def test_a_regression_has_no_classes_and_nondeterminism_is_described() -> None:
    table = pa.table({"x": [1.0, 2.0], "target": [1.0, 2.0]})
    fitted = described(table, RIDGE, "model.coef_ differs", task="regression")

    assert (fitted.classes, fitted.deterministic, fitted.nondeterminism) == (None, False, "model.coef_ differs")


@pytest.mark.parametrize(
    ("settings", "packages"),
    [
        (LOGISTIC, {"scikit-learn"}),
        ({"class": f"{__name__}.Duck"}, set()),
        (SEARCH | {"estimator": FOREIGN}, {"scikit-learn", "hypothesis"}),
        (SEARCH | {"estimator": BAGGING | {"estimator": FOREIGN}}, {"scikit-learn", "hypothesis"}),
        (VOTING | {"estimators": [["a", FOREIGN], ["b", TREE]]}, {"scikit-learn", "hypothesis"}),
    ],
    ids=["library", "this repository", "inside", "deeper", "in a list"],
)
def test_an_estimator_comes_from_its_packages_and_those_of_its_nested_classes(
    settings: dict[str, Any], packages: set[str]
) -> None:
    pipeline = build_pipeline(TABLE, make_parameters(TREE))

    assert distributions(pipeline, make_parameters(settings)) == packages | {"scikit-learn"}
