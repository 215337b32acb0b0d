"""The split: which rows are kept for the test, and which rows are in which fold, by one rule for both.

The seed, the share and the rows decide which rows are the test, and no library's version.
"""

import zlib
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from record.parameters import Parameters
from record.problem import refuse_if

TENTHS = 10
Folds = list[tuple[np.ndarray, np.ndarray]]  # the rows to fit and to score on


def strata_of(table: pa.Table, parameters: Parameters, most: int = TENTHS) -> np.ndarray:
    """For each row the number of its class, of its tenth of a numeric target, or 0 where rows are drawn at random."""
    if parameters.prepare.split == "random":
        return np.zeros(len(table), dtype=int)
    codes = classes_of(table[parameters.data.target])[1]
    if parameters.data.task == "classification":
        return codes
    tenths = np.empty(len(table), dtype=int)
    tenths[np.argsort(codes, kind="stable")] = np.arange(len(table)) * most // len(table)
    return tenths


def folds_of(train: pa.Table, parameters: Parameters) -> Folds:
    """The folds of the cross-validation, which never depend on the estimator.

    Raises:
        Problem: when there are too few rows, groups or times for so many folds, or one would be fitted without a class
            that it is then asked for.
    """
    folds = folds_by_rule(train, parameters)
    if parameters.data.task == "classification":
        classes, codes = classes_of(train[parameters.data.target])
        missing = {int(k) for fit, _ in folds for k in np.setdiff1d(codes, codes[fit])}
        refuse_without([classes[k].as_py() for k in sorted(missing)], parameters)
    return folds


