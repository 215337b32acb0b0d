"""A package on disk: `models/<version>/` with the model, its manifest, its requirements, and their checksums.

A package is a stranger's data here: its files are read once and with a limit, no link in it is followed but one into
DVC's cache to the very object that is recorded, and nothing is unpickled.
"""

import os
import stat
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import BinaryIO

from record import git
from record.checksums import Digest, copy, digest, digest_like, digest_of, format_sums
from record.files import remove_unfinished, replacing, write
from record.manifest import LARGEST, Manifest, parse_manifest
from record.problem import CannotAsk, Problem, say
from record.tracking import cached, is_link_to_cache, parse_pointer, read_workspace

MODELS = Path("models")
MODEL = "model.joblib"
MANIFEST = "manifest.json"
REQUIREMENTS = "requirements.txt"
SUMS = "SHA256SUMS"
SIGNATURE = "model.sig"  # where somebody signed the package
POINTER = f"{MODEL}.dvc"  # keeps a version tracked by DVC that `dvc.lock` no longer names
CHECKED = (MODEL, MANIFEST, REQUIREMENTS)  # what SHA256SUMS names
KEPT_BY_GIT = (MANIFEST, REQUIREMENTS, SUMS)
WRITTEN_BY_DVC = (".gitignore", POINTER)


class MissingFileError(Problem):
    """A package, or a file of it, does not exist."""


def folder_of(version: str) -> Path:
    """Where the package of a version is."""
    return MODELS / version


def versions() -> list[str]:
    """The packages under models/, whole or not."""
    return sorted({path.parent.name for name in KEPT_BY_GIT for path in MODELS.glob(f"*/{name}") if path.is_file()})


@dataclass(frozen=True)
class Package:
    """The files of a package, each read once: the small ones whole, the model only where it was asked for."""

    texts: dict[str, bytes] = field(default_factory=dict)
    digests: dict[str, Digest] = field(default_factory=dict)
    unreadable: dict[str, Problem] = field(default_factory=dict)


def open_plain(path: Path, md5: str | None = None) -> BinaryIO:
    """Open a file that is neither a device nor a link, unless it leads to the object of this MD5 in DVC's cache."""
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    is_ours = path.parent.parent == MODELS
    restore = f"python src/lineage.py restore {path.parent.name}" if is_ours else "copy the whole package"
    if path.is_symlink():
        if md5 is None or not is_link_to_cache(path, md5):
            raise Problem(f"{path}: is a link, and not to DVC's cache; remove it, then {restore}")
        path = path.resolve()
    try:
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        raise MissingFileError(f"{path}: not found; {restore}") from None
    except OSError as error:  # a socket; or somebody else's file, which must not hide the other versions
        raise Problem(f"{path}: cannot be read ({error.strerror}); remove it, then {restore}") from None
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise Problem(f"{path}: is not a plain file; remove it, then {restore}")
    return os.fdopen(descriptor, "rb")


def read_text(file: BinaryIO, name: str) -> bytes:
    """The content of a small file, up to the limit."""
    content = file.read(LARGEST + 1)
    if len(content) > LARGEST:
        raise Problem(f"{name}: is larger than {LARGEST // 1024**2} MiB, which no package has")
    return content


def read_plain(path: Path) -> bytes:
    """The content of a small file that is neither a device nor a link."""
    with open_plain(path) as file:
        return read_text(file, str(path))


def read_manifest_of(folder: Path) -> Manifest:
    """The manifest of the package in a folder."""
    with open_plain(folder / MANIFEST) as file:
        return parse_manifest(read_text(file, MANIFEST))


def current_manifest(folder: Path) -> Manifest | None:
    """The manifest of the package in a folder; None where there is none or it cannot be read."""
    try:
        return read_manifest_of(folder)
    except CannotAsk:
        raise
    except Problem:
        return None


def read_package(folder: Path, *, with_model: bool = False) -> Package:
    """Read the package in a folder."""
    if not folder.is_dir():
        raise MissingFileError(f"{folder}: not found; packages are the folders of {MODELS}/")
    return read_files(lambda name, md5: open_plain(folder / name, md5), with_model=with_model)


