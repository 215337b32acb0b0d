"""The README's commands are executed as they stand, so they cannot drift from what the repository does."""

import re
import shutil
from pathlib import Path

import pytest
from conftest import CHECKOUT, README, Project, recipe


def test_the_first_two_lines_are_those_that_ci_runs() -> None:
    """`.ci/run` takes them from the README and runs them in a fresh clone and a fresh environment."""
    script = (CHECKOUT / ".ci/run").read_text()

    for start in ("python -m venv", "pip install -r requirements-dev.txt"):
        assert len(re.findall(rf"^{start}.*", README, flags=re.MULTILINE)) == 1
        assert f"line_of_readme '{start}'" in script


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("Ask", "v1.0.0: rebuilt byte for byte"),
        ("Score new rows", "344 rows scored with penguins v1.0.0"),
        ("Release, and go on", "penguins@v1.1.0: released"),
    ],
)
def test_a_recipe_does_what_it_says(project: Project, title: str, said: str) -> None:
    done = project.type(recipe(title))

    assert said in done.stdout + done.stderr


def test_the_recipe_for_your_own_inputs_ends_with_a_clean_record(project: Project) -> None:
    project.set(train__seed=7)
    project.type(recipe("Record it properly"))

    assert project.run("git status --porcelain").stdout == ""
    assert '"dirty": false' in (project.path / "models/v1.0.0/manifest.json").read_text()


def test_the_recipe_for_moving_on_keeps_both_versions(project: Project) -> None:
    project.type(recipe("Release, and go on"))

    project.run("dvc checkout")
    project.run("python src/lineage.py verify v1.0.0 v1.1.0")


def change_what_has_come_since(project: Project) -> None:
    """Later commits change code, requirements and a parameter; the pipeline was not run again."""
    code = project.path / "src/model.py"
    code.write_text(f"{code.read_text()}# changed since\n")
    requirements = project.path / "requirements.txt"
    requirements.write_text(f"{requirements.read_text()}# changed since\n")
    project.set(train__folds=4)
    project.commit("Go on")


@pytest.mark.parametrize("much_has_come_since", [False, True])
def test_rolling_back_makes_an_earlier_version_the_current_one(
    two_versions: Project,
    tmp_path: Path,
    much_has_come_since: bool,
) -> None:
    project = two_versions.copy(tmp_path / "project")
    before = project.snapshot("models/v1.0.0", "models/v1.1.0")
    if much_has_come_since:
        change_what_has_come_since(project)
    project.type(recipe("Roll back"))
    after = project.snapshot("models/v1.0.0", "models/v1.1.0")
    shutil.rmtree(project.path / ".dvc/tmp")

    assert "Running stage" not in project.run("dvc repro").stdout
    assert project.run("dvc status").stdout.strip() == "Data and pipelines are up to date."
    assert project.run("git status --porcelain").stdout == ""
    project.run("python src/lineage.py verify v1.0.0 v1.1.0")
    assert before.keys() ^ after.keys() == {"models/v1.0.0/model.joblib.dvc", "models/v1.1.0/model.joblib.dvc"}
    assert all(after[path] == content for path, content in before.items() if path in after)


def test_two_branches_that_each_made_a_version_merge_with_the_recipe(
    two_versions: Project,
    tmp_path: Path,
) -> None:
    project = two_versions.copy(tmp_path / "project")
    for branch, version, seed in (("ours", "v1.2.0", 1), ("theirs", "v1.3.0", 2)):
        project.run(f"git checkout -q -b {branch} main")
        project.run("dvc checkout")
        project.set(package__version=version, train__seed=seed)
        project.commit(f"Ask for {version}")
        project.run("dvc repro")
        project.commit(f"Make {version}")
    project.run("git checkout -q ours")
    project.run("dvc checkout")
    project.type(recipe("Merge"))

    assert "Running stage" not in project.run("dvc repro").stdout
    assert project.run("git status --porcelain").stdout == ""
    project.run("dvc checkout")
    project.run("python src/lineage.py verify v1.0.0 v1.1.0 v1.2.0 v1.3.0")


def test_no_version_is_lost_from_the_first_release_to_a_strangers_roll_back(
    two_versions: Project, tmp_path: Path
) -> None:
    """`two_versions` made, released and pushed v1.0.0, then v1.1.0; here the rest of the story."""
    first = two_versions.copy(tmp_path / "first")
    first.set(train__seed=7)
    assert "released as penguins@v1.1.0, so it is not overwritten" in first.run("dvc repro", check=False).stderr
    first.run("git checkout -q params.yaml")
    first.run("dvc repro")

    first.run(f"git clone -q . {tmp_path / 'stranger'}")
    stranger = Project(tmp_path / "stranger")
    stranger.run("dvc pull -q")
    stranger.run("python src/lineage.py verify v1.0.0 v1.1.0")
    stranger.type(recipe("Roll back"))
    stranger.run("python src/predict.py models/v1.0.0 data/raw/penguins_v1.0.0.parquet scored.csv")

    first.run("dvc gc -w -c -f")
    shutil.rmtree(first.path / ".dvc/cache")
    first.run("dvc pull -q")
    first.run("python src/lineage.py verify v1.0.0 v1.1.0")
