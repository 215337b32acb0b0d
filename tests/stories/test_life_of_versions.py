"""No version is ever lost: released, moved on from, left behind, rolled back to, pulled by a stranger."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from projects import MODELS, RELEASE, SOURCE, Project, append, finish_queue

BOTH = ("models/v1.0.0", "models/v1.1.0")
REFUSED = "models/v1.1.0: released as penguins@v1.1.0, so it is not overwritten; choose another package.version"
SEED = ({"train__seed": 7}, "parameters: train.seed: 42 → 7")
NAME = ({"package__name": "houses"}, "parameters: package.name: penguins → houses")


@pytest.mark.parametrize(
    ("command", "change"),
    [
        pytest.param("dvc repro", SEED, id="seed"),
        pytest.param("dvc repro", NAME, id="name"),
        pytest.param("dvc exp run --temp -n elsewhere", NAME, id="temporary"),
        pytest.param("dvc exp run -n again", NAME, id="experiment", marks=pytest.mark.long),
    ],
)
def test_a_released_version_is_not_overwritten_and_the_message_says_what_differs(
    moved_on: Project, command: str, change: tuple[dict[str, Any], str]
) -> None:
    values, said = change
    before = moved_on.snapshot(*BOTH)
    moved_on.set(**values)
    done = moved_on.run(command, check=False)

    assert done.returncode != 0
    assert REFUSED in done.stderr
    assert said in done.stderr
    assert moved_on.snapshot(*BOTH) == before


def test_an_experiment_that_asks_for_the_next_version_keeps_all_tracked_and_no_model_in_git(moved_on: Project) -> None:
    before = moved_on.snapshot(*BOTH)
    moved_on.run("dvc exp run --temp -n next -S package.version=v1.2.0")
    moved_on.run("dvc exp apply next")
    moved_on.commit("Keep it")
    kept = moved_on.run("git ls-files models").stdout.split()
    verdicts = json.loads(moved_on.ask("verify --json").stdout)

    assert not [path for path in kept if path.endswith("model.joblib")]
    assert {f"{folder}/model.joblib.dvc" for folder in BOTH} <= {*kept}
    assert before.items() <= moved_on.snapshot("models").items()
    assert [verdict["version"] for verdict in verdicts] == ["v1.0.0", "v1.1.0", "v1.2.0"]
    moved_on.run(RELEASE)
    moved_on.run("dvc gc -w -f")
    assert before.items() <= moved_on.snapshot("models").items()


def test_an_experiment_from_before_a_release_holds_and_a_later_forgery_does_not(own: Project) -> None:
    own.run("git tag -a -m Released penguins@v1.1.0")
    assert "ok  worse" in own.ask("verify worse").stdout

    own.run("dvc exp apply -q worse")
    commit = own.commit("Claim that the released version is another one")
    done = own.ask(f"verify {commit}", check=False)
    assert "is not the one that was released as penguins@v1.1.0" in done.stdout


@pytest.mark.long
def test_the_queue_refuses_to_overwrite_a_released_version_too(moved_on: Project) -> None:
    moved_on.run("dvc exp run --queue -n waiting -S train.seed=7")
    moved_on.run("dvc queue start -j 1")
    finish_queue(moved_on)
    logs = moved_on.run("dvc queue logs waiting", check=False)

    assert REFUSED in logs.stdout + logs.stderr


def test_the_same_bytes_pass_over_a_released_version(moved_on: Project) -> None:
    before = moved_on.snapshot("models")
    moved_on.run("dvc repro --force --single-item package")

    assert moved_on.snapshot("models") == before
    assert moved_on.run("git status --porcelain").stdout == ""


def test_a_version_that_is_left_behind_keeps_a_pointer_and_survives_checkout_and_gc(moved_on: Project) -> None:
    before = moved_on.snapshot("models")
    assert "models/v1.0.0/model.joblib.dvc" in before

    moved_on.run("dvc checkout")
    moved_on.run("dvc gc -w -f")
    assert moved_on.run("dvc status").stdout.strip() == "Data and pipelines are up to date."
    for model in MODELS:
        (moved_on.path / model).unlink()
    moved_on.run("dvc checkout")
    assert moved_on.snapshot("models") == before
    moved_on.ask("verify")


def test_a_stranger_clones_pulls_verifies_and_predicts_with_both(two_versions: Project, tmp_path: Path) -> None:
    two_versions.run(f"git clone -q . {tmp_path / 'clone'}")
    stranger = Project(tmp_path / "clone")
    stranger.run("dvc pull -q")
    verdicts = json.loads(stranger.ask("verify --json").stdout)
    for folder in BOTH:
        stranger.run(f"python src/predict.py {folder} {SOURCE} {Path(folder).name}.csv")

    assert [(verdict["version"], verdict["holds"]) for verdict in verdicts] == [("v1.0.0", True), ("v1.1.0", True)]
    assert (stranger.path / "v1.0.0.csv").read_bytes() != (stranger.path / "v1.1.0.csv").read_bytes()


def test_tags_are_those_of_gto_and_dvc_gets_a_release_by_its_version(two_versions: Project, tmp_path: Path) -> None:
    shown = two_versions.run("gto show penguins --json").stdout
    two_versions.run(f"dvc artifacts get . penguins --rev v1.0.0 -o {tmp_path / 'got'}")

    assert {"v1.0.0", "v1.1.0"} <= set(re.findall(r"v\d\.\d\.\d", shown))
    assert "penguins" in two_versions.run("gto history penguins").stdout
    assert (tmp_path / "got").read_bytes() == (two_versions.path / MODELS[0]).read_bytes()
    assert two_versions.run("git cat-file -t penguins@v1.0.0").stdout.strip() == "tag"


def test_a_release_is_refused_while_head_does_not_hold_what_made_the_model(project: Project) -> None:
    append(project.path / "src/modeling/features.py", b"# more\n")
    project.set(train__estimator="nearest_neighbors")
    project.run("dvc repro")
    project.run("git add models dvc.lock reports")
    project.run("git commit -qm 'Forget the inputs'")
    done = project.run(RELEASE, check=False)

    assert done.returncode == 1
    assert re.search(r"params.yaml: commit \w+ has another .*train", done.stdout)
    assert "src/modeling/features.py: manifest.json records MD5" in done.stdout
    assert project.run("git tag").stdout == ""
