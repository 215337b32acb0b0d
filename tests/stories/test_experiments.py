"""A day of experiments, as the README's recipe types it: a sweep in the queue, others beside it, the best released."""

import csv
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from projects import Project, built_once, finish_queue, recipe

MANIFEST = "models/v1.0.0/manifest.json"
HERE = "dvc exp run -n here -S train.estimator=nearest_neighbors -S estimators.nearest_neighbors.n_neighbors=9"
LIST = re.compile(r"(?<=logistic_regression\.C=)[0-9.,]+")  # in the README's sweep
KEPT = re.search(r"dvc exp apply (sweep-\d+)", recipe("Compare, and keep the best"))


class Day(NamedTuple):
    """The experiments that ran: the value of C of each one of the sweep, and the others by their overrides."""

    project: Project
    sweep: dict[str, float]
    best: str
    others: dict[str, dict[str, Any]]

    def recipe(self, title: str) -> str:
        """The README's, of the experiments that there are."""
        assert KEPT
        return recipe(title).replace(KEPT[1], self.best)

    @property
    def names(self) -> list[str]:
        return [*self.sweep, *self.others]


@pytest.fixture(
    scope="module", params=[pytest.param(False, id="short"), pytest.param(True, id="whole", marks=pytest.mark.long)]
)
def day(request: pytest.FixtureRequest, finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Day:
    """The README's recipe, as it is or with two runs in its sweep and a quick estimator. Copy its project."""
    commands = recipe("Experiments")
    if not request.param:
        commands = LIST.sub("0.1,10", commands).replace("random_forest", "nearest_neighbors")
    values = [float(value) for value in LIST.findall(commands)[0].split(",")]
    others = dict.fromkeys(re.findall(r"--temp -n (\S+) -S (\S+)=(\S+)", commands))
    expected: dict[str, dict[str, Any]] = {name: {key: value} for name, key, value in others}

    def build(folder: Path) -> None:
        project = finished.copy(folder / "project")
        project.type(commands)
        if request.param:
            project.run(HERE)
        assert "Failed" not in finish_queue(project)
        project.run("git checkout -q .")
        project.run("dvc checkout -q")

    folder = built_once(tmp_path_factory, f"experiments-{request.param}", build)
    if request.param:
        expected["here"] = {"train.estimator": "nearest_neighbors", "estimator.n_neighbors": 9}
    sweep = {f"sweep-{number}": value for number, value in enumerate(values, start=1)}
    best = KEPT[1] if request.param and KEPT else [*sweep][-1]
    return Day(Project(folder / "project"), sweep, best, expected)


def manifest(project: Project, experiment: str) -> dict[str, Any]:
    """The manifest in an experiment's commit."""
    commit = project.run(f"git for-each-ref --format=%(objectname) refs/exps/*/*/{experiment}").stdout.strip()
    found: dict[str, Any] = json.loads(project.run(f"git show {commit}:{MANIFEST}").stdout)
    return found


def changed(project: Project, experiment: str) -> dict[str, Any]:
    """The parameters by which an experiment differs from the baseline, as `lineage.py diff` answers."""
    said = json.loads(project.ask(f"diff main {experiment} --json").stdout)
    return {change["name"]: change["after"] for change in said["changes"]["parameters"]}


def test_each_manifest_says_what_ran_under_which_name_and_on_which_baseline(day: Day) -> None:
    baseline = day.project.run("git rev-parse main").stdout.strip()
    made = {name: manifest(day.project, name) for name in day.names}

    assert {name: found["run"]["experiment"] for name, found in made.items()} == {
        name: {"name": name, "baseline": baseline} for name in day.names
    }
    assert all(
        found["run"]["git"] == {"commit": baseline, "dirty": True, "remote": None}
        for name, found in made.items()
        if name != "first-seasons"
    )
    assert {name: made[name]["params"]["estimator"]["C"] for name in day.sweep} == day.sweep


def test_diff_names_the_overrides_of_an_experiment_and_nothing_else(day: Day) -> None:
    assert [changed(day.project, name) for name in day.sweep] == [{"estimator.C": c} for c in day.sweep.values()]
    assert changed(day.project, "first-seasons") == day.others["first-seasons"]
    for name in day.others.keys() & {"here", "forest"}:
        assert changed(day.project, name).items() >= day.others[name].items()


def test_verify_and_trace_take_the_names_of_all_experiments(day: Day) -> None:
    verdicts = json.loads(day.project.ask(f"verify {' '.join(day.names)} --json").stdout)
    traced = {name: json.loads(day.project.ask(f"trace {name} --json").stdout) for name in day.others}

    assert [(verdict["version"], verdict["holds"]) for verdict in verdicts] == [(name, True) for name in day.names]
    for name, facts in traced.items():
        model = manifest(day.project, name)["model"]["sha256"]
        assert [(fact["experiment"], fact["model"]) for fact in facts] == [(name, model)]


def test_no_experiment_changes_the_workspace_or_the_package_that_is_there(day: Day, finished: Project) -> None:
    assert day.project.run("git status --porcelain").stdout == ""
    assert day.project.snapshot("models", "data") == finished.snapshot("models", "data")
    day.project.ask("verify v1.0.0")


def test_exp_show_is_short_sorted_and_led_by_the_main_score(day: Day) -> None:
    lines = recipe("Compare, and keep the best").splitlines()
    command = next(line for line in lines if line.startswith("dvc exp show"))
    rows = list(csv.DictReader(day.project.type(f"{command} --csv").stdout.splitlines()))
    columns = [*rows[0]]
    scores = [float(row["balanced_accuracy.cv_mean"]) for row in rows if row["Experiment"]]

    assert scores == sorted(scores, reverse=True)
    assert len(scores) == len(day.names)
    assert [name for name in columns if "balanced_accuracy" in name] == [
        f"balanced_accuracy.{part}" for part in ("test", "cv_mean", "cv_std")
    ]
    assert [name for name in columns if name.startswith(("data.", "train."))] == ["data.path", "train.estimator"]
    assert len(columns) <= 16
    assert next(row["Experiment"] for row in rows if row["Experiment"] in day.sweep) == day.best


def test_the_best_is_applied_released_verified_and_still_names_its_experiment(day: Day, tmp_path: Path) -> None:
    project = day.project.copy(tmp_path / "project")
    made = manifest(project, day.best)
    said = project.type(day.recipe("Compare, and keep the best")).stdout
    project.run(f"git clone -q . {tmp_path / 'clone'}")
    kept = json.loads((project.path / MANIFEST).read_text())

    assert "95 % interval of the paired difference" in said
    assert "penguins@v1.0.0: released" in said
    assert kept == made
    assert kept["run"]["experiment"]["name"] == day.best
    assert "Running stage" not in project.run("dvc repro").stdout
    assert project.run("git status --porcelain").stdout == ""
    project.ask("verify v1.0.0 penguins@v1.0.0")
    traced = Project(tmp_path / "clone").ask(f"trace {day.best} --json").stdout
    assert [fact["model"] for fact in json.loads(traced)] == [made["model"]["sha256"]]


def test_a_branch_of_the_best_is_released_as_it_is(day: Day, tmp_path: Path) -> None:
    project = day.project.copy(tmp_path / "project")
    project.run(f"dvc exp branch {day.best} best")
    project.run("git checkout -q best")
    project.run("dvc checkout -q")
    project.ask("release")

    assert json.loads((project.path / MANIFEST).read_text()) == manifest(project, day.best)
    assert project.run("gto show penguins@latest --json").returncode == 0


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("train.estimator=random_forrest", "'estimators.random_forrest' are missing from 'params.yaml'"),
        ("+estimators.logistic_regression.max_itr=4", "did you mean 'max_iter'?"),
    ],
)
def test_an_impossible_estimator_ends_in_one_line_and_no_experiment(project: Project, override: str, said: str) -> None:
    before = project.snapshot("models", "data", "reports")
    done = project.run(f"dvc exp run -S {override}", check=False)
    problems = [line for line in done.stderr.splitlines() if line.startswith("error: ")]

    assert done.returncode != 0
    assert said in done.stderr
    assert "Traceback" not in done.stderr
    assert len(problems) <= 1  # none where DVC itself refuses, after it has deleted what the next run brings back
    project.run("git checkout -q params.yaml")
    assert "Running stage" not in project.run("dvc repro").stdout
    assert project.snapshot("models", "data", "reports") == before
    assert not project.run("git for-each-ref refs/exps/??/**").stdout


@pytest.mark.long
def test_ranges_and_choices_are_multiplied_and_a_run_that_fails_says_why_and_harms_no_other(project: Project) -> None:
    project.type("dvc exp run --queue -n try -S 'train.seed=range(1,3)' -S estimators.logistic_regression.C=0.5,-1")
    project.run("dvc queue start --jobs 2")
    finish_queue(project)
    made = [manifest(project, name)["params"] for name in ("try-1", "try-3")]

    assert [(params["train"]["seed"], params["estimator"]["C"]) for params in made] == [(1, 0.5), (2, 0.5)]
    for name in ("try-2", "try-4"):
        assert "error: the estimator refuses these settings" in project.run(f"dvc queue logs {name}").stdout
    assert len(project.run("git for-each-ref refs/exps/??/**").stdout.splitlines()) == 2
