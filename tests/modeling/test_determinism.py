import hashlib
import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from projects import CHECKOUT, Project
from tables import FOREST, LOGISTIC, PENGUINS, dumped, make_parameters

from modeling.determinism import CLASS_ROWS, SAMPLE_ROWS, difference, fingerprints, sample_of, second_process
from modeling.table import write_table
from record.parameters import read_parameters

UNSTABLE = """
import os
from sklearn.linear_model import LogisticRegression


class KeepsItsAddress(LogisticRegression):
    def fit(self, X, y):
        super().fit(X, y)
        self.address_ = id(self)
        return self


class FailsInTheSecondProcess(LogisticRegression):
    def fit(self, X, y):
        assert "MALLOC_PERTURB_" not in os.environ, "no memory"
        return super().fit(X, y)
"""


def compare(folder: Path, settings: dict[str, Any]) -> str | None:
    """What differs between this process and a second one."""
    shutil.copy(CHECKOUT / "params.yaml", folder)
    Project(folder).set(data__target="sex", train__estimator="mine", estimators__mine=settings)
    write_table(PENGUINS, folder / "features/train.parquet")
    with second_process(Path("features")) as second:
        return difference(second, PENGUINS, read_parameters())


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "own"))
    monkeypatch.syspath_prepend(tmp_path / "own")
    (tmp_path / "own").mkdir()
    (tmp_path / "own/unstable.py").write_text(UNSTABLE)
    sys.modules.pop("unstable", None)
    return tmp_path


@pytest.mark.parametrize("settings", [LOGISTIC, FOREST], ids=["logistic", "forest"])
def test_two_processes_make_the_same_bytes(folder: Path, settings: dict[str, Any]) -> None:
    assert compare(folder, settings) is None


def test_an_estimator_that_is_not_reproducible_is_detected(folder: Path) -> None:
    reason = compare(folder, {"class": "unstable.KeepsItsAddress"})

    assert reason == "model.address_ differs from process to process"


def test_a_second_fit_that_fails_is_a_reason_and_not_an_error(folder: Path) -> None:
    reason = compare(folder, {"class": "unstable.FailsInTheSecondProcess"})

    assert reason is not None
    assert reason.startswith("the second fit failed: ")
    assert "no memory" in reason


def test_fingerprints_are_of_the_model_and_of_each_attribute_of_its_steps() -> None:
    found = fingerprints(PENGUINS, make_parameters(LOGISTIC, "sex"))

    assert {"model.joblib", "preprocess.transformers_", "model.coef_", "model.C"} <= found.keys()
    assert found["model.C"] == hashlib.sha256(dumped(1.0)).hexdigest()


def test_a_small_table_is_its_own_sample() -> None:
    assert sample_of(PENGUINS, make_parameters(LOGISTIC, "sex").data).equals(PENGUINS)


@pytest.mark.parametrize("order", ["sorted", "reversed"])
def test_the_sample_of_a_large_table_has_rows_of_every_class_however_rare(order: str) -> None:
    values = ["common"] * 9970 + ["rare"] * 30
    table = pa.table({"row": range(10_000), "target": values if order == "sorted" else values[::-1]})
    sample = sample_of(table, make_parameters(LOGISTIC).data)

    assert Counter(sample["target"].to_pylist()) == {"common": SAMPLE_ROWS // 2, "rare": 30}
    assert sample["row"].to_pylist() == sorted(sample["row"].to_pylist())


def test_the_sample_of_many_classes_has_enough_rows_of_each_to_fit() -> None:
    table = pa.table({"target": [row % 100 for row in range(10_000)]})
    sample = sample_of(table, make_parameters(LOGISTIC).data)

    assert set(Counter(sample["target"].to_pylist()).values()) == {CLASS_ROWS}


def test_the_sample_of_a_regression_goes_through_the_whole_table() -> None:
    table = pa.table({"target": range(10_000)})
    rows = sample_of(table, make_parameters(LOGISTIC, task="regression").data)["target"].to_pylist()

    assert (len(rows), rows[0], rows[-1]) == (SAMPLE_ROWS, 0, 9999)
