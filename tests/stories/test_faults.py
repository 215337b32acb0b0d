"""Nothing that was whole is lost, and one command brings the rest back: killed, full, read-only, twice at once, cut."""

import os
import pickle
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from faults import FROM_README, Bases, leftovers, lost, make_bases, objects, recover, start, table, try_kills, unsound
from projects import Project, built_once

pytestmark = pytest.mark.skipif(os.name == "nt", reason="kills process groups, mounts and changes modes")

FEW = 2
MANY = int(os.environ.get("KILLS", "30"))
MODEL = "models/v1.0.0/model.joblib"
RWLOCK = b'{"dvc.lock": {"write": {"pid": 7, "cmd": "dvc repro"}}}'


@pytest.fixture(scope="module")
def bases(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Bases:
    def build(folder: Path) -> None:
        (folder / "bases.pickle").write_bytes(pickle.dumps(make_bases(finished, folder)))

    folder = built_once(tmp_path_factory, "bases", build)
    found: Bases = pickle.loads((folder / "bases.pickle").read_bytes())  # noqa: S301 - written above
    return found


def mount(*arguments: str | Path) -> None:
    """Mount, or skip the test: it takes root, and a machine that lets root do it."""
    done = subprocess.run(["mount", *map(str, arguments)], check=False, capture_output=True, text=True)
    if done.returncode != 0:
        pytest.skip(f"cannot mount here: {done.stderr.strip()}")


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    """A disk of its own, whose size can be changed."""
    if not shutil.which("mount") or os.geteuid() != 0:
        pytest.skip("a small disk can only be mounted by root, on Linux")
    folder.mkdir()
    mount("-t", "tmpfs", "-o", "size=64m", "tmpfs", folder)
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def read_only(folder: Path) -> Iterator[None]:
    """A folder in which nothing can be written; root is not stopped by modes, so it takes a mount there."""
    if os.geteuid() != 0:
        inside = [folder, *(path for path in folder.rglob("*") if path.is_dir())]
        modes = {path: path.stat().st_mode for path in inside}
        try:
            for path in inside:
                path.chmod(0o555)
            yield
        finally:
            for path, mode in modes.items():
                path.chmod(mode)
        return
    if not shutil.which("mount"):
        pytest.skip("root needs a read-only mount, which this system has not")
    mount("--bind", folder, folder)
    try:
        mount("-o", "remount,ro,bind", folder)
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def assert_whole(project: Project, bases: Bases, before: dict[str, bool]) -> None:
    """Nothing is lost, v1.1.0 is as an undisturbed run makes it, and no unfinished file lies around."""
    assert [*lost(project, bases, before), *unsound(project, bases), *leftovers(project)] == []


@pytest.mark.parametrize("kills", [FEW, pytest.param(MANY, marks=pytest.mark.long)])
def test_a_kill_at_any_moment_loses_nothing_and_documented_commands_bring_all_back(
    bases: Bases, tmp_path: Path, kills: int
) -> None:
    """`KILLS=220 SEED=2 pytest -m long -rP tests/stories/test_faults.py -k kill` prints the table of docs/faults.md."""
    seed = int(os.environ.get("SEED", "1"))
    outcomes = list(try_kills(bases, kills, seed, tmp_path, jobs=2 if kills == MANY else 1))
    figures = "\n".join(table(outcomes))
    print(figures)  # noqa: T201 - for docs/faults.md

    bad = [outcome for outcome in outcomes if outcome.losses or any("failed" in done for done in outcome.commands)]
    assert not bad, "\n".join([*map(str, bad), figures])
    assert len(outcomes) == kills


@pytest.mark.parametrize(
    ("file", "empty"),
    [
        ("dvc.lock", False),
        pytest.param("dvc.lock", True, marks=pytest.mark.long),
        pytest.param(".dvc/tmp/rwlock", False, marks=pytest.mark.long),
        pytest.param(".dvc/tmp/rwlock", True, marks=pytest.mark.long),
    ],
)
def test_a_file_that_dvc_was_killed_while_writing_is_repaired_by_the_readmes_command(
    bases: Bases, tmp_path: Path, file: str, empty: bool
) -> None:
    project = bases.copy("trained", tmp_path / "project")
    before = objects(project.path / ".dvc/cache")
    path = project.path / file
    whole = path.read_bytes() if file == "dvc.lock" else RWLOCK
    path.write_bytes(b"" if empty else whole.rpartition(b":")[0])
    stopped = project.run("dvc repro", check=False).returncode != 0

    assert stopped or empty
    assert recover(project, "dvc repro") == ("dvc repro", FROM_README)[: 1 + stopped]
    assert_whole(project, bases, before)


@pytest.mark.parametrize("missing", [8, pytest.param(196, marks=pytest.mark.long)])  # KiB for the package
def test_a_full_disk_loses_nothing_and_documented_commands_go_on_once_there_is_room(
    bases: Bases, tmp_path: Path, missing: int
) -> None:
    package = (bases.projects["done"].path / "models/v1.1.0").iterdir()
    needed = sum(-(-file.stat().st_size // 4096) * 4 for file in package)
    with small_disk(tmp_path / "disk") as disk:
        project = bases.copy("trained", disk / "project")
        before = objects(project.path / ".dvc/cache")
        mount("-o", f"remount,size={shutil.disk_usage(disk).used + (needed - missing) * 1024}", disk)
        done = project.run("dvc repro", check=False)
        lost_at_once = list(lost(project, bases, before))
        mount("-o", "remount,size=64m", disk)

        assert done.returncode != 0
        assert "Traceback" not in done.stderr
        assert lost_at_once == []
        assert recover(project, "dvc repro") in {("dvc repro",), ("dvc repro", FROM_README)}  # the lock may be cut
        assert_whole(project, bases, before)


@pytest.mark.parametrize(
    "folder", ["models", *(pytest.param(f, marks=pytest.mark.long) for f in ("data/prepared", "reports", ".dvc/cache"))]
)
def test_a_folder_that_cannot_be_written_is_named_and_costs_nothing(bases: Bases, tmp_path: Path, folder: str) -> None:
    project = bases.copy("asked", tmp_path / "project")
    before = objects(project.path / ".dvc/cache")
    with read_only(project.path / folder):
        done = project.run("dvc repro", check=False)

    assert done.returncode != 0
    assert folder in done.stderr
    assert "Traceback" not in done.stderr
    assert list(lost(project, bases, before)) == []
    assert recover(project, "dvc repro") == ("dvc repro",)
    assert_whole(project, bases, before)


def test_of_two_runs_at_once_one_works_and_the_other_waits_or_says_what_blocks_it(bases: Bases, tmp_path: Path) -> None:
    project = bases.copy("asked", tmp_path / "project")
    before = objects(project.path / ".dvc/cache")
    with start(project, "dvc repro") as one, start(project, "dvc repro") as other:
        said = {process.communicate()[0]: process.returncode for process in (one, other)}

    assert 0 in said.values()
    assert all(status == 0 or "is busy" in words or "acquire lock" in words for words, status in said.items()), said
    assert_whole(project, bases, before)


def test_a_corrupt_cache_object_is_checked_out_silently_found_by_verify_and_repaired_by_restore(
    bases: Bases, tmp_path: Path
) -> None:
    project = bases.copy("unshared", tmp_path / "project")
    project.run("dvc push -q")
    before = objects(project.path / ".dvc/cache")
    whole = (project.path / MODEL).read_bytes()
    corrupt(project, whole)
    (project.path / MODEL).unlink()

    project.run("dvc checkout")
    found = project.ask("verify v1.0.0", check=False)
    assert found.returncode == 1
    assert "model.joblib: is not what SHA256SUMS says; restore it" in found.stdout

    project.ask("restore v1.0.0")
    assert_whole(project, bases, before)


@pytest.mark.long
def test_a_corrupt_candidate_is_not_packaged_but_made_again(bases: Bases, tmp_path: Path) -> None:
    project = bases.copy("trained", tmp_path / "project")
    before = objects(project.path / ".dvc/cache")
    model = project.path / "models/candidate/model.joblib"
    corrupt(project, model.read_bytes())
    shutil.rmtree(model.parent)
    project.run("dvc checkout models/candidate")

    assert recover(project, "dvc repro") == ("dvc repro",)
    assert_whole(project, bases, before)


def corrupt(project: Project, content: bytes) -> None:
    """Change the first byte of the cache objects of a content, and keep their size."""
    for name in objects(project.path / ".dvc/cache"):
        file = project.path / ".dvc/cache" / name
        if file.read_bytes() == content:
            file.chmod(0o644)
            file.write_bytes(bytes([content[0] ^ 1]) + content[1:])
