"""`lineage.py export`: a version in the forms that other tools read. The same version gives the same bytes.

CycloneDX and SLSA are documents about a package, which need its small files alone. An OCI layout is the package itself.
"""

import json
import os
import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from commands.exports import cyclonedx, oci, slsa
from commands.exports.oci import Layout
from commands.restore import kept_model
from commands.result import Result
from commands.verify import open_file
from commands.versions import Version, commits_holding, find_version
from record import models
from record.checksums import copy, digest, sha256_of
from record.files import PART, replacing, write
from record.manifest import Manifest
from record.models import Package
from record.parameters import ARTIFACT_NAME, SEMANTIC_VERSION
from record.problem import Problem
from record.signatures import check_signature

FOLDER = Path("exports")
DOCUMENTS = {"cyclonedx": cyclonedx.document, "slsa": slsa.document}
OCI = "oci"


def run(version: str, form: str, output: Path | None = None) -> Result:
    """Write a version in one of the formats; a document goes to stdout where no place is named."""
    found = find_version(version)
    manifest, package = read(found)
    facts = {"version": found.name, "format": form}
    if form == OCI:
        layout, target = oci.layout(manifest, package), output or FOLDER / f"{manifest.name}-{manifest.version}-oci"
        write_layout(target, layout, found, manifest)
        facts |= {"path": target.as_posix(), "digest": layout.digest}
        return Result(facts, [f"{target}: {layout.digest}; {copy_command(target, manifest)}"])
    document = DOCUMENTS[form](manifest, package)
    text = json.dumps(document, indent=2)
    if output is None:
        return Result(document, text.splitlines())
    write_document(output, f"{text}\n".encode())
    return Result(facts | {"path": output.as_posix()}, [f"{output}: {form} of {manifest.name} {manifest.version}"])


def copy_command(target: Path, manifest: Manifest) -> str:
    """What brings a layout to a registry."""
    image = f"registry.example.org/{manifest.name}:{manifest.version}"
    return f"skopeo copy oci:{target.as_posix()}:{manifest.version} docker://{image}"


def read(version: Version) -> tuple[Manifest, Package]:
    """The manifest and the small files of a package, checked against each other; its model counts as recorded."""
    manifest = version.manifest()
    package = models.read_files(lambda name, md5: open_small(version, name, md5))
    del package.unreadable[models.MODEL]
    package.digests[models.MODEL] = manifest.model.digest()
    problems = [*models.check_package(package, version.name)[1], *check_signature(package)[1], *check_names(manifest)]
    if problems:
        verify = f"python src/lineage.py verify {version.commit or version.name}"
        raise Problem(*problems, f"{verify} says what else is wrong")
    return manifest, package


def open_small(version: Version, name: str, md5: str | None) -> AbstractContextManager[BinaryIO]:
    """A file of a package to read from; the model is not read here, so it may be missing."""
    if name == models.MODEL:
        raise models.MissingFileError(f"{version.folder / name}: not read")
    return open_file(version, name, md5)


def check_names(manifest: Manifest) -> Iterator[str]:
    """Names that packaging does not write, and that would be another thing in a path or in a registry."""
    for pattern, name in ((ARTIFACT_NAME, manifest.name), (SEMANTIC_VERSION, manifest.version)):
        if not re.fullmatch(pattern, name):
            yield f"{models.MANIFEST}: is of {name!r}, which is not a name that packaging gives"


def write_document(path: Path, content: bytes) -> None:
    """Write a document to a place that is free, or that has it already."""
    if os.path.lexists(path) and not (path.is_file() and path.read_bytes() == content):
        raise Problem(in_the_way(path))
    write(path, content)


def in_the_way(path: Path) -> str:
    """What is said of a place that holds something else."""
    return f"{path}: holds something else, which is not overwritten; move it away, or name another place with --output"


def write_layout(target: Path, layout: Layout, version: Version, manifest: Manifest) -> None:
    """Write a layout as a folder that is whole or does not exist, to a place that is free, or that has it already."""
    blob, recorded = oci.blob_of(manifest.model.sha256), manifest.model.sha256
    if os.path.lexists(target):
        expected = {path: sha256_of(content) for path, content in layout.files.items()}
        if found_in(target) != expected | {blob: recorded}:
            raise Problem(in_the_way(target))
        return
    with ExitStack() as stack:
        model = model_of(version, manifest, stack)
        folder = stack.enter_context(unfinished(target))
        for path, content in layout.files.items():
            write(folder / path, content)
        with replacing(folder / blob) as part:
            copy(model, part)
            if digest(part).sha256 != recorded:
                raise Problem(f"{model}: changed while it was being exported; export it again")


def found_in(folder: Path) -> dict[str, str]:
    """The SHA-256 of each file in a folder, by its path there."""
    files = [path for path in folder.rglob("*") if path.is_file()]
    return {path.relative_to(folder).as_posix(): digest(path).sha256 for path in files}


@contextmanager
def unfinished(target: Path) -> Iterator[Path]:
    """A new folder that takes the place of `target` if the block ends well, and is gone if it does not."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory(dir=target.parent, prefix=f".{target.name}.", suffix=PART) as folder:
        inside = Path(folder) / target.name
        inside.mkdir()
        yield inside
        inside.rename(target)


def model_of(version: Version, manifest: Manifest, stack: ExitStack) -> Path:
    """The model where it is kept, as a commit with this very manifest records it."""
    commit = version.commit or next(commits_holding(version, manifest.to_bytes()), None)
    try:
        return kept_model(Version(version.name, commit), manifest, stack)
    except Problem as problem:
        restore = f"python src/lineage.py restore {version.commit or version.name}"
        raise Problem(*problem.lines, f"{restore} brings it back, if need be by a rebuild; then export") from None
