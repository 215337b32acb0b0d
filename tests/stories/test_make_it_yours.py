"""A repository that was made from the template: its own table, name and remote, a green CI, and later versions."""

import json
import re
import shutil
from pathlib import Path

import pytest
from projects import CHECKOUT, PACKAGE, Project, recipe
from sklearn.datasets import load_diabetes

# Of the tests that CI runs, those that look at files of the checkout and do not run its pipeline, as the lines before
# them did; `long` runs all.
NEAR = "tests/own tests/test_contracts.py tests/record/test_parameters.py -k 'not opens and not loads_neither'"


def use_template(template: Project, commit: str, folder: Path) -> Project:
    """What "Use this template" makes: the files of a commit, in one commit of a history of their own, at a hub."""
    project = Project(folder / "mine", {"HOME": str(folder)})
    template.run(f"git archive -o {folder / 'template.tar'} {commit}")
    shutil.unpack_archive(folder / "template.tar", project.path)
    project.run("git init -q -b main")
    project.commit("Initial commit")
    project.run(f"git init -q --bare -b main {folder / 'hub'}")
    project.type(f"git remote add origin {folder / 'hub'} && git push -qu origin main")
    table = load_diabetes(as_frame=True, scaled=False).frame
    table.rename(columns={"target": "progression"}).to_csv(folder / "diabetes.csv", index=False)
    return project


def at(folder: Path, commands: str) -> str:
    """Commands with folders for the addresses in them."""
    commands = commands.replace("s3://my-bucket/diabetes", str(folder / "bucket"))
    return commands.replace("https://github.com/owner/template", str(folder / "template"))


def run_ci(clone: Project, tests: str) -> None:
    """All that `.ci/run` does in a clone, but for the installations."""
    script = (clone.path / ".ci/run").read_text().partition('cd "$scratch/clone"\n')[2]
    script = re.sub(r"^python -m venv .*&& ", "", script, flags=re.MULTILINE)
    script = re.sub(r"^pip install (.*&& )?", "true ", script, flags=re.MULTILINE)
    assert "pytest -n auto" in script
    script = script.replace("true pytest -n auto", f"pytest -q -n {0 if tests == NEAR else 2} {tests}")
    # mypy knows most of these files from the checkout
    clone.type(f"step() {{ true; }}\n{script}", MYPY_CACHE_DIR=str(CHECKOUT / ".mypy_cache"))


@pytest.mark.parametrize("tests", [NEAR, pytest.param("", marks=pytest.mark.long)], ids=["some tests", "all tests"])
def test_a_repository_of_ones_own_is_green_after_the_recipe(fresh: Project, tmp_path: Path, tests: str) -> None:
    """The steps of .ci/run in a fresh clone; a folder stands in for the bucket."""
    mine = use_template(fresh, "HEAD", tmp_path)
    mine.type(at(tmp_path, recipe("Make it yours")))
    made = json.loads((mine.path / PACKAGE / "manifest.json").read_text())
    metrics = json.loads(mine.run("dvc metrics show --json").stdout)[""]["data"]["reports/metrics.json"]["data"]
    plots = json.loads(mine.run("dvc plots show --json").stdout)
    (mine.path / "README.md").write_text("# Diabetes\n")
    mine.commit("Describe it")
    mine.run("git push -q")
    mine.run(f"git clone -q {tmp_path / 'hub'} {tmp_path / 'ci'}")
    run_ci(Project(tmp_path / "ci"), tests)

    assert (made["name"], made["model"]["target"], made["model"]["task"]) == ("diabetes", "progression", "regression")
    assert made["model"]["classes"] is None
    assert metrics["r2"]["test"] > metrics["r2"]["baseline"] + 0.4
    titles = {drawn[0]["content"]["title"]["text"] for drawn in plots["data"].values()}
    assert titles == {"Predicted against actual", "Errors", "Permutation importance"}
    assert "errors" not in plots
    assert [entry["path"] for entry in made["inputs"]] == ["data/raw/diabetes_v1.0.0.csv"]
    inputs = mine.run("git rev-parse HEAD~2").stdout.strip()
    assert made["run"]["git"] == {"commit": inputs, "dirty": False, "remote": None}
    mine.run("python src/lineage.py release")
    mine.run(f"git clone -q {tmp_path / 'hub'} {tmp_path / 'colleague'}")
    colleague = Project(tmp_path / "colleague")
    colleague.run("dvc pull -q")
    colleague.ask("verify")


