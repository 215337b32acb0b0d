"""No version is ever lost: released, moved on from, left behind, rolled back to, pulled by a stranger."""

import json
import re
import shutil
from pathlib import Path

import pytest
from conftest import MODELS, RELEASE, Project, finish_queue


@pytest.fixture
def moved_on(two_versions: Project, tmp_path: Path) -> Project:
    return two_versions.copy(tmp_path / "project")


def test_a_released_version_is_not_overwritten_and_the_message_says_what_differs(
    two_versions: Project, tmp_path: Path
) -> None:
    project = two_versions.copy(tmp_path / "project")
    before = project.snapshot("models/v1.0.0", "models/v1.1.0")
    project.set(train__seed=7)
    for command in ("dvc repro", "dvc exp run -n again", "dvc exp run --temp -n elsewhere"):
        done = project.run(command, check=False)

        assert done.returncode != 0, command
        assert "models/v1.1.0: released as penguins@v1.1.0, so it is not overwritten" in done.stderr, command
        assert "parameters: train.seed: released 42, now 7" in done.stderr
        assert "choose another package.version" in done.stderr
        assert project.snapshot("models/v1.0.0", "models/v1.1.0") == before


def test_a_released_folder_is_not_overwritten_under_another_name(moved_on: Project) -> None:
    before = moved_on.snapshot("models/v1.0.0", "models/v1.1.0")
    moved_on.set(package__name="houses", train__seed=7)
    done = moved_on.run("dvc repro", check=False)

    assert "models/v1.1.0: released as penguins@v1.1.0, so it is not overwritten" in done.stderr
    assert "parameters: package.name: released penguins, now houses" in done.stderr
    assert moved_on.snapshot("models/v1.0.0", "models/v1.1.0") == before


def test_an_experiment_that_asks_for_the_next_version_keeps_all_tracked_and_no_model_in_git(moved_on: Project) -> None:
    before = moved_on.snapshot("models/v1.0.0", "models/v1.1.0")
    moved_on.run("dvc exp run --temp -n next -S package.version=v1.2.0 -S train.seed=7")
    moved_on.run("dvc exp apply next")
    moved_on.commit("Keep it")
    kept = moved_on.run("git ls-files models").stdout.split()
    verdicts = json.loads(moved_on.run("python src/lineage.py verify --json").stdout)

    assert not [path for path in kept if path.endswith("model.joblib")]
    assert {"models/v1.0.0/model.joblib.dvc", "models/v1.1.0/model.joblib.dvc"} <= {*kept}
    assert before.items() <= moved_on.snapshot("models").items()
    assert [verdict["version"] for verdict in verdicts] == ["v1.0.0", "v1.1.0", "v1.2.0"]
    moved_on.run(RELEASE)
    moved_on.run("dvc gc -w -f")
    assert before.items() <= moved_on.snapshot("models").items()


def test_an_experiment_from_before_the_release_of_another_holds_and_a_later_forgery_does_not(project: Project) -> None:
    project.run("dvc exp run --temp -n weaker -S estimators.logistic_regression.C=0.1")
    project.run(RELEASE)
    assert "ok  weaker" in project.run("python src/lineage.py verify weaker").stdout

    project.set(train__seed=7)
    project.run("git tag -m hidden hidden penguins@v1.0.0^{}")
    project.run("git tag -d penguins@v1.0.0")
    project.run("dvc repro")
    commit = project.commit("Make another under the same version")
    project.run("git tag -a -m Released penguins@v1.0.0 hidden^{}")
    done = project.run(f"python src/lineage.py verify {commit}", check=False)
    assert "is not the one that was released as penguins@v1.0.0" in done.stdout


def test_the_queue_refuses_to_overwrite_a_released_version_too(moved_on: Project) -> None:
    moved_on.run("dvc exp run --queue -n waiting -S train.seed=7")
    moved_on.run("dvc queue start -j 1")
    finish_queue(moved_on)
    logs = moved_on.run("dvc queue logs waiting", check=False)

    assert "released as penguins@v1.1.0, so it is not overwritten" in logs.stdout + logs.stderr


def test_the_same_bytes_pass_over_a_released_version(moved_on: Project) -> None:
    before = moved_on.snapshot("models")
    moved_on.run("dvc repro --force")

    assert moved_on.snapshot("models") == before
    assert moved_on.run("git status --porcelain").stdout == ""


def test_a_version_that_is_left_behind_keeps_a_pointer_and_survives_checkout_and_gc(moved_on: Project) -> None:
    before = moved_on.snapshot("models")
    assert "models/v1.0.0/model.joblib.dvc" in before

    moved_on.run("dvc checkout")
    moved_on.run("dvc gc -w -f")
    assert moved_on.run("dvc status").stdout.strip() == "Data and pipelines are up to date."
    assert moved_on.snapshot("models") == before

    for model in MODELS:
        (moved_on.path / model).unlink()
    moved_on.run("dvc checkout")
    assert moved_on.snapshot("models") == before
    moved_on.run("python src/lineage.py verify")


