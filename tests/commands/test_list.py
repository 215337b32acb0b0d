"""Which versions there are, what they scored, from which data and commit, and in what state."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import pytest
from conftest import Project

from list import HEADER, answer

pytest_plugins = ["story_repository"]

OLDER, NEWER = "data/raw/penguins_v1.0.0.parquet", "data/raw/penguins_v1.1.0.parquet"


def state_of(version: str) -> tuple[Any, ...]:
    """What the list says of a version of the workspace."""
    (fact,) = (fact for fact in answer(everywhere=False).facts if fact["version"] == version)
    return fact["released"], fact["present"], fact["intact"]


def test_the_versions_of_the_workspace_are_listed_with_what_their_manifests_say(story: Project) -> None:
    facts = answer(everywhere=False).facts

    assert [(fact["version"], fact["recorded_in"]) for fact in facts] == [("v1.0.0", None), ("v1.1.0", None)]
    for fact, data, commit in zip(facts, (OLDER, NEWER), ("HEAD~3", "HEAD~1"), strict=True):
        manifest = json.loads((story.path / "models" / fact["version"] / "manifest.json").read_bytes())
        assert fact["data"] == data
        assert fact["rows"] == manifest["data"]["source"]["rows"]
        assert fact["commit"] == story.run(f"git rev-parse {commit}").stdout.strip()
        assert fact["created_at"] == manifest["run"]["created_at"]
        assert (fact["metric"], fact["score"]) == (
            "balanced_accuracy",
            manifest["metrics"]["balanced_accuracy"]["test"],
        )


@pytest.mark.usefixtures("story")
def test_all_are_also_those_of_history_and_experiments_each_once() -> None:
    facts = answer(everywhere=True).facts

    assert sorted((fact["version"], fact["experiment"] or "", fact["data"]) for fact in facts) == [
        ("v1.0.0", "", OLDER),
        ("v1.1.0", "", NEWER),
        ("v1.1.0", "forest", NEWER),
        ("v1.1.0", "older", OLDER),
        ("v1.1.0", "worse", NEWER),
    ]
    assert [fact["present"] for fact in facts] == [fact["recorded_in"] is None for fact in facts]
    assert {fact["intact"] for fact in facts if not fact["present"]} == {None}


def test_a_version_that_left_the_workspace_is_listed_with_its_commit(own: Project) -> None:
    commit = own.run("git rev-parse main").stdout.strip()
    shutil.rmtree(own.path / "models/v1.0.0")

    assert [fact["version"] for fact in answer(everywhere=False).facts] == ["v1.1.0"]
    assert [fact["recorded_in"] for fact in answer(everywhere=True).facts if fact["version"] == "v1.0.0"] == [commit]


@pytest.mark.usefixtures("story")
def test_the_table_has_a_line_for_each_version_under_one_header() -> None:
    header, *lines = answer(everywhere=True).text.splitlines()

    assert tuple(header.split()) == HEADER
    assert len(lines) == 5
    for line in lines:
        cells = line.split()
        assert cells[0] in {"v1.0.0", "v1.1.0"}
        assert {OLDER, NEWER} & set(cells)
        assert cells[-1] in {"workspace", "older", "worse", "forest"}


def test_a_released_and_whole_package_is_said_to_be_so(own: Project) -> None:
    assert state_of("v1.0.0") == (True, True, True)
    assert state_of("v1.1.0") == (False, True, True)

    own.run("git tag penguins@v1.1.0")
    assert state_of("v1.1.0") == (True, True, True)


@pytest.mark.parametrize("name", ["model.joblib", "manifest.json", "requirements.txt", "SHA256SUMS"])
@pytest.mark.parametrize("change", [lambda content: content + b"\n", lambda content: content[:-1]])
def test_any_changed_file_makes_a_package_not_intact(own: Project, name: str, change: Callable[[bytes], bytes]) -> None:
    file = own.path / "models/v1.1.0" / name
    content = change(file.read_bytes())
    file.unlink()
    file.write_bytes(content)

    assert state_of("v1.1.0") == (False, True, False)


def test_an_edited_manifest_is_no_released_one(own: Project) -> None:
    file = own.path / "models/v1.0.0/manifest.json"
    file.write_text(file.read_text().replace('"rows": 224', '"rows": 225'))

    assert state_of("v1.0.0") == (False, True, False)


@pytest.mark.parametrize("name", ["requirements.txt", "SHA256SUMS"])
def test_a_package_that_lacks_a_file_is_not_intact(own: Project, name: str) -> None:
    (own.path / "models/v1.0.0" / name).unlink()

    assert state_of("v1.0.0") == (True, True, False)


def test_a_package_without_its_model_is_not_present(own: Project) -> None:
    (own.path / "models/v1.0.0/model.joblib").unlink()

    assert state_of("v1.0.0") == (True, False, None)


@pytest.mark.parametrize("everywhere", [False, True])
def test_where_there_is_no_version_the_answer_says_how_to_make_one(
    record: Callable[..., str], everywhere: bool
) -> None:
    assert callable(record)
    assert answer(everywhere).facts == []
    assert answer(everywhere).text == "no version yet; dvc repro makes one"


@pytest.mark.parametrize(
    "document",
    [
        {"metrics": None, "data": None, "run": None, "stages": None},
        {"metrics": 5, "data": True, "run": {"git": {"commit": 5}}, "stages": 5},
        {"metrics": {"r2": {"test": 10**400, "cv_mean": 1}}, "run": {"git": {"commit": {"a": 1}}}},
        {"metrics": [1, {}], "data": [], "run": "today", "name": 5},
        {"metrics": {"r2": {"test": True, "cv_mean": "much"}}, "data": {"source": {"path": [1], "rows": {}}}},
        {"metrics": {"r2": {"test": float("nan"), "cv_mean": 1}}, "run": {"git": [], "created_at": 5}},
    ],
)
def test_a_manifest_of_any_other_form_is_listed_with_what_can_be_read(
    record: Callable[..., str], document: dict[str, Any]
) -> None:
    record(v1=json.dumps(document).encode())
    commit = record(v2=b'{"k": 2}')
    shutil.rmtree("models/v2")
    found = answer(everywhere=True)

    assert [(fact["version"], fact["recorded_in"]) for fact in found.facts] == [("v1", None), ("v2", commit)]
    assert [line.split()[0] for line in found.text.splitlines()] == ["VERSION", "v1", "v2"]


def test_a_folder_where_a_manifest_would_be_is_passed_over(own: Project) -> None:
    (own.path / "models/v9.9.9/manifest.json").mkdir(parents=True)

    assert [fact["version"] for fact in answer(everywhere=True).facts[:2]] == ["v1.0.0", "v1.1.0"]


def test_the_name_of_an_experiment_is_listed_whole(own: Project) -> None:
    commit, reference = own.run(
        "git for-each-ref --format='%(objectname) %(refname)' refs/exps/*/*/worse"
    ).stdout.split()
    own.run(f"git update-ref {reference.removesuffix('worse')}pockmarked-vambrace {commit}")
    own.run(f"git update-ref -d {reference}")

    assert "pockmarked-vambrace" in answer(everywhere=True).text.split()
