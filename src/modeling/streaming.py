"""Learning in batches: `partial_fit` takes the rows of the prepared file, and memory does not grow with their number.

Means and variances of numbers and the target means of many-valued categories are learned from all rows. A sample of
at most 50,000 rows in equal steps gives the rest: the kinds of columns, medians, the n-grams of free text, what own
transformers learn. The sample has a row of each value of a category of few values, so their columns are those of all
rows. What comes out is the same Pipeline of the same classes as without batches.

The models of the folds are learned in the same passes: from each batch, each takes the rows of its parts.
"""

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
from sklearn.base import BaseEstimator, clone
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import TargetEncoder
from sklearn.utils import get_tags
from threadpoolctl import threadpool_limits

from modeling.estimator import build_pipeline
from modeling.evaluation import Fits, check_scores, fit_baseline, groups_of, main_scorer, one_hot
from modeling.features import ENCODER_FOLDS
from modeling.split import Parts, refuse_without
from modeling.stored import Numbered, Stored, evenly
from modeling.table import BATCH, features_and_target, to_target, write_table
from record.notes import TRAIN
from record.parameters import Parameters
from record.problem import progress, say

SCORED_ROWS = 1_000_000  # whose predictions are kept for the scores, fewer where there are many classes
MOST_VALUES = 50_000  # of a category, whose target means are learned: those that come first
FEW_BATCH_ROWS = 250  # of the fit that a second process repeats, so that it takes several batches
Batch = tuple[pd.DataFrame, np.ndarray, np.ndarray]  # features, target, and the part of each row in the cross-fit
ANSWERS = ("predict", "predict_proba", "decision_function")


