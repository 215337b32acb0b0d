"""What changed between two versions, the cause first; and whether the scores differ by more than noise."""

import math
import re
import shutil
import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import NEWER, OLDER
from hypothesis import given, settings
from hypothesis import strategies as st
from projects import Project
from tables import seal, write_package_of

from commands.diff import compare_folds, compare_tables, count_rows, run
from commands.versions import Version, find_version
from record.checksums import digest
from record.manifest import Input, Manifest
from record.models import read_manifest_of

ROWS = st.lists(
    st.tuples(st.none() | st.integers(0, 2), st.none() | st.sampled_from("ab"), st.none() | st.just(0.5)), max_size=8
)


def groups(lines: list[str]) -> list[str]:
    """The groups of a text in the order in which they come."""
    return [line.removeprefix("── ") for line in lines if line.startswith("── ")]


def words(lines: list[str]) -> list[str]:
    """The lines, each with single blanks."""
    return [" ".join(line.split()) for line in lines]


@pytest.mark.usefixtures("story")
def test_between_a_good_and_a_worse_version_the_cause_comes_before_its_effect() -> None:
    told = run("v1.1.0", "worse")
    headline, first, cause, *_, last = words(told.lines)

    assert re.fullmatch(r"another model \(sha256 [0-9a-f]{8} → [0-9a-f]{8}\)", headline)
    assert (first, cause) == ("── parameters", "estimator.C 1.0 → 0.0001")
    assert groups(told.lines) == ["parameters", "metrics"]
    assert told.facts["changes"]["parameters"] == [{"name": "estimator.C", "before": 1.0, "after": 0.0001}]
    assert last.endswith(": more than noise")


@pytest.mark.usefixtures("story")
def test_between_two_snapshots_the_data_come_first_with_their_rows() -> None:
    told = run("v1.0.0", "v1.1.0")
    shown = words(told.lines)

    assert groups(told.lines)[0] == "data"
    assert {f"{OLDER}.rows removed: 224", f"{NEWER}.rows added: 344", "train.rows 173 → 266"} <= {*shown}
    assert f"data.path {OLDER} → {NEWER}" in shown
    assert not [line for line in shown if re.match(r"(train|test)\.(md5|size) ", line)]
    assert f"{NEWER}: rows: 120 added, 0 removed" in shown
    assert told.facts["tables"] == {
        NEWER: {"rows_added": 120, "rows_removed": 0, "columns": {"added": [], "removed": []}}
    }
    assert told.facts["folds"] is None
    assert shown[-1] == "other rows, folds, seed or metric: the scores cannot be compared fold by fold"


@pytest.mark.parametrize(("one", "other"), [("v1.1.0", "v1.1.0"), ("v1.1.0", "next"), ("workspace", "HEAD")])
@pytest.mark.usefixtures("story")
def test_the_same_lineage_under_two_names_is_said_to_be_the_same(one: str, other: str) -> None:
    told = run(one, other)

    assert (told.facts["changes"], told.facts["same_model"]) == ({}, True)
    assert told.lines == [f"the same model (sha256 {told.facts['models'][0][:8]}), the same lineage"]


def test_the_bytes_of_the_models_are_told_apart_from_their_lineage(own: Project) -> None:
    package = own.path / "models/v1.1.0"
    before = find_version("next").manifest().model.sha256
    seal(package, environment__packages={"numpy": "9.9.9"})
    assert run("next", "v1.1.0").lines[0] == f"the same model (sha256 {before[:8]}), another lineage"

    own.run("git checkout -q -f next")
    seal(package, model__sha256="0" * 64)
    told = run("next", "v1.1.0")
    assert told.lines == [f"another model (sha256 {before[:8]} → 00000000), the same lineage"]
    assert not told.facts["same_model"]


@pytest.mark.usefixtures("story")
def test_another_estimator_is_a_change_of_parameters_alone_and_of_what_they_caused() -> None:
    told = run("v1.1.0", "forest")
    settings = {"class", "C", "max_iter", "n_estimators", "min_samples_leaf"}

    assert groups(told.lines) == ["parameters", "metrics"]
    assert {change["name"] for change in told.facts["changes"]["parameters"]} == {
        "train.estimator",
        *(f"estimator.{name}" for name in settings),
    }
    assert {"estimator.n_estimators added: 300", "estimator.C removed: 1.0"} <= {*words(told.lines)}


