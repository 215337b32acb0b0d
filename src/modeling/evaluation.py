"""How good a model is: scores over folds, on the test part and by group, and the data behind the plots.

The main score is `train.metric`, by scikit-learn's name; by itself balanced accuracy, which chance brings to
1 / classes however unequal they are, or R², which the mean brings to 0.
"""

import math
import statistics
import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn import metrics
from sklearn.base import clone
from sklearn.dummy import DummyClassifier, DummyRegressor
from sklearn.pipeline import Pipeline
from threadpoolctl import threadpool_limits

from modeling.estimator import build_estimator, build_pipeline, fitted
from modeling.features import encoded_columns
from modeling.parallel import each
from modeling.score_pitfalls import Scores, score_pitfalls
from modeling.split import Folds, folds_of
from modeling.stored import Stored, evenly, in_memory
from modeling.table import FEW, features_and_target, kind_of, problems_of_column
from record.notes import Pitfall
from record.parameters import Parameters
from record.problem import REFUSALS, Problem, did_you_mean, in_one_line, refuse_if, say, step

Rows = list[dict[str, Any]]
Features = pd.DataFrame | np.ndarray  # raw, or encoded

MAIN = {"classification": "balanced_accuracy", "regression": "r2"}
PLAIN = {"classification": "accuracy", "regression": "neg_mean_absolute_error"}  # which any group of rows has
OF_NUMBERS = ("r2", "d2_absolute_", "explained_variance", "neg_max_", "neg_mean_", "neg_median_", "neg_root_")
OF_CLUSTERS = ("adjusted_", "completeness", "fowlkes", "homogeneity", "mutual_", "normalized_", "rand_", "v_measure")
SCORES = {
    "classification": (metrics.balanced_accuracy_score, metrics.accuracy_score),
    "regression": (metrics.r2_score, metrics.mean_absolute_error, metrics.root_mean_squared_error),
}
CURVE_POINTS = 200  # as many as a plot can show
SCATTER_POINTS = 1000
IMPORTANCE_ROWS = 10_000  # rows for each shuffle; more would not change the picture, only the wait
IMPORTANCE_REPEATS = 10
CHECKED_ROWS = 1000  # of a fold, by which it is seen whether a score is defined
TRAINING_ROWS = 10_000  # that the score on the rows that were learned from is taken of
FEW_NUMBERS = 10  # different ones, up to which a group is one of them; more are cut at their quartiles
MISSING = "(missing)"


@dataclass(frozen=True)
class Evaluation:
    """A fitted model, its main score on each fold, the content of metrics.json, and the plots' rows by file name."""

    model: Pipeline
    folds: list[float]
    metrics: dict[str, Any]
    plots: dict[str, Rows]
    warnings: list[Pitfall]


@dataclass(frozen=True)
class Fits:
    """What was fitted on the training part, the main score on each fold, and the test rows that are to be scored."""

    main: "Scorer"
    model: Pipeline
    baseline: Pipeline
    folds: list[float]
    tested: tuple[Pipeline, np.ndarray, np.ndarray]  # the estimator, test rows as it takes them, and their target
    groups: dict[str, list[str]]  # for each slice the group of each of these rows


def fit_at_once(train: pa.Table, test: pa.Table, parameters: Parameters) -> Fits:
    """The fits of tables that are in memory."""
    groups = {name: groups_of(name, train, test) for name in parameters.train.slices}
    known, unseen = features_and_target(train, parameters), features_and_target(test, parameters)
    baseline = fit_baseline(*known, parameters.data.task)
    main = main_scorer(parameters, baseline, *unseen)
    pipeline, parts = build_pipeline(train, parameters), folds_of(train, parameters)
    check_scores(main, baseline, *known, parts)
    folds = cross_validate(pipeline, *known, parts, main)
    with step(f"fitting all {len(train):,} rows", to_all=False):
        model = fitted(pipeline, *known)
    tested = model[-1:], model[:-1].transform(unseen[0]), unseen[1]  # encoded once for all scores
    return Fits(main, model, baseline, folds, tested, groups)


