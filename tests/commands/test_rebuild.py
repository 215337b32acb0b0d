import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from projects import PACKAGE, SOURCE, VERSION, Project
from tables import seal

from commands.processes import Commands, scratch_clone
from commands.rebuild import fetch_data, likely_cause, run, way_out
from commands.versions import Version, commit_that_made, find_version
from record.problem import Problem

MANIFEST = f"{PACKAGE}/manifest.json"
KEPT = ("models", "data", "reports", ".git", ".dvc/cache", "src")


def test_a_rebuild_is_byte_for_byte_and_touches_nothing_of_the_callers(project: Project, tmp_path: Path) -> None:
    project.set(train__seed=7)  # a changed working tree does not matter
    before = project.snapshot(*KEPT)
    (tmp_path / "scratch").mkdir()
    answer = json.loads(project.ask(f"rebuild {VERSION} --json", TMPDIR=str(tmp_path / "scratch")).stdout)

    assert (answer["version"], answer["commit"], answer["identical"]) == (VERSION, project.head(), True)
    assert all(file["identical"] for file in answer["files"])
    assert {f"{PACKAGE}/model.joblib", MANIFEST, "data/prepared", "reports/metrics.json", "dvc.lock"} <= {
        file["path"] for file in answer["files"]
    }
    assert project.snapshot(*KEPT) == before
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_version_is_rebuilt_from_the_commit_that_made_it_and_an_experiment_from_its_own(own: Project) -> None:
    release, worse, head = find_version("main"), find_version("worse"), own.head()

    assert commit_that_made(Version("v1.0.0")) == commit_that_made(release) == release.commit
    assert commit_that_made(Version("v1.1.0")) == commit_that_made(find_version("next")) == head
    assert commit_that_made(worse) == worse.commit != head
    assert commit_that_made(Version("v1.0.0", head)) == release.commit  # HEAD has it, but made another

    seal(own.path / "models/v1.1.0", metrics={})
    with pytest.raises(Problem, match=r"no commit holds it as it is, with the dvc.lock of that run; commit"):
        commit_that_made(Version("v1.1.0"))


def test_everything_that_was_edited_and_committed_is_found(here: Project) -> None:
    lock = Path("dvc.lock")
    edited = re.sub(r"(path: data/prepared\n.*\n.*md5: )\w{32}", rf"\g<1>{'0' * 32}", lock.read_text())
    lock.write_text(edited.replace("folds: 5", "folds: 6"))
    seal(here.path / PACKAGE, metrics__balanced_accuracy__test=0.99)
    here.commit("Look better than it is")
    told = run(VERSION, fresh_env=False)
    differing = {file["path"]: file["cause"] for file in told.facts["files"] if not file["identical"]}

    assert not told.holds
    assert ["identical", f"{PACKAGE}/model.joblib"] in [line.split() for line in told.lines]
    assert told.lines[-2].startswith("differs    dvc.lock ")
    assert told.lines[-2].endswith("  (what it records of train, package)")
    assert differing.keys() == {"data/prepared", MANIFEST, f"{PACKAGE}/SHA256SUMS", "dvc.lock"}
    assert differing[MANIFEST].startswith("what was recorded is not what was made: edited by hand, or made with other")
    assert told.lines[-1] == f"{VERSION}: not rebuilt byte for byte from commit {here.head()}"


@pytest.mark.usefixtures("story")
def test_the_likely_cause_is_the_first_difference_in_the_lineage() -> None:
    one, other, worse = (find_version(what).manifest() for what in ("v1.0.0", "v1.1.0", "worse"))
    threads = one.model.model_copy(update={"deterministic": False, "nondeterminism": "the order of threads"})

    assert re.fullmatch(r"data: data/raw/penguins_v1\.0\.0\.parquet\..+ and \d+ more", likely_cause(one, other))
    assert likely_cause(other, worse) == "parameters: estimator.C: 1.0 → 0.0001"
    assert likely_cause(one.model_copy(update={"model": threads}), other) == "not deterministic: the order of threads"


def test_raw_data_that_dvc_tracks_comes_from_the_cache_or_else_from_the_remote(here: Project, tmp_path: Path) -> None:
    content = Path(SOURCE).read_bytes()
    here.type(f"git rm -q --cached {SOURCE} && dvc add -q {SOURCE}")
    here.run(f"dvc remote add -q -d storage {tmp_path / 'storage'}")
    version = Version(VERSION, here.commit("Track the table with DVC"))
    here.run("dvc push -q")
    for lost in ("nothing", ".dvc/cache"):
        shutil.rmtree(lost, ignore_errors=True)
        with scratch_clone(str(version.commit)) as clone:
            fetch_data(version, Commands(cwd=clone))
            assert (clone / SOURCE).read_bytes() == content

    shutil.rmtree(tmp_path / "storage")
    shutil.rmtree(".dvc/cache", ignore_errors=True)
    said = "neither the cache nor the remote has it; dvc push it where it is, then rebuild"
    with scratch_clone(str(version.commit)) as clone, pytest.raises(Problem, match=said):
        fetch_data(version, Commands(cwd=clone))


def test_a_pipeline_that_does_not_run_blames_packages_only_where_they_differ(tmp_path: Path) -> None:
    for pins, fresh_env, blames in (("", False, False), ("numpy==0.1\n", False, True), ("numpy==0.1\n", True, False)):
        (tmp_path / "requirements.txt").write_text(pins)
        said = way_out(tmp_path, fresh_env)

        assert ("--fresh-env" in said) is blames
        assert ("access to a remote" in said) is not blames


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_interrupting_leaves_no_scratch_folder(project: Project, tmp_path: Path, sign: signal.Signals) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    command, environment = [sys.executable, "src/lineage.py", "rebuild", VERSION], os.environ | {"TMPDIR": str(scratch)}
    with subprocess.Popen(command, cwd=project.path, env=environment, stderr=subprocess.PIPE) as process:
        while process.poll() is None and not list(scratch.glob("rebuild-*/repository/.dvc/tmp")):
            time.sleep(0.05)
        process.send_signal(sign)
        process.communicate()

    assert process.returncode not in {0, 1}
    assert list(scratch.iterdir()) == []
