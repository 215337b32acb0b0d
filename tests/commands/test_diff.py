import math
import re
import shutil
import statistics
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import NEWER, OLDER
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import CHECKOUT, Project
from tables import seal

from commands.diff import compare_folds, compare_tables, count_rows, run
from commands.diff import lines as lines_of
from commands.versions import Version, find_version
from record.checksums import digest
from record.comparison import Change
from record.manifest import Input, Manifest

ROWS = st.lists(
    st.tuples(st.none() | st.integers(0, 2), st.none() | st.sampled_from("ab"), st.none() | st.just(0.5)), max_size=8
)


def shown(before: str, after: str) -> tuple[list[str], dict[str, Any]]:
    """The lines, each with single blanks, and the facts."""
    told = run(before, after)
    return [" ".join(line.split()) for line in told.lines], told.facts


@pytest.mark.usefixtures("story")
def test_the_cause_comes_before_its_effect_and_a_score_is_said_to_be_better_or_worse() -> None:
    lines, facts = shown("v1.1.0", "worse")
    headline, first, cause, *_, last = lines

    assert re.fullmatch(r"another model \(sha256 [0-9a-f]{8} → [0-9a-f]{8}\)", headline)
    assert (first, cause) == ("── parameters", "estimator.C 1.0 → 0.0001")
    assert [line for line in lines if line.startswith("──")] == ["── parameters", "── metrics"]
    assert facts["changes"]["parameters"] == [{"name": "estimator.C", "before": 1.0, "after": 0.0001}]
    assert last.endswith(": more than noise")
    for told, signs, judged in [(lines, "-+", "worse"), (shown("worse", "v1.1.0")[0], "+-", "better")]:
        for name, sign in zip((r"balanced_accuracy\.test", r"test\.log_loss"), signs, strict=True):
            assert any(re.fullmatch(rf"{name} 0\.\d+ → 0\.\d+ \{sign}0\.\d+ {judged}", line) for line in told)


@pytest.mark.usefixtures("story")
def test_between_two_snapshots_the_data_come_first_with_their_rows() -> None:
    lines, facts = shown("v1.0.0", "v1.1.0")

    assert lines[1] == "── data"
    assert {f"{OLDER}.rows removed: 224", f"{NEWER}.rows added: 344", "train.rows 173 → 266"} <= {*lines}
    assert {f"data.path {OLDER} → {NEWER}", f"{NEWER}: rows: 120 added, 0 removed"} <= {*lines}
    assert not [line for line in lines if re.match(r"(train|test)\.(md5|size) ", line)]
    same_columns: dict[str, list[str]] = {"added": [], "removed": []}
    assert facts["tables"] == {NEWER: {"rows_added": 120, "rows_removed": 0, "columns": same_columns}}
    assert facts["folds"] is None
    assert lines[-1] == "other rows, folds, seed or metric: the scores cannot be compared fold by fold"


def test_the_bytes_of_the_models_are_told_apart_from_their_lineage(own: Project) -> None:
    package, before = own.path / "models/v1.1.0", find_version("next").manifest()
    sha256, packages = before.model.sha256, before.environment.packages
    for pair in [("v1.1.0", "v1.1.0"), ("v1.1.0", "next"), ("workspace", "HEAD")]:
        lines, facts = shown(*pair)
        assert lines == [f"the same model (sha256 {sha256[:8]}), the same lineage"]
        assert (facts["changes"], facts["same_model"]) == ({}, True)

    seal(package, environment__packages=packages | {"numpy": "9"}, stages__train__deps={"src/train.py": "0" * 32})
    lines, facts = shown("next", "v1.1.0")
    assert lines[0] == f"the same model (sha256 {sha256[:8]}), another lineage"
    assert [*facts["changes"]] == ["code", "environment"]
    assert "src/train.py" in [change["name"] for change in facts["changes"]["code"]]
    numpy = {"name": "packages.numpy", "before": packages["numpy"], "after": "9"}
    assert facts["changes"]["environment"] == [numpy]

    own.run("git checkout -q -f next")
    seal(package, model__sha256="0" * 64)
    lines, facts = shown("next", "v1.1.0")
    assert lines == [f"another model (sha256 {sha256[:8]} → 00000000), the same lineage"]
    assert not facts["same_model"]


def test_a_version_of_schema_1_can_be_compared(own: Project) -> None:
    shutil.copy(CHECKOUT / "tests/record/manifest_schema_1.json", own.path / "models/v1.0.0/manifest.json")
    lines, _ = shown("v1.0.0", "v1.1.0")

    assert f"data.path {OLDER} → {NEWER}" not in lines
    assert lines[1] in {"── data", "── code"}


def with_data(own: Project, table: pa.Table, name: str) -> tuple[tuple[Version, Version], tuple[Manifest, Manifest]]:
    """HEAD, and a workspace whose manifest records another raw table beside one that both have."""
    path = own.path / "data/raw" / name
    pyarrow.csv.write_csv(table, path) if path.suffix == ".csv" else pq.write_table(table, path)
    manifest, both = find_version("next").manifest(), Input.of(OLDER, digest(own.path / OLDER), rows=None, origin=None)
    entry = Input.of(f"data/raw/{name}", digest(path), rows=len(table), origin=None)
    one, other = (manifest.model_copy(update={"inputs": [both, last]}) for last in (manifest.inputs[0], entry))
    return (find_version("next"), Version("v1.1.0")), (one, other)