def evaluate(
    train: pa.Table | Stored,
    test: pa.Table | Stored,
    parameters: Parameters,
    fit: Callable[[Any, Any, Parameters], Fits] = fit_at_once,
) -> Evaluation:
    """Cross-validate on the training part, fit on all of it, and score model and baseline on the test part."""
    task = parameters.data.task
    with threadpool_limits(parameters.train.threads), warnings_in_one_line(parameters):
        build_estimator(parameters)  # which may be refused, before all rows are read
        check_parts(in_memory(train), in_memory(test), parameters)
        fits = fit(train, test, parameters)
        main, model, tested = fits.main, fits.model, fits.tested
        learned = features_and_target(train.take(evenly(len(train), TRAINING_ROWS)), parameters)
        shuffled = features_and_target(test.take(evenly(len(test), IMPORTANCE_ROWS)), parameters)
        with step(f"scoring {len(tested[2]):,} test rows", to_all=False):
            scores = {main.name: main(*tested)} | score(*tested, task)
            chance = {main.name: main(fits.baseline, *tested[1:])} | score(fits.baseline, *tested[1:], task)
        plots = {
            "predictions.csv": prediction_rows(*tested, task),
            "errors.csv": error_rows(*tested, task),
            "importance.csv": importance_rows(model, *shuffled, main, parameters.train.seed),
        }
        scorers = {scorer.name: scorer for scorer in (main, Scorer.named(PLAIN[task]))}.values()
        slices = {name: slice_scores(*tested, of, scorers) for name, of in fits.groups.items()}
        summary = summarise(main.name, fits.folds, scores, chance) | ({"slices": slices} if slices else {})
        found = Scores(main.name, scores[main.name], fits.folds, main(model, *learned), chance[main.name])
        return Evaluation(model, fits.folds, summary, plots, list(score_pitfalls(found, tested[2].tolist(), task)))


def check_parts(train: pa.Table, test: pa.Table, parameters: Parameters) -> None:
    """Refuse what `prepare` never writes, but a stage between it and `train` may."""
    target, remedy = parameters.data.target, "correct the stage that writes this table"
    needed = [target, *parameters.train.slices, *filter(None, [parameters.prepare.split_by])]
    if not {*needed} <= {*train.column_names} or train.schema != test.schema:
        listed = ", ".join(f"'{name}'" for name in needed)
        raise Problem(f"train and test table: expected the same columns in both, and {listed} among them")
    refuse_if(f"target '{target}': values are missing; {remedy}" for part in (train, test) if part[target].null_count)
    if parameters.data.task == "classification":
        classes = [{*part[target].unique().to_pylist()} for part in (train, test)]
        listed = ", ".join(sorted(map(str, classes[0] ^ classes[1])))
        expected = "expected the same classes in both tables, found only in one"
        refuse_if([f"target '{target}': {expected}: {listed}; {remedy}"] if listed else [])
    others = {*parameters.train.slices} - {target}
    names = [name for name in train.column_names if name not in others]
    refuse_if(line for name in names for line in problems_of_column(name, train[name], remedy))


@dataclass(frozen=True)
class Scorer:
    """The main score: scikit-learn's scorer and its name. Higher is better."""

    name: str
    of: Callable[[Pipeline, Features, np.ndarray], float]

    @classmethod
    def named(cls, name: str) -> Self:
        """The scorer that scikit-learn calls so."""
        return cls(name, metrics.get_scorer(name))

    def __call__(self, model: Pipeline, features: Features, target: np.ndarray) -> float:
        """The score of a fitted model on some rows.

        Raises:
            Problem: when it has none, for want of probabilities or because the score is not defined.
        """
        place = f"params.yaml: train.metric: '{self.name}' cannot score this estimator"
        way = "choose another, such as balanced_accuracy for classes or r2 for numbers"
        try:
            found = float(self.of(model, features, target))
        except AttributeError as error:
            raise Problem(f"{place}: {in_one_line(error).rstrip('.')}; {way}") from error
        refuse_if([] if math.isfinite(found) else [f"{place}: it is {found} for {len(target)} rows; {way}"])
        return found


def main_scorer(parameters: Parameters, baseline: Pipeline, features: Features, target: np.ndarray) -> Scorer:
    """The scorer that `train.metric` names, once the baseline has been scored with it.

    Raises:
        Problem: when there is none of this name for this task and these classes, with one that there is.
    """
    task, asked = parameters.data.task, parameters.train.metric
    name, known = MAIN[task] if asked == "auto" else asked, scorers_for(task)
    place = f"params.yaml: train.metric: '{name}'"
    if name not in known:
        raise Problem(f"{place} is not a scorer of scikit-learn for a {task}; {did_you_mean(name, [*known, 'auto'])}")
    scorer = Scorer.named(name)
    if score_or_none(scorer, baseline, features, target) is None:
        others = [Scorer.named(other) for other in known if other.startswith(f"{name}_")]
        usable = [other.name for other in others if score_or_none(other, baseline, features, target) is not None]
        if not usable and name == MAIN[task]:
            raise Problem(f"{place} is not finite for '{parameters.data.target}'; scale that column, it is too large")
        raise Problem(f"{place} cannot score these classes; choose {' or '.join(usable or [MAIN[task]])}")
    return scorer


