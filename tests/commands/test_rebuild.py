"""Rebuilding: a version is made again elsewhere, and whatever was recorded otherwise than it was made shows."""

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import Project

REBUILD = "python src/lineage.py rebuild v1.0.0"
PREPARED = r"(path: data/prepared\n\s+hash: md5\n\s+md5: )\w{32}\.dir"
MANIFEST = "models/v1.0.0/manifest.json"


def test_a_version_is_rebuilt_byte_for_byte_and_nothing_of_the_callers_is_touched(
    project: Project, tmp_path: Path
) -> None:
    before = project.snapshot("models", "data", "reports", ".git", ".dvc/cache", "src")
    (tmp_path / "scratch").mkdir()
    done = project.run(f"{REBUILD} --json", TMPDIR=str(tmp_path / "scratch"))
    answer = json.loads(done.stdout)

    assert answer["identical"]
    assert [file["path"] for file in answer["files"] if not file["identical"]] == []
    assert {"models/v1.0.0/model.joblib", MANIFEST, "data/prepared", "reports/metrics.json", "dvc.lock"} <= {
        file["path"] for file in answer["files"]
    }
    assert project.snapshot("models", "data", "reports", ".git", ".dvc/cache", "src") == before
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_changed_working_tree_does_not_matter_but_an_uncommitted_package_does(project: Project) -> None:
    project.set(train__seed=7)
    assert project.run(REBUILD).returncode == 0

    project.run("dvc repro")
    done = project.run(REBUILD, check=False)

    assert done.returncode == 2
    assert f"error: {MANIFEST}: no commit holds it as it stands; commit it, then rebuild" in done.stderr


@pytest.mark.parametrize(
    ("file", "pattern", "edited", "differs", "cause"),
    [
        (MANIFEST, r'"test": 0\.87\d+', '"test": 0.99', MANIFEST, "recorded otherwise than it was made"),
        (MANIFEST, r'"rows": 344', '"rows": 345', MANIFEST, "data: source.rows 345 → 344"),
        ("dvc.lock", PREPARED, rf"\g<1>{'0' * 32}.dir", "data/prepared", "recorded otherwise"),
        ("dvc.lock", r"folds: 5", "folds: 6", "dvc.lock", "what it records of train"),
    ],
)
def test_a_record_that_was_edited_and_committed_is_found_out(  # noqa: PLR0913, PLR0917
    project: Project, file: str, pattern: str, edited: str, differs: str, cause: str
) -> None:
    path = project.path / file
    path.write_text(re.sub(pattern, edited, path.read_text()))
    project.commit("Look better than it is")
    done = project.run(f"{REBUILD} --json", check=False)
    outcomes = {outcome["path"]: outcome for outcome in json.loads(done.stdout)["files"]}

    assert done.returncode == 1
    assert not outcomes[differs]["identical"]
    assert cause in outcomes[differs]["cause"]


def test_raw_data_that_dvc_tracks_comes_from_the_cache_or_else_from_the_remote(
    project: Project, tmp_path: Path
) -> None:
    raw = project.path / "data/raw/penguins_v1.1.0.parquet"
    project.run(f"git rm -q --cached {raw}")
    project.run(f"dvc add -q {raw}")
    project.run(f"dvc remote add -q -d storage {tmp_path / 'storage'}")
    project.set(train__seed=7)
    project.commit("Track the table with DVC")
    project.run("dvc repro")
    project.commit("Run the pipeline")
    project.run("dvc push -q")

    assert project.run(REBUILD).returncode == 0

    subprocess.run(["rm", "-rf", str(project.path / ".dvc/cache")], check=True)
    assert project.run(REBUILD).returncode == 0

    subprocess.run(["rm", "-rf", str(tmp_path / "storage")], check=True)
    done = project.run(REBUILD, check=False)
    assert done.returncode == 2
    assert "neither the cache nor the remote has it; dvc push it where it is, then rebuild" in done.stderr


def test_an_experiment_is_rebuilt_by_its_name(project: Project) -> None:
    project.run("dvc exp run -q -n weaker -S estimators.logistic_regression.C=0.1")
    project.run("git checkout -q .")

    assert "rebuilt byte for byte" in project.run("python src/lineage.py rebuild weaker").stdout


def test_a_version_that_is_not_there_is_an_error_with_the_nearest_name(project: Project) -> None:
    done = project.run("python src/lineage.py rebuild v1.0.1", check=False)

    assert done.returncode == 2
    assert done.stderr == "error: 'v1.0.1' is no version, revision or experiment; did you mean 'v1.0.0'?\n"


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_leaves_no_scratch_folder(project: Project, tmp_path: Path, sign: signal.Signals) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command = [sys.executable, "src/lineage.py", "rebuild", "v1.0.0"]
    environment = os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen(command, cwd=project.path, env=environment, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not list(scratch.glob("rebuild-*/repository/.dvc/tmp")):
            time.sleep(0.05)
        process.send_signal(sign)
        process.communicate()

    assert process.returncode not in {0, 1}
    assert list(scratch.iterdir()) == []
