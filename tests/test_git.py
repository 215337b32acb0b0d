import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from git import commit_of, commits_of, differs_from_head, git, read_blob, remote

Git = Callable[..., str]


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Git:
    """A new repository in which the test runs, as the command that talks to it."""

    def run(*arguments: str) -> str:
        return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout.strip()

    monkeypatch.chdir(tmp_path)
    run("init", "-q", "-b", "main")
    return run


@pytest.fixture
def committed(repository: Git) -> Git:
    """The same with a commit of one file of code and one output."""
    for name in ("src/train.py", "reports/metrics.json"):
        Path(name).parent.mkdir()
        Path(name).write_text(name)
    repository("add", "-A")
    repository("commit", "-qm", "Start")
    return repository


@pytest.fixture
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that no repository holds."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))


@pytest.mark.usefixtures("plain")
def test_without_a_repository_nothing_is_known() -> None:
    assert commit_of("HEAD") is None
    assert read_blob("HEAD", Path("train.py")) is None
    assert commits_of(Path("train.py")) == []
    assert remote() is None


@pytest.mark.usefixtures("committed")
def test_without_git_nothing_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert commit_of("HEAD") is None
    assert remote() is None
    assert git("--version") is None


@pytest.mark.usefixtures("plain")
def test_without_a_repository_everything_counts_as_changed() -> None:
    assert differs_from_head(["train.py"])


@pytest.mark.usefixtures("committed")
def test_without_git_everything_counts_as_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))

    assert differs_from_head(["src/train.py"])


@pytest.mark.usefixtures("committed")
def test_where_the_index_is_damaged_everything_counts_as_changed() -> None:
    Path(".git/index").write_bytes(b"damaged")

    assert differs_from_head(["src/train.py"])


@pytest.mark.usefixtures("repository")
def test_before_the_first_commit_head_is_no_commit() -> None:
    assert commit_of("HEAD") is None


def test_a_revision_names_a_commit(committed: Git) -> None:
    committed("tag", "-am", "First", "penguins@v1.0.0")
    first = committed("rev-parse", "HEAD")
    committed("commit", "-qm", "Next", "--allow-empty")

    assert commit_of("HEAD") != first
    assert commit_of("HEAD~1") == commit_of("penguins@v1.0.0") == commit_of(first[:12]) == first


@pytest.mark.usefixtures("committed")
@pytest.mark.parametrize("revision", ["main~9", "0" * 40, "HEAD:src/train.py", "--all", ""])
def test_what_is_no_revision_names_no_commit(revision: str) -> None:
    assert commit_of(revision) is None


def test_a_file_is_read_from_a_commit_byte_for_byte(committed: Git, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("src/train.py").write_bytes(b"\xff\x00 next \n\n")
    committed("commit", "-qam", "Next")
    Path("src/train.py").unlink()
    monkeypatch.chdir("src")

    assert read_blob("HEAD", Path("train.py")) == b"\xff\x00 next \n\n"
    assert read_blob("HEAD~1", Path("train.py")) == b"src/train.py"
    assert read_blob("HEAD", Path("never.py")) is None


def test_the_commits_of_files_are_those_that_changed_any_of_them_the_newest_first(committed: Git) -> None:
    code, metrics = Path("src/train.py"), Path("reports/metrics.json")
    commits = [committed("rev-parse", "HEAD")]
    for path in (code, metrics):
        path.write_text("changed")
        committed("commit", "-qam", f"Change {path}")
        commits.append(committed("rev-parse", "HEAD"))
    committed("commit", "-qm", "Later", "--allow-empty")
    start, changed_code, changed_metrics = commits

    assert commits_of(code) == [changed_code, start]
    assert commits_of(code, metrics) == [changed_metrics, changed_code, start]
    assert commits_of(code, metrics, revision=changed_code) == [changed_code, start]
    assert commits_of(Path("src/never.py")) == []


def test_commits_of_other_branches_are_found_when_all_are_asked_for(committed: Git) -> None:
    path = Path("models/v2.0.0/manifest.json")
    committed("switch", "-qc", "side")
    path.parent.mkdir(parents=True)
    path.touch()
    committed("add", "-A")
    committed("commit", "-qm", "Package")
    packaged = committed("rev-parse", "HEAD")
    committed("switch", "-q", "main")

    assert commits_of(path) == []
    assert commits_of(path, revision="--all") == [packaged]


@pytest.mark.usefixtures("committed")
def test_a_clean_checkout_does_not_differ() -> None:
    Path("src/train.py").touch()

    assert not differs_from_head(["src/train.py", "data/never.csv"])


@pytest.mark.parametrize("staged", [False, True])
def test_a_changed_file_differs(committed: Git, staged: bool) -> None:
    Path("src/train.py").write_text("changed")
    if staged:
        committed("add", "-A")

    assert differs_from_head(["src/train.py"])


@pytest.mark.usefixtures("committed")
def test_an_untracked_file_differs() -> None:
    Path("src/new").mkdir()
    Path("src/new/code.py").touch()

    assert differs_from_head(["src/new/code.py"])


@pytest.mark.usefixtures("committed")
def test_a_removed_file_differs() -> None:
    Path("src/train.py").unlink()

    assert differs_from_head(["src/train.py"])


@pytest.mark.usefixtures("committed")
def test_other_files_than_those_asked_for_make_no_difference() -> None:
    Path("reports/metrics.json").write_text("better")
    Path("model.joblib").touch()

    assert not differs_from_head(["src/train.py"])


@pytest.mark.usefixtures("committed")
def test_paths_are_relative_to_the_folder_it_runs_in(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("src/train.py").write_text("changed")
    monkeypatch.chdir("src")

    assert differs_from_head(["train.py"])
    assert not differs_from_head(["src/train.py"])


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("https://github.com/ada/penguins.git", "https://github.com/ada/penguins.git"),
        ("https://ada:token@github.com/ada/penguins.git", "https://github.com/ada/penguins.git"),
        ("https://token@github.com:8443/ada/penguins@2.git", "https://github.com:8443/ada/penguins@2.git"),
        ("https://ada:p@ss@example.org/penguins.git", "https://example.org/penguins.git"),
        ("HTTPS://ada:token@example.org/penguins.git", "HTTPS://example.org/penguins.git"),
        ("http://ada@example.org/penguins", "http://example.org/penguins"),
        ("ssh://git@example.org:22/penguins.git", "ssh://example.org:22/penguins.git"),
        ("git@github.com:ada/penguins.git", "git@github.com:ada/penguins.git"),
        ("ada@example.org:/srv/penguins.git", "ada@example.org:/srv/penguins.git"),
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
def test_a_remote_is_an_address_without_credentials_and_never_a_folder(
    repository: Git, url: str, address: str | None
) -> None:
    repository("remote", "add", "origin", url)

    assert remote() == address


def test_without_an_origin_there_is_no_remote(repository: Git) -> None:
    repository("remote", "add", "upstream", "https://github.com/ada/penguins.git")

    assert remote() is None


def test_the_remote_of_another_repository_can_be_asked_for(
    repository: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> None:
    repository("remote", "add", "origin", "https://github.com/ada/penguins.git")
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))

    assert remote(tmp_path) == "https://github.com/ada/penguins.git"
    assert remote(tmp_path / "missing") is None


def test_names_beyond_ascii_are_read(committed: Git) -> None:
    committed("commit", "-qm", "Brillenpinguin – Übersicht", "--allow-empty")

    assert git("log", "-1", "--format=%s") == "Brillenpinguin – Übersicht"
