"""`lineage.py restore`: put a version's bytes back under models/, from Git and from DVC's cache or remote, verified."""

import sys
from pathlib import Path

import cache
import git
import packages
from answer import Answer
from checksums import digest
from files import write
from manifest import Manifest
from parameters import read_parameters
from problem import Problem, refuse_if, say
from tools import Tools
from verify import check_contents
from version import Version, find_version


def answer(version: str) -> Answer:
    """Restore a version by its name, a Git revision or an experiment."""
    source = in_commit(find_version(version))
    manifest = source.manifest()
    refuse_to_lose(source, manifest)
    put_back(source, manifest)
    _, _, problems = check_contents(Version(source.name))
    refuse_if(problems)
    for pointer in packages.leave_pointers(read_parameters().package.version):
        say(f"{pointer}: keeps that version with DVC; commit it")
    facts = {"version": source.name, "commit": source.commit, "model": manifest.model.sha256}
    return Answer(facts, f"{source.folder}: restored from commit {source.commit}, and intact")


def in_commit(version: Version) -> Version:
    """The same version in the commit to take it from: its release, or else HEAD, or the newest commit that has it."""
    if version.commit:
        return version
    path = version.folder / packages.MANIFEST
    candidates = [*release_commits(version), git.commit_of("HEAD"), *git.commits_of(path, revision="--all")]
    for commit in filter(None, candidates):
        if git.read_blob(commit, path) is not None:
            return Version(version.name, commit)
    raise Problem(f"{path}: no commit has it, so there is nothing to restore it from; dvc repro makes it")


def release_commits(version: Version) -> list[str]:
    """The commit that the version's release tag names, if there is one."""
    try:
        tag = packages.release_tag(version.manifest())
    except Problem:  # what stands there is damaged: go by the name in params.yaml
        tag = f"{read_parameters().package.name}@{version.name}"
    commit = git.commit_of(f"refs/tags/{tag}")
    return [commit] if commit else []


def refuse_to_lose(source: Version, manifest: Manifest) -> None:
    """Refuse to overwrite an intact package that is another one and that no commit has."""
    standing = packages.standing_manifest(source.folder)
    if standing is None or standing == manifest:
        return
    _, _, problems = check_contents(Version(source.name))
    if problems:
        return
    path = source.folder / packages.MANIFEST
    content = path.read_bytes()
    if all(git.read_blob(commit, path) != content for commit in git.commits_of(path, revision="--all")):
        raise Problem(f"{source.folder}: holds another intact package that no commit has; commit it or move it away")


def put_back(source: Version, manifest: Manifest) -> None:
    """Write the files as the commit has them, with the model from wherever it is whole."""
    texts = {name: source.read(source.folder / name) or b"" for name in (packages.REQUIREMENTS, packages.SUMS)}
    model = find_model(source, manifest)
    packages.lay_down(source.folder, model, manifest, texts[packages.REQUIREMENTS])


def find_model(source: Version, manifest: Manifest) -> Path:
    """A whole copy of the model: what stands there, or the cache's, or what a remote sends into the cache."""
    sha256, cached = manifest.model.sha256, cache.find(manifest.model.md5)
    for found in (source.folder / packages.MODEL, cached):
        if found and found.is_file() and digest(found).sha256 == sha256:
            return found
    if cached:
        say(f"{cached}: is not what its name says; removed, to be fetched again")
        cached.unlink()
    fetch(source, manifest)
    fetched = cache.find(manifest.model.md5)
    if fetched and digest(fetched).sha256 == sha256:
        return fetched
    raise Problem(
        f"{source.folder / packages.MODEL}: neither the workspace, the cache nor a remote has SHA-256 {sha256}; "
        f"dvc push it from where it is, or make it again: git checkout {source.commit}, then dvc repro --force"
    )


def fetch(source: Version, manifest: Manifest) -> None:
    """Ask DVC's remote for the model; DVC knows it by `dvc.lock`, or by a pointer that must be there for that."""
    say("fetching the model")
    pointer = source.folder / packages.POINTER
    is_current = source.name == read_parameters().package.version
    lent = not is_current and not pointer.exists()
    if lent:
        write(pointer, packages.pointer_to(manifest))
    target = source.folder / packages.MODEL if is_current else pointer
    if not Tools(Path(sys.executable), Path.cwd()).run("-m", "dvc", "fetch", target.as_posix()) and lent:
        pointer.unlink()