def scorers_for(task: str) -> list[str]:
    """The names of scikit-learn's scorers for a task; those that compare clusters are for neither."""
    names = [name for name in metrics.get_scorer_names() if not name.startswith(OF_CLUSTERS)]
    return [name for name in names if name.startswith(OF_NUMBERS) == (task == "regression")]


def score_or_none(scorer: Scorer, model: Pipeline, features: Features, target: np.ndarray) -> float | None:
    """The score of a model on some rows; None where these rows or this model do not have one."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return scorer(model, features, target)
        except (Problem, *REFUSALS):
            return None


def check_scores(main: Scorer, baseline: Pipeline, features: pd.DataFrame, target: np.ndarray, folds: Folds) -> None:
    """Refuse folds on whose rows not even the baseline has the score, such as the area of one class, or R² of a row."""
    some = (representative(target, rows) for _, rows in folds)
    scores = (score_or_none(main, baseline, features.iloc[rows], target[rows]) for rows in some)
    undefined = sum(score is None for score in scores)
    place = f"params.yaml: train.metric: '{main.name}' is not defined on {undefined} of {len(folds)} folds"
    way = "take fewer train.folds, another prepare.split or another metric"
    refuse_if([f"{place}, whose rows are too few or of too few classes; {way}"] if undefined else [])


def representative(target: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Of some rows a few, with each class or both ends of the numbers, of which a score is defined if it is of all."""
    first = np.unique(target[rows], return_index=True)[1]
    chosen = {*first[evenly(len(first), CHECKED_ROWS)].tolist(), *evenly(len(rows), CHECKED_ROWS)}
    return np.asarray(rows[sorted(chosen)])


@contextmanager
def warnings_in_one_line(parameters: Parameters) -> Iterator[None]:
    """Say each warning of scikit-learn once and in one line; its refusal of a setting becomes a problem."""
    way = f"change estimators.{parameters.train.estimator} in params.yaml, or choose another train.estimator"
    if parameters.train.stream:  # early stopping, balanced weights and more are refused by `partial_fit` alone
        way += ", or set train.stream: false if partial_fit alone refuses it"
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except REFUSALS as error:
            refused = f"the estimator refuses these settings or this table: {in_one_line(error).rstrip('.')}"
            raise Problem(f"{refused}; {way}") from error
        finally:
            for message in dict.fromkeys(" ".join(str(warning.message).split()) for warning in caught):
                say(f"warning: {message}")


def cross_validate(
    pipeline: Pipeline, features: pd.DataFrame, target: np.ndarray, folds: Folds, main: Scorer
) -> list[float]:
    """The main score on each fold."""
    shared = pipeline, features, target, main
    return each(fold_score, shared, ((rows,) for rows in folds), "cross-validation", " folds", len(folds))


def fold_score(
    pipeline: Pipeline, features: pd.DataFrame, target: np.ndarray, main: Scorer, rows: tuple[np.ndarray, np.ndarray]
) -> float:
    """The main score on some rows of what is fitted on others."""
    fit_rows, score_rows = rows
    model = clone(pipeline).fit(features.iloc[fit_rows], target[fit_rows])
    return main(model, features.iloc[score_rows], target[score_rows])


def fit_baseline(features: Features, target: np.ndarray, task: str, weights: np.ndarray | None = None) -> Pipeline:
    """A model that ignores the features: it predicts the share of each class, or the mean."""
    dummy = DummyClassifier(strategy="prior") if task == "classification" else DummyRegressor(strategy="mean")
    return Pipeline([("model", dummy)]).fit(features, target, model__sample_weight=weights)


def score(model: Pipeline, features: Features, target: np.ndarray, task: str) -> dict[str, float]:
    """The usual scores of a fitted model; log loss only of one that has probabilities."""
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


def class_scores(model: Pipeline, features: Features) -> np.ndarray:
    """How strongly the model favours each class (rows by classes): probabilities, margins, or its bare decisions."""
    if hasattr(model, "predict_proba"):
        return np.asarray(model.predict_proba(features))
    pairwise = getattr(model[-1], "decision_function_shape", None) == "ovo"  # a margin for each pair of classes
    if hasattr(model, "decision_function") and not pairwise:
        margins = np.asarray(model.decision_function(features))
        return np.column_stack([-margins, margins]) if margins.ndim == 1 else margins
    return one_hot(model.predict(features), model.classes_)


