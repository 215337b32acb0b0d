"""What Git knows of this repository. Everything here answers None or nothing where there is no Git."""

import re
import subprocess
from collections.abc import Iterable
from pathlib import Path


def git(*arguments: str, cwd: Path | None = None) -> str | None:
    """The output of a Git command without its final newline, or None when the command fails or Git is missing."""
    try:
        done = subprocess.run(["git", *arguments], cwd=cwd, capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.decode(errors="surrogateescape").rstrip("\n") if done.returncode == 0 else None


def head() -> str | None:
    """The commit that is checked out; None before the first one."""
    return git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")


def differs_from_head(paths: Iterable[str]) -> bool:
    """Whether any of the paths is changed, added or removed with regard to HEAD."""
    return bool(git("status", "--porcelain", "--untracked-files=all", "--", *paths))


def remote(root: Path | None = None) -> str | None:
    """The address of `origin` without any credentials; None for a folder on this machine."""
    url = git("config", "--get", "remote.origin.url", cwd=root) or ""
    if re.match(r"(https?|ssh|git)://", url):
        return re.sub(r"(?<=://)[^@/]*@", "", url)
    return url if re.match(r"[^/:\\.]{2,}[^/:\\]*:(?!/)", url) else None
