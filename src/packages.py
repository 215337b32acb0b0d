"""A package on disk: `models/<version>/` with the model, its manifest, its requirements, and their checksums."""

from pathlib import Path

import git
from checksums import digest, format_sums
from files import PART, replacing, write
from manifest import Manifest, parse_manifest, read_manifest
from problem import Problem

MODELS = Path("models")
MODEL = "model.joblib"
MANIFEST = "manifest.json"
REQUIREMENTS = "requirements.txt"
SUMS = "SHA256SUMS"
POINTER = f"{MODEL}.dvc"  # keeps a version tracked by DVC that `dvc.lock` no longer claims
CHECKED = (MODEL, MANIFEST, REQUIREMENTS)  # what SHA256SUMS names


def folder_of(version: str) -> Path:
    """Where the package of a version stands."""
    return MODELS / version


def standing_manifest(folder: Path) -> Manifest | None:
    """The manifest of the package that stands in a folder; None where there is none or it cannot be read."""
    try:
        return read_manifest(folder / MANIFEST)
    except Problem:
        return None


def versions() -> list[str]:
    """The packages that stand under models/, whole or not."""
    kept_by_git = (MANIFEST, REQUIREMENTS, SUMS)
    return sorted({path.parent.name for name in kept_by_git for path in MODELS.glob(f"*/{name}") if path.is_file()})


def leave_pointers(current: str) -> list[Path]:
    """Write the pointer of every version but the current one that has none; returns the pointers that are new.

    DVC tracks only the present out of a stage. Without a pointer, the model of a version that was left behind would
    be removed by `dvc checkout`, and lost by `dvc gc`.
    """
    new = []
    for version in versions():
        folder = folder_of(version)
        manifest = standing_manifest(folder)
        if version == current or manifest is None or (folder / POINTER).exists():
            continue
        write(folder / POINTER, pointer_to(manifest))
        new.append(folder / POINTER)
    return new


def pointer_to(manifest: Manifest) -> bytes:
    """The content of the `.dvc` file of a package's model, as DVC writes it."""
    model = manifest.model
    return f"outs:\n- md5: {model.md5}\n  size: {model.size}\n  hash: md5\n  path: {MODEL}\n".encode()


def release_tag(manifest: Manifest) -> str:
    """The Git tag that makes a version released, after the convention of GTO."""
    return f"{manifest.name}@{manifest.version}"


def released_manifest(manifest: Manifest, root: Path | None = None) -> Manifest | None:
    """What was released under a manifest's name and version; None when nothing was.

    `root` is the repository whose tags count, where that is not the working directory's own.
    """
    content = git.read_blob(f"refs/tags/{release_tag(manifest)}", folder_of(manifest.version) / MANIFEST, root)
    return parse_manifest(content) if content is not None else None


def lay_down(folder: Path, model: Path, manifest: Manifest, requirements: bytes) -> None:
    """Write a package, each file in one step and SHA256SUMS last, so that it holds only when all the others stand.

    The model is copied byte for byte: loading and dumping it again would change it.
    """
    expected = manifest.model.sha256
    for unfinished in (*folder.glob(".*.tmp"), *folder.glob(f".*{PART}")):  # of a run, or of DVC, that was killed
        if unfinished.is_file():
            unfinished.unlink()
    if not (folder / MODEL).is_file() or digest(folder / MODEL).sha256 != expected:
        with replacing(folder / MODEL) as part:
            part.write_bytes(model.read_bytes())
            if digest(part).sha256 != expected:
                raise Problem(f"{model}: changed while it was being packaged; run dvc repro again")
    _write_if_different(folder / REQUIREMENTS, requirements)
    _write_if_different(folder / MANIFEST, manifest.to_bytes())
    _write_if_different(folder / SUMS, format_sums({name: digest(folder / name).sha256 for name in CHECKED}))


def _write_if_different(path: Path, content: bytes) -> None:
    if not path.is_file() or path.read_bytes() != content:
        write(path, content)
