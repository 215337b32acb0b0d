"""A real scheduler with worker processes on the loopback address: the same bytes as without, and what goes wrong."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from projects import CHECKOUT
from sklearn.tree import DecisionTreeClassifier
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
    {
        "class": "sklearn.ensemble.StackingClassifier",
        "estimators": [["bagging", BAGGING], ["logistic", LOGISTIC]],
        "final_estimator": LOGISTIC,
    },
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
RUNNING: list[subprocess.Popen[bytes]] = []
WORKER = (sys.executable, "-m", "distributed.cli.dask_worker")
SOURCES = os.pathsep.join(str(CHECKOUT / folder) for folder in ("src", "tests", "tests/modeling"))


def parameters_for(settings: dict[str, Any], where: str = "dask") -> Parameters:
    return make_parameters(settings, train={"cluster": where})


@contextmanager
def running(*command: str, **env: str) -> Iterator[subprocess.Popen[bytes]]:
    environment = os.environ | {"PYTHONPATH": SOURCES} | env
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        RUNNING.append(process)
        try:
            yield process
        finally:
            RUNNING.remove(process)
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
    with running(*WORKER, address, "--no-nanny", "--nthreads", "1", "--no-dashboard", **env) as process:
        yield process


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with scheduler(tmp_path_factory.mktemp("scheduler")) as address, worker(address), worker(address):
        yield address


@pytest.fixture
def address(two_workers: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", two_workers)
    return two_workers


class SlowTree(DecisionTreeClassifier):
    """A tree whose fit takes long enough to be interrupted."""

    def fit(self, X: Any, y: Any, **options: Any) -> "SlowTree":  # noqa: N803 - scikit-learn's name
        time.sleep(0.1)
        return super().fit(X, y, **options)


SLOW = {
    "class": "sklearn.ensemble.BaggingClassifier",
    "estimator": {"class": "test_cluster.SlowTree"},
    "n_estimators": 20,
}


def worker_of(_: int) -> int:
    time.sleep(0.2)
    return os.getpid()


@pytest.mark.usefixtures("address")
def test_every_ensemble_and_search_has_the_same_bytes_as_without() -> None:
    with cluster(parameters_for(FOREST)):
        there = [dumped(fit_pipeline(TABLE, parameters_for(settings))) for settings in ENSEMBLES]
        workers = {*each(worker_of, (), [(k,) for k in range(4)], "asking", " workers", 4)}
    here = [dumped(fit_pipeline(TABLE, parameters_for(settings))) for settings in ENSEMBLES]

    assert len(workers - {os.getpid()}) == 2
    for settings, one, other in zip(ENSEMBLES, there, here, strict=True):
        assert one == other, settings["class"]


@pytest.mark.usefixtures("address")
def test_scores_plots_and_warnings_are_the_same_as_without(capsys: pytest.CaptureFixture[str]) -> None:
    parameters = parameters_for(LOGISTIC | {"max_iter": 1})
    found = []
    for where in (cluster(parameters), nullcontext()):
        with where:
            made = evaluate(TABLE, TABLE.slice(0, 50), parameters)
        found.append((made.folds, made.metrics, made.plots, made.warnings, dumped(made.model), capsys.readouterr().err))

    assert found[0] == found[1]
    assert "warning: lbfgs failed to converge" in found[0][-1]


def test_a_worker_that_is_killed_costs_its_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    parameters = parameters_for(SLOW)
    with scheduler(tmp_path) as address, worker(address), worker(address) as killed:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        with cluster(parameters), killing(killed):
            there = dumped(fit_pipeline(TABLE, parameters))

    assert killed.returncode == -signal.SIGKILL
    assert there == dumped(fit_pipeline(TABLE, parameters))


@contextmanager
def killing(*processes: subprocess.Popen[bytes]) -> Iterator[None]:
    """Kill workers while the block waits for them."""

    def kill() -> None:
        for process in processes:
            process.kill()

    timer = threading.Timer(0.8, kill)
    timer.start()
    yield
    assert timer.finished.is_set()


def test_a_run_whose_last_worker_is_killed_ends_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modeling.cluster.SECONDS_WITHOUT_WORKERS", 1)
    with scheduler(tmp_path) as address, worker(address) as only:
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        with (
            pytest.raises(Problem, match=f"no worker has been left at {address} for 1 s; see to the workers"),
            cluster(parameters_for(SLOW)),
            killing(only),
        ):
            fit_pipeline(TABLE, parameters_for(SLOW))


def test_a_scheduler_that_is_killed_ends_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modeling.cluster.SECONDS_WITHOUT_WORKERS", 1)
    with scheduler(tmp_path) as address, worker(address):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        scheduled = [process for process in RUNNING if "distributed.cli.dask_scheduler" in process.args][-1]
        refused = pytest.raises(Problem, match=r"run again, or set train\.cluster: none")
        with refused, cluster(parameters_for(SLOW)), killing(scheduled):
            fit_pipeline(TABLE, parameters_for(SLOW))


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "carrier://pigeon", "some words", "tcp://"])
def test_a_scheduler_that_does_not_answer_ends_in_a_sentence(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modeling.cluster.SECONDS_TO_CONNECT", 1)
    monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
    with (
        pytest.raises(Problem, match=f"no scheduler answers at '{address}'") as caught,
        cluster(parameters_for(FOREST)),
    ):
        pass

    assert len(caught.value.lines) == 1


@pytest.mark.parametrize("address", ["some words", "carrier://pigeon:1"])
def test_after_that_sentence_nothing_is_waited_for_or_printed(address: str) -> None:
    script = f"""
import sys
sys.path[:0] = {sys.path!r}
from test_cluster import FOREST, parameters_for
from modeling.parallel import cluster
from record.problem import run
def main():
    with cluster(parameters_for(FOREST)):
        pass
run(main)
"""
    env = os.environ | {"DASK_SCHEDULER_ADDRESS": address}
    ended = subprocess.run([sys.executable, "-c", script], env=env, capture_output=True, text=True, check=False)

    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1


def test_a_worker_that_would_make_other_bytes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("modeling.cluster.SECONDS_TO_CONNECT", 5)
    with scheduler(tmp_path) as address, worker(address, OPENBLAS_CORETYPE="Haswell", PYTHONHASHSEED="1"):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        with pytest.raises(Problem) as caught, cluster(parameters_for(FOREST)):
            pass
    worker_line, start = caught.value.lines

    assert "OPENBLAS_CORETYPE is Haswell instead of not set" in worker_line
    assert start.endswith(f"dask worker {address} --nthreads 1")


def test_a_worker_without_this_code_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scheduler(tmp_path) as address, worker(address, PYTHONPATH=""):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        with pytest.raises(Problem, match="No module named 'modeling'"), cluster(parameters_for(FOREST)):
            pass


def test_a_worker_that_joins_later_is_asked_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with scheduler(tmp_path) as address, worker(address):
        monkeypatch.setenv("DASK_SCHEDULER_ADDRESS", address)
        refused = pytest.raises(Problem, match="OPENBLAS_CORETYPE is Haswell instead of not set")
        with refused, cluster(parameters_for(FOREST)), worker(address, OPENBLAS_CORETYPE="Haswell"):
            each(worker_of, (), [(k,) for k in range(60)], "asking", " workers", 60)


def test_without_dask_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "modeling.cluster", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(Problem, match=r"pip install -r requirements-cluster\.txt"), cluster(parameters_for(FOREST)):
        pass
