"""`lineage.py verify`: is a package what it says? Everything that can be checked is, and each problem is named.

A package is a stranger's data here: no link in it is followed, no path that it names is opened, nothing is unpickled.
"""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from tqdm import tqdm

import cache
import git
import packages
from answer import Answer, columns
from checksums import Digest, digest_of, dvc_md5, md5_of, parse_sums
from history import experiments_by_commit, release_tags
from lock import PATH as LOCK
from lock import Lock, parse_lock, parse_pointer
from manifest import Manifest, parse_manifest
from problem import Problem
from version import Version, find_version

LARGEST_TEXT = 64 * 1024 * 1024  # bytes; the files beside the model are read whole
WORTH_A_BAR = 256 * 1024 * 1024  # bytes
WRITTEN_BY_DVC = {".gitignore", packages.POINTER}
STAGES = ("prepare", "train")


def answer(versions: list[str]) -> Answer:
    """Verify the named versions, or all that stand under models/."""
    names = versions or packages.versions()
    if not names:
        raise Problem(f"{packages.MODELS}/: holds no package; dvc repro makes one")
    problems = {name: verify(find_version(name)) for name in names}
    facts = [{"version": name, "holds": not found, "problems": found} for name, found in problems.items()]
    fine = ["checksums, manifest, dvc.lock and Git agree"]
    rows = [("FAILED" if found else "ok", name, line) for name, found in problems.items() for line in found or fine]
    return Answer(facts, columns(rows), holds=not any(problems.values()))


def verify(version: Version) -> list[str]:
    """Every problem of one version, in the order in which they should be looked at."""
    problems = list(check_folder(version))
    if problems:
        return problems
    files, manifest, problems = check_contents(version)
    if manifest:
        problems += check_tracking(version, manifest, files.digests)
        problems += check_commit(manifest)
        problems += check_release(version, manifest, files.texts[packages.MANIFEST])
    return list(dict.fromkeys(problems))


@dataclass(frozen=True)
class Files:
    """The files of a package that could be read: the small ones whole, all of them by their hashes."""

    texts: dict[str, bytes]
    digests: dict[str, Digest]


def check_folder(version: Version) -> Iterator[str]:
    """What the folder of a package must not be or hold."""
    if version.commit:
        return
    if version.folder.is_symlink() or packages.MODELS.is_symlink():
        yield f"{version.folder}: is a symbolic link, which is not followed; put the folder itself there"
        return
    expected = {*packages.CHECKED, packages.SUMS, *WRITTEN_BY_DVC}
    for name in sorted({path.name for path in version.folder.iterdir()} - expected):
        yield f"{name!r} is no file of a package; remove it"


def check_contents(version: Version) -> tuple[Files, Manifest | None, list[str]]:
    """The four files held against each other, with the manifest where it can be read."""
    files, problems = read_files(version)
    problems += check_sums(files)
    try:
        manifest = parse_manifest(files.texts.get(packages.MANIFEST, b""))
    except Problem as problem:
        return files, None, [*problems, *problem.lines]
    return files, manifest, [*problems, *check_manifest(version, manifest, files.digests)]


def read_files(version: Version) -> tuple[Files, list[str]]:
    """Read and hash the four files, each once; a line for each that cannot be read."""
    files = Files({}, {})
    problems: list[str] = []
    for name in (packages.SUMS, packages.MANIFEST, packages.REQUIREMENTS, packages.MODEL):
        try:
            with open_file(version, name) as file:
                if name == packages.MODEL:
                    files.digests[name] = digest_with_progress(file)
                else:
                    files.texts[name] = file.read(LARGEST_TEXT)
                    files.digests[name] = digest_of(BytesIO(files.texts[name]))
        except Problem as problem:
            problems += problem.lines
    return files, problems


def digest_with_progress(file: BinaryIO) -> Digest:
    """Hash a file, with a progress bar where it takes a while and a person is there to see it."""
    size = os.fstat(file.fileno()).st_size
    quiet = True if size < WORTH_A_BAR else None
    with tqdm.wrapattr(file, "read", total=size, desc=packages.MODEL, disable=quiet, leave=False) as watched:
        return digest_of(watched)


