"""A version of the model, wherever its package is: in the workspace, or in a commit of Git's history."""

import re
from dataclasses import dataclass
from pathlib import Path

import git
import packages
from history import experiments
from lock import PATH as LOCK
from lock import parse_lock
from manifest import Manifest, parse_manifest
from parameters import read_parameters
from problem import Problem, did_you_mean

WORKSPACE = "workspace"
PLAIN_NAME = re.compile(r"v[0-9][0-9A-Za-z.-]*")


@dataclass(frozen=True)
class Version:
    """The name of a package, and the commit that holds it; None for the workspace."""

    name: str
    commit: str | None = None

    @property
    def folder(self) -> Path:
        """Where the package stands, in the workspace or in the commit."""
        return packages.folder_of(self.name)

    def read(self, path: Path) -> bytes | None:
        """A file of the repository as this version has it."""
        if self.commit:
            return git.read_blob(self.commit, path)
        return path.read_bytes() if path.is_file() else None

    def manifest(self) -> Manifest:
        """The manifest, checked against its schema."""
        content = self.read(self.folder / packages.MANIFEST)
        if content is None:
            place = f"commit {self.commit}" if self.commit else "the workspace"
            raise Problem(f"{self.folder / packages.MANIFEST}: not found in {place}; dvc repro makes it")
        return parse_manifest(content)


def find_version(what: str) -> Version:
    """The version that a person means.

    It is looked for among the folders of models/, as `workspace`, among experiments and Git revisions, and last
    among the versions that only Git's history still has.
    """
    if what == WORKSPACE:
        return Version(read_parameters().package.version)
    if what in packages.versions():
        return Version(what)
    if commit := experiments().get(what) or git.commit_of(what):
        return Version(version_made_in(commit, what), commit)
    path = packages.folder_of(what) / packages.MANIFEST
    for commit in git.commits_of(path, revision="--all") if PLAIN_NAME.fullmatch(what) else ():
        if git.read_blob(commit, path) is not None:  # the newest may be the one that removed it
            return Version(what, commit)
    known = [*packages.versions(), *experiments(), WORKSPACE]
    raise Problem(f"'{what}' is no version, revision or experiment; {did_you_mean(what, known)}")


def version_made_in(commit: str, what: str) -> str:
    """The version that the pipeline packaged last in a commit, from its `dvc.lock`."""
    content = git.read_blob(commit, LOCK)
    stage = parse_lock(content).stages.get("package") if content else None
    for path in map(Path, stage.outputs() if stage else ()):
        if path.name == packages.MANIFEST:
            return path.parent.name
    raise Problem(f"'{what}': its dvc.lock records no package")
