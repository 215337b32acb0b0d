"""The model: a scikit-learn Pipeline that takes the raw columns, built around the estimator that params.yaml names."""

import importlib
import inspect
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from importlib import metadata
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator, is_classifier, is_regressor
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from modeling.features import build_preprocessing, with_own_features
from modeling.parallel import spread
from modeling.stored import Stored, in_memory
from modeling.table import feature_names, features_and_target, kinds_of
from record.notes import Feature, Fitted, Step
from record.parameters import Data, Estimator, Kind, Parameters, modules_of_classes
from record.problem import Problem, did_you_mean, progress, refuse_if

MOST_VALUES = 1000  # of a category, that are listed in a manifest
BINS = 20  # of the histogram of a column of numbers
METHODS = ("fit", "predict", "get_params", "set_params")


def fit_pipeline(table: pa.Table, parameters: Parameters) -> Pipeline:
    """The Pipeline for a training table, fitted on it."""
    pipeline = build_pipeline(table, parameters)
    with threadpool_limits(parameters.train.threads):
        return fitted(pipeline, *features_and_target(table, parameters))


def fitted(pipeline: Pipeline, features: pd.DataFrame, target: np.ndarray) -> Pipeline:
    """The Pipeline fitted on rows; of a search, the best estimator is kept, since the search stores timings."""
    with spread("fit"):
        pipeline.fit(features, target)
    best = getattr(pipeline["model"], "best_estimator_", pipeline["model"])
    return Pipeline([*pipeline.steps[:-1], ("model", best)])


def build_pipeline(table: pa.Table, parameters: Parameters) -> Pipeline:
    """The unfitted Pipeline for a training table: own features, the preprocessing of all, then the estimator."""
    estimator, own = build_estimator(parameters), own_features(parameters)
    preprocessing = build_preprocessing(with_own_features(own, table, parameters), parameters)
    pipeline = Pipeline([*own, ("preprocess", preprocessing), ("model", estimator)])
    seed(pipeline, parameters.train.seed)
    return pipeline


def build_estimator(parameters: Parameters) -> BaseEstimator:
    """The unfitted estimator that params.yaml chooses."""
    place = f"params.yaml: estimators.{parameters.train.estimator}"
    section = parameters.estimator
    estimator = build_object(section.class_, section.settings, place)
    # A stack has the methods of its last estimator, and its usual one is made by `fit`.
    asked = type(estimator) if getattr(estimator, "final_estimator", estimator) is None else estimator
    if any(not hasattr(asked, method) for method in METHODS):
        expected = ", ".join(METHODS)
        raise Problem(f"{place}.class: '{section.class_}' is not an estimator: expected one with {expected}")
    check_task(estimator, parameters.data, place)
    if parameters.train.stream and not hasattr(estimator, "partial_fit"):
        known = ", ".join(learning_in_batches("classifier" if is_classifier(estimator) else "regressor"))
        found = type(estimator).__name__ + (" with these settings" if hasattr(type(estimator), "partial_fit") else "")
        expected = f"learns from all rows at once, and train.stream takes one with partial_fit, such as {known}"
        raise Problem(f"{place}.class: {found} {expected}; choose one, or set train.stream: false")
    return estimator


def learning_in_batches(kind: str) -> list[str]:
    """The names of scikit-learn's estimators that have `partial_fit` and need no other estimator."""
    from sklearn.utils import all_estimators  # noqa: PLC0415 - it imports all of scikit-learn, for one sentence

    found = [
        (name, inspect.signature(cls).parameters.values())
        for name, cls in all_estimators(kind)
        if hasattr(cls, "partial_fit")
    ]
    return [name for name, settings in found if all(p.default is not p.empty for p in settings)]


def own_features(parameters: Parameters) -> list[tuple[str, Any]]:
    """The unfitted transformers of `train.features`, each with its name as a step."""
    steps = []
    for k, item in enumerate(parameters.train.features):
        place = f"params.yaml: train.features.{k}"
        section = Estimator.model_validate({"class": item}) if isinstance(item, str) else item
        transformer = build_object(section.class_, section.settings, place)
        if not hasattr(transformer, "transform"):
            raise Problem(f"{place}: '{section.class_}' is not a transformer: expected one with fit and transform")
        steps.append((f"features_{k + 1}", transformer))
    return steps


def build_object(path: str, settings: dict[str, Any], place: str) -> Any:
    """An instance of the class at a dotted path, made with the settings.

    A setting that is itself a mapping with a `class` becomes such an object too, also inside a list.
    """
    cls = load_class(path, place)
    signature = inspect.signature(cls).parameters.values()
    named = {p.name: p.default for p in signature if p.kind in {p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD}}
    if not any(p.kind == p.VAR_KEYWORD for p in signature):
        unknown = [name for name in settings if name not in named]
        refuse_if(f"{place}.{u}: {cls.__name__} has no such setting; {did_you_mean(u, named)}" for u in unknown)
    missing = [name for name, default in named.items() if default is inspect.Parameter.empty and name not in settings]
    refuse_if(f"{place}.{name}: missing; {cls.__name__} requires it" for name in missing)
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