def groups_of(name: str, train: pa.Table, test: pa.Table) -> list[str]:
    """For each test row the group that `train.slices` scores it in, by the value of one column.

    Raises:
        Problem: for a category of too many values to look at one by one.
    """
    column, kind = test[name], kind_of(test[name].type)
    if kind == "date":
        column = pc.year(column)
    elif kind == "number" and pc.count_distinct(train[name]).as_py() > FEW_NUMBERS:
        return quarters(column, pc.quantile(train[name], [0.25, 0.5, 0.75]).to_pylist())
    if (count := pc.count_distinct(column).as_py()) > FEW:
        raise Problem(f"params.yaml: train.slices: '{name}' has {count} values, at most {FEW} are scored one by one")
    return [MISSING if value is None else str(value) for value in column.to_pylist()]


def quarters(column: pa.ChunkedArray, quartiles: list[float]) -> list[str]:
    """For each number the quarter of the training rows in which it is."""
    words = [f"{value:.6g}" for value in quartiles]
    labels = [f"up to {words[0]}", *(f"{a} to {b}" for a, b in pairwise(words)), f"above {words[-1]}"]
    return [MISSING if value is None else labels[bisect_left(quartiles, value)] for value in column.to_pylist()]


def slice_scores(
    model: Pipeline, encoded: np.ndarray, target: np.ndarray, groups: list[str], scorers: Iterable[Scorer]
) -> dict[str, dict[str, float | None]]:
    """The rows of each group and their scores; null where a group lacks what a score takes, such as two classes."""
    found: dict[str, dict[str, float | None]] = {}
    for group in sorted(set(groups)):
        rows = np.flatnonzero(np.asarray(groups, dtype=object) == group)
        found[group] = {"rows": len(rows)}
        found[group] |= {of.name: score_or_none(of, model, encoded[rows], target[rows]) for of in scorers}
    return found


def summarise(main: str, folds: list[float], test: dict[str, float], baseline: dict[str, float]) -> dict[str, Any]:
    """The content of metrics.json: the main score with its spread over the folds and the baseline, then the others."""
    spread = {"cv_mean": statistics.fmean(folds), "cv_std": statistics.stdev(folds)}
    return {
        main: {"test": test[main], **spread, "baseline": baseline[main]},
        "test": {name: value for name, value in test.items() if name != main},
        "baseline": {name: baseline[name] for name in test if name != main},
    }


def prediction_rows(model: Pipeline, features: Features, target: np.ndarray, task: str) -> Rows:
    """Predicted against actual: for classes how often each pair occurred, for numbers a point for each row."""
    predicted = model.predict(features)
    if task == "regression":
        shown = evenly(len(target), SCATTER_POINTS)
        return [{"actual": float(target[row]), "predicted": float(predicted[row])} for row in shown]
    classes = model.classes_.tolist()
    pairs = Counter(zip(target.tolist(), predicted.tolist(), strict=True))
    return [{"actual": one, "predicted": other, "rows": pairs[one, other]} for one in classes for other in classes]


def error_rows(model: Pipeline, features: Features, target: np.ndarray, task: str) -> Rows:
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


def importance_rows(model: Pipeline, features: pd.DataFrame, target: np.ndarray, main: Scorer, seed: int) -> Rows:
    """How much the main score falls when a column is shuffled, with its spread over the shuffles, largest first.

    The encoded columns of one column are shuffled together, which gives the same rows as shuffling before each is
    encoded by itself, and encodes them once.
    """
    encoded, estimator = model[:-1].transform(features), model[-1:]
    whole, random = main(estimator, encoded, target), np.random.default_rng(seed)
    columns_of = encoded_columns(model["preprocess"])
    orders = ([random.permutation(len(target)) for _ in range(IMPORTANCE_REPEATS)] for _ in columns_of)
    own = (((columns, some),) for columns, some in zip(columns_of.values(), orders, strict=True))
    shared = estimator, encoded, target, main
    scores = each(shuffled_scores, shared, own, "importance", " columns", len(columns_of))
    found = []
    for name, shuffled in zip(columns_of, scores, strict=True):
        falls = [whole - score for score in shuffled]
        found.append({"feature": name, "importance": statistics.fmean(falls), "spread": statistics.pstdev(falls)})
    return sorted(found, key=lambda row: -row["importance"])


def shuffled_scores(
    estimator: Pipeline, encoded: np.ndarray, truth: np.ndarray, main: Scorer, own: tuple[slice, list[np.ndarray]]
) -> list[float]:
    """The main score after some columns were shuffled, for each order of their rows."""
    columns, orders = own
    shuffled, scores = encoded.copy(), []
    for order in orders:
        shuffled[:, columns] = encoded[order, columns]
        scores.append(main(estimator, shuffled, truth))
    return scores
