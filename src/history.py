"""Every manifest that Git's history holds: all branches, tags and experiments, read in one pass."""

import json
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import git
import packages

PATTERN = f"{packages.MODELS.as_posix()}/*/{packages.MANIFEST}"


@dataclass(frozen=True)
class Record:
    """A manifest as plain JSON, which may be anybody's, and the first commit that holds it (None: the workspace)."""

    version: str
    commit: str | None
    document: dict[str, Any]

    def get(self, *keys: str) -> Any:
        """A value by its keys; None where it is not there."""
        value: Any = self.document
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    def main_score(self) -> tuple[str | None, float | None]:
        """The name of the main metric and its value on the test part."""
        for name in self.get("metrics") or ():
            value = self.get("metrics", name, "test")
            if self.get("metrics", name, "cv_mean") is not None and isinstance(value, int | float):
                return name, value
        return None, None

    def is_released(self, tags: dict[str, str]) -> bool:
        """Whether a release tag holds this very manifest."""
        commit = tags.get(f"{self.get('name')}@{self.version}")
        content = git.read_blob(commit, packages.folder_of(self.version) / packages.MANIFEST) if commit else None
        return content is not None and _load(content) == self.document


def in_workspace() -> list[Record]:
    """The manifests of the packages that stand under models/."""
    found = ((path, _load(path.read_bytes())) for path in sorted(Path().glob(PATTERN)))
    return [Record(path.parent.name, None, document) for path, document in found if document]


def in_commits() -> list[Record]:
    """All manifests in commits, each content once, the newest first; what is no JSON object is left out."""
    blobs = first_commits()
    found = ((blobs[blob], _load(content)) for blob, content in read_blobs(list(blobs)))
    return [Record(version, commit, document) for (version, commit), document in found if document]


def first_commits() -> dict[str, tuple[str, str]]:
    """The version and the first commit of each manifest's blob."""
    arguments = ("log", "--all", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=commit %H", "--relative")
    blobs: dict[str, tuple[str, str]] = {}
    commit = ""
    for line in (git.git(*arguments, "--", PATTERN) or "").splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith(":"):
            fields, _, path = line.partition("\t")
            blob = fields.split()[3]
            if set(blob) != {"0"}:  # zeros stand for a removed file
                blobs[blob] = (Path(path).parent.name, commit)  # the log goes backwards, so the first commit stays
    return blobs


def read_blobs(blobs: list[str]) -> Iterator[tuple[str, bytes]]:
    """The content of each blob, from one process."""
    if not blobs:
        return
    asked = "".join(f"{blob}\n" for blob in blobs).encode()
    answer = subprocess.run(["git", "cat-file", "--batch"], input=asked, capture_output=True, check=True).stdout
    start = 0
    for blob in blobs:
        end = answer.index(b"\n", start)
        size = int(answer[start:end].split()[2])
        yield blob, answer[end + 1 : end + 1 + size]
        start = end + size + 2


def experiments_by_commit() -> dict[str, str]:
    """The names of DVC's experiments, by commit."""
    return {commit: name for name, commit in experiments().items()}


def experiments() -> dict[str, str]:
    """The commits of DVC's experiments, by name."""
    listed = git.git("for-each-ref", "--format=%(objectname) %(refname:lstrip=4)", "refs/exps/??/**") or ""
    return {name: commit for commit, _, name in (line.partition(" ") for line in listed.splitlines())}


def release_tags() -> dict[str, str]:
    """The commits of all tags of the form `name@version`."""
    listed = git.git("for-each-ref", "--format=%(refname:lstrip=2) %(*objectname) %(objectname)", "refs/tags/*@*") or ""
    return {line.split()[0]: line.split()[1] for line in listed.splitlines()}


def _load(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