def read_files(
    opened: Callable[[str, str | None], AbstractContextManager[BinaryIO]], *, with_model: bool = False
) -> Package:
    """Read and hash the four files of a package, and its signature where there is one, each once.

    `opened` opens a file by its name; for the model it is also given the MD5 that the manifest records.
    """
    package = Package()
    for name in (*KEPT_BY_GIT, MODEL, SIGNATURE):
        recorded = _recorded_model(package.texts) if name == MODEL else None
        try:
            with opened(name, recorded.md5 if recorded else None) as file:
                if name != MODEL or with_model:
                    package.texts[name] = file.read() if name == MODEL else read_text(file, name)
                content = BytesIO(package.texts[name]) if name in package.texts else file
                package.digests[name] = digest_like(content, recorded) if recorded else digest_of(content)
        except CannotAsk:
            raise
        except Problem as problem:
            if name != SIGNATURE or not isinstance(problem, MissingFileError):
                package.unreadable[name] = problem
    return package


def _recorded_model(texts: dict[str, bytes]) -> Digest | None:
    try:
        return parse_manifest(texts.get(MANIFEST, b"")).model.digest()
    except Problem:
        return None


def check_package(package: Package, version: str | None = None) -> tuple[Manifest | None, list[str]]:
    """Compare the files of a package with each other; returns the manifest, where it can be read, and every problem."""
    problems = [line for problem in package.unreadable.values() for line in problem.lines] + list(_check_sums(package))
    try:
        manifest = parse_manifest(package.texts[MANIFEST]) if MANIFEST in package.texts else None
    except Problem as problem:
        return None, [*problems, *problem.lines]
    if manifest is None:
        return None, problems
    model, found = manifest.model, package.digests
    if version is not None and manifest.version != version:
        problems.append(f"{MANIFEST}: is of {manifest.version}, but it is in {folder_of(version)}")
    if MODEL in found and found[MODEL] != model.digest():
        problems.append(f"{MODEL}: is not the model that {MANIFEST} records; restore it")
    if REQUIREMENTS in found and found[REQUIREMENTS].sha256 != manifest.environment.requirements_sha256:
        problems.append(f"{REQUIREMENTS}: is not what {MANIFEST} records; restore it")
    return manifest, problems


def _check_sums(package: Package) -> Iterator[str]:
    """Compare SHA256SUMS with what it should say of the other files; name the lines that differ."""
    if SUMS not in package.texts or any(name not in package.digests for name in CHECKED):
        return
    expected = format_sums({name: package.digests[name].sha256 for name in CHECKED})
    if package.texts[SUMS] == expected:
        return
    wanted, found = expected.decode().splitlines(), package.texts[SUMS].decode("ascii", errors="replace").splitlines()
    differs = [f"{line.split()[-1]}: is not what {SUMS} says; restore it" for line in wanted if line not in found]
    extra = [line for line in found if line not in wanted and line.split("  ")[-1] not in CHECKED]
    differs += [f"{SUMS}: has a line that it should not have: {line!r}" for line in extra]
    yield from differs or [f"{SUMS}: expected each file once, sorted by name, one newline after each line"]


def write_package(folder: Path, model: Path, manifest: Manifest, requirements: bytes) -> None:
    """Write a package, each file in one step and SHA256SUMS last, so that it is right only when all the others are.

    The model is copied byte for byte: loading and dumping it again would change it. A signature of these very files is
    kept, and one of others removed.
    """
    expected = manifest.model.sha256
    remove_unfinished(folder)
    current = folder / MODEL
    if not current.is_file() or digest(current).sha256 != expected:
        with replacing(current) as part:
            copy(model, part)
            if digest(part).sha256 != expected:
                raise Problem(f"{model}: changed while it was being packaged; run dvc repro again")
    write(folder / REQUIREMENTS, requirements)
    write(folder / MANIFEST, manifest.to_bytes())
    sums = format_sums({name: digest(folder / name).sha256 for name in CHECKED})
    if not (folder / SUMS).is_file() or (folder / SUMS).read_bytes() != sums:
        (folder / SIGNATURE).unlink(missing_ok=True)
    write(folder / SUMS, sums)


