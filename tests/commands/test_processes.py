import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from projects import CHECKOUT, MODELS, Project

from commands.processes import Commands, fetched, scratch_clone
from record.problem import Problem

READ = "import os, sys; print(*[os.environ.get(name) for name in sys.argv[1:]])"


def test_what_a_command_prints_is_read_or_goes_to_stderr_or_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    assert Commands().read("-c", "print('some', 'words')") == "some words"
    assert Commands().read("-c", "print('some'); raise SystemExit(3)") is None
    assert Commands().run("-c", "print('told')")
    assert Commands().complaint("-c", "import sys; print('never'); sys.exit('why')") == "why"

    assert capfd.readouterr() == ("", "told\n")


def test_neither_a_hook_nor_a_run_of_dvc_leads_a_command_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    names = ["GIT_DIR", "GIT_INDEX_FILE", "DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"]
    for name in (*names, "GIT_AUTHOR_NAME"):
        monkeypatch.setenv(name, "elsewhere")
    told = (Commands().read("-c", READ, *names, "GIT_AUTHOR_NAME", "PATH") or "").split(" ", len(names) + 1)

    assert told[:-1] == [*["None"] * len(names), "elsewhere"]
    assert told[-1].split(os.pathsep)[0] == str(Path(sys.executable).parent)


def test_a_fetched_file_and_a_scratch_clone_are_as_the_commit_has_them_and_gone_afterwards(here: Project) -> None:
    here.run("git tag penguins@v1.0.0")
    whole, commit = (here.path / MODELS[0]).read_bytes(), here.run("git rev-parse HEAD~1").stdout.strip()
    (here.path / MODELS[0]).write_bytes(b"another")
    with fetched(Path(MODELS[0]), here.head()) as model, scratch_clone(commit) as folder:
        assert model.read_bytes() == whole
        clone = Project(folder)
        assert (clone.head(), clone.run("git tag").stdout, clone.run("git status --porcelain").stdout) == (
            commit,
            "",
            "",
        )

    assert not model.parent.exists()
    assert not folder.exists()
    with pytest.raises(Problem, match=r"^--help: "):
        fetched(Path("--help"), here.head()).__enter__()


@pytest.mark.skipif(os.name != "posix", reason="process groups are of POSIX")
def test_interrupting_ends_what_the_command_has_started(tmp_path: Path) -> None:
    started, late = tmp_path / "started", tmp_path / "late"
    child = f"import pathlib, time; time.sleep(1); pathlib.Path({str(late)!r}).touch()"
    touch = f"import subprocess, sys; open({str(started)!r}, 'w').close()"
    parent = f"{touch}; subprocess.run([sys.executable, '-c', {child!r}])"
    command = [sys.executable, "-c", f"from commands.processes import Commands; Commands().run('-c', {parent!r})"]
    environment = os.environ | {"PYTHONPATH": str(CHECKOUT / "src")}
    with subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL) as process:
        while process.poll() is None and not started.exists():
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)

    time.sleep(1.5)
    assert process.returncode != 0
    assert not late.exists()
