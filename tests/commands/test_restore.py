import shutil
from collections.abc import Callable

import pytest
from projects import MODELS, PACKAGE, VERSION, Project, append
from tables import seal

from commands.restore import run
from record.models import MANIFEST, MODEL, POINTER, REQUIREMENTS, SUMS
from record.problem import Problem


@pytest.fixture
def left(moved_on: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Two released versions in a clone with a remote, in which the test runs."""
    monkeypatch.chdir(moved_on.path)
    return moved_on


def without_cache(project: Project) -> None:
    shutil.rmtree(project.path / ".dvc/cache")


def corrupt(project: Project) -> None:
    """Every object of the cache has another first byte, and DVC believes that it is right."""
    for cached in (project.path / ".dvc/cache/files/md5").glob("*/*"):
        cached.chmod(0o644)
        cached.write_bytes(b"x" + cached.read_bytes()[1:])
        cached.chmod(0o444)


@pytest.mark.parametrize("version", ["v1.0.0", "v1.1.0"])
@pytest.mark.parametrize("harm", [Project.head, without_cache, corrupt], ids=["cache", "remote", "corrupt"])
def test_a_removed_version_is_whole_again(left: Project, version: str, harm: Callable[[Project], object]) -> None:
    commit = left.run(f"git rev-parse penguins@{version}^{{}}").stdout.strip()
    before = left.snapshot(f"models/{version}")
    shutil.rmtree(left.path / "models" / version)
    harm(left)
    told, after = run(version, fresh_env=False), left.snapshot(f"models/{version}")

    kept = {path: before[path] for path in before if not path.endswith((".gitignore", POINTER))}
    assert kept.items() <= after.items()
    assert (version == "v1.1.0") or f"{PACKAGE}/{POINTER}" in after
    said = f"models/{version}: restored from commit {commit}, and intact"
    assert (told.lines, told.facts["commit"]) == ([said], commit)


def test_a_damaged_file_is_put_back_and_a_whole_model_is_not_fetched(left: Project) -> None:
    before = left.snapshot(PACKAGE)
    for name in (MODEL, MANIFEST, REQUIREMENTS, SUMS):
        append(left.path / PACKAGE / name)
        run(VERSION, fresh_env=False)
        assert left.snapshot(PACKAGE) == before

        if name == MODEL:
            without_cache(left)
            left.run("dvc remote remove storage")


def test_an_experiment_is_restored_over_a_package_that_a_commit_has(own: Project) -> None:
    assert run("forest", fresh_env=False).facts["version"] == "v1.1.0"
    assert own.ask("show v1.1.0 --json").stdout == own.ask("show forest --json").stdout


def test_a_rebuild_with_other_bytes_is_not_put_in_place(here: Project) -> None:
    seal(here.path / PACKAGE, b"another model")
    here.commit("Record what was never made")
    (here.path / MODELS[0]).unlink()

    with pytest.raises(Problem) as caught:
        run(VERSION, fresh_env=False)
    assert caught.value.lines == (
        f"{MODELS[0]}: a rebuild made other bytes; python src/lineage.py rebuild {here.head()} says what differs",
        "where another clone has the right ones, dvc push them there, then restore",
    )
    assert not (here.path / MODELS[0]).exists()


def test_a_package_that_no_commit_has_is_neither_lost_nor_restored(here: Project) -> None:
    shutil.copytree(PACKAGE, here.path / "models/v2.0.0")
    seal(here.path / PACKAGE, metrics={})
    before = here.snapshot(PACKAGE)

    with pytest.raises(Problem, match="holds another intact package that is in no commit; commit it or move it away"):
        run(VERSION, fresh_env=False)
    assert here.snapshot(PACKAGE) == before
    with pytest.raises(Problem, match=r"^models/v2.0.0/manifest.json: no commit has it, so there is nothing to"):
        run("v2.0.0", fresh_env=False)


def test_no_other_model_is_put_over_a_released_one(left: Project) -> None:
    left.set(package__version="v1.2.0", train__estimator="logistic_regression")
    left.commit("Ask for v1.2.0")
    left.run("dvc repro")
    early = left.commit("Make it")
    left.set(train__seed=7)
    left.release()
    before = left.snapshot("models/v1.2.0")

    with pytest.raises(
        Problem, match=r"another model was released as penguins@v1\.2\.0; python src/lineage.py restore"
    ):
        run(early, fresh_env=False)
    assert left.snapshot("models/v1.2.0") == before