def open_file(version: Version, name: str) -> BinaryIO:
    """A file of a package to read from: of the workspace, of a commit, or the model of a commit from the cache."""
    path = version.folder / name
    if not version.commit:
        return open_plain(path)
    if name != packages.MODEL:
        content = git.read_blob(version.commit, path)
        if content is None:
            raise Problem(f"{name}: missing from commit {version.commit}")
        return BytesIO(content)
    md5 = tracked_md5s(version).get(path.as_posix(), "")
    cached = cache.find(md5)
    if cached is None:
        raise Problem(f"{name}: DVC's cache does not have it; dvc fetch brings what a remote has")
    return open_plain(cached)


def open_plain(path: Path) -> BinaryIO:
    """Open a file that is neither a link nor anything else that is no plain file."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    if path.is_symlink():
        raise Problem(f"{path.name}: is a symbolic link, which is not followed; put the file itself there")
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise Problem(f"{path.name}: missing; python src/lineage.py restore {path.parent.name}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Problem(f"{path.name}: is no plain file; remove it and restore the package")
    return os.fdopen(descriptor, "rb")


def check_sums(files: Files) -> list[str]:
    """Hold the files against SHA256SUMS."""
    if packages.SUMS not in files.texts:
        return []
    try:
        sums = parse_sums(files.texts[packages.SUMS], packages.CHECKED)
    except Problem as problem:
        return list(problem.lines)
    different = [name for name in sums if name in files.digests and files.digests[name].sha256 != sums[name]]
    return [f"{name}: is not what {packages.SUMS} says; restore it" for name in different]


def check_manifest(version: Version, manifest: Manifest, digests: dict[str, Digest]) -> Iterator[str]:
    """Hold the files against the manifest."""
    if manifest.version != version.name:
        yield f"{packages.MANIFEST}: is of {manifest.version}, but stands in {version.folder}"
    recorded = Digest(manifest.model.size, manifest.model.md5, manifest.model.sha256)
    if digests.get(packages.MODEL, recorded) != recorded:
        yield f"{packages.MODEL}: is not the model that {packages.MANIFEST} records; restore it"
    requirements = digests.get(packages.REQUIREMENTS)
    if requirements and requirements.sha256 != manifest.environment.requirements_sha256:
        yield f"{packages.REQUIREMENTS}: is not what {packages.MANIFEST} records; restore it"


def tracked_md5s(version: Version) -> dict[str, str]:
    """What DVC records of a version's files, from the entry of `package` in dvc.lock or from the pointer."""
    content = version.read(LOCK)
    stage = parse_lock(content).stages.get("package") if content else None
    outs = stage.outputs() if stage else {}
    if (version.folder / packages.MODEL).as_posix() in outs:
        return outs
    pointer = version.read(version.folder / packages.POINTER)
    entries = parse_pointer(pointer).outs if pointer else []
    return {(version.folder / entry.path).as_posix(): entry.md5 for entry in entries}


def check_tracking(version: Version, manifest: Manifest, digests: dict[str, Digest]) -> Iterator[str]:
    """Hold the files against DVC's record of them and, where the version is the current one, the lineage too."""
    try:
        tracked = tracked_md5s(version)
        content = version.read(LOCK)
        recorded = parse_lock(content) if content else Lock(stages={})
    except Problem as problem:
        yield from problem.lines
        return
    if not tracked:
        yield f"{packages.MODEL}: neither {LOCK} nor a pointer tracks it, so DVC cannot bring it back; dvc repro"
    for name, digest in digests.items():
        md5 = tracked.get((version.folder / name).as_posix(), digest.md5)
        if md5 != digest.md5:
            yield f"{name}: {LOCK if len(tracked) > 1 else packages.POINTER} records MD5 {md5}, it is {digest.md5}"
    if len(tracked) > 1:
        yield from check_stages(manifest, recorded)
        if not version.commit:
            yield from check_dependencies(recorded)
    else:
        yield from check_kept_files(version, digests)


