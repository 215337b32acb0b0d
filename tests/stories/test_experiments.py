"""A day of experiments, as the README's recipe types it: a sweep in the queue, others beside it, the best released."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from conftest import Project, finish_queue, recipe

SWEEP = {f"sweep-{k}": c for k, c in enumerate([0.01, 0.03, 0.1, 0.3, 3, 10, 30, 100], start=1)}
BEST = "sweep-6"
OTHERS = {
    "forest": {"train.estimator": "random_forest"},
    "first-seasons": {"data.path": "data/raw/penguins_v1.0.0.parquet"},
    "here": {"train.estimator": "nearest_neighbors", "estimator.n_neighbors": 9},
}
HERE = "dvc exp run -n here -S train.estimator=nearest_neighbors -S estimators.nearest_neighbors.n_neighbors=9"
MANIFEST = "models/v1.0.0/manifest.json"


@pytest.fixture(scope="module")
def ran(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A sweep in the queue and, beside it, runs in temporary copies and in the workspace. Copy it."""
    project = finished.copy(tmp_path_factory.mktemp("experiments") / "project")
    project.type(recipe("Experiments"))
    project.run(HERE)
    assert "Failed" not in finish_queue(project)
    project.run("git checkout -q .")
    project.run("dvc checkout -q")
    return project


def manifest(project: Project, experiment: str) -> dict[str, Any]:
    """The manifest in an experiment's commit."""
    commit = project.run(f"git for-each-ref --format=%(objectname) refs/exps/*/*/{experiment}").stdout.strip()
    return json.loads(project.run(f"git show {commit}:{MANIFEST}").stdout)


def changed(project: Project, experiment: str) -> dict[str, Any]:
    """The parameters by which an experiment differs from the baseline, as `lineage.py diff` answers."""
    said = json.loads(project.run(f"python src/lineage.py diff main {experiment} --json").stdout)
    return {change["name"]: change["after"] for change in said["changes"]["parameters"]}


def shown(project: Project) -> list[dict[str, str]]:
    """The rows of the README's `dvc exp show`, the best first."""
    command = next(
        line for line in recipe("Compare, and keep the best").splitlines() if line.startswith("dvc exp show")
    )
    return list(csv.DictReader(project.type(f"{command} --csv").stdout.splitlines()))


def test_each_manifest_says_what_ran_under_which_name_and_on_which_baseline(ran: Project) -> None:
    baseline = ran.run("git rev-parse main").stdout.strip()
    for name in [*SWEEP, *OTHERS]:
        found = manifest(ran, name)

        assert found["run"]["experiment"] == {"name": name, "baseline": baseline}
        assert found["run"]["git"] == {"commit": baseline, "dirty": True, "remote": None}
    assert {name: manifest(ran, name)["params"]["estimator"]["C"] for name in SWEEP} == SWEEP


def test_diff_names_the_overrides_of_an_experiment_and_nothing_else(ran: Project) -> None:
    assert [changed(ran, name) for name in SWEEP] == [{"estimator.C": c} for c in SWEEP.values()]
    assert changed(ran, "first-seasons") == OTHERS["first-seasons"]
    for name in ("forest", "here"):
        found = {key: value for key, value in changed(ran, name).items() if key in OTHERS[name]}
        assert found == OTHERS[name]


def test_verify_and_trace_take_the_names_of_all_experiments(ran: Project) -> None:
    names = " ".join([*SWEEP, *OTHERS])
    verdicts = json.loads(ran.run(f"python src/lineage.py verify {names} --json").stdout)
    traced = {name: json.loads(ran.run(f"python src/lineage.py trace {name} --json").stdout) for name in OTHERS}

    assert [(verdict["version"], verdict["holds"]) for verdict in verdicts] == [
        (name, True) for name in [*SWEEP, *OTHERS]
    ]
    for name, facts in traced.items():
        assert [(fact["experiment"], fact["model"]) for fact in facts] == [
            (name, manifest(ran, name)["model"]["sha256"])
        ]


def test_no_experiment_changes_the_workspace_or_the_package_that_stands_there(ran: Project, finished: Project) -> None:
    assert ran.run("git status --porcelain").stdout == ""
    assert ran.snapshot("models", "data") == finished.snapshot("models", "data")
    ran.run("python src/lineage.py verify v1.0.0")


