"""How good a model is: scores over folds and on the test part, and the data behind the plots.

The first score of a task is its main one: balanced accuracy, which chance brings to 1 / classes however unequal
they are, or R², which the mean brings to 0.
"""

import statistics
from collections import Counter
from typing import Any

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.inspection import permutation_importance
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    log_loss,
    mean_absolute_error,
    precision_recall_curve,
    r2_score,
    roc_auc_score,
    roc_curve,
    root_mean_squared_error,
)
from sklearn.model_selection import KFold, StratifiedKFold
from sklearn.pipeline import Pipeline
from tqdm import tqdm

from parameters import Data, Train

MAIN = {"classification": "balanced_accuracy", "regression": "r2"}
CURVE_POINTS = 200  # as many as a plot can show
SCATTER_POINTS = 1000
IMPORTANCE_ROWS = 10_000  # rows for each shuffle; more would not change the picture, only the wait
IMPORTANCE_REPEATS = 10


def score(model: Pipeline, features: pd.DataFrame, target: np.ndarray, task: str) -> dict[str, float]:
    """The scores of a fitted model, the main one first; those that cannot be had from this model are left out."""
    predicted = model.predict(features)
    if task == "regression":
        return {
            "r2": float(r2_score(target, predicted)),
            "mean_absolute_error": float(mean_absolute_error(target, predicted)),
            "root_mean_squared_error": float(root_mean_squared_error(target, predicted)),
        }
    scores = {
        "balanced_accuracy": float(balanced_accuracy_score(target, predicted)),
        "accuracy": float(accuracy_score(target, predicted)),
        "roc_auc": _roc_auc(class_scores(model, features), one_hot(target, model.classes_)),
    }
    if hasattr(model, "predict_proba"):
        scores["log_loss"] = float(log_loss(target, model.predict_proba(features), labels=model.classes_))
    return scores


def _roc_auc(scores: np.ndarray, truth: np.ndarray) -> float:
    """The area under the ROC curve: of the second of two classes, or the mean of each class against the rest."""
    areas = [float(roc_auc_score(truth[:, k], scores[:, k])) for k in shown_classes(truth.shape[1])]
    return statistics.fmean(areas)


def shown_classes(count: int) -> list[int]:
    """The classes that have a curve of their own; of two classes the curves mirror each other, so one is enough."""
    return [1] if count == 2 else list(range(count))


def one_hot(target: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Truth as a matrix, rows by classes."""
    return np.asarray(target[:, None] == classes[None, :], dtype=int)


def class_scores(model: Pipeline, features: pd.DataFrame) -> np.ndarray:
    """How strongly the model leans to each class (rows by classes): probabilities, margins, or its bare decisions."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(features))
    pairwise = getattr(model[-1], "decision_function_shape", None) == "ovo"  # a margin for each pair of classes
    if hasattr(model, "decision_function") and not pairwise:
        margins = np.asarray(model.decision_function(features))
        return np.column_stack([-margins, margins]) if margins.ndim == 1 else margins
    return one_hot(model.predict(features), model.classes_)


def cross_validate(
    pipeline: Pipeline, features: pd.DataFrame, target: np.ndarray, data: Data, train: Train
) -> list[float]:
    """The main score on each fold. Which rows are in which fold never depends on the estimator."""
    kind = StratifiedKFold if data.task == "classification" else KFold
    folds = kind(n_splits=train.folds, shuffle=True, random_state=train.seed)
    scores = []
    for fit_rows, score_rows in tqdm(
        folds.split(features, target), total=train.folds, desc="cross-validation", unit="fold", disable=None
    ):
        fitted = clone(pipeline).fit(features.iloc[fit_rows], target[fit_rows])
        scores.append(score(fitted, features.iloc[score_rows], target[score_rows], data.task)[MAIN[data.task]])
    return scores


def fit_baseline(features: pd.DataFrame, target: np.ndarray, task: str) -> Pipeline:
    """What knows nothing of the features: the most frequent class's share, or the mean."""
    dummy = DummyClassifier(strategy="prior") if task == "classification" else DummyRegressor(strategy="mean")
    return Pipeline([("model", dummy)]).fit(features, target)


def metrics(folds: list[float], test: dict[str, float], baseline: dict[str, float], task: str) -> dict[str, Any]:
    """The content of metrics.json: the main score with its spread over the folds and the baseline, then the others."""
    main = MAIN[task]
    return {
        main: {
            "test": test[main],
            "cv_mean": statistics.fmean(folds),
            "cv_std": statistics.stdev(folds),
            "baseline": baseline[main],
        },
        "test": {name: value for name, value in test.items() if name != main},
        "baseline": {name: baseline[name] for name in test if name != main},
    }


Rows = list[dict[str, Any]]


def prediction_rows(model: Pipeline, features: pd.DataFrame, target: np.ndarray, task: str) -> Rows:
    """Predicted against actual: for classes how often each pair came, for numbers a point for each row."""
    predicted = model.predict(features)
    if task == "regression":
        return [
            {"actual": float(target[row]), "predicted": float(predicted[row])}
            for row in evenly(len(target), SCATTER_POINTS)
        ]
    pairs = Counter(zip(target.tolist(), predicted.tolist(), strict=True))
    classes = model.classes_.tolist()
    return [
        {"actual": actual, "predicted": guess, "rows": pairs[actual, guess]} for actual in classes for guess in classes
    ]


def error_rows(model: Pipeline, features: pd.DataFrame, target: np.ndarray, task: str) -> Rows:
    """Where it errs: for classes the ROC and the precision-recall curve, for numbers the residuals."""
    if task == "regression":
        predicted = model.predict(features)
        shown = evenly(len(target), SCATTER_POINTS)
        return [
            {"curve": "residuals", "x": float(predicted[row]), "y": float(target[row] - predicted[row])}
            for row in shown
        ]
    scores, truth = class_scores(model, features), one_hot(target, model.classes_)
    rows: Rows = []
    for k in shown_classes(truth.shape[1]):
        false_positives, true_positives, _ = roc_curve(truth[:, k], scores[:, k])
        precision, recall, _ = precision_recall_curve(truth[:, k], scores[:, k])
        curves = {"ROC": (false_positives, true_positives), "precision-recall": (recall[::-1], precision[::-1])}
        for curve, (x, y) in curves.items():
            label = str(model.classes_[k])
            rows += [
                {"curve": curve, "class": label, "x": float(x[i]), "y": float(y[i])}
                for i in evenly(len(x), CURVE_POINTS)
            ]
    return rows


def importance_rows(model: Pipeline, features: pd.DataFrame, target: np.ndarray, task: str, seed: int) -> Rows:
    """How much the main score falls when a column is shuffled, with the spread over the shuffles; the largest first."""
    found = permutation_importance(
        model,
        features,
        target,
        scoring=MAIN[task],
        n_repeats=IMPORTANCE_REPEATS,
        random_state=seed,
        max_samples=min(IMPORTANCE_ROWS, len(features)),
    )
    rows = zip(features.columns, found.importances_mean, found.importances_std, strict=True)
    return [
        {"feature": name, "importance": float(mean), "spread": float(std)}
        for name, mean, std in sorted(rows, key=lambda row: -row[1])
    ]


def evenly(count: int, most: int) -> list[int]:
    """At most so many of the numbers below `count`, in equal steps, with the first and the last."""
    if count <= most:
        return list(range(count))
    return [round(i * (count - 1) / (most - 1)) for i in range(most)]
