import json
import shutil
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from projects import CHECKOUT, VERSION, Project
from tables import PENGUINS, seal, write_package_of

from record.models import read_manifest_of

PREDICT = f"python {CHECKOUT / 'src/predict.py'} --trust-unvouched models/{VERSION}"


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


def refusal(project: Project, arguments: str = "rows.parquet out.csv") -> list[str]:
    """What `predict.py` complains of, which must leave all files as they were."""
    before = project.snapshot(".")
    done = project.run(f"{PREDICT} {arguments}", check=False)
    assert done.returncode == 1
    assert project.snapshot(".") == before
    return done.stderr.splitlines()


def test_a_table_is_scored_and_the_output_names_the_model(shared: Project) -> None:
    done = shared.run(f"{PREDICT} rows.parquet scored.csv")
    found = pyarrow.csv.read_csv(shared.path / "scored.csv")
    model = read_manifest_of(shared.path / "models" / VERSION).model

    assert done.stdout == ""
    assert done.stderr == "not used by the model: sex\nscored.csv: 12 rows scored with penguins v1.0.0\n"
    assert found["prediction"].to_pylist() == PENGUINS["sex"].to_pylist()
    assert found["model_version"].unique().to_pylist() == [VERSION]
    assert found["model_sha256"].unique().to_pylist() == [model.sha256]


ODD = "column 'species': 12 rows with values that training never saw: 'adelie' (12, nearly 'Adelie')"


def test_what_training_never_saw_is_told_on_stderr_and_as_json_and_refused_with_strict(own: Project) -> None:
    pq.write_table(PENGUINS.set_column(0, "species", [["adelie"] * 12]), own.path / "odd.parquet")
    (own.path / "before.csv").write_text("the previous output")
    told = own.run(f"{PREDICT} odd.parquet odd.csv --json")
    refused = own.run(f"{PREDICT} odd.parquet before.csv --json --strict", check=False)

    tell = {"name": "unseen_values", "column": "species", "rows": 12, "text": ODD}
    facts = {"package": f"models/{VERSION}", "rows": 12, "output": "odd.csv", "warnings": [tell]}
    assert json.loads(told.stdout) == facts
    assert f"warning: {ODD}\n" in told.stderr
    assert refused.returncode == 1
    assert json.loads(refused.stdout) == facts | {"rows": None, "output": None}
    assert f"error: odd.parquet: {ODD}\nerror: nothing was written, as --strict asks\n" in refused.stderr
    assert (own.path / "before.csv").read_text() == "the previous output"


def test_the_callers_numeric_settings_change_no_byte_of_the_output(own: Project) -> None:
    seal(own.path / "models" / VERSION, environment__numeric={"OMP_NUM_THREADS": "1"})
    own.run(f"{PREDICT} rows.parquet one.parquet")
    own.run(f"{PREDICT} rows.parquet other.parquet", OMP_NUM_THREADS="2", OPENBLAS_CORETYPE="Haswell")

    assert (own.path / "one.parquet").read_bytes() == (own.path / "other.parquet").read_bytes()


KINDS = "a .parquet, .feather, .csv or .tsv file (the last two also with .gz, .bz2, .zst or .lz4)"
INPUT = f"rows.xlsx: expected a folder of Parquet files, or {KINDS}"
OUTPUT = "scored: expected a file that ends in .csv or .parquet"


SAME = "rows.parquet: is the input, which is not overwritten; name another output"
NO_FOLDER = f"models/{VERSION}/manifest.json: not found; make the folder, or name another output"


@pytest.mark.parametrize(
    ("arguments", "lines"),
    [
        ("rows.xlsx scored", [f"error: {INPUT}", f"error: {OUTPUT}"]),
        (f"rows.parquet models/{VERSION}/manifest.json/x.csv", [f"error: {NO_FOLDER}"]),
        ("rows.parquet ./rows.parquet", [f"error: {SAME}"]),
        (
            "models models/x.csv",
            ["error: models/x.csv: is inside of the input, which is not overwritten; name another output"],
        ),
    ],
)
def test_unusable_paths_are_refused(shared: Project, arguments: str, lines: list[str]) -> None:
    assert refusal(shared, arguments) == lines


def test_without_an_intact_package_of_this_environment_nothing_is_scored(own: Project) -> None:
    folder = own.path / "models" / VERSION
    seal(folder, environment__python="3.2.1")
    of_environment = refusal(own)
    (folder / "model.joblib").write_bytes(b"")
    of_package = refusal(own)
    shutil.rmtree(folder)

    assert of_environment[0].startswith("error: Python: the model was trained with 3.2, this is ")
    assert of_environment[1:] == ["error: install the requirements.txt of the package, then load it"]
    assert "error: model.joblib: is not what SHA256SUMS says; restore it" in of_package
    assert refusal(own)[0].startswith(f"error: models/{VERSION}/manifest.json: not found")


def test_no_other_variable_of_an_unverified_manifest_is_set(own: Project) -> None:
    folder = own.path / "models" / VERSION
    seal(folder, environment__numeric={"PYTHONPATH": str(folder)})
    (folder / "sitecustomize.py").write_text("open('mark', 'w')")

    assert "PYTHONPATH: is not a numeric setting, so it is not set" in refusal(own)[0]


def test_a_table_in_a_storage_is_refused_with_the_command_that_fetches_it(shared: Project) -> None:
    done = shared.run(f"{PREDICT} remote://lake/rows.parquet out.csv", check=False)

    assert done.returncode == 2
    assert "; dvc get-url remote://lake/rows.parquet fetches it" in done.stderr