def test_a_stranger_clones_pulls_verifies_and_predicts_with_both(two_versions: Project, tmp_path: Path) -> None:
    two_versions.run(f"git clone -q . {tmp_path / 'clone'}")
    stranger = Project(tmp_path / "clone")
    stranger.run("dvc pull -q")
    verdicts = json.loads(stranger.run("python src/lineage.py verify --json").stdout)
    for version in ("v1.0.0", "v1.1.0"):
        stranger.run(f"python src/predict.py models/{version} data/raw/penguins_v1.0.0.parquet {version}.csv")

    assert [(verdict["version"], verdict["holds"]) for verdict in verdicts] == [("v1.0.0", True), ("v1.1.0", True)]
    assert (stranger.path / "v1.0.0.csv").read_bytes() != (stranger.path / "v1.1.0.csv").read_bytes()


def test_tags_are_those_of_gto_and_dvc_gets_a_release_by_its_version(two_versions: Project, tmp_path: Path) -> None:
    shown = two_versions.run("gto show penguins --json").stdout
    two_versions.run(f"dvc artifacts get . penguins --rev v1.0.0 -o {tmp_path / 'got'}")

    assert {"v1.0.0", "v1.1.0"} <= set(re.findall(r"v\d\.\d\.\d", shown))
    assert "penguins" in two_versions.run("gto history penguins").stdout
    assert (tmp_path / "got").read_bytes() == (two_versions.path / MODELS[0]).read_bytes()
    assert two_versions.run("git cat-file -t penguins@v1.0.0").stdout.strip() == "tag"


def test_releasing_again_says_so_and_changes_nothing(moved_on: Project) -> None:
    tags = moved_on.run("git show-ref --tags").stdout

    assert "released already" in moved_on.run(RELEASE).stdout
    assert moved_on.run("git show-ref --tags").stdout == tags


def test_a_release_is_refused_while_head_does_not_hold_what_made_the_model(project: Project) -> None:
    code = project.path / "src/model.py"
    code.write_text(f"{code.read_text()}# more\n")
    project.set(train__seed=7)
    project.run("dvc repro")
    project.run("git add models dvc.lock reports")
    project.run("git commit -qm 'Forget the inputs'")
    done = project.run(RELEASE, check=False)

    assert done.returncode == 1
    assert "params.yaml: HEAD's section train is not what the model was made with; commit it" in done.stdout
    assert "src/model.py: the model was made from MD5" in done.stdout
    assert project.run("git tag").stdout == ""


def test_a_release_of_a_damaged_package_is_refused(project: Project) -> None:
    model = project.path / MODELS[0]
    model.unlink()
    model.write_bytes(b"another")
    done = project.run(RELEASE, check=False)

    assert done.returncode == 1
    assert "model.joblib: is not what SHA256SUMS says; restore it" in done.stdout


def test_an_applied_experiment_is_released_once_its_parameters_are_committed(project: Project) -> None:
    project.run("dvc exp run -q -n weaker -S estimators.logistic_regression.C=0.1")
    assert project.run(RELEASE, check=False).returncode == 1

    project.commit("Keep the weaker one")
    project.run(RELEASE)
    made = json.loads((project.path / "models/v1.0.0/manifest.json").read_text())
    assert made["run"]["experiment"]["name"] == "weaker"


@pytest.mark.parametrize("version", ["v1.0.0", "v1.1.0"])
def test_restore_brings_a_version_back_from_the_cache_or_else_from_the_remote(moved_on: Project, version: str) -> None:
    before = moved_on.snapshot("models")
    shutil.rmtree(moved_on.path / "models" / version)
    moved_on.run(f"python src/lineage.py restore {version}")
    assert moved_on.snapshot("models") | before == moved_on.snapshot("models")

    shutil.rmtree(moved_on.path / "models" / version)
    shutil.rmtree(moved_on.path / ".dvc/cache")
    moved_on.run(f"python src/lineage.py restore {version}")
    assert (moved_on.path / f"models/{version}/model.joblib").read_bytes() == before[f"models/{version}/model.joblib"]


def test_restore_passes_over_a_corrupted_cache_object_and_mends_it(moved_on: Project) -> None:
    whole = (moved_on.path / MODELS[0]).read_bytes()
    (moved_on.path / MODELS[0]).unlink()
    for cached in (moved_on.path / ".dvc/cache").rglob("*"):
        if cached.is_file() and cached.read_bytes() == whole:
            cached.chmod(0o644)
            cached.write_bytes(b"x" + whole[1:])
    moved_on.run("python src/lineage.py restore v1.0.0")

    assert (moved_on.path / MODELS[0]).read_bytes() == whole


def test_restore_says_what_to_do_when_the_bytes_are_nowhere(moved_on: Project) -> None:
    moved_on.run("dvc remote remove storage")
    shutil.rmtree(moved_on.path / ".dvc/cache")
    (moved_on.path / MODELS[0]).unlink()
    done = moved_on.run("python src/lineage.py restore v1.0.0", check=False)

    assert done.returncode == 2
    assert "neither the workspace, the cache nor a remote has SHA-256" in done.stderr
    assert "dvc push it from where it is, or make it again" in done.stderr
    assert "Traceback" not in done.stderr


def test_restore_refuses_to_lose_a_package_that_no_commit_has(project: Project) -> None:
    project.set(train__seed=7)
    project.run("dvc repro")
    done = project.run("python src/lineage.py restore v1.0.0", check=False)

    assert done.returncode == 2
    assert "holds another intact package that no commit has; commit it or move it away" in done.stderr
