import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from projects import Project

from record import git
from record.problem import CannotAsk

CODE, METRICS, TAG = Path("src/train.py"), Path("reports/metrics.json"), "penguins@v1.0.0"


@pytest.fixture
def committed(repository: Project) -> Project:
    """A repository with a tagged commit of one file of code and one output."""
    for path in (CODE, METRICS):
        path.parent.mkdir()
        path.write_text(path.as_posix())
    repository.commit("Start")
    repository.run(f"git tag -am First {TAG}")
    return repository


QUESTIONS = {
    "commit": lambda: git.commit_of("HEAD"),
    "tag": lambda: git.commit_of_tag(TAG),
    "blob": lambda: git.read_blob("HEAD", CODE),
    "checked out": lambda: git.checked_out("HEAD", [CODE.as_posix()]) or None,
    "commits": lambda: git.commits_of(CODE, revision="--all") or None,
    "remote": git.remote,
    "cut": git.what_is_cut,
    "tag at the remote": lambda: git.tag_at_remote(TAG),
}
each_question = pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)


@each_question
@pytest.mark.parametrize("path", [os.environ["PATH"], ""], ids=["git", "no git"])
def test_without_a_repository_nothing_is_known(tmp_path: Path, monkeypatch: Any, question: Any, path: str) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", path)
    assert not git.has_repository()
    assert question() is None


@pytest.mark.usefixtures("committed")
@each_question
def test_a_repository_without_git_cannot_be_asked(monkeypatch: pytest.MonkeyPatch, question: Any) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotAsk, match=r"^git: not found on the PATH, but this is a Git repository"):
        question()


def test_a_damaged_repository_cannot_be_asked(committed: Project) -> None:
    shutil.rmtree(committed.path / ".git/objects")
    with pytest.raises(CannotAsk, match=r"^Git cannot answer about "):
        git.commit_of("HEAD")


