"""Fitting and scoring: from the two parts of the table to a model, its scores and the data behind the plots."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import threadpoolctl
from sklearn.pipeline import Pipeline

import evaluation
from evaluation import Rows
from frame import to_frame, to_target
from model import build_pipeline, settle
from parameters import Parameters
from problem import Problem, refuse_if, say


@dataclass(frozen=True)
class Fit:
    """A fitted model, its main score on each fold, the content of metrics.json, and the plots' rows by file name."""

    model: Pipeline
    folds: list[float]
    metrics: dict[str, Any]
    plots: dict[str, Rows]


def features_and_target(table: pa.Table, target: str) -> tuple[pd.DataFrame, np.ndarray]:
    """A prepared table as scikit-learn takes it."""
    return to_frame(table.drop([target])), to_target(table[target])


def check_folds(target: np.ndarray, task: str, folds: int) -> None:
    """Raise a problem where a fold would lack a class, or has not the two rows that a score of numbers takes."""
    if task == "regression":
        if len(target) < 2 * folds:
            raise Problem(
                f"params.yaml: train.folds: {folds} folds need {2 * folds} rows, found {len(target)} to train on"
            )
        return
    values, counts = np.unique(target, return_counts=True)
    refuse_if(
        f"params.yaml: train.folds: each class needs {folds} rows to train on, but {value!r} has {count}"
        for value, count in zip(values.tolist(), counts.tolist(), strict=True)
        if count < folds
    )


@contextmanager
def one_line_each() -> Iterator[None]:
    """Say each thing that scikit-learn warns of once and in one line; its refusal of a setting becomes a problem."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except (ValueError, TypeError, AttributeError) as error:
            reason = " ".join(str(error).split())
            raise Problem(f"the estimator refuses these settings or this table: {reason}") from error
        finally:
            for message in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
                say(f"warning: {message}")


def fit(train: pa.Table, test: pa.Table, parameters: Parameters) -> Fit:
    """Cross-validate on the training part, fit on all of it, and score model and baseline on the test part."""
    data, settings, task = parameters.data, parameters.train, parameters.data.task
    features, target = features_and_target(train, data.target)
    unseen = features_and_target(test, data.target)
    check_folds(target, task, settings.folds)
    pipeline = build_pipeline(parameters, train.schema)
    with threadpoolctl.threadpool_limits(settings.threads), one_line_each():
        folds = evaluation.cross_validate(pipeline, features, target, data, settings)
        model = settle(pipeline.fit(features, target))
        baseline = evaluation.fit_baseline(features, target, task)
        scores, chance = (evaluation.score(fitted, *unseen, task) for fitted in (model, baseline))
        return Fit(
            model=model,
            folds=folds,
            metrics=evaluation.metrics(folds, scores, chance, task),
            plots={
                "predictions.csv": evaluation.prediction_rows(model, *unseen, task),
                "errors.csv": evaluation.error_rows(model, *unseen, task),
                "importance.csv": evaluation.importance_rows(model, *unseen, task, settings.seed),
            },
        )
