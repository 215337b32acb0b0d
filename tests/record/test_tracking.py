"""dvc.lock: what DVC recorded, as we read it."""

from pathlib import Path

import pytest
from conftest import Project

from checksums import dvc_md5
from lock import Lock, parse_lock, read_lock
from problem import Problem

SCRIPT = """
from pathlib import Path

Path("out").mkdir()
Path("out/copy").write_bytes(Path("in.csv").read_bytes())
"""


@pytest.fixture
def ran(fresh: Project, tmp_path: Path) -> Project:
    """A repository in which DVC has run a stage."""
    project = fresh.copy(tmp_path / "project")
    (project.path / "in.csv").write_bytes(b"a\r\n1\r\n")
    (project.path / "copy.py").write_text(SCRIPT)
    project.run("dvc stage add --run --name copy -d in.csv -o out -p package.version python copy.py")
    return project


def test_what_dvc_records_of_a_stage_is_read_with_the_hashes_that_we_compute(ran: Project) -> None:
    stage = read_lock(ran.path / "dvc.lock").stages["copy"]

    assert stage.cmd == "python copy.py"
    assert stage.dependencies() == {"in.csv": dvc_md5(ran.path / "in.csv")}
    assert stage.outputs() == {"out": dvc_md5(ran.path / "out")}
    assert list(stage.params) == ["params.yaml"]
    assert list(stage.params["params.yaml"]) == ["package.version"]


def test_a_stage_without_dependencies_and_outputs_has_none() -> None:
    stage = parse_lock(b"stages: {hello: {cmd: echo}}").stages["hello"]

    assert (stage.dependencies(), stage.outputs(), stage.params) == ({}, {}, {})


def test_what_a_later_dvc_may_add_is_passed_over() -> None:
    entry = "{path: a, md5: 0a, size: 1, nfiles: 2, hash: md5, new: 3}"
    lock = parse_lock(f"schema: '3.0'\nstages: {{hello: {{cmd: echo, new: 1, outs: [{entry}]}}}}\nnew: 2\n".encode())

    assert lock.stages["hello"].outputs() == {"a": "0a"}


def test_a_repository_without_stages_has_an_empty_lock() -> None:
    assert parse_lock(b"schema: '2.0'\nstages: {}\n") == Lock(stages={})


def test_a_missing_lock_says_what_writes_it(tmp_path: Path) -> None:
    with pytest.raises(Problem) as caught:
        read_lock(tmp_path / "dvc.lock")

    assert caught.value.lines == (f"{tmp_path / 'dvc.lock'}: not found; dvc repro writes it",)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"[]",
        b"stages: [",
        b"schema: '2.0'",
        b"stages: {train: {}}",
        b"stages: {train: {cmd: echo, deps: [{path: a}]}}",
        b"stages: {train: {cmd: echo, outs: [{path: a, md5: 3}]}}",
        b"stages: {train: {cmd: echo}, train: {cmd: echo}}",
        b"<<<<<<< HEAD\nstages: {}\n=======\nstages: {}\n>>>>>>> main\n",
        b"stages: {}  # \xe9",
        b"\x00",
    ],
)
def test_what_dvc_does_not_write_is_refused_with_what_brings_the_lock_back(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "dvc.lock").write_bytes(content)

    for read in (lambda: parse_lock(content), lambda: read_lock(tmp_path / "dvc.lock")):
        with pytest.raises(Problem) as caught:
            read()

        assert caught.value.lines == (
            "dvc.lock: not what DVC writes; git checkout dvc.lock brings the committed one back",
        )
