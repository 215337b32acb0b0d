"""A transformer of the user's own, from params.yaml to a prediction."""

import json
import shutil
from pathlib import Path

import pyarrow.csv
import pyarrow.parquet as pq
import pytest
from projects import SOURCE, Project, append, built_once

OWN = "src/own/features.py"
RATIO = {"class": "own.features.Ratio", "of": "body_mass_g", "to": "flipper_length_mm"}
PREDICT = f"python src/predict.py models/v1.1.0 {SOURCE}"


@pytest.fixture(scope="module")
def _released(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    def build(folder: Path) -> None:
        project = finished.copy(folder / "project")
        project.set(train__features=[RATIO], package__version="v1.1.0")
        project.release()

    return Project(built_once(tmp_path_factory, "own-features", build) / "project")


@pytest.fixture
def released(_released: Project, tmp_path: Path) -> Project:
    """v1.1.0 learned from a ratio."""
    return _released.copy(tmp_path / "project")


def test_the_manifest_names_the_class_its_settings_and_its_file_and_is_right(released: Project) -> None:
    made = json.loads((released.path / "models/v1.1.0/manifest.json").read_text())

    assert made["params"]["train"]["features"] == [RATIO]
    assert made["model"]["steps"][0] == {"name": "features_1", "class": "own.features.Ratio"}
    assert OWN in made["stages"]["train"]["deps"]
    assert made["model"]["deterministic"]
    assert not made["run"]["git"]["dirty"]
    released.ask("verify v1.1.0")


@pytest.mark.long  # code of one's own is rebuilt in test_any_pipeline.py
def test_the_version_is_rebuilt_byte_for_byte(released: Project) -> None:
    assert "v1.1.0: rebuilt byte for byte" in released.ask("rebuild v1.1.0").stdout


def test_an_edit_of_the_file_trains_again_and_is_what_diff_names(released: Project) -> None:
    append(released.path / OWN, b"# reworded\n")
    released.set(package__version="v1.2.0")
    done = released.run("dvc repro")

    assert "Running stage 'train'" in done.stdout
    assert "Running stage 'prepare'" not in done.stdout
    assert OWN in released.ask("diff v1.1.0 v1.2.0").stdout


def test_one_row_is_scored_as_it_is_among_all(released: Project) -> None:
    pq.write_table(pq.read_table(released.path / SOURCE).slice(7, 1), released.path / "one.parquet")
    released.run(f"{PREDICT} scored.csv")
    released.run("python src/predict.py models/v1.1.0 one.parquet one.csv")
    every, one = (pyarrow.csv.read_csv(released.path / f"{name}.csv") for name in ("scored", "one"))

    assert one["probability_male"].to_pylist() == pytest.approx(every["probability_male"].to_pylist()[7:8])


def test_code_that_nobody_committed_is_not_loaded(released: Project) -> None:
    append(released.path / OWN, b"# not reviewed\n")
    done = released.run(f"{PREDICT} scored.csv", check=False)
    line, advice = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert line == f"error: model.joblib: asks for own.features.Ratio, and {OWN} is not committed as it is"

    released.type(advice.partition("then ")[2].replace("git commit", "git commit -m Reviewed"))
    released.run(f"{PREDICT} scored.csv")


def test_new_rows_that_a_transformer_cannot_take_end_in_a_sentence(released: Project) -> None:
    code = (released.path / OWN).read_text()
    (released.path / OWN).write_text(
        code.replace("divisor = frame", "{181: 0}[int(frame[self.to].min())]; divisor = frame")
    )
    released.commit("Trust no flipper but one")
    done = released.run(f"{PREDICT} scored.csv", check=False)

    assert f"error: {SOURCE}: cannot be read or scored: KeyError: 172" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_second_file_that_dvc_yaml_does_not_list_is_named(released: Project) -> None:
    shutil.copy(released.path / OWN, released.path / "src/own/more.py")
    released.set(train__features=[RATIO | {"class": "own.more.Ratio"}], package__version="v1.2.0")
    done = released.run("dvc repro", check=False)

    assert done.returncode != 0
    assert "src/own/more.py: train reads it, but dvc.yaml does not list it in the stage's deps; add it" in done.stderr