@pytest.mark.parametrize("name", ["other.parquet", "other.csv"])
def test_rows_and_columns_that_were_added_and_removed_are_counted_and_named(own: Project, name: str) -> None:
    table = pq.read_table(own.path / NEWER)
    edited = table.slice(3).append_column("note", pa.array(["x"] * (len(table) - 3))).drop(["year"])
    columns = {"added": ["note"], "removed": ["year"]}

    assert compare_tables(*with_data(own, edited, name)) == {
        f"data/raw/{name}": {"rows_added": 0, "rows_removed": 3, "columns": columns}
    }


@pytest.mark.parametrize("name", ["other.parquet", "../../../outside.parquet"])
def test_bytes_come_from_the_commit_or_that_is_said(own: Project, capfd: pytest.CaptureFixture[str], name: str) -> None:
    versions, manifests = with_data(own, pq.read_table(own.path / NEWER).slice(1), name)
    for file in (own.path / "data/raw").glob("*.parquet"):
        file.unlink()

    assert run("main", "next").facts["tables"][NEWER]["rows_added"] == 120
    assert compare_tables(versions, manifests) == {}
    assert capfd.readouterr().err.startswith(f"note: rows not compared: data/raw/{name}: ")


@settings(max_examples=50, deadline=None)
@given(before=ROWS, after=ROWS)
def test_rows_are_counted_as_often_as_they_are_there(before: list[Any], after: list[Any]) -> None:
    schema = pa.schema([("n", pa.int64()), ("t", pa.string()), ("x", pa.float64())])
    tables = [pa.Table.from_pylist([dict(zip("ntx", row, strict=True)) for row in r], schema) for r in (before, after)]
    one, other = Counter(before), Counter(after)

    assert count_rows(*tables) == ((other - one).total(), (one - other).total())


@pytest.mark.parametrize(
    ("before", "after", "counted"),
    [
        ({"x": [1, 2]}, {"x": ["2", "3"]}, (2, 2)),
        ({"x": [True]}, {"x": [1]}, (1, 1)),
        ({"": [1, 2], "x": [1, 1]}, {"": [2, 3], "x": [1, 1]}, (1, 1)),
        ({"x": [[1], [2]]}, {"x": [[2], [2]]}, (1, 1)),
        ({"x": [None, 1.0, 1.0]}, {"x": [None, 1.0]}, (0, 1)),
    ],
)
def test_rows_of_any_readable_tables_can_be_counted(before: Any, after: Any, counted: tuple[int, int]) -> None:
    assert count_rows(pa.table(before), pa.table(after)) == counted


def fitted(scores: Any, name: str = "accuracy", md5: str = "0" * 32, **train: Any) -> Manifest:
    """A manifest with such scores of folds of a metric, other rows, and other parameters of training."""
    manifest = find_version("v1.1.0").manifest()
    params = manifest.params.model_copy(update={"train": {"folds": 5, "seed": 42} | train})
    data = manifest.data.model_copy(update={"train": manifest.data.train.model_copy(update={"md5": md5})})
    metrics = {name: {"test": 0.8}, "folds": scores}
    return manifest.model_copy(update={"params": params, "metrics": metrics, "data": data})


@pytest.mark.usefixtures("story")
def test_a_difference_is_more_than_noise_beyond_the_margin_of_nadeau_and_bengio() -> None:
    for after, significant in [
        *(([0.9] * 5, True), ([0.6, 0.6, 0.6, 0.6, 0.61], True), ([0.8] * 5, False)),
        *(([0.81, 0.80, 0.81, 0.79, 0.80], False), ([0.99, 0.80, 0.80, 0.80, 0.80], False)),
    ]:
        paired = compare_folds(fitted([0.8] * 5), fitted(after))
        spread = statistics.stdev(score - 0.8 for score in after)

        assert paired
        assert (paired["metric"], paired["folds"], paired["significant"]) == ("accuracy", 5, significant)
        assert paired["mean"] == pytest.approx(statistics.fmean(after) - 0.8)
        assert paired["margin"] == pytest.approx(2.77645 * spread * math.sqrt(1 / 5 + 1 / 4), rel=1e-5)


def test_the_rows_of_a_slice_are_not_better_or_worse() -> None:
    changes = [Change("slices.island.Dream.rows", 30, 35), Change("slices.island.Dream.roc_auc", 0.5, 0.75)]
    _, rows, score = (" ".join(line.split()) for line in lines_of({"metrics": changes}, {}))

    assert rows == "slices.island.Dream.rows 30 → 35 +5"
    assert score == "slices.island.Dream.roc_auc 0.5 → 0.75 +0.25 better"


@pytest.mark.usefixtures("story")
def test_folds_of_other_rows_or_another_metric_are_not_paired() -> None:
    others = [fitted([0.8] * 5, **change) for change in ({"seed": 7}, {"md5": "1" * 32}, {"name": "r2"})]
    for other in [*others, fitted([0.8] * 4, folds=4), *map(fitted, (None, [], ["a"] * 5, 5, "abcde"))]:
        assert compare_folds(fitted([0.8] * 5), other) is compare_folds(other, fitted([0.8] * 5)) is None