def test_exp_show_is_short_sorted_and_led_by_the_main_score(ran: Project) -> None:
    rows = shown(ran)
    columns = [*rows[0]]
    scores = [float(row["balanced_accuracy.cv_mean"]) for row in rows if row["Experiment"]]

    assert rows[2]["Experiment"] == BEST
    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(SWEEP) + len(OTHERS)
    assert [name for name in columns if "balanced_accuracy" in name] == [
        f"balanced_accuracy.{part}" for part in ("test", "cv_mean", "cv_std")
    ]
    assert [name for name in columns if name.startswith(("data.", "train."))] == ["data.path", "train.estimator"]
    assert len(columns) <= 16


def test_the_best_is_applied_released_verified_and_rebuilt_and_still_names_its_experiment(
    ran: Project, tmp_path: Path
) -> None:
    project = ran.copy(tmp_path / "project")
    made = manifest(project, BEST)
    said = project.type(recipe("Compare, and keep the best")).stdout
    project.run(f"git clone -q . {tmp_path / 'clone'}")
    kept = json.loads((project.path / MANIFEST).read_text())

    assert "95 % interval of the paired difference" in said
    assert "penguins@v1.0.0: released" in said
    assert kept == made
    assert kept["run"]["experiment"]["name"] == BEST
    assert "Running stage" not in project.run("dvc repro").stdout
    assert project.run("git status --porcelain").stdout == ""
    project.run("python src/lineage.py verify v1.0.0 penguins@v1.0.0")
    assert "rebuilt byte for byte" in project.run("python src/lineage.py rebuild penguins@v1.0.0").stdout
    traced = Project(tmp_path / "clone").run(f"python src/lineage.py trace {BEST} --json").stdout
    assert [fact["model"] for fact in json.loads(traced)] == [made["model"]["sha256"]]


def test_a_branch_of_the_best_can_be_released_as_it_is(ran: Project, tmp_path: Path) -> None:
    project = ran.copy(tmp_path / "project")
    project.run(f"dvc exp branch {BEST} best")
    project.run("git checkout -q best")
    project.run("dvc checkout -q")
    project.run("python src/lineage.py release")

    assert json.loads((project.path / MANIFEST).read_text()) == manifest(ran, BEST)
    assert project.run("gto show penguins@latest --json").returncode == 0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.estimator=random_forrest", "'estimators.random_forrest' are missing from 'params.yaml'"),
        (
            "prepare.seed=7 -S train.estimator=random_forrest",
            "train.estimator: expected a name from estimators, found 'random_forrest'; did you mean 'random_forest'?",
        ),
        (
            "+estimators.logistic_regression.max_itr=4",
            "max_itr: LogisticRegression takes no such setting; did you mean 'max_iter'?",
        ),
        ("estimators.logistic_regression.C=-1", "The 'C' parameter of LogisticRegression must be a float in the range"),
        ("train.estimator=ridge", "estimators.ridge.class: Ridge is not for data.task: classification"),
    ],
)
def test_an_estimator_that_cannot_be_ends_in_one_line_and_no_experiment(
    project: Project, override: str, said: str
) -> None:
    before = project.snapshot("models", "data", "reports")
    done = project.run(f"dvc exp run -S {override}", check=False)
    problems = [line for line in done.stderr.splitlines() if line.startswith("error: ")]

    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(problems) <= 1  # none where DVC itself refuses
    assert project.snapshot("models", "data", "reports") == before

    assert not project.run("git for-each-ref refs/exps/??/**").stdout


def test_ranges_and_choices_are_multiplied_and_a_run_that_fails_says_why_and_harms_no_other(
    project: Project,
) -> None:
    project.type("dvc exp run --queue -n try -S 'train.seed=range(1,3)' -S estimators.logistic_regression.C=0.5,-1")
    project.run("dvc queue start --jobs 2")
    finish_queue(project)
    made = [manifest(project, name)["params"] for name in ("try-1", "try-3")]

    assert [(params["train"]["seed"], params["estimator"]["C"]) for params in made] == [(1, 0.5), (2, 0.5)]
    for name in ("try-2", "try-4"):
        assert "error: the estimator refuses these settings" in project.run(f"dvc queue logs {name}").stdout
    assert len(project.run("git for-each-ref refs/exps/??/**").stdout.splitlines()) == 2
