"""A model that is learned in batches, from params.yaml to a rebuild and a prediction."""

import json
import re
import sys

import pyarrow.parquet as pq
import pytest
from projects import CHECKOUT, SOURCE, Project, recipe

PREDICT = f"python src/predict.py models/v1.1.0 {SOURCE} scored.parquet"


@pytest.mark.usefixtures("template")
def test_a_model_that_learned_in_batches_is_verified_rebuilt_and_predicts(project: Project) -> None:
    project.set(train__batch_rows=64, train__passes=10)
    project.type(recipe("Learning in batches"))
    project.set(package__version="v1.1.0")
    project.release()
    made = json.loads((project.path / "models/v1.1.0/manifest.json").read_text())

    assert made["params"]["train"]["batch_rows"] == 64
    assert (made["model"]["deterministic"], made["run"]["git"]["dirty"]) == (True, False)
    assert made["metrics"]["balanced_accuracy"]["cv_mean"] > 0.8
    assert "src/modeling/streaming.py" in made["stages"]["train"]["deps"]
    before = json.loads((project.path / "models/v1.0.0/manifest.json").read_text())
    assert made["model"]["features"] == before["model"]["features"]
    assert project.ask("verify v1.1.0").stdout.startswith("ok")
    assert "v1.1.0: rebuilt byte for byte" in project.ask("rebuild v1.1.0").stdout
    project.run(PREDICT)
    assert len(pq.read_table(project.path / "scored.parquet")) == 344


@pytest.mark.usefixtures("template")
def test_an_estimator_that_cannot_learn_in_batches_stops_the_run_with_one_sentence(project: Project) -> None:
    project.set(train__stream=True)
    done = project.run("dvc repro train", check=False)
    (line,) = [line for line in done.stderr.splitlines() if "partial_fit" in line]

    assert "estimators.logistic_regression.class: LogisticRegression learns from all rows at once" in line


@pytest.mark.long
@pytest.mark.usefixtures("template")
def test_ten_million_rows_take_less_than_a_gibibyte_in_every_stage_and_are_rebuilt_byte_for_byte() -> None:
    benchmark = Project(CHECKOUT).run(f"{sys.executable} benchmarks/size.py growth:10000000")
    (row,) = [line for line in benchmark.stdout.splitlines() if line.startswith("| 10,000,000")]

    assert row.endswith("byte for byte |")
    assert len(held := re.findall(r"(\d+) MiB", row)) == 5
    assert max(map(int, held)) < 1024


@pytest.mark.long
@pytest.mark.usefixtures("template")
def test_a_table_of_twenty_gigabytes_is_prepared_and_scored_in_less_than_600_mebibytes() -> None:
    benchmark = Project(CHECKOUT).run(f"{sys.executable} benchmarks/size.py large:66000000")
    rows = [line for line in benchmark.stdout.splitlines() if line.startswith("| 66,000,000")]

    assert float(rows[1].split("|")[3]) > 19  # of CSV
    assert all(int(held) < 600 for row in rows for held in re.findall(r"(\d+) MiB", row))
