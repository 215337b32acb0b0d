"""`lineage.py diff`: what changed between two packages, causes before effects; do the scores differ beyond noise?"""

import math
import statistics
from collections.abc import Iterator
from dataclasses import asdict
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cache
import git
from answer import Answer, columns, short, word
from checksums import digest
from comparison import Change, compare
from manifest import Manifest
from manifest import Table as TableRecord
from version import Version, find_version

if TYPE_CHECKING:
    import pyarrow as pa

LOWER_IS_BETTER = {"log_loss", "mean_absolute_error", "root_mean_squared_error", "cv_std"}
FOLDS = "folds"  # the main score on each; for a person their mean, their spread and the paired difference say it
T_95 = {1: 12.71, 2: 4.30, 3: 3.18, 4: 2.78, 5: 2.57, 6: 2.45, 7: 2.36, 8: 2.31, 9: 2.26}  # Student's t, two-sided


def answer(before: str, after: str) -> Answer:
    """The changes from one version to another."""
    versions = find_version(before), find_version(after)
    manifests = versions[0].manifest(), versions[1].manifest()
    groups = compare(*manifests)
    tables = compare_tables(versions, manifests) if "data" in groups else None
    paired = compare_folds(*manifests) if groups else None
    models = [manifest.model.sha256 for manifest in manifests]
    facts = {
        "before": before,
        "after": after,
        "models": models,
        "changes": {group: [asdict(change) for change in changes] for group, changes in groups.items()},
        "table": tables,
        "folds": paired,
    }
    if groups:
        return Answer(facts, "\n".join([*text(groups, tables), verdict(paired)]))
    if models[0] == models[1]:
        return Answer(facts, f"{before} and {after} have the same lineage")
    return Answer(facts, f"the same inputs, another model: sha256 {short(models[0])} → {short(models[1])}")


def text(groups: dict[str, list[Change]], tables: dict[str, Any] | None) -> Iterator[str]:
    """The changes for a person, a group after the other."""
    for group, changes in groups.items():
        yield f"── {group}"
        yield columns(_row(group, change) for change in changes if change.name != FOLDS)
        if group == "data" and tables:
            yield f"rows: {tables['rows_added']:,} added, {tables['rows_removed']:,} removed"
            yield from (f"column {verb}: {', '.join(names)}" for verb, names in tables["columns"].items() if names)


def verdict(paired: dict[str, Any] | None) -> str:
    """Whether the scores differ by more than noise."""
    if paired is None:
        return "other rows, folds, seed or metric: the scores cannot be compared fold by fold"
    beyond = "more than noise" if paired["significant"] else "within noise"
    return (
        f"{paired['metric']} over the same {paired['folds']} folds: {paired['mean']:+.4f} ± {paired['margin']:.4f} "
        f"(95 % interval of the paired difference): {beyond}"
    )


def _row(group: str, change: Change) -> list[str]:
    words = [change.name, f"{word(change.before)} → {word(change.after)}"]
    if group == "metrics" and all(isinstance(value, int | float) for value in (change.before, change.after)):
        difference = change.after - change.before
        lower = change.name.rpartition(".")[2] in LOWER_IS_BETTER
        judged = "" if "baseline" in change.name else " better" if (difference < 0) == lower else " worse"
        words.append(f"{difference:+.4g}{judged}")
    return words


def compare_folds(before: Manifest, after: Manifest) -> dict[str, Any] | None:
    """The paired difference of the main score over the folds, where both models had the same; None otherwise.

    The margin is Student's t times the standard error. Folds share training rows, so it is a guide, not a test:
    see Nadeau and Bengio (2003), whose correction of the variance for that is applied here.
    """
    one, other = _folds(before), _folds(after)
    names = [next(iter(manifest.metrics), None) for manifest in (before, after)]
    same_rows = before.data.train.md5 == after.data.train.md5
    same_split = all(before.params.train.get(key) == after.params.train.get(key) for key in ("folds", "seed"))
    if not (len(one) == len(other) > 1 and same_rows and same_split and names[0] == names[1]):
        return None
    differences = [b - a for a, b in zip(one, other, strict=True)]
    count, mean, spread = len(differences), statistics.fmean(differences), statistics.stdev(differences)
    error = spread * math.sqrt(1 / count + 1 / (count - 1))  # the test fold is 1 / (count - 1) of the training rows
    margin = student_t_95(count - 1) * error
    return {
        "metric": names[0],
        "folds": count,
        "mean": mean,
        "std": spread,
        "margin": margin,
        "significant": abs(mean) > margin,
    }


