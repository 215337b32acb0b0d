"""`lineage.py diff`: what changed between two packages, causes before effects; do the scores differ beyond noise?"""

import statistics
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from commands.processes import fetched
from commands.result import Result, table
from commands.versions import Version, find_version
from record.checksums import digest
from record.comparison import Change, compare, main_score, short
from record.manifest import Input, Manifest
from record.problem import Problem, say

if TYPE_CHECKING:
    import pyarrow as pa

LOWER_IS_BETTER = {"log_loss", "mean_absolute_error", "root_mean_squared_error", "cv_std"}
FOLDS = "folds"  # the main score on each; for a person their mean, their spread and the paired difference say it


def run(before: str, after: str) -> Result:
    """The changes from one version to another."""
    versions = find_version(before), find_version(after)
    manifests = versions[0].manifest(), versions[1].manifest()
    groups = compare(*manifests)
    tables = compare_tables(versions, manifests) if "data" in groups else {}
    paired = compare_folds(*manifests) if groups else None
    models = [manifest.model.sha256 for manifest in manifests]
    facts = {
        "before": before,
        "after": after,
        "models": models,
        "same_model": models[0] == models[1],
        "changes": {group: [asdict(change) for change in changes] for group, changes in groups.items()},
        "tables": tables,
        "folds": paired,
    }
    last = [verdict(paired)] if groups and not facts["same_model"] else []
    return Result(facts, [headline(models, bool(groups)), *lines(groups, tables), *last])


def headline(models: list[str], differs: bool) -> str:
    """Whether the bytes of the models are the same, and whether their lineage is."""
    if models[0] == models[1]:
        return f"the same model (sha256 {short(models[0])}), {'another' if differs else 'the same'} lineage"
    return f"another model (sha256 {short(models[0])} → {short(models[1])}){'' if differs else ', the same lineage'}"


def lines(groups: dict[str, list[Change]], tables: dict[str, Any]) -> Iterator[str]:
    """The changes for a person, one group after the other."""
    for group, changes in groups.items():
        yield f"── {group}"
        shown = (c for c in changes if c.name != FOLDS and not (group == "data" and is_detail(c.name)))
        yield from table(_row(group, change) for change in shown)
        for path, change in tables.items() if group == "data" else ():
            yield f"{path}: rows: {change['rows_added']:,} added, {change['rows_removed']:,} removed"
            yield from (f"{path}: column {verb}: {', '.join(c)}" for verb, c in change["columns"].items() if c)


def verdict(paired: dict[str, Any] | None) -> str:
    """Whether the scores differ by more than noise."""
    if paired is None:
        return "other rows, folds, seed or metric: the scores cannot be compared fold by fold"
    beyond = "more than noise" if paired["significant"] else "within noise"
    return (
        f"{paired['metric']} over the same {paired['folds']} folds: {paired['mean']:+.4f} ± {paired['margin']:.4f} "
        f"(95 % interval of the paired difference): {beyond}"
    )


def is_detail(name: str) -> bool:
    """Whether another line says as much to a person, who sees of a file that changed its SHA-256 and rows."""
    return name.endswith((".path", ".size", ".md5")) and not name.endswith(".origin.path")


def judged(metric: str, difference: float) -> str:
    """Whether a score became better or worse."""
    return "better" if (difference < 0) == (metric in LOWER_IS_BETTER) else "worse"


def _row(group: str, change: Change) -> list[str]:
    words = [change.name, change.words()]
    if group == "metrics" and all(isinstance(value, int | float) for value in (change.before, change.after)):
        difference = change.after - change.before
        is_score = "baseline" not in change.name and not change.name.endswith(".rows")
        words.append(f"{difference:+.4g} {judged(change.name.rpartition('.')[2], difference) if is_score else ''}")
    return words


def compare_folds(before: Manifest, after: Manifest) -> dict[str, Any] | None:
    """The paired difference of the main score over the folds, where both models had the same; None otherwise.

    Folds share training rows, so the margin is a guide, not a test.
    """
    from modeling.score_pitfalls import margin_of  # noqa: PLC0415 - only this verb needs it

    one, other = _folds(before), _folds(after)
    names = [main_score(manifest.metrics)[0] for manifest in (before, after)]
    same_rows = before.data.train.md5 == after.data.train.md5
    same_split = _rule_of_folds(before) == _rule_of_folds(after)
    if not (len(one) == len(other) > 1 and same_rows and same_split and names[0] == names[1]):
        return None
    differences = [b - a for a, b in zip(one, other, strict=True)]
    mean, margin = statistics.fmean(differences), margin_of(differences)
    return {
        "metric": names[0],
        "folds": len(differences),
        "mean": mean,
        "std": statistics.stdev(differences),
        "margin": margin,
        "significant": abs(mean) > margin,
    }


def _rule_of_folds(manifest: Manifest) -> dict[str, Any]:
    train, prepare = manifest.params.train, manifest.params.prepare
    return {key: train.get(key) for key in ("folds", "seed")} | {key: prepare.get(key) for key in ("split", "split_by")}


def _folds(manifest: Manifest) -> list[float]:
    folds = manifest.metrics.get(FOLDS)
    return folds if isinstance(folds, list) and all(isinstance(score, float) for score in folds) else []


def compare_tables(versions: tuple[Version, Version], manifests: tuple[Manifest, Manifest]) -> dict[str, Any]:
    """Rows and columns that each raw table gained and lost, by its path; only where the bytes of both are available.

    Tables of one place in the list of inputs are compared, so that a snapshot of another name is found.
    """
    from modeling.reading import read_raw, settings_of  # noqa: PLC0415 - Arrow is loaded only where tables are compared

    found = {}
    for one, other in zip(manifests[0].inputs, manifests[1].inputs, strict=False):
        if one.hash == other.hash:
            continue
        with ExitStack() as stack:
            try:
                paths = [stack.enter_context(table_of(*pair)) for pair in zip(versions, (one, other), strict=True)]
                found[other.path] = compare_rows(
                    *(
                        read_raw(path, settings_of(m.params.data)).table
                        for path, m in zip(paths, manifests, strict=True)
                    )
                )
            except Problem as problem:  # of bytes that nobody has, or that are not a table
                say(f"note: rows not compared: {problem}")
    return found


@contextmanager
def table_of(version: Version, entry: Input) -> Iterator[Path]:
    """A recorded raw table with the bytes that are recorded: from the workspace, or as the version's commit has it."""
    if "://" in entry.path:
        raise Problem(f"{entry.path}: is in a storage, which is not asked for it")
    path = Path(entry.path)
    if path.is_file() and path.resolve().is_relative_to(Path.cwd()) and digest(path).md5 == entry.md5:
        yield path
        return
    with fetched(path, version.commit or "HEAD") as file:
        if digest(file).md5 != entry.md5:
            raise Problem(f"{path}: not available with the content that is recorded")
        yield file


def compare_rows(one: "pa.Table", other: "pa.Table") -> dict[str, Any]:
    """What the second table has more and less than the first."""
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
    for sign, rows, other in ((-1, before, after), (1, after, before)):
        columns_of = {f"c{k}": comparable(rows[k], other[k]) for k in range(rows.num_columns)}
        signs[sign] = pa.table({**columns_of, "sign": pa.array([sign] * len(rows), pa.int64())})
    both = pa.concat_tables(signs.values())
    balance = both.group_by(both.column_names[:-1]).aggregate([("sign", "sum")])["sign_sum"]
    added, removed = (
        pc.sum(pc.filter(balance, rows)).as_py() or 0 for rows in (pc.greater(balance, 0), pc.less(balance, 0))
    )
    return added, -removed
