"""What changed between two versions, the cause first; and whether the scores differ by more than noise."""

import copy
import json
import math
import re
import statistics
from collections import Counter
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import Project
from hypothesis import given, settings
from hypothesis import strategies as st
from test_manifest import document

from diff import answer, compare_folds, compare_tables, count_rows
from manifest import Manifest
from version import Version, find_version

pytest_plugins = ["story_repository"]

NEWER = "data/raw/penguins_v1.1.0.parquet"
ROWS = st.lists(
    st.tuples(st.none() | st.integers(0, 2), st.none() | st.sampled_from("ab"), st.none() | st.just(0.5)), max_size=8
)


def groups(text: str) -> list[str]:
    """The groups of a text in the order in which they stand there."""
    return re.findall(r"^── (\w+)$", text, flags=re.MULTILINE)


def lines_of(text: str) -> list[str]:
    """The lines, each with single blanks."""
    return [" ".join(line.split()) for line in text.splitlines()]


@pytest.mark.usefixtures("story")
def test_between_a_good_and_a_worse_version_the_cause_comes_first() -> None:
    told = answer("v1.1.0", "worse")
    first, cause, *_ = lines_of(told.text)

    assert (first, cause) == ("── parameters", "estimator.C 1 → 0.0001")
    assert groups(told.text) == ["parameters", "metrics"]
    assert told.facts["changes"]["parameters"] == [{"name": "estimator.C", "before": 1.0, "after": 0.0001}]
    assert lines_of(told.text)[-1].endswith(": more than noise")


@pytest.mark.usefixtures("story")
def test_between_two_snapshots_the_data_come_first_with_their_rows() -> None:
    told = answer("v1.0.0", "v1.1.0")
    first, cause, *_ = lines_of(told.text)

    assert (first, cause) == (
        "── data",
        "source.path data/raw/penguins_v1.0.0.parquet → data/raw/penguins_v1.1.0.parquet",
    )
    assert "rows: 120 added, 0 removed" in told.text.splitlines()
    assert told.facts["table"] == {"rows_added": 120, "rows_removed": 0, "columns": {"added": [], "removed": []}}
    assert told.facts["folds"] is None


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("v1.0.0", "v1.1.0"),
        ("main", "workspace"),
        ("penguins@v1.0.0", "next"),
        ("HEAD~2", "HEAD"),
        ("v1.0.0", "forest"),
    ],
)
@pytest.mark.usefixtures("story")
def test_versions_revisions_experiments_and_the_workspace_can_be_compared(before: str, after: str) -> None:
    there, back = answer(before, after).facts, answer(after, before).facts

    assert [change["name"] for change in there["changes"]["data"]][:2] == ["source.path", "source.size"]
    assert there["changes"].keys() == back["changes"].keys()
    for group, changes in there["changes"].items():
        assert {(c["name"], str(c["before"]), str(c["after"])) for c in changes} == {
            (c["name"], str(c["after"]), str(c["before"])) for c in back["changes"][group]
        }


@pytest.mark.parametrize(("one", "other"), [("v1.1.0", "v1.1.0"), ("v1.1.0", "next"), ("workspace", "HEAD")])
@pytest.mark.usefixtures("story")
def test_the_same_lineage_under_two_names_is_said_to_be_the_same(one: str, other: str) -> None:
    assert answer(one, other).facts["changes"] == {}
    assert answer(one, other).text == f"{one} and {other} have the same lineage"


def test_another_model_of_the_same_inputs_is_named(own: Project) -> None:
    file = own.path / "models/v1.1.0/manifest.json"
    whole = json.loads(file.read_bytes())
    before = whole["model"]["sha256"]
    whole["model"]["sha256"] = "0" * 64
    file.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")

    assert answer("next", "v1.1.0").text == f"the same inputs, another model: sha256 {before[:12]} → {'0' * 12}"


