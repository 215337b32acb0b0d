"""What Git says of this repository: yes, no, or that it cannot be asked, which is never taken for a no.

Where no `.git` is in this folder or above, every question is answered by None or nothing. Where one is and Git cannot
answer (it is not installed, refuses the folder, or finds it damaged), asking raises `CannotAsk` with Git's own words.
"""

import hashlib
import os
import re
import secrets
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from posixpath import join, normpath

from record.problem import CannotAsk

LEADS_GIT = re.compile(r"GIT_(?!CONFIG)")  # to another repository, perhaps; Git says which of these do


def has_repository(folder: Path | None = None) -> bool:
    """Whether a folder is in a repository that Git answers for.

    Raises:
        CannotAsk: when there is a `.git` but no answer.
    """
    return _prefix(folder or Path.cwd()) is not None


def prefix(folder: Path | None = None) -> str:
    """Where a folder is in its repository, with a slash at the end; empty for the top, and outside of a repository."""
    return _prefix(folder or Path.cwd()) or ""


@cache
def _prefix(folder: Path) -> str | None:
    if not any((above / ".git").exists() for above in (folder, *folder.parents)):
        return None
    return (_run("rev-parse", "--show-prefix", cwd=folder) or b"").decode(errors="surrogateescape").rstrip("\n")


def is_outside(path: str, root: Path | None = None) -> bool:
    """Whether a path leads out of the repository, where no commit has anything; in a subfolder `../` need not."""
    return f"{normpath(join(prefix(root), path))}/".startswith(("/", "../"))


@cache
def _location_variables() -> frozenset[str]:
    """The variables by which a hook or a caller leads Git to another repository; not those that configure it."""
    done = subprocess.run(["git", "rev-parse", "--local-env-vars"], capture_output=True, text=True, check=True)
    return frozenset(filter(LEADS_GIT.match, done.stdout.split()))


def environment(**more: str) -> dict[str, str]:
    """The environment for commands about a folder's own repository, wherever the caller's variables lead."""
    try:
        location = _location_variables() if any(map(LEADS_GIT.match, os.environ)) else frozenset()
    except FileNotFoundError:
        location = frozenset()
    return {name: value for name, value in os.environ.items() if name not in location} | more


def _run(
    *arguments: str, cwd: Path | None = None, no: Iterable[int] = (), content: bytes | None = None
) -> bytes | None:
    """What a command prints; None where it ends with a status that means no."""
    done = _end_of(*arguments, cwd=cwd, content=content)
    if done.returncode == 0:
        return done.stdout
    if done.returncode in no:
        return None
    said = _lines(done.stderr)
    raise CannotAsk(f"Git cannot answer about {cwd or Path.cwd()}:", *(said or [f"git {arguments[0]} failed"]))


def _lines(stderr: bytes) -> list[str]:
    return [line.strip() for line in stderr.decode(errors="replace").splitlines() if line.strip()]


