"""The model: a scikit-learn Pipeline that takes the raw columns, built around the estimator that params.yaml names."""

import importlib
import inspect
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import pyarrow as pa
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler

from manifest import Feature, Fitted, Step
from parameters import Data, Estimator, Parameters
from problem import Problem, did_you_mean, refuse_if
from table import kind_of


def build_pipeline(parameters: Parameters, schema: pa.Schema) -> Pipeline:
    """The unfitted Pipeline for a table of this schema: the preprocessing of its features, then the estimator."""
    place = f"params.yaml: estimators.{parameters.train.estimator}"
    section = parameters.estimator
    estimator = build_object(section.class_, section.settings, place)
    expected = ("fit", "predict", "get_params", "set_params")
    if any(not hasattr(estimator, method) for method in expected):
        raise Problem(f"{place}.class: '{section.class_}' is no estimator: expected one with {', '.join(expected)}")
    check_task(estimator, parameters.data, place)
    seed(estimator, parameters.train.seed)
    return Pipeline([("preprocess", build_preprocessing(schema, parameters.data.target)), ("model", estimator)])


def build_preprocessing(schema: pa.Schema, target: str) -> ColumnTransformer:
    """Numbers: missing ones become the median, then mean 0 and variance 1. The rest: the most frequent, then one-hot.

    A value that training never saw is all zeros, so scoring new rows does not fail.
    """
    features = [field for field in schema if field.name != target]
    numbers = [field.name for field in features if kind_of(field.type) == "number"]
    others = [field.name for field in features if kind_of(field.type) != "number"]
    number = Pipeline(
        [("impute", SimpleImputer(strategy="median", keep_empty_features=True)), ("scale", StandardScaler())]
    )
    other = Pipeline(
        [
            ("impute", SimpleImputer(strategy="most_frequent", keep_empty_features=True)),
            ("encode", OneHotEncoder(handle_unknown="ignore", sparse_output=False)),
        ]
    )
    return ColumnTransformer(
        [("numbers", number, numbers), ("categories", other, others)], verbose_feature_names_out=False
    )


def build_object(path: str, settings: dict[str, Any], place: str) -> Any:
    """An instance of the class at a dotted path, made with the settings.

    A setting that is itself a mapping with a `class` is such an object too, also inside of a list.
    """
    cls = load_class(path, place)
    signature = inspect.signature(cls).parameters.values()
    named = {p.name: p.default for p in signature if p.kind in {p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD}}
    if not any(p.kind == p.VAR_KEYWORD for p in signature):
        unknown = [name for name in settings if name not in named]
        refuse_if(f"{place}.{u}: {cls.__name__} takes no such setting; {did_you_mean(u, named)}" for u in unknown)
    missing = [name for name, default in named.items() if default is inspect.Parameter.empty and name not in settings]
    refuse_if(f"{place}.{name}: missing; {cls.__name__} cannot be made without it" for name in missing)
    arguments = {name: build_setting(value, f"{place}.{name}") for name, value in settings.items()}
    try:
        return cls(**arguments)
    except (TypeError, ValueError) as error:
        raise Problem(f"{place}: {cls.__name__} cannot be made with these settings: {error}") from error


def build_setting(value: Any, place: str) -> Any:
    """The value of a setting, with the objects that it describes."""
    if isinstance(value, list):
        return [build_setting(item, f"{place}.{k}") for k, item in enumerate(value)]
    if isinstance(value, dict) and isinstance(value.get("class"), str):
        return build_object(value["class"], {k: v for k, v in value.items() if k != "class"}, place)
    return value


def load_class(path: str, place: str) -> Any:
    """The class at a dotted path."""
    module_name, _, name = path.rpartition(".")
    if not module_name or path.startswith("."):
        raise Problem(f"{place}.class: expected a dotted path such as sklearn.linear_model.Ridge, found '{path}'")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise Problem(
            f"{place}.class: '{path}' cannot be imported ({error}); give the dotted path of an installed class"
        ) from None
    if not inspect.isclass(getattr(module, name, None)):
        public = [known for known, value in vars(module).items() if inspect.isclass(value) and known[0] != "_"]
        raise Problem(f"{place}.class: '{module_name}' has no class '{name}'; {did_you_mean(name, public)}")
    return getattr(module, name)


def check_task(estimator: BaseEstimator, data: Data, place: str) -> None:
    """Refuse a regressor for a classification, and the other way round."""
    fits = is_classifier(estimator) if data.task == "classification" else is_regressor(estimator)
    if not fits:
        raise Problem(f"{place}.class: {type(estimator).__name__} is not for data.task: {data.task}")


def seed(estimator: BaseEstimator, value: int) -> None:
    """Give every random_state that the settings leave open, nested ones too, the same seed."""
    settings = estimator.get_params(deep=True)
    open_ones = {
        name: value for name, found in settings.items() if name.split("__")[-1] == "random_state" and found is None
    }
    estimator.set_params(**open_ones)


def settle(pipeline: Pipeline) -> Pipeline:
    """The fitted Pipeline to keep: of a search, the best estimator, since the search itself stores timings."""
    best = getattr(pipeline[-1], "best_estimator_", pipeline[-1])
    return Pipeline([*pipeline.steps[:-1], (pipeline.steps[-1][0], best)])


def describe(pipeline: Pipeline, train: pa.Table, data: Data, nondeterminism: str | None) -> Fitted:
    """What a fitted Pipeline is, for the manifest, with what was seen to differ between two processes."""
    classes = pipeline.classes_.tolist() if data.task == "classification" else None
    return Fitted(
        class_=_dotted(pipeline),
        steps=[Step(name=name, class_=_dotted(step)) for name, step in pipeline.steps],
        task=data.task,
        target=data.target,
        classes=classes,
        features=[
            Feature(name=field.name, dtype=str(field.type), nullable=train[field.name].null_count > 0)
            for field in train.schema
            if field.name != data.target
        ],
        deterministic=nondeterminism is None,
        nondeterminism=nondeterminism,
    )


def distributions(section: Estimator) -> set[str]:
    """The installed packages that the estimator's classes come from, those inside of it included."""
    known = metadata.packages_distributions()
    modules = {path.partition(".")[0] for path in _classes(section.model_dump(by_alias=True))}
    return {name for module in modules for name in known.get(module, [])}


def _classes(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from [item] if key == "class" and isinstance(item, str) else _classes(item)
    if isinstance(value, list):
        for item in value:
            yield from _classes(item)


def _dotted(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
