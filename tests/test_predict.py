import shutil
import sys
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from projects import CHECKOUT, Project
from tables import PENGUINS, VERSION, seal, write_package_of

from record.models import read_manifest_of

PREDICT = f"python {CHECKOUT / 'src/predict.py'} models/{VERSION}"


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A folder with a package and rows, for tests that write only files of their own."""
    folder = tmp_path_factory.mktemp("shared")
    write_package_of(folder / "models" / VERSION)
    pq.write_table(PENGUINS, folder / "rows.parquet")
    return Project(folder)


@pytest.fixture
def own(shared: Project, tmp_path: Path) -> Project:
    """A copy for one test to do with as it likes."""
    return Project(Path(shutil.copytree(shared.path, tmp_path / "own")))


def refusal(project: Project, arguments: str) -> list[str]:
    """What `predict.py` complains of."""
    done = project.run(f"{PREDICT} {arguments}", check=False)
    assert done.returncode == 1
    return done.stderr.splitlines()


def test_a_table_is_scored_and_the_output_names_the_model(shared: Project) -> None:
    done = shared.run(f"{PREDICT} rows.parquet scored.csv")
    found = pyarrow.csv.read_csv(shared.path / "scored.csv")

    assert done.stdout == ""
    assert done.stderr == "not used by the model: sex\nscored.csv: 12 rows scored with penguins v1.0.0\n"
    assert found["prediction"].to_pylist() == PENGUINS["sex"].to_pylist()
    assert found["model_version"].unique().to_pylist() == [VERSION]
    assert found["model_sha256"].unique().to_pylist() == [
        read_manifest_of(shared.path / "models" / VERSION).model.sha256
    ]


def test_the_callers_numeric_settings_change_no_byte_of_the_output(own: Project) -> None:
    seal(own.path / "models" / VERSION, environment__numeric={"OMP_NUM_THREADS": "1"})
    own.run(f"{PREDICT} rows.parquet one.parquet")
    own.run(f"{PREDICT} rows.parquet other.parquet", OMP_NUM_THREADS="2", OPENBLAS_CORETYPE="Haswell")

    assert (own.path / "one.parquet").read_bytes() == (own.path / "other.parquet").read_bytes()


def test_a_package_that_is_not_intact_scores_nothing(own: Project) -> None:
    with (own.path / "models" / VERSION / "model.joblib").open("ab") as file:
        file.write(b"\0")

    assert "error: model.joblib: is not what SHA256SUMS says; restore it" in refusal(own, "rows.parquet none.csv")
    assert not (own.path / "none.csv").exists()


def test_a_table_that_does_not_fit_is_refused_with_a_line_for_each_column(shared: Project) -> None:
    pq.write_table(PENGUINS.drop(["island", "mass_g"]), shared.path / "less.parquet")

    assert refusal(shared, "less.parquet less.csv") == [
        "error: less.parquet: column 'island' is missing; the model needs one, of string",
        "error: less.parquet: column 'mass_g' is missing; the model needs one, of int64",
    ]
    assert not (shared.path / "less.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        (
            "rows.xlsx scored",
            [f"error: {name}: expected a file that ends in .csv or .parquet" for name in ("rows.xlsx", "scored")],
        ),
        (
            "rows.parquet models/v1.0.0/manifest.json/x.csv",
            ["not used by the model: sex", "error: models/v1.0.0/manifest.json: File exists"],
        ),
        (
            "rows.parquet ./rows.parquet",
            ["error: rows.parquet: is the input, which is not overwritten; name another output"],
        ),
    ],
)
def test_unusable_paths_are_refused(shared: Project, arguments: str, lines: list[str]) -> None:
    before = shared.snapshot(".")

    assert refusal(shared, arguments) == lines
    assert shared.snapshot(".") == before


def test_a_missing_package_is_refused(own: Project) -> None:
    shutil.rmtree(own.path / "models")

    assert refusal(own, "rows.parquet x.csv")[0].startswith("error: models/v1.0.0/manifest.json: not found")


def test_a_model_of_another_environment_scores_nothing(own: Project) -> None:
    seal(own.path / "models" / VERSION, environment__python="3.2.1")

    assert refusal(own, "rows.parquet none.csv") == [
        f"error: Python: the model was trained with 3.2, this is {sys.version_info.major}.{sys.version_info.minor}",
        "error: install the requirements.txt of the package, then load it",
    ]
    assert not (own.path / "none.csv").exists()


def test_no_other_variable_of_an_unverified_manifest_is_set(own: Project) -> None:
    folder = own.path / "models" / VERSION
    seal(folder, environment__numeric={"PYTHONPATH": str(folder)})
    (folder / "sitecustomize.py").write_text("open('mark', 'w')")

    assert "PYTHONPATH: is not a numeric setting, so it is not set" in refusal(own, "rows.parquet out.csv")[0]
    assert not (own.path / "mark").exists()