@pytest.mark.usefixtures("story")
def test_another_estimator_is_a_change_of_parameters_alone_and_of_what_they_caused() -> None:
    told = answer("v1.1.0", "forest")
    names = {change["name"] for change in told.facts["changes"]["parameters"]}

    assert groups(told.text) == ["parameters", "metrics"]
    assert names == {
        "train.estimator",
        "estimator.class",
        "estimator.C",
        "estimator.max_iter",
        "estimator.n_estimators",
        "estimator.min_samples_leaf",
    }
    assert "estimator.n_estimators none → 300" in lines_of(told.text)


@pytest.mark.usefixtures("story")
def test_a_metric_is_shown_with_its_difference_and_whether_that_is_better() -> None:
    worse, better = (lines_of(answer(*pair).text) for pair in [("v1.1.0", "worse"), ("worse", "v1.1.0")])

    assert any(re.fullmatch(r"balanced_accuracy\.test 0\.\d+ → 0\.\d+ -0\.\d+ worse", line) for line in worse)
    assert any(re.fullmatch(r"test\.log_loss 0\.\d+ → 0\.\d+ \+0\.\d+ worse", line) for line in worse)
    assert any(re.fullmatch(r"balanced_accuracy\.test 0\.\d+ → 0\.\d+ \+0\.\d+ better", line) for line in better)
    assert any(re.fullmatch(r"test\.log_loss 0\.\d+ → 0\.\d+ -0\.\d+ better", line) for line in better)


def test_changed_code_and_environment_are_named_file_by_file(own: Project) -> None:
    file = own.path / "models/v1.1.0/manifest.json"
    whole = json.loads(file.read_bytes())
    whole["stages"]["train"]["deps"]["src/train.py"] = "0" * 32
    whole["environment"]["packages"]["numpy"] = "9.9.9"
    numpy = json.loads((own.path / "models/v1.0.0/manifest.json").read_bytes())["environment"]["packages"]["numpy"]
    file.write_text(json.dumps(whole, indent=2, ensure_ascii=False) + "\n")
    told = answer("next", "v1.1.0")

    assert told.facts["changes"]["environment"] == [{"name": "packages.numpy", "before": numpy, "after": "9.9.9"}]
    assert [change["name"] for change in told.facts["changes"]["code"]] == ["src/train.py"]
    assert groups(told.text) == ["code", "environment"]


def with_data(own: Project, table: pa.Table, name: str) -> tuple[tuple[Version, Version], tuple[Manifest, Manifest]]:
    """HEAD, and a workspace whose manifest records another raw table."""
    from checksums import digest
    from manifest import Table

    path = own.path / "data/raw" / name
    if path.suffix == ".csv":
        pyarrow.csv.write_csv(table, path)
    else:
        pq.write_table(table, path)
    before = find_version("next").manifest()
    source = Table.of(f"data/raw/{name}", digest(path), rows=len(table))
    after = before.model_copy(update={"data": before.data.model_copy(update={"source": source})})
    return (find_version("next"), Version("v1.1.0")), (before, after)


@pytest.mark.parametrize("name", ["other.parquet", "other.csv"])
def test_rows_and_columns_that_were_added_and_removed_are_counted_and_named(own: Project, name: str) -> None:
    table = pq.read_table(own.path / NEWER)
    edited = table.slice(3).append_column("note", pa.array(["x"] * (len(table) - 3))).drop(["year"])
    tables = compare_tables(*with_data(own, edited, name))

    assert tables == {"rows_added": 0, "rows_removed": 3, "columns": {"added": ["note"], "removed": ["year"]}}


def test_a_corrected_value_is_a_row_removed_and_a_row_added(own: Project) -> None:
    table = pq.read_table(own.path / NEWER)
    mask = pa.array([k == 0 for k in range(len(table))])
    years = pc.if_else(mask, pa.scalar(1999, pa.int64()), table["year"].cast(pa.int64()))
    tables = compare_tables(
        *with_data(own, table.set_column(table.column_names.index("year"), "year", years), "other.parquet")
    )

    assert tables
    assert (tables["rows_added"], tables["rows_removed"]) == (1, 1)


