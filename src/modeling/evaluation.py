"""How good a model is: scores over folds and on the test part, and the data behind the plots.

The first score of a task is its main one: balanced accuracy, which chance brings to 1 / classes however unequal
they are, or R², which the mean brings to 0.
"""

import statistics
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn import metrics
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.inspection import permutation_importance
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits
from tqdm import tqdm

from modeling.estimator import build_pipeline, fit_pipeline
from modeling.table import features_and_target, problems_of_column
from record.notes import Pitfall
from record.parameters import Data, Parameters, Train
from record.problem import REFUSALS, Problem, in_one_line, refuse_if, say

Rows = list[dict[str, Any]]

MAIN = {"classification": "balanced_accuracy", "regression": "r2"}
SCORES = {
    "classification": (metrics.balanced_accuracy_score, metrics.accuracy_score),
    "regression": (metrics.r2_score, metrics.mean_absolute_error, metrics.root_mean_squared_error),
}
CURVE_POINTS = 200  # as many as a plot can show
SCATTER_POINTS = 1000
IMPORTANCE_ROWS = 10_000  # rows for each shuffle; more would not change the picture, only the wait
IMPORTANCE_REPEATS = 10


@dataclass(frozen=True)
class Evaluation:
    """A fitted model, its main score on each fold, the content of metrics.json, and the plots' rows by file name."""

    model: Pipeline
    folds: list[float]
    metrics: dict[str, Any]
    plots: dict[str, Rows]
    warnings: list[Pitfall]


def evaluate(train: pa.Table, test: pa.Table, parameters: Parameters) -> Evaluation:
    """Cross-validate on the training part, fit on all of it, and score model and baseline on the test part."""
    data, settings, task = parameters.data, parameters.train, parameters.data.task
    check_parts(train, test, data.target)
    check_folds(train[data.target], task, settings.folds)
    with threadpool_limits(settings.threads), warnings_in_one_line():
        known, unseen = features_and_target(train, parameters), features_and_target(test, parameters)
        folds = cross_validate(build_pipeline(train, parameters), *known, data, settings)
        model = fit_pipeline(train, parameters)
        scores, chance = (score(fitted, *unseen, task) for fitted in (model, fit_baseline(*known, task)))
        plots = {
            "predictions.csv": prediction_rows(model, *unseen, task),
            "errors.csv": error_rows(model, *unseen, task),
            "importance.csv": importance_rows(model, *unseen, task, settings.seed),
        }
        return Evaluation(model, folds, summarise(folds, scores, chance, task), plots, [])


def check_parts(train: pa.Table, test: pa.Table, target: str) -> None:
    """Refuse what `prepare` never writes, but a stage between it and `train` may."""
    if target not in train.column_names or train.schema != test.schema:
        raise Problem(f"train and test table: expected the same columns in both, and '{target}' among them")
    tables, remedy = (train, test), "correct the stage that writes this table"
    refuse_if(f"target '{target}': values are missing; {remedy}" for part in tables if part[target].null_count)
    refuse_if(line for name in train.column_names for line in problems_of_column(name, train[name], remedy))


def check_folds(target: pa.ChunkedArray, task: str, folds: int) -> None:
    """Refuse a fold that would lack a class or, for a regression, the two rows that a score takes."""
    place, needed = "params.yaml: train.folds", 2 * folds
    if task == "regression":
        problems = [f"{place}: {folds} folds need {needed} rows, found {len(target)} to train on"]
        refuse_if(problems if len(target) < needed else [])
        return
    counts = sorted((count["values"], count["counts"]) for count in pc.value_counts(target).to_pylist())
    needs = f"each class needs {folds} rows to train on"
    refuse_if(f"{place}: {needs}, but {value!r} has {count}" for value, count in counts if count < folds)


