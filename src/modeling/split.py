"""The split: which rows are kept for the test, and which rows are in which fold, by one rule for both.

The seed, the share and the rows decide which rows are the test, and no library's version.
"""

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
        Problem: when there are too few rows, classes, groups or times for so many folds.
    """
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
    if is_classification:
        check_classes(train[parameters.data.target], folds, parameters)
    return folds


def check_folds(train: pa.Table, parameters: Parameters) -> None:
    """Refuse more folds than there are rows of a class, groups, times or, for a regression, pairs of rows."""
    settings, count = parameters.prepare, parameters.train.folds
    place, target = f"params.yaml: train.folds: {count} folds", train[parameters.data.target]
    if settings.split_by:
        found, needed = pc.count_distinct(train[settings.split_by]).as_py(), count + (settings.split == "time")
        kind = "different times" if settings.split == "time" else "groups"
        problem = f"{place} need {needed} {kind} of '{settings.split_by}' to train on, found {found}; take fewer folds"
        refuse_if([problem] if found < needed else [])
    if parameters.data.task == "regression":
        problem = f"{place} need {2 * count} rows, found {len(train)} to train on; take fewer"
        refuse_if([problem] if len(train) < 2 * count else [])
    elif settings.split == "stratified":
        counts = sorted((v["values"], v["counts"]) for v in pc.value_counts(target).to_pylist())
        needs = f"params.yaml: train.folds: each class needs {count} rows to train on"
        way = "take fewer folds, or remove or merge such classes in a stage before"
        refuse_if(f"{needs}, but {value!r} has {rows}; {way}" for value, rows in counts if rows < count)


def check_classes(target: pa.ChunkedArray, folds: Folds, parameters: Parameters) -> None:
    """Refuse folds of which one would be fitted without a class that it is then asked for."""
    classes, codes = classes_of(target)
    missing = {int(k) for fit, _ in folds for k in np.setdiff1d(codes, codes[fit])}
    place, way = f"params.yaml: train.folds: {len(folds)} folds", "take fewer folds, or another prepare.split"
    split = parameters.prepare.split
    refuse_if(
        f"{place} by a {split} split leave one without {classes[k].as_py()!r} to learn from; {way}"
        for k in sorted(missing)
    )


def classes_of(column: pa.ChunkedArray) -> tuple[pa.Array, np.ndarray]:
    """The distinct values in ascending order, and for each row the place of its value among them."""
    encoded = column.combine_chunks().dictionary_encode()
    ascending = pc.sort_indices(encoded.dictionary)
    # From DLPack, since `to_numpy`, as `pa.array` below, would import pandas for nothing.
    return encoded.dictionary.take(ascending), np.argsort(np.from_dlpack(ascending))[np.from_dlpack(encoded.indices)]
