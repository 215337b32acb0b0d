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
from record.environment import NUMERIC_NAMES, NUMERIC_PREFIXES
from train import numeric_settings

SCRIPT = """
import json, os, sys
sys.path.insert(0, "src")
from record.environment import start_with
from train import numeric_settings
sys.stderr.write("started\\n")
start_with(numeric_settings(int(sys.argv[1]), sys.argv[2] == "portable"))
print(json.dumps({"arguments": sys.argv[1:], "environment": dict(os.environ)}))
"""
STRAY = (*NUMERIC_PREFIXES, *NUMERIC_NAMES)
ON_GLIBC = platform.machine() == "x86_64" and platform.libc_ver()[0] == "glibc"


def start(*arguments: str, **env: str) -> tuple[dict, int]:
    """What a script saw, and how often it was started."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith(STRAY)} | env
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, *arguments], cwd=CHECKOUT, env=environment, capture_output=True, check=True
    )
    return json.loads(done.stdout), done.stderr.count(b"started")


def test_a_script_starts_itself_again_once_with_the_settings_and_its_arguments() -> None:
    seen, starts = start("3", "portable", "a b")

    assert starts == 2
    assert seen["arguments"] == ["3", "portable", "a b"]
    assert seen["environment"].items() >= numeric_settings(3, portable=True).items()


def test_a_script_goes_on_at_once_if_the_settings_are_in_force() -> None:
    _, starts = start("3", "portable", **numeric_settings(3, portable=True))

    assert starts == 1


@pytest.mark.parametrize("stray", ["MKL_CBWR", "OPENBLAS_VERBOSE", "OMP_DYNAMIC", "SKLEARN_WORKING_MEMORY"])
def test_what_the_caller_set_for_numeric_libraries_does_not_reach_the_fit(stray: str) -> None:
    seen, starts = start("1", "portable", **{stray: "1"})

    assert starts == 2
    assert stray not in seen["environment"]


def test_what_the_caller_set_for_other_programs_stays() -> None:
    seen, _ = start("1", "fast", SOME_OTHER="kept", PYTHONHASHSEED="7")

    assert seen["environment"]["SOME_OTHER"] == "kept"
    assert seen["environment"]["PYTHONHASHSEED"] == "0"


@pytest.mark.skipif(not ON_GLIBC, reason="kernels are chosen on x86-64, libm's on glibc")
def test_only_portable_settings_choose_the_kernels_and_libm() -> None:
    kernels = {"OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES"}

    assert kernels <= numeric_settings(1, portable=True).keys()
    assert not kernels & numeric_settings(1, portable=False).keys()


@pytest.mark.parametrize(("machine", "expected"), [("arm64", set()), ("AMD64", {"OPENBLAS_CORETYPE"})])
def test_other_processors_get_only_the_settings_that_apply(
    monkeypatch: pytest.MonkeyPatch, machine: str, expected: set[str]
) -> None:
    monkeypatch.setattr(platform, "machine", lambda: machine)
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    settings = numeric_settings(1, portable=True)

    assert settings.keys() & {"OPENBLAS_CORETYPE", "GLIBC_TUNABLES"} == expected
    assert settings.keys() >= {"OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "PYTHONHASHSEED"}


@pytest.mark.skipif(not ON_GLIBC, reason="NumPy names other features on other processors")
def test_numpy_uses_none_of_the_disabled_features() -> None:
    code = "import numpy; print(numpy.show_config(mode='dicts')['SIMD Extensions'].get('found', []))"
    environment = os.environ | numeric_settings(1, portable=True)
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], env=environment, capture_output=True, check=True)

    assert done.stdout.strip() == b"[]"


def test_a_setting_that_cannot_be_kept_is_an_error_and_not_an_endless_restart(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text("import os; os.environ['OPENBLAS_CORETYPE'] = 'Prescott'")

    with pytest.raises(subprocess.CalledProcessError) as caught:
        start("1", "portable", PYTHONPATH=str(tmp_path))

    assert b"OPENBLAS_CORETYPE: set anew whenever Python starts" in caught.value.stderr


# ── the files ──────────────────────────────────────────────────────────────────────────────────────────────────────

TABLE = pa.table({"x": [0.1, 1.5, 8.5, 9.5] * 6, "island": ["Dream", "Biscoe"] * 12, "sex": ["f", "f", "m", "m"] * 6})
KEEPS_A_SET = """
from sklearn.linear_model import LogisticRegression