def edit(project: Project, path: str, before: str, after: str) -> None:
    file = project.path / path
    assert file.read_text().count(before) == 1
    file.write_text(file.read_text().replace(before, after))


VALUES = {"data__drop": ["s6"], "train__folds": 4}
SUMMARY = ("baseline {main['baseline']:.3f}", "baseline {main['baseline']:.2f}")
POINTS = ("CURVE_POINTS = 200", "CURVE_POINTS = 500")


@pytest.fixture
def since_the_first(fresh: Project, tmp_path: Path) -> Project:
    """A repository that was made from the first version of the template that made a package; one of its is released."""
    first = fresh.run("git log --diff-filter=A --format=%H -- dvc.lock").stdout.split()[-1]
    fresh.copy(tmp_path / "template")
    mine = use_template(fresh, first, tmp_path)
    for name in ("README.md", "data/raw/README.md"):
        (mine.path / name).write_text("# Diabetes\n")
    edit(mine, "src/train.py", *SUMMARY)
    edit(mine, "src/evaluation.py", *POINTS)
    mine.set(**VALUES)
    mine.type(at(tmp_path, recipe("Make it yours")))
    mine.run("git tag -a diabetes@v1.0.0 -m Released")
    return mine


@pytest.mark.long  # five runs of the pipeline, for a recipe that is typed once in a while
def test_a_later_version_of_the_template_is_taken_over_and_nothing_of_ones_own_is_lost(
    since_the_first: Project, tmp_path: Path
) -> None:
    mine, kept = since_the_first, ("data/raw", "models/v1.0.0", "reports")
    before, release = mine.snapshot(*kept), mine.run("git rev-parse diabetes@v1.0.0").stdout
    mine.type(at(tmp_path, recipe("Join the histories")))
    shown = mine.type(recipe("Take a later version")).stdout
    conflicts = {line for line in mine.run("git status --porcelain").stdout.splitlines() if "U" in line[:2]}
    assert mine.snapshot(*kept) == before
    assert conflicts == {"UU params.yaml", "UD src/evaluation.py"}
    assert all(f"+{line}" in shown for line in ("  - s6", "  folds: 4", "  name: diabetes", POINTS[1]))

    asked = {"path": "data/raw/diabetes_v1.0.0.csv", "target": "progression", "task": "regression"}
    mine.set(**{f"data__{key}": value for key, value in asked.items()}, **VALUES, train__estimator="ridge")
    mine.set(package__name="diabetes", package__version="v1.1.0")
    mine.run("git rm -q src/evaluation.py")
    edit(mine, "src/modeling/evaluation.py", *POINTS)
    mine.type(recipe("Finish"))
    mine.ask("release")
    mine.ask("verify v1.0.0 v1.1.0")
    mine.ask("rebuild v1.0.0")

    assert SUMMARY[1] in (mine.path / "src/train.py").read_text()
    assert (mine.path / "README.md").read_text() == "# Diabetes\n"
    assert not (mine.path / "src/table.py").exists()
    assert mine.run("git rev-parse diabetes@v1.0.0").stdout == release
    after = mine.snapshot("data/raw", "models/v1.0.0")
    assert {path: before.get(path) for path in after} == after | {"models/v1.0.0/model.joblib.dvc": None}
    assert mine.run("git status --porcelain").stdout == ""
