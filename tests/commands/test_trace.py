"""Forwards from data, code and commits to models, and backwards from a model file to what made it."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import NEWER, OLDER
from projects import Project, append
from tables import seal

from commands.trace import run
from record.problem import Problem

FROM_OLDER = {("v1.0.0", None), ("v1.1.0", "older")}
FROM_NEWER = {("v1.1.0", None), ("v1.1.0", "worse"), ("v1.1.0", "forest")}
Models = set[tuple[str, str | None]]


def found(what: str | Path) -> Models:
    """The versions in an answer, each with the experiment that it is of; none twice."""
    facts = run(str(what)).facts
    models = {(fact["version"], fact["experiment"]) for fact in facts}

    assert len(models) == len(facts)
    return models


def walked(project: Project, text: str) -> set[str]:
    """When the models were made whose manifests hold a text, found by reading every manifest in every commit."""
    models = set()
    for commit in project.run("git rev-list --all").stdout.split():
        listed = project.run(f"git ls-tree -r --name-only {commit} models").stdout.split()
        for path in (path for path in listed if path.endswith("/manifest.json")):
            content = project.run(f"git show {commit}:{path}").stdout
            if text in content:
                models.add(json.loads(content)["run"]["created_at"])
    return models


@pytest.mark.parametrize(("snapshot", "models"), [(OLDER, FROM_OLDER), (NEWER, FROM_NEWER)])
def test_a_snapshot_leads_to_exactly_the_models_that_came_from_it(
    story: Project, snapshot: str, models: Models
) -> None:
    assert found(snapshot) == models
    assert {fact["created_at"] for fact in run(snapshot).facts} == walked(story, f'"{snapshot}": "')


def test_a_snapshot_is_known_by_its_bytes_under_any_name_and_by_its_hashes(story: Project, tmp_path: Path) -> None:
    copied = Path(shutil.copy(story.path / OLDER, tmp_path / "found on a disk.bin"))
    sha256 = run(OLDER).facts[0]["data"][0]["sha256"]

    assert found(copied) == found(sha256) == found(sha256[:7]) == found(sha256.upper()) == FROM_OLDER


def test_a_snapshot_that_is_gone_is_traced_by_the_path_that_it_had(own: Project) -> None:
    own.run(f"git rm -q {OLDER}")
    own.commit("Forget the older snapshot")

    assert found(OLDER) == found(f"./{OLDER}") == FROM_OLDER


@pytest.mark.parametrize(("version", "data", "count"), [("v1.0.0", OLDER, 2), ("v1.1.0", NEWER, 1)])
def test_a_model_file_that_was_copied_away_and_renamed_leads_to_its_data_and_code(
    own: Project, tmp_path: Path, version: str, data: str, count: int
) -> None:
    manifest = json.loads((own.path / f"models/{version}/manifest.json").read_bytes())
    copied = shutil.copy(own.path / f"models/{version}/model.joblib", tmp_path / "final(2).pkl")
    shutil.rmtree(own.path / "models")
    facts = run(str(copied)).facts
    (fact,) = (fact for fact in facts if not fact["experiment"])

    assert len(facts) == count
    assert fact["roles"] == ["model"]
    assert (fact["version"], fact["state"]) == (version, "history")
    assert fact["data"] == [{"path": data, "sha256": manifest["inputs"][0]["sha256"]}]
    assert fact["code_commit"] == manifest["run"]["git"]["commit"]
    assert fact["model"] == manifest["model"]["sha256"]


def test_a_model_of_an_experiment_is_found_by_its_hash(story: Project) -> None:
    listed = story.run("git for-each-ref --format=%(refname) refs/exps/*/*/forest").stdout.strip()
    manifest = json.loads(story.run(f"git show {listed}:models/v1.1.0/manifest.json").stdout)

    for digest in (manifest["model"]["md5"], manifest["model"]["sha256"], manifest["model"]["sha256"][:9]):
        assert found(digest) == {("v1.1.0", "forest")}


def test_an_experiment_leads_to_the_packages_that_were_made_in_it_in_a_clone_too(
    own: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert found("forest") == {("v1.1.0", "forest")}
    assert run("forest").facts[0]["roles"] == ["experiment forest"]

    own.run(
        "git checkout -q -b kept refs/exps/" + own.run("git for-each-ref refs/exps/*/*/forest").stdout.split("exps/")[1]
    )
    own.run(f"git clone -q . {tmp_path / 'clone'}")
    monkeypatch.chdir(tmp_path / "clone")
    assert found("forest") == {("v1.1.0", "forest")}


@pytest.mark.parametrize(
    ("part", "role"),
    [
        ("data/prepared/train.parquet", "train data/prepared/train.parquet"),
        ("data/prepared", "made by prepare data/prepared"),
        ("models/candidate", "made by train models/candidate"),
    ],
)
@pytest.mark.usefixtures("story")
def test_what_a_stage_made_leads_to_the_models_that_came_from_it(part: str, role: str) -> None:
    facts = run(part).facts

    assert ("v1.1.0", None) in found(part) <= FROM_NEWER
    assert all(role in fact["roles"] for fact in facts)


def test_a_file_of_code_leads_to_the_models_that_it_made_and_another_content_to_none(own: Project) -> None:
    assert found("src/train.py") == FROM_OLDER | FROM_NEWER
    assert all("read by train src/train.py" in fact["roles"] for fact in run("src/train.py").facts)

    append(own.path / "src/train.py")
    assert (run("src/train.py").facts, run("src/train.py").holds) == ([], False)


@pytest.mark.parametrize(("revision", "version"), [("HEAD~3", "v1.0.0"), ("HEAD~1", "v1.1.0")])
def test_a_commit_leads_to_the_models_that_were_made_from_it(story: Project, revision: str, version: str) -> None:
    commit = story.run(f"git rev-parse {revision}").stdout.strip()

    assert found(revision) == found(commit) == found(commit[:8]) == {(version, None)}


@pytest.mark.usefixtures("story")
def test_a_baseline_leads_to_its_experiments() -> None:
    facts = [fact for fact in run("next").facts if fact["experiment"]]

    assert {fact["experiment"] for fact in facts} == {"older", "worse", "forest"}
    assert all({"commit", "baseline"} <= {*fact["roles"]} for fact in facts)


@pytest.mark.parametrize("present", [True, False])
def test_a_commit_that_recorded_a_version_leads_to_it_and_to_what_became_of_it(own: Project, present: bool) -> None:
    recorded = own.run("git rev-parse main").stdout.strip()
    if not present:
        shutil.rmtree(own.path / "models")
    (fact,) = run("main").facts

    assert found("main") == found("penguins@v1.0.0") == {("v1.0.0", None)}
    assert (fact["state"], fact["recorded_in"]) == ("released" if present else "history", recorded)


def test_one_model_that_was_recorded_often_has_one_row_with_its_first_commit(own: Project) -> None:
    first = own.run("git rev-parse next").stdout.strip()
    seal(own.path / "models/v1.1.0", run__platform="another")
    own.commit("Record it again")
    told = run(NEWER)
    (fact,) = (fact for fact in told.facts if not fact["experiment"])

    assert (fact["recorded_in"], fact["recorded_times"]) == (first, 2)
    assert any(" workspace ×2  input " in line for line in told.lines)


def test_a_package_that_no_commit_has_is_found_in_the_workspace(own: Project) -> None:
    seal(own.path / "models/v1.0.0", model__sha256="0" * 64)
    (fact,) = run("0" * 64).facts

    assert (fact["version"], fact["state"], fact["recorded_in"]) == ("v1.0.0", "damaged", None)


@pytest.mark.parametrize("what", ["0" * 32, "f" * 64, "README.md", "data/raw/none.parquet"])
@pytest.mark.usefixtures("story")
def test_what_no_model_came_from_does_not_hold(what: str) -> None:
    told = run(what)

    assert (told.facts, told.holds) == ([], False)
    assert re.fullmatch(rf"no version came from {what} \(.+\)", *told.lines)


@pytest.mark.parametrize("what", ["penguin", "abc", "0" * 65, "--all", "HEAD~99", ""])
@pytest.mark.usefixtures("story")
def test_what_is_nothing_at_all_cannot_be_answered(what: str) -> None:
    with pytest.raises(Problem) as problem:
        run(what)

    assert problem.value.lines == (
        f"'{what}' is not a file, hash (at least 7 digits), commit, experiment or path in Git's history"
        if what
        else "expected a file, a hash, a commit, an experiment or a path, found nothing",
    )


@pytest.mark.usefixtures("story")
def test_the_table_has_a_line_for_each_model_with_as_what_it_was_found() -> None:
    header, *lines = run(OLDER).lines

    assert header.split() == ["VERSION", "STATE", "SCORE", "DATA", "ROWS", "CODE", "CREATED", "WHERE", "AS"]
    assert [line.split()[:2] for line in lines] == [["v1.0.0", "released"], ["v1.1.0", "history"]]
    assert all(line.endswith(f"  input {OLDER} +1") for line in lines)


def test_an_origin_leads_to_the_models_that_came_from_it(record: Callable[..., str]) -> None:
    origin = {"tracked_by": "a.dvc", "url": "https://a/b", "path": "c", "revision": "2" * 40, "etag": None}
    record(v1=json.dumps({"inputs": [{"path": "a", "origin": origin}]}).encode())

    assert run("https://a/b").facts[0]["roles"] == run("2" * 40).facts[0]["roles"] == ["origin of https://a/b"]


def test_a_manifest_of_schema_1_is_traced_by_its_raw_table(record: Callable[..., str]) -> None:
    content = (Path(__file__).parent.parent / "record/manifest_schema_1.json").read_bytes()
    source = json.loads(content)["data"]["source"]
    record(**{"v1.0.0": content})
    (fact,) = run(source["sha256"]).facts

    assert fact["data"] == [{"path": source["path"], "sha256": source["sha256"]}]
    assert fact["roles"] == [f"input {source['path']}"]


@pytest.mark.parametrize(
    "garbage",
    [
        *(b"[1]", b"null", b"\xff\xfe\xfa", b'{"k": ', b"[" * 1_000_000),
        b'{"stages": [{}, 1], "data": "x", "model": [], "run": 5, "inputs": {}}',
        b'{"stages": {"train": null, "prepare": {"deps": [1, null], "outs": "abc"}}, "environment": [1]}',
        b'{"inputs": [{"md5": 5, "path": {}, "origin": 5}, 1], "run": {"git": {"commit": []}, "experiment": 1}}',
        b'{"stages": {"train": {"deps": 5, "outs": true}}, "metrics": true}',
    ],
    ids=range(9),
)
def test_a_manifest_of_garbage_does_not_hide_the_others(own: Project, garbage: bytes) -> None:
    for name in ("v0.0.1", "v9.9.9"):
        (own.path / f"models/{name}").mkdir()
        (own.path / f"models/{name}/manifest.json").write_bytes(garbage)
    own.commit("Record garbage")
    shutil.rmtree(own.path / "models/v9.9.9")

    assert found(OLDER) == FROM_OLDER
    assert found(NEWER) == FROM_NEWER


def test_whatever_is_there_instead_of_a_hash_can_be_shown(record: Callable[..., str]) -> None:
    document: dict[str, Any] = {
        "inputs": [{"md5": "a" * 32, "path": {"a": 1}}],
        "data": {"train": {"rows": [1]}},
        "model": {"sha256": 5},
        "run": {"git": {"commit": [1]}, "created_at": {}, "experiment": {"name": {"a": 1}}},
    }
    record(v1=json.dumps(document).encode())

    assert run("a" * 32).lines[1].startswith("v1")
