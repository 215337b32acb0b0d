"""The words by which a person names a version."""

import shutil
from pathlib import Path

import pytest
from conftest import Project

from lock import PATH as LOCK
from problem import Problem
from version import Version, find_version, version_made_in

pytest_plugins = ["story_repository"]


def commit_of(project: Project, revision: str) -> str:
    return project.run(f"git rev-parse {revision}^{{commit}}").stdout.strip()


def experiment_of(project: Project, name: str) -> str:
    return project.run(f"git for-each-ref --format=%(objectname) refs/exps/*/*/{name}").stdout.strip()


@pytest.mark.usefixtures("story")
def test_the_workspace_has_its_folders_and_the_one_that_params_yaml_names() -> None:
    assert [find_version(what) for what in ("v1.0.0", "v1.1.0", "workspace")] == [
        Version("v1.0.0"),
        Version("v1.1.0"),
        Version("v1.1.0"),
    ]


@pytest.mark.parametrize(
    ("what", "version"),
    [("main", "v1.0.0"), ("next", "v1.1.0"), ("HEAD", "v1.1.0"), ("HEAD~2", "v1.0.0"), ("penguins@v1.0.0", "v1.0.0")],
)
def test_a_revision_means_the_version_that_it_packaged_last(story: Project, what: str, version: str) -> None:
    commit = commit_of(story, what)

    assert find_version(what) == Version(version, commit)
    assert find_version(commit[:9]) == Version(version, commit)


@pytest.mark.parametrize("name", ["older", "worse", "forest"])
def test_an_experiment_means_what_it_made(story: Project, name: str) -> None:
    found = find_version(name)
    manifest = found.manifest()

    assert found == Version("v1.1.0", experiment_of(story, name))
    assert manifest.run.experiment
    assert manifest.run.experiment.name == name


def test_a_version_of_another_branch_is_found_when_no_folder_has_it(own: Project) -> None:
    own.run("git checkout -q -f main")

    shutil.rmtree(own.path / "models/v1.1.0", ignore_errors=True)

    assert find_version("v1.1.0").manifest().version == "v1.1.0"


def test_a_version_that_was_removed_is_found_where_it_last_was(own: Project) -> None:
    own.run("git rm -qr models/v1.0.0")
    own.commit("Remove v1.0.0")
    shutil.rmtree(own.path / "models/v1.0.0", ignore_errors=True)

    assert find_version("v1.0.0").manifest().version == "v1.0.0"


@pytest.mark.parametrize(
    ("what", "hint"),
    [
        ("v1.0.1", "did you mean 'v1.0.0'?"),
        ("forrest", "did you mean 'forest'?"),
        ("", "known: forest, older, v1.0.0, v1.1.0, workspace, worse"),
        ("../v1.0.0", "did you mean 'v1.0.0'?"),
        ("v*", "known: forest, older, v1.0.0, v1.1.0, workspace, worse"),
        ("--all", "known: forest, older, v1.0.0, v1.1.0, workspace, worse"),
        ("a\0b", "known: forest, older, v1.0.0, v1.1.0, workspace, worse"),
        ("HEAD^{tree}", "known: forest, older, v1.0.0, v1.1.0, workspace, worse"),
    ],
)
@pytest.mark.usefixtures("story")
def test_what_names_no_version_is_refused_with_the_nearest_name(what: str, hint: str) -> None:
    with pytest.raises(Problem) as problem:
        find_version(what)

    assert problem.value.lines == (f"'{what}' is no version, revision or experiment; {hint}",)


def test_a_commit_without_a_package_says_so(story: Project) -> None:
    first = commit_of(story, "HEAD~3")

    with pytest.raises(Problem, match=r"^'HEAD~3': its dvc.lock records no package$"):
        find_version("HEAD~3")
    with pytest.raises(Problem, match=rf"^models/v9/manifest.json: not found in commit {first}; "):
        Version("v9", first).manifest()


@pytest.mark.usefixtures("story")
def test_what_the_workspace_does_not_have_is_said() -> None:
    with pytest.raises(Problem, match=r"^models/v9/manifest.json: not found in the workspace; dvc repro makes it$"):
        Version("v9").manifest()


def test_a_file_is_read_as_the_version_has_it(story: Project) -> None:
    commit = commit_of(story, "main")

    assert b"v1.0.0" in (Version("v1.0.0", commit).read(LOCK) or b"")
    assert Version("v1.1.0").read(LOCK) == (story.path / LOCK).read_bytes()
    assert Version("v1.0.0", commit).read(Path("nothing")) is None
    assert Version("v1.1.0").read(Path("models")) is None
    assert version_made_in(commit, "main") == "v1.0.0"
