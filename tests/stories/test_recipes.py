"""The README's commands are executed as they are written, so they cannot drift from what the repository does."""

import re
import shutil
from pathlib import Path

import pytest
from projects import CHECKOUT, README, Project, append, recipe


@pytest.mark.usefixtures("template")
def test_the_first_two_lines_are_those_that_ci_runs() -> None:
    """`.ci/run` runs them in a fresh clone and a fresh environment."""
    script = (CHECKOUT / ".ci/run").read_text().splitlines()
    lines = re.findall(r"^(?:python -m venv|pip install -r requirements-dev).*", README, flags=re.MULTILINE)

    assert len(lines) == 2
    assert {*lines} <= {*script}


@pytest.mark.parametrize(
    ("title", "said"), [("Ask", "v1.0.0: rebuilt byte for byte"), ("Score new rows", "344 rows scored with penguins")]
)
def test_a_recipe_does_what_it_says(project: Project, title: str, said: str) -> None:
    done = project.type(recipe(title))

    assert said in done.stdout + done.stderr


def test_the_recipe_for_your_own_inputs_ends_with_a_clean_record(project: Project) -> None:
    project.set(train__estimator="nearest_neighbors")
    project.type(recipe("Record it properly"))

    assert project.run("git status --porcelain").stdout == ""
    assert '"dirty": false' in (project.path / "models/v1.0.0/manifest.json").read_text()


def test_the_recipe_for_moving_on_releases_and_keeps_both_versions(project: Project) -> None:
    done = project.type(recipe("Release, and go on"))

    assert "penguins@v1.1.0: released" in done.stdout
    project.run("dvc checkout")
    project.ask("verify v1.0.0 v1.1.0")


def test_rolling_back_makes_an_earlier_version_the_current_one_whatever_has_changed_since(moved_on: Project) -> None:
    before = moved_on.snapshot("models/v1.0.0", "models/v1.1.0")
    for name in ("src/modeling/features.py", "requirements.txt"):
        append(moved_on.path / name, b"# changed since\n")
    moved_on.set(train__folds=4)
    moved_on.commit("Go on, and run nothing")
    moved_on.type(recipe("Roll back"))
    after = moved_on.snapshot("models/v1.0.0", "models/v1.1.0")
    shutil.rmtree(moved_on.path / ".dvc/tmp")

    assert "Running stage" not in moved_on.run("dvc repro").stdout
    assert moved_on.run("dvc status").stdout.strip() == "Data and pipelines are up to date."
    assert moved_on.run("git status --porcelain").stdout == ""
    moved_on.ask("verify v1.0.0 v1.1.0")
    assert before.keys() ^ after.keys() == {"models/v1.0.0/model.joblib.dvc", "models/v1.1.0/model.joblib.dvc"}
    assert all(after[path] == content for path, content in before.items() if path in after)


def test_two_branches_that_each_made_a_version_merge_with_the_recipe(moved_on: Project) -> None:
    for branch, version, estimator in (
        ("ours", "v1.2.0", "nearest_neighbors"),
        ("theirs", "v1.3.0", "logistic_regression"),
    ):
        moved_on.run(f"git checkout -q -b {branch} main")
        moved_on.run("dvc checkout")
        moved_on.set(package__version=version, train__estimator=estimator)
        moved_on.commit(f"Ask for {version}")
        moved_on.run("dvc repro")
        moved_on.commit(f"Make {version}")
    moved_on.run("git checkout -q ours")
    moved_on.run("dvc checkout")
    moved_on.type(recipe("Merge"))

    assert "Running stage" not in moved_on.run("dvc repro").stdout
    assert moved_on.run("git status --porcelain").stdout == ""
    moved_on.run("dvc checkout")
    moved_on.ask("verify v1.0.0 v1.1.0 v1.2.0 v1.3.0")


def test_no_version_is_lost_from_the_first_release_to_a_strangers_roll_back(
    two_versions: Project, tmp_path: Path
) -> None:
    """`two_versions` made, released and pushed v1.0.0, then v1.1.0; here is the rest of the story."""
    first = two_versions.copy(tmp_path / "first")
    first.run(f"git clone -q . {tmp_path / 'stranger'}")
    stranger = Project(tmp_path / "stranger")
    stranger.run("dvc pull -q")
    stranger.type(recipe("Roll back"))
    stranger.ask("verify v1.0.0 v1.1.0")
    stranger.run("python src/predict.py models/v1.0.0 data/raw/penguins_v1.0.0.parquet scored.csv")

    first.run("dvc gc -w -c -f")
    shutil.rmtree(first.path / ".dvc/cache")
    first.run("dvc pull -q")
    first.ask("verify v1.0.0 v1.1.0")


def test_a_team_signs_what_it_releases_with_the_recipe(project: Project) -> None:
    done = project.type(recipe("Sign it"))

    assert "model.sig by the key" in done.stdout
    assert "(checked)" in done.stdout
