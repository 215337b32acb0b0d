"""A repository that was made from the template: its own table, name and remote, a green CI, and later versions."""

import json
import re
import shutil
from pathlib import Path

import pytest
from projects import PACKAGE, Project, recipe
from sklearn.datasets import load_diabetes

# Of the tests that CI runs, those that look at files of the checkout; `long` runs all.
NEAR = "tests/own tests/test_contracts.py tests/test_prepare.py tests/test_train.py tests/record/test_parameters.py"


def use_template(template: Path, folder: Path) -> Project:
    """What "Use this template" makes: the same files, in one commit of a history of their own, at a hub."""
    project = Project(folder / "mine", {"HOME": str(folder)})
    shutil.copytree(template, project.path, ignore=lambda *_: {".git", "cache", "tmp"})
    project.run("git init -q -b main")
    project.commit("Initial commit")
    project.run(f"git init -q --bare -b main {folder / 'hub'}")
    project.type(f"git remote add origin {folder / 'hub'} && git push -qu origin main")
    table = load_diabetes(as_frame=True, scaled=False).frame
    table.rename(columns={"target": "progression"}).to_csv(folder / "diabetes.csv", index=False)
    return project


def run_ci(clone: Project, tests: str) -> None:
    """All that `.ci/run` does in a clone, but for the installations."""
    script = (clone.path / ".ci/run").read_text().partition('cd "$scratch/clone"\n')[2]
    script = re.sub(r"^python -m venv .*&& ", "", script, flags=re.MULTILINE)
    script = re.sub(r"^pip install (.*&& )?", "true ", script, flags=re.MULTILINE)
    assert "pytest -n auto" in script
    clone.type("step() { true; }\n" + script.replace("true pytest -n auto", f"pytest -q -n 2 {tests}"))


@pytest.mark.parametrize("tests", [NEAR, pytest.param("", marks=pytest.mark.long)], ids=["some tests", "all tests"])
def test_a_repository_of_ones_own_is_green_after_the_recipe(fresh: Project, tmp_path: Path, tests: str) -> None:
    """The steps of .ci/run in a fresh clone; a folder stands in for the bucket."""
    mine = use_template(fresh.path, tmp_path)
    mine.type(recipe("Make it yours").replace("s3://my-bucket/diabetes", str(tmp_path / "bucket")))
    made = json.loads((mine.path / PACKAGE / "manifest.json").read_text())
    (mine.path / "README.md").write_text("# Diabetes\n")
    mine.commit("Describe it")
    mine.run("git push -q")
    mine.run(f"git clone -q {tmp_path / 'hub'} {tmp_path / 'ci'}")
    run_ci(Project(tmp_path / "ci"), tests)

    assert (made["name"], made["model"]["target"], made["model"]["task"]) == ("diabetes", "progression", "regression")
    assert [entry["path"] for entry in made["inputs"]] == ["data/raw/diabetes_v1.0.0.csv"]
    inputs = mine.run("git rev-parse HEAD~2").stdout.strip()
    assert made["run"]["git"] == {"commit": inputs, "dirty": False, "remote": None}
    mine.run("python src/lineage.py release")
    mine.run(f"git clone -q {tmp_path / 'hub'} {tmp_path / 'colleague'}")
    colleague = Project(tmp_path / "colleague")
    colleague.run("dvc pull -q")
    colleague.ask("verify")
