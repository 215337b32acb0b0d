"""Which versions there are, what they scored, from which data and code, and in which state."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from conftest import NEWER, OLDER
from projects import Project, append

from commands.list import run
from commands.result import WIDTH
from commands.versions import HEADER
from record.models import CHECKED, SUMS


def states() -> list[str]:
    """The state of each version of the workspace."""
    return [fact["state"] for fact in run(everywhere=False).facts]


def test_the_versions_of_the_workspace_are_listed_with_what_their_manifests_say(story: Project) -> None:
    facts = run(everywhere=False).facts

    for fact, version, state, commit in zip(
        facts, ("v1.0.0", "v1.1.0"), ("released", "intact"), ("HEAD~3", "HEAD~1"), strict=True
    ):
        manifest = json.loads((story.path / f"models/{version}/manifest.json").read_bytes())
        assert fact == {
            "version": version,
            "state": state,
            "metric": "balanced_accuracy",
            "score": manifest["metrics"]["balanced_accuracy"]["test"],
            "data": [{"path": entry["path"], "sha256": entry["sha256"]} for entry in manifest["inputs"]],
            "rows": manifest["data"]["train"]["rows"],
            "model": manifest["model"]["sha256"],
            "code_commit": story.run(f"git rev-parse {commit}").stdout.strip(),
            "created_at": manifest["run"]["created_at"],
            "recorded_in": None,
            "recorded_times": 1,
            "experiment": None,
        }


def test_all_are_also_those_of_history_and_experiments_each_model_once(story: Project) -> None:
    facts = run(everywhere=True).facts

    assert sorted((f["version"], f["state"], f["experiment"] or "", f["data"][0]["path"]) for f in facts) == [
        ("v1.0.0", "released", "", OLDER),
        ("v1.1.0", "history", "forest", NEWER),
        ("v1.1.0", "history", "older", OLDER),
        ("v1.1.0", "history", "worse", NEWER),
        ("v1.1.0", "intact", "", NEWER),
    ]
    assert [fact["recorded_in"] for fact in facts[:2]] == [
        story.run(f"git rev-parse {commit}").stdout.strip() for commit in ("main", "next")
    ]


def test_a_version_that_left_the_workspace_is_listed_with_its_commit(own: Project) -> None:
    commit = own.run("git rev-parse main").stdout.strip()
    shutil.rmtree(own.path / "models/v1.0.0")

    assert [fact["version"] for fact in run(everywhere=False).facts] == ["v1.1.0"]
    (fact,) = (fact for fact in run(everywhere=True).facts if fact["version"] == "v1.0.0")
    assert (fact["state"], fact["recorded_in"]) == ("history", commit)


@pytest.mark.usefixtures("story")
def test_the_table_has_a_line_for_each_version_that_fits_and_leads_with_the_score() -> None:
    header, *lines = run(everywhere=True).lines

    assert tuple(header.split()) == HEADER
    assert len(lines) == 5
    assert all(len(line) <= WIDTH for line in lines)
    assert lines[0].split()[:3] == ["v1.0.0", "released", "0.953"]
    assert {line.split()[-1] for line in lines} == {"workspace", "older", "worse", "forest"}


@pytest.mark.parametrize("name", [*CHECKED, SUMS])
def test_any_changed_file_makes_a_package_damaged_though_it_was_released(own: Project, name: str) -> None:
    for version in ("v1.0.0", "v1.1.0"):
        append(own.path / "models" / version / name)

    assert states() == ["damaged", "damaged"]


@pytest.mark.parametrize(
    ("name", "state"), [("model.joblib", "missing"), ("requirements.txt", "damaged"), ("SHA256SUMS", "damaged")]
)
def test_a_package_without_its_model_is_missing_and_without_another_file_damaged(
    own: Project, name: str, state: str
) -> None:
    (own.path / "models/v1.0.0" / name).unlink()

    assert states() == [state, "intact"]


@pytest.mark.parametrize("everywhere", [False, True])
def test_where_there_is_no_version_the_answer_says_how_to_make_one(
    record: Callable[..., str], everywhere: bool
) -> None:
    found = run(everywhere)

    assert callable(record)
    assert (found.facts, found.lines, found.holds) == ([], ["no version yet; dvc repro makes one"], True)


@pytest.mark.parametrize(
    "document",
    [
        {"metrics": None, "data": None, "run": None, "stages": None, "inputs": 5},
        {"metrics": 5, "data": True, "run": {"git": {"commit": 5}}, "stages": 5, "inputs": [1, None]},
        {"metrics": {"r2": {"test": 10**400, "cv_mean": 1}}, "run": {"git": {"commit": {"a": 1}}}, "inputs": {"a": 1}},
        {"metrics": [1, {}], "data": [], "run": "today", "name": 5, "model": []},
        {"metrics": {"r2": {"test": True, "cv_mean": "much"}}, "data": {"source": {"path": [1], "rows": {}}}},
        {"metrics": {"r2": {"test": float("nan"), "cv_mean": 1}}, "run": {"git": [], "created_at": 5}},
        {"inputs": [{"path": {}, "sha256": 5}], "data": {"train": {"rows": [1]}}, "model": {"sha256": 5}},
    ],
)
def test_a_manifest_of_any_other_form_is_listed_with_what_can_be_read(
    record: Callable[..., str], document: dict[str, Any]
) -> None:
    record(v1=json.dumps(document).encode())
    commit = record(v2=b'{"k": 2}')
    shutil.rmtree("models/v2")
    Path("models/v9/manifest.json").mkdir(parents=True)
    found = run(everywhere=True)

    assert [(fact["version"], fact["state"]) for fact in found.facts] == [("v1", "missing"), ("v2", "history")]
    assert found.facts[1]["recorded_in"] == commit
    assert [line.split()[0] for line in found.lines] == ["VERSION", "v1", "v2"]


def test_a_cut_clone_says_that_its_list_is_partial(
    story: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    story.run(f"git clone -q --depth 1 file://{story.path} {tmp_path / 'shallow'}")
    monkeypatch.chdir(tmp_path / "shallow")
    run(everywhere=False)
    assert capsys.readouterr().err == ""

    run(everywhere=True)
    assert capsys.readouterr().err.startswith("note: this list is partial, since of this clone its history is cut")
