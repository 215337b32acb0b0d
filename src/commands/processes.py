"""The commands that a verb runs: Python, pip and DVC of one environment, in this repository or in a scratch clone."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from record import git
from record.problem import CannotAsk, Problem, step

HERE = Path()
# What DVC says where nobody has the bytes; whatever else it says means that it could not look.
NOT_THERE = ("No storage files available", "unexpected error - ['", "missing from", "does not exist", "not found in")


@dataclass(frozen=True)
class Commands:
    """An environment's Python, and the folder where its commands run."""

    python: Path = Path(sys.executable)
    cwd: Path = HERE

    def run(self, *arguments: str) -> bool:
        """Run `python …`, its messages passed on to the person on stderr; whether it went well."""
        return self._run(arguments, sys.stderr.fileno())[0] == 0

    def read(self, *arguments: str) -> str | None:
        """Run `python …`; what it printed, or None when it failed."""
        status, output = self._run(arguments, subprocess.PIPE)
        return output.decode().strip() if status == 0 else None

    def complaint(self, *arguments: str) -> str | None:
        """Run `python …` without its messages; the error that it ended with, or None when it went well."""
        status, output = self._run(arguments, subprocess.PIPE, subprocess.STDOUT)
        lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
        errors = [line.removeprefix("ERROR: ") for line in lines if line.startswith("ERROR: ")]
        return None if status == 0 else " ".join(errors or lines[-1:] or [f"exit status {status}"])

    def _run(self, arguments: tuple[str, ...], stdout: int, stderr: int | None = None) -> tuple[int, bytes]:
        # The stages' commands say `python`, so this environment's must be found first. A hook's or a caller's Git
        # variables must not lead the commands to another repository, nor DVC's own.
        environment = git.environment(PATH=f"{self.python.parent}{os.pathsep}{os.environ.get('PATH', '')}")
        for name in ("DVC_ROOT", "DVC_EXP_NAME", "DVC_EXP_BASELINE_REV"):
            environment.pop(name, None)
        command = [str(self.python), *arguments]
        new_group = os.name == "posix"
        with subprocess.Popen(
            command, cwd=self.cwd, env=environment, stdout=stdout, stderr=stderr, start_new_session=new_group
        ) as process:
            try:
                output, _ = process.communicate()
            except BaseException:  # Ctrl-C: what the command itself has started must not go on either
                if new_group:
                    os.killpg(process.pid, signal.SIGKILL)
                raise
            return process.returncode, output or b""


@contextmanager
def fetched(path: Path, commit: str) -> Iterator[Path]:
    """A file as a commit has it, in a temporary place, as `fetch` gets it.

    Raises:
        Problem: when nobody has it.
        CannotAsk: as `fetch` does.
    """
    with tempfile.TemporaryDirectory(prefix="fetched-") as folder:
        target = Path(folder) / path.name
        with step(f"fetching {path}", to_all=False):
            is_there = fetch(path, commit, target) and target.is_file()
        if not is_there:
            raise Problem(f"{path}: neither DVC's cache nor a remote has it as commit {commit} records it")
        yield target


def fetch(path: Path, commit: str, target: Path) -> bool:
    """Get a file or a folder as a commit has it, from Git, DVC's cache or the remote; False where nobody has it.

    DVC does not check what it hands out (iterative/dvc#9572), so whoever asks must compare the hash.

    Raises:
        CannotAsk: when a remote cannot be reached, or DVC's configuration cannot be read.
    """
    get = ("get", "--force", "--rev", commit, "--out", str(target), "--", ".", path.as_posix())
    complaint = Commands().complaint("-m", "dvc", *get)
    if complaint and not any(words in complaint for words in NOT_THERE):
        raise CannotAsk(f"{path}: DVC cannot say whether it has it as commit {commit} records it: {complaint}")
    return complaint is None


@contextmanager
def scratch_clone(commit: str) -> Iterator[Path]:
    """A clone of this repository at a commit, without tags, so that nothing counts as released in it."""
    top = git.ask("rev-parse", "--show-toplevel")
    with tempfile.TemporaryDirectory(prefix="rebuild-") as folder:
        target = Path(folder) / "repository"
        no_hooks = ("-c", f"core.hooksPath={os.devnull}")
        clone = ("clone", "--quiet", "--shared", "--no-tags", "--no-checkout", str(top), str(target))
        git.ask(*no_hooks, *clone, no=())
        git.ask("remote", "remove", "origin", cwd=target, no=())  # the caller's releases are not to be asked for
        git.ask(*no_hooks, "checkout", "--quiet", "--detach", commit, cwd=target, no=())
        yield target / git.prefix()
