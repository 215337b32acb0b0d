"""Dividing a table: which rows are kept for the test, while all go by once and are written to one of both parts.

The seed, the share and the rows decide which rows are the test, and no library's version.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from modeling.pitfalls import SAMPLE, compared_columns
from modeling.reading import Raw
from modeling.sketches import Counts, Overlap, Sample, row_hashes
from modeling.split import TENTHS, classes_of, strata_of
from modeling.summary import Survey, with_target
from modeling.table import ROW_GROUP, TableWriter, in_runs, to_array, to_mask
from record.parameters import Parameters
from record.problem import Problem

RUN = ROW_GROUP  # rows that are divided at a time; a smaller table is divided as a whole


@dataclass(frozen=True)
class Divided:
    """What the training part has as features, the rows of both parts, and what was kept of the rows to look at."""

    features: list[str]
    rows: tuple[int, int]
    sample: Sample
    overlap: Overlap | None


def divide(raw: Raw, found: Survey, names: list[str], paths: tuple[Path, Path], parameters: Parameters) -> Divided:
    """Write the columns of that name to a training and to a test file.

    A feature of which no training row has a value is left out: that is known at the end, so all is written again.
    """
    target, columns = parameters.data.target, found.columns
    features = [name for name in names if name not in parameters.not_features]
    compared = compared_columns(found, features, target)
    looked_at = [name for name in features if columns[name].kind_for(name, parameters.data) != "text"]
    sample, overlap = Sample(SAMPLE), Overlap() if compared else None
    known, rows = dict.fromkeys({*features} - {*parameters.train.slices}, 0), np.zeros(2, np.int64)
    kept = (with_target(batch, parameters.data) for batch in raw.batches(names))
    schema = pa.schema([raw.schema.field(name) for name in names])
    with TableWriter(paths[0], schema) as train, TableWriter(paths[1], schema) as test:
        for run, is_test in Split(found, parameters).runs(kept):
            parts = [run.filter(to_mask(~is_test)), run.filter(to_mask(is_test))]
            train.write(parts[0])
            test.write(parts[1])
            rows += [len(part) for part in parts]
            for name in known:
                known[name] += len(parts[0]) - parts[0][name].null_count
            sample.add(run.select([*looked_at, target]))
            if overlap:
                overlap.add(row_hashes(run.select(compared)), is_test)
            del run, parts  # before the next run is read
            pa.default_memory_pool().release_unused()  # which would be kept for later runs
    if unknown := {name for name, count in known.items() if not count}:
        return divide(raw, found, [name for name in names if name not in unknown], paths, parameters)
    return Divided(features, (int(rows[0]), int(rows[1])), sample, overlap)


class Split:
    """The test rows of a table that goes by in runs of `RUN` rows; a table of one run is divided as a whole.

    The classes, the sizes of the groups and a sample of the times are known beforehand. Each class has its share to
    within one row over all runs; groups are whole; rows of one time stay together.
    """

    def __init__(self, survey: Survey, parameters: Parameters) -> None:
        self.parameters, settings = parameters, parameters.prepare
        self.random = np.random.default_rng(settings.seed)
        self.classes = in_order(survey.columns[parameters.data.target].counts)["values"].combine_chunks()
        self.next: np.ndarray | None = None  # place of each stratum among the rows that are counted out
        self.rows = [0, 0]
        self.of_class = np.zeros((2, len(self.classes)), np.int64)
        if settings.split == "group" and settings.split_by:
            groups = in_order(survey.columns[settings.split_by].counts)
            sizes = np.from_dlpack(groups["counts"].combine_chunks())
            chosen = groups_for_test(sizes, settings.test_size, settings.seed)
            self.groups = groups["values"].filter(to_mask(chosen)).combine_chunks()
        if settings.split == "time" and survey.times:
            times = survey.times.table[0]
            is_late = latest(classes_of(times)[1], settings.test_size)
            self.earliest = pc.min(times.filter(to_mask(is_late)))

    def runs(self, batches: Iterable[pa.Table]) -> Iterator[tuple[pa.Table, np.ndarray]]:
        """The rows, each run with those that are for the test.

        Raises:
            Problem: at the end, when a part lacks a class, or the two rows that a regression's score takes.
        """
        for run in in_runs(batches, RUN):
            rows = run.combine_chunks()
            codes = self._codes(rows)
            is_test = self.is_test(rows, codes)
            self._count(codes, is_test)
            yield rows, is_test
            del run, rows
        self._check()

    def is_test(self, rows: pa.Table, codes: np.ndarray) -> np.ndarray:
        """Which rows of the next run are for the test; `codes` are the places of their classes."""
        settings = self.parameters.prepare
        match settings.split:
            case "group":
                return to_array(pc.is_in(rows[settings.split_by], value_set=self.groups).combine_chunks())
            case "time":
                is_late = pc.greater_equal(rows[settings.split_by], self.earliest)  # null where no time is so late
                return to_array(is_late.combine_chunks().fill_null(pa.scalar(value=False)))
        is_by_class = settings.split == "stratified" and self.parameters.data.task == "classification"
        strata = codes if is_by_class else strata_of(rows, self.parameters)
        if self.next is None:
            sizes = np.bincount(strata, minlength=max(TENTHS, len(self.classes)))
            self.next = np.cumsum(sizes) - sizes
        return shares_of(strata, settings.test_size, self.random, self.next)

    def _codes(self, rows: pa.Table) -> np.ndarray:
        """The place of each row's class among the classes; none where the target is not counted."""
        if not len(self.classes):
            return np.empty(0, np.int64)
        found = pc.index_in(rows[self.parameters.data.target], value_set=self.classes)
        return np.from_dlpack(found.combine_chunks()).astype(np.int64)

    def _count(self, codes: np.ndarray, is_test: np.ndarray) -> None:
        for k, part in enumerate((is_test, ~is_test)):
            self.rows[k] += int(part.sum())
            if len(codes):
                self.of_class[k] += np.bincount(codes[part], minlength=len(self.classes))

    def _check(self) -> None:
        settings, is_classification = self.parameters.prepare, self.parameters.data.task == "classification"
        of_parts, least = (self.of_class, 1) if is_classification else (np.array(self.rows)[:, None], 2)
        if (lacking := np.flatnonzero(of_parts.min(axis=0) < least)).size:
            few = f"{len(lacking)} of {len(self.classes)} classes"
            example = f", such as {self.classes[int(lacking[0])].as_py()!r}" if is_classification else ""
            without = f"without {few}{example}" if is_classification else f"with fewer than {least} rows"
            place = f"params.yaml: prepare.test_size: {settings.test_size} of {sum(self.rows)} rows"
            by = f" split by {settings.split} of '{settings.split_by}'" if settings.split_by else ""
            other = ", or another prepare.split_by" if settings.split_by else ""
            merge = ", or remove or merge such classes in a stage before" if is_classification else ""
            raise Problem(f"{place}{by} leaves a part {without}; change it{other}{merge}")