@pytest.mark.usefixtures("story")
def test_a_metric_is_shown_with_its_difference_and_whether_that_is_better() -> None:
    worse, better = ("\n".join(words(run(*pair).lines)) for pair in [("v1.1.0", "worse"), ("worse", "v1.1.0")])

    assert re.search(r"^balanced_accuracy\.test 0\.\d+ → 0\.\d+ -0\.\d+ worse$", worse, flags=re.MULTILINE)
    assert re.search(r"^test\.log_loss 0\.\d+ → 0\.\d+ \+0\.\d+ worse$", worse, flags=re.MULTILINE)
    assert re.search(r"^balanced_accuracy\.test 0\.\d+ → 0\.\d+ \+0\.\d+ better$", better, flags=re.MULTILINE)
    assert re.search(r"^test\.log_loss 0\.\d+ → 0\.\d+ -0\.\d+ better$", better, flags=re.MULTILINE)


def test_changed_code_and_environment_are_named_file_by_file(own: Project) -> None:
    manifest = find_version("next").manifest()
    deps = manifest.stages["train"].deps | {"src/train.py": "0" * 32}
    packages = manifest.environment.packages | {"numpy": "9.9.9"}
    seal(own.path / "models/v1.1.0", stages__train__deps=deps, environment__packages=packages)
    changes = run("next", "v1.1.0").facts["changes"]
    numpy = manifest.environment.packages["numpy"]

    assert changes["environment"] == [{"name": "packages.numpy", "before": numpy, "after": "9.9.9"}]
    assert [change["name"] for change in changes["code"]] == ["src/train.py"]
    assert [*changes] == ["code", "environment"]


def with_data(own: Project, table: pa.Table, name: str) -> tuple[tuple[Version, Version], tuple[Manifest, Manifest]]:
    """HEAD, and a workspace whose manifest records another raw table."""
    path = own.path / "data/raw" / name
    pyarrow.csv.write_csv(table, path) if path.suffix == ".csv" else pq.write_table(table, path)
    before = find_version("next").manifest()
    entry = Input.of(f"data/raw/{name}", digest(path), rows=len(table), origin=None)
    return (find_version("next"), Version("v1.1.0")), (before, before.model_copy(update={"inputs": [entry]}))


@pytest.mark.parametrize("name", ["other.parquet", "other.csv"])
def test_rows_and_columns_that_were_added_and_removed_are_counted_and_named(own: Project, name: str) -> None:
    table = pq.read_table(own.path / NEWER)
    edited = table.slice(3).append_column("note", pa.array(["x"] * (len(table) - 3))).drop(["year"])

    assert compare_tables(*with_data(own, edited, name)) == {
        f"data/raw/{name}": {
            "rows_added": 0,
            "rows_removed": 3,
            "columns": {"added": ["note"], "removed": ["year"]},
        }
    }


