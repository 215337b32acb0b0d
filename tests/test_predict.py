import sys

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from conftest import Project
from modeling_tables import seal

from record.models import read_manifest_of

RAW = "data/raw/penguins_v1.0.0.parquet"
PREDICT = "python src/predict.py"


@pytest.fixture(scope="module")
def shared(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone for tests that write files of names of their own and change nothing else."""
    return finished.copy(tmp_path_factory.mktemp("shared") / "project")


def test_a_table_is_scored_and_the_output_says_by_which_model(shared: Project) -> None:
    done = shared.run(f"{PREDICT} models/v1.0.0 {RAW} scored.csv")
    found = pyarrow.csv.read_csv(shared.path / "scored.csv")
    recorded = read_manifest_of(shared.path / "models/v1.0.0")
    rows = len(pq.read_table(shared.path / RAW))

    assert done.stdout == ""
    assert done.stderr == f"not used by the model: sex\nscored.csv: {rows} rows scored with penguins v1.0.0\n"
    assert len(found) == rows
    assert found["model_version"].unique().to_pylist() == ["v1.0.0"]
    assert found["model_sha256"].unique().to_pylist() == [recorded.model.sha256]


def test_the_callers_numeric_settings_change_no_byte_of_the_output(shared: Project) -> None:
    shared.run(f"{PREDICT} models/v1.0.0 {RAW} one.parquet")
    shared.run(f"{PREDICT} models/v1.0.0 {RAW} other.parquet", OMP_NUM_THREADS="2", OPENBLAS_CORETYPE="Haswell")

    assert (shared.path / "one.parquet").read_bytes() == (shared.path / "other.parquet").read_bytes()


def test_a_package_that_is_not_intact_scores_nothing(project: Project) -> None:
    model = project.path / "models/v1.0.0/model.joblib"
    content = model.read_bytes()
    model.unlink()
    model.write_bytes(content + b"\0")
    done = project.run(f"{PREDICT} models/v1.0.0 {RAW} scored.csv", check=False)

    assert done.returncode == 1
    assert done.stderr == "error: model.joblib: is not what SHA256SUMS says; restore the package\n"
    assert not (project.path / "scored.csv").exists()


def test_a_table_that_does_not_fit_is_told_in_one_line_for_each_column(shared: Project) -> None:
    table = pq.read_table(shared.path / RAW).drop(["island", "year"])
    pq.write_table(table, shared.path / "less.parquet")
    done = shared.run(f"{PREDICT} models/v1.0.0 less.parquet less.csv", check=False)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "error: less.parquet: column 'island' is missing; the model needs one, of string",
        "error: less.parquet: column 'year' is missing; the model needs one, of int64",
    ]
    assert not (shared.path / "less.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            "models/v1.0.0 rows.xlsx scored",
            [f"error: {name}: expected a file that ends in .csv or .parquet" for name in ("rows.xlsx", "scored")],
        ),
        (f"models/v9.9.9 {RAW} x.csv", ["error: models/v9.9.9/manifest.json: not found"]),
        (f"models/v1.0.0 {RAW} dvc.yaml/x.csv", ["not used by the model: sex", "error: dvc.yaml: File exists"]),
    ],
)
def test_what_cannot_be_done_as_asked_is_said_in_a_line(shared: Project, arguments: str, lines: list[str]) -> None:
    done = shared.run(f"{PREDICT} {arguments}", check=False)

    assert done.returncode != 0
    assert done.stderr.splitlines() == lines


def test_a_model_of_another_environment_scores_nothing(project: Project) -> None:
    seal(project.path / "models/v1.0.0", environment__python="3.2.1")
    done = project.run(f"{PREDICT} models/v1.0.0 {RAW} scored.csv", check=False)

    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        f"error: Python: the model was trained with 3.2, this is {sys.version_info.major}.{sys.version_info.minor}",
        "error: install the requirements.txt of the package, then load it",
    ]
    assert not (project.path / "scored.csv").exists()


def test_the_input_is_not_overwritten(project: Project) -> None:
    table = "data/raw/penguins_v1.0.0.parquet"
    before = (project.path / table).read_bytes()
    done = project.run(f"python src/predict.py models/v1.0.0 {table} ./{table}", check=False)

    assert done.returncode == 1
    assert "is the input, which is not overwritten; name another output" in done.stderr
    assert (project.path / table).read_bytes() == before


def test_no_environment_variable_of_an_unverified_manifest_is_set(project: Project) -> None:
    folder = project.path / "models/v1.0.0"
    manifest = folder / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"numeric": {', f'"numeric": {{\n      "PYTHONPATH": "{folder}",'))
    (folder / "sitecustomize.py").write_text("open('mark', 'w')")
    table = "data/raw/penguins_v1.0.0.parquet"
    done = project.run(f"python src/predict.py models/v1.0.0 {table} out.csv", check=False)

    assert done.returncode == 1
    assert "PYTHONPATH: is no numeric setting, so it is not set" in done.stderr
    assert not (project.path / "mark").exists()