def test_where_the_bytes_are_not_at_hand_the_rest_is_still_answered(own: Project) -> None:
    versions, manifests = with_data(own, pq.read_table(own.path / NEWER).slice(1), "other.parquet")
    (own.path / "data/raw/other.parquet").write_bytes(b"others")

    assert compare_tables(versions, manifests) is None


def test_data_are_found_in_the_commit_when_the_workspace_no_longer_has_them(own: Project) -> None:
    for file in (own.path / "data/raw").glob("*.parquet"):
        file.unlink()

    assert answer("main", "next").facts["table"]["rows_added"] == 120


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


def fitted(scores: Any, **train: Any) -> Manifest:
    """A manifest with such scores of folds, and other parameters of training."""
    whole = copy.deepcopy(document())
    whole["metrics"]["folds"] = scores
    whole["params"]["train"] = {"folds": 5, "seed": 42} | train
    return Manifest.model_validate(whole)


def test_the_margin_is_that_of_nadeau_and_bengio() -> None:
    one, other = [0.80, 0.82, 0.78, 0.81, 0.79], [0.83, 0.83, 0.82, 0.82, 0.84]
    spread = statistics.stdev(b - a for a, b in zip(one, other, strict=True))
    paired = compare_folds(fitted(one), fitted(other))

    assert paired
    assert paired["metric"] == "balanced_accuracy"
    assert paired["folds"] == 5
    assert paired["mean"] == pytest.approx(0.028)
    assert paired["margin"] == pytest.approx(2.78 * spread * math.sqrt(1 / 5 + 1 / 4))


@pytest.mark.parametrize(("folds", "quantile"), [(2, 12.71), (10, 2.262), (11, 2.228), (20, 2.093), (100, 1.984)])
def test_the_interval_is_one_of_95_percent_for_any_number_of_folds(folds: int, quantile: float) -> None:
    one, other = fitted([0.0] * folds, folds=folds), fitted([k / 100 for k in range(folds)], folds=folds)
    paired = compare_folds(one, other)

    assert paired
    assert paired["margin"] == pytest.approx(
        quantile * paired["std"] * math.sqrt(1 / folds + 1 / (folds - 1)), rel=2e-3
    )


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
def test_a_difference_is_more_than_noise_when_the_folds_agree_on_it(after: list[float], significant: bool) -> None:
    paired = compare_folds(fitted([0.8] * 5), fitted(after))

    assert paired
    assert paired["significant"] is significant


@pytest.mark.parametrize(
    "other",
    [
        fitted([0.8] * 4, folds=4),
        fitted([0.8] * 5, seed=7),
        fitted(None),
        fitted([]),
        fitted(["a"] * 5),
        fitted(5),
        fitted("abcde"),
    ],
)
def test_folds_of_other_rows_are_not_paired(other: Manifest) -> None:
    assert compare_folds(fitted([0.8] * 5), other) is None
    assert compare_folds(other, fitted([0.8] * 5)) is None


def test_without_pairs_diff_says_that_the_scores_cannot_be_compared_so(story: Project) -> None:
    said = story.run("python src/lineage.py diff v1.0.0 v1.1.0").stdout.splitlines()[-1]

    assert said == "other rows, folds, seed or metric: the scores cannot be compared fold by fold"


def test_folds_of_other_data_or_another_metric_are_not_paired() -> None:
    one = fitted([0.8] * 5)
    moved = one.data.model_copy(update={"train": one.data.train.model_copy(update={"md5": "1" * 32})})
    renamed = {"r2": one.metrics["balanced_accuracy"], "folds": one.metrics["folds"]}

    assert compare_folds(one, one.model_copy(update={"data": moved})) is None
    assert compare_folds(one, one.model_copy(update={"metrics": renamed})) is None