def _folds(manifest: Manifest) -> list[float]:
    folds = manifest.metrics.get(FOLDS)
    return folds if isinstance(folds, list) and all(isinstance(score, float) for score in folds) else []


def student_t_95(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's t; beyond the table by Abramowitz and Stegun, 26.7.5."""
    z = 1.959964
    return T_95.get(freedom, z + (z**3 + z) / (4 * freedom) + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2))


def compare_tables(versions: tuple[Version, Version], manifests: tuple[Manifest, Manifest]) -> dict[str, Any] | None:
    """Rows and columns that the raw table gained and lost; None where the bytes of either are not at hand."""
    found = [raw_bytes(version, manifest.data.source) for version, manifest in zip(versions, manifests, strict=True)]
    if None in found or manifests[0].data.source.md5 == manifests[1].data.source.md5:
        return None
    from table import parse_table  # noqa: PLC0415 - Arrow is loaded only where tables are compared

    paths = [Path(manifest.data.source.path) for manifest in manifests]
    one, other = (parse_table(BytesIO(content or b""), path) for content, path in zip(found, paths, strict=True))
    shared = [name for name in one.column_names if name in other.column_names]
    added, removed = count_rows(one.select(shared), other.select(shared))
    return {
        "rows_added": added,
        "rows_removed": removed,
        "columns": {
            "added": [name for name in other.column_names if name not in one.column_names],
            "removed": [name for name in one.column_names if name not in other.column_names],
        },
    }


def raw_bytes(version: Version, source: TableRecord) -> bytes | None:
    """The bytes of a recorded raw table: from the workspace, Git or DVC's cache, wherever they are the same."""
    path = Path(source.path)
    if path.is_file() and path.resolve().is_relative_to(Path.cwd()) and digest(path).md5 == source.md5:
        return path.read_bytes()
    if version.commit and (content := git.read_blob(version.commit, path)) is not None:
        return content
    cached = cache.find(source.md5)
    return cached.read_bytes() if cached else None


def count_rows(before: "pa.Table", after: "pa.Table") -> tuple[int, int]:
    """How many rows are only after, and how many only before; a row that is there twice counts twice."""
    import pyarrow as pa  # noqa: PLC0415
    import pyarrow.compute as pc  # noqa: PLC0415

    def is_number(kind: "pa.DataType") -> bool:
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

    def comparable(column: "pa.ChunkedArray", other: "pa.ChunkedArray") -> "pa.ChunkedArray":
        types = {column.type, other.type} - {pa.null()}
        if len(types) == 1 and not pa.types.is_nested(column.type):
            return column.cast(types.pop())
        if all(map(is_number, types)):
            return column.cast(pa.float64(), safe=False)
        return pa.array([None if value is None else repr(value) for value in column.to_pylist()], pa.string())

    signs = {}
    for sign, table, other in ((-1, before, after), (1, after, before)):
        columns_of = {f"c{k}": comparable(table[k], other[k]) for k in range(table.num_columns)}
        signs[sign] = pa.table({**columns_of, "sign": pa.array([sign] * len(table), pa.int64())})
    both = pa.concat_tables(signs.values())
    balance = both.group_by(both.column_names[:-1]).aggregate([("sign", "sum")])["sign_sum"]
    added, removed = (
        pc.sum(pc.filter(balance, rows)).as_py() or 0 for rows in (pc.greater(balance, 0), pc.less(balance, 0))
    )
    return added, -removed
