"""The model: a scikit-learn Pipeline that takes the raw columns, built around the estimator that params.yaml names."""

import importlib
import inspect
from importlib import metadata
from types import ModuleType
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
    estimator = build_estimator(parameters.estimator, place)
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


def build_estimator(section: Estimator, place: str) -> BaseEstimator:
    """An instance of the class that a section of `estimators` names, with the section's settings.

    A setting that is itself a mapping with a `class` is an estimator inside this one.
    """
    cls = _load_class(section.class_, place)
    signature = inspect.signature(cls.__init__).parameters.values()
    known = {
        parameter.name
        for parameter in signature
        if parameter.kind in {parameter.KEYWORD_ONLY, parameter.POSITIONAL_OR_KEYWORD}
    } - {"self"}
    takes_any = any(parameter.kind == parameter.VAR_KEYWORD for parameter in signature)
    if not takes_any:
        refuse_if(
            f"{place}.{name}: {cls.__name__} takes no such setting; {did_you_mean(name, known)}"
            for name in section.settings
            if name not in known
        )
    missing = [p.name for p in signature if p.name in known - section.settings.keys() and p.default is p.empty]
    refuse_if(f"{place}.{name}: missing; {cls.__name__} cannot be made without it" for name in missing)
    return cls(**{name: _build_setting(value, f"{place}.{name}") for name, value in section.settings.items()})


def _build_setting(value: Any, place: str) -> Any:
    if isinstance(value, dict) and isinstance(value.get("class"), str):
        return build_estimator(Estimator.model_validate(value), place)
    return value


def _load_class(path: str, place: str) -> Any:
    module_name, _, name = path.rpartition(".")
    try:
        module: ModuleType = importlib.import_module(module_name) if module_name else ModuleType("")
    except ImportError as error:
        raise Problem(
            f"{place}.class: '{path}' cannot be imported ({error}); give the dotted path of an installed class"
        ) from None
    if not hasattr(module, name):
        public = [
            known for known, value in vars(module).items() if inspect.isclass(value) and not known.startswith("_")
        ]
        raise Problem(f"{place}.class: '{module_name}' has no '{name}'; {did_you_mean(name, public)}")
    cls = getattr(module, name)
    expected = ("fit", "predict", "get_params", "set_params")
    if not inspect.isclass(cls) or any(not hasattr(cls, method) for method in expected):
        raise Problem(f"{place}.class: '{path}' is no estimator: expected a class with {', '.join(expected)}")
    return cls


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


def distributions(section: Estimator) -> list[str]:
    """The installed packages that the estimator's class comes from; none for a class of this repository."""
    return metadata.packages_distributions().get(section.class_.partition(".")[0], [])


def _dotted(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
