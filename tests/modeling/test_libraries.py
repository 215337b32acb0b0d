"""Estimators of other libraries: loaded for a package that is vouched for, and for no other."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from projects import CHECKOUT, Project
from tables import dumped

from modeling.unpickling import ForbiddenError, check_loads, libraries_in, unpickle

BORROWED = """
from collections import OrderedDict, defaultdict
from sklearn.base import BaseEstimator

class Booster:
    def __init__(self):
        self.raw = bytearray(b"model")

    def __getstate__(self):
        return {"handle": self.raw}

    def __setstate__(self, state):
        self.raw = state["handle"]

class Boosted(BaseEstimator):
    def fit(self, x, y):
        self.booster_, self.scores_ = Booster(), defaultdict(OrderedDict, valid=OrderedDict(loss=[1.0]))
        return self

    def predict(self, x):
        return [len(self.booster_.raw)] * len(x)
"""


@pytest.fixture
def content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A model of a library that is not one of scikit-learn's."""
    (tmp_path / "borrowed_library.py").write_text(BORROWED)
    monkeypatch.syspath_prepend(tmp_path)
    from borrowed_library import Boosted

    return dumped(Boosted().fit(np.zeros((2, 1)), [0, 1]))


def test_a_library_is_read_only_if_the_manifest_names_it(content: bytes, tmp_path: Path) -> None:
    named = libraries_in({"class": "borrowed_library.Boosted"}, [])

    assert unpickle(content, named).predict([1, 2]) == [5, 5]
    (tmp_path / "model.joblib").write_bytes(content)
    check_loads(tmp_path / "model.joblib", named)
    with pytest.raises(ForbiddenError, match=r"asks for borrowed_library\.Boosted"):
        unpickle(content)


@pytest.mark.parametrize(
    ("estimator", "features", "named"),
    [
        ({"class": "sklearn.linear_model.Ridge"}, [], set()),
        ({"class": "lightgbm.LGBMRegressor"}, [], {"lightgbm"}),
        (
            {"class": "sklearn.ensemble.BaggingRegressor", "estimator": {"class": "xgboost.XGBRegressor"}},
            [],
            {"xgboost"},
        ),
        (
            {"class": "sklearn.linear_model.Ridge"},
            ["feature_engine.X", {"class": "own.features.Ratio"}],
            {"feature_engine"},
        ),
        ({"class": "os.system"}, ["subprocess.Popen", "record.git.ask", "numpy.load", "lineage.run"], set()),
    ],
)
def test_the_libraries_are_those_of_the_classes_that_params_yaml_names(
    estimator: dict[str, str], features: list[object], named: set[str]
) -> None:
    assert libraries_in(estimator, features) == named


@pytest.mark.long
@pytest.mark.parametrize("name", ["lightgbm.LGBMRegressor", "xgboost.XGBRegressor"])
def test_boosting_libraries_are_trained_rebuilt_and_loaded(fresh: Project, tmp_path: Path, name: str) -> None:
    """In an environment of its own, from the optional lock file."""
    python = tmp_path / "venv/bin/python"
    subprocess.run([sys.executable, "-m", "venv", str(tmp_path / "venv")], check=True)
    locks = [part for file in ("", "-boosting") for part in ("-r", str(CHECKOUT / f"requirements{file}.txt"))]
    subprocess.run([str(python), "-m", "pip", "install", "-q", *locks], check=True)
    project = Project(fresh.path, fresh.env | {"PATH": f"{python.parent}:/usr/bin:/bin", "VIRTUAL_ENV": ""})
    project.set(train__estimator="boosting", estimators__boosting={"class": name, "n_estimators": 20, "n_jobs": 1})
    project.set(data__target="body_mass_g", data__task="regression", package__version="v1.1.0")
    project.commit("Ask for boosted trees")
    project.run("dvc repro")
    project.commit("Run the pipeline")

    project.ask("verify v1.1.0")
    project.ask("rebuild v1.1.0")
    project.run("python src/predict.py models/v1.1.0 data/raw/penguins_v1.1.0.parquet scored.csv")
    assert (project.path / "scored.csv").is_file()