@pytest.mark.parametrize("name", ["other.parquet", "../../../outside.parquet"])
def test_where_the_bytes_are_not_available_that_is_said_and_the_rest_is_still_answered(
    own: Project, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    versions, manifests = with_data(own, pq.read_table(own.path / NEWER).slice(1), name)
    if name == "other.parquet":
        (own.path / "data/raw" / name).write_bytes(b"others")

    assert compare_tables(versions, manifests) == {}
    assert capfd.readouterr().err == (
        f"note: rows not compared: data/raw/{name}: neither DVC's cache nor a remote has it as commit HEAD records it\n"
    )


def test_data_are_found_in_the_commit_when_the_workspace_no_longer_has_them(own: Project) -> None:
    for file in (own.path / "data/raw").glob("*.parquet"):
        file.unlink()

    assert run("main", "next").facts["tables"][NEWER]["rows_added"] == 120


def test_each_raw_table_of_several_is_compared_with_its_predecessor(own: Project) -> None:
    versions, (before, after) = with_data(own, pq.read_table(own.path / NEWER).slice(5), "other.parquet")
    older = Input.of(OLDER, digest(own.path / OLDER), rows=None, origin=None)
    more = [manifest.model_copy(update={"inputs": [older, *manifest.inputs]}) for manifest in (before, after)]

    assert [*compare_tables(versions, (more[0], more[1]))] == ["data/raw/other.parquet"]


@settings(max_examples=50, deadline=None)
@given(before=ROWS, after=ROWS)
def test_rows_are_counted_as_often_as_they_are_there(before: list[Any], after: list[Any]) -> None:
    schema = pa.schema([("n", pa.int64()), ("t", pa.string()), ("x", pa.float64())])
    tables = [
        pa.table(dict(zip("ntx", map(list, zip(*rows, strict=True)) if rows else ([], [], []), strict=True)), schema)
        for rows in (before, after)
    ]
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
def test_rows_of_any_readable_tables_can_be_counted(
    before: dict[str, Any], after: dict[str, Any], counted: tuple[int, int]
) -> None:
    assert count_rows(pa.table(before), pa.table(after)) == counted


@pytest.fixture(scope="module")
def manifest(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    """A manifest to score in any way."""
    folder = tmp_path_factory.mktemp("packages") / "v1.0.0"
    write_package_of(folder)
    return read_manifest_of(folder)


def fitted(manifest: Manifest, scores: Any, name: str = "accuracy", md5: str = "0" * 32, **train: Any) -> Manifest:
    """A manifest with such scores of folds of a metric, other rows, and other parameters of training."""
    params = manifest.params.model_copy(update={"train": {"folds": 5, "seed": 42} | train})
    data = manifest.data.model_copy(update={"train": manifest.data.train.model_copy(update={"md5": md5})})
    metrics = {name: {"test": 0.8}, "folds": scores}
    return manifest.model_copy(update={"params": params, "metrics": metrics, "data": data})


def test_the_margin_is_that_of_nadeau_and_bengio(manifest: Manifest) -> None:
    one, other = [0.80, 0.82, 0.78, 0.81, 0.79], [0.83, 0.83, 0.82, 0.82, 0.84]
    spread = statistics.stdev(b - a for a, b in zip(one, other, strict=True))
    paired = compare_folds(fitted(manifest, one), fitted(manifest, other))

    assert paired
    assert (paired["metric"], paired["folds"]) == ("accuracy", 5)
    assert paired["mean"] == pytest.approx(0.028)
    assert paired["margin"] == pytest.approx(2.77645 * spread * math.sqrt(1 / 5 + 1 / 4), rel=1e-5)


@pytest.mark.parametrize(
    ("after", "significant"),
    [
        ([0.9, 0.9, 0.9, 0.9, 0.9], True),
        ([0.6, 0.6, 0.6, 0.6, 0.61], True),
        ([0.81, 0.80, 0.81, 0.79, 0.80], False),
        ([0.99, 0.80, 0.80, 0.80, 0.80], False),
        ([0.8, 0.8, 0.8, 0.8, 0.8], False),
    ],
)
def test_a_difference_is_more_than_noise_when_the_folds_agree_on_it(
    manifest: Manifest, after: list[float], significant: bool
) -> None:
    paired = compare_folds(fitted(manifest, [0.8] * 5), fitted(manifest, after))

    assert paired
    assert paired["significant"] is significant


@pytest.mark.parametrize(
    ("scores", "changes"),
    [
        ([0.8] * 4, {"folds": 4}),
        ([0.8] * 5, {"seed": 7}),
        ([0.8] * 5, {"md5": "1" * 32}),
        ([0.8] * 5, {"name": "r2"}),
        *[(scores, {}) for scores in (None, [], ["a"] * 5, 5, "abcde")],
    ],
)
def test_folds_of_other_rows_or_another_metric_are_not_paired(
    manifest: Manifest, scores: Any, changes: dict[str, Any]
) -> None:
    one, other = fitted(manifest, [0.8] * 5), fitted(manifest, scores, **changes)

    assert compare_folds(one, other) is compare_folds(other, one) is None


def test_a_version_of_schema_1_can_be_compared(own: Project) -> None:
    old = Path(__file__).parent.parent / "record/manifest_schema_1.json"
    shutil.copy(old, own.path / "models/v1.0.0/manifest.json")
    told = run("v1.0.0", "v1.1.0")

    assert f"data.path {OLDER} → {NEWER}" not in words(told.lines)
    assert groups(told.lines)[0] in {"data", "code"}