class KeepsASet(LogisticRegression):
    def fit(self, X, y):
        super().fit(X, y)
        self.names_ = {f"name {i}" for i in range(100)}
        return self
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Project, str]:
    """A folder in which a model of a stage's own tables was trained; and what was said."""
    folder = tmp_path_factory.mktemp("trained")
    for name in ("params.yaml", "requirements.txt"):
        shutil.copy(CHECKOUT / name, folder)
    project = Project(folder)
    project.set(train__estimator="mine", train__folds=2, estimators__mine={"class": "own.KeepsASet"})
    (folder / "own.py").write_text(KEEPS_A_SET)
    for name in ("models/candidate/old.joblib", "reports/plots/old.csv"):
        (folder / name).parent.mkdir(parents=True)
        (folder / name).touch()
    write_table(TABLE, folder / "data/features/train.parquet")
    write_table(TABLE.slice(0, 8), folder / "data/features/test.parquet")
    done = project.run(f"python {CHECKOUT / 'src/train.py'} data/features", PYTHONPATH=str(folder), PYTHONHASHSEED="9")
    return project, done.stderr


def test_the_tables_of_another_folder_are_trained_on(trained: tuple[Project, str]) -> None:
    description = json.loads((trained[0].path / "models/candidate/description.json").read_text())
    tables = {part: f"data/features/{part}.parquet" for part in ("train", "test")}

    assert description["tables"] == tables
    assert description["rows"] == {"train": 24, "test": 8}
    assert set(tables.values()) < description["readings"]["files"].keys()
    assert list(description["readings"]["params"]) == ["data", "train", "estimators.mine"]
    assert len(description["folds"]) == 2
    assert description["numeric"] == numeric_settings(1, portable=True)
    assert {"scikit-learn", "numpy", "pandas", "pyarrow"} <= description["packages"].keys()


def test_the_order_of_a_set_does_not_make_a_model_nondeterministic(trained: tuple[Project, str]) -> None:
    """It depends on PYTHONHASHSEED, which is one of the numeric settings."""
    fitted = json.loads((trained[0].path / "models/candidate/description.json").read_text())["fitted"]

    assert (fitted["deterministic"], fitted["nondeterminism"]) == (True, None)


def test_leftovers_of_another_run_are_removed_and_the_cost_of_training_is_noted(trained: tuple[Project, str]) -> None:
    folder = trained[0].path
    cost = digest(folder / "models/candidate/description.json").md5

    assert {path.name for path in (folder / "models/candidate").iterdir()} == {"model.joblib", "description.json"}
    assert {path.name for path in (folder / "reports/plots").iterdir()} == {
        "predictions.csv",
        "errors.csv",
        "importance.csv",
    }
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
    (project.path / "own.py").write_text(KEEPS_A_SET.replace('{f"name {i}" for i in range(100)}', "id(self)"))
    done = project.run(f"python {CHECKOUT / 'src/train.py'} data/features", PYTHONPATH=str(project.path))

    assert (
        "warning: this model cannot be rebuilt byte for byte: model.names_ differs from process to process"
        in done.stderr.splitlines()
    )


@pytest.mark.parametrize("door", ["prepare", "train", "predict"])
def test_a_python_without_the_libraries_is_told_without_a_traceback(door: str, tmp_path: Path) -> None:
    arguments = ["models/v1.0.0", "in.csv", "out.csv"] if door == "predict" else []
    command = [sys.executable, "-S", str(CHECKOUT / f"src/{door}.py"), *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode != 0
    assert f": not installed for {sys.executable}" in done.stderr
    assert all(line.startswith("error: ") for line in done.stderr.splitlines())
