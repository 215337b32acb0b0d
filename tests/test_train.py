"""Stage 2: the numeric settings, and which files it reads and writes."""

import csv
import json
import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest
from projects import CHECKOUT, Project

from modeling.table import write_table
from record.checksums import digest
from train import numeric_settings

ON_GLIBC = platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"


@pytest.mark.skipif(not ON_GLIBC, reason="kernels are chosen on x86-64, libm's on glibc")
def test_only_portable_settings_choose_the_kernels_and_libm_and_numpy_uses_none_of_the_disabled_features() -> None:
    kernels, portable = (
        {"OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES"},
        numeric_settings(1, portable=True),
    )
    code = "import numpy; print(numpy.show_config(mode='dicts')['SIMD Extensions'].get('found', []))"
    used = subprocess.check_output([sys.executable, "-W", "error", "-c", code], env=os.environ | portable)

    assert kernels <= portable.keys()
    assert not kernels & numeric_settings(1, portable=False).keys()
    assert used.strip() == b"[]"


@pytest.mark.parametrize(("machine", "expected"), [("arm64", set()), ("AMD64", {"OPENBLAS_CORETYPE"})])
def test_other_processors_get_only_the_settings_that_apply(
    monkeypatch: pytest.MonkeyPatch, machine: str, expected: set[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    settings = numeric_settings(1, portable=True)

    assert settings.keys() & {"OPENBLAS_CORETYPE", "GLIBC_TUNABLES"} == expected
    assert settings.keys() >= {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED"}


# ── the files ──────────────────────────────────────────────────────────────────────────────────────────────────────

TABLE = pa.table({"x": [0.1, 1.5, 8.5, 9.5] * 6, "island": ["Dream", "Biscoe"] * 12, "sex": ["f", "f", "m", "m"] * 6})
STRAY = dict.fromkeys(("MKL_CBWR", "OPENBLAS_VERBOSE", "OMP_DYNAMIC", "SKLEARN_WORKING_MEMORY"), "1")
KEEPS_A_SET = f"""
import os
from sklearn.linear_model import LogisticRegression


class KeepsASet(LogisticRegression):
    def fit(self, X, y):
        super().fit(X, y)
        self.names_ = {{"name %d" % i for i in range(100)}}
        assert os.environ["SOME_OTHER"] == "kept" and not os.environ.keys() & {set(STRAY)!r}
        assert os.environ.items() >= {numeric_settings(1, portable=True)!r}.items()
        return self
"""


@pytest.fixture(scope="module")
def trained(template: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A folder in which a model of a stage's own tables was trained; and what was said."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("params.yaml", "requirements.txt"):
        shutil.copy(template / name, folder)
    project = Project(folder)
    project.set(train__estimator="mine", train__folds=2, estimators__mine={"class": "borrowed.KeepsASet"})
    (folder / "borrowed.py").write_text(KEEPS_A_SET)
    for name in ("models/candidate/old.joblib", "reports/plots/old.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    write_table(TABLE, folder / "data/features/train.parquet")
    write_table(TABLE.slice(0, 8), folder / "data/features/test.parquet")
    caller = STRAY | {"SOME_OTHER": "kept", "PYTHONPATH": str(folder), "PYTHONHASHSEED": "9"}
    return project, project.run(f"python {CHECKOUT / 'src/train.py'} data/features", **caller).stderr


def test_the_tables_of_another_folder_are_trained_on_and_leftovers_are_removed(trained: tuple[Project, str]) -> None:
    folder = trained[0].path
    description = json.loads((folder / "models/candidate/description.json").read_text())
    tables = {part: f"data/features/{part}.parquet" for part in ("train", "test")}
    cost = digest(folder / "models/candidate/description.json").md5

    assert description["tables"] == tables
    assert description["rows"] == {"train": 24, "test": 8}
    assert set(tables.values()) < description["readings"]["files"].keys()
    assert list(description["readings"]["params"]) == [
        "data",
        "prepare.split",
        "prepare.split_by",
        "train",
        "estimators.mine",
    ]
    assert len(description["folds"]) == 2
    assert description["numeric"] == numeric_settings(1, portable=True)
    assert {"scikit-learn", "numpy", "pandas", "pyarrow"} <= description["packages"].keys()
    # The order of the set depends on PYTHONHASHSEED, which is one of the numeric settings.
    assert (description["fitted"]["deterministic"], description["fitted"]["nondeterminism"]) == (True, None)
    assert {path.name for path in (folder / "models/candidate").iterdir()} == {"model.joblib", "description.json"}
    plots = {path.name for path in (folder / "reports/plots").iterdir()}
    assert plots == {"predictions.csv", "errors.csv", "importance.csv"}
    assert (folder / f".dvc/tmp/lineage/{cost}.json").is_file()


def test_plots_are_csv_files_with_numbers_in_full(trained: tuple[Project, str]) -> None:
    plots = trained[0].path / "reports/plots"
    content = (plots / "predictions.csv").read_bytes()
    importance = list(csv.DictReader((plots / "importance.csv").read_text().splitlines()))

    assert content == b"actual,predicted,rows\nf,f,4\nf,m,0\nm,f,0\nm,m,4\n"
    assert list(importance[0]) == ["feature", "importance", "spread"]
    assert all(repr(float(row["importance"])) == row["importance"] for row in importance)


def test_the_main_score_is_said_in_one_line(trained: tuple[Project, str]) -> None:
    *_, score, size = trained[1].splitlines()

    assert score == "mine: balanced_accuracy 1.000, 1.000 ± 0.000 over 2 folds, baseline 0.500"
    assert size.startswith("models/candidate/model.joblib: ")


def test_a_model_that_is_not_reproducible_is_reported(trained: tuple[Project, str], tmp_path: Path) -> None:
    project = trained[0].copy(tmp_path / "copy")
    (project.path / "borrowed.py").write_text(KEEPS_A_SET.replace('{"name %d" % i for i in range(100)}', "id(self)"))
    done = project.run(
        f"python {CHECKOUT / 'src/train.py'} data/features", PYTHONPATH=str(project.path), SOME_OTHER="kept"
    )

    reason = "model.names_ differs from process to process"
    assert f"warning: this model cannot be rebuilt byte for byte: {reason}" in done.stderr.splitlines()


@pytest.mark.parametrize("door", ["prepare", "train", "predict"])
def test_a_python_without_the_libraries_is_told_without_a_traceback(door: str, tmp_path: Path) -> None:
    arguments = ["models/v1.0.0", "in.csv", "out.csv"] if door == "predict" else []
    command = [sys.executable, "-S", str(CHECKOUT / f"src/{door}.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert f": not installed for {sys.executable}" in done.stderr
    assert all(line.startswith("error: ") for line in done.stderr.splitlines())
