"""Real repositories, in which commands run as a user types them."""

import os
import re
import shlex
import shutil
import subprocess
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile

import pytest
from filelock import FileLock
from ruamel.yaml import YAML

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
VERSION = "v1.0.0"
PACKAGE = f"models/{VERSION}"
SOURCE = "data/raw/penguins_v1.1.0.parquet"
RELEASE = "python src/lineage.py release"
MODELS = ("models/v1.0.0/model.joblib", "models/v1.1.0/model.joblib")


@dataclass(frozen=True)
class Project:
    """A clone of this repository, as a user has it."""

    path: Path
    env: dict[str, str] = field(default_factory=dict)

    def run(
        self, command: str, *, check: bool = True, folder: str = ".", **env: str
    ) -> subprocess.CompletedProcess[str]:
        """Run one command line in a folder of the clone, without a shell."""
        return self._run(shlex.split(command), self.path / folder, self.env | env, check=check)

    def type(self, commands: str, *, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Type commands into one shell in the clone, which stops at the first that fails."""
        assert commands
        return self._run(["bash", "-euo", "pipefail", "-c", commands], self.path, self.env | env, check=check)

    @staticmethod
    def _run(command: list[str], folder: Path, env: dict[str, str], *, check: bool) -> subprocess.CompletedProcess[str]:
        # Into files: a pipe would be waited for until the workers of a queue, which inherit it, have ended too.
        with TemporaryFile("w+", encoding="utf-8") as stdout, TemporaryFile("w+", encoding="utf-8") as stderr:
            ended = subprocess.run(
                command,
                cwd=folder,
                env=os.environ | env,
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                check=False,
            )
            stdout.seek(0)
            stderr.seek(0)
            done = subprocess.CompletedProcess(command, ended.returncode, stdout.read(), stderr.read())
        assert not check or done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
        return done

    def ask(self, command: str, *, check: bool = True, **env: str) -> subprocess.CompletedProcess[str]:
        """Run a verb of lineage.py."""
        return self.run(f"python src/lineage.py {command}", check=check, **env)

    def set(self, **values: object) -> None:
        """Change params.yaml; a key's dots are written as two underscores."""
        yaml = YAML()
        file = self.path / "params.yaml"
        document = yaml.load(file)
        for key, value in values.items():
            *parents, name = key.split("__")
            section = document
            for parent in parents:
                section = section[parent]
            section[name] = value
        yaml.dump(document, file)

    def commit(self, message: str) -> str:
        """Commit all there is, and return the commit."""
        self.run("git add -A")
        self.run(f"git commit -qm {shlex.quote(message)}")
        return self.head()

    def head(self) -> str:
        """The commit that is checked out."""
        return self.run("git rev-parse HEAD").stdout.strip()

    def snapshot(self, *names: str) -> dict[str, bytes]:
        """The content of the files below some folders, to compare with later; not what Python keeps of its own."""
        files = [file for name in names for file in sorted((self.path / name).rglob("*")) if file.is_file()]
        kept = [file for file in files if "__pycache__" not in file.parts]
        return {file.relative_to(self.path).as_posix(): file.read_bytes() for file in kept}

    def copy(self, target: Path) -> "Project":
        """The same clone, with its cache, somewhere else."""
        shutil.copytree(self.path, target, symlinks=True)
        return Project(target, self.env)

    def release(self) -> None:
        """Run the pipeline from a commit, commit what it made, and release it."""
        self.commit("Ask for it")
        self.run("dvc repro")
        self.commit("Run the pipeline")
        self.run(RELEASE)


def append(path: Path, content: bytes = b"\n") -> None:
    """Change a file; what DVC linked or protected is replaced, not written through."""
    changed = path.read_bytes() + content
    path.unlink()
    path.write_bytes(changed)


def recipe(title: str) -> str:
    """The shell commands below this title, in bold or as a heading, in the README or a page of docs/."""
    pages = [README, *(path.read_text(encoding="utf-8") for path in sorted(CHECKOUT.glob("docs/*.md")))]
    (section,) = re.findall(
        rf"^(?:\*\*|## ){re.escape(title)}\b(.*?)(?=\n\*\*|\n## |\Z)", "\n".join(pages), re.MULTILINE | re.DOTALL
    )
    return "\n".join(re.findall(r"```sh\n(.*?)```", section, flags=re.DOTALL))


def clone_of_checkout(target: Path) -> Project:
    """A clone of this checkout with its history, and in a last commit its files as they are now."""
    subprocess.run(["git", "clone", "--quiet", str(CHECKOUT), str(target)], check=True)
    project = Project(target)
    project.run("git remote remove origin")
    project.run("git checkout -q -B main")
    for name in project.run("git ls-files -z").stdout.split("\0")[:-1]:
        (target / name).unlink()
    arguments = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(["git", *arguments], cwd=CHECKOUT, check=True, capture_output=True, text=True).stdout
    for name in listed.split("\0")[:-1]:
        if (CHECKOUT / name).is_file():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(CHECKOUT / name, target / name)
    if project.run("git status --porcelain").stdout:
        project.commit("Change the template")
    project.run("git gc -q")  # one file instead of a thousand, for all the copies that follow
    return project


def finish_queue(project: Project) -> str:
    """Wait until no queued experiment is left, and end the workers; returns what `dvc queue status` says."""
    deadline = time.monotonic() + 600
    while "Running" in (said := project.run("dvc queue status").stdout) or "Queued" in said:
        assert time.monotonic() < deadline, said
        time.sleep(1)
    project.run("dvc queue stop --kill")  # one that found the queue empty sometimes idles on
    return said


def built_once(factory: pytest.TempPathFactory, name: str, build: Callable[[Path], object]) -> Path:
    """A folder that the first of all workers builds and that the others find; copy it, never change it."""
    base = factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / f"once-{name}"
    with FileLock(f"{folder}.lock"):
        if not (folder / "built").exists():
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            build(folder)
            (folder / "built").touch()
    return folder
