"""Forwards from data, code and commits to models, and backwards from a model file to what made it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from trace import answer
from typing import Any

import pytest
from conftest import Project

from problem import Problem

pytest_plugins = ["story_repository"]

OLDER, NEWER = "data/raw/penguins_v1.0.0.parquet", "data/raw/penguins_v1.1.0.parquet"
FROM_OLDER = {("v1.0.0", None), ("v1.1.0", "older")}
FROM_NEWER = {("v1.1.0", None), ("v1.1.0", "worse"), ("v1.1.0", "forest")}


def found(what: str | Path) -> set[tuple[str, str | None]]:
    """The versions in an answer, each with the experiment that it is of; none twice."""
    facts = answer(str(what)).facts
    models = {(fact["version"], fact["experiment"]) for fact in facts}

    assert len(models) == len(facts)
    return models


def walked(project: Project, text: str) -> set[str]:
    """The models whose manifests hold a text, found by reading every manifest in every commit."""
    models = set()
    for commit in project.run("git rev-list --all").stdout.split():
        listed = project.run(f"git ls-tree -r --name-only {commit} models").stdout.split()
        for path in (path for path in listed if path.endswith("/manifest.json")):
            content = project.run(f"git show {commit}:{path}").stdout
            if text in content:
                models.add(content)
    return {json.loads(content)["run"]["created_at"] for content in models}


@pytest.mark.parametrize(("snapshot", "models"), [(OLDER, FROM_OLDER), (NEWER, FROM_NEWER)])
@pytest.mark.usefixtures("story")
def test_a_snapshot_leads_to_exactly_the_models_that_came_from_it(
    snapshot: str, models: set[tuple[str, str | None]]
) -> None:
    assert found(snapshot) == models


def test_the_answer_is_that_of_a_walk_through_every_commit(story: Project) -> None:
    for snapshot in (OLDER, NEWER):
        assert {fact["created_at"] for fact in answer(snapshot).facts} == walked(story, f'"{snapshot}": "')


@pytest.mark.usefixtures("story")
def test_nothing_is_nothing_to_look_for() -> None:
    with pytest.raises(Problem, match=r"^expected a file, a hash, a commit, an experiment or a path, found nothing$"):
        answer("")


def test_a_snapshot_is_known_by_its_bytes_under_any_name_and_by_its_hashes(story: Project, tmp_path: Path) -> None:
    copied = Path(shutil.copy(story.path / OLDER, tmp_path / "found on a disk.bin"))
    source = answer(OLDER).facts[0]["data"]

    assert found(copied) == found(source["sha256"]) == found(source["sha256"][:7]) == FROM_OLDER
    assert found(source["sha256"].upper()) == FROM_OLDER


def test_a_snapshot_that_is_gone_is_traced_by_the_path_that_it_had(own: Project) -> None:
    own.run(f"git rm -q {OLDER}")
    own.commit("Forget the older snapshot")

    assert found(OLDER) == found(f"./{OLDER}") == FROM_OLDER


@pytest.mark.parametrize(
    ("version", "data", "models"),
    [("v1.0.0", OLDER, 2), ("v1.1.0", NEWER, 1)],
)
def test_a_model_file_that_was_copied_away_and_renamed_leads_to_its_data_and_code(
    own: Project, tmp_path: Path, version: str, data: str, models: int
) -> None:
    manifest = json.loads((own.path / f"models/{version}/manifest.json").read_bytes())
    copied = Path(shutil.copy(own.path / f"models/{version}/model.joblib", tmp_path / "final(2).pkl"))
    shutil.rmtree(own.path / "models")
    facts = [fact for fact in answer(str(copied)).facts if not fact["experiment"]]

    assert len(answer(str(copied)).facts) == models
    assert [fact["roles"] for fact in facts] == [["model"]]
    assert facts[0]["version"] == version
    assert facts[0]["data"]["path"] == data
    assert facts[0]["data"].items() <= manifest["data"]["source"].items()
    assert facts[0]["made_from"] == manifest["run"]["git"]["commit"]
    assert facts[0]["model"] == manifest["model"]["sha256"]


def test_a_model_of_an_experiment_is_found_by_its_hash(story: Project) -> None:
    listed = story.run("git for-each-ref --format=%(refname) refs/exps/*/*/forest").stdout.strip()
    manifest = json.loads(story.run(f"git show {listed}:models/v1.1.0/manifest.json").stdout)

    for digest in (manifest["model"]["md5"], manifest["model"]["sha256"], manifest["model"]["sha256"][:9]):
        assert found(digest) == {("v1.1.0", "forest")}


def test_an_experiment_leads_to_the_packages_that_were_made_in_it_in_a_clone_too(own: Project, tmp_path: Path) -> None:
    assert found("forest") == {("v1.1.0", "forest")}
    assert answer("forest").facts[0]["roles"] == ["experiment forest"]

    own.run("dvc exp apply forest")
    own.commit("Keep the forest")
    own.run(f"git clone -q . {tmp_path / 'clone'}")
    traced = Project(tmp_path / "clone").run("python src/lineage.py trace forest --json").stdout
    assert [(fact["version"], fact["experiment"]) for fact in json.loads(traced)] == [("v1.1.0", "forest")]


@pytest.mark.parametrize(
    ("part", "role"),
    [("data/prepared/train.parquet", "data.train data/prepared/train.parquet"), ("data/prepared", "made by prepare")],
)
@pytest.mark.usefixtures("story")
def test_what_a_stage_made_leads_to_the_models_that_were_fitted_on_it(part: str, role: str) -> None:
    assert found(part) == FROM_NEWER
    assert all(fact["roles"][0].startswith(role) for fact in answer(part).facts)


def test_a_file_of_code_leads_to_the_models_that_it_made_and_another_content_to_none(own: Project) -> None:
    code = own.path / "src/train.py"

    assert found("src/train.py") == FROM_OLDER | FROM_NEWER
    assert all("read by train src/train.py" in fact["roles"] for fact in answer("src/train.py").facts)

    code.write_text(code.read_text() + "\n")
    assert answer("src/train.py").facts == []
    assert not answer("src/train.py").holds


@pytest.mark.parametrize(
    ("revision", "models"),
    [
        ("HEAD~3", {("v1.0.0", None)}),
        ("HEAD~1", {("v1.1.0", None)}),
    ],
)
def test_a_commit_leads_to_the_models_that_were_made_from_it(
    story: Project, revision: str, models: set[tuple[str, str | None]]
) -> None:
    commit = story.run(f"git rev-parse {revision}").stdout.strip()

    assert found(revision) == found(commit) == found(commit[:8]) == models


@pytest.mark.usefixtures("story")
def test_a_baseline_leads_to_its_experiments() -> None:
    facts = [fact for fact in answer("next").facts if fact["experiment"]]

    assert {fact["experiment"] for fact in facts} == {"older", "worse", "forest"}
    assert all({"commit", "baseline"} <= set(fact["roles"]) for fact in facts)


@pytest.mark.usefixtures("story")
def test_requirements_are_known_by_the_copy_in_a_package() -> None:
    told = answer("models/v1.0.0/requirements.txt")

    assert told.facts == answer("requirements.txt").facts
    assert {(fact["version"], fact["experiment"]) for fact in told.facts} >= {("v1.0.0", None), ("v1.1.0", "worse")}
    assert all("requirements" in fact["roles"] for fact in told.facts)


@pytest.mark.parametrize("standing", [True, False])
def test_a_commit_that_recorded_a_version_leads_to_it_whether_it_still_stands_or_not(
    own: Project, standing: bool
) -> None:
    recorded = own.run("git rev-parse main").stdout.strip()
    if not standing:
        shutil.rmtree(own.path / "models")

    assert found("main") == found("penguins@v1.0.0") == {("v1.0.0", None)}
    assert [fact["commit"] for fact in answer("main").facts] == [recorded]


def test_a_package_that_no_commit_has_is_found_in_the_workspace(own: Project) -> None:
    file = own.path / "models/v1.0.0/manifest.json"
    file.write_text(file.read_text().replace('"rows": 224', '"rows": 225'))
    facts = [fact for fact in answer(OLDER).facts if not fact["experiment"]]

    assert [(fact["version"], fact["data"]["rows"], fact["commit"] is None) for fact in facts] == [
        ("v1.0.0", 225, True),
        ("v1.0.0", 224, False),
    ]
    assert answer(OLDER).text.splitlines()[1].split()[:2] == ["v1.0.0", "workspace"]


@pytest.mark.parametrize("what", ["0" * 32, "f" * 64, "README.md", "data/raw/none.parquet"])
@pytest.mark.usefixtures("story")
def test_what_no_model_came_from_does_not_hold(what: str) -> None:
    told = answer(what)

    assert (told.facts, told.holds) == ([], False)
    assert re.fullmatch(rf"no package came from {what} \(.+\)", told.text)


@pytest.mark.parametrize("what", ["penguin", "abc", "0" * 65, "--all", "HEAD~99", "a\0b"])
@pytest.mark.usefixtures("story")
def test_what_is_nothing_at_all_cannot_be_answered(what: str) -> None:
    with pytest.raises(Problem) as problem:
        answer(what)

    assert problem.value.lines == (
        f"'{what}' is no file, hash (at least 7 digits), commit, experiment or path in Git's history",
    )


@pytest.mark.usefixtures("story")
def test_the_table_has_a_line_for_each_model_with_as_what_it_was_found() -> None:
    header, *lines = answer(OLDER).text.splitlines()

    assert header.split() == ["VERSION", "WHERE", "AS", "SCORE", "DATA", "ROWS", "CODE", "MODEL", "CREATED"]
    assert {line.split()[0] for line in lines} == {"v1.0.0", "v1.1.0"}
    assert any(line.split()[1] == "older" for line in lines)
    assert all(f"data.source {OLDER}" in line for line in lines)


@pytest.mark.parametrize(
    "garbage",
    [
        b"[1]",
        b"null",
        b"\xff\xfe\xfa",
        b'{"k": ',
        b"[" * 1_000_000,
        b'{"stages": [{}, 1], "data": "x", "model": [], "run": 5}',
        b'{"stages": {"train": null, "prepare": {"deps": [1, null], "outs": "abc"}}, "environment": [1]}',
        b'{"data": {"source": {"md5": 5, "path": {}}}, "run": {"git": {"commit": []}, "experiment": 1}}',
        b'{"stages": 5, "metrics": true}',
        b'{"stages": {"train": {"deps": 5, "outs": true}}}',
    ],
    ids=range(10),
)
def test_a_manifest_of_garbage_does_not_hide_the_others(own: Project, garbage: bytes) -> None:
    for name in ("v0.0.1", "v9.9.9"):
        (own.path / f"models/{name}").mkdir()
        (own.path / f"models/{name}/manifest.json").write_bytes(garbage)
    own.commit("Record garbage")
    shutil.rmtree(own.path / "models/v9.9.9")

    assert found(OLDER) == FROM_OLDER
    assert found(NEWER) == FROM_NEWER


def test_whatever_stands_where_a_hash_is_expected_can_be_shown(record: Callable[..., str]) -> None:
    document: dict[str, Any] = {
        "data": {"source": {"md5": "a" * 32, "path": {"a": 1}, "rows": [1]}},
        "model": {"sha256": 5},
        "run": {"git": {"commit": [1]}, "created_at": {}, "experiment": {"name": {"a": 1}}},
    }
    record(v1=json.dumps(document).encode())

    assert answer("a" * 32).text.splitlines()[1].startswith("v1")
