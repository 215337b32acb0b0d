"""A release is a tag of HEAD, given only when HEAD holds all that made the package."""

import json
import shutil
from collections.abc import Callable

import pytest
from projects import MODELS, PACKAGE, VERSION, Project, append
from tables import seal

from commands.release import run
from record.models import POINTER
from record.problem import Problem

TAG = "penguins@v1.0.0"


def tags(project: Project) -> list[str]:
    return project.run("git tag").stdout.split()


def test_a_release_is_an_annotated_tag_of_head_that_says_how_to_share_it(here: Project) -> None:
    told = run()

    assert told.holds
    assert told.lines == [
        f"{TAG}: released; share it with: git push --atomic origin HEAD {TAG} && dvc push {MODELS[0]}"
    ]
    assert told.facts == {"version": VERSION, "tag": TAG, "commit": here.head(), "released": True, "problems": []}
    assert here.run(f"git cat-file -t {TAG}").stdout == "tag\n"
    assert here.run(f"git rev-parse {TAG}^{{}}").stdout.strip() == here.head()
    sha256 = json.loads((here.path / PACKAGE / "manifest.json").read_bytes())["model"]["sha256"]
    assert here.run(f"git tag -l --format=%(contents) {TAG}").stdout == f"Release penguins v1.0.0: model {sha256}\n\n"

    before = here.run("git show-ref").stdout
    assert run().lines == [f"{TAG}: released already, with these bytes"]
    assert here.run("git show-ref").stdout == before


def edit_code(project: Project) -> None:
    append(project.path / "src/train.py")


def commit_code(project: Project) -> None:
    edit_code(project)
    project.commit("Change the code")


def edit_parameters(project: Project) -> None:
    project.set(train__seed=7)
    project.commit("Change a parameter")


def add_file(project: Project) -> None:
    (project.path / "models/notes.txt").touch()


def damage(project: Project) -> None:
    append(project.path / MODELS[0])


def uncommitted_forgery(project: Project) -> None:
    seal(project.path / PACKAGE, metrics={})


def other_release(project: Project) -> None:
    project.run(f"git tag {TAG}")
    uncommitted_forgery(project)
    project.commit("Look better")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (edit_code, "src/train.py: HEAD does not hold it as it is; commit it"),
        (commit_code, "src/train.py: manifest.json records MD5 "),
        (commit_code, "train: dvc status says that it changed ("),
        (edit_parameters, "params.yaml: commit "),
        (add_file, "models/notes.txt: HEAD does not hold it as it is; commit it"),
        (damage, "model.joblib: is not what SHA256SUMS says; restore it"),
        (uncommitted_forgery, f"{PACKAGE}/manifest.json: HEAD does not hold it as it is; commit it"),
        (other_release, f"manifest.json: is not the one that was released as {TAG}"),
    ],
)
def test_a_release_is_refused_with_every_reason_once(here: Project, edit: Callable[[Project], None], said: str) -> None:
    edit(here)
    before = tags(here)
    told = run()

    assert not told.holds
    assert any(line.startswith(said) for line in told.lines)
    assert told.facts["problems"] == told.lines == list(dict.fromkeys(told.lines))
    assert tags(here) == before


def test_a_missing_pointer_beside_it_is_written_and_must_be_committed_first(
    moved_on: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(moved_on.path)
    moved_on.run("git tag -d penguins@v1.1.0")
    pointer = moved_on.path / PACKAGE / POINTER
    content = pointer.read_bytes()
    moved_on.run(f"git rm -q {pointer}")
    moved_on.commit("Forget a pointer")

    assert f"{PACKAGE}/{POINTER}: was missing or wrong and is written now; commit it, then release" in run().lines
    assert pointer.read_bytes() == content
    moved_on.commit("Keep the pointer")
    assert run().holds


def test_a_release_in_git_without_a_commit_is_refused(here: Project) -> None:
    shutil.rmtree(here.path / ".git")
    here.run("git init -q")

    with pytest.raises(Problem, match="there is no commit to release; git init and git commit first"):
        run()


def test_without_an_identity_git_is_told_who_you_are(here: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_COMMITTER_NAME", "GIT_COMMITTER_EMAIL", "GIT_AUTHOR_NAME", "GIT_AUTHOR_EMAIL", "EMAIL"):
        monkeypatch.delenv(name, raising=False)
    here.run("git config user.useConfigOnly true")
    with pytest.raises(Problem) as caught:
        run()

    assert caught.value.lines[1:] == (
        'git config user.name "Your Name"',
        "git config user.email you@example.org",
    )
    assert tags(here) == []


def test_a_signed_release_that_cannot_be_signed_is_not_made(here: Project) -> None:
    here.run("git config tag.gpgSign true")
    here.run("git config gpg.program false")

    with pytest.raises(Problem, match="Git cannot answer"):
        run()
    assert tags(here) == []


@pytest.mark.parametrize("released", [True, False])
def test_a_clone_without_tags_asks_where_it_came_from(
    here: Project, monkeypatch: pytest.MonkeyPatch, released: bool
) -> None:
    if released:
        here.run(f"git tag -a -m Released {TAG}")
    here.run(f"git clone -q --no-tags . {here.path.parent / 'clone'}")
    clone = Project(here.path.parent / "clone")
    shutil.copytree(here.path / ".dvc/cache", clone.path / ".dvc/cache")
    clone.run("dvc checkout -q")
    monkeypatch.chdir(clone.path)
    if released:
        with pytest.raises(Problem, match=f"^{TAG}: released in the repository that this clone came from, at "):
            run()
        here.run(f"mv {here.path} {here.path}-gone")
        with pytest.raises(Problem, match=r"^Git cannot answer"):
            run()
    else:
        assert run().holds

    assert tags(clone) == ([] if released else [TAG])
