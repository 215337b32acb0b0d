"""Every manifest that Git's history holds: all branches, tags and experiments, read in one pass."""

import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import git
import packages
from problem import Problem, refuse_if

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

    def text(self, *keys: str) -> str | None:
        """A value that is text; None where it is not."""
        value = self.get(*keys)
        return value if isinstance(value, str) else None

    def keys(self, *keys: str) -> list[str]:
        """The keys of a mapping; none where it is not one."""
        value = self.get(*keys)
        return list(value) if isinstance(value, dict) else []

    def main_score(self) -> tuple[str | None, float | None]:
        """The name of the main metric and its value on the test part."""
        for name in self.keys("metrics"):
            value = self.get("metrics", name, "test")
            if self.get("metrics", name, "cv_mean") is not None and isinstance(value, float):
                return name, value if math.isfinite(value) else None
        return None, None

    def is_released(self, tags: dict[str, str]) -> bool:
        """Whether a release tag holds this very manifest."""
        commit = tags.get(f"{self.get('name')}@{self.version}")
        content = git.read_blob(commit, packages.folder_of(self.version) / packages.MANIFEST) if commit else None
        return content is not None and _load(content) == self.document


def in_workspace() -> list[Record]:
    """The manifests of the packages that stand under models/."""
    paths = [packages.folder_of(version) / packages.MANIFEST for version in packages.versions()]
    found = ((path.parent.name, _load(path.read_bytes())) for path in paths if path.is_file())
    return [Record(version, None, document) for version, document in found if document]


def in_commits() -> list[Record]:
    """All manifests in commits, each content once, the newest first; what is no JSON object is left out."""
    blobs = first_commits()
    contents = git.read_blobs(list(blobs))
    refuse_if(f"Git lacks the object {blob}; git fsck says what is damaged" for blob in blobs if blob not in contents)
    found = ((place, _load(contents[blob])) for blob, place in blobs.items())
    return [Record(version, commit, document) for (version, commit), document in found if document]


def first_commits() -> dict[str, tuple[str, str]]:
    """The version and the first commit of each manifest's blob."""
    if not git.is_repository():
        return {}
    form = ("--all", "-m", "--raw", "--no-abbrev", "--no-renames", "--format=commit %H", "--relative")
    log = git.git("-c", "log.showRoot=true", "log", *form, "--", PATTERN)
    if log is None:
        raise Problem("Git's history cannot be read; git fsck says what is damaged")
    blobs: dict[str, tuple[str, str]] = {}
    commit = ""
    for line in log.splitlines():
        if line.startswith("commit "):
            commit = line.removeprefix("commit ")
        elif line.startswith(":"):
            fields, _, path = line.partition("\t")
            blob = fields.split()[3]
            if fields.split()[1].startswith("10"):  # a plain file, neither removed nor a link or a submodule
                blobs[blob] = (Path(path).parent.name, commit)  # the log goes backwards, so the first commit stays
    return blobs


def experiments_by_commit() -> dict[str, str]:
    """The names of DVC's experiments, by commit, the oldest first."""
    refs = ("--sort=creatordate", "--format=%(objectname) %(refname:lstrip=4)", "refs/exps/??/**")
    listed = git.git("for-each-ref", *refs) or ""
    return dict(line.split(" ", 1) for line in listed.splitlines())


def experiments() -> dict[str, str]:
    """The commits of DVC's experiments, by name; the newest, where two baselines have one of the same name."""
    return {name: commit for commit, name in experiments_by_commit().items()}


def release_tags() -> dict[str, str]:
    """The commits of all tags of the form `name@version`."""
    listed = git.git("for-each-ref", "--format=%(refname:lstrip=2) %(*objectname) %(objectname)", "refs/tags/*@*") or ""
    return {line.split()[0]: line.split()[1] for line in listed.splitlines()}


def _load(content: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(content.decode())
        if b"\\ud" in content.lower():
            json.dumps(document, ensure_ascii=False).encode()  # half a character cannot be printed
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None