def fit_in_batches(train: Stored, test: Stored, parameters: Parameters) -> Fits:
    """As `evaluation.fit_at_once` does, but batch by batch."""
    data, slices = parameters.data, parameters.train.slices
    folds = Folds.of(train, parameters)
    most = SCORED_ROWS * 2 // max(2, folds.counts.shape[1])
    chosen = np.array(evenly(len(test), most))
    if len(chosen) < len(test):
        say(f"{len(chosen):,} of {len(test):,} test rows, in equal steps, are scored")
    some = test.take(chosen, [*dict.fromkeys([data.target, *slices])])
    groups = {name: groups_of(name, train.sample, some) for name in slices}
    truth, baseline = to_target(some[data.target]), folds.baseline(data.task)
    main = main_scorer(parameters, baseline, np.arange(len(truth))[:, None], truth)
    check_scores(main, baseline, *folds.representatives(train, data.task, data.target))
    *fits, model = learn(train, folds.parts, folds.learns, parameters)
    held_out = (folds.rows_of(part, most // len(fits)) for part in folds.held_out)
    scores = [main(*answered(fit, train, rows, parameters)) for fit, rows in zip(fits, held_out, strict=True)]
    return Fits(main, model, baseline, scores, answered(model, test, chosen, parameters), groups)


@dataclass(frozen=True)
class Folds:
    """The folds of a table in its file: the part of each row, in one byte, and what each part has of the target."""

    parts: np.ndarray
    learns: np.ndarray  # models by parts: from which it learns; the last model learns from all
    held_out: np.ndarray  # the part on which each fold is scored
    values: np.ndarray  # the classes, or the mean of the numbers
    counts: np.ndarray  # parts by classes: the rows

    @classmethod
    def of(cls, train: Stored, parameters: Parameters) -> "Folds":
        """The folds, refused as `split.folds_of` does."""
        rule, name = Parts(train.sample, parameters), parameters.data.target
        columns, classes = [*dict.fromkeys([name, *([rule.by] if rule.by else [])])], rule.classes
        size = 1 if classes is None else len(classes)
        parts, total = [], 0.0
        counts = np.zeros((rule.learns.shape[1], size), int)
        batches = (rows for _, rows in train.batches(BATCH, columns=columns))
        for rows in progress(batches, "dividing into folds", " rows", len(train), size=len):
            parts.append(rule.of(rows))
            codes = 0 if classes is None else pc.index_in(rows[name], value_set=classes).to_numpy()
            counts += np.bincount(parts[-1].astype(int) * size + codes, minlength=counts.size).reshape(counts.shape)
            total += pc.sum(rows[name]).as_py() if classes is None else 0
        if classes is not None:
            missing = {k for learns in rule.learns for k in np.flatnonzero(counts[learns].sum(axis=0) == 0)}
            refuse_without([classes[k].as_py() for k in sorted(missing)], parameters)
        values = np.array([total / len(train)]) if classes is None else to_target(pa.chunked_array([classes]))
        learns = np.vstack([rule.learns, np.ones(rule.learns.shape[1], bool)])
        return cls(np.concatenate(parts), learns, rule.held_out, values, counts)

    def baseline(self, task: str) -> Pipeline:
        """The model that ignores the features."""
        return fit_baseline(np.zeros((len(self.values), 1)), self.values, task, self.counts.sum(axis=0))

    def representatives(self, train: Stored, task: str, target: str) -> tuple[pd.DataFrame, np.ndarray, list[Any]]:
        """For each fold rows of which a score is defined if it is of all that are held out: no features, the target."""
        sampled = self.parts[train.sampled]
        if task == "classification":
            found = [np.repeat(self.values, np.minimum(self.counts[part], 2)) for part in self.held_out]
        else:
            found = [to_target(train.sample[target])[sampled == part] for part in self.held_out]
        ends = np.cumsum([len(values) for values in found])
        rows = [(np.arange(0), np.arange(end - len(values), end)) for values, end in zip(found, ends, strict=True)]
        return pd.DataFrame(index=range(ends[-1])), np.concatenate(found), rows

    def rows_of(self, part: int, most: int) -> np.ndarray:
        """The numbers of rows of a part, in equal steps."""
        numbers = np.flatnonzero(self.parts == part)
        return numbers[evenly(len(numbers), most)]


def learn(train: Stored, parts: np.ndarray, learns: np.ndarray, parameters: Parameters) -> list[Pipeline]:
    """Models that learn in the same passes, each from the rows of some parts."""
    settings, is_classification = parameters.train, parameters.data.task == "classification"
    pipeline = build_pipeline(train.sample, parameters)
    frame, target = features_and_target(train.sample, parameters)
    classes = np.unique(target) if is_classification else None
    sampled = learns[:, parts[train.sampled]]
    learners = [Learner(clone(pipeline), frame[rows], target[rows], classes) for rows in sampled]
    inner = np.random.default_rng(settings.seed).integers(ENCODER_FOLDS, size=len(train), dtype=np.uint8)

    def for_each(batches: Numbered, description: str) -> Iterator[tuple[Learner, Batch]]:
        for numbers, rows in progress(batches, description, " rows", len(train), size=lambda batch: len(batch[1])):
            frame, target = features_and_target(rows, parameters)
            for learner, wanted in zip(learners, learns[:, parts[numbers]], strict=True):
                if wanted.any():
                    yield learner, (frame[wanted], target[wanted], inner[numbers[wanted]])

    for learner, batch in for_each(train.batches(BATCH), "learning the features"):
        learner.learn_features(*batch)
    for learner in learners:
        learner.end_features()
    for k in range(settings.passes):
        seed = [settings.seed, k] if settings.order == "shuffled" else None
        for learner, batch in for_each(train.batches(settings.batch_rows, seed), f"pass {k + 1} of {settings.passes}"):
            learner.learn(*batch)
    return [learner.pipeline for learner in learners]


class Learner:
    """A Pipeline that is learned in batches: first its features, then its estimator."""

    def __init__(self, pipeline: Pipeline, frame: pd.DataFrame, target: np.ndarray, classes: np.ndarray | None) -> None:
        self.pipeline, self.classes = pipeline, classes
        for step in self._own():
            frame = step.fit_transform(frame, target)
        if classes is not None and len(np.unique(target)) < len(classes):  # the sample of a fold may lack a rare class
            target = np.concatenate([classes, target[len(classes) :]])
        with warnings.catch_warnings():  # of TargetEncoder's own cross-fit, which is not used
            warnings.filterwarnings("ignore", "The least populated class")
            self.features = pipeline["preprocess"].fit(frame, target)
        self.center = 0.0 if classes is not None else float(target.mean())
        fitted = self.features.transformers_
        self.scalers = {name: clone(step[-1]) for name, step, _ in fitted if isinstance(step, Pipeline)}
        self.means = [TargetMeans(columns) for _, step, columns in fitted if isinstance(step, TargetEncoder)]

    def learn_features(self, frame: pd.DataFrame, target: np.ndarray, inner: np.ndarray) -> None:
        """Learn what the features take from all rows; `inner` is the part of each row in the cross-fit."""
        for step in self._own():
            frame = step.transform(frame)
        for name, step, columns in self.features.transformers_:
            if name in self.scalers:
                self.scalers[name].partial_fit(step[:-1].transform(frame[columns]))
        for means in self.means:
            means.add(frame, self._outputs(target), inner)

    def end_features(self) -> None:
        """Put what was learned from all rows into the place of what the sample said."""
        for name, scaler in self.scalers.items():
            step = self.features.named_transformers_[name]
            step.steps[-1] = (step.steps[-1][0], scaler)
        for means in self.means:
            means.end(self.features.named_transformers_["many_valued"], self.classes, self.center)

    def learn(self, frame: pd.DataFrame, target: np.ndarray, inner: np.ndarray) -> None:
        """Let the estimator learn from the rows of a batch; it sees target means of rows other than its own."""
        for step in self._own():
            frame = step.transform(frame)
        encoded = self.features.transform(frame)
        for means in self.means:
            encoded[:, self.features.output_indices_["many_valued"]] = means.crossed(frame, inner)
        known = {} if self.classes is None else {"classes": self.classes}
        self.pipeline["model"].partial_fit(encoded, target, **known)

    def _own(self) -> list[Any]:
        return [step for _, step in self.pipeline.steps[:-2]]

    def _outputs(self, target: np.ndarray) -> np.ndarray:
        """The target as numbers, rows by outputs: of two classes whether it is the second, of more each of them."""
        if self.classes is None:
            return target[:, None] - self.center
        return one_hot(target, self.classes[1:] if len(self.classes) == 2 else self.classes)


class TargetMeans:
    """What TargetEncoder learns, from sums over batches, for each part of its cross-fit.

    Summed are 1, the outputs and their squares. Values beyond the first `MOST_VALUES` are as those never seen.
    """

    def __init__(self, columns: list[str]) -> None:
        self.places: dict[str, dict[Any, int]] = {name: {} for name in columns}  # of each value, from 1 on
        self.sums: dict[str, np.ndarray] = {}  # parts by places by sums; those of values beyond the first are at 0
        self.means: dict[str, np.ndarray] = {}  # parts by places by outputs, learned on the other parts

    def add(self, frame: pd.DataFrame, outputs: np.ndarray, inner: np.ndarray) -> None:
        """Add the rows of a batch."""
        most = max(1, MOST_VALUES // outputs.shape[1])
        summed = np.column_stack([np.ones(len(frame)), outputs, outputs**2])
        for name, places in self.places.items():
            codes, values = factorized(frame[name])
            for value in values:
                if len(places) < most:
                    places.setdefault(value, len(places) + 1)
            wide = len(places) + 1
            cells = inner.astype(int) * wide + np.array([places.get(value, 0) for value in values])[codes]
            sums = self.sums.setdefault(name, np.zeros((ENCODER_FOLDS, most + 1, summed.shape[1])))
            for k, weights in enumerate(summed.T):
                found = np.bincount(cells, weights, ENCODER_FOLDS * wide)
                sums[:, :wide, k] += found.reshape(ENCODER_FOLDS, wide)

    def end(self, encoder: TargetEncoder, classes: np.ndarray | None, center: float) -> None:
        """Let the encoder know all values, and give it the means of all rows."""
        kinds = np.array([0.0, 1.0]) if classes is None else classes
        size = max(3 * len(kinds), *map(len, self.places.values()))
        values = {name: [np.nan if v is None else v for v in places] for name, places in self.places.items()}
        frame = pd.DataFrame({name: np.resize(np.array(found, object), size) for name, found in values.items()})
        encoder.fit(frame, np.resize(kinds, size))
        encoder.encodings_ = []
        for (name, places), known in zip(self.places.items(), encoder.categories_, strict=True):
            sums = self.sums.pop(name)[:, : len(places) + 1]
            whole = smoothed(sums.sum(axis=0)) + center
            order = [places[_key(value)] for value in known]
            encoder.encodings_ += [column.copy() for column in whole[order].T]
            encoder.target_mean_ = whole[0, 0] if whole.shape[1] == 1 else whole[0].copy()
            self.means[name] = np.stack([smoothed(sums.sum(axis=0) - part) + center for part in sums])

    def crossed(self, frame: pd.DataFrame, inner: np.ndarray) -> np.ndarray:
        """The means for each row, learned on the other parts, in the encoder's order."""
        found = []
        for name, places in self.places.items():
            codes, values = factorized(frame[name])
            found.append(self.means[name][inner, np.array([places.get(value, 0) for value in values])[codes]])
        return np.asarray(np.hstack(found))


def factorized(column: "pd.Series[Any]") -> tuple[np.ndarray, list[Any]]:
    """For each row the place of its value among the different ones; what is missing is None."""
    codes, values = pd.factorize(column.astype(object), use_na_sentinel=False)
    return codes, [_key(value) for value in values]


def _key(value: Any) -> Any:
    return None if value != value else value  # noqa: PLR0124 - NaN, which is not equal to itself


def smoothed(sums: np.ndarray) -> np.ndarray:
    """The means of each value, drawn to that of all rows as TargetEncoder does with `smooth="auto"`; at 0 that mean."""
    half, total = (sums.shape[1] + 1) // 2, sums.sum(axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        rows, mean, overall = sums[:, :1], sums[:, 1:half] / sums[:, :1], total[1:half] / total[0]
        squares = np.maximum(sums[:, half:] - rows * mean**2, 0)
        variance = total[half:] / total[0] - overall**2
        weight = variance * rows / (variance * rows + squares / rows)
        found = np.where(np.isnan(weight), overall, weight * mean + (1 - weight) * overall)
    found[0] = overall
    return np.asarray(found)


class Answers:
    """A fitted estimator's answers to some rows, which are asked for by their places."""

    def __init__(self, estimator: BaseEstimator, found: dict[str, np.ndarray]) -> None:
        self.estimator, self.found = estimator, found

    def __getattr__(self, name: str) -> Any:
        """A method whose answers are known, or the classes."""
        if name == "classes_":
            return self.estimator.classes_
        if name not in ANSWERS or name not in self.found:
            raise AttributeError(f"{type(self.estimator).__name__} has no {name}")
        return lambda places: self.found[name][places[:, 0]]

    def fit(self, *_: Any) -> "Answers":
        """Nothing: an estimator of scikit-learn has such a method."""
        return self

    def __sklearn_is_fitted__(self) -> bool:
        """It is."""
        return True

    def __sklearn_tags__(self) -> Any:
        """As the estimator, so that it is taken for a classifier or a regressor."""
        return get_tags(self.estimator)


def answered(
    model: Pipeline, stored: Stored, numbers: np.ndarray, parameters: Parameters
) -> tuple[Pipeline, np.ndarray, np.ndarray]:
    """A model that knows its answers to the rows of these numbers; how to ask for them; and the target of the rows."""
    found: dict[str, list[np.ndarray]] = {name: [] for name in ANSWERS if hasattr(model[-1], name)}
    truth = []
    for rows in progress(stored.at(numbers), "scoring", " rows", len(numbers), size=len):
        features, target = features_and_target(rows, parameters)
        encoded = model[:-1].transform(features)
        for name, answers in found.items():
            answers.append(getattr(model[-1], name)(encoded))
        truth.append(target)
    known = Answers(model[-1], {name: np.concatenate(answers) for name, answers in found.items()})
    return Pipeline([("model", known)]), np.arange(len(numbers))[:, None], np.concatenate(truth)


def fit_few(table: pa.Table, parameters: Parameters) -> Pipeline:
    """The model of a few rows, learned from a file in batches as that of all rows is, but in smaller ones."""
    few = parameters.train.model_copy(update={"batch_rows": min(parameters.train.batch_rows, FEW_BATCH_ROWS)})
    with TemporaryDirectory() as folder, threadpool_limits(few.threads):
        path = Path(folder) / TRAIN
        write_table(table, path)
        few_parameters = parameters.model_copy(update={"train": few})
        stored = Stored(path, few_parameters)
        return learn(stored, np.zeros(len(table), np.uint8), np.array([[True]]), few_parameters)[0]
