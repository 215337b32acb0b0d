"""What the tests share: repositories that are built once for all workers and copied for whoever changes one.

The repository of `story`, to ask questions of:

main ── v1.0.0 from the older snapshot, released
  └── next ── v1.1.0 from the newer snapshot, checked out
        ├── experiment `older`: the older snapshot
        ├── experiment `worse`: a regularisation that leaves nothing to learn
        └── experiment `forest`: another estimator
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from projects import CHECKOUT, RELEASE, Project, built_once, clone_of_checkout
from ruamel.yaml import YAML

BIN = Path(sys.executable).parent
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
OLDER, NEWER = (f"data/raw/penguins_{version}.parquet" for version in ("v1.0.0", "v1.1.0"))
EXPERIMENTS = {
    "older": f"data.path={OLDER}",
    "worse": "estimators.logistic_regression.C=0.0001",
    "forest": "train.estimator=random_forest",
}
OFTEN: list[dict[str, object]] = [{"train__seed": 7}, {"train__estimator": "nearest_neighbors"}]


@pytest.fixture(scope="session", autouse=True)
def _environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Nothing of the person who runs the tests decides what they see, and nothing of theirs is touched."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in ENVIRONMENT.items():
            patch.setenv(name, value)
        for name in ("DVC_SITE_CACHE_DIR", "DVC_GLOBAL_CONFIG_DIR", "DVC_SYSTEM_CONFIG_DIR"):
            patch.setenv(name, str(tmp_path_factory.mktemp(name.lower())))
        yield


@pytest.fixture(scope="session")
def template() -> Path:
    """This checkout, for tests of what only the template has: its table and README, and rules for its own files.

    A repository that was made from it has another name in params.yaml. There they are skipped, and the others hold.
    """
    if YAML(typ="safe").load(CHECKOUT / "params.yaml")["package"]["name"] != "penguins":
        pytest.skip("is about the template's own table, README or requirements, which are replaced here")
    return CHECKOUT


@pytest.fixture(scope="session")
def fresh(template: Path, tmp_path_factory: pytest.TempPathFactory) -> Project:  # noqa: ARG001
    """A clone in which nothing has run. Copy it."""
    folder = built_once(tmp_path_factory, "fresh", lambda folder: clone_of_checkout(folder / "project"))
    return Project(folder / "project")


@pytest.fixture(scope="session")
def finished(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """A clone in which the pipeline has run from a clean commit and its results are committed. Copy it.

    What `dvc repro` said is beside it. DVC's run cache has what many tests ask for, so that they train nothing again.
    """

    def build(folder: Path) -> None:
        project = fresh.copy(folder / "project")
        (folder / "said").write_text(project.run("dvc repro").stdout)
        if project.run("git status --porcelain").stdout:
            project.commit("Run the pipeline")
        train_beforehand(project, folder)

    return Project(built_once(tmp_path_factory, "finished", build) / "project")


def train_beforehand(project: Project, folder: Path) -> None:
    """Train what is asked for often in copies of a project, all at once, with the cache of the project."""
    copies = [project.copy(folder / f"often-{number}") for number in range(len(OFTEN))]
    for copy, values in zip(copies, OFTEN, strict=True):
        (copy.path / ".dvc/config.local").write_text(f"[cache]\n    dir = {project.path / '.dvc/cache'}\n")
        copy.set(**values)
    processes = [subprocess.Popen(["dvc", "repro", "-q", "train"], cwd=copy.path) for copy in copies]
    assert [process.wait() for process in processes] == [0] * len(copies)


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished clone for one test to do with as it likes."""
    return finished.copy(tmp_path / "project")


@pytest.fixture
def here(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The same, and the test's own working directory."""
    monkeypatch.chdir(project.path)
    return project


@pytest.fixture(scope="session")
def two_versions(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    """v1.0.0 and v1.1.0, both released and pushed to a storage beside the clone. Copy it."""

    def build(folder: Path) -> None:
        project = finished.copy(folder / "project")
        project.run(f"dvc remote add -q -d storage {folder / 'storage'}")
        project.commit("Say where the models are kept")
        project.run(RELEASE)
        project.run("dvc push -q")
        project.set(package__version="v1.1.0", train__estimator="nearest_neighbors")
        project.release()
        project.run("dvc push -q")

    return Project(built_once(tmp_path_factory, "versions", build) / "project")


@pytest.fixture
def moved_on(two_versions: Project, tmp_path: Path) -> Project:
    """A copy of the clone with two released versions."""
    return two_versions.copy(tmp_path / "project")


@pytest.fixture(scope="session")
def _story(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    def build(folder: Path) -> None:
        project = fresh.copy(folder / "project")
        shutil.rmtree(project.path / ".git")
        shutil.rmtree(project.path / "models")
        (project.path / "dvc.lock").unlink()
        project.run("git init -q -b main")
        project.set(estimators__random_forest__n_estimators=20)
        for version, snapshot in [("v1.0.0", OLDER), ("v1.1.0", NEWER)]:
            project.set(data__path=snapshot, package__version=version)
            project.commit(f"Ask for {version}")
            project.run("dvc repro")
            project.commit(f"Package {version}")
            if version == "v1.0.0":
                project.run("git tag -a penguins@v1.0.0 -m Released")
                project.run("git checkout -q -b next")
        for name, override in EXPERIMENTS.items():
            project.run(f"dvc exp run -q -n {name} -S {override}")
            project.run("git checkout -q .")
        project.run("dvc checkout -q")

    return Project(built_once(tmp_path_factory, "story", build) / "project")


@pytest.fixture
def story(_story: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The repository of the story, in which the test runs. It only reads."""
    monkeypatch.chdir(_story.path)
    return _story


@pytest.fixture
def copied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Project], Project]:
    """Copies a repository; the test runs in the copy, and may do with it as it likes."""

    def copied(original: Project) -> Project:
        project = original.copy(tmp_path / "copy")
        monkeypatch.chdir(project.path)
        return project

    return copied


@pytest.fixture
def own(_story: Project, copied: Callable[[Project], Project]) -> Project:
    """A copy of the story's repository."""
    return copied(_story)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A new repository of Git and DVC without any content, in which the test runs."""
    project = Project(tmp_path / "repository")
    (project.path / ".dvc").mkdir(parents=True)
    (project.path / ".dvc/.gitignore").write_text("/config.local\n/tmp\n/cache\n")
    (project.path / ".dvc/config").touch()
    monkeypatch.chdir(project.path)
    project.run("git init -q -b main")
    return project


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Commit manifests by version, in a repository of nothing else in which the test runs; returns the commit."""
    monkeypatch.chdir(tmp_path)
    project = Project(tmp_path)
    project.run("git init -q -b main")

    def write(**contents: bytes) -> str:
        for version, content in contents.items():
            file = tmp_path / "models" / version / "manifest.json"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        project.run("git add -A")
        project.run("git commit -q --allow-empty -m Record")
        return project.head()

    return write