@pytest.mark.parametrize(
    ("lost", "question"),
    [("HEAD~1", "commits"), (TAG, "tag"), ("HEAD:src/train.py", "blob"), ("HEAD:src/train.py", "checked out")],
)
def test_a_history_that_lacks_an_object_is_not_cut_short(committed: Project, lost: str, question: str) -> None:
    CODE.write_text("next")
    committed.commit("Next")
    lost = committed.run(f"git rev-parse {lost}").stdout.strip()
    Path(f".git/objects/{lost[:2]}/{lost[2:]}").unlink()
    with pytest.raises(CannotAsk):
        QUESTIONS[question]()


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"])
def test_the_variables_of_a_hook_lead_nowhere_else(committed: Project, monkeypatch: Any, name: str) -> None:
    head = committed.head()
    committed.run("git init -q ../other")
    place = {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_OBJECT_DIRECTORY": ".git/objects"}.get(name, "")
    Path("new.py").touch()
    with monkeypatch.context() as patch:
        patch.setenv(name, str(Path("../other", place).resolve()))
        git.add([Path("new.py")])
        assert (git.commit_of("HEAD"), git.read_blob("HEAD", CODE)) == (head, b"src/train.py")
    assert committed.run("git diff --cached --name-only").stdout == "new.py\n"
    assert not Path("../other/.git/index").exists()


@pytest.mark.usefixtures("committed")
def test_configuration_that_a_caller_gives_by_variables_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    """A container trusts a folder of another owner in this way."""
    for name, value in {"COUNT": "1", "KEY_0": "remote.origin.url", "VALUE_0": "https://example.org/a.git"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert git.remote() == "https://example.org/a.git"


def test_a_revision_names_a_commit_or_none(repository: Project) -> None:
    assert git.commit_of("HEAD") is None
    assert git.commits_of(CODE) == []
    repository.run("git commit -qm First --allow-empty")
    first = repository.head()
    repository.run(f"git tag -am First {TAG}")
    repository.run("git commit -qm Next --allow-empty")

    assert git.commit_of("HEAD") == repository.head() != first
    assert git.commit_of("HEAD~1") == git.commit_of(TAG) == git.commit_of_tag(TAG) == git.commit_of(first[:12]) == first
    assert (git.is_ancestor(first, "HEAD"), git.is_ancestor("HEAD", first)) == (True, False)
    for revision in ("main~9", "0" * 40, "HEAD:src/train.py", "--all", "", "a\nb", "a\0b", "HEAD^{x"):
        assert git.commit_of(revision) is None


def test_files_are_read_from_a_commit_byte_for_byte(committed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    contents = {"train.py": b"\xff\x00 next \n\n", "empty": b"", "line": b"\n", "a b": b"blob 3\n"}
    for name, content in contents.items():
        Path("src", name).write_bytes(content)
    committed.commit("Next")
    CODE.unlink()
    monkeypatch.chdir("src")
    blobs = [committed.run(f"git rev-parse 'HEAD:src/{name}'").stdout.strip() for name in contents]

    assert git.read_blobs(blobs) == dict(zip(blobs, contents.values(), strict=True))
    assert git.read_blob("HEAD", Path("train.py")) == contents["train.py"]
    assert git.read_blob("HEAD~1", Path("train.py")) == b"src/train.py"
    assert git.read_blob("HEAD", Path("never.py")) is git.read_blob("HEAD", Path("a\nHEAD")) is None


def test_the_commits_of_files_are_those_that_changed_any_of_them_the_newest_first(committed: Project) -> None:
    commits = [committed.head()]
    for path in (CODE, METRICS):
        path.write_text("changed")
        commits.insert(0, committed.commit(f"Change {path}"))
    assert git.commits_of(CODE) == commits[1:] == git.commits_of(CODE, METRICS, revision=commits[1])
    assert git.commits_of(CODE, METRICS) == commits
    committed.run(f"git reset -q --hard {commits[2]}")
    committed.run(f"git branch side {commits[0]}")
    assert git.commits_of(CODE) == commits[2:]
    assert set(git.commits_of(CODE, revision="--all")) == set(commits[1:])


def test_a_clone_says_what_it_lacks_and_what_fetches_it(committed: Project, tmp_path: Path) -> None:
    cuts = {
        "--no-local": None,
        "--depth 1": "its history is cut (a shallow clone); git fetch --unshallow --tags",
        "--no-tags": "it was cloned without tags; git fetch --tags",
        "--single-branch": "it was cloned with a single branch; git fetch --tags",
    }
    for options, cut in cuts.items():
        committed.run(f"git clone -q {options} file://{committed.path} '{tmp_path / options}'")
        assert git.what_is_cut(tmp_path / options) == cut
    assert git.what_is_cut() is None


def test_an_address_has_no_credentials_and_is_never_a_folder() -> None:
    addresses = {
        "https://ada:token@github.com/ada/penguins.git": "https://github.com/ada/penguins.git",
        "https://token@github.com:8443/ada/penguins@2.git": "https://github.com:8443/ada/penguins@2.git",
        "HTTPS://ada:p@ss@example.org/penguins.git": "HTTPS://example.org/penguins.git",
        "ssh://git@example.org:22/penguins.git": "ssh://example.org:22/penguins.git",
        **{url: url for url in ("git@github.com:ada/penguins.git", "example.org:penguins.git")},
        **dict.fromkeys(["/srv/a.git", "file:///srv/a.git", "../a", "./a:b", "C:/ada", r"C:\ada"]),
    }
    assert {url: git.without_credentials(url) for url in addresses} == addresses


def test_the_remote_is_the_origin_and_nothing_else(committed: Project) -> None:
    committed.run("git remote add upstream https://github.com/ada/penguins.git")
    assert git.remote() is None
    committed.run("git remote add origin https://ada:token@github.com/ada/penguins.git")
    assert git.remote() == "https://github.com/ada/penguins.git"


def test_asking_leaves_no_lock_and_writes_nothing(committed: Project) -> None:
    os.utime(CODE, (0, 0))  # which makes `git status` want to refresh the index
    before = committed.snapshot(".git")
    git.ask("status", "--porcelain")
    assert committed.snapshot(".git") == before
