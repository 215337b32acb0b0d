"""What a user lives through, as commands that are run for real."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from projects import PACKAGE, Project, append


def stages_run(output: str) -> list[str]:
    """The stages that a `dvc repro` says it ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def manifest(project: Project) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((project.path / PACKAGE / "manifest.json").read_text())
    return found


def test_one_command_in_a_fresh_clone_ends_with_the_committed_package(fresh: Project, finished: Project) -> None:
    project, committed = finished, fresh.snapshot(PACKAGE)
    said = (finished.path.parent / "said").read_text()

    assert stages_run(said) == ["prepare", "train", "package"]
    assert "model.joblib: OK" in project.run("sha256sum --strict -c SHA256SUMS", folder=PACKAGE).stdout
    assert project.run("git status --porcelain").stdout == ""
    assert project.head() == fresh.head()  # so nothing had to be committed
    assert project.run("dvc status").stdout.strip() == "Data and pipelines are up to date."
    assert committed.items() <= project.snapshot(PACKAGE).items()


def test_a_forced_repro_changes_no_byte(project: Project) -> None:
    before = project.snapshot("models", "data/prepared", "reports")
    done = project.run("dvc repro --force")

    assert stages_run(done.stdout) == ["prepare", "train", "package"]
    assert project.snapshot("models", "data/prepared", "reports") == before
    assert project.run("git status --porcelain").stdout == ""


@pytest.mark.long
def test_a_version_is_rebuilt_in_an_environment_of_its_own_requirements(project: Project) -> None:
    assert "rebuilt byte for byte" in project.ask("rebuild v1.0.0 --fresh-env").stdout


def test_changing_a_comment_or_an_estimator_that_is_not_chosen_runs_nothing(project: Project) -> None:
    file = project.path / "params.yaml"
    file.write_text(file.read_text().replace("# Parts of the", "# The parts of the"))
    project.set(estimators__random_forest__n_estimators=7)

    assert stages_run(project.run("dvc repro").stdout) == []


def test_changing_what_only_renders_runs_nothing(project: Project) -> None:
    for path in (project.path / "src/commands").glob("*.py"):
        append(path, b"# another comment\n")

    assert stages_run(project.run("dvc repro").stdout) == []


def test_another_environment_changes_every_stage(project: Project) -> None:
    append(project.path / "requirements.txt", b"# another comment is another file\n")

    assert json.loads(project.run("dvc status --json").stdout).keys() == {"prepare", "train", "package"}


def test_a_record_made_from_uncommitted_inputs_is_replaced_once_they_are_committed(project: Project) -> None:
    project.set(train__seed=8)
    done = project.run("dvc repro")
    dirty = manifest(project)
    project.commit("Choose another seed")
    project.run("dvc repro --force package --single-item")
    clean = manifest(project)

    assert stages_run(done.stdout) == ["train", "package"]
    assert dirty["run"]["git"]["dirty"]
    assert not clean["run"]["git"]["dirty"]
    assert {**dirty, "run": None} == {**clean, "run": None}


def test_without_a_commit_the_package_is_made_and_says_that_it_knows_none(project: Project) -> None:
    shutil.rmtree(project.path / ".git")
    shutil.rmtree(project.path / PACKAGE)
    project.run("git init -q")
    done = project.run("dvc repro")

    assert "warning: no commit yet" in done.stderr
    assert manifest(project)["run"]["git"] is None


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("data__target", "Sex ", "did you mean 'sex'?"),
        ("package__version", "../x", "package.version: expected a plain semantic version, such as 'v1.0.0'"),
    ],
)
def test_an_impossible_parameter_stops_the_run_and_leaves_everything_as_it_was(
    project: Project, key: str, value: str, said: str
) -> None:
    before = project.snapshot("models", "data", "reports")
    project.set(**{key: value})
    done = project.run("dvc repro", check=False)

    assert done.returncode != 0
    assert "error: params.yaml: " in done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert project.snapshot("models", "data", "reports") == before


def test_going_back_to_parameters_that_ran_before_trains_nothing(project: Project) -> None:
    before = project.snapshot("models", "data", "reports")
    project.set(train__seed=7, prepare__seed=7)
    project.run("dvc repro")
    changed = project.snapshot("models", "data", "reports")
    project.run("git checkout -q params.yaml")
    done = project.run("dvc repro")

    assert changed["models/v1.0.0/model.joblib"] != before["models/v1.0.0/model.joblib"]
    assert stages_run(done.stdout) == ["package"]
    assert "Stage 'train' is cached - skipping run" in done.stdout
    assert not (project.path / "reports/metrics.json").is_symlink()
    after = project.snapshot("models", "data", "reports")
    assert {path for path in before if after[path] != before[path]} <= {
        "models/v1.0.0/manifest.json",  # says when it was made
        "models/v1.0.0/SHA256SUMS",
    }


HALF = """
import pathlib, signal, sys, os
for path in ("models/candidate/model.joblib", "reports/metrics.json"):
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_text("half")
END
"""


@pytest.mark.parametrize("end", ["sys.exit(3)", "os.kill(os.getpid(), signal.SIGINT)", "1 / 0"])
def test_a_stage_that_ends_in_the_middle_is_put_back(project: Project, end: str) -> None:
    before = project.snapshot("models", "data", "reports")
    train = project.path / "src/train.py"
    half = "".join(f"    {line}\n" for line in HALF.replace("END", end).strip().splitlines())
    train.write_text(train.read_text().replace("def main() -> None:\n", f"def main() -> None:\n{half}", 1))
    done = project.run("dvc repro", check=False)

    assert done.returncode != 0
    assert "what stood there before was put back: models/candidate, reports/metrics.json" in done.stderr
    assert project.snapshot("models", "data", "reports") == before


def test_without_the_cache_git_puts_back_what_it_keeps(project: Project) -> None:
    before = project.snapshot("reports")
    shutil.rmtree(project.path / ".dvc/cache")
    project.set(train__folds=1000)
    done = project.run("dvc repro", check=False)

    assert "take fewer folds" in done.stderr
    assert project.snapshot("reports") == before


def test_a_package_that_is_refused_leaves_what_somebody_changed_in_it(project: Project) -> None:
    project.run("git tag -a penguins@v1.0.0 -m Released")
    for name in ("requirements.txt", "manifest.json", "SHA256SUMS"):
        append(project.path / PACKAGE / name, b"\n")
    before = project.snapshot(PACKAGE)
    project.set(train__seed=7)
    done = project.run("dvc repro", check=False)

    assert "released as penguins@v1.0.0, so it is not overwritten" in done.stderr
    assert "was put back" not in done.stderr
    assert project.snapshot(PACKAGE) == before


def test_users_of_dvc_find_parameters_metrics_plots_and_the_artifact(project: Project, tmp_path: Path) -> None:
    project.set(train__seed=7)
    params = json.loads(project.run("dvc params diff --json").stdout)
    project.run("git checkout -q params.yaml")
    project.run("git tag -a penguins@v1.0.0 -m 'the first'")
    project.run(f"dvc artifacts get . penguins --rev v1.0.0 -o {tmp_path / 'got'}")

    assert params["params.yaml"]["train.seed"].items() >= {"old": 42, "new": 7}.items()
    assert (tmp_path / "got").read_bytes() == (project.path / PACKAGE / "model.joblib").read_bytes()