def load_class(path: str, place: str) -> type:
    """The class at a dotted path, once it is known to be an estimator or a part of one.

    Calling another class can do anything: `subprocess.Popen` runs a program. So the class itself is asked, and
    nothing is imported from the standard library, which has no estimators.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name or path.startswith("."):
        raise Problem(f"{place}.class: expected a dotted path such as sklearn.linear_model.Ridge, found '{path}'")
    foreign = f"{place}.class: '{path}' is not an estimator or a part of one, so it is not used"
    if module_name.partition(".")[0] in sys.stdlib_module_names:
        raise Problem(foreign)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        hint = "give the dotted path of an installed class"
        raise Problem(f"{place}.class: '{path}' cannot be imported ({error}); {hint}") from None
    cls = getattr(module, name, None)
    if not isinstance(cls, type):
        public = [known for known, value in vars(module).items() if inspect.isclass(value) and known[0] != "_"]
        raise Problem(f"{place}.class: '{module_name}' has no class '{name}'; {did_you_mean(name, public)}")
    if not is_part_of_estimators(cls):
        raise Problem(foreign)
    return cls


def is_part_of_estimators(cls: type) -> bool:
    """Whether a class says of itself that it is an estimator or a part of one, such as a kernel."""
    own = cls.__module__.partition(".")[0] == "sklearn"  # where it is defined, not where it was imported
    fits = hasattr(cls, "fit") and (hasattr(cls, "predict") or hasattr(cls, "transform"))
    return own or fits or issubclass(cls, BaseEstimator) or hasattr(cls, "get_params")


def check_task(estimator: BaseEstimator, data: Data, place: str) -> None:
    """Refuse a regressor for a classification, and the other way round."""
    kind, fits = ("classifier", is_classifier) if data.task == "classification" else ("regressor", is_regressor)
    if not fits(estimator):
        found = f"{place}.class: {type(estimator).__name__} does not fit data.task: {data.task}"
        raise Problem(f"{found}; choose a {kind} as train.estimator, or another data.task")


def seed(estimator: BaseEstimator, value: int) -> None:
    """Give every random_state that the settings leave open, nested ones too, the same seed."""
    settings = estimator.get_params(deep=True)
    unset = [name for name, found in settings.items() if name.split("__")[-1] == "random_state" and found is None]
    estimator.set_params(**dict.fromkeys(unset, value))


def describe(
    pipeline: Pipeline, train: pa.Table | Stored, parameters: Parameters, nondeterminism: str | None
) -> Fitted:
    """What a fitted Pipeline is, for the manifest, and what differed when a second process fitted it."""
    data, names = parameters.data, feature_names(in_memory(train), parameters)
    kinds = kinds_of(in_memory(train).select(names), data)
    chunks = train.chunks if isinstance(train, Stored) else lambda name: iter([train[name]])
    shown = progress(names, "describing", " columns", len(names))
    return Fitted(
        class_=_dotted(pipeline),
        steps=[Step(name=name, class_=_dotted(step)) for name, step in pipeline.steps],
        task=data.task,
        target=data.target,
        classes=pipeline.classes_.tolist() if data.task == "classification" else None,
        features=[describe_feature(name, partial(chunks, name), kinds[name]) for name in shown],
        deterministic=nondeterminism is None,
        nondeterminism=nondeterminism,
    )


def describe_feature(name: str, chunks: Callable[[], Iterator[pa.ChunkedArray]], kind: Kind) -> Feature:
    """What training saw of a column: the range of numbers, the values of a category, their counts, what was missing.

    The column comes in chunks, as often as it is asked for.
    """
    rows, missing, ends, counts = 0, 0, list[float](), Counter[Any]()
    for chunk in chunks():
        rows, missing, dtype = rows + len(chunk), missing + chunk.null_count, str(chunk.type)
        if kind == "number":
            ends = [end for end in (*ends, *pc.min_max(chunk).as_py().values()) if end is not None]
            ends = [min(ends), max(ends)] if ends else []
        elif kind in {"boolean", "category"} and len(counts) <= MOST_VALUES:
            found = pc.value_counts(chunk.drop_null())
            counts.update({entry["values"].as_py(): entry["counts"].as_py() for entry in found[: 2 * MOST_VALUES]})
    is_short = len(counts) <= MOST_VALUES
    values = sorted(counts) if kind == "category" and is_short else None
    listed = [False, True] if kind == "boolean" else values or []
    return Feature(
        name=name,
        dtype=dtype,
        nullable=missing > 0,
        kind=kind,
        missing=round(missing / rows, 6),
        minimum=float(ends[0]) if ends else None,
        maximum=float(ends[1]) if ends else None,
        values=values,
        counts=histogram(chunks(), *ends) if ends else [counts[value] for value in listed] or None,
    )


def histogram(chunks: Iterable[pa.ChunkedArray], least: float, greatest: float) -> list[int]:
    """How many rows are in each of `BINS` equal bins from the least to the greatest number.

    Nothing but correctly rounded arithmetic decides, so every processor counts the same. Halves are taken since the
    range of finite numbers may not be one.
    """
    counts, width = np.zeros(BINS, np.int64), (greatest / 2 - least / 2) / BINS
    for chunk in chunks:
        above = chunk.drop_null().to_numpy() / 2 - least / 2
        bins = (above / width).astype(np.int64) if width else np.zeros(len(above), np.int64)
        counts += np.bincount(np.minimum(bins, BINS - 1), minlength=BINS)
    return counts.tolist()


def distributions(pipeline: Pipeline, parameters: Parameters) -> set[str]:
    """The installed packages that the classes in params.yaml and the preprocessing come from, nested ones included."""
    asked = parameters.estimator.model_dump(by_alias=True), parameters.train.model_dump(by_alias=True)["features"]
    modules = modules_of_classes(*asked)
    modules |= {type(value).__module__.partition(".")[0] for value in pipeline.get_params().values()}
    others = modules - {"sklearn", *sys.stdlib_module_names}
    known = metadata.packages_distributions() if others else {}  # which reads the files of every package
    return {"scikit-learn", *(name for module in others for name in known.get(module, []))}


def _dotted(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"
