"""Who vouches for a manifest: what is this repository's own, in the situations in which repositories are."""

from pathlib import Path

import pytest
from keys import write_key
from projects import Project

from record import git, signatures, vouching
from record.bundles import read_private_key
from record.checksums import Digest
from record.models import CHECKED, MANIFEST, SIGNATURE, SUMS, Package
from record.problem import CannotAsk
from record.vouching import UnvouchedError, is_known, refuse_unvouched

OURS = b'{"name": "ours"}\n'
PATH = "models/v1.0.0/manifest.json"
WRITE = f'mkdir -p models/v1.0.0 && printf \'{{"name": "ours"}}\\n\' > {PATH}'
COMMIT = f"{WRITE} && git add -A && git commit -qm Ours"
GO_ON = f"echo other > {PATH} && git commit -qam 'Go on'"
BACK = "git checkout -q main"
STRANGER = f"git init -q -b main ../stranger && cd ../stranger && git commit -q --allow-empty -m Start && {COMMIT}"
DETACH = "git checkout -q --detach"
DIVERGE = f"git checkout -qb side && {{}} && {BACK} && git commit -q --allow-empty -m A && git merge -q -m M"
EVIL_MERGE = f"{DIVERGE.format('git commit -q --allow-empty -m B')} --no-commit side && {COMMIT}"
OURS_ALONE = f"{DIVERGE.format(COMMIT)} -s ours side && git branch -qD side"
PULL = "git pull -q --no-rebase --allow-unrelated-histories ../stranger main"
KNOWN = {
    "HEAD": COMMIT,
    "an ancestor": f"{COMMIT} && {GO_ON}",
    "a detached HEAD": f"{DETACH} && {COMMIT}",
    "a local branch": f"git checkout -qb other && {COMMIT} && {BACK}",
    "a tag": f"{DETACH} && {COMMIT} && git tag -am It t@v1 && {BACK}",
    "an experiment": f"{DETACH} && {COMMIT} && git update-ref refs/exps/ab/cd/owl HEAD && {BACK}",
    "what only a merge brought": EVIL_MERGE,
    "what a merge left out": OURS_ALONE,
    "a pull request, once merged": f"({STRANGER}) && {PULL}",
}
UNKNOWN = {
    "the working tree": WRITE,
    "the index": f"{WRITE} && git add -A",
    "a dangling commit": f"{DETACH} && {COMMIT} && {BACK}",
    "a stash": f"{WRITE} && git stash -qu",
    "a fetched branch": f"({STRANGER}) && git remote add -f stranger ../stranger",
    "FETCH_HEAD": f"({STRANGER}) && git fetch -q ../stranger",
    "a fetched pull request": f"({STRANGER}) && git fetch -q ../stranger main:refs/pull/1/head",
    "a fixture of the tests": f"{WRITE} && mkdir tests && mv models tests && git add -A && git commit -qm Fixture",
    "another file of a package": f"{WRITE} && mv {PATH} models/v1.0.0/notes && git add -A && git commit -qm Notes",
}
SITUATIONS = [(commands, known) for known, found in ((True, KNOWN), (False, UNKNOWN)) for commands in found.values()]


@pytest.fixture
def started(repository: Project) -> Project:
    """A repository with a commit."""
    repository.run("git commit -q --allow-empty -m Start")
    return repository


@pytest.mark.parametrize(("commands", "known"), SITUATIONS, ids=[*KNOWN, *UNKNOWN])
def test_history_vouches_for_what_is_its_own_and_not_for_what_was_fetched(
    started: Project, commands: str, known: bool
) -> None:
    started.type(commands)

    assert is_known(OURS, started.path) is known
    assert not is_known(OURS + b"\n", started.path)


def test_a_note_vouches_in_all_worktrees_and_in_no_clone(started: Project, tmp_path: Path) -> None:
    started.run("git worktree add -q -b other ../worktree")
    started.run(f"git clone -q . {tmp_path / 'clone'}")
    git.leave_note(OURS, "ours", tmp_path / "worktree")

    known = {name: is_known(OURS, tmp_path / name) for name in ("repository", "worktree", "clone")}
    assert known == {"repository": True, "worktree": True, "clone": False}
    assert "lineage" not in started.run("git status --porcelain --untracked-files=all").stdout


def test_a_shallow_clone_vouches_for_what_it_has_and_says_that_it_is_cut(
    started: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started.type(COMMIT)
    started.run(f"git clone -q --depth 1 file://{started.path} {tmp_path / 'has'}")
    started.type(GO_ON)
    started.run(f"git clone -q --depth 1 file://{started.path} {tmp_path / 'lacks'}")
    assert is_known(OURS, tmp_path / "has")

    monkeypatch.setattr(vouching, "TOP", tmp_path / "lacks")
    with pytest.raises(UnvouchedError, match=r"its history is cut \(a shallow clone\); git fetch --unshallow --tags"):
        refuse_unvouched(FOLDER, intact())


def test_configuration_does_not_hide_the_first_commit(repository: Project) -> None:
    assert not is_known(OURS, repository.path)  # there is no HEAD either
    repository.type(f"git config log.showRoot false && {COMMIT}")

    assert is_known(OURS, repository.path)


def test_where_git_cannot_be_asked_that_is_said_and_outside_it_knows_nothing(
    started: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    started.type(COMMIT)
    git.leave_note(OURS, "ours")
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    with pytest.raises(CannotAsk, match="dubious ownership"):
        is_known(OURS, started.path)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(CannotAsk, match=r"^git: not found on the PATH"):
        is_known(OURS, started.path)
    assert not is_known(OURS, tmp_path / "elsewhere")


FOLDER = Path("models/v1.0.0")


def intact(signature: bytes | None = None) -> Package:
    texts = {MANIFEST: OURS} | ({SIGNATURE: signature} if signature else {})
    return Package(texts, {name: Digest(1, "0" * 32, "0" * 64) for name in (*CHECKED, SUMS)})


def test_where_a_key_is_named_only_that_key_counts(
    started: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = write_key(tmp_path, "team")
    other = write_key(tmp_path, "other")
    signature = signatures.sign("v1.0.0", intact(), read_private_key(key))
    monkeypatch.setattr(vouching, "TOP", started.path)
    with pytest.raises(UnvouchedError, match=r"^models/v1.0.0: nobody vouches for it: .+(?s:.+)--trust-unvouched"):
        refuse_unvouched(FOLDER, intact(signature))
    refuse_unvouched(FOLDER, intact(signature), [key.with_suffix(".pub")])
    refuse_unvouched(FOLDER, intact(signature), [other.with_suffix(".pub"), key.with_suffix(".pub")])

    started.type(COMMIT)
    refuse_unvouched(FOLDER, intact())
    for package in (intact(), intact(signature)):
        with pytest.raises(UnvouchedError, match=r"^models/v1.0.0: model.sig: "):
            refuse_unvouched(FOLDER, package, [other.with_suffix(".pub")])


def test_a_temporary_copy_trusts_the_repository_that_it_was_copied_from(
    started: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    started.type(COMMIT)
    monkeypatch.setattr(vouching, "TOP", tmp_path)
    with pytest.raises(UnvouchedError):
        refuse_unvouched(FOLDER, intact())
    monkeypatch.setenv("DVC_ROOT", str(started.path))
    refuse_unvouched(FOLDER, intact())
