"""What Git knows of this repository. Everything here answers None or nothing where there is no Git."""

import re
import shutil
import subprocess
from collections.abc import Iterable
from pathlib import Path


def git(*arguments: str, cwd: Path | None = None) -> str | None:
    """The output of a Git command without its final newline, or None when the command fails or Git is missing."""
    output = _run(*arguments, cwd=cwd)
    return None if output is None else output.decode(errors="surrogateescape").rstrip("\n")


def _run(*arguments: str, cwd: Path | None = None, content: bytes | None = None) -> bytes | None:
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, input=content, capture_output=True, check=False)
    except (FileNotFoundError, ValueError):  # no Git; or a name that no file can have, such as one with a NUL
        return None
    return done.stdout if done.returncode == 0 else None


def is_repository() -> bool:
    """Whether there is a Git, and this folder in a repository of it, even in one that it refuses to read."""
    above = (Path.cwd(), *Path.cwd().parents)
    return shutil.which("git") is not None and any((folder / ".git").exists() for folder in above)


def commit_of(revision: str, root: Path | None = None) -> str | None:
    """The commit that a revision names; None when it names none, as HEAD does before the first commit."""
    return git("rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}", cwd=root)


def knows(commit: str) -> bool:
    """Whether this repository has a commit, or is too shallow to tell."""
    return commit_of(commit) is not None or git("rev-parse", "--is-shallow-repository") == "true"


def read_blob(revision: str, path: Path, root: Path | None = None) -> bytes | None:
    """The content of a file in a commit, or None when it is not there."""
    return _run("cat-file", "blob", f"{revision}:./{path.as_posix()}", cwd=root)


def read_blobs(names: list[str]) -> dict[str, bytes]:
    """The content of each object that there is, by its hash or as `commit:./path`, from one process."""
    asked = "".join(f"{name}\n" for name in names).encode(errors="surrogateescape")
    answer = _run("cat-file", "--batch", "--buffer", content=asked) or b""
    found, start = {}, 0
    for name in names:
        end = answer.find(b"\n", start)
        header = answer[start:end].rsplit(b" ", 2)
        start = end + 1
        if end > 0 and header[-1].isdigit():
            size = int(header[-1])
            found[name] = answer[start : start + size]
            start += size + 1
    return found


def commits_of(*paths: Path, revision: str = "HEAD") -> list[str]:
    """The commits that changed any of the files, the newest first; `--all` is a revision here too."""
    return (git("log", "--format=%H", revision, "--", *(path.as_posix() for path in paths)) or "").split()


def differs_from_head(paths: Iterable[str]) -> bool:
    """Whether any of the paths is changed, added or removed with regard to HEAD; yes, where Git cannot tell."""
    status = ("status", "--porcelain", "--untracked-files=all")
    return git("--no-optional-locks", *status, "--", *paths) != ""  # a kill must not leave a lock on the index


def add(paths: Iterable[Path]) -> None:
    """Stage files to be committed."""
    git("add", "--", *(path.as_posix() for path in paths))


def is_ancestor(commit: str, later: str) -> bool:
    """Whether a commit is, or came after, another."""
    return git("merge-base", "--is-ancestor", commit, later) is not None


def remote(root: Path | None = None) -> str | None:
    """The address of `origin` without any credentials; None for a folder on this machine."""
    url = git("config", "--get", "remote.origin.url", cwd=root) or ""
    if re.match(r"(https?|ssh|git)://", url, flags=re.IGNORECASE):
        return re.sub(r"(?<=://)[^/]*@", "", url)
    return url if re.match(r"[^/:\\.]{2,}[^/:\\]*:(?!//)", url) else None