@contextmanager
def warnings_in_one_line() -> Iterator[None]:
    """Say each warning of scikit-learn once and in one line; its refusal of a setting becomes a problem."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except REFUSALS as error:
            raise Problem(f"the estimator refuses these settings or this table: {in_one_line(error)}") from error
        finally:
            for message in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
                say(f"warning: {message}")


def cross_validate(
    pipeline: Pipeline, features: pd.DataFrame, target: np.ndarray, data: Data, train: Train
) -> list[float]:
    """The main score on each fold. Which rows are in which fold never depends on the estimator."""
    kind = StratifiedKFold if data.task == "classification" else KFold
    folds = list(kind(n_splits=train.folds, shuffle=True, random_state=train.seed).split(features, target))
    main, scores = metrics.get_scorer(MAIN[data.task]), []
    for fit_rows, score_rows in tqdm(folds, desc="cross-validation", unit="fold", disable=None):
        fitted = clone(pipeline).fit(features.iloc[fit_rows], target[fit_rows])
        scores.append(float(main(fitted, features.iloc[score_rows], target[score_rows])))
    return scores


def fit_baseline(features: pd.DataFrame, target: np.ndarray, task: str) -> Pipeline:
    """A model that ignores the features: it predicts the share of each class, or the mean."""
    dummy = DummyClassifier(strategy="prior") if task == "classification" else DummyRegressor(strategy="mean")
    return Pipeline([("model", dummy)]).fit(features, target)


def score(model: Pipeline, features: pd.DataFrame, target: np.ndarray, task: str) -> dict[str, float]:
    """The scores of a fitted model, the main one first; log loss only of a model that has probabilities."""
    predicted = model.predict(features)
    scores = {of.__name__.removesuffix("_score"): float(of(target, predicted)) for of in SCORES[task]}
    if task == "classification":  # the mean area of each class against the rest; of two classes, both areas are equal
        truth = one_hot(target, model.classes_)
        scores["roc_auc"] = float(metrics.roc_auc_score(truth, class_scores(model, features)))
        if hasattr(model, "predict_proba"):
            probabilities = model.predict_proba(features)
            scores["log_loss"] = float(metrics.log_loss(target, probabilities, labels=model.classes_))
    return scores


def one_hot(target: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Truth as a matrix, rows by classes."""
    return np.asarray(target[:, None] == classes[None, :], dtype=int)


def class_scores(model: Pipeline, features: pd.DataFrame) -> np.ndarray:
    """How strongly the model favours each class (rows by classes): probabilities, margins, or its bare decisions."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(features))
    pairwise = getattr(model[-1], "decision_function_shape", None) == "ovo"  # a margin for each pair of classes
    if hasattr(model, "decision_function") and not pairwise:
        margins = np.asarray(model.decision_function(features))
        return np.column_stack([-margins, margins]) if margins.ndim == 1 else margins
    return one_hot(model.predict(features), model.classes_)


def summarise(folds: list[float], test: dict[str, float], baseline: dict[str, float], task: str) -> dict[str, Any]:
    """The content of metrics.json: the main score with its spread over the folds and the baseline, then the others."""
    main = MAIN[task]
    spread = {"cv_mean": statistics.fmean(folds), "cv_std": statistics.stdev(folds)}
    return {
        main: {"test": test[main], **spread, "baseline": baseline[main]},
        "test": {name: value for name, value in test.items() if name != main},
        "baseline": {name: baseline[name] for name in test if name != main},
    }


def prediction_rows(model: Pipeline, features: pd.DataFrame, target: np.ndarray, task: str) -> Rows:
    """Predicted against actual: for classes how often each pair occurred, for numbers a point for each row."""
    predicted = model.predict(features)
    if task == "regression":
        shown = evenly(len(target), SCATTER_POINTS)
        return [{"actual": float(target[row]), "predicted": float(predicted[row])} for row in shown]
    classes = model.classes_.tolist()
    pairs = Counter(zip(target.tolist(), predicted.tolist(), strict=True))
    return [{"actual": one, "predicted": other, "rows": pairs[one, other]} for one in classes for other in classes]


def error_rows(model: Pipeline, features: pd.DataFrame, target: np.ndarray, task: str) -> Rows:
    """Where the model errs: for classes the ROC and the precision-recall curve, for numbers the residuals."""
    if task == "regression":
        points = prediction_rows(model, features, target, task)
        return [{"curve": "residuals", "x": p["predicted"], "y": p["actual"] - p["predicted"]} for p in points]
    scores, truth = class_scores(model, features), one_hot(target, model.classes_)
    rows: Rows = []
    for k in [1] if len(model.classes_) == 2 else range(len(model.classes_)):  # the curves of two classes are mirrored
        false_positives, true_positives, _ = metrics.roc_curve(truth[:, k], scores[:, k])
        precision, recall, _ = metrics.precision_recall_curve(truth[:, k], scores[:, k])
        curves = {"ROC": (false_positives, true_positives), "precision-recall": (recall[::-1], precision[::-1])}
        for curve, (x, y) in curves.items():
            label = {"curve": curve, "class": str(model.classes_[k])}
            rows += [label | {"x": float(x[i]), "y": float(y[i])} for i in evenly(len(x), CURVE_POINTS)]
    return rows


def importance_rows(model: Pipeline, features: pd.DataFrame, target: np.ndarray, task: str, seed: int) -> Rows:
    """How much the main score falls when a column is shuffled, with its spread over the shuffles, largest first."""
    most = min(IMPORTANCE_ROWS, len(features))
    settings = {"scoring": MAIN[task], "n_repeats": IMPORTANCE_REPEATS, "random_state": seed, "max_samples": most}
    found = permutation_importance(model, features, target, **settings)
    rows = zip(features.columns, found.importances_mean.tolist(), found.importances_std.tolist(), strict=True)
    ranked = sorted(rows, key=lambda row: -row[1])
    return [{"feature": name, "importance": mean, "spread": spread} for name, mean, spread in ranked]


def evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, in equal steps, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]
