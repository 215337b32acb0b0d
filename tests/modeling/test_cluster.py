"""A real scheduler with worker processes on the loopback address: the same bytes as without, and what goes wrong."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from projects import CHECKOUT
from tables import FOREST, LOGISTIC, dumped, make_parameters

from modeling.estimator import fit_pipeline
from modeling.evaluation import evaluate
from modeling.parallel import cluster, each
from record.parameters import Parameters
from record.problem import Problem

pytest.importorskip("distributed", reason="needs pip install -r requirements-cluster.txt")

TREE = {"class": "sklearn.tree.DecisionTreeClassifier", "max_features": 1}
BAGGING = {"class": "sklearn.ensemble.BaggingClassifier", "estimator": TREE}
ENSEMBLES: list[dict[str, Any]] = [
    FOREST,
    BAGGING,
    {"class": "sklearn.ensemble.ExtraTreesClassifier", "n_estimators": 5},
    {"class": "sklearn.ensemble.VotingClassifier", "estimators": [["forest", FOREST], ["logistic", LOGISTIC]]},
    {"class": "sklearn.ensemble.StackingClassifier", "estimators": [["bagging", BAGGING], ["logistic", LOGISTIC]]},
    {"class": "sklearn.calibration.CalibratedClassifierCV", "estimator": BAGGING, "cv": 3},
    {"class": "sklearn.model_selection.GridSearchCV", "estimator": BAGGING, "param_grid": {"n_estimators": [3, 9]}},
    {
        "class": "sklearn.model_selection.RandomizedSearchCV",
        "estimator": FOREST,
        "n_iter": 2,
        "param_distributions": {"max_depth": [2, 3, 4]},
    },
]
RANDOM = np.random.default_rng(0)
NUMBERS = RANDOM.normal(size=(4, 200))
TABLE = pa.table(
    {
        **{f"number_{k}": values for k, values in enumerate(NUMBERS)},
        "word": np.where(NUMBERS[3] > 0, "some", "other"),
        "target": np.where(NUMBERS[0] + RANDOM.normal(size=200) > 0, "yes", "no"),
    }
)
WORKER = (sys.executable, "-m", "distributed.cli.dask_worker")
NAMED = "ab"  # the workers


def parameters_for(settings: dict[str, Any], where: str = "dask") -> Parameters:
    return make_parameters(settings, train={"cluster": where})


@contextmanager
def running(*command: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(command, env=os.environ | env, cwd=CHECKOUT, stderr=subprocess.DEVNULL) as process:
        try:
            yield process
        finally:
            process.kill()


@contextmanager
def scheduler(folder: Path) -> Iterator[str]:
    """The address of a scheduler of its own."""
    file = folder / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0"]
    with running(*command, "--no-dashboard", "--scheduler-file", str(file)):
        while not (file.exists() and (found := re.search(r"tcp://[\d.:]+", file.read_text()))):
            time.sleep(0.05)
        yield found[0]


@contextmanager
def worker(address: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that computes as this one does."""
    sources = {
        "PYTHONPATH": os.pathsep.join(
            [str(CHECKOUT / "src"), str(CHECKOUT / "tests/modeling"), str(CHECKOUT / "tests")]
        )
    }
    with running(*WORKER, address, "--no-nanny", "--nthreads", "1", "--no-dashboard", **sources | env) as process:
        yield process


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scheduler(tmp_path_factory.mktemp("scheduler")) as address, worker(address), worker(address):
        yield address


@pytest.fixture
def address(two_workers: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", two_workers)
    return two_workers


def worker_and_time(part: int) -> tuple[int, int]:
    time.sleep(0.2)
    return part, os.getpid()


@pytest.mark.usefixtures("address")
def test_every_ensemble_and_search_has_the_same_bytes_as_without() -> None:
    with cluster(parameters_for(FOREST)):
        there = [dumped(fit_pipeline(TABLE, parameters_for(settings))) for settings in ENSEMBLES]
        pids = {pid for _, pid in each(worker_and_time, (), [(k,) for k in range(4)])}
    here = [dumped(fit_pipeline(TABLE, parameters_for(settings))) for settings in ENSEMBLES]

    assert len(pids) == 2
    assert os.getpid() not in pids
    assert [one == other for one, other in zip(there, here, strict=True)] == [True] * len(ENSEMBLES)