def keep_others(current: str) -> list[Path]:
    """Write the pointer of every version but the current one that has none, or a wrong one; returns these pointers.

    DVC tracks only the present out of a stage. Without a pointer, the model of a version that was left behind would
    be removed by `dvc checkout`, and lost by `dvc gc`.
    """
    written = []
    for version in versions():
        manifest, pointer = current_manifest(folder_of(version)), folder_of(version) / POINTER
        if version == current or manifest is None:
            continue
        content = read_workspace(pointer)
        if content is None or not is_right_pointer(content, pointer, manifest):
            write(pointer, pointer_of(manifest))
            say(f"{pointer}: keeps that version with DVC; commit it")
            written.append(pointer)
            _bring_back(folder_of(version) / MODEL, manifest.model.md5)
    if written and "DVC_EXP_NAME" in os.environ:  # an experiment keeps only what Git knows of
        git.add(written)
    return written


def _bring_back(model: Path, md5: str) -> None:
    """Copy a model from DVC's cache where `dvc exp run` has removed it, since nothing tracked it when that began."""
    if not os.path.lexists(model) and cached(md5).is_file():
        with replacing(model) as part:
            copy(cached(md5), part)


def pointer_of(manifest: Manifest) -> bytes:
    """The content of the `.dvc` file of a package's model, as DVC writes it."""
    model = manifest.model
    return f"outs:\n- md5: {model.md5}\n  size: {model.size}\n  hash: md5\n  path: {MODEL}\n".encode()


def is_right_pointer(content: bytes, pointer: Path, manifest: Manifest) -> bool:
    """Whether a `.dvc` file tracks the model that the manifest beside it records, and nothing else."""
    return parse_pointer(content, pointer) == parse_pointer(pointer_of(manifest), pointer)


def artifact_of(name: str) -> str:
    """How the tags of GTO begin that are about a model: in a subfolder with the folder."""
    prefix = git.prefix().rstrip("/")
    return f"{prefix}={name}" if prefix else name


def tag_of(name: str, version: str) -> str:
    """The Git tag that makes a version released, as GTO names it."""
    return f"{artifact_of(name)}@{version}"


def release_tag(manifest: Manifest) -> str:
    """The Git tag that makes the version of a manifest released."""
    return tag_of(manifest.name, manifest.version)


def places(here: Path | None = None) -> list[Path | None]:
    """This repository and, in the temporary copy in which an experiment runs, the one that it was copied from."""
    root = os.environ.get("DVC_ROOT")
    return [here, Path(root)] if root else [here]


def released_manifest(manifest: Manifest, *, ask_remote: bool = True) -> Manifest | None:
    """What was released under a manifest's name and version; None when nothing was.

    A temporary copy of the repository has none of its tags, so those of the repository that it was copied from count.

    Raises:
        CannotAsk: when this clone lacks tags or history, and the repository that it came from has released the
            version, or cannot be reached.
    """
    tag, path = release_tag(manifest), folder_of(manifest.version) / MANIFEST
    for place in places():
        if commit := git.commit_of_tag(tag, place):
            content = git.read_blob(commit, path, place)
            if content is None:
                raise Problem(f"{tag}: the tag exists, but its commit has no {path}; choose another package.version")
            return parse_manifest(content)
        if ask_remote:
            refuse_if_released_elsewhere(tag, place)
    return None


def refuse_if_released_elsewhere(tag: str, root: Path | None = None) -> None:
    """Ask the repository that a clone came from whether it has a release tag that this one lacks.

    A clone that lacks tags or history must know. A whole one goes on without a network, and an experiment does not
    ask: it claims no release.
    """
    cut = git.what_is_cut(root)
    if not cut and "DVC_EXP_NAME" in os.environ:
        return
    try:
        commit = git.tag_at_remote(tag, root)
    except CannotAsk:
        if cut:
            raise
        say(f"note: the remote cannot be asked whether {tag} was released there")
        return
    if commit:
        reason = cut or "its tag was not fetched; git fetch --tags"
        raise CannotAsk(f"{tag}: released in the repository that this clone came from, but {reason}")