def in_order(counts: Counts) -> pa.Table:
    """The values that were counted, in ascending order, with their rows."""
    found = counts.table
    return pa.table({"values": [], "counts": []}) if found is None else found.sort_by("values")


def shares_of(strata: np.ndarray, share: float, random: np.random.Generator, start: np.ndarray) -> np.ndarray:
    """Every (1 / share)-th of the shuffled rows, stratum by stratum, so that each has its share to within one row.

    `start` is where each stratum goes on counting from the rows before, and is moved on.
    """
    shuffled = random.permutation(len(strata))
    ordered = shuffled[np.argsort(strata[shuffled], kind="stable")]
    sizes = np.bincount(strata, minlength=len(start))
    places = np.arange(len(strata)) + np.repeat(start - (np.cumsum(sizes) - sizes), sizes)
    is_test = np.zeros(len(strata), dtype=bool)
    is_test[ordered[np.floor((places + 1) * share + 0.5) > np.floor(places * share + 0.5)]] = True
    start += sizes
    return is_test


def groups_for_test(sizes: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Of groups of some rows those for the test: in the order of the seed, each if it brings the rows nearer to it."""
    wanted, taken = sizes.sum() * share, 0
    chosen = np.zeros(len(sizes), dtype=bool)
    for group in np.random.default_rng(seed).permutation(len(sizes)):
        if abs(taken + sizes[group] - wanted) < abs(taken - wanted):
            chosen[group], taken = True, taken + sizes[group]
    return chosen


def latest(times: np.ndarray, share: float) -> np.ndarray:
    """The latest rows, where rows of one time stay together and their number is as near to the share as it can be."""
    rows_from = len(times) - np.concatenate([[0], np.cumsum(np.bincount(times))])  # by the earliest time of the test
    earliest = int(np.argmin(np.abs(rows_from - len(times) * share)))
    return np.asarray(times >= earliest)
