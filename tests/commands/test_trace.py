"""Forwards from data, code and commits to models, and backwards from a model file to what made it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import NEWER, OLDER
from projects import CHECKOUT, Project, append
from tables import seal

from commands import list as listing
from commands.trace import run
from commands.versions import HEADER
from record.problem import Problem

Models = set[tuple[str, str | None]]
FROM_OLDER: Models = {("v1.0.0", None), ("v1.1.0", "older")}
FROM_NEWER: Models = {("v1.1.0", None), ("v1.1.0", "worse"), ("v1.1.0", "forest")}


def found(what: str | Path) -> Models:
    """The versions in an answer, each with the experiment that it is of; none twice."""
    facts = run(str(what)).facts
    models = {(fact["version"], fact["experiment"]) for fact in facts}

    assert len(models) == len(facts)
    return models


@pytest.mark.parametrize(("snapshot", "models"), [(OLDER, FROM_OLDER), (NEWER, FROM_NEWER)])
@pytest.mark.usefixtures("story")
def test_a_snapshot_of_any_name_or_its_hash_leads_to_its_models(tmp_path: Path, snapshot: str, models: Models) -> None:
    copied = shutil.copy(snapshot, tmp_path / "found on a disk.bin")
    sha256 = run(snapshot).facts[0]["data"][0]["sha256"]

    for what in (snapshot, copied, sha256, sha256[:7], sha256.upper()):
        assert found(what) == models


def test_a_path_that_is_gone_and_a_model_that_was_copied_away_are_traced(own: Project, tmp_path: Path) -> None:
    manifest = json.loads((own.path / "models/v1.0.0/manifest.json").read_bytes())
    copied = shutil.copy(own.path / "models/v1.0.0/model.joblib", tmp_path / "final(2).pkl")
    shutil.rmtree(own.path / "models")
    own.run(f"git rm -q {OLDER}")
    own.commit("Forget the older snapshot")
    assert found(copied) == found(OLDER) == found(f"./{OLDER}") == FROM_OLDER

    (fact,) = (fact for fact in run(str(copied)).facts if not fact["experiment"])
    assert (fact["version"], fact["state"], fact["roles"]) == ("v1.0.0", "history", ["model"])
    assert fact["data"] == [{"path": OLDER, "sha256": manifest["inputs"][0]["sha256"]}]
    assert fact["code_commit"] == manifest["run"]["git"]["commit"]
    assert fact["model"] == manifest["model"]["sha256"]


def test_an_experiment_or_its_model_leads_to_what_was_made_in_it_in_a_clone_too(own: Project, tmp_path: Path) -> None:
    ref = own.run("git for-each-ref --format=%(refname) refs/exps/*/*/forest").stdout.strip()
    model = json.loads(own.run(f"git show {ref}:models/v1.1.0/manifest.json").stdout)["model"]
    for what in ("forest", model["md5"], model["sha256"], model["sha256"][:9]):
        assert found(what) == {("v1.1.0", "forest")}
    assert run("forest").facts[0]["roles"] == ["experiment forest"]

    own.run(f"git checkout -q -b kept {ref}")
    own.run(f"git clone -q . {tmp_path / 'clone'}")
    os.chdir(tmp_path / "clone")
    assert found("forest") == {("v1.1.0", "forest")}


@pytest.mark.usefixtures("story")
def test_code_and_what_a_stage_made_lead_to_the_models_that_came_from_it() -> None:
    for part, role, models in [
        ("data/prepared/train.parquet", "train data/prepared/train.parquet", FROM_NEWER),
        ("data/prepared", "made by prepare data/prepared", FROM_NEWER),
        ("models/candidate", "made by train models/candidate", {("v1.1.0", None)}),
        ("src/train.py", "read by train src/train.py", FROM_OLDER | FROM_NEWER),
    ]:
        assert found(part) == models
        assert all(role in fact["roles"] for fact in run(part).facts)


def test_a_commit_leads_to_the_models_that_were_made_from_it_or_that_it_recorded(story: Project) -> None:
    for revision, version in {
        "HEAD~3": "v1.0.0",
        "HEAD~1": "v1.1.0",
        "main": "v1.0.0",
        "penguins@v1.0.0": "v1.0.0",
    }.items():
        commit = story.run(f"git rev-parse {revision}^{{}}").stdout.strip()
        assert found(revision) == found(commit) == found(commit[:8]) == {(version, None)}

    facts = [fact for fact in run("next").facts if fact["experiment"]]  # of the baseline `next`
    assert {fact["experiment"] for fact in facts} == {"older", "worse", "forest"}
    assert all({"commit", "baseline"} <= {*fact["roles"]} for fact in facts)


def test_a_name_is_found_in_a_manifest_however_its_json_spells_letters(own: Project) -> None:
    path, name = own.path / "models/v1.0.0/manifest.json", "data/raw/möwen.parquet"
    manifest = json.loads(path.read_bytes())
    manifest["inputs"][0]["path"] = name
    path.write_text(json.dumps(manifest))
    assert b"m\\u00f6wen" in path.read_bytes()
    own.commit("Spell it in ASCII")
    shutil.rmtree(own.path / "models")

    assert found(name) == {("v1.0.0", None)}


def test_a_model_that_was_recorded_often_has_one_row_with_its_first_commit(own: Project) -> None:
    first = own.run("git rev-parse next").stdout.strip()
    seal(own.path / "models/v1.1.0", run__platform="another")
    own.commit("Record it again")
    told = run(NEWER)
    (fact,) = (fact for fact in told.facts if not fact["experiment"])

    assert (fact["recorded_in"], fact["recorded_times"]) == (first, 2)
    assert any(" workspace ×2  input " in line for line in told.lines)

    seal(own.path / "models/v1.1.0", model__sha256="0" * 64)
    (fact,) = run("0" * 64).facts
    assert (fact["version"], fact["state"], fact["recorded_in"]) == ("v1.1.0", "damaged", None)


def test_what_no_model_came_from_does_not_hold(own: Project) -> None:
    append(own.path / "src/train.py")
    for what in ("0" * 32, "f" * 64, "README.md", "data/raw/none.parquet", "src/train.py"):
        told = run(what)

        assert (told.facts, told.holds) == ([], False)
        assert told.lines[0].startswith(f"no version came from {what}")


@pytest.mark.usefixtures("story")
def test_what_is_nothing_at_all_cannot_be_answered() -> None:
    said = "is not a file, hash (at least 7 digits), commit, experiment or path in Git's history"
    with pytest.raises(Problem, match=r"^expected a file, a hash, a commit, an experiment or a path, found nothing$"):
        run("")
    for what in ("penguin", "abc", "0" * 65, "--all", "HEAD~99"):
        with pytest.raises(Problem) as problem:
            run(what)
        assert problem.value.lines == (f"'{what}' {said}",)


@pytest.mark.usefixtures("story")
def test_the_table_and_the_facts_are_those_of_list_and_as_what_it_was_found() -> None:
    told, listed = run(OLDER), listing.run(everywhere=True)
    header, *lines = told.lines

    assert header.split() == [*HEADER, "AS"]
    assert [line.split()[:2] for line in lines] == [["v1.0.0", "released"], ["v1.1.0", "history"]]
    assert all(line.endswith(f"  input {OLDER} +1") for line in lines)
    assert [{key: fact[key] for key in fact if key != "roles"} for fact in told.facts] == [
        fact for fact in listed.facts if fact["data"][0]["path"] == OLDER
    ]


def test_an_origin_or_the_raw_table_of_schema_1_leads_to_its_models(record: Callable[..., str]) -> None:
    origin = {"tracked_by": "a.dvc", "url": "https://a/b", "path": "c", "revision": "2" * 40, "etag": None}
    content = (CHECKOUT / "tests/record/manifest_schema_1.json").read_bytes()
    source = json.loads(content)["data"]["source"]
    record(v1=json.dumps({"inputs": [{"path": "a", "origin": origin}]}).encode(), v2=content)
    (fact,) = run(source["sha256"]).facts

    assert run("https://a/b").facts[0]["roles"] == run("2" * 40).facts[0]["roles"] == ["origin of https://a/b"]
    assert fact["data"] == [{"path": source["path"], "sha256": source["sha256"]}]
    assert fact["roles"] == [f"input {source['path']}"]


@pytest.mark.parametrize(
    "odd",
    [
        {"metrics": None, "data": None, "run": {"experiment": 1}, "environment": [1]},
        {"metrics": 5, "data": True, "run": {"git": {"commit": 5}}, "stages": 5, "inputs": [1, None]},
        {"metrics": {"r2": {"test": 10**400, "cv_mean": 1}}, "run": {"git": {"commit": {"a": 1}}}, "inputs": {"a": 1}},
        {"metrics": [1, {}], "data": [], "run": "today", "name": 5, "model": [], "stages": [{}, 1]},
        {"metrics": {"r2": {"test": True, "cv_mean": "much"}}, "data": {"source": {"path": [1], "rows": {}}}},
        {"metrics": {"r2": {"test": float("nan"), "cv_mean": 1}}, "run": {"git": [], "created_at": 5}, "inputs": 5},
        {"inputs": [{"path": {}, "sha256": 5, "origin": 5}], "data": {"train": {"rows": [1]}}, "model": {"sha256": 5}},
        {"stages": {"train": None, "prepare": {"deps": [1, None], "outs": "abc"}, "other": {"deps": 5, "outs": True}}},
        {"run": {"experiment": {"name": {"a": 1}}, "created_at": {}}, "stages": None},
    ],
    ids=range(9),
)
def test_a_manifest_of_any_form_is_listed_and_hides_no_other(record: Callable[..., str], odd: dict[str, Any]) -> None:
    inputs = odd.get("inputs", [{"path": {"a": 1}, "md5": "a" * 32}])
    record(v1=json.dumps(odd | {"inputs": inputs}).encode())
    commit = record(v2=json.dumps({"inputs": [{"path": "b", "md5": "b" * 32}]}).encode())
    shutil.rmtree("models/v2")
    Path("models/v9/manifest.json").mkdir(parents=True)
    listed = listing.run(everywhere=True)

    assert [(fact["version"], fact["state"]) for fact in listed.facts] == [("v1", "missing"), ("v2", "history")]
    assert [line.split()[0] for line in listed.lines] == ["VERSION", "v1", "v2"]
    assert [(fact["version"], fact["recorded_in"]) for fact in run("b" * 32).facts] == [("v2", commit)]
    assert run("a" * 32).holds is ("inputs" not in odd)
