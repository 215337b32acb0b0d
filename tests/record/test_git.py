import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from projects import Project

from record import git
from record.problem import CannotAsk

ROOT = hasattr(os, "geteuid") and os.geteuid() == 0


@pytest.fixture
def committed(repository: Project) -> Project:
    """A repository with a commit of one file of code and one output."""
    for name in ("src/train.py", "reports/metrics.json"):
        (repository.path / name).parent.mkdir()
        (repository.path / name).write_text(name)
    repository.commit("Start")
    return repository


QUESTIONS = {
    "commit": lambda: git.commit_of("HEAD"),
    "blob": lambda: git.read_blob("HEAD", Path("src/train.py")),
    "checked out": lambda: git.checked_out("HEAD", ["src/train.py"]) or None,
    "commits": lambda: git.commits_of(Path("src/train.py"), revision="--all") or None,
    "remote": git.remote,
    "cut": git.what_is_cut,
    "tag": lambda: git.tag_at_remote("penguins@v1.0.0"),
}
each_question = pytest.mark.parametrize("question", QUESTIONS.values(), ids=QUESTIONS)


@each_question
def test_without_a_repository_nothing_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: Callable[[], object]
) -> None:
    monkeypatch.chdir(tmp_path)

    assert not git.has_repository()
    assert question() is None


def test_without_a_repository_git_need_not_be_installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path))

    assert git.commit_of("HEAD") is None


@pytest.mark.usefixtures("committed")
@each_question
def test_a_repository_without_git_cannot_be_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, question: Callable[[], object]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    with pytest.raises(CannotAsk, match=r"^git: not found on the PATH, but this is a Git repository"):
        question()