def _end_of(
    *arguments: str, cwd: Path | None = None, content: bytes | None = None
) -> subprocess.CompletedProcess[bytes]:
    try:
        return subprocess.run(
            ["git", "--no-optional-locks", *arguments],  # a kill must not leave a lock on the index
            cwd=cwd,
            env=environment(LC_ALL="C", GIT_TERMINAL_PROMPT="0"),
            input=content,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        raise CannotAsk(
            "git: not found on the PATH, but this is a Git repository, and only Git knows what was released; install it"
        ) from None


def ask(*arguments: str, cwd: Path | None = None, no: Iterable[int] = (1,)) -> str | None:
    """The output of a Git command without its final newline; None for a no, or outside of a repository."""
    if not has_repository(cwd):
        return None
    output = _run(*arguments, cwd=cwd, no=no)
    return None if output is None else output.decode(errors="surrogateescape").rstrip("\n")


def commit_of(revision: str, root: Path | None = None) -> str | None:
    """The commit that a revision names; None when it names none, as HEAD does before the first commit."""
    if not revision or not revision.isprintable() or ":" in revision:
        return None
    return ask("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", cwd=root, no=(1, 128))


def commit_of_tag(tag: str, root: Path | None = None) -> str | None:
    """The commit of a tag; None if the tag does not exist.

    Raises:
        CannotAsk: when there is one, but what it names is damaged.
    """
    if not ask("for-each-ref", "--format=%(objectname)", f"refs/tags/{tag}", cwd=root, no=()):
        return None
    if commit := commit_of(f"refs/tags/{tag}", root):
        return commit
    raise CannotAsk(f"{tag}: the tag exists, but Git cannot read what it names; git fsck says what is damaged")


@dataclass(frozen=True)
class Tag:
    """A tag with the commit that it leads to, and when it or else the commit was made, in seconds since 1970."""

    name: str
    commit: str
    is_annotated: bool
    time: int | None  # None where nobody says


def tags() -> list[Tag]:
    """All tags, from one process."""
    form = "%(refname:lstrip=2) %(objecttype) %(objectname) %(*objectname) %(creatordate:unix)"
    found = (line.split(" ") for line in (ask("for-each-ref", f"--format={form}", "refs/tags/") or "").splitlines())
    return [
        Tag(name, target or own, kind == "tag", int(time) if time else None) for name, kind, own, target, time in found
    ]


def verify_tag(tag: str) -> tuple[bool, list[str]]:
    """Whether the signature of a tag is good by Git's own settings, and what Git's check says."""
    done = _end_of("verify-tag", f"refs/tags/{tag}")
    return done.returncode == 0, _lines(done.stderr)


def read_blob(revision: str, path: Path, root: Path | None = None) -> bytes | None:
    """The content of a file in a commit, as Git stores it; None when it is not there."""
    if not {"\n", "\0"}.isdisjoint(path.as_posix()) or is_outside(path.as_posix(), root):
        return None
    if re.fullmatch("[0-9a-f]{40}", revision) and (found := read_places([(revision, path.as_posix())], root)):
        return found[revision, path.as_posix()]
    if commit_of(revision, root) is None:  # one by one, to tell what is not there from what is damaged
        return None
    entry = ask("ls-tree", "-z", f"{revision}^{{commit}}", "--", path.as_posix(), cwd=root, no=()) or ""
    blobs = _blobs(entry).values()
    return next(iter(read_blobs([*blobs], root).values()), None)


def blobs_of(commit: str) -> dict[str, str]:
    """The hash of each file of a commit, by path."""
    return _blobs(ask("ls-tree", "-r", "-z", commit, no=()) or "") if commit_of(commit) else {}


def _blobs(listed: str) -> dict[str, str]:
    entries = (line.partition("\t") for line in listed.split("\0")[:-1])
    return {path: entry.split()[2] for entry, _, path in entries if " blob " in entry}


def _contents(objects: Sequence[str], root: Path | None) -> Iterator[bytes | None]:
    """The content of each object that is named, from one process; None for what is not there or is not a file."""
    if not objects or not has_repository(root):
        return
    asked = "".join(f"{name}\n" for name in objects).encode(errors="surrogateescape")
    answer, start = _run("cat-file", "--batch", "--buffer", cwd=root, content=asked) or b"", 0
    for _ in objects:
        end = answer.find(b"\n", start)
        kind, size = answer[start:end].split(b" ")[-2:]
        start = end + 1
        if size.isdigit():
            start += int(size) + 1
        yield answer[end + 1 : start - 1] if kind == b"blob" else None


def read_blobs(blobs: list[str], root: Path | None = None) -> dict[str, bytes]:
    """The content of each blob, by its hash."""
    found = {}
    for blob, content in zip(blobs, _contents(blobs, root), strict=False):  # there are none outside of a repository
        if content is None:
            raise CannotAsk(f"Git lacks the object {blob}; git fsck says what is damaged")
        found[blob] = content
    return found


def read_places(places: Iterable[tuple[str, str]], root: Path | None = None) -> dict[tuple[str, str], bytes]:
    """The content of files in commits, by commit and path; what is not there is left out."""
    asked = [place for place in dict.fromkeys(places) if "\n" not in place[1]]
    names = [f"{commit}^{{commit}}:{prefix(root)}{path}" for commit, path in asked]
    contents = zip(asked, _contents(names, root), strict=False)
    return {place: content for place, content in contents if content is not None}


def checked_out(commit: str, paths: Iterable[str]) -> dict[str, bytes]:
    """The content of each file of a commit, by path, as a checkout would write it: filters and line ends applied."""
    named = [path for path in paths if "\n" not in path]
    beside = [path for path in named if path.startswith("../") and not is_outside(path)]  # in a monorepo
    blobs = blobs_of(commit) | (_blobs(ask("ls-tree", "-z", commit, "--", *beside, no=()) or "") if beside else {})
    wanted = [path for path in named if path in blobs]
    if not wanted:
        return {}
    asked = "".join(f"{blobs[path]} {normpath(join(prefix(), path))}\n" for path in wanted).encode(
        errors="surrogateescape"
    )
    mark = secrets.token_hex(16)  # Git tells sizes before filters, so each content begins after a line of our own
    answer = _run("cat-file", f"--batch={mark}", "--buffer", "--filters", content=asked) or b""
    contents = answer.split(f"{mark}\n".encode())[1:]
    if len(contents) != len(wanted):
        raise CannotAsk(f"Git lacks objects of commit {commit}; git fsck says what is damaged")
    return {path: content.removesuffix(b"\n") for path, content in zip(wanted, contents, strict=True)}


def commits_of(*paths: Path, revision: str = "HEAD") -> list[str]:
    """The commits that changed any of the files, the newest first; `--all` is a revision here too."""
    if revision == "HEAD" and commit_of("HEAD") is None:
        return []
    return (
        ask("log", "--full-history", "--format=%H", revision, "--", *(path.as_posix() for path in paths)) or ""
    ).split()


def is_ancestor(commit: str, later: str) -> bool:
    """Whether a commit is, or came before, another."""
    return ask("merge-base", "--is-ancestor", commit, later) is not None


def add(paths: Iterable[Path]) -> None:
    """Stage files to be committed."""
    ask("add", "--", *(path.as_posix() for path in paths), no=())


def hash_of(content: bytes, root: Path | None = None) -> str | None:
    """The hash by which Git knows a file's content, whether it has it or not; None outside a repository."""
    output = _run("hash-object", "--stdin", cwd=root, content=content) if has_repository(root) else None
    return None if output is None else output.decode().strip()


def _note_of(content: bytes, root: Path | None) -> Path | None:
    folder = ask("rev-parse", "--git-common-dir", cwd=root, no=())
    name = hashlib.sha256(content).hexdigest()
    return None if folder is None else (root or Path.cwd()) / folder / "lineage" / name


def has_note(content: bytes, root: Path | None = None) -> bool:
    """Whether Git's own folder, which all worktrees share and no clone or archive brings, has a note of a file."""
    note = _note_of(content, root)
    return note is not None and note.is_file()


def leave_note(content: bytes, says: str, root: Path | None = None) -> None:
    """Leave a note of a file in Git's own folder, under its SHA-256; outside a repository, do nothing."""
    if note := _note_of(content, root):
        note.parent.mkdir(exist_ok=True)
        note.write_text(f"{says}\n", encoding="utf-8")


def what_is_cut(root: Path | None = None) -> str | None:
    """What this clone lacks of the history or the tags, and the command that fetches it; None for a whole clone."""
    if ask("rev-parse", "--is-shallow-repository", cwd=root) == "true":
        return "its history is cut (a shallow clone); git fetch --unshallow --tags"
    settings = (ask("config", "--get-regexp", r"^remote\..*\.(tagopt|fetch)$", cwd=root) or "").splitlines()
    fetched: dict[str, bool] = {}  # remote → whether all of its branches are fetched
    for name, _, refs in (line.partition(" ") for line in settings if ".fetch " in line):
        fetched[name] = fetched.get(name, False) or "refs/heads/*" in refs or "refs/*" in refs
    if any(line.endswith("--no-tags") for line in settings):
        return "it was cloned without tags; git fetch --tags"
    if not all(fetched.values()):
        return "it was cloned with a single branch; git fetch --tags"
    return None


def tag_at_remote(tag: str, root: Path | None = None) -> str | None:
    """The commit of a tag in the repository that this one was cloned from; None when it has no such tag.

    Raises:
        CannotAsk: when it cannot be reached.
    """
    remotes = (ask("remote", cwd=root) or "").split()
    if not remotes:
        return None
    remote = "origin" if "origin" in remotes else remotes[0]
    listed = ask("ls-remote", remote, f"refs/tags/{tag}", f"refs/tags/{tag}^{{}}", cwd=root, no=()) or ""
    commits = [line.split()[0] for line in listed.splitlines()]
    return commits[-1] if commits else None  # an annotated tag is followed by its commit


def remote(root: Path | None = None) -> str | None:
    """The address of `origin` without any credentials; None for a folder on this machine."""
    return without_credentials(ask("config", "--get", "remote.origin.url", cwd=root) or "")


def without_credentials(url: str) -> str | None:
    """An address that can be written down; None for a folder on this machine."""
    if re.match(r"[a-z][a-z0-9+.-]+://", url, flags=re.IGNORECASE) and not url.lower().startswith("file:"):
        return re.sub(r"(?<=://)[^/]*@", "", url)
    return url if re.match(r"[^/:\\.]{2,}[^/:\\]*:(?!//)", url) else None