def folds_by_rule(train: pa.Table, parameters: Parameters) -> Folds:
    """The folds, of which one may lack a class to learn from."""
    from sklearn import model_selection  # noqa: PLC0415 - prepare does not need it

    by, count = parameters.prepare.split_by, parameters.train.folds
    is_classification = parameters.data.task == "classification"
    check_folds(train, parameters)
    strata = strata_of(train, parameters, min(TENTHS, len(train) // count))
    groups = classes_of(train[by or parameters.data.target])[1]
    folds: Folds
    if parameters.prepare.split == "time":
        times = model_selection.TimeSeriesSplit(count).split(np.arange(groups.max() + 1))
        folds = [(np.flatnonzero(np.isin(groups, fit)), np.flatnonzero(np.isin(groups, part))) for fit, part in times]
    else:
        kinds = {
            "random": model_selection.KFold,
            "stratified": model_selection.StratifiedKFold,
            "group": model_selection.StratifiedGroupKFold if is_classification else model_selection.GroupKFold,
        }
        kind = kinds[parameters.prepare.split](count, shuffle=True, random_state=parameters.train.seed)
        folds = list(kind.split(strata, strata, groups if by else None))
    return folds


def check_folds(train: pa.Table, parameters: Parameters) -> None:
    """Refuse more folds than there are rows (or pairs of rows for a regression), rows of a class, groups or times."""
    settings, count = parameters.prepare, parameters.train.folds
    place, target = f"params.yaml: train.folds: {count} folds", train[parameters.data.target]
    if settings.split_by:
        found, least = pc.count_distinct(train[settings.split_by]).as_py(), 2 + (settings.split == "time")
        needed, way = count + least - 2, "take fewer folds" if found >= least else "choose another prepare.split_by"
        kind = "different times" if settings.split == "time" else "groups"
        problem = f"{place} need {needed} {kind} of '{settings.split_by}' to train on, found {found}; {way}"
        refuse_if([problem] if found < needed else [])
    is_classification = parameters.data.task == "classification"
    needed = count if is_classification else 2 * count
    problem = f"{place} need {needed} rows, found {len(train)} to train on; take fewer folds"
    refuse_if([problem] if len(train) < needed else [])
    if is_classification and settings.split == "stratified":
        counts = sorted((v["values"], v["counts"]) for v in pc.value_counts(target).to_pylist())
        needs = f"params.yaml: train.folds: each class needs {count} rows to train on"
        way = "take fewer folds, or remove or merge such classes in a stage before"
        refuse_if(f"{needs}, but {value!r} has {rows}; {way}" for value, rows in counts if rows < count)


def refuse_without(missing: list[Any], parameters: Parameters) -> None:
    """Refuse folds that leave one without some classes."""
    place = f"params.yaml: train.folds: {parameters.train.folds} folds by a {parameters.prepare.split} split"
    way = "take fewer folds, or another prepare.split"
    refuse_if(f"{place} leave one without {value!r} to learn from; {way}" for value in missing)


class Parts:
    """Which part of the cross-validation each row is in, for a table that comes in batches, in its order.

    The part does not depend on the size of the batches. A sample decides what takes the whole table: when the times of
    a fold begin, where the tenths of a numeric target do, and which groups a fold has; a group that the sample lacks is
    in the part that its hash says. Of a table that is its own sample, the parts by time or group are those of
    `folds_of`. `learns` says for each fold which parts it learns from, `held_out` on which one it is scored.
    """

    def __init__(self, sample: pa.Table, parameters: Parameters) -> None:
        self.parameters, self.count = parameters, parameters.train.folds
        self.rule, self.by = parameters.prepare.split, parameters.prepare.split_by
        folds = folds_by_rule(sample, parameters)
        target, is_time = sample[parameters.data.target], self.rule == "time"
        parts = np.arange(self.count + is_time)
        self.held_out = np.arange(self.count) + is_time
        self.learns = parts < self.held_out[:, None] if is_time else parts != self.held_out[:, None]
        values = [sample[self.by].take(pa.array(rows)).unique() for _, rows in folds] if self.by else []
        starts = [pc.min(times).as_py() for times in values] if is_time else []
        self.starts = pa.chunked_array([starts], sample[self.by].type if is_time else None).to_numpy()
        self.groups = {group: k for k, groups in enumerate(values) for group in groups.to_pylist()}
        tenths = min(TENTHS, len(sample) // self.count)
        is_number = parameters.data.task == "regression"
        self.cuts = np.quantile(target.to_numpy(), np.arange(1, tenths) / tenths) if is_number else np.empty(0)
        self.classes = None if is_number else classes_of(target)[0]
        self.waiting: dict[int, np.ndarray] = {}
        self.random: dict[int, np.random.Generator] = {}

    def of(self, rows: pa.Table) -> np.ndarray:
        """The parts of the next rows of the table."""
        found = np.empty(len(rows), np.min_scalar_type(self.count))
        match self.rule:
            case "time":
                found[:] = np.searchsorted(self.starts, rows[self.by].to_numpy(), side="right")
            case "group":
                groups, codes = classes_of(rows[self.by])
                hashed = {group: zlib.crc32(repr(group).encode()) % self.count for group in groups.to_pylist()}
                found[:] = np.array([self.groups.get(group, part) for group, part in hashed.items()])[codes]
            case _:
                strata = self._strata(rows)
                for stratum in np.unique(strata).tolist():
                    found[strata == stratum] = self._draw(stratum, int(np.sum(strata == stratum)))
        return found

    def _strata(self, rows: pa.Table) -> np.ndarray:
        target = rows[self.parameters.data.target]
        if self.rule == "random":
            return np.zeros(len(rows), int)
        if self.classes is None:
            return np.asarray(np.searchsorted(self.cuts, target.to_numpy(), side="right"))
        return np.asarray(pc.index_in(target, value_set=self.classes).to_numpy())

    def _draw(self, stratum: int, count: int) -> np.ndarray:
        """Parts for the next rows of a stratum: as many rows as there are parts have one each, in random order."""
        random = self.random.setdefault(stratum, np.random.default_rng([self.parameters.train.seed, stratum]))
        waiting = self.waiting.get(stratum, np.empty(0, int))
        blocks = -(-(count - len(waiting)) // self.count)
        more = random.permuted(np.tile(np.arange(self.count), (max(0, blocks), 1)), axis=1).ravel()
        waiting = np.concatenate([waiting, more])
        self.waiting[stratum] = waiting[count:]
        return waiting[:count]


def classes_of(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The distinct values in ascending order, and for each row the place of its value among them."""
    encoded = column.combine_chunks().dictionary_encode()
    ascending = pc.sort_indices(encoded.dictionary)
    # From DLPack, since `to_numpy`, as `pa.array` below, would import pandas for nothing.
    return encoded.dictionary.take(ascending), np.argsort(np.from_dlpack(ascending))[np.from_dlpack(encoded.indices)]
