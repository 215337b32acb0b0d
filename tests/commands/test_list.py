import json

import pytest
from conftest import NEWER, OLDER
from projects import Project, append

from commands.list import run
from commands.result import WIDTH
from commands.versions import HEADER
from record.models import CHECKED, MODEL, SUMS


def test_the_versions_of_the_workspace_are_listed_with_what_their_manifests_say(story: Project) -> None:
    cases = zip(("v1.0.0", "v1.1.0"), ("released", "intact"), ("HEAD~3", "HEAD~1"), strict=True)
    for fact, (version, state, commit) in zip(run(everywhere=False).facts, cases, strict=True):
        manifest = json.loads((story.path / f"models/{version}/manifest.json").read_bytes())
        assert fact == {
            "version": version,
            "state": state,
            "deployed": [],
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


def test_all_are_also_those_of_history_and_experiments_each_model_once_on_a_line_that_fits(story: Project) -> None:
    told = run(everywhere=True)
    header, *lines = told.lines

    assert sorted((f["version"], f["state"], f["experiment"] or "", f["data"][0]["path"]) for f in told.facts) == [
        ("v1.0.0", "released", "", OLDER),
        ("v1.1.0", "history", "forest", NEWER),
        ("v1.1.0", "history", "older", OLDER),
        ("v1.1.0", "history", "worse", NEWER),
        ("v1.1.0", "intact", "", NEWER),
    ]
    assert [f["recorded_in"] for f in told.facts[:2]] == story.run("git rev-parse main next").stdout.split()
    assert tuple(header.split()) == HEADER
    assert len(lines) == 5
    assert all(len(line) <= WIDTH for line in lines)
    assert lines[0].split()[:3] == ["v1.0.0", "released", "0.953"]
    assert {line.split()[-1] for line in lines} == {"workspace", "older", "worse", "forest"}


@pytest.mark.parametrize("name", [*CHECKED, SUMS])
def test_a_changed_file_makes_a_release_damaged_and_no_model_makes_it_missing(own: Project, name: str) -> None:
    append(own.path / "models/v1.0.0" / name)
    (own.path / "models/v1.1.0" / name).unlink()
    states = [fact["state"] for fact in run(everywhere=False).facts]
    assert states == ["damaged", "missing" if name == MODEL else "damaged"]