def check_stages(manifest: Manifest, recorded: Lock) -> Iterator[str]:
    """Hold the lineage that the manifest records against dvc.lock."""
    for name in STAGES:
        then, now = manifest.stages.get(name), recorded.stages.get(name)
        if then is None or now is None:
            yield f"{name}: recorded in {LOCK if then is None else packages.MANIFEST} alone"
            continue
        for kind, before, after in [("reads", then.deps, now.dependencies()), ("makes", then.outs, now.outputs())]:
            for path in sorted({*before, *after}):
                if before.get(path) != after.get(path):
                    yield (
                        f"{path}: {name} {kind} it; {packages.MANIFEST} records {before.get(path)}, "
                        f"{LOCK} records {after.get(path)}; dvc repro"
                    )
        if then.cmd != now.cmd:
            yield f"{name}: {packages.MANIFEST} records the command '{then.cmd}', {LOCK} '{now.cmd}'; dvc repro"
    source, prepare = manifest.data.source, recorded.stages.get("prepare")
    if prepare and prepare.dependencies().get(source.path) != source.md5:
        yield f"{source.path}: {packages.MANIFEST} records MD5 {source.md5}, {LOCK} does not; dvc repro"


def check_dependencies(recorded: Lock) -> Iterator[str]:
    """Hold what dvc.lock records of data and code against the files themselves, where they are."""
    top = Path.cwd().resolve()
    stages = [recorded.stages[name] for name in STAGES if name in recorded.stages]
    for path, md5 in {p: m for stage in stages for p, m in (stage.dependencies() | stage.outputs()).items()}.items():
        if not (top / path).resolve().is_relative_to(top):
            yield f"{path}: {LOCK} names a path outside of the repository"
        elif Path(path).exists() and dvc_md5(Path(path)) != md5:
            yield f"{path}: changed since the pipeline ran; dvc repro, or git checkout and dvc checkout to go back"


def check_kept_files(version: Version, digests: dict[str, Digest]) -> Iterator[str]:
    """Hold the Git-kept files of a version that was left behind against HEAD, which alone still records them."""
    for name in (packages.MANIFEST, packages.REQUIREMENTS, packages.SUMS):
        kept = git.read_blob(version.commit or "HEAD", version.folder / name)
        if kept is not None and name in digests and digest_of(BytesIO(kept)) != digests[name]:
            yield f"{name}: is not what Git's HEAD has; git checkout {version.folder / name}"


def check_commit(manifest: Manifest) -> Iterator[str]:
    """Hold the recorded code and data against the recorded commit, where Git has it and the record was clean."""
    record = manifest.run.git
    if record is None:
        return
    if git.commit_of(record.commit) is None:
        yield f"commit {record.commit}: not in this repository; git fetch --unshallow, or ask for its branch"
        return
    if record.dirty:
        return
    inputs = {dep: f"{record.commit}:./{dep[0]}" for dep in manifest.inputs() if dep[0].isprintable()}
    blobs = git.read_blobs(list(inputs.values()))
    for (path, recorded), name in inputs.items():
        if name in blobs and md5_of(blobs[name]) != recorded:
            yield f"{path}: {packages.MANIFEST} records MD5 {recorded}, but commit {record.commit} has other content"


def check_release(version: Version, manifest: Manifest, content: bytes) -> Iterator[str]:
    """Hold the manifest against the one that the release tag holds, unless it is of an experiment or came before."""
    tag = packages.release_tag(manifest)
    commit = release_tags().get(tag)
    if commit is None or git.read_blob(commit, version.folder / packages.MANIFEST) == content:
        return
    is_claim = version.commit not in experiments_by_commit()
    if version.commit is None or (is_claim and git.is_ancestor(commit, version.commit)):
        yield f"{packages.MANIFEST}: is not the one that was released as {tag}; git checkout {tag} -- {version.folder}"
