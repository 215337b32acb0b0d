"""A model with a feature of the user's own, trained on a cluster that was started as the refusal said."""

import json
import os
import re
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
from projects import PACKAGE, Project

pytest.importorskip("distributed", reason="needs pip install -r requirements-cluster.txt")
pytestmark = pytest.mark.long

RATIO = {"class": "own.features.Ratio", "of": "body_mass_g", "to": "flipper_length_mm"}
SCHEDULER = "-m distributed.cli.dask_scheduler --host 127.0.0.1 --port 0 --no-dashboard --scheduler-file scheduler.json"


@contextmanager
def started(project: Project, *command: str, **env: str) -> Iterator[None]:
    with subprocess.Popen(command, cwd=project.path, env=os.environ | env, stderr=subprocess.DEVNULL) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.fixture
def forest(project: Project) -> Project:
    """A package of a forest that one process fitted."""
    project.set(train__features=[RATIO], train__estimator="random_forest", package__version="v1.1.0")
    project.run("dvc repro")
    return project


def made_by(project: Project) -> tuple[str, list[float], bool]:
    manifest = json.loads((project.path / PACKAGE.replace("v1.0.0", "v1.1.0") / "manifest.json").read_text())
    return manifest["model"]["sha256"], manifest["metrics"]["balanced_accuracy"], manifest["model"]["deterministic"]


def test_workers_started_as_the_refusal_says_fit_the_same_model(forest: Project) -> None:
    before = made_by(forest)
    forest.set(train__cluster="dask")
    file = forest.path / "scheduler.json"
    with ExitStack() as stack:
        stack.enter_context(started(forest, sys.executable, *SCHEDULER.split(), PYTHONPATH="src"))
        while not (file.exists() and (address := re.search(r"tcp://[\d.:]+", file.read_text()))):
            time.sleep(0.05)
        refused = forest.run("dvc repro", check=False, DASK_SCHEDULER_ADDRESS=address[0])
        command = re.search(r"with the same packages: (env .*)", refused.stderr)
        for _ in range(2):
            stack.enter_context(started(forest, *shlex.split(command[1] if command else "")))
        forest.run("dvc repro", DASK_SCHEDULER_ADDRESS=address[0])

    assert refused.returncode != 0
    assert f"the scheduler at {address[0]} has no worker" in refused.stderr
    assert made_by(forest) == before
    assert before[-1]


def test_without_an_address_this_machine_is_the_cluster(forest: Project) -> None:
    before = made_by(forest)
    forest.set(train__cluster="dask")
    forest.run("dvc repro")

    assert made_by(forest) == before
