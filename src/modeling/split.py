"""The split: which rows are kept for the test, and which rows are in which fold, by one rule for both.

The seed, the share and the rows decide which rows are the test, and no library's version.
"""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from record.parameters import Parameters
from record.problem import Problem, refuse_if

TENTHS = 10
Folds = list[tuple[np.ndarray, np.ndarray]]  # the rows to fit and to score on


def split(table: pa.Table, parameters: Parameters) -> tuple[pa.Table, pa.Table]:
    """Divide the rows into a training and a test part, each in the order of the table.

    Raises:
        Problem: when a part would lack a class, or the two rows that a regression's score takes.
    """
    settings = parameters.prepare
    match settings.split:
        case "group":
            is_test = groups_for_test(classes_of(table[settings.split_by])[1], settings.test_size, settings.seed)
        case "time":
            is_test = latest(classes_of(table[settings.split_by])[1], settings.test_size)
        case _:
            is_test = shares_of(strata_of(table, parameters), settings.test_size, settings.seed)
    check_parts(table, is_test, parameters)
    return table.filter(to_mask(~is_test)), table.filter(to_mask(is_test))


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


def shares_of(strata: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Every (1 / share)-th of the shuffled rows, stratum by stratum, so that each has its share to within one row."""
    shuffled = np.random.default_rng(seed).permutation(len(strata))
    ordered = shuffled[np.argsort(strata[shuffled], kind="stable")]
    taken_before = np.floor(np.arange(len(strata) + 1) * share + 0.5)
    is_test = np.zeros(len(strata), dtype=bool)
    is_test[ordered[np.diff(taken_before) > 0]] = True
    return is_test


def groups_for_test(groups: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Whole groups in the order of the seed, each if it brings the number of rows nearer to the share."""
    sizes, wanted, taken = np.bincount(groups), len(groups) * share, 0
    chosen = np.zeros(len(sizes), dtype=bool)
    for group in np.random.default_rng(seed).permutation(len(sizes)):
        if abs(taken + sizes[group] - wanted) < abs(taken - wanted):
            chosen[group], taken = True, taken + sizes[group]
    return np.asarray(chosen[groups])


def latest(times: np.ndarray, share: float) -> np.ndarray:
    """The latest rows, where rows of one time stay together and their number is as near to the share as it can be."""
    rows_from = len(times) - np.concatenate([[0], np.cumsum(np.bincount(times))])  # by the earliest time of the test
    earliest = int(np.argmin(np.abs(rows_from - len(times) * share)))
    return np.asarray(times >= earliest)


def check_parts(table: pa.Table, is_test: np.ndarray, parameters: Parameters) -> None:
    """Refuse a part without a class, or with fewer numbers than a score takes."""
    settings, is_classification = parameters.prepare, parameters.data.task == "classification"
    classes, codes = classes_of(table[parameters.data.target])
    if not is_classification:
        classes, codes = classes[:1], np.zeros(len(table), dtype=int)
    least = 1 if is_classification else 2
    in_parts = [np.bincount(codes[part], minlength=len(classes)) for part in (is_test, ~is_test)]
    if (lacking := np.flatnonzero(np.minimum(*in_parts) < least)).size:
        few = f"{len(lacking)} of {len(classes)} classes, such as {classes[int(lacking[0])].as_py()!r}"
        without = f"without {few}" if is_classification else f"with fewer than {least} rows"
        place = f"params.yaml: prepare.test_size: {settings.test_size} of {len(table)} rows"
        by = f" split by {settings.split} of '{settings.split_by}'" if settings.split_by else ""
        other = ", or another prepare.split_by" if settings.split_by else ""
        merge = ", or remove or merge such classes in a stage before" if is_classification else ""
        raise Problem(f"{place}{by} leaves a part {without}; change it{other}{merge}")


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


def to_mask(rows: np.ndarray) -> pa.BooleanArray:
    """A NumPy mask as an Arrow mask."""
    bits = pa.py_buffer(np.packbits(rows, bitorder="little"))
    return pa.Array.from_buffers(pa.bool_(), len(rows), [None, bits])