@pytest.mark.skipif(not ROOT, reason="only root can give a folder away")
@pytest.mark.parametrize("folder", [".", "src"])
def test_a_repository_of_another_owner_cannot_be_asked_and_git_says_why(
    committed: Project, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    for path in (committed.path, committed.path / ".git"):
        os.chown(path, 65534, 65534)
    monkeypatch.chdir(committed.path / folder)

    with pytest.raises(CannotAsk) as caught:
        git.commit_of("HEAD")

    assert "detected dubious ownership" in str(caught.value)
    assert f"git config --global --add safe.directory {committed.path}" in str(caught.value)


def test_a_damaged_repository_cannot_be_asked(committed: Project) -> None:
    shutil.rmtree(committed.path / ".git/objects")

    with pytest.raises(CannotAsk, match=r"^Git cannot answer about "):
        git.commit_of("HEAD")


def test_a_history_that_lacks_an_object_is_not_cut_short(committed: Project) -> None:
    (committed.path / "src/train.py").write_text("next")
    committed.commit("Next")
    lost = committed.run("git rev-parse HEAD~1").stdout.strip()
    (committed.path / f".git/objects/{lost[:2]}/{lost[2:]}").unlink()

    with pytest.raises(CannotAsk):
        git.commits_of(Path("src/train.py"))


@pytest.mark.parametrize("name", ["GIT_DIR", "GIT_INDEX_FILE", "GIT_WORK_TREE", "GIT_OBJECT_DIRECTORY", "GIT_PREFIX"])
def test_the_variables_of_a_hook_lead_to_no_other_repository(
    committed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    head = committed.head()
    other = tmp_path / "other"
    committed.run(f"git init -q {other}")
    place = {"GIT_DIR": ".git", "GIT_INDEX_FILE": ".git/index", "GIT_OBJECT_DIRECTORY": ".git/objects"}.get(name, "")
    monkeypatch.setenv(name, str(other / place))
    Path("new.py").touch()

    git.add([Path("new.py")])
    commit, blob = git.commit_of("HEAD"), git.read_blob("HEAD", Path("src/train.py"))
    monkeypatch.delenv(name)

    assert (commit, blob) == (head, b"src/train.py")
    assert committed.run("git diff --cached --name-only").stdout == "new.py\n"
    assert not (other / ".git/index").exists()


def test_configuration_that_a_caller_gives_by_variables_is_kept(
    committed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container trusts a folder of another owner in this way."""
    monkeypatch.setenv("GIT_CONFIG_COUNT", "1")
    monkeypatch.setenv("GIT_CONFIG_KEY_0", "remote.origin.url")
    monkeypatch.setenv("GIT_CONFIG_VALUE_0", "https://example.org/penguins.git")

    assert git.has_repository(committed.path)
    assert git.remote() == "https://example.org/penguins.git"


@pytest.mark.usefixtures("repository")
def test_before_the_first_commit_head_is_not_a_commit() -> None:
    assert git.commit_of("HEAD") is None
    assert git.commits_of(Path("src/train.py")) == []


def test_a_revision_names_a_commit(committed: Project) -> None:
    committed.run("git tag -am First penguins@v1.0.0")
    first = committed.head()
    committed.run("git commit -qm Next --allow-empty")

    assert git.commit_of("HEAD") == committed.head() != first
    assert git.commit_of("HEAD~1") == git.commit_of("penguins@v1.0.0") == git.commit_of(first[:12]) == first
    assert git.is_ancestor(first, "HEAD")
    assert not git.is_ancestor("HEAD", first)


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("revision", ["main~9", "0" * 40, "HEAD:src/train.py", "--all", "", "a\nb", "a\0b", "HEAD^{x"])
def test_what_is_not_a_revision_names_no_commit(revision: str) -> None:
    assert git.commit_of(revision) is None


def test_a_file_is_read_from_a_commit_byte_for_byte(committed: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("src/train.py").write_bytes(b"\xff\x00 next \n\n")
    committed.commit("Next")
    Path("src/train.py").unlink()
    monkeypatch.chdir("src")

    assert git.read_blob("HEAD", Path("train.py")) == b"\xff\x00 next \n\n"
    assert git.read_blob("HEAD~1", Path("train.py")) == b"src/train.py"
    assert git.read_blob("HEAD", Path("never.py")) is None
    assert git.read_blob("HEAD", Path("a\nHEAD")) is None


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(contents=st.lists(st.binary() | st.binary().map(lambda content: content + b"\n"), max_size=5, unique=True))
def test_blobs_of_any_bytes_come_back_whole(repository: Project, contents: list[bytes]) -> None:
    names = [f"HEAD:./{k}" for k in range(len(contents))]
    for k, content in enumerate(contents):
        Path(str(k)).write_bytes(content)
    repository.run("git add -A")
    repository.run("git commit -qm Next --allow-empty")

    assert git.read_blobs([*names, "HEAD:./none", "HEAD:./.dvc"]) == dict(zip(names, contents, strict=True))


def test_a_file_is_checked_out_with_its_line_ends_and_filters(
    committed: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path("src/data of ä")
    folder.mkdir()
    Path(".gitattributes").write_text("*.csv text eol=crlf\n*.upper filter=upper\n")
    committed.run("git config filter.upper.clean 'tr A-Z a-z'")
    committed.run("git config filter.upper.smudge 'tr a-z A-Z'")
    (folder / "table one.csv").write_bytes(b"a\r\n1\r\n")
    (folder / "loud.upper").write_bytes(b"LOUD")
    committed.commit("Next")
    monkeypatch.chdir(folder)

    assert git.read_blob("HEAD", Path("loud.upper")) == b"loud"
    assert git.checked_out("HEAD", ["table one.csv", "loud.upper", "none", "../train.py", "/etc/hosts"]) == {
        "table one.csv": b"a\r\n1\r\n",
        "loud.upper": b"LOUD",
    }


def test_the_commits_of_files_are_those_that_changed_any_of_them_the_newest_first(committed: Project) -> None:
    code, metrics = Path("src/train.py"), Path("reports/metrics.json")
    commits = [committed.head()]
    for path in (code, metrics):
        path.write_text("changed")
        commits.append(committed.commit(f"Change {path}"))
    committed.run("git commit -qm Later --allow-empty")
    start, changed_code, changed_metrics = commits

    assert git.commits_of(code) == [changed_code, start]
    assert git.commits_of(code, metrics) == [changed_metrics, changed_code, start]
    assert git.commits_of(code, metrics, revision=changed_code) == [changed_code, start]
    assert git.commits_of(Path("src/never.py")) == []


def test_commits_of_other_branches_are_found_when_all_are_asked_for(committed: Project) -> None:
    committed.run("git switch -qc side")
    Path("side.py").touch()
    side = committed.commit("Side")
    committed.run("git switch -q main")

    assert git.commits_of(Path("side.py")) == []
    assert git.commits_of(Path("side.py"), revision="--all") == [side]


@pytest.mark.parametrize(
    ("options", "cut"),
    [
        ("", None),
        ("--depth 1", "its history is cut (a shallow clone); git fetch --unshallow --tags"),
        ("--no-tags", "it was cloned without tags; git fetch --tags"),
        ("--single-branch", "it was cloned with a single branch; git fetch --tags"),
    ],
)
def test_a_clone_says_what_it_lacks_and_what_fetches_it(
    committed: Project, tmp_path: Path, options: str, cut: str | None
) -> None:
    committed.run(f"git clone -q {options} file://{committed.path} {tmp_path / 'clone'}")

    assert git.what_is_cut(tmp_path / "clone") == cut
    assert git.what_is_cut() is None


@pytest.mark.parametrize("annotate", ["", "-a -m Released"])
def test_a_tag_at_the_remote_is_the_commit_that_it_names(committed: Project, tmp_path: Path, annotate: str) -> None:
    committed.run(f"git clone -q . {tmp_path / 'clone'}")
    committed.run(f"git tag {annotate} penguins@v1.0.0")

    assert git.tag_at_remote("penguins@v1.0.0", tmp_path / "clone") == committed.head()
    assert git.tag_at_remote("penguins@v2.0.0", tmp_path / "clone") is None
    assert git.tag_at_remote("v1.0.0", tmp_path / "clone") is None
    assert git.tag_at_remote("penguins@v1.0.0") is None


def test_a_remote_that_cannot_be_reached_is_not_taken_for_a_no(committed: Project) -> None:
    committed.run("git remote add origin /nowhere")

    with pytest.raises(CannotAsk, match=r"/nowhere"):
        git.tag_at_remote("penguins@v1.0.0")


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://github.com/ada/penguins.git", "https://github.com/ada/penguins.git"),
        ("https://ada:token@github.com/ada/penguins.git", "https://github.com/ada/penguins.git"),
        ("https://token@github.com:8443/ada/penguins@2.git", "https://github.com:8443/ada/penguins@2.git"),
        ("https://ada:p@ss@example.org/penguins.git", "https://example.org/penguins.git"),
        ("HTTPS://ada:token@example.org/penguins.git", "HTTPS://example.org/penguins.git"),
        ("ssh://git@example.org:22/penguins.git", "ssh://example.org:22/penguins.git"),
        ("git@github.com:ada/penguins.git", "git@github.com:ada/penguins.git"),
        ("example.org:penguins.git", "example.org:penguins.git"),
        ("/srv/penguins.git", None),
        ("file:///srv/penguins.git", None),
        ("../penguins", None),
        ("./pen:guins", None),
        ("penguins", None),
        ("C:/Users/ada/penguins", None),
        (r"C:\Users\ada\penguins", None),
    ],
)
def test_an_address_has_no_credentials_and_is_never_a_folder(url: str, address: str | None) -> None:
    assert git.without_credentials(url) == address


def test_the_remote_is_the_origin_of_whichever_repository_is_asked(
    committed: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    committed.run("git remote add upstream https://github.com/ada/penguins.git")
    before = git.remote()
    committed.run("git remote add origin https://ada:token@github.com/ada/penguins.git")
    monkeypatch.chdir(tmp_path)

    assert (before, git.remote(), git.remote(committed.path)) == (None, None, "https://github.com/ada/penguins.git")


def test_asking_leaves_no_lock_and_writes_nothing(committed: Project) -> None:
    os.utime(committed.path / "src/train.py", (0, 0))  # which makes `git status` want to refresh the index
    before = committed.snapshot(".git")
    git.ask("status", "--porcelain")

    assert committed.snapshot(".git") == before


def test_names_beyond_ascii_are_read(committed: Project) -> None:
    committed.run("git commit -qm 'Brillenpinguin – Übersicht' --allow-empty")

    assert git.ask("log", "-1", "--format=%s") == "Brillenpinguin – Übersicht"
