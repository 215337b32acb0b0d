"""What the tests share: real repositories, made once and copied, in which commands run as a user types them."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import pytest
from ruamel.yaml import YAML
from xdist.scheduler import LoadScopeScheduling

CHECKOUT = Path(__file__).parent.parent
README = (CHECKOUT / "README.md").read_text(encoding="utf-8")
BIN = Path(sys.executable).parent
RELEASE = "python src/lineage.py release"
PREPARED = {"test_experiments.py", "test_faults.py", "test_remotes.py", "test_report.py"}  # by costly fixtures
MODELS = ("models/v1.0.0/model.joblib", "models/v1.1.0/model.joblib")
ENVIRONMENT = {
    "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}",
    "GIT_AUTHOR_NAME": "Ada",
    "GIT_AUTHOR_EMAIL": "ada@example.org",
    "GIT_COMMITTER_NAME": "Ada",
    "GIT_COMMITTER_EMAIL": "ada@example.org",
    "GIT_CONFIG_GLOBAL": os.devnull,
    "GIT_CONFIG_NOSYSTEM": "1",
    "DVC_NO_ANALYTICS": "1",
}


class ByPreparation(LoadScopeScheduling):  # type: ignore[misc]
    """Single tests go to whichever worker is free, the files of `PREPARED` as a whole.

    pytest-xdist's own groups have no effect with pytest 9.2, in which a node's name cannot be changed.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file.removeprefix("tests/") in PREPARED else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    return ByPreparation(config, log)


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the person who runs the tests decides what they see, and nothing of theirs is touched."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


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

    def type(self, commands: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Type commands into one shell in the clone, which stops at the first that fails."""
        assert commands
        return self._run(["bash", "-euo", "pipefail", "-c", commands], self.path, self.env, check=check)

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
        return self.run("git rev-parse HEAD").stdout.strip()

    def snapshot(self, *names: str) -> dict[str, bytes]:
        """The content of the files below some folders, to compare with later."""
        files = [file for name in names for file in sorted((self.path / name).rglob("*")) if file.is_file()]
        return {file.relative_to(self.path).as_posix(): file.read_bytes() for file in files}

    def copy(self, target: Path) -> "Project":
        """The same clone, with its cache, somewhere else."""
        shutil.copytree(self.path, target, symlinks=True)
        return Project(target, self.env)


def recipe(title: str) -> str:
    """The shell commands of the README's recipe that begins with this title in bold."""
    section = README.partition(f"**{title}")[2].partition("\n**")[0]
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
    return project


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which nothing has run. Copy it; never change it."""
    return clone_of_checkout(tmp_path_factory.mktemp("fresh") / "project")


@pytest.fixture(scope="session")
def finished(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which the pipeline has run from a clean commit and its results are committed. Copy it."""
    project = fresh.copy(tmp_path_factory.mktemp("finished") / "project")
    project.run("dvc repro")
    if project.run("git status --porcelain").stdout:
        project.commit("Run the pipeline")
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished clone for one test to do with as it likes."""
    return finished.copy(tmp_path / "project")


def release(project: Project) -> None:
    """Run the pipeline from a commit, commit what it made, and release it."""
    project.commit("Ask for it")
    project.run("dvc repro")
    project.commit("Run the pipeline")
    project.run(RELEASE)


def finish_queue(project: Project) -> str:
    """Wait until no queued experiment is left, and end the workers; returns what `dvc queue status` says."""
    deadline = time.monotonic() + 600
    while "Running" in (said := project.run("dvc queue status").stdout) or "Queued" in said:
        assert time.monotonic() < deadline, said
        time.sleep(1)
    project.run("dvc queue stop --kill")  # one that found the queue empty sometimes idles on
    return said


@pytest.fixture(scope="session")
def two_versions(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """v1.0.0 and v1.1.0, both released and pushed to a storage beside the clone. Copy it."""
    folder = tmp_path_factory.mktemp("versions")
    project = finished.copy(folder / "project")
    project.run(f"dvc remote add -q -d storage {folder / 'storage'}")
    project.commit("Say where the models are kept")
    project.run(RELEASE)
    project.run("dvc push -q")
    project.set(package__version="v1.1.0", train__estimator="random_forest")
    release(project)
    project.run("dvc push -q")
    return project
