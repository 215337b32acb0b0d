"""What a user lives through, as commands that are run for real."""

import json
import shutil
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import Project

PACKAGE = "models/v1.0.0"


def stages_run(output: str) -> list[str]:
    """The stages that a `dvc repro` says it ran."""
    return [line.split("'")[1] for line in output.splitlines() if line.startswith("Running stage")]


def manifest(project: Project, folder: str = PACKAGE) -> dict:
    return json.loads((project.path / folder / "manifest.json").read_text())


def test_one_command_in_a_fresh_clone_ends_with_the_committed_package(fresh: Project, tmp_path: Path) -> None:
    project = fresh.copy(tmp_path / "clone")
    committed = project.snapshot(PACKAGE)
    done = project.run("dvc repro")

    assert stages_run(done.stdout) == ["prepare", "train", "package"]
    assert "model.joblib: OK" in project.run("sha256sum --strict -c SHA256SUMS", folder=PACKAGE).stdout
    assert project.run("git status --porcelain").stdout == ""
    assert project.run("dvc status").stdout.strip() == "Data and pipelines are up to date."
    assert committed.items() <= project.snapshot(PACKAGE).items()


def test_a_second_repro_runs_no_stage(project: Project) -> None:
    assert stages_run(project.run("dvc repro").stdout) == []


def test_a_forced_repro_changes_no_byte(project: Project) -> None:
    before = project.snapshot("models", "data/prepared", "reports")
    done = project.run("dvc repro --force")

    assert stages_run(done.stdout) == ["prepare", "train", "package"]
    assert project.snapshot("models", "data/prepared", "reports") == before
    assert project.run("git status --porcelain").stdout == ""


def test_changing_the_seed_of_training_runs_train_and_package(project: Project) -> None:
    project.set(train__seed=7)

    assert stages_run(project.run("dvc repro").stdout) == ["train", "package"]


def test_changing_a_comment_or_an_estimator_that_is_not_chosen_runs_nothing(project: Project) -> None:
    file = project.path / "params.yaml"
    file.write_text(file.read_text().replace("# Parts of the", "# The parts of the"))
    project.set(estimators__random_forest__n_estimators=7)

    assert stages_run(project.run("dvc repro").stdout) == []


def test_another_environment_is_another_run(project: Project) -> None:
    file = project.path / "requirements.txt"
    file.write_text(file.read_text() + "# another comment is another file\n")

    assert stages_run(project.run("dvc repro").stdout) == ["prepare", "train", "package"]


def test_experiments_swap_settings_and_estimators_and_their_manifests_say_so(project: Project) -> None:
    baseline = project.run("git rev-parse HEAD").stdout.strip()
    for name, override, expected in [
        ("weaker", "estimators.logistic_regression.C=0.1", {"C": 0.1}),
        ("forest", "train.estimator=random_forest", {"class": "sklearn.ensemble.RandomForestClassifier"}),
    ]:
        project.run(f"dvc exp run -n {name} -S {override}")
        made = manifest(project)

        assert made["params"]["estimator"].items() >= expected.items()
        assert made["run"]["experiment"] == {"name": name, "baseline": baseline}
        assert made["run"]["git"] == {"commit": baseline, "dirty": True, "remote": None}
        project.run("git checkout -q .")
    shown = project.run("dvc exp show --csv").stdout
    changed = project.run("dvc metrics diff main forest --json").stdout

    assert "weaker" in shown
    assert "forest" in shown
    assert "balanced_accuracy" in changed


def test_a_record_made_from_uncommitted_inputs_is_replaced_once_they_are_committed(project: Project) -> None:
    project.set(train__seed=7)
    project.run("dvc repro")
    dirty = manifest(project)
    project.commit("Choose another seed")
    project.run("dvc repro --force")
    clean = manifest(project)

    assert dirty["run"]["git"]["dirty"]
    assert not clean["run"]["git"]["dirty"]
    assert {**dirty, "run": None} == {**clean, "run": None}


def test_without_a_commit_the_package_is_made_and_says_that_it_knows_none(fresh: Project, tmp_path: Path) -> None:
    project = fresh.copy(tmp_path / "clone")
    shutil.rmtree(project.path / ".git")
    shutil.rmtree(project.path / PACKAGE)
    project.run("git init -q")
    done = project.run("dvc repro")

    assert "warning: no Git commit" in done.stderr
    assert manifest(project)["run"]["git"] is None


def test_bringing_a_csv_for_a_regression_is_an_edit_of_params_alone(project: Project) -> None:
    table = pq.read_table(project.path / "data/raw/penguins_v1.1.0.parquet")
    pyarrow.csv.write_csv(table, project.path / "data/raw/penguins.csv")
    project.set(
        data__path="data/raw/penguins.csv",
        data__target="body_mass_g",
        data__task="regression",
        train__estimator="gradient_boosting_regressor",
    )
    project.run("dvc repro")
    metrics = json.loads(project.run("dvc metrics show --json").stdout)[""]["data"]["reports/metrics.json"]["data"]
    plots = json.loads(project.run("dvc plots show --json").stdout)

    assert metrics["r2"]["test"] > metrics["r2"]["baseline"] + 0.5
    assert manifest(project)["model"]["classes"] is None
    assert set(plots["data"]) == {"Predicted against actual", "Errors", "Permutation importance"}
    assert "errors" not in plots


def test_a_parameter_that_cannot_be_stops_the_run_and_leaves_all_that_stood(project: Project) -> None:
    before = project.snapshot("models", "data", "reports")
    project.set(data__target="sexx")
    done = project.run("dvc repro", check=False)

    assert done.returncode != 0
    assert "error: params.yaml: data.target: 'sexx' is no column" in done.stderr
    assert "did you mean 'sex'?" in done.stderr
    assert "Traceback" not in done.stderr
    assert project.snapshot("models", "data", "reports") == before


@pytest.mark.parametrize("version", ["../x", "", "a/b", "first"])
def test_a_version_that_is_no_plain_name_is_refused(project: Project, version: str) -> None:
    before = project.snapshot("models")
    project.set(package__version=version)
    done = project.run("dvc repro", check=False)

    assert done.returncode != 0
    assert "params.yaml: package.version: expected a plain semantic version, such as 'v1.0.0'" in done.stderr
    assert project.snapshot("models") == before


def test_users_of_dvc_find_parameters_metrics_plots_and_the_artifact(project: Project, tmp_path: Path) -> None:
    project.set(train__seed=7)
    params = json.loads(project.run("dvc params diff --json").stdout)
    project.run("git checkout -q params.yaml")
    plots = json.loads(project.run("dvc plots show --json").stdout)
    project.run("git tag -a penguins@v1.0.0 -m 'the first'")
    project.run(f"dvc artifacts get . penguins --rev v1.0.0 -o {tmp_path / 'got'}")

    assert params["params.yaml"]["train.seed"].items() >= {"old": 42, "new": 7}.items()
    assert set(plots["data"]) == {"Predicted against actual", "Errors", "Permutation importance"}
    assert (tmp_path / "got").read_bytes() == (project.path / PACKAGE / "model.joblib").read_bytes()
