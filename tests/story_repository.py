"""A repository with a history to ask questions of. A test module names this one in `pytest_plugins`.

main ── v1.0.0 from the older snapshot, released
  └── next ── v1.1.0 from the newer snapshot, checked out
        ├── experiment `older`: the older snapshot
        ├── experiment `worse`: a regularisation that leaves nothing to learn
        └── experiment `forest`: another estimator
"""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Project

OLDER, NEWER = (f"data/raw/penguins_{version}.parquet" for version in ("v1.0.0", "v1.1.0"))
EXPERIMENTS = {
    "older": f"data.path={OLDER}",
    "worse": "estimators.logistic_regression.C=0.0001",
    "forest": "train.estimator=random_forest",
}


@pytest.fixture(scope="session")
def _story(fresh: Project, tmp_path_factory: pytest.TempPathFactory) -> Project:
    project = fresh.copy(tmp_path_factory.mktemp("story") / "project")
    shutil.rmtree(project.path / ".git")
    shutil.rmtree(project.path / "models")
    (project.path / "dvc.lock").unlink()
    project.run("git init -q -b main")
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
    return project


@pytest.fixture
def story(_story: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The repository itself, in which the test stands. It only reads."""
    monkeypatch.chdir(_story.path)
    return _story


@pytest.fixture
def own(_story: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy in which the test stands, to do with as it likes."""
    project = _story.copy(tmp_path / "story")
    monkeypatch.chdir(project.path)
    return project


@pytest.fixture
def record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Commit manifests by version, in a repository of nothing else in which the test stands; returns the commit."""
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
        return project.run("git rev-parse HEAD").stdout.strip()

    return write
