"""`lineage.py restore`: put a version's bytes back under models/, from Git, DVC's cache or remote, or by rebuilding."""

from contextlib import ExitStack
from pathlib import Path

from commands.processes import fetched
from commands.rebuild import rebuilt
from commands.result import Result
from commands.versions import Version, commit_that_made, commits_holding, find_version
from record import git, models, tracking
from record.checksums import digest
from record.files import write
from record.manifest import Manifest
from record.models import Package
from record.parameters import read_parameters
from record.problem import Problem, refuse_if, say
from record.signatures import check_signature


def run(version: str, fresh_env: bool) -> Result:
    """Restore a version by its name, a Git revision or an experiment."""
    source = in_commit(find_version(version))
    manifest = source.manifest()
    refuse_to_lose(source, manifest)
    requirements = source.read(source.folder / models.REQUIREMENTS) or b""
    with ExitStack() as stack:
        try:
            model = kept_model(source, manifest, stack)
        except Problem as problem:
            say(f"{problem}; rebuilding it")
            model = rebuilt_model(source, manifest, stack, fresh_env)
        models.write_package(source.folder, model, manifest, requirements)
    bring_signature(source)
    keep_in_cache(source.folder / models.MODEL, manifest.model.md5)
    refuse_if(models.check_package(models.read_package(source.folder), source.name)[1])
    models.keep_others(read_parameters().package.version)
    facts = {"version": source.name, "commit": source.commit, "model": manifest.model.sha256}
    return Result(facts, [f"{source.folder}: restored from commit {source.commit}, and intact"])


def bring_signature(source: Version) -> None:
    """Put back the signature of these files, of the version's commit or of HEAD, as one is signed after its release."""
    path = source.folder / models.SIGNATURE
    package = models.read_package(source.folder)
    found = (content for commit in (str(source.commit), "HEAD") if (content := git.read_blob(commit, path)))
    for content in (package.texts.get(models.SIGNATURE), *found):
        if content and not check_signature(Package({models.SIGNATURE: content}, package.digests))[1]:
            write(path, content)
            return


def keep_in_cache(model: Path, md5: str) -> None:
    """Put the bytes into DVC's cache where it lacks them, so that DVC itself can bring them back the next time."""
    cached = tracking.cached(md5)
    if not cached.exists():
        write(cached, model.read_bytes())
        cached.chmod(0o444)  # as DVC protects its objects


def in_commit(version: Version) -> Version:
    """The same version in the commit to take it from: its release, or else HEAD, or the newest commit that has it."""
    if version.commit:
        return version
    for commit in commits_holding(version):
        return Version(version.name, commit)
    path = version.folder / models.MANIFEST
    raise Problem(f"{path}: no commit has it, so there is nothing to restore it from; dvc repro makes it")


def refuse_to_lose(source: Version, manifest: Manifest) -> None:
    """Refuse to overwrite what was released, or an intact package that is another one and that no commit has."""
    released = models.released_manifest(manifest, ask_remote=False)
    if released and released != manifest:
        tag = models.release_tag(manifest)
        raise Problem(f"{source.folder}: another model was released as {tag}; python src/lineage.py restore {tag}")
    current = models.current_manifest(source.folder)
    if current is None or current == manifest:
        return
    package = models.read_package(source.folder)
    if models.check_package(package, source.name)[1]:
        return
    if next(commits_holding(Version(source.name), package.texts[models.MANIFEST]), None) is None:
        raise Problem(f"{source.folder}: holds another intact package that is in no commit; commit it or move it away")


def kept_model(source: Version, manifest: Manifest, stack: ExitStack) -> Path:
    """The bytes of a model as they are recorded, where they are kept: in models/, in DVC's cache, or in its remote.

    What is fetched for it is there until the stack is closed.

    Raises:
        Problem: when they are not kept, or the remote cannot be asked.
    """
    path, sha256 = source.folder / models.MODEL, manifest.model.sha256
    if path.is_file() and digest(path).sha256 == sha256:
        return path
    cached = tracking.cached(manifest.model.md5)
    if cached.is_file() and (found := digest(cached)).sha256 == sha256:
        return cached
    if cached.is_file() and found.md5 != manifest.model.md5:  # DVC would hand it out as it is
        say(f"{cached}: is not what its name says; removed, to be fetched again")
        cached.unlink()
    if source.commit is None:
        raise Problem(f"{path}: DVC's cache does not have it, and no commit records it")
    model = stack.enter_context(fetched(path, source.commit))
    if digest(model).sha256 != sha256:
        raise Problem(f"{path}: what DVC has of commit {source.commit} is not what {models.MANIFEST} records")
    return model


def rebuilt_model(source: Version, manifest: Manifest, stack: ExitStack, fresh_env: bool) -> Path:
    """The bytes of a model, made again."""
    commit, path = commit_that_made(source), source.folder / models.MODEL
    model = stack.enter_context(rebuilt(Version(source.name, commit), fresh_env)) / path
    if not model.is_file() or digest(model).sha256 != manifest.model.sha256:
        raise Problem(
            f"{path}: a rebuild made other bytes; python src/lineage.py rebuild {commit} says what differs",
            "where another clone has the right ones, dvc push them there, then restore",
        )
    return model
