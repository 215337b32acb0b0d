import shutil
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from projects import CHECKOUT, Project
from tables import FOREST, LOGISTIC, PENGUINS, make_parameters

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


@pytest.mark.usefixtures("template")  # whose params.yaml it starts from
@pytest.mark.parametrize(
    ("settings", "start", "end"),
    [
        (LOGISTIC, "None", ""),
        (FOREST, "None", ""),
        ({"class": "unstable.KeepsItsAddress"}, "model.address_ differs from process to process", ""),
        ({"class": "unstable.FailsInTheSecondProcess"}, "the second fit failed: ", "no memory"),
    ],
)
def test_what_a_second_process_makes_otherwise_is_named_and_its_failure_is_a_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, settings: dict[str, Any], start: str, end: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "own").mkdir()
    (tmp_path / "own/unstable.py").write_text(UNSTABLE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path / "own"))
    monkeypatch.syspath_prepend(tmp_path / "own")
    sys.modules.pop("unstable", None)
    shutil.copy(CHECKOUT / "params.yaml", tmp_path)
    Project(tmp_path).set(data__target="sex", train__estimator="mine", estimators__mine=settings)
    write_table(PENGUINS, tmp_path / "features/train.parquet")
    with second_process(Path("features")) as second:
        reason = str(difference(second, PENGUINS, read_parameters()))

    assert reason.startswith(start)
    assert reason.endswith(end or start)


def test_fingerprints_are_of_the_model_and_of_each_attribute_of_its_steps() -> None:
    names = fingerprints(PENGUINS, make_parameters(LOGISTIC, "sex")).keys()

    assert {"model.joblib", "preprocess.transformers_", "model.coef_", "model.C"} <= names


@pytest.mark.parametrize("step", [1, -1], ids=["sorted", "reversed"])
def test_the_sample_of_a_large_table_has_rows_of_every_class_however_rare(step: int) -> None:
    table = pa.table({"row": range(10_000), "target": (["common"] * 9970 + ["rare"] * 30)[::step]})
    sample = sample_of(table, make_parameters(LOGISTIC).data)

    assert Counter(sample["target"].to_pylist()) == {"common": SAMPLE_ROWS // 2, "rare": 30}
    assert sample["row"].to_pylist() == sorted(sample["row"].to_pylist())


def test_the_sample_of_many_classes_has_enough_rows_of_each_to_fit_and_a_small_table_is_its_own() -> None:
    table = pa.table({"target": [row % 100 for row in range(10_000)]})
    sample = sample_of(table, make_parameters(LOGISTIC).data)

    assert set(Counter(sample["target"].to_pylist()).values()) == {CLASS_ROWS}
    assert sample_of(PENGUINS, make_parameters(LOGISTIC, "sex").data).equals(PENGUINS)


def test_the_sample_of_a_regression_goes_through_the_whole_table() -> None:
    table = pa.table({"target": range(10_000)})
    rows = sample_of(table, make_parameters(LOGISTIC, task="regression").data)["target"].to_pylist()

    assert (len(rows), rows[0], rows[-1]) == (SAMPLE_ROWS, 0, 9999)
