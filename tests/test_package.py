"""Packaging: the witnesses that must agree, and the record that is kept."""

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project

import package
from checksums import digest
from lock import Stage
from manifest import Manifest, read_manifest
from witness import Readings

PACKAGE = "models/v1.0.0"


def refused(project: Project) -> str:
    """What packaging says when it refuses; nothing that stood there may have changed."""
    before = project.snapshot(PACKAGE)
    done = project.run("python src/package.py", check=False)

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert project.snapshot(PACKAGE) == before
    return done.stderr


@pytest.mark.parametrize(
    "path",
    [
        "data/raw/penguins_v1.1.0.parquet",
        "data/prepared/train.parquet",
        "models/candidate/model.joblib",
        "reports/metrics.json",
    ],
)
def test_a_file_that_is_not_what_dvc_lock_records_is_refused(project: Project, path: str) -> None:
    file = project.path / path
    content = file.read_bytes()
    file.unlink()
    file.write_bytes(content + b"\0")

    assert "dvc.lock records" in refused(project)


@pytest.mark.parametrize("stage", ["prepare", "train"])
def test_a_dvc_lock_that_was_edited_is_refused(project: Project, stage: str) -> None:
    file = project.path / "dvc.lock"
    head, mark, tail = file.read_text().partition(f"  {stage}:\n")
    file.write_text(head + mark + re.sub(r"md5: [0-9a-f]{32}\.dir", f"md5: {'0' * 32}.dir", tail, count=1))

    assert f"dvc.lock records {'0' * 32}.dir for {stage}" in refused(project)


def test_parameters_that_differ_from_those_that_were_used_are_refused(project: Project) -> None:
    file = project.path / "dvc.lock"
    file.write_text(file.read_text().replace("folds: 5", "folds: 6"))

    assert "params.yaml: train: train used other values than dvc.lock records" in refused(project)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda path: (path / "dvc.lock").unlink(), "dvc.lock: not found; dvc repro writes it"),
        (lambda path: (path / "dvc.lock").write_text("stages: [1"), "dvc.lock: not what DVC writes"),
        (lambda path: (path / "dvc.lock").write_text("stages: {}"), "dvc.lock: has no stage 'prepare'; dvc repro"),
        (lambda path: (path / "models/candidate/description.json").unlink(), "not found; dvc repro makes it"),
        (lambda path: (path / "data/prepared/profile.json").write_text("{}"), "run dvc repro --force"),
    ],
)
def test_what_packaging_needs_and_does_not_find_is_named(
    project: Project, spoil: Callable[[Path], object], said: str
) -> None:
    for file in [*(project.path / "models/candidate").iterdir(), *(project.path / "data/prepared").iterdir()]:
        file.write_bytes(content) if (content := file.read_bytes()) and not file.is_symlink() else None
    spoil(project.path)

    assert said in refused(project)


def test_a_module_that_dvc_yaml_does_not_list_is_refused() -> None:
    readings = Readings(files={"src/extra.py": "0" * 32}, params={})

    assert list(package.disagreements("train", Stage(cmd="python src/train.py"), readings, [])) == [
        "src/extra.py: train reads it, but dvc.yaml does not list it in the stage's deps; add it"
    ]


def test_what_a_stage_read_must_be_what_dvc_hashed_after_it() -> None:
    readings = Readings(files={"a": "0" * 32}, params={})
    stage = Stage(cmd="", deps=[{"path": "a", "md5": "1" * 32}])

    (line,) = package.disagreements("train", stage, readings, [])

    assert line == f"a: train read {'0' * 32}, dvc.lock records {'1' * 32}: it changed meanwhile; run dvc repro"


def test_the_manifest_records_what_stands_on_disk(project: Project) -> None:
    made = read_manifest(project.path / PACKAGE / "manifest.json")

    for folder, file in [(PACKAGE, made.model), ("", made.data.source), ("", made.data.train), ("", made.data.test)]:
        found = digest(project.path / folder / file.path)
        assert (file.size, file.md5, file.sha256) == (found.size, found.md5, found.sha256)
    assert (made.data.source.rows, made.data.train.rows, made.data.test.rows) == (344, 266, 67)
    assert made.metrics["folds"]
    assert made.metrics.items() >= json.loads((project.path / "reports/metrics.json").read_text()).items()
    assert made.environment.requirements_sha256 == digest(project.path / PACKAGE / "requirements.txt").sha256
    assert made.stages["train"].deps["data/prepared/train.parquet"] == made.data.train.md5


def test_packaging_the_same_again_touches_no_file(project: Project) -> None:
    files = sorted((project.path / PACKAGE).iterdir())
    before = [(file.name, file.stat().st_mtime_ns, file.stat().st_ino) for file in files]
    project.run("python src/package.py")

    assert [(file.name, file.stat().st_mtime_ns, file.stat().st_ino) for file in files] == before


@pytest.mark.parametrize("name", ["model.joblib", "manifest.json", "requirements.txt", "SHA256SUMS"])
def test_packaging_again_mends_a_package_that_was_damaged(project: Project, name: str) -> None:
    before = project.snapshot(PACKAGE)
    (project.path / PACKAGE / name).unlink()
    project.run("python src/package.py")
    after = project.snapshot(PACKAGE)

    assert after.keys() == before.keys()
    assert after[f"{PACKAGE}/model.joblib"] == before[f"{PACKAGE}/model.joblib"]
    if name != "manifest.json":  # the birth date goes with it
        assert after == before


def born(document: Manifest, *, dirty: bool | None, at: str) -> Manifest:
    """The same lineage with another `run`; `dirty` None means without Git."""
    run = document.run.model_dump()
    run["git"] = None if dirty is None else {"commit": document.run.git.commit, "dirty": dirty, "remote": None}
    return Manifest.model_validate(document.model_dump() | {"run": run | {"created_at": at}})


@pytest.mark.parametrize(
    ("first", "second", "kept"),
    [(False, False, 0), (False, True, 0), (True, True, 0), (True, False, 1), (None, False, 1), (None, None, 0)],
)
def test_the_first_birth_is_kept_unless_a_clean_run_can_replace_another(
    finished: Project, monkeypatch: pytest.MonkeyPatch, first: bool | None, second: bool | None, kept: int
) -> None:
    monkeypatch.chdir(finished.path)
    document = read_manifest(finished.path / PACKAGE / "manifest.json")
    births = [
        born(document, dirty=dirty, at=f"202{k}-01-01T00:00:00Z") for k, dirty in enumerate((first, second), start=1)
    ]

    assert package.with_first_birth(births[1], births[0]) is births[kept]


def test_a_birth_in_another_repository_is_replaced_by_a_clean_run(
    finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever makes a repository of their own from the template has none of the template's commits."""
    monkeypatch.chdir(finished.path)
    document = read_manifest(finished.path / PACKAGE / "manifest.json")
    here, elsewhere = born(document, dirty=False, at="2021-01-01T00:00:00Z"), document.model_dump()
    elsewhere["run"]["git"]["commit"] = "0" * 40

    assert package.with_first_birth(here, Manifest.model_validate(elsewhere)) is here


def test_another_lineage_is_a_new_birth(finished: Project) -> None:
    document = read_manifest(finished.path / PACKAGE / "manifest.json")
    other = document.model_copy(update={"metrics": {}})

    assert package.with_first_birth(other, document) is other
    assert package.with_first_birth(other, None) is other
